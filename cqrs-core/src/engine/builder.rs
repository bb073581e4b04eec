//! From a store to a running engine.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::boundary::Account;
use super::catalog::{Catalog, Registry};
use super::checkpoint::{Pace, Saved, Sums, saver};
use super::desk::Desk;
use super::fold::Fold;
use super::load::{Unloadable, load};
use super::pipeline::Pipeline;
use super::rebuild::rebuild;
use super::replay::{Halt, count_types, replay};
use super::request::Consistency;
use super::shared::{Clock, Core, Published, Shown, Start};
use super::slot::Slot;
use super::writer::{GroupLimits, Standing, Writer, last_recorded};
use super::{Engine, Handle, Threads};
use crate::Timestamp;
use crate::describe::Description;
use crate::error::{StartError, UnknownEvent};
use crate::event::Event;
use crate::meters;
use crate::projection::Projection;
use crate::store::{Checkpoints, Head, LogReader, SavedView, Store, StoreError, Witness};
use crate::sync::{Inside, lock};
use crate::verify::Verified;

/// An engine to be: which views it keeps, which events it knows, and how it goes about it.
#[must_use = "it is started with `.start()`"]
pub struct Builder {
    store: Arc<dyn Store>,
    registry: Registry,
    consistency: Consistency,
    payload_limit: usize,
    pace: Pace,
    requests: usize,
    batches: usize,
    group: GroupLimits,
    follow: Duration,
    threads: usize,
    clock: Clock,
    /// Whether checkpoints are saved: not where nothing outlives the engine.
    saves: bool,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("store", &self.store.id()).finish_non_exhaustive()
    }
}

