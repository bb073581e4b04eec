//! A process that is killed at any moment: a child appends, decides, reacts, feeds, checkpoints and rebuilds on one folder over and over, and is killed with SIGKILL
//! at random moments; the parent then holds the folder against what the child said it had been promised.
//!
//! `CRASH_KILLS=10000` makes it longer (`tests/long.sh`), `CRASH_SEED=..` repeats the moments and choices (not the races).

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::future::Future;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Command, Stdio};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use cqrs_core::prelude::*;
use cqrs_core::{Builder, FeedItem, stream};
use integration_tests::bank::{self, Answer, Booked, Books, KEYLESS, OPENER, Order};
use integration_tests::follow::{Echoed, Followed, Followers, Trail};

/// What a thread of the child did in a step: one event, or several as one batch.
#[event]
#[derive(Debug, Clone, PartialEq)]
pub enum Did {
    Single { worker: u32, step: u64, account: u8, amount: i64 },
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

/// Many rows, each written often; some of them hidden.
#[projection(from = Did { Single, Part, .. }, group_by = (account, worker), having = amount % 3 != 0)]
#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    account: u8,
    worker: u32,
    #[sum(amount)]
    amount: i64,
    #[min(amount)]
    least: i64,
}

/// One name, two shapes: whichever a run asks for, the other's checkpoint is of no use to it.
#[projection(from = Did { Single, Part, .. }, group_by = account, name = "shape")]
#[derive(Debug, Clone, PartialEq)]
pub struct Round {
    account: u8,
    #[count]
    events: u64,
}

/// The other shape.
#[projection(from = Did { Single, Part, .. }, group_by = (odd = step % 2 == 1, account), name = "shape")]
#[derive(Debug, Clone, PartialEq)]
pub struct Square {
    odd: bool,
    account: u8,
    #[sum(amount)]
    amount: i64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    Round,
    Square,
}

fn open(folder: &Path, shape: Shape) -> Engine {
    start(Engine::open(folder).unwrap(), shape)
}

fn read(folder: &Path, shape: Shape) -> Engine {
    let engine = start(Engine::open_read_only(folder).unwrap(), shape);
    engine.wait_ready().wait().unwrap();
    engine
}

fn start(builder: Builder, shape: Shape) -> Engine {
    let builder = bank::views(builder)
        .view::<Progress>()
        .view::<Account>()
        .checkpoint_every(Duration::from_millis(3), 40)
        .group_limits(64, 1 << 20);
    let builder = match shape {
        Shape::Round => builder.view::<Round>(),
        Shape::Square => builder.view::<Square>(),
    };
    builder.start().unwrap()
}

/// Numbers that look random and are the same for the same seed (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// Workers that name their events, and after a kill try the step again that was not acknowledged.
const NAMED: u32 = 3;

/// Workers that decide: their orders have keys, and after a kill the one is sent again that was not acknowledged, and the last that was.
const DECIDING: std::ops::Range<u32> = 20..24;

/// Whose events follow from bookings: a reaction's.
const FOLLOWING: u32 = u32::MAX;

fn decides(worker: u32) -> bool {
    DECIDING.contains(&worker) || worker >= KEYLESS && worker != FOLLOWING
}

/// What a worker does in a step: the same whenever it is asked.
fn events_of(worker: u32, step: u64) -> Vec<Did> {
    if decides(worker) {
        return Order::of(worker, step).events().iter().cloned().map(Did::Booked).collect();
    }
    let mut random = Random(u64::from(worker) << 40 | step);
    let mut change = || (random.below(200) as u8, random.below(1000) as i64 - 500);
    let of = match step % 3 {
        0 => 2 + (step % 5) as u32,
        _ => 1,
    };
    if of == 1 {
        let (account, amount) = change();
        return vec![Did::Single { worker, step, account, amount }];
    }
    let part = |part| {
        let (account, amount) = change();
        Did::Part { worker, step, part, of, account, amount }
    };
    (0..of).map(part).collect()
}

