//! The power goes, at any moment, and takes with it any part of what was not synced.
//!
//! An engine works on a disk that remembers everything (`faulty-vfs`): appends, decisions and reactions of all kinds from several threads, frequent checkpoints, folded write-ahead logs,
//! closings, changed projections. What it did is then cut off at random points, and of each point images are made as a power cut could leave them; the
//! crate's page says what is assumed of disks. Each image is opened and held against what had been acknowledged. Some are worked on in turn, so that the power goes
//! during a recovery, too.
//!
//! `POWER_IMAGES=1000000` makes it longer, `POWER_SEED=..` repeats the choices (not the races of threads, so an image that fails is kept).

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cqrs_core::prelude::*;
use faulty_vfs::{Disk, Entry, Fault, Image, Medium, Random, Survival};
use integration_tests::bank::{self, Answer, Booked, Books, OPENER, Order};
use integration_tests::follow::{Echoed, Followed, Followers, Trail};

/// What a worker did in a step: one event, or several as one batch.
#[event]
#[derive(Debug, Clone, PartialEq)]
pub enum Did {
    Single { worker: u32, step: u64, account: u8, amount: i64, note: String },
    Part { worker: u32, step: u64, part: u32, of: u32, account: u8, amount: i64 },
    Booked(Booked),
    Echoed(Echoed),
    Followed(Followed),
}

impl Did {
    /// Worker, step, part and number of parts.
    fn place(&self) -> (u32, u64, u32, u32) {
        match *self {
            Self::Single { worker, step, .. } => (worker, step, 0, 1),
            Self::Part { worker, step, part, of, .. }
            | Self::Booked(Booked { worker, step, part, of, .. }) => (worker, step, part, of),
            Self::Echoed(_) | Self::Followed(_) => (FOLLOWING, 0, 0, 1),
        }
    }

    fn change(&self) -> Option<(u8, i64)> {
        match *self {
            Self::Single { account, amount, .. } | Self::Part { account, amount, .. } => {
                Some((account, amount))
            }
            Self::Booked(_) | Self::Echoed(_) | Self::Followed(_) => None,
        }
    }

    fn id(&self) -> Option<String> {
        let (worker, step, part, _) = self.place();
        (worker < NAMED).then(|| format!("{worker}/{step}/{part}"))
    }
}

/// How far each worker is.
#[projection(from = Did { Single, Part, .. }, group_by = worker)]
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    worker: u32,
    #[last(step)]
    step: u64,
    #[count]
    events: u64,
    #[max(meta.position)]
    position: u64,
}

/// Some of its rows are hidden.
#[projection(from = Did { Single, Part, .. }, group_by = account, having = amount % 3 != 0)]
#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    account: u8,
    #[sum(amount)]
    amount: i64,
    #[min(amount)]
    least: i64,
}

/// One name, two shapes: whichever is asked for, the other's checkpoint is of no use to it.
#[projection(from = Did { Single, Part, .. }, group_by = account, name = "shape")]
#[derive(Debug, Clone, PartialEq)]
pub struct Round {
    account: u8,
    #[count]
    events: u64,
}

/// The other shape.
#[projection(from = Did { Single, Part, .. }, group_by = (odd = step % 2 == 1), name = "shape")]
#[derive(Debug, Clone, PartialEq)]
pub struct Square {
    odd: bool,
    #[sum(amount)]
    amount: i64,
}

/// Workers that name their events.
const NAMED: u32 = 2;
const WORKERS: u32 = 3;
/// Who appends to an image, to see that it can be appended to.
const VISITOR: u32 = 9;

/// Workers that decide, all of them under keys.
const DECIDING: std::ops::Range<u32> = 20..23;

/// Whose events follow from bookings: a reaction's.
const FOLLOWING: u32 = u32::MAX;

fn decides(worker: u32) -> bool {
    DECIDING.contains(&worker) || worker == OPENER
}

