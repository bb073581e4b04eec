//! A store that fails, or is written to by someone else: what was promised holds all the same.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;
use crate::health::ViewState;
use crate::store::{
    AppendFailure, Beside, Checkpoints, Head, Log, LogEvent, LogReader, Rendering, SavedRow, SavedView,
    StoreError, StoreId, StoredType, ViewCheckpoint, Witness, chain,
};
use crate::{
    Command, FeedError, ReactError, ReactOptions, Reaction, ReactionState, Refusal, RetryError, StoreFailure,
    Tx, stream,
};

/// A store in memory that can be told to fail.
#[derive(Clone, Default)]
pub(super) struct Unruly {
    inner: MemoryStore,
    pub(super) orders: Arc<Orders>,
}

#[derive(Default)]
pub(super) struct Orders {
    pub(super) refuse_append: AtomicBool,
    lose_append: AtomicBool,
    pub(super) hold_append: AtomicBool,
    /// Whether an append has come as far as the store.
    pub(super) appending: AtomicBool,
    panic_on_append: AtomicBool,
    /// How many foreign events go in before the next append.
    intrude: AtomicUsize,
    refuse_read: AtomicBool,
    /// How many pages can be read before the rest is refused; 0 for no end of them.
    pages: AtomicUsize,
    panic_on_read: AtomicBool,
    /// Where readers find the log's end, if not where it is.
    cut: AtomicUsize,
    read_only: AtomicBool,
    refuse_sources: AtomicBool,
    /// Of how many looks for a note the last is refused.
    refuse_note: AtomicUsize,
    refuse_save: AtomicBool,
    /// A bit for each checkpoint to come, the lowest for the next: whether it finds that what was saved before is damaged, and it is gone.
    damaged_saves: AtomicUsize,
    slow_save: AtomicBool,
    panic_on_save: AtomicBool,
    panic_on_close: AtomicBool,
    hold_backup: AtomicBool,
    hold_look: AtomicBool,
    /// How many rows SQL shows of a view, and how many of them were looked at.
    shows: AtomicUsize,
    looked: AtomicUsize,
}

struct UnrulyLog(Box<dyn Log>, Arc<Orders>);
struct UnrulyReader(Box<dyn LogReader>, Arc<Orders>);
struct UnrulyCheckpoints(Box<dyn Checkpoints>, Arc<Orders>);

fn broken() -> StoreError {
    StoreError::Io { action: "the test".into(), source: "as told".into() }
}

impl Store for Unruly {
    fn id(&self) -> StoreId {
        self.inner.id()
    }
    fn log(&self) -> Result<Box<dyn Log>, StoreError> {
        Ok(Box::new(UnrulyLog(self.inner.log()?, self.orders.clone())))
    }
    fn reader(&self) -> Result<Box<dyn LogReader>, StoreError> {
        Ok(Box::new(UnrulyReader(self.inner.reader()?, self.orders.clone())))
    }
    fn checkpoints(&self) -> Result<Box<dyn Checkpoints>, StoreError> {
        Ok(Box::new(UnrulyCheckpoints(self.inner.checkpoints()?, self.orders.clone())))
    }
    fn read_only(&self) -> bool {
        self.orders.read_only.load(Ordering::SeqCst)
    }
    fn backup(&self, folder: &Path) -> Result<(), StoreError> {
        while self.orders.hold_backup.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        self.inner.backup(folder)
    }
    fn close(&self) -> Result<(), StoreError> {
        assert!(!self.orders.panic_on_close.load(Ordering::SeqCst), "told to panic");
        self.inner.close()
    }
}

