//! placeholder
#![warn(missing_docs)]

extern crate self as cqrs_core;

pub mod aggregate;
pub mod codec;
pub mod event;
pub mod key;
pub mod projection;
pub mod schema;
pub mod sql;
pub mod store;
pub mod table;
mod timestamp;
pub mod value;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;

pub use table::Table;
pub use timestamp::Timestamp;

#[cfg(feature = "macros")]
pub use cqrs_macros::{event, projection, value};

/// What most programs need, in one `use`.
pub mod prelude {
    pub use crate::Table;
    pub use crate::Timestamp;
    pub use crate::event::{Event, Metadata, NamedEvent, RecordedEvent};
    pub use crate::projection::{Fault, Projection};
    #[cfg(feature = "macros")]
    pub use cqrs_macros::{event, projection, value};
}
