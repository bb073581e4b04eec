//! Decisions: what they see, what conflicts with them, and that some serial order explains them all.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use cqrs_core::prelude::*;
use cqrs_core::{Decide, Refusal, Timestamp};

#[event]
#[derive(Debug, Clone, PartialEq)]
pub struct Moved {
    pub account: String,
    pub part: u32,
    pub amount: i64,
}

#[event]
#[derive(Debug, Clone, PartialEq)]
pub struct Emptied {
    pub account: String,
}

#[projection(from = Moved, remove(Emptied { account, .. }), group_by = (account, part))]
#[derive(Debug, Clone, PartialEq)]
pub struct Balance {
    pub account: String,
    pub part: u32,
    #[sum]
    pub amount: i64,
}

/// The plain kind, whose touched keys are known from the event alone.
#[projection(from = Moved, group_by = account)]
#[derive(Debug, Clone, PartialEq)]
pub struct Total {
    pub account: String,
    #[sum]
    pub amount: i64,
}

/// With an index.
#[projection(from = Moved, group_by = account, index(amount))]
#[derive(Debug, Clone, PartialEq)]
pub struct Ranked {
    pub account: String,
    #[sum]
    pub amount: i64,
}

/// Takes large amounts only.
#[projection(from = Moved if amount >= 1_000, group_by = account)]
#[derive(Debug, Clone, PartialEq)]
pub struct Large {
    pub account: String,
    #[count]
    pub moves: u64,
}

/// A view over a view.
#[projection(from = Total, group_by = (rich = amount > 100))]
#[derive(Debug, Clone, PartialEq)]
pub struct Riches {
    pub rich: bool,
    #[count]
    pub accounts: u64,
}

#[derive(Debug, Clone, PartialEq)]
struct Missing(i64);

fn moved(account: &str, part: u32, amount: i64) -> Moved {
    Moved { account: account.into(), part, amount }
}

fn engine() -> Engine {
    let builder = Engine::in_memory().view::<Balance>().view::<Total>().view::<Riches>();
    builder.view::<Ranked>().view::<Large>().start().unwrap()
}

/// Takes an amount from an account, if it has so much.
fn withdraw(engine: &Engine, account: &str, amount: i64) -> Decide<Missing> {
    let account = account.to_owned();
    engine.decide(move |tx| {
        let balance = tx.get::<Total>(&account).map_or(0, |row| row.amount);
        if balance < amount {
            return Err(Missing(amount - balance));
        }
        tx.emit(moved(&account, 0, -amount));
        Ok(())
    })
}

#[test]
fn a_decision_is_accepted_or_refused_by_what_is() {
    let engine = engine();
    engine.append(moved("ann", 0, 10)).wait().unwrap();
    let receipt = withdraw(&engine, "ann", 7).wait().unwrap();
    assert_eq!((receipt.first, receipt.last), (2, 2));
    let refused = withdraw(&engine, "ann", 7).wait().unwrap_err();
    assert_eq!(refused.to_string(), "Missing(4)".replace("Missing(4)", &format!("{}", Shown(4))));
    assert_eq!(refused.refusal(), Some(Missing(4)));
    assert_eq!(withdraw(&engine, "bob", 1).wait().unwrap_err().refusal(), Some(Missing(1)));
    assert_eq!(engine.health().position, 2);
    assert_eq!(engine.view::<Total>().get("ann").unwrap().unwrap().amount, 3);
}

/// A refusal is printed as itself.
struct Shown(i64);

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} are missing", self.0)
    }
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Shown(self.0).fmt(f)
    }
}

/// How often a decision is made that reads with `read`, where something else happens during its first `disturbed` runs.
#[track_caller]
fn runs(
    engine: &Engine,
    disturbed: usize,
    read: impl Fn(&mut Tx) + Send + 'static,
    other: impl Fn(&Engine) + Send + Sync + 'static,
) -> usize {
    let count = Arc::new(AtomicUsize::new(0));
    let (counted, clone, other) = (count.clone(), engine.clone(), Arc::new(other));
    let decide = engine.decide(move |tx| {
        read(tx);
        if counted.fetch_add(1, Ordering::SeqCst) < disturbed {
            let (engine, other) = (clone.clone(), other.clone());
            // In another thread: a decision itself does nothing of the kind.
            std::thread::spawn(move || other(&engine)).join().unwrap();
        }
        tx.emit(moved("decided", 0, 1));
        Ok::<(), Missing>(())
    });
    decide.wait().unwrap();
    count.load(Ordering::SeqCst)
}

