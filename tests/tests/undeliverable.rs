//! What becomes of events that a reaction cannot handle, or cannot handle yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use cqrs_core::prelude::*;
use cqrs_core::{Consistency, Park, ReactOptions, Reacting, Reaction, ReactionState, RetryError};
use integration_tests::soon;

#[event]
#[derive(Debug)]
pub struct Ordered {
    order: u64,
    mail: String,
}

#[event]
#[derive(Debug)]
pub struct Confirmed {
    order: u64,
}

fn ordered(order: u64, mail: &str) -> Ordered {
    Ordered { order, mail: mail.into() }
}

fn memory() -> Engine {
    Engine::in_memory().event::<Ordered>().event::<Confirmed>().start().unwrap()
}

fn reached(reaction: &Reaction, receipt: &Receipt) {
    let reached = reaction.wait_for(receipt, Duration::from_secs(60)).wait();
    assert_eq!(reached.unwrap(), Reached::Reached);
}

fn parked(reaction: &Reaction) -> Vec<(u64, String, u32)> {
    let parked = reaction.parked().unwrap().into_iter();
    parked.map(|event| (event.position, event.reason, event.attempts)).collect()
}

#[test]
fn what_can_never_be_handled_is_parked_at_once() {
    #[derive(Debug)]
    struct NotSent(Park);
    impl std::fmt::Display for NotSent {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("the mail cannot be sent")
        }
    }
    impl std::error::Error for NotSent {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }

    let engine = memory();
    let mails = engine
        .react::<Ordered>("mails", Since::Beginning, |ordered| match &*ordered.mail {
            "" => Err(Park::because("it has no address").into()),
            // Also where it stands behind an error of the user's.
            "bob" => Err(NotSent(Park::because(format_args!("`{}` is no address", ordered.mail))).into()),
            _ => {
                ordered.emit(Confirmed { order: ordered.order });
                Ok(())
            }
        })
        .unwrap();
    let orders = [ordered(1, ""), ordered(2, "bob"), ordered(3, "ann@example.org")];
    let receipt = engine.append_all(orders).wait().unwrap();
    reached(&mails, &receipt);
    let both =
        [(1, "it has no address".into(), 1), (2, "the mail cannot be sent: `bob` is no address".into(), 1)];
    assert_eq!(parked(&mails), both);
    assert_eq!(engine.health().reactions[0].parked, 2);
    // Asked for once more, it says the same, and it stays.
    assert!(matches!(mails.retry(1).wait(), Err(RetryError::Failed { position: 1, .. })));
    assert_eq!(parked(&mails)[0], (1, "it has no address".into(), 2));
}

#[test]
fn what_is_given_up_is_parked_no_longer_and_not_handled() {
    let folder = tempfile::tempdir().unwrap();
    let open =
        || Engine::open(folder.path()).unwrap().event::<Ordered>().event::<Confirmed>().start().unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let begin = |engine: &Engine| {
        let calls = calls.clone();
        let never = move |_: &mut Reacting<Ordered>| {
            calls.fetch_add(1, Ordering::SeqCst);
            Err(Park::because("never").into())
        };
        engine.react::<Ordered>("mails", Since::Beginning, never).unwrap()
    };
    let engine = open();
    let mails = begin(&engine);
    let receipt = engine.append_all((1..=3).map(|order| ordered(order, ""))).wait().unwrap();
    reached(&mails, &receipt);
    mails.discard(2).wait().unwrap();
    assert_eq!(parked(&mails).iter().map(|(position, ..)| *position).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(engine.health().reactions[0].parked, 2);
    let nothing = mails.discard(2).wait();
    assert!(matches!(nothing, Err(RetryError::NotParked { position: 2, .. })), "{nothing:?}");
    engine.close().wait().unwrap();

    let engine = open();
    let mails = begin(&engine);
    assert_eq!(parked(&mails).len(), 2, "it is durable");
    mails.discard(1).wait().unwrap();
    mails.discard(3).wait().unwrap();
    assert_eq!((parked(&mails), engine.health().reactions[0].parked), (Vec::new(), 0));
    assert_eq!(calls.load(Ordering::SeqCst), 3);
    mails.stop().wait();
    assert!(matches!(mails.discard(1).wait(), Err(RetryError::Stopped { .. })));
}

#[test]
fn a_handler_can_see_that_it_is_to_stop() {
    let engine = memory();
    let (waiting, waits) = std::sync::mpsc::channel();
    let mails = engine
        .react_with::<Ordered>("mails", Since::Beginning, ReactOptions::new().attempts(1), move |ordered| {
            assert!(!ordered.is_stopping());
            waiting.send(()).unwrap();
            while !ordered.is_stopping() {
                std::thread::yield_now();
            }
            Ok(())
        })
        .unwrap();
    engine.append_all([ordered(1, ""), ordered(2, "")]).wait().unwrap();
    waits.recv().unwrap();
    engine.close().wait().unwrap();
    mails.stop().wait();
    assert_eq!(mails.position(), 1, "it has returned, and the next was not handled");
}

/// Whether [`Slow`] may be folded.
static GOES_ON: AtomicBool = AtomicBool::new(true);

fn slowly(order: u64) -> u64 {
    while !GOES_ON.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(1));
    }
    order
}

