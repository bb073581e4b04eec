//! Events and views of another crate, as a test's crate sees them.

use cqrs_core::prelude::*;

#[event]
#[derive(Debug)]
pub struct Arrived {
    pub place: String,
    pub count: u32,
}

#[event]
#[derive(Debug)]
pub struct Left {
    pub place: String,
    pub count: u32,
}

#[event]
#[derive(Debug)]
pub enum Weather {
    Rained { place: String },
    Shone { place: String },
}

#[projection(from = Arrived, group_by = place)]
#[derive(Debug, PartialEq)]
pub struct Arrivals {
    pub place: String,
    #[sum]
    pub count: u32,
}

#[projection(from = Left, group_by = place)]
#[derive(Debug, PartialEq)]
pub struct Departures {
    pub place: String,
    #[sum]
    pub count: u32,
}
