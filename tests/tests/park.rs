//! Views that set an event aside which they cannot fold: the rows are what plain loops say that pass such events over, however the batches are cut,
//! whatever is restarted or lost in between, and retried.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use cqrs_core::error::RefoldError;
use cqrs_core::health::ViewState;
use cqrs_core::prelude::*;
use cqrs_core::{Parked, Retried};
use proptest::prelude::*;

#[event]
#[derive(Debug, Clone, PartialEq)]
pub struct Paid {
    customer: String,
    amount: i8,
    #[serde(with = "legible")]
    note: String,
    lines: Vec<i8>,
}

#[event]
#[derive(Debug, Clone, PartialEq)]
pub struct Refunded {
    customer: String,
    amount: i8,
}

/// Text that can be written whatever it is, and be read unless it is this.
mod legible {
    use cqrs_core::__private::serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) const BLOT: &str = "blot";

    pub(super) fn serialize<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(text)
    }
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == BLOT { Err(D::Error::custom("the note is not legible")) } else { Ok(text) }
    }
}

fn unless_13(value: i8, mended: bool) -> i8 {
    assert!(value != 13 || mended, "13 brings bad luck");
    value
}

/// Whether 13 is no trouble any more: in the views that plain loops are held against.
static MENDED: AtomicBool = AtomicBool::new(false);

fn lucky(value: i8) -> i8 {
    unless_13(value, MENDED.load(Ordering::Relaxed))
}

/// Events go to one row each: folded in runs.
#[projection(from(Paid, Refunded), group_by = customer, on_fault = park)]
#[derive(Debug, Clone, PartialEq)]
struct Balance {
    customer: String,
    #[sum(Paid => lucky(amount), Refunded => -amount)]
    total: i8,
    #[count]
    events: u64,
    #[last(Paid => note)]
    note: Option<String>,
}

/// The key itself may be what panics.
#[projection(from = Refunded, group_by = (amount = lucky(amount)), on_fault = park)]
#[derive(Debug, Clone, PartialEq)]
struct ByAmount {
    amount: i8,
    #[count]
    times: u64,
}

/// Events go to many rows, and may fault at the last of them: folded in turns.
#[projection(from = Paid, each(line in lines), group_by = (even = line % 2 == 0), on_fault = park)]
#[derive(Debug, Clone, PartialEq)]
struct Lines {
    even: bool,
    #[sum(lucky(*line))]
    total: i8,
    #[count_distinct(customer)]
    customers: u64,
}

/// Read by another.
#[projection(from(Paid, Refunded), group_by = customer, on_fault = park, having = total != 0, name = "upper")]
#[derive(Debug, Clone, PartialEq)]
struct Upper {
    customer: String,
    #[sum(Paid => lucky(amount), Refunded => -amount)]
    total: i8,
}

#[projection(from = Upper, group_by = total)]
#[derive(Debug, Clone, PartialEq)]
struct Lower {
    total: i8,
    #[count]
    customers: u64,
}

#[derive(Debug, Clone)]
enum Event {
    Paid(Paid),
    Refunded(Refunded),
}

impl From<Event> for NewEvent {
    fn from(event: Event) -> Self {
        match event {
            Event::Paid(paid) => NewEvent::new(paid),
            Event::Refunded(refunded) => NewEvent::new(refunded),
        }
    }
}

/// Rows, as they print, and the positions of what was passed over.
#[derive(Debug, Default, PartialEq)]
struct Expected {
    rows: Vec<String>,
    parked: Vec<u64>,
}

impl Expected {
    fn of<R: Debug>(rows: impl IntoIterator<Item = R>, parked: Vec<u64>) -> Self {
        let mut rows: Vec<_> = rows.into_iter().map(|row| format!("{row:?}")).collect();
        rows.sort();
        Self { rows, parked }
    }
}

