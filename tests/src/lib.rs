//! What the tests share.

pub mod bank;
pub mod follow;
pub mod foreign;

use std::time::{Duration, Instant};

/// Waits until something holds.
///
/// # Panics
///
/// If it does not within twenty seconds.
#[track_caller]
pub fn soon(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(20), "not within twenty seconds: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