fn appends(account: &'static str, part: u32, amount: i64) -> impl Fn(&Engine) + Send + Sync + 'static {
    move |engine| {
        engine.append(moved(account, part, amount)).wait().unwrap();
    }
}

#[test]
fn what_was_read_conflicts_if_it_is_touched_and_nothing_else_does() {
    let engine = engine();
    engine.append_all([moved("ann", 1, 5), moved("ann", 2, 5), moved("bob", 1, 5)]).wait().unwrap();
    let ann = |tx: &mut Tx| assert!(tx.get::<Balance>(("ann", 1)).is_none_or(|row| row.part == 1));
    let annas = |tx: &mut Tx| assert!(tx.rows_of::<Balance, _>("ann").all(|row| row.account == "ann"));
    let nobody = |tx: &mut Tx| assert!(tx.get::<Balance>(("carl", 1)).is_none() || tx.position() > 3);
    let all = |tx: &mut Tx| assert!(tx.rows::<Balance>().count() > 0);
    let five = |tx: &mut Tx| assert!(tx.view::<Ranked>().by_amount(5).all(|row| row.amount == 5));
    assert_eq!(runs(&engine, 1, five, appends("zoe", 1, 5)), 2, "an index look-up that finds one more");
    let riches = |tx: &mut Tx| assert!(tx.get::<Riches>(false).is_some());

    // The row itself; and where it ends as it was.
    assert_eq!(runs(&engine, 1, ann, appends("ann", 1, 1)), 2);
    assert_eq!(runs(&engine, 1, ann, appends("ann", 1, 0)), 2);
    assert_eq!(runs(&engine, 1, ann, appends("ann", 2, 1)), 1, "another row");
    // A row that is not there, and comes.
    assert_eq!(runs(&engine, 1, nobody, appends("carl", 2, 1)), 1, "another row");
    assert_eq!(runs(&engine, 1, nobody, appends("carl", 1, 1)), 2);
    // A prefix: its rows, and a new one.
    assert_eq!(runs(&engine, 1, annas, appends("ann", 2, 1)), 2);
    assert_eq!(runs(&engine, 1, annas, appends("ann", 77, 1)), 2);
    assert_eq!(runs(&engine, 1, annas, appends("ann2", 1, 1)), 1, "another prefix");
    assert_eq!(runs(&engine, 1, all, appends("dora", 1, 1)), 2);
    // All rows of a view: an event that the view does not take in is none of its rows.
    let large = |tx: &mut Tx| assert!(tx.rows::<Large>().count() < 2);
    assert_eq!(runs(&engine, 1, large, appends("dora", 1, 1_000)), 2);
    assert_eq!(runs(&engine, 1, large, appends("dora", 1, 999)), 1);
    assert_eq!(runs(&engine, 1, riches, appends("ann", 1, 1)), 2, "through a view that it reads");
    assert_eq!(runs(&engine, 1, |_| {}, appends("ann", 1, 1)), 1, "what reads nothing rests on nothing");
    // Rows that are removed, under a prefix.
    let emptied = |engine: &Engine| {
        engine.append(Emptied { account: "ann".into() }).wait().unwrap();
    };
    assert_eq!(runs(&engine, 1, ann, emptied), 2);
    assert_eq!(runs(&engine, 1, annas, emptied), 2);
    assert_eq!(
        runs(&engine, 1, |tx| assert!(tx.get::<Balance>(("bob", 1)).is_some()), emptied),
        1,
        "it removes nothing of bob's"
    );
    // In doubt, what it saw is what the log has right before it.
    assert_eq!(runs(&engine, 2, ann, appends("ann", 1, 1)), 3, "the third time nothing comes between");
}

#[test]
fn a_decision_that_was_made_anew_has_seen_what_came_between() {
    let engine = engine();
    engine.append(moved("ann", 0, 10)).wait().unwrap();
    let clone = engine.clone();
    let mut first = true;
    let decide = engine.decide(move |tx| {
        let balance = tx.get::<Total>("ann").unwrap().amount;
        if std::mem::take(&mut first) {
            let engine = clone.clone();
            let taken = move || engine.append(moved("ann", 0, -8)).wait().unwrap();
            std::thread::spawn(taken).join().unwrap();
        }
        if balance < 5 { Err(Missing(5 - balance)) } else { Ok(()) }
    });
    // It emits nothing, and is held against what came between even so.
    assert_eq!(decide.wait().unwrap_err().refusal(), Some(Missing(3)));
}

#[test]
fn a_panic_costs_its_own_call_only() {
    let engine = engine();
    let clone = engine.clone();
    let panics = move |disturbed: usize| {
        let runs = Arc::new(AtomicUsize::new(0));
        let other = clone.clone();
        let decide = clone.decide(move |tx| {
            let _ = tx.get::<Total>("ann");
            tx.emit(moved("ann", 0, 1));
            if runs.fetch_add(1, Ordering::SeqCst) == disturbed {
                panic!("not today");
            }
            let engine = other.clone();
            std::thread::spawn(move || engine.append(moved("ann", 0, 1)).wait().unwrap()).join().unwrap();
            Ok::<(), Missing>(())
        });
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| decide.wait())).unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"not today"));
    };
    // Beside others, and at the writer.
    panics(0);
    panics(2);
    engine.append(moved("ann", 0, 1)).wait().unwrap();
    withdraw(&engine, "ann", 1).wait().unwrap();
    assert_eq!(engine.view::<Total>().get("ann").unwrap().unwrap().amount, 2);
    assert!(engine.health().broken.is_none());
}

#[test]
fn a_decision_does_nothing_besides() {
    let engine = engine();
    let clone = engine.clone();
    let decide = engine.decide(move |_| {
        let appended = clone.append(moved("ann", 0, 1)).wait();
        assert!(matches!(appended, Err(AppendError::NotAppended(Refusal::Deciding))), "{appended:?}");
        let decided = withdraw(&clone, "ann", 1).wait();
        assert!(matches!(decided, Err(DecideError::Append(AppendError::NotAppended(Refusal::Deciding)))));
        Ok::<(), Missing>(())
    });
    let receipt = decide.wait().unwrap();
    assert!(receipt.is_empty());
    assert_eq!(engine.health().position, 0);
    // Afterwards, this thread may again.
    engine.append(moved("ann", 0, 1)).wait().unwrap();
}

