//! Events for the tests of the tests.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use crate::prelude::*;
use crate::sync::lock;

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

/// The file that a failure is told to be in.
pub(super) fn panic_place(test: impl FnOnce()) -> String {
    let place: Arc<Mutex<String>> = Arc::default();
    let (noted, here) = (place.clone(), std::thread::current().id());
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().id() == here {
            *lock(&noted) = info.location().map_or(String::new(), |at| at.file().to_owned());
        }
    }));
    panic_of(test);
    std::panic::set_hook(before);
    lock(&place).clone()
}
