use cqrs_core::prelude::*;
#[event]
pub struct P {
    pub customer: String,
    pub item: String,
}
#[projection(from = P, group_by = (customer, item), index(item, n))]
pub struct Row {
    pub customer: String,
    pub item: Itm,
    #[count]
    pub n: u64,
}
fn main() {
    let _ = Table::<Row>::new();
}
