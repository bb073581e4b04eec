use cqrs_core::prelude::*;

pub struct PurchasedV1 {
    pub item: String,
}

#[event(version = 2, upcast = PurchasedV1)]
pub struct Purchased {
    pub item: String,
    pub qty: i32,
}

impl From<PurchasedV1> for Purchased {
    fn from(old: PurchasedV1) -> Self {
        Self { item: old.item, qty: 1 }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::in_memory().event::<Purchased>().start()?;
    engine.append(Purchased { item: "hats".into(), qty: 2 }).wait()?;
    Ok(())
}
