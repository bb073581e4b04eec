//! Bit rot: every byte of a small store is flipped, one at a time, in each of its files. The store gives the same answers, or refuses with a word about
//! the damage, or rebuilds what is disposable; and `verify` finds whatever made a difference.
//!
//! The stores here have pages of 512 bytes, so that every sort of page is there and every byte can be had. `ROT_PAGES=4096` takes SQLite's
//! usual ones, and `ROT_BITS=8` flips each bit by itself; both take long.

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cqrs_core::Builder;
use cqrs_core::prelude::*;
use cqrs_core::store::SqliteStore;
use cqrs_core::verify::Verified;
use tempfile::TempDir;

#[event]
#[derive(Debug, Clone, PartialEq)]
pub struct Paid {
    customer: String,
    cents: i64,
    note: String,
}

#[event]
#[derive(Debug, Clone, PartialEq)]
pub struct Refunded {
    customer: String,
    cents: i64,
}

/// What a customer has spent; those who have got everything back are hidden.
#[projection(from(Paid, Refunded), group_by = customer, having = cents != 0)]
#[derive(Debug, Clone, PartialEq)]
pub struct Spent {
    customer: String,
    #[sum(Paid => cents, Refunded => -cents)]
    cents: i64,
    #[last(Paid => note)]
    note: Option<String>,
}

/// What happened at a position: the same whenever it is asked.
enum Deed {
    Pays(Paid),
    Returns(Refunded),
}

fn deed(n: u64) -> Deed {
    // First of few customers, then of as many as there are events, then of some of those again.
    let customer = match n {
        ..=8 => format!("c{}", n % 4),
        9..=MANY => format!("c{n}"),
        _ => format!("c{}", n - 8),
    };
    match n {
        7 => Deed::Returns(Refunded { customer: "c3".into(), cents: 30 }),
        _ => Deed::Pays(Paid { customer, cents: n as i64 * 10, note: format!("the note of {n}") }),
    }
}

/// So many events make rows enough for a later checkpoint to put those that change into a table of their own.
const MANY: u64 = 16;

fn new_event(n: u64) -> NewEvent {
    let event = match deed(n) {
        Deed::Pays(paid) => NewEvent::new(paid),
        Deed::Returns(refunded) => NewEvent::new(refunded),
    };
    event.id(format!("deed-{n}")).meta("by", format!("clerk {n}"))
}

/// What plain loops make of the first events: customer, cents, note.
fn spent(events: u64) -> Vec<Spent> {
    let mut rows: BTreeMap<String, Spent> = BTreeMap::new();
    for n in 1..=events {
        let (customer, change, said) = match deed(n) {
            Deed::Pays(Paid { customer, cents, note }) => (customer, cents, Some(note)),
            Deed::Returns(Refunded { customer, cents }) => (customer, -cents, None),
        };
        let row = rows.entry(customer.clone()).or_insert(Spent { customer, cents: 0, note: None });
        row.cents += change;
        row.note = said.or(row.note.take());
    }
    rows.into_values().filter(|row| row.cents != 0).collect()
}

fn builder(folder: &Path) -> Result<Builder, StartError> {
    // No checkpoint but those that are asked for.
    Ok(Engine::open(folder)?.view::<Spent>().checkpoint_every(Duration::from_secs(3600), 1 << 40))
}

fn open(folder: &Path) -> Result<Engine, StartError> {
    builder(folder)?.start()
}

/// Everything it finds; a store that cannot even be opened is found to be damaged by that.
fn verify(folder: &Path) -> Result<Verified, String> {
    builder(folder).and_then(Builder::verify).map_err(|error| error.to_string())
}

fn append(engine: &Engine, positions: impl IntoIterator<Item = u64>) {
    for n in positions {
        assert_eq!(engine.append(new_event(n)).wait().unwrap().first, n);
    }
}

/// What the view answers.
fn rows(engine: &Engine) -> Result<Vec<Spent>, String> {
    let _ = engine.wait_ready().wait();
    let mut rows: Vec<Spent> = engine.view::<Spent>().rows().map_err(|error| error.to_string())?.collect();
    rows.sort_by(|a, b| a.customer.cmp(&b.customer));
    Ok(rows)
}

