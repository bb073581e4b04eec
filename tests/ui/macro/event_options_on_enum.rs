use cqrs_core::prelude::*;

#[event(name = "cart")]
pub enum Cart {
    Added { customer: String },
}

fn main() {}
