//! Look-ups by index, and from where they read: what is published now, or whatever else has rows.

use std::any::Any;
use std::marker::PhantomData;
use std::ops::Bound;
use std::sync::Arc;

use crate::engine::shared::Core;
use crate::error::ReadError;
use crate::projection::Projection;
use crate::table::{Rows, Span};
use crate::view::ViewRows;

/// From where look-ups read.
pub trait Access: Clone + Send + Sync + 'static {
    /// How it answers: where there may be no answer, with a `Result`.
    type Answer<T>;

    /// The rows of a view, by its number.
    fn rows<P: Projection>(&self, view: usize) -> Self::Answer<Shared<P>>;

    /// What is made of an answer.
    fn map<T, U>(answer: Self::Answer<T>, make: impl FnOnce(T) -> U) -> Self::Answer<U>;

    /// Is told what is looked up in those rows, of which index.
    fn looks_up(&self, view: usize, part: &Part);
}

/// All rows of a view at one position, shared.
pub struct Shared<P: Projection> {
    pub(crate) rows: Arc<Rows<P>>,
    pub(crate) position: u64,
}

impl<P: Projection> std::fmt::Debug for Shared<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("rows", &self.rows).field("position", &self.position).finish()
    }
}

/// Reads what the engine shows now.
#[derive(Clone)]
pub struct Live {
    pub(crate) core: Arc<Core>,
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").finish_non_exhaustive()
    }
}

impl Access for Live {
    type Answer<T> = Result<T, ReadError>;

    fn rows<P: Projection>(&self, view: usize) -> Result<Shared<P>, ReadError> {
        let published = self.core.published.load();
        Ok(Shared { rows: self.core.shared_rows(&published, view)?, position: published.position })
    }

    fn map<T, U>(answer: Result<T, ReadError>, make: impl FnOnce(T) -> U) -> Result<U, ReadError> {
        answer.map(make)
    }

    fn looks_up(&self, _: usize, _: &Part) {}
}

/// A view at one position, as a [snapshot](crate::Snapshot::view) or a [decision](crate::Tx::view) has it: derefs to the look-ups of its indexes, which answer
/// with rows, without a `Result`.
pub struct PinnedView<P: Projection> {
    lookups: P::Lookups<Pinned>,
}

impl<P: Projection> PinnedView<P> {
    /// The view of this number; what is looked up in it is `noted`.
    pub(crate) fn new(
        view: usize,
        rows: Arc<Rows<P>>,
        position: u64,
        noted: impl Fn(usize) + Send + Sync + 'static,
    ) -> Self {
        let pinned = Pinned { rows, position, noted: Arc::new(noted) };
        Self { lookups: Indexed::new(pinned, view).into() }
    }
}

impl<P: Projection> std::fmt::Debug for PinnedView<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PinnedView").field("projection", &P::RUST_NAME).finish_non_exhaustive()
    }
}

impl<P: Projection> std::ops::Deref for PinnedView<P> {
    type Target = P::Lookups<Pinned>;
    fn deref(&self) -> &Self::Target {
        &self.lookups
    }
}

/// Reads the rows of a view at one position.
#[derive(Clone)]
pub struct Pinned {
    rows: Arc<dyn Any + Send + Sync>,
    position: u64,
    /// Is told of the view when something is looked up in it.
    noted: Arc<dyn Fn(usize) + Send + Sync>,
}

impl std::fmt::Debug for Pinned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pinned").field("position", &self.position).finish_non_exhaustive()
    }
}

impl Access for Pinned {
    type Answer<T> = T;

    fn rows<P: Projection>(&self, _: usize) -> Shared<P> {
        let Ok(rows) = self.rows.clone().downcast() else { unreachable!("they were taken for their view") };
        Shared { rows, position: self.position }
    }

    fn map<T, U>(answer: T, make: impl FnOnce(T) -> U) -> U {
        make(answer)
    }

    fn looks_up(&self, view: usize, _: &Part) {
        (self.noted)(view);
    }
}

/// A part of an index: the rows with these first columns, and the next in a range. All in canonical bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub(crate) index: usize,
    prefix: Vec<u8>,
    /// Where it starts and ends, the prefix included.
    start: Bound<Vec<u8>>,
    end: Bound<Vec<u8>>,
}