#[test]
fn a_decision_that_would_close_its_engine_is_told_and_hangs_nowhere() {
    let engine = engine();
    let (clone, mut runs) = (engine.clone(), 0);
    let decide = engine.decide(move |tx| {
        runs += 1;
        tx.get::<Total>("ann");
        if runs < 3 {
            let engine = clone.clone();
            std::thread::spawn(move || appends("ann", 0, 1)(&engine)).join().unwrap();
        }
        // Then it is made at the writer, which a close waits for.
        assert!(clone.close().wait().unwrap_err().to_string().contains("a decision closes nothing"));
        tx.emit(moved("ann", 0, 1));
        Ok::<(), Missing>(())
    });
    assert_eq!(answer(move || decide.wait()).unwrap().first, 3);
    engine.append(moved("ann", 0, 1)).wait().unwrap();
}

#[test]
fn an_engine_that_is_closed_or_does_not_know_the_event_says_so() {
    #[event]
    struct Unknown {
        at: u32,
    }
    let engine = engine();
    let unknown = engine.decide(|tx| {
        tx.emit(Unknown { at: 1 });
        Ok::<(), Missing>(())
    });
    let error = unknown.wait().unwrap_err();
    assert!(matches!(error, DecideError::Append(AppendError::NotAppended(Refusal::Unregistered { .. }))));
    engine.close().wait().unwrap();
    let error = withdraw(&engine, "ann", 1).wait().unwrap_err();
    assert!(matches!(error, DecideError::Read { view: "Total", error: ReadError::Closed }), "{error:?}");
    let blind = engine.decide(|tx| {
        tx.emit(moved("ann", 0, 1));
        Ok::<(), Missing>(())
    });
    let error = blind.wait().unwrap_err();
    assert!(matches!(error, DecideError::Append(AppendError::NotAppended(Refusal::Closed))), "{error:?}");
}

#[projection(from = Moved, group_by = account)]
#[derive(Debug)]
pub struct Narrow {
    pub account: String,
    #[sum]
    pub amount: i64,
    #[sum(amount * i64::MAX)]
    pub overflows: i64,
}

#[test]
fn a_view_that_has_stopped_ends_the_decision_where_it_is_read() {
    let engine = Engine::in_memory().view::<Narrow>().view::<Total>().start().unwrap();
    engine.append(moved("ann", 0, 2)).wait().unwrap();
    let reached = Arc::new(AtomicUsize::new(0));
    let count = reached.clone();
    let decide = engine.decide(move |tx| {
        let row = tx.get::<Narrow>("ann");
        count.fetch_add(1, Ordering::SeqCst);
        row.map_or(Err(Missing(0)), |_| Ok(()))
    });
    let error = decide.wait().unwrap_err();
    assert!(
        matches!(&error, DecideError::Read { view: "Narrow", error: ReadError::Faulted(fault) } if fault.position == 1),
        "{error:?}"
    );
    assert_eq!(reached.load(Ordering::SeqCst), 0);
    // Others go on.
    withdraw(&engine, "ann", 1).wait().unwrap();
}

struct Take(i64);

impl Command for Take {
    type Refusal = Missing;
    fn decide(&self, tx: &mut Tx) -> Result<(), Missing> {
        let balance = tx.get::<Total>("ann").map_or(0, |row| row.amount);
        if balance < self.0 {
            return Err(Missing(self.0 - balance));
        }
        if self.0 > 0 {
            tx.emit(moved("ann", 0, -self.0));
        }
        Ok(())
    }
}

#[test]
fn a_key_makes_a_command_happen_once_also_after_a_restart() {
    let parent = tempfile::tempdir().unwrap();
    let open = || Engine::open(parent.path().join("store")).unwrap().view::<Total>().start().unwrap();
    let engine = open();
    let refused = engine.execute(Take(8)).key("a").wait();
    assert_eq!(refused.unwrap_err().refusal(), Some(Missing(8)), "nothing is there yet");
    engine.append(moved("ann", 0, 10)).wait().unwrap();
    let first = engine.execute(Take(8)).key("a").wait().expect("a refusal is not remembered");
    assert_eq!(engine.execute(Take(8)).key("a").wait().unwrap(), first);
    let nothing = engine.execute(Take(0)).key("b").wait().unwrap();
    assert!(nothing.is_empty());
    engine.append(moved("bob", 0, 10)).wait().unwrap();
    assert_eq!(engine.execute(Take(0)).key("b").wait().unwrap(), nothing, "though it emitted nothing");
    drop(engine);
    let engine = open();
    assert_eq!(engine.execute(Take(8)).key("a").wait().unwrap(), first);
    assert_eq!(engine.execute(Take(0)).key("b").wait().unwrap(), nothing);
    assert_eq!(engine.execute(Take(8)).key("c").wait().unwrap_err().refusal(), Some(Missing(6)));
    assert_eq!(engine.view::<Total>().get("ann").unwrap().unwrap().amount, 2);
    let empty = engine.execute(Take(1)).key("").wait().unwrap_err();
    assert!(matches!(
        empty,
        DecideError::Append(AppendError::NotAppended(Refusal::EmptyKey { name: "Take" }))
    ));
}

