//! Reactions: handlers of recorded events, each with a position of its own in the log's file.
//!
//! What a handler emits goes in with the move of its position, in one transaction, so a reaction that only emits happens exactly once. Whatever else it does is done at
//! least once: again after a crash, for the events since the position was last stored.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::codec;
use crate::decide::{Command, Decide};
use crate::describe::DescribedReaction;
use crate::engine::request::NewEvent;
use crate::engine::shared::Core;
use crate::error::{ReactError, RetryError, StoreFailure, WaitError};
use crate::event::{Metadata, RecordedEvent};
use crate::health::{ReactionHealth, ReactionState};
use crate::meters;
use crate::receipt::Receipt;
use crate::schema::Schema;
use crate::store::StoreError;
use crate::sync::{ReplyTo, Signal, Wait, block_on, lock, reply, within};
use crate::view::Reached;

/// Where a reaction begins the first time ever. Later it goes on from where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// With the log's first event.
    Beginning,
    /// With the first event that is appended after it was begun.
    Now,
}

/// How often a reaction tries to handle an event, and when.
///
/// ```
/// # use std::time::Duration;
/// # use cqrs_core::ReactOptions;
/// let options = ReactOptions::new().attempts(3).backoff(Duration::from_secs(1), Duration::from_secs(60));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "it is for `engine.react_with(..)`"]
pub struct ReactOptions {
    pub(crate) attempts: u32,
    first: Duration,
    most: Duration,
}

impl Default for ReactOptions {
    fn default() -> Self {
        Self { attempts: 8, first: Duration::from_millis(10), most: Duration::from_secs(10) }
    }
}

impl ReactOptions {
    /// The default: eight attempts, the first again after 10 milliseconds, each later one after twice as long, at most 10 seconds.
    pub fn new() -> Self {
        Self::default()
    }

    /// After how many attempts an event is [parked](Reaction::parked); at least one.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// How long it waits before the second attempt, and how long at most before a later one.
    pub fn backoff(mut self, first: Duration, most: Duration) -> Self {
        (self.first, self.most) = (first, most);
        self
    }

    /// How long to wait after so many attempts.
    pub(crate) fn after(&self, attempts: u32) -> Duration {
        let factor = 1_u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.most)
    }
}

/// An event that is being handled: it reads as the event itself, and takes what is to follow from it.
///
/// What is [emitted](Self::emit) is appended together with the move of the reaction's position, and a [command](Self::execute) is known by the event's position:
/// both happen exactly once, however often the handler is called. What it does otherwise, it does at least once: it is called again for an event
/// if it failed, and if the program ended before the position was stored. For another system that can tell repeats, [`position`](Self::position) says which
/// event it is.
pub struct Reacting<E> {
    pub(crate) recorded: RecordedEvent<E>,
    pub(crate) attempt: u32,
    pub(crate) emitted: Vec<NewEvent>,
    /// How many commands it has executed.
    pub(crate) executed: usize,
    pub(crate) way: Way,
}

/// What a handler needs of its reaction to decide commands.
pub(crate) type Way = Arc<Mutex<crate::engine::reacting::Saver>>;

impl<E: std::fmt::Debug> std::fmt::Debug for Reacting<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reacting")
            .field("recorded", &self.recorded)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

impl<E> Deref for Reacting<E> {
    type Target = E;
    fn deref(&self) -> &E {
        &self.recorded.event
    }
}

impl<E> Reacting<E> {
    /// The event.
    pub fn event(&self) -> &E {
        &self.recorded.event
    }

