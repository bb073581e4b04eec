//! Damage and mix-ups: what a user sees, and reads, when the files are not what the engine left behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use cqrs_core::health::ViewState;
use cqrs_core::prelude::*;
use cqrs_core::{EventsError, NotReady, Refusal};
use rusqlite::{Connection, OpenFlags};

#[event]
#[derive(Debug, Clone, PartialEq)]
pub struct Paid {
    customer: String,
    cents: i64,
    note: String,
}

#[projection(from = Paid, group_by = customer)]
#[derive(Debug, Clone, PartialEq)]
pub struct Spent {
    customer: String,
    #[sum(cents)]
    cents: i64,
    #[count]
    payments: u64,
    #[last(note)]
    note: String,
}

/// The `n`th payment; its note is found nowhere else in the file.
fn paid(n: u64) -> Paid {
    Paid { customer: format!("c{}", n % 5), cents: n as i64 * 10, note: format!("the note of {n:06}") }
}

/// What plain loops make of the first `payments` events, by customer.
fn spent(payments: u64) -> Vec<Spent> {
    let mut rows: Vec<Spent> = Vec::new();
    for Paid { customer, cents, note } in (1..=payments).map(paid) {
        match rows.iter_mut().find(|row| row.customer == customer) {
            Some(row) => (row.cents, row.payments, row.note) = (row.cents + cents, row.payments + 1, note),
            None => rows.push(Spent { customer, cents, payments: 1, note }),
        }
    }
    rows
}

fn open(folder: &Path) -> Result<Engine, StartError> {
    Engine::open(folder)?.view::<Spent>().start()
}

/// Why it does not start.
fn refused(folder: &Path) -> String {
    match open(folder) {
        Ok(_) => panic!("it started"),
        Err(error) => error.to_string(),
    }
}

fn append(engine: &Engine, positions: impl IntoIterator<Item = u64>) {
    for n in positions {
        let receipt = engine.append(NewEvent::new(paid(n)).id(format!("payment-{n}"))).wait().unwrap();
        assert_eq!(receipt.first, n);
    }
}

fn rows(engine: &Engine) -> Vec<Spent> {
    engine.view::<Spent>().rows().unwrap().collect()
}

/// The folder answers as one with this many payments, and goes on.
fn healthy(folder: &Path, payments: u64) {
    let engine = open(folder).unwrap();
    engine.wait_ready().wait().unwrap();
    assert_eq!(rows(&engine), spent(payments));
    append(&engine, [payments + 1]);
    assert_eq!(rows(&engine), spent(payments + 1));
    assert_eq!(log(&engine).1.map(|error| error.to_string()), None);
    engine.close().wait().unwrap();
}

/// The events up to the first error, and the error.
fn log(engine: &Engine) -> (Vec<Paid>, Option<EventsError>) {
    let mut events = engine.events::<Paid>(1).until_head();
    let mut read = Vec::new();
    while let Some(recorded) = events.next().wait() {
        match recorded {
            Ok(recorded) => read.push(recorded.event),
            Err(error) => {
                assert!(events.next().wait().is_none(), "an error ends the stream");
                return (read, Some(error));
            }
        }
    }
    (read, None)
}

/// A closed store with this many payments.
struct Scene {
    parent: tempfile::TempDir,
    folder: PathBuf,
}

impl Scene {
    fn new(payments: u64) -> Self {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("shop");
        let scene = Self { parent, folder };
        scene.go_on(1..=payments);
        scene
    }

    fn go_on(&self, positions: impl IntoIterator<Item = u64>) {
        let engine = open(&self.folder).unwrap();
        append(&engine, positions);
        engine.close().wait().unwrap();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A place beside the folder.
    fn beside(&self, name: &str) -> PathBuf {
        self.parent.path().join(name)
    }

    fn keep(&self, name: &str) -> Vec<u8> {
        fs::read(self.file(name)).unwrap()
    }

    /// Puts a file there, without what SQLite kept beside the one before.
    fn put(&self, name: &str, bytes: &[u8]) {
        self.take(name);
        fs::write(self.file(name), bytes).unwrap();
    }

    fn take(&self, name: &str) {
        for ending in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(self.file(&format!("{name}{ending}")));
        }
    }

