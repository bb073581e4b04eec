use cqrs_core::prelude::*;

#[event]
pub union E {
    a: u8,
}

fn main() {}
