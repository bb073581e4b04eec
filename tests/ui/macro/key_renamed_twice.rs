use cqrs_core::prelude::*;

#[event]
pub struct Placed {
    pub order: u64,
}

#[event]
pub struct Paid {
    pub order_ref: u64,
    pub parent: u64,
}

#[projection(from(Placed, Paid { order: order_ref, order: parent }), group_by = order)]
pub struct Orders {
    pub order: u64,
    #[count]
    pub events: u64,
}

fn main() {}
