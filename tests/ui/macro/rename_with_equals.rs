use cqrs_core::prelude::*;

#[event]
pub struct Purchased {
    pub customer: String,
    pub item: String,
    pub qty: i32,
    pub price: f64,
    pub note: Option<String>,
    pub tags: Vec<String>,
}

#[event]
pub struct Refunded {
    pub customer: String,
    pub amount: i64,
}

#[projection(from(Purchased, Refunded { customer = customer }), group_by = customer)]
pub struct Row {
    pub customer: String,
    #[count]
    pub n: u64,
}

fn main() {}
