//! The engine's promises, each over both stores.

mod abreast;
mod appending;
mod closing;
mod failing;
mod faulting;
mod grouping;
mod looking_up;
mod racing;
mod restarting;
mod streaming;
mod subscribing;
mod touching;
mod verifying;
mod waiting;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::prelude::*;
use crate::store::{MemoryStore, SqliteStore, Store};
use crate::{Builder, Engine};

#[event]
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bought {
    customer: String,
    item: String,
    qty: i32,
}

#[event]
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Returned {
    customer: String,
    item: String,
    qty: i32,
}

/// Both, as one type.
#[event]
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shop {
    Bought(Bought),
    Returned(Returned),
}

/// Registered with no engine unless a test says so.
#[event]
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Noted {
    text: String,
}

/// What a customer has of an item.
#[projection(from(Bought, Returned), group_by = (customer, item))]
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Has {
    customer: String,
    item: String,
    #[sum(Bought => qty, Returned => -qty)]
    qty: i64,
    #[count]
    events: u64,
}

/// Customers who have something: those who have returned everything are hidden.
#[projection(from(Bought, Returned), group_by = customer, having = qty != 0)]
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Owners {
    customer: String,
    #[sum(Bought => qty, Returned => -qty)]
    qty: i64,
}

/// Overflows soon.
#[projection(from(Bought if qty > -1000), group_by = item)]
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tiny {
    item: String,
    #[sum(qty as i8)]
    qty: i8,
}

/// Sets aside what would overflow.
#[projection(from = Bought, group_by = item, on_fault = park)]
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sets {
    item: String,
    #[sum(qty as i8)]
    qty: i8,
}

/// Reads the enum.
#[projection(from = Shop { Bought, Returned }, group_by = ())]
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Everything {
    #[count]
    events: u64,
}

pub(super) fn bought(customer: &str, item: &str, qty: i32) -> Bought {
    Bought { customer: customer.into(), item: item.into(), qty }
}

pub(super) fn returned(customer: &str, item: &str, qty: i32) -> Returned {
    Returned { customer: customer.into(), item: item.into(), qty }
}

/// Somewhere an engine can be opened again and again.
pub(super) enum Place {
    Memory(MemoryStore),
    Folder(tempfile::TempDir),
}

impl Place {
    pub(super) fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Memory(store) => Arc::new(store.clone()),
            Self::Folder(folder) => Arc::new(SqliteStore::open(folder.path().join("shop")).unwrap()),
        }
    }

    pub(super) fn engine(&self) -> Builder {
        Engine::with_store(self.store())
    }
}

/// Runs a test in memory, and in a folder.
pub(super) fn everywhere(test: impl Fn(&Place)) {
    test(&Place::Memory(MemoryStore::new()));
    test(&Place::Folder(tempfile::tempdir().unwrap()));
}

/// All rows of [`Has`], by key.
pub(super) fn has(engine: &Engine) -> BTreeMap<(String, String), (i64, u64)> {
    let rows = engine.view::<Has>().rows().unwrap();
    rows.map(|row| ((row.customer, row.item), (row.qty, row.events))).collect()
}

/// Waits until something holds; fails after ten seconds.
pub(super) fn soon(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(10), "not within ten seconds: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
