use cqrs_core::prelude::*;

#[event]
pub struct Purchased {
    pub customer: String,
    pub item: String,
    pub qty: i32,
    pub at: i64,
    pub lines: Vec<i64>,
}

#[projection(from = Purchased, window = tumbling(at, "1h"), group_by = (a, b, c, d, e, f, g, h))]
pub struct Row {
    pub a: String,
    pub b: String,
    pub c: String,
    pub d: String,
    pub e: String,
    pub f: String,
    pub g: String,
    pub h: String,
    pub window_start: i64,
    #[count]
    pub n: u64,
}

fn main() {}
