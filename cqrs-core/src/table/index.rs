//! Indexes: rows by other columns than their keys.

use std::sync::OnceLock;

use super::keys::{Keys, Probe};
use super::ordered::{Ordered, Span};
use super::rows::{Page, Rows};
use super::unwinding;
use crate::projection::Projection;

/// The rows of a view in the order of some columns: made when it is first asked for, and kept up from then on.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    /// The canonical bytes of the columns, and of the row's key, to the row: those that are alike in the columns come in the order of their keys, whatever their numbers are.
    keys: Keys<u32, [u8; 48]>,
    ordered: Ordered,
    /// For each row, its entry's number plus one.
    of_row: Vec<u32>,
}

impl Index {
    /// Index `number` over all rows.
    pub(super) fn of<P: Projection>(rows: &Rows<P>, number: usize) -> Self {
        let mut index = Self { keys: Keys::default(), ordered: Ordered::default(), of_row: Vec::new() };
        rows.keys().rows(0).for_each(|row| index.set(row, key(rows, number, row)));
        index
    }

    /// Brings it up to what a row is now.
    pub(super) fn follow<P: Projection>(&mut self, rows: &Rows<P>, number: usize, row: u32) {
        self.set(row, key(rows, number, row));
    }

    fn set(&mut self, row: u32, key: Option<Vec<u8>>) {
        let place = row as usize;
        if place >= self.of_row.len() {
            self.of_row.resize(place + 1, 0);
        }
        if let Some(entry) = self.of_row[place].checked_sub(1) {
            if key.as_deref() == Some(self.keys.key(entry)) {
                return;
            }
            self.ordered.remove(&self.keys, entry);
            self.keys.remove(entry);
            self.of_row[place] = 0;
        }
        let Some(key) = key else { return };
        self.keys.reserve(1);
        let probe = Probe::new(&key);
        let entry = match self.keys.seek(self.keys.hash(&key), &probe) {
            Ok(entry) => {
                // Its key had another number, which has not been looked at yet.
                let before = std::mem::replace(self.keys.value_mut(entry), row);
                self.of_row[before as usize] = 0;
                entry
            }
            Err(at) => {
                let Some(entry) = self.keys.put_at(at, &probe, row) else { return };
                self.ordered.insert(&self.keys, entry);
                entry
            }
        };
        self.of_row[place] = entry + 1;
    }

    /// The first rows of a span, in order.
    pub(super) fn first_in(&self, span: &Span, limit: usize) -> Page {
        self.page(self.ordered.within(&self.keys, span).take(limit).collect())
    }

    /// The last rows of a span, the very last first.
    pub(super) fn last_in(&self, span: &Span, limit: usize) -> Page {
        self.page(self.ordered.within_reversed(&self.keys, span).take(limit).collect())
    }

    fn page(&self, entries: Vec<u32>) -> Page {
        let end = entries.last().map(|entry| self.keys.key(*entry).to_vec());
        Page { rows: entries.into_iter().map(|entry| *self.keys.value(entry)).collect(), end }
    }

    /// Bytes in memory of those that have been made.
    pub(super) fn memory_of(indexes: &[OnceLock<Self>]) -> usize {
        indexes.iter().filter_map(OnceLock::get).map(Self::memory).sum()
    }

    fn memory(&self) -> usize {
        self.keys.memory() + self.ordered.memory() + self.of_row.capacity() * size_of::<u32>()
    }
}

/// A row's key in an index; `None` for a row that is not there, or not shown by an expression that panics.
pub(super) fn key<P: Projection>(rows: &Rows<P>, number: usize, row: u32) -> Option<Vec<u8>> {
    let shown = unwinding(&mut || rows.render(row)).ok().flatten()?;
    let mut key = Vec::with_capacity(32);
    shown.index_key(number, &mut key);
    key.extend_from_slice(rows.keys().key(row));
    Some(key)
}
