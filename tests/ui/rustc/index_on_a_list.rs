use cqrs_core::prelude::*;
#[event]
pub struct Paid {
    pub garage: String,
    pub cents: i64,
}
#[projection(from = Paid, group_by = garage, index(n))]
pub struct Row {
    pub garage: String,
    #[top(3, cents)]
    pub n: Vec<i64>,
}
fn main() {
    let e = Engine::in_memory().view::<Row>().start().unwrap();
    let _ = e.view::<Row>().get("a");
}
