use cqrs_core::prelude::*;

pub struct Purchased {
    pub item: String,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::in_memory().start()?;
    let purchased = Purchased { item: "hats".into() };
    engine.append(NewEvent::new(purchased)).wait()?;
    Ok(())
}
