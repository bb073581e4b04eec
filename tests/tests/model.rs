//! Any events, cut into any batches, with restarts, checkpoints and lost checkpoints between them: every view equals what plain loops
//! over the whole history say. The loops know nothing of the library.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use cqrs_core::prelude::*;
use proptest::prelude::*;

#[event]
#[derive(Debug, Clone, PartialEq)]
pub struct Placed {
    customer: String,
    item: String,
    qty: i32,
    price: i64,
    at: i64,
    note: Option<String>,
}

#[event]
#[derive(Debug, Clone, PartialEq)]
pub enum After {
    Returned { buyer: String, item: String, qty: u32 },
    Flagged { customer: String },
}

#[event]
#[derive(Debug, Clone, PartialEq)]
pub enum Any {
    Placed(Placed),
    Noise { text: String },
}

/// Two key columns, a renamed key, arms of both signs, `having`.
#[projection(
    from(Placed, After { Returned { customer: buyer }, .. }),
    group_by = (customer, item),
    having = total != 0,
)]
#[derive(Debug, Clone, PartialEq)]
struct Holding {
    customer: String,
    item: String,
    #[sum(Placed => i64::from(qty), Returned => -i64::from(qty))]
    total: i64,
    #[count]
    events: u64,
    #[last(Placed => note)]
    note: Option<String>,
    #[computed(total * 2)]
    doubled: i64,
}

fn holdings(history: &[Recorded]) -> Vec<Holding> {
    let mut rows: BTreeMap<(String, String), Holding> = BTreeMap::new();
    for (_, event) in history {
        let (customer, item, qty, note) = match event {
            Event::Placed(e) => (&e.customer, &e.item, i64::from(e.qty), Some(e.note.clone())),
            Event::After(After::Returned { buyer, item, qty }) => (buyer, item, -i64::from(*qty), None),
            _ => continue,
        };
        let row = rows.entry((customer.clone(), item.clone())).or_insert_with(|| Holding {
            customer: customer.clone(),
            item: item.clone(),
            total: 0,
            events: 0,
            note: None,
            doubled: 0,
        });
        row.total += qty;
        row.events += 1;
        row.doubled = row.total * 2;
        if let Some(note) = note {
            row.note = note;
        }
    }
    rows.into_values().filter(|row| row.total != 0).collect()
}

/// Guards on sources and arms, every aggregate, orders other than the log's.
#[projection(from(Placed if qty > 0, After { Flagged, .. }), group_by = customer)]
#[derive(Debug, Clone, PartialEq)]
struct Customer {
    customer: String,
    #[count(Placed)]
    orders: u64,
    #[count(Flagged)]
    flags: u64,
    #[avg(Placed => price)]
    average: Option<f64>,
    #[max(Placed => price)]
    dearest: Option<i64>,
    #[min(Placed if qty < 3 => price)]
    cheapest_small: Option<i64>,
    #[first(Placed => item)]
    first_item: Option<String>,
    #[sum(Placed => price)]
    spent: Option<i64>,
    #[last(meta.position)]
    position: u64,
}

fn customers(history: &[Recorded]) -> Vec<Customer> {
    let mut seen: BTreeMap<String, Vec<&Recorded>> = BTreeMap::new();
    for recorded in history {
        let customer = match &recorded.1 {
            Event::Placed(placed) if placed.qty > 0 => &placed.customer,
            Event::After(After::Flagged { customer }) => customer,
            _ => continue,
        };
        seen.entry(customer.clone()).or_default().push(recorded);
    }
    let row = |(customer, events): (String, Vec<&Recorded>)| {
        let placed: Vec<&Placed> = events
            .iter()
            .filter_map(|(_, event)| match event {
                Event::Placed(placed) => Some(placed),
                _ => None,
            })
            .collect();
        let total: i64 = placed.iter().map(|p| p.price).sum();
        Customer {
            customer,
            orders: placed.len() as u64,
            flags: (events.len() - placed.len()) as u64,
            average: (!placed.is_empty()).then(|| total as f64 / placed.len() as f64),
            dearest: placed.iter().map(|p| p.price).max(),
            cheapest_small: placed.iter().filter(|p| p.qty < 3).map(|p| p.price).min(),
            first_item: placed.first().map(|p| p.item.clone()),
            spent: (!placed.is_empty()).then_some(total),
            position: events.last().unwrap().0,
        }
    };
    seen.into_iter().map(row).collect()
}

