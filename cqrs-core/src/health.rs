//! How an engine is doing.

use std::time::Duration;

use crate::projection::Fault;

/// How an engine is doing, at the moment it was asked.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Health {
    /// The position of the last durable event; 0 in an empty log.
    pub position: u64,
    /// Whether the store was opened read-only.
    pub read_only: bool,
    /// Whether the engine has been closed.
    pub closed: bool,
    /// Why the store did not take the last events that came to it, until it takes some. A full disk passes.
    pub append_failure: Option<String>,
    /// Whether no append succeeds any more until the store is closed and opened anew: the program is to be restarted.
    pub needs_reopen: bool,
    /// Why the last checkpoint could not be saved, until every view is saved whole again. It is tried again; appends and reads go on.
    pub checkpoint_failure: Option<String>,
    /// What went wrong in the engine's own threads, if anything did: after it no append succeeds, or no view goes on, or no checkpoint is saved; it says which.
    pub broken: Option<String>,
    /// Each view, in the order of registration.
    pub views: Vec<ViewHealth>,
    /// Each reaction that was begun, by name; those that have stopped, too.
    pub reactions: Vec<ReactionHealth>,
}

impl Health {
    /// Whether the program is to be restarted: the engine has been closed, its log [has to be reopened](Self::needs_reopen), one of its threads is [broken](Self::broken), or a view has
    /// stopped and [not by an event](Fault::is_of_an_event). What a liveness probe asks.
    ///
    /// A view that is being rebuilt is no reason (a rebuild that is interrupted begins anew), nor is one that an event has stopped (it would stop again).
    #[must_use]
    pub fn needs_restart(&self) -> bool {
        let stopped =
            |view: &ViewHealth| matches!(&view.state, ViewState::Faulted(fault) if !fault.is_of_an_event());
        self.closed || self.needs_reopen || self.broken.is_some() || self.views.iter().any(stopped)
    }

    /// Whether no view is being rebuilt, and nothing [asks for a restart](Self::needs_restart). What a readiness probe asks.
    ///
    /// A view that an event has stopped does not change that: the others answer, and it goes on saying why it does not.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let rebuilding = |view: &ViewHealth| matches!(view.state, ViewState::Rebuilding { .. });
        !self.needs_restart() && !self.views.iter().any(rebuilding)
    }
}

/// How a view is doing.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ViewHealth {
    /// The projection's stored name: that of its SQL view.
    pub name: &'static str,
    /// The projection's Rust name.
    pub projection: &'static str,
    /// Whether it answers.
    pub state: ViewState,
    /// The last event it has folded.
    pub position: u64,
    /// How many events of the log it has not folded yet.
    pub lag: u64,
    /// How many rows it has, those hidden from readers included.
    pub rows: u64,
    /// How often an event came too late for its window, and was not folded.
    pub late: u64,
    /// How many events it has parked: [`View::parked`](crate::View::parked) lists them.
    pub parked: usize,
    /// Bytes in memory: index, keys and states, both copies where there are two.
    pub memory: usize,
    /// The last checkpoint, if there is one.
    pub checkpoint: Option<CheckpointHealth>,
}

/// Whether a view answers.
#[derive(Clone, Debug, PartialEq)]
pub enum ViewState {
    /// It follows the log.
    Live,
    /// It is being rebuilt from the log: `position` of `head` events are folded.
    Rebuilding {
        /// How far it is.
        position: u64,
        /// Where the log ends.
        head: u64,
    },
    /// It has stopped.
    Faulted(Fault),
}

/// A view's last checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointHealth {
    /// The event that it stands at.
    pub position: u64,
    /// How long ago it was saved; for one that an earlier process saved, since this one loaded it.
    pub age: Duration,
}

/// How a reaction is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReactionHealth {
    /// Its name.
    pub name: String,
    /// Everything up to this event is handled, or parked.
    pub position: u64,
    /// How many events of the log it has not looked at yet.
    pub lag: u64,
    /// How many events are [parked](crate::Reaction::parked).
    pub parked: u64,
    /// Whether it goes on.
    pub state: ReactionState,
}

/// Whether a reaction goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReactionState {
    /// It handles events, or waits for them.
    Running,
    /// Something fails, and is tried again before it goes on: the handler of an event, or what the reaction reads or stores.
    Retrying {
        /// The event.
        position: u64,
        /// How often it was tried.
        attempt: u32,
        /// Why it failed.
        reason: String,
    },
    /// It has stopped. What it has handled is stored, unless the reason says otherwise.
    Stopped {
        /// Why.
        reason: String,
    },
}
