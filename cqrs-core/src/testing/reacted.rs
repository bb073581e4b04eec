//! Given these events, when a reaction handles them, then these events follow, or it could not handle one.

use std::error::Error;
use std::time::Duration;

use super::diff;
use super::given::{Given, Then};
use super::log::{self, Stored};
use crate::engine::reacting::source;
use crate::event::Event;
use crate::projection::Projection;
use crate::store::MemoryStore;
use crate::{Builder, NewEvent, ReactOptions, Reacting, Receipt, Since};

/// The name of the reaction.
const NAME: &str = "given";

/// What the ids begin with that it gives.
fn own_ids() -> String {
    format!("{}/", source(NAME))
}

/// For how long handlers may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a reaction's handler has made of the events of a test.
///
/// ```
/// use cqrs_core::{Park, Reacting, prelude::*, testing::given};
///
/// #[event]
/// pub struct Ordered { pub order: u32, pub mail: String }
///
/// #[event]
/// pub struct Confirmed { pub order: u32 }
///
/// // What your program hands to `engine.react(..)`.
/// fn confirm(ordered: &mut Reacting<Ordered>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
///     if !ordered.mail.contains('@') {
///         return Err(Park::because("it has no address").into());
///     }
///     ordered.emit(Confirmed { order: ordered.order });
///     Ok(())
/// }
///
/// let ordered = |order, mail: &str| Ordered { order, mail: mail.into() };
/// given([ordered(1, "ann@example.org"), ordered(2, "bob")])
///     .event::<Confirmed>()
///     .reacting(confirm)
///     .then_parked(2, "it has no address")
///     .then_events([Confirmed { order: 1 }]);
/// ```
#[derive(Debug)]
#[must_use = "say what is to have come of it: `.then_events(..)`, `.then_parked(..)`"]
pub struct Reacted {
    given: Given,
    /// What followed, and what could not be handled, by position; or why it could not be tried.
    outcome: Outcome,
}

type Outcome = Result<(Vec<Stored>, Vec<(u64, String)>), String>;

impl Given {
    /// Has a reaction handle those of the events that are of its type, each once: see [`Reacted`]. What it emits has to be known, by [`event`](Self::event) or
    /// [`with`](Self::with).
    pub fn reacting<E: Event>(
        self,
        handler: impl FnMut(&mut Reacting<E>) -> Result<(), Box<dyn Error + Send + Sync>> + Send + 'static,
    ) -> Reacted {
        let outcome = self.react(handler);
        Reacted { given: self, outcome }
    }

    fn react<E: Event>(
        &self,
        handler: impl FnMut(&mut Reacting<E>) -> Result<(), Box<dyn Error + Send + Sync>> + Send + 'static,
    ) -> Outcome {
        let store = MemoryStore::new();
        log::append(&store, &self.events)?;
        let engine = log::open_for("the reaction", Builder::event::<E>, &store, &self.known, self.at)?;
        let given = self.events.len() as u64;
        let once = ReactOptions::new().attempts(1);
        let reaction = engine
            .react_with::<E>(NAME, Since::Beginning, once, handler)
            .map_err(|error| error.to_string())?;
        let last = Receipt { store: engine.core().store_id, first: 1, last: given };
        match reaction.wait_for(&last, PATIENCE).wait() {
            Ok(crate::Reached::Reached) => {}
            Ok(other) => return Err(format!("the handler has not returned within a minute: {other:?}")),
            Err(error) => return Err(error.to_string()),
        }
        reaction.stop().wait();
        let parked = reaction.parked().map_err(|error| error.to_string())?;
        let parked = parked.into_iter().filter(|event| event.position <= given);
        // It may have begun to react to what it has emitted itself: that is another test's.
        let within = own_ids();
        let of_these = |id: Option<&str>| {
            let position = id.and_then(|id| id.strip_prefix(&*within)?.split('/').next()?.parse().ok());
            position.is_none_or(|position: u64| position <= given)
        };
        let mut events = log::read_where(&store, of_these)?;
        let emitted = events.split_off(self.events.len());
        Ok((emitted, parked.map(|event| (event.position, event.reason)).collect()))
    }
}

impl<V: Projection> Then<V> {
    /// Has a reaction handle the events, whose handler reads this view (and those before): see [`Reacted`].
    pub fn reacting<E: Event>(
        self,
        handler: impl FnMut(&mut Reacting<E>) -> Result<(), Box<dyn Error + Send + Sync>> + Send + 'static,
    ) -> Reacted {
        let mut given = self.given;
        given.known.push(|builder| builder.view::<V>());
        given.reacting(handler)
    }
}

impl Reacted {
    /// It could not handle the event at this position (the first is 1), for a reason with these words in it.
    ///
    /// # Panics
    ///
    /// If it could, or could not for another reason.
    #[track_caller]
    pub fn then_parked(mut self, position: u64, reason: &str) -> Self {
        let Ok((_, parked)) = &mut self.outcome else { return self.failed() };
        match parked.iter().position(|(at, _)| *at == position) {
            Some(at) if parked[at].1.contains(reason) => drop(parked.remove(at)),
            Some(at) => panic!(
                "the event at position {position} was parked for another reason:\n    - {reason}\n    + {}\n",
                parked[at].1
            ),
            None => panic!("the event at position {position} was handled, and was to be parked: {reason}"),
        }
        self
    }

    /// Just these events followed, in this order: what the handler emitted, and what the commands that it executed did. They are compared as a
    /// decision's [are](super::When::then_events).
    ///
    /// # Panics
    ///
    /// If others followed, which is shown event by event, or an event was parked that [`then_parked`](Self::then_parked) has not named.
    #[track_caller]
    pub fn then_events<E: Into<NewEvent>>(self, events: impl IntoIterator<Item = E>) -> Given {
        let expected = log::stored(events);
        let Ok((found, parked)) = self.outcome else { return self.failed().given };
        if let Some((position, reason)) = parked.first() {
            panic!("the event at position {position} could not be handled: {reason}");
        }
        log::hold("the reaction", &expected, &found);
        let mut given = self.given;
        // The ids that a reaction gives are of its position: another one's are others.
        let within = own_ids();
        let kept = |id: &String| !id.starts_with(&within);
        given
            .events
            .extend(found.into_iter().map(|event| Stored { event_id: event.event_id.filter(kept), ..event }));
        given
    }

    /// Nothing followed.
    ///
    /// # Panics
    ///
    /// As [`then_events`](Self::then_events).
    #[track_caller]
    pub fn then_no_events(self) -> Given {
        self.then_events(std::iter::empty::<NewEvent>())
    }

    #[track_caller]
    fn failed(self) -> Self {
        let why = self.outcome.err().unwrap_or_default();
        panic!("{why}\n\nthe events were:\n{}", diff::indented(&log::texts(&self.given.events), ""))
    }
}
