use cqrs_core::prelude::*;

#[event]
pub enum Gate {
    Opened(String),
    Shut { gate: String },
}

#[projection(from = Gate { Shut, .. }, group_by = gate)]
pub struct Gates {
    pub gate: String,
    #[count]
    pub shut: u64,
}

fn main() {
    let engine = Engine::in_memory().view::<Gates>().start().unwrap();
    let _ = engine.append(Gate::Opened("a".into()));
}