/// What plain SQL reads of the view.
fn sql(folder: &Path) -> Result<Vec<Spent>, String> {
    let read = || {
        let connection = rusqlite::Connection::open_with_flags(
            folder.join("views.db"),
            rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY,
        )?;
        let mut select = connection.prepare("SELECT customer, cents, note FROM spent ORDER BY customer")?;
        let rows = select.query_map([], |row| {
            Ok(Spent { customer: row.get(0)?, cents: row.get(1)?, note: row.get(2)? })
        })?;
        rows.collect::<rusqlite::Result<Vec<_>>>()
    };
    read().map_err(|error| error.to_string())
}

/// An event as it was recorded, with everything about it.
type Line = (u64, i64, Option<String>, String, String);

/// The log by `events`, up to the first error, and the error.
fn log(engine: &Engine) -> (Vec<Line>, Option<String>) {
    let mut lines = Vec::new();
    let mut errors = Vec::new();
    let mut paid = engine.events::<Paid>(1).until_head();
    while let Some(recorded) = paid.next().wait() {
        match recorded {
            Ok(of) => lines.push((
                of.position,
                of.recorded_at.as_micros(),
                of.event_id,
                format!("{:?}", of.metadata),
                format!("{:?}", of.event),
            )),
            Err(error) => errors.push(error.to_string()),
        }
    }
    let mut refunded = engine.events::<Refunded>(1).until_head();
    while let Some(recorded) = refunded.next().wait() {
        match recorded {
            Ok(of) => lines.push((
                of.position,
                of.recorded_at.as_micros(),
                of.event_id,
                format!("{:?}", of.metadata),
                format!("{:?}", of.event),
            )),
            Err(error) => errors.push(error.to_string()),
        }
    }
    lines.sort();
    (lines, errors.into_iter().next())
}

