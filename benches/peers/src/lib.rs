//! What the programs here share: workload W, as large as `PEERS_EVENTS` says, and what its sums have to be.

pub mod measured;

use std::collections::HashMap;

pub use benches::workload::{CustomerPurchases, Purchased};
use measured::Group;

/// The sizes of batches in which W is brought in.
pub const BATCHES: [usize; 2] = [1_000, 100_000];

/// Workload W, or so many of its first events as `PEERS_EVENTS` says.
pub fn events() -> Vec<Purchased> {
    benches::workload::events(number("PEERS_EVENTS", 1_000_000))
}

/// A number from the environment.
pub fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).map_or(otherwise, |number| number.parse().expect("a number"))
}

/// What the sums of these events have to be.
pub fn sums(events: &[Purchased]) -> HashMap<Group, i64> {
    measured::sums(events.iter().map(|event| (event.customer.as_str(), event.item.as_str(), event.qty)))
}

/// A row of ours, as [`measured::check`] wants it.
pub fn row(row: CustomerPurchases) -> (Group, i64) {
    ((row.customer, row.item), row.total_qty)
}
