use cqrs_core::prelude::*;

#[event]
pub struct Purchased {
    pub customer: String,
    pub item: String,
    pub qty: i32,
    pub at: i64,
    pub lines: Vec<i64>,
}

#[event]
pub struct Dropped {
    pub customer: String,
    pub item: String,
}

#[projection(from = Purchased, remove(Dropped { custmer: item, .. }), group_by = (customer, item))]
pub struct Row {
    pub customer: String,
    pub item: String,
    #[count]
    pub n: u64,
}

fn main() {}
