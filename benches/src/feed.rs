//! Job W out of a CSV file, parsed, stored and folded: through `engine.feed`, beside what an expert would write.
//!
//! Bar 11 is Flink SQL, which is not run here: 12 times its 286 k events/s in memory (3.4 M/s), 4 times durable (1.14 M/s), on the machine
//! of `BARS.md`. What is run here are loops that do a part of the job, so that the wanted ratios are below one: they say what the rest costs (durable, that of bar 6).

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use cqrs_core::prelude::*;
use cqrs_core::{Builder, stream};
use tempfile::TempDir;

use crate::append::open;
use crate::fold::{Good, Key};
use crate::report::{Report, both};
use crate::workload::{self, CustomerPurchases, Purchased};

/// W as a file, and how many groups it has.
pub struct Csv {
    folder: TempDir,
    events: usize,
    groups: usize,
}

impl Csv {
    pub fn of(events: &[Purchased]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut csv = Self { folder, events: events.len(), groups: 0 };
        write(&csv.file(), events);
        csv.groups = expert(&csv.file()).len();
        csv
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("purchases.csv")
    }

    pub fn in_memory(&self) -> Engine {
        fed(Engine::in_memory(), &self.file(), self.events, self.groups)
    }

    pub fn durable(&self) -> (Engine, TempDir) {
        let folder = tempfile::tempdir().expect("a folder");
        let builder = Engine::open(folder.path().join("store")).expect("it opens");
        (fed(builder, &self.file(), self.events, self.groups), folder)
    }
}

pub fn run(events: &[Purchased], report: &mut Report) {
    compare(events, 3, "", report);
    compare(&workload::events(events.len() * 10), 1, ", ten times as many", report);
}

fn compare(events: &[Purchased], turns: usize, how_many: &str, report: &mut Report) {
    let csv = Csv::of(events);
    let (ours, theirs) = both(turns, || csv.in_memory(), || expert(&csv.file()));
    report.speed(
        (
            "11",
            &format!("W from CSV, in memory, a live view{how_many} (Flink: 3.4 M/s is the bar)"),
            "loop: `csv`, `entry_ref`; no log, no readers",
        ),
        events.len(),
        ours,
        theirs,
        0.4,
    );
    let (ours, theirs) = both(turns, || csv.durable(), || inserting(&csv.file(), 10_000));
    report.speed(
        (
            "11",
            &format!("W from CSV, durable, a live view{how_many} (Flink: 1.14 M/s is the bar)"),
            "SQLite: `csv`, batches of 10,000; no view, no checksums",
        ),
        events.len(),
        ours,
        theirs,
        0.3,
    );
}

pub fn write(file: &Path, events: &[Purchased]) {
    let mut out = BufWriter::new(File::create(file).expect("it creates"));
    writeln!(out, "customer,item,qty").expect("it writes");
    for Purchased { customer, item, qty } in events {
        writeln!(out, "{customer},{item},{qty}").expect("it writes");
    }
    out.flush().expect("it writes");
}

fn reader(file: &Path) -> csv::Reader<File> {
    csv::ReaderBuilder::new().buffer_capacity(1 << 18).from_path(file).expect("it opens")
}

/// The fields of a record, borrowed.
fn fields(record: &csv::ByteRecord) -> (&str, &str, i32) {
    let text = |at| std::str::from_utf8(&record[at]).expect("it is text");
    (text(0), text(1), text(2).parse().expect("a number"))
}

/// The events of the file, parsed one after the other out of one record.
fn purchases(file: &Path) -> impl Iterator<Item = Result<Purchased, csv::Error>> {
    let (mut reader, mut record) = (reader(file), csv::ByteRecord::new());
    std::iter::from_fn(move || match reader.read_byte_record(&mut record) {
        Ok(true) => {
            let (customer, item, qty) = fields(&record);
            Some(Ok(Purchased { customer: customer.into(), item: item.into(), qty }))
        }
        Ok(false) => None,
        Err(error) => Some(Err(error)),
    })
}

pub fn fed(builder: Builder, file: &Path, events: usize, groups: usize) -> Engine {
    let engine = builder.view::<CustomerPurchases>().start().expect("it starts");
    let fed = engine.feed("purchases.csv", stream((1..).zip(purchases(file)))).wait().expect("it feeds");
    assert_eq!(fed.appended, events as u64);
    assert_eq!(engine.view::<CustomerPurchases>().len().expect("it is live"), groups);
    engine
}

fn expert(file: &Path) -> Good {
    let (mut reader, mut record) = (reader(file), csv::ByteRecord::new());
    let mut map = Good::default();
    while reader.read_byte_record(&mut record).expect("it reads") {
        let (customer, item, qty) = fields(&record);
        *map.entry_ref(&Key(customer, item)).or_default() += i64::from(qty);
    }
    map
}

fn inserting(file: &Path, batch: i64) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let connection = open(&folder.path().join("events.db"));
    let mut insert = connection
        .prepare("INSERT INTO events VALUES (?1, 'Purchased', 1, ?2, NULL, NULL, ?3, ?4)")
        .expect("it prepares");
    let mut payload = Vec::new();
    connection.execute_batch("BEGIN").expect("it begins");
    for (position, event) in (1_i64..).zip(purchases(file)) {
        payload.clear();
        event.expect("it reads").encode(&mut payload).expect("W encodes");
        insert.execute((position, 1_700_000_000_000_000_i64, &payload, position)).expect("it inserts");
        if position % batch == 0 {
            connection.execute_batch("COMMIT; BEGIN").expect("it commits");
        }
    }
    connection.execute_batch("COMMIT").expect("it commits");
    drop(insert);
    folder
}
