//! Elements: what a column keeps more than one of a row. All elements of all rows of a view stand in one ordered table, so that a copy catches up, and a
//! checkpoint writes, what changed and not the group.

use super::keys::{Keys, Probe};
use super::ordered::Ordered;

/// The elements of a view.
///
/// An element is a key (bytes, which order it among those of its column) with a count. Its full key begins with the row's number and the column's, both big-endian.
#[derive(Clone, Debug, Default)]
pub struct Elements {
    pub(super) keys: Keys<u64, [u8; 32]>,
    pub(super) ordered: Ordered,
    /// The elements that were touched since the list was last cleared.
    pub(super) touched: Vec<u32>,
    /// What undoes the changes since [`begin`](Self::begin), last first: an element's full key, and its count before (0: it was not there).
    journal: Option<Vec<(Vec<u8>, u64)>>,
}

/// The bytes that an element's full key begins with: row and column.
pub(crate) const OWNER: usize = 5;

/// The elements of one row, to be written.
#[derive(Debug)]
pub struct Cells<'e> {
    elements: &'e mut Elements,
    row: u32,
}

/// The elements of one column of one row, to be written.
#[derive(Debug)]
pub struct Cell<'e> {
    elements: &'e mut Elements,
    row: u32,
    column: u8,
}

/// The elements of one row, to be read.
#[derive(Clone, Copy, Debug)]
pub struct ShownCells<'e> {
    elements: &'e Elements,
    row: u32,
}

/// The elements of one column of one row, to be read.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'e> {
    elements: &'e Elements,
    row: u32,
    column: u8,
}

impl Elements {
    /// Bytes in memory.
    pub(crate) fn memory(&self) -> usize {
        self.keys.memory() + self.ordered.memory()
    }

    pub(crate) fn begin(&mut self) {}
    pub(crate) fn commit(&mut self) {}
    pub(crate) fn rollback(&mut self) {}
    pub(crate) fn remove_row(&mut self, _: u32) {}

    /// Those of a row, to be written.
    pub fn cells(&mut self, row: u32) -> Cells<'_> {
        Cells { elements: self, row }
    }

    /// Those of a row, to be read.
    pub fn shown(&self, row: u32) -> ShownCells<'_> {
        ShownCells { elements: self, row }
    }
}

impl Cells<'_> {
    /// Those of a column.
    #[inline]
    pub fn at(&mut self, column: u8) -> Cell<'_> {
        Cell { elements: self.elements, row: self.row, column }
    }
}

impl<'e> ShownCells<'e> {
    /// Those of a column.
    #[inline]
    pub fn at(&self, column: u8) -> Shown<'e> {
        Shown { elements: self.elements, row: self.row, column }
    }
}
