use cqrs_core::prelude::*;
#[event]
pub struct Dup {
    pub a: i64,
    #[serde(rename = "a")]
    pub b: i64,
    #[serde(alias = "a")]
    pub c: i64,
}
fn main() {}