#[projection(from = Ordered, group_by = mail)]
#[derive(Debug, PartialEq)]
pub struct Fast {
    mail: String,
    #[last(order)]
    last: u64,
}

#[projection(from = Ordered, group_by = mail)]
#[derive(Debug)]
pub struct Slow {
    mail: String,
    #[last(slowly(order))]
    last: u64,
}

#[test]
fn while_a_view_is_rebuilt_nothing_that_reads_it_is_parked() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(folder.path()).unwrap().view::<Fast>().start().unwrap();
    let last = engine.append_all((1..=3).map(|order| ordered(order, "ann"))).wait().unwrap();
    engine.close().wait().unwrap();

    GOES_ON.store(false, Ordering::SeqCst);
    // One is folded from the log, and the reaction asks for it in both ways.
    let engine = Engine::open(folder.path())
        .unwrap()
        .view::<Fast>()
        .view::<Slow>()
        .event::<Confirmed>()
        .start()
        .unwrap();
    let (view, once) = (engine.view::<Slow>(), ReactOptions::new().attempts(1));
    let reads = engine
        .react_with::<Ordered>("reads", Since::Beginning, once, move |ordered| {
            assert_eq!(view.get("ann")?.map(|row| row.last), Some(3));
            assert_eq!(ordered.attempt(), 1);
            Ok(())
        })
        .unwrap();

    struct Confirm(u64);
    impl Command for Confirm {
        type Refusal = &'static str;
        fn decide(&self, tx: &mut Tx) -> Result<(), &'static str> {
            tx.get::<Slow>("ann").ok_or("who?")?;
            tx.emit(Confirmed { order: self.0 });
            Ok(())
        }
    }
    let decides = engine
        .react_with::<Ordered>("decides", Since::Beginning, once, |ordered| {
            ordered.execute(Confirm(ordered.order)).wait()?;
            Ok(())
        })
        .unwrap();
    soon("both wait for the view", || {
        let waits = |state: &ReactionState| matches!(state, ReactionState::Retrying { position: 1, attempt: 1, reason } if reason.contains("rebuilt"));
        engine.health().reactions.iter().all(|reaction| waits(&reaction.state))
    });
    GOES_ON.store(true, Ordering::SeqCst);
    for reaction in [&reads, &decides] {
        reached(reaction, &last);
        assert_eq!(parked(reaction), []);
    }
    soon("both go on", || {
        engine.health().reactions.iter().all(|reaction| reaction.state == ReactionState::Running)
    });
    assert_eq!(engine.health().position, 6, "three orders, three confirmations");
}

