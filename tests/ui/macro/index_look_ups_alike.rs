use cqrs_core::prelude::*;

#[event]
pub struct Purchased {
    pub customer: String,
    pub item: String,
    pub qty: i32,
}

#[projection(from = Purchased, group_by = item, index(checked), index(checked_in))]
pub struct Row {
    pub item: String,
    #[count]
    pub checked: u64,
    #[count(if qty > 0)]
    pub checked_in: u64,
}

fn main() {}
