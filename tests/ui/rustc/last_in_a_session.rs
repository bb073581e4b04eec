use cqrs_core::prelude::*;

#[event]
pub struct Purchased {
    pub customer: String,
    pub item: String,
    pub qty: i32,
    pub price: f64,
    pub note: Option<String>,
    pub at: i64,
}

#[projection(from = Purchased, group_by = customer, window = session(at, gap = "30m"), unit = "s")]
pub struct Row {
    pub customer: String,
    pub window_start: i64,
    #[last(item)]
    pub n: String,
}

fn main() {}
