//! For the tests in your crate: what a view makes of events, whether it makes the same of them however it is folded, and whether what is stored can still be read.
//!
//! Each of these fails by a panic, with a text that says what differs: row by row, column by column.
//!
//! | to | use |
//! | --- | --- |
//! | say what rows some events make | [`given`], and [`nothing`] |
//! | say what a decision comes to | [`given`] events, [`when`](Then::when) it is made, then events or a refusal: [`When`] |
//! | say what follows from events | [`given`] events, [`reacting`](Given::reacting) to them, then events, or what could not be handled: [`Reacted`] |
//! | see that a view with code of your own survives restarts | [`refold_check`] |
//! | see that stored events stay readable | [`SchemaLock`] |
//! | see that a function which a projection calls has not changed unnoticed | [`fold_lock`](fold_lock()) |
//!
//! # A whole test file
//!
//! ```
//! // tests/purchases.rs
//! use cqrs_core::prelude::*;
//! use cqrs_core::testing::{SchemaLock, fold_lock, given, nothing, refold_check};
//!
//! // These are your crate's: `use shop::{CustomerPurchases, Purchased, Returned};`
//! #[event]
//! pub struct Purchased { pub customer: String, pub item: String, pub qty: i64 }
//!
//! #[event]
//! pub struct Returned { pub customer: String, pub item: String, pub qty: i64 }
//!
//! #[projection(from(Purchased, Returned), group_by = (customer, item), having = qty != 0)]
//! #[derive(Debug, PartialEq)]
//! pub struct CustomerPurchases {
//!     pub customer: String,
//!     pub item: String,
//!     #[sum(Purchased => qty, Returned => -qty)]
//!     pub qty: i64,
//! }
//!
//! fn bought(customer: &str, item: &str, qty: i64) -> Purchased {
//!     Purchased { customer: customer.into(), item: item.into(), qty }
//! }
//!
//! fn returned(customer: &str, item: &str, qty: i64) -> Returned {
//!     Returned { customer: customer.into(), item: item.into(), qty }
//! }
//!
//! fn row(customer: &str, item: &str, qty: i64) -> CustomerPurchases {
//!     CustomerPurchases { customer: customer.into(), item: item.into(), qty }
//! }
//!
//! # macro_rules! tests { ($(#[$test:meta] fn $name:ident() $body:block)*) => { $(fn $name() $body)* fn main() { $($name();)* } } }
//! # tests! {
//! #[test]
//! fn what_is_returned_is_taken_off() {
//!     given([bought("ann", "hats", 3), bought("bob", "hats", 1)])
//!         .and([returned("ann", "hats", 2)])
//!         .view::<CustomerPurchases>()
//!         .then_rows([row("ann", "hats", 1), row("bob", "hats", 1)]);
//! }
//!
//! #[test]
//! fn what_is_returned_whole_is_not_shown() {
//!     given([bought("ann", "hats", 3)])
//!         .and([returned("ann", "hats", 3)])
//!         .view::<CustomerPurchases>()
//!         .then_no_row(("ann", "hats"));
//! }
//!
//! #[test]
//! fn there_is_nothing_before_the_first_event() {
//!     nothing().view::<CustomerPurchases>().then_rows([]);
//! }
//!
//! #[test]
//! fn it_survives_restarts() {
//!     let customers = ["ann", "bob", "carl"];
//!     refold_check::<CustomerPurchases>((0..30).map(|n| bought(customers[n % 3], "hats", n as i64)));
//! }
//!
//! #[test]
//! fn stored_events_stay_readable() {
//! #   let folder = tempfile::tempdir().unwrap();
//! #   let path = folder.path().join("events.lock");
//! #   let _ = r#"
//!     let path = "tests/events.lock";
//! #   "#;
//!     SchemaLock::new(path).event::<Purchased>().event::<Returned>().check();
//! }
//!
//! #[test]
//! fn the_same_events_make_the_same_rows_as_in_the_last_release() {
//! #   let folder = tempfile::tempdir().unwrap();
//! #   let path = folder.path().join("customer_purchases.lock");
//! #   let _ = r#"
//!     let path = "tests/customer_purchases.lock";
//! #   "#;
//!     fold_lock::<CustomerPurchases>(path, [bought("ann", "hats", 3), bought("ann", "pants", 1)]);
//! }
//! # }
//! ```
//!
//! # Files
//!
//! Locks are read and written relative to the crate's folder. A lock that is not there is written, unless the environment variable `CI` is set. With `CQRS_UPDATE=1` in the
//! environment it is brought up to date, with `CQRS_UPDATE=force` also where that gives up what is stored. Each is a text of lines, to be committed and reviewed.

// The page shows a test file, and does run its tests.
#![allow(clippy::test_attr_in_doctest)]

mod diff;
mod fold_lock;
mod given;
mod lock_file;
mod log;
mod reacted;
mod refold;
mod schema_lock;
#[cfg(test)]
mod tests;
mod types;
mod when;

pub use fold_lock::fold_lock;
pub use given::{Given, Then, given, nothing};
pub use reacted::Reacted;
pub use refold::refold_check;
pub use schema_lock::SchemaLock;
pub use when::When;
