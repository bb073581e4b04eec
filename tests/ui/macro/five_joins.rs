use cqrs_core::prelude::*;

#[event]
pub struct Purchased {
    pub customer: String,
    pub item: String,
    pub qty: i32,
}

#[projection(from = Purchased, group_by = customer)]
pub struct One {
    pub customer: String,
    #[count]
    pub n: u64,
}

#[projection(
    from = Purchased,
    join(a = One[customer], b = One[customer], c = One[customer], d = One[customer], e = One[customer]),
    group_by = customer,
)]
pub struct Row {
    pub customer: String,
    #[sum(a.n + e.n)]
    pub n: u64,
}

fn main() {}
