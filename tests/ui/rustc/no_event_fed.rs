use cqrs_core::prelude::*;

pub struct Purchased {
    pub item: String,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::in_memory().start()?;
    let purchased = Purchased { item: "hats".into() };
    let _ = engine.feed("orders", cqrs_core::stream([(1, purchased)]));
    Ok(())
}
