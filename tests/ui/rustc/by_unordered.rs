use cqrs_core::prelude::*;

#[event]
pub struct Purchased {
    pub customer: String,
    pub item: String,
    pub qty: i32,
    pub price: f64,
    pub note: Option<String>,
    pub tags: Vec<Vec<String>>,
}

#[projection(from = Purchased, group_by = customer)]
pub struct Row {
    pub customer: String,
    #[last(item, by = tags)]
    pub n: String,
}

fn main() {}
