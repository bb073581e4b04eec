use cqrs_core::prelude::*;

#[event]
pub struct PurchasedV1 {
    pub item: String,
}

#[event(version = 2, upcats = PurchasedV1)]
pub struct Purchased {
    pub item: String,
}

fn main() {}
