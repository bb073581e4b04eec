//! Given these events, when this is decided, then these events or that refusal.

use std::fmt::Debug;

use super::diff;
use super::given::{Given, Then};
use super::log::{self, Stored};
use crate::projection::Projection;
use crate::store::MemoryStore;
use crate::{Decide, Engine, NewEvent};

/// What a decision has come to.
///
/// ```
/// use cqrs_core::prelude::*;
/// use cqrs_core::testing::given;
///
/// #[event]
/// pub struct Delivered { pub item: String, pub qty: i64 }
///
/// #[event]
/// pub struct Reserved { pub item: String, pub qty: i64 }
///
/// #[projection(from(Delivered, Reserved), group_by = item)]
/// #[derive(Debug, PartialEq)]
/// pub struct Stock {
///     pub item: String,
///     #[sum(Delivered => qty, Reserved => -qty)]
///     pub free: i64,
/// }
///
/// #[derive(Debug, PartialEq)]
/// pub struct OutOfStock { pub free: i64 }
///
/// fn reserve(item: &str, qty: i64) -> impl FnMut(&mut Tx) -> Result<(), OutOfStock> + use<> {
///     let item = item.to_owned();
///     move |tx| {
///         let free = tx.get::<Stock>(&item).map_or(0, |stock| stock.free);
///         if free < qty {
///             return Err(OutOfStock { free });
///         }
///         tx.emit(Reserved { item: item.clone(), qty });
///         Ok(())
///     }
/// }
///
/// let delivered = || given([Delivered { item: "hats".into(), qty: 3 }]).view::<Stock>();
/// delivered()
///     .when(reserve("hats", 2))
///     .then_events([Reserved { item: "hats".into(), qty: 2 }])
///     .view::<Stock>()
///     .then_row("hats", Stock { item: "hats".into(), free: 1 });
/// delivered().when(reserve("hats", 4)).then_refused(OutOfStock { free: 3 });
/// ```
#[derive(Debug)]
#[must_use = "say what is to have come of it: `.then_events(..)`, `.then_refused(..)`"]
pub struct When<R> {
    given: Given,
    outcome: Outcome<R>,
}

#[derive(Debug)]
enum Outcome<R> {
    Emitted(Vec<Stored>),
    Refused(R),
    /// It could not be decided.
    Failed(String),
}

impl<R: Send + 'static> When<R> {
    pub(super) fn new(
        given: Given,
        engine: Result<Engine, String>,
        store: &MemoryStore,
        decide: impl FnOnce(&Engine) -> Decide<R>,
    ) -> Self {
        let outcome = match engine {
            Err(why) => Outcome::Failed(why),
            Ok(engine) => match decide(&engine).wait() {
                Ok(_) => log::read(store).map_or_else(Outcome::Failed, |mut events| {
                    Outcome::Emitted(events.split_off(given.events.len()))
                }),
                Err(error) => match error.apart() {
                    Ok(refusal) => Outcome::Refused(refusal),
                    Err(error) => Outcome::Failed(error.to_string()),
                },
            },
        };
        Self { given, outcome }
    }

    /// It was accepted, and emitted just these events, in this order. They are compared as they are stored, by name, version and payload, and need no
    /// `PartialEq`; by id and metadata as far as those that are given have any (`NewEvent::from(event).meta("by", "web")`).
    ///
    /// # Panics
    ///
    /// If it emitted others, which is shown event by event, or was refused.
    #[track_caller]
    pub fn then_events<E: Into<NewEvent>>(self, events: impl IntoIterator<Item = E>) -> Given
    where
        R: Debug,
    {
        let expected = log::stored(events);
        let found = match self.outcome {
            Outcome::Emitted(found) => found,
            Outcome::Refused(refusal) => panic!(
                "the decision was refused, and expected to emit {} events:\n{}",
                expected.len(),
                diff::indented(&format!("{refusal:#?}"), "+ ")
            ),
            Outcome::Failed(why) => panic!("{why}"),
        };
        log::hold("the decision", &expected, &found);
        let mut given = self.given;
        given.events.extend(found);
        given
    }

    /// It was accepted, and emitted nothing.
    ///
    /// # Panics
    ///
    /// As [`then_events`](Self::then_events).
    #[track_caller]
    pub fn then_no_events(self) -> Given
    where
        R: Debug,
    {
        self.then_events(std::iter::empty::<NewEvent>())
    }

    /// It was refused, for this reason.
    ///
    /// # Panics
    ///
    /// If it was refused for another, or accepted.
    #[track_caller]
    pub fn then_refused(self, refusal: R) -> Given
    where
        R: Debug + PartialEq,
    {
        match self.outcome {
            Outcome::Refused(found) if found == refusal => self.given,
            Outcome::Refused(found) => panic!(
                "the decision was refused for another reason (- expected, + found)\n\n{}",
                diff::indented(&diff::lines(&format!("{refusal:#?}"), &format!("{found:#?}")), "")
            ),
            Outcome::Emitted(events) => panic!(
                "the decision was accepted, and expected to be refused:\n{}    It emitted:\n{}",
                diff::indented(&format!("{refusal:#?}"), "- "),
                diff::indented(&log::texts(&events), "+ ")
            ),
            Outcome::Failed(why) => panic!("{why}"),
        }
    }

    /// A view of the events there are now, whatever the decision came to.
    pub fn view<W: Projection>(self) -> Then<W> {
        let mut given = self.given;
        if let Outcome::Emitted(events) = self.outcome {
            given.events.extend(events);
        }
        given.view()
    }
}

#[cfg(test)]
mod tests;
