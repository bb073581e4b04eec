use cqrs_core::prelude::*;

#[event]
pub enum Cart {
    Added { customer: String, qty: u32 },
    Removed { customer: String, qty: u32 },
    Cleared { customer: String },
}

#[projection(from = Cart { .. }, group_by = customer)]
pub struct Row {
    pub customer: String,
    #[count]
    pub n: u64,
}

fn main() {}
