//! The engine: one log of events, and the views that are folded from it.
//!
//! Callers hand encoded events to the writer, which makes a group of them durable in one transaction and passes it on to the fold; the
//! fold feeds every view and shows the batch as a whole. Checkpoints are saved behind it.
//!
//! ```text
//! append ──► writer ──► log (durable) ──► fold ──► published views ──► readers, subscribers
//!              │ group n + 1                │ group n          └──► checkpoint thread ──► store
//! ```

mod abreast;
mod batch;
pub(crate) mod boundary;
mod builder;
mod catalog;
mod checkpoint;
mod cluster;
pub(crate) mod desk;
pub(crate) mod encoded;
mod events;
mod feed;
mod fold;
mod item;
mod load;
mod pair;
mod pipeline;
pub(crate) mod reacting;
mod rebuild;
mod replay;
pub(crate) mod request;
mod retry;
mod route;
mod saved;
pub(crate) mod shared;
pub(crate) mod slot;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures_core::Stream;

pub use self::builder::Builder;
use self::desk::Desk;
pub use self::events::Events;
pub use self::feed::{Fed, Feed};
use self::fold::{Fold, Message};
pub use self::item::{FeedContent, FeedItem, IntoFeedItem, Items, stream};
use self::pipeline::Control;
pub use self::request::{Append, Consistency, NewEvent};
pub use self::retry::Retried;
use self::shared::{Core, Shown};
use crate::decide::{Command, Decide, Tx, is_deciding};
use crate::describe::Description;
use crate::error::{NoSuchView, NotReady, ReactError, RefoldError, StoreFailure};
use crate::event::Event;
use crate::health::Health;
use crate::projection::Projection;
use crate::react::{self, ParkedEvent, ReactOptions, Reacting, Reaction, Since};
use crate::snapshot::Snapshot;
use crate::store::StoreId;
use crate::sync::{Inside, Signal, Wait, block_on, lock, reply, within};
use crate::table::said;
use crate::view::View;

/// A log of events and the views folded from it, running.
///
/// Cheap to clone, usable from any thread. Whatever waits can be awaited, under any executor, or blocked on with `.wait()`. Dropping the last clone
/// closes it.
///
/// ```
/// use cqrs_core::prelude::*;
///
/// #[event]
/// pub struct Purchased {
///     pub customer: String,
///     pub item: String,
///     pub qty: i32,
/// }
///
/// #[projection(from = Purchased, group_by = (customer, item))]
/// #[derive(Debug, PartialEq)]
/// pub struct CustomerPurchases {
///     pub customer: String,
///     pub item: String,
///     #[sum(qty)]
///     pub total_qty: i64,
/// }
///
/// let engine = Engine::in_memory().view::<CustomerPurchases>().start()?;
/// engine.append(Purchased { customer: "jsmith".into(), item: "hats".into(), qty: 2 }).wait()?;
/// let view: View<CustomerPurchases> = engine.view();
/// assert_eq!(view.get(("jsmith", "hats"))?.unwrap().total_qty, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Engine {
    handle: Arc<Handle>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("store", &self.handle.core.store_id).finish_non_exhaustive()
    }
}

/// What all clones of an engine share; closes it when the last is gone.
pub(crate) struct Handle {
    core: Arc<Core>,
    desk: Option<Arc<Desk>>,
    consistency: Consistency,
    threads: Mutex<Option<Threads>>,
    closing: Arc<Closing>,
}

#[derive(Default)]
pub(crate) struct Threads {
    writer: Option<JoinHandle<()>>,
    others: Vec<JoinHandle<()>>,
    fold: Option<Arc<Fold>>,
}

/// How closing went, once it has.
#[derive(Default)]
struct Closing {
    outcome: Mutex<Option<Result<(), StoreFailure>>>,
    done: Signal,
}

