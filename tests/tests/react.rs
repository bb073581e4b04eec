//! Reactions: each event is handled in its turn, what follows from it follows once, and what cannot be handled holds nothing up.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cqrs_core::prelude::*;
use cqrs_core::{
    Builder, FeedError, ReactError, ReactOptions, Reaction, ReactionState, RetryError, WaitError, stream,
};
use integration_tests::soon;

#[event]
#[derive(Debug, Clone, PartialEq)]
pub struct Bought {
    customer: String,
    n: u64,
}

#[event]
#[derive(Debug, Clone, PartialEq)]
pub struct Returned {
    customer: String,
    n: u64,
}

#[event]
#[derive(Debug, Clone, PartialEq)]
pub enum Shop {
    Bought(Bought),
    Returned(Returned),
}

#[event]
#[derive(Debug, Clone, PartialEq)]
pub struct Rewarded {
    n: u64,
}

#[event]
#[derive(Debug, Clone, PartialEq)]
pub struct Thanked {
    n: u64,
}

/// Registered with no engine here.
#[event]
#[derive(Debug, Clone, PartialEq)]
pub struct Unheard {
    n: u64,
}

#[projection(from = Bought, group_by = customer)]
#[derive(Debug, Clone, PartialEq)]
pub struct Customer {
    customer: String,
    #[count]
    bought: u64,
}

#[projection(from = Rewarded, group_by = ())]
#[derive(Debug, Clone, PartialEq)]
pub struct Rewards {
    #[count]
    count: u64,
}

fn bought(n: u64) -> Bought {
    Bought { customer: format!("c{}", n % 3), n }
}

fn with_all(builder: Builder) -> Builder {
    builder.view::<Customer>().view::<Rewards>().event::<Shop>().event::<Thanked>()
}

fn memory() -> Engine {
    with_all(Engine::in_memory()).start().unwrap()
}

fn open(folder: &Path) -> Engine {
    with_all(Engine::open(folder).unwrap()).start().unwrap()
}

/// All events of a type in the log.
fn log<E: Event>(engine: &Engine) -> Vec<RecordedEvent<E>> {
    let mut events = engine.events::<E>(1).until_head();
    std::iter::from_fn(|| events.next().wait()).map(Result::unwrap).collect()
}

fn rewards(engine: &Engine) -> Vec<u64> {
    log::<Rewarded>(engine).into_iter().map(|recorded| recorded.event.n).collect()
}

const LONG: Duration = Duration::from_secs(20);

#[track_caller]
fn reached(reaction: &Reaction, receipt: &Receipt) {
    assert_eq!(reaction.wait_for(receipt, LONG).wait().unwrap(), Reached::Reached, "{reaction:?}");
}

/// Waits until everything that is in the log now is handled.
#[track_caller]
fn caught_up(engine: &Engine, reaction: &Reaction) {
    let receipt = engine.append_all::<Bought>([]).wait().unwrap();
    reached(reaction, &receipt);
}

/// What is done, where it is known when.
#[track_caller]
fn within<T: Send + 'static>(what: impl FnOnce() -> T + Send + 'static) -> T {
    let (to, from) = channel();
    std::thread::spawn(move || to.send(what()));
    from.recv_timeout(LONG).expect("it hangs")
}

fn quick(attempts: u32) -> ReactOptions {
    ReactOptions::new().attempts(attempts).backoff(Duration::from_millis(1), Duration::from_millis(4))
}

fn state(engine: &Engine, name: &str) -> ReactionState {
    let health = engine.health();
    health.reactions.iter().find(|reaction| reaction.name == name).unwrap().state.clone()
}

/// Handlers that say what they see.
fn noting(engine: &Engine, name: &str, since: Since) -> (Reaction, Receiver<u64>) {
    let (to, from) = channel();
    let reaction = engine.react::<Bought>(name, since, move |event| Ok(to.send(event.n)?));
    (reaction.unwrap(), from)
}

/// One reward for each purchase.
fn rewarding(engine: &Engine) -> Reaction {
    let reaction = engine.react::<Bought>("reward", Since::Beginning, |event| {
        event.emit(Rewarded { n: event.n });
        Ok(())
    });
    reaction.unwrap()
}

#[test]
fn events_are_handled_in_order_once_the_views_show_them() {
    let engine = memory();
    let views = engine.clone();
    let (to, from) = channel();
    let reaction = engine
        .react::<Bought>("look", Since::Beginning, move |event| {
            let row = views.view::<Customer>().get(&event.customer)?.unwrap();
            assert!(row.bought * 3 > event.n - 1, "{row:?} {}", event.n);
            assert_eq!((event.attempt(), event.event().n), (1, event.n));
            Ok(to.send((event.position(), event.n))?)
        })
        .unwrap();
    let appending: Vec<_> = (0..2)
        .map(|_| engine.clone())
        .map(|engine| std::thread::spawn(move || engine.tick(Timestamp::from_micros(0)).wait().unwrap()))
        .collect();
    for n in 1..=600 {
        engine.append(bought(n)).durable().wait().unwrap();
    }
    for thread in appending {
        thread.join().unwrap();
    }
    caught_up(&engine, &reaction);
    let seen: Vec<(u64, u64)> = from.try_iter().collect();
    let stored: Vec<(u64, u64)> =
        log::<Bought>(&engine).into_iter().map(|recorded| (recorded.position, recorded.event.n)).collect();
    assert_eq!(seen, stored);
    assert!(reaction.parked().unwrap().is_empty());
    engine.close().wait().unwrap();
}