/// A computed key, orders by an expression with ties, one source.
#[projection(from = Placed, group_by = (day = at / 10), version = 3)]
#[derive(Debug, Clone, PartialEq)]
struct Day {
    day: i64,
    #[first(item, by = at)]
    earliest: String,
    #[last(item, by = at)]
    latest: String,
    #[last(note, by = qty * 100 + price as i32)]
    odd: Option<String>,
    #[max(customer)]
    customer: String,
}

/// One row for everything, out of an enum around an event type that other views read by itself.
#[projection(from = Any { Placed, Noise }, group_by = ())]
#[derive(Debug, Clone, PartialEq)]
struct Totals {
    #[count]
    events: u64,
    #[sum(Placed => qty)]
    qty: i64,
    #[last(Noise => text)]
    noise: Option<String>,
}

fn days(history: &[Recorded]) -> Vec<Day> {
    let mut groups: BTreeMap<i64, Vec<&Placed>> = BTreeMap::new();
    for (_, event) in history {
        if let Event::Placed(placed) = event {
            groups.entry(placed.at / 10).or_default().push(placed);
        }
    }
    let row = |(day, placed): (i64, Vec<&Placed>)| {
        let (mut earliest, mut latest, mut odd) = (placed[0], placed[0], placed[0]);
        for candidate in &placed[1..] {
            if candidate.at < earliest.at {
                earliest = candidate;
            }
            if candidate.at >= latest.at {
                latest = candidate;
            }
            if candidate.qty * 100 + candidate.price as i32 >= odd.qty * 100 + odd.price as i32 {
                odd = candidate;
            }
        }
        Day {
            day,
            earliest: earliest.item.clone(),
            latest: latest.item.clone(),
            odd: odd.note.clone(),
            customer: placed.iter().map(|p| p.customer.clone()).max().unwrap(),
        }
    };
    groups.into_iter().map(row).collect()
}

fn totals(history: &[Recorded]) -> Vec<Totals> {
    let mut row = Totals { events: 0, qty: 0, noise: None };
    for (_, event) in history {
        match event {
            Event::Placed(placed) => row.qty += i64::from(placed.qty),
            Event::Noise(text) => row.noise = Some(text.clone()),
            Event::After(_) => continue,
        }
        row.events += 1;
    }
    if row.events == 0 { Vec::new() } else { vec![row] }
}

/// Position and event.
type Recorded = (u64, Event);

#[derive(Debug, Clone)]
enum Event {
    Placed(Placed),
    After(After),
    Noise(String),
}

