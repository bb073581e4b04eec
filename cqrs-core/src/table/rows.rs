//! The rows of one projection: keys, and the state beside each.

use std::cell::Cell;
use std::sync::OnceLock;

use super::clock::Clock;
use super::elements::{Cells, Elements};
use super::index::{self, Index};
use super::keys::{Keys, Place, Probe};
use super::ordered::{Ordered, Span};
use super::parked::{MOST_PARKED, Parked};
use super::window::Schedule;
use crate::aggregate::State;
use crate::key::{Key, PrefixOf, prefix_bytes};
use crate::projection::{FoldError, Projection};

/// The rows of one view at one position. Cloning copies them all.
pub(crate) struct Rows<P: Projection> {
    keys: Keys<P::State, Beside<P>>,
    /// Made when an order is first asked for, and kept up from then on: an index that nobody uses would cost every new row.
    ordered: OnceLock<Ordered>,
    pub(crate) elements: Elements,
    pub(crate) clock: Clock,
    /// What was parked, in the order of the log. It only grows.
    pub(crate) parked: Vec<Parked>,
    /// When rows close or go; made when it is first asked for.
    pub(super) schedule: Option<Schedule>,
    /// One for each of the projection's indexes.
    indexes: Vec<OnceLock<Index>>,
}

/// Some rows of a span, by their numbers.
pub(crate) struct Page {
    pub(crate) rows: Vec<u32>,
    /// What the last of them is ordered by: the others come behind it. `None` if there is none.
    pub(crate) end: Option<Vec<u8>>,
}

/// What stands of a key beside its row.
type Beside<P> = <<P as Projection>::Key as Key>::Inline;

impl<P: Projection> std::fmt::Debug for Rows<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").field("projection", &P::RUST_NAME).field("rows", &self.len()).finish()
    }
}

impl<P: Projection> Clone for Rows<P> {
    fn clone(&self) -> Self {
        Self {
            keys: self.keys.clone(),
            ordered: self.ordered.clone(),
            elements: self.elements.clone(),
            clock: self.clock,
            parked: self.parked.clone(),
            schedule: self.schedule.clone(),
            indexes: self.indexes.clone(),
        }
    }
}

impl<P: Projection> Default for Rows<P> {
    fn default() -> Self {
        Self {
            keys: Keys::default(),
            ordered: OnceLock::new(),
            elements: Elements::default(),
            clock: Clock::default(),
            parked: Vec::new(),
            schedule: None,
            indexes: vec![OnceLock::new(); P::INDEXES],
        }
    }
}

impl<P: Projection> Rows<P> {
    /// Whether there are indexes. What goes by this constant, and by [`SCHEDULED`](Self::SCHEDULED), is compiled where it is true only.
    const INDEXED: bool = P::INDEXES > 0;

