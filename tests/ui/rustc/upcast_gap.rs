use cqrs_core::prelude::*;

#[event(version = 1)]
pub struct PurchasedV1 {
    pub item: String,
}

#[event(version = 3, upcast = PurchasedV1)]
pub struct Purchased {
    pub item: String,
    pub qty: i32,
}

impl From<PurchasedV1> for Purchased {
    fn from(old: PurchasedV1) -> Self {
        Self { item: old.item, qty: 1 }
    }
}

fn main() {}
