//! Appends of every kind at once, and a close among them.

use std::future::Future;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Waker};

use super::*;
use crate::sync::lock;
use crate::{AppendError, Tx};

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

static MENDED: AtomicBool = AtomicBool::new(false);

fn checked(qty: i32) -> i32 {
    assert!(qty != 13 || MENDED.load(Ordering::SeqCst), "13 is bad luck");
    qty
}

#[projection(from = Bought, group_by = item, on_fault = park)]
struct Superstitious {
    item: String,
    #[sum(checked(qty))]
    qty: i64,
}

/// A decision to buy as many pants as it reads there are hats; the first time, it tells what it has read, and waits until it may go on.
fn interrupted(
    read: impl Fn(&mut Tx) -> i64 + Send + 'static,
) -> (Receiver<i64>, Sender<()>, impl FnMut(&mut Tx) -> Result<(), ()> + Send + 'static) {
    let ((reads, has_read), (go_on, goes_on)) = (channel(), channel());
    let mut first = true;
    let decide = move |tx: &mut Tx| {
        let qty = read(tx);
        if std::mem::take(&mut first) {
            reads.send(qty).unwrap();
            goes_on.recv().unwrap();
        }
        tx.emit(bought("decided", "pants", qty as i32));
        Ok(())
    };
    (has_read, go_on, decide)
}

#[test]
fn a_decision_on_rows_that_are_being_exchanged_is_made_anew() {
    let engine = Engine::in_memory().view::<Superstitious>().start().unwrap();
    engine.append_all([bought("ann", "hats", 1), bought("ann", "hats", 13)]).wait().unwrap();
    MENDED.store(true, Ordering::SeqCst);
    let core = engine.core().clone();
    // What is folded anew cannot be shown yet.
    let gate = lock(&core.gate);
    let retried = std::thread::spawn({
        let engine = engine.clone();
        move || engine.retry_parked::<Superstitious>().wait().unwrap()
    });
    std::thread::sleep(Duration::from_millis(200));
    let (has_read, go_on, decide) =
        interrupted(|tx| tx.get::<Superstitious>("hats").map_or(0, |row| row.qty));
    let decided = std::thread::spawn({
        let engine = engine.clone();
        move || engine.decide(decide).wait().unwrap()
    });
    assert_eq!(has_read.recv().unwrap(), 1);
    drop(gate);
    assert_eq!(retried.join().unwrap().folded, 1);
    go_on.send(()).unwrap();
    decided.join().unwrap();
    assert_eq!(engine.view::<Superstitious>().get("pants").unwrap().unwrap().qty, 14);
}

/// Holds up whoever wakes it.
struct Held(Mutex<Receiver<()>>, Sender<()>);

impl std::task::Wake for Held {
    fn wake(self: Arc<Self>) {
        self.1.send(()).unwrap();
        self.0.lock().unwrap().recv().unwrap();
    }
}

#[test]
fn a_decision_on_rows_that_others_see_no_more_is_made_anew() {
    let engine = Engine::in_memory().view::<Unlucky>().start().unwrap();
    engine.append_all([bought("ann", "hats", 1), bought("ann", "hats", 13)]).wait().unwrap();
    let (has_read, go_on, decide) = interrupted(|tx| tx.get::<Unlucky>("hats").map_or(0, |row| row.qty));
    let decided = std::thread::spawn({
        let engine = engine.clone();
        move || engine.decide(decide).durable().wait().unwrap()
    });
    assert_eq!(has_read.recv().unwrap(), 1);
    // A subscriber who holds up whoever tells it of the new rows, which everybody sees by then.
    let mut changes = engine.view::<Unlucky>().subscribe();
    while changes.next_timeout(Duration::ZERO).wait().is_some_and(|change| change.is_ok()) {}
    let ((woken, is_woken), (release, released)) = (channel(), channel());
    let waker = Waker::from(Arc::new(Held(Mutex::new(released), woken)));
    let mut context = Context::from_waker(&waker);
    assert!(futures_core::Stream::poll_next(std::pin::Pin::new(&mut changes), &mut context).is_pending());
    LUCKY.store(true, Ordering::SeqCst);
    let retried = std::thread::spawn({
        let engine = engine.clone();
        move || engine.retry_parked::<Unlucky>().wait().unwrap()
    });
    is_woken.recv().unwrap();
    assert_eq!(engine.view::<Unlucky>().get("hats").unwrap().unwrap().qty, 14);
    go_on.send(()).unwrap();
    // It is on its way, and what it rests on is looked at.
    std::thread::sleep(Duration::from_millis(50));
    release.send(()).unwrap();
    drop(release);
    decided.join().unwrap();
    assert_eq!(retried.join().unwrap().folded, 1);
    drop(changes);
    let pants = engine.append_all::<Bought>([]).wait().map(|_| engine.view::<Unlucky>().get("pants"));
    assert_eq!(pants.unwrap().unwrap().unwrap().qty, 14);
}

static LUCKY: AtomicBool = AtomicBool::new(false);

fn lucky(qty: i32) -> i32 {
    assert!(qty != 13 || LUCKY.load(Ordering::SeqCst), "13 brings bad luck");
    qty
}

#[projection(from = Bought, group_by = item, on_fault = park)]
struct Unlucky {
    item: String,
    #[sum(lucky(qty))]
    qty: i64,
}

#[test]
fn a_decision_that_began_before_an_event_was_shown_is_made_anew_though_nobody_decided_when_it_was_written() {
    let engine = Engine::in_memory().view::<Superstitious>().start().unwrap();
    engine.append(bought("ann", "hats", 1)).wait().unwrap();
    // An account of what is touched is begun, and not kept once this is over.
    let earlier = engine.decide(|tx| {
        let qty = tx.get::<Superstitious>("hats").map_or(0, |row| row.qty);
        tx.emit(bought("earlier", "pants", qty as i32));
        Ok::<(), ()>(())
    });
    earlier.wait().unwrap();
    let core = engine.core().clone();
    // What is written now cannot be shown yet.
    let gate = lock(&core.gate);
    let appended = std::thread::spawn({
        let engine = engine.clone();
        move || engine.append(bought("ann", "hats", 5)).wait().unwrap()
    });
    soon("it is written", || engine.health().position == 3);
    let (reads, has_read) = channel();
    let decided = std::thread::spawn({
        let engine = engine.clone();
        move || {
            let decide = engine.decide(move |tx| {
                let qty = tx.get::<Superstitious>("hats").map_or(0, |row| row.qty);
                let _ = reads.send(qty);
                tx.emit(bought("decided", "pants", qty as i32));
                Ok::<(), ()>(())
            });
            decide.wait().unwrap()
        }
    });
    assert_eq!(has_read.recv().unwrap(), 1);
    drop(gate);
    appended.join().unwrap();
    decided.join().unwrap();
    assert_eq!(engine.view::<Superstitious>().get("pants").unwrap().unwrap().qty, 1 + 6);
}
