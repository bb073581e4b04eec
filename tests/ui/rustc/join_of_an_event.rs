use cqrs_core::prelude::*;

#[event]
pub struct Listed {
    pub auction: u64,
    pub category: String,
}

#[event]
pub struct Bid {
    pub auction: u64,
    pub price: i64,
    pub score: f64,
    pub at: i64,
    pub time: Timestamp,
}

#[projection(from = Bid, join(listing = Listed[auction]), group_by = (category = listing.category))]
pub struct Row {
    pub category: String,
    #[count]
    pub n: u64,
}

fn main() {}