    /// Its place in the log.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.recorded.position
    }

    /// When the log recorded it.
    #[must_use]
    pub fn recorded_at(&self) -> Timestamp {
        self.recorded.recorded_at
    }

    /// Its id, if it was given one.
    #[must_use]
    pub fn event_id(&self) -> Option<&str> {
        self.recorded.event_id.as_deref()
    }

    /// What was appended with it.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.recorded.metadata
    }

    /// How often it is handled now, in this run of the program: 1 the first time. Attempts at a parked event are counted on.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Has an event appended once the handler has returned `Ok`; all of them in this order, or none.
    ///
    /// It bears the correlation id of the event that is handled, and its id as what caused it (or `@` and its position), unless it says otherwise; and an id
    /// made of the reaction's name and the position, unless it has its own.
    pub fn emit(&mut self, event: impl Into<NewEvent>) {
        self.emitted.push(event.into());
    }

    /// Decides a command; nothing happens before it is waited for. It has a key made of the reaction's name, the position, and how many the handler has executed
    /// before: where the handler is called again, the first receipt is the answer.
    ///
    /// It sees what earlier events had the reaction emit, and not what this one has. Where that cannot be stored, the command is not made, and answers why.
    ///
    /// ```
    /// # use cqrs_core::prelude::*;
    /// # use std::time::Duration;
    /// # #[event]
    /// # pub struct Ordered { pub item: String }
    /// # #[event]
    /// # pub struct Reserved { pub item: String }
    /// # #[projection(from = Reserved, group_by = item)]
    /// # pub struct Stock { pub item: String, #[count] pub reserved: u64 }
    /// pub struct Reserve { pub item: String }
    ///
    /// impl Command for Reserve {
    ///     type Refusal = &'static str;
    ///     fn decide(&self, tx: &mut Tx) -> Result<(), &'static str> {
    ///         if tx.get::<Stock>(&self.item).is_some_and(|stock| stock.reserved >= 2) {
    ///             return Err("there is none left");
    ///         }
    ///         tx.emit(Reserved { item: self.item.clone() });
    ///         Ok(())
    ///     }
    /// }
    ///
    /// # let engine = Engine::in_memory().event::<Ordered>().view::<Stock>().start()?;
    /// let orders = engine.react::<Ordered>("orders", Since::Beginning, |event| {
    ///     match event.execute(Reserve { item: event.item.clone() }).wait() {
    ///         Ok(_) | Err(DecideError::Refused(_)) => Ok(()),
    ///         Err(error) => Err(error.into()),
    ///     }
    /// })?;
    /// # let ordered = || Ordered { item: "hats".into() };
    /// # let receipt = engine.append_all([ordered(), ordered(), ordered()]).wait()?;
    /// # assert_eq!(orders.wait_for(&receipt, Duration::from_secs(5)).wait()?, Reached::Reached);
    /// # assert_eq!(engine.view::<Stock>().get("hats")?.unwrap().reserved, 2);
    /// # assert!(orders.parked()?.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn execute<C: Command>(&mut self, command: C) -> Decide<C::Refusal> {
        let call = self.executed;
        self.executed += 1;
        let mut saver = lock(&self.way);
        // What it would not see is tried again after this handler, and then the handler is.
        let unseen = saver.try_save().err();
        let id = format!("{}/{call}", saver.id(self.position()));
        let decide = saver.decide(command.name(), move |tx| command.decide(tx));
        decide.known_as(id, self.origin()).refused(unseen)
    }

    /// What says of other events that they follow from this one.
    pub(crate) fn origin(&self) -> Metadata {
        let RecordedEvent { position, event_id, metadata, .. } = &self.recorded;
        let id = event_id.clone().unwrap_or_else(|| format!("@{position}"));
        let correlation_id = metadata.correlation_id.clone().unwrap_or_else(|| id.clone());
        Metadata { correlation_id: Some(correlation_id), causation_id: Some(id), ..Metadata::default() }
    }
}

/// An event that a reaction could not handle, and has set aside. See [`Reaction::parked`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParkedEvent {
    /// Its place in the log.
    pub position: u64,
    /// The stored name of its type.
    pub event: String,
    /// Why it failed the last time.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it failed the last time.
    pub at: Timestamp,
}