    /// Flips a bit in the note of a payment.
    fn flip_note(&self, payment: u64) {
        let mut bytes = self.keep("events.db");
        let note = paid(payment).note.into_bytes();
        let at =
            bytes.windows(note.len()).position(|window| window == note).expect("the note is in the file");
        bytes[at + note.len() - 1] ^= 1;
        self.put("events.db", &bytes);
    }
}

#[track_caller]
fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
}

#[test]
fn a_flipped_byte_before_the_checkpoint_is_found_by_who_reads_it() {
    let scene = Scene::new(40);
    scene.flip_note(17);

    // The checkpoint stands behind it: the views have folded what was written.
    let engine = open(&scene.folder).unwrap();
    assert_eq!(rows(&engine), spent(40));
    let (read, error) = log(&engine);
    assert_eq!(read, (1..17).map(paid).collect::<Vec<_>>());
    let error = error.unwrap();
    assert!(matches!(error, EventsError::Damaged { position: 17, .. }), "{error:?}");
    says(&error.to_string(), &["the log is damaged at position 17", "checksum", "backup of events.db"]);
    append(&engine, [41]);
    engine.close().wait().unwrap();

    // Without the checkpoint, the view stops before it, and appends go on.
    scene.take("views.db");
    let engine = open(&scene.folder).unwrap();
    let NotReady::Faulted(faults) = engine.wait_ready().wait().unwrap_err() else { panic!("a fault") };
    assert_eq!((faults[0].position, faults[0].event.as_str()), (17, "Paid"));
    says(&faults[0].to_string(), &["`Spent` stopped before", "position 17", "the log is damaged here"]);
    assert_eq!(engine.view::<Spent>().get("c1"), Err(ReadError::Faulted(faults[0].clone())));
    append(&engine, [42]);
    engine.close().wait().unwrap();
    let engine = open(&scene.folder);
    let again = match &engine {
        Ok(engine) => engine.view::<Spent>().get("c1").unwrap_err().to_string(),
        Err(error) => error.to_string(),
    };
    says(&again, &["position 17", "damaged"]);
}

#[test]
fn a_view_that_stopped_at_damage_goes_on_when_the_log_is_whole_again() {
    let scene = Scene::new(40);
    let whole = scene.keep("events.db");
    scene.flip_note(17);
    scene.take("views.db");
    let engine = open(&scene.folder).unwrap();
    engine.wait_ready().wait().unwrap_err();
    engine.close().wait().unwrap();
    scene.put("events.db", &whole);
    healthy(&scene.folder, 40);
}

#[test]
fn a_flipped_byte_after_the_checkpoint_stops_the_start() {
    let scene = Scene::new(20);
    let views = scene.keep("views.db");
    scene.go_on(21..=40);
    scene.put("views.db", &views);
    scene.flip_note(30);
    let error = refused(&scene.folder);
    says(&error, &["the log is damaged at position 30", "checksum", "Put back a backup of events.db"]);
}

#[test]
fn a_truncated_log_is_never_a_shorter_one() {
    let scene = Scene::new(200);
    let (events, views) = (scene.keep("events.db"), scene.keep("views.db"));
    let pages = (0..events.len()).step_by(4096);
    // What is cut off reads as zeros, and a checksum ends with one now and then: then as little is gone as makes a difference.
    let last = events.iter().rposition(|byte| *byte != 0).unwrap();
    for length in pages.chain([1, 99, 511, 512, 5000, events.len() / 2, last]) {
        for with_views in [true, false] {
            scene.put("events.db", &events[..length]);
            scene.put("views.db", &views);
            if !with_views && length > 0 {
                scene.take("views.db");
            }
            let engine = match open(&scene.folder) {
                Err(error) => {
                    says(&error.to_string(), &["events.db", "damaged", "backup"]);
                    continue;
                }
                Ok(engine) => engine,
            };
            let (read, error) = log(&engine);
            assert!(error.is_some() && read.len() < 200, "cut to {length} bytes, and nothing is said");
        }
    }
    scene.put("events.db", &events);
    healthy(&scene.folder, 200);
}

