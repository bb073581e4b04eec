use std::collections::HashMap;

use cqrs_core::prelude::*;

#[value]
#[derive(Debug, Clone, PartialEq)]
pub struct Remarks {
    pub by: HashMap<String, String>,
    pub count: u32,
}

#[event]
pub struct Seen {
    pub who: String,
    pub remarks: Remarks,
}

#[projection(from = Seen, group_by = who)]
pub struct Last {
    pub who: String,
    #[last]
    pub remarks: Remarks,
}

fn main() {}
