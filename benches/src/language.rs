//! What a projection can say beyond a sum, each beside the loop that one would write by hand for it. No bar is set for these: what is written is the
//! figure that later changes are held against.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use cqrs_core::prelude::*;

use crate::report::{Report, both};
use crate::workload::{CustomerPurchases, Purchased};

/// How many customers have so many of an item: over rows that change with every event.
#[projection(from = CustomerPurchases, group_by = (item, total_qty))]
pub struct HowMany {
    pub item: String,
    pub total_qty: i64,
    #[count]
    pub customers: u64,
}

#[projection(
    from = Purchased, group_by = item, window = tumbling((meta.position as i64), "1ms"), unit = "us", lateness = "1ms", keep = "10ms"
)]
pub struct Windows {
    pub item: String,
    pub window_start: i64,
    #[sum(qty)]
    pub qty: i64,
}

#[event]
pub struct Cleared {
    pub customer: String,
}

#[projection(from = Purchased, remove(Cleared { customer, .. }), group_by = (customer, item))]
pub struct Carts {
    pub customer: String,
    pub item: String,
    #[sum(qty)]
    pub qty: i64,
}

#[projection(from = Purchased, group_by = item)]
pub struct Buyers {
    pub item: String,
    #[count_distinct(customer)]
    pub customers: u64,
}

#[projection(from = Purchased, group_by = customer)]
pub struct Largest {
    pub customer: String,
    #[top(3, qty)]
    pub largest: Vec<i32>,
}

pub fn run(events: &[Purchased], report: &mut Report) {
    let (ours, theirs) = both(3, || windows(events), || windows_by_hand(events));
    report.speed(
        (
            "",
            "tumbling windows, late events counted, old rows dropped",
            "`HashMap` by item and window, swept",
        ),
        events.len(),
        ours,
        theirs,
        0.25,
    );
    let (ours, theirs) = both(3, || carts(events), || carts_by_hand(events));
    report.speed(
        ("", "one event in eight clears a customer's rows by prefix", "`HashMap` of `BTreeMap`s"),
        events.len(),
        ours,
        theirs,
        0.25,
    );
    let (ours, theirs) = both(3, || distinct(events), || distinct_by_hand(events));
    report.speed(
        ("", "distinct customers of an item", "`HashMap` of `HashSet<String>`s"),
        events.len(),
        ours,
        theirs,
        0.25,
    );
    let (ours, theirs) = both(3, || top(events), || top_by_hand(events));
    report.speed(
        ("", "the three largest of a customer", "`HashMap` of `BTreeSet`s, cut to three"),
        events.len(),
        ours,
        theirs,
        0.25,
    );
    let (over, alone) = both(
        3,
        || engine(events, Engine::in_memory().view::<HowMany>()),
        || engine(events, Engine::in_memory().view::<CustomerPurchases>()),
    );
    let each = |time: Duration| time.as_nanos() as f64 / events.len() as f64;
    report.cost(
        ("", "an event appended to a view over a view", "the same to the lower view alone"),
        (each(over), each(alone)),
        "ns",
        6.0,
    );
}

fn windows(events: &[Purchased]) -> Table<Windows> {
    let mut table = Table::new();
    table.apply_all(events).expect("it folds");
    table
}

fn windows_by_hand(events: &[Purchased]) -> HashMap<(String, i64), i64> {
    let mut rows = HashMap::new();
    let (mut clock, mut swept) = (0, 0);
    for (at, event) in events.iter().enumerate() {
        let at = at as i64 + 1;
        clock = clock.max(at);
        let start = at - at % 1000;
        if start + 1000 > clock - 1000 {
            *rows.entry((event.item.clone(), start)).or_insert(0) += i64::from(event.qty);
        }
        if clock - swept > 1000 {
            swept = clock;
            rows.retain(|(_, start), _| start + 12_000 > clock);
        }
    }
    rows
}

fn carts(events: &[Purchased]) -> Table<Carts> {
    let mut table = Table::new();
    for (at, event) in events.iter().enumerate() {
        table.apply(event).expect("it folds");
        if at % 8 == 7 {
            table.apply(&Cleared { customer: event.customer.clone() }).expect("it folds");
        }
    }
    table
}

fn carts_by_hand(events: &[Purchased]) -> HashMap<String, BTreeMap<String, i64>> {
    let mut carts: HashMap<String, BTreeMap<String, i64>> = HashMap::new();
    for (at, event) in events.iter().enumerate() {
        let cart = carts.entry(event.customer.clone()).or_default();
        *cart.entry(event.item.clone()).or_insert(0) += i64::from(event.qty);
        if at % 8 == 7 {
            carts.remove(&event.customer);
        }
    }
    carts
}

fn distinct(events: &[Purchased]) -> Table<Buyers> {
    let mut table = Table::new();
    table.apply_all(events).expect("it folds");
    table
}

fn distinct_by_hand(events: &[Purchased]) -> HashMap<String, HashSet<String>> {
    let mut rows: HashMap<String, HashSet<String>> = HashMap::new();
    for event in events {
        rows.entry(event.item.clone()).or_default().insert(event.customer.clone());
    }
    rows
}

fn top(events: &[Purchased]) -> Table<Largest> {
    let mut table = Table::new();
    table.apply_all(events).expect("it folds");
    table
}

fn top_by_hand(events: &[Purchased]) -> HashMap<String, BTreeSet<(i32, usize)>> {
    let mut rows: HashMap<String, BTreeSet<(i32, usize)>> = HashMap::new();
    for (at, event) in events.iter().enumerate() {
        let row = rows.entry(event.customer.clone()).or_default();
        row.insert((event.qty, usize::MAX - at));
        if row.len() > 3 {
            row.pop_first();
        }
    }
    rows
}

fn engine(events: &[Purchased], builder: cqrs_core::Builder) -> Engine {
    let engine = builder.start().expect("it starts");
    for batch in events.chunks(10_000) {
        engine.append_all(batch.iter().cloned()).wait().expect("it appends");
    }
    engine
}
