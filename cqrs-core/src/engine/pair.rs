//! Left and right: two copies of a view's rows, one for readers and one to fold into.

use std::sync::Arc;
use std::time::Duration;

use crate::threads::{Instant, thread};

/// What there are two copies of.
pub(crate) trait Twin: Clone {
    /// What it is called in traces.
    const NAME: &'static str;
    /// Becomes what `newer` is, which differs in these rows.
    fn catch_up(&mut self, newer: &Self, touched: &[u32]);
    fn memory(&self) -> usize;
}

/// Readers share `front`; `back` is `front` without the last batch, and is what the next one is folded into.
#[derive(Default)]
pub(crate) struct Pair<T> {
    front: Arc<T>,
    /// `None` until it is first needed: a view that is not written to has one copy.
    back: Option<Arc<T>>,
    /// The rows in which `front` is ahead of `back`.
    lag: Vec<u32>,
    /// Whether `back` has caught up with `front`, and takes a batch.
    writing: bool,
}

impl<T: Twin> Pair<T> {
    pub(crate) fn front(&self) -> &Arc<T> {
        &self.front
    }

    pub(crate) fn back(&self) -> Option<&Arc<T>> {
        self.back.as_ref()
    }

    /// What is being written to, or what was last.
    pub(crate) fn writing(&self) -> &T {
        self.back.as_ref().filter(|_| self.writing).unwrap_or(&self.front)
    }

    pub(crate) fn lag(&self) -> &[u32] {
        &self.lag
    }

    /// Whether a batch has begun.
    pub(crate) fn is_writing(&self) -> bool {
        self.writing
    }

    /// To write where nobody reads yet.
    pub(crate) fn front_mut(&mut self) -> &mut T {
        Arc::make_mut(&mut self.front)
    }

    /// What a batch is folded into. Does not wait for readers longer than a copy would take.
    pub(crate) fn back_mut(&mut self) -> &mut T {
        if !self.writing {
            self.catch_up();
            self.writing = true;
        }
        self.written_mut()
    }

    /// What was written to, before it is put in front.
    pub(crate) fn written_mut(&mut self) -> &mut T {
        // Where there is none, it is `front` that both share, and so copied.
        Arc::make_mut(self.back.get_or_insert_with(|| self.front.clone()))
    }

    fn catch_up(&mut self) {
        let mut back = self.back.take();
        if let Some(rows) = back.as_mut().and_then(wait_until_free) {
            rows.catch_up(&self.front, &self.lag);
            self.back = back;
        } else {
            // Someone dawdles over the old rows: they are theirs now.
            dawdled_over(T::NAME);
        }
        self.lag.clear();
    }

    /// Ends the batch; whether there was one.
    pub(crate) fn end_writing(&mut self) -> bool {
        std::mem::take(&mut self.writing)
    }

    /// Puts in front what was folded into these rows of `back`.
    pub(crate) fn flip(&mut self, touched: Vec<u32>) -> Arc<T> {
        if let Some(back) = &mut self.back {
            std::mem::swap(back, &mut self.front);
        }
        self.lag = touched;
        self.front.clone()
    }
}

fn dawdled_over(view: &str) {
    tracing::debug!(view, "a reader holds on to old rows: copying them");
}

/// The rows, once no reader holds them; `None` if that takes longer than a copy would.
fn wait_until_free<T: Twin>(rows: &mut Arc<T>) -> Option<&mut T> {
    if Arc::get_mut(rows).is_none() && !wait(rows.memory(), &|| Arc::strong_count(rows) == 1) {
        return None;
    }
    Arc::get_mut(rows)
}

/// Waits for as long as copying so many bytes would take; whether it came to be so.
fn wait(bytes: usize, free: &dyn Fn() -> bool) -> bool {
    let copying = Duration::from_nanos(bytes as u64 / 2);
    let patience = copying.clamp(Duration::from_micros(20), Duration::from_millis(20));
    let begun = Instant::now();
    while !free() {
        if begun.elapsed() > patience {
            return false;
        }
        thread::yield_now();
    }
    true
}
