use cqrs_core::prelude::*;

#[event(retired, name = "purchased", retired)]
pub struct Purchased {
    pub item: String,
}

fn main() {}
