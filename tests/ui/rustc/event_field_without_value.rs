use cqrs_core::prelude::*;

#[derive(Clone)]
pub struct Where {
    pub hall: u8,
}

#[event]
pub enum Deed {
    Sent { to: Where, at: i64 },
    Came { at: i64, ways: Vec<Where> },
}

fn main() {}
