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
use cqrs_core::store::{Beside, LogEvent, SqliteStore, Store, StoreError, chain};
use cqrs_core::{EventsError, ReactionState, Refusal, Timestamp};
use faulty_vfs::{Disk, Entry, Fault, FileId, Medium, Operation, Random, Survival, codes};
use integration_tests::follow::{Echoed, Followers, Trail};
use integration_tests::{bank, soon};

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

/// The events of the `n`-th append: three or one; of those that are decided, two, one or none.
fn paid(append: u64) -> Vec<Paid> {
    let parts = match append {
        _ if append.is_multiple_of(3) => 3,
        _ if !decided(append) => 1,
        _ => [1, 2, 0][(append / 3 % 3) as usize],
    };
    let customer = |part| format!("c{}", (append + part) % 4);
    (0..parts).map(|part| Paid { append, part, customer: customer(part), cents: append as i64 }).collect()
}

/// Whether it is a command with a key.
fn decided(append: u64) -> bool {
    append % 3 == 2
}

struct Pay(u64);

impl cqrs_core::Command for Pay {
    type Refusal = ();

    fn decide(&self, tx: &mut Tx) -> Result<(), ()> {
        paid(self.0).into_iter().for_each(|event| {
            let _ = tx.get::<Spent>(&event.customer);
            tx.emit(event);
        });
        Ok(())
    }
}

fn open(folder: &Path) -> Result<Engine, String> {
    let builder = Engine::open(folder).map_err(|error| error.to_string())?.view::<Spent>();
    builder.checkpoint_every(Duration::from_secs(60), 1_000_000).start().map_err(|error| error.to_string())
}

fn append(engine: &Engine, number: u64) -> Result<Receipt, AppendError> {
    if decided(number) {
        // What it reads may have to be rebuilt.
        engine.wait_ready().wait().unwrap();
        return match engine.execute(Pay(number)).key(number.to_string()).wait() {
            Ok(receipt) => Ok(receipt),
            Err(DecideError::Append(error)) => Err(error),
            Err(error) => panic!("{number}: {error:?}"),
        };
    }
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
    refused: Vec<u64>,
    /// How many commands whose first try was unknown turned out to be there, and not to be.
    settled: (u64, u64),
}

/// What is noted in the trace: a place among the acknowledged or, from here on, among the refused.
const REFUSED: u64 = 1 << 32;
/// From here on, a number that is tried again.
const RETRIED: u64 = 1 << 33;

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
            Err(AppendError::NotAppended(_)) => {
                disk.note(REFUSED + self.refused.len() as u64);
                self.refused.push(number);
            }
        }
        answer.map(drop)
    }

    /// A command that failed is sent again under its key.
    fn retry(&mut self, engine: &Engine, disk: &Disk, number: u64) -> Result<(), AppendError> {
        disk.note(RETRIED + number);
        self.append(engine, disk, number)
    }

    /// A command's key answers if and only if its events are there, and says where; if it was acknowledged, as it was then.
    fn keys(&self, engine: &Engine, log: &[Paid]) {
        let known = self.acknowledged.iter().map(|a| a.0).chain(self.unknown.iter().copied());
        for number in known.chain(self.refused.iter().copied()).filter(|number| decided(*number)) {
            let kept = bank::kept(engine, "Pay", number.to_string()).unwrap();
            let first = log.iter().position(|event| event.append == number).map(|at| at as u64 + 1);
            let there = first.map(|first| (first, first + paid(number).len() as u64 - 1));
            let mut acknowledged = self.acknowledged.iter().filter(|a| a.0 == number);
            if paid(number).is_empty() {
                let refused = !acknowledged.clone().any(|_| true) && !self.unknown.contains(&number);
                assert!(!refused || kept.is_none(), "command {number} was not to be known: {kept:?}");
            } else {
                assert_eq!(kept, there, "command {number}: its key and its events are apart");
            }
            let same = |a: &(u64, u64, u64)| kept == Some((a.1, a.2));
            assert!(acknowledged.all(same), "command {number} answers {kept:?}: {:?}", self.acknowledged);
        }
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
            let refused = self.refused.contains(&number) && !known;
            assert!(!refused, "append {number} is there, and was answered with \"nothing was appended\"");
            assert!(known || cut, "append {number} is there, and was not begun");
            assert!(!rest.iter().any(|event| event.append == number), "append {number} is there twice");
        }
    }
}

