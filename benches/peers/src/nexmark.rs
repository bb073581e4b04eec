//! Four queries of the example `nexmark`, ours beside differential-dataflow with one worker, in memory, in batches of 1,000 events. What both answer is
//! compared, row for row.
//!
//! Ours is the whole engine with the views of one query. Its log has every event, of all fields; the dataflow is given the fields that the query needs.

#[path = "../../../examples/nexmark/events.rs"]
#[allow(dead_code)]
mod events;
#[path = "../../../examples/nexmark/queries.rs"]
#[allow(dead_code)]
mod queries;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cqrs_core::prelude::*;
use differential_dataflow::input::{Input, InputSession};
use differential_dataflow::operators::{CountTotal, ThresholdTotal};
use differential_dataflow::{Data, VecCollection};
use events::{BEFORE_MIDNIGHT, Nexmark};
use peers::measured::say;
use peers::number;
use queries::{Auctions, Cell, Query};
use timely::dataflow::{ProbeHandle, Scope};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH: usize = 1_000;

/// A query as a dataflow: its inputs, and what says how far it is.
type Build = for<'s> fn(Scope<'s, u32>, Option<Rows>) -> (Vec<Box<dyn Take>>, ProbeHandle<u32>);

/// The rows that changes have left, each with how often it is there.
type Rows = Arc<Mutex<HashMap<String, isize>>>;

fn main() {
    let n = number("PEERS_EVENTS", 1_000_000) / 5;
    let events: Arc<Vec<Nexmark>> = Arc::new(events::generate(n, BEFORE_MIDNIGHT).collect());
    let first = std::env::args().any(|argument| argument == "check");
    let dataflows: [(Query, Build); 4] = [
        (queries::q2::QUERY, q2),
        (queries::q4::QUERY, q4),
        (queries::q8::QUERY, q8),
        (queries::q18::QUERY, q18),
    ];
    for (query, build) in dataflows {
        let (time, mut ours) = our(&events, &query);
        say("our engine", query.name, n, time);
        if first {
            let rows = Rows::default();
            run(&events, build, Some(rows.clone()));
            let rows = std::mem::take(&mut *rows.lock().expect("it runs"));
            let mut theirs: Vec<String> = rows
                .into_iter()
                .flat_map(|(row, times)| {
                    std::iter::repeat_n(row, times.try_into().expect("no row is taken twice"))
                })
                .collect();
            ours.sort();
            theirs.sort();
            assert!(!ours.is_empty(), "{}: no rows", query.name);
            let differs = ours.iter().zip(&theirs).find(|(ours, theirs)| ours != theirs);
            assert_eq!(differs, None, "{}: ours, theirs", query.name);
            assert_eq!(ours.len(), theirs.len(), "{}: so many rows", query.name);
        }
        say("differential-dataflow, workers: 1", query.name, n, run(&events, build, None));
    }
}

fn our(events: &[Nexmark], query: &Query) -> (Duration, Vec<String>) {
    let looked_into = |builder: cqrs_core::Builder| match query.name {
        "q4" => builder.view::<Auctions>(),
        _ => builder,
    };
    let engine = (query.views)(looked_into(Engine::in_memory())).start().expect("it starts");
    let begun = Instant::now();
    for batch in events.chunks(BATCH) {
        engine.append_all(batch.iter().map(NewEvent::of)).wait().expect("it appends");
    }
    let time = begun.elapsed();
    let rows = (query.rows)(&engine).expect("it is live");
    (time, rows.iter().map(|row| format!("{row:?}")).collect())
}

/// Both its inputs are fed a batch, and the probe is waited for.
fn run(events: &Arc<Vec<Nexmark>>, build: Build, rows: Option<Rows>) -> Duration {
    let events = events.clone();
    let work = move |worker: &mut timely::worker::Worker| {
        let (mut inputs, probe) = worker.dataflow(|scope| build(scope, rows.clone()));
        let begun = Instant::now();
        for (time, batch) in (1..).zip(events.chunks(BATCH)) {
            for event in batch {
                inputs.iter_mut().for_each(|input| input.take(event));
            }
            inputs.iter_mut().for_each(|input| input.advance(time));
            worker.step_while(|| probe.less_than(&time));
        }
        begun.elapsed()
    };
    let guards = timely::execute(timely::Config::thread(), work).expect("it starts");
    guards.join().into_iter().next().expect("there is a worker").expect("it runs")
}

/// An input of a dataflow.
trait Take {
    fn take(&mut self, event: &Nexmark);
    fn advance(&mut self, time: u32);
}

/// What a query wants of an event, if anything.
struct Source<D: Data> {
    input: InputSession<u32, D, isize>,
    pick: fn(&Nexmark) -> Option<D>,
}

impl<D: Data> Take for Source<D> {
    fn take(&mut self, event: &Nexmark) {
        if let Some(data) = (self.pick)(event) {
            self.input.insert(data);
        }
    }

