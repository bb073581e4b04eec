use cqrs_core::prelude::*;

#[event]
pub struct Bid {
    pub auction: u64,
    pub price: i64,
    pub score: f64,
    pub at: i64,
    pub time: Timestamp,
}

#[projection(by_hand(Bid), group_by = auction)]
pub struct Row {
    pub auction: u64,
    pub note: u64,
}

fn main() {}