#[test]
fn a_handler_that_returns_because_it_is_to_stop_has_not_failed() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Engine::open(folder.path()).unwrap().event::<Ordered>().start().unwrap();
    let once = ReactOptions::new().attempts(1);
    let engine = open();
    let (waiting, waits) = std::sync::mpsc::channel();
    let stops = move |ordered: &mut Reacting<Ordered>| {
        waiting.send(()).unwrap();
        while !ordered.is_stopping() {
            std::thread::yield_now();
        }
        Err("it is to stop".into())
    };
    engine.react_with::<Ordered>("mails", Since::Beginning, once, stops).unwrap();
    let receipt = engine.append(ordered(1, "ann")).wait().unwrap();
    waits.recv().unwrap();
    engine.close().wait().unwrap();

    let engine = open();
    let mails = engine.react_with::<Ordered>("mails", Since::Beginning, once, |_| Ok(())).unwrap();
    reached(&mails, &receipt);
    assert_eq!((parked(&mails), mails.position()), (Vec::new(), 1));
}

#[test]
fn who_closes_within_a_time_goes_on_without_a_handler_that_takes_longer() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Engine::open(folder.path()).unwrap().event::<Ordered>().start().unwrap();
    let engine = open();
    let (began, begins) = std::sync::mpsc::channel();
    let (go_on, hold) = std::sync::mpsc::channel::<()>();
    let hangs = move |ordered: &mut Reacting<Ordered>| {
        began.send(()).unwrap();
        hold.recv()?;
        ordered.emit(Confirmed { order: ordered.order });
        Ok(())
    };
    let mails = engine.react::<Ordered>("mails", Since::Beginning, hangs).unwrap();
    let receipt = engine.append(ordered(1, "ann")).wait().unwrap();
    begins.recv().unwrap();
    engine.close_within(Duration::from_millis(50)).wait().unwrap();
    assert!(engine.health().closed);
    // Who closes it again, or drops it, need not wait either.
    engine.close().wait().unwrap();
    drop(engine);

    // The folder is free, and what was not handled is handled.
    let engine = open();
    assert_eq!(engine.reaction_position("mails").unwrap(), None);
    let again = engine.react::<Ordered>("mails", Since::Beginning, |_| Ok(())).unwrap();
    reached(&again, &receipt);
    // That the old one's handler returns changes nothing here.
    go_on.send(()).unwrap();
    mails.stop().wait();
    assert_eq!((engine.health().position, engine.reaction_position("mails").unwrap()), (1, Some(1)));
    // Where nobody takes long, it is as quick as `close`.
    let begun = std::time::Instant::now();
    engine.close_within(Duration::from_secs(600)).wait().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(300));
}

#[test]
fn a_reaction_can_begin_after_a_position() {
    let engine = memory();
    engine.append_all((1..=4).map(|order| ordered(order, "ann"))).wait().unwrap();
    let handled = Arc::new(std::sync::Mutex::new(Vec::new()));
    let notes = |name| {
        let handled = handled.clone();
        move |ordered: &mut Reacting<Ordered>| {
            handled.lock().unwrap().push((name, ordered.order));
            Ok(())
        }
    };
    assert_eq!(engine.reaction_position("late").unwrap(), None);
    let late = engine.react::<Ordered>("late", Since::After(3), notes("late")).unwrap();
    assert_eq!(
        engine.reaction_position("late").unwrap(),
        Some(3),
        "that is kept, though nothing is handled yet"
    );
    // What is not there yet is not passed over when it comes.
    let early = engine.react::<Ordered>("early", Since::After(9), notes("early")).unwrap();
    let last = engine.append(ordered(5, "bob")).wait().unwrap();
    reached(&late, &last);
    reached(&early, &last);
    let mut handled = handled.lock().unwrap().clone();
    handled.sort_unstable();
    assert_eq!(handled, [("early", 5), ("late", 4), ("late", 5)]);
}

/// What each test that holds a rebuild up waits for.
static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());

