use cqrs_core::prelude::*;

#[value]
#[derive(Clone)]
pub struct X<T>(T);
fn main() {}