/// What plain loops say of all five views.
fn expected(history: &[Event], mended: bool) -> [Expected; 5] {
    let ill = |value: i8| value == 13 && !mended;
    let mut balances: BTreeMap<String, Balance> = BTreeMap::new();
    let mut amounts: BTreeMap<i8, u64> = BTreeMap::new();
    let mut lines: BTreeMap<bool, (i8, BTreeSet<String>)> = BTreeMap::new();
    let mut parked: [Vec<u64>; 3] = Default::default();
    for (position, event) in (1..).zip(history) {
        let (customer, change, bad) = match event {
            Event::Paid(Paid { customer, amount, note, .. }) => {
                (customer, *amount, ill(*amount) || note == legible::BLOT)
            }
            Event::Refunded(Refunded { customer, amount }) => (customer, -amount, false),
        };
        let total = balances.get(customer).map_or(0, |row| row.total).checked_add(change);
        match total.filter(|_| !bad) {
            None => parked[0].push(position),
            Some(total) => {
                let row = balances.entry(customer.clone()).or_insert_with(|| Balance {
                    customer: customer.clone(),
                    total: 0,
                    events: 0,
                    note: None,
                });
                row.total = total;
                row.events += 1;
                if let Event::Paid(paid) = event {
                    row.note = Some(paid.note.clone());
                }
            }
        }
        match event {
            Event::Refunded(Refunded { amount, .. }) if ill(*amount) => parked[1].push(position),
            Event::Refunded(Refunded { amount, .. }) => *amounts.entry(*amount).or_default() += 1,
            Event::Paid(paid) => {
                let mut next = lines.clone();
                let folded = paid.note != legible::BLOT
                    && paid.lines.iter().all(|line| {
                        let (total, customers) = next.entry(line % 2 == 0).or_default();
                        customers.insert(paid.customer.clone());
                        let sum = total.checked_add(*line).filter(|_| !ill(*line));
                        sum.map(|sum| *total = sum).is_some()
                    });
                if folded { lines = next } else { parked[2].push(position) }
            }
        }
    }
    let uppers: Vec<_> = balances
        .values()
        .filter(|row| row.total != 0)
        .map(|row| Upper { customer: row.customer.clone(), total: row.total })
        .collect();
    let mut lowers: BTreeMap<i8, u64> = BTreeMap::new();
    uppers.iter().for_each(|row| *lowers.entry(row.total).or_default() += 1);
    let lines = lines.into_iter().map(|(even, (total, customers))| Lines {
        even,
        total,
        customers: customers.len() as u64,
    });
    let [of_balance, of_amounts, of_lines] = parked;
    [
        Expected::of(balances.into_values(), of_balance.clone()),
        Expected::of(amounts.into_iter().map(|(amount, times)| ByAmount { amount, times }), of_amounts),
        Expected::of(lines, of_lines),
        Expected::of(uppers, of_balance),
        Expected::of(lowers.into_iter().map(|(total, customers)| Lower { total, customers }), Vec::new()),
    ]
}

fn positions(parked: &[Parked]) -> Vec<u64> {
    parked.iter().map(|parked| parked.position).collect()
}

fn found<P: Projection + Debug>(engine: &Engine) -> Expected {
    let view = engine.view::<P>();
    let parked = view.parked().unwrap();
    let health = engine.health().views.into_iter().find(|view| view.projection == P::RUST_NAME).unwrap();
    assert_eq!((health.parked, health.state), (parked.len(), ViewState::Live));
    Expected::of(view.rows().unwrap(), positions(&parked))
}

/// Rows as a subscriber knows them, who believes everything that is told, and checks it.
struct Mirror<P: Projection> {
    changes: Changes<P>,
    rows: Vec<P>,
}

impl<P: Projection + Debug + PartialEq> Mirror<P> {
    fn new(engine: &Engine) -> Self {
        let mut mirror = Self { changes: engine.view::<P>().subscribe(), rows: Vec::new() };
        mirror.listen();
        mirror
    }

    /// Takes in what has been told; how many changes that is.
    fn listen(&mut self) -> usize {
        let mut told = 0;
        while let Some(Ok(change)) = self.changes.next_timeout(Duration::ZERO).wait() {
            let (before, after) = match change {
                Change::Inserted { row } => (None, Some(row)),
                Change::Updated { before, after } => (Some(before), Some(after)),
                Change::Deleted { row } => (Some(row), None),
                Change::Progress { .. } => continue,
            };
            told += 1;
            if let Some(before) = before {
                let at = self.rows.iter().position(|row| *row == before);
                self.rows.remove(at.expect("what is said to have been was there"));
            }
            self.rows.extend(after);
        }
        told
    }

    fn seen(&self) -> Vec<String> {
        Expected::of(&self.rows, Vec::new()).rows
    }
}

/// An engine over a folder, and those who watch it.
struct Shop {
    engine: Engine,
    balances: Mirror<Balance>,
    lowers: Mirror<Lower>,
}

fn open(folder: &Path) -> Shop {
    static OPENED: AtomicUsize = AtomicUsize::new(0);
    let engine = Engine::open(folder)
        .unwrap()
        .threads(1 + OPENED.fetch_add(1, Ordering::Relaxed) % 3)
        .view::<Balance>()
        .view::<ByAmount>()
        .view::<Lines>()
        .view::<Lower>()
        .start()
        .unwrap();
    engine.wait_ready().wait().unwrap();
    Shop { balances: Mirror::new(&engine), lowers: Mirror::new(&engine), engine }
}

fn check(shop: &mut Shop, history: &[Event], mended: bool) {
    let engine = &shop.engine;
    let all = [found::<Balance>, found::<ByAmount>, found::<Lines>, found::<Upper>, found::<Lower>]
        .map(|it| it(engine));
    assert_eq!(all, expected(history, mended));
    shop.balances.listen();
    shop.lowers.listen();
    assert_eq!(shop.balances.seen(), all[0].rows);
    assert_eq!(shop.lowers.seen(), all[4].rows);
}

