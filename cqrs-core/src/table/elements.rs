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
    /// The elements that were touched since the list was last cleared, each once or more.
    pub(super) touched: Vec<u32>,
    /// What undoes the changes since [`begin`](Self::begin), last first: an element's full key, and its count before (0: it was not there).
    pub(super) journal: Option<Vec<(Vec<u8>, u64)>>,
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
        self.keys.memory() + self.ordered.memory() + self.touched.capacity() * size_of::<u32>()
    }

    /// Those of a row, to be written.
    pub fn cells(&mut self, row: u32) -> Cells<'_> {
        Cells { elements: self, row }
    }

    /// Those of a row, to be read.
    pub fn shown(&self, row: u32) -> ShownCells<'_> {
        ShownCells { elements: self, row }
    }

    /// Takes out all elements of a row.
    pub fn remove_row(&mut self, row: u32) {
        let prefix = row.to_be_bytes();
        let full: Vec<_> =
            self.ordered.under(&self.keys, &prefix).map(|number| self.keys.key(number).to_vec()).collect();
        for full in full {
            self.set(&full, 0);
        }
    }

    /// Keeps a journal from here on: what [`rollback`](Self::rollback) undoes.
    pub fn begin(&mut self) {
        self.journal = Some(Vec::new());
    }

    /// Undoes all changes since [`begin`](Self::begin).
    pub fn rollback(&mut self) {
        for (full, count) in self.journal.take().unwrap_or_default().into_iter().rev() {
            self.set(&full, count);
        }
    }

    /// Keeps all changes since [`begin`](Self::begin).
    pub fn commit(&mut self) {
        self.journal = None;
    }

    /// The number of the element of a full key.
    fn find(&self, full: &[u8]) -> Option<u32> {
        self.keys.find(self.keys.hash(full), &Probe::new(full))
    }

    fn count_of(&self, full: &[u8]) -> u64 {
        self.find(full).map_or(0, |number| *self.keys.value(number))
    }

    /// Gives an element this count; 0 takes it out.
    pub(crate) fn set(&mut self, full: &[u8], count: u64) {
        self.change(full, |_| count);
    }

    /// Gives an element another count; 0 takes it out.
    fn change(&mut self, full: &[u8], count: impl FnOnce(u64) -> u64) {
        self.keys.reserve(1);
        let (hash, probe) = (self.keys.hash(full), Probe::new(full));
        let (number, before, count) = match self.keys.seek(hash, &probe) {
            Ok(number) => {
                let before = *self.keys.value(number);
                (number, before, count(before))
            }
            Err(place) => {
                let count = count(0);
                if count == 0 {
                    return;
                }
                // Steps turn away keys that are too long; and the memory is full before the numbers are used up.
                let number = self.keys.put_at(place, &probe, 0).expect("room for an element");
                self.ordered.insert(&self.keys, number);
                (number, 0, count)
            }
        };
        if count == before {
            return;
        }
        if let Some(journal) = &mut self.journal {
            journal.push((full.to_vec(), before));
        }
        if self.touched.last() != Some(&number) {
            self.touched.push(number);
        }
        if count == 0 {
            self.ordered.remove(&self.keys, number);
            self.keys.remove(number);
        } else {
            *self.keys.value_mut(number) = count;
        }
    }

    /// Those whose full key begins so, in order.
    fn under(&self, prefix: Prefix) -> impl Iterator<Item = (&[u8], u64)> {
        let numbers = self.ordered.from(&self.keys, prefix.as_ref());
        numbers.map_while(move |number| self.of(prefix.as_ref(), number))
    }

    /// Those whose full key begins so, the last first.
    fn under_back(&self, owner: [u8; OWNER]) -> impl Iterator<Item = (&[u8], u64)> {
        // No row has the last number.
        let mut end = [0; 8];
        end[8 - OWNER..].copy_from_slice(&owner);
        let end = (u64::from_be_bytes(end) + 1).to_be_bytes();
        let numbers = self.ordered.before(&self.keys, Some(&end[8 - OWNER..]));
        numbers.map_while(move |number| self.of(&owner, number))
    }

    /// An element without its owner, if its full key begins so.
    fn of(&self, prefix: &[u8], number: u32) -> Option<(&[u8], u64)> {
        let full = self.keys.key(number);
        full.starts_with(prefix).then(|| (&full[OWNER..], *self.keys.value(number)))
    }
}

