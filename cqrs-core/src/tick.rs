//! Time, as an event.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::codec::{DecodeError, EncodeError, decode, encode};
use crate::event::{Current, Event, NamedEvent};
use crate::schema::{Field, Schema};

/// It is this late: an event that moves the clocks of all windows, where the stream of events that have a time is quiet.
///
/// [`Engine::tick`](crate::Engine::tick) appends one. Every view with a window reads it.
///
/// It is an event like others, and so a timer, too: what is due is done by a reaction to it, with a command that sees whether it still is. (And it stays in the log like others: one a
/// second is 31 million a year. Where nothing but commands is due, a timer of the program's own that looks them up, `by_until_in(..=&now)`, and executes them needs none.)
///
/// ```
/// use cqrs_core::{Tick, prelude::*};
/// # use std::time::Duration;
///
/// #[event]
/// pub enum Seat {
///     Reserved { seat: u32, until: Timestamp },
///     Bought { seat: u32 },
///     Expired { seat: u32 },
/// }
///
/// /// Seats that are reserved, and till when.
/// #[projection(from = Seat { Reserved, .. }, remove = Seat { Bought, Expired, .. }, group_by = seat, index(until))]
/// pub struct Reservations {
///     pub seat: u32,
///     #[last]
///     pub until: Timestamp,
/// }
///
/// struct Expire { seat: u32 }
///
/// impl Command for Expire {
///     type Refusal = std::convert::Infallible;
///     fn decide(&self, tx: &mut Tx) -> Result<(), Self::Refusal> {
///         // It may have been bought since, or reserved anew.
///         if tx.get::<Reservations>(self.seat).is_some_and(|reserved| reserved.until <= tx.now()) {
///             tx.emit(Seat::Expired { seat: self.seat });
///         }
///         Ok(())
///     }
/// }
///
/// # let noon = Timestamp::from_micros(43_200_000_000);
/// let engine = Engine::in_memory().view::<Reservations>() // or Engine::open("shop")?
/// #   .clock(move || noon)
///     .start()?;
/// let view = engine.view::<Reservations>();
/// let expires = engine.react::<Tick>("expires", Since::Now, move |tick| {
///     for due in view.by_until_in(..=&tick.time())? {
///         // With a key, since it may be called again when some of them are gone.
///         tick.execute(Expire { seat: due.seat }).key(due.seat.to_string()).wait()?;
///     }
///     Ok(())
/// })?;
/// # let reserved = |seat, until| Seat::Reserved { seat, until };
/// # engine.append_all([reserved(1, noon), reserved(2, noon + Duration::from_secs(1))]).wait()?;
/// // Wherever the program has a clock that ticks:
/// let receipt = engine.tick(Timestamp::now()).wait()?;
/// # let receipt = { let _ = receipt; engine.tick(noon).wait()? };
/// # assert_eq!(expires.wait_for(&receipt, Duration::from_secs(5)).wait()?, Reached::Reached);
/// # assert!(expires.parked()?.is_empty());
/// # let left: Vec<u32> = engine.view::<Reservations>().rows()?.map(|row| row.seat).collect();
/// # assert_eq!(left, [2]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tick {
    /// In microseconds since the Unix epoch.
    pub at: i64,
}

impl Tick {
    /// How late it is.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        Timestamp::from_micros(self.at)
    }
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
        fields: &[Field {
            rust: "at",
            name: "at",
            ty: "i64",
            required: true,
            aliases: &[],
            read: "",
            shape: 0,
        }],
        variant: "Tick",
        rust: "cqrs_core::Tick",
    };
}