/// Retries what a view has parked, which is `expected` afterwards.
fn retry<P: Projection>(engine: &Engine) -> Result<Retried, RefoldError> {
    let before = engine.view::<P>().parked().unwrap();
    let retried = engine.retry_parked::<P>().wait()?;
    let after = engine.view::<P>().parked().unwrap();
    let gone = before.iter().filter(|old| !after.iter().any(|new| new.position == old.position)).count();
    assert_eq!(retried, Retried { folded: gone, still_parked: after.len() });
    Ok(retried)
}

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<Event>),
    /// As many appends as events.
    Trickle(Vec<Event>),
    Checkpoint,
    Close,
    /// Closed, and its checkpoints deleted.
    Forget,
    Retry,
    /// 13 is no trouble from here on, and all is retried.
    Mend,
}

fn event() -> impl Strategy<Value = Event> {
    let name = || prop::sample::select(vec!["ann", "bob", "cy"]).prop_map(str::to_owned);
    let amount = || prop_oneof![6 => -60..61_i8, 1 => Just(13_i8)];
    let note = prop_oneof![8 => Just("fine"), 1 => Just(legible::BLOT)].prop_map(str::to_owned);
    let lines = prop::collection::vec(amount(), 0..4);
    prop_oneof![
        3 => (name(), amount(), note, lines)
            .prop_map(|(customer, amount, note, lines)| Event::Paid(Paid { customer, amount, note, lines })),
        2 => (name(), amount()).prop_map(|(customer, amount)| Event::Refunded(Refunded { customer, amount })),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let events = |most| prop::collection::vec(event(), 0..most);
    let step = prop_oneof![
        6 => events(60).prop_map(Step::Append),
        2 => events(8).prop_map(Step::Trickle),
        2 => Just(Step::Checkpoint),
        3 => Just(Step::Close),
        1 => Just(Step::Forget),
        2 => Just(Step::Retry),
        1 => Just(Step::Mend),
    ];
    prop::collection::vec(step, 1..14)
}

/// `PROPTEST_CASES`, which `tests/long.sh` raises, or as many as this.
fn cases(otherwise: u32) -> u32 {
    std::env::var("PROPTEST_CASES").map_or(otherwise, |text| text.parse().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(48), ..ProptestConfig::default() })]

    #[test]
    fn parking_views_are_what_loops_say_that_pass_over_what_faults(steps in steps()) {
        MENDED.store(false, Ordering::Relaxed);
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("store");
        let mut shop = open(&folder);
        let (mut history, mut mended): (Vec<Event>, bool) = (Vec::new(), false);
        for step in steps {
            match step {
                Step::Append(events) => {
                    shop.engine.append_all(events.clone()).wait().unwrap();
                    history.extend(events);
                }
                Step::Trickle(events) => {
                    for event in events {
                        shop.engine.append(event.clone()).wait().unwrap();
                        history.push(event);
                    }
                }
                Step::Checkpoint => shop.engine.checkpoint().wait().unwrap(),
                Step::Close => {
                    shop.engine.close().wait().unwrap();
                    shop = open(&folder);
                }
                Step::Forget => {
                    shop.engine.close().wait().unwrap();
                    for file in ["views.db", "views.db-wal", "views.db-shm"] {
                        let _ = std::fs::remove_file(folder.join(file));
                    }
                    shop = open(&folder);
                }
                Step::Retry => {
                    prop_assert_eq!(retry::<Balance>(&shop.engine).unwrap().folded, 0);
                    prop_assert_eq!(retry::<Upper>(&shop.engine).unwrap().folded, 0);
                    prop_assert_eq!(shop.balances.listen() + shop.lowers.listen(), 0);
                }
                Step::Mend => {
                    mended = true;
                    MENDED.store(true, Ordering::Relaxed);
                    retry::<Balance>(&shop.engine).unwrap();
                    retry::<ByAmount>(&shop.engine).unwrap();
                    retry::<Lines>(&shop.engine).unwrap();
                    retry::<Upper>(&shop.engine).unwrap();
                }
            }
            check(&mut shop, &history, mended);
        }
        shop.engine.close().wait().unwrap();
        let builder = Engine::open(&folder).unwrap();
        let verified =
            builder.view::<Balance>().view::<ByAmount>().view::<Lines>().view::<Lower>().verify().unwrap();
        // Nothing but the payloads that cannot be read.
        let blots = history.iter().filter(|event| matches!(event, Event::Paid(paid) if paid.note == legible::BLOT));
        prop_assert_eq!(verified.findings.len(), blots.count(), "{}", verified);
    }
}

fn paid(customer: &str, amount: i8) -> Paid {
    Paid { customer: customer.into(), amount, note: String::new(), lines: Vec::new() }
}

/// Without the option, and with its default written out.
#[projection(from = Paid, group_by = customer)]
#[derive(Debug, Clone, PartialEq)]
struct Stops {
    customer: String,
    #[sum]
    amount: i8,
}

