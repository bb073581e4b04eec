//! Keys to dense row numbers: an open-addressing index over an arena of key bytes.
//!
//! The rows' numbers are given out in order of appearance and name the row everywhere: in the states beside the index, in
//! the list of what a batch touched, in the checkpoint. All of this is code over bytes, compiled once.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Key bytes to row numbers.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    /// Every key's bytes, one after the other.
    arena: Vec<u8>,
    /// Where each ends.
    ends: Vec<u64>,
    /// A power of two of slots: 0 if empty, else 32 bits of hash above the row number plus one. Linear probing; the hash's low
    /// bits are the home slot, so the index grows without hashing a key again.
    slots: Vec<u64>,
    /// Drawn per table, so that no sender of keys can know which collide.
    seed: u64,
}

const MIN_SLOTS: usize = 16;

impl Default for Keys {
    fn default() -> Self {
        use std::hash::{BuildHasher, RandomState};
        Self { arena: Vec::new(), ends: Vec::new(), slots: vec![0; MIN_SLOTS], seed: RandomState::new().hash_one(0) }
    }
}

impl Keys {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    #[inline]
    pub(crate) fn hash(&self, key: &[u8]) -> u32 {
        xxh3_64_with_seed(key, self.seed) as u32
    }

    /// The first slot in which a key of this hash could be: read ahead of its use, for a batch of keys, so that the
    /// cache misses overlap.
    #[inline]
    pub(crate) fn peek(&self, hash: u32) -> u64 {
        self.slots[hash as usize & (self.slots.len() - 1)]
    }

    #[inline]
    pub(crate) fn get(&self, row: u32) -> &[u8] {
        let row = row as usize;
        let start = if row == 0 { 0 } else { self.ends[row - 1] as usize };
        &self.arena[start..self.ends[row] as usize]
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
            if (slot >> 32) as u32 == hash && self.get(row) == key {
                return Some(row);
            }
            at = (at + 1) & mask;
        }
    }

    /// Adds a key that is not there and returns its row number; `None` when the numbers are used up.
    pub(crate) fn insert(&mut self, hash: u32, key: &[u8]) -> Option<u32> {
        let row = u32::try_from(self.ends.len()).ok().filter(|row| *row < u32::MAX)?;
        // At most three quarters full.
        if (self.ends.len() + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        self.arena.extend_from_slice(key);
        self.ends.push(self.arena.len() as u64);
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
        self.arena.capacity() + (self.ends.capacity() + self.slots.capacity()) * size_of::<u64>()
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
            for key in &keys {
                let hash = ours.hash(key);
                prop_assert_eq!(ours.find(hash, key), plain.get(key).copied());
                if !plain.contains_key(key) {
                    let row = ours.insert(hash, key).unwrap();
                    plain.insert(key.clone(), row);
                }
            }
            prop_assert_eq!(ours.len(), plain.len());
            for (key, row) in &plain {
                prop_assert_eq!(ours.get(*row), key.as_slice());
                prop_assert_eq!(ours.find(ours.hash(key), key), Some(*row));
            }
        }
    }

    #[test]
    fn equal_hashes_are_told_apart_by_the_key() {
        let mut keys = Keys::default();
        for n in 0..100_u8 {
            assert_eq!(keys.insert(7, &[n]), Some(u32::from(n)));
        }
        for n in 0..100_u8 {
            assert_eq!(keys.find(7, &[n]), Some(u32::from(n)));
        }
        assert_eq!(keys.find(7, b"other"), None);
    }
}
