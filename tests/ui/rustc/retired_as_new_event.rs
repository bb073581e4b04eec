use cqrs_core::prelude::*;

#[event(retired)]
pub struct Purchased {
    pub item: String,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::in_memory().start()?;
    let purchased = Purchased { item: "hats".into() };
    let event = NewEvent::new(purchased).id("order-17");
    engine.append(event).wait()?;
    Ok(())
}
