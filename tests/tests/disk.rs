//! A disk that fails: syncs, writes, truncations and openings that answer with errors, one after the other; a folder that cannot be written to; too few file
//! descriptors; and a clock that goes back. The error is clear, nothing that was acknowledged is lost, and work goes on when the cause is gone.
//!
//! The faults are made below SQLite (`faulty-vfs`), so the product does not know.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use cqrs_core::prelude::*;
use cqrs_core::store::{Head, LogEvent, SqliteStore, Store, chain};
use cqrs_core::{EventsError, Refusal, Timestamp};
use faulty_vfs::{Disk, Entry, Fault, FileId, Medium, Operation, Random, Survival, codes};

/// What an append appends: one of these, or several.
#[event]
#[derive(Debug, Clone, PartialEq)]
pub struct Paid {
    append: u64,
    part: u64,
    customer: String,
    cents: i64,
}

#[projection(from = Paid, group_by = customer)]
#[derive(Debug, Clone, PartialEq)]
pub struct Spent {
    customer: String,
    #[sum(cents)]
    cents: i64,
    #[count]
    payments: u64,
}

/// The events of the `n`-th append: three or one.
fn paid(append: u64) -> Vec<Paid> {
    let parts = if append.is_multiple_of(3) { 3 } else { 1 };
    let customer = |part| format!("c{}", (append + part) % 4);
    (0..parts).map(|part| Paid { append, part, customer: customer(part), cents: append as i64 }).collect()
}

fn open(folder: &Path) -> Result<Engine, String> {
    let builder = Engine::open(folder).map_err(|error| error.to_string())?.view::<Spent>();
    builder.checkpoint_every(Duration::from_secs(60), 1_000_000).start().map_err(|error| error.to_string())
}

fn append(engine: &Engine, number: u64) -> Result<Receipt, AppendError> {
    let event = |event: Paid| {
        let (number, part) = (event.append, event.part);
        let new = NewEvent::new(event);
        if number.is_multiple_of(2) { new.id(format!("{number}/{part}")) } else { new }
    };
    engine.append_all(paid(number).into_iter().map(event)).wait()
}

fn read(engine: &Engine) -> Result<Vec<Paid>, EventsError> {
    let mut events = engine.events::<Paid>(1).until_head();
    std::iter::from_fn(|| events.next().wait()).map(|recorded| Ok(recorded?.event)).collect()
}

fn log(engine: &Engine) -> Vec<Paid> {
    read(engine).unwrap()
}

/// The view is what a plain loop makes of the log.
fn folded(engine: &Engine, log: &[Paid]) {
    let mut expected: BTreeMap<&str, (i64, u64)> = BTreeMap::new();
    for Paid { customer, cents, .. } in log {
        let row = expected.entry(customer).or_default();
        *row = (row.0 + cents, row.1 + 1);
    }
    engine.wait_ready().wait().unwrap();
    let mut rows: Vec<Spent> = engine.view::<Spent>().rows().unwrap().collect();
    rows.sort_by(|a, b| a.customer.cmp(&b.customer));
    let rows: Vec<_> = rows.iter().map(|row| (&*row.customer, (row.cents, row.payments))).collect();
    assert_eq!(rows, expected.into_iter().collect::<Vec<_>>());
}

/// What appends were answered.
#[derive(Clone, Debug, Default)]
struct Answers {
    /// Number, and first and last position.
    acknowledged: Vec<(u64, u64, u64)>,
    unknown: Vec<u64>,
}

impl Answers {
    /// Appends, and notes what is answered.
    fn append(&mut self, engine: &Engine, disk: &Disk, number: u64) -> Result<(), AppendError> {
        let answer = append(engine, number);
        match &answer {
            Ok(receipt) => {
                disk.note(self.acknowledged.len() as u64);
                self.acknowledged.push((number, receipt.first, receipt.last));
            }
            Err(AppendError::Unknown { .. }) => self.unknown.push(number),
            Err(AppendError::NotAppended(_)) => {}
        }
        answer.map(drop)
    }

