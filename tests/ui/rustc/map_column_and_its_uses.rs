use std::collections::HashMap;

use cqrs_core::prelude::*;

#[event]
pub struct Seen {
    pub who: String,
    pub notes: HashMap<String, u64>,
}

#[projection(from = Seen, group_by = who, index(seen))]
#[derive(Debug)]
pub struct Last {
    pub who: String,
    #[last]
    pub notes: HashMap<String, u64>,
    #[count]
    pub seen: u64,
}

#[projection(from = Last, group_by = seen)]
pub struct Often {
    pub seen: u64,
    #[count]
    pub people: u64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::in_memory().view::<Last>().view::<Often>().start()?;
    let view = engine.view::<Last>();
    println!("{:?} {}", view.get("ann")?, view.by_seen(1)?.count());
    Ok(())
}