/// As it is stored.
#[derive(Serialize, Deserialize)]
#[serde(crate = "serde")]
struct ParkedNote {
    event: String,
    reason: String,
    attempts: u32,
    at: Timestamp,
}

/// The key of the note of a parked event.
pub(crate) fn parked_key(name: &str, position: u64) -> String {
    format!("{}{position:020}", parked_prefix(name))
}

/// What the keys of all notes of events that a reaction has parked begin with. No name has a slash.
fn parked_prefix(name: &str) -> String {
    format!("parked/{name}/")
}

impl ParkedEvent {
    pub(crate) fn note(&self) -> Vec<u8> {
        let Self { event, reason, attempts, at, .. } = self.clone();
        let mut bytes = Vec::new();
        // It consists of texts and numbers.
        let _ = codec::encode("parked", &ParkedNote { event, reason, attempts, at }, &mut bytes);
        bytes
    }

    fn read(key: &str, position: u64, note: &[u8]) -> Result<Self, StoreError> {
        match codec::decode(note) {
            Ok(ParkedNote { event, reason, attempts, at }) => {
                Ok(Self { position, event, reason, attempts, at })
            }
            Err(error) => {
                let what = format!("the note `{key}` is no parked event: {error}");
                let remedy = "It was written by another version of this library".into();
                Err(StoreError::Corrupt { file: "events.db".into(), what, remedy })
            }
        }
    }
}

/// What a reaction has parked, by position.
pub(crate) fn parked(core: &Core, name: &str) -> Result<Vec<ParkedEvent>, StoreFailure> {
    let prefix = parked_prefix(name);
    let mut parked = Vec::new();
    core.reader()?.notes(&prefix, &mut |key, note| {
        let position = key[prefix.len()..].parse();
        parked.extend(position.ok().map(|position| ParkedEvent::read(key, position, note)));
        true
    })?;
    Ok(parked.into_iter().collect::<Result<_, _>>()?)
}

/// How many events a reaction has parked.
pub(crate) fn count_parked(core: &Core, name: &str) -> Result<u64, StoreFailure> {
    let (prefix, mut count) = (parked_prefix(name), 0);
    core.reader()?.notes(&prefix, &mut |_, _| {
        count += 1;
        true
    })?;
    Ok(count)
}

/// The parked event of a position.
pub(crate) fn parked_at(core: &Core, name: &str, position: u64) -> Result<Option<ParkedEvent>, StoreFailure> {
    let key = parked_key(name, position);
    let note = core.reader()?.note(&key)?;
    Ok(note.map(|note| ParkedEvent::read(&key, position, &note)).transpose()?)
}

/// All reactions that were begun, by name.
#[derive(Default)]
pub(crate) struct Reactions(Mutex<Begun>);

#[derive(Default)]
struct Begun {
    closed: bool,
    reactions: BTreeMap<String, Arc<Inner>>,
}

impl Reactions {
    /// Takes one in that is about to run.
    pub(crate) fn begin(&self, name: &str, handles: &'static [Schema]) -> Result<Arc<Inner>, ReactError> {
        let mut begun = lock(&self.0);
        if begun.closed {
            return Err(ReactError::Closed);
        }
        if begun.reactions.get(name).is_some_and(|running| !lock(&running.now).ended) {
            return Err(ReactError::InUse { name: name.to_owned() });
        }
        let inner = Arc::new(Inner::new(name, handles));
        begun.reactions.insert(name.to_owned(), inner.clone());
        Ok(inner)
    }

    /// Forgets one that did not come to run; not another that was begun under its name meanwhile.
    pub(crate) fn forget(&self, inner: &Arc<Inner>) {
        let mut begun = lock(&self.0);
        if begun.reactions.get(&inner.name).is_some_and(|known| Arc::ptr_eq(known, inner)) {
            begun.reactions.remove(&inner.name);
        }
    }

    pub(crate) fn closed(&self) -> bool {
        lock(&self.0).closed
    }

