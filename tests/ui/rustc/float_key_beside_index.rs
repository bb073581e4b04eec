use cqrs_core::prelude::*;
#[event]
pub struct P {
    pub price: f64,
    pub who: String,
}
#[projection(from = P, group_by = price, index(who))]
pub struct Row {
    pub price: f64,
    #[last]
    pub who: String,
}
fn main() {}
