//! Reads: idle, and while batches are written.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cqrs_core::prelude::*;

use crate::report::{Report, timed};
use crate::workload::{CustomerPurchases, Purchased, Random};

pub fn run(events: &[Purchased], report: &mut Report) {
    let mut map = hashbrown::HashMap::<(String, String), i64, foldhash::quality::RandomState>::default();
    let engine = Engine::in_memory().view::<CustomerPurchases>().start().expect("it starts");
    for batch in events.chunks(10_000) {
        engine.append_all(batch.iter().map(NewEvent::of)).wait().expect("it appends");
        for event in batch {
            *map.entry((event.customer.clone(), event.item.clone())).or_default() += i64::from(event.qty);
        }
    }
    let view = engine.view::<CustomerPurchases>();
    let keys = drawn(events, 200_000);
    let owned: Vec<_> = keys.iter().map(|key| (key.customer.clone(), key.item.clone())).collect();

    let private = median(&owned, |key| *map.get(key).expect("it is there"));
    let get = |key: &Purchased| {
        view.get((&key.customer, &key.item)).expect("it reads").expect("it is there").total_qty
    };
    let idle = median(&keys, get);
    report.cost(
        ("13", "`get`, idle, median", "private `hashbrown` map, idle"),
        (idle.0, private.0),
        "ns",
        2.5,
    );

    let stop = AtomicBool::new(false);
    let busy = std::thread::scope(|scope| {
        scope.spawn(|| {
            for batch in events.chunks(10_000).cycle() {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                engine.append_all(batch.iter().map(NewEvent::of)).wait().expect("it appends");
            }
        });
        let busy = median(&keys, get);
        stop.store(true, Ordering::Relaxed);
        busy
    });
    report.cost(
        ("13", "`get` while batches of 10,000 are written, median", "private map, idle"),
        (busy.0, private.0),
        "ns",
        5.0,
    );
    report.cost(("13", "the same, 99th percentile", "1 µs"), (busy.1, 1000.0), "ns", 1.0);
}

/// As many idle `get`s as there are events.
pub fn gets(events: &[Purchased]) -> Duration {
    let engine = Engine::in_memory().view::<CustomerPurchases>().start().expect("it starts");
    engine.append_all(events.iter().map(NewEvent::of)).wait().expect("it appends");
    let view = engine.view::<CustomerPurchases>();
    let keys = drawn(events, events.len());
    timed(|| {
        for key in &keys {
            std::hint::black_box(view.get((&key.customer, &key.item)).expect("it reads"));
        }
    })
}

/// So many of the events, at random.
fn drawn(events: &[Purchased], many: usize) -> Vec<Purchased> {
    let mut random = Random(7);
    (0..many).map(|_| events[random.draw() as usize % events.len()].clone()).collect()
}

/// Median and 99th percentile of one read, in nanoseconds: reads are timed by sixteens, since the clock itself costs as much as a read.
fn median<K>(keys: &[K], mut read: impl FnMut(&K) -> i64) -> (f64, f64) {
    let mut times: Vec<f64> = keys
        .chunks_exact(16)
        .map(|keys| {
            let begun = Instant::now();
            for key in keys {
                std::hint::black_box(read(key));
            }
            begun.elapsed().as_nanos() as f64 / 16.0
        })
        .collect();
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[times.len() * 99 / 100])
}
