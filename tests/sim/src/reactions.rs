//! Reactions: one that emits, and one that executes commands on what that has emitted. Their handlers fail now and then, and their process dies.

use std::future::Future;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use cqrs_core::prelude::*;
use cqrs_core::{ReactOptions, Reaction, Wait};

use crate::language::{Bill, Followed, Reserved};
use crate::world::World;

type Handled = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// Begins one of the two: `ill` as long as it fails for some orders.
fn begin(engine: &Engine, which: u64, ill: bool) -> Result<Reaction, cqrs_core::ReactError> {
    let options = ReactOptions::new().attempts(2).backoff(Duration::ZERO, Duration::ZERO);
    let fails = move |order: u64, attempt: u32| {
        ill && (order.is_multiple_of(5) || order.is_multiple_of(3) && attempt == 1)
    };
    match which {
        0 => engine.react_with::<Reserved>("follow", Since::Beginning, options, move |event| -> Handled {
            if fails(event.order, event.attempt()) {
                return Err("it is not followed up today".into());
            }
            event.emit(Followed { order: event.order, of: event.position() });
            Ok(())
        }),
        _ => engine.react_with::<Followed>("bill", Since::Beginning, options, move |event| -> Handled {
            let (order, of) = (event.order, event.position());
            event.execute(Bill { order, of }).wait()?;
            if fails(order + 1, event.attempt()) {
                return Err("it is billed, and fails even so".into());
            }
            Ok(())
        }),
    }
}

/// What comes of a wait, unless the process dies meanwhile.
fn unless_dead<T>(world: &World, mut wait: Wait<T>) -> Option<T> {
    crate::waiting::wait(std::future::poll_fn(|context| {
        if world.disk.poll_death(context).is_ready() {
            return Poll::Ready(None);
        }
        Pin::new(&mut wait).poll(context).map(Some)
    }))
}

/// Waits until it has looked at all there is, has ended, or its process has died. Were it stopped sooner, it would be chance whether it has one more position to save.
fn catch_up(world: &World, reaction: &Reaction) -> Result<bool, String> {
    loop {
        let head = world.known();
        let receipt = Receipt { store: world.engine().store_id(), first: head + 1, last: head };
        match unless_dead(world, reaction.wait_for(&receipt, Duration::from_secs(60))) {
            None => return Ok(false),
            Some(Ok(Reached::Reached)) if world.known() == head => return Ok(true),
            Some(Ok(Reached::Reached)) => {}
            Some(Ok(other)) => panic!("{other:?}"),
            Some(Err(_)) if world.disk.is_dead() => return Ok(false),
            Some(Err(error)) => return Err(error.to_string()),
        }
    }
}

/// Runs one of the two until it is up to date, if it gets so far.
pub(crate) fn step(world: &mut World) {
    let which = world.random.below(2);
    let again = world.random.one_in(3);
    // An append of an earlier run that comes late is to it as another's.
    let pending = world.disk.is_pending();
    let outcome = match begin(world.engine(), which, true) {
        Ok(reaction) => {
            let outcome = catch_up(world, &reaction);
            if again && outcome == Ok(true) {
                unless_dead(world, reaction.retry_all());
                let _ = catch_up(world, &reaction);
            }
            reaction.stop().wait();
            outcome
        }
        Err(error) => Err(error.to_string()),
    };
    assert!(outcome == Ok(true) || pending || world.disk.fired(), "{outcome:?}");
    world.history.catch_up(&world.disk);
    let outcome = if world.disk.is_dead() { Ok(false) } else { outcome };
    world.say(&format!("reacted, {which}: {outcome:?}"));
}

/// Everything is followed up, once: what was parked, too.
pub(crate) fn finish(world: &mut World) {
    for which in 0..2 {
        let reaction = begin(world.engine(), which, false).unwrap();
        assert_eq!(catch_up(world, &reaction), Ok(true));
        assert_eq!(reaction.retry_all().wait().unwrap(), [], "nothing fails any more");
        reaction.stop().wait();
        world.history.catch_up(&world.disk);
    }
    let of = |name: &str| {
        let it = world.history.events.iter();
        it.filter(|it| format!("{:?}", it.event).starts_with(name)).map(|it| it.position).collect::<Vec<_>>()
    };
    let same = |done: &std::collections::BTreeSet<u64>| done.iter().copied().collect::<Vec<_>>();
    assert_eq!(same(&world.history.followed), of("Reserved"), "each is followed up");
    assert_eq!(same(&world.history.billed), of("Followed"), "each is billed");
}
