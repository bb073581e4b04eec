//! Those who want something written. Each remembers what it was answered, asks again where that was unclear, and at times where it was not.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;

use cqrs_core::prelude::*;
use cqrs_core::{Consistency, Fed as FedTo, FeedError, Refusal, stream};

use crate::history::Happened;
use crate::language::{ITEMS, OutOfStock, Paid, RIDDLE, Reserve, Sensed, Stocked, item_of};
use crate::world::World;

/// What is asked, and how.
#[derive(Debug, Clone)]
pub(crate) enum What {
    /// Events, all or none; with ids, or without.
    Put { events: Vec<Happened>, named: bool, durable: bool },
    /// A command; under a key, or without.
    Order { reserve: Reserve, keyed: bool },
    /// The items of a source from one offset to another.
    Feed { source: u8, from: u64, to: u64 },
}

#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) what: What,
    /// Whether an answer was unclear: it may be in the log.
    unclear: bool,
    /// Whether another asks for the same at the same time, and may be luckier.
    pub(crate) contested: bool,
}

/// What came back.
#[derive(Debug)]
pub(crate) enum Reply {
    Put(Result<Receipt, AppendError>),
    Order(Result<Receipt, DecideError<OutOfStock>>),
    Feed(Result<FedTo, FeedError<Infallible>>),
}

type Running = Pin<Box<dyn Future<Output = Reply>>>;

fn tag(event: &Happened) -> u64 {
    match event {
        Happened::Stocked(e) => e.tag,
        Happened::Sensed(e) => e.tag,
        Happened::Paid(e) => e.tag,
        other => unreachable!("nobody puts {other:?}"),
    }
}

fn id(event: &Happened) -> String {
    format!("put/{}", tag(event))
}

fn new_event(event: &Happened, named: bool) -> NewEvent {
    let new = match event {
        Happened::Stocked(e) => NewEvent::of(e),
        Happened::Sensed(e) => NewEvent::of(e),
        Happened::Paid(e) => NewEvent::of(e),
        other => unreachable!("nobody puts {other:?}"),
    };
    if named { new.id(id(event)) } else { new }
}

impl Ask {
    pub(crate) fn feed(source: u8, from: u64, to: u64) -> Self {
        Self { what: What::Feed { source, from, to }, unclear: false, contested: false }
    }

    /// Whether it can be asked again, and is known then.
    pub(crate) fn is_known(&self) -> bool {
        match self.what {
            What::Put { named, .. } => named,
            What::Order { keyed, .. } => keyed,
            What::Feed { .. } => true,
        }
    }

    fn append(&self, engine: &Engine) -> cqrs_core::Append {
        let What::Put { events, named, durable } = &self.what else { unreachable!("it is no put") };
        let wanted = if *durable { Consistency::Durable } else { Consistency::ReadYourWrites };
        engine.append_all(events.iter().map(|event| new_event(event, *named))).consistency(wanted)
    }

    fn decide(&self, engine: &Engine) -> cqrs_core::Decide<OutOfStock> {
        let What::Order { reserve, keyed } = &self.what else { unreachable!("it is no order") };
        let key = reserve.order.to_string();
        let reserve = reserve.clone();
        if *keyed { engine.execute(reserve).key(key) } else { engine.decide(move |tx| reserve.decide(tx)) }
    }

    /// Asks, in this thread.
    pub(crate) fn wait(&self, engine: &Engine) -> Reply {
        match &self.what {
            What::Put { .. } => Reply::Put(self.append(engine).wait()),
            What::Order { .. } => Reply::Order(self.decide(engine).wait()),
            What::Feed { .. } => crate::waiting::wait(self.begin(engine)),
        }
    }

    /// Asks, and is not waited for yet.
    pub(crate) fn begin(&self, engine: &Engine) -> Running {
        match self.what {
            What::Put { .. } => {
                let append = self.append(engine);
                Box::pin(async { Reply::Put(append.await) })
            }
            What::Order { .. } => {
                let decide = self.decide(engine);
                Box::pin(async { Reply::Order(decide.await) })
            }
            What::Feed { source, from, to } => {
                let items = stream((from..=to).map(move |offset| item_of(source, offset)));
                let feed = engine.feed(&source_name(source), items);
                Box::pin(async { Reply::Feed(feed.await) })
            }
        }
    }
}

fn source_name(source: u8) -> String {
    format!("source/{source}")
}

/// What has been asked so far.
#[derive(Default)]
pub(crate) struct Book {
    /// What was answered unclearly, or was told to come again.
    open: Vec<Ask>,
    done: Vec<(Ask, Receipt)>,
    next: u64,
    /// Events and orders that are not in the log, and never will be.
    never: Vec<u64>,
    never_ordered: Vec<u64>,
}

