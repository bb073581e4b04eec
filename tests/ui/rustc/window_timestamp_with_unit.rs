use cqrs_core::prelude::*;

#[event]
pub struct Bid {
    pub auction: u64,
    pub price: i64,
    pub score: f64,
    pub at: i64,
    pub time: Timestamp,
}

#[projection(from = Bid, group_by = (), window = tumbling(time, "1h"), unit = "s")]
pub struct Row {
    pub window_start: Timestamp,
    #[count]
    pub n: u64,
}

fn main() {}
