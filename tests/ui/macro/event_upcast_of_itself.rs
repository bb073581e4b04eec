use cqrs_core::prelude::*;

#[event(version = 2, upcast = Purchased)]
pub struct Purchased {
    pub item: String,
}

fn main() {}