/// What a worker does in a step: the same whenever it is asked.
fn events_of(worker: u32, step: u64) -> Vec<Did> {
    if decides(worker) {
        return Order::of(worker, step).events().iter().cloned().map(Did::Booked).collect();
    }
    let mut random = Random(u64::from(worker) << 40 | step);
    let mut change = || (random.below(12) as u8, random.below(1000) as i64 - 500);
    if !step.is_multiple_of(3) {
        let (account, amount) = change();
        // Some fit into a page many times, some take several.
        let width = [0, 1, 30, 200, 900, 5_000][(step % 6) as usize];
        return vec![Did::Single { worker, step, account, amount, note: "x".repeat(width) }];
    }
    let of = 2 + (step % 5) as u32;
    let part = |part| {
        let (account, amount) = change();
        Did::Part { worker, step, part, of, account, amount }
    };
    (0..of).map(part).collect()
}

fn named(event: Did) -> NewEvent {
    let id = event.id();
    let event = NewEvent::new(event).meta("of", "power");
    match id {
        Some(id) => event.id(id),
        None => event,
    }
}

fn open(folder: &Path, random: &mut Random) -> Result<(Engine, bool), String> {
    let round = random.one_in(2);
    let builder = Engine::open(folder).map_err(|error| format!("it is refused: {error}"))?;
    let builder = bank::views(builder)
        .view::<Progress>()
        .view::<Account>()
        .checkpoint_every(Duration::from_millis(random.below(4)), 1 + random.below(12))
        .group_limits(1 + random.below(20) as usize, 1 << 20);
    let builder = if round { builder.view::<Round>() } else { builder.view::<Square>() };
    Ok((builder.start().map_err(|error| format!("it does not start: {error}"))?, round))
}

/// What is noted in the trace.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Note {
    Begun {
        worker: u32,
        step: u64,
    },
    Acknowledged {
        worker: u32,
        step: u64,
        first: u64,
        last: u64,
    },
    Refused {
        worker: u32,
        step: u64,
    },
    /// The reactions said that they are here.
    Positions([u64; 5]),
    /// A reaction did something outside of the store.
    Told(u64),
}

/// What an engine did.
struct Story {
    /// The log that it found.
    before: Vec<Did>,
    /// Whether reactions run.
    reacts: bool,
    /// What had been told then, as that store has it.
    told: u64,
    trace: Vec<Entry>,
    notes: Vec<Note>,
}

/// Where a story begins: what is on the disk, and the log that it comes to.
type Start = (Image, Vec<Did>);