    /// What was acknowledged is there; of the rest, what is unknown may be, as a whole, and nothing else. Under a power cut, what had
    /// not been answered counts as unknown.
    fn hold(&self, log: &[Paid], cut: bool) {
        for &(number, first, last) in &self.acknowledged {
            let found = log.get(first as usize - 1..last as usize);
            assert_eq!(found, Some(&*paid(number)), "append {number} was acknowledged at {first}..={last}");
        }
        let mut rest = log;
        while let Some(event) = rest.first() {
            let number = event.append;
            rest = rest.strip_prefix(&*paid(number)).unwrap_or_else(|| panic!("append {number} is torn"));
            let known = self.unknown.contains(&number) || self.acknowledged.iter().any(|a| a.0 == number);
            assert!(known || cut, "append {number} is there, and was answered with \"nothing was appended\"");
            assert!(!rest.iter().any(|event| event.append == number), "append {number} is there twice");
        }
    }
}

/// The folder has what was answered, takes an append, and has that, too.
fn sound(folder: &Path, answers: &Answers, cut: bool) {
    let engine = open(folder).unwrap();
    let before = log(&engine);
    answers.hold(&before, cut);
    folded(&engine, &before);
    append(&engine, 1000).unwrap();
    engine.close().wait().unwrap();
    let engine = open(folder).unwrap();
    let after = log(&engine);
    assert_eq!(after, [before, paid(1000)].concat());
    folded(&engine, &after);
    engine.close().wait().unwrap();
}

/// What a power cut leaves, at some points of a trace, has what had been acknowledged.
fn withstands_power_cuts(trace: &[Entry], answers: &Answers, cuts: &[usize], random: &mut Random) {
    for cut in cuts {
        let (mut medium, mut until) = (Medium::default(), Answers::default());
        for entry in &trace[..*cut] {
            medium.apply(entry);
            if let Entry::Note(number) = entry {
                until.acknowledged.push(answers.acknowledged[*number as usize]);
            }
        }
        for survival in [Survival::Nothing, Survival::Everything, Survival::Sectors, Survival::Changes] {
            let place = place();
            let folder = place.path().join("store");
            medium.image(survival, random.draw()).write_to(&folder).unwrap();
            let checked = std::panic::catch_unwind(|| sound(&folder, &until, true));
            assert!(checked.is_ok(), "cut at {cut} of {}, {survival:?}: {trace:?}", trace.len());
        }
    }
}

/// In memory, if there is such a place.
fn place() -> tempfile::TempDir {
    let memory = PathBuf::from("/dev/shm");
    let within = if memory.is_dir() { memory } else { std::env::temp_dir() };
    tempfile::Builder::new().prefix("cqrs-disk-").tempdir_in(within).unwrap()
}

#[track_caller]
fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
}

#[test]
fn a_failed_sync_of_the_log_is_unknown_and_stops_appends_until_it_is_reopened() {
    let place = place();
    let folder = place.path().join("store");
    let disk = Disk::watch(&folder);
    let mut answers = Answers::default();
    let engine = open(&folder).unwrap();
    (1..=5).for_each(|number| answers.append(&engine, &disk, number).unwrap());
    disk.fail(Fault::on(Operation::Sync, codes::SQLITE_IOERR_FSYNC).file("events.db-wal"));
    let begun = disk.trace().len();
    let error = answers.append(&engine, &disk, 6).unwrap_err();
    assert!(matches!(error, AppendError::Unknown { .. }), "{error:?}");
    says(&error.to_string(), &["it is unknown", "Open the store anew", "under the same event ids"]);
    assert_eq!(disk.failed(), 1);
    disk.mend();
    // The disk is well again; the store does not trust it.
    let error = answers.append(&engine, &disk, 7).unwrap_err();
    assert!(matches!(error, AppendError::NotAppended(Refusal::Store(_))), "{error:?}");
    says(&error.to_string(), &["nothing was appended", "close the store and reopen it"]);
    let error = answers.append(&engine, &disk, 8).unwrap_err();
    assert!(matches!(error, AppendError::Unknown { .. }), "one with ids may be the one that is tried again");
    // Readers go on.
    let known: Vec<Paid> = (1..=5).flat_map(paid).collect();
    assert_eq!(log(&engine), known);
    folded(&engine, &known);
    engine.close().wait().unwrap();

    let engine = open(&folder).unwrap();
    answers.hold(&log(&engine), false);
    for number in [6, 9, 10] {
        answers.append(&engine, &disk, number).unwrap();
    }
    engine.close().wait().unwrap();
    let trace = disk.trace();
    withstands_power_cuts(&trace, &answers, &(begun..=trace.len()).collect::<Vec<_>>(), &mut Random(1));
    sound(&folder, &answers, false);
}

