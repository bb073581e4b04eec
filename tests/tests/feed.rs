//! Feeding a source: whatever stops it and however often it is begun again, each of its events is in the log once, in order.

use std::collections::VecDeque;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use cqrs_core::prelude::*;
use cqrs_core::{Builder, Fed, FeedError, FeedItem, Refusal, stream};
use integration_tests::soon;
use proptest::prelude::*;

#[event]
#[derive(Debug, Clone, PartialEq)]
pub struct Sold {
    n: u64,
    qty: i64,
    note: String,
}

/// Registered with no engine here.
#[event]
#[derive(Debug, Clone, PartialEq)]
pub struct Unheard {
    n: u64,
}

#[projection(from = Sold, group_by = ())]
#[derive(Debug, Clone, PartialEq)]
pub struct Total {
    #[count]
    sales: u64,
    #[sum(qty)]
    qty: i64,
    #[max(n)]
    last: u64,
}

fn sold(n: u64) -> Sold {
    Sold { n, qty: n as i64 % 7, note: String::new() }
}

fn items(numbers: impl IntoIterator<Item = u64>) -> impl Iterator<Item = (u64, Sold)> {
    numbers.into_iter().map(|n| (n, sold(n)))
}

fn start(builder: Builder) -> Engine {
    builder.view::<Total>().start().unwrap()
}

fn memory() -> Engine {
    start(Engine::in_memory())
}

fn open(folder: &Path) -> Engine {
    start(Engine::open(folder).unwrap())
}

/// The events of the log, by their numbers.
fn log(engine: &Engine) -> Vec<u64> {
    let mut events = engine.events::<Sold>(1).until_head();
    std::iter::from_fn(|| events.next().wait()).map(|recorded| recorded.unwrap().event.n).collect()
}

fn fed(offset: u64, appended: u64, passed_over: u64) -> Fed {
    Fed { offset: Some(offset), appended, passed_over }
}

/// A channel whose receiving end is a stream, and tells how many items were taken out of it.
struct Channel<T>(Arc<Mutex<Queue<T>>>);

struct Queue<T> {
    items: VecDeque<T>,
    taken: usize,
    closed: bool,
    waker: Option<Waker>,
}

impl<T> Clone for Channel<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Channel<T> {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Queue { items: VecDeque::new(), taken: 0, closed: false, waker: None })))
    }

    fn send(&self, items: impl IntoIterator<Item = T>) {
        let mut queue = self.0.lock().unwrap();
        queue.items.extend(items);
        let waker = queue.waker.take();
        drop(queue);
        waker.into_iter().for_each(Waker::wake);
    }

    fn close(&self) {
        self.0.lock().unwrap().closed = true;
        self.send([]);
    }

    fn taken(&self) -> usize {
        self.0.lock().unwrap().taken
    }
}

impl<T> futures_core::Stream for Channel<T> {
    type Item = T;
    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut queue = self.0.lock().unwrap();
        if let Some(item) = queue.items.pop_front() {
            queue.taken += 1;
            return Poll::Ready(Some(item));
        }
        if queue.closed {
            return Poll::Ready(None);
        }
        queue.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

#[test]
fn a_source_replayed_from_its_start_doubles_nothing() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("store");
    let engine = open(&folder);
    assert_eq!(engine.source("till").unwrap(), None);
    assert_eq!(engine.feed("till", stream(items(0..30_000))).wait().unwrap(), fed(29_999, 30_000, 0));
    let total = engine.view::<Total>().get(()).unwrap().unwrap();
    assert_eq!((total.sales, total.last), (30_000, 29_999), "the answer waits for the views");
    assert_eq!(engine.feed("till", stream(items(0..30_000))).wait().unwrap(), fed(29_999, 0, 30_000));
    engine.close().wait().unwrap();

    let engine = open(&folder);
    assert_eq!(engine.source("till").unwrap(), Some(29_999));
    assert_eq!(engine.feed("till", stream(items(29_990..30_005))).wait().unwrap(), fed(30_004, 5, 10));
    let next = engine.source("till").unwrap().unwrap() + 1;
    assert_eq!(engine.feed("till", stream(items(next..next + 5))).wait().unwrap(), fed(30_009, 5, 0));
    assert_eq!(log(&engine), Vec::from_iter(0..30_010));