/// The folder has what was answered, takes an append, and has that, too. Whether its view went on from a checkpoint.
fn sound(folder: &Path, answers: &Answers, cut: bool) -> bool {
    let engine = open(folder).unwrap();
    let resumed = engine.health().views[0].checkpoint.is_some();
    let before = log(&engine);
    answers.hold(&before, cut);
    folded(&engine, &before);
    answers.keys(&engine, &before);
    append(&engine, 1000).unwrap();
    engine.close().wait().unwrap();
    let engine = open(folder).unwrap();
    let after = log(&engine);
    assert_eq!(after, [before, paid(1000)].concat());
    folded(&engine, &after);
    engine.close().wait().unwrap();
    resumed
}

/// What a power cut leaves, at some points of a trace, has what had been acknowledged.
fn withstands_power_cuts(trace: &[Entry], answers: &Answers, cuts: &[usize], random: &mut Random) {
    for cut in cuts {
        let (mut medium, mut until) = (Medium::default(), Answers::default());
        for entry in &trace[..*cut] {
            medium.apply(entry);
            match entry {
                Entry::Note(number @ RETRIED..) => {
                    until.refused.retain(|refused| *refused != number - RETRIED);
                    until.unknown.push(number - RETRIED);
                }
                Entry::Note(number @ REFUSED..) => {
                    until.refused.push(answers.refused[(number - REFUSED) as usize]);
                }
                Entry::Note(number) => until.acknowledged.push(answers.acknowledged[*number as usize]),
                _ => {}
            }
        }
        for survival in [Survival::Nothing, Survival::Everything, Survival::Sectors, Survival::Changes] {
            let place = place();
            let folder = place.path().join("store");
            medium.image(survival, random.draw()).write_to(&folder).unwrap();
            let checked = std::panic::catch_unwind(|| sound(&folder, &until, true));
            assert!(checked.is_ok(), "cut at {cut} of {}, {survival:?}", trace.len());
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
    assert!(engine.health().needs_reopen);
    disk.mend();
    // The disk is well again; the store does not trust it.
    let error = answers.append(&engine, &disk, 7).unwrap_err();
    let AppendError::NotAppended(Refusal::Store(refusal)) = &error else { panic!("{error:?}") };
    assert!(matches!(**refusal, StoreError::Reopen { .. }), "{refusal:?}");
    says(&error.to_string(), &["nothing was appended", "close the store and reopen it"]);
    assert!(engine.health().needs_reopen);
    let error = answers.append(&engine, &disk, 8).unwrap_err();
    assert!(matches!(error, AppendError::Unknown { .. }), "one with ids may be the one that is tried again");
    // Readers go on.
    let known: Vec<Paid> = (1..=5).flat_map(paid).collect();
    assert_eq!(log(&engine), known);
    folded(&engine, &known);
    engine.close().wait().unwrap();

    let engine = open(&folder).unwrap();
    assert!(!engine.health().needs_reopen);
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

/// A sync fails, and then the process dies: the next one reads from memory what never came to the disk, and must not build on it. Also
/// where a reader has the file open, so that SQLite does not tidy up by itself.
#[test]
fn what_a_failed_sync_left_in_memory_is_written_anew_before_it_is_built_upon() {
    for with_reader in [false, true] {
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
        let reader = with_reader.then(|| {
            let reader = rusqlite::Connection::open(folder.join("events.db")).unwrap();
            let count = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
            assert!(reader.query_one("SELECT count(*) FROM events", [], count).unwrap() > 0);
            reader
        });
        let engine = open(&folder).unwrap();
        assert_eq!(log(&engine), (1..=4).flat_map(paid).collect::<Vec<_>>(), "memory has it");
        (5..=6).for_each(|number| answers.append(&engine, &disk, number).unwrap());
        let trace = continued(&first, &disk.trace());
        engine.close().wait().unwrap();
        drop(reader);
        let cuts: Vec<usize> = (first.len()..=trace.len()).collect();
        withstands_power_cuts(&trace, &answers, &cuts, &mut Random(2));
    }
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
                // Where only the look for an earlier try has failed, the log is as it was.
                let unread = text.contains("could not be read");
                let unknown = !unread && matches!(error, AppendError::Unknown { .. });
                let again = |answers: &mut Answers| {
                    if unknown && decided(number) {
                        let again = answers.retry(&engine, disk, number).unwrap_err();
                        let truly = matches!(again, AppendError::Unknown { .. });
                        assert!(truly, "its first try may be there, and it is answered: {again}");
                    }
                };
                again(&mut answers);
                disk.mend();
                again(&mut answers);
                let mut failed = vec![number];
                number += 1;
                if unknown {
                    let error = answers.append(&engine, disk, number).unwrap_err();
                    says(&error.to_string(), &["reopen"]);
                    failed.push(number);
                    drop(engine);
                    engine = open(folder).unwrap();
                    number += 1;
                }
                answers.append(&engine, disk, number).unwrap();
                for number in failed.into_iter().filter(|number| decided(*number)) {
                    let was_there = bank::kept(&engine, "Pay", number.to_string()).unwrap().is_some();
                    let unknown = u64::from(answers.unknown.contains(&number));
                    *(if was_there { &mut answers.settled.0 } else { &mut answers.settled.1 }) += unknown;
                    answers.retry(&engine, disk, number).unwrap();
                    answers.retry(&engine, disk, number).unwrap();
                }
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
    let (mut faults, mut refused, mut unknown, mut settled) = (0, 0, 0, (0, 0));
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
                let resumed = std::panic::catch_unwind(|| sound(&folder, &answers, false));
                let resumed = resumed.unwrap_or_else(|_| panic!("{}", what()));
                assert!(resumed, "a checkpoint was saved, and is of no use: {}", what());
                // The power goes right after an append was refused, or at any moment.
                let refusal = trace.iter().position(|entry| matches!(entry, Entry::Note(REFUSED..RETRIED)));
                let cut = match refusal {
                    Some(at) if nth.is_multiple_of(2) => Some(at + 1),
                    _ if nth.is_multiple_of(7) => Some(random.below(trace.len() as u64 + 1) as usize),
                    _ => None,
                };
                if let Some(cut) = cut {
                    let cut = std::panic::AssertUnwindSafe(|| {
                        withstands_power_cuts(&trace, &answers, &[cut], &mut random);
                    });
                    assert!(std::panic::catch_unwind(cut).is_ok(), "{}", what());
                }
                faults += 1;
                refused += starts;
                unknown += answers.unknown.len();
                settled = (settled.0 + answers.settled.0, settled.1 + answers.settled.1);
                if disk.failed() == 0 {
                    break;
                }
            }
        }
    }
    eprintln!(
        "{files}: {faults} faults, {refused} starts refused, {unknown} appends unknown; \
         {settled:?} unknown commands were there, and not there, when they were sent again"
    );
    assert!(
        log_is_well || settled.0 > 0 && settled.1 > 0,
        "both ends of what is unknown are met: {settled:?}"
    );
}

