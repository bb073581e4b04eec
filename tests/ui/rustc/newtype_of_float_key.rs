use cqrs_core::prelude::*;

#[value]
#[derive(Clone)]
pub struct Price(f64);
#[event]
pub struct Priced {
    price: Price,
}
#[projection(from = Priced, group_by = price)]
pub struct Row {
    price: Price,
    #[count]
    n: u64,
}

fn main() {}