    // Another name is another source; and a backup has them.
    assert_eq!(engine.feed("other", stream(items(3..5))).wait().unwrap(), fed(4, 2, 0));
    engine.backup(parent.path().join("copy")).wait().unwrap();
    drop(engine);
    let copy = open(&parent.path().join("copy"));
    assert_eq!((copy.source("till").unwrap(), copy.source("other").unwrap()), (Some(30_009), Some(4)));
    drop(copy);
    let reader = start(Engine::open_read_only(parent.path().join("copy")).unwrap());
    assert_eq!(reader.source("other").unwrap(), Some(4));
    let refused = reader.feed("other", stream(items(9..10))).wait().unwrap_err().to_string();
    assert!(refused.contains("read-only"), "{refused}");
}

#[test]
fn offsets_may_have_gaps_and_items_any_number_of_events() {
    let engine = memory();
    let several = [
        FeedItem::new(10, sold(1)),
        FeedItem::nothing(20),
        FeedItem::all(u64::MAX - 1, [sold(2), sold(3), sold(4)]),
        FeedItem::nothing(u64::MAX),
    ];
    assert_eq!(engine.feed("gaps", stream(several)).wait().unwrap(), fed(u64::MAX, 4, 0));
    assert_eq!(engine.source("gaps").unwrap(), Some(u64::MAX));
    assert_eq!(engine.feed("options", stream([(1, Some(sold(5))), (2, None)])).wait().unwrap(), fed(2, 1, 0));
    assert_eq!(
        engine.feed("lists", stream([(1, vec![]), (2, vec![sold(6); 2])])).wait().unwrap(),
        fed(2, 2, 0)
    );
    let new = NewEvent::new(sold(7)).correlation_id("request").meta("by", "feed");
    assert_eq!(engine.feed("new", stream([(0, new)])).wait().unwrap(), fed(0, 1, 0));
    let last = engine.events::<Sold>(8).next().wait().unwrap().unwrap();
    assert_eq!(last.metadata.correlation_id.as_deref(), Some("request"));

    // Nothing at all is nothing; nothing but offsets moves the offset.
    let none = engine.feed("none", stream(items([]))).wait().unwrap();
    assert_eq!((none, engine.source("none").unwrap()), (Fed::default(), None));
    let position = engine.health().position;
    let filtered = (0..20_000).map(FeedItem::nothing);
    assert_eq!(engine.feed("filtered", stream(filtered)).wait().unwrap(), fed(19_999, 0, 0));
    assert_eq!((engine.source("filtered").unwrap(), engine.health().position), (Some(19_999), position));
}

#[test]
fn an_error_in_the_stream_ends_it_after_what_came_before() {
    let engine = memory();
    let broken = |end: u64| {
        let lines =
            (0..20_000).map(move |n| if n == end { Err(format!("line {n} is torn")) } else { Ok(sold(n)) });
        stream((0..).zip(lines))
    };
    let error = engine.feed("file", broken(12_345)).wait().unwrap_err();
    assert!(matches!(&error, FeedError::Stream(text) if text == "line 12345 is torn"), "{error}");
    assert_eq!((engine.source("file").unwrap(), log(&engine).len()), (Some(12_344), 12_345));
    assert_eq!(engine.feed("file", broken(u64::MAX)).wait().unwrap(), fed(19_999, 7655, 12_345));

    // A pair that is a `Result` as a whole, and an error that is no type of its own.
    let pairs = [Ok((20_000, sold(20_000))), Err(Box::<dyn std::error::Error + Send + Sync>::from("gone"))];
    let error: Box<dyn std::error::Error> = engine.feed("file", stream(pairs)).wait().unwrap_err().into();
    assert_eq!(error.to_string(), "the stream of the source ended with an error: gone");
    assert_eq!(log(&engine), Vec::from_iter(0..=20_000));
}

#[test]
fn offsets_that_do_not_increase_end_the_feed_and_lose_nothing() {
    for wrong in [5, 4, 0] {
        let engine = memory();
        let error = engine.feed("till", stream(items([3, 5, wrong, 6]))).wait().unwrap_err();
        assert!(
            matches!(error, FeedError::OutOfOrder { before: 5, offset, .. } if offset == wrong),
            "{error}"
        );
        assert!(error.to_string().contains("partition"), "{error}");
        assert_eq!((log(&engine), engine.source("till").unwrap()), (vec![3, 5], Some(5)));
        // Also among those that are passed over: two partitions under one name are not to be taken for a replay.
        let error = engine.feed("till", stream(items([5, wrong]))).wait().unwrap_err();
        assert!(matches!(error, FeedError::OutOfOrder { .. }), "{error}");
    }
    let error = memory().feed("", stream(items([1]))).wait().unwrap_err();
    assert!(matches!(error, FeedError::Nameless), "{error}");
}