#[test]
fn while_it_waits_for_a_view_it_can_be_asked_and_does_not_spin() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(folder.path()).unwrap().view::<Fast>().start().unwrap();
    let never = |_: &mut Reacting<Ordered>| Err(Park::because("never").into());
    let reads = engine.react::<Ordered>("reads", Since::Beginning, never).unwrap();
    let last = engine.append_all((1..=3).map(|order| ordered(order, "ann"))).wait().unwrap();
    reached(&reads, &last);
    engine.close().wait().unwrap();

    GOES_ON.store(false, Ordering::SeqCst);
    let engine = Engine::open(folder.path()).unwrap().view::<Fast>().view::<Slow>().start().unwrap();
    let last = engine.append(ordered(4, "ann")).consistency(Consistency::Durable).wait().unwrap();
    let (view, calls) = (engine.view::<Slow>(), Arc::new(AtomicUsize::new(0)));
    let counts = calls.clone();
    let options = ReactOptions::new().attempts(3).backoff(Duration::ZERO, Duration::ZERO);
    let reads = engine
        .react_with::<Ordered>("reads", Since::Beginning, options, move |_| {
            counts.fetch_add(1, Ordering::SeqCst);
            view.get("ann")?;
            Ok(())
        })
        .unwrap();
    soon("it waits", || calls.load(Ordering::SeqCst) > 3);
    // It answers meanwhile; and what could not be tried in earnest stays as it was.
    reads.discard(1).wait().unwrap();
    let again = reads.retry(2).wait();
    assert!(matches!(again, Err(RetryError::Failed { position: 2, .. })), "{again:?}");
    assert_eq!(parked(&reads), [(2, "never".into(), 1), (3, "never".into(), 1)]);
    let before = calls.load(Ordering::SeqCst);
    std::thread::sleep(Duration::from_millis(200));
    let made = calls.load(Ordering::SeqCst) - before;
    assert!(made <= 21, "{made} calls in a fifth of a second, where one waits ten milliseconds at least");
    GOES_ON.store(true, Ordering::SeqCst);
    reached(&reads, &last);
    assert!(reads.retry_all().wait().unwrap().is_empty());
}

#[projection(name = "totals", from = Ordered, group_by = mail)]
#[derive(Debug)]
pub struct Totals {
    mail: String,
    #[sum(order)]
    total: u64,
}

/// The same, mended.
#[projection(name = "totals", from = Ordered, group_by = mail)]
#[derive(Debug)]
pub struct Mended {
    mail: String,
    #[sum(u128::from(order))]
    total: u128,
}

#[test]
fn while_a_view_has_stopped_nothing_that_reads_it_is_tried_or_parked() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(folder.path()).unwrap().view::<Totals>().start().unwrap();
    let last = engine.append_all([1, u64::MAX, 3].map(|order| ordered(order, "ann"))).wait().unwrap();
    let (view, calls) = (engine.view::<Totals>(), Arc::new(AtomicUsize::new(0)));
    assert!(matches!(view.get("ann"), Err(ReadError::Faulted(_))));
    let (counts, once) = (calls.clone(), ReactOptions::new().attempts(1));
    let reads = move |_: &mut Reacting<Ordered>| {
        counts.fetch_add(1, Ordering::SeqCst);
        view.get("ann")?;
        Ok(())
    };
    let reads = engine.react_with::<Ordered>("reads", Since::Beginning, once, reads).unwrap();
    soon("it waits", || {
        let state = &engine.health().reactions[0].state;
        matches!(state, ReactionState::Retrying { position: 1, attempt: 1, reason } if reason.contains("total"))
    });
    // Whatever it does before it reads is not done again and again.
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!((calls.load(Ordering::SeqCst), parked(&reads)), (1, Vec::new()));
    assert!(matches!(reads.retry(1).wait(), Err(RetryError::NotParked { .. })), "it can be asked meanwhile");
    engine.close().wait().unwrap();

    let engine = Engine::open(folder.path()).unwrap().view::<Mended>().start().unwrap();
    let view = engine.view::<Mended>();
    let reads = move |_: &mut Reacting<Ordered>| {
        view.get("ann")?;
        Ok(())
    };
    let reads = engine.react_with::<Ordered>("reads", Since::Beginning, once, reads).unwrap();
    reached(&reads, &last);
    assert_eq!(parked(&reads), []);
    // A fault that is not one of this engine's views is an error like any other: nobody here would know when it is mended.
    let other = Engine::in_memory().view::<Totals>().start().unwrap();
    other.append_all([1, u64::MAX].map(|order| ordered(order, "ann"))).wait().unwrap();
    let view = other.view::<Totals>();
    let reads = move |_: &mut Reacting<Ordered>| {
        view.get("ann")?;
        Ok(())
    };
    let others = engine.react_with::<Ordered>("others", Since::Beginning, once, reads).unwrap();
    reached(&others, &last);
    assert_eq!(parked(&others).len(), 3);
}