#[projection(from = Paid, group_by = customer, on_fault = stop)]
#[derive(Debug, Clone, PartialEq)]
struct StopsToo {
    customer: String,
    #[sum]
    amount: i8,
}

#[projection(from = Paid, group_by = customer, on_fault = park)]
#[derive(Debug, Clone, PartialEq)]
struct Parks {
    customer: String,
    #[sum]
    amount: i8,
}

#[test]
fn a_view_without_the_option_stops_and_the_others_go_on() {
    let engine = Engine::in_memory().view::<Stops>().view::<StopsToo>().view::<Parks>().start().unwrap();
    engine.append_all([paid("ann", 100), paid("ann", 100), paid("bob", 1), paid("ann", 1)]).wait().unwrap();
    let fault = match engine.view::<Stops>().get("bob") {
        Err(ReadError::Faulted(fault)) => fault,
        other => panic!("{other:?}"),
    };
    assert_eq!((fault.position, fault.column), (2, Some("amount")));
    assert!(matches!(engine.view::<StopsToo>().get("bob"), Err(ReadError::Faulted(_))));
    let view = engine.view::<Parks>();
    assert_eq!(view.get("ann").unwrap().unwrap().amount, 101);
    assert_eq!(view.get("bob").unwrap().unwrap().amount, 1);
    let parked = view.parked().unwrap();
    let [Parked { position: 2, event, column: Some(column), reason }] = &parked[..] else {
        panic!("{parked:?}")
    };
    assert_eq!((event.as_str(), column.as_str()), ("Paid", "amount"));
    assert_eq!(*reason, fault.reason);
    assert!(
        parked[0].to_string().starts_with("the event at position 2, `Paid`, is parked, column `amount`: ")
    );
    // What is asked of those that stopped, or are not there, is refused.
    let refused = engine.retry_parked::<Stops>().wait();
    assert!(matches!(refused, Err(RefoldError::Faulted(ref of)) if *of == fault), "{refused:?}");
    assert!(matches!(engine.retry_parked::<Lines>().wait(), Err(RefoldError::NoSuchView(_))));
}

#[test]
fn a_table_parks_as_an_engine_does() {
    let mut table = Table::<Parks>::new();
    for amount in [100, 100, 27, 1, -5] {
        table.apply(&paid("ann", amount)).unwrap();
    }
    assert_eq!(table.get("ann").unwrap().amount, 122);
    assert_eq!(positions(table.parked()), [2, 4]);
    let mut turns = Table::<Lines>::new();
    turns
        .apply_all(&[
            Paid { lines: vec![100, 2, 100], ..paid("ann", 0) },
            Paid { lines: vec![6], ..paid("bob", 0) },
        ])
        .unwrap();
    assert_eq!((turns.get(true).unwrap().total, turns.get(true).unwrap().customers), (6, 1));
    assert_eq!(positions(turns.parked()), [1]);
    let mut stops = Table::<Stops>::new();
    assert!(stops.apply_all(&[paid("ann", 100), paid("ann", 100)]).is_err());
    assert!(stops.parked().is_empty());
}

#[test]
fn the_option_is_part_of_the_fingerprint() {
    assert_ne!(Parks::FINGERPRINT, Stops::FINGERPRINT);
    assert_eq!(StopsToo::FINGERPRINT, Stops::FINGERPRINT);
}

#[test]
fn a_view_that_would_park_too_much_stops() {
    let many = |events| std::iter::once(paid("ann", 127)).chain((0..events).map(|_| paid("ann", 1)));
    let engine = Engine::in_memory().view::<Parks>().start().unwrap();
    engine.append_all(many(10_000)).wait().unwrap();
    let view = engine.view::<Parks>();
    assert_eq!(view.parked().unwrap().len(), 10_000);
    engine.append(paid("bob", 1)).wait().unwrap();
    assert_eq!(view.get("bob").unwrap().unwrap().amount, 1);
    engine.append_all([paid("bob", 1), paid("ann", 1), paid("bob", 1)]).wait().unwrap();
    let Err(ReadError::Faulted(fault)) = view.parked() else { panic!("it goes on") };
    assert_eq!((fault.position, fault.column), (10_004, Some("amount")));
    assert!(fault.reason.starts_with("10000 events are parked, and this is one too many"), "{fault}");

    let mut table = Table::<Parks>::new();
    table.apply_all(&many(10_000).collect::<Vec<_>>()).unwrap();
    assert_eq!(table.apply(&paid("ann", 1)).unwrap_err().position, 10_002);
    assert_eq!(table.parked().len(), 10_000);
}

static CLUSTER_MENDED: AtomicBool = AtomicBool::new(false);

#[projection(from = Paid, group_by = customer, on_fault = park)]
#[derive(Debug, Clone, PartialEq)]
struct Sums {
    customer: String,
    #[sum(i64::from(unless_13(amount, CLUSTER_MENDED.load(Ordering::Relaxed))))]
    total: i64,
}