#[test]
fn checkpoints_that_are_no_longer_checkpoints_are_rebuilt() {
    let scene = Scene::new(40);
    let views = scene.keep("views.db");
    let mut payments = 40;
    let garbage = |len: usize| (0..len).map(|n| (n * 31 % 251) as u8).collect::<Vec<_>>();
    let lengths = [0, 1, 100, 511, 512, 4096, 8192, views.len() / 2, views.len() - 1];
    let cut = lengths.iter().map(|length| views[..*length].to_vec());
    let mut headless = views.clone();
    headless[..100].fill(0);
    let mut hollow = views.clone();
    hollow[4096..].fill(0);
    // A fingerprint that is no number, in the table of views.
    let mut illegible = views.clone();
    let identity = open(&scene.folder).unwrap().store_id().to_string().into_bytes();
    let at = views.windows(identity.len()).position(|window| window == identity).unwrap();
    illegible[at - 10] = b'x';
    for bytes in cut.chain([garbage(10), garbage(50_000), headless, hollow, illegible]) {
        scene.put("views.db", &bytes);
        // A reader does without them, and leaves them as they are.
        let reader = Engine::open_read_only(&scene.folder).unwrap().view::<Spent>().start().unwrap();
        reader.wait_ready().wait().unwrap();
        assert_eq!(rows(&reader), spent(payments));
        reader.close().wait().unwrap();
        assert_eq!(scene.keep("views.db"), bytes);
        healthy(&scene.folder, payments);
        payments += 1;
    }
    scene.take("views.db");
    healthy(&scene.folder, payments);
}

/// Not every byte, unless `DAMAGE_STEP=1` asks for it: of those, every this many.
fn step(otherwise: usize) -> usize {
    std::env::var("DAMAGE_STEP").map_or(otherwise, |text| text.parse().unwrap())
}

/// Wherever a byte of views.db is flipped: the right rows, or a refusal that says what to do; never others.
#[test]
fn a_flipped_byte_in_the_checkpoints_never_gives_a_wrong_row() {
    let scene = Scene::new(40);
    let (events, views) = (scene.keep("events.db"), scene.keep("views.db"));
    // Every byte that is not zero is part of something; of the zeros, some.
    let offsets = (0..views.len()).filter(|at| views[*at] != 0 || at % 997 == 0);
    let (mut right, mut unsaved, mut refusals) = (0, 0, 0);
    for (turn, offset) in offsets.enumerate().step_by(step(31)) {
        let mut bytes = views.clone();
        bytes[offset] ^= 1 << (turn % 8);
        scene.put("events.db", &events);
        scene.put("views.db", &bytes);
        match open(&scene.folder) {
            Ok(engine) => {
                engine.wait_ready().wait().unwrap();
                assert_eq!(rows(&engine), spent(40), "byte {offset}");
                append(&engine, [41]);
                assert_eq!(rows(&engine), spent(41), "byte {offset}");
                // At the latest the second start finds a sound checkpoint, or else it is said why there is none.
                let saved = engine.checkpoint().wait();
                if let Err(error) = &saved {
                    let text = error.to_string();
                    assert!(text.contains("views.db") || text.contains("the view spent"), "{text}");
                    assert_eq!(engine.health().checkpoint_failure, Some(text));
                    unsaved += 1;
                }
                engine.close().wait().unwrap();
                for start in 1..=2 {
                    let engine = open(&scene.folder).unwrap();
                    if saved.is_ok() && start == 2 {
                        assert_eq!(engine.health().views[0].state, ViewState::Live, "byte {offset}");
                    }
                    engine.wait_ready().wait().unwrap();
                    assert_eq!(rows(&engine), spent(41), "byte {offset}");
                    engine.close().wait().unwrap();
                }
                right += 1;
            }
            // It looks like a checkpoint of another log, or of another event.
            Err(error) => {
                says(&error.to_string(), &["the checkpoint of the view `spent`", "delete views.db"]);
                refusals += 1;
            }
        }
    }
    assert!(
        right > 10 * (unsaved + refusals),
        "{right} right, {unsaved} of them unsaved, {refusals} refused"
    );
}