    fn advance(&mut self, time: u32) {
        self.input.advance_to(time);
        self.input.flush();
    }
}

fn source<'s, D: Data>(
    scope: Scope<'s, u32>,
    pick: fn(&Nexmark) -> Option<D>,
) -> (Box<dyn Take>, VecCollection<'s, u32, D, isize>) {
    let (input, data) = scope.new_collection();
    (Box::new(Source { input, pick }), data)
}

/// The changes go to `rows`, or nowhere.
fn watch<D: Data>(
    answer: VecCollection<'_, u32, D, isize>,
    rows: Option<Rows>,
    row: fn(&D) -> Vec<Cell>,
) -> ProbeHandle<u32> {
    let Some(rows) = rows else { return answer.probe().0 };
    let change = move |(data, _, times): &(D, u32, isize)| {
        let (mut rows, row) = (rows.lock().expect("no change panics"), format!("{:?}", row(data)));
        let left = rows.entry(row.clone()).or_default();
        *left += times;
        if *left == 0 {
            rows.remove(&row);
        }
    };
    answer.inspect(change).probe().0
}

fn q2(scope: Scope<'_, u32>, rows: Option<Rows>) -> (Vec<Box<dyn Take>>, ProbeHandle<u32>) {
    let (input, bids) = source(scope, |event| match event {
        Nexmark::Bid { auction, price, .. } => Some((*auction, *price)),
        _ => None,
    });
    let selected = bids.filter(|(auction, _)| auction % 123 == 0);
    (vec![input], watch(selected, rows, |(auction, price)| vec![Cell::from(*auction), Cell::from(*price)]))
}

fn q4(scope: Scope<'_, u32>, rows: Option<Rows>) -> (Vec<Box<dyn Take>>, ProbeHandle<u32>) {
    let (bid, bids) = source(scope, |event| match event {
        Nexmark::Bid { auction, price, date_time, .. } => Some((*auction, (*date_time, *price))),
        _ => None,
    });
    let (auction, auctions) = source(scope, |event| match event {
        Nexmark::Auction { id, category, date_time, expires, .. } => {
            Some((*id, (*date_time, *expires, *category)))
        }
        _ => None,
    });
    let averages = bids
        .arrange_by_key()
        .join_core(auctions.arrange_by_key(), |auction, (at, price), (from, until, category)| {
            (from <= at && at <= until).then_some(((*auction, *category), *price))
        })
        .reduce(|_, prices, highest| {
            let (price, _) = prices.last().expect("a group has values, and they are sorted");
            highest.push((**price, 1));
        })
        .explode(|((_, category), price)| Some((category, (price as isize, 1_isize))))
        .count_total();
    let row = |(category, (sum, number)): &(u64, (isize, isize))| {
        vec![Cell::from(*category), Cell::from(*sum as f64 / *number as f64)]
    };
    (vec![bid, auction], watch(averages, rows, row))
}

fn q8(scope: Scope<'_, u32>, rows: Option<Rows>) -> (Vec<Box<dyn Take>>, ProbeHandle<u32>) {
    const WINDOW: i64 = 10_000;
    let (person, persons) = source(scope, |event| match event {
        Nexmark::Person { id, name, date_time, .. } => Some(((*id, date_time / WINDOW), name.clone())),
        _ => None,
    });
    let (auction, auctions) = source(scope, |event| match event {
        Nexmark::Auction { seller, date_time, .. } => Some((*seller, date_time / WINDOW)),
        _ => None,
    });
    let new = persons.semijoin(auctions.distinct_total());
    let row = |((id, window), name): &((u64, i64), String)| {
        vec![Cell::from(*id), Cell::from(name.clone()), Cell::from(window * WINDOW)]
    };
    (vec![person, auction], watch(new, rows, row))
}

fn q18(scope: Scope<'_, u32>, rows: Option<Rows>) -> (Vec<Box<dyn Take>>, ProbeHandle<u32>) {
    type Bid = (i64, i64, String, String, String);
    let (input, bids) = source(scope, |event| match event {
        Nexmark::Bid { auction, bidder, price, channel, url, date_time, extra } => {
            Some(((*bidder, *auction), (*date_time, *price, channel.clone(), url.clone(), extra.clone())))
        }
        _ => None,
    });
    let last = bids.reduce(|_, bids, last| {
        let (bid, _) = bids.last().expect("a group has values, and they are sorted");
        last.push(((*bid).clone(), 1));
    });
    let row = |((bidder, auction), (date_time, price, channel, url, extra)): &((u64, u64), Bid)| {
        let text = |text: &String| Cell::from(text.clone());
        let (auction, bidder) = (Cell::from(*auction), Cell::from(*bidder));
        vec![
            auction,
            bidder,
            Cell::from(*price),
            text(channel),
            text(url),
            Cell::from(*date_time),
            text(extra),
        ]
    };
    (vec![input], watch(last, rows, row))
}
