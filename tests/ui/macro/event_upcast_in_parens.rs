use cqrs_core::prelude::*;

#[event]
pub struct AddedV1 {
    pub item: String,
}

#[event]
pub enum Cart {
    #[event(version = 2, upcast(AddedV1))]
    Added { item: String, qty: i32 },
}

fn main() {}
