//! Panics, wherever they are caught: an engine catches those of its threads, and a target would not see them.

use std::panic;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a panic says that is a part of the test: code of the user's that panics.
pub(crate) const MEANT: &str = "this panic is meant";

/// What a debug assertion of the core says of rows that do not belong to each other, as those of a forger: without it, the count stays what it is.
const FORGED: &str = "more taken back than came";

static UNMEANT: AtomicUsize = AtomicUsize::new(0);

/// Runs it, and fails if anything panicked meanwhile that is not one of the two above.
pub(crate) fn none_in<T>(run: impl FnOnce() -> T) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        // Under libFuzzer, the hook there is ends the process, with the input.
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !matches!(panic.payload_as_str(), Some(MEANT | FORGED)) {
                UNMEANT.fetch_add(1, Ordering::Relaxed);
                before(panic);
            }
        }));
    });
    let before = UNMEANT.load(Ordering::Relaxed);
    let answer = run();
    assert_eq!(UNMEANT.load(Ordering::Relaxed), before, "something panicked");
    answer
}
