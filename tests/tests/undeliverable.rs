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

#[test]
fn commands_that_depend_on_a_view_are_told_apart_by_keys() {
    struct Confirm(u64);
    impl Command for Confirm {
        type Refusal = std::convert::Infallible;
        fn decide(&self, tx: &mut Tx) -> Result<(), Self::Refusal> {
            tx.emit(Confirmed { order: self.0 });
            Ok(())
        }
    }
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