/// The trace of a second process, as one that goes on from the first's: what that found had not been synced in the meantime.
fn continued(first: &[Entry], second: &[Entry]) -> Vec<Entry> {
    let mut names: BTreeMap<&str, FileId> = BTreeMap::new();
    let mut known = 0;
    for entry in first {
        match entry {
            Entry::Found { file, name, .. } | Entry::Created { file, name } => {
                names.insert(name, *file);
                known = known.max(file.0 + 1);
            }
            Entry::Deleted { name } => drop(names.remove(&**name)),
            _ => {}
        }
    }
    let mut files: BTreeMap<FileId, FileId> = BTreeMap::new();
    let mut both = first.to_vec();
    for entry in second {
        let mut entry = entry.clone();
        match &mut entry {
            Entry::Found { file, name, .. } => {
                files.insert(*file, names[&**name]);
                continue;
            }
            Entry::Created { file, .. } => {
                let new = *files.entry(*file).or_insert(FileId(file.0 + known));
                *file = new;
            }
            Entry::Wrote { file, .. }
            | Entry::Truncated { file, .. }
            | Entry::Synced { file }
            | Entry::NotSynced { file } => *file = files[file],
            Entry::FolderSynced | Entry::Deleted { .. } | Entry::Note(_) => {}
        }
        both.push(entry);
    }
    both
}

/// A sync fails, and then the process dies: the next one reads from memory what never came to the disk, and must not build on it.
#[test]
fn what_a_failed_sync_left_in_memory_is_written_anew_before_it_is_built_upon() {
    let place = place();
    let mut answers = Answers::default();
    let first = {
        let folder = place.path().join("first");
        let disk = Disk::watch(&folder);
        let engine = open(&folder).unwrap();
        (1..=3).for_each(|number| answers.append(&engine, &disk, number).unwrap());
        disk.fail(Fault::on(Operation::Sync, codes::SQLITE_IOERR_FSYNC).file("events.db-wal"));
        answers.append(&engine, &disk, 4).unwrap_err();
        disk.trace()
    };
    let folder = place.path().join("second");
    let mut medium = Medium::default();
    first.iter().for_each(|entry| medium.apply(entry));
    medium.image(Survival::Everything, 0).write_to(&folder).unwrap();
    let disk = Disk::watch(&folder);
    let engine = open(&folder).unwrap();
    assert_eq!(log(&engine), (1..=4).flat_map(paid).collect::<Vec<_>>(), "memory has it");
    (5..=6).for_each(|number| answers.append(&engine, &disk, number).unwrap());
    let trace = continued(&first, &disk.trace());
    engine.close().wait().unwrap();
    withstands_power_cuts(&trace, &answers, &(first.len()..=trace.len()).collect::<Vec<_>>(), &mut Random(2));
}