#[test]
fn whichever_operation_on_the_log_fails_nothing_is_lost_and_work_goes_on() {
    sweep("events.db", false);
}

#[test]
fn whichever_operation_on_the_checkpoints_fails_no_append_does() {
    sweep("views.db", true);
}

fn open_bank(folder: &Path) -> Result<Engine, String> {
    let builder = bank::views(Engine::open(folder).map_err(|error| error.to_string())?);
    builder.start().map_err(|error| error.to_string())
}

/// Orders, and reactions that follow them while something fails: whether each goes on when the disk is mended; else it says that it has stopped.
fn react(folder: &Path, disk: &Disk, fault: Fault) -> bool {
    let engine = open_bank(folder).unwrap();
    engine.wait_ready().wait().unwrap();
    let send = |worker, step| bank::Order::of(worker, step).send(&engine).wait();
    send(bank::OPENER, 1).unwrap();
    disk.fail(fault);
    let followers = Followers::begin(&engine, |_| {});
    // Appends fail, or the reactions'.
    let sent =
        (1..12).map(|step| send(1, step)).filter(|answer| !matches!(answer, Err(DecideError::Append(_))));
    let _ = sent.count();
    disk.mend();
    let Ok(followers) = followers else { return false };
    let goes_on = followers.catch_up(&engine).is_ok();
    if !goes_on {
        // An append whose sync failed is unknown, and the log takes no other until it is opened anew.
        let error = engine.append_all([Echoed { of: 0 }]).wait().unwrap_err();
        says(&error.to_string(), &["reopen"]);
        let told = |state: &ReactionState| match state {
            ReactionState::Stopped { reason } | ReactionState::Retrying { reason, .. } => !reason.is_empty(),
            ReactionState::Running => false,
        };
        // Each learns of it by its own next append, which may be under way while the others answer.
        soon("a reaction says what is wrong", || {
            engine.health().reactions.iter().any(|reaction| told(&reaction.state))
        });
    }
    goes_on
}

