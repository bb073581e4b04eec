use cqrs_core::prelude::*;

/// It may be retired.
fn record<E: Event>(engine: &Engine, event: E) -> Result<Receipt, AppendError> {
    engine.append(event).wait()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::in_memory().start()?;
    record(&engine, Tick { at: 0 })?;
    Ok(())
}
