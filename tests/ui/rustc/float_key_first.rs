use cqrs_core::prelude::*;
#[event]
pub struct P {
    pub customer: String,
    pub price: f64,
}
#[projection(from = P, group_by = (price, customer))]
pub struct Row {
    pub price: f64,
    pub customer: String,
    #[count]
    pub n: u64,
}
fn main() {}
