use cqrs_core::prelude::*;

#[event]
pub struct Sold {
    pub item: String,
    pub qty: u32,
    pub damaged: bool,
}

#[projection(from = Sold, group_by = item)]
pub struct Sales {
    pub item: String,
    #[count(if qty > 1, if !damaged)]
    pub times: u64,
}

fn main() {}
