use cqrs_core::prelude::*;

#[event]
pub struct Purchased {
    pub customer: String,
    pub qty: i64,
}

#[projection(from = Purchased, group_by = customer, on_fault = prak)]
pub struct Row {
    pub customer: String,
    #[sum(qty)]
    pub total: i64,
}

fn main() {}
