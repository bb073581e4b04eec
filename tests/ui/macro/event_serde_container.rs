use cqrs_core::prelude::*;

#[event]
#[serde(transparent)]
pub struct E {
    a: String,
}

fn main() {}
