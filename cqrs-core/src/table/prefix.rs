//! Rows by the first columns of their key: one chain of rows a prefix.

use super::keys::Keys;

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

    /// Adds the next row under the prefix of this length's level.
    pub(crate) fn insert(&mut self, level: usize, prefix: &[u8], row: u32) {
        let level = &mut self.levels[level];
        let hash = level.newest.hash(prefix);
        let older = match level.newest.find(hash, prefix) {
            Some(number) => std::mem::replace(level.newest.value_mut(number), row) + 1,
            None => {
                // There are no more prefixes than rows, and the rows had numbers left.
                level.newest.insert(hash, prefix, row);
                0
            }
        };
        level.older.push(older);
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

    pub(crate) fn memory(&self) -> usize {
        self.levels
            .iter()
            .map(|level| level.newest.memory() + level.older.capacity() * size_of::<u32>())
            .sum()
    }
}
