//! What a handler gets of an event, and what it says of one that it will never be able to handle.

use std::ops::Deref;
use std::sync::{Arc, Mutex};

use crate::Timestamp;
use crate::decide::{Command, Decide};
use crate::engine::request::NewEvent;
use crate::event::{Metadata, RecordedEvent};
use crate::sync::lock;

use super::running::{Said, note};

/// An event that is being handled: it reads as the event itself, and takes what is to follow from it.
///
/// What is [emitted](Self::emit) is appended together with the move of the reaction's position, and a [command](Self::execute) is known by the event's position (and by its place
/// among those of the handler, or its key): both happen exactly once, however often the handler is called. What it does otherwise, it does at least once: it is called again for an event
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

    /// Whether the reaction is to end: it is [stopped](crate::Reaction::stop), or the engine is being closed, which waits for this handler. One that
    /// takes long looks now and then, and returns an error: whatever the number of attempts, the event is handled again after the next start (unless the error is a
    /// [`Park`]; and one that is parked and retried stays parked).
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        lock(&self.way).is_stopping()
    }

    /// Has an event appended once the handler has returned `Ok`; all of them in this order, or none.
    ///
    /// What several events had the reaction emit goes in together: a view that the handler reads need not show yet what it emitted for the event before. What depends on that is a
    /// [command](Self::execute), which sees it.
    ///
    /// It bears the correlation id of the event that is handled, and its id as what caused it (or `@` and its position), unless it says otherwise; and an id
    /// made of the reaction's name and the position, unless it has its own.
    pub fn emit(&mut self, event: impl Into<NewEvent>) {
        self.emitted.push(event.into());
    }

    /// Decides a command; nothing happens before it is waited for. It has a key made of the reaction's name, the position, and how many the handler has executed
    /// before: where the handler is called again, the first receipt is the answer. So the handler executes the same commands in the same order each time it is called for an event;
    /// where which they are depends on something else, on the rows of a view, say, each is given a [key](Decide::key) of its own, which tells it apart from the others of
    /// its name for the same event.
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
        let within = saver.id(self.position());
        let decide = saver.decide(command.name(), move |tx| command.decide(tx));
        decide.known_as(within, call.to_string(), self.origin()).refused(unseen)
    }

    /// What says of other events that they follow from this one.
    pub(crate) fn origin(&self) -> Metadata {
        let RecordedEvent { position, event_id, metadata, .. } = &self.recorded;
        let id = event_id.clone().unwrap_or_else(|| format!("@{position}"));
        let correlation_id = metadata.correlation_id.clone().unwrap_or_else(|| id.clone());
        Metadata { correlation_id: Some(correlation_id), causation_id: Some(id), ..Metadata::default() }
    }
}

/// A handler's error for an event that it will never be able to handle: the reaction [parks](crate::Reaction::parked) it at once, and does not try again. It may stand
/// behind other errors, as their source, or in their words.
///
/// ```
/// use cqrs_core::{Park, prelude::*};
/// # use std::time::Duration;
/// # #[event]
/// # pub struct Ordered { pub mail: String }
/// # fn send_to(address: &str) -> std::io::Result<()> { let _ = address; Ok(()) }
/// # let engine = Engine::in_memory().event::<Ordered>().start()?;
/// let mails = engine.react::<Ordered>("mails", Since::Beginning, |ordered| {
///     if !ordered.mail.contains('@') {
///         return Err(Park::because("it has no address").into());
///     }
///     send_to(&ordered.mail)?; // tried again
///     Ok(())
/// })?;
/// # let receipt = engine.append(Ordered { mail: "bob".into() }).wait()?;
/// # assert_eq!(mails.wait_for(&receipt, Duration::from_secs(5)).wait()?, Reached::Reached);
/// assert_eq!(&*mails.parked()?[0].reason, "it has no address");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Park {
    reason: String,
}

impl Park {
    /// Why it cannot be handled.
    pub fn because(reason: impl std::fmt::Display) -> Self {
        let reason = reason.to_string();
        if !reason.is_empty() {
            note(|| Said::Park(reason.clone()));
        }
        Self { reason }
    }
}