#[test]
fn it_begins_where_it_is_told_and_goes_on_where_it_was() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("store");
    let engine = open(&folder);
    engine.append_all((1..=3).map(bought)).wait().unwrap();
    let (all, seen_by_all) = noting(&engine, "all", Since::Beginning);
    let (new, seen_by_new) = noting(&engine, "new", Since::Now);
    // This one never gets to handle anything before the engine is closed.
    drop(engine.react::<Returned>("later", Since::Now, |_| panic!("there is none")).unwrap());
    engine.append_all((4..=5).map(bought)).wait().unwrap();
    caught_up(&engine, &all);
    caught_up(&engine, &new);
    assert_eq!(seen_by_all.try_iter().collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!(seen_by_new.try_iter().collect::<Vec<_>>(), [4, 5]);
    assert_eq!((all.name(), all.position()), ("all", 5));
    engine.close().wait().unwrap();

    let engine = open(&folder);
    engine.append(bought(6)).wait().unwrap();
    // Where it is to begin is for the first time only.
    let (all, seen_by_all) = noting(&engine, "all", Since::Beginning);
    let (new, seen_by_new) = noting(&engine, "new", Since::Now);
    let (to, seen_by_later) = channel();
    let later =
        engine.react::<Bought>("later", Since::Beginning, move |event| Ok(to.send(event.n)?)).unwrap();
    caught_up(&engine, &all);
    caught_up(&engine, &new);
    caught_up(&engine, &later);
    assert_eq!(seen_by_all.try_iter().collect::<Vec<_>>(), [6]);
    assert_eq!(seen_by_new.try_iter().collect::<Vec<_>>(), [6]);
    let later: Vec<u64> = seen_by_later.try_iter().collect();
    assert!(later.ends_with(&[6]) && !later.contains(&3), "{later:?}");
}

#[test]
fn what_is_emitted_says_what_it_follows_from() {
    let engine = memory();
    let reaction = engine
        .react::<Bought>("reward", Since::Beginning, |event| {
            event.emit(Rewarded { n: event.n });
            event.emit(
                NewEvent::new(Rewarded { n: event.n + 100 })
                    .id(format!("own-{}", event.n))
                    .causation_id("me"),
            );
            Ok(())
        })
        .unwrap();
    engine.append(bought(1)).wait().unwrap();
    let event = NewEvent::new(bought(2)).id("order-2").correlation_id("request-2").meta("channel", "web");
    let receipt = engine.append(event).wait().unwrap();
    reached(&reaction, &receipt);
    let rewards = log::<Rewarded>(&engine);
    let (second, position) =
        (receipt.last, rewards.iter().map(|recorded| recorded.event.n).collect::<Vec<_>>());
    assert_eq!(position, [1, 101, 2, 102]);
    let said = |at: usize| {
        let recorded = &rewards[at];
        let id = |id: &Option<String>| id.clone().unwrap();
        assert!(recorded.metadata.entries.is_empty());
        (id(&recorded.event_id), id(&recorded.metadata.correlation_id), id(&recorded.metadata.causation_id))
    };
    let three = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
    assert_eq!(said(0), three("@react/reward/1/0", "@1", "@1"));
    assert_eq!(said(1), three("own-1", "@1", "me"));
    assert_eq!(said(2), three(&format!("@react/reward/{second}/0"), "request-2", "order-2"));
    // What it emitted is shown once it is waited for.
    assert_eq!(engine.view::<Rewards>().get(()).unwrap().unwrap().count, 4);
}

#[test]
fn an_enum_is_handled_as_one_stream() {
    let engine = memory();
    let (to, from) = channel();
    let reaction = engine
        .react::<Shop>("both", Since::Beginning, move |event| {
            Ok(to.send(match event.event() {
                Shop::Bought(bought) => ("bought", bought.n),
                Shop::Returned(returned) => ("returned", returned.n),
            })?)
        })
        .unwrap();
    engine.append(bought(1)).wait().unwrap();
    engine.append(Rewarded { n: 9 }).wait().unwrap();
    engine.append(Returned { customer: "c1".into(), n: 2 }).wait().unwrap();
    engine.append(bought(3)).wait().unwrap();
    caught_up(&engine, &reaction);
    assert_eq!(from.try_iter().collect::<Vec<_>>(), [("bought", 1), ("returned", 2), ("bought", 3)]);
}

/// A reward for a customer, unless this one was rewarded.
struct Reward {
    n: u64,
}

impl Command for Reward {
    type Refusal = String;
    fn decide(&self, tx: &mut Tx) -> Result<(), String> {
        if self.n.is_multiple_of(5) {
            return Err(format!("{} is refused", self.n));
        }
        // It rests on all rewards: those of others conflict with it.
        let _ = tx.get::<Rewards>(());
        tx.emit(Rewarded { n: self.n });
        Ok(())
    }
}