impl Log for UnrulyLog {
    fn head(&mut self) -> Result<Head, StoreError> {
        self.0.head()
    }
    fn append(
        &mut self,
        expected: Head,
        events: &[LogEvent<'_>],
        beside: &Beside<'_>,
    ) -> Result<(), AppendFailure> {
        assert!(!self.1.panic_on_append.load(Ordering::SeqCst), "told to panic");
        self.1.appending.store(true, Ordering::SeqCst);
        while self.1.hold_append.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        if self.1.refuse_append.load(Ordering::SeqCst) {
            return Err(AppendFailure::NotAppended(broken()));
        }
        for _ in 0..self.1.intrude.swap(0, Ordering::SeqCst) {
            let head = self.0.head().unwrap();
            let mut payload = Vec::new();
            Event::encode(&bought("intruder", "hats", 1), &mut payload).unwrap();
            let mut event = LogEvent {
                position: head.position + 1,
                name: "Bought",
                version: 1,
                recorded_at: Timestamp::from_micros(i64::MAX / 2),
                event_id: Some("intruder"),
                metadata: &[],
                payload: &payload,
                checksum: 0,
            };
            event.checksum = chain(head.checksum, &event);
            self.0.append(head, &[event], &Beside::default())?;
        }
        self.0.append(expected, events, beside)?;
        if self.1.lose_append.load(Ordering::SeqCst) {
            return Err(AppendFailure::Unknown(broken()));
        }
        Ok(())
    }
    fn find(&mut self, event_id: &str, found: &mut dyn FnMut(LogEvent<'_>)) -> Result<(), StoreError> {
        self.0.find(event_id, found)
    }
    fn types(&mut self) -> Result<Vec<StoredType>, StoreError> {
        self.0.types()
    }
}

impl LogReader for UnrulyReader {
    fn head(&mut self) -> Result<Head, StoreError> {
        let head = self.0.head()?;
        match self.1.cut.load(Ordering::SeqCst) {
            0 => Ok(head),
            cut => Ok(Head { position: cut as u64, ..head }),
        }
    }
    fn checksum_at(&mut self, position: u64) -> Result<Option<u64>, StoreError> {
        self.0.checksum_at(position)
    }
    fn types(&mut self) -> Result<Vec<StoredType>, StoreError> {
        self.0.types()
    }
    fn sources(&mut self) -> Result<BTreeMap<String, u64>, StoreError> {
        if self.1.refuse_sources.load(Ordering::SeqCst) { Err(broken()) } else { self.0.sources() }
    }
    fn note(&mut self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let less = self.1.refuse_note.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        if less == Ok(1) { Err(broken()) } else { self.0.note(key) }
    }
    fn notes(&mut self, prefix: &str, visit: &mut dyn FnMut(&str, &[u8]) -> bool) -> Result<(), StoreError> {
        self.0.notes(prefix, visit)
    }
    fn read(
        &mut self,
        after: u64,
        limit: usize,
        visit: &mut dyn FnMut(LogEvent<'_>) -> bool,
    ) -> Result<usize, StoreError> {
        assert!(!self.1.panic_on_read.load(Ordering::SeqCst), "told to panic");
        let less = self.1.pages.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| match n {
            0 => None,
            n => Some(n.max(2) - 1),
        });
        if self.1.refuse_read.load(Ordering::SeqCst) || less == Ok(1) {
            Err(broken())
        } else {
            self.0.read(after, limit, visit)
        }
    }
}

impl Checkpoints for UnrulyCheckpoints {
    fn views(&mut self) -> Result<Vec<SavedView>, StoreError> {
        self.0.views()
    }
    fn rows(&mut self, view: &str, visit: &mut dyn FnMut(SavedRow<'_>)) -> Result<(), StoreError> {
        self.0.rows(view, visit)
    }
    fn witness(&mut self) -> Result<Option<Witness>, StoreError> {
        self.0.witness()
    }
    fn save(&mut self, witness: Witness, views: &[ViewCheckpoint]) -> Result<(), StoreError> {
        if self.1.slow_save.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(!self.1.panic_on_save.load(Ordering::SeqCst), "told to panic");
        if self.1.refuse_save.load(Ordering::SeqCst) {
            return Err(broken());
        }
        let damaged = self.1.damaged_saves.load(Ordering::SeqCst);
        self.1.damaged_saves.store(damaged >> 1, Ordering::SeqCst);
        if damaged & 1 == 1 {
            for view in self.0.views()? {
                self.0.forget(&view.name)?;
            }
            let (file, what) = ("views.db".into(), "as told".into());
            return Err(StoreError::Corrupt { file, what, remedy: String::new() });
        }
        self.0.save(witness, views)
    }
    fn forget(&mut self, view: &str) -> Result<(), StoreError> {
        self.0.forget(view)
    }
    fn renderings(
        &mut self,
        _: &str,
        from: u32,
        limit: usize,
        visit: &mut dyn FnMut(Rendering<'_>),
    ) -> Result<(), StoreError> {
        while self.1.hold_look.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        let shows = self.1.shows.load(Ordering::SeqCst) as u32;
        if shows > 0 {
            // A slow one, so that what does not wait for it is well before it.
            std::thread::sleep(Duration::from_millis(50));
        }
        for id in (from..shows).take(limit) {
            self.1.looked.fetch_add(1, Ordering::SeqCst);
            visit(Rendering { id, columns: &[], shown: true, whole: true });
        }
        Ok(())
    }
}

impl Unruly {
    pub(super) fn engine(&self) -> Builder {
        Engine::with_store(Arc::new(self.clone()))
    }
    pub(super) fn order(order: &AtomicBool, on: bool) {
        order.store(on, Ordering::SeqCst);
    }
}

#[test]
fn a_refused_append_says_so_and_the_next_goes_through() {
    let store = Unruly::default();
    let engine = store.engine().view::<Has>().start().unwrap();
    Unruly::order(&store.orders.refuse_append, true);
    let refused = engine.append(bought("ann", "hats", 1)).wait();
    assert!(matches!(refused, Err(AppendError::NotAppended(Refusal::Store(_)))), "{refused:?}");
    Unruly::order(&store.orders.refuse_append, false);
    engine.append(bought("ann", "hats", 2)).wait().unwrap();
    assert_eq!(has(&engine).into_values().next(), Some((2, 1)));
}

#[test]
fn what_may_be_in_the_log_is_not_shown_until_it_is_known() {
    let store = Unruly::default();
    let engine = store.engine().view::<Has>().start().unwrap();
    engine.append(bought("ann", "hats", 1)).wait().unwrap();
    Unruly::order(&store.orders.lose_append, true);
    let unknown = engine.append(NewEvent::new(bought("ann", "hats", 2)).id("x")).wait();
    assert!(matches!(unknown, Err(AppendError::Unknown { .. })), "{unknown:?}");
    assert_eq!(has(&engine).into_values().next(), Some((1, 1)));
    Unruly::order(&store.orders.lose_append, false);
    engine.close().wait().unwrap();
    let engine = store.engine().view::<Has>().start().unwrap();
    assert_eq!(has(&engine).into_values().next(), Some((3, 2)), "it was in");
    let receipt = engine.append(NewEvent::new(bought("ann", "hats", 2)).id("x")).wait().unwrap();
    assert_eq!(receipt.first, 2);
}

#[test]
fn what_an_earlier_try_has_appended_is_not_said_to_be_missing() {
    struct Take;
    impl Command for Take {
        type Refusal = ();
        fn decide(&self, tx: &mut Tx) -> Result<(), ()> {
            tx.emit(bought("ann", "hats", 3));
            Ok(())
        }
    }
    let store = Unruly::default();
    let engine = store.engine().view::<Has>().start().unwrap();
    let append = || engine.append(NewEvent::new(bought("ann", "hats", 2)).id("x")).wait();
    let execute = || match engine.execute(Take).key("k").wait() {
        Err(DecideError::Append(error)) => Err(error),
        other => Ok(other.unwrap()),
    };
    let tries: [&dyn Fn() -> Result<Receipt, AppendError>; 2] = [&append, &execute];
    for (again, first) in tries.into_iter().zip(1..) {
        Unruly::order(&store.orders.lose_append, true);
        assert!(matches!(again(), Err(AppendError::Unknown { .. })));
        Unruly::order(&store.orders.lose_append, false);
        // The log has moved on, by that try, and cannot be followed.
        Unruly::order(&store.orders.refuse_sources, true);
        let unread = again();
        assert!(matches!(unread, Err(AppendError::Unknown { .. })), "{unread:?}");
        Unruly::order(&store.orders.refuse_sources, false);
        assert_eq!(again().unwrap().first, first);
    }
    assert_eq!(has(&engine).into_values().next(), Some((5, 2)));
}

#[test]
fn another_writer_comes_first() {
    let store = Unruly::default();
    let engine = store.engine().view::<Has>().view::<Everything>().start().unwrap();
    engine.append(bought("ann", "hats", 1)).wait().unwrap();
    store.orders.intrude.store(1, Ordering::SeqCst);
    let receipt = engine.append(bought("ann", "hats", 1)).wait().unwrap();
    assert_eq!(receipt.first, 3);
    let rows = has(&engine);
    assert_eq!(rows[&("intruder".into(), "hats".into())], (1, 1));
    assert_eq!(rows[&("ann".into(), "hats".into())], (2, 2));
    let times: Vec<_> = {
        let mut events = engine.events::<Bought>(1).until_head();
        std::iter::from_fn(move || events.next().wait()).map(|event| event.unwrap().recorded_at).collect()
    };
    assert!(times.is_sorted(), "{times:?}");
    let known = engine.append(NewEvent::new(bought("intruder", "hats", 1)).id("intruder")).wait().unwrap();
    assert_eq!(known.first, 2);
}

#[test]
fn a_decision_sees_what_another_writer_has_done_meanwhile() {
    // Beside others, and at the writer.
    for disturbed in [0, 2] {
        let store = Unruly::default();
        let engine = store.engine().view::<Has>().start().unwrap();
        engine.append(bought("ann", "hats", 1)).wait().unwrap();
        let (runs, clone) = (Arc::new(AtomicUsize::new(0)), engine.clone());
        let (counted, orders) = (runs.clone(), store.orders.clone());
        let decide = engine.decide(move |tx| {
            let run = counted.fetch_add(1, Ordering::SeqCst);
            let seen = tx.get::<Has>(("intruder", "hats")).map_or(0, |row| row.qty);
            if run < disturbed {
                let clone = clone.clone();
                let append = move || clone.append(bought("intruder", "hats", 0)).wait().unwrap();
                std::thread::spawn(append).join().unwrap();
            } else if run == disturbed {
                orders.intrude.store(1, Ordering::SeqCst);
            }
            tx.emit(returned("intruder", "hats", seen as i32));
            Ok::<(), ()>(())
        });
        decide.wait().unwrap();
        assert_eq!(runs.load(Ordering::SeqCst), disturbed + 2);
        let row = engine.view::<Has>().get(("intruder", "hats")).unwrap().unwrap();
        assert_eq!(row.qty, 0, "it gave back what the other one had bought");
    }
}

#[test]
fn a_command_whose_key_could_not_be_looked_up_is_not_taken_for_executed() {
    struct Take {
        engine: Engine,
        appends: AtomicUsize,
    }
    impl Command for Take {
        type Refusal = ();
        fn decide(&self, tx: &mut Tx) -> Result<(), ()> {
            let has = tx.get::<Has>(("ann", "hats")).map_or(0, |row| row.qty);
            tx.emit(bought("ann", "hats", has as i32));
            if self.appends.fetch_add(1, Ordering::SeqCst) < 2 {
                let (engine, (to, done)) = (self.engine.clone(), std::sync::mpsc::channel());
                let append = move || to.send(engine.append(bought("ann", "hats", 1)).wait());
                std::thread::spawn(append);
                // Made at the writer, the decision comes first, however long it waits.
                let _ = done.recv_timeout(Duration::from_millis(100));
            }
            Ok(())
        }
    }
    for refused in 1..=8 {
        let store = Unruly::default();
        let engine = store.engine().view::<Has>().start().unwrap();
        engine.append_all([bought("ann", "hats", 1), bought("ann", "hats", 1)]).wait().unwrap();
        let take = || Take { engine: engine.clone(), appends: AtomicUsize::new(0) };
        store.orders.refuse_note.store(refused, Ordering::SeqCst);
        let executed = engine.execute(take()).key("k").wait();
        store.orders.refuse_note.store(0, Ordering::SeqCst);
        let again = engine.execute(take()).key("k").wait().unwrap();
        if let Ok(executed) = executed {
            assert_eq!(again, executed, "{refused}");
        }
        assert_eq!(again.len(), 1, "{refused}");
        let mut events = engine.events::<Bought>(1).until_head();
        let log: Vec<_> = std::iter::from_fn(|| events.next().wait()).map(Result::unwrap).collect();
        let before = || log.iter().take_while(|event| event.position < again.first);
        assert_eq!(
            before().map(|event| event.event.qty).sum::<i32>(),
            log[again.first as usize - 1].event.qty
        );
        let by_it = log.iter().filter(|event| event.metadata.causation_id.as_deref() == Some("Take/k"));
        assert_eq!(by_it.map(|event| event.position).collect::<Vec<_>>(), [again.first], "{refused}");
    }
}

#[test]
fn a_writer_that_panics_leaves_nobody_waiting() {
    let store = Unruly::default();
    let engine = store.engine().view::<Has>().start().unwrap();
    engine.append(bought("ann", "hats", 1)).wait().unwrap();
    Unruly::order(&store.orders.panic_on_append, true);
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let engine = engine.clone();
            std::thread::spawn(move || engine.append(bought("ann", "hats", 1)).wait())
        })
        .collect();
    for thread in threads {
        thread.join().unwrap().unwrap_err();
    }
    soon("it shows", || engine.health().broken.is_some());
    let view = engine.view::<Has>();
    soon("the fold has ended with it", || view.len() == Err(ReadError::Closed));
    engine.close().wait().unwrap();
}

#[test]
fn a_checkpoint_that_cannot_be_saved_is_tried_again() {
    let store = Unruly::default();
    Unruly::order(&store.orders.refuse_save, true);
    let often = Duration::from_millis(5);
    let engine = store.engine().view::<Has>().checkpoint_every(often, 10).start().unwrap();
    for n in 0..200 {
        engine.append(bought(&(n % 50).to_string(), "hats", 1)).wait().unwrap();
    }
    soon("it shows", || engine.health().checkpoint_failure.is_some());
    assert!(matches!(engine.checkpoint().wait(), Err(StoreFailure::Store(_))));
    assert!(engine.health().views[0].checkpoint.is_none());
    Unruly::order(&store.orders.refuse_save, false);
    soon("it is saved", || {
        engine.health().views[0].checkpoint.is_some_and(|checkpoint| checkpoint.position == 200)
    });
    assert_eq!(engine.health().checkpoint_failure, None);
    let before = has(&engine);
    engine.close().wait().unwrap();
    let engine = store.engine().view::<Has>().start().unwrap();
    assert!(engine.health().views[0].checkpoint.is_some(), "resumed");
    assert_eq!(has(&engine), before);
}

/// Nobody has to delete anything, and nobody waits for it.
#[test]
fn checkpoints_that_are_found_damaged_are_saved_whole() {
    for damaged in [0b1, 0b11, 0b11111] {
        let store = Unruly::default();
        let start = || {
            // None but those that are asked for.
            let never = Duration::from_secs(3600);
            store.engine().view::<Has>().view::<Owners>().checkpoint_every(never, 1 << 40).start().unwrap()
        };
        let engine = start();
        for n in 0..100 {
            engine.append(bought(&n.to_string(), "hats", 1)).wait().unwrap();
        }
        engine.checkpoint().wait().unwrap();
        store.orders.damaged_saves.store(damaged, Ordering::SeqCst);
        engine.append(bought("7", "hats", 1)).wait().unwrap();
        let mut failed = 0;
        while let Err(error) = engine.checkpoint().wait() {
            assert!(error.to_string().contains("views.db"), "{error}");
            assert!(engine.health().checkpoint_failure.is_some());
            failed += 1;
        }
        // The first time it is made good before anyone notices.
        assert_eq!(failed, damaged.count_ones() - 1);
        assert_eq!(engine.health().checkpoint_failure, None);
        let before = has(&engine);
        engine.close().wait().unwrap();
        let engine = start();
        let saved = engine.health().views.iter().all(|view| view.checkpoint.is_some());
        assert!(saved, "resumed");
        assert_eq!(has(&engine), before);
        engine.close().wait().unwrap();
        let verified = store.engine().view::<Has>().view::<Owners>().verify().unwrap();
        assert!(verified.is_whole(), "{verified}");

        // Also the last of all.
        let engine = start();
        engine.append(bought("8", "hats", 1)).wait().unwrap();
        store.orders.damaged_saves.store(1, Ordering::SeqCst);
        engine.close().wait().unwrap();
        assert!(start().health().views.iter().all(|view| view.checkpoint.is_some()), "resumed");
    }
}

/// Where many rows are saved anew, a stretch at a time, and that fails, too.
#[test]
fn checkpoints_that_are_found_damaged_again_and_again_are_tried_at_leisure() {
    let store = Unruly::default();
    let start = || {
        let never = Duration::from_secs(3600);
        store.engine().view::<Owners>().checkpoint_every(never, 1 << 40).start().unwrap()
    };
    let engine = start();
    engine.append_all((0..70_000).map(|n: u32| bought(&n.to_string(), "hats", 1))).wait().unwrap();
    engine.checkpoint().wait().unwrap();
    // The first stretch goes through, the second does not.
    for damaged in [0b101, 0x5555_5555] {
        engine.append(bought("7", "hats", 1)).wait().unwrap();
        store.orders.damaged_saves.store(damaged, Ordering::SeqCst);
        let error = engine.checkpoint().wait().expect_err("damaged twice");
        assert!(error.to_string().contains("views.db"), "{error}");
        assert!(engine.health().views[0].checkpoint.is_none(), "there is none that is whole");
    }
    assert!(store.orders.damaged_saves.load(Ordering::SeqCst) > 0xffff, "not one upon the other");
    // Nor does the end wait for it.
    engine.close().wait().unwrap();
    store.orders.damaged_saves.store(0, Ordering::SeqCst);
    let engine = start();
    engine.wait_ready().wait().unwrap();
    assert_eq!(engine.view::<Owners>().len().unwrap(), 70_000);
    engine.checkpoint().wait().unwrap();
    assert!(engine.health().views[0].checkpoint.is_some());
    engine.close().wait().unwrap();
    assert!(start().health().views[0].checkpoint.is_some(), "resumed");
}

#[test]
fn checkpoints_that_fail_at_random_lose_nothing() {
    let store = Unruly::default();
    for round in 0..20 {
        let often = Duration::from_millis(1);
        let engine =
            store.engine().view::<Has>().view::<Owners>().checkpoint_every(often, 50).start().unwrap();
        for n in 0..100 {
            Unruly::order(&store.orders.refuse_save, (n * 7 + round) % 5 < 2);
            store.orders.damaged_saves.store(usize::from(n % 11 == 3), Ordering::SeqCst);
            let customer = ((n * round) % 40).to_string();
            engine.append_all([bought(&customer, "hats", 1), bought("all", "hats", 1)]).wait().unwrap();
        }
        drop(engine);
        let engine = store.engine().view::<Has>().view::<Owners>().start().unwrap();
        engine.wait_ready().wait().unwrap();
        let rows = has(&engine);
        assert_eq!(rows.values().map(|row| row.1).sum::<u64>(), (round as u64 + 1) * 200);
        assert_eq!(engine.view::<Owners>().get("all").unwrap().unwrap().qty, (i64::from(round) + 1) * 100);
    }
}

#[test]
fn what_is_parked_and_retried_survives_checkpoints_that_fail() {
    let store = Unruly::default();
    let start = || {
        let often = Duration::from_millis(1);
        let engine = store.engine().view::<Sets>().view::<Has>().checkpoint_every(often, 50).start().unwrap();
        engine.wait_ready().wait().unwrap();
        engine
    };
    let parked = |engine: &Engine| {
        let parked = engine.view::<Sets>().parked().unwrap();
        parked.iter().map(|parked| parked.position).collect::<Vec<_>>()
    };
    let mut expected = Vec::new();
    for round in 0..10 {
        let engine = start();
        assert_eq!(parked(&engine), expected);
        for n in 0..60 {
            Unruly::order(&store.orders.refuse_save, (n * 7 + round) % 5 < 2);
            let receipt =
                engine.append_all([bought("ann", "hats", 100), bought("ann", "pants", 0)]).wait().unwrap();
            expected.extend(Some(receipt.first).filter(|first| *first > 1));
            if n % 25 == 13 {
                let retried = engine.retry_parked::<Sets>().wait().unwrap();
                assert_eq!((retried.folded, retried.still_parked), (0, expected.len()));
            }
        }
        assert_eq!(parked(&engine), expected);
    }
    Unruly::order(&store.orders.refuse_save, false);
    start().close().wait().unwrap();
    let verified = store.engine().view::<Sets>().view::<Has>().verify().unwrap();
    assert!(verified.is_whole(), "{verified}");
    assert_eq!(parked(&start()), expected);
    assert_eq!(start().view::<Sets>().get("hats").unwrap().unwrap().qty, 100);
}

#[test]
fn a_slow_checkpoint_does_not_fall_behind_for_ever() {
    let store = Unruly::default();
    Unruly::order(&store.orders.slow_save, true);
    let engine =
        store.engine().view::<Has>().checkpoint_every(Duration::from_secs(3600), 100).start().unwrap();
    for n in 0..1000 {
        engine.append(bought(&n.to_string(), "hats", 1)).wait().unwrap();
        let checkpoint = engine.health().views[0].checkpoint.map_or(0, |checkpoint| checkpoint.position);
        assert!(n + 1 - checkpoint <= 100, "{n} {checkpoint}");
    }
}

/// `Has`, in another version, with fewer rows than the other.
mod coarser {
    use super::super::Bought;
    use crate::prelude::*;

    #[projection(from = Bought, group_by = item)]
    pub(super) struct Has {
        item: String,
        #[count]
        pub(super) events: u64,
    }
}

#[test]
fn what_the_store_has_of_an_older_form_goes_also_at_the_second_try() {
    let store = Unruly::default();
    let engine = store.engine().view::<Has>().start().unwrap();
    engine.append_all((0..100).map(|n| bought(&n.to_string(), "hats", 1))).wait().unwrap();
    engine.close().wait().unwrap();

    Unruly::order(&store.orders.refuse_save, true);
    let engine = store.engine().view::<coarser::Has>().start().unwrap();
    engine.wait_ready().wait().unwrap();
    engine.checkpoint().wait().unwrap_err();
    Unruly::order(&store.orders.refuse_save, false);
    engine.checkpoint().wait().unwrap();
    engine.close().wait().unwrap();

    let engine = store.engine().view::<coarser::Has>().start().unwrap();
    assert_eq!(engine.health().views[0].state, ViewState::Live);
    assert_eq!(engine.health().views[0].checkpoint.unwrap().position, 100, "not folded anew");
    assert_eq!(engine.view::<coarser::Has>().get("hats").unwrap().unwrap().events, 100);
}

#[test]
fn a_checkpoint_that_was_asked_for_has_every_row_of_a_rebuilt_view() {
    const ROWS: u64 = 70_000;
    let store = Unruly::default();
    let engine = store.engine().event::<Bought>().start().unwrap();
    engine.append_all((0..ROWS).map(|n| bought(&n.to_string(), "hats", 1))).wait().unwrap();
    engine.close().wait().unwrap();

    let engine = store.engine().view::<Has>().start().unwrap();
    engine.wait_ready().wait().unwrap();
    engine.checkpoint().wait().unwrap();
    let saved = store.inner.checkpoints().unwrap().views().unwrap();
    assert_eq!((saved[0].rows, &*saved[0].state), (ROWS, "live"));
}

#[test]
fn a_checkpoint_that_was_asked_for_waits_for_the_look_at_what_sql_shows() {
    const ROWS: usize = 10_000;
    let store = Unruly::default();
    let engine = store.engine().view::<Has>().start().unwrap();
    engine.append_all((0..ROWS).map(|n| bought(&n.to_string(), "hats", 1))).wait().unwrap();
    engine.close().wait().unwrap();

    store.orders.shows.store(ROWS, Ordering::SeqCst);
    Unruly::order(&store.orders.hold_look, true);
    let engine = store.engine().view::<Has>().start().unwrap();
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| engine.checkpoint().wait());
        // The checkpoint begins meanwhile, so that it is under way, most likely, when there are still rows to be looked at.
        for _ in 0..100 {
            engine.append(bought("ann", "hats", 1)).wait().unwrap();
        }
        Unruly::order(&store.orders.hold_look, false);
        asked.join().unwrap().unwrap();
    });
    assert_eq!(store.orders.looked.load(Ordering::SeqCst), ROWS);
}

