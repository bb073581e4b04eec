//! What the engines do that are listened to: one view parks thirteen of something, another is stopped by ghosts.

use cqrs_core::prelude::*;

#[event]
#[derive(Debug)]
pub(crate) struct Bought {
    pub(crate) item: String,
    pub(crate) qty: i64,
}

#[event]
#[derive(Debug)]
pub(crate) struct Refunded {
    pub(crate) item: String,
}

#[projection(from = Bought, group_by = item, on_fault = park)]
#[derive(Debug)]
pub(crate) struct Stock {
    pub(crate) item: String,
    #[sum(few(qty))]
    pub(crate) qty: i64,
}

#[projection(from = Refunded, group_by = item)]
#[derive(Debug)]
pub(crate) struct Refunds {
    pub(crate) item: String,
    #[count(if known(item))]
    pub(crate) count: u64,
}

fn few(qty: i64) -> i64 {
    assert!(qty != 13, "thirteen of them");
    qty
}

fn known(item: &str) -> bool {
    assert!(item != "ghosts", "there are none");
    true
}