/// Stops an engine in the middle again and again; each of the purchases is rewarded once by one reaction that emits and one that executes, and a side effect
/// is done at least once, and again only where it was stopped.
#[test]
fn whatever_stops_it_each_event_is_rewarded_once() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("store");
    const ALL: u64 = 400;
    let mut random = 7_u64;
    let (calls, mut starts, mut appended) = (Arc::new(AtomicUsize::new(0)), 0, 0);
    loop {
        let engine = open(&folder);
        starts += 1;
        let emits = rewarding(&engine);
        let counted = calls.clone();
        let executes = engine
            .react::<Bought>("execute", Since::Beginning, move |event| {
                counted.fetch_add(1, Ordering::SeqCst);
                match event.execute(Reward { n: 10_000 + event.n }).wait() {
                    Ok(_) => Ok(()),
                    Err(DecideError::Refused(_)) => Ok(()),
                    Err(error) => Err(error.into()),
                }
            })
            .unwrap();
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let more = (random >> 33) % 40;
        for n in appended + 1..=(appended + more).min(ALL) {
            engine.append(bought(n)).wait().unwrap();
        }
        appended = (appended + more).min(ALL);
        if appended == ALL {
            caught_up(&engine, &emits);
            caught_up(&engine, &executes);
            assert!(executes.parked().unwrap().is_empty());
            let mut by_emitting: Vec<u64> = rewards(&engine);
            let mut by_executing: Vec<u64> =
                by_emitting.extract_if(.., |n| *n > 10_000).map(|n| n - 10_000).collect();
            assert_eq!(by_emitting, Vec::from_iter(1..=ALL), "{starts} starts");
            by_executing.sort_unstable();
            assert_eq!(by_executing, Vec::from_iter((1..=ALL).filter(|n| n % 5 != 0)), "{starts} starts");
            break;
        }
        // Dropped at any moment: events wait, are being handled, are being saved.
        if random & 1 == 0 {
            drop(engine);
        } else {
            within(move || engine.close().wait()).unwrap();
        }
    }
    assert!(starts > 10);
    // A stop waits for the handler, so nothing is done again.
    assert_eq!(calls.load(Ordering::SeqCst) as u64, ALL);
}

