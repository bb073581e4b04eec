//! A reaction's thread: it reads the log, has events handled, and saves how far it is.

mod failure;
mod saver;

use std::convert::Infallible;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_core::Stream;

use self::failure::{Failure, Then};
pub(crate) use self::saver::Saver;
use self::saver::{Done, Halt};
use super::desk::Desk;
use super::encoded::EncodedEvents;
use super::events::Events;
use super::request::{Consistency, encode};
use super::shared::Core;
use crate::decide::is_deciding;
use crate::error::{AppendError, EventsError, ReactError, Refusal, RetryError, StoreFailure};
use crate::event::{Event, RecordedEvent};
use crate::health::ReactionState;
use crate::meters;
use crate::projection::Fault;
use crate::react::{
    self, Inner, ParkedEvent, ReactOptions, Reacting, Reaction, Retry, Since, Within, parked_at, parked_key,
};
use crate::sync::{block_on, lock};
use crate::table::{brief, said};

/// How long it waits at least, and at most, before it looks again whether what is nobody's fault has passed: a view that is being rebuilt, a store that fails.
const PASSING: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// What handlers answer.
type Handled = Result<(), Box<dyn Error + Send + Sync>>;

/// Ends the reaction, however its thread ends.
struct Ending {
    core: Arc<Core>,
    inner: Arc<Inner>,
    reason: Option<String>,
}

impl Ending {
    fn because(mut self, reason: String) {
        self.reason = Some(reason);
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let reason = self.reason.take().unwrap_or_else(|| "its thread panicked".into());
        tracing::info!(
            reaction = self.inner.name,
            position = self.inner.position(),
            reason,
            "a reaction ends"
        );
        meters::stopped(&self.inner.name, true);
        self.inner.end(reason);
    }
}

/// The name of a reaction's position among the sources.
pub(crate) fn source(name: &str) -> String {
    format!("@react/{name}")
}

/// Begins a reaction.
pub(crate) fn begin<E: Event>(
    core: &Arc<Core>,
    desk: Option<Arc<Desk>>,
    consistency: Consistency,
    name: &str,
    since: Since,
    options: ReactOptions,
    handler: impl FnMut(&mut Reacting<E>) -> Handled + Send + 'static,
) -> Result<Reaction, ReactError> {
    if name.is_empty() || name.contains(|c: char| c == '/' || c.is_control()) {
        return Err(ReactError::Name { name: name.to_owned() });
    }
    if is_deciding() {
        return Err(ReactError::Deciding);
    }
    if let Some(unknown) = E::TYPES.iter().find(|schema| core.catalog.appended(schema).is_none()) {
        return Err(ReactError::Unregistered { name: unknown.name, rust: unknown.rust });
    }
    let desk = desk.ok_or(ReactError::ReadOnly)?;
    let inner = core.reactions.begin(name, E::TYPES)?;
    let ending = Ending { core: core.clone(), inner: inner.clone(), reason: Some("it did not begin".into()) };
    let saver = Saver {
        core: core.clone(),
        desk,
        consistency,
        inner: inner.clone(),
        options,
        source: source(name).into(),
        saved: None,
        to: 0,
        done: Vec::new(),
        bytes: 0,
        since: Instant::now(),
    };
    let begun = run_from(saver, since, handler, ending);
    if begun.is_err() {
        core.reactions.forget(&inner);
    }
    begun.map(|()| Reaction::new(core, inner))
}

/// Finds where it begins, and starts its thread there.
fn run_from<E: Event>(
    mut saver: Saver,
    since: Since,
    handler: impl FnMut(&mut Reacting<E>) -> Handled + Send + 'static,
    mut ending: Ending,
) -> Result<(), ReactError> {
    let (core, inner) = (saver.core.clone(), saver.inner.clone());
    let failed = |failure| match failure {
        StoreFailure::Closed => ReactError::Closed,
        failure => ReactError::Store { name: inner.name.clone(), failure },
    };
    saver.saved = core.source(&saver.source).map_err(failed)?;
    let parked = react::count_parked(&core, &inner.name).map_err(failed)?;
    inner.count_parked(|_| parked);
    saver.to = saver.saved.unwrap_or(0);
    let begins = match since {
        Since::Beginning => None,
        Since::Now => Some(core.head()),
        // What is not there yet is not passed over when it comes.
        Since::After(position) => Some(position.min(core.head())),
    };
    if saver.saved.is_none()
        && let Some(begins) = begins
    {
        saver.to = begins;
        let begins = saver.put(&[], saver.to);
        begins.map_err(|error| match error {
            AppendError::NotAppended(Refusal::Closed) => ReactError::Closed,
            error => ReactError::Append { name: inner.name.clone(), error },
        })?;
        saver.saved = Some(saver.to);
    }
    inner.reach(saver.to);
    let events = Events::new(&core, saver.to + 1);
    let listener = inner.asked.id();
    let saver = Arc::new(Mutex::new(saver));
    let thread = std::thread::Builder::new().name(format!("cqrs-react-{}", inner.name));
    let run = move || {
        ending.reason = None;
        meters::stopped(&inner.name, false);
        meters::reached(&inner.name, inner.position());
        let _within = Within::enter(&ending.core, &ending.inner);
        let reason = Runner { core, inner, saver, events, listener, handler }.run();
        ending.because(reason);
    };
    thread.spawn(run).map(drop).map_err(|error| ReactError::Thread(Arc::new(error)))
}