/// Lets an engine work on a disk that remembers it.
fn record(random: &mut Random, start: Option<Start>, fault: Option<Fault>) -> Result<Story, String> {
    let place = place();
    let folder = place.path().join("store");
    let (image, before) = start.unwrap_or((Image(BTreeMap::new()), Vec::new()));
    image.write_to(&folder).unwrap();
    let disk = Arc::new(Disk::watch(&folder));
    if let Some(fault) = fault {
        disk.fail(fault);
    }
    let notes = Arc::new(Mutex::new(Vec::new()));
    let note = {
        let (disk, notes) = (disk.clone(), notes.clone());
        move |what: Note| {
            let mut notes = notes.lock().unwrap();
            disk.note(notes.len() as u64);
            notes.push(what);
        }
    };
    let (mut told, reacts) = (0, random.one_in(REACTING));
    let mut done: BTreeMap<u32, u64> =
        before.iter().map(|event| (event.place().0, event.place().1)).collect();
    for session in 0..1 + random.below(4) {
        let (engine, _) = open(&folder, random)?;
        if session == 0 {
            told = engine.source("@react/tell").map_err(|error| error.to_string())?.unwrap_or(0);
        }
        let tell = note.clone();
        let begin = || Followers::begin(&engine, move |position| tell(Note::Told(position)));
        let followers = reacts.then(begin).transpose().map_err(|error| error.to_string())?;
        let positions =
            || followers.iter().for_each(|followers| note(Note::Positions(followers.positions())));
        let work = |worker: u32, from: u64, steps: u64, mut random: Random| {
            // What may not have been acknowledged is tried again: it is there once.
            let again = u64::from(session == 0 && worker < NAMED && from > 0);
            for step in from + 1 - again..=from + steps {
                note(Note::Begun { worker, step });
                let append = engine.append_all(events_of(worker, step).into_iter().map(named));
                let append = if random.one_in(3) { append.durable() } else { append };
                let receipt = append.wait().map_err(|error| error.to_string())?;
                note(Note::Acknowledged { worker, step, first: receipt.first, last: receipt.last });
            }
            Ok::<_, String>(())
        };
        let decide = |worker: u32, from: u64, steps: u64, mut random: Random| {
            engine.wait_ready().wait().map_err(|error| error.to_string())?;
            // First the purses are filled, which others do as well. The last that was accepted is sent again.
            let again = u64::from(session == 0 && from > 0);
            let steps = (from + 1 - again..=from + steps).map(|step| (worker, step));
            for (worker, step) in [(OPENER, 1)].into_iter().chain(steps) {
                note(Note::Begun { worker, step });
                let order = Order::of(worker, step).send(&engine);
                let order = if random.one_in(3) { order.durable() } else { order };
                match Answer::of(order.wait()).map_err(|error| format!("{error:?}"))? {
                    Answer::Accepted(first, last) => note(Note::Acknowledged { worker, step, first, last }),
                    Answer::Refused => note(Note::Refused { worker, step }),
                }
                positions();
            }
            bank::sound(&engine)
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..WORKERS)
                .chain(DECIDING)
                .map(|worker| {
                    let (from, steps) = (done.entry(worker).or_default(), random.below(9));
                    let (begin, random) = (*from, Random(random.draw()));
                    *from += steps;
                    let (work, decide) = (&work, &decide);
                    scope.spawn(move || match worker {
                        _ if decides(worker) => decide(worker, begin, steps, random),
                        _ => work(worker, begin, steps, random),
                    })
                })
                .collect();
            match random.below(4) {
                0 => engine.checkpoint().wait().map_err(|error| error.to_string())?,
                1 => fold(&folder.join(["events.db", "views.db"][random.below(2) as usize]), random),
                _ => {}
            }
            workers.into_iter().try_for_each(|worker| worker.join().unwrap())
        })?;
        if let Some(followers) = &followers {
            if random.one_in(3) {
                followers.catch_up(&engine)?;
                positions();
            }
            if random.one_in(3) && !followers.mend().map_err(|error| error.to_string())? {
                return Err("it is parked, and nothing fails".into());
            }
        }
        if random.one_in(2) {
            engine.close().wait().map_err(|error| error.to_string())?;
        }
    }
    let trace = disk.trace();
    let mut medium = Medium::default();
    trace.iter().for_each(|entry| medium.apply(entry));
    for (name, bytes) in medium.image(Survival::Everything, 0).0 {
        assert!(std::fs::read(folder.join(&name)).unwrap() == bytes, "{name} is not what was recorded");
    }
    drop(disk);
    let notes = notes.lock().unwrap().clone();
    Ok(Story { before, reacts, told, trace, notes })
}

/// Folds a write-ahead log before SQLite would by itself, which it does after 4 MiB: the next commit begins it anew.
fn fold(file: &Path, random: &mut Random) {
    let connection = rusqlite::Connection::open(file).unwrap();
    let how = ["PASSIVE", "RESTART", "TRUNCATE"][random.below(3) as usize];
    // Who is in the way stays in the way.
    let _ = connection.execute_batch(&format!("PRAGMA wal_checkpoint({how})"));
}

/// What was promised up to a point of a story.
#[derive(Default)]
struct Promised {
    /// Worker, step, first and last position.
    receipts: Vec<(u32, u64, u64, u64)>,
    begun: BTreeMap<u32, u64>,
    answers: BTreeMap<(u32, u64), Answer>,
    positions: [u64; 5],
    told: BTreeSet<u64>,
}

impl Promised {
    fn note(&mut self, note: Note) {
        match note {
            Note::Begun { worker, step } => {
                self.begun.insert(worker, step);
            }
            Note::Acknowledged { worker, step, first, last } => {
                self.receipts.push((worker, step, first, last));
                self.answers.insert((worker, step), Answer::Accepted(first, last));
            }
            Note::Refused { worker, step } => {
                self.answers.insert((worker, step), Answer::Refused);
            }
            // Those that were noted later may have been read earlier.
            Note::Positions(positions) => {
                self.positions = std::array::from_fn(|n| self.positions[n].max(positions[n]));
            }
            Note::Told(position) => drop(self.told.insert(position)),
        }
    }