#[projection(from = Sums, group_by = total)]
#[derive(Debug, Clone, PartialEq)]
struct PerSum {
    total: i64,
    #[count]
    customers: u64,
}

/// A view of events that looks up rows of one that parks, as of its own event.
#[projection(from = Refunded, join(paid = Sums[customer]), group_by = customer)]
#[derive(Debug, Clone, PartialEq)]
struct Looked {
    customer: String,
    #[last(paid.total)]
    had: i64,
}

#[test]
fn a_retry_after_a_fix_is_a_fold_from_scratch_and_subscribers_are_told_the_difference() {
    CLUSTER_MENDED.store(false, Ordering::Relaxed);
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("store");
    let start = |folder: &Path| {
        let engine = Engine::open(folder).unwrap().view::<PerSum>().view::<Looked>().start().unwrap();
        engine.wait_ready().wait().unwrap();
        engine
    };
    let engine = start(&folder);
    engine
        .append_all([paid("ann", 1), paid("bob", 13), paid("cy", 14), paid("ann", 13), paid("dan", 1)])
        .wait()
        .unwrap();
    for customer in ["ann", "bob"] {
        engine.append(Refunded { customer: customer.into(), amount: 0 }).wait().unwrap();
    }
    // Across a restart, with the list out of the checkpoint.
    engine.close().wait().unwrap();
    let engine = start(&folder);
    let (sums, per_sum, looked) = (engine.view::<Sums>(), engine.view::<PerSum>(), engine.view::<Looked>());
    let parked = sums.parked().unwrap();
    assert_eq!(positions(&parked), [2, 4]);
    assert!(parked[0].reason.contains("13 brings bad luck"), "{}", parked[0]);
    assert_eq!(per_sum.get(1).unwrap().unwrap().customers, 2);
    assert_eq!(looked.get("bob").unwrap(), None);
    let mut told = [sums.subscribe(), sums.subscribe()];
    let mut below = Mirror::<PerSum>::new(&engine);
    for _ in 0..4 {
        // Ann, Cy, Dan and where they stand.
        assert!(told[0].next().wait().unwrap().is_ok());
    }

    let nothing_mended = engine.retry_parked::<Sums>().wait().unwrap();
    assert_eq!(nothing_mended, Retried { folded: 0, still_parked: 2 });
    CLUSTER_MENDED.store(true, Ordering::Relaxed);
    assert_eq!(engine.retry_parked::<Sums>().wait().unwrap(), Retried { folded: 2, still_parked: 0 });
    assert_eq!(engine.retry_parked::<Sums>().wait().unwrap(), Retried::default());
    assert_eq!(engine.health().views[0].parked, 0);

    let row = |customer: &str, total| Sums { customer: customer.into(), total };
    let mut changes = Vec::new();
    while let Some(Ok(change)) = told[0].next_timeout(Duration::ZERO).wait() {
        changes.extend((!matches!(change, Change::Progress { .. })).then_some(change));
    }
    assert_eq!(
        changes,
        [
            Change::Updated { before: row("ann", 1), after: row("ann", 14) },
            Change::Inserted { row: row("bob", 13) }
        ]
    );
    assert_eq!(below.listen(), 3, "1 has one less, 14 one more, 13 is new");
    let counts = |view: &View<PerSum>| {
        view.rows_by_key().unwrap().map(|row| (row.total, row.customers)).collect::<Vec<_>>()
    };
    assert_eq!(counts(&per_sum), [(1, 1), (13, 1), (14, 2)]);
    assert_eq!(below.seen(), Expected::of(per_sum.rows().unwrap(), Vec::new()).rows);
    assert_eq!(looked.get("bob").unwrap().unwrap().had, 13);
    // It goes on from there, and what is stored is what was retried.
    engine.append(paid("bob", 1)).wait().unwrap();
    assert_eq!(counts(&per_sum), [(1, 1), (14, 3)]);
    engine.checkpoint().wait().unwrap();
    engine.close().wait().unwrap();
    let verified = Engine::open(&folder).unwrap().view::<PerSum>().view::<Looked>().verify().unwrap();
    assert!(verified.is_whole() && verified.views.iter().all(|view| view.folded), "{verified}");
    let engine = start(&folder);
    assert_eq!(counts(&engine.view()), [(1, 1), (14, 3)]);
    assert_eq!(engine.view::<Sums>().parked().unwrap(), []);
}

#[test]
fn who_only_reads_leaves_a_retry_to_who_writes() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("store");
    let engine = Engine::open(&folder).unwrap().view::<Parks>().start().unwrap();
    engine.append_all([paid("ann", 100), paid("ann", 100)]).wait().unwrap();
    let parked = engine.view::<Parks>().parked().unwrap();
    engine.close().wait().unwrap();
    let reading = Engine::open_read_only(&folder).unwrap().view::<Parks>().start().unwrap();
    assert_eq!(reading.view::<Parks>().parked().unwrap(), parked);
    assert_eq!(parked.len(), 1);
    assert_eq!(reading.retry_parked::<Parks>().wait(), Err(RefoldError::ReadOnly));
}

