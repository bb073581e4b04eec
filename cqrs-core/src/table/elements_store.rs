//! Elements on their way: into the other copy, into a checkpoint, and out of it.

use super::elements::{Elements, OWNER};
use super::keys::Probe;

impl Elements {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The first number that no element has ever had.
    pub(crate) fn end(&self) -> u32 {
        self.keys.end()
    }

    /// The full key of an element, and its count.
    pub(crate) fn element(&self, number: u32) -> Option<(&[u8], u64)> {
        self.keys.has(number).then(|| (self.keys.key(number), *self.keys.value(number)))
    }

    /// The count of the element of this full key.
    pub(crate) fn count(&self, key: &[u8]) -> Option<u64> {
        self.keys.find(self.keys.hash(key), &Probe::new(key)).map(|number| *self.keys.value(number))
    }

    /// Adds an element out of a checkpoint, under the number it had; whether this can be one, and neither number nor key has an element.
    pub(crate) fn restore(&mut self, number: u32, key: &[u8], count: u64) -> bool {
        key.len() >= OWNER && count > 0 && self.insert_at(number, key, count)
    }

    fn insert_at(&mut self, number: u32, key: &[u8], count: u64) -> bool {
        let inserted = self.keys.insert_at(number, self.keys.hash(key), &Probe::new(key), count);
        if inserted {
            self.ordered.insert(&self.keys, number);
        }
        inserted
    }

    /// The elements that were touched since the list was last cleared.
    pub(crate) fn touched(&self) -> &[u32] {
        &self.touched
    }

    /// Takes that list.
    pub(crate) fn take_touched(&mut self) -> Vec<u32> {
        self.keys.begin_round();
        std::mem::take(&mut self.touched)
    }

    /// Clears it.
    pub(crate) fn forget_touched(&mut self) {
        if !self.touched.is_empty() {
            self.keys.begin_round();
            self.touched.clear();
        }
    }

    /// Brings these elements up to `newer`, which differs from them in those that it has touched only.
    pub(crate) fn catch_up(&mut self, newer: &Self) {
        if self.keys.removals() != newer.keys.removals() {
            for &number in &newer.touched {
                if self.keys.parts_from(&newer.keys, number) {
                    self.ordered.remove(&self.keys, number);
                    self.keys.remove(number);
                }
            }
        }
        for &number in &newer.touched {
            let Some((key, count)) = newer.element(number) else { continue };
            if self.keys.has(number) {
                *self.keys.value_mut(number) = count;
            } else {
                // There was room in `newer`.
                self.insert_at(number, key, count);
            }
        }
        self.keys.set_removals(newer.keys.removals());
        self.forget_touched();
    }

    /// Whether the order has each element once, by its key.
    #[cfg(test)]
    pub(crate) fn is_ordered(&self) -> bool {
        let keys: Vec<_> = self.ordered.from(&self.keys, &[]).map(|number| self.keys.key(number)).collect();
        keys.len() == self.keys.len() && keys.is_sorted_by(|a, b| a < b)
    }
}
