use cqrs_core::prelude::*;

#[event]
pub struct Bid {
    pub auction: u64,
    pub price: i64,
    pub score: f64,
    pub at: i64,
    pub time: Timestamp,
}

#[projection(from = Bid, join(other = Pong[auction]), group_by = auction)]
pub struct Ping {
    pub auction: u64,
    #[count]
    pub n: u64,
}

#[projection(from = Bid, join(other = Ping[auction]), group_by = auction)]
pub struct Pong {
    pub auction: u64,
    #[count]
    pub n: u64,
}

fn main() {}