#[test]
fn a_closure_has_keys_under_the_name_that_it_is_given() {
    let engine = Engine::in_memory().event::<Moved>().start().unwrap();
    let put = |amount| {
        engine.decide(move |tx| {
            tx.emit(moved("ann", 0, amount));
            Ok::<_, Missing>(())
        })
    };
    let first = put(1).named("put").key("k").wait().unwrap();
    assert_eq!(put(2).named("put").key("k").wait().unwrap(), first);
    assert_ne!(put(3).named("put again").key("k").wait().unwrap(), first);
    // Without one, those of all closures would be the same keys: one of them would be answered for another.
    // Those that closures had under no name are still there, where it is said.
    let unnamed = put(4).named("").key("k").wait().unwrap();
    assert_eq!(put(4).named("").key("k").wait().unwrap(), unnamed);
    let nameless = put(4).key("k").wait().unwrap_err();
    assert!(
        matches!(nameless, DecideError::Append(AppendError::NotAppended(Refusal::Nameless))),
        "{nameless:?}"
    );
    assert_eq!(engine.health().position, 3);
    let mut events = engine.events::<Moved>(1).until_head();
    let causes =
        std::iter::from_fn(|| events.next().wait()).map(|event| event.unwrap().metadata.causation_id);
    assert_eq!(causes.collect::<Vec<_>>(), [Some("put/k".to_owned()), Some("put again/k".to_owned()), None]);
}

/// Emits an amount as an event of an id.
struct Known(&'static str, i64);

impl Command for Known {
    type Refusal = Missing;
    fn decide(&self, tx: &mut Tx) -> Result<(), Missing> {
        tx.emit(NewEvent::new(moved("ann", 0, self.1)).id(self.0));
        Ok(())
    }
}

#[test]
fn a_key_is_kept_also_where_the_events_are_known_by_their_ids() {
    let engine = engine();
    let first = engine.append(NewEvent::new(moved("ann", 0, 1)).id("x")).wait().unwrap();
    assert_eq!(engine.execute(Known("x", 1)).key("k").wait().unwrap(), first);
    assert_eq!(engine.execute(Known("y", 2)).key("k").wait().unwrap(), first, "it was executed already");
    assert_eq!(engine.health().position, 1);
}

/// A command of this name.
struct Called(&'static str);

impl Command for Called {
    type Refusal = Missing;
    fn decide(&self, tx: &mut Tx) -> Result<(), Missing> {
        tx.emit(moved("ann", 0, 1));
        Ok(())
    }
    fn name(&self) -> &'static str {
        self.0
    }
}

#[test]
fn keys_are_of_their_commands_whatever_these_are_called() {
    let engine = engine();
    let called = [("a/b", "c"), ("a", "b/c"), ("a%2Fb", "c"), ("a%252Fb", "c"), ("", "a/b/c"), ("/a/b", "c")];
    for (name, key) in called {
        engine.execute(Called(name)).key(key).wait().unwrap();
        engine.execute(Called(name)).key(key).wait().unwrap();
    }
    assert_eq!(engine.health().position, called.len() as u64);
}

#[test]
fn a_command_that_is_sent_many_times_at_once_happens_once() {
    let engine = engine();
    engine.append(moved("ann", 0, 1000)).wait().unwrap();
    for round in 0..50 {
        let receipts: Vec<_> = std::thread::scope(|scope| {
            let send = || engine.execute(Take(7)).key(format!("round {round}")).wait().unwrap();
            let sent: Vec<_> = (0..8).map(|_| scope.spawn(send)).collect();
            sent.into_iter().map(|sent| sent.join().unwrap()).collect()
        });
        assert!(receipts.iter().all(|receipt| *receipt == receipts[0]), "{receipts:?}");
        let left = engine.view::<Total>().get("ann").unwrap().unwrap().amount;
        assert_eq!(left, 1000 - 7 * (round + 1));
    }
}

#[test]
fn events_bear_the_command_that_caused_them() {
    let engine = engine();
    engine.append(moved("ann", 0, 10)).wait().unwrap();
    engine.execute(Take(1)).key("k").correlation_id("request-9").meta("channel", "web").wait().unwrap();
    engine.execute(Take(1)).wait().unwrap();
    withdraw(&engine, "ann", 1).correlation_id("request-10").causation_id("cron").wait().unwrap();
    let mut events = engine.events::<Moved>(2).until_head();
    let mut next = || events.next().wait().unwrap().unwrap().metadata;
    let first = next();
    assert_eq!(first.correlation_id.as_deref(), Some("request-9"));
    assert_eq!(first.causation_id.as_deref(), Some("Take/k"));
    assert_eq!(first.entries["channel"], "web");
    let second = next();
    assert_eq!((second.correlation_id, second.causation_id.as_deref()), (None, Some("Take")));
    let third = next();
    assert_eq!(third.correlation_id.as_deref(), Some("request-10"));
    assert_eq!(third.causation_id.as_deref(), Some("cron"));
}

/// Polls all of them in turn, until all are done.
fn all<T>(futures: Vec<impl Future<Output = T> + Unpin>) -> Vec<T> {
    let mut context = Context::from_waker(Waker::noop());
    let mut futures: Vec<_> = futures.into_iter().map(|future| (future, None)).collect();
    while futures.iter().any(|(_, output)| output.is_none()) {
        for (future, output) in futures.iter_mut().filter(|(_, output)| output.is_none()) {
            if let Poll::Ready(value) = Pin::new(future).poll(&mut context) {
                *output = Some(value);
            }
        }
    }
    futures.into_iter().filter_map(|(_, output)| output).collect()
}

#[test]
fn many_callers_on_one_key_all_get_through_and_never_wrongly() {
    let engine = engine();
    engine.append(moved("ann", 0, 100)).wait().unwrap();
    // Futures of one thread: 64 that are under way at the same time.
    let taken = all((0..64).map(|_| withdraw(&engine, "ann", 2)).collect());
    let refused = taken.into_iter().filter(Result::is_err).count();
    assert_eq!(refused, 14, "50 of them could be had");
    assert_eq!(engine.view::<Total>().get("ann").unwrap().unwrap().amount, 0);
    // Threads that wait.
    engine.append(moved("ann", 0, 100)).wait().unwrap();
    let refused: usize = std::thread::scope(|scope| {
        let withdraw = || usize::from(withdraw(&engine, "ann", 2).wait().is_err());
        let callers: Vec<_> = (0..64).map(|_| scope.spawn(withdraw)).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).sum()
    });
    assert_eq!(refused, 14);
    assert_eq!(engine.view::<Total>().get("ann").unwrap().unwrap().amount, 0);
}