/// Wherever a byte of events.db is flipped: what was written, or an error; never something else.
#[test]
fn a_flipped_byte_in_the_log_never_gives_another_history() {
    let scene = Scene::new(40);
    let events = scene.keep("events.db");
    let history: Vec<Paid> = (1..=40).map(paid).collect();
    let offsets = (0..events.len()).filter(|at| events[*at] != 0 || at % 997 == 0);
    for (turn, offset) in offsets.enumerate().step_by(step(23)) {
        let mut bytes = events.clone();
        bytes[offset] ^= 1 << (turn % 8);
        scene.put("events.db", &bytes);
        scene.take("views.db");
        let Ok(engine) = open(&scene.folder) else { continue };
        let (read, error) = log(&engine);
        assert!(history.starts_with(&read), "byte {offset} makes another history");
        assert!(error.is_some() || read.len() == 40, "byte {offset}: {} events and no error", read.len());
        match engine.wait_ready().wait() {
            Ok(()) => {
                assert_eq!(rows(&engine), spent(40), "byte {offset}");
                assert!(error.is_none());
            }
            Err(fault) => assert!(error.is_some(), "byte {offset}: the log can be read, and {fault}"),
        }
    }
}

#[test]
fn an_event_that_was_taken_out_is_missed() {
    let scene = Scene::new(40);
    let connection = Connection::open(scene.file("events.db")).unwrap();
    connection.execute("DELETE FROM events WHERE position = 20", []).unwrap();
    drop(connection);
    let engine = open(&scene.folder).unwrap();
    let (read, error) = log(&engine);
    assert_eq!(read.len(), 19);
    says(&error.unwrap().to_string(), &["position 20 is missing", "damaged"]);
    // Also to those who begin right after it.
    for from in [20, 21] {
        let next = engine.events::<Paid>(from).next_timeout(Duration::from_secs(10)).wait().unwrap();
        says(&next.unwrap_err().to_string(), &["position 20"]);
    }
}

#[test]
fn views_of_another_log_are_refused() {
    let (one, other) = (Scene::new(40), Scene::new(40));
    one.put("views.db", &other.keep("views.db"));
    let error = refused(&one.folder);
    says(&error, &["the view `spent`", "views.db belongs to another events.db", "delete views.db"]);
    one.take("views.db");
    healthy(&one.folder, 40);
}

#[test]
fn a_restored_log_under_newer_views_is_refused() {
    let scene = Scene::new(20);
    let backup = scene.beside("backup");
    let engine = open(&scene.folder).unwrap();
    engine.backup(&backup).wait().unwrap();
    append(&engine, 21..=30);
    engine.close().wait().unwrap();
    let newer = scene.keep("views.db");
    let restored = fs::read(backup.join("events.db")).unwrap();

    // Ahead of the log.
    scene.put("events.db", &restored);
    let error = refused(&scene.folder);
    says(
        &error,
        &["the view `spent`", "position 30", "the log ends at 20", "events are missing", "delete views.db"],
    );

    // Appended to since, past where the views stand; with other events, and with the same events at another time.
    for other in [100, 0] {
        scene.put("events.db", &restored);
        scene.take("views.db");
        let engine = open(&scene.folder).unwrap();
        engine.wait_ready().wait().unwrap();
        for n in 21..=35 {
            engine.append(paid(n + other)).wait().unwrap();
        }
        engine.close().wait().unwrap();
        scene.put("views.db", &newer);
        let error = refused(&scene.folder);
        says(
            &error,
            &[
                "the view `spent`",
                "another event at position 30",
                "restored from a backup",
                "delete views.db",
            ],
        );
    }

    // What it says helps.
    scene.take("views.db");
    let engine = open(&scene.folder).unwrap();
    engine.wait_ready().wait().unwrap();
    assert_eq!(rows(&engine), spent(35));
    engine.close().wait().unwrap();
    // And the backup is a store by itself.
    healthy(&backup, 20);
}