    /// Takes no more of them, stops those that run, and waits until their handlers have returned; but not for one that waits for this itself.
    pub(crate) fn close(&self) {
        let all: Vec<Arc<Inner>> = {
            let mut begun = lock(&self.0);
            begun.closed = true;
            begun.reactions.values().for_each(|inner| inner.ask_to_stop());
            begun.reactions.values().cloned().collect()
        };
        for inner in all {
            block_on(inner.moved.until(|| {
                let now = lock(&inner.now);
                (now.ended || now.aside).then_some(())
            }));
        }
    }

    /// Those that run.
    pub(crate) fn describe(&self) -> Vec<DescribedReaction> {
        let begun = lock(&self.0);
        let running = begun.reactions.values().filter(|inner| !lock(&inner.now).ended);
        running.map(|inner| DescribedReaction::of(&inner.name, inner.handles)).collect()
    }

    pub(crate) fn health(&self, head: u64) -> Vec<ReactionHealth> {
        let begun = lock(&self.0);
        let health = begun.reactions.values().map(|inner| {
            let (position, now) = (inner.position(), lock(&inner.now));
            ReactionHealth {
                name: inner.name.clone(),
                position,
                lag: head.saturating_sub(position),
                parked: now.parked,
                state: now.state.clone(),
            }
        });
        health.collect()
    }
}

/// What a reaction's thread and its handles share.
pub(crate) struct Inner {
    pub(crate) name: String,
    /// The types of its events.
    handles: &'static [Schema],
    /// Everything up to here is handled, and that is stored.
    position: AtomicU64,
    now: Mutex<Now>,
    /// Something is asked of the thread.
    pub(crate) asked: Signal,
    /// The position moved, or the state.
    moved: Signal,
}

struct Now {
    state: ReactionState,
    parked: u64,
    retries: VecDeque<Retry>,
    stop: bool,
    /// Whether its handler closes the engine, and is not to be waited for.
    aside: bool,
    ended: bool,
}

/// Parked events that are to be handled once more.
pub(crate) enum Retry {
    One(u64, ReplyTo<Result<(), RetryError>>),
    All(ReplyTo<Result<Vec<ParkedEvent>, RetryError>>),
}

impl Inner {
    fn new(name: &str, handles: &'static [Schema]) -> Self {
        let now = Now {
            state: ReactionState::Running,
            parked: 0,
            retries: VecDeque::new(),
            stop: false,
            aside: false,
            ended: false,
        };
        Self {
            name: name.to_owned(),
            handles,
            position: AtomicU64::new(0),
            now: Mutex::new(now),
            asked: Signal::default(),
            moved: Signal::default(),
        }
    }

    pub(crate) fn position(&self) -> u64 {
        self.position.load(Ordering::Acquire)
    }

    pub(crate) fn reach(&self, position: u64) {
        if self.position.swap(position, Ordering::AcqRel) != position {
            self.moved.notify();
        }
    }

    pub(crate) fn count_parked(&self, count: impl FnOnce(u64) -> u64) {
        let mut now = lock(&self.now);
        now.parked = count(now.parked);
        meters::parked(&self.name, now.parked);
    }

    pub(crate) fn set_state(&self, state: ReactionState) {
        lock(&self.now).state = state;
        self.moved.notify();
    }

    fn ask_to_stop(&self) {
        lock(&self.now).stop = true;
        self.asked.notify();
    }

    pub(crate) fn is_to_stop(&self) -> bool {
        lock(&self.now).stop
    }

    pub(crate) fn next_retry(&self) -> Option<Retry> {
        lock(&self.now).retries.pop_front()
    }

    /// Waits so long, or until it is to stop, and says which.
    pub(crate) fn pause(&self, core: &Core, time: Duration) -> bool {
        let stop = self.asked.until(|| self.is_to_stop().then_some(()));
        block_on(within(&core.timer, time, stop)).is_some()
    }

