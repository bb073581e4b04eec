use cqrs_core::prelude::*;
#[event]
pub enum Order {
    Placed { order_id: u64 },
    Closed,
}
#[projection(from = Order { Placed, Closed }, group_by = order_id)]
pub struct Orders {
    pub order_id: u64,
    #[count(Closed)]
    pub closed: u64,
}
fn main() {}