fn id_of(event: &Did) -> String {
    let (worker, step, part, _) = event.place();
    format!("{worker}/{step}/{part}")
}

/// A worker whose steps are a source: they are fed, and after a kill fed again from some earlier place.
const FED: u32 = 50;
const SOURCE: &str = "source/50";

/// Where a step of the source is: offsets have gaps.
fn offset_of(step: u64) -> u64 {
    step * 5 + Random(step).below(5)
}

/// The last step up to an offset.
fn step_at(offset: Option<u64>) -> u64 {
    offset.map_or(0, |offset| offset / 5)
}

/// What is acknowledged: worker, step, first and last position; of a refused order, two zeros.
type Receipts = Vec<(u32, u64, u64, u64)>;

fn receipts(file: &Path) -> Receipts {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let line = |line: &str| {
        let mut numbers = line.split(' ').map(|number| number.parse::<u64>().unwrap());
        let mut next = || numbers.next().unwrap();
        (next() as u32, next(), next(), next())
    };
    whole.lines().map(line).collect()
}

/// What `tell` does in a run: a line for each booking. Every second run is the parent's.
fn telling(folder: &Path, run: u64) -> impl FnMut(u64) + Send + 'static {
    let mut lines = File::options().append(true).create(true).open(folder.with_extension("lines")).unwrap();
    move |position| lines.write_all(format!("{run} {position}\n").as_bytes()).unwrap()
}

