//! How long after an append is acknowledged a subscriber has the change.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use cqrs_core::prelude::*;

use crate::append::folder;
use crate::report::Report;
use crate::workload::{CustomerPurchases, Purchased};

pub fn run(events: &[Purchased], report: &mut Report) {
    let folder = folder();
    let store = Engine::open(folder.path().join("store")).expect("it opens");
    for (what, builder) in [("in memory", Engine::in_memory()), ("durable", store)] {
        let engine = builder.view::<CustomerPurchases>().start().expect("it starts");
        let after = median(&engine, &events[..2_000.min(events.len())]);
        let what = format!("append acknowledged to change received, {what}, median");
        report.cost(("20", &what, "100 µs"), (after.as_secs_f64() * 1e6, 100.0), "µs", 1.0);
    }
}

/// Zero where the subscriber has it before the caller has its answer.
fn median(engine: &Engine, events: &[Purchased]) -> Duration {
    let (tell, told) = mpsc::channel();
    let mut changes = engine.view::<CustomerPurchases>().subscribe();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while let Some(Ok(change)) = changes.next().wait() {
                let at = Instant::now();
                let sent = match change {
                    Change::Progress { .. } => Ok(()),
                    _ => tell.send(at),
                };
                if sent.is_err() {
                    break;
                }
            }
        });
        let mut times: Vec<Duration> = Vec::with_capacity(events.len());
        // What changes nothing is not told.
        for event in events.iter().filter(|event| event.qty != 0) {
            engine.append(NewEvent::of(event)).wait().expect("it appends");
            let acknowledged = Instant::now();
            let received: Instant = told.recv().expect("the change");
            times.push(received.saturating_duration_since(acknowledged));
        }
        engine.close().wait().expect("it closes");
        times.sort();
        times[times.len() / 2]
    })
}