/// An engine that only reads what another writes to the same store.
fn follower(store: &Unruly) -> (Engine, Engine) {
    let writer = Engine::with_store(Arc::new(store.inner.clone())).view::<Has>().start().unwrap();
    writer.append_all((0..10).map(|n| bought(&n.to_string(), "hats", 1))).wait().unwrap();
    Unruly::order(&store.orders.read_only, true);
    let follower = store.engine().view::<Has>().follow_every(Duration::from_millis(1)).start().unwrap();
    soon("it follows", || follower.view::<Has>().position() == Ok(10));
    (writer, follower)
}

/// The fault at which the view stops, as it is about to.
fn stops(engine: &Engine) -> Fault {
    let view = engine.view::<Has>();
    soon("it stops", || view.len().is_err());
    let Err(ReadError::Faulted(fault)) = view.len() else { panic!("faulted") };
    fault
}

#[test]
fn a_follower_goes_on_once_the_log_can_be_read_again() {
    let store = Unruly::default();
    let (writer, follower) = follower(&store);
    Unruly::order(&store.orders.refuse_read, true);
    writer.append(bought("ann", "hats", 1)).wait().unwrap();
    // It comes to know that there is more, and cannot read it.
    soon("it looks", || follower.health().position == 11);
    assert_eq!(follower.health().views[0].state, ViewState::Live);
    Unruly::order(&store.orders.refuse_read, false);
    soon("it goes on", || has(&follower).len() == 11);
}

