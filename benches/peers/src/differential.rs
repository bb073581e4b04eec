//! differential-dataflow, as its `examples/hello.rs` counts degrees: `count_total` of a collection whose differences are what is summed, and a
//! probe that is waited for after each batch.
//!
//! A difference is `(qty, 1)`: where the sum is zero, a group has purchases none the less. The owned strings are made before the clock starts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use differential_dataflow::input::Input;
use differential_dataflow::operators::CountTotal;
use peers::measured::{Group, check, say};
use peers::{BATCHES, Purchased, events, sums};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A sum, and of how many purchases.
type Sum = (i64, i64);

/// The rows that changes have left, each with how often it is there.
type Rows = Arc<Mutex<HashMap<(Group, Sum), isize>>>;

fn main() {
    let events = Arc::new(events());
    let first = std::env::args().any(|argument| argument == "check");
    for workers in [1, 2] {
        for batch in BATCHES {
            let who = format!("differential-dataflow, workers: {workers}");
            if first {
                let rows = Rows::default();
                run(&events, workers, batch, Some(&rows));
                let rows = std::mem::take(&mut *rows.lock().expect("it runs"));
                let rows = rows.into_iter().flat_map(|((group, (sum, _)), times)| {
                    std::iter::repeat_n((group, sum), times.try_into().expect("no row is taken twice"))
                });
                check(&who, rows, &sums(&events));
            }
            let time = run(&events, workers, batch, None);
            say(&who, &format!("batches of {batch}"), events.len(), time);
        }
    }
}

/// Each worker brings in its share of each batch. The changes of the sums go to `rows`, or nowhere.
fn run(events: &Arc<Vec<Purchased>>, workers: usize, batch: usize, rows: Option<&Rows>) -> Duration {
    let (events, rows) = (events.clone(), rows.cloned());
    let work = move |worker: &mut timely::worker::Worker| {
        let (index, peers) = (worker.index(), worker.peers());
        let (mut input, probe) = worker.dataflow::<u32, _, _>(|scope| {
            let (input, purchases) = scope.new_collection::<Group, Sum>();
            let mut totals = purchases.count_total();
            if let Some(rows) = rows.clone() {
                totals = totals.inspect(move |(row, _, times)| change(&rows, row, *times));
            }
            (input, totals.probe().0)
        });
        let mut batches: Vec<Vec<(Group, Sum)>> = Vec::new();
        for batch in events.chunks(batch) {
            let share = batch.iter().skip(index).step_by(peers);
            let update =
                |event: &Purchased| ((event.customer.clone(), event.item.clone()), (i64::from(event.qty), 1));
            batches.push(share.map(update).collect());
        }
        let begun = Instant::now();
        for (time, batch) in (1..).zip(batches) {
            batch.into_iter().for_each(|(group, qty)| input.update(group, qty));
            input.advance_to(time);
            input.flush();
            worker.step_while(|| probe.less_than(input.time()));
        }
        begun.elapsed()
    };
    let config = if workers == 1 { timely::Config::thread() } else { timely::Config::process(workers) };
    let guards = timely::execute(config, work).expect("it starts");
    guards.join().into_iter().map(|time| time.expect("it runs")).max().expect("there is a worker")
}

fn change(rows: &Rows, row: &(Group, Sum), times: isize) {
    let mut rows = rows.lock().expect("no change panics");
    let left = rows.entry(row.clone()).or_default();
    *left += times;
    if *left == 0 {
        rows.remove(row);
    }
}
