use cqrs_core::prelude::*;
#[value]
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Status {
    Placed,
    Paid,
}
#[event]
pub struct Moved {
    pub item: String,
    pub status: Status,
}
#[projection(from = Moved, group_by = item, index(status))]
pub struct Stock {
    pub item: String,
    #[lsat(status)]
    pub status: Status,
}
fn main() {
    let mut t = Table::<Stock>::new();
    t.apply(&Moved { item: "a".into(), status: Status::Paid }).unwrap();
    let _ = t.get("a").map(|r| r.status);
    let e = Engine::in_memory().view::<Stock>().start().unwrap();
    let _ = e.view::<Stock>().get("a").unwrap();
}
