use cqrs_core::prelude::*;

#[event]
#[serde(rename_all(serialize = "camelCase"))]
pub struct Purchased {
    pub customer: String,
}

fn main() {}