/// As a crash would have it: the store as it is at some moment, and nothing of what runs.
#[test]
fn after_a_crash_what_was_stored_is_not_done_again() {
    const ALL: u64 = 3000;
    const CRASHES: u64 = 12;
    // The last event that a run comes to before its copy is taken.
    let end = |crash: u64| if crash == CRASHES { ALL } else { crash * ALL / CRASHES + crash * 17 };
    let parent = tempfile::tempdir().unwrap();
    let mut folder = parent.path().join("0");
    let engine = open(&folder);
    engine.append_all((1..=ALL).map(bought)).wait().unwrap();
    engine.close().wait().unwrap();
    let calls = Arc::new(Mutex::new(Vec::new()));
    let mended = Arc::new(AtomicBool::new(false));
    for crash in 1..=CRASHES {
        let engine = open(&folder);
        let emits = rewarding(&engine);
        let (counted, works, crashed) = (calls.clone(), mended.clone(), Arc::new(AtomicBool::new(false)));
        let stays = crashed.clone();
        let both = engine.react_with::<Bought>("both", Since::Beginning, quick(3), move |event| {
            while event.n > end(crash) {
                // What follows is no part of the copy.
                if stays.load(Ordering::SeqCst) {
                    return Err("it has crashed".into());
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            if event.attempt() == 1 {
                counted.lock().unwrap().push((crash, event.n));
            }
            event.emit(Rewarded { n: 10_000 + event.n });
            if event.n % 7 == 0 {
                event.execute(Reward { n: 20_001 + 5 * event.n }).wait()?;
            }
            let fails = event.n % 100 == 0 && !works.load(Ordering::SeqCst);
            if fails { Err("not yet".into()) } else { Ok(()) }
        });
        let both = both.unwrap();
        if crash < CRASHES {
            soon("it gets so far", || calls.lock().unwrap().last() == Some(&(crash, end(crash))));
            folder = parent.path().join(crash.to_string());
            engine.backup(&folder).wait().unwrap();
            crashed.store(true, Ordering::SeqCst);
            continue;
        }
        caught_up(&engine, &emits);
        caught_up(&engine, &both);
        let parked: Vec<u64> = both.parked().unwrap().iter().map(|parked| parked.position).collect();
        assert_eq!(parked, Vec::from_iter((1..=ALL / 100).map(|n| n * 100)));
        mended.store(true, Ordering::SeqCst);
        assert_eq!(both.retry_all().wait().unwrap(), []);
        let rewards = rewards(&engine);
        let of = |from: u64, to: u64| -> Vec<u64> {
            let these = rewards.iter().filter(|n| (from..to).contains(*n));
            these.map(|n| n - from).collect()
        };
        assert_eq!(of(0, 10_000), Vec::from_iter(1..=ALL));
        let late = |n: &u64| n.is_multiple_of(100);
        let (in_time, after) = ((1..=ALL).filter(|n| !late(n)), (1..=ALL).filter(late));
        assert_eq!(of(10_000, 20_000), Vec::from_iter(in_time.chain(after)));
        let executed = (1..=ALL).filter(|n| n % 7 == 0).map(|n| 5 * n);
        assert_eq!(of(20_001, u64::MAX), Vec::from_iter(executed));
    }
    // Each was handled, in order, and after a crash not many of them again.
    let calls = calls.lock().unwrap();
    let mut again = 0;
    for crash in 1..=CRASHES {
        let run: Vec<u64> = calls.iter().filter(|(of, _)| *of == crash).map(|(_, n)| *n).collect();
        let before = if crash == 1 { 0 } else { end(crash - 1) };
        assert!(run[0] <= before + 1 && run[0] + 256 > before, "{before}: {run:?}");
        assert_eq!(run, Vec::from_iter(run[0]..=end(crash)));
        again += before + 1 - run[0];
    }
    assert!(again > 0, "no crash came between a handler and the end of its batch");
}

#[test]
fn a_handler_that_fails_is_tried_again_and_its_event_parked() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("store");
    let engine = open(&folder);
    let (to, tries) = channel();
    let handler = move |event: &mut Reacting<Bought>| {
        to.send((event.n, event.attempt()))?;
        // It is taken back when the handler fails.
        event.emit(Rewarded { n: event.n });
        match event.n {
            2 => Err(format!("attempt {} failed", event.attempt()).into()),
            3 if event.attempt() < 3 => panic!("not yet"),
            4 => panic!("not at all"),
            _ => Ok(()),
        }
    };
    let reaction = engine.react_with("reward", Since::Beginning, quick(4), handler).unwrap();
    engine.append_all((1..=5).map(bought)).wait().unwrap();
    caught_up(&engine, &reaction);
    let tries: Vec<(u64, u32)> = tries.try_iter().collect();
    let two_and_four = |n: u64| (1..=4).map(move |attempt| (n, attempt));
    let expected: Vec<(u64, u32)> = std::iter::once((1, 1))
        .chain(two_and_four(2))
        .chain((1..=3).map(|attempt| (3, attempt)))
        .chain(two_and_four(4))
        .chain([(5, 1)])
        .collect();
    assert_eq!(tries, expected);
    assert_eq!(rewards(&engine), [1, 3, 5]);
    let parked = reaction.parked().unwrap();
    let said =
        parked.iter().map(|parked| (parked.position, &*parked.event, &*parked.reason, parked.attempts));
    let expected = [(2, "Bought", "attempt 4 failed", 4), (4, "Bought", "it panicked: not at all", 4)];
    assert_eq!(said.collect::<Vec<_>>(), expected);
    soon("it has passed what it emitted", || engine.health().reactions[0].lag == 0);
    let health = &engine.health().reactions[0];
    assert_eq!((&*health.name, health.parked), ("reward", 2));
    assert_eq!(health.state, ReactionState::Running);
    engine.close().wait().unwrap();

    // They are there after a restart, and in a backup, also where the reaction does not run.
    let engine = open(&folder);
    let copy = parent.path().join("copy");
    engine.backup(&copy).wait().unwrap();
    assert_eq!(engine.parked("reward").unwrap(), parked);
    assert!(engine.reaction("reward").is_none() && engine.parked("rewar").unwrap().is_empty());
    let copied = open(&copy);
    assert_eq!(copied.parked("reward").unwrap(), parked);
    assert_eq!(copied.source("@react/reward").unwrap(), engine.source("@react/reward").unwrap());
    drop(copied);

    let mended = Arc::new(AtomicBool::new(false));
    let works = mended.clone();
    let reaction = engine
        .react::<Bought>("reward", Since::Beginning, move |event| {
            event.emit(Rewarded { n: event.n + 10 * u64::from(event.attempt()) });
            if event.n == 2 || works.load(Ordering::SeqCst) { Ok(()) } else { Err("still not".into()) }
        })
        .unwrap();
    assert_eq!(engine.health().reactions[0].parked, 2);
    assert!(matches!(reaction.retry(3).wait(), Err(RetryError::NotParked { position: 3, .. })));
    reaction.retry(2).wait().unwrap();
    assert_eq!(rewards(&engine), [1, 3, 5, 52]);
    assert!(matches!(reaction.retry(2).wait(), Err(RetryError::NotParked { position: 2, .. })));
    let failed = reaction.retry(4).wait().unwrap_err();
    assert_eq!(failed.to_string(), "the event at position 4 failed again: still not");
    let parked = reaction.retry_all().wait().unwrap();
    assert_eq!(parked.len(), 1);
    assert_eq!((parked[0].position, &*parked[0].reason, parked[0].attempts), (4, "still not", 6));
    assert_eq!(engine.health().reactions[0].parked, 1);
    mended.store(true, Ordering::SeqCst);
    assert_eq!(reaction.retry_all().wait().unwrap(), []);
    assert_eq!(rewards(&engine), [1, 3, 5, 52, 74]);
    assert_eq!(log::<Rewarded>(&engine).last().unwrap().event_id.as_deref(), Some("@react/reward/4/0"));
    engine.append(bought(6)).wait().unwrap_or_else(|error| panic!("{error}"));
    caught_up(&engine, &reaction);
    assert_eq!(rewards(&engine).last(), Some(&16));
    assert_eq!(engine.health().reactions[0].parked, 0);
}

#[test]
fn while_one_is_tried_again_nothing_else_waits() {
    let engine = memory();
    let options = ReactOptions::new().attempts(9).backoff(Duration::from_secs(3600), Duration::MAX);
    let stuck =
        engine.react_with::<Bought>("stuck", Since::Beginning, options, |_| Err("down".into())).unwrap();
    let rewards = rewarding(&engine);
    let receipt = engine.append_all((1..=20).map(bought)).wait().unwrap();
    reached(&rewards, &receipt);
    soon("it shows", || matches!(state(&engine, "stuck"), ReactionState::Retrying { .. }));
    let ReactionState::Retrying { position, attempt, reason } = state(&engine, "stuck") else { panic!() };
    assert_eq!((position, attempt, &*reason), (1, 1, "down"));
    let behind = stuck.wait_for(&receipt, Duration::from_millis(1)).wait();
    assert_eq!(behind, Ok(Reached::TimedOut { behind: 20 }));
    assert_eq!(engine.health().reactions[1].lag, 40);
    // It does not wait for the end of the pause either.
    within(move || engine.close().wait()).unwrap();
}

#[test]
fn a_reason_says_what_is_behind_it() {
    let engine = memory();
    let reaction = engine
        .react_with::<Bought>("mail", Since::Beginning, quick(1), |_| {
            let closed: Result<(), _> = Err(std::io::Error::other("the server is down"));
            closed.map_err(|error| Box::new(Failed(error)) as _)
        })
        .unwrap();
    engine.append(bought(1)).wait().unwrap();
    caught_up(&engine, &reaction);
    assert_eq!(reaction.parked().unwrap()[0].reason, "the mail was not sent: the server is down");
}

#[derive(Debug)]
struct Failed(std::io::Error);
impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the mail was not sent")
    }
}
impl std::error::Error for Failed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[test]
fn what_is_emitted_and_cannot_be_appended_is_parked_for_its_event_alone() {
    let engine = with_all(Engine::in_memory()).payload_limit(1000).start().unwrap();
    engine.append(NewEvent::new(Rewarded { n: 0 }).id("taken")).wait().unwrap();
    engine.append_all((1..=6).map(bought)).wait().unwrap();
    let reaction = engine
        .react_with::<Bought>("reward", Since::Beginning, quick(2), |event| {
            event.emit(Rewarded { n: event.n });
            match event.n {
                2 => event.emit(Unheard { n: 2 }),
                3 => event.emit(NewEvent::new(Rewarded { n: 3 }).id("taken")),
                4 => event.emit(NewEvent::new(Thanked { n: 4 }).meta("long", "x".repeat(2000))),
                // As an earlier one: it is there already.
                5 => event.emit(NewEvent::new(Rewarded { n: 0 }).id("taken")),
                _ => {}
            }
            Ok(())
        })
        .unwrap();
    caught_up(&engine, &reaction);
    assert_eq!(rewards(&engine), [0, 1, 5, 6]);
    let parked = reaction.parked().unwrap();
    let reasons: Vec<(u64, &str)> = parked.iter().map(|parked| (parked.position, &*parked.reason)).collect();
    assert_eq!(reasons.iter().map(|(position, _)| *position).collect::<Vec<_>>(), [3, 4, 5]);
    assert!(reasons[0].1.contains("`Unheard`") && reasons[0].1.contains("not registered"), "{reasons:?}");
    assert!(reasons[1].1.contains("`taken` is taken"), "{reasons:?}");
    assert!(reasons[2].1.contains("the limit is 1000"), "{reasons:?}");
    // And so it is when it is tried again.
    let failed = reaction.retry(4).wait().unwrap_err();
    assert!(failed.to_string().contains("`taken` is taken"), "{failed}");
}

