use cqrs_core::prelude::*;

#[event]
pub struct Dropped {
    pub customer: String,
    pub item: String,
}

#[projection(remove(Dropped), group_by = (customer, item))]
pub struct Row {
    pub customer: String,
    pub item: String,
    #[count]
    pub n: u64,
}

fn main() {}
