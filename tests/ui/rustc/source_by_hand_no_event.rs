use cqrs_core::prelude::*;

/// No event, as it bears no `#[event]`.
pub struct Noted {
    pub auction: u64,
}

#[event]
pub struct Bid {
    pub auction: u64,
    pub price: i64,
    pub score: f64,
    pub at: i64,
    pub time: Timestamp,
}

#[projection(from = Bid, by_hand(Noted), group_by = auction)]
pub struct Row {
    pub auction: u64,
    #[count]
    pub n: u64,
}

fn main() {}
