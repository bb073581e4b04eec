//! What the engine's hand-overs are made of: std's primitives, and a queue.
//!
//! `engine/{desk, fold, pair, abreast}.rs` take theirs from here and from nowhere else: `tests/models` compiles those very files with primitives in this
//! place whose schedule it chooses. Whoever adds one here adds it there.

pub(crate) use std::sync::{Condvar, Mutex, atomic, mpsc};
pub(crate) use std::thread;
pub(crate) use std::time::Instant;

pub(crate) use async_channel as queue;

/// Starts a thread that helps, within the span of the one that it helps. Where the system has no more of them, those that are there do its work.
pub(crate) fn assist<'scope>(scope: &'scope thread::Scope<'scope, '_>, work: impl FnOnce() + Send + 'scope) {
    let span = tracing::Span::current();
    let _ = thread::Builder::new().spawn_scoped(scope, move || span.in_scope(work));
}
