//! Events for the tests of the tests.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::prelude::*;

#[event]
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bought {
    pub(super) customer: String,
    pub(super) item: String,
    pub(super) qty: i32,
}

#[event]
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Dropped {
    pub(super) customer: String,
    pub(super) item: String,
    pub(super) qty: i32,
}

#[event]
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Added {
    pub(super) customer: String,
    pub(super) item: String,
}

/// What a test says that fails.
pub(super) fn panic_of(test: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(test)).expect_err("the test passes");
    crate::table::said(&*panic)
}