impl Book {
    /// Something new, or something old once more.
    pub(crate) fn draw(&mut self, world: &mut World) -> Ask {
        if !self.open.is_empty() && world.random.one_in(3) {
            let at = world.random.below(self.open.len() as u64) as usize;
            return self.open.swap_remove(at);
        }
        if !self.done.is_empty() && world.random.one_in(8) {
            let (ask, _) = &self.done[world.random.below(self.done.len() as u64) as usize];
            if ask.is_known() {
                return ask.clone();
            }
        }
        self.next += 8;
        let known = !world.random.one_in(4);
        let what = match world.random.below(8) {
            0..=2 => {
                let (item, qty) = (world.random.below(ITEMS) as u8, 1 + world.random.below(8) as i64);
                What::Order { reserve: Reserve { order: self.next, item, qty }, keyed: known }
            }
            3 => return self.draw_feed(world),
            _ => {
                let count = 1 + world.random.below(3);
                let events = (0..count).map(|n| draw_event(world, self.next + n)).collect();
                What::Put { events, named: known, durable: world.random.one_in(3) }
            }
        };
        Ask { what, unclear: false, contested: false }
    }

    /// A source, from some place that was there before.
    fn draw_feed(&self, world: &mut World) -> Ask {
        let source = world.random.below(2) as u8;
        let from = 1 + world.random.below(world.offset(&source_name(source)).unwrap_or(0) + 1);
        Ask::feed(source, from, from + world.random.below(8))
    }

    /// Holds an answer against the log.
    pub(crate) fn settle(&mut self, world: &mut World, mut ask: Ask, reply: Reply, before: u64) {
        world.history.catch_up(&world.disk);
        // What a process answers that has died, nobody hears; and which of its errors came first is chance.
        let answer = if world.disk.is_dead() { "nobody hears".into() } else { told(&reply) };
        world.say(&format!("{:?}: {answer}", ask.what));
        match reply {
            Reply::Put(Ok(receipt)) | Reply::Order(Ok(receipt)) => self.done(world, ask, receipt),
            Reply::Put(Err(AppendError::NotAppended(refusal)))
            | Reply::Order(Err(DecideError::Append(AppendError::NotAppended(refusal)))) => {
                assert!(matches!(refusal, Refusal::Store(_)), "{refusal}");
                self.not_done(world, ask);
            }
            Reply::Order(Err(DecideError::Read { view, error })) => {
                assert!(world.has_faulted(), "{view}: {error}");
                self.not_done(world, ask);
            }
            Reply::Order(Err(DecideError::Refused(OutOfStock { free }))) => {
                let What::Order { reserve, .. } = &ask.what else { unreachable!("it is an order") };
                let mut positions = before..=world.history.head();
                let was = |position| world.history.free(reserve.item, position) == free;
                assert!(
                    free < reserve.qty && positions.any(was),
                    "{reserve:?} was refused, with {free} free"
                );
                self.not_done(world, ask);
            }
            Reply::Put(Err(AppendError::Unknown { .. }))
            | Reply::Order(Err(DecideError::Append(AppendError::Unknown { .. }))) => {
                ask.unclear = true;
                if ask.is_known() {
                    self.come_again(ask);
                }
            }
            Reply::Feed(Ok(fed)) => {
                let What::Feed { source, to, .. } = ask.what else { unreachable!("it is a feed") };
                let stored = world.offset(&source_name(source));
                // Another feed of the source may have brought it further meanwhile.
                let right = Some(to) <= fed.offset && fed.offset <= stored;
                assert!(right, "{stored:?} is stored, {to} was fed: {fed:?}");
            }
            Reply::Feed(Err(error)) => {
                let expected = matches!(error, FeedError::Append { .. } | FeedError::Store { .. });
                assert!(expected, "{error}");
            }
        }
    }

    /// It is asked once more, some time.
    fn come_again(&mut self, ask: Ask) {
        if self.open.iter().all(|open| open.first() != ask.first()) {
            self.open.push(Ask { contested: false, ..ask });
        }
    }

    fn done(&mut self, world: &World, ask: Ask, receipt: Receipt) {
        match &ask.what {
            What::Put { events, named, .. } => {
                assert_eq!(receipt.len(), events.len() as u64);
                for (position, event) in (receipt.first..).zip(events) {
                    let there = world.history.at(position);
                    let there = there.unwrap_or_else(|| panic!("{ask:?} is acknowledged, and not there"));
                    assert_eq!(&there.event, event, "at position {position}");
                    assert_eq!(there.id, named.then(|| id(event)), "at position {position}");
                }
            }
            What::Order { reserve, .. } => {
                let events = reserve.events();
                assert_eq!(receipt.len(), events.len() as u64);
                for (position, event) in (receipt.first..).zip(events) {
                    let there = world.history.at(position).map(|it| &it.event);
                    assert_eq!(there, Some(&Happened::Reserved(event)), "at position {position}");
                }
            }
            What::Feed { .. } => unreachable!("it has no receipt"),
        }
        let first = self.done.iter().find(|(done, _)| done.first() == ask.first());
        match first {
            Some((_, first)) => assert_eq!(*first, receipt, "the receipt of {ask:?}"),
            None => self.done.push((ask, receipt)),
        }
    }

