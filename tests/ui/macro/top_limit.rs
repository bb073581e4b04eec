use cqrs_core::prelude::*;

#[event]
pub struct Purchased {
    pub customer: String,
    pub item: String,
    pub qty: i32,
    pub at: i64,
    pub lines: Vec<i64>,
}

#[projection(from = Purchased, group_by = customer)]
pub struct Row {
    pub customer: String,
    #[top(3, qty, limit = 5)]
    pub qty: Vec<i32>,
}

fn main() {}