impl Handle {
    fn new(core: Arc<Core>, desk: Option<Arc<Desk>>, consistency: Consistency) -> Self {
        Self { core, desk, consistency, threads: Mutex::default(), closing: Arc::default() }
    }

    fn engine(self, threads: Threads) -> Engine {
        *lock(&self.threads) = Some(threads);
        Engine { handle: Arc::new(self) }
    }

    /// Begins to close, once. A thread of its own sees it through, so that nobody has to wait for it who must not.
    fn begin_close(&self) {
        let Some(threads) = lock(&self.threads).take() else { return };
        let (core, closing) = (self.core.clone(), self.closing.clone());
        let desk = self.desk.clone();
        let close = Arc::new(Mutex::new(Some((threads, desk))));
        let work = {
            let close = close.clone();
            move || {
                let _inside = Inside::enter();
                let Some((threads, desk)) = lock(&close).take() else { return };
                // Whoever waits for the end is told of it, however it comes.
                let finished = catch_unwind(AssertUnwindSafe(|| finish(&core, threads, desk)));
                let outcome = finished.unwrap_or_else(|panic| {
                    let (action, source) = ("closing the store".to_owned(), said(&*panic).into());
                    Err(crate::store::StoreError::Io { action, source }.into())
                });
                *lock(&closing.outcome) = Some(outcome);
                closing.done.notify();
            }
        };
        let work = Arc::new(work);
        let there = work.clone();
        if std::thread::Builder::new().name("cqrs-close".into()).spawn(move || there()).is_err() {
            work();
        }
    }
}

/// Drains, saves the last checkpoint, and gives the store back.
fn finish(core: &Core, threads: Threads, desk: Option<Arc<Desk>>) -> Result<(), StoreFailure> {
    let begun = Instant::now();
    let _span = tracing::info_span!("close").entered();
    // What they have handled is to be saved.
    core.reactions.close();
    core.stop.store(true, Ordering::Relaxed);
    if let Some(desk) = desk {
        desk.close();
    }
    match threads.writer {
        // It sends the fold its last message.
        Some(writer) => drop(writer.join()),
        None => drop(threads.fold.map(|fold| fold.tell(Message::Stop))),
    }
    for thread in threads.others {
        let _ = thread.join();
    }
    let store = lock(&core.store).take();
    for reader in std::mem::take(&mut *lock(&core.lent)) {
        if let Some(reader) = reader.upgrade() {
            lock(&reader).take();
        }
    }
    core.appended.notify();
    for backup in std::mem::take(&mut *lock(&core.backups)) {
        let _ = backup.join();
    }
    let closed = store.map_or(Ok(()), |store| store.close().map_err(StoreFailure::from));
    tracing::info!(position = core.head(), elapsed = ?begun.elapsed(), "the engine is closed");
    closed
}

impl Drop for Handle {
    fn drop(&mut self) {
        let reacting = react::step_aside(&self.core);
        self.begin_close();
        if Inside::is() || reacting {
            return;
        }
        if let Err(error) = block_on(closed(self.closing.clone())) {
            tracing::warn!(%error, "closing the store failed");
        }
    }
}

async fn closed(closing: Arc<Closing>) -> Result<(), StoreFailure> {
    closing.done.until(|| lock(&closing.outcome).clone()).await
}

