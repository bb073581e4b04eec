use cqrs_core::prelude::*;
#[event]
pub struct Moved(pub String, pub i64);
#[projection(from = Moved, group_by = item)]
pub struct Stock {
    pub item: String,
    #[sum]
    pub qty: i64,
}
fn main() {}
