//! Requests that are written together: each is judged as if those before it were in the log already.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use super::failing::Unruly;
use super::*;
use crate::{AppendError, FeedError, Refusal};

fn event(id: &str, qty: i32) -> NewEvent {
    NewEvent::new(bought("ann", "hats", qty)).id(id)
}

/// Does this while an append is on its way into the store: what it hands in is one group.
fn in_one_group(store: &Unruly, engine: &Engine, first: NewEvent, hand_in: impl FnOnce()) {
    store.orders.appending.store(false, Ordering::SeqCst);
    Unruly::order(&store.orders.hold_append, true);
    std::thread::scope(|scope| {
        let held = scope.spawn(|| engine.append(first).wait());
        while !store.orders.appending.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        hand_in();
        Unruly::order(&store.orders.hold_append, false);
        held.join().unwrap().unwrap();
    });
}

fn begin(future: Pin<&mut impl Future>) {
    assert!(matches!(future.poll(&mut Context::from_waker(Waker::noop())), Poll::Pending));
}

#[test]
fn ids_are_known_as_soon_as_the_group_has_them() {
    let store = Unruly::default();
    let engine = store.engine().view::<Has>().start().unwrap();
    let batches: [&[(&str, i32)]; 12] = [
        &[("b", 2), ("c", 3)],
        // In the log, and in the group.
        &[("a", 1), ("b", 2), ("c", 3)],
        &[("a", 1), ("b", 2)],
        &[("b", 2), ("c", 3)],
        &[("c", 3)],
        &[("b", 2)],
        // Another event, order or number of events.
        &[("a", 1), ("b", 2), ("c", 9)],
        &[("a", 1), ("c", 3)],
        &[("b", 2), ("c", 3), ("d", 4)],
        &[("a", 9), ("b", 2)],
        // Before the beginning of the log.
        &[("e", 5), ("a", 1)],
        &[("d", 4)],
    ];
    let mut appends: Vec<_> = batches
        .iter()
        .map(|batch| Box::pin(engine.append_all(batch.iter().map(|(id, qty)| event(id, *qty)))))
        .collect();
    in_one_group(&store, &engine, event("a", 1), || {
        appends.iter_mut().for_each(|append| begin(append.as_mut()));
    });
    let answers: Vec<_> = appends
        .into_iter()
        .map(|append| match Pin::into_inner(append).wait() {
            Ok(receipt) => Some((receipt.first, receipt.last)),
            Err(AppendError::NotAppended(Refusal::IdConflict { .. })) => None,
            Err(other) => panic!("{other}"),
        })
        .collect();
    let known = [Some((2, 3)), Some((1, 3)), Some((1, 2)), Some((2, 3)), Some((3, 3)), Some((2, 2))];
    assert_eq!(answers[..6], known);
    assert_eq!(answers[6..11], [None; 5]);
    assert_eq!(answers[11], Some((4, 4)));
    assert_eq!(has(&engine).into_values().next(), Some((1 + 2 + 3 + 4, 4)));
}

#[test]
fn what_a_feed_was_refused_is_not_known() {
    let store = Unruly::default();
    let engine = store.engine().view::<Has>().start().unwrap();
    engine.append(event("taken", 1)).wait().unwrap();
    let (items, stream) = async_channel::unbounded();
    let mut feed = engine.feed("till", stream);
    items.try_send((1, event("fed", 1))).unwrap();
    soon("it waits for more", || {
        begin(Pin::new(&mut feed));
        engine.source("till").unwrap() == Some(1)
    });
    let mut appends =
        [event("before", 2), event("before", 2), event("new", 3)].map(|event| Box::pin(engine.append(event)));
    let [before, again, new] = &mut appends;
    in_one_group(&store, &engine, event("first", 1), || {
        begin(before.as_mut());
        // The second has the id of another event: neither goes in.
        items.try_send((2, event("new", 3))).unwrap();
        items.try_send((3, event("taken", 9))).unwrap();
        begin(Pin::new(&mut feed));
        begin(again.as_mut());
        begin(new.as_mut());
    });
    let [before, again, new] = appends.map(|append| Pin::into_inner(append).wait().unwrap().first);
    assert_eq!((before, again, new), (4, 4, 5));
    let fed = feed.wait();
    assert!(
        matches!(
            fed,
            Err(FeedError::Append { error: AppendError::NotAppended(Refusal::IdConflict { .. }), .. })
        ),
        "{fed:?}"
    );
    assert_eq!(has(&engine).into_values().next(), Some((1 + 1 + 1 + 2 + 3, 5)));
}

/// Says nothing, or that something was bought.
struct Says(bool);

impl Command for Says {
    type Refusal = ();
    fn decide(&self, tx: &mut Tx) -> Result<(), ()> {
        if self.0 {
            tx.emit(bought("ann", "hats", 1));
        }
        Ok(())
    }
}

#[test]
fn a_command_is_not_answered_by_its_twin_that_failed() {
    let store = Unruly::default();
    let engine = store.engine().view::<Has>().start().unwrap();
    let mut twins = [(); 2].map(|()| Box::pin(engine.execute(Says(false)).key("k")));
    store.orders.appending.store(false, Ordering::SeqCst);
    Unruly::order(&store.orders.hold_append, true);
    std::thread::scope(|scope| {
        let held = scope.spawn(|| engine.append(bought("bob", "hats", 1)).wait());
        while !store.orders.appending.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        twins.iter_mut().for_each(|twin| begin(twin.as_mut()));
        Unruly::order(&store.orders.refuse_append, true);
        Unruly::order(&store.orders.hold_append, false);
        held.join().unwrap().unwrap_err();
    });
    for twin in twins {
        let answer = crate::sync::block_on(twin);
        assert!(matches!(answer, Err(DecideError::Append(_))), "{answer:?}");
    }
    Unruly::order(&store.orders.refuse_append, false);
    // Its key was not kept, so it is made now, and then known.
    for _ in 0..2 {
        let receipt = engine.execute(Says(true)).key("k").wait().unwrap();
        assert_eq!((receipt.first, receipt.last), (1, 1));
    }
    assert_eq!(has(&engine).len(), 1);
}
