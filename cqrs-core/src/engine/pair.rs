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
        let back = self.back.get_or_insert_with(|| Arc::new((*self.front).clone()));
        Arc::make_mut(back)
    }

    /// What was written to, before it is put in front.
    pub(crate) fn written_mut(&mut self) -> &mut T {
        let back = self.back.get_or_insert_with(|| Arc::new((*self.front).clone()));
        Arc::make_mut(back)
    }

    fn catch_up(&mut self) {
        let mut back = self.back.take();
        if let Some(rows) = back.as_mut().and_then(|back| wait_until_free(back)) {
            rows.catch_up(&self.front, &self.lag);
        } else {
            // Someone dawdles over the old rows: they are theirs now.
            tracing::debug!(view = T::NAME, "a reader holds on to old rows: copying them");
            back = Some(Arc::new((*self.front).clone()));
        }
        self.back = back;
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

/// The rows, once no reader holds them; `None` if that takes longer than a copy would.
fn wait_until_free<T: Twin>(rows: &mut Arc<T>) -> Option<&mut T> {
    if Arc::get_mut(rows).is_none() {
        let copying = Duration::from_nanos(rows.memory() as u64 / 2);
        let patience = copying.clamp(Duration::from_micros(20), Duration::from_millis(20));
        let begun = Instant::now();
        while Arc::strong_count(rows) > 1 {
            if begun.elapsed() > patience {
                return None;
            }
            thread::yield_now();
        }
    }
    Arc::get_mut(rows)
}
