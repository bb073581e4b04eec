//! Durable appends, with and without a view.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cqrs_core::prelude::*;
use rusqlite::Connection;

use crate::report::{Report, both_taking, timed};
use crate::workload::{self, CustomerPurchases, Purchased};

pub fn run(events: &[Purchased], report: &mut Report) {
    for (batch, wanted, count) in [(1, 0.9, 4_000), (100, 0.85, 100_000), (10_000, 0.7, events.len())] {
        let events = &events[..count.min(events.len())];
        let (ours, theirs) = both_taking(3, || log_only(events, batch), || plain(events, batch));
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
    let (ours, theirs) = both_taking(3, || with_view(events, 10_000).time, || plain(events, 10_000));
    let what = "durable append with a live view, batches of 10,000";
    report.speed(("6", what, "rusqlite, without a view"), events.len(), ours, theirs, 0.3);
    let (ours, theirs) = both_taking(2, || with_view(events, 10_000).time, || upserting(events, 10_000));
    report.speed(
        ("7", what, "SQLite, the view upserted in the same transaction"),
        events.len(),
        ours,
        theirs,
        5.0,
    );
    let ten = workload::events(events.len() * 10);
    let (ours, theirs) = (with_view(&ten, 10_000), plain(&ten, 10_000));
    report.speed(
        ("6", "the same, ten times as many", "rusqlite, without a view"),
        ten.len(),
        ours.time,
        theirs,
        0.3,
    );
    let behind = (ours.events_behind as f64, 1e6);
    let what =
        format!("the last checkpoint's lag meanwhile, at most (it was {:.1?} old at most)", ours.time_behind);
    report.cost(("6", &what, "1 M events"), behind, "events", 1.0);
    drop(ten);
}

/// Many callers, each with one event at a time.
pub fn run_callers(events: &[Purchased], report: &mut Report) {
    let single = &events[..4_000.min(events.len())];
    let many = &events[..128_000.min(events.len())];
    let (together, alone) = both_taking(
        3,
        || callers(many, 64).mul_f64(single.len() as f64 / many.len() as f64),
        || callers(single, 1),
    );
    report.speed(("8", "64 callers, one event an append", "one caller"), single.len(), together, alone, 20.0);
}

pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

pub fn log_only(events: &[Purchased], batch: usize) -> Duration {
    let folder = folder();
    let engine =
        Engine::open(folder.path().join("store")).and_then(|builder| builder.event::<Purchased>().start());
    let engine = engine.expect("it starts");
    timed(|| append(&engine, events, batch))
}

/// How an append with a view went.
pub struct WithView {
    pub time: Duration,
    /// How far the last checkpoint was behind, at the worst.
    events_behind: u64,
    time_behind: Duration,
}

pub fn with_view(events: &[Purchased], batch: usize) -> WithView {
    let folder = folder();
    let engine = Engine::open(folder.path().join("store"))
        .and_then(|builder| builder.view::<CustomerPurchases>().start());
    let engine = engine.expect("it starts");
    let (begun, done) = (Instant::now(), AtomicBool::new(false));
    let (time, (events_behind, time_behind)) = std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut worst = (0, Duration::ZERO);
            while !done.load(Ordering::Relaxed) {
                let health = engine.health();
                let checkpoint = &health.views[0].checkpoint;
                let (position, age) =
                    checkpoint.as_ref().map_or((0, begun.elapsed()), |saved| (saved.position, saved.age));
                worst = (worst.0.max(health.views[0].position - position), worst.1.max(age));
                std::thread::sleep(Duration::from_millis(5));
            }
            worst
        });
        let time = timed(|| append(&engine, events, batch));
        done.store(true, Ordering::Relaxed);
        (time, watch.join().expect("it watches"))
    });
    WithView { time, events_behind, time_behind }
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

fn callers(events: &[Purchased], callers: usize) -> Duration {
    let folder = folder();
    let engine = Engine::open(folder.path().join("store"))
        .and_then(|builder| builder.view::<CustomerPurchases>().start());
    let engine = engine.expect("it starts");
    timed(|| {
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
    })
}

const SCHEMA: &str = "
    CREATE TABLE events (
        position INTEGER PRIMARY KEY, name TEXT NOT NULL, version INTEGER NOT NULL, recorded_at INTEGER NOT NULL,
        event_id TEXT, metadata BLOB, payload BLOB NOT NULL, checksum INTEGER NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX events_event_id ON events (event_id) WHERE event_id IS NOT NULL;
    CREATE TABLE view (customer TEXT, item TEXT, total_qty INTEGER, PRIMARY KEY (customer, item)) WITHOUT ROWID;";

pub fn plain(events: &[Purchased], batch: usize) -> Duration {
    baseline(events, batch, |_, _| ())
}

fn upserting(events: &[Purchased], batch: usize) -> Duration {
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

fn baseline(events: &[Purchased], batch: usize, also: fn(&Connection, &Purchased)) -> Duration {
    let folder = folder();
    let mut connection = open(&folder.path().join("events.db"));
    let begun = Instant::now();
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
            // As long as a checksum is.
            let checksum = position.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64.cast_signed());
            insert.execute((position, 1_700_000_000_000_000_i64, &payload, checksum)).expect("it inserts");
            also(&transaction, event);
        }
        drop(insert);
        transaction.commit().expect("it commits");
    }
    begun.elapsed()
}

pub fn open(path: &Path) -> Connection {
    let connection = Connection::open(path).expect("it opens");
    connection
        .execute_batch(&format!("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; {SCHEMA}"))
        .expect("it creates");
    connection
}
