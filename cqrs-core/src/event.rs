//! Events: what `#[event]` implements, and what surrounds an event once it is recorded.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::codec::{self, DecodeError, EncodeError};
use crate::schema::Schema;

/// A type whose values can be read from a log, and [appended](Appendable) to it: one event type, or an enum of several.
///
/// Implemented by [`#[event]`](macro@crate::event).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event",
    label = "not an event",
    note = "put `#[event]` on the struct or enum"
)]
pub trait Event: Sized + Send + Sync + 'static {
    /// The borrowed twin: the same event, read without allocating (`&str` for `String`).
    type Ref<'a>;

    /// Whether it can be appended: `Current`, or `Retired`.
    #[doc(hidden)]
    type Standing;

    /// The stored types it is made of: one for a struct, one a variant for an enum.
    const TYPES: &'static [Schema];

    /// Which of [`TYPES`](Self::TYPES) this value is.
    fn type_index(&self) -> usize;

    /// Appends the payload to `out`.
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError>;

    /// Reads a payload of the type at `type_index` of [`TYPES`](Self::TYPES).
    fn decode(type_index: usize, payload: &[u8]) -> Result<Self::Ref<'_>, DecodeError>;

    /// Reads a payload that was stored as `version`, which may be an older one: see `upcast` of [`#[event]`](macro@crate::event).
    fn upcast(type_index: usize, version: u32, payload: &[u8]) -> Result<Self, DecodeError> {
        let _ = version;
        Self::decode(type_index, payload).map(Self::owned)
    }

    /// This event's twin.
    fn borrowed(&self) -> Self::Ref<'_>;

    /// The event that a twin stands for.
    fn owned(event: Self::Ref<'_>) -> Self;
}

/// An event that can be appended: every one but those that are `#[event(retired)]`. What a function asks for that appends events of any type.
///
/// ```
/// use cqrs_core::prelude::*;
///
/// fn record<E: Appendable>(engine: &Engine, event: E) -> Result<Receipt, AppendError> {
///     engine.append(event).wait()
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event",
    label = "not an event",
    note = "put `#[event]` on the struct or enum"
)]
pub trait Appendable: Event<Standing: MayAppend<Self>> {}

impl<E: Event<Standing: MayAppend<E>>> Appendable for E {}

/// The [standing](Event::Standing) of an event that can be appended.
#[doc(hidden)]
#[derive(Debug)]
pub struct Current;

/// That of an event that is still read, and can no longer be appended.
#[doc(hidden)]
#[derive(Debug)]
pub struct Retired;

/// A [standing](Event::Standing) in which the event `E` can be appended. Not a trait of `E`, so that what is no event is not called retired.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{E}` is retired: it is still read, and can no longer be appended",
    label = "retired",
    note = "append the event that took its place, or take `retired` out of its `#[event(..)]`",
    note = "a function that appends events of any type asks for `E: Appendable`"
)]
pub trait MayAppend<E> {}

impl<E> MayAppend<E> for Current {}

/// One event type, with its stored name and version as consts.
///
/// Implemented by [`#[event]`](macro@crate::event) on a struct.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event struct",
    label = "not an event struct",
    note = "put `#[event]` on the struct; a variant that is no struct of its own has named fields: `Opened {{ gate: String }}`"
)]
pub trait NamedEvent: Event {
    /// The full schema.
    const SCHEMA: Schema;
    /// The stored name.
    const NAME: &'static str = Self::SCHEMA.name;
    /// The version that is written.
    const VERSION: u32 = Self::SCHEMA.version;
}

/// What an expression in a projection sees as `meta`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// The event's place in the log, from 1.
    pub position: u64,
    /// When the log recorded it. Never goes backwards within a log.
    pub recorded_at: Timestamp,
}

/// A recorded event, borrowed: what a fold sees.
#[derive(Clone, Debug)]
pub struct Recorded<'a, E: Event> {
    /// Where and when it was recorded.
    pub meta: Meta,
    /// The event.
    pub event: E::Ref<'a>,
}

/// A recorded event, owned: what [`Engine::events`](crate::Engine::events) yields.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedEvent<E> {
    /// Its place in the log, from 1.
    pub position: u64,
    /// When the log recorded it.
    pub recorded_at: Timestamp,
    /// The caller's own id, when one was given.
    pub event_id: Option<String>,
    /// What was appended with it.
    pub metadata: Metadata,
    /// The event.
    pub event: E,
}

/// What accompanies an event and is not part of what happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(crate = "serde")]
pub struct Metadata {
    /// What the event belongs to, e.g. a request: the same for all that follows from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// What caused it: the id of a command or of another event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<String>,
    /// Anything else.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub entries: BTreeMap<String, String>,
}

impl Metadata {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.correlation_id.is_none() && self.causation_id.is_none() && self.entries.is_empty()
    }

    /// Its bytes, as they are stored: none, if there is nothing in it.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut bytes = Vec::new();
        if !self.is_empty() {
            codec::encode("metadata", self, &mut bytes)?;
        }
        Ok(bytes)
    }

    /// The same back.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.is_empty() { Ok(Self::default()) } else { codec::decode(bytes) }
    }
}