impl Engine {
    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.handle.core
    }

    /// The log's identity, as receipts bear it.
    #[must_use]
    pub fn store_id(&self) -> StoreId {
        self.core().store_id
    }

    /// Appends an event, and answers when it is durable and every live view has folded it; see [`Consistency`].
    ///
    /// The argument is an event, or a [`NewEvent`] with an id or metadata. It is encoded here; the rest happens when the returned [`Append`] is awaited or
    /// waited for.
    ///
    /// # Errors
    ///
    /// [`AppendError`](crate::AppendError).
    pub fn append(&self, event: impl Into<NewEvent>) -> Append {
        self.append_all([event])
    }

    /// Appends a [`Tick`](crate::Tick): it is this late, for every view with a window, whether or not an event says so.
    pub fn tick(&self, now: crate::Timestamp) -> Append {
        self.append(crate::Tick::from(now))
    }

    /// Appends events, all or none, at consecutive positions.
    ///
    /// With no events, nothing is appended; the receipt is empty and stands at the log's end, so waiting for it is waiting for everything appended
    /// before.
    ///
    /// # Errors
    ///
    /// [`AppendError`](crate::AppendError).
    pub fn append_all<I: Into<NewEvent>>(&self, events: impl IntoIterator<Item = I>) -> Append {
        let Handle { core, desk, consistency, .. } = &*self.handle;
        Append::new(core, desk.clone(), events.into_iter().map(Into::into), *consistency)
    }

    /// Makes a decision: reads rows, and emits events that are appended only if nothing that was read has been touched meanwhile; or refuses.
    ///
    /// Decisions are serialisable: each sees everything that was acknowledged before it began, whatever the [`Consistency`], and its events go in as
    /// if nothing else happened at that time. Where something did, in what it read, the closure runs again on fresh rows; after two conflicts it runs
    /// at the writer, in line, so it always gets through. What can conflict is what is read: the rows of a key, of a prefix, of an index look-up, or all. See [`Tx`].
    ///
    /// The closure may run several times, in other threads, so it is `move`, and does nothing besides deciding. If it panics, so does this call, and nothing else.
    ///
    /// ```
    /// use cqrs_core::prelude::*;
    ///
    /// #[event]
    /// pub struct Delivered { pub item: String, pub qty: i64 }
    /// #[event]
    /// pub struct Reserved { pub item: String, pub qty: i64 }
    ///
    /// #[projection(from(Delivered, Reserved), group_by = item)]
    /// pub struct Stock {
    ///     pub item: String,
    ///     #[sum(Delivered => qty, Reserved => -qty)]
    ///     pub free: i64,
    /// }
    ///
    /// #[derive(Debug, PartialEq)]
    /// pub struct OutOfStock { pub free: i64 }
    ///
    /// let engine = Engine::in_memory().view::<Stock>().start()?;
    /// engine.append(Delivered { item: "hats".into(), qty: 3 }).wait()?;
    /// let reserve = |item: &str, qty: i64| {
    ///     let item = item.to_owned();
    ///     engine.decide(move |tx| {
    ///         let free = tx.get::<Stock>(&item).map_or(0, |stock| stock.free);
    ///         if free < qty {
    ///             return Err(OutOfStock { free });
    ///         }
    ///         tx.emit(Reserved { item: item.clone(), qty });
    ///         Ok(())
    ///     })
    /// };
    /// assert!(reserve("hats", 2).wait().is_ok());
    /// assert_eq!(reserve("hats", 2).wait().unwrap_err().refusal(), Some(OutOfStock { free: 1 }));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`DecideError`](crate::DecideError): the closure's refusal, or why it could not be decided.
    pub fn decide<R: Send + 'static>(
        &self,
        decide: impl FnMut(&mut Tx) -> Result<(), R> + Send + 'static,
    ) -> Decide<R> {
        let Handle { core, desk, consistency, .. } = &*self.handle;
        Decide::new(core, desk.clone(), *consistency, "", Box::new(decide))
    }

    /// Decides a command: [`decide`](Self::decide), with a name. Its events bear the command as their cause.
    ///
    /// # Errors
    ///
    /// As [`decide`](Self::decide).
    pub fn execute<C: Command>(&self, command: C) -> Decide<C::Refusal> {
        let Handle { core, desk, consistency, .. } = &*self.handle;
        let name = command.name();
        Decide::new(core, desk.clone(), *consistency, name, Box::new(move |tx| command.decide(tx))).of::<C>()
    }

    /// Begins a reaction: a handler that is called with each event of type `E` (of all its variants, if it is an enum), once, in the order of
    /// the log, from where the reaction of this name has come, or, the first time, from where `since` says.
    ///
    /// It runs in a thread of its own, and its position is stored; see [`Reacting`] for what the handler can do and what holds then, and [`Reaction`] for
    /// what becomes of events that it cannot handle. The position belongs to the name: a handler of other events under it goes on from there.
    ///
    /// An event is handled once every live view shows it. A view that is being rebuilt does not answer meanwhile: a handler that reads it should begin after
    /// [`wait_ready`](Self::wait_ready).
    ///
    /// A reaction does not keep the engine open, but a clone of the engine that its handler holds does: then close the engine, or stop the reaction.
    /// Closing waits for the handler that is running; an event whose handler closes the engine itself is handled again at the next start.
    ///
    /// One that sends mail:
    ///
    /// ```
    /// use cqrs_core::prelude::*;
    /// # use std::sync::{Arc, Mutex};
    /// # use std::time::Duration;
    /// # #[derive(Clone, Default)]
    /// # struct Mailer(Arc<Mutex<Vec<String>>>);
    /// # impl Mailer {
    /// #     fn send(&self, to: &str) -> Result<(), std::io::Error> { Ok(self.0.lock().unwrap().push(to.into())) }
    /// # }
    ///
    /// #[event]
    /// pub struct Purchased { pub customer: String }
    ///
    /// let engine = Engine::in_memory().event::<Purchased>().start()?;
    /// let mailer = Mailer::default();
    /// # let sent = mailer.0.clone();
    /// let mail = engine.react::<Purchased>("mail", Since::Now, move |event| {
    ///     mailer.send(&event.customer)?; // Should it fail, it is tried again.
    ///     Ok(())
    /// })?;
    /// let receipt = engine.append(Purchased { customer: "ann".into() }).wait()?;
    /// assert_eq!(mail.wait_for(&receipt, Duration::from_secs(5)).wait()?, Reached::Reached);
    /// # assert_eq!(*sent.lock().unwrap(), ["ann"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// One that emits, each time exactly once, however often the program is stopped and started:
    ///
    /// ```
    /// use cqrs_core::prelude::*;
    /// # use std::time::Duration;
    ///
    /// #[event]
    /// pub struct Purchased { pub customer: String, pub qty: u32 }
    /// #[event]
    /// pub struct Rewarded { pub customer: String, pub points: u32 }
    ///
    /// #[projection(from = Rewarded, group_by = customer)]
    /// pub struct Points { pub customer: String, #[sum(points)] pub points: u64 }
    ///
    /// let engine = Engine::in_memory().event::<Purchased>().view::<Points>().start()?;
    /// let reward = engine.react::<Purchased>("reward", Since::Beginning, |event| {
    ///     event.emit(Rewarded { customer: event.customer.clone(), points: 10 * event.qty });
    ///     Ok(())
    /// })?;
    /// let receipt = engine.append(Purchased { customer: "ann".into(), qty: 2 }).wait()?;
    /// assert_eq!(reward.wait_for(&receipt, Duration::from_secs(5)).wait()?, Reached::Reached);
    /// assert_eq!(engine.view::<Points>().get("ann")?.unwrap().points, 20);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ReactError`].
    pub fn react<E: Event>(
        &self,
        name: &str,
        since: Since,
        handler: impl FnMut(&mut Reacting<E>) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
        + Send
        + 'static,
    ) -> Result<Reaction, ReactError> {
        self.react_with(name, since, ReactOptions::default(), handler)
    }

    /// The same, with other [options](ReactOptions) than the default's.
    ///
    /// # Errors
    ///
    /// As [`react`](Self::react).
    pub fn react_with<E: Event>(
        &self,
        name: &str,
        since: Since,
        options: ReactOptions,
        handler: impl FnMut(&mut Reacting<E>) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
        + Send
        + 'static,
    ) -> Result<Reaction, ReactError> {
        let Handle { core, desk, consistency, .. } = &*self.handle;
        reacting::begin(core, desk.clone(), *consistency, name, since, options, handler)
    }

    /// The reaction of this name, if one was begun since the engine started; one that has stopped, too.
    #[must_use]
    pub fn reaction(&self, name: &str) -> Option<Reaction> {
        Reaction::find(self.core(), name)
    }

    /// The events that a reaction has parked, by position; also where it does not run. See [`Reaction::parked`].
    ///
    /// # Errors
    ///
    /// [`StoreFailure`].
    pub fn parked(&self, name: &str) -> Result<Vec<ParkedEvent>, StoreFailure> {
        react::parked(self.core(), name)
    }

    /// The view whose rows are `P`.
    ///
    /// # Panics
    ///
    /// If the engine was not started with it; [`try_view`](Self::try_view) does not.
    #[must_use]
    #[track_caller]
    pub fn view<P: Projection>(&self) -> View<P> {
        match self.try_view() {
            Ok(view) => view,
            Err(error) => panic!("{error}"),
        }
    }

    /// The view whose rows are `P`.
    ///
    /// # Errors
    ///
    /// If the engine was not started with it.
    pub fn try_view<P: Projection>(&self) -> Result<View<P>, NoSuchView> {
        let number = self.core().number(std::any::TypeId::of::<P>(), P::RUST_NAME)?;
        Ok(View::new(self.core().clone(), number))
    }

    /// Looks at several views at one and the same position.
    ///
    /// Reads of [`View`]s, one after the other, may have a batch of events between them; those of a snapshot have not.
    ///
    /// ```
    /// use cqrs_core::prelude::*;
    ///
    /// #[event]
    /// pub struct Moved { pub from: String, pub to: String, pub amount: i64 }
    ///
    /// #[projection(from = Moved, group_by = (account = from))]
    /// pub struct Spent { pub account: String, #[sum] pub amount: i64 }
    ///
    /// #[projection(from = Moved, group_by = (account = to))]
    /// pub struct Got { pub account: String, #[sum] pub amount: i64 }
    ///
    /// let engine = Engine::in_memory().view::<Spent>().view::<Got>().start()?;
    /// engine.append(Moved { from: "ann".into(), to: "bob".into(), amount: 5 }).wait()?;
    /// let balance = engine.snapshot(|views| {
    ///     let got = views.get::<Got>("bob")?.map_or(0, |row| row.amount);
    ///     let spent = views.get::<Spent>("bob")?.map_or(0, |row| row.amount);
    ///     Ok::<i64, ReadError>(got - spent)
    /// })?;
    /// assert_eq!(balance, 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn snapshot<T>(&self, look: impl FnOnce(&Snapshot<'_>) -> T) -> T {
        look(&Snapshot::new(self.core()))
    }

    /// The recorded events of type `E` from position `from` on (1 is the first), then those that are appended later. See [`Events`].
    pub fn events<E: Event>(&self, from: u64) -> Events<E> {
        Events::new(self.core(), from)
    }

    /// Pipes a stream of events into the log, each once, whatever stops it and however often it is begun again: the offset of its last event is
    /// stored under the source's name, with the events, in one transaction.
    ///
    /// Items are pairs of offset and event, or what else is an [`IntoFeedItem`]; one that is an error ends the feed after what came before it. Offsets increase from item to item (a partitioned broker is one
    /// source a partition, e.g. `"orders/3"`). Those that are not beyond the stored offset are in the log and are passed over, so a
    /// source may be replayed from its start, or from where [`source`](Self::source) says. A file is fed through [`stream`].
    ///
    /// The answer comes when the stream has ended and all of it is appended, as an append would answer; see [`Feed`].
    ///
    /// ```
    /// use cqrs_core::{prelude::*, stream};
    ///
    /// #[event]
    /// pub struct Purchased { pub customer: String, pub qty: i32 }
    ///
    /// #[projection(from = Purchased, group_by = customer)]
    /// pub struct Purchases { pub customer: String, #[sum(qty)] pub qty: i64 }
    ///
    /// let engine = Engine::in_memory().view::<Purchases>().start()?;
    /// let purchased = |line: &str| -> Result<Purchased, Box<dyn std::error::Error>> {
    ///     let (customer, qty) = line.split_once(',').ok_or("a line has two fields")?;
    ///     Ok(Purchased { customer: customer.into(), qty: qty.parse()? })
    /// };
    /// // A line's number is its offset; what is wrong with a line ends the feed.
    /// let file = |text: &'static str| stream((1..).zip(text.lines().map(purchased)));
    ///
    /// let fed = engine.feed("purchases.csv", file("ann,2\nbob,1\n")).wait()?;
    /// assert_eq!((fed.offset, fed.appended, fed.passed_over), (Some(2), 2, 0));
    ///
    /// // The file has grown, and is read again from its start.
    /// let fed = engine.feed("purchases.csv", file("ann,2\nbob,1\nann,3\n")).wait()?;
    /// assert_eq!((fed.offset, fed.appended, fed.passed_over), (Some(3), 1, 2));
    /// assert_eq!(engine.view::<Purchases>().get("ann")?.unwrap().qty, 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`FeedError`](crate::FeedError).
    pub fn feed<S>(&self, source: &str, stream: S) -> Feed<S>
    where
        S: Stream<Item: IntoFeedItem>,
    {
        Feed::new(self.core(), self.handle.desk.clone(), self.handle.consistency, source, stream)
    }

    /// The offset of the last item of a source that is in the log, `None` where there is none: a consumer can seek to the one after it.
    ///
    /// # Errors
    ///
    /// [`StoreFailure`].
    pub fn source(&self, source: &str) -> Result<Option<u64>, StoreFailure> {
        self.core().source(source)
    }

    /// How far the reaction of this name has come, here or in an earlier process, as it is stored; `None` where none was ever begun under it, or it has saved nothing yet.
    ///
    /// For a reaction that is to go on where another was:
    ///
    /// ```
    /// use cqrs_core::prelude::*;
    /// # use std::time::Duration;
    /// # #[event]
    /// # pub struct Purchased { pub customer: String }
    ///
    /// # let engine = Engine::in_memory().event::<Purchased>().start()?;
    /// # let mails = engine.react::<Purchased>("mails", Since::Beginning, |_| Ok(()))?;
    /// # let receipt = engine.append(Purchased { customer: "ann".into() }).wait()?;
    /// # mails.wait_for(&receipt, Duration::from_secs(5)).wait()?;
    /// # mails.stop().wait();
    /// let since = engine.reaction_position("mails")?.map_or(Since::Beginning, Since::After);
    /// let letters = engine.react::<Purchased>("letters", since, |event| {
    ///     // ..
    /// #   assert!(event.position() > 1);
    ///     Ok(())
    /// })?;
    /// # assert_eq!((since, letters.position()), (Since::After(1), 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreFailure`].
    pub fn reaction_position(&self, name: &str) -> Result<Option<u64>, StoreFailure> {
        self.core().source(&reacting::source(name))
    }

    /// How the engine is doing: the log's end, and each view's position, lag, checkpoint, fault, rows and memory.
    #[must_use]
    pub fn health(&self) -> Health {
        self.core().health()
    }

    /// The graph of what runs here: which events go to which views and reactions, and what each is. To print, to draw, or to look at.
    ///
    /// ```
    /// use cqrs_core::prelude::*;
    ///
    /// #[event]
    /// pub struct Purchased { pub customer: String, pub qty: i32 }
    ///
    /// #[projection(from = Purchased, group_by = customer)]
    /// pub struct Customers { pub customer: String, #[sum(qty)] pub total_qty: i64 }
    ///
    /// let engine = Engine::in_memory().view::<Customers>().start()?;
    /// let described = engine.describe();
    /// assert_eq!(described.views[0].key, ["customer"]);
    /// println!("{described}"); // for a terminal
    /// let chart = described.mermaid(); // for a README
    /// assert!(chart.starts_with("flowchart LR\n") && chart.contains("e0 --> v0"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn describe(&self) -> Description {
        let core = self.core();
        Description { reactions: core.reactions.describe(), ..core.catalog.describe() }
    }

    /// Waits until no view is being rebuilt any more.
    ///
    /// # Errors
    ///
    /// [`NotReady::Faulted`] if a view has stopped; the others are ready then.
    pub fn wait_ready(&self) -> Wait<Result<(), NotReady>> {
        let core = self.core().clone();
        Wait::new(async move {
            let look = || {
                let published = core.published.load();
                if published.closed {
                    return Some(Err(NotReady::Closed));
                }
                let mut faults = Vec::new();
                for shown in &published.views {
                    match shown {
                        Shown::Live(_) => {}
                        Shown::Rebuilding(_) => return None,
                        Shown::Faulted(fault) => faults.push((**fault).clone()),
                    }
                }
                Some(if faults.is_empty() { Ok(()) } else { Err(NotReady::Faulted(faults)) })
            };
            core.folded.until(look).await
        })
    }

    /// Saves a checkpoint now, of every view that is not being rebuilt, and answers when it is saved.
    ///
    /// Checkpoints are saved by themselves; this is for before something that may not end well.
    ///
    /// # Errors
    ///
    /// [`StoreFailure`].
    pub fn checkpoint(&self) -> Wait<Result<(), StoreFailure>> {
        let core = self.core().clone();
        Wait::new(async move {
            let (to, answer) = reply();
            core.control(Control::Checkpoint(to));
            if core.published.load().closed {
                return Err(StoreFailure::Closed);
            }
            answer.await.unwrap_or(Err(StoreFailure::Closed))
        })
    }

    /// Folds the log anew into a view that has [parked](View::parked) events, now that what they failed at is mended, and into those it is folded with.
    /// Its old rows are read meanwhile; then the new ones take their places, between two batches, and subscribers are told what reads differently.
    ///
    /// With nothing parked it answers at once. What it did is stored with the next checkpoint, as everything that views do. A fix that the projection's fingerprint sees needs none of this: the view is rebuilt at the
    /// next start. This is for one that it does not see: a called function, a setting.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
    ///
    /// use cqrs_core::{Retried, prelude::*};
    ///
    /// #[event]
    /// pub struct Paid { pub customer: String, pub cents: i64, pub currency: String }
    ///
    /// static YEN: AtomicI64 = AtomicI64::new(0);
    ///
    /// fn in_euros(cents: i64, currency: &str) -> i64 {
    ///     match (currency, YEN.load(Relaxed)) {
    ///         ("EUR", _) => cents,
    ///         ("JPY", rate) if rate > 0 => cents / rate,
    ///         _ => panic!("no rate for {currency}"),
    ///     }
    /// }
    ///
    /// #[projection(from = Paid, group_by = customer, on_fault = park)]
    /// pub struct Revenue {
    ///     pub customer: String,
    ///     #[sum(in_euros(cents, currency))]
    ///     pub cents: i64,
    /// }
    ///
    /// let engine = Engine::in_memory().view::<Revenue>().start()?;
    /// let paid = |cents, currency: &str| Paid { customer: "ann".into(), cents, currency: currency.into() };
    /// engine.append_all([paid(500, "EUR"), paid(16_000, "JPY"), paid(100, "EUR")]).wait()?;
    /// let view = engine.view::<Revenue>();
    /// assert_eq!(view.get("ann")?.unwrap().cents, 600);
    /// assert_eq!(view.parked()?[0].position, 2);
    ///
    /// YEN.store(160, Relaxed);
    /// assert_eq!(engine.retry_parked::<Revenue>().wait()?, Retried { folded: 1, still_parked: 0 });
    /// assert_eq!(view.get("ann")?.unwrap().cents, 700);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`RefoldError`]; nothing has changed then.
    pub fn retry_parked<P: Projection>(&self) -> Wait<Result<Retried, RefoldError>> {
        let core = self.core().clone();
        Wait::new(async move {
            let view = core.number(std::any::TypeId::of::<P>(), P::RUST_NAME)?;
            if core.rows::<P>(&core.published.load(), view)?.parked.is_empty() {
                return Ok(Retried::default());
            }
            retry::retry(&core, view).await
        })
    }

    /// Copies the store into a folder, which must not exist or be empty, while the engine goes on: everything acknowledged before is in the copy.
    ///
    /// # Errors
    ///
    /// [`StoreFailure`].
    pub fn backup(&self, folder: impl Into<PathBuf>) -> Wait<Result<(), StoreFailure>> {
        let (core, folder) = (self.core().clone(), folder.into());
        Wait::new(async move {
            let (to, answer) = reply();
            {
                // Held until it is known of: closing takes the store first, and then waits for it.
                let store = lock(&core.store);
                let copied = store.clone().ok_or(StoreFailure::Closed)?;
                let copy = move || {
                    let _inside = Inside::enter();
                    let outcome = copied.backup(&folder).map_err(StoreFailure::from);
                    drop(copied);
                    to.send(outcome);
                };
                // Copying takes as long as it takes; whoever polls this is not held up.
                let thread = std::thread::Builder::new().name("cqrs-backup".into());
                let running = thread.spawn(copy).map_err(|error| {
                    let action = "starting a thread for the backup".to_owned();
                    StoreFailure::from(crate::store::StoreError::Io { action, source: Box::new(error) })
                })?;
                let mut backups = lock(&core.backups);
                backups.retain(|backup| !backup.is_finished());
                backups.push(running);
            }
            answer.await.unwrap_or(Err(StoreFailure::Closed))
        })
    }

    /// Closes the engine, for all its clones: reactions stop, what was appended before is answered, a last checkpoint is saved if it can be (a failure is logged and loses nothing: the next start folds what it lacks), backups that run are waited for, and the store is released. From then on
    /// appends and reads answer that it is closed. Closing it again answers the same. A decision cannot close: it would be waited for.
    ///
    /// # Errors
    ///
    /// [`StoreFailure::Store`] if the store could not be tidied up. Nothing durable is lost by that.
    pub fn close(&self) -> Wait<Result<(), StoreFailure>> {
        self.close_after(None)
    }

    /// Closes the engine as [`close`](Self::close) does, and waits no longer than this for the handlers of reactions that are running: an event whose handler returns later has
    /// not been handled, and is handled again at the next start. (All else takes its time: what was appended is answered, and backups are seen through.)
    ///
    /// For a program that is given so many seconds to end. One that is killed instead loses nothing that was acknowledged, either.
    ///
    /// # Errors
    ///
    /// As [`close`](Self::close).
    pub fn close_within(&self, patience: Duration) -> Wait<Result<(), StoreFailure>> {
        self.close_after(Some(patience))
    }

    fn close_after(&self, patience: Option<Duration>) -> Wait<Result<(), StoreFailure>> {
        let handle = self.handle.clone();
        Wait::new(async move {
            if is_deciding() {
                let (action, source) = ("closing the engine".to_owned(), "a decision closes nothing".into());
                return Err(crate::store::StoreError::Io { action, source }.into());
            }
            react::step_aside(&handle.core);
            handle.begin_close();
            let closed = closed(handle.closing.clone());
            let Some(patience) = patience else { return closed.await };
            let mut closed = std::pin::pin!(closed);
            if let Some(outcome) = within(&handle.core.timer, patience, closed.as_mut()).await {
                return outcome;
            }
            let reactions = handle.core.reactions.leave();
            if !reactions.is_empty() {
                tracing::warn!(?reactions, "the engine is closed without waiting for these handlers");
            }
            closed.await
        })
    }
}