/// Mails that were ordered to, and not confirmed.
#[projection(from = Ordered, group_by = order)]
#[derive(Debug)]
pub struct Orders {
    order: u64,
    #[last]
    mail: String,
}

#[projection(from = Confirmed, group_by = order)]
#[derive(Debug)]
pub struct Confirmations {
    order: u64,
    #[count]
    times: u64,
}

struct Confirm(u64);

impl Command for Confirm {
    type Refusal = std::convert::Infallible;
    fn decide(&self, tx: &mut Tx) -> Result<(), Self::Refusal> {
        tx.emit(Confirmed { order: self.0 });
        Ok(())
    }
}

#[test]
fn commands_that_depend_on_a_view_are_told_apart_by_keys() {
    let engine = Engine::in_memory().view::<Orders>().view::<Confirmations>().start().unwrap();
    let (orders, confirmations) = (engine.view::<Orders>(), engine.view::<Confirmations>());
    let fails = AtomicBool::new(true);
    let quick = ReactOptions::new().backoff(Duration::ZERO, Duration::ZERO);
    let confirms = engine
        .react_with::<Tick>("confirms", Since::Beginning, quick, move |tick| {
            for due in orders.rows()? {
                if confirmations.get(due.order)?.is_none() {
                    tick.execute(Confirm(due.order)).key(due.order.to_string()).wait()?;
                    if fails.swap(false, Ordering::SeqCst) {
                        return Err("half-way".into());
                    }
                }
            }
            Ok(())
        })
        .unwrap();
    engine.append_all((0..3).map(|order| ordered(order, "ann"))).wait().unwrap();
    for _ in 0..2 {
        // The key is for one event: at the next, everything is confirmed.
        let receipt = engine.tick(Timestamp::from_micros(1)).wait().unwrap();
        reached(&confirms, &receipt);
        let times: Vec<u64> = engine.view::<Confirmations>().rows().unwrap().map(|row| row.times).collect();
        assert_eq!(times, [1, 1, 1]);
    }
    assert_eq!(parked(&confirms), []);
}

#[test]
fn commands_of_two_types_may_have_one_key() {
    /// Which says the same.
    struct Repeat(u64);
    impl Command for Repeat {
        type Refusal = std::convert::Infallible;
        fn decide(&self, tx: &mut Tx) -> Result<(), Self::Refusal> {
            Confirm(self.0).decide(tx)
        }
    }
    let engine = Engine::in_memory().event::<Ordered>().view::<Confirmations>().start().unwrap();
    let once = ReactOptions::new().attempts(1);
    let confirms = engine.react_with::<Ordered>("confirms", Since::Beginning, once, |ordered| {
        let key = ordered.order.to_string();
        let first = ordered.execute(Confirm(ordered.order)).key(&*key).wait()?;
        let second = ordered.execute(Repeat(ordered.order)).key(&*key).wait()?;
        assert_ne!(first, second);
        assert_eq!(ordered.execute(Repeat(ordered.order)).key(&*key).wait()?, second);
        // Whatever is said first.
        let named = ordered.execute(Repeat(ordered.order)).key(&*key).named("repeat").wait()?;
        assert_eq!(ordered.execute(Repeat(ordered.order)).named("repeat").key(&*key).wait()?, named);
        assert_ne!(named, second);
        if ordered.mail.is_empty() {
            ordered.execute(Repeat(ordered.order)).key("").wait()?;
        }
        Ok(())
    });
    let confirms = confirms.unwrap();
    let last = engine.append_all([ordered(1, "ann"), ordered(2, "")]).wait().unwrap();
    reached(&confirms, &last);
    for order in [1, 2] {
        assert_eq!(engine.view::<Confirmations>().get(order).unwrap().unwrap().times, 3);
    }
    let parked = parked(&confirms);
    assert!(
        matches!(&parked[..], [(2, reason, 1)] if reason.contains("key of the command `Repeat` is empty")),
        "{parked:?}"
    );
}