static BRITTLE_MENDED: AtomicBool = AtomicBool::new(false);

#[projection(from = Paid, group_by = customer, on_fault = park)]
#[derive(Debug, Clone, PartialEq)]
struct Above {
    customer: String,
    #[sum(i64::from(unless_13(amount, BRITTLE_MENDED.load(Ordering::Relaxed))))]
    total: i64,
}

/// Stops once what is parked above it is folded.
#[projection(from = Above, group_by = ())]
#[derive(Debug, Clone, PartialEq)]
struct Brittle {
    #[sum(i64::from(unless_13(total as i8, false)))]
    total: i64,
}

#[test]
fn a_retry_that_would_stop_a_view_leaves_all_as_it_was() {
    let engine = Engine::in_memory().view::<Brittle>().start().unwrap();
    engine.append_all([paid("ann", 1), paid("bob", 13)]).wait().unwrap();
    BRITTLE_MENDED.store(true, Ordering::Relaxed);
    let Err(RefoldError::WouldStop(fault)) = engine.retry_parked::<Above>().wait() else {
        panic!("it does not")
    };
    assert_eq!((fault.projection, fault.position), ("Brittle", 2));
    assert_eq!(positions(&engine.view::<Above>().parked().unwrap()), [2]);
    assert_eq!(engine.view::<Brittle>().get(()).unwrap().unwrap().total, 1);
    // A view that has stopped before is left alone, and is none of the others' trouble.
    engine.append(paid("cy", 13)).wait().unwrap();
    assert!(matches!(engine.view::<Brittle>().get(()), Err(ReadError::Faulted(_))));
    let retried = engine.retry_parked::<Above>().wait().unwrap();
    assert_eq!(retried, Retried { folded: 1, still_parked: 0 });
    assert_eq!(engine.view::<Above>().len().unwrap(), 3);
    assert!(matches!(engine.view::<Brittle>().get(()), Err(ReadError::Faulted(_))));
}

/// Where folds of 42 wait, once 13 is no trouble any more, until it is open.
struct Gate {
    mended: AtomicBool,
    open: Mutex<bool>,
    moved: Condvar,
    /// Whether someone waits.
    waited_at: AtomicBool,
}

impl Gate {
    const fn new() -> Self {
        let (mended, waited_at) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { mended, open: Mutex::new(false), moved: Condvar::new(), waited_at }
    }

    fn pass(&self, value: i8) -> i64 {
        let mended = self.mended.load(Ordering::Relaxed);
        if value == 42 && mended {
            let open = self.open.lock().unwrap();
            self.waited_at.store(!*open, Ordering::Relaxed);
            drop(self.moved.wait_while(open, |open| !*open).unwrap());
        }
        i64::from(unless_13(value, mended))
    }

    fn close(&self) {
        *self.open.lock().unwrap() = false;
        self.waited_at.store(false, Ordering::Relaxed);
    }

    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.moved.notify_all();
    }

    fn until_someone_waits(&self) {
        while !self.waited_at.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
    }
}

