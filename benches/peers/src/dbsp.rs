//! dbsp, as its tutorial aggregates: a circuit of one worker, `aggregate_linear` over an indexed Z-set, a transaction for each batch.
//!
//! An aggregate is `(sum, number)`: where the sum is zero, a group has purchases none the less. The owned strings are made before the clock starts.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use dbsp::typed_batch::IndexedZSetReader;
use dbsp::utils::Tup2;
use dbsp::{Runtime, ZWeight};
use peers::measured::{Group, check, say};
use peers::{BATCHES, Purchased, events, sums};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let events = events();
    let first = std::env::args().any(|argument| argument == "check");
    for batch in BATCHES {
        if first {
            let mut rows = HashMap::new();
            run(&events, batch, Some(&mut rows));
            check("dbsp", rows, &sums(&events));
        }
        let time = run(&events, batch, None);
        say("dbsp", &format!("batches of {batch}"), events.len(), time);
    }
}

/// The changes of the sums go to `rows`, or nowhere.
fn run(events: &[Purchased], batch: usize, mut rows: Option<&mut HashMap<Group, i64>>) -> Duration {
    let (mut circuit, (input, output)) = Runtime::init_circuit(1, |circuit| {
        let (purchases, input) = circuit.add_input_zset::<Tup2<Tup2<String, String>, i64>>();
        let totals = purchases
            .map_index(|Tup2(group, qty)| (group.clone(), *qty))
            .aggregate_linear(|qty| Tup2(*qty, 1 as ZWeight));
        Ok((input, totals.accumulate_output()))
    })
    .expect("it builds");
    let update = |event: &Purchased| {
        Tup2(Tup2(Tup2(event.customer.clone(), event.item.clone()), i64::from(event.qty)), 1)
    };
    let batches: Vec<Vec<_>> = events.chunks(batch).map(|batch| batch.iter().map(update).collect()).collect();
    let begun = Instant::now();
    for mut batch in batches {
        input.append(&mut batch);
        circuit.transaction().expect("it steps");
        if let Some(rows) = rows.as_mut() {
            for (Tup2(customer, item), Tup2(sum, _), weight) in output.concat().consolidate().iter() {
                if weight > 0 {
                    rows.insert((customer, item), sum);
                }
            }
        }
    }
    let time = begun.elapsed();
    circuit.kill().expect("it ends");
    time
}