#[test]
fn reactions_to_what_others_emit() {
    let engine = memory();
    let rewards = rewarding(&engine);
    let thanks = engine.react::<Rewarded>("thank", Since::Beginning, |event| {
        event.emit(Thanked { n: event.n });
        Ok(())
    });
    let (thanks, last) = (thanks.unwrap(), Arc::new(Mutex::new(0)));
    let to = last.clone();
    let end = engine.react::<Thanked>("end", Since::Beginning, move |event| {
        assert_eq!(std::mem::replace(&mut *to.lock().unwrap(), event.n), event.n - 1);
        Ok(())
    });
    let receipt = engine.append_all((1..=1000).map(bought)).wait().unwrap();
    reached(&rewards, &receipt);
    caught_up(&engine, &thanks);
    caught_up(&engine, &end.unwrap());
    assert_eq!(*last.lock().unwrap(), 1000);
    let thanked = log::<Thanked>(&engine);
    assert_eq!(thanked.len(), 1000);
    // The correlation goes through, the cause does not.
    let metadata = &thanked[0].metadata;
    assert_eq!(metadata.correlation_id.as_deref(), Some("@1"));
    assert_eq!(metadata.causation_id.as_deref(), Some("@react/reward/1/0"));
}

/// The same stored name, another projection.
mod changed {
    use super::*;
    #[projection(from = Bought, group_by = customer)]
    #[derive(Debug, Clone, PartialEq)]
    pub(super) struct Customer {
        customer: String,
        #[max(n)]
        pub(super) last: u64,
    }
}

/// The same stored name, with fields of other types.
mod unreadable {
    use super::*;
    #[event]
    #[derive(Debug, Clone, PartialEq)]
    pub(super) struct Bought {
        customer: u64,
        n: u64,
    }
}

