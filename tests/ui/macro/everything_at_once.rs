use cqrs_core::prelude::*;

#[projection(from(), gruop_by = customer)]
pub struct Row {
    pub customer: String,
    #[sumn(x)]
    pub a: i64,
    #[count]
    #[sum(qty)]
    pub b: u64,
}

fn main() {}
