//! The rows of one projection: keys, and the state beside each.

use std::sync::OnceLock;

use super::keys::Keys;
use super::prefix::Prefixes;
use crate::aggregate::State;
use crate::key::{Key, PrefixOf};
use crate::projection::Projection;

/// The rows of one view at one position. Cloning copies them all.
pub(crate) struct Rows<P: Projection> {
    keys: Keys<P::State>,
    /// Made when a prefix is first asked for, and kept up from then on: an index that nobody uses would cost every new row.
    prefixes: OnceLock<Prefixes>,
}

impl<P: Projection> std::fmt::Debug for Rows<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").field("projection", &P::RUST_NAME).field("rows", &self.len()).finish()
    }
}

impl<P: Projection> Clone for Rows<P> {
    fn clone(&self) -> Self {
        Self { keys: self.keys.clone(), prefixes: self.prefixes.clone() }
    }
}

impl<P: Projection> Default for Rows<P> {
    fn default() -> Self {
        Self { keys: Keys::default(), prefixes: OnceLock::new() }
    }
}

impl<P: Projection> Rows<P> {
    /// How many rows, those hidden from readers included.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn keys(&self) -> &Keys<P::State> {
        &self.keys
    }

    pub(crate) fn keys_mut(&mut self) -> &mut Keys<P::State> {
        &mut self.keys
    }

    /// Adds the row of a key that has none; `None` when there are as many rows as a view can have.
    pub(crate) fn insert(&mut self, hash: u32, key: &[u8], state: P::State) -> Option<u32> {
        let row = self.keys.insert(hash, key, state)?;
        if let Some(prefixes) = self.prefixes.get_mut() {
            prefixes.insert::<P::Key>(key, row);
        }
        Some(row)
    }

    /// The row of a key, if it has one, hidden or not.
    pub(crate) fn find(&self, key: &[u8]) -> Option<u32> {
        self.keys.find(self.keys.hash(key), key)
    }

    /// The row as readers get it; `None` if `having` hides it.
    pub(crate) fn show(&self, row: u32) -> Option<P> {
        self.render(row).filter(P::visible)
    }

    /// The row, hidden or not. `None` only for a state that no fold makes.
    pub(crate) fn render(&self, row: u32) -> Option<P> {
        P::row(P::Key::read(self.keys.key(row))?, self.keys.value(row))
    }

    /// Looks a row up by its borrowed key.
    pub(crate) fn get(&self, key: &<P::Key as Key>::Ref<'_>) -> Option<P> {
        // A key seldom fills this; where it does, it moves to the heap by itself.
        let mut bytes = Vec::with_capacity(64);
        P::Key::write_ref(key, &mut bytes);
        self.show(self.find(&bytes)?)
    }

    /// The numbers of the rows under a prefix, in order of appearance.
    pub(crate) fn under<Q: PrefixOf<P>>(&self, prefix: &Q) -> Vec<u32> {
        let mut bytes = Vec::with_capacity(64);
        prefix.write_prefix(&mut bytes);
        let prefixes = self.prefixes.get_or_init(|| {
            let mut prefixes = Prefixes::new(P::Key::PARTS);
            (0..self.len() as u32).for_each(|row| prefixes.insert::<P::Key>(self.keys.key(row), row));
            prefixes
        });
        prefixes.rows(Q::PARTS, &bytes)
    }

    /// The exact state of a row, for a checkpoint.
    pub(crate) fn write_state(&self, row: u32, out: &mut Vec<u8>) {
        self.keys.value(row).write(out);
    }

    /// Adds the next row out of a checkpoint. `None` if the bytes are no key and state of this projection, or the key has a row.
    pub(crate) fn restore(&mut self, key: &[u8], state: &[u8]) -> Option<u32> {
        let mut input = state;
        let state = P::State::read(&mut input).filter(|_| input.is_empty())?;
        P::row(P::Key::read(key)?, &state)?;
        let hash = self.keys.hash(key);
        if self.keys.find(hash, key).is_some() {
            return None;
        }
        self.insert(hash, key, state)
    }

    /// Brings these rows up to `newer`, which differs from them in the `touched` rows only.
    pub(crate) fn catch_up(&mut self, newer: &Self, touched: &[u32]) {
        let known = self.len();
        for &row in touched.iter().filter(|row| (**row as usize) < known) {
            self.keys.value_mut(row).clone_from(newer.keys.value(row));
        }
        for row in known..newer.len() {
            let row = row as u32;
            let key = newer.keys.key(row);
            // The numbers sufficed for `newer`.
            self.insert(self.keys.hash(key), key, newer.keys.value(row).clone());
        }
    }

    /// Bytes in memory, without what the states themselves have on the heap.
    pub(crate) fn memory(&self) -> usize {
        self.keys.memory() + self.prefixes.get().map_or(0, Prefixes::memory)
    }
}