#[test]
fn a_decision_sees_what_was_acknowledged_when_it_was_durable_only() {
    let engine = Engine::in_memory().view::<Total>().consistency(Consistency::Durable).start().unwrap();
    for had in 0..500 {
        engine.append(moved("ann", 0, 1)).wait().unwrap();
        let seen = engine.decide(move |tx| {
            let amount = tx.get::<Total>("ann").map_or(0, |row| row.amount);
            if amount == had + 1 { Ok(()) } else { Err(Missing(had + 1 - amount)) }
        });
        seen.wait().unwrap();
    }
}

#[test]
fn a_decision_that_is_dropped_half_way_harms_nobody() {
    let engine = engine();
    engine.append(moved("ann", 0, 1_000_000)).wait().unwrap();
    let mut context = Context::from_waker(Waker::noop());
    for n in 0..200 {
        let mut decide = pin!(withdraw(&engine, "ann", 1));
        let _ = decide.as_mut().poll(&mut context);
        if n % 3 == 0 {
            withdraw(&engine, "ann", 1).wait().unwrap();
        }
    }
    // Those that were made were made once, and on what was there.
    engine.append_all(Vec::<Moved>::new()).wait().unwrap();
    let left = engine.view::<Total>().get("ann").unwrap().unwrap().amount;
    let made = engine.health().position - 1;
    assert_eq!(left, 1_000_000 - made as i64);
    assert!((67..=267).contains(&made), "{made}");
}

/// What a decision read, at which position, and what became of it.
#[derive(Debug, Default, Clone)]
struct Record {
    /// The last event that was acknowledged to anybody before it began.
    acknowledged: u64,
    at: u64,
    totals: Vec<(String, Option<i64>)>,
    balances: Vec<((String, u32), Option<i64>)>,
    prefixes: Vec<(String, Vec<(u32, i64)>)>,
    all: Option<i64>,
    /// Accounts that owe, by an index.
    owing: Option<Vec<String>>,
    /// How many accounts are not rich, by a view over a view.
    poor: Option<u64>,
    /// The position of its first event; `None` if it was refused, or emitted nothing.
    first: Option<u64>,
}

/// The state before a position, from a plain loop over the log.
#[derive(Default)]
struct Model(BTreeMap<(String, u32), i64>, BTreeMap<String, i64>);

impl Model {
    fn fold(&mut self, event: &Log) {
        match event {
            Log::Moved(Moved { account, part, amount }) => {
                *self.0.entry((account.clone(), *part)).or_default() += amount;
                *self.1.entry(account.clone()).or_default() += amount;
            }
            Log::Emptied(Emptied { account }) => self.0.retain(|(of, _), _| of != account),
        }
    }

    #[track_caller]
    fn explains(&self, record: &Record, seed: u64) {
        let context = |what: &str| format!("seed {seed}: {what} of {record:?}");
        for (account, total) in &record.totals {
            assert_eq!(self.1.get(account), total.as_ref(), "{}", context("a total"));
        }
        for (key, balance) in &record.balances {
            assert_eq!(self.0.get(key), balance.as_ref(), "{}", context("a balance"));
        }
        for (account, rows) in &record.prefixes {
            let own: Vec<_> = self
                .0
                .iter()
                .filter(|((of, _), _)| of == account)
                .map(|((_, part), amount)| (*part, *amount))
                .collect();
            assert_eq!(&own, rows, "{}", context("a prefix"));
        }
        if let Some(owing) = &record.owing {
            let mut own: Vec<_> =
                self.1.iter().filter(|(_, total)| **total < 0).map(|(account, _)| account).collect();
            own.sort_by_key(|account| self.1[*account]);
            let by_total =
                |accounts: &[&String]| accounts.iter().map(|account| self.1[*account]).collect::<Vec<_>>();
            assert_eq!(
                by_total(&own),
                by_total(&owing.iter().collect::<Vec<_>>()),
                "{}",
                context("who owes")
            );
        }
        if let Some(poor) = record.poor {
            let own = self.1.values().filter(|total| **total <= 100).count() as u64;
            assert_eq!(own, poor, "{}", context("the poor"));
        }
        if let Some(all) = record.all {
            assert_eq!(self.0.values().sum::<i64>(), all, "{}", context("all"));
        }
    }
}

