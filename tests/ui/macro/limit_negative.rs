use cqrs_core::prelude::*;

#[event]
pub struct Purchased {
    pub customer: String,
    pub item: String,
    pub qty: i32,
}

#[projection(from = Purchased, group_by = customer)]
pub struct Row {
    pub customer: String,
    #[collect(item, limit = -1)]
    pub items: Vec<String>,
}

fn main() {}
