use cqrs_core::prelude::*;

#[event]
pub struct Purchased {
    pub customer: String,
    pub qty: i64,
}

#[projection(from = Purchased, group_by = customer)]
pub struct PerCustomer {
    pub customer: String,
    #[sum(qty)]
    pub total: i64,
}

#[projection(from = PerCustomer, group_by = (), on_fault = park)]
pub struct Row {
    #[count]
    pub customers: u64,
}

fn main() {}
