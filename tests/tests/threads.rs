//! Many threads at once: appending, reading, scanning, subscribing and closing. No torn batch, no change lost or told twice.

use std::collections::{BTreeMap, HashSet};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use cqrs_core::prelude::*;
use cqrs_core::{Changes, ChangesError, Refusal};

#[event]
#[derive(Debug, Clone, PartialEq)]
pub struct Moved {
    account: u32,
    amount: i64,
    by: u32,
}

/// Every batch sums up to nothing, so all rows together do, at whatever moment.
#[projection(from = Moved, group_by = account)]
#[derive(Debug, Clone, PartialEq)]
pub struct Balance {
    account: u32,
    #[sum(amount)]
    amount: i64,
    #[count]
    moves: u64,
}

/// What readers have to see of their own appends.
#[projection(from = Moved, group_by = by)]
#[derive(Debug, Clone, PartialEq)]
pub struct Mover {
    by: u32,
    #[count]
    moves: u64,
    #[max(meta.position)]
    position: u64,
}

/// Rows that come and go.
#[projection(from = Moved, group_by = account, having = amount > 0)]
#[derive(Debug, Clone, PartialEq)]
pub struct Credit {
    account: u32,
    #[sum(amount)]
    amount: i64,
}

const ACCOUNTS: u32 = 32;

/// The `n`th batch of a mover: from one account to two.
fn batch(by: u32, n: u32) -> [Moved; 3] {
    let account = |k: u32| (by * 7 + n * 5 + k * 11) % ACCOUNTS;
    let moved = |k, amount| Moved { account: account(k), amount, by };
    let amount = i64::from(n % 13) + 1;
    [moved(0, -2 * amount), moved(1, amount), moved(2, amount)]
}

struct Place {
    _parent: tempfile::TempDir,
    engine: Engine,
}

fn place() -> Place {
    let parent = tempfile::tempdir().unwrap();
    let engine = Engine::open(parent.path().join("store"))
        .unwrap()
        .view::<Balance>()
        .view::<Mover>()
        .view::<Credit>()
        .checkpoint_every(Duration::from_millis(5), 100)
        .start()
        .unwrap();
    Place { _parent: parent, engine }
}

/// A plain executor: this thread, and nothing else.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::park();
    }
}

/// Polls once, under a waker that wakes nobody.
fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// What a subscriber makes of what it is told, held against what it already knows.
struct Follower<P> {
    rows: BTreeMap<u32, P>,
    position: u64,
    told: u64,
}

impl<P: Projection + Clone + PartialEq + std::fmt::Debug> Follower<P> {
    /// Follows until everything up to and with `end` is told, and says at each `Progress` how things are.
    fn follow(
        changes: &mut Changes<P>,
        key: impl Fn(&P) -> u32,
        end: &AtomicU64,
        progress: impl Fn(&Self),
    ) -> Self {
        let mut follower = Self { rows: BTreeMap::new(), position: 0, told: 0 };
        let mut begun = false;
        while !begun || follower.position < end.load(Ordering::Acquire) {
            match changes.next_timeout(Duration::from_secs(30)).wait().expect("it does not end").unwrap() {
                Change::Inserted { row } => {
                    let before = follower.rows.insert(key(&row), row.clone());
                    assert_eq!(before, None, "inserted twice");
                }
                Change::Updated { before, after } => {
                    assert_eq!(key(&before), key(&after));
                    assert_ne!(before, after);
                    let known = follower.rows.insert(key(&after), after.clone());
                    assert_eq!(known, Some(before), "a change was lost, or told twice");
                }
                Change::Deleted { row } => assert_eq!(follower.rows.remove(&key(&row)), Some(row)),
                Change::Progress { position } => {
                    assert!(!begun || position > follower.position, "{position} after {}", follower.position);
                    (follower.position, begun) = (position, true);
                    progress(&follower);
                }
            }
            follower.told += 1;
        }
        follower
    }
}