/// Two sessions of appends, with whatever fails in between. Where something fails, the cause is taken away, and it has to work.
fn work(folder: &Path, disk: &Disk, log_is_well: bool) -> (Answers, u64) {
    let (mut answers, mut number, mut refused) = (Answers::default(), 0, 0);
    for _ in 0..2 {
        let start = |refused: &mut u64| {
            open(folder).or_else(|error| {
                let file = if log_is_well { "views.db" } else { "events.db" };
                says(&error, &[file, "; "]);
                *refused += 1;
                disk.mend();
                open(folder)
            })
        };
        let mut engine = start(&mut refused).unwrap();
        for turn in 0..4 {
            number += 1;
            if let Err(error) = answers.append(&engine, disk, number) {
                assert!(!log_is_well, "views.db failed, and so did an append: {error}");
                let text = error.to_string();
                says(&text, &["events.db"]);
                disk.mend();
                number += 1;
                if matches!(error, AppendError::Unknown { .. }) {
                    let error = answers.append(&engine, disk, number).unwrap_err();
                    says(&error.to_string(), &["reopen"]);
                    drop(engine);
                    engine = open(folder).unwrap();
                    number += 1;
                }
                answers.append(&engine, disk, number).unwrap();
            }
            if turn == 1
                && let Err(error) = engine.checkpoint().wait()
            {
                says(&error.to_string(), &["views.db"]);
                assert_eq!(engine.health().checkpoint_failure, Some(error.to_string()));
                disk.mend();
                engine.checkpoint().wait().unwrap();
                assert_eq!(engine.health().checkpoint_failure, None);
            }
        }
        let there = read(&engine).unwrap_or_else(|error| {
            says(&error.to_string(), &["events.db"]);
            disk.mend();
            log(&engine)
        });
        answers.hold(&there, false);
        folded(&engine, &there);
        // A tidying that fails loses nothing.
        let _ = engine.close().wait();
    }
    (answers, refused)
}

/// Lets each operation on these files fail in turn.
fn sweep(files: &str, log_is_well: bool) {
    let mut random = Random(3);
    let failures: [(&[Operation], Option<i32>); 9] = [
        (&[Operation::Open], Some(codes::SQLITE_CANTOPEN)),
        (&[Operation::Read], Some(codes::SQLITE_IOERR_READ)),
        (&[Operation::Write], Some(codes::SQLITE_IOERR_WRITE)),
        (&[Operation::Write], Some(codes::SQLITE_FULL)),
        (&[Operation::Write], None),
        (&[Operation::Truncate], Some(codes::SQLITE_IOERR_TRUNCATE)),
        (&[Operation::Sync], Some(codes::SQLITE_IOERR_FSYNC)),
        (&[Operation::Delete, Operation::Share], Some(codes::SQLITE_IOERR)),
        (&[Operation::Write, Operation::Truncate, Operation::Delete], Some(codes::SQLITE_READONLY)),
    ];
    let (mut faults, mut refused, mut unknown) = (0, 0, 0);
    for (operations, code) in failures {
        for lasting in [false, true] {
            for nth in 1.. {
                let fault = match code {
                    Some(code) => Fault::on_any(operations, code),
                    None => Fault::half_written(codes::SQLITE_FULL),
                };
                let fault = fault.files(files).nth(nth);
                let place = place();
                let folder = place.path().join("store");
                let disk = Disk::watch(&folder);
                disk.fail(if lasting { fault.from_then_on() } else { fault });
                let what =
                    || format!("the {nth}th of {operations:?} on {files} with {code:?}, lasting: {lasting}");
                let worked = std::panic::catch_unwind(|| work(&folder, &disk, log_is_well));
                let (answers, starts) = worked.unwrap_or_else(|_| panic!("{}", what()));
                disk.mend();
                let trace = disk.trace();
                let checked = std::panic::catch_unwind(|| sound(&folder, &answers, false));
                assert!(checked.is_ok(), "{}", what());
                if nth.is_multiple_of(7) {
                    let cut = random.below(trace.len() as u64 + 1) as usize;
                    withstands_power_cuts(&trace, &answers, &[cut], &mut random);
                }
                faults += 1;
                refused += starts;
                unknown += answers.unknown.len();
                if disk.failed() == 0 {
                    break;
                }
            }
        }
    }
    eprintln!("{files}: {faults} faults, {refused} starts refused, {unknown} appends unknown");
}

#[test]
fn whichever_operation_on_the_log_fails_nothing_is_lost_and_work_goes_on() {
    sweep("events.db", false);
}

#[test]
fn whichever_operation_on_the_checkpoints_fails_no_append_does() {
    sweep("views.db", true);
}