/// What a full key begins with.
#[derive(Clone, Debug)]
enum Prefix {
    Owner([u8; OWNER]),
    Longer(Box<[u8]>),
}

impl AsRef<[u8]> for Prefix {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Owner(owner) => owner,
            Self::Longer(bytes) => bytes,
        }
    }
}

fn owner(row: u32, column: u8) -> [u8; OWNER] {
    let [a, b, c, d] = row.to_be_bytes();
    [a, b, c, d, column]
}

fn full(row: u32, column: u8, key: &[u8]) -> Vec<u8> {
    let mut full = Vec::with_capacity(OWNER + key.len());
    full.extend_from_slice(&owner(row, column));
    full.extend_from_slice(key);
    full
}

/// What both [`Cell`] and [`Shown`] read.
macro_rules! reading {
    ($name:ident) => {
        impl $name<'_> {
            /// How often an element is there.
            #[must_use]
            pub fn count(&self, key: &[u8]) -> u64 {
                self.elements.count_of(&full(self.row, self.column, key))
            }

            /// The least element.
            #[must_use]
            pub fn first(&self) -> Option<(&[u8], u64)> {
                self.iter().next()
            }

            /// The greatest element.
            #[must_use]
            pub fn last(&self) -> Option<(&[u8], u64)> {
                self.iter_back().next()
            }

            /// All elements, in order.
            pub fn iter(&self) -> impl Iterator<Item = (&[u8], u64)> {
                self.elements.under(Prefix::Owner(owner(self.row, self.column)))
            }

            /// All elements, the greatest first.
            pub fn iter_back(&self) -> impl Iterator<Item = (&[u8], u64)> {
                self.elements.under_back(owner(self.row, self.column))
            }

            /// The elements whose keys begin so, in order.
            pub fn under(&self, prefix: &[u8]) -> impl Iterator<Item = (&[u8], u64)> + use<'_> {
                self.elements.under(Prefix::Longer(full(self.row, self.column, prefix).into()))
            }
        }
    };
}

reading! { Cell }
reading! { Shown }

