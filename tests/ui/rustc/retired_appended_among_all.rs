use cqrs_core::prelude::*;

#[event(retired)]
pub struct Purchased {
    pub item: String,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::in_memory().start()?;
    let purchased = Purchased { item: "hats".into() };
    engine.append_all([purchased]).wait()?;
    Ok(())
}