/// The child: works until it is killed. Its panics are the parent's failures.
#[test]
#[ignore = "the child of the test below"]
fn child() {
    let Ok(folder) = std::env::var("CRASH_FOLDER") else { return };
    let folder = PathBuf::from(folder);
    let run: u32 = std::env::var("CRASH_RUN").unwrap().parse().unwrap();
    let shape = if run % 4 < 2 { Shape::Round } else { Shape::Square };
    let told = folder.with_extension("receipts");
    let mut done: HashMap<u32, u64> = HashMap::new();
    for (worker, step, ..) in receipts(&told) {
        let last = done.entry(worker).or_default();
        *last = step.max(*last);
    }
    let engine = open(&folder, shape);
    let out = File::options().append(true).create(true).open(&told).unwrap();

    let work = |worker: u32| {
        let progress = engine.view::<Progress>();
        for step in done.get(&worker).copied().unwrap_or(0) + 1.. {
            let events = events_of(worker, step);
            let named = worker < NAMED;
            let new = |event: &Did| {
                let new = NewEvent::new(event.clone()).meta("run", run.to_string());
                if named { new.id(id_of(event)) } else { new }
            };
            let durable = step % 4 == 1;
            let append = engine.append_all(events.iter().map(new));
            let receipt = if durable { append.durable().wait() } else { append.wait() }.unwrap();
            assert_eq!(receipt.len(), events.len() as u64);
            // One write, so that a kill leaves a line or none.
            let line = format!("{worker} {step} {} {}\n", receipt.first, receipt.last);
            (&out).write_all(line.as_bytes()).unwrap();
            if !durable {
                let row = progress.get(worker).unwrap().expect("its events were acknowledged");
                assert_eq!(row.step, step, "worker {worker} reads what it wrote");
                assert_eq!(row.position, receipt.last);
            }
        }
    };
    let feed = || {
        let fed = File::options().append(true).create(true).open(folder.with_extension("fed")).unwrap();
        let mut random = Random(u64::from(run));
        loop {
            let stored = step_at(engine.source(SOURCE).unwrap());
            // Replayed from its start now and then, mostly from a little before; now and then given up half-way.
            let from = if random.below(16) == 0 { 1 } else { stored.saturating_sub(random.below(50)).max(1) };
            let (to, gives_up) = (stored + 1 + random.below(150), random.below(4) == 0);
            let steps = (from..=to).map(|step| FeedItem::all(offset_of(step), events_of(FED, step)));
            let mut feed = engine.feed(SOURCE, stream(steps));
            if gives_up {
                let mut context = Context::from_waker(Waker::noop());
                for _ in 0..random.below(4) {
                    let _ = Pin::new(&mut feed).poll(&mut context);
                    std::thread::sleep(Duration::from_micros(random.below(500)));
                }
                continue;
            }
            let done = feed.wait().unwrap();
            // One that was given up may have been further.
            let to = step_at(done.offset).max(to);
            assert_eq!(done.offset, Some(offset_of(to)));
            (&fed).write_all(format!("{to}\n").as_bytes()).unwrap();
            let row = engine.view::<Progress>().get(FED).unwrap().expect("its events were acknowledged");
            assert_eq!(row.step, to, "the feed reads what it wrote");
        }
    };
    let decide = |worker: u32| {
        engine.wait_ready().wait().unwrap();
        let last = receipts(&told).into_iter().rev().find(|told| told.0 == worker);
        let (last, again) = match last {
            Some((_, step, first, last)) => (step, (first > 0).then_some(Answer::Accepted(first, last))),
            None => (0, None),
        };
        let order = || Order::of(OPENER, 1).send(&engine).wait().unwrap();
        assert_eq!(order(), order(), "it happened once");
        if let Some(answer) = again {
            let said = Answer::of(Order::of(worker, last).send(&engine).wait()).unwrap();
            assert_eq!(said, answer, "worker {worker}: step {last} was acknowledged before");
        }
        for step in last + 1.. {
            let send = || {
                let order = Order::of(worker, step).send(&engine);
                if step % 4 == 1 { order.durable() } else { order }
            };
            // Some are sent twice at once.
            let mut twin = (worker < KEYLESS && step % 5 == 0).then(send);
            if let Some(twin) = &mut twin {
                let _ = Pin::new(twin).poll(&mut Context::from_waker(Waker::noop()));
            }
            let mut answer = Answer::of(send().wait()).unwrap();
            if let Some(twin) = twin.map(|twin| Answer::of(twin.wait()).unwrap()) {
                // A refusal is not remembered.
                let refused = [answer, twin].contains(&Answer::Refused);
                assert!(refused || answer == twin, "worker {worker}, step {step}: {answer:?}, {twin:?}");
                answer = if answer == Answer::Refused { twin } else { answer };
            }
            let (first, last) = match answer {
                Answer::Accepted(first, last) => (first, last),
                Answer::Refused => (0, 0),
            };
            (&out).write_all(format!("{worker} {step} {first} {last}\n").as_bytes()).unwrap();
            if step % 4 != 1 && first > 0 {
                bank::shown(&engine, &Order::of(worker, step), first).unwrap();
            }
            bank::sound(&engine).unwrap();
        }
    };
    let followers = Followers::begin(&engine, telling(&folder, u64::from(run) * 2 + 1)).unwrap();
    let follow = || {
        let mut said = File::options().append(true).create(true).open(folder.with_extension("said")).unwrap();
        let (mut random, mut before) = (Random(u64::from(run)), [0; 5]);
        loop {
            let now = followers.positions();
            assert!((0..5).all(|n| before[n] <= now[n]), "{before:?} {now:?}");
            before = now;
            let [a, b, c, d, e] = now;
            said.write_all(format!("{a} {b} {c} {d} {e}\n").as_bytes()).unwrap();
            if random.below(16) == 0 {
                assert!(followers.mend().unwrap(), "nothing fails now");
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    };
    let nameless = 100 + run;
    // A panic must end the process, and not only its thread.
    let guarded = |work: &dyn Fn()| {
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_err() {
            std::process::exit(1);
        }
    };
    std::thread::scope(|scope| {
        for worker in (0..NAMED).chain([nameless]) {
            let work = &work;
            scope.spawn(move || guarded(&|| work(worker)));
        }
        for worker in DECIDING.chain([KEYLESS + run]) {
            let decide = &decide;
            scope.spawn(move || guarded(&|| decide(worker)));
        }
        scope.spawn(|| guarded(&feed));
        scope.spawn(|| guarded(&follow));
        scope.spawn(|| {
            loop {
                engine.checkpoint().wait().unwrap();
                std::thread::yield_now();
            }
        });
    });
}

/// What the parent knows of the log: it never changes but at its end.
#[derive(Default)]
struct Known {
    log: Vec<Did>,
    /// Receipts that have been found in it.
    checked: usize,
    named_steps: BTreeMap<u32, u64>,
    books: Books,
    /// What was answered to orders, as far as `checked`.
    answers: BTreeMap<(u32, u64), Answer>,
    trail: Trail,
    /// How much of what was told has been looked at, in bytes.
    told: usize,
}

impl Known {
    /// Reads on from where it stopped, or everything again.
    fn read(&mut self, engine: &Engine, everything: bool) {
        let from = if everything { 0 } else { self.log.len() };
        let mut events = engine.events::<Did>(from as u64 + 1).until_head();
        let mut at = from;
        while let Some(recorded) = events.next().wait() {
            let recorded = recorded.unwrap();
            at += 1;
            assert_eq!(recorded.position, at as u64, "positions have no gaps");
            let (worker, ..) = recorded.event.place();
            if worker != FOLLOWING {
                assert_eq!(recorded.event_id, (worker < NAMED).then(|| id_of(&recorded.event)));
            }
            match self.log.get(at - 1) {
                Some(known) => assert_eq!(recorded.event, *known, "position {at} was something else before"),
                None => self.log.push(recorded.event),
            }
        }
        assert!(at >= self.log.len(), "the log was longer before: {} events, now {at}", self.log.len());
        assert_eq!(engine.health().position, at as u64);
        self.whole(from);
    }

    /// Every batch is whole and in one piece, and every named worker's steps are there once, in order.
    fn whole(&mut self, from: usize) {
        if from == 0 {
            self.named_steps.clear();
            self.books = Books::default();
        }
        let mut at = from;
        while at < self.log.len() {
            let (worker, step, part, of) = self.log[at].place();
            if worker == FOLLOWING {
                at += 1;
                continue;
            }
            assert_eq!(part, 0, "position {}: a batch begins in its middle", at + 1);
            let expected = events_of(worker, step);
            assert_eq!(of as usize, expected.len());
            assert_eq!(self.log.get(at..at + of as usize), Some(&*expected), "position {}: torn", at + 1);
            let last = self.named_steps.entry(worker).or_default();
            if decides(worker) {
                let booked = expected.iter().filter_map(|event| Booked::try_from(event.clone()).ok());
                self.books.enter(at as u64 + 1, &booked.collect::<Vec<_>>()).unwrap();
                assert!(step > *last, "worker {worker}: step {step} comes after step {last}");
            } else {
                assert_eq!(step, *last + 1, "worker {worker}: a step is missing or there twice");
            }
            *last = step;
            at += of as usize;
        }
    }

    /// Everything acknowledged is where it was said to be.
    fn promised(&mut self, engine: &Engine, receipts: &Receipts, everything: bool) {
        let before = std::mem::replace(&mut self.checked, receipts.len());
        for &(worker, step, first, last) in &receipts[before..] {
            if decides(worker) {
                let answer = if first > 0 { Answer::Accepted(first, last) } else { Answer::Refused };
                self.answers.insert((worker, step), answer);
                if !everything {
                    self.books.answered(engine, (worker, step), answer).unwrap();
                }
                continue;
            }
            let found = self.log.get(first as usize - 1..last as usize);
            let expected = events_of(worker, step);
            assert_eq!(found, Some(&*expected), "acknowledged at {first}..={last}, and not there");
        }
        // A worker waits for one answer at a time: at most one step of its is there unacknowledged.
        let mut acknowledged: BTreeMap<u32, u64> = BTreeMap::new();
        for (worker, step, ..) in receipts {
            let last = acknowledged.entry(*worker).or_default();
            *last = (*last).max(*step);
        }
        for (worker, step) in self.named_steps.iter().filter(|(worker, _)| **worker != FED) {
            let acknowledged = acknowledged.get(worker).copied().unwrap_or(0);
            if *worker == OPENER {
                continue;
            }
            assert!(
                *step <= acknowledged + 1,
                "worker {worker} was told {acknowledged}, and {step} are there"
            );
        }
    }

    /// What was answered to orders holds, and their keys and events are together: of the last that may have been under way, or of all there ever were.
    fn decided(&self, engine: &Engine, everything: bool) {
        if everything {
            for (order, answer) in &self.answers {
                self.books.answered(engine, *order, *answer).unwrap();
            }
            self.books.keyed().for_each(|order| self.books.together(engine, order).unwrap());
        }
        for worker in DECIDING {
            let told = self.answers.range((worker, 0)..(worker + 1, 0)).next_back();
            let next = told.map_or(1, |((_, step), _)| step + 1);
            self.books.together(engine, (worker, next)).unwrap();
        }
        self.books.together(engine, (OPENER, 1)).unwrap();
    }

    /// The source is in the log as far as it was acknowledged, and its stored offset is that of its last event there. That each of its steps is there
    /// once, in order, `whole` has seen.
    fn fed(&self, engine: &Engine, fed: &Path) {
        let there = self.named_steps.get(&FED).copied().unwrap_or(0);
        let text = std::fs::read_to_string(fed).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let acknowledged = whole.lines().last().map_or(0, |step| step.parse().unwrap());
        assert!(there >= acknowledged, "fed up to step {acknowledged}, and {there} are there");
        assert_eq!(engine.source(SOURCE).unwrap(), (there > 0).then(|| offset_of(there)));
    }

    /// What follows from bookings is there as far as the reactions were, and after they have caught up, for each once.
    fn followed(&mut self, engine: &Engine, folder: &Path, run: u64, mends: bool) {
        self.trail.read(engine).unwrap();
        self.told(folder);
        let text = std::fs::read_to_string(folder.with_extension("said")).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let mut said = [0; 5];
        let numbers = whole.lines().last().unwrap_or("").split(' ').filter_map(|number| number.parse().ok());
        said.iter_mut().zip(numbers).for_each(|(said, number)| *said = number);
        let followers = self.trail.caught_up(engine, said, telling(folder, run * 2 + 2)).unwrap();
        self.told(folder);
        self.trail.all_told().unwrap();
        self.trail.all_stored();
        if mends {
            self.trail.mended(engine, &followers).unwrap();
        }
    }

    /// Reads on what was told.
    fn told(&mut self, folder: &Path) {
        let text = std::fs::read_to_string(folder.with_extension("lines")).unwrap_or_default();
        for line in text[self.told..].lines() {
            let (run, position) = line.split_once(' ').unwrap();
            self.trail.told(run.parse().unwrap(), position.parse().unwrap()).unwrap();
        }
        self.told = text.len();
    }

    /// Every view is what plain loops make of the log.
    fn views(&self, engine: &Engine, shape: Shape) {
        let mut progress: BTreeMap<u32, Progress> = BTreeMap::new();
        let mut accounts: BTreeMap<(u8, u32), Account> = BTreeMap::new();
        let mut rounds: BTreeMap<u8, u64> = BTreeMap::new();
        let mut squares: BTreeMap<(bool, u8), i64> = BTreeMap::new();
        for (position, event) in (1..).zip(&self.log) {
            let ((worker, step, ..), Some((account, amount))) = (event.place(), event.change()) else {
                continue;
            };
            let row = progress.entry(worker).or_insert(Progress { worker, step, events: 0, position });
            (row.step, row.events, row.position) = (step, row.events + 1, position);
            let row = accounts.entry((account, worker));
            let row = row.or_insert(Account { account, worker, amount: 0, least: amount });
            (row.amount, row.least) = (row.amount + amount, row.least.min(amount));
            *rounds.entry(account).or_default() += 1;
            *squares.entry((step % 2 == 1, account)).or_default() += amount;
        }
        self.books.shown(engine).unwrap();
        same(engine, progress.into_values());
        same(engine, accounts.into_values().filter(|row| row.amount % 3 != 0));
        let rounds = rounds.into_iter().map(|(account, events)| Round { account, events });
        let squares = squares.into_iter().map(|((odd, account), amount)| Square { odd, account, amount });
        match shape {
            Shape::Round => same(engine, rounds),
            Shape::Square => same(engine, squares),
        }
    }
}

fn same<P: Projection + Debug>(engine: &Engine, expected: impl Iterator<Item = P>) {
    let sorted = |rows: Vec<P>| {
        let mut rows: Vec<String> = rows.iter().map(|row| format!("{row:?}")).collect();
        rows.sort();
        rows
    };
    let rows = sorted(engine.view::<P>().rows().unwrap().collect());
    let expected = sorted(expected.collect());
    assert!(rows == expected, "{} is not the fold of the log:\n{rows:?}\n{expected:?}", P::RUST_NAME);
}

/// Runs one of the children on the folder for this long.
fn run_and_kill(child: &str, folder: &Path, run: u64, life: Duration) {
    let errors = folder.with_extension("errors");
    let stderr = OpenOptions::new().create(true).write(true).truncate(true).open(&errors).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([child, "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env("CRASH_FOLDER", folder)
        .env("CRASH_RUN", run.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
        .unwrap();
    std::thread::sleep(life);
    if let Some(status) = child.try_wait().unwrap() {
        panic!("run {run} ended by itself, {status}: {}", std::fs::read_to_string(&errors).unwrap());
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

fn seeded() -> Random {
    let from_clock =
        || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let seed = number("CRASH_SEED", from_clock() as u64);
    eprintln!("CRASH_SEED={seed}");
    Random(seed)
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

#[test]
fn nothing_promised_is_lost_and_nothing_is_there_twice() {
    let kills = number("CRASH_KILLS", 200);
    let from_clock =
        || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let seed = number("CRASH_SEED", 0);
    let seed = if seed == 0 { from_clock() as u64 } else { seed };
    eprintln!("CRASH_SEED={seed}");
    let mut random = Random(seed);
    let mut parent = tempfile::tempdir().unwrap();
    // What a failure left behind is worth a look.
    parent.disable_cleanup(std::env::var_os("CRASH_KEEP").is_some());
    let folder = parent.path().join("store");
    let told = folder.with_extension("receipts");
    let mut known = Known::default();
    let begun = Instant::now();
    // Reads the folder while writers come and are killed.
    let mut reader: Option<Engine> = None;
    let mut reader_shape = Shape::Round;

    for run in 0..kills {
        // Some while the folder is being opened, most in the middle of things.
        let life = if random.below(3) == 0 { random.below(25_000) } else { random.below(250_000) };
        run_and_kill("child", &folder, run, Duration::from_micros(life));

        // Not after every kill: the next child is to find things as the last one left them.
        let last = run + 1 == kills;
        if !last && random.below(3) != 0 {
            continue;
        }
        let shape = if random.below(2) == 0 { Shape::Round } else { Shape::Square };
        let engine = open(&folder, shape);
        engine.wait_ready().wait().unwrap();
        let everything = last || random.below(8) == 0;
        known.followed(&engine, &folder, run, last || random.below(3) == 0);
        known.read(&engine, everything);
        known.promised(&engine, &receipts(&told), everything);
        known.decided(&engine, everything);
        known.fed(&engine, &folder.with_extension("fed"));
        known.views(&engine, shape);
        for view in engine.health().views {
            assert_eq!((view.position, view.lag), (known.log.len() as u64, 0), "{}", view.name);
        }
        let end = engine.append_all::<Did>([]).wait().unwrap();
        match reader.take() {
            Some(reader) => {
                let progress = reader.view::<Progress>();
                let reached = progress.wait_for(&end, Duration::from_secs(20)).wait();
                assert_eq!(reached, Ok(Reached::Reached), "the reader follows through {run} kills");
                known.views(&reader, reader_shape);
            }
            None => {
                reader_shape = shape;
                reader = Some(read(&folder, shape));
            }
        }
        if random.below(2) == 0 {
            engine.close().wait().unwrap();
        }
    }
    let (events, acknowledged) = (known.log.len(), known.checked);
    let elapsed = begun.elapsed();
    let fed = known.named_steps.get(&FED).copied().unwrap_or(0);
    let answered = known.answers.len();
    let refused = known.answers.values().filter(|answer| **answer == Answer::Refused).count();
    let acknowledged = acknowledged - answered;
    let (booked, failing) = known.trail.counts();
    assert!(
        booked > kills as usize && failing > 0,
        "{booked} bookings, {failing} of them not followed at once"
    );
    eprintln!("{booked} bookings followed, {failing} of them parked or mended");
    eprintln!(
        "{kills} kills, {events} events, {acknowledged} appends acknowledged, {fed} items fed, \
         {answered} orders answered ({refused} of them refused), {elapsed:.1?}"
    );
    assert!(answered - refused > kills as usize && refused > 0, "{answered} orders, {refused} refused");
    assert!(fed > kills, "the children fed hardly anything: {fed} items");
    assert!(acknowledged > kills as usize, "the children hardly did anything: {acknowledged} appends");
}

/// One of very many: a view of these is saved by the stretch, so that a kill finds it half saved.
#[event]
#[derive(Debug, Clone, PartialEq)]
pub struct Counted {
    number: u64,
    times: i64,
}

#[projection(from = Counted, group_by = number, name = "many")]
#[derive(Debug, Clone, PartialEq)]
pub struct Many {
    number: u64,
    #[sum(times)]
    times: i64,
}

/// The same name, another fingerprint.
#[projection(from = Counted, group_by = number, name = "many", version = 2)]
#[derive(Debug, Clone, PartialEq)]
pub struct ManyAnew {
    number: u64,
    #[sum(times)]
    times: i64,
    #[count]
    events: u64,
}

const MANY: u64 = 150_000;

fn open_many<P: Projection>(folder: &Path) -> Engine {
    let builder = Engine::open(folder).unwrap().view::<P>().checkpoint_every(Duration::from_millis(1), 10);
    builder.start().unwrap()
}

/// The child: rebuilds the view, and writes to rows that are saved, half saved and new.
#[test]
#[ignore = "the child of the test below"]
fn child_of_many() {
    let Ok(folder) = std::env::var("CRASH_FOLDER") else { return };
    let run: u64 = std::env::var("CRASH_RUN").unwrap().parse().unwrap();
    let folder = PathBuf::from(folder);
    let engine = if run % 4 < 2 { open_many::<Many>(&folder) } else { open_many::<ManyAnew>(&folder) };
    let mut random = Random(run);
    loop {
        let counted = |number| Counted { number, times: 1 };
        let batch = [counted(random.below(MANY)), counted(random.below(MANY + 1000)), counted(1)];
        engine.append_all(batch).wait().unwrap();
    }
}

#[test]
fn a_half_saved_view_is_not_taken_for_a_whole_one() {
    let kills = number("CRASH_KILLS", 200) / 20;
    let mut random = seeded();
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("store");
    let engine = Engine::open(&folder).unwrap().event::<Counted>().start().unwrap();
    for start in (0..MANY).step_by(10_000) {
        let batch = (start..start + 10_000).map(|number| Counted { number, times: 1 });
        engine.append_all(batch).wait().unwrap();
    }
    engine.close().wait().unwrap();
    drop(engine);

    let (mut log, mut read_to) = (vec![(0_i64, 0_u64); MANY as usize + 1000], 0);
    for run in 0..kills {
        run_and_kill("child_of_many", &folder, run, Duration::from_millis(random.below(2500)));
        // With what it was killed at, so that what is saved is taken up; or with the other.
        let anew = if random.below(4) == 0 { run % 4 < 2 } else { run % 4 >= 2 };
        let engine = if anew { open_many::<ManyAnew>(&folder) } else { open_many::<Many>(&folder) };
        let mut events = engine.events::<Counted>(read_to + 1).until_head();
        while let Some(recorded) = events.next().wait() {
            let recorded = recorded.unwrap();
            read_to = recorded.position;
            let (times, events) = &mut log[recorded.event.number as usize];
            (*times, *events) = (*times + recorded.event.times, *events + 1);
        }
        engine.wait_ready().wait().unwrap();
        let there = |number: u64| log[number as usize];
        let mut rows = 0;
        if anew {
            for row in engine.view::<ManyAnew>().rows().unwrap() {
                assert_eq!((row.times, row.events), there(row.number), "run {run}, {}", row.number);
                rows += 1;
            }
        } else {
            for row in engine.view::<Many>().rows().unwrap() {
                assert_eq!(row.times, there(row.number).0, "run {run}, {}", row.number);
                rows += 1;
            }
        }
        assert_eq!(rows, log.iter().filter(|(_, events)| *events > 0).count());
        if random.below(2) == 0 {
            engine.checkpoint().wait().unwrap();
        }
    }
}

/// How many events may be done again by a run: each second one's handler takes its time, and fewer begin in the 100 milliseconds after which it is stored.
fn again_after(run: u64) -> usize {
    if run.is_multiple_of(2) { 256 } else { 52 }
}

/// The child: has a reaction with all there is before it.
#[test]
#[ignore = "the child of the test below"]
fn child_with_a_backlog() {
    let Ok(folder) = std::env::var("CRASH_FOLDER") else { return };
    let run: u64 = std::env::var("CRASH_RUN").unwrap().parse().unwrap();
    let folder = PathBuf::from(folder);
    let engine = Engine::open(&folder).unwrap().event::<Counted>().start().unwrap();
    let mut tell = telling(&folder, run);
    let reaction = engine.react::<Counted>("tell", Since::Beginning, move |event| {
        tell(event.position());
        if !run.is_multiple_of(2) {
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    });
    reaction.unwrap();
    std::thread::sleep(Duration::from_secs(600));
}

#[test]
fn of_a_backlog_no_more_is_done_again_than_is_said() {
    let (kills, mut random) = (number("CRASH_KILLS", 200) / 20, seeded());
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("store");
    let (mut there, mut next, mut before) = (0, 1, 0);
    let mut most = 0;
    for run in 0..kills {
        let engine = Engine::open(&folder).unwrap().event::<Counted>().start().unwrap();
        let stored = engine.source("@react/tell").unwrap().unwrap_or(0);
        assert!(stored < next, "{stored} is stored, and {next} is to be told");
        // More than it comes to.
        while there < next + 20_000 {
            let batch = (0..10_000).map(|number| Counted { number, times: 1 });
            there = engine.append_all(batch).durable().wait().unwrap().last;
        }
        engine.close().wait().unwrap();
        drop(engine);
        run_and_kill("child_with_a_backlog", &folder, run, Duration::from_millis(random.below(350)));
        let text = std::fs::read_to_string(folder.with_extension("lines")).unwrap_or_default();
        let lines = text.lines().map(|line| line.split_once(' ').unwrap());
        let told = lines.filter(|line| line.0 == run.to_string()).map(|line| line.1.parse::<u64>().unwrap());
        let told: Vec<u64> = told.collect();
        let Some(first) = told.first().copied() else { continue };
        assert_eq!(first, stored + 1, "run {run} goes on where it was");
        assert!(told.iter().copied().eq(first..=first + told.len() as u64 - 1), "run {run}: {told:?}");
        let again = (next - first) as usize;
        assert!(again <= again_after(before), "run {run}: {again} are done again, of run {before}");
        (next, before, most) = (first + told.len() as u64, run, most.max(again));
    }
    eprintln!("{next} told, at most {most} again");
    assert!(most > 0 && next > 100 * kills, "{next} told, at most {most} again");
}