impl Cell<'_> {
    /// Adds so many of an element, or takes so many out; one of which none is left is gone.
    pub fn add(&mut self, key: &[u8], n: i64) {
        let full = full(self.row, self.column, key);
        self.elements.change(&full, |before| {
            debug_assert!(before.checked_add_signed(n).is_some(), "more taken back than came");
            before.saturating_add_signed(n)
        });
    }

    /// Takes out all.
    pub fn clear(&mut self) {
        for (key, _) in self.owned(self.row) {
            self.elements.set(&full(self.row, self.column, &key), 0);
        }
    }

    /// Moves the elements of the same column of another row here, adding their counts.
    pub fn absorb(&mut self, other_row: u32) {
        if other_row == self.row {
            return;
        }
        for (key, count) in self.take(other_row) {
            self.plus(&key, count);
        }
    }

    /// Adds so many of an element.
    pub(crate) fn plus(&mut self, key: &[u8], count: u64) {
        let full = full(self.row, self.column, key);
        self.elements.change(&full, |before| before.saturating_add(count));
    }

    /// Takes the elements of the same column out of another row, in order.
    pub(crate) fn take(&mut self, other_row: u32) -> Vec<(Vec<u8>, u64)> {
        let taken = self.owned(other_row);
        for (key, _) in &taken {
            self.elements.set(&full(other_row, self.column, key), 0);
        }
        taken
    }

    fn owned(&self, row: u32) -> Vec<(Vec<u8>, u64)> {
        let elements = self.elements.under(Prefix::Owner(owner(row, self.column)));
        elements.map(|(key, count)| (key.to_vec(), count)).collect()
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    type Plain = BTreeMap<(u32, u8, Vec<u8>), u64>;

    #[derive(Clone, Debug)]
    enum Step {
        Add(u32, u8, Vec<u8>, i64),
        Clear(u32, u8),
        Absorb(u32, u8, u32),
        RemoveRow(u32),
        Begin,
        Rollback,
        Commit,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let (row, column) = (0_u32..3, prop::sample::select(vec![0_u8, 1, 255]));
        let key = prop::collection::vec(prop::sample::select(vec![0_u8, 1, 255]), 0..5);
        let long = (0_u8..3).prop_map(|n| vec![n; 40]);
        let step = prop_oneof![
            20 => (row.clone(), column.clone(), prop_oneof![key, long], -3_i64..4).prop_map(|(r, c, k, n)| Step::Add(r, c, k, n)),
            1 => (row.clone(), column.clone()).prop_map(|(r, c)| Step::Clear(r, c)),
            1 => (row.clone(), column, row.clone()).prop_map(|(r, c, o)| Step::Absorb(r, c, o)),
            1 => row.prop_map(Step::RemoveRow),
            2 => Just(Step::Begin),
            1 => Just(Step::Rollback),
            1 => Just(Step::Commit),
        ];
        prop::collection::vec(step, 0..120)
    }

    fn all(elements: &Elements) -> Plain {
        let mut all = Plain::new();
        for row in 0..3 {
            for column in [0, 1, 255] {
                let shown = elements.shown(row);
                let shown = shown.at(column);
                let mut back: Vec<_> = shown.iter_back().collect();
                assert_eq!(shown.first(), back.last().copied());
                assert_eq!(shown.last(), back.first().copied());
                back.reverse();
                assert_eq!(back, shown.iter().collect::<Vec<_>>());
                for (key, count) in back {
                    assert_eq!(shown.count(key), count);
                    all.insert((row, column, key.to_vec()), count);
                }
            }
        }
        all
    }

    fn numbers(elements: &Elements) -> BTreeMap<u32, (Vec<u8>, u64)> {
        let keys = &elements.keys;
        keys.rows(0).map(|number| (number, (keys.key(number).to_vec(), *keys.value(number)))).collect()
    }

    proptest! {
        #[test]
        fn is_an_ordered_map_of_counts(steps in steps()) {
            let (mut ours, mut plain) = (Elements::default(), Plain::new());
            let mut before: Option<Plain> = None;
            for step in steps {
                let numbered = numbers(&ours);
                ours.touched.clear();
                match step {
                    Step::Add(row, column, key, n) => {
                        let count = plain.entry((row, column, key.clone())).or_default();
                        let n = n.max(-(*count as i64));
                        *count = count.checked_add_signed(n).unwrap();
                        ours.cells(row).at(column).add(&key, n);
                    }
                    Step::Clear(row, column) => {
                        ours.cells(row).at(column).clear();
                        plain.retain(|(r, c, _), _| (*r, *c) != (row, column));
                    }
                    Step::Absorb(row, column, other) => {
                        ours.cells(row).at(column).absorb(other);
                        for ((r, c, key), count) in std::mem::take(&mut plain) {
                            let r = if (r, c) == (other, column) { row } else { r };
                            *plain.entry((r, c, key)).or_default() += count;
                        }
                    }
                    Step::RemoveRow(row) => {
                        ours.remove_row(row);
                        plain.retain(|(r, ..), _| *r != row);
                    }
                    Step::Begin => {
                        ours.begin();
                        before = Some(plain.clone());
                    }
                    Step::Rollback => {
                        ours.rollback();
                        plain = before.take().unwrap_or(plain);
                    }
                    Step::Commit => {
                        ours.commit();
                        before = None;
                    }
                }
                plain.retain(|_, count| *count > 0);
                prop_assert_eq!(all(&ours), plain.clone());
                let now = numbers(&ours);
                for number in numbered.keys().chain(now.keys()) {
                    prop_assert!(numbered.get(number) == now.get(number) || ours.touched.contains(number));
                }
            }
            let shown = ours.shown(0).at(1);
            let expected: Vec<_> = plain.iter().filter(|((r, c, key), _)| (*r, *c) == (0, 1) && key.starts_with(&[255]))
                .map(|((.., key), count)| (key.as_slice(), *count)).collect();
            prop_assert_eq!(shown.under(&[255]).collect::<Vec<_>>(), expected);
        }
    }
}