    /// How many rows, those hidden from readers included.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn keys(&self) -> &Keys<P::State, Beside<P>> {
        &self.keys
    }

    pub(crate) fn keys_mut(&mut self) -> &mut Keys<P::State, Beside<P>> {
        &mut self.keys
    }

    /// A row's state and elements, to be written.
    #[inline]
    pub(crate) fn parts_mut(&mut self, row: u32) -> (&mut P::State, Cells<'_>) {
        (self.keys.value_mut(row), self.elements.cells(row))
    }

    /// Adds the row of a key at the place where it was not found; `None` when there are as many rows as a view can have.
    #[inline]
    pub(crate) fn put_at(
        &mut self,
        place: Place,
        probe: &Probe<'_, Beside<P>>,
        state: P::State,
    ) -> Option<u32> {
        let row = self.keys.put_at(place, probe, state)?;
        if let Some(ordered) = self.ordered.get_mut() {
            ordered.insert(&self.keys, row);
        }
        Some(row)
    }

    /// Takes a row out, and returns its state. Its elements are the caller's to take, and so is the note that it was touched.
    pub(crate) fn remove(&mut self, row: u32) -> P::State {
        if let Some(ordered) = self.ordered.get_mut() {
            ordered.remove(&self.keys, row);
        }
        self.keys.remove(row)
    }

    /// The row of a key, if it has one, hidden or not.
    pub(crate) fn find(&self, key: &[u8]) -> Option<u32> {
        self.keys.find(self.keys.hash(key), &Probe::new(key))
    }

    /// The row as readers get it; `None` if `having` hides it.
    pub(crate) fn show(&self, row: u32) -> Option<P> {
        self.show_at(row, self.clock)
    }

    /// The same as of another time.
    pub(crate) fn show_at(&self, row: u32, clock: Clock) -> Option<P> {
        self.render(row).filter(|shown| self.is_seen(row, shown, clock))
    }

    /// Whether readers see a row, which is `shown`, at a time.
    pub(crate) fn is_seen(&self, row: u32, shown: &P, clock: Clock) -> bool {
        self.is_due(row, clock) && shown.visible()
    }

    /// The numbers of the rows under a prefix whose keys come before this one, the last first.
    pub(crate) fn before<'a>(&'a self, prefix: &'a [u8], key: &[u8]) -> impl Iterator<Item = u32> + 'a {
        let before = self.ordered().before(&self.keys, Some(key));
        before.take_while(move |row| self.keys.key(*row).starts_with(prefix))
    }

    /// The row, hidden or not. `None` only for a number that has none, and for a state that no fold makes.
    pub(crate) fn render(&self, row: u32) -> Option<P> {
        let key = self.keys.has(row).then(|| self.keys.key(row))?;
        P::row(P::Key::read(key)?, self.keys.value(row), self.elements.shown(row))
    }

    /// Looks a row up by its borrowed key.
    pub(crate) fn get(&self, key: &<P::Key as Key>::Ref<'_>) -> Option<P> {
        thread_local! {
            /// A key's bytes while it is looked for, so that looking allocates nothing.
            static BYTES: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
        }
        // Taken out while it is used: rendering runs the user's code, which may look up another row.
        let mut bytes = BYTES.take();
        bytes.clear();
        P::Key::write_ref(key, &mut bytes);
        let row = self.find(&bytes);
        BYTES.set(bytes);
        self.show(row?)
    }

    /// The numbers of the rows under a prefix, in the order of their keys.
    pub(crate) fn under<const N: usize>(&self, prefix: &impl PrefixOf<P, N>) -> Vec<u32> {
        self.under_bytes(&prefix_bytes(prefix))
    }

    /// The same for canonical bytes.
    pub(crate) fn under_bytes(&self, bytes: &[u8]) -> Vec<u32> {
        self.ordered().under(&self.keys, bytes).collect()
    }

    /// One of the indexes.
    pub(crate) fn index(&self, number: usize) -> &Index {
        self.indexes[number].get_or_init(|| Index::of(self, number))
    }

    /// Brings the indexes up to what these rows are now.
    pub(crate) fn reindex(&mut self, touched: &[u32]) {
        if !Self::INDEXED {
            return;
        }
        for number in 0..self.indexes.len() {
            let Some(mut index) = self.indexes[number].take() else { continue };
            touched.iter().for_each(|row| index.follow(self, number, *row));
            self.indexes[number] = OnceLock::from(index);
        }
    }

    /// The first rows of a span, in the order of an index or of their keys.
    pub(crate) fn first_in(&self, index: Option<usize>, span: &Span, limit: usize) -> Page {
        match index {
            Some(number) => self.index(number).first_in(span, limit),
            None => self.page(self.ordered().within(&self.keys, span).take(limit).collect()),
        }
    }

    /// The last rows of a span, the very last first.
    pub(crate) fn last_in(&self, index: Option<usize>, span: &Span, limit: usize) -> Page {
        match index {
            Some(number) => self.index(number).last_in(span, limit),
            None => self.page(self.ordered().within_reversed(&self.keys, span).take(limit).collect()),
        }
    }

    /// What a row is ordered by, in an index or by its key; `None` if it is not there.
    pub(crate) fn place(&self, index: Option<usize>, row: u32) -> Option<Vec<u8>> {
        match index {
            Some(number) => index::key(self, number, row),
            None => self.keys.has(row).then(|| self.keys.key(row).to_vec()),
        }
    }

    fn page(&self, rows: Vec<u32>) -> Page {
        Page { end: rows.last().map(|row| self.keys.key(*row).to_vec()), rows }
    }

    fn ordered(&self) -> &Ordered {
        self.ordered.get_or_init(|| Ordered::of(&self.keys))
    }

    /// The exact state of a row, for a checkpoint.
    pub(crate) fn write_state(&self, row: u32, out: &mut Vec<u8>) {
        self.keys.value(row).write(out);
    }

    /// Adds a row out of a checkpoint, under the number it had; whether these are a key and a state of this projection, and neither the number
    /// nor the key has a row.
    pub(crate) fn restore(&mut self, row: u32, key: &[u8], state: &[u8]) -> bool {
        let mut input = state;
        let Some(state) = P::State::read(&mut input).filter(|_| input.is_empty()) else { return false };
        P::Key::check(key) && self.keys.insert_at(row, self.keys.hash(key), &Probe::new(key), state)
    }

    /// Makes room for so many rows more.
    pub(crate) fn reserve(&mut self, rows: usize) {
        self.keys.reserve(rows);
    }

    /// Brings these rows up to `newer`, which differs from them in the `touched` rows only.
    pub(crate) fn catch_up(&mut self, newer: &Self, touched: &[u32]) {
        if self.keys.removals() != newer.keys.removals() {
            // First of all, so that a key that moved to another number is free to be put there.
            for &row in touched {
                if self.keys.parts_from(&newer.keys, row) {
                    self.remove(row);
                }
            }
        }
        for &row in touched {
            if self.keys.has(row) {
                self.keys.value_mut(row).clone_from(newer.keys.value(row));
            } else if newer.keys.has(row) {
                self.keys.adopt(row, &newer.keys);
                if let Some(ordered) = self.ordered.get_mut() {
                    ordered.insert(&self.keys, row);
                }
            }
        }
        self.keys.set_removals(newer.keys.removals());
        self.elements.catch_up(&newer.elements);
        self.clock = newer.clock;
        let known = self.parked.len();
        self.parked.extend_from_slice(&newer.parked[known..]);
        if Self::SCHEDULED && self.schedule.is_some() {
            touched.iter().filter(|row| newer.keys.has(**row)).for_each(|row| self.schedule_row(*row));
        }
    }

    /// Sets an event aside that could not be folded. The error comes back where the projection does not park, and where too many are parked.
    pub(crate) fn park(&mut self, position: u64, event: &str, error: FoldError) -> Result<(), FoldError> {
        if !P::PARKS {
            return Err(error);
        }
        if self.parked.len() >= MOST_PARKED {
            let reason = format!(
                "{MOST_PARKED} events are parked, and this is one too many, so the view stops: {}",
                error.reason
            );
            return Err(FoldError { reason, ..error });
        }
        self.parked.push(Parked::new(position, event, error));
        Ok(())
    }

    /// Whether there is a row of this number, and its key begins with these bytes.
    fn has_under(&self, row: u32, prefix: &[u8]) -> bool {
        self.keys.has(row) && self.keys.key(row).starts_with(prefix)
    }

    /// How the rows of another fold of the log differ from `before`, those whose key begins with these bytes: each key of both, before and after, as readers get it.
    pub(crate) fn differences<'r>(
        &'r self,
        before: &'r Self,
        prefix: &'r [u8],
    ) -> impl Iterator<Item = (Option<P>, Option<P>)> + 'r {
        let here = move |row| self.find(before.keys.key(row)).and_then(|row| self.show(row));
        let were = before.keys.rows(0).filter(move |row| before.has_under(*row, prefix));
        let were = were.map(move |row| (before.show(row), here(row)));
        let is_new =
            move |row: &u32| self.has_under(*row, prefix) && before.find(self.keys.key(*row)).is_none();
        were.chain(self.keys.rows(0).filter(is_new).map(move |row| (None, self.show(row))))
    }

    /// What changed of each key that begins with these bytes from `before`, which differs from these rows in the `touched` ones only: the row before and after, as
    /// readers get it, each key once.
    pub(crate) fn changes<'r>(
        &'r self,
        before: &'r Self,
        touched: &'r [u32],
        prefix: &'r [u8],
    ) -> impl Iterator<Item = (Option<P>, Option<P>)> + 'r {
        let removed = self.keys.removals() != before.keys.removals();
        touched
            .iter()
            .flat_map(move |&row| {
                if !removed
                    || !before.keys.parts_from(&self.keys, row) && !self.keys.parts_from(&before.keys, row)
                {
                    let wanted = self.has_under(row, prefix) || before.has_under(row, prefix);
                    return [wanted.then(|| (before.show(row), self.show(row))), None];
                }
                // The number has another key than it had: what became of the one, and where the other comes from. A key that moved is told where it was.
                let went = before.has_under(row, prefix).then(|| {
                    let moved = self.find(before.keys.key(row));
                    (before.show(row), moved.and_then(|row| self.show(row)))
                });
                let came = self.has_under(row, prefix) && before.find(self.keys.key(row)).is_none();
                [went, came.then(|| (None, self.show(row)))]
            })
            .flatten()
    }

    /// Bytes in memory, without what the states themselves have on the heap.
    pub(crate) fn memory(&self) -> usize {
        self.keys.memory()
            + self.ordered.get().map_or(0, Ordered::memory)
            + self.elements.memory()
            + self.parked.capacity() * size_of::<Parked>()
            + Index::memory_of(&self.indexes)
    }
}
