//! Rows by the first columns of their key: one chain of rows a prefix.

use super::keys::Keys;

/// For every proper prefix length of the key: prefix to the last row under it, and each row to the one before it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Prefixes {
    levels: Vec<Level>,
}

#[derive(Clone, Debug, Default)]
struct Level {
    prefixes: Keys,
    /// By prefix number: the newest row.
    newest: Vec<u32>,
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
        let hash = level.prefixes.hash(prefix);
        let older = match level.prefixes.find(hash, prefix) {
            Some(number) => std::mem::replace(&mut level.newest[number as usize], row) + 1,
            None => {
                // There are no more prefixes than rows, and the rows had numbers left.
                level.prefixes.insert(hash, prefix);
                level.newest.push(row);
                0
            }
        };
        level.older.push(older);
    }

    /// The rows under a prefix of this many columns, in order of appearance.
    pub(crate) fn rows(&self, parts: usize, prefix: &[u8]) -> Vec<u32> {
        let level = &self.levels[parts - 1];
        let mut rows = Vec::new();
        if let Some(number) = level.prefixes.find(level.prefixes.hash(prefix), prefix) {
            let mut next = level.newest[number as usize] + 1;
            while next > 0 {
                rows.push(next - 1);
                next = level.older[next as usize - 1];
            }
        }
        rows.reverse();
        rows
    }

    pub(crate) fn memory(&self) -> usize {
        let numbers = |v: &Vec<u32>| v.capacity() * size_of::<u32>();
        self.levels.iter().map(|l| l.prefixes.memory() + numbers(&l.newest) + numbers(&l.older)).sum()
    }
}
