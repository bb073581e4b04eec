//! For the tests in your crate.
mod diff;
mod given;
mod log;

pub use given::{Given, Then, given, nothing};
