//! What a reaction's thread shares with those who ask for it, and which reactions there are.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::ParkedEvent;
use crate::describe::DescribedReaction;
use crate::engine::shared::Core;
use crate::error::{ReactError, ReadError, RetryError};
use crate::health::{ReactionHealth, ReactionState};
use crate::meters;
use crate::schema::Schema;
use crate::sync::{ReplyTo, Signal, block_on, lock, within};

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

    /// The one of this name, if one was begun.
    pub(super) fn find(&self, name: &str) -> Option<Arc<Inner>> {
        lock(&self.0).reactions.get(name).cloned()
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

    /// Has those that still run not be waited for any more; who they are.
    pub(crate) fn leave(&self) -> Vec<String> {
        let begun = lock(&self.0);
        let running = begun.reactions.values().filter(|inner| {
            let mut now = lock(&inner.now);
            !now.ended && !std::mem::replace(&mut now.aside, true)
        });
        let left: Vec<_> = running.cloned().collect();
        left.iter().for_each(|inner| inner.moved.notify());
        left.iter().map(|inner| inner.name.clone()).collect()
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
    pub(super) moved: Signal,
}

struct Now {
    state: ReactionState,
    parked: u64,
    retries: VecDeque<Retry>,
    stop: bool,
    /// Whether its handler is not waited for by who closes the engine: it closes it itself, or has taken too long.
    aside: bool,
    ended: bool,
}

/// Parked events that are to be handled once more.
pub(crate) enum Retry {
    One(u64, ReplyTo<Result<(), RetryError>>),
    All(ReplyTo<Result<Vec<ParkedEvent>, RetryError>>),
    /// This one is given up.
    Discard(u64, ReplyTo<Result<(), RetryError>>),
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
            meters::reached(&self.name, position);
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

    /// What fails, and is tried again.
    pub(crate) fn failing(&self) -> Option<String> {
        match &lock(&self.now).state {
            ReactionState::Retrying { reason, .. } => Some(reason.clone()),
            _ => None,
        }
    }

    pub(super) fn ask_to_stop(&self) {
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

    pub(super) fn has_ended(&self) -> bool {
        lock(&self.now).ended
    }

    pub(super) fn why_stopped(&self) -> Option<String> {
        let now = lock(&self.now);
        match &now.state {
            ReactionState::Stopped { reason } if now.ended => Some(reason.clone()),
            _ => None,
        }
    }

    /// Has the thread do it; `None` if it has stopped.
    pub(super) fn ask(&self, retry: Retry) -> Option<()> {
        let mut now = lock(&self.now);
        if now.ended {
            return None;
        }
        now.retries.push_back(retry);
        drop(now);
        self.asked.notify();
        Some(())
    }

    pub(super) fn stopped(&self) -> RetryError {
        let reason = self.why_stopped().unwrap_or_else(|| "it stops".into());
        RetryError::Stopped { name: self.name.clone(), reason }
    }
}

thread_local! {
    static REACTING: RefCell<Option<(Arc<Core>, Arc<Inner>)>> = const { RefCell::new(None) };
    static SAID: RefCell<Vec<Said>> = const { RefCell::new(Vec::new()) };
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

/// Something that a handler was told, or has made, from which it may have made its error.
pub(crate) enum Said {
    /// The reason for which an event is to be parked.
    Park(String),
    /// Why a view does not answer.
    Unread(ReadError),
}

/// How much of it is kept.
const MOST_SAID: usize = 16;

/// Notes it, where this thread is a reaction's.
pub(crate) fn note(said: impl FnOnce() -> Said) {
    let within = own(|_, _| Some(())).is_some();
    if within {
        SAID.with_borrow_mut(|all| {
            if all.len() == MOST_SAID {
                all.remove(0);
            }
            all.push(said());
        });
    }
}

/// Takes what was noted since the last time.
pub(crate) fn take_said() -> Vec<Said> {
    SAID.take()
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
pub(super) fn is_within(inner: &Arc<Inner>) -> bool {
    own(|_, own| Arc::ptr_eq(own, inner).then_some(())).is_some()
}