impl Builder {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            registry: Registry::default(),
            consistency: Consistency::default(),
            payload_limit: 1 << 20,
            pace: Pace { interval: Duration::from_millis(500), events: 1_000_000 },
            requests: 1024,
            batches: 4,
            group: GroupLimits { events: 16_384, bytes: 8 << 20 },
            follow: Duration::from_millis(20),
            threads: std::thread::available_parallelism().map_or(1, usize::from).min(4),
            clock: Arc::new(Timestamp::now),
            saves: true,
        }
    }

    /// Keeps the rows of the projection `P`, and knows the events that it reads.
    pub fn view<P: Projection>(mut self) -> Self {
        self.registry.view::<P>();
        self
    }

    /// Knows an event type, or the types of an enum: they can be appended, and are no unknown history.
    pub fn event<E: Event>(mut self) -> Self {
        self.registry.event::<E>();
        self
    }

    /// Passes over stored events of this name, which would otherwise have to be claimed by a registered type.
    pub fn allow_unknown(mut self, name: impl Into<String>) -> Self {
        self.registry.allowed.names.insert(name.into());
        self
    }

    /// Passes over stored events of every name that no registered type claims, also those that come to be appended: for a program that only
    /// [reads](super::Engine::open_read_only) some views of a store, and is not to stop whenever the one that writes it has a new event. Versions that a registered type does not
    /// read stop it all the same.
    ///
    /// A program that writes says by name what it [passes over](Self::allow_unknown), so that an event that is renamed never makes for an empty view; its start is refused with this.
    pub fn allow_all_unknown(mut self) -> Self {
        self.registry.allowed.all = true;
        self
    }

    /// What appends wait for; [`Append::consistency`](super::Append::consistency) overrides it. The default is
    /// [`Consistency::ReadYourWrites`].
    pub fn consistency(mut self, consistency: Consistency) -> Self {
        self.consistency = consistency;
        self
    }

    /// The largest payload, in bytes, that is appended (its metadata included) or decoded. The default is 1 MiB.
    pub fn payload_limit(mut self, bytes: usize) -> Self {
        self.payload_limit = bytes;
        self
    }

    /// When checkpoints are saved: one begins once this long has passed since the last began, or half of so many events have come; and should so many
    /// events have come since the last that is saved, the fold waits for the one under way. The default is half a second and a million events. (What is folded
    /// between two looks, up to some 30,000 events or one larger append, may come on top of a small number.) What a checkpoint has need not be replayed at the next start.
    pub fn checkpoint_every(mut self, interval: Duration, events: u64) -> Self {
        self.pace = Pace { interval, events: events.max(1) };
        self
    }

    /// How many appends may wait for the writer (the default is 1024), and how many written groups for the fold (4). When they are
    /// full, appends wait for a place.
    pub fn queues(mut self, appends: usize, groups: usize) -> Self {
        (self.requests, self.batches) = (appends.max(1), groups.max(1));
        self
    }

    /// How much goes into one group, and so into one fsync: up to this many events and bytes. A single batch that is larger is a group
    /// of its own. The default is 16,384 events and 8 MiB.
    pub fn group_limits(mut self, events: usize, bytes: usize) -> Self {
        self.group = GroupLimits { events: events.max(1), bytes: bytes.max(1) };
        self
    }

    /// How many threads fold at the same time where there is much to fold: when views are rebuilt, and large batches of several views. The default is as many as there are
    /// cores, four at most.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// What says how late it is: `recorded_at` of events, and when a reaction has parked one. The default is the system's clock.
    ///
    /// For tests, and for a time that comes from elsewhere. It is asked once a group of appends, and may stand still or go back: no event is recorded before the one
    /// before it. What takes time (checkpoints, time-outs, the waiting of reactions) does not go by it.
    ///
    /// ```
    /// # use cqrs_core::prelude::*;
    /// # #[event]
    /// # pub struct Purchased { pub customer: String }
    /// let noon = Timestamp::from_micros(43_200_000_000);
    /// let engine = Engine::in_memory().event::<Purchased>().clock(move || noon).start()?;
    /// engine.append(Purchased { customer: "ann".into() }).wait()?;
    /// let purchased = engine.events::<Purchased>(1).next().wait().unwrap()?;
    /// assert_eq!(purchased.recorded_at, noon);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn clock(mut self, now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(now);
        self
    }

    /// How often a read-only engine looks for new events. The default is every 20 milliseconds.
    pub fn follow_every(mut self, interval: Duration) -> Self {
        self.follow = interval.max(Duration::from_millis(1));
        self
    }

    /// Checks the whole store and tells everything that does not hold, not only the first: SQLite's own check of both files; that every event
    /// is there, in the chain of checksums; that its types are counted right, and each payload of a registered type can be read; every
    /// checkpoint against the log and its own checksums; and of each registered view every row, and what SQL shows of it, against a fold of
    /// the log from its beginning.
    ///
    /// Nothing is started, and nothing in the store is changed. It reads the log twice, a page at a time, and has the rows of the registered views in memory
    /// once. With [`Engine::open_read_only`] it checks a store that is in use elsewhere.
    ///
    /// ```
    /// # use cqrs_core::prelude::*;
    /// # #[event]
    /// # pub struct Purchased { pub customer: String, pub qty: i32 }
    /// # #[projection(from = Purchased, group_by = customer)]
    /// # pub struct Customer { pub customer: String, #[sum(qty)] pub total_qty: i64 }
    /// # let parent = tempfile::tempdir()?;
    /// # let shop = parent.path().join("shop");
    /// # let engine = Engine::open(&shop)?.view::<Customer>().start()?;
    /// # engine.append(Purchased { customer: "jsmith".into(), qty: 2 }).wait()?;
    /// # drop(engine);
    /// let verified = Engine::open(&shop)?.view::<Customer>().verify()?;
    /// if !verified.is_whole() {
    ///     eprintln!("{verified}"); // every finding, and what to do
    /// }
    /// assert!(verified.is_whole() && verified.views[0].folded);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`StartError`], if what is registered contradicts itself, or there is nothing to be read at all. Damage is no error here.
    pub fn verify(self) -> Result<Verified, StartError> {
        let _span = tracing::info_span!("verify").entered();
        super::verify::verify(&*self.store, &self.registry.finish(self.payload_limit)?)
    }

    /// What has been registered so far, as a graph: which events go to which views. As [`Engine::describe`], without a store being read.
    ///
    /// What contradicts itself is refused by [`start`](Self::start), and not here.
    #[must_use]
    pub fn describe(&self) -> Description {
        self.registry.describe()
    }

    /// Starts the engine: checks that every stored event is claimed, resumes the views that have a checkpoint, and rebuilds those that
    /// are new or have changed in the background ([`Engine::wait_ready`]).
    ///
    /// # Errors
    ///
    /// [`StartError`], which says what to do.
    pub fn start(self) -> Result<Engine, StartError> {
        let begun = Instant::now();
        let _span = tracing::info_span!("start").entered();
        let store = self.store;
        let catalog = self.registry.finish(self.payload_limit)?;
        let read_only = store.read_only();
        if catalog.allows_all() && !read_only {
            return Err(StartError::AllUnknown);
        }
        let saves = self.saves && !read_only;
        let mut reader = store.reader()?;
        claim(&catalog, &mut *reader)?;
        let mut checkpoints = match store.checkpoints() {
            Ok(checkpoints) => Some(checkpoints),
            Err(error) if read_only => {
                tracing::warn!(%error, "the checkpoints cannot be read: every view is folded from the log");
                None
            }
            Err(error) => return Err(error.into()),
        };

        let resumed = Opened::resume(&catalog, &*store, &mut *reader, checkpoints.as_deref_mut());
        let (mut opened, head) = match resumed {
            // Checkpoints that are damaged are none. A store that found them so sets them aside when it is asked anew.
            Err(StartError::Store(error @ StoreError::Corrupt { .. })) => {
                tracing::warn!(%error, "what could not be read is folded from the log, if that can be read");
                drop(checkpoints.take());
                if !read_only {
                    checkpoints = Some(store.checkpoints()?);
                }
                Opened::resume(&catalog, &*store, &mut *reader, checkpoints.as_deref_mut())?
            }
            other => other?,
        };
        opened.catch_up(&catalog, &mut *reader, head)?;
        // Once everything that could be refused was not: with this, the log's file may change.
        let log = if read_only { None } else { Some(store.log()?) };
        let Opened { slots, rebuilt, sums, saved, witnessed, mut loaded } = opened;
        if let Some(checkpoints) = checkpoints.as_deref_mut().filter(|_| !read_only) {
            forget_old(&catalog, &slots, &rebuilt, checkpoints);
        }

        let progress = Arc::new(AtomicU64::new(0));
        let rebuilding = rebuilt.iter().any(|slot| slot.view.is_some());
        let shown: Vec<Shown> = slots
            .iter()
            .map(|slot| match (&slot.view, &slot.fault) {
                (Some(_), Some(fault)) => Shown::Faulted(fault.clone()),
                (Some(view), None) => Shown::Live(view.shown()),
                (None, _) => Shown::Rebuilding(progress.clone()),
            })
            .collect();
        let (fold, messages) = sync_channel(self.batches);
        let (position, views) = (head.position, shown.clone());
        let published = Published { position, views, closed: false, exchanged: 0, broken: false };
        let core = Arc::new(Core::new(Start {
            catalog,
            store: store.clone(),
            clock: self.clock,
            published,
            durable: head.position,
            nudge: fold.clone(),
        }));
        meters::describe();
        meters::log(head.position);
        for (number, slot) in slots.iter().enumerate() {
            core.measure(number, slot);
            let checkpoint = loaded[number].take();
            *lock(&core.vitals[number].checkpoint) = checkpoint.map(|position| (position, Instant::now()));
            if let Some(position) = checkpoint.filter(|_| saves) {
                meters::saved(core.catalog.views[number].name(), position);
            }
        }
        meters::shown(&core, head.position, &shown);

        let fold_reader = store.reader()?;
        let readers = if rebuilding { self.threads } else { 0 };
        let rebuild_readers = (0..readers).map(|_| store.reader()).collect::<Result<Vec<_>, _>>()?;
        let (mut saver_end, mut saver_thread) = (None, None);
        if let Some(checkpoints) = checkpoints.filter(|_| saves) {
            let (end, thread) = saver(&core, checkpoints, sums, saved, witnessed, self.pace, head.position);
            (saver_end, saver_thread) = (Some(end), Some(thread));
        }
        let fold = Arc::new(Fold::new(fold));
        let mut threads = Threads { fold: Some(fold.clone()), ..Threads::default() };
        let mut desk = None;
        if let Some(log) = log {
            let recorded_at = last_recorded(&mut *reader, head.position)?;
            let sources = Standing::of(reader.sources()?);
            let account = Account::default();
            let writer = Writer { core: core.clone(), log, reader, head, recorded_at, sources, account };
            desk = Some(Arc::new(Desk::new(writer, fold.clone(), self.requests, self.group)));
        }
        fold.begin(Pipeline {
            core: core.clone(),
            slots,
            shown,
            head,
            reader: fold_reader,
            saver: saver_end,
            follow: read_only.then_some(self.follow),
            broken: false,
            folded: Vec::new(),
            behind: false,
            joining: Vec::new(),
            exchanged: 0,
            threads: self.threads,
        });

        let handle = Handle::new(core.clone(), desk.clone(), self.consistency);
        let begin = || {
            threads.begin("cqrs-fold", move || fold.run(&messages))?;
            if let Some(thread) = saver_thread {
                threads.begin("cqrs-checkpoint", move || thread.run())?;
            }
            if rebuilding {
                let core = core.clone();
                threads.begin("cqrs-rebuild", move || rebuild(&core, rebuild_readers, rebuilt, &progress))?;
            }
            match desk {
                Some(desk) => threads.begin_writer(move || desk.run()),
                None => Ok(()),
            }
        };
        let threads_begun = begin();
        // Should a thread not have started, the engine closes as it is dropped here.
        let engine = handle.engine(threads);
        threads_begun?;
        let views = core.catalog.views.len();
        tracing::info!(position = head.position, views, elapsed = ?begun.elapsed(), "the engine runs");
        Ok(engine)
    }
}