/// Opens a gate at the end of a test, however that comes: an engine that waits there could not be closed.
struct OpenAtLast(&'static Gate);

impl Drop for OpenAtLast {
    fn drop(&mut self) {
        self.0.open();
    }
}

static GATE: Gate = Gate::new();

#[projection(from = Paid, group_by = customer, on_fault = park)]
#[derive(Debug, Clone, PartialEq)]
struct Gated {
    customer: String,
    #[sum(GATE.pass(amount))]
    total: i64,
}

/// In a thread of its own.
fn begin<P: Projection>(engine: &Engine) -> std::thread::JoinHandle<Result<Retried, RefoldError>> {
    let engine = engine.clone();
    std::thread::spawn(move || engine.retry_parked::<P>().wait())
}

#[test]
fn while_it_is_retried_a_view_is_read_and_goes_on() {
    let engine = Engine::in_memory().view::<Gated>().start().unwrap();
    engine.append_all([paid("ann", 13), paid("ann", 42)]).wait().unwrap();
    let view = engine.view::<Gated>();
    let _open = OpenAtLast(&GATE);
    GATE.mended.store(true, Ordering::Relaxed);
    let running = begin::<Gated>(&engine);
    GATE.until_someone_waits();
    assert_eq!(engine.retry_parked::<Gated>().wait(), Err(RefoldError::Running));
    engine.append(paid("ann", 1)).wait().unwrap();
    assert_eq!(view.get("ann").unwrap().unwrap().total, 43);
    assert_eq!(positions(&view.parked().unwrap()), [1]);
    GATE.open();
    assert_eq!(running.join().unwrap(), Ok(Retried { folded: 1, still_parked: 0 }));
    assert_eq!(view.get("ann").unwrap().unwrap().total, 56);

    // Closed in the middle of it: whoever waits is told.
    GATE.mended.store(false, Ordering::Relaxed);
    engine.append(paid("bob", 13)).wait().unwrap();
    GATE.close();
    GATE.mended.store(true, Ordering::Relaxed);
    let running = begin::<Gated>(&engine);
    GATE.until_someone_waits();
    let closing = {
        let engine = engine.clone();
        std::thread::spawn(move || engine.close().wait())
    };
    while view.get("ann") != Err(ReadError::Closed) {
        std::thread::yield_now();
    }
    assert_eq!(engine.retry_parked::<Gated>().wait(), Err(RefoldError::Closed));
    GATE.open();
    assert_eq!(running.join().unwrap(), Err(RefoldError::Closed));
    closing.join().unwrap().unwrap();
}

static ONCE_MENDED: AtomicBool = AtomicBool::new(true);

#[projection(from = Paid, group_by = customer, on_fault = park)]
#[derive(Debug, Clone, PartialEq)]
struct Once {
    customer: String,
    #[sum(i64::from(unless_13(amount, ONCE_MENDED.load(Ordering::Relaxed))))]
    total: i64,
}

#[projection(from = Once, group_by = total)]
#[derive(Debug, Clone, PartialEq)]
struct PerOnce {
    total: i64,
    #[count]
    customers: u64,
}

#[test]
fn a_view_that_comes_later_is_of_one_fold_with_what_it_reads() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("store");
    let engine = Engine::open(&folder).unwrap().view::<Once>().start().unwrap();
    engine.append_all([paid("ann", 13), paid("bob", 1)]).wait().unwrap();
    assert_eq!(engine.view::<Once>().len(), Ok(2));
    engine.close().wait().unwrap();
    // What could be folded then cannot be now: a setting is not there.
    ONCE_MENDED.store(false, Ordering::Relaxed);
    let start = || Engine::open(&folder).unwrap().view::<Once>().view::<PerOnce>();
    let engine = start().start().unwrap();
    engine.wait_ready().wait().unwrap();
    let counts = || {
        let rows = engine.view::<PerOnce>().rows_by_key().unwrap();
        rows.map(|row| (row.total, row.customers)).collect::<Vec<_>>()
    };
    assert_eq!(positions(&engine.view::<Once>().parked().unwrap()), [1]);
    assert_eq!((engine.view::<Once>().len(), counts()), (Ok(1), vec![(1, 1)]));
    engine.append(paid("ann", 2)).wait().unwrap();
    assert_eq!(counts(), [(1, 1), (2, 1)]);
    ONCE_MENDED.store(true, Ordering::Relaxed);
    assert_eq!(engine.retry_parked::<Once>().wait().unwrap(), Retried { folded: 1, still_parked: 0 });
    assert_eq!(counts(), [(1, 1), (15, 1)]);
    engine.close().wait().unwrap();
    let verified = start().verify().unwrap();
    assert!(verified.is_whole(), "{verified}");
}

static KEPT_MENDED: AtomicBool = AtomicBool::new(true);

#[projection(from = Paid, group_by = customer, on_fault = park)]
#[derive(Debug, Clone, PartialEq)]
struct Kept {
    customer: String,
    #[sum(i64::from(unless_13(amount, KEPT_MENDED.load(Ordering::Relaxed))))]
    total: i64,
}

/// It cannot be folded at all.
#[projection(from = Kept, group_by = ())]
#[derive(Debug, Clone, PartialEq)]
struct Never {
    #[sum(1 / (total - 1))]
    shares: i64,
}

#[test]
fn a_view_that_goes_on_is_not_exchanged_for_one_beside_which_another_has_failed() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("store");
    let engine = Engine::open(&folder).unwrap().view::<Kept>().start().unwrap();
    engine.append_all([paid("ann", 13), paid("bob", 1)]).wait().unwrap();
    engine.close().wait().unwrap();
    KEPT_MENDED.store(false, Ordering::Relaxed);
    let engine = Engine::open(&folder).unwrap().view::<Kept>().view::<Never>().start().unwrap();
    assert!(engine.wait_ready().wait().is_err());
    assert!(matches!(engine.view::<Never>().len(), Err(ReadError::Faulted(_))));
    // It was folded along, and would have set an event aside.
    assert_eq!((engine.view::<Kept>().len(), engine.view::<Kept>().parked().unwrap()), (Ok(2), vec![]));
    engine.append(paid("bob", 4)).wait().unwrap();
    assert_eq!(engine.view::<Kept>().get("bob").unwrap().unwrap().total, 5);
}

static REBUILD: Gate = Gate::new();

#[projection(from = Paid, group_by = customer, on_fault = park)]
#[derive(Debug, Clone, PartialEq)]
struct Waited {
    customer: String,
    #[sum(REBUILD.pass(amount))]
    total: i64,
}