#[test]
fn an_event_that_cannot_be_read_is_parked() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("store");
    let engine = open(&folder);
    engine.append(Rewarded { n: 1 }).wait().unwrap();
    engine.append_all((1..=2).map(bought)).wait().unwrap();
    engine.close().wait().unwrap();
    let builder = Engine::open(&folder).unwrap().event::<unreadable::Bought>().view::<Rewards>();
    let engine = builder.start().unwrap();
    let reaction = engine.react::<unreadable::Bought>("reward", Since::Beginning, |_| panic!("never called"));
    caught_up(&engine, &reaction.unwrap());
    let parked = engine.parked("reward").unwrap();
    let positions: Vec<u64> = parked.iter().map(|parked| parked.position).collect();
    assert_eq!(positions, [2, 3]);
    assert!(parked[0].reason.starts_with("it cannot be read: "), "{parked:?}");
    assert_eq!((parked[0].attempts, &*parked[0].event), (1, "Bought"));
    engine.close().wait().unwrap();
    // Mended, they can.
    let engine = open(&folder);
    assert_eq!(rewarding(&engine).retry_all().wait().unwrap(), []);
    assert_eq!(rewards(&engine), [1, 1, 2]);
}

#[test]
fn the_rebuild_of_a_view_reacts_to_nothing() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("store");
    let engine = open(&folder);
    let reaction = rewarding(&engine);
    engine.append_all((1..=50).map(bought)).wait().unwrap();
    caught_up(&engine, &reaction);
    engine.close().wait().unwrap();
    let builder = Engine::open(&folder).unwrap().view::<changed::Customer>().view::<Rewards>();
    let engine = builder.event::<Shop>().event::<Thanked>().start().unwrap();
    let (to, from) = channel();
    let reaction = engine.react::<Bought>("reward", Since::Beginning, move |event| Ok(to.send(event.n)?));
    engine.wait_ready().wait().unwrap();
    engine.append(bought(51)).wait().unwrap();
    caught_up(&engine, &reaction.unwrap());
    assert_eq!(from.try_iter().collect::<Vec<_>>(), [51]);
    assert_eq!(rewards(&engine).len(), 50);
    assert_eq!(engine.view::<changed::Customer>().get("c0").unwrap().unwrap().last, 51);
}

#[test]
fn one_that_is_stopped_can_be_begun_again() {
    let engine = memory();
    let (reaction, seen) = noting(&engine, "mail", Since::Beginning);
    engine.append(bought(1)).wait().unwrap();
    caught_up(&engine, &reaction);
    reaction.stop().wait();
    reaction.stop().wait();
    assert_eq!(state(&engine, "mail"), ReactionState::Stopped { reason: "it was stopped".into() });
    let receipt = engine.append(bought(2)).wait().unwrap();
    let stopped = reaction.wait_for(&receipt, LONG).wait();
    assert!(matches!(stopped, Err(WaitError::Stopped { .. })), "{stopped:?}");
    assert!(matches!(reaction.retry(1).wait(), Err(RetryError::Stopped { .. })));
    assert_eq!(seen.try_iter().collect::<Vec<_>>(), [1]);
    let (reaction, seen) = noting(&engine, "mail", Since::Beginning);
    caught_up(&engine, &reaction);
    assert_eq!(seen.try_iter().collect::<Vec<_>>(), [2]);
    assert_eq!(state(&engine, "mail"), ReactionState::Running);
    assert_eq!(engine.reaction("mail").unwrap().position(), 2);
}

#[test]
fn what_is_not_begun_says_why() {
    let engine = memory();
    let (first, _seen) = noting(&engine, "mail", Since::Now);
    let begin = |engine: &Engine, name: &str| engine.react::<Bought>(name, Since::Now, |_| Ok(()));
    assert!(matches!(begin(&engine, "mail"), Err(ReactError::InUse { name }) if name == "mail"));
    for name in ["", "a/b", "a\0b"] {
        assert!(matches!(begin(&engine, name), Err(ReactError::Name { .. })), "{name:?}");
    }
    let unheard = engine.react::<Unheard>("other", Since::Now, |_| Ok(())).unwrap_err();
    assert!(unheard.to_string().contains("`Unheard`"), "{unheard}");
    let clone = engine.clone();
    let deciding = engine.decide(move |_| match begin(&clone, "other") {
        Err(ReactError::Deciding) => Err("as it should"),
        _ => Ok(()),
    });
    assert_eq!(deciding.wait().unwrap_err().refusal(), Some("as it should"));
    // None of them is left behind.
    assert_eq!(engine.health().reactions.len(), 1);
    engine.close().wait().unwrap();
    assert!(matches!(begin(&engine, "other"), Err(ReactError::Closed)));
    assert_eq!(state(&engine, "mail"), ReactionState::Stopped { reason: "the engine is closed".into() });
    let receipt = Receipt { store: engine.store_id(), first: 1, last: 1 };
    assert_eq!(first.wait_for(&receipt, LONG).wait(), Err(WaitError::Closed));
    assert!(matches!(first.parked(), Err(cqrs_core::StoreFailure::Closed)));

    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("store");
    drop(open(&folder));
    let reading = with_all(Engine::open_read_only(&folder).unwrap()).start().unwrap();
    assert!(matches!(begin(&reading, "mail"), Err(ReactError::ReadOnly)));
}

