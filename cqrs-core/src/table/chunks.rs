//! A list that grows in pieces, so that nothing in it is copied when it grows.

use std::ops::{Index, IndexMut};

/// How many items a piece has.
const CHUNK: usize = 1 << SHIFT;
const SHIFT: u32 = 12;

/// A growing list. Only its first piece is ever moved: a small list is one small `Vec`.
#[derive(Clone, Debug)]
pub(crate) struct Chunks<T> {
    /// All of them full but the last.
    chunks: Vec<Vec<T>>,
}

impl<T> Default for Chunks<T> {
    fn default() -> Self {
        Self { chunks: vec![Vec::new()] }
    }
}

impl<T> Chunks<T> {
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.chunks.last().map_or(0, |last| (self.chunks.len() - 1) * CHUNK + last.len())
    }

    #[inline]
    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        self.chunks.get(at >> SHIFT)?.get(at & (CHUNK - 1))
    }

    #[inline]
    pub(crate) fn push(&mut self, item: T) {
        if self.chunks.last().is_none_or(|last| last.len() == CHUNK) {
            self.begin_chunk();
        }
        // Room was made without the item in hand, so that it is written where it belongs, field by field: one that is put together elsewhere, and then copied in
        // larger pieces, is waited for.
        if let Some(last) = self.chunks.last_mut() {
            last.push(item);
        }
    }

    #[cold]
    fn begin_chunk(&mut self) {
        self.chunks.push(Vec::with_capacity(CHUNK));
    }

    /// Bytes in memory.
    pub(crate) fn memory(&self) -> usize {
        let mut items = 0;
        for chunk in &self.chunks {
            items += chunk.capacity();
        }
        items * size_of::<T>() + self.chunks.len() * size_of::<Vec<T>>()
    }
}

impl<T> Index<usize> for Chunks<T> {
    type Output = T;
    #[inline]
    fn index(&self, at: usize) -> &T {
        &self.chunks[at >> SHIFT][at & (CHUNK - 1)]
    }
}

impl<T> IndexMut<usize> for Chunks<T> {
    #[inline]
    fn index_mut(&mut self, at: usize) -> &mut T {
        &mut self.chunks[at >> SHIFT][at & (CHUNK - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_list() {
        let mut list = Chunks::default();
        let many = 3 * CHUNK + 5;
        for n in 0..many {
            assert_eq!(list.len(), n);
            assert_eq!(list.get(n), None);
            list.push(n);
        }
        (0..many).for_each(|at| list[at] += 1);
        list[CHUNK] = 0;
        let expected = |n: usize| if n == CHUNK { 0 } else { n + 1 };
        assert!((0..many).all(|n| list[n] == expected(n) && list.get(n) == Some(&expected(n))));
        assert!(list.memory() >= many * size_of::<usize>());
    }
}
