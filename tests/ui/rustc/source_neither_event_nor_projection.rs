use cqrs_core::prelude::*;

/// No event, as it bears no `#[event]`.
pub struct Bid {
    pub auction: u64,
}

#[projection(from = Bid, group_by = auction)]
pub struct Row {
    pub auction: u64,
    #[count]
    pub n: u64,
}

fn main() {}