#[test]
fn whichever_operation_fails_a_reaction_goes_on_or_says_so_and_does_nothing_twice() {
    let failures: [(Operation, Option<i32>); 6] = [
        (Operation::Read, Some(codes::SQLITE_IOERR_READ)),
        (Operation::Write, Some(codes::SQLITE_IOERR_WRITE)),
        (Operation::Write, Some(codes::SQLITE_FULL)),
        (Operation::Write, None),
        (Operation::Sync, Some(codes::SQLITE_IOERR_FSYNC)),
        (Operation::Open, Some(codes::SQLITE_CANTOPEN)),
    ];
    let (mut faults, mut went_on, mut failed) = (0, 0, 0);
    for (operation, code) in failures {
        for lasting in [false, true] {
            for nth in (1..).step_by(3).take(12) {
                let fault = match code {
                    Some(code) => Fault::on(operation, code),
                    None => Fault::half_written(codes::SQLITE_FULL),
                };
                let fault = fault.files("events.db").nth(nth);
                let what = || format!("the {nth}th of {operation:?} with {code:?}, lasting: {lasting}");
                let place = place();
                let folder = place.path().join("store");
                let disk = Disk::watch(&folder);
                let fault = if lasting { fault.from_then_on() } else { fault };
                let worked = std::panic::catch_unwind(|| react(&folder, &disk, fault));
                went_on += u64::from(worked.unwrap_or_else(|_| panic!("{}", what())));
                failed += u64::from(disk.failed() > 0);
                let (engine, mut trail) = (open_bank(&folder).unwrap(), Trail::default());
                let followers = trail.caught_up(&engine, [0; 5], |_| {});
                let followers = followers.unwrap_or_else(|why| panic!("{}: {why}", what()));
                trail.mended(&engine, &followers).unwrap_or_else(|why| panic!("{}: {why}", what()));
                faults += 1;
            }
        }
    }
    eprintln!("{faults} faults, {failed} met something, {went_on} times the reactions went on by themselves");
    assert!(failed > 50 && went_on > 20 && went_on < faults, "{failed}, {went_on} of {faults}");
}

/// A file system of its own, where one can be mounted.
struct Mount(PathBuf);

impl Mount {
    fn new(at: PathBuf) -> Option<Self> {
        fs::create_dir(&at).unwrap();
        run("mount", &["-t", "tmpfs", "-o", "size=16m", "tmpfs"], &at).then_some(Self(at))
    }

    fn writable(&self, writable: bool) -> bool {
        run("mount", &["-o", if writable { "remount,rw" } else { "remount,ro" }], &self.0)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        run("umount", &[], &self.0);
    }
}

fn run(command: &str, arguments: &[&str], at: &Path) -> bool {
    Command::new(command).args(arguments).arg(at).output().is_ok_and(|output| output.status.success())
}