    /// The log has what it had and what was acknowledged, beside it at most what was begun, and that whole or not at all.
    fn kept(&self, before: &[Did], log: &[Did]) -> Result<(), String> {
        if !log.starts_with(before) {
            return Err(format!("of {} events that were there, some are not", before.len()));
        }
        for &(worker, step, first, last) in &self.receipts {
            let found = log.get(first as usize - 1..last as usize);
            if found != Some(&*events_of(worker, step)) {
                let there = log.len();
                return Err(format!(
                    "acknowledged at {first}..={last}, and not there: the log has {there} events"
                ));
            }
        }
        let mut last: BTreeMap<u32, u64> = BTreeMap::new();
        let mut rest = log;
        while let Some(event) = rest.first() {
            let (worker, step, ..) = event.place();
            if worker == FOLLOWING {
                rest = &rest[1..];
                continue;
            }
            rest = rest.strip_prefix(&*events_of(worker, step)).ok_or(format!("torn: {event:?}"))?;
            let before = last.insert(worker, step).unwrap_or(0);
            if step <= before || step != before + 1 && !decides(worker) {
                return Err(format!("worker {worker}: step {step} comes after step {before}"));
            }
        }
        for (worker, step) in last {
            let had = before.iter().rev().find(|event| event.place().0 == worker);
            let begun = self.begun.get(&worker).copied().max(had.map(|event| event.place().1));
            if begun < Some(step) {
                return Err(format!(
                    "worker {worker}: step {step} is there, and {begun:?} was the last begun"
                ));
            }
        }
        Ok(())
    }

    /// What was answered to orders holds, and each that was ever begun is there with its key or not at all.
    fn decided(&self, engine: &Engine, books: &Books) -> Result<(), String> {
        for (order, answer) in self.answers.iter().filter(|((worker, _), _)| decides(*worker)) {
            books.answered(engine, *order, *answer)?;
        }
        books.keyed().try_for_each(|order| books.together(engine, order))?;
        for (worker, step) in self.begun.iter().filter(|(worker, _)| decides(**worker)) {
            (1..=*step).try_for_each(|step| books.together(engine, (*worker, step)))?;
        }
        Ok(())
    }
}

fn log(engine: &Engine) -> Result<Vec<Did>, String> {
    let mut events = engine.events::<Did>(1).until_head();
    let mut log = Vec::new();
    while let Some(recorded) = events.next().wait() {
        let recorded = recorded.map_err(|error| format!("the log cannot be read: {error}"))?;
        log.push(recorded.event);
        let id = log.last().and_then(Did::id);
        let follows = log.last().is_some_and(|event| event.place().0 == FOLLOWING);
        if recorded.position != log.len() as u64 || recorded.event_id != id && !follows {
            return Err(format!("{} and {:?} at {}", recorded.position, recorded.event_id, log.len()));
        }
    }
    Ok(log)
}

/// What the orders in the log make of the accounts.
fn books(log: &[Did]) -> Result<Books, String> {
    let (mut books, mut rest) = (Books::default(), (1..).zip(log));
    while let Some((first, event)) = rest.next() {
        let Did::Booked(event) = event else { continue };
        let mut events = vec![event.clone()];
        while events.len() < event.of as usize
            && let Some((_, Did::Booked(event))) = rest.next()
        {
            events.push(event.clone());
        }
        books.enter(first, &events)?;
    }
    Ok(books)
}

/// Every view is what plain loops make of the log.
fn views(engine: &Engine, round: bool, log: &[Did]) -> Result<(), String> {
    let mut progress: BTreeMap<u32, Progress> = BTreeMap::new();
    let mut accounts: BTreeMap<u8, Account> = BTreeMap::new();
    let mut rounds: BTreeMap<u8, u64> = BTreeMap::new();
    let mut squares: BTreeMap<bool, i64> = BTreeMap::new();
    for (position, event) in (1..).zip(log) {
        let ((worker, step, ..), Some((account, amount))) = (event.place(), event.change()) else { continue };
        let row = progress.entry(worker).or_insert(Progress { worker, step, events: 0, position });
        (row.step, row.events, row.position) = (step, row.events + 1, position);
        let row = accounts.entry(account).or_insert(Account { account, amount: 0, least: amount });
        (row.amount, row.least) = (row.amount + amount, row.least.min(amount));
        *rounds.entry(account).or_default() += 1;
        *squares.entry(step % 2 == 1).or_default() += amount;
    }
    books(log)?.shown(engine)?;
    same(engine, progress.into_values())?;
    same(engine, accounts.into_values().filter(|row| row.amount % 3 != 0))?;
    if round {
        same(engine, rounds.into_iter().map(|(account, events)| Round { account, events }))
    } else {
        same(engine, squares.into_iter().map(|(odd, amount)| Square { odd, amount }))
    }
}