#[test]
fn a_follower_whose_log_is_replaced_by_a_shorter_one_says_so() {
    let store = Unruly::default();
    let (_writer, follower) = follower(&store);
    store.orders.cut.store(5, Ordering::SeqCst);
    let fault = stops(&follower);
    assert_eq!(fault.position, 11);
    assert!(fault.reason.contains("ended at position 10 and now ends at 5"), "{fault}");
    assert!(fault.reason.contains("events.db was replaced"), "{fault}");
}

#[test]
fn a_follower_whose_log_lacks_its_end_says_so() {
    let store = Unruly::default();
    let (_writer, follower) = follower(&store);
    store.orders.cut.store(15, Ordering::SeqCst);
    let fault = stops(&follower);
    assert_eq!(fault.position, 11);
    assert!(fault.reason.contains("the log ends here, and events up to position 15 were in it"), "{fault}");
}

#[test]
fn a_follower_shows_no_part_of_what_it_could_not_read_whole() {
    let store = Unruly::default();
    let (writer, follower) = follower(&store);
    store.orders.pages.store(2, Ordering::SeqCst);
    writer.append_all((0..10_000).map(|n| bought(&format!("new {n}"), "hats", 1))).wait().unwrap();
    soon("it has failed", || store.orders.pages.load(Ordering::SeqCst) == 1);
    for _ in 0..50 {
        follower.snapshot(|s| {
            let seen = (s.position(), s.rows::<Has>().unwrap().count());
            assert!(seen == (10, 10), "{seen:?}");
        });
        std::thread::sleep(Duration::from_millis(1));
    }
    store.orders.pages.store(0, Ordering::SeqCst);
    soon("it follows", || follower.view::<Has>().position() == Ok(10_010));
    assert_eq!(has(&follower), has(&writer));
}

