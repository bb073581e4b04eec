//! How far a reaction is, and how that is stored with what it has done.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::PASSING;
use crate::decide::{Decide, Tx};
use crate::engine::desk::Desk;
use crate::engine::encoded::EncodedEvents;
use crate::engine::request::{Consistency, NoteToKeep, Request, Step, answered, hand_over};
use crate::engine::shared::Core;
use crate::error::{AppendError, Refusal};
use crate::health::ReactionState;
use crate::meters;
use crate::react::{Inner, ParkedEvent, ReactOptions, parked_key};
use crate::receipt::Receipt;
use crate::sync::{block_on, reply};
use crate::table::brief;

/// How much is saved together at most, where more is ready at once: events, their bytes, and the time since the first was handled.
const EVENTS: usize = 256;
const BYTES: usize = 4 << 20;
const TIME: Duration = Duration::from_millis(100);

/// How far it goes on without an event of its type before that is saved.
const STRETCH: u64 = 65_536;

/// Why a reaction ends.
pub(super) enum Halt {
    /// It is to, or the engine is closed.
    Asked,
    Failed(String),
}

/// An event that was handled, or parked, and what is to be stored because of it.
pub(super) struct Done {
    pub(super) position: u64,
    pub(super) event: &'static str,
    pub(super) events: EncodedEvents,
    pub(super) note: Option<NoteToKeep>,
}

/// How far a reaction is, in the log's file and beyond.
pub(crate) struct Saver {
    pub(super) core: Arc<Core>,
    pub(super) desk: Arc<Desk>,
    pub(super) consistency: Consistency,
    pub(super) inner: Arc<Inner>,
    pub(super) options: ReactOptions,
    /// The name of its position among the sources.
    pub(super) source: Arc<str>,
    /// The position that is stored.
    pub(super) saved: Option<u64>,
    /// Everything up to here is done.
    pub(super) to: u64,
    /// What of it is not stored yet.
    pub(super) done: Vec<Done>,
    pub(super) bytes: usize,
    /// When the first of it was done.
    pub(super) since: Instant,
}

impl Saver {
    pub(crate) fn is_stopping(&self) -> bool {
        self.inner.is_to_stop()
    }

    /// What other things are known by that follow from the event at this position.
    pub(crate) fn id(&self, position: u64) -> String {
        format!("{}/{position}", self.source)
    }