/// What `start` has put together, view by view.
#[derive(Default)]
struct Opened {
    slots: Vec<Slot>,
    rebuilt: Vec<Slot>,
    sums: Vec<Sums>,
    saved: Vec<Saved>,
    /// Where the log ended when it was last witnessed.
    witnessed: Option<u64>,
    /// Positions of the checkpoints that were loaded.
    loaded: Vec<Option<u64>>,
}

impl Opened {
    /// Every view as its checkpoint has it, or fresh, and the log's head.
    fn resume(
        catalog: &Catalog,
        store: &dyn Store,
        reader: &mut dyn LogReader,
        mut checkpoints: Option<&mut (dyn Checkpoints + 'static)>,
    ) -> Result<(Self, Head), StartError> {
        // The head is read after the checkpoints: a writer in another process may add to both.
        let saved = checkpoints.as_mut().map_or(Ok(Vec::new()), |checkpoints| checkpoints.views())?;
        let witness = checkpoints.as_mut().map_or(Ok(None), |checkpoints| checkpoints.witness())?;
        let head = reader.head()?;
        // Those of views that are not registered too: they tell as much about the log, and SQL shows them.
        for saved in &saved {
            check(store, reader, head, saved.witness(), Some(&saved.name))?;
        }
        if let Some(witness) = witness {
            check(store, reader, head, witness, None)?;
        }
        let witnessed = witness.map(|witness| witness.head.position);
        let mut opened = Self { witnessed, ..Self::default() };
        for (number, ty) in catalog.views.iter().enumerate() {
            let mut saved = saved.iter().find(|saved| saved.name == ty.name()).cloned();
            let resumed = match &mut checkpoints {
                Some(checkpoints) => {
                    resume(catalog, number, &mut **checkpoints, &mut saved, store.read_only(), head)?
                }
                None => None,
            };
            // A view goes on from where those it reads stand, or from the beginning.
            let resumed = resumed.filter(|(slot, _)| {
                let alike = |up: usize| {
                    opened.slots[up].view.is_some() && opened.slots[up].at.position == slot.at.position
                };
                catalog.upstream(number).into_iter().all(alike)
            });
            opened.add(catalog, number, resumed, head);
        }
        opened.keep_together(catalog);
        // What is rebuilt is folded along with what it reads, also where that is there already; and where one sets events aside, with all that it is folded with:
        // should it set others aside this time, they all take their places together.
        for number in (0..catalog.views.len()).rev() {
            if opened.rebuilt[number].view.is_some() {
                let members = catalog.members(number);
                let parks = members.iter().any(|member| catalog.views[*member].parks());
                for along in if parks { members } else { catalog.upstream(number) } {
                    opened.rebuilt[along].view.get_or_insert_with(|| catalog.views[along].rows());
                }
            }
        }
        Ok((opened, head))
    }

    /// Where a view is rebuilt, an event that one folded with it has parked may be folded now: then both would not be of one fold of the log, unless that is
    /// rebuilt, too.
    fn keep_together(&mut self, catalog: &Catalog) {
        let has_parked = |slot: &Slot| slot.view.as_ref().is_some_and(|view| !view.parked().is_empty());
        for unit in (0..catalog.views.len()).filter(|number| catalog.unit(*number) == *number) {
            let members = catalog.members(unit);
            let rebuilt = members.iter().any(|number| self.rebuilt[*number].view.is_some());
            if !rebuilt || !members.iter().any(|number| has_parked(&self.slots[*number])) {
                continue;
            }
            for number in members {
                let ty = &*catalog.views[number];
                tracing::info!(view = ty.name(), "rebuilding the view with one that it is folded with");
                self.slots[number] = Slot::absent(ty);
                self.rebuilt[number] = Slot::fresh(ty);
                self.sums[number] = Sums::default();
                self.saved[number] = Saved::UNSAVED;
                self.loaded[number] = None;
            }
        }
    }

    fn add(&mut self, catalog: &Catalog, number: usize, resumed: Option<(Slot, Sums)>, head: Head) {
        let ty = &*catalog.views[number];
        self.loaded.push(resumed.as_ref().map(|(slot, _)| slot.at.position));
        let (slot, rebuilt, sums, saved) = match resumed {
            Some((slot, sums)) => {
                let saved = Saved { position: slot.at.position, reset: false, complete: true, fault: false };
                (slot, Slot::absent(ty), sums, saved)
            }
            None if head.position == 0 => {
                (Slot::fresh(ty), Slot::absent(ty), Sums::default(), Saved::UNSAVED)
            }
            None => (Slot::absent(ty), Slot::fresh(ty), Sums::default(), Saved::UNSAVED),
        };
        self.slots.push(slot);
        self.rebuilt.push(rebuilt);
        self.sums.push(sums);
        self.saved.push(saved);
    }

    /// Folds what resumed views lack.
    fn catch_up(
        &mut self,
        catalog: &Catalog,
        reader: &mut dyn LogReader,
        head: Head,
    ) -> Result<(), StartError> {
        let begun = Instant::now();
        let behind = self.slots.iter().filter(|slot| slot.folds()).map(|slot| slot.at.position);
        let after = behind.min().filter(|after| *after < head.position);
        let outcome = replay(reader, catalog, &mut self.slots, head.position, &mut |_| true);
        match outcome {
            Ok(()) | Err(Halt::Stopped) => {
                if let Some(after) = after {
                    let (position, elapsed) = (head.position, begun.elapsed());
                    tracing::info!(after, position, ?elapsed, "folded what came after the checkpoints");
                }
            }
            Err(Halt::Store(error)) => return Err(error.into()),
            Err(Halt::Flaw(flaw)) if flaw.damage => {
                return Err(StartError::Damaged { position: flaw.position, what: flaw.what });
            }
            Err(Halt::Flaw(flaw)) => {
                let unknown = UnknownEvent { name: flaw.event, version: 0, count: 1, reads: None };
                return Err(StartError::UnknownEvents(vec![unknown]));
            }
        }
        for slot in &mut self.slots {
            slot.told = slot.fault.is_some();
            if let Some(view) = &mut slot.view {
                view.go_live();
            }
        }
        Ok(())
    }
}

/// Refuses history that nobody claims. The counts of types are kept beside the events: before they refuse a start, they are held against them.
fn claim(catalog: &Catalog, reader: &mut dyn LogReader) -> Result<(), StartError> {
    let kept = reader.types()?;
    let Err(refusal) = catalog.claim(&kept) else { return Ok(()) };
    let counted = count_types(reader)?;
    if counted == kept {
        return Err(refusal);
    }
    tracing::warn!(
        ?kept,
        ?counted,
        "the log's types are counted wrong: the log is damaged, and best copied by a salvage"
    );
    catalog.claim(&counted)
}

/// Takes out of SQL what it shows of views that are being rebuilt: old rows would look like new ones.
fn forget_old(catalog: &Catalog, slots: &[Slot], rebuilt: &[Slot], checkpoints: &mut dyn Checkpoints) {
    for ((ty, live), slot) in catalog.views.iter().zip(slots).zip(rebuilt) {
        if slot.view.is_some()
            && live.view.is_none()
            && let Err(error) = checkpoints.forget(ty.name())
        {
            tracing::warn!(view = ty.name(), %error, "SQL shows old rows of a view until it is rebuilt");
        }
    }
}

/// Refuses a checkpoint, a view's or its witness, that was not made from this log.
pub(super) fn check(
    store: &dyn Store,
    reader: &mut dyn LogReader,
    head: Head,
    seen: Witness,
    view: Option<&str>,
) -> Result<(), StartError> {
    let Head { position, checksum } = seen.head;
    let view = view.map(str::to_owned);
    if seen.store != store.id() {
        return Err(StartError::OtherLog { view, expected: store.id(), found: seen.store });
    }
    if position > head.position {
        return Err(StartError::LogTooShort { view, position, head: head.position });
    }
    if reader.checksum_at(position)? != Some(checksum) {
        return Err(StartError::LogDiffers { view, position });
    }
    Ok(())
}

/// The view as its checkpoint has it; `None` if it is to be rebuilt, which is said.
///
/// The error is a store that cannot be relied on, for whatever view.
fn resume(
    catalog: &Catalog,
    number: usize,
    checkpoints: &mut dyn Checkpoints,
    saved: &mut Option<SavedView>,
    read_only: bool,
    head: Head,
) -> Result<Option<(Slot, Sums)>, StoreError> {
    let ty = &*catalog.views[number];
    let name = ty.name();
    // A writer in another process may save while the rows are read: then they are read again.
    let tries = if read_only { 5 } else { 1 };
    for attempt in 1..=tries {
        let Some(view) = saved else {
            if head.position > 0 {
                tracing::info!(view = name, "the view is new: folding it from the log");
            }
            return Ok(None);
        };
        if view.fingerprint != ty.fingerprint() {
            tracing::info!(view = name, "the projection has changed: rebuilding the view from the log");
            return Ok(None);
        }
        match load(ty, checkpoints, view) {
            Ok((rows, sums)) => {
                let at = Head { position: view.position, checksum: view.log_checksum };
                tracing::info!(view = name, position = at.position, "resumed from the checkpoint");
                return Ok(Some((Slot { view: Some(rows), at, ..Slot::absent(ty) }, sums)));
            }
            Err(Unloadable::Store(error @ StoreError::Corrupt { .. })) if attempt == tries => {
                return Err(error);
            }
            Err(damage) if attempt == tries => {
                tracing::warn!(
                    view = name,
                    %damage,
                    "the view's checkpoint is damaged: rebuilding it from the log"
                );
            }
            Err(_) => {
                let again = checkpoints.views()?.into_iter().find(|again| again.name == name);
                // Not beyond the head that was read: its events would be folded twice.
                *saved = again.filter(|again| again.position <= head.position);
            }
        }
    }
    Ok(None)
}

impl Engine {
    /// An engine over a folder, which is created if it is not there: the embedded default. One engine at a time can have it open
    /// for writing.
    ///
    /// # Errors
    ///
    /// [`StartError::Store`]: the folder is no store, is damaged, or is open elsewhere.
    #[cfg(feature = "sqlite")]
    pub fn open(folder: impl AsRef<std::path::Path>) -> Result<Builder, StartError> {
        Ok(Self::with_store(Arc::new(crate::store::SqliteStore::open(folder)?)))
    }

