use cqrs_core::prelude::*;

#[derive(Clone)]
pub struct Where {
    pub hall: u8,
}

#[event]
pub struct Moved {
    pub to: Where,
}

fn main() {}
