//! Starts: from a checkpoint, and by replaying the log; and what fifty views cost.

use std::path::Path;

use cqrs_core::prelude::*;
use rusqlite::{Connection, OpenFlags};

use crate::report::{Report, both};
use crate::workload::{CustomerPurchases, Purchased};

pub fn run(events: &[Purchased], report: &mut Report) {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("store");
    let rows = fill(&folder, events);

    // The closing is not within the time: the engine is what the turn makes.
    let (ours, theirs) =
        both(3, || open(&folder), || scan(&folder.join("views.db"), "SELECT * FROM customer_purchases"));
    report.speed(
        ("14", "start from a checkpoint", "SQLite scanning the view's rows"),
        rows,
        ours,
        theirs,
        0.5,
    );

    let (ours, theirs) =
        both(3, || replay(&folder, 2), || scan(&folder.join("events.db"), "SELECT * FROM events"));
    report.speed(
        ("15", "replay the log into a fresh view", "SQLite scanning those events"),
        events.len(),
        ours,
        theirs,
        0.3,
    );

    let (two, one) = both(3, || replay(&folder, 2), || replay(&folder, 1));
    report.speed(("3", "replay on two threads", "on one"), events.len(), two, one, 1.4);

    let some = &events[..events.len() / 5];
    let (one, fifty) = both(2, || views(some, one_view), || views(some, fifty_views));
    report.cost(
        ("18", "50 views of one event type", "one view"),
        (fifty.as_secs_f64(), one.as_secs_f64()),
        "s",
        30.0,
    );
}

/// A view folded from the log, on one thread, four times.
pub fn replays(events: &[Purchased]) {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("store");
    fill(&folder, events);
    (0..4).for_each(|_| drop(replay(&folder, 1)));
}

fn fill(folder: &Path, events: &[Purchased]) -> usize {
    let engine = open(folder);
    for batch in events.chunks(10_000) {
        engine.append_all(batch.iter().map(NewEvent::of)).wait().expect("it appends");
    }
    let rows = engine.view::<CustomerPurchases>().len().expect("it reads");
    engine.close().wait().expect("it closes");
    rows
}

/// Without its checkpoint, the view is folded from the log.
fn replay(folder: &Path, threads: usize) -> Engine {
    for file in ["views.db", "views.db-wal", "views.db-shm"] {
        let _ = std::fs::remove_file(folder.join(file));
    }
    let engine = Engine::open(folder)
        .and_then(|builder| builder.view::<CustomerPurchases>().threads(threads).start())
        .expect("it starts");
    engine.wait_ready().wait().expect("it is rebuilt");
    engine
}

fn open(folder: &Path) -> Engine {
    Engine::open(folder).and_then(|builder| builder.view::<CustomerPurchases>().start()).expect("it starts")
}

/// Every row, every column.
fn scan(file: &Path, query: &str) -> usize {
    let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("it opens");
    let mut statement = connection.prepare(query).expect("it prepares");
    let columns = statement.column_count();
    let mut rows = statement.query([]).expect("it runs");
    let mut bytes = 0;
    while let Some(row) = rows.next().expect("it reads") {
        for column in 0..columns {
            bytes += match row.get_ref(column).expect("it reads") {
                rusqlite::types::ValueRef::Text(text) | rusqlite::types::ValueRef::Blob(text) => text.len(),
                _ => 8,
            };
        }
    }
    bytes
}

pub fn views(events: &[Purchased], with: fn(cqrs_core::Builder) -> cqrs_core::Builder) -> Engine {
    let engine = with(Engine::in_memory()).start().expect("it starts");
    for batch in events.chunks(10_000) {
        engine.append_all(batch.iter().map(NewEvent::of)).wait().expect("it appends");
    }
    engine
}

/// Projections that differ in name only.
macro_rules! alike {
    ($($name:ident)*) => {
        $(
            #[projection(from = Purchased, group_by = (customer, item))]
            struct $name {
                #[allow(dead_code)]
                customer: String,
                #[allow(dead_code)]
                item: String,
                #[sum(qty)]
                #[allow(dead_code)]
                total_qty: i64,
            }
        )*

        pub fn fifty_views(builder: cqrs_core::Builder) -> cqrs_core::Builder {
            builder$(.view::<$name>())*
        }
    };
}

alike! {
    V01 V02 V03 V04 V05 V06 V07 V08 V09 V10
    V11 V12 V13 V14 V15 V16 V17 V18 V19 V20
    V21 V22 V23 V24 V25 V26 V27 V28 V29 V30
    V31 V32 V33 V34 V35 V36 V37 V38 V39 V40
    V41 V42 V43 V44 V45 V46 V47 V48 V49 V50
}

fn one_view(builder: cqrs_core::Builder) -> cqrs_core::Builder {
    builder.view::<CustomerPurchases>()
}