    /// An engine that reads a folder, and follows what another process appends to it. It changes nothing of the store; but the folder has to be one
    /// that it may write to, since SQLite makes `-wal` and `-shm` where they are missing.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open); and there must be a store.
    #[cfg(feature = "sqlite")]
    pub fn open_read_only(folder: impl AsRef<std::path::Path>) -> Result<Builder, StartError> {
        Ok(Self::with_store(Arc::new(crate::store::SqliteStore::open_read_only(folder)?)))
    }

    /// An engine that keeps everything in memory. What is not to outlive it is not saved, so there are no checkpoints: they would be copies of the rows.
    pub fn in_memory() -> Builder {
        Builder { saves: false, ..Self::with_store(Arc::new(crate::store::MemoryStore::new())) }
    }

    /// An engine over a store of your choice.
    pub fn with_store(store: Arc<dyn Store>) -> Builder {
        Builder::new(store)
    }
}

impl Threads {
    fn begin(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), StartError> {
        let thread = spawn(name, run)?;
        self.others.push(thread);
        Ok(())
    }

    fn begin_writer(&mut self, run: impl FnOnce() + Send + 'static) -> Result<(), StartError> {
        self.writer = Some(spawn("cqrs-writer", run)?);
        Ok(())
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StartError> {
    let run = move || {
        let _inside = Inside::enter();
        run();
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map_err(StartError::Thread)
}