/// Its copy panics when it is told to.
#[derive(Default, serde::Serialize, serde::Deserialize)]
struct Fragile(u64);

static BREAKS: AtomicBool = AtomicBool::new(false);

impl Clone for Fragile {
    fn clone(&self) -> Self {
        assert!(!BREAKS.load(Ordering::SeqCst), "told to panic");
        Self(self.0)
    }
}

impl crate::aggregate::Aggregate for Fragile {
    type Input = i32;
    type Output = u64;
    fn insert(&mut self, _: &i32) -> Result<(), String> {
        self.0 += 1;
        Ok(())
    }
    fn output(&self) -> u64 {
        self.0
    }
}

#[projection(from = Bought, group_by = customer)]
struct Breaking {
    customer: String,
    #[fold(Fragile, qty)]
    times: u64,
}

#[test]
fn nobody_is_answered_before_views_say_that_the_fold_broke_down() {
    let engine = Engine::in_memory().view::<Breaking>().start().unwrap();
    engine.append(bought("ann", "hats", 1)).wait().unwrap();
    let row = engine.view::<Breaking>().get("ann").unwrap().unwrap();
    assert_eq!((&*row.customer, row.times), ("ann", 1));
    // As while somebody takes a place among the subscribers.
    let gate = crate::sync::lock(&engine.handle.core.gate);
    BREAKS.store(true, Ordering::SeqCst);
    let (engine, view) = (&engine, engine.view::<Breaking>());
    std::thread::scope(|scope| {
        let appends = [(); 3].map(|()| scope.spawn(|| engine.append(bought("bob", "hats", 1)).wait()));
        soon("it breaks down", || engine.health().broken.is_some());
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(view.len(), Ok(1));
        assert!(!appends.iter().any(|append| append.is_finished()));
        drop(gate);
        for append in appends {
            append.join().unwrap().unwrap();
            assert!(matches!(view.len(), Err(ReadError::Faulted(_))));
        }
    });
}

