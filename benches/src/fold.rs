//! The fold alone, in memory, on one thread.

use std::collections::HashMap;

use cqrs_core::event::{Meta, Recorded};
use cqrs_core::prelude::*;
use serde::Deserialize;

use crate::report::{Report, both};
use crate::workload::{self, CustomerPurchases, Purchased};

pub fn run(events: &[Purchased], report: &mut Report) {
    let ours = || {
        let mut table = Table::<CustomerPurchases>::new();
        table.apply_all(events).expect("W folds");
        table
    };
    let (fold, loops) = both(7, ours, || naive(events));
    report.speed(
        ("1", "fold of typed events", "naive loop, std `HashMap`, cloned keys"),
        events.len(),
        fold,
        loops,
        4.0,
    );
    let (fold, loops) = both(7, ours, || good(events));
    report.speed(
        ("2", "fold of typed events", "good loop, `entry_ref`, foldhash"),
        events.len(),
        fold,
        loops,
        2.0,
    );

    let payloads: Vec<Vec<u8>> = events
        .iter()
        .map(|event| {
            let mut out = Vec::new();
            event.encode(&mut out).expect("W encodes");
            out
        })
        .collect();
    let ours = || {
        let mut table = Table::<CustomerPurchases>::new();
        for payloads in payloads.chunks(256) {
            let decoded = payloads.iter().map(|payload| Purchased::decode(0, payload).expect("W decodes"));
            let run: Vec<Recorded<'_, Purchased>> =
                decoded.map(|event| Recorded { meta: Meta::default(), event }).collect();
            table.apply_recorded(&run).expect("W folds");
        }
        table
    };
    let (fold, good) = both(7, ours, || good_decoding(&payloads));
    report.speed(
        ("4", "decode and fold", "good loop over rmp-serde, field names, borrowed"),
        events.len(),
        fold,
        good,
        2.0,
    );

    let table = ours();
    let row = |bytes: usize| bytes as f64 / table.len() as f64;
    // Two copies are what an engine's view has once it is written to.
    let plain: HashMap<(String, String), i64> = naive(events);
    let map = plain.capacity().next_power_of_two().max(plain.capacity() * 8 / 7)
        * (size_of::<((String, String), i64)>() + 1);
    let heap: usize = plain.keys().map(|(customer, item)| block(customer.len()) + block(item.len())).sum();
    report.cost(
        ("16", "memory of a row, both copies", "`HashMap<(String, String), i64>`"),
        (row(2 * table.memory()), row(map + heap)),
        "bytes",
        2.5,
    );

    let ten = workload::events(events.len() * 10);
    let (one_time, ten_time) = both(3, ours_over(events), ours_over(&ten));
    report.cost(
        ("17", "an event among ten times as many", "an event among these"),
        (ten_time.as_nanos() as f64 / ten.len() as f64, one_time.as_nanos() as f64 / events.len() as f64),
        "ns",
        1.6,
    );
}

pub fn ours_over(events: &[Purchased]) -> impl FnMut() -> Table<CustomerPurchases> {
    move || {
        let mut table = Table::<CustomerPurchases>::new();
        table.apply_all(events).expect("W folds");
        table
    }
}

/// What mimalloc gives for so many bytes: sizes in steps of 8, then of an eighth.
fn block(bytes: usize) -> usize {
    bytes.next_multiple_of(8)
}

fn naive(events: &[Purchased]) -> HashMap<(String, String), i64> {
    let mut map = HashMap::new();
    for event in events {
        *map.entry((event.customer.clone(), event.item.clone())).or_default() += i64::from(event.qty);
    }
    map
}

pub type Good = hashbrown::HashMap<(String, String), i64, foldhash::fast::RandomState>;

#[derive(Hash)]
pub struct Key<'a>(pub &'a str, pub &'a str);

impl hashbrown::Equivalent<(String, String)> for Key<'_> {
    fn equivalent(&self, key: &(String, String)) -> bool {
        self.0 == key.0 && self.1 == key.1
    }
}

impl From<&Key<'_>> for (String, String) {
    fn from(key: &Key<'_>) -> Self {
        (key.0.into(), key.1.into())
    }
}

fn good(events: &[Purchased]) -> Good {
    let mut map = Good::default();
    for event in events {
        *map.entry_ref(&Key(&event.customer, &event.item)).or_default() += i64::from(event.qty);
    }
    map
}

fn good_decoding(payloads: &[Vec<u8>]) -> Good {
    #[derive(Deserialize)]
    struct Borrowed<'a> {
        customer: &'a str,
        item: &'a str,
        qty: i32,
    }
    let mut map = Good::default();
    for payload in payloads {
        let event: Borrowed<'_> = rmp_serde::from_slice(payload).expect("W decodes");
        *map.entry_ref(&Key(event.customer, event.item)).or_default() += i64::from(event.qty);
    }
    map
}