/// What hides the error that it was made of, and has its words.
#[derive(Debug)]
struct Hidden(Box<dyn std::error::Error + Send + Sync>);

impl std::fmt::Display for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Hidden {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

#[test]
fn an_error_is_known_by_its_words_too() {
    let engine = Engine::in_memory().event::<Ordered>().view::<Totals>().start().unwrap();
    let last = engine.append_all([ordered(1, ""), ordered(2, "ann")]).wait().unwrap();
    let parks = engine.react::<Ordered>("parks", Since::Beginning, |ordered| match &*ordered.mail {
        "" => Err(Hidden(Park::because("it has no address").into()).into()),
        _ => Ok(()),
    });
    reached(parks.as_ref().unwrap(), &last);
    assert_eq!(parked(&parks.unwrap()), [(1, "it has no address".into(), 1)]);

    // That is made, and not what it fails by, is no reason; though its words stand in another error.
    let twice = ReactOptions::new().attempts(2).backoff(Duration::ZERO, Duration::ZERO);
    let fails = engine.react_with::<Ordered>("fails twice", Since::Beginning, twice, |_| {
        drop(Park::because("not found"));
        Err("dns: host not found, try again".into())
    });
    let fails = fails.unwrap();
    reached(&fails, &last);
    assert_eq!(parked(&fails)[0].2, 2, "it was tried again");

    // A view that has stopped, in other words.
    engine.append_all([ordered(u64::MAX, "ann")]).wait().unwrap();
    let (view, once) = (engine.view::<Totals>(), ReactOptions::new().attempts(1));
    let reads = move |_: &mut Reacting<Ordered>| match view.get("ann") {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("the total: {error}").into()),
    };
    let reads = engine.react_with::<Ordered>("reads", Since::Beginning, once, reads).unwrap();
    let is_waiting = || {
        let reactions = engine.health().reactions;
        let reads = reactions.iter().find(|reaction| reaction.name == "reads").unwrap();
        matches!(reads.state, ReactionState::Retrying { position: 1, .. })
    };
    soon("it waits", is_waiting);
    std::thread::sleep(Duration::from_millis(100));
    assert!(is_waiting() && parked(&reads).is_empty());
}

mod kit {
    use cqrs_core::testing::{given, nothing};

    use super::*;

    type Handled = Result<(), Box<dyn std::error::Error + Send + Sync>>;

    fn confirm(ordered: &mut Reacting<Ordered>) -> Handled {
        match &*ordered.mail {
            "" => return Err(Park::because("it has no address").into()),
            "later" => return Err("the server is down".into()),
            "nothing" => return Ok(()),
            _ => ordered.emit(Confirmed { order: ordered.order }),
        }
        Ok(())
    }

    fn said(fails: impl FnOnce() + std::panic::UnwindSafe) -> String {
        let panic = std::panic::catch_unwind(fails).expect_err("it was to fail");
        panic.downcast_ref::<String>().expect("a text").clone()
    }

