//! Reactions: handlers of recorded events, each with a position of its own in the log's file.
//!
//! What a handler emits goes in with the move of its position, in one transaction, so a reaction that only emits happens exactly once. Whatever else it does is done at
//! least once: again after a crash, for the events since the position was last stored.

mod parked;
mod reacting;
mod running;

use std::sync::Arc;
use std::time::Duration;

pub use self::parked::ParkedEvent;
pub(crate) use self::parked::{count_parked, parked, parked_at, parked_key};
pub use self::reacting::{Park, Reacting};
use self::running::is_within;
pub(crate) use self::running::{Inner, Reactions, Retry, Said, Within, note, step_aside, take_said};
use crate::decide::is_deciding;
use crate::engine::shared::Core;
use crate::error::{RetryError, StoreFailure, WaitError};
use crate::receipt::Receipt;
use crate::sync::{ReplyTo, Wait, reply, within};
use crate::view::Reached;

/// Where a reaction begins the first time ever. Later it goes on from where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Since {
    /// With the log's first event.
    Beginning,
    /// With the first event that is appended after it was begun.
    Now,
    /// With the first event after this position: that of [another reaction](crate::Engine::reaction_position), say, in whose place it comes.
    After(u64),
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
        Self { attempts: 16, first: Duration::from_millis(10), most: Duration::from_secs(10) }
    }
}

impl ReactOptions {
    /// The default: sixteen attempts, the second 10 milliseconds after the first, each later one after twice as long, at most 10 seconds: a minute in all.
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

/// A reaction that was begun. Cheap to clone; dropping it stops nothing.
///
/// An event whose handler fails (it returns an error or panics) is tried again, after longer and longer
/// pauses, while the events after it wait; nothing else does. After a number of [attempts](ReactOptions::attempts) it is parked: set aside, with the reason, to be
/// looked at and [retried](Self::retry), or [given up](Self::discard); and the reaction goes on. A handler that knows better parks an event at once, by [`Park`], and so does what can never be appended of what it emits; and where it
/// fails because a view that it reads is being rebuilt, or the store takes nothing, it is called again when that may have passed; where a view has stopped, not before that is
/// mended; and no attempt is counted. (That is known by the error that it returns: it is that of the view, has it as a source, or says what it says.) Parked events are kept in the log's file.
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
        core.reactions.find(name).map(|inner| Self::new(core, inner))
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

    /// Gives a parked event up: it is parked no longer, and is not handled. What it says is in the log as ever.
    ///
    /// # Errors
    ///
    /// [`RetryError`], but [`Failed`](RetryError::Failed).
    pub fn discard(&self, position: u64) -> Wait<Result<(), RetryError>> {
        self.ask(move |reply| Retry::Discard(position, reply))
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
            if is_deciding() {
                return Err(RetryError::Deciding);
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

    /// Stops it, once the handler that is running has returned; what was handled is stored, if the store takes it (else it is handled again, and
    /// [`health`](crate::Engine::health) says so). It can be begun again under its name, and goes on from there.
    ///
    /// Its own handler may ask for it, and does not wait then; nor does a decision.
    pub fn stop(&self) -> Wait<()> {
        let inner = self.inner.clone();
        Wait::new(async move {
            inner.ask_to_stop();
            if !is_within(&inner) && !is_deciding() {
                inner.moved.until(|| inner.has_ended().then_some(())).await;
            }
        })
    }
}
