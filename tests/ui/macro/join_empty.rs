use cqrs_core::prelude::*;

#[event]
pub struct Purchased {
    pub customer: String,
    pub item: String,
    pub qty: i32,
    pub at: i64,
    pub lines: Vec<i64>,
}

#[projection(from = Purchased, left_join(), group_by = customer)]
pub struct Row {
    pub customer: String,
    #[count]
    pub n: u64,
}

fn main() {}
