use cqrs_core::prelude::*;

#[value]
pub struct Id(pub u64);

fn main() {}
