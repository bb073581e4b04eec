use cqrs_core::prelude::*;

#[event]
pub struct Bid {
    pub auction: u64,
    pub price: i64,
    pub score: f64,
    pub at: i64,
    pub time: Timestamp,
}

#[projection(from = Bid, group_by = auction, index(score))]
pub struct Row {
    pub auction: u64,
    #[last(score)]
    pub score: f64,
}

fn main() {}