#[test]
fn a_feed_takes_no_name_of_the_librarys_own() {
    let engine = memory();
    let refused = engine.feed("@react/mail", stream([(1, bought(1))])).wait().unwrap_err();
    assert!(matches!(&refused, FeedError::Reserved { name } if name == "@react/mail"), "{refused}");
    assert_eq!(engine.health().position, 0);
}

#[test]
fn closing_waits_for_the_handler_and_saves_what_it_did() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("store");
    let engine = open(&folder);
    let (to, entered) = channel();
    let (go, gone) = channel::<()>();
    let reaction = engine.react::<Bought>("reward", Since::Beginning, move |event| {
        to.send(event.n)?;
        gone.recv()?;
        event.emit(Rewarded { n: event.n });
        Ok(())
    });
    drop(reaction.unwrap());
    engine.append_all((1..=3).map(bought)).wait().unwrap();
    assert_eq!(entered.recv().unwrap(), 1);
    let closing = engine.clone();
    let closing = std::thread::spawn(move || closing.close().wait());
    let other = || engine.react::<Bought>("other", Since::Now, |_| Ok(()));
    soon("it closes", || matches!(other(), Err(ReactError::Closed)));
    assert!(!closing.is_finished(), "the handler is at it");
    go.send(()).unwrap();
    within(move || closing.join().unwrap()).unwrap();
    assert!(entered.try_recv().is_err(), "no other event was begun");
    let engine = open(&folder);
    assert_eq!(rewards(&engine), [1]);
    assert_eq!(engine.source("@react/reward").unwrap(), Some(1));
}

#[test]
fn a_handler_may_close_the_engine_itself_or_hold_it() {
    let parent = tempfile::tempdir().unwrap();
    for own_clone in [true, false] {
        let folder = parent.path().join(own_clone.to_string());
        let engine = open(&folder);
        let (to, closed) = channel();
        let inside = engine.clone();
        let (a, b) = (to.clone(), inside.clone());
        // Two of them at the same time.
        let first = engine.react::<Bought>("first", Since::Beginning, move |_| Ok(a.send(b.close().wait())?));
        let second = engine.react::<Bought>("second", Since::Beginning, move |_| {
            let (to, engine) = (to.clone(), inside.clone());
            if own_clone {
                to.send(engine.close().wait())?;
            }
            Ok(())
        });
        let (first, second) = (first.unwrap(), second.unwrap());
        engine.append(bought(1)).durable().wait().unwrap();
        within(move || closed.recv().unwrap()).unwrap();
        within(move || first.stop().wait());
        within(move || second.stop().wait());
        drop(engine);
        // The store was given back, and what closed it is done again.
        let engine = open(&folder);
        assert_eq!(engine.source("@react/first").unwrap(), None);
    }
}

#[test]
fn the_last_clone_of_an_engine_may_be_a_handlers() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("store");
    let engine = open(&folder);
    let inside = engine.clone();
    let reaction =
        engine.react::<Bought>("own", Since::Beginning, move |_| Err(format!("{inside:?}").into())).unwrap();
    drop(engine);
    assert_eq!(reaction.position(), 0);
    within(move || reaction.stop().wait());
    // Its end closes the engine, in the background.
    soon("the store is given back", || Engine::open(&folder).is_ok());
}

#[test]
fn a_handler_may_stop_its_reaction_and_does_not_retry_in_itself() {
    let engine = memory();
    let inside = engine.clone();
    let (to, from) = channel();
    let reaction = engine
        .react::<Bought>("own", Since::Beginning, move |event| {
            let own = inside.reaction("own").unwrap();
            to.send(own.retry(1).wait().unwrap_err())?;
            own.stop().wait();
            event.emit(Rewarded { n: event.n });
            Ok(())
        })
        .unwrap();
    engine.append_all((1..=2).map(bought)).wait().unwrap();
    assert!(matches!(from.recv_timeout(LONG).unwrap(), RetryError::Reacting));
    within(move || reaction.stop().wait());
    assert_eq!(rewards(&engine), [1]);
    assert!(from.try_recv().is_err());
    engine.close().wait().unwrap();
}

/// Commands see what earlier events had the reaction emit.
#[test]
fn a_command_comes_after_what_was_emitted_before_it() {
    let engine = memory();
    engine.append_all((1..=100).map(bought)).wait().unwrap();
    let reaction = engine
        .react::<Bought>("reward", Since::Beginning, |event| {
            if event.n.is_multiple_of(10) {
                let receipt = event.execute(Last { n: event.n }).wait()?;
                assert_eq!(receipt.len(), 1);
            } else {
                event.emit(Rewarded { n: event.n });
            }
            Ok(())
        })
        .unwrap();
    caught_up(&engine, &reaction);
    assert_eq!(reaction.parked().unwrap(), []);
    let thanked = log::<Thanked>(&engine);
    assert_eq!(thanked.len(), 10);
    assert_eq!(thanked[0].event_id.as_deref(), Some("@react/reward/10/0/0"));
    assert_eq!(thanked[0].metadata.causation_id.as_deref(), Some("@10"));
}

/// Thanks, whatever there is.
struct Thank {
    n: u64,
}

