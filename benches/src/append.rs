//! Durable appends, with and without a view.

use std::path::Path;

use cqrs_core::prelude::*;
use rusqlite::Connection;

use crate::report::{Report, both, timed};
use crate::workload::{CustomerPurchases, Purchased};

pub(crate) fn run(events: &[Purchased], report: &mut Report) {
    for (batch, wanted, count) in [(1, 0.9, 2_000), (100, 0.85, 50_000), (10_000, 0.7, events.len())] {
        let events = &events[..count.min(events.len())];
        let (ours, theirs) = both(3, || log_only(events, batch), || plain(events, batch));
        report.speed(
            (
                "5",
                &format!("durable append, no view, batches of {batch}"),
                "rusqlite, the same columns and schema",
            ),
            events.len(),
            ours,
            theirs,
            wanted,
        );
    }
    let (ours, theirs) = both(3, || with_view(events, 10_000), || plain(events, 10_000));
    let what = "durable append with a live view, batches of 10,000";
    report.speed(("6", what, "the same without a view"), events.len(), ours, theirs, 0.3);
    let (ours, theirs) = both(2, || with_view(events, 10_000), || upserting(events, 10_000));
    report.speed(
        ("7", what, "SQLite, the view upserted in the same transaction"),
        events.len(),
        ours,
        theirs,
        5.0,
    );

    let single = &events[..2_000.min(events.len())];
    let many = &events[..64_000.min(events.len())];
    let (alone, together) = (timed(|| callers(single, 1)), timed(|| callers(many, 64)));
    report.speed(
        ("8", "64 callers, one event an append", "one caller"),
        single.len(),
        together.mul_f64(single.len() as f64 / many.len() as f64),
        alone,
        20.0,
    );
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

pub(crate) fn log_only(events: &[Purchased], batch: usize) -> tempfile::TempDir {
    let folder = folder();
    let engine =
        Engine::open(folder.path().join("store")).and_then(|builder| builder.event::<Purchased>().start());
    append(&engine.expect("it starts"), events, batch);
    folder
}

pub(crate) fn with_view(events: &[Purchased], batch: usize) -> tempfile::TempDir {
    let folder = folder();
    let engine = Engine::open(folder.path().join("store"))
        .and_then(|builder| builder.view::<CustomerPurchases>().start());
    append(&engine.expect("it starts"), events, batch);
    folder
}

/// Large batches: two on their way, so that one is encoded while the other is written.
fn append(engine: &Engine, events: &[Purchased], batch: usize) {
    std::thread::scope(|scope| {
        let callers = if batch < 10_000 { 1 } else { 2 };
        for caller in 0..callers {
            scope.spawn(move || {
                for batch in events.chunks(batch).skip(caller).step_by(callers) {
                    engine.append_all(batch.iter().map(NewEvent::of)).wait().expect("it appends");
                }
            });
        }
    });
}

fn callers(events: &[Purchased], callers: usize) -> tempfile::TempDir {
    let folder = folder();
    let engine = Engine::open(folder.path().join("store"))
        .and_then(|builder| builder.view::<CustomerPurchases>().start());
    let engine = engine.expect("it starts");
    std::thread::scope(|scope| {
        for events in events.chunks(events.len() / callers) {
            let engine = &engine;
            scope.spawn(move || {
                for event in events {
                    engine.append(NewEvent::of(event)).wait().expect("it appends");
                }
            });
        }
    });
    folder
}

const SCHEMA: &str = "
    CREATE TABLE events (
        position INTEGER PRIMARY KEY, name TEXT NOT NULL, version INTEGER NOT NULL, recorded_at INTEGER NOT NULL,
        event_id TEXT, metadata BLOB, payload BLOB NOT NULL, checksum INTEGER NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX events_event_id ON events (event_id) WHERE event_id IS NOT NULL;
    CREATE TABLE view (customer TEXT, item TEXT, total_qty INTEGER, PRIMARY KEY (customer, item)) WITHOUT ROWID;";

pub(crate) fn plain(events: &[Purchased], batch: usize) -> tempfile::TempDir {
    baseline(events, batch, |_, _| ())
}

fn upserting(events: &[Purchased], batch: usize) -> tempfile::TempDir {
    baseline(events, batch, |connection, event| {
        let mut upsert = connection
            .prepare_cached(
                "INSERT INTO view VALUES (?1, ?2, ?3) \
                 ON CONFLICT DO UPDATE SET total_qty = total_qty + excluded.total_qty",
            )
            .expect("it prepares");
        upsert.execute((&event.customer, &event.item, event.qty)).expect("it upserts");
    })
}

fn baseline(events: &[Purchased], batch: usize, also: fn(&Connection, &Purchased)) -> tempfile::TempDir {
    let folder = folder();
    let mut connection = open(&folder.path().join("events.db"));
    let (mut position, mut payload) = (0_i64, Vec::new());
    for batch in events.chunks(batch) {
        let transaction = connection.transaction().expect("it begins");
        let mut insert = transaction
            .prepare_cached("INSERT INTO events VALUES (?1, 'Purchased', 1, ?2, NULL, NULL, ?3, ?4)")
            .expect("it prepares");
        for event in batch {
            position += 1;
            payload.clear();
            event.encode(&mut payload).expect("W encodes");
            insert.execute((position, 1_700_000_000_000_000_i64, &payload, position)).expect("it inserts");
            also(&transaction, event);
        }
        drop(insert);
        transaction.commit().expect("it commits");
    }
    folder
}

pub(crate) fn open(path: &Path) -> Connection {
    let connection = Connection::open(path).expect("it opens");
    connection
        .execute_batch(&format!("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; {SCHEMA}"))
        .expect("it creates");
    connection
}
