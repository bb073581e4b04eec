use cqrs_core::prelude::*;
#[event]
pub struct Paid {
    pub id: u64,
}
#[event]
pub enum Order {
    Paid(Paid),
    Settled(Paid),
}
fn main() {}
