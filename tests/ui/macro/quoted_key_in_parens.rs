use cqrs_core::prelude::*;

#[event]
pub struct Purchased {
    pub customer: String,
    pub item: String,
    pub qty: i32,
}

#[projection(from = Purchased, group_by = (customer, "item"))]
pub struct Row {
    pub customer: String,
    pub item: String,
    #[count]
    pub n: u64,
}

fn main() {}
