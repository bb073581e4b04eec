//! For the tests in your crate.
mod diff;
mod given;
mod log;
mod refold;

pub use given::{Given, Then, given, nothing};
pub use refold::refold_check;
