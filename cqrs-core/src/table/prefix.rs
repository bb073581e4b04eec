//! Rows by the first columns of their key: one chain of rows a prefix.

use super::keys::Keys;
use crate::key::Key;

/// For every proper prefix length of the key: prefix to the last row under it, and each row to the one before it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Prefixes {
    levels: Vec<Level>,
}

#[derive(Clone, Debug, Default)]
struct Level {
    /// To the newest row of each prefix.
    newest: Keys<u32>,
    /// By row: the next older row of the same prefix, plus one; 0 ends the chain.
    older: Vec<u32>,
}

impl Prefixes {
    /// For keys of this many columns.
    pub(crate) fn new(parts: usize) -> Self {
        Self { levels: vec![Level::default(); parts.saturating_sub(1)] }
    }

    /// Adds the next row under each prefix of its key.
    pub(crate) fn insert<K: Key>(&mut self, key: &[u8], row: u32) {
        let mut levels = self.levels.iter_mut();
        K::prefixes(key, &mut |end| {
            if let Some(level) = levels.next() {
                level.insert(&key[..end], row);
            }
        });
    }

    /// The rows under a prefix of this many columns, in order of appearance.
    pub(crate) fn rows(&self, parts: usize, prefix: &[u8]) -> Vec<u32> {
        let level = &self.levels[parts - 1];
        let mut rows = Vec::new();
        if let Some(number) = level.newest.find(level.newest.hash(prefix), prefix) {
            let mut next = level.newest.value(number) + 1;
            while next > 0 {
                rows.push(next - 1);
                next = level.older[next as usize - 1];
            }
        }
        rows.reverse();
        rows
    }

    /// Bytes in memory.
    pub(crate) fn memory(&self) -> usize {
        self.levels
            .iter()
            .map(|level| level.newest.memory() + level.older.capacity() * size_of::<u32>())
            .sum()
    }
}

impl Level {
    fn insert(&mut self, prefix: &[u8], row: u32) {
        let hash = self.newest.hash(prefix);
        let older = match self.newest.find(hash, prefix) {
            Some(number) => std::mem::replace(self.newest.value_mut(number), row) + 1,
            None => {
                // There are no more prefixes than rows, and the rows had numbers left.
                self.newest.insert(hash, prefix, row);
                0
            }
        };
        self.older.push(older);
    }
}