/// The files of a store, in memory.
#[derive(Clone)]
struct Files(BTreeMap<&'static str, Vec<u8>>);

const NAMES: [&str; 7] =
    ["events.db", "events.db-wal", "events.db-shm", "views.db", "views.db-wal", "views.db-shm", "lock"];

impl Files {
    fn of(folder: &Path) -> Self {
        Self(NAMES.into_iter().filter_map(|name| Some((name, fs::read(folder.join(name)).ok()?))).collect())
    }

    /// Puts them, and nothing else, into a folder.
    fn put(&self, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        for (name, bytes) in &self.0 {
            fs::write(folder.join(name), bytes).unwrap();
        }
    }

    fn without(mut self, names: &[&str]) -> Self {
        self.0.retain(|name, _| !names.contains(name));
        self
    }

    fn flipped(&self, name: &str, offset: usize, bit: usize) -> Self {
        let mut flipped = self.clone();
        flipped.0.get_mut(name).unwrap()[offset] ^= 1 << bit;
        flipped
    }
}

fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// A folder in memory, where there is one.
fn place() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

/// A store that was closed after this many events.
fn closed(events: u64) -> (TempDir, PathBuf) {
    let parent = place();
    let folder = parent.path().join("shop");
    let engine = open(&folder).unwrap();
    engine.close().wait().unwrap();
    for file in ["events.db", "views.db"] {
        let connection = rusqlite::Connection::open(folder.join(file)).unwrap();
        let pages = number("ROT_PAGES", 512);
        let change = format!(
            "PRAGMA journal_mode = DELETE; PRAGMA page_size = {pages}; VACUUM; PRAGMA journal_mode = WAL"
        );
        connection.execute_batch(&change).unwrap();
    }
    for events in [1..=events.min(MANY), MANY + 1..=events] {
        let engine = open(&folder).unwrap();
        append(&engine, events);
        engine.close().wait().unwrap();
    }
    // A clean close leaves no write-ahead log.
    assert_eq!(Files::of(&folder).0.into_keys().collect::<Vec<_>>(), ["events.db", "lock", "views.db"]);
    (parent, folder)
}

/// Flips every other byte of a file (`ROT_STEP=1`: every one), and looks at each such store; two threads share the work.
fn every_flip(files: &Files, name: &str, look: impl Fn(&Path, &Files, usize) + Sync) {
    let (bits, step) = (number("ROT_BITS", 1), number("ROT_STEP", 2));
    let length = files.0[name].len();
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let folder = place();
                loop {
                    let turn = next.fetch_add(1, Ordering::Relaxed);
                    let offset = turn / bits * step;
                    if offset >= length {
                        return;
                    }
                    // Each bit has its turn, at each place of a word.
                    let bit = (turn + offset / 8 + offset / 64) % 8;
                    let flipped = files.flipped(name, offset, bit);
                    flipped.put(folder.path());
                    let looked = catch_unwind(AssertUnwindSafe(|| look(folder.path(), &flipped, offset)));
                    if looked.is_err() {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert!(length > 0, "{name} is not empty");
    eprintln!("{name}: {} flips", length.div_ceil(step) * bits);
    assert_eq!(failed.into_inner(), 0, "of the flips in {name}, as told above");
}

/// What is right, of a store with this many events.
struct Right {
    events: u64,
    history: Vec<Line>,
}

impl Right {
    fn of(events: u64) -> (Self, Files) {
        let (_parent, folder) = closed(events);
        let files = Files::of(&folder);
        (Self::in_folder(&folder, events), files)
    }

    fn in_folder(folder: &Path, events: u64) -> Self {
        let engine = open(folder).unwrap();
        let (history, error) = log(&engine);
        assert_eq!((history.len() as u64, error), (events, None));
        engine.close().wait().unwrap();
        assert_eq!(sql(folder).unwrap(), spent(events));
        Self { events, history }
    }

    /// Whether the log reads as it was written; if not, what is read is as it was written, and the rest is said to be damaged.
    fn is_log(&self, engine: &Engine) -> bool {
        let (lines, error) = log(engine);
        assert!(lines.iter().all(|line| self.history.contains(line)), "another history: {lines:?}");
        match error {
            None => assert_eq!(lines, self.history),
            Some(error) => says_so(&error),
        }
        lines == self.history
    }

    /// Whether every event that is appended again under its id is known.
    fn knows_ids(&self, engine: &Engine) -> bool {
        let knows = |n| match engine.append(new_event(n)).wait() {
            Ok(receipt) => receipt.first == n,
            Err(_) => true,
        };
        (1..=self.events).all(knows)
    }
}

/// A refusal has a word about the damage, the file, and what to do.
#[track_caller]
fn says_so(text: &str) {
    let words = [
        "damaged",
        "is not a store",
        "stopped before",
        "ends at",
        "another event",
        "was made from the log",
        "format version",
    ];
    assert!(words.iter().any(|word| text.contains(word)), "{text}");
    assert!(["events.db", "views.db", "position"].iter().any(|file| text.contains(file)), "{text}");
}

#[test]
fn a_flipped_byte_of_the_log_is_found() {
    let (right, files) = Right::of(6);
    let [same, refused, told, doubled, salvages] = [const { AtomicUsize::new(0) }; 5];
    let count = |counter: &AtomicUsize| {
        counter.fetch_add(1, Ordering::Relaxed);
    };
    every_flip(&files, "events.db", |folder, flipped, offset| {
        let verified = verify(folder);
        let found = !verified.as_ref().is_ok_and(Verified::is_whole);
        match open(folder) {
            Err(error) => {
                says_so(&error.to_string());
                assert!(found, "byte {offset}: refused, and verify finds nothing: {error}");
                count(&refused);
            }
            Ok(engine) => {
                // The views stand at the end already: they have folded what was written.
                assert_eq!(rows(&engine), Ok(spent(right.events)), "byte {offset}");
                let log = right.is_log(&engine);
                let ids = right.knows_ids(&engine);
                assert!(
                    found || (log && ids),
                    "byte {offset}: log {log}, ids {ids}, and verify finds nothing"
                );
                let closed = engine.close().wait();
                if ids && closed.is_ok() {
                    assert_eq!(sql(folder), Ok(spent(right.events)), "byte {offset}");
                }
                count(if !ids {
                    &doubled
                } else if log {
                    &same
                } else {
                    &told
                });
            }
        }
        if !found {
            return;
        }
        // Where there is damage, a fold from the beginning makes the same rows, or a fault; and what is salvaged is a beginning.
        flipped.clone().without(&["views.db"]).put(folder);
        if let Ok(engine) = open(folder) {
            match rows(&engine) {
                Ok(rows) => assert_eq!(rows, spent(right.events), "byte {offset}"),
                Err(error) => says_so(&error),
            }
        }
        if offset % 13 != 0 {
            return;
        }
        flipped.put(folder);
        let mended = place();
        match SqliteStore::salvage(folder, mended.path()) {
            Ok(salvaged) => {
                let engine = open(mended.path()).unwrap();
                assert_eq!(rows(&engine), Ok(spent(salvaged.events)), "byte {offset}");
                let (lines, error) = log(&engine);
                assert_eq!(
                    (&lines[..], error),
                    (&right.history[..salvaged.events as usize], None),
                    "byte {offset}"
                );
                assert_eq!(
                    salvaged.why.is_none(),
                    salvaged.events == right.events,
                    "byte {offset}: {salvaged}"
                );
                assert!(salvaged.events + salvaged.lost >= right.events, "byte {offset}: {salvaged}");
                count(&salvages);
            }
            Err(error) => says_so(&error.to_string()),
        }
    });
    eprintln!(
        "same {same:?}, refused {refused:?}, told by reads {told:?}, ids not known {doubled:?}, salvaged {salvages:?}"
    );
}

#[test]
fn a_flipped_byte_of_the_checkpoints_changes_no_answer() {
    no_flip_of_the_checkpoints_changes_an_answer(6);
}

/// Rows that changed stand beside the others, and count in their place.
#[test]
fn a_flipped_byte_of_rows_in_two_tables_changes_no_answer() {
    no_flip_of_the_checkpoints_changes_an_answer(MANY + 3);
}

fn no_flip_of_the_checkpoints_changes_an_answer(events: u64) {
    let (right, files) = Right::of(events);
    let folder = place();
    files.put(folder.path());
    let views = rusqlite::Connection::open(folder.path().join("views.db")).unwrap();
    let beside = views.table_exists(None, "newer$spent").unwrap()
        && views.query_one("SELECT EXISTS (SELECT 1 FROM newer$spent)", [], |row| row.get(0)).unwrap();
    assert_eq!(beside, events > MANY, "there are rows in two tables");
    let [same, rebuilt, mended, anew, doubled, refused] = [const { AtomicUsize::new(0) }; 6];
    let count = |counter: &AtomicUsize| {
        counter.fetch_add(1, Ordering::Relaxed);
    };
    every_flip(&files, "views.db", |folder, _, offset| {
        let before = sql(folder);
        let verified = verify(folder);
        let found = !verified.as_ref().is_ok_and(Verified::is_whole);
        let engine = open(folder).unwrap_or_else(|error| panic!("byte {offset}: {error}"));
        let again = engine.health().views[0].checkpoint.is_none();
        assert_eq!(rows(&engine), Ok(spent(right.events)), "byte {offset}");
        // When a checkpoint is saved, SQL has been looked through.
        engine.checkpoint().wait().unwrap_or_else(|error| panic!("byte {offset}: {error}"));
        assert_eq!(sql(folder), Ok(spent(right.events)), "byte {offset}");
        count(match again {
            true => &rebuilt,
            false if before != Ok(spent(right.events)) => &mended,
            false => &same,
        });
        // It goes on: rows that were not read since, and count no more, are replaced.
        for n in right.events + 1..=right.events + 3 {
            append(&engine, [n]);
            engine.checkpoint().wait().unwrap_or_else(|error| panic!("byte {offset}: {error}"));
        }
        engine.close().wait().unwrap();
        if folder.join("views.db.damaged-1").exists() && !again {
            count(&anew);
        }
        let later = spent(right.events + 3);
        let shown = sql(folder);
        if shown != Ok(later.clone()) {
            match shown {
                // A row was written beside the one that it was to replace, as SQLite was led astray.
                Ok(shown) => {
                    assert!(later.iter().all(|row| shown.contains(row)), "byte {offset}: {shown:?}");
                    count(&doubled);
                }
                Err(error) => {
                    assert!(error.contains("malformed"), "byte {offset}: {error}");
                    count(&refused);
                }
            }
            // A start finds that, and so does it.
            assert!(!verify(folder).is_ok_and(|verified| verified.is_whole()), "byte {offset}");
        }
        let engine = open(folder).unwrap();
        assert_eq!(rows(&engine), Ok(later.clone()), "byte {offset}");
        engine.checkpoint().wait().unwrap_or_else(|error| panic!("byte {offset}: {error}"));
        engine.close().wait().unwrap();
        assert_eq!(sql(folder), Ok(later), "byte {offset}");
        let differs = again || before != Ok(spent(right.events));
        assert!(found || !differs, "byte {offset}: {before:?}, rebuilt {again}, and verify finds nothing");
    });
    eprintln!(
        "same {same:?}, rebuilt {rebuilt:?}, SQL mended {mended:?}, saved anew later {anew:?}; and until the next start: \
         a row twice in SQL {doubled:?}, SQL refused {refused:?}"
    );
    let (few, doubled) = (files.0["views.db"].len() / 1000, doubled.into_inner());
    assert!(doubled <= few * number("ROT_BITS", 1), "{doubled} were shown twice");
}

/// A store as a process leaves it that is killed: three events in the files, two in the write-ahead logs and witnessed, one more. With how long the
/// log's write-ahead log was when it was witnessed.
fn killed() -> (Files, usize) {
    let (_parent, folder) = closed(3);
    let engine = open(&folder).unwrap();
    append(&engine, 4..=5);
    engine.checkpoint().wait().unwrap();
    let witnessed = fs::metadata(folder.join("events.db-wal")).unwrap().len() as usize;
    append(&engine, [6]);
    let files = Files::of(&folder);
    assert!(["events.db-wal", "views.db-wal"].iter().all(|name| !files.0[name].is_empty()));
    (files, witnessed)
}

/// How many events were witnessed.
const WITNESSED: u64 = 5;

#[test]
fn a_flipped_byte_of_the_logs_write_ahead_log_costs_at_most_what_was_not_witnessed() {
    let (files, witnessed) = killed();
    let folder = place();
    files.put(folder.path());
    let right = Right::in_folder(folder.path(), 6);
    let [same, refused, shorter] = [const { AtomicUsize::new(0) }; 3];
    every_flip(&files, "events.db-wal", |folder, flipped, offset| {
        let engine = match open(folder) {
            Ok(engine) => engine,
            Err(error) => {
                says_so(&error.to_string());
                // It is there to be looked at: nothing has been changed.
                let left = Files::of(folder);
                assert!(["events.db", "events.db-wal"].iter().all(|name| left.0[name] == flipped.0[name]));
                let found = !verify(folder).is_ok_and(|verified| verified.is_whole());
                assert!(found, "byte {offset}: refused, and verify finds nothing: {error}");
                assert!(offset < witnessed, "byte {offset}: {error}");
                refused.fetch_add(1, Ordering::Relaxed);
                return;
            }
        };
        let (lines, error) = log(&engine);
        assert_eq!(error, None, "byte {offset}");
        // Only what was appended after the witness is gone, and only if it is what was flipped.
        let events = lines.len() as u64;
        assert!(events >= WITNESSED && right.history.starts_with(&lines), "byte {offset}: {lines:?}");
        assert!(events == right.events || offset >= witnessed, "byte {offset}");
        assert_eq!(rows(&engine), Ok(spent(events)), "byte {offset}");
        append(&engine, [events + 1]);
        engine.close().wait().unwrap();
        assert_eq!(sql(folder), Ok(spent(events + 1)), "byte {offset}");
        (if events == right.events { &same } else { &shorter }).fetch_add(1, Ordering::Relaxed);
    });
    eprintln!("same {same:?}, refused {refused:?}, without what was not witnessed {shorter:?}");
}

#[test]
fn a_flipped_byte_of_the_checkpoints_write_ahead_log_changes_no_answer() {
    let (files, _) = killed();
    let moments: Vec<_> = [3, 5].into_iter().map(|events| Ok(spent(events))).collect();
    every_flip(&files, "views.db-wal", |folder, _, offset| {
        // SQL shows some checkpoint, as it was.
        let before = sql(folder);
        assert!(moments.contains(&before), "byte {offset}: {before:?}");
        let engine = open(folder).unwrap_or_else(|error| panic!("byte {offset}: {error}"));
        assert_eq!(rows(&engine), Ok(spent(6)), "byte {offset}");
        engine.close().wait().unwrap();
        assert_eq!(sql(folder), Ok(spent(6)), "byte {offset}");
    });
}

#[test]
fn what_coordinates_readers_and_writers_says_nothing() {
    let (mut files, _) = killed();
    files.0.insert("lock", b"garbage".to_vec());
    let look = |folder: &Path, offset: usize| {
        let engine = open(folder).unwrap_or_else(|error| panic!("byte {offset}: {error}"));
        assert_eq!(rows(&engine), Ok(spent(6)), "byte {offset}");
        assert_eq!(log(&engine).0.len(), 6, "byte {offset}");
        engine.close().wait().unwrap();
        assert_eq!(sql(folder), Ok(spent(6)), "byte {offset}");
    };
    let folder = place();
    for name in ["events.db-shm", "views.db-shm"] {
        // SQLite makes it anew when it is the first to open it: its header is flipped byte by byte, the rest here and there.
        for offset in (0..200).chain((200..files.0[name].len()).step_by(1009)) {
            files.flipped(name, offset, offset % 8).put(folder.path());
            look(folder.path(), offset);
        }
        let mut garbage = files.clone();
        garbage.0.insert(name, vec![0xa5; 70_000]);
        garbage.put(folder.path());
        look(folder.path(), 0);
    }
}
