use cqrs_core::prelude::*;

#[event(retired = true)]
pub struct Purchased {
    pub item: String,
}

fn main() {}
