use cqrs_core::prelude::*;

#[event]
pub struct E<T> {
    a: T,
}

fn main() {}
