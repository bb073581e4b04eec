//! Appends of every kind at once, and a close among them.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};

use super::*;
use crate::AppendError;

/// Appends in one of many ways; whether it is known to be in the log.
fn append(engine: &Engine, customer: &str, number: i32) -> Option<bool> {
    let event = || bought(customer, "hats", number);
    let outcome = match number % 5 {
        0 => engine.append(event()).wait(),
        1 => crate::sync::block_on(async { engine.append(event()).await }),
        2 => engine.append(event()).durable().wait(),
        3 => {
            // Polled once and dropped: it is on its way, or was never made.
            let mut append = std::pin::pin!(engine.append(event()));
            let _ = append.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            return None;
        }
        _ => crate::sync::block_on(async { engine.append(event()).durable().await }),
    };
    match outcome {
        Ok(_) => Some(true),
        Err(AppendError::NotAppended(_)) => Some(false),
        Err(error) => panic!("nothing failed: {error}"),
    }
}

#[test]
fn whoever_writes_it_each_append_is_in_the_log_once_and_in_its_caller_s_order() {
    everywhere(|place| {
        for round in 0..6_u64 {
            let before = place.engine().view::<Has>().start().unwrap();
            let start = before.health().position;
            before.close().wait().unwrap();
            let engine = place
                .engine()
                .view::<Has>()
                .view::<Owners>()
                .queues(1 + round as usize, 1)
                .group_limits(1 + 3 * round as usize, 1 << 20)
                .checkpoint_every(Duration::from_millis(1), 1 + round)
                .start()
                .unwrap();
            let stopped = Arc::new(AtomicBool::new(false));
            let threads: Vec<_> = (0..4)
                .map(|thread| {
                    let (engine, stopped) = (engine.clone(), stopped.clone());
                    std::thread::spawn(move || {
                        let customer = format!("{round}-{thread}");
                        let mut known = BTreeMap::new();
                        for number in 1.. {
                            if let Some(there) = append(&engine, &customer, number) {
                                known.insert(number, there);
                            }
                            if stopped.load(Ordering::SeqCst) {
                                break;
                            }
                        }
                        (customer, known)
                    })
                })
                .collect();
            std::thread::sleep(Duration::from_millis(60));
            engine.close().wait().unwrap();
            stopped.store(true, Ordering::SeqCst);

            let engine = place.engine().view::<Has>().view::<Owners>().start().unwrap();
            let mut stored: BTreeMap<String, Vec<i32>> = BTreeMap::new();
            let mut log = engine.events::<Bought>(start + 1).until_head();
            while let Some(recorded) = log.next().wait() {
                let event = recorded.unwrap().event;
                stored.entry(event.customer).or_default().push(event.qty);
            }
            for thread in threads {
                let (customer, known) = thread.join().unwrap();
                let stored = stored.remove(&customer).unwrap_or_default();
                assert!(stored.is_sorted_by(|a, b| a < b), "{customer}: in order, and once");
                for (number, there) in known {
                    assert_eq!(stored.binary_search(&number).is_ok(), there, "{customer}: {number}");
                }
                let row = engine.view::<Has>().get((customer.as_str(), "hats")).unwrap();
                let expected = (stored.iter().map(|n| i64::from(*n)).sum(), stored.len() as u64);
                assert_eq!(row.map_or((0, 0), |row| (row.qty, row.events)), expected);
            }
            engine.close().wait().unwrap();
        }
    });
}