#[test]
fn what_cannot_be_appended_ends_the_feed_before_its_item() {
    let engine = start(Engine::in_memory().payload_limit(1000));
    let large = || Sold { n: 4, qty: 0, note: "x".repeat(2000) };
    let mixed = [
        FeedItem::all(1, [sold(1), sold(2)]),
        FeedItem::all(2, [sold(3), large()]),
        FeedItem::new(3, sold(5)),
    ];
    let error = engine.feed("mixed", stream(mixed)).wait().unwrap_err();
    assert!(
        matches!(&error, FeedError::Refused { offset: 2, refusal: Refusal::TooLarge { .. }, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("FeedItem::nothing(2)"), "{error}");
    assert_eq!(
        (log(&engine), engine.source("mixed").unwrap()),
        (vec![1, 2], Some(1)),
        "all of an item or nothing"
    );

    let unheard = [FeedItem::new(1, sold(1)), FeedItem::new(2, sold(3)), FeedItem::new(3, Unheard { n: 1 })];
    let error = engine.feed("mixed", stream(unheard)).wait().unwrap_err();
    assert!(error.to_string().contains("`Unheard`") && error.to_string().contains("registered"), "{error}");
    assert_eq!((log(&engine), engine.source("mixed").unwrap()), (vec![1, 2, 3], Some(2)));
    let left_out = [FeedItem::nothing(3), FeedItem::new(4, sold(4))];
    assert_eq!(engine.feed("mixed", stream(left_out)).wait().unwrap(), fed(4, 1, 0));
}

#[test]
fn an_event_whose_id_is_known_is_passed_over_for_itself() {
    let engine = memory();
    let named = |offset: u64, n: u64| (offset, NewEvent::new(sold(n)).id(format!("sale {n}")));
    engine.append(NewEvent::new(sold(2)).id("sale 2")).wait().unwrap();
    // One that was appended, and one that the source has twice.
    let twice = [named(1, 1), named(2, 2), named(3, 3), named(4, 1), named(5, 4)];
    assert_eq!(engine.feed("till", stream(twice)).wait().unwrap(), fed(5, 3, 2));
    assert_eq!(log(&engine), [2, 1, 3, 4]);
    assert_eq!(engine.view::<Total>().get(()).unwrap().unwrap().sales, 4, "what was left out is not folded");
    let known = [named(6, 1), named(7, 4)];
    assert_eq!(engine.feed("till", stream(known)).wait().unwrap(), fed(7, 0, 2));

    // Another event under a known id: nothing of the batch, and the offset is where it was.
    let conflict = [named(8, 5), (9, NewEvent::new(sold(6)).id("sale 5"))];
    let error = engine.feed("till", stream(conflict)).wait().unwrap_err();
    assert!(
        matches!(
            &error,
            FeedError::Append { error: AppendError::NotAppended(Refusal::IdConflict { id, .. }), .. } if id == "sale 5"
        ),
        "{error}"
    );
    assert_eq!((log(&engine), engine.source("till").unwrap()), (vec![2, 1, 3, 4], Some(7)));
    assert_eq!(engine.feed("till", stream([named(8, 5)])).wait().unwrap(), fed(8, 1, 0), "its id is free");
}

#[test]
fn of_two_feeds_under_one_name_one_goes_on() {
    let parent = tempfile::tempdir().unwrap();
    let engine = open(&parent.path().join("store"));
    // Both begin at the same offset, before either has moved it.
    let (a, b) = (Channel::new(), Channel::new());
    let mut feeds = [&a, &b].map(|channel| engine.feed("till", channel.clone()));
    let mut context = Context::from_waker(Waker::noop());
    for feed in &mut feeds {
        assert!(Pin::new(&mut *feed).poll(&mut context).is_pending());
    }
    engine.append_all::<Sold>([]).wait().unwrap();
    for feed in &mut feeds {
        assert!(Pin::new(&mut *feed).poll(&mut context).is_pending());
    }
    for channel in [&a, &b] {
        channel.send(items(0..20_000));
        channel.close();
    }
    let outcomes =
        feeds.map(|feed| std::thread::spawn(move || feed.wait())).map(|thread| thread.join().unwrap());
    let (ended, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!((ended.len(), refused.len()), (1, 1));
    assert_eq!(*ended[0].as_ref().unwrap(), fed(19_999, 20_000, 0));
    let why = refused[0].as_ref().unwrap_err();
    assert!(
        matches!(why, FeedError::Append { error: AppendError::NotAppended(Refusal::SourceMoved { .. }), .. }),
        "{why}"
    );
    assert!(why.to_string().contains("another feed of the source"), "{why}");
    assert_eq!(log(&engine), Vec::from_iter(0..20_000), "neither doubled nor interleaved");

    // Under names of their own, any number at once, beside appends.
    std::thread::scope(|scope| {
        for part in 0..4_u64 {
            let engine = &engine;
            scope.spawn(move || {
                let numbers = (0..5000).map(|n| 100_000 + n * 4 + part);
                engine.feed(&format!("part/{part}"), stream(items(numbers))).wait().unwrap();
            });
        }
        for n in 0..50 {
            engine.append(sold(1_000_000 + n)).wait().unwrap();
        }
    });
    let log = log(&engine);
    for part in 0..4 {
        let of_part = log.iter().filter(|n| (100_000..1_000_000).contains(*n) && **n % 4 == part);
        assert!(of_part.copied().eq((0..5000).map(|n| 100_000 + n * 4 + part)), "part {part}");
    }
}

#[test]
fn a_slow_source_is_not_delayed_and_a_fast_one_not_drained() {
    let engine = memory();
    let channel = Channel::new();
    let thread = {
        let feed = engine.feed("till", channel.clone());
        std::thread::spawn(move || feed.wait())
    };
    for n in 0..20 {
        channel.send(items([n]));
        soon("it is durable", || engine.health().position == n + 1);
        assert_eq!(engine.source("till").unwrap(), Some(n));
    }
    channel.close();
    assert_eq!(thread.join().unwrap().unwrap(), fed(19, 20, 0));

    // Nobody answers: it takes what it may hold, and stops.
    let channel = Channel::new();
    channel.send(items(20..1_000_000));
    let mut feed = engine.feed("till", channel.clone());
    let mut context = Context::from_waker(Waker::noop());
    let begun = engine.append_all::<Sold>([]);
    assert!(Pin::new(&mut feed).poll(&mut context).is_pending());
    begun.wait().unwrap();
    while channel.taken() < 100_000 {
        let before = (channel.taken(), engine.health().position);
        assert!(Pin::new(&mut feed).poll(&mut context).is_pending());
        let ahead = 20 + channel.taken() as u64 - before.1;
        assert!(ahead <= 3 * 8192, "{ahead} items ahead of what is durable");
        assert!(channel.taken() - before.0 <= 8192, "others get their turn");
    }
    drop(feed);
    let taken = channel.taken() as u64;

    // What was handed over is appended, and the next goes on after it, even at once.
    let rest = engine.feed("till", stream(items(0..300_000))).wait().unwrap();
    assert_eq!((rest.offset, rest.appended + rest.passed_over), (Some(299_999), 300_000));
    assert!(rest.appended <= 300_000 - (taken - 8192));
    assert_eq!(log(&engine), Vec::from_iter(0..300_000));
}

#[test]
fn a_feed_under_a_narrow_queue_keeps_its_order() {
    let engine = start(Engine::in_memory().queues(1, 1).group_limits(10, 1000));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..200 {
                    engine.append_all::<Sold>([]).wait().unwrap();
                }
            });
        }
        assert_eq!(engine.feed("till", stream(items(0..100_000))).wait().unwrap(), fed(99_999, 100_000, 0));
    });
    assert_eq!(log(&engine), Vec::from_iter(0..100_000));
}

