//! Rows of a view that readers go through.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use crate::projection::Projection;
use crate::table::{Rows, Span};

/// Rows of a view, at one position; also from the end, with `.rev()`.
///
/// Those that come in an order (of their keys, or of an index) are looked up as they are asked for, some at a time: `.take(20)` of a million costs what a few dozen do.
pub struct ViewRows<P: Projection> {
    rows: Arc<Rows<P>>,
    position: u64,
    left: Left,
}

enum Left {
    /// As they are numbered.
    All(Range<u32>),
    InOrder(InOrder),
}

/// Rows in an order that are still to be given.
struct InOrder {
    /// The index whose order it is, or that of the keys.
    index: Option<usize>,
    /// Where those are that are not looked up yet.
    span: Span,
    /// Looked up already: the next ones before the span, and behind it.
    front: VecDeque<u32>,
    back: VecDeque<u32>,
    /// How many are looked up next.
    page: usize,
}

/// How many rows are looked up at first, and at most at a time.
const PAGE: usize = 32;
const PAGE_LIMIT: usize = 512;

impl InOrder {
    /// How many are looked up now; next time there are twice as many.
    fn grown(&mut self) -> usize {
        let page = self.page;
        self.page = (page * 2).min(PAGE_LIMIT);
        page
    }

    fn next<P: Projection>(&mut self, rows: &Rows<P>) -> Option<u32> {
        if self.front.is_empty() {
            let limit = self.grown();
            let page = rows.first_in(self.index, &self.span, limit);
            if let Some(last) = page.end {
                self.span.go_on_after(last);
            }
            self.front = page.rows.into();
        }
        self.front.pop_front().or_else(|| self.back.pop_front())
    }

    fn next_back<P: Projection>(&mut self, rows: &Rows<P>) -> Option<u32> {
        if self.back.is_empty() {
            let limit = self.grown();
            let page = rows.last_in(self.index, &self.span, limit);
            if let Some(first) = page.end {
                self.span.go_on_before(first);
            }
            self.back = page.rows.into_iter().rev().collect();
        }
        self.back.pop_back().or_else(|| self.front.pop_back())
    }
}

impl<P: Projection> ViewRows<P> {
    pub(crate) fn all(rows: Arc<Rows<P>>, position: u64) -> Self {
        let left = Left::All(0..rows.keys().end());
        Self { rows, position, left }
    }

    /// Those of a span, in the order of an index, or of their keys.
    pub(crate) fn in_order(rows: Arc<Rows<P>>, position: u64, index: Option<usize>, span: Span) -> Self {
        let (front, back) = (VecDeque::new(), VecDeque::new());
        Self { rows, position, left: Left::InOrder(InOrder { index, span, front, back, page: PAGE }) }
    }

    /// The position at which all of them stand.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }
}

impl<P: Projection> Iterator for ViewRows<P> {
    type Item = P;

    fn next(&mut self) -> Option<P> {
        loop {
            let row = match &mut self.left {
                Left::All(rows) => rows.next(),
                Left::InOrder(rows) => rows.next(&self.rows),
            }?;
            if let Some(row) = self.rows.show(row) {
                return Some(row);
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = match &self.left {
            Left::All(rows) => rows.len(),
            Left::InOrder(_) => self.rows.len(),
        };
        (0, Some(left))
    }
}

impl<P: Projection> DoubleEndedIterator for ViewRows<P> {
    fn next_back(&mut self) -> Option<P> {
        loop {
            let row = match &mut self.left {
                Left::All(rows) => rows.next_back(),
                Left::InOrder(rows) => rows.next_back(&self.rows),
            }?;
            if let Some(row) = self.rows.show(row) {
                return Some(row);
            }
        }
    }
}

impl<P: Projection> std::iter::FusedIterator for ViewRows<P> {}

impl<P: Projection> std::fmt::Debug for ViewRows<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ViewRows")
            .field("projection", &P::RUST_NAME)
            .field("position", &self.position)
            .finish()
    }
}