impl From<Event> for NewEvent {
    fn from(event: Event) -> Self {
        match event {
            Event::Placed(placed) => NewEvent::new(placed),
            Event::After(after) => NewEvent::new(after),
            Event::Noise(text) => NewEvent::new(Any::Noise { text }),
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// One append, all or none.
    Append(Vec<Event>),
    /// As many appends as events, on their way at once.
    Scatter(Vec<Event>),
    Checkpoint,
    Close,
    /// Dropped, not closed.
    Drop,
    /// Closed, and its checkpoints deleted.
    Forget,
}

fn event() -> impl Strategy<Value = Event> {
    let name = || prop::sample::select(vec!["ann", "bob", "b\u{0}b", ""]).prop_map(str::to_owned);
    let item = || prop::sample::select(vec!["hats", "pants"]).prop_map(str::to_owned);
    let placed = (name(), item(), -2..6_i32, 0..50_i64, -20..40_i64, prop::option::of(item()));
    prop_oneof![
        5 => placed.prop_map(|(customer, item, qty, price, at, note)| Event::Placed(Placed { customer, item, qty, price, at, note })),
        2 => (name(), item(), 0..4_u32).prop_map(|(buyer, item, qty)| Event::After(After::Returned { buyer, item, qty })),
        1 => name().prop_map(|customer| Event::After(After::Flagged { customer })),
        1 => name().prop_map(Event::Noise),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let events = || prop::collection::vec(event(), 0..40);
    let step = prop_oneof![
        5 => events().prop_map(Step::Append),
        2 => events().prop_map(Step::Scatter),
        1 => Just(Step::Checkpoint),
        2 => Just(Step::Close),
        1 => Just(Step::Drop),
        1 => Just(Step::Forget),
    ];
    prop::collection::vec(step, 1..12)
}

fn open(folder: &Path) -> Engine {
    // Once with one thread, once with several, in turns: what is rebuilt, and how, must make no difference.
    static OPENED: AtomicUsize = AtomicUsize::new(0);
    let engine = Engine::open(folder)
        .unwrap()
        .threads(1 + OPENED.fetch_add(1, Ordering::Relaxed) % 3)
        .view::<Holding>()
        .view::<Customer>()
        .view::<Day>()
        .view::<Totals>()
        .event::<After>()
        .start()
        .unwrap();
    engine.wait_ready().wait().unwrap();
    engine
}

fn sorted<R: Debug>(rows: impl IntoIterator<Item = R>) -> Vec<String> {
    let mut rows: Vec<_> = rows.into_iter().map(|row| format!("{row:?}")).collect();
    rows.sort();
    rows
}

fn check(engine: &Engine, history: &[Recorded]) {
    assert_eq!(sorted(engine.view::<Holding>().rows().unwrap()), sorted(holdings(history)));
    assert_eq!(sorted(engine.view::<Customer>().rows().unwrap()), sorted(customers(history)));
    assert_eq!(sorted(engine.view::<Day>().rows().unwrap()), sorted(days(history)));
    assert_eq!(sorted(engine.view::<Totals>().rows().unwrap()), sorted(totals(history)));
    for customer in ["ann", "b\u{0}b", "nobody"] {
        let under = engine.view::<Holding>().rows_of(customer).unwrap();
        assert_eq!(
            sorted(under),
            sorted(holdings(history).into_iter().filter(|row| row.customer == customer))
        );
    }
    for row in holdings(history) {
        assert_eq!(engine.view::<Holding>().get((&row.customer, &row.item)).unwrap().as_ref(), Some(&row));
    }
}

/// `PROPTEST_CASES`, which `tests/long.sh` raises, or as many as this.
fn cases(otherwise: u32) -> u32 {
    std::env::var("PROPTEST_CASES").map_or(otherwise, |text| text.parse().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(64), ..ProptestConfig::default() })]

    #[test]
    fn every_view_is_what_plain_loops_say(steps in steps()) {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("store");
        let mut engine = open(&folder);
        let mut history: Vec<Recorded> = Vec::new();
        for step in steps {
            match step {
                Step::Append(events) => {
                    let receipt = engine.append_all(events.clone()).wait().unwrap();
                    history.extend((receipt.first..).zip(events));
                }
                Step::Scatter(events) => {
                    let mut at: Vec<_> = std::thread::scope(|scope| {
                        let append = |event: Event| {
                            let engine = &engine;
                            scope.spawn(move || (engine.append(event.clone()).wait().unwrap().first, event))
                        };
                        let running: Vec<_> = events.into_iter().map(append).collect();
                        running.into_iter().map(|thread| thread.join().unwrap()).collect()
                    });
                    at.sort_by_key(|(position, _)| *position);
                    history.extend(at);
                }
                Step::Checkpoint => engine.checkpoint().wait().unwrap(),
                Step::Close => {
                    engine.close().wait().unwrap();
                    engine = open(&folder);
                }
                Step::Drop => {
                    drop(engine);
                    engine = open(&folder);
                }
                Step::Forget => {
                    engine.close().wait().unwrap();
                    for file in ["views.db", "views.db-wal", "views.db-shm"] {
                        let _ = std::fs::remove_file(folder.join(file));
                    }
                    engine = open(&folder);
                }
            }
            let positions: Vec<_> = history.iter().map(|(position, _)| *position).collect();
            prop_assert_eq!(positions, (1..=history.len() as u64).collect::<Vec<_>>());
            check(&engine, &history);
        }
    }
}