fn by_key<P: Projection>(view: &View<P>, key: impl Fn(&P) -> u32) -> BTreeMap<u32, P> {
    view.rows().unwrap().map(|row| (key(&row), row)).collect()
}

#[test]
fn no_batch_is_torn_and_no_change_lost() {
    const MOVERS: u32 = 4;
    const BATCHES: u32 = 400;
    let Place { engine, .. } = &place();
    // Unknown until every mover is done.
    let end = &AtomicU64::new(u64::MAX);
    let moving = &AtomicU64::new(u64::from(MOVERS));
    let scans = &AtomicU64::new(0);
    let nothing = |rows: &mut dyn Iterator<Item = i64>| assert_eq!(rows.sum::<i64>(), 0, "a torn batch");

    std::thread::scope(|scope| {
        for by in 0..MOVERS {
            scope.spawn(move || {
                let movers = engine.view::<Mover>();
                for n in 0..BATCHES {
                    let receipt = match n % 4 {
                        0 => block_on(engine.append_all(batch(by, n))).unwrap(),
                        1 => {
                            let receipt = engine.append_all(batch(by, n)).durable().wait().unwrap();
                            let reached = block_on(movers.wait_for(&receipt, Duration::from_secs(30)));
                            assert_eq!(reached, Ok(Reached::Reached));
                            receipt
                        }
                        _ => engine.append_all(batch(by, n)).wait().unwrap(),
                    };
                    let row = movers.get(by).unwrap().unwrap();
                    assert_eq!(
                        (row.moves, row.position),
                        (u64::from(n + 1) * 3, receipt.last),
                        "its own writes"
                    );
                    assert!(movers.position().unwrap() >= receipt.last);
                }
                if moving.fetch_sub(1, Ordering::AcqRel) == 1 {
                    end.store(engine.health().position, Ordering::Release);
                    // One more, so that whoever waits is told.
                    engine.append(Moved { account: 0, amount: 0, by }).wait().unwrap();
                }
            });
        }
        // Scans.
        for _ in 0..2 {
            scope.spawn(move || {
                let (balance, mut last) = (engine.view::<Balance>(), 0);
                while end.load(Ordering::Acquire) == u64::MAX {
                    let rows = balance.rows().unwrap();
                    assert!(rows.position() >= last);
                    last = rows.position();
                    let (mut amounts, mut moves) = (Vec::new(), 0);
                    for row in rows {
                        amounts.push(row.amount);
                        moves += row.moves;
                    }
                    nothing(&mut amounts.into_iter());
                    assert_eq!(moves, last, "the rows stand at the position that they say");
                    scans.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // Readers of the log.
        scope.spawn(move || {
            let mut events = engine.events::<Moved>(1);
            let mut sum = 0;
            for position in 1_u64.. {
                if position > end.load(Ordering::Acquire) {
                    break;
                }
                let recorded = events.next_timeout(Duration::from_secs(30)).wait().unwrap().unwrap();
                assert_eq!(recorded.position, position);
                sum += recorded.event.amount;
                if position % 3 == 0 {
                    assert_eq!(sum, 0, "batches are in one piece");
                }
            }
        });
        // Subscribers, some of whom come late, and some again and again.
        for after in [0, 0, 500, 2000] {
            scope.spawn(move || {
                let balance = engine.view::<Balance>();
                while balance.position().unwrap() < after {
                    std::thread::yield_now();
                }
                let follower = Follower::follow(
                    &mut balance.subscribe(),
                    |row| row.account,
                    end,
                    |follower| {
                        nothing(&mut follower.rows.values().map(|row| row.amount));
                        let moves: u64 = follower.rows.values().map(|row| row.moves).sum();
                        assert_eq!(moves, follower.position);
                    },
                );
                assert!(follower.told > 0);
                if follower.position == balance.position().unwrap() {
                    assert_eq!(follower.rows, by_key(&balance, |row| row.account));
                }
                // A new subscriber sees the same.
                let mut again = balance.subscribe();
                let again = Follower::follow(&mut again, |row| row.account, &AtomicU64::new(0), |_| {});
                assert_eq!(again.rows.values().map(|row| row.moves).sum::<u64>(), again.position);
            });
        }
        scope.spawn(move || {
            let credit = engine.view::<Credit>();
            let mut changes = credit.subscribe();
            let follower = Follower::follow(&mut changes, |row| row.account, end, |_| {});
            assert!(follower.rows.values().all(|row| row.amount > 0));
        });
        scope.spawn(move || {
            let balance = engine.view::<Balance>();
            while end.load(Ordering::Acquire) == u64::MAX {
                let seen = AtomicU64::new(balance.position().unwrap() + 30);
                let mut changes = balance.subscribe();
                let limit = AtomicU64::new(0);
                let follower = Follower::follow(
                    &mut changes,
                    |row| row.account,
                    &limit,
                    |follower| {
                        nothing(&mut follower.rows.values().map(|row| row.amount));
                    },
                );
                assert!(follower.position + 30 >= seen.load(Ordering::Relaxed));
            }
        });
    });
    assert!(scans.load(Ordering::Relaxed) > 0);

    // After the storm: everyone who follows to the end knows what is read.
    let head = AtomicU64::new(engine.health().position);
    let (balance, credit) = (engine.view::<Balance>(), engine.view::<Credit>());
    let follower = Follower::follow(&mut balance.subscribe(), |row| row.account, &head, |_| {});
    assert_eq!(follower.rows, by_key(&balance, |row| row.account));
    let mut expected: BTreeMap<u32, (i64, u64)> = BTreeMap::from([(0, (0, 1))]);
    for moved in (0..MOVERS).flat_map(|by| (0..BATCHES).flat_map(move |n| batch(by, n))) {
        let row = expected.entry(moved.account).or_default();
        *row = (row.0 + moved.amount, row.1 + 1);
    }
    let read: BTreeMap<u32, (i64, u64)> =
        balance.rows().unwrap().map(|row| (row.account, (row.amount, row.moves))).collect();
    assert_eq!(read, expected);
    let credits = expected.iter().filter(|(_, (amount, _))| *amount > 0);
    let credits: Vec<_> = credits.map(|(account, (amount, _))| (*account, *amount)).collect();
    let shown = by_key(&credit, |row| row.account);
    assert_eq!(shown.values().map(|row| (row.account, row.amount)).collect::<Vec<_>>(), credits);
}

/// A subscriber whose changes are followed from the first to the last event, and whose end result is what is read.
/// Reads of views one after the other may have a batch between them; those of a snapshot have not.
#[test]
fn a_snapshot_shows_all_views_at_one_position() {
    let engine = Engine::in_memory().view::<Balance>().view::<Mover>().start().unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..3)
            .map(|by| {
                let engine = &engine;
                scope.spawn(move || {
                    (0..300).for_each(|n| _ = engine.append_all(batch(by, n)).wait().unwrap());
                })
            })
            .collect();
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let (engine, done) = (&engine, &done);
                scope.spawn(move || {
                    let mut last = 0;
                    while !done.load(Ordering::Relaxed) {
                        engine.snapshot(|views| {
                            let moves: u64 = views.rows::<Balance>().unwrap().map(|row| row.moves).sum();
                            std::thread::yield_now();
                            let moved: u64 = views.rows::<Mover>().unwrap().map(|row| row.moves).sum();
                            assert_eq!((moves, moved), (views.position(), views.position()));
                            if let Some(mover) = views.get::<Mover>(0).unwrap() {
                                assert!(mover.position <= views.position());
                            }
                            assert!(views.position() >= last && views.position() % 3 == 0);
                            last = views.position();
                        });
                    }
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        done.store(true, Ordering::Relaxed);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
    assert_eq!(engine.snapshot(|views| views.position()), 2700);
}

/// A view that is folded from the log by several threads is the one that was folded as events came, and so are several at once.
#[test]
fn a_rebuild_on_several_threads_is_the_fold() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("store");
    let open = |threads| {
        let engine = Engine::open(&folder).unwrap().view::<Balance>().view::<Mover>().view::<Credit>();
        let engine = engine.threads(threads).start().unwrap();
        engine.wait_ready().wait().unwrap();
        engine
    };
    let engine = open(1);
    // Several stretches of the log, and one that is not full.
    for n in 0..3_500 {
        engine.append_all((0..2).flat_map(|by| batch(by, n))).durable().wait().unwrap();
    }
    let rows = |engine: &Engine| {
        let balances: Vec<_> = engine.view::<Balance>().rows().unwrap().collect();
        let movers: Vec<_> = engine.view::<Mover>().rows().unwrap().collect();
        let credits: Vec<_> = engine.view::<Credit>().rows().unwrap().collect();
        (balances, movers, credits)
    };
    engine.append_all(batch(0, 0)).wait().unwrap();
    let expected = rows(&engine);
    engine.close().wait().unwrap();
    for threads in [1, 2, 3, 4] {
        for name in ["views.db", "views.db-wal", "views.db-shm"] {
            let _ = std::fs::remove_file(folder.join(name));
        }
        let engine = open(threads);
        assert_eq!(rows(&engine), expected, "{threads} threads");
        engine.close().wait().unwrap();
    }
}

#[test]
fn rows_then_changes_are_the_rows_at_the_end() {
    let Place { engine, .. } = &place();
    let end = &AtomicU64::new(u64::MAX);
    std::thread::scope(|scope| {
        let credit = engine.view::<Credit>();
        let followers: Vec<_> = (0..6)
            .map(|n| {
                let credit = credit.clone();
                scope.spawn(move || {
                    while credit.position().unwrap() < n * 100 {
                        std::thread::yield_now();
                    }
                    Follower::follow(&mut credit.subscribe(), |row| row.account, end, |_| {})
                })
            })
            .collect();
        let movers: Vec<_> = (0..3)
            .map(|by| {
                scope.spawn(move || {
                    for n in 0..150 {
                        engine.append_all(batch(by, n)).wait().unwrap();
                    }
                })
            })
            .collect();
        movers.into_iter().for_each(|mover| mover.join().unwrap());
        // The last event changes every follower's view, so that all are woken and end at the same one.
        let last = [Moved { account: 99, amount: 1, by: 9 }];
        end.store(engine.health().position + 1, Ordering::Release);
        engine.append_all(last).wait().unwrap();
        for follower in followers {
            let follower = follower.join().unwrap();
            assert_eq!(follower.rows, by_key(&credit, |row| row.account));
        }
    });
}

/// A copy that is made in the middle of it all is a store by itself, of what there was at some moment.
#[test]
fn a_backup_is_of_one_moment() {
    let place = place();
    let engine = &place.engine;
    let copies = tempfile::tempdir().unwrap();
    let going = &AtomicBool::new(true);
    std::thread::scope(|scope| {
        for by in 0..3 {
            scope.spawn(move || {
                for n in 0.. {
                    if !going.load(Ordering::Acquire) {
                        break;
                    }
                    engine.append_all(batch(by, n)).wait().unwrap();
                }
            });
        }
        for copy in 0..8 {
            let folder = copies.path().join(copy.to_string());
            let before = engine.append(Moved { account: 50, amount: 0, by: 50 }).wait().unwrap();
            engine.backup(&folder).wait().unwrap();
            let copy = Engine::open(&folder).unwrap().view::<Balance>().view::<Mover>().start().unwrap();
            copy.wait_ready().wait().unwrap();
            let mut expected: BTreeMap<u32, (i64, u64)> = BTreeMap::new();
            let mut events = copy.events::<Moved>(1).until_head();
            let mut last = 0;
            while let Some(recorded) = events.next().wait() {
                let recorded = recorded.unwrap();
                let row = expected.entry(recorded.event.account).or_default();
                *row = (row.0 + recorded.event.amount, row.1 + 1);
                last = recorded.position;
            }
            assert!(last >= before.last, "what was acknowledged before is in it");
            let rows = by_key(&copy.view::<Balance>(), |row| row.account);
            assert_eq!(rows.values().map(|row| row.amount).sum::<i64>(), 0, "a torn batch");
            let rows: BTreeMap<_, _> =
                rows.into_values().map(|row| (row.account, (row.amount, row.moves))).collect();
            assert_eq!(rows, expected);
            // It goes its own way.
            assert_eq!(copy.append_all(batch(60, 0)).wait().unwrap().first, last + 1);
            copy.close().wait().unwrap();
        }
        going.store(false, Ordering::Release);
    });
}

#[test]
fn who_dawdles_holds_nobody_up() {
    let Place { engine, .. } = &place();
    let balance = engine.view::<Balance>();
    engine.append_all(batch(0, 0)).wait().unwrap();
    let before = by_key(&balance, |row| row.account);
    // Three who forget what they began: a scan, a subscription with little room, and a stream of events.
    let mut scan = balance.rows().unwrap();
    let first = scan.next().unwrap();
    let mut slow = balance.subscribe().backlog(50);
    let mut roomy = balance.subscribe();
    let mut events = engine.events::<Moved>(1);
    for n in 1..300 {
        let receipt = engine.append_all(batch(0, n)).wait().unwrap();
        assert_eq!(engine.view::<Mover>().get(0).unwrap().unwrap().position, receipt.last);
    }
    // The scan still sees what was there.
    assert_eq!(scan.position(), 3);
    let seen: BTreeMap<u32, Balance> =
        [first].into_iter().chain(scan).map(|row| (row.account, row)).collect();
    assert_eq!(seen, before);
    // The one without room is told, after which it has ended; the other has everything.
    let mut rows = Vec::new();
    let error = loop {
        match slow.next().wait().unwrap() {
            Ok(Change::Inserted { row }) => rows.push(row),
            Ok(Change::Progress { position }) => assert_eq!(position, 3),
            Ok(change) => panic!("not of the backlog: {change:?}"),
            Err(error) => break error,
        }
    };
    assert_eq!(rows.len(), before.len());
    assert!(matches!(error, ChangesError::Lagged { position } if position > 3), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("lagged behind") && text.contains("subscribe anew"), "{text}");
    assert!(slow.next().wait().is_none());
    let head = AtomicU64::new(900);
    let follower = Follower::follow(&mut roomy, |row| row.account, &head, |_| {});
    assert_eq!(follower.rows, by_key(&balance, |row| row.account));
    for position in 1..=900 {
        assert_eq!(block_on(events.next()).unwrap().unwrap().position, position);
    }
}

#[test]
fn many_appends_are_awaited_on_one_thread() {
    let Place { engine, .. } = &place();
    let mut appends: Vec<_> = (0..500).map(|n| engine.append_all(batch(1, n))).collect();
    // All on their way before the first is waited for.
    let mut receipts: Vec<Option<Receipt>> = appends
        .iter_mut()
        .map(|append| match poll_once(append) {
            Poll::Ready(receipt) => Some(receipt.unwrap()),
            Poll::Pending => None,
        })
        .collect();
    for (append, receipt) in appends.iter_mut().zip(&mut receipts) {
        if receipt.is_none() {
            *receipt = Some(block_on(append).unwrap());
        }
    }
    let firsts: Vec<u64> = receipts.iter().map(|receipt| receipt.unwrap().first).collect();
    assert_eq!(
        firsts,
        (0..500).map(|n| n * 3 + 1).collect::<Vec<_>>(),
        "in the order in which they were polled"
    );
    assert_eq!(engine.view::<Mover>().get(1).unwrap().unwrap().moves, 1500);
}

#[test]
fn an_append_that_is_dropped_after_its_first_poll_is_made() {
    let Place { engine, .. } = &place();
    for n in 0..200 {
        let mut append = engine.append_all(batch(2, n));
        let _ = poll_once(&mut append);
        drop(append);
        // One that was never polled is not.
        drop(engine.append_all(batch(3, n)));
    }
    // Nothing, appended after them: its receipt stands behind them.
    let receipt = engine.append_all::<Moved>([]).wait().unwrap();
    assert!(receipt.is_empty());
    assert_eq!(receipt.last, 600);
    assert_eq!(engine.view::<Mover>().get(2).unwrap().unwrap().moves, 600);
    assert_eq!(engine.view::<Mover>().get(3).unwrap(), None);
}

/// Whoever appends while the engine closes has a receipt for what is in the log, or is told that nothing was appended, and nothing was.
#[test]
fn closing_answers_everyone() {
    for round in 0..15_u32 {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("store");
        let open = |queue| {
            let builder = Engine::open(&folder).unwrap().view::<Balance>().view::<Mover>();
            builder.queues(queue, 1).group_limits(9, 1 << 20).start().unwrap()
        };
        let engine = &open(if round % 2 == 0 { 2 } else { 1024 });
        let going = AtomicBool::new(true);
        let appended = AtomicU64::new(0);
        let mut answers: Vec<(u32, Result<Receipt, AppendError>)> = Vec::new();
        std::thread::scope(|scope| {
            let (going, appended) = (&going, &appended);
            let movers: Vec<_> = (0..6)
                .map(|by| {
                    scope.spawn(move || {
                        let mut answers = Vec::new();
                        let mut n = 0;
                        // Some more after it was closed.
                        let mut left = 3;
                        while left > 0 {
                            let append = engine.append_all(batch(by, n));
                            let append = if n % 3 == 0 { append.durable() } else { append };
                            answers.push((by, block_on(append)));
                            appended.fetch_add(1, Ordering::AcqRel);
                            n += 1;
                            left -= u32::from(!going.load(Ordering::Acquire));
                        }
                        answers
                    })
                })
                .collect();
            let mut changes = engine.view::<Balance>().subscribe();
            let follower = scope.spawn(move || {
                loop {
                    if let Err(error) = changes.next().wait().expect("an error ends it") {
                        return error;
                    }
                }
            });
            while appended.load(Ordering::Acquire) < u64::from(20 + round * 5) {
                std::thread::yield_now();
            }
            engine.close().wait().unwrap();
            going.store(false, Ordering::Release);
            answers.extend(movers.into_iter().flat_map(|mover| mover.join().unwrap()));
            assert_eq!(follower.join().unwrap(), ChangesError::Closed);
        });
        assert_eq!(engine.view::<Balance>().len(), Err(ReadError::Closed));

        let engine = open(8);
        let mut taken = HashSet::new();
        let mut events = engine.events::<Moved>(1).until_head();
        let mut log = Vec::new();
        while let Some(recorded) = events.next().wait() {
            log.push(recorded.unwrap().event);
        }
        for (by, answer) in answers {
            match answer {
                Ok(receipt) => {
                    assert!(taken.insert(receipt.first), "position {} was given twice", receipt.first);
                    let found = &log[receipt.first as usize - 1..receipt.last as usize];
                    assert!(found.len() == 3 && found.iter().all(|moved| moved.by == by), "{found:?}");
                }
                Err(error) => {
                    assert!(matches!(error, AppendError::NotAppended(Refusal::Closed)), "{error:?}");
                    assert_eq!(error.to_string(), "nothing was appended: the engine is closed");
                }
            }
        }
        assert_eq!(taken.len() * 3, log.len(), "what nobody has a receipt for is not there");
        assert_eq!(engine.view::<Balance>().rows().unwrap().map(|row| row.amount).sum::<i64>(), 0);
    }
}
