use cqrs_core::prelude::*;

#[event(aliases("Old", Older))]
pub struct Purchased {
    pub customer: String,
}

fn main() {}
