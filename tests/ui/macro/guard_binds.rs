use cqrs_core::prelude::*;
#[event]
pub struct Paid {
    pub garage: String,
    pub note: Option<i64>,
}
#[projection(from(Paid if let Some(n) = note), group_by = garage)]
pub struct Row {
    pub garage: String,
    #[count(if let Some(n) = note)]
    pub n: u64,
    #[last(note)]
    pub x: Option<Option<i64>>,
}
fn main() {}