#[test]
fn a_folder_that_cannot_be_written_to_says_so_and_is_left_as_it_is() {
    let parent = tempfile::tempdir().unwrap();
    let Some(mount) = Mount::new(parent.path().join("disk")) else {
        eprintln!("no file system can be mounted here: not tested");
        return;
    };
    let folder = mount.0.join("shop");
    let engine = open(&folder).unwrap();
    for number in 1..=6 {
        append(&engine, number).unwrap();
    }
    engine.close().wait().unwrap();
    drop(engine);
    let there: Vec<Paid> = (1..=6).flat_map(paid).collect();
    assert!(mount.writable(false), "nothing is open there");
    says(&open(&folder).unwrap_err(), &["Read-only file system", "shop"]);
    says(&open(&mount.0.join("new")).unwrap_err(), &["Read-only file system", "new"]);
    // Readers need the files through which SQLite coordinates them, and are told what to do.
    let error = Engine::open_read_only(&folder).unwrap_err().to_string();
    says(&error, &["events.db", "copy the folder to a writable place"]);
    assert!(mount.writable(true));
    let engine = open(&folder).unwrap();
    assert_eq!(log(&engine), there);
    append(&engine, 7).unwrap();
    engine.close().wait().unwrap();
}

/// As when the system remounts a disk that has errors: what was open stays open, and takes nothing any more.
#[test]
fn files_that_turn_read_only_take_no_appends_and_lose_nothing() {
    let place = place();
    let folder = place.path().join("store");
    let disk = Disk::watch(&folder);
    let mut answers = Answers::default();
    let engine = open(&folder).unwrap();
    (1..=4).for_each(|number| answers.append(&engine, &disk, number).unwrap());
    let writing = [Operation::Write, Operation::Truncate, Operation::Delete];
    disk.fail(Fault::on_any(&writing, codes::SQLITE_READONLY).from_then_on());
    disk.fail(Fault::on(Operation::Open, codes::SQLITE_CANTOPEN).from_then_on());
    says(&answers.append(&engine, &disk, 5).unwrap_err().to_string(), &["events.db", "readonly"]);
    says(&answers.append(&engine, &disk, 7).unwrap_err().to_string(), &["reopen"]);
    let there: Vec<Paid> = (1..=4).flat_map(paid).collect();
    folded(&engine, &there);
    says(&engine.checkpoint().wait().unwrap_err().to_string(), &["views.db"]);
    let _ = engine.close().wait();
    says(&open(&folder).unwrap_err(), &["events.db"]);
    disk.mend();
    sound(&folder, &answers, false);
}

/// The child: opens the store with few file descriptors, and appends until it is told that it cannot. Its panics are the parent's failures.
#[test]
#[ignore = "the child of the test below"]
fn child() {
    let Ok(folder) = std::env::var("DISK_FOLDER") else { return };
    let folder = PathBuf::from(folder);
    let first: u64 = std::env::var("DISK_FIRST").unwrap().parse().unwrap();
    let Ok(mut told) = fs::File::options().append(true).create(true).open(folder.with_extension("told"))
    else {
        return;
    };
    let mut tell = |what: &str| told.write_all(format!("{what}\n").as_bytes()).unwrap();
    let engine = match open(&folder) {
        Ok(engine) => engine,
        Err(error) => return tell(&format!("refused {}", error.replace('\n', " "))),
    };
    for number in first..first + 6 {
        // From the third on, there is not one descriptor left.
        let mut rest = Vec::new();
        while number > first + 2
            && let Ok(file) = fs::File::open("/dev/null")
        {
            rest.push(file);
        }
        match append(&engine, number) {
            Ok(receipt) => tell(&format!("{number} {} {}", receipt.first, receipt.last)),
            Err(AppendError::NotAppended(why)) => tell(&format!("failed {why}")),
            Err(error) => panic!("{error}"),
        }
        if number == first + 4
            && let Err(error) = engine.checkpoint().wait()
        {
            tell(&format!("failed {error}"));
        }
        assert_eq!(engine.view::<Spent>().get("nobody"), Ok(None));
    }
    if let Err(error) = engine.close().wait() {
        tell(&format!("failed {error}"));
    }
}

