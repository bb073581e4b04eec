use cqrs_core::prelude::*;

#[event(aliases = "Old")]
pub struct E {
    a: String,
}

fn main() {}