#[test]
fn closing_the_engine_ends_a_feed_and_keeps_what_it_stored() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("store");
    let engine = open(&folder);
    let feed = engine.feed("till", stream(items(0..100_000_000)));
    let thread = std::thread::spawn(move || feed.wait());
    soon("it runs", || engine.health().position > 20_000);
    engine.close().wait().unwrap();
    let error = thread.join().unwrap().unwrap_err().to_string();
    assert!(error.contains("closed"), "{error}");
    assert!(engine.feed("till", stream(items([1]))).wait().unwrap_err().to_string().contains("closed"));
    drop(engine);
    let engine = open(&folder);
    let stored = engine.source("till").unwrap().unwrap();
    assert_eq!(log(&engine), Vec::from_iter(0..=stored));
}

/// Wherever a byte of the stored offsets is flipped: what was stored, or an error that names it.
#[test]
fn a_flipped_byte_never_gives_another_offset() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("store");
    let engine = open(&folder);
    for (name, to) in [("shelf", 1000), ("till/1", 2000), ("till/2", 3000)] {
        engine.feed(name, stream([(to, sold(to))])).wait().unwrap();
    }
    engine.close().wait().unwrap();
    drop(engine);
    let file = folder.join("events.db");
    let whole = std::fs::read(&file).unwrap();
    let at = whole.windows(6).rposition(|window| window == b"till/1").unwrap();
    let page = at / 4096 * 4096;
    let mut said = 0;
    for byte in (page..page + 16).chain(at - 60..page + 4096) {
        let mut damaged = whole.clone();
        damaged[byte] ^= 1 << (byte % 8);
        std::fs::write(&file, &damaged).unwrap();
        let opened = Engine::open(&folder).and_then(|builder| builder.view::<Total>().start());
        match opened {
            Ok(engine) => {
                for (name, to) in [("shelf", 1000), ("till/1", 2000), ("till/2", 3000)] {
                    assert_eq!(engine.source(name).unwrap(), Some(to), "byte {byte}");
                }
            }
            Err(error) => {
                said += 1;
                let error = error.to_string();
                assert!(error.contains("events.db") && error.contains("Restore"), "byte {byte}: {error}");
            }
        }
        for beside in ["events.db-wal", "events.db-shm"] {
            let _ = std::fs::remove_file(folder.join(beside));
        }
    }
    assert!(said > 50, "{said}");
}

