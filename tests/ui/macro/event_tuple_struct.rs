use cqrs_core::prelude::*;

#[event]
pub struct E(u8);
fn main() {}