#[projection(from = Waited, group_by = total)]
#[derive(Debug, Clone, PartialEq)]
struct Waiting {
    total: i64,
    #[count]
    customers: u64,
}

#[test]
fn what_is_being_rebuilt_is_not_retried() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("store");
    let engine = Engine::open(&folder).unwrap().view::<Waited>().start().unwrap();
    engine.append_all([paid("ann", 13), paid("bob", 42)]).wait().unwrap();
    engine.close().wait().unwrap();
    REBUILD.mended.store(true, Ordering::Relaxed);
    // A new view reads it: both are folded anew, since what one parked the other may be given.
    let engine = Engine::open(&folder).unwrap().view::<Waiting>().start().unwrap();
    let _open = OpenAtLast(&REBUILD);
    REBUILD.until_someone_waits();
    assert!(matches!(engine.view::<Waited>().parked(), Err(ReadError::Rebuilding { head: 2, .. })));
    let refused = engine.retry_parked::<Waited>().wait();
    assert!(matches!(refused, Err(RefoldError::Rebuilding { head: 2, .. })), "{refused:?}");
    REBUILD.open();
    engine.wait_ready().wait().unwrap();
    assert_eq!(engine.view::<Waited>().parked().unwrap(), []);
    engine.append(paid("ann", 1)).wait().unwrap();
    let counts = engine.view::<Waiting>().rows_by_key().unwrap().map(|row| (row.total, row.customers));
    assert_eq!(counts.collect::<Vec<_>>(), [(14, 1), (42, 1)]);
}

#[test]
fn damage_to_the_log_stops_a_view_that_parks() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("store");
    let engine = Engine::open(&folder).unwrap().view::<Parks>().start().unwrap();
    engine.append_all([100, 100, 1, 1].map(|amount| paid("ann", amount))).wait().unwrap();
    engine.close().wait().unwrap();
    let log = rusqlite::Connection::open(folder.join("events.db")).unwrap();
    log.execute_batch("UPDATE events SET payload = x'80' WHERE position = 3").unwrap();
    drop(log);
    // What it folded while the log was whole is in the checkpoint, and cannot be folded anew.
    let engine = Engine::open(&folder).unwrap().view::<Parks>().start().unwrap();
    let refused = engine.retry_parked::<Parks>().wait();
    let Err(RefoldError::Unfoldable(why)) = refused else { panic!("{refused:?}") };
    assert!(why.contains("position 3"), "{why}");
    assert_eq!(engine.view::<Parks>().get("ann").unwrap().unwrap().amount, 102);
    engine.close().wait().unwrap();
    std::fs::remove_file(folder.join("views.db")).unwrap();
    let engine = Engine::open(&folder).unwrap().view::<Parks>().start().unwrap();
    assert!(engine.wait_ready().wait().is_err());
    let Err(ReadError::Faulted(fault)) = engine.view::<Parks>().parked() else { panic!("it goes on") };
    assert_eq!(fault.position, 3);
    assert!(fault.reason.contains("the log is damaged here"), "{fault}");
}

#[event]
#[derive(Debug, Clone)]
pub struct Tallied {
    item: String,
    qty: i64,
    hour: i64,
}

/// What its windows show when they close may be what panics.
#[projection(
    from = Tallied, group_by = item, window = tumbling(hour * 3600, "1h"), unit = "s", emit = "final",
    having = 10 / total > 0, on_fault = park,
)]
#[derive(Debug, Clone, PartialEq)]
struct Closing {
    item: String,
    window_start: i64,
    #[sum(qty)]
    total: i64,
}

#[projection(from = Closing, group_by = ())]
#[derive(Debug, Clone, PartialEq)]
struct Closed {
    #[count]
    windows: u64,
}

#[test]
fn a_window_that_cannot_be_shown_parks_the_same_events_however_they_are_batched() {
    let tallied = |item: &str, qty, hour| Tallied { item: item.into(), qty, hour };
    let all = [("a", 0, 0), ("b", 1, 2), ("c", 1, 3), ("d", 1, 4), ("e", 1, 5)];
    let all = all.map(|(item, qty, hour)| tallied(item, qty, hour));
    for batch in 1..=all.len() {
        let parent = tempfile::tempdir().unwrap();
        let start = || Engine::open(parent.path().join("store")).unwrap().view::<Closed>();
        let engine = start().start().unwrap();
        for events in all.chunks(batch) {
            engine.append_all(events.to_vec()).wait().unwrap();
        }
        let parked = positions(&engine.view::<Closing>().parked().unwrap());
        assert_eq!(parked, [2, 3, 4, 5], "batches of {batch}");
        assert_eq!(engine.view::<Closed>().len(), Ok(0));
        engine.close().wait().unwrap();
        let verified = start().verify().unwrap();
        assert!(verified.is_whole(), "{verified}");
    }
}