    pub(crate) fn end(&self, reason: String) {
        let retries = {
            let mut now = lock(&self.now);
            now.state = ReactionState::Stopped { reason };
            now.ended = true;
            std::mem::take(&mut now.retries)
        };
        drop(retries);
        self.moved.notify();
    }

    fn why_stopped(&self) -> Option<String> {
        let now = lock(&self.now);
        match &now.state {
            ReactionState::Stopped { reason } if now.ended => Some(reason.clone()),
            _ => None,
        }
    }

    /// Has the thread do it; `None` if it has stopped.
    fn ask(&self, retry: Retry) -> Option<()> {
        let mut now = lock(&self.now);
        if now.ended {
            return None;
        }
        now.retries.push_back(retry);
        drop(now);
        self.asked.notify();
        Some(())
    }

    fn stopped(&self) -> RetryError {
        let reason = self.why_stopped().unwrap_or_else(|| "it stops".into());
        RetryError::Stopped { name: self.name.clone(), reason }
    }
}

thread_local! {
    static REACTING: RefCell<Option<(Arc<Core>, Arc<Inner>)>> = const { RefCell::new(None) };
}

/// While this lives, its thread is a reaction's.
pub(crate) struct Within(());

impl Within {
    pub(crate) fn enter(core: &Arc<Core>, inner: &Arc<Inner>) -> Self {
        REACTING.set(Some((core.clone(), inner.clone())));
        Self(())
    }
}

impl Drop for Within {
    fn drop(&mut self) {
        drop(REACTING.take());
    }
}

/// What is asked of the reaction whose thread this is. A thread that is ending is none's.
fn own<T>(ask: impl FnOnce(&Arc<Core>, &Arc<Inner>) -> Option<T>) -> Option<T> {
    let asked = REACTING.try_with(|own| own.borrow().as_ref().and_then(|(core, inner)| ask(core, inner)));
    asked.ok().flatten()
}

/// Whether this thread is a reaction's of this engine; which is not waited for any more then, as it waits itself.
pub(crate) fn step_aside(core: &Arc<Core>) -> bool {
    let own = own(|own, inner| Arc::ptr_eq(own, core).then(|| inner.clone()));
    if let Some(inner) = &own {
        lock(&inner.now).aside = true;
        inner.moved.notify();
    }
    own.is_some()
}

/// Whether this thread is this reaction's.
fn is_within(inner: &Arc<Inner>) -> bool {
    own(|_, own| Arc::ptr_eq(own, inner).then_some(())).is_some()
}

/// A reaction that was begun. Cheap to clone; dropping it stops nothing.
///
/// An event whose handler fails (it returns an error or panics, or what it emits cannot be appended) is tried again, after longer and longer
/// pauses, while the events after it wait; nothing else does. After a number of [attempts](ReactOptions::attempts) it is parked: set aside, with the reason, to be
/// looked at and [retried](Self::retry); and the reaction goes on. Parked events are kept in the log's file.
///
/// ```
/// use cqrs_core::{ReactOptions, prelude::*};
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use std::time::Duration;
///
/// #[event]
/// pub struct Purchased { pub customer: String }
///
/// let engine = Engine::in_memory().event::<Purchased>().start()?;
/// let down = Arc::new(AtomicBool::new(true));
/// let server = down.clone();
/// let options = ReactOptions::new().attempts(2);
/// let mail = engine.react_with::<Purchased>("mail", Since::Beginning, options, move |_| {
///     if server.load(Ordering::SeqCst) { Err("the server is down".into()) } else { Ok(()) }
/// })?;
/// let receipt = engine.append(Purchased { customer: "ann".into() }).wait()?;
/// assert_eq!(mail.wait_for(&receipt, Duration::from_secs(5)).wait()?, Reached::Reached);
///
/// let parked = mail.parked()?;
/// assert_eq!((parked[0].position, &*parked[0].reason), (1, "the server is down"));
/// down.store(false, Ordering::SeqCst);
/// mail.retry(1).wait()?;
/// assert!(mail.parked()?.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Reaction {
    core: Arc<Core>,
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Reaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reaction")
            .field("name", &self.inner.name)
            .field("position", &self.position())
            .finish_non_exhaustive()
    }
}

