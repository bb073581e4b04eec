use cqrs_core::prelude::*;

#[event(version = 2, upcast = PurchasedV1)]
pub struct Purchased {
    pub item: String,
    pub qty: i32,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::in_memory().event::<Purchased>().start()?;
    engine.append(Purchased { item: "hats".into(), qty: 2 }).wait()?;
    Ok(())
}
