use cqrs_core::prelude::*;

#[value]
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    pub lat: f64,
    pub name: String,
}

#[event]
pub struct Seen {
    pub place: Place,
}

#[projection(from = Seen, group_by = place)]
pub struct Places {
    pub place: Place,
    #[count]
    pub seen: u64,
}

fn main() {}
