//! Decisions beside appends of the same shape: what it costs that an event goes in only if what it rests on holds.

use std::time::Duration;

use cqrs_core::Decide;
use cqrs_core::prelude::*;

use crate::append::folder;
use crate::report::{Report, both_taking, timed};
use crate::workload::{CustomerPurchases, Purchased};

/// How a caller brings events in.
type Bring = fn(&Engine, Vec<Purchased>, String);

pub fn run(_: &[Purchased], report: &mut Report) {
    for (callers, each, batch) in [(1, 4_000, 1), (64, 1_000, 1), (1, 400, 100)] {
        let (ours, theirs) = both_taking(
            3,
            || all(callers, each, batch, decided, own),
            || all(callers, each, batch, appended, own),
        );
        let what = match callers {
            1 => format!("decide, one caller, {batch} events a decision"),
            _ => format!("decide, {callers} callers, each about a key of its own"),
        };
        let events = callers * each * batch;
        report.speed(("19", &what, "append of the same shape"), events, ours, theirs, 0.7);
    }
    for (callers, each) in [(1, 4_000), (64, 1_000)] {
        let (ours, theirs) =
            both_taking(2, || all(callers, each, 1, keyed, own), || all(callers, each, 1, appended, own));
        let what = format!("decide under a key of its own each, callers: {callers}");
        report.speed(("", &what, "append of the same shape"), callers * each, ours, theirs, 0.2);
    }
    let (ours, theirs) =
        both_taking(2, || all(64, 30, 1, decided, |_| 0), || all(1, 64 * 30, 1, decided, own));
    let what = "decide, 64 callers, all about one key";
    report.speed(("", what, "one caller"), 64 * 30, ours, theirs, 0.25);
}

fn own(caller: usize) -> usize {
    caller
}

fn appended(engine: &Engine, events: Vec<Purchased>, _: String) {
    engine.append_all(events).wait().expect("it appends");
}

fn decided(engine: &Engine, events: Vec<Purchased>, _: String) {
    decide(engine, events).wait().expect("it decides");
}

fn keyed(engine: &Engine, events: Vec<Purchased>, key: String) {
    decide(engine, events).named("bench").key(key).wait().expect("it decides");
}

fn decide(engine: &Engine, events: Vec<Purchased>) -> Decide<&'static str> {
    engine.decide(move |tx| {
        let (customer, item) = (events[0].customer.as_str(), events[0].item.as_str());
        let row = tx.get::<CustomerPurchases>((customer, item));
        if row.is_some_and(|row| row.total_qty < 0) {
            return Err("nothing is given back");
        }
        events.iter().for_each(|event| tx.emit(NewEvent::of(event)));
        Ok(())
    })
}

fn all(callers: usize, each: usize, batch: usize, bring: Bring, about: fn(usize) -> usize) -> Duration {
    let folder = folder();
    let engine = Engine::open(folder.path().join("store"))
        .and_then(|builder| builder.view::<CustomerPurchases>().start());
    let engine = engine.expect("it starts");
    timed(|| {
        std::thread::scope(|scope| {
            for caller in 0..callers {
                let engine = &engine;
                let customer = format!("customer-{:06}", about(caller));
                scope.spawn(move || {
                    for turn in 0..each {
                        let event =
                            || Purchased { customer: customer.clone(), item: "item-0001".into(), qty: 1 };
                        bring(engine, (0..batch).map(|_| event()).collect(), format!("{caller}/{turn}"));
                    }
                });
            }
        });
    })
}