impl Command for Thank {
    type Refusal = std::convert::Infallible;
    fn decide(&self, tx: &mut Tx) -> Result<(), Self::Refusal> {
        tx.emit(Thanked { n: self.n });
        Ok(())
    }
}

#[test]
fn a_handler_may_execute_several_commands_of_a_kind_and_each_once() {
    let engine = memory();
    engine.append_all((1..=3).map(bought)).wait().unwrap();
    let reaction = engine
        .react_with::<Bought>("thank", Since::Beginning, quick(5), |event| {
            let first = event.execute(Thank { n: event.n }).wait()?;
            if event.attempt() == 1 {
                return Err("not yet".into());
            }
            let second = event.execute(Thank { n: event.n + 100 }).wait()?;
            assert!(second.first > first.last);
            Ok(())
        })
        .unwrap();
    caught_up(&engine, &reaction);
    assert_eq!(reaction.parked().unwrap(), []);
    let thanked: Vec<u64> = log::<Thanked>(&engine).into_iter().map(|recorded| recorded.event.n).collect();
    assert_eq!(thanked, [1, 101, 2, 102, 3, 103]);
}

#[test]
fn a_handler_is_told_all_that_is_stored_of_an_event() {
    let engine = memory();
    let (tell, told) = channel();
    let reaction = engine
        .react::<Bought>("look", Since::Beginning, move |event| {
            let channel = event.metadata().entries.get("channel").cloned();
            let id = event.event_id().map(str::to_owned);
            Ok(tell.send((event.position(), event.recorded_at(), id, channel, event.event().n))?)
        })
        .unwrap();
    let event = NewEvent::new(bought(2)).id("order-2").meta("channel", "web");
    let receipt = engine.append(event).wait().unwrap();
    engine.append(bought(3)).wait().unwrap();
    caught_up(&engine, &reaction);
    let at = log::<Bought>(&engine)[0].recorded_at;
    let first = told.recv().unwrap();
    assert_eq!(first, (receipt.first, at, Some("order-2".into()), Some("web".into()), 2));
    assert_eq!(told.recv().unwrap().2, None);
    assert!(format!("{reaction:?}").contains("look"));
}

struct Last {
    n: u64,
}

impl Command for Last {
    type Refusal = std::convert::Infallible;
    fn decide(&self, tx: &mut Tx) -> Result<(), Self::Refusal> {
        let rewards = tx.get::<Rewards>(()).map_or(0, |row| row.count);
        assert_eq!(rewards, self.n - self.n / 10, "all of those before it are rewarded");
        tx.emit(Thanked { n: self.n });
        Ok(())
    }
}

/// Thanks for the rewards that it sees.
struct ThankForAll;

impl Command for ThankForAll {
    type Refusal = Missing;
    fn decide(&self, tx: &mut Tx) -> Result<(), Missing> {
        let n = tx.get::<Rewards>(()).map_or(0, |rewards| rewards.count);
        tx.emit(Thanked { n });
        Ok(())
    }
}

#[derive(Debug)]
struct Missing;

#[test]
fn a_command_is_not_decided_without_what_was_emitted_before_it() {
    let engine = memory();
    engine.append(NewEvent::new(Rewarded { n: 0 }).id("taken")).wait().unwrap();
    let receipt = engine.append_all((1..=3).map(bought)).wait().unwrap();
    let reaction = engine.react_with::<Bought>("thanks", Since::Beginning, quick(2), |event| {
        match event.n {
            1 => event.emit(Rewarded { n: 1 }),
            // It cannot go in, nor can what is saved with it.
            2 => event.emit(NewEvent::new(Rewarded { n: 2 }).id("taken")),
            _ => drop(event.execute(ThankForAll).wait().map_err(|error| format!("{error:?}"))?),
        }
        Ok(())
    });
    let reaction = reaction.unwrap();
    reached(&reaction, &receipt);
    assert_eq!(reaction.parked().unwrap().iter().map(|parked| parked.position).collect::<Vec<_>>(), [3]);
    let thanked: Vec<u64> = log::<Thanked>(&engine).iter().map(|recorded| recorded.event.n).collect();
    assert_eq!(thanked, [2], "it has seen both rewards");
}

#[test]
fn a_stretch_without_an_event_of_its_type_moves_it_too() {
    let engine = memory();
    let reaction = engine.react::<Returned>("returns", Since::Beginning, |_| Ok(())).unwrap();
    for _ in 0..7 {
        engine.append_all((0..10_000).map(bought)).durable().wait().unwrap();
    }
    caught_up(&engine, &reaction);
    assert_eq!(reaction.position(), 70_000);
    assert!(engine.source("@react/returns").unwrap().is_some_and(|position| position >= 65_536));
}

#[test]
fn an_error_that_panics_as_it_is_read_is_one_that_is_parked() {
    #[derive(Debug)]
    struct Mute;
    impl std::fmt::Display for Mute {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("no words")
        }
    }
    impl std::error::Error for Mute {}
    let engine = memory();
    let reaction =
        engine.react_with::<Bought>("mute", Since::Beginning, quick(2), |_| Err(Mute.into())).unwrap();
    let receipt = engine.append(bought(1)).wait().unwrap();
    reached(&reaction, &receipt);
    assert_eq!(reaction.parked().unwrap()[0].reason, "it panicked: no words");
}