/// The table is longer than what is looked through in one go, and the last row is the one that was changed.
#[test]
fn once_a_checkpoint_is_answered_sql_shows_every_row_as_it_is() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("store");
    let many = |n: u64| Paid { customer: format!("c{n:05}"), cents: n as i64, note: String::new() };
    let engine = open(&folder).unwrap();
    engine.append_all((0..20_000).map(many)).wait().unwrap();
    engine.close().wait().unwrap();
    drop(engine);
    let views = folder.join("views.db");
    let change = "UPDATE \"rows$spent\" SET cents = 7 WHERE customer = 'c19999'";
    assert_eq!(Connection::open(&views).unwrap().execute(change, []).unwrap(), 1);

    let engine = open(&folder).unwrap();
    engine.wait_ready().wait().unwrap();
    engine.checkpoint().wait().unwrap();
    let shown = Connection::open_with_flags(&views, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let cents = "SELECT cents FROM spent WHERE customer = 'c19999'";
    assert_eq!(shown.query_one(cents, [], |row| row.get::<_, i64>(0)).unwrap(), 19_999);
    engine.close().wait().unwrap();
}

#[test]
fn a_log_that_is_gone_is_refused() {
    let scene = Scene::new(40);
    let events = scene.keep("events.db");
    scene.take("events.db");
    let error = refused(&scene.folder);
    says(&error, &["events.db", "missing", "views.db is here", "Restore events.db from a backup"]);
    let error = Engine::open_read_only(&scene.folder).unwrap_err().to_string();
    says(&error, &["events.db", "missing"]);
    scene.put("events.db", b"");
    says(&refused(&scene.folder), &["events.db", "it is empty", "Restore"]);
    scene.put("events.db", &events);
    healthy(&scene.folder, 40);
}

/// A program that has renamed the event.
mod renamed {
    use super::*;

    #[event]
    pub(super) struct Payment {
        pub customer: String,
        pub cents: i64,
    }

    #[projection(from = Payment, group_by = customer)]
    #[derive(Debug)]
    pub(super) struct Paying {
        pub customer: String,
        #[sum(cents)]
        pub cents: i64,
    }
}

/// The same with an alias; its version raised; and under a name that is taken.
mod changed {
    use super::*;

    #[event(aliases("Paid"))]
    pub(super) struct Payment {
        pub customer: String,
        pub cents: i64,
    }

    #[projection(from = Payment, group_by = customer)]
    #[derive(Debug)]
    pub(super) struct Paying {
        pub customer: String,
        #[sum(cents)]
        pub cents: i64,
    }

    #[event(name = "Paid", version = 2)]
    pub(super) struct PaidAnew {
        pub customer: String,
    }

    #[event(name = "Paid")]
    pub(super) struct Settled {
        pub customer: String,
    }
}

#[test]
fn a_renamed_event_is_refused_until_it_is_claimed() {
    let scene = Scene::new(40);
    let open = || Engine::open(&scene.folder).unwrap();
    let error = open().view::<renamed::Paying>().start().unwrap_err().to_string();
    let remedies =
        ["`Paid` version 1 (40 stored)", ".event::<E>()", "aliases(\"Paid\")", ".allow_unknown(\"Paid\")"];
    says(&error, &remedies);

    let engine = open().view::<changed::Paying>().start().unwrap();
    engine.wait_ready().wait().unwrap();
    let total: i64 = engine.view::<changed::Paying>().rows().unwrap().map(|row| row.cents).sum();
    assert_eq!(total, spent(40).iter().map(|row| row.cents).sum::<i64>());
    engine.close().wait().unwrap();

    let engine = open().view::<renamed::Paying>().allow_unknown("Paid").start().unwrap();
    engine.wait_ready().wait().unwrap();
    assert_eq!(engine.view::<renamed::Paying>().rows().unwrap().count(), 0);
    engine.append(renamed::Payment { customer: "ann".into(), cents: 1 }).wait().unwrap();
    assert_eq!(engine.view::<renamed::Paying>().rows().unwrap().count(), 1);
}

#[test]
fn another_version_and_a_taken_name_are_refused() {
    let scene = Scene::new(40);
    let open = || Engine::open(&scene.folder).unwrap();
    let error = open().event::<changed::PaidAnew>().start().unwrap_err().to_string();
    says(&error, &["`Paid` version 1 (40 stored)", "reads version 2 only", "#[serde(default)]"]);
    let error = open().view::<Spent>().event::<changed::Settled>().start().unwrap_err().to_string();
    says(&error, &["Paid", "Settled", "both stored as `Paid`", "#[event(name ="]);
    let error = open().view::<Spent>().event::<changed::Payment>().start().unwrap_err().to_string();
    says(&error, &["both stored as `Paid`", "take the alias away"]);
    healthy(&scene.folder, 40);
}

