use cqrs_core::prelude::*;
#[event]
pub struct P {
    pub customer: String,
    pub item: String,
    pub qty: i64,
}
#[projection(from = P, group_by = customer, index(item, qtty))]
pub struct Row {
    pub customer: String,
    #[last]
    pub item: String,
    #[sum]
    pub qty: i64,
}
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let e = Engine::in_memory().view::<Row>().start()?;
    let _ = e.view::<Row>().by_item("hats")?.count();
    let _ = e.view::<Row>().by_item_qty("hats", 1)?.count();
    Ok(())
}