impl Reaction {
    pub(crate) fn new(core: &Arc<Core>, inner: Arc<Inner>) -> Self {
        Self { core: core.clone(), inner }
    }

    pub(crate) fn find(core: &Arc<Core>, name: &str) -> Option<Self> {
        let inner = lock(&core.reactions.0).reactions.get(name).cloned()?;
        Some(Self::new(core, inner))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Everything up to this event is handled, or parked, and what that emitted is durable.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.inner.position()
    }

    /// The events that it could not handle, by position.
    ///
    /// # Errors
    ///
    /// [`StoreFailure`].
    pub fn parked(&self) -> Result<Vec<ParkedEvent>, StoreFailure> {
        parked(&self.core, &self.inner.name)
    }

    /// Handles a parked event once more, between two others. If that works, what it emits is appended, and it is parked no longer; else what is said of it
    /// is brought up to date.
    ///
    /// # Errors
    ///
    /// [`RetryError`].
    pub fn retry(&self, position: u64) -> Wait<Result<(), RetryError>> {
        self.ask(move |reply| Retry::One(position, reply))
    }

    /// Handles each parked event once more, as [`retry`](Self::retry) does, in their order; answers those that are still parked.
    ///
    /// # Errors
    ///
    /// [`RetryError`], but [`Failed`](RetryError::Failed).
    pub fn retry_all(&self) -> Wait<Result<Vec<ParkedEvent>, RetryError>> {
        self.ask(Retry::All)
    }

    fn ask<T: Send + 'static>(
        &self,
        retry: impl FnOnce(ReplyTo<Result<T, RetryError>>) -> Retry + Send + 'static,
    ) -> Wait<Result<T, RetryError>> {
        let inner = self.inner.clone();
        Wait::new(async move {
            if is_within(&inner) {
                return Err(RetryError::Reacting);
            }
            let (to, answer) = reply();
            inner.ask(retry(to)).ok_or_else(|| inner.stopped())?;
            answer.await.unwrap_or_else(|| Err(inner.stopped()))
        })
    }

    /// Waits until the events of a receipt are handled (or parked), and views show what that emitted; for at most this long.
    ///
    /// # Errors
    ///
    /// [`WaitError`].
    pub fn wait_for(&self, receipt: &Receipt, timeout: Duration) -> Wait<Result<Reached, WaitError>> {
        let (core, inner, receipt) = (self.core.clone(), self.inner.clone(), *receipt);
        Wait::new(async move {
            if receipt.store != core.store_id {
                return Err(WaitError::OtherLog { expected: core.store_id, found: receipt.store });
            }
            let look = || {
                // The end is looked at first: it comes after the last move.
                let stopped = inner.why_stopped();
                if inner.position() >= receipt.last {
                    return Some(Ok(()));
                }
                let reason = stopped?;
                if core.reactions.closed() {
                    return Some(Err(WaitError::Closed));
                }
                Some(Err(WaitError::Stopped { name: inner.name.clone(), reason }))
            };
            let reached = async {
                inner.moved.until(look).await?;
                core.shown(core.head()).await;
                Ok(Reached::Reached)
            };
            within(&core.timer, timeout, reached).await.unwrap_or_else(|| {
                Ok(Reached::TimedOut { behind: receipt.last.saturating_sub(inner.position()) })
            })
        })
    }

    /// Stops it, once the handler that is running has returned; what was handled is stored. It can be begun again under its name, and goes on from there.
    ///
    /// Its own handler may ask for it, and does not wait then.
    pub fn stop(&self) -> Wait<()> {
        let inner = self.inner.clone();
        Wait::new(async move {
            inner.ask_to_stop();
            if !is_within(&inner) {
                inner.moved.until(|| lock(&inner.now).ended.then_some(())).await;
            }
        })
    }
}
