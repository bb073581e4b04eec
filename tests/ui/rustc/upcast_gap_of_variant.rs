use cqrs_core::prelude::*;

#[event(version = 2)]
pub struct AddedV2 {
    pub item: String,
}

#[event]
pub enum Cart {
    #[event(version = 2, upcast = AddedV2)]
    Added { item: String, qty: i32 },
}

impl From<AddedV2> for Cart {
    fn from(old: AddedV2) -> Self {
        Self::Added { item: old.item, qty: 1 }
    }
}

fn main() {}