#[test]
fn a_fold_that_breaks_down_stops_every_view_and_says_so() {
    let store = Unruly::default();
    let (writer, follower) = follower(&store);
    Unruly::order(&store.orders.panic_on_read, true);
    writer.append(bought("ann", "hats", 1)).wait().unwrap();
    let fault = stops(&follower);
    assert_eq!(fault.position, 11);
    assert!(fault.reason.contains("the engine's fold panicked"), "{fault}");
    assert!(follower.health().broken.is_some());
}

/// Encoding it panics, or reading it does.
#[test]
fn an_expression_that_panics_is_a_fault() {
    #[projection(from = Bought, group_by = (item))]
    struct Divided {
        item: String,
        #[sum(100 / qty)]
        parts: i64,
    }
    let engine = Engine::in_memory().view::<Divided>().view::<Has>().start().unwrap();
    engine.append(bought("ann", "hats", 5)).wait().unwrap();
    engine.append(bought("ann", "hats", 0)).wait().unwrap();
    let row = engine.view::<Divided>().get("hats");
    let Err(ReadError::Faulted(fault)) = row.map(|row| row.map(|row| (row.item, row.parts))) else {
        panic!("faulted")
    };
    assert_eq!(fault.position, 2);
    assert!(fault.reason.contains("divide by zero"), "{fault}");
    assert_eq!(has(&engine).into_values().next(), Some((5, 2)));
}

#[test]
fn a_feed_into_a_store_that_fails_doubles_and_loses_nothing() {
    let store = Unruly::default();
    let mut engine = store.engine().view::<Has>().start().unwrap();
    for round in 1..=30_u64 {
        Unruly::order(&store.orders.refuse_append, round % 3 == 1);
        Unruly::order(&store.orders.lose_append, round % 3 == 2);
        store.orders.intrude.store(usize::from(round == 6), Ordering::SeqCst);
        let items = (1..=round * 1000).map(|n| (n, bought(&n.to_string(), "hats", 1)));
        match (round % 3, engine.feed("till", stream(items)).wait()) {
            (1, Err(FeedError::Append { error: AppendError::NotAppended(Refusal::Store(_)), .. })) => {}
            (2, Err(FeedError::Append { error: AppendError::Unknown { .. }, .. })) => {}
            (0, Ok(fed)) => assert_eq!(fed.offset, Some(round * 1000)),
            other => panic!("{other:?}"),
        }
        // Anew, as one should; or on, where the store itself knows where it is.
        if round % 2 == 0 {
            engine.close().wait().unwrap();
            engine = store.engine().view::<Has>().start().unwrap();
        }
    }
    let rows = has(&engine);
    assert_eq!(rows.len(), 30_001, "and the intruder");
    assert!(rows.values().all(|row| *row == (1, 1)));
    let mut events = engine.events::<Bought>(1).until_head();
    let customers = std::iter::from_fn(|| events.next().wait()).map(|event| event.unwrap().event.customer);
    let numbers: Vec<u64> = customers.filter_map(|customer| customer.parse().ok()).collect();
    assert_eq!(numbers, Vec::from_iter(1..=30_000));
}

/// The answer; fails where none comes.
fn answer<T: Send + 'static>(wait: crate::sync::Wait<T>) -> T {
    let (to, from) = std::sync::mpsc::channel();
    std::thread::spawn(move || to.send(wait.wait()));
    from.recv_timeout(Duration::from_secs(10)).expect("somebody is left waiting")
}