    pub(crate) fn decide<R: Send + 'static>(
        &self,
        name: &'static str,
        decide: impl FnMut(&mut Tx) -> Result<(), R> + Send + 'static,
    ) -> Decide<R> {
        Decide::new(&self.core, Some(self.desk.clone()), self.consistency, name, Box::new(decide))
    }

    pub(super) fn add(&mut self, done: Done) {
        if self.done.is_empty() {
            self.since = Instant::now();
        }
        self.to = done.position;
        self.bytes += done.events.bytes();
        self.done.push(done);
    }

    pub(super) fn is_full(&self) -> bool {
        self.done.len() >= EVENTS || self.bytes >= BYTES || self.since.elapsed() >= TIME
    }

    /// Goes on to a position up to which nothing else is to be done; whether it is time to save.
    pub(super) fn pass(&mut self, to: u64) -> bool {
        self.to = self.to.max(to);
        if self.done.is_empty() {
            self.inner.reach(self.to);
        }
        !self.done.is_empty() || self.to - self.saved.unwrap_or(0) >= STRETCH
    }

    /// Stores something, and the position `to`: all of it, or nothing.
    pub(super) fn put(&self, done: &[Done], to: u64) -> Result<Receipt, AppendError> {
        let mut events = EncodedEvents::default();
        done.iter().for_each(|done| events.append(&done.events));
        let notes = done.iter().filter_map(|done| done.note.clone()).collect();
        // One at a time, so each is a first: where the position stands tells whether another engine has moved it.
        let step = Some(Box::new(Step { source: self.source.clone(), first: true, after: self.saved, to }));
        let (reply, answer) = reply();
        let request = Request { step, notes, ..Request::new(events, Consistency::Durable, reply) };
        block_on(async {
            hand_over(&self.desk, request, true).await;
            answered(answer).await
        })
    }

    /// Stores what is done, if it is not.
    pub(crate) fn try_save(&mut self) -> Result<(), AppendError> {
        if self.done.is_empty() && self.to == self.saved.unwrap_or(0) {
            return Ok(());
        }
        self.put(&self.done, self.to)?;
        let parked = self.done.iter().filter(|done| done.note.is_some()).count() as u64;
        self.inner.count_parked(|count| count + parked);
        meters::handled(&self.inner.name, self.done.len() - parked as usize);
        self.done.clear();
        self.bytes = 0;
        self.saved = Some(self.to);
        self.inner.reach(self.to);
        Ok(())
    }

    /// The same, again and again while the store fails.
    pub(super) fn save(&mut self) -> Result<(), Halt> {
        let mut failures = 0;
        loop {
            match self.try_save() {
                Ok(()) => break,
                Err(AppendError::NotAppended(Refusal::Store(error))) => {
                    failures += 1;
                    let reason = format!("what it has done cannot be stored: {error}");
                    self.store_later(self.to, failures, reason)?;
                }
                Err(AppendError::NotAppended(refusal @ Refusal::IdConflict { .. })) => {
                    self.save_singly(&refusal)?;
                    break;
                }
                Err(error) => return Err(self.halt(error)),
            }
        }
        if failures > 0 {
            self.inner.set_state(ReactionState::Running);
        }
        Ok(())
    }

    /// Where an event that was emitted has an id that is taken: parks the one it was emitted for.
    fn save_singly(&mut self, refusal: &Refusal) -> Result<(), Halt> {
        let (mut all, to) = (std::mem::take(&mut self.done), self.to);
        if let [done] = &mut all[..] {
            if done.events.is_empty() {
                return Err(Halt::Failed(refusal.to_string()));
            }
            done.events = EncodedEvents::default();
            done.note = Some(self.parked(done.position, done.event, 1, refusal.to_string()));
        } else {
            for done in all.drain(..) {
                self.to = done.position;
                self.done = vec![done];
                self.save()?;
            }
        }
        (self.done, self.to) = (all, to);
        self.save()
    }

    pub(super) fn parked(&self, position: u64, event: &str, attempts: u32, reason: String) -> NoteToKeep {
        let reason = brief(reason);
        tracing::warn!(
            reaction = self.inner.name,
            position,
            event,
            attempts,
            reason,
            "the reaction parks an event"
        );
        let event = event.to_owned();
        let parked = ParkedEvent { position, event, reason, attempts, at: (self.core.clock)() };
        (parked_key(&self.inner.name, position), Some(parked.note()))
    }

    /// Waits before something is tried again.
    pub(super) fn retry_later(&self, position: u64, attempt: u32, reason: String) -> Result<(), Halt> {
        self.pause(position, attempt, reason, self.options.after(attempt))
    }

    /// The same of what the store did not do: at a pace of its own, whatever a handler's is.
    pub(super) fn store_later(&self, position: u64, failures: u32, reason: String) -> Result<(), Halt> {
        let pace = ReactOptions::new().backoff(PASSING.0, PASSING.1);
        self.pause(position, failures, reason, pace.after(failures.saturating_add(1)))
    }

    pub(super) fn pause(
        &self,
        position: u64,
        attempt: u32,
        reason: String,
        pause: Duration,
    ) -> Result<(), Halt> {
        tracing::warn!(reaction = self.inner.name, position, attempt, reason, "it is tried again");
        self.inner.set_state(ReactionState::Retrying { position, attempt, reason });
        let stops = self.inner.pause(&self.core, pause);
        if stops { Err(Halt::Asked) } else { Ok(()) }
    }

    pub(super) fn halt(&self, error: AppendError) -> Halt {
        match error {
            AppendError::NotAppended(Refusal::Closed)
                if self.inner.is_to_stop() || self.core.reactions.closed() =>
            {
                Halt::Asked
            }
            AppendError::NotAppended(Refusal::SourceMoved { stored, .. }) => Halt::Failed(format!(
                "another engine runs this reaction, too, and has brought it to position {}",
                stored.unwrap_or(0)
            )),
            error => Halt::Failed(error.to_string()),
        }
    }
}