#[event]
#[derive(Debug, Clone, PartialEq)]
pub enum Log {
    Moved(Moved),
    Emptied(Emptied),
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
    fn account(&mut self) -> String {
        format!("account {}", self.below(4))
    }
}

/// A decision that reads a bit of everything, and says what it read.
fn random_decision(engine: &Engine, random: &mut Random, acknowledged: u64) -> Record {
    let record = Arc::new(Mutex::new(Record::default()));
    let (noted, seed) = (record.clone(), random.below(u64::MAX));
    let decide = engine.decide(move |tx| {
        let mut random = Random(seed);
        let mut record = Record { at: tx.position(), ..Record::default() };
        for _ in 0..=random.below(2) {
            let account = random.account();
            match random.below(14) {
                0..5 => {
                    let total = tx.get::<Total>(&account).map(|row| row.amount);
                    record.totals.push((account, total));
                }
                5..8 => {
                    let part = random.below(3) as u32;
                    let row = tx.get::<Balance>((&account, part)).map(|row| row.amount);
                    record.balances.push(((account, part), row));
                }
                8..11 => {
                    let rows = tx
                        .rows_of::<Balance, _>(account.as_str())
                        .map(|row| (row.part, row.amount))
                        .collect();
                    record.prefixes.push((account, rows));
                }
                11 => {
                    let owing = tx.view::<Ranked>().by_amount_in(..0).map(|row| row.account);
                    record.owing = Some(owing.collect());
                }
                12 => record.poor = Some(tx.get::<Riches>(false).map_or(0, |row| row.accounts)),
                _ => record.all = Some(tx.rows::<Balance>().map(|row| row.amount).sum()),
            }
        }
        *noted.lock().unwrap() = record;
        match random.below(10) {
            0 => return Err(Missing(0)),
            1 => {}
            2 => tx.emit(Emptied { account: random.account() }),
            _ => {
                for _ in 0..=random.below(2) {
                    tx.emit(moved(&random.account(), random.below(3) as u32, random.below(9) as i64 - 4));
                }
            }
        }
        Ok(())
    });
    let first = match decide.wait() {
        Ok(receipt) if !receipt.is_empty() => Some(receipt.first),
        Ok(_) | Err(DecideError::Refused(_)) => None,
        Err(error) => panic!("{error:?}"),
    };
    Record { acknowledged, first, ..record.lock().unwrap().clone() }
}

