use cqrs_core::prelude::*;

#[projection(from = Purchsed, group_by = customer)]
pub struct Row {
    pub customer: String,
    #[count]
    pub n: u64,
}

fn main() {}