/// The other process of the test below.
#[test]
#[ignore = "the child of another test"]
fn child() {
    let Ok(folder) = std::env::var("DAMAGE_FOLDER") else { return };
    let folder = Path::new(&folder);
    let refusal = refused(folder);
    let reader = Engine::open_read_only(folder).unwrap().view::<Spent>().start().unwrap();
    reader.wait_ready().wait().unwrap();
    let receipt: Receipt = std::env::var("DAMAGE_RECEIPT").unwrap().parse().unwrap();
    let reached = reader.view::<Spent>().wait_for(&receipt, Duration::from_secs(20)).wait().unwrap();
    assert_eq!(reached, Reached::Reached);
    assert_eq!(rows(&reader), spent(receipt.last));
    fs::write(std::env::var("DAMAGE_ANSWER").unwrap(), refusal).unwrap();
}

#[test]
fn a_second_writer_is_refused_and_a_reader_follows() {
    let scene = Scene::new(20);
    let engine = open(&scene.folder).unwrap();
    let remedies = ["already open for writing, in this process or another", "open the folder read-only"];
    says(&refused(&scene.folder), &remedies);

    let reader = Engine::open_read_only(&scene.folder).unwrap().view::<Spent>().start().unwrap();
    reader.wait_ready().wait().unwrap();
    let mut changes = reader.view::<Spent>().subscribe();
    append(&engine, 21..=40);
    let receipt = engine.append(paid(41)).wait().unwrap();
    let reached = reader.view::<Spent>().wait_for(&receipt, Duration::from_secs(20)).wait();
    assert_eq!(reached, Ok(Reached::Reached));
    assert_eq!(rows(&reader), spent(41));
    assert_eq!(log(&reader).0.len(), 41);
    loop {
        if let Change::Progress { position: 41 } = changes.next().wait().unwrap().unwrap() {
            break;
        }
    }
    let error = reader.append(paid(42)).wait().unwrap_err();
    assert!(matches!(error, AppendError::NotAppended(Refusal::ReadOnly)));
    says(&error.to_string(), &["nothing was appended", "read-only"]);
    says(&reader.checkpoint().wait().unwrap_err().to_string(), &["read-only"]);

    let answer = scene.beside("answer");
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--ignored", "--nocapture"])
        .env("DAMAGE_FOLDER", &scene.folder)
        .env("DAMAGE_RECEIPT", receipt.to_string())
        .env("DAMAGE_ANSWER", &answer)
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
    says(&fs::read_to_string(answer).unwrap(), &remedies);
    // The lock is the process's that has it, not the file's that is left over.
    drop((engine, reader));
    healthy(&scene.folder, 41);
}

#[test]
fn a_payload_over_the_limit_is_refused_and_nothing_else_is() {
    let scene = Scene::new(20);
    let engine = Engine::open(&scene.folder).unwrap().view::<Spent>().payload_limit(1000).start().unwrap();
    let large = Paid { note: "x".repeat(1000), ..paid(21) };
    for append in [engine.append(large.clone()), engine.append_all([paid(21), large.clone()])] {
        let error = append.wait().unwrap_err();
        assert!(
            matches!(error, AppendError::NotAppended(Refusal::TooLarge { limit: 1000, .. })),
            "{error:?}"
        );
        says(
            &error.to_string(),
            &["nothing was appended", "`Paid`", "the limit is 1000", ".payload_limit(..)"],
        );
    }
    append(&engine, [21]);
    assert_eq!(rows(&engine), spent(21));
    engine.close().wait().unwrap();

    // One that was stored under a larger limit is a fault where it has to be read, and says how to read it.
    let engine = open(&scene.folder).unwrap();
    engine.append(large).wait().unwrap();
    engine.close().wait().unwrap();
    scene.take("views.db");
    let engine = Engine::open(&scene.folder).unwrap().view::<Spent>().payload_limit(1000).start().unwrap();
    says(
        &engine.wait_ready().wait().unwrap_err().to_string(),
        &["position 22", "limit of 1000", ".payload_limit(..)"],
    );
    says(&log(&engine).1.unwrap().to_string(), &["position 22", "limit of 1000"]);
    engine.close().wait().unwrap();
    let engine = open(&scene.folder).unwrap();
    // The fault goes with its cause.
    engine.wait_ready().wait().unwrap();
    assert_eq!(engine.view::<Spent>().get("c1").unwrap().unwrap().note.len(), 1000);
}

