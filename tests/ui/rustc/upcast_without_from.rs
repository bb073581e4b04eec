use cqrs_core::prelude::*;

#[event(version = 1)]
pub struct PurchasedV1 {
    pub item: String,
}

#[event(version = 2, upcast = PurchasedV1)]
pub struct Purchased {
    pub item: String,
    pub qty: i32,
}

#[projection(from = Purchased, group_by = item)]
pub struct Sold {
    pub item: String,
    #[sum(qty)]
    pub qty: i32,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::in_memory().view::<Sold>().start()?;
    engine.append(Purchased { item: "hats".into(), qty: 2 }).wait()?;
    Ok(())
}