/// `PROPTEST_CASES`, which `tests/long.sh` raises, or as many as this.
fn cases(otherwise: u32) -> u32 {
    std::env::var("PROPTEST_CASES").map_or(otherwise, |text| text.parse().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(40), ..ProptestConfig::default() })]

    /// Fed in any pieces, replayed from anywhere, stopped and dropped anywhere: the log has each event once, in order.
    #[test]
    fn any_pieces_give_the_source_itself(
        turns in prop::collection::vec((0_u64..400, 1_u64..400, 0_usize..4, 1_usize..50, any::<bool>()), 1..12),
        gap in 1_u64..4,
    ) {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("store");
        let mut engine = open(&folder);
        let mut reached = None;
        for (back, on, kind, cut, restart) in turns {
            // From a little before what is stored, to a little after.
            // What a feed that was dropped had handed over is waited for.
            engine.append_all::<Sold>([]).wait().unwrap();
            let next = engine.source("till").unwrap().map_or(0, |offset| offset / gap + 1);
            prop_assert!(reached <= Some(next));
            let from = next.saturating_sub(back);
            let of = |n: u64| (n * gap, sold(n));
            let channel = Channel::new();
            let mut feed = engine.feed("till", channel.clone());
            let numbers: Vec<u64> = (from..next + on).collect();
            let mut context = Context::from_waker(Waker::noop());
            for numbers in numbers.chunks(cut) {
                channel.send(numbers.iter().map(|n| of(*n)));
                if kind > 0 {
                    prop_assert!(Pin::new(&mut feed).poll(&mut context).is_pending());
                }
            }
            if kind < 3 {
                channel.close();
                let fed = feed.wait().unwrap();
                prop_assert_eq!(fed, Fed { offset: Some((next + on - 1) * gap), appended: on, passed_over: next - from });
                reached = Some(next + on);
            } else {
                drop(feed);
            }
            if restart {
                drop(engine);
                engine = open(&folder);
            }
        }
        engine.append_all::<Sold>([]).wait().unwrap();
        let stored = engine.source("till").unwrap();
        let expected = stored.map_or(vec![], |offset| Vec::from_iter(0..=offset / gap));
        prop_assert_eq!(log(&engine), expected.clone());
        let sales = engine.view::<Total>().get(()).unwrap().map_or(0, |total| total.sales);
        prop_assert_eq!(sales, expected.len() as u64);
    }
}
