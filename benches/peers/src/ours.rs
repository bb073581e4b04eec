//! Ours, once for each job: `ours csv FILE` writes W to a file, `ours JOB..` does jobs: `batches`, `fed`, `commands`, `durable`.

use std::path::Path;
use std::time::{Duration, Instant};

use benches::feed;
use cqrs_core::Builder;
use cqrs_core::prelude::*;
use peers::measured::{check, say};
use peers::{BATCHES, CustomerPurchases, Purchased, events, number, row, sums};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let events = events();
    if let [word, file] = arguments.as_slice()
        && word == "csv"
    {
        return feed::write(Path::new(file), &events);
    }
    for job in arguments {
        match job.as_str() {
            "batches" => batches(&events),
            "commands" => commands(&events[..number("PEERS_COMMANDS", 5_000).min(events.len())]),
            "durable" => durable(&events),
            "fed" => fed(&events),
            _ => panic!("there is no job {job}"),
        }
    }
}

/// W in memory: the bare table of rows, and a whole engine whose view is live.
fn batches(events: &[Purchased]) {
    let wanted = sums(events);
    for batch in BATCHES {
        let job = format!("batches of {batch}");
        let begun = Instant::now();
        let mut table = Table::<CustomerPurchases>::new();
        for batch in events.chunks(batch) {
            table.apply_all(batch).expect("W folds");
        }
        say("our table", &job, events.len(), begun.elapsed());
        check("our table", table.rows().map(row), &wanted);

        let engine = start(Engine::in_memory());
        let time = appended(&engine, events, batch);
        say("our engine", &job, events.len(), time);
        check_view(&engine, events);
    }
}

/// W on disk with one live view, one batch after the other.
fn durable(events: &[Purchased]) {
    for batch in [1_000, 10_000] {
        let folder = tempfile::tempdir().expect("a folder");
        let engine = start(Engine::open(folder.path().join("store")).expect("it opens"));
        let time = appended(&engine, events, batch);
        say("ours, durable", &format!("batches of {batch}"), events.len(), time);
        check_view(&engine, events);
    }
}

/// Waits for each batch, and until the view shows the last.
fn appended(engine: &Engine, events: &[Purchased], batch: usize) -> Duration {
    let begun = Instant::now();
    for batch in events.chunks(batch) {
        engine.append_all(batch.iter().map(NewEvent::of)).wait().expect("it appends");
    }
    begun.elapsed()
}

/// W out of its CSV, as `benches` measures it.
fn fed(events: &[Purchased]) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("purchases.csv");
    feed::write(&file, events);
    let groups = sums(events).len();
    let run = |who: &str, builder: Builder| {
        let begun = Instant::now();
        let engine = feed::fed(builder, &file, events.len(), groups);
        say(who, "csv", events.len(), begun.elapsed());
        check_view(&engine, events);
    };
    run("our engine", Engine::in_memory());
    run("ours, durable", Engine::open(folder.path().join("store")).expect("it opens"));
}

/// Adds to a customer's purchases, which a customer with too few of them may not take back.
struct Purchase(Purchased);

impl Command for Purchase {
    type Refusal = &'static str;

    fn decide(&self, tx: &mut Tx) -> Result<(), &'static str> {
        let Purchased { customer, item, qty } = &self.0;
        let bought = tx.get::<CustomerPurchases>((customer, item)).map_or(0, |row| row.total_qty);
        if bought + i64::from(*qty) < -1_000 {
            return Err("nothing is left to be given back");
        }
        tx.emit(NewEvent::of(&self.0));
        Ok(())
    }
}

/// One command at a time, one caller: what is answered is in the log, and in the view.
fn commands(events: &[Purchased]) {
    let run = |who: &str, builder: Builder| {
        let engine = start(builder);
        let begun = Instant::now();
        for event in events {
            engine.execute(Purchase(event.clone())).wait().expect("it decides");
        }
        say(who, "commands", events.len(), begun.elapsed());
        check_view(&engine, events);
    };
    run("our engine", Engine::in_memory());
    let folder = tempfile::tempdir().expect("a folder");
    run("ours, durable", Engine::open(folder.path().join("store")).expect("it opens"));
}

fn start(builder: Builder) -> Engine {
    builder.view::<CustomerPurchases>().start().expect("it starts")
}

fn check_view(engine: &Engine, events: &[Purchased]) {
    let view = engine.view::<CustomerPurchases>();
    check("ours", view.rows().expect("it is live").map(row), &sums(events));
}
