use cqrs_core::prelude::*;

#[projection(from = Ping, group_by = auction)]
pub struct Ping {
    pub auction: u64,
    #[count]
    pub n: u64,
}

fn main() {}