#[test]
fn what_is_no_store_is_left_alone() {
    let scene = Scene::new(1);
    let file = scene.beside("file");
    fs::write(&file, "text").unwrap();
    says(&refused(&file), &["is not a store", "it is a file", "name the folder"]);

    let foreign = scene.beside("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("report.txt"), "text").unwrap();
    says(&refused(&foreign), &["is not a store", "it holds report.txt", "choose an empty or a new folder"]);
    let names: Vec<_> = fs::read_dir(&foreign).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["report.txt"], "nothing was written there");

    let missing = scene.beside("missing");
    let error = Engine::open_read_only(&missing).unwrap_err().to_string();
    says(&error, &["it does not exist", "reading creates nothing"]);
    assert!(!missing.exists());

    let theirs = scene.beside("theirs");
    fs::create_dir(&theirs).unwrap();
    let connection = Connection::open(theirs.join("events.db")).unwrap();
    connection.execute_batch("CREATE TABLE events (id INTEGER)").unwrap();
    drop(connection);
    says(&refused(&theirs), &["database of another program"]);

    let error = open(&scene.folder).unwrap().backup(&foreign).wait().unwrap_err().to_string();
    says(&error, &["not empty", "does not exist or is empty"]);
}

/// A file system of this size, or `None` where none can be mounted.
struct Disk(PathBuf);

impl Disk {
    fn new(at: PathBuf, size: &str) -> Option<Self> {
        fs::create_dir(&at).unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(&at)
            .output();
        mount.is_ok_and(|output| output.status.success()).then_some(Self(at))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).output();
    }
}

#[test]
fn a_full_disk_is_said_and_gone_on_from() {
    let parent = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::new(parent.path().join("disk"), "6m") else {
        eprintln!("no file system can be mounted here: not tested");
        return;
    };
    let folder = disk.0.join("shop");
    let ballast = disk.0.join("ballast");
    // More than half of it: what a close folds into the file is there twice for a while, however much of it is the log's.
    fs::write(&ballast, vec![1; 7 << 19]).unwrap();
    let engine =
        Engine::open(&folder).unwrap().view::<Spent>().checkpoint_every(Duration::ZERO, 1).start().unwrap();
    let wide = |n: u64| Paid { note: "x".repeat(20_000), ..paid(n) };
    let mut there = 0;
    let error = loop {
        match engine.append(wide(there + 1)).wait() {
            Ok(receipt) => {
                there += 1;
                assert_eq!(receipt.last, there);
                assert!(there < 1000, "the disk does not fill up");
            }
            Err(error) => break error,
        }
    };
    assert!(there > 5);
    assert!(matches!(error, AppendError::NotAppended(Refusal::Store(_))), "{error:?}");
    says(&error.to_string(), &["nothing was appended", "full", "make room on the disk and try again"]);
    // It is said again, reads go on, and nothing that was acknowledged is gone.
    assert!(engine.append(wide(there + 1)).wait().is_err());
    let payments = |engine: &Engine| rows(engine).iter().map(|row| row.payments).sum::<u64>();
    assert_eq!(payments(&engine), there);
    assert_eq!(log(&engine).0.len() as u64, there);

    fs::remove_file(&ballast).unwrap();
    for n in there + 1..=there + 5 {
        assert_eq!(engine.append(wide(n)).wait().unwrap().last, n);
    }
    engine.checkpoint().wait().unwrap();
    assert_eq!(engine.health().checkpoint_failure, None);
    engine.close().wait().unwrap();
    let engine = open(&folder).unwrap();
    engine.wait_ready().wait().unwrap();
    assert_eq!(payments(&engine), there + 5);
    let (read, error) = log(&engine);
    assert!(error.is_none() && read == (1..=there + 5).map(wide).collect::<Vec<_>>());
    engine.close().wait().unwrap();
}