struct Runner<E: Event, H> {
    core: Arc<Core>,
    inner: Arc<Inner>,
    saver: Arc<Mutex<Saver>>,
    events: Events<E>,
    listener: u64,
    handler: H,
}

/// The stored name of an event's type.
fn name_of<E: Event>(event: &E) -> &'static str {
    E::TYPES[event.type_index()].name
}

/// What is to be done next.
enum Next<E> {
    Event(Result<RecordedEvent<E>, EventsError>),
    /// Nothing is ready, and what is done is to be saved.
    Save,
    Retry(Retry),
    Stop,
}

impl<E: Event, H: FnMut(&mut Reacting<E>) -> Handled> Runner<E, H> {
    /// Runs until it is to stop, or cannot go on; says why it ended.
    fn run(mut self) -> String {
        let Err(halt) = self.go_on();
        match halt {
            Halt::Failed(reason) => {
                tracing::error!(reaction = self.inner.name, reason, "a reaction cannot go on");
                reason
            }
            Halt::Asked => {
                let why =
                    if self.core.reactions.closed() { "the engine is closed" } else { "it was stopped" };
                let mut saver = lock(&self.saver);
                match saver.save() {
                    Err(Halt::Failed(reason)) => reason,
                    // What comes again then has nothing to be handled.
                    Ok(()) | Err(Halt::Asked) if saver.done.is_empty() => why.to_owned(),
                    // The store failed, or is closed, and there is no time to try again.
                    Ok(()) | Err(Halt::Asked) => {
                        let reason = self.inner.failing().unwrap_or_else(|| "the engine is closed".into());
                        tracing::warn!(
                            reaction = self.inner.name,
                            reason,
                            "what a reaction has handled last is handled again"
                        );
                        format!("{why}, and what it had handled last is handled again: {reason}")
                    }
                }
            }
        }
    }

    fn go_on(&mut self) -> Result<Infallible, Halt> {
        let mut failures = 0;
        loop {
            match self.next() {
                Next::Event(Ok(recorded)) => {
                    failures = 0;
                    self.take(recorded)?;
                }
                Next::Event(Err(EventsError::Undecodable { position, event, reason })) => {
                    let mut saver = lock(&self.saver);
                    let note = saver.parked(position, &event, 1, format!("it cannot be read: {reason}"));
                    saver.add(Done {
                        position,
                        event: "",
                        events: EncodedEvents::default(),
                        note: Some(note),
                    });
                    saver.save()?;
                    self.events = Events::new(&self.core, position + 1);
                }
                Next::Event(Err(EventsError::Store(error))) => {
                    let mut saver = lock(&self.saver);
                    saver.save()?;
                    failures += 1;
                    saver.store_later(saver.to + 1, failures, format!("the log cannot be read: {error}"))?;
                    self.events = Events::new(&self.core, saver.to + 1);
                    self.inner.set_state(ReactionState::Running);
                }
                Next::Event(Err(EventsError::Closed)) | Next::Stop => return Err(Halt::Asked),
                Next::Event(Err(error)) => {
                    lock(&self.saver).save()?;
                    return Err(Halt::Failed(error.to_string()));
                }
                Next::Save => lock(&self.saver).save()?,
                Next::Retry(retry) => self.retry(retry)?,
            }
        }
    }

    fn next(&mut self) -> Next<E> {
        block_on(std::future::poll_fn(|context| {
            // First the place among those to be woken, then the look.
            self.inner.asked.listen(self.listener, context.waker());
            if self.inner.is_to_stop() {
                return Poll::Ready(Next::Stop);
            }
            if let Some(retry) = self.inner.next_retry() {
                return Poll::Ready(Next::Retry(retry));
            }
            match Pin::new(&mut self.events).poll_next(context) {
                Poll::Ready(Some(event)) => Poll::Ready(Next::Event(event)),
                Poll::Ready(None) => Poll::Ready(Next::Stop),
                Poll::Pending if lock(&self.saver).pass(self.events.looked_through()) => {
                    Poll::Ready(Next::Save)
                }
                Poll::Pending => Poll::Pending,
            }
        }))
    }