#[test]
fn a_panic_while_a_checkpoint_is_saved_is_told_and_leaves_nobody_waiting() {
    let store = Unruly::default();
    let engine =
        store.engine().view::<Has>().checkpoint_every(Duration::from_secs(3600), 1 << 40).start().unwrap();
    Unruly::order(&store.orders.panic_on_save, true);
    engine.append(bought("ann", "hats", 1)).wait().unwrap();
    answer(engine.checkpoint()).unwrap_err();
    let broken = engine.health().broken.unwrap();
    assert!(broken.contains("checkpoint") && broken.contains("told to panic"), "{broken}");
    engine.append(bought("ann", "hats", 1)).wait().unwrap();
    assert_eq!(has(&engine).len(), 1);
    answer(engine.checkpoint()).unwrap_err();
    answer(engine.close()).unwrap();
}

/// What is so slow that whoever does not wait for it does not see it.
#[projection(from = Bought, group_by = customer)]
struct Slow {
    customer: String,
    #[sum(slowly(qty))]
    qty: i64,
}

fn slowly(qty: i32) -> i64 {
    std::thread::sleep(Duration::from_millis(100));
    qty.into()
}

#[test]
fn decisions_wait_for_views_also_where_no_checkpoints_are_saved_any_more() {
    let store = Unruly::default();
    let pace = Duration::from_secs(3600);
    let engine = store.engine().view::<Slow>().checkpoint_every(pace, 1 << 40).start().unwrap();
    Unruly::order(&store.orders.panic_on_save, true);
    // So that there is something to be saved.
    engine.append(bought("zoe", "hats", 1)).wait().unwrap();
    answer(engine.checkpoint()).unwrap_err();
    assert!(engine.health().broken.is_some());
    engine.append(bought("ann", "hats", 1)).durable().wait().unwrap();
    let known = |tx: &mut Tx| tx.get::<Slow>("ann").map(drop).ok_or("stale");
    engine.decide(known).wait().unwrap();
    let row = engine.view::<Slow>().get("ann").unwrap().unwrap();
    assert_eq!((&*row.customer, row.qty), ("ann", 1));
}

#[test]
fn closing_waits_for_a_backup_that_runs() {
    let store = Unruly::default();
    let engine = store.engine().view::<Has>().start().unwrap();
    Unruly::order(&store.orders.hold_backup, true);
    let parent = tempfile::tempdir().unwrap();
    let backup = engine.backup(parent.path().join("copy"));
    std::thread::scope(|scope| {
        scope.spawn(|| backup.wait());
        soon("it runs", || {
            Arc::strong_count(&store.orders) > 1 && !crate::sync::lock(&engine.handle.core.backups).is_empty()
        });
        let closes = scope.spawn(|| engine.close().wait());
        std::thread::sleep(Duration::from_millis(50));
        assert!(!closes.is_finished());
        Unruly::order(&store.orders.hold_backup, false);
        closes.join().unwrap().unwrap();
    });
    // Nobody else has the store now.
    assert_eq!(Arc::strong_count(&store.orders), 1);
}

#[test]
fn a_panic_while_the_store_is_closed_is_told_and_leaves_nobody_waiting() {
    let store = Unruly::default();
    let engine = store.engine().view::<Has>().start().unwrap();
    Unruly::order(&store.orders.panic_on_close, true);
    let error = answer(engine.close()).unwrap_err().to_string();
    assert!(error.contains("told to panic"), "{error}");
}

/// Takes each purchase back.
fn returning(engine: &Engine) -> Reaction {
    let options = ReactOptions::new().attempts(2).backoff(Duration::from_millis(1), Duration::from_millis(5));
    let reaction = engine.react_with::<Bought>("return", Since::Beginning, options, |event| {
        event.emit(returned(&event.customer, &event.item, event.qty));
        if event.item == "parked" && event.attempt() < 3 { Err("not yet".into()) } else { Ok(()) }
    });
    reaction.unwrap()
}

fn returns(engine: &Engine) -> Vec<i32> {
    let mut events = engine.events::<Returned>(1).until_head();
    std::iter::from_fn(|| events.next().wait()).map(|event| event.unwrap().event.qty).collect()
}

fn state(engine: &Engine) -> ReactionState {
    engine.health().reactions[0].state.clone()
}

#[track_caller]
fn caught_up(engine: &Engine, reaction: &Reaction) {
    let receipt = engine.append_all::<Bought>([]).wait().unwrap();
    let reached = reaction.wait_for(&receipt, Duration::from_secs(10)).wait();
    assert_eq!(reached, Ok(Reached::Reached), "{:?}", state(engine));
}

#[test]
fn a_reaction_goes_on_once_the_store_does() {
    let store = Unruly::default();
    let engine = store.engine().view::<Has>().start().unwrap();
    engine.append_all((1..=600).map(|n| bought("ann", "hats", n))).wait().unwrap();
    for (order, says) in [(&store.orders.refuse_append, "stored"), (&store.orders.refuse_read, "read")] {
        let before = returns(&engine).len();
        Unruly::order(order, true);
        let reaction = returning(&engine);
        if says == "read" {
            engine.append_all((601..=610).map(|n| bought("ann", "hats", n))).durable().wait().unwrap();
        }
        soon("it shows", || matches!(state(&engine), ReactionState::Retrying { attempt: 3.., .. }));
        let ReactionState::Retrying { reason, .. } = state(&engine) else { panic!("it still fails") };
        assert!(reason.contains(says) && reason.contains("as told"), "{reason}");
        Unruly::order(order, false);
        assert_eq!(returns(&engine).len(), before);
        caught_up(&engine, &reaction);
        assert_eq!(state(&engine), ReactionState::Running);
        reaction.stop().wait();
    }
    assert_eq!(returns(&engine), Vec::from_iter(1..=610));
    // Where it begins is stored, or it does not begin.
    Unruly::order(&store.orders.refuse_append, true);
    let begun = engine.react::<Bought>("new", Since::Now, |_| Ok(()));
    assert!(matches!(begun, Err(ReactError::Append { .. })), "{begun:?}");
    assert!(engine.reaction("new").is_none());
}

#[test]
fn a_reaction_handles_each_event_once_though_the_log_cannot_be_read_for_a_while() {
    let store = Unruly::default();
    let engine = store.engine().view::<Has>().start().unwrap();
    engine.append_all((1..=10).map(|n| bought("ann", "hats", n))).wait().unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let options = ReactOptions::new().backoff(Duration::from_millis(1), Duration::from_millis(5));
    let look = move |event: &mut Reacting<Bought>| Ok(tell.send(event.qty)?);
    let reaction = engine.react_with::<Bought>("look", Since::Beginning, options, look).unwrap();
    caught_up(&engine, &reaction);
    Unruly::order(&store.orders.refuse_read, true);
    engine.append_all((11..=20).map(|n| bought("ann", "hats", n))).durable().wait().unwrap();
    soon("it shows", || matches!(state(&engine), ReactionState::Retrying { position: 11, .. }));
    Unruly::order(&store.orders.refuse_read, false);
    caught_up(&engine, &reaction);
    assert_eq!(told.try_iter().collect::<Vec<_>>(), Vec::from_iter(1..=20));
}