/// Every decision saw what the log had right before its own events, so the log itself is the serial order; one that appended nothing saw
/// what there was at its position, and all that was acknowledged before it began.
fn serial(seed: u64, folder: Option<&std::path::Path>) {
    let builder = folder.map_or_else(Engine::in_memory, |folder| Engine::open(folder).unwrap());
    let builder = builder.view::<Balance>().view::<Total>().view::<Ranked>().view::<Riches>();
    let engine = builder.event::<Log>().start().unwrap();
    let records: Vec<Record> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                let engine = &engine;
                scope.spawn(move || {
                    let mut random = Random(seed * 100 + thread);
                    let mut records = Vec::new();
                    let mut acknowledged = 0;
                    for _ in 0..60 {
                        if random.below(5) == 0 {
                            let event = moved(&random.account(), random.below(3) as u32, 1);
                            let durable = random.below(2) == 0;
                            let append = engine.append(event);
                            let receipt = if durable { append.durable() } else { append }.wait().unwrap();
                            acknowledged = acknowledged.max(receipt.last);
                        } else {
                            let record = random_decision(engine, &mut random, acknowledged);
                            acknowledged = acknowledged.max(record.first.unwrap_or(0));
                            records.push(record);
                        }
                    }
                    records
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let mut ordered = records;
    // Those without events saw everything up to their position.
    ordered.sort_by_key(|record| record.first.map_or(record.at, |first| first - 1));
    let mut model = Model::default();
    let (mut log, mut position) = (engine.events::<Log>(1).until_head(), 0);
    for record in &ordered {
        assert!(record.at >= record.acknowledged, "seed {seed}: {record:?} missed what was acknowledged");
        let before = record.first.map_or(record.at, |first| first - 1);
        while position < before {
            let event = log.next().wait().unwrap().unwrap();
            model.fold(&event.event);
            position = event.position;
        }
        model.explains(record, seed);
    }
}

fn rounds(usual: u64) -> std::ops::Range<u64> {
    let from = std::env::var("DECIDE_SEED").map_or(0, |seed| seed.parse().unwrap());
    let rounds = std::env::var("DECIDE_ROUNDS").map_or(usual, |rounds| rounds.parse().unwrap());
    from..from + rounds
}

#[test]
fn some_serial_order_explains_every_decision() {
    for seed in rounds(60) {
        serial(seed, None);
    }
}

#[test]
fn some_serial_order_explains_every_decision_on_disk() {
    for seed in rounds(4) {
        let parent = tempfile::tempdir().unwrap();
        serial(seed, Some(&parent.path().join("store")));
    }
}

static MENDED: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

fn checked(amount: i64) -> i64 {
    assert!(amount != 13 || MENDED.load(Ordering::SeqCst), "13 is bad luck");
    amount
}

#[projection(from = Moved, group_by = account, on_fault = park)]
#[derive(Debug)]
pub struct Superstitious {
    pub account: String,
    #[sum(checked(amount))]
    pub amount: i64,
}

#[test]
fn a_view_whose_parked_events_are_folded_meanwhile_conflicts() {
    let engine = Engine::in_memory().view::<Superstitious>().start().unwrap();
    engine.append_all([moved("ann", 0, 1), moved("ann", 0, 13)]).wait().unwrap();
    let mend = |engine: &Engine| {
        MENDED.store(true, Ordering::SeqCst);
        assert_eq!(engine.retry_parked::<Superstitious>().wait().unwrap().folded, 1);
    };
    // No event has come, and yet what was read is no more.
    assert_eq!(runs(&engine, 1, |tx| assert!(tx.get::<Superstitious>("ann").is_some()), mend), 2);
}

/// Two engines that append to one log.
fn beside() -> (Engine, Engine) {
    let store = cqrs_core::store::MemoryStore::new();
    let open = || Engine::with_store(Arc::new(store.clone())).view::<Total>().start().unwrap();
    (open(), open())
}

/// The answer; fails where none comes.
#[track_caller]
fn answer<T: Send + 'static>(ask: impl FnOnce() -> T + Send + 'static) -> T {
    let (to, from) = std::sync::mpsc::channel();
    std::thread::spawn(move || to.send(ask()));
    from.recv_timeout(std::time::Duration::from_secs(20)).expect("somebody is left waiting")
}

#[test]
fn a_decision_sees_what_another_engine_has_appended_to_the_log() {
    let (one, two) = beside();
    one.append(moved("ann", 0, 5)).wait().unwrap();
    two.append(moved("bob", 0, 1)).wait().unwrap();
    let first = one.clone();
    assert_eq!(answer(move || withdraw(&first, "ann", 5).wait()).unwrap().first, 3);
    assert_eq!(one.view::<Total>().get("bob").unwrap().unwrap().amount, 1);
    // The second one's rows are of before that.
    assert_eq!(two.view::<Total>().get("ann").unwrap().unwrap().amount, 5);
    let refused = answer(move || withdraw(&two, "ann", 5).wait()).unwrap_err();
    assert_eq!(refused.refusal(), Some(Missing(5)));
}

#[test]
fn a_key_that_another_engine_has_used_holds_up_nobody_where_durable_is_enough() {
    let (one, two) = beside();
    one.append(moved("ann", 0, 5)).wait().unwrap();
    let first = one.execute(Take(2)).key("k").wait().unwrap();
    let other = two.clone();
    assert_eq!(answer(move || other.execute(Take(2)).key("k").durable().wait()).unwrap(), first);
    // It has been acknowledged by the second engine, too, so the next decision there sees it.
    let refused = answer(move || withdraw(&two, "ann", 5).wait()).unwrap_err();
    assert_eq!(refused.refusal(), Some(Missing(2)));
}

#[test]
fn a_key_that_another_engine_has_used_is_answered_with_its_receipt() {
    let (one, two) = beside();
    one.append(moved("ann", 0, 5)).wait().unwrap();
    let pay = |engine: &Engine| {
        let engine = engine.clone();
        answer(move || engine.execute(Take(2)).key("k").wait()).unwrap()
    };
    assert_eq!(pay(&one), pay(&two));
    assert_eq!(two.view::<Total>().get("ann").unwrap().unwrap().amount, 3);
}

#[test]
fn an_id_that_another_engine_has_used_is_answered_with_its_receipt() {
    let (one, two) = beside();
    let ids = |engine: &Engine, amount| {
        let events = ["x", "y"].map(|id| NewEvent::new(moved("ann", 0, amount)).id(id));
        engine.append_all(events).wait()
    };
    let first = ids(&one, 1).unwrap();
    let conflict = ids(&two, 2).unwrap_err();
    assert!(matches!(conflict, AppendError::NotAppended(Refusal::IdConflict { .. })), "{conflict}");
    assert_eq!(ids(&two, 1).unwrap(), first);
    assert_eq!(two.view::<Total>().get("ann").unwrap().unwrap().amount, 2);
}

#[test]
fn a_key_has_a_limit() {
    let engine = Engine::in_memory().view::<Total>().payload_limit(100).start().unwrap();
    let long = "k".repeat(101);
    let error = engine.execute(Take(0)).key(&long).wait().unwrap_err();
    let too_large =
        |error| matches!(error, AppendError::NotAppended(Refusal::TooLarge { size, .. }) if size > 100);
    let DecideError::Append(error) = error else { panic!("{error:?}") };
    assert!(too_large(error));
    assert!(too_large(engine.append(NewEvent::new(moved("ann", 0, 1)).id(&long)).wait().unwrap_err()));
    engine.execute(Take(0)).key(&long[1..]).wait().unwrap();
}

#[test]
fn a_decision_has_the_engines_time_and_passes_on_what_it_is_told() {
    let clock = Arc::new(AtomicUsize::new(7));
    let tells = clock.clone();
    let now = move || Timestamp::from_micros(tells.load(Ordering::SeqCst) as i64);
    let engine = Engine::in_memory().view::<Total>().clock(now).start().unwrap();
    let moved = |amount| Moved { account: "ann".into(), part: 0, amount };
    let cause = NewEvent::new(moved(1)).id("first").correlation_id("request-1").meta("by", "web");
    let receipt = engine.append(cause).wait().unwrap();
    let cause = engine.events::<Moved>(receipt.first).up_to(receipt.last).next().wait().unwrap().unwrap();

    let passed = cause.metadata.clone();
    let decided = engine.decide(move |tx: &mut Tx| {
        let seen = tx.now();
        clock.store(9, Ordering::SeqCst);
        assert_eq!((seen, tx.now()), (Timestamp::from_micros(7), seen), "it is one moment");
        tx.emit(moved(tx.now().as_micros()));
        tx.emit(NewEvent::new(moved(2)).correlation_id("own").metadata(Metadata::default()));
        Ok::<_, ()>(())
    });
    let receipt = decided.causation_id("this goes").metadata(passed.clone()).wait().unwrap();
    let mut stream = engine.events::<Moved>(receipt.first).up_to(receipt.last);
    let mut emitted = Vec::new();
    while let Some(recorded) = stream.next().wait() {
        emitted.push(recorded.unwrap());
    }
    assert_eq!(emitted.iter().map(|recorded| recorded.event.amount).collect::<Vec<_>>(), [7, 2]);
    for recorded in emitted {
        assert_eq!(recorded.metadata.correlation_id.as_deref(), Some("request-1"));
        assert_eq!(recorded.metadata.entries, passed.entries);
        assert_eq!(recorded.recorded_at, Timestamp::from_micros(9));
    }

    // What is not there yet is waited for.
    let mut ahead = engine.events::<Moved>(4).up_to(5);
    engine.append_all([moved(3), moved(4), moved(5)]).wait().unwrap();
    let got: Vec<_> =
        std::iter::from_fn(|| ahead.next().wait()).map(|event| event.unwrap().position).collect();
    assert_eq!(got, [4, 5]);
}

#[test]
fn commands_of_one_name_do_not_share_keys() {
    mod orders {
        #[derive(Debug)]
        pub(super) struct Cancel;
    }
    mod invoices {
        #[derive(Debug)]
        pub(super) struct Cancel;
        #[derive(Debug)]
        pub(super) struct Renamed;
    }
    fn moved(tx: &mut Tx, part: u32) -> Result<(), String> {
        tx.emit(Moved { account: "ann".into(), part, amount: 1 });
        Ok(())
    }
    impl Command for orders::Cancel {
        type Refusal = String;
        fn decide(&self, tx: &mut Tx) -> Result<(), String> {
            moved(tx, 1)
        }
    }
    impl Command for invoices::Cancel {
        type Refusal = String;
        fn decide(&self, tx: &mut Tx) -> Result<(), String> {
            moved(tx, 2)
        }
    }
    impl Command for invoices::Renamed {
        type Refusal = String;
        fn decide(&self, tx: &mut Tx) -> Result<(), String> {
            moved(tx, 3)
        }
        fn name(&self) -> &'static str {
            "Cancel" // as it was called before
        }
    }
    let engine = Engine::in_memory().view::<Balance>().start().unwrap();
    let first = engine.execute(orders::Cancel).key("request-1").wait().unwrap();
    assert_eq!(engine.execute(orders::Cancel).key("request-1").wait().unwrap(), first);
    for key in ["request-1", "request-2"] {
        let refused = engine.execute(invoices::Cancel).key(key).wait().unwrap_err().to_string();
        assert!(refused.contains("two commands are called `Cancel`"), "{refused}");
        assert!(refused.contains("orders::Cancel") && refused.contains("invoices::Cancel"), "{refused}");
    }
    // Without a key there is nothing to share; and a name that is given is meant.
    engine.execute(invoices::Cancel).wait().unwrap();
    assert_eq!(engine.execute(invoices::Renamed).key("request-1").wait().unwrap(), first);
    assert_eq!(
        engine.view::<Balance>().rows_of("ann").unwrap().map(|row| row.part).collect::<Vec<_>>(),
        [1, 2]
    );
}

#[test]
fn a_command_has_a_name_wherever_it_is_declared() {
    trait Names {
        fn name() -> &'static str;
    }
    struct Anywhere;
    impl Names for Anywhere {
        fn name() -> &'static str {
            struct Place;
            impl Command for Place {
                type Refusal = String;
                fn decide(&self, _: &mut Tx) -> Result<(), String> {
                    Ok(())
                }
            }
            Place.name()
        }
    }
    struct Set<T>(T);
    impl<T: Send + Sync + 'static> Command for Set<T> {
        type Refusal = String;
        fn decide(&self, _: &mut Tx) -> Result<(), String> {
            let _ = &self.0;
            Ok(())
        }
    }
    assert_eq!(Anywhere::name(), "Place");
    assert_eq!(Set(Some(std::time::Duration::ZERO)).name(), "Set");
}