    fn reacting(&self, recorded: RecordedEvent<E>, attempt: u32) -> Reacting<E> {
        Reacting { recorded, attempt, emitted: Vec::new(), executed: 0, way: self.saver.clone() }
    }

    /// Has an event handled, as often as it takes; or parks it.
    fn take(&mut self, recorded: RecordedEvent<E>) -> Result<(), Halt> {
        let position = recorded.position;
        let event = name_of(&recorded.event);
        block_on(self.core.shown(position));
        let mut reacting = self.reacting(recorded, 1);
        let mut waits = 0;
        let mut stopped_by: Option<Box<Fault>> = None;
        let done = loop {
            if stopped_by.as_ref().is_some_and(|fault| self.core.is_stopped_by(fault)) {
                // The handler would read what it has read, and do once more what it does before that.
                if self.inner.pause(&self.core, PASSING.1) {
                    return Err(Halt::Asked);
                }
                self.serve()?;
                continue;
            }
            let attempt = reacting.attempt;
            let Failure { reason, then } = match self.handle(&mut reacting) {
                Ok(events) => break Done { position, event, events, note: None },
                Err(failure) => failure,
            };
            // A view, or the store, of this engine; another's is not watched here.
            let then = match then {
                Then::Mended(fault) if !self.core.is_stopped_by(&fault) => Then::Again,
                Then::Stored if self.core.takes_appends() => Then::Again,
                then => then,
            };
            if matches!(then, Then::Again | Then::Park) {
                meters::failed(&self.inner.name);
            }
            let mut saver = lock(&self.saver);
            saver.save()?;
            match then {
                // Whatever it failed at: it may have been that.
                Then::Again if self.inner.is_to_stop() => return Err(Halt::Asked),
                Then::Later | Then::Stored => {
                    waits += 1;
                    let pause = saver.options.after(waits).clamp(PASSING.0, PASSING.1);
                    saver.pause(position, attempt, reason, pause)?;
                }
                Then::Mended(fault) => {
                    waits += 1;
                    saver.pause(position, attempt, reason, PASSING.0)?;
                    stopped_by = Some(fault);
                }
                Then::Again if attempt < saver.options.attempts => {
                    saver.retry_later(position, attempt, reason)?;
                    reacting.attempt += 1;
                }
                Then::Again | Then::Park => {
                    let note = Some(saver.parked(position, event, attempt, reason));
                    break Done { position, event, events: EncodedEvents::default(), note };
                }
            }
            drop(saver);
            // Nothing else is asked of it for as long as this takes.
            self.serve()?;
        };
        if reacting.attempt > 1 || waits > 0 {
            self.inner.set_state(ReactionState::Running);
        }
        let mut saver = lock(&self.saver);
        let due = done.note.is_some();
        saver.add(done);
        if due || saver.is_full() { saver.save() } else { Ok(()) }
    }

    /// Has an event handled once: what it emits, or why it failed.
    fn handle(&mut self, reacting: &mut Reacting<E>) -> Result<EncodedEvents, Failure> {
        let (position, attempt) = (reacting.position(), reacting.attempt);
        let event = name_of(&reacting.recorded.event);
        let reaction = &*self.inner.name;
        let correlation = reacting.recorded.metadata.correlation_id.as_deref();
        let _span = tracing::debug_span!("react", reaction, position, event, attempt, correlation).entered();
        reacting.emitted.clear();
        reacting.executed = 0;
        // What it says of its error is the handler's, too.
        react::take_said();
        let handled = || (self.handler)(reacting).map_err(|error| Failure::of(&*error, &react::take_said()));
        match catch_unwind(AssertUnwindSafe(handled)) {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => return Err(failure),
            Err(panic) => {
                return Err(Failure::again(brief(format!("it panicked: {}", said(&*panic)))));
            }
        }
        let (origin, id) = (reacting.origin(), lock(&self.saver).id(reacting.position()));
        let emitted = std::mem::take(&mut reacting.emitted).into_iter().enumerate();
        let emitted = emitted.map(|(at, event)| event.beside(&origin).known_as(|| format!("{id}/{at}")));
        // What cannot be stored now (it is of a type that is not registered, or too large) cannot be in a minute.
        encode(&self.core, emitted)
            .map_err(|refusal| Failure { reason: refusal.to_string(), then: Then::Park })
    }

    /// Does what it is asked to do with what is parked.
    fn serve(&mut self) -> Result<(), Halt> {
        while let Some(retry) = self.inner.next_retry() {
            self.retry(retry)?;
        }
        Ok(())
    }

    fn retry(&mut self, retry: Retry) -> Result<(), Halt> {
        lock(&self.saver).save()?;
        match retry {
            Retry::One(position, reply) => reply.send(self.once_more(position)?),
            Retry::All(reply) => reply.send(self.all_once_more()?),
            Retry::Discard(position, reply) => reply.send(self.discard(position)?),
        }
        Ok(())
    }