#[test]
fn a_reaction_stops_while_the_store_fails() {
    let store = Unruly::default();
    let engine = store.engine().view::<Has>().start().unwrap();
    engine.append(bought("ann", "hats", 1)).wait().unwrap();
    Unruly::order(&store.orders.refuse_append, true);
    let reaction = returning(&engine);
    soon("it shows", || matches!(state(&engine), ReactionState::Retrying { .. }));
    answer(reaction.stop());
    let ReactionState::Stopped { reason } = state(&engine) else { panic!("it has stopped") };
    assert!(
        reason.starts_with("it was stopped, and what it had handled last is handled again: "),
        "{reason}"
    );
    Unruly::order(&store.orders.refuse_append, false);
    let reaction = returning(&engine);
    caught_up(&engine, &reaction);
    assert_eq!(returns(&engine), [1]);
    answer(reaction.stop());
    assert_eq!(state(&engine), ReactionState::Stopped { reason: "it was stopped".into() });
    Unruly::order(&store.orders.refuse_append, true);
    answer(engine.close()).unwrap();
}

#[test]
fn while_the_store_takes_nothing_no_event_is_parked_for_a_command_that_was_not_stored() {
    struct Return(i32);
    impl Command for Return {
        type Refusal = ();
        fn decide(&self, tx: &mut Tx) -> Result<(), ()> {
            tx.emit(Returned { customer: "ann".into(), item: "hats".into(), qty: self.0 });
            Ok(())
        }
    }
    let store = Unruly::default();
    let engine = store.engine().view::<Has>().start().unwrap();
    engine.append(bought("ann", "hats", 1)).wait().unwrap();
    Unruly::order(&store.orders.refuse_append, true);
    let once = ReactOptions::new().attempts(1);
    let calls = Arc::new(AtomicUsize::new(0));
    let counts = calls.clone();
    let reaction = engine.react_with::<Bought>("returns", Since::Beginning, once, move |event| {
        counts.fetch_add(1, Ordering::SeqCst);
        match event.execute(Return(event.qty)).wait() {
            Ok(_) => Ok(()),
            Err(error) => Err(error.apart().unwrap_err().into()),
        }
    });
    let reaction = reaction.unwrap();
    soon("it is tried again", || calls.load(Ordering::SeqCst) > 2);
    Unruly::order(&store.orders.refuse_append, false);
    caught_up(&engine, &reaction);
    assert_eq!((returns(&engine), reaction.parked().unwrap()), (vec![1], Vec::new()));
}

#[test]
fn a_reaction_that_does_not_know_what_is_stored_stops_and_doubles_nothing() {
    let store = Unruly::default();
    let mut engine = store.engine().view::<Has>().start().unwrap();
    engine.append_all((1..=300).map(|n| bought("ann", "hats", n))).wait().unwrap();
    Unruly::order(&store.orders.lose_append, true);
    for _ in 0..2 {
        drop(returning(&engine));
        soon("it stops", || matches!(state(&engine), ReactionState::Stopped { .. }));
        let ReactionState::Stopped { reason } = state(&engine) else { panic!("it has stopped") };
        assert!(reason.contains("unknown"), "{reason}");
        engine.close().wait().unwrap();
        engine = store.engine().view::<Has>().start().unwrap();
    }
    Unruly::order(&store.orders.lose_append, false);
    let reaction = returning(&engine);
    caught_up(&engine, &reaction);
    assert_eq!(returns(&engine), Vec::from_iter(1..=300));
}

#[test]
fn what_is_parked_stays_so_while_the_store_fails() {
    let store = Unruly::default();
    let engine = store.engine().view::<Has>().start().unwrap();
    let reaction = returning(&engine);
    engine.append(bought("ann", "parked", 1)).wait().unwrap();
    caught_up(&engine, &reaction);
    let parked = reaction.parked().unwrap();
    assert_eq!(parked.len(), 1);
    Unruly::order(&store.orders.refuse_append, true);
    let failed = answer(reaction.retry(1));
    assert!(matches!(failed, Err(RetryError::Append(AppendError::NotAppended(_)))), "{failed:?}");
    Unruly::order(&store.orders.refuse_append, false);
    assert_eq!((reaction.parked().unwrap(), returns(&engine)), (parked, vec![]));
    // It may be in; once that is known, it is, and once.
    Unruly::order(&store.orders.lose_append, true);
    let unknown = answer(reaction.retry(1));
    assert!(matches!(unknown, Err(RetryError::Stopped { .. })), "{unknown:?}");
    Unruly::order(&store.orders.lose_append, false);
    engine.close().wait().unwrap();
    let engine = store.engine().view::<Has>().start().unwrap();
    let reaction = returning(&engine);
    assert_eq!((reaction.parked().unwrap(), returns(&engine)), (vec![], vec![1]));
    assert!(matches!(answer(reaction.retry(1)), Err(RetryError::NotParked { .. })));
}

#[test]
fn of_two_engines_that_run_a_reaction_one_goes_on() {
    let store = Unruly::default();
    let first = store.engine().view::<Has>().start().unwrap();
    let second = store.engine().view::<Has>().start().unwrap();
    let (goes_on, _) = (returning(&first), returning(&second));
    first.append_all((1..=3).map(|n| bought("ann", "hats", n))).wait().unwrap();
    caught_up(&first, &goes_on);
    // The second one sees the log as it appends.
    second.append(bought("ann", "hats", 4)).wait().unwrap();
    soon("it stops", || matches!(state(&second), ReactionState::Stopped { .. }));
    let ReactionState::Stopped { reason } = state(&second) else { panic!("it has stopped") };
    assert!(reason.contains("another engine"), "{reason}");
    first.append(bought("ann", "hats", 5)).wait().unwrap();
    caught_up(&first, &goes_on);
    assert_eq!(returns(&first), Vec::from_iter(1..=5));
}
