use cqrs_core::prelude::*;

#[event]
pub enum E {
    A,
}

fn main() {}
