//! Keys to dense row numbers: an open-addressing index over an arena of key bytes, with a value beside each key.
//!
//! The rows' numbers are given out in order of appearance and name the row everywhere: in the list of what a batch touched, in the
//! checkpoint. The index is code over bytes, compiled once for each type of value, and not once for each type of key.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Key bytes to row numbers and values.
#[derive(Clone, Debug)]
pub(crate) struct Keys<V> {
    /// Every key's bytes, one after the other.
    arena: Vec<u8>,
    entries: Vec<Entry<V>>,
    /// A power of two of slots: 0 if empty, else 32 bits of hash above the row number plus one. Linear probing; the hash's low
    /// bits are the home slot, so the index grows without hashing a key again.
    slots: Vec<u64>,
    /// Drawn per table, so that no sender of keys can know which collide.
    seed: u64,
}

/// What a fold touches of a row, in one place: one cache miss.
#[derive(Clone, Debug)]
struct Entry<V> {
    /// Where the key begins in the arena, above 24 bits of its length.
    span: u64,
    /// The round in which the row was last touched. 64 bits, since a number that came round again would hide a change.
    round: u64,
    value: V,
}

const LENGTH_BITS: u32 = 24;

impl<V> Entry<V> {
    #[inline]
    fn range(&self) -> std::ops::Range<usize> {
        let start = (self.span >> LENGTH_BITS) as usize;
        start..start + (self.span & ((1 << LENGTH_BITS) - 1)) as usize
    }
}

const MIN_SLOTS: usize = 16;

impl<V> Default for Keys<V> {
    fn default() -> Self {
        use std::hash::{BuildHasher, RandomState};
        Self {
            arena: Vec::new(),
            entries: Vec::new(),
            slots: vec![0; MIN_SLOTS],
            seed: RandomState::new().hash_one(0),
        }
    }
}

impl<V> Keys<V> {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    #[inline]
    pub(crate) fn hash(&self, key: &[u8]) -> u32 {
        xxh3_64_with_seed(key, self.seed) as u32
    }

    /// The first slot in which a key of this hash could be. This and the next two read ahead, for a batch of keys, what
    /// [`find`](Self::find) will read, so that the cache misses of the batch overlap.
    #[inline]
    pub(crate) fn peek_slot(&self, hash: u32) -> u64 {
        self.slots[hash as usize & (self.slots.len() - 1)]
    }

    /// Where the key of a peeked slot begins.
    #[inline]
    pub(crate) fn peek_entry(&self, slot: u64) -> u64 {
        self.entries.get((slot as u32).wrapping_sub(1) as usize).map_or(0, |entry| entry.span >> LENGTH_BITS)
    }

    /// The first byte of a peeked key.
    #[inline]
    pub(crate) fn peek_key(&self, start: u64) -> u8 {
        self.arena.get(start as usize).copied().unwrap_or(0)
    }

    #[inline]
    pub(crate) fn key(&self, row: u32) -> &[u8] {
        &self.arena[self.entries[row as usize].range()]
    }

    #[inline]
    pub(crate) fn value(&self, row: u32) -> &V {
        &self.entries[row as usize].value
    }

    #[inline]
    pub(crate) fn value_mut(&mut self, row: u32) -> &mut V {
        &mut self.entries[row as usize].value
    }

    /// Marks the row as touched in this round; `false` if it was already.
    #[inline]
    pub(crate) fn touch(&mut self, row: u32, round: u64) -> bool {
        std::mem::replace(&mut self.entries[row as usize].round, round) != round
    }

    #[inline]
    pub(crate) fn find(&self, hash: u32, key: &[u8]) -> Option<u32> {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                return None;
            }
            let row = (slot as u32).wrapping_sub(1);
            if (slot >> 32) as u32 == hash && self.key(row) == key {
                return Some(row);
            }
            at = (at + 1) & mask;
        }
    }

    /// Adds a key that is not there and returns its row number; `None` when there is no room for it.
    pub(crate) fn insert(&mut self, hash: u32, key: &[u8], value: V) -> Option<u32> {
        let row = u32::try_from(self.entries.len()).ok().filter(|row| *row < u32::MAX)?;
        // 16 MiB a key, 1 TiB of keys: both beyond what payloads and memory allow.
        let fits = key.len() < 1 << LENGTH_BITS && self.arena.len() < 1 << (64 - LENGTH_BITS);
        let span = fits.then_some((self.arena.len() as u64) << LENGTH_BITS | key.len() as u64)?;
        // At most three quarters full.
        if (self.entries.len() + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        self.arena.extend_from_slice(key);
        // Round 0 is no round.
        self.entries.push(Entry { span, round: 0, value });
        place(&mut self.slots, hash, row);
        Some(row)
    }

    fn grow(&mut self) {
        let mut slots = vec![0; self.slots.len() * 2];
        for slot in self.slots.iter().filter(|slot| **slot != 0) {
            place(&mut slots, (slot >> 32) as u32, (*slot as u32).wrapping_sub(1));
        }
        self.slots = slots;
    }

    /// Bytes in memory.
    pub(crate) fn memory(&self) -> usize {
        self.arena.capacity()
            + self.entries.capacity() * size_of::<Entry<V>>()
            + self.slots.capacity() * size_of::<u64>()
    }
}

fn place(slots: &mut [u64], hash: u32, row: u32) {
    let mask = slots.len() - 1;
    let mut at = hash as usize & mask;
    while slots[at] != 0 {
        at = (at + 1) & mask;
    }
    slots[at] = u64::from(hash) << 32 | (u64::from(row) + 1);
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn is_a_map(keys in prop::collection::vec(prop::collection::vec(0_u8..4, 0..4), 0..400)) {
            let mut ours = Keys::default();
            let mut plain: HashMap<Vec<u8>, u32> = HashMap::new();
            for (value, key) in keys.iter().enumerate() {
                let hash = ours.hash(key);
                prop_assert_eq!(ours.find(hash, key), plain.get(key).copied());
                if !plain.contains_key(key) {
                    let row = ours.insert(hash, key, value).unwrap();
                    prop_assert_eq!(*ours.value(row), value);
                    plain.insert(key.clone(), row);
                }
            }
            prop_assert_eq!(ours.len(), plain.len());
            for (key, row) in &plain {
                prop_assert_eq!(ours.key(*row), key.as_slice());
                prop_assert_eq!(ours.find(ours.hash(key), key), Some(*row));
            }
        }
    }

    #[test]
    fn equal_hashes_are_told_apart_by_the_key() {
        let mut keys = Keys::default();
        for n in 0..100_u8 {
            assert_eq!(keys.insert(7, &[n], ()), Some(u32::from(n)));
        }
        for n in 0..100_u8 {
            assert_eq!(keys.find(7, &[n]), Some(u32::from(n)));
        }
        assert_eq!(keys.find(7, b"other"), None);
    }

    #[test]
    fn a_row_is_touched_once_a_round() {
        let mut keys = Keys::default();
        keys.insert(7, b"a", ());
        assert_eq!([keys.touch(0, 1), keys.touch(0, 1), keys.touch(0, 2)], [true, false, true]);
    }
}
