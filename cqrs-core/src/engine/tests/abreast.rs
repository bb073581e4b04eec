//! Views that are rebuilt by several threads, over a log that cannot be read to its end.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::error::NotReady;
use crate::store::{Checkpoints, Head, Log, LogEvent, LogReader, StoreError, StoreId, StoredType};

/// What a reader does when it is asked for events from a position on.
type Reading = fn(after: u64) -> Result<(), StoreError>;

/// A store in memory whose readers do as they are told.
#[derive(Clone)]
struct Told {
    inner: MemoryStore,
    reading: Reading,
    reads: Arc<AtomicUsize>,
}

struct ToldReader(Box<dyn LogReader>, Told);

impl Store for Told {
    fn id(&self) -> StoreId {
        self.inner.id()
    }
    fn log(&self) -> Result<Box<dyn Log>, StoreError> {
        self.inner.log()
    }
    fn reader(&self) -> Result<Box<dyn LogReader>, StoreError> {
        Ok(Box::new(ToldReader(self.inner.reader()?, self.clone())))
    }
    fn checkpoints(&self) -> Result<Box<dyn Checkpoints>, StoreError> {
        self.inner.checkpoints()
    }
    fn read_only(&self) -> bool {
        false
    }
    fn backup(&self, folder: &Path) -> Result<(), StoreError> {
        self.inner.backup(folder)
    }
    fn close(&self) -> Result<(), StoreError> {
        self.inner.close()
    }
}

impl LogReader for ToldReader {
    fn head(&mut self) -> Result<Head, StoreError> {
        self.0.head()
    }
    fn checksum_at(&mut self, position: u64) -> Result<Option<u64>, StoreError> {
        self.0.checksum_at(position)
    }
    fn types(&mut self) -> Result<Vec<StoredType>, StoreError> {
        self.0.types()
    }
    fn sources(&mut self) -> Result<BTreeMap<String, u64>, StoreError> {
        self.0.sources()
    }
    fn note(&mut self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.note(key)
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
        // A single event is the last one, of which the writer wants to know when it was recorded.
        if limit > 1 {
            self.1.reads.fetch_add(1, Ordering::SeqCst);
            (self.1.reading)(after)?;
        }
        self.0.read(after, limit, visit)
    }
}

/// A log of so many pages, and a builder over it whose readers do as they are told.
fn log_of(pages: usize, reading: Reading) -> (Told, Builder) {
    let inner = MemoryStore::new();
    let engine = Engine::with_store(Arc::new(inner.clone())).event::<Bought>().start().unwrap();
    for _ in 0..pages {
        engine.append_all((0..4096).map(|_| bought("ann", "hats", 100))).wait().unwrap();
    }
    engine.close().wait().unwrap();
    let told = Told { inner, reading, reads: Arc::default() };
    let builder = Engine::with_store(Arc::new(told.clone())).event::<Bought>().threads(4);
    (told, builder)
}

/// What became of the views; fails where that is not known in time.
fn ready(engine: &Engine) -> Result<(), NotReady> {
    let (to, from) = std::sync::mpsc::channel();
    let ready = engine.wait_ready();
    std::thread::spawn(move || to.send(ready.wait()));
    from.recv_timeout(Duration::from_secs(10)).expect("somebody is left waiting")
}

#[test]
fn a_panic_of_the_store_while_views_are_rebuilt_is_told_and_leaves_nobody_waiting() {
    let (_, builder) = log_of(4, |after| {
        assert!(after < 8192, "told to panic");
        Ok(())
    });
    let engine = builder.view::<Has>().view::<Owners>().start().unwrap();
    let Err(NotReady::Faulted(faults)) = ready(&engine) else { panic!("they are faulted") };
    assert_eq!(faults.len(), 2);
    assert!(faults.iter().all(|fault| fault.reason.contains("told to panic")), "{faults:?}");
    engine.close().wait().unwrap();
}

#[test]
fn of_several_places_that_cannot_be_read_the_first_stops_the_views_after_all_before_it() {
    let (_, builder) = log_of(8, |after| match after {
        0 => {
            std::thread::sleep(Duration::from_millis(50));
            Ok(())
        }
        8192.. => Err(StoreError::Io { action: "the test".into(), source: "as told".into() }),
        _ => Ok(()),
    });
    let engine = builder.view::<Has>().view::<Owners>().start().unwrap();
    let Err(NotReady::Faulted(faults)) = ready(&engine) else { panic!("they are faulted") };
    assert!(faults.iter().all(|fault| fault.position == 8193), "{faults:?}");
    engine.close().wait().unwrap();
}

#[test]
fn once_every_view_has_stopped_the_rest_of_the_log_is_not_read() {
    let (told, builder) = log_of(40, |_| Ok(()));
    let engine = builder.view::<Tiny>().start().unwrap();
    let Err(NotReady::Faulted(faults)) = ready(&engine) else { panic!("it is faulted") };
    assert_eq!(faults[0].position, 2);
    let reads = told.reads.load(Ordering::SeqCst);
    assert!(reads <= 12, "{reads} pages were read");
    engine.close().wait().unwrap();
}

/// Takes a while to fold.
#[projection(from = Noted, group_by = ())]
#[derive(Debug, Clone, PartialEq)]
struct Slow {
    #[last(slowly(text))]
    text: String,
}

fn slowly(text: &str) -> String {
    std::thread::sleep(Duration::from_millis(400));
    text.to_owned()
}

#[test]
fn who_wants_durability_only_does_not_wait_for_the_fold_of_what_came_before() {
    let engine = Engine::in_memory().view::<Slow>().consistency(Consistency::Durable).start().unwrap();
    let begun = Instant::now();
    for text in ["a", "b", "c"] {
        // Awaited, and not waited for: so it is the writer's thread that writes it.
        crate::sync::block_on(async { engine.append(Noted { text: text.into() }).await }).unwrap();
    }
    assert!(begun.elapsed() < Duration::from_millis(350), "{:?}", begun.elapsed());
    engine.close().wait().unwrap();
}

#[test]
fn while_the_writer_s_thread_folds_others_write() {
    let engine = Engine::in_memory().view::<Slow>().event::<Bought>().start().unwrap();
    let slow = {
        let engine = engine.clone();
        let append = async move { engine.append(Noted { text: "a".into() }).await };
        std::thread::spawn(move || crate::sync::block_on(append).unwrap())
    };
    soon("it is written", || engine.health().position == 1);
    let begun = Instant::now();
    engine.append(bought("ann", "hats", 1)).durable().wait().unwrap();
    assert!(begun.elapsed() < Duration::from_millis(250), "{:?}", begun.elapsed());
    slow.join().unwrap();
    engine.close().wait().unwrap();
}
