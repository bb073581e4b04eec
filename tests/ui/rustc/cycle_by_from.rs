use cqrs_core::prelude::*;

#[projection(from = Pong, group_by = auction)]
pub struct Ping {
    pub auction: u64,
    #[count]
    pub n: u64,
}

#[projection(from = Ping, group_by = auction)]
pub struct Pong {
    pub auction: u64,
    #[count]
    pub n: u64,
}

fn main() {}