#[test]
#[cfg(unix)]
fn too_few_file_descriptors_are_said_and_lose_nothing() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("shop");
    open(&folder).unwrap().close().wait().unwrap();
    let (mut refused, mut worked) = (0, 0);
    for limit in 4..48_u64 {
        let before = fs::read_to_string(folder.with_extension("told")).unwrap_or_default().len();
        let output = Command::new("sh")
            .args(["-c", "ulimit -n $0; exec \"$@\"", &limit.to_string()])
            .arg(std::env::current_exe().unwrap())
            .args(["child", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
            .env("DISK_FOLDER", &folder)
            .env("DISK_FIRST", (limit * 100).to_string())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let loading = !output.status.success() && !errors.contains("panicked");
        assert!(loading || output.status.success(), "{limit} descriptors: {errors}");
        let told = fs::read_to_string(folder.with_extension("told")).unwrap_or_default();
        for line in told[before..].lines() {
            if let Some(why) = line.strip_prefix("refused ") {
                assert!(why.contains("open files") || why.contains("unable to open"), "{limit}: {why}");
                refused += 1;
            } else if let Some(why) = line.strip_prefix("failed ") {
                assert!(why.contains("open files") || why.contains("unable to open"), "{limit}: {why}");
            } else {
                worked += 1;
            }
        }
        let mut answers = Answers::default();
        let receipts = told.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
        answers.acknowledged.extend(receipts.map(|line| {
            let mut numbers = line.split(' ').map(|number| number.parse().unwrap());
            let mut next = || numbers.next().unwrap();
            (next(), next(), next())
        }));
        let engine = open(&folder).unwrap();
        let there = log(&engine);
        answers.hold(&there, false);
        folded(&engine, &there);
        engine.close().wait().unwrap();
    }
    eprintln!("{refused} starts refused, {worked} appends acknowledged");
    assert!(refused > 3 && worked > 60, "{refused} starts refused, {worked} appends acknowledged");
}

/// Appends past the engine, as if the clock had been that far ahead.
fn recorded_in_the_future(folder: &Path, at: Timestamp) {
    let store = SqliteStore::open(folder).unwrap();
    let (mut log, mut reader) = (store.log().unwrap(), store.reader().unwrap());
    let head = log.head().unwrap();
    let mut payload = Vec::new();
    let read = reader.read(head.position - 1, 1, &mut |event| {
        payload = event.payload.to_vec();
        true
    });
    assert_eq!(read.unwrap(), 1);
    let mut event = LogEvent {
        position: head.position + 1,
        name: "Paid",
        version: 1,
        recorded_at: at,
        event_id: None,
        metadata: &[],
        payload: &payload,
        checksum: 0,
    };
    event.checksum = chain(head.checksum, &event);
    log.append(head, &[event], &Beside::default()).unwrap();
}

/// When the last payment of each customer was recorded, and how often time went back meanwhile.
#[projection(from = Paid, group_by = customer)]
#[derive(Debug, Clone, PartialEq)]
pub struct Latest {
    customer: String,
    #[last(meta.recorded_at)]
    last: Timestamp,
    #[max(meta.recorded_at)]
    latest: Timestamp,
}

#[test]
fn a_clock_that_goes_back_never_takes_the_log_with_it() {
    let year = 365 * 24 * 3600 * 1_000_000_i64;
    let later = Timestamp::from_micros(Timestamp::now().as_micros() + year);
    for future in [later, Timestamp::from_micros(i64::MAX)] {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("shop");
        let open = || Engine::open(&folder).unwrap().view::<Latest>().view::<Spent>().start().unwrap();
        let engine = open();
        for number in 1..=3 {
            append(&engine, number).unwrap();
        }
        engine.close().wait().unwrap();
        drop(engine);
        recorded_in_the_future(&folder, future);
        for session in 0..2 {
            let engine = open();
            for number in 10 * session + 10..10 * session + 14 {
                append(&engine, number).unwrap();
            }
            let mut events = engine.events::<Paid>(1).until_head();
            let times: Vec<Timestamp> =
                std::iter::from_fn(|| events.next().wait()).map(|event| event.unwrap().recorded_at).collect();
            assert!(times.is_sorted() && times[0] < future);
            assert!(
                times[5..].iter().all(|time| *time == future),
                "time stands still until the clock has caught up"
            );
            for row in engine.view::<Latest>().rows().unwrap() {
                assert_eq!((row.last, row.latest), (future, future), "{}: {future}", row.customer);
            }
            engine.close().wait().unwrap();
        }
    }
}
