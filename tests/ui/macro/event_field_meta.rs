use cqrs_core::prelude::*;

#[event]
pub struct E {
    meta: String,
}

fn main() {}