    fn all_once_more(&mut self) -> Result<Result<Vec<ParkedEvent>, RetryError>, Halt> {
        let parked = match react::parked(&self.core, &self.inner.name) {
            Ok(parked) => parked,
            Err(failure) => return Ok(Err(failure.into())),
        };
        for ParkedEvent { position, .. } in parked {
            match self.once_more(position)? {
                Ok(()) | Err(RetryError::Failed { .. }) => {}
                Err(error) => return Ok(Err(error)),
            }
            if self.inner.is_to_stop() {
                return Err(Halt::Asked);
            }
        }
        Ok(react::parked(&self.core, &self.inner.name).map_err(RetryError::from))
    }

    /// The event that is parked there.
    fn parked_event(&self, position: u64) -> Result<ParkedEvent, RetryError> {
        let name = &self.inner.name;
        let parked = parked_at(&self.core, name, position)?;
        parked.ok_or_else(|| RetryError::NotParked { name: name.clone(), position })
    }

    /// Has a parked event handled once more. The answer is for who asked; the error ends the reaction.
    fn once_more(&mut self, position: u64) -> Result<Result<(), RetryError>, Halt> {
        let ParkedEvent { event, attempts, .. } = match self.parked_event(position) {
            Ok(parked) => parked,
            Err(error) => return Ok(Err(error)),
        };
        let attempts = attempts.saturating_add(1);
        let mut events = Events::<E>::new(&self.core, position).up_to(position);
        let outcome = match block_on(events.next()) {
            Some(Ok(recorded)) => match self.handle(&mut self.reacting(recorded, attempts)) {
                // It was not tried in earnest, or the handler has returned because it is to stop: what is said of it stays.
                Err(Failure { then: Then::Again, .. }) if self.inner.is_to_stop() => return Err(Halt::Asked),
                Err(Failure { reason, then: Then::Later | Then::Stored | Then::Mended(_) }) => {
                    return Ok(Err(RetryError::Failed { position, reason }));
                }
                handled => handled.map_err(|failure| failure.reason),
            },
            Some(Err(EventsError::Store(error))) => return Ok(Err(StoreFailure::Store(error).into())),
            Some(Err(error)) => Err(error.to_string()),
            None => Err("it is none of the events that the reaction is for".into()),
        };
        let mut saver = lock(&self.saver);
        let (key, to) = (parked_key(&self.inner.name, position), saver.to);
        let done = |events, note| Done { position, event: "", events, note: Some((key.clone(), note)) };
        let reason = match outcome {
            Ok(events) => match saver.put(&[done(events, None)], to) {
                Ok(_) => {
                    saver.saved = Some(to);
                    self.inner.count_parked(|count| count.saturating_sub(1));
                    meters::handled(&self.inner.name, 1);
                    return Ok(Ok(()));
                }
                Err(AppendError::NotAppended(refusal @ Refusal::IdConflict { .. })) => refusal.to_string(),
                Err(error) => return self.not_put(&saver, error),
            },
            Err(reason) => reason,
        };
        meters::failed(&self.inner.name);
        let (_, note) = saver.parked(position, &event, attempts, reason.clone());
        match saver.put(&[done(EncodedEvents::default(), note)], to) {
            Ok(_) => {
                saver.saved = Some(to);
                Ok(Err(RetryError::Failed { position, reason }))
            }
            Err(error) => self.not_put(&saver, error),
        }
    }

    /// Has a parked event be parked no longer. The answer is for who asked; the error ends the reaction.
    fn discard(&mut self, position: u64) -> Result<Result<(), RetryError>, Halt> {
        if let Err(error) = self.parked_event(position) {
            return Ok(Err(error));
        }
        let name = &self.inner.name;
        let mut saver = lock(&self.saver);
        let (to, note) = (saver.to, Some((parked_key(name, position), None)));
        let given_up = Done { position, event: "", events: EncodedEvents::default(), note };
        match saver.put(&[given_up], to) {
            Ok(_) => {
                tracing::warn!(reaction = name, position, "an event that was parked is given up");
                saver.saved = Some(to);
                self.inner.count_parked(|count| count.saturating_sub(1));
                Ok(Ok(()))
            }
            Err(error) => self.not_put(&saver, error),
        }
    }

    /// What a store that fails is to who asked: nothing has changed.
    fn not_put(&self, saver: &Saver, error: AppendError) -> Result<Result<(), RetryError>, Halt> {
        match error {
            AppendError::NotAppended(Refusal::Store(_)) => Ok(Err(error.into())),
            error => Err(saver.halt(error)),
        }
    }
}
