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

#[projection(from = Purchased, group_by = customer)]
pub struct Row {
    pub customer: String,
    #[variance(qty if qty > 0)]
    pub n: f64,
}

fn main() {}