fn same<P: Projection + Debug>(engine: &Engine, expected: impl Iterator<Item = P>) -> Result<(), String> {
    let sorted = |rows: Vec<P>| {
        let mut rows: Vec<String> = rows.iter().map(|row| format!("{row:?}")).collect();
        rows.sort();
        rows
    };
    let rows = engine.view::<P>().rows().map_err(|error| format!("{}: {error}", P::RUST_NAME))?;
    let (rows, expected) = (sorted(rows.collect()), sorted(expected.collect()));
    if rows == expected { Ok(()) } else { Err(format!("{}: {rows:?} and not {expected:?}", P::RUST_NAME)) }
}

/// The views that an image has a whole checkpoint of, as plain SQLite sees it.
fn saved(image: &Image) -> Vec<String> {
    let place = place();
    let views = |name: &String| name.starts_with("views.db");
    let files =
        image.0.iter().filter(|(name, _)| views(name)).map(|(name, bytes)| (name.clone(), bytes.clone()));
    Image(files.collect()).write_to(place.path()).unwrap();
    let connection = rusqlite::Connection::open(place.path().join("views.db")).unwrap();
    let Ok(mut select) = connection.prepare("SELECT name FROM _views WHERE fingerprint GLOB '*[1-9a-f]*'")
    else {
        // It had not been created yet.
        return Vec::new();
    };
    let names = select.query_map([], |row| row.get(0)).unwrap();
    names.map(Result::unwrap).collect()
}

/// Of so many stories, one has reactions, and of so many images of it, one has them go on: they take as long as the rest.
const REACTING: u64 = 3;

/// What an image turned out to be.
struct Found {
    log: Vec<Did>,
    /// How many views went on from a checkpoint.
    resumed: u64,
}

/// Opens an image and looks at everything, appends to it, closes it, and looks at everything again.
fn check(
    folder: &Path,
    saved: &[String],
    story: &Story,
    promised: &Promised,
    random: &mut Random,
) -> Result<Found, String> {
    let look = |random: &mut Random| {
        let (engine, round) = open(folder, random)?;
        for view in engine.health().views {
            // The one of two shapes may be the other's.
            if view.checkpoint.is_none() && view.name != "shape" && saved.iter().any(|name| name == view.name)
            {
                return Err(format!("the checkpoint of {} is there, and of no use", view.name));
            }
        }
        let resumed = engine.health().views.iter().filter(|view| view.checkpoint.is_some()).count() as u64;
        engine.wait_ready().wait().map_err(|error| format!("a view is not ready: {error}"))?;
        let log = log(&engine)?;
        views(&engine, round, &log)?;
        Ok::<_, String>((engine, round, Found { log, resumed }))
    };
    let (engine, round, found) = look(random)?;
    promised.kept(&story.before, &found.log)?;
    promised.decided(&engine, &books(&found.log)?)?;
    let mut trail = Trail::default();
    trail.read(&engine)?;
    trail.stored(&engine, promised.positions)?;
    trail.were_told(&promised.told, story.told)?;
    let reacts = story.reacts && random.one_in(REACTING);
    if reacts {
        let followers = trail.caught_up(&engine, promised.positions, |_| {})?;
        if random.one_in(2) {
            trail.mended(&engine, &followers)?;
        }
    }
    let there = if reacts { log(&engine)? } else { found.log.clone() };
    let more = events_of(VISITOR, 1 + random.below(6));
    let append = engine.append_all(more.clone().into_iter().map(named));
    let receipt = append.wait().map_err(|error| format!("it takes no appends: {error}"))?;
    let log = [&*there, &*more].concat();
    if (receipt.first, receipt.last) != (there.len() as u64 + 1, log.len() as u64) {
        return Err(format!("the next events stand at {}..={}", receipt.first, receipt.last));
    }
    views(&engine, round, &log)?;
    engine.close().wait().map_err(|error| format!("it does not close: {error}"))?;
    let (engine, _, again) = look(random)?;
    if again.log != log {
        return Err("the log is another after it was opened again".into());
    }
    if reacts {
        let again = |position| panic!("{position} is told again, after the engine was closed");
        drop(trail.caught_up(&engine, [u64::MAX; 5], again)?);
    }
    engine.close().wait().map_err(|error| format!("it does not close again: {error}"))?;
    let mut names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    match names.find(|name| name.to_string_lossy().contains("damaged")) {
        Some(name) => Err(format!("the checkpoints were found damaged: {}", name.display())),
        None => Ok(found),
    }
}

