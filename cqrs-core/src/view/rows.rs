//! Rows of a view that readers go through.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::cursor::{Cursor, CursorError};
use crate::projection::Projection;
use crate::table::{Rows, Span};

/// Rows of a view, at one position; also from the end, with `.rev()`.
///
/// Those that come in an order (of their keys, or of an index) are looked up as they are asked for, some at a time: `.take(20)` of a million costs what a few dozen do.
pub struct ViewRows<P: Projection> {
    rows: Arc<Rows<P>>,
    position: u64,
    left: Left,
    /// The number of the row that was given last, from the front and from the back.
    last: (Option<u32>, Option<u32>),
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

    /// Leaves out what is not in this span, too.
    fn limit<P: Projection>(&mut self, rows: &Rows<P>, span: Span) {
        let (index, whole) = (self.index, std::mem::take(&mut self.span));
        let stays = |row: &u32| rows.place(index, *row).is_some_and(|place| span.has(&place));
        self.front.retain(stays);
        self.back.retain(stays);
        self.span = whole.and(span);
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
        Self { rows, position, left, last: (None, None) }
    }

    /// Those of a span, in the order of an index, or of their keys.
    pub(crate) fn in_order(rows: Arc<Rows<P>>, position: u64, index: Option<usize>, span: Span) -> Self {
        let (front, back) = (VecDeque::new(), VecDeque::new());
        let left = Left::InOrder(InOrder { index, span, front, back, page: PAGE });
        Self { rows, position, left, last: (None, None) }
    }

    /// The position at which all of them stand.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The place behind the row that was given last, for the page that follows: see [`Cursor`]. `None` if none was given yet, and for rows that come in no order that
    /// stays ([`rows`](crate::View::rows)).
    #[must_use]
    pub fn cursor(&self) -> Option<Cursor> {
        self.cursor_at(self.last.0)
    }

    /// The same from the other end: the place before the row that was given last by [`next_back`](DoubleEndedIterator::next_back), which `rows.by_ref().rev()` takes.
    #[must_use]
    pub fn cursor_back(&self) -> Option<Cursor> {
        self.cursor_at(self.last.1)
    }

    fn cursor_at(&self, row: Option<u32>) -> Option<Cursor> {
        let Left::InOrder(InOrder { index, .. }) = &self.left else { return None };
        let at = self.rows.place(*index, row?)?;
        Some(Cursor { order: Cursor::order_of::<P>(*index), at })
    }

    /// Of these rows, those that come after a cursor.
    ///
    /// # Errors
    ///
    /// [`CursorError`] if it is of another order than these rows come in.
    pub fn after(self, cursor: &Cursor) -> Result<Self, CursorError> {
        self.limited(cursor, Span::after(cursor.at.clone()))
    }

    /// Of these rows, those that come before a cursor: the page before it is `rows.before(&cursor)?.rev().take(20)`, the nearest first.
    ///
    /// # Errors
    ///
    /// As [`after`](Self::after).
    pub fn before(self, cursor: &Cursor) -> Result<Self, CursorError> {
        self.limited(cursor, Span::before(cursor.at.clone()))
    }

    fn limited(mut self, cursor: &Cursor, span: Span) -> Result<Self, CursorError> {
        let Left::InOrder(left) = &mut self.left else { return Err(CursorError::Unordered) };
        if cursor.order != Cursor::order_of::<P>(left.index) {
            return Err(CursorError::OtherOrder);
        }
        left.limit(&self.rows, span);
        Ok(self)
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
            if let Some(shown) = self.rows.show(row) {
                self.last.0 = Some(row);
                return Some(shown);
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
            if let Some(shown) = self.rows.show(row) {
                self.last.1 = Some(row);
                return Some(shown);
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
