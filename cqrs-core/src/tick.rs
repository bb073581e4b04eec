//! Time, as an event.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::codec::{DecodeError, EncodeError, decode, encode};
use crate::event::{Current, Event, NamedEvent};
use crate::schema::{Field, Schema};

/// It is this late: an event that moves the clocks of all windows, where the stream of events that have a time is quiet.
///
/// [`Engine::tick`](crate::Engine::tick) appends one. Every view with a window reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tick {
    /// In microseconds since the Unix epoch.
    pub at: i64,
}

impl From<Timestamp> for Tick {
    fn from(at: Timestamp) -> Self {
        Self { at: at.as_micros() }
    }
}

impl Event for Tick {
    type Ref<'a> = Self;
    type Standing = Current;
    const TYPES: &'static [Schema] = &[Self::SCHEMA];
    fn type_index(&self) -> usize {
        0
    }
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        encode(Self::NAME, self, out)
    }
    fn decode(_: usize, payload: &[u8]) -> Result<Self, DecodeError> {
        decode(payload)
    }
    fn borrowed(&self) -> Self {
        *self
    }
    fn owned(event: Self) -> Self {
        event
    }
}

impl NamedEvent for Tick {
    const SCHEMA: Schema = Schema {
        name: "_tick",
        version: 1,
        upcast: None,
        retired: false,
        aliases: &[],
        fields: &[Field { rust: "at", name: "at", ty: "i64", required: true, aliases: &[], read: "" }],
        variant: "Tick",
        rust: "cqrs_core::Tick",
    };
}