    /// It is not in the log: neither from now, nor from an earlier try.
    fn not_done(&mut self, world: &World, ask: Ask) {
        match &ask.what {
            _ if ask.contested => {}
            What::Put { events, .. } => {
                for event in events {
                    let there = world.history.tagged(tag(event));
                    assert_eq!(there, None, "{event:?} was said not to be appended");
                }
                if !ask.is_known() {
                    self.never.extend(events.iter().map(tag));
                }
            }
            What::Order { reserve, .. } => {
                let there = world.history.orders.get(&reserve.order);
                assert_eq!(there, None, "{reserve:?} was said not to be appended");
                if !ask.is_known() {
                    self.never_ordered.push(reserve.order);
                }
            }
            What::Feed { .. } => unreachable!("it has no receipt"),
        }
        // Where something may still be under way, it is asked until that is clear.
        let ask = Ask { unclear: ask.unclear || world.disk.is_dead(), ..ask };
        if ask.is_known() && (ask.unclear || world.random.clone().one_in(2)) {
            self.come_again(ask);
        }
    }

    /// Asks for all that is open until it is clear. Nothing goes wrong any more.
    pub(crate) fn finish(&mut self, world: &mut World) {
        for ask in std::mem::take(&mut self.open) {
            let (before, reply) = (world.known(), ask.wait(world.engine()));
            let clear = matches!(
                reply,
                Reply::Put(Ok(_)) | Reply::Order(Ok(_) | Err(DecideError::Refused(_))) | Reply::Feed(Ok(_))
            );
            assert!(clear, "nothing goes wrong any more, and {ask:?} is told {reply:?}");
            self.settle(world, ask, reply, before);
        }
        // What was refused for want of pieces may be asked in vain for ever.
        self.open.clear();
        for (ask, receipt) in self.done.clone() {
            if ask.is_known() {
                let (before, reply) = (world.known(), ask.wait(world.engine()));
                let same = match &reply {
                    Reply::Put(Ok(again)) | Reply::Order(Ok(again)) => *again == receipt,
                    _ => false,
                };
                assert!(same, "{ask:?} was told {receipt}, and now {reply:?}");
                self.settle(world, ask, reply, before);
            }
        }
        for source in 0..2 {
            let ask = Ask::feed(source, 1, world.offset(&source_name(source)).unwrap_or(0) + 5);
            let (before, reply) = (world.known(), ask.wait(world.engine()));
            assert!(matches!(reply, Reply::Feed(Ok(_))), "{reply:?}");
            self.settle(world, ask, reply, before);
        }
        let there = self.never.iter().find(|tag| world.history.tagged(**tag).is_some());
        assert_eq!(there, None, "it was said not to be appended, and is there");
        let there = self.never_ordered.iter().find(|order| world.history.orders.contains_key(order));
        assert_eq!(there, None, "it was said not to be appended, and is there");
    }
}

impl Ask {
    /// What it is told apart by.
    fn first(&self) -> u64 {
        match &self.what {
            What::Put { events, .. } => tag(&events[0]),
            What::Order { reserve, .. } => reserve.order,
            What::Feed { .. } => unreachable!("it has no receipt"),
        }
    }
}

fn draw_event(world: &mut World, tag: u64) -> Happened {
    match world.random.below(6) {
        0 | 1 => {
            // Some are late, by more or less than is allowed.
            let at = world.disk.now() / 1_000_000 - world.random.below(30) as i64;
            let (sensor, value) = (world.random.below(2) as u8, world.random.below(9) as i64);
            Happened::Sensed(Sensed { sensor, at, value, tag })
        }
        2 => {
            let amount = if world.random.one_in(3) { RIDDLE } else { world.random.below(9) as i64 };
            Happened::Paid(Paid { story: world.seed, customer: world.random.below(2) as u8, amount, tag })
        }
        _ => {
            let (item, qty) = (world.random.below(ITEMS) as u8, world.random.below(9) as i64);
            Happened::Stocked(Stocked { item, qty, tag })
        }
    }
}

/// An answer without what differs from run to run: the log's identity.
fn told(reply: &Reply) -> String {
    match reply {
        Reply::Put(Ok(receipt)) | Reply::Order(Ok(receipt)) => format!("{}-{}", receipt.first, receipt.last),
        Reply::Put(Err(error)) => error.to_string(),
        Reply::Order(Err(DecideError::Refused(refused))) => format!("{refused:?}"),
        Reply::Order(Err(DecideError::Read { .. })) => "unreadable".into(),
        Reply::Order(Err(DecideError::Append(error))) => error.to_string(),
        Reply::Feed(Ok(fed)) => format!("{fed:?}"),
        Reply::Feed(Err(error)) => error.to_string(),
    }
}
