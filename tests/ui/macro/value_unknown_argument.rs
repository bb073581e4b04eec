use cqrs_core::prelude::*;

#[value(column)]
#[derive(Debug, Clone)]
pub struct Size {
    pub width: u32,
    pub height: u32,
}

fn main() {}
