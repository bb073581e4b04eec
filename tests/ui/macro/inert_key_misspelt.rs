use cqrs_core::prelude::*;
#[event]
pub struct Purchased {
    pub customer: String,
    pub qty: i64,
}
#[projection(from = Purchased, gruop_by = customer)]
pub struct Row {
    pub customer: String,
    #[sum(qty)]
    pub qty: i64,
}
fn main() {
    let t = Table::<Row>::new();
    let _ = t.get("ann");
}
