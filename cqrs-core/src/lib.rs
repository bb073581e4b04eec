//! Read models as annotated structs: events in, views out, kept current, durable and exact.
//!
//! Write an event as a struct under [`#[event]`](macro@event), a read model as the struct of its row under
//! [`#[projection]`](macro@projection), and start an [`Engine`] with it. The compiler checks that the one can be folded from the other;
//! the engine keeps the log of events, folds each event once into every view, and answers reads from memory.
//!
//! ```
//! use cqrs_core::prelude::*;
//!
//! #[event]
//! pub struct Purchased {
//!     pub customer: String,
//!     pub item: String,
//!     pub qty: i32,
//! }
//!
//! #[projection(from = Purchased, group_by = (customer, item))]
//! #[derive(Debug, Clone, PartialEq)]
//! pub struct CustomerPurchases {
//!     pub customer: String,
//!     pub item: String,
//!     #[sum(qty)]
//!     pub total_qty: i64,
//! }
//!
//! let engine = Engine::in_memory().view::<CustomerPurchases>().start()?;
//! engine.append(Purchased { customer: "jsmith".into(), item: "hats".into(), qty: 2 }).wait()?;
//! let row = engine.view::<CustomerPurchases>().get(("jsmith", "hats"))?;
//! assert_eq!(row.unwrap().total_qty, 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | to | look at |
//! | --- | --- |
//! | say what an event is | [`#[event]`](macro@event), [`#[value]`](macro@value) |
//! | say what a view is | [`#[projection]`](macro@projection) |
//! | try a projection, with no store | [`Table`] |
//! | test a projection, and that stored events stay readable | [`testing`] |
//! | append and read | [`Engine`], [`View`], [`Changes`], [`Events`] |
//! | accept or refuse against what is | [`Engine::decide`], [`Command`], [`Tx`] |
//! | act on what happens | [`Engine::react`], [`Reacting`], [`Reaction`] |
//! | feed it a file, a channel or a broker | [`Engine::feed`], [`FeedItem`], [`stream()`] |
//! | know what can go wrong | [`error`] |
//! | know how it is doing | [`health`], and [Observing](#observing) |
//! | know, or draw, what goes where | [`Engine::describe`], [`describe`] |
//! | know whether a store is whole | [`Builder::verify`], [`verify`](mod@verify) |
//! | put another store behind it | [`store`] |
//!
//! # Features
//!
//! `macros` and `sqlite` are on by default. `uuid`, `jiff`, `chrono` and `rust_decimal` make these crates' types keys and columns. `metrics` records counters,
//! gauges and histograms through the crate of this name, for Prometheus or another recorder.
//!
#![doc = include_str!("../OBSERVING.md")]
#![warn(missing_docs)]

extern crate self as cqrs_core;

pub mod aggregate;
mod change;
pub mod codec;
mod decide;
pub mod describe;
mod engine;
pub mod error;
pub mod event;
pub mod health;
mod hex;
pub mod key;
mod lookups;
mod meters;
pub mod projection;
mod react;
mod receipt;
pub mod schema;
mod snapshot;
pub mod sql;
pub mod store;
mod sync;
pub mod table;
pub mod testing;
mod threads;
mod tick;
pub mod time;
mod timestamp;
pub mod value;
pub mod verify;
mod view;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;

pub use change::{Change, Changes, Next, NextTimeout};
pub use decide::{Command, Decide, Tx};
pub use describe::Description;
pub use engine::{
    Append, Builder, Consistency, Engine, Events, Fed, Feed, FeedContent, FeedItem, IntoFeedItem, Items,
    NewEvent, Retried, stream,
};
pub use error::{
    AppendError, ChangesError, DecideError, EventsError, FeedError, NoSuchView, NotReady, ReactError,
    ReadError, RefoldError, Refusal, RetryError, StartError, StoreFailure, WaitError,
};
pub use health::{ReactionHealth, ReactionState};
pub use lookups::PinnedView;
pub use react::{Park, ParkedEvent, ReactOptions, Reacting, Reaction, Since};
pub use receipt::{ParseReceiptError, Receipt};
pub use snapshot::Snapshot;
pub use sync::Wait;
pub use table::{Parked, Table};
pub use tick::Tick;
#[cfg(feature = "chrono")]
pub use timestamp::OutOfChrono;
pub use timestamp::Timestamp;
pub use view::{Cursor, CursorError, Reached, View, ViewRows};

#[cfg(feature = "macros")]
pub use cqrs_macros::{event, projection, value};

/// What most programs need, in one `use`.
pub mod prelude {
    pub use crate::event::{Appendable, Event, Meta, Metadata, NamedEvent, RecordedEvent};
    pub use crate::projection::{Fault, Fold, Projection};
    pub use crate::{
        AppendError, Change, Changes, Command, Consistency, DecideError, Engine, NewEvent, Reached, Reacting,
        ReadError, Receipt, Since, StartError, Table, Tick, Timestamp, Tx, View,
    };
    #[cfg(feature = "macros")]
    pub use cqrs_macros::{event, projection, value};
}

/// The README's code, run.
#[cfg(all(doctest, feature = "macros", feature = "sqlite"))]
#[doc = include_str!("../../README.md")]
struct Readme;

/// The code of the page about events that change, run.
#[cfg(all(doctest, feature = "macros", feature = "sqlite"))]
#[doc = include_str!("../../EVOLUTION.md")]
struct Evolution;
