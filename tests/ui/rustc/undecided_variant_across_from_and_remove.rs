use cqrs_core::prelude::*;

#[event]
pub enum Cart {
    Added { customer: String, item: String },
    Removed { customer: String, item: String },
    Cleared { customer: String },
}

#[projection(from = Cart { Added }, remove = Cart { Removed }, group_by = (customer, item))]
pub struct Row {
    pub customer: String,
    pub item: String,
    #[count]
    pub n: u64,
}

fn main() {}