    #[test]
    fn ids_and_metadata_come_to_the_handler_and_are_held_as_far_as_they_are_said() {
        fn passes_on(ordered: &mut Reacting<Ordered>) -> Handled {
            let tenant = ordered.metadata().entries.get("tenant").cloned().ok_or("whose?")?;
            assert_eq!(ordered.event_id(), Some("order-1"));
            ordered.emit(NewEvent::new(Confirmed { order: 1 }).meta("tenant", tenant));
            Ok(())
        }
        let order = || NewEvent::new(ordered(1, "ann")).id("order-1").meta("tenant", "acme");
        let confirmed = || NewEvent::new(Confirmed { order: 1 });
        let handled = || given([order()]).event::<Confirmed>().reacting(passes_on);
        handled().then_events([confirmed()]);
        let followed = handled().then_events([confirmed().meta("tenant", "acme").causation_id("order-1")]);
        // What followed keeps what is beside it.
        followed
            .event::<Ordered>()
            .reacting(|confirmed: &mut Reacting<Confirmed>| {
                assert_eq!(confirmed.metadata().entries["tenant"], "acme");
                Ok(())
            })
            .then_no_events();
        let other = said(|| drop(handled().then_events([confirmed().meta("tenant", "umbrella")])));
        for line in ["-     beside it, tenant: \"umbrella\"", "+     beside it, tenant: \"acme\""] {
            assert!(other.contains(line), "{other}");
        }
        assert!(!other.contains("causation_id"), "that was not asked for: {other}");
        let decided = given([order()]).event::<Confirmed>().view::<Fast>().when(|tx: &mut Tx| {
            tx.emit(NewEvent::new(Confirmed { order: 1 }).id("c-1"));
            Ok::<_, ()>(())
        });
        let other = said(|| drop(decided.then_events([confirmed().id("c-2")])));
        assert!(other.contains("c-1") && other.contains("c-2"), "{other}");
    }

    #[test]
    fn a_handler_is_tested_without_an_engine() {
        let events = || given([ordered(1, "ann"), ordered(2, ""), ordered(3, "bob"), ordered(4, "later")]);
        let reacted = || events().event::<Confirmed>().reacting(confirm);
        reacted()
            .then_parked(4, "server is down")
            .then_parked(2, "no address")
            .then_events([Confirmed { order: 1 }, Confirmed { order: 3 }])
            .view::<Fast>()
            .then_row("ann", Fast { mail: "ann".into(), last: 1 });
        given([ordered(1, "nothing")]).reacting(confirm).then_no_events();
        nothing().reacting(confirm).then_no_events();

        let text = said(move || drop(reacted().then_parked(2, "no address").then_no_events()));
        assert_eq!(text, "the event at position 4 could not be handled: the server is down");
        let text = said(|| drop(given([ordered(1, "")]).reacting(confirm).then_parked(1, "closed")));
        assert!(text.contains("- closed\n    + it has no address"), "{text}");
        let text = said(|| drop(given([ordered(1, "nothing")]).reacting(confirm).then_parked(1, "closed")));
        assert_eq!(text, "the event at position 1 was handled, and was to be parked: closed");
        let text = said(|| {
            let one = given([ordered(1, "ann")]).event::<Confirmed>().reacting(confirm);
            drop(one.then_events([Confirmed { order: 2 }]));
        });
        assert!(text.contains("the reaction emitted other events"), "{text}");
        let text = said(|| drop(given([ordered(1, "ann")]).reacting(confirm).then_no_events()));
        assert!(text.contains("`Confirmed`") && text.contains("position 1"), "{text}");
    }

    #[test]
    fn it_reads_the_views_and_executes_commands() {
        struct Confirm(u64);
        impl Command for Confirm {
            type Refusal = String;
            fn decide(&self, tx: &mut Tx) -> Result<(), String> {
                let last = tx.get::<Fast>("ann").ok_or("who?")?.last;
                tx.emit(Confirmed { order: last + self.0 });
                Ok(())
            }
        }
        let execute = |ordered: &mut Reacting<Ordered>| -> Handled {
            ordered.execute(Confirm(ordered.order)).wait()?;
            Ok(())
        };
        given([ordered(1, "ann"), ordered(2, "ann")])
            .event::<Confirmed>()
            .view::<Fast>()
            .reacting(execute)
            .then_events([Confirmed { order: 3 }, Confirmed { order: 4 }]);
    }

    #[test]
    fn what_it_emits_itself_is_another_test() {
        let again = |ordered: &mut Reacting<Ordered>| -> Handled {
            ordered.emit(super::ordered(ordered.order + 1, "again"));
            Ok(())
        };
        given([ordered(1, "ann")]).reacting(again).then_events([ordered(2, "again")]);
    }
}