/// Where images are made: in memory, if there is such a place.
fn place() -> tempfile::TempDir {
    let memory = PathBuf::from("/dev/shm");
    let within = if memory.is_dir() { memory } else { std::env::temp_dir() };
    tempfile::Builder::new().prefix("cqrs-power-").tempdir_in(within).unwrap()
}

/// What has been done.
#[derive(Default)]
struct Figures {
    stories: AtomicU64,
    recoveries: AtomicU64,
    cuts: AtomicU64,
    images: AtomicU64,
    acknowledged: AtomicU64,
    at_stake: AtomicU64,
    resumed: AtomicU64,
    different: Mutex<HashSet<u64>>,
}

fn add(figure: &AtomicU64, more: u64) {
    figure.fetch_add(more, Ordering::Relaxed);
}

/// An image that has not all that it should have.
struct Wanting {
    why: String,
    /// Where it is: as it was made, and as it was left.
    place: tempfile::TempDir,
}

/// Cuts a story at random points, and checks images of each. Answers with one that stood the test, for another story to begin with.
fn cut(story: &Story, cuts: u64, random: &mut Random, figures: &Figures) -> Result<Option<Start>, Wanting> {
    // What was there when the story began was there all at once.
    let found = story.trace.iter().take_while(|entry| matches!(entry, Entry::Found { .. })).count() as u64;
    // Half of the cuts right around what matters: a sync, or an answer.
    let length = story.trace.len() as u64 + 1 - found;
    let telling: Vec<u64> = (0_u64..)
        .zip(&story.trace)
        .filter(|(_, entry)| matches!(entry, Entry::Synced { .. } | Entry::FolderSynced | Entry::Note(_)))
        .map(|(at, _)| at)
        .collect();
    let mut points: Vec<u64> = (0..cuts)
        .map(|cut| match (cut % 2, telling.len() as u64) {
            (1, some @ 1..) => telling[random.below(some) as usize] + random.below(2),
            _ => found + random.below(length),
        })
        .collect();
    points.sort_unstable();
    points.dedup();
    let (mut medium, mut promised, mut at) = (Medium::default(), Promised::default(), 0);
    let mut next = None;
    for point in points {
        for entry in &story.trace[at..point as usize] {
            medium.apply(entry);
            if let Entry::Note(number) = entry {
                promised.note(story.notes[*number as usize]);
            }
        }
        at = point as usize;
        add(&figures.cuts, 1);
        for survival in [random.below(8), random.below(8), 6, 7].map(|n| Survival::ALL[n as usize]) {
            let seed = random.draw();
            let mut image = medium.image(survival, seed);
            figures.different.lock().unwrap().insert(image.fingerprint());
            let database = ["events.db", "views.db"][random.below(2) as usize];
            if random.one_in(4) && image.0.contains_key(database) {
                // The shared memory is a file that nobody syncs: it may hold anything.
                let shared = (0..32_768).map(|_| random.draw() as u8).collect();
                image.0.insert(format!("{database}-shm"), shared);
            }
            let place = place();
            let folder = place.path().join("store");
            image.write_to(&folder).unwrap();
            match check(&folder, &saved(&image), story, &promised, random) {
                Ok(found) => {
                    add(&figures.images, 1);
                    add(&figures.acknowledged, promised.receipts.len() as u64);
                    add(&figures.at_stake, u64::from(medium.at_stake() > 0));
                    add(&figures.resumed, found.resumed);
                    if random.one_in(20) {
                        next = Some((image, found.log));
                    }
                }
                Err(why) => {
                    image.write_to(&place.path().join("image")).unwrap();
                    let why =
                        format!("{why}\ncut at {point} of {}, {survival:?}, seed {seed}", story.trace.len());
                    return Err(Wanting { why, place });
                }
            }
        }
    }
    Ok(next)
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

fn seed() -> u64 {
    let clock = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let seed = number("POWER_SEED", clock() as u64);
    eprintln!("POWER_SEED={seed}");
    seed
}

#[test]
fn whatever_a_power_cut_leaves_has_everything_that_was_acknowledged() {
    let (seed, wanted, begun) = (seed(), number("POWER_IMAGES", 4_000), Instant::now());
    let (figures, chain) = (Figures::default(), AtomicU64::new(0));
    // Stories that go on from one another, each such chain with a seed of its own.
    let tell = || {
        while figures.images.load(Ordering::Relaxed) < wanted {
            let number = chain.fetch_add(1, Ordering::Relaxed);
            let mut random = Random(Random(seed ^ number << 32).draw());
            let mut start = None;
            for generation in 0..1 + random.below(4) {
                let at = format!("POWER_SEED={seed}, chain {number}, generation {generation}");
                let story =
                    record(&mut random, start.take(), None).unwrap_or_else(|why| panic!("{at}: {why}"));
                add(&figures.stories, 1);
                add(&figures.recoveries, u64::from(generation > 0));
                start = cut(&story, 40, &mut random, &figures).unwrap_or_else(|Wanting { why, place }| {
                    panic!("{at}: {why}; it is kept in {}", place.keep().display())
                });
                if start.is_none() || figures.images.load(Ordering::Relaxed) >= wanted {
                    break;
                }
            }
        }
    };
    std::thread::scope(|scope| {
        (0..2).for_each(|_| drop(scope.spawn(tell)));
    });
    let of = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
    eprintln!(
        "{} images ({} different, {} with something at stake) at {} cuts of {} stories ({} of them began with a recovery); \
         {} acknowledged appends and orders looked for and found, {} views resumed; {:.1?}",
        of(&figures.images),
        figures.different.lock().unwrap().len(),
        of(&figures.at_stake),
        of(&figures.cuts),
        of(&figures.stories),
        of(&figures.recoveries),
        of(&figures.acknowledged),
        of(&figures.resumed),
        begun.elapsed()
    );
    assert!(of(&figures.at_stake) * 2 > of(&figures.images), "most cuts hit something that was under way");
    assert!(of(&figures.resumed) > of(&figures.images), "checkpoints survive, too");
}

/// Cuts stories until one of their images is found wanting, and answers why.
fn caught(mut story: impl FnMut(&mut Random) -> Story) -> String {
    let (mut random, figures) = (Random(seed()), Figures::default());
    for _ in 0..20 {
        let story = story(&mut random);
        if let Err(wanting) = cut(&story, 40, &mut random, &figures) {
            return wanting.why;
        }
    }
    panic!("{} images, and nothing was noticed", figures.images.load(Ordering::Relaxed));
}

#[test]
fn a_disk_that_only_says_it_synced_is_caught() {
    let lying = || Fault::swallowed_sync().file("events.db-wal").from_then_on();
    let why = caught(|random| record(random, None, Some(lying())).unwrap());
    assert!(why.contains("and not there"), "{why}");
}

#[test]
fn an_acknowledgement_that_comes_too_soon_is_caught() {
    let why = caught(|random| {
        let mut story = record(random, None, None).unwrap();
        // As if each append had been answered when it was begun.
        for at in 0..story.notes.len() {
            if let Note::Begun { worker, step } = story.notes[at] {
                let answer = |note: &Note| matches!(note, Note::Acknowledged { worker: w, step: s, .. } if (*w, *s) == (worker, step));
                // An order may have been refused.
                let Some(answer) = story.notes.iter().position(answer) else { continue };
                story.trace.retain(|entry| *entry != Entry::Note(answer as u64));
                let begun = story.trace.iter().position(|entry| *entry == Entry::Note(at as u64)).unwrap();
                story.trace.insert(begun + 1, Entry::Note(answer as u64));
            }
        }
        story
    });
    assert!(why.contains("and not there"), "{why}");
}
