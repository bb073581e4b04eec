use cqrs_core::prelude::*;

#[event(nmae = "x")]
pub struct E {
    a: String,
}

fn main() {}
