//! placeholder
#![warn(missing_docs)]

extern crate self as cqrs_core;

pub mod aggregate;
mod change;
pub mod codec;
mod engine;
pub mod error;
pub mod event;
pub mod health;
pub mod key;
pub mod projection;
mod receipt;
pub mod schema;
pub mod sql;
pub mod store;
mod sync;
pub mod table;
mod timestamp;
pub mod value;
mod view;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;

pub use change::{Change, Changes, Next, NextTimeout};
pub use engine::{Append, Builder, Consistency, Engine, Events, NewEvent};
pub use error::{
    AppendError, ChangesError, EventsError, NoSuchView, NotReady, ReadError, Refusal, StartError, StoreFailure, WaitError,
};
pub use receipt::{ParseReceiptError, Receipt};
pub use sync::Wait;
pub use table::Table;
pub use timestamp::Timestamp;
pub use view::{Reached, View, ViewRows};

#[cfg(feature = "macros")]
pub use cqrs_macros::{event, projection, value};

/// What most programs need, in one `use`.
pub mod prelude {
    pub use crate::{
        AppendError, Change, Changes, Consistency, Engine, NewEvent, Reached, ReadError, Receipt, StartError, Table,
        Timestamp, View,
    };
    pub use crate::event::{Event, Metadata, NamedEvent, RecordedEvent};
    pub use crate::projection::{Fault, Projection};
    #[cfg(feature = "macros")]
    pub use cqrs_macros::{event, projection, value};
}
