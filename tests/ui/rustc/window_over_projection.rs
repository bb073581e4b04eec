use cqrs_core::prelude::*;

#[event]
pub struct Bid {
    pub auction: u64,
    pub price: i64,
    pub score: f64,
    pub at: i64,
    pub time: Timestamp,
}

#[projection(from = Bid, group_by = auction)]
pub struct PerAuction {
    pub auction: u64,
    #[count]
    pub bids: u64,
    #[sum(price)]
    pub total: i64,
}

#[projection(from = PerAuction, group_by = (), window = tumbling(total, "1h"), unit = "s")]
pub struct Row {
    pub window_start: i64,
    #[count]
    pub n: u64,
}

fn main() {}