impl Part {
    fn new(index: usize, prefix: &[u8], range: (Bound<Vec<u8>>, Bound<Vec<u8>>)) -> Self {
        let whole = |bound: Bound<Vec<u8>>| bound.map(|bytes| [prefix, &bytes[..]].concat());
        Self { index, prefix: prefix.to_vec(), start: whole(range.0), end: whole(range.1) }
    }

    /// Where it is among the keys of the index: the columns, and what tells rows apart that are alike in them.
    fn span(&self) -> Span {
        let from = match &self.start {
            Bound::Unbounded => Span::default(),
            Bound::Included(start) => Span::from(start.clone()),
            Bound::Excluded(start) => Span::beyond(start.clone()),
        };
        let to = match &self.end {
            Bound::Unbounded => Span::default(),
            Bound::Included(end) => Span::through(end.clone()),
            Bound::Excluded(end) => Span::before(end.clone()),
        };
        Span::under(self.prefix.clone()).and(from).and(to)
    }
}

/// What a part has, column by column, for tests to hold spans against.
#[cfg(test)]
impl Part {
    /// Whether a row with these columns, by `Projection::index_key`, is in it.
    pub(crate) fn has(&self, columns: &[u8]) -> bool {
        columns >= self.first() && self.has_begun(columns) && !self.has_ended(columns)
    }

    /// Before this, there is nothing of it.
    fn first(&self) -> &[u8] {
        match &self.start {
            Bound::Unbounded => &self.prefix,
            Bound::Included(start) | Bound::Excluded(start) => start,
        }
    }

    /// Whether it has begun at these columns, which are not before the [first](Self::first).
    fn has_begun(&self, columns: &[u8]) -> bool {
        !matches!(&self.start, Bound::Excluded(start) if columns.starts_with(start))
    }

    /// The same, of its end.
    fn has_ended(&self, columns: &[u8]) -> bool {
        let within = match &self.end {
            Bound::Unbounded => true,
            Bound::Included(end) => columns < &end[..] || columns.starts_with(end),
            Bound::Excluded(end) => columns < &end[..],
        };
        !within || !columns.starts_with(&self.prefix)
    }
}

/// The rows of a view, for the look-ups that `index(..)` generates.
pub struct Indexed<P, A = Live> {
    pub(crate) access: A,
    pub(crate) number: usize,
    row: PhantomData<fn() -> P>,
}

impl<P, A: Clone> Clone for Indexed<P, A> {
    fn clone(&self) -> Self {
        Self { access: self.access.clone(), number: self.number, row: PhantomData }
    }
}

impl<P: Projection, A> std::fmt::Debug for Indexed<P, A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Indexed").field("projection", &P::RUST_NAME).finish_non_exhaustive()
    }
}

impl<P: Projection, A: Access> Indexed<P, A> {
    /// Those of the view of this number.
    pub(crate) fn new(access: A, number: usize) -> Self {
        Self { access, number, row: PhantomData }
    }

    /// The rows that have these columns in an index: those whose bytes begin with `prefix`.
    pub fn with(&self, index: usize, prefix: &[u8]) -> A::Answer<ViewRows<P>> {
        self.within(index, prefix, (Bound::Unbounded, Bound::Unbounded))
    }

    /// The rows that have these columns in an index, and the next in a range; in its order.
    pub fn within(
        &self,
        index: usize,
        prefix: &[u8],
        range: (Bound<Vec<u8>>, Bound<Vec<u8>>),
    ) -> A::Answer<ViewRows<P>> {
        let part = Part::new(index, prefix, range);
        self.access.looks_up(self.number, &part);
        A::map(self.access.rows::<P>(self.number), |Shared { rows, position }| {
            ViewRows::in_order(rows, position, Some(part.index), part.span())
        })
    }
}

/// The look-ups of a projection without indexes: none.
#[derive(Clone, Copy, Debug)]
pub struct NoLookups;

impl<P, A> From<Indexed<P, A>> for NoLookups {
    fn from(_: Indexed<P, A>) -> Self {
        Self
    }
}
