use cqrs_core::prelude::*;
#[event]
pub struct P {
    pub customer: String,
    pub price: f64,
}
#[projection(from = P, group_by = price)]
pub struct Row {
    pub price: f64,
    #[count]
    pub n: u64,
}
fn main() {
    let mut t = Table::<Row>::new();
    t.apply(&P { customer: "".into(), price: 1.0 }).unwrap();
    let e = Engine::in_memory().view::<Row>().start().unwrap();
    let _ = e.view::<Row>().get(1.0);
}
