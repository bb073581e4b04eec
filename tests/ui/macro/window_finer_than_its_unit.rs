use cqrs_core::prelude::*;

#[event]
pub struct Purchased {
    pub customer: String,
    pub item: String,
    pub qty: i32,
    pub at: i64,
    pub lines: Vec<i64>,
}

#[projection(from = Purchased, window = hopping(at, "1s", every = "500ms"), unit = "s", group_by = customer)]
pub struct Row {
    pub customer: String,
    pub window_start: i64,
    #[count]
    pub n: u64,
}

fn main() {}
