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

#[projection(from = Purchased, group_by = (customer, item))]
pub struct Bought {
    pub customer: String,
    pub item: String,
    #[sum(qty)]
    pub qty: i64,
}

#[projection(from = Bought, group_by = customer)]
pub struct Row {
    pub customer: String,
    #[last(qty)]
    pub n: i64,
}

fn main() {}
