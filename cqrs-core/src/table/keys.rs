//! Keys to dense row numbers: an open-addressing index over entries that have key, state and touch mark side by side.
//!
//! A row's number names it everywhere: in the list of what a batch touched, in the other copy, in the checkpoint. Numbers are given out in order of
//! appearance; that of a row that went is given to a later one. The index is code over bytes, compiled once for each type of value and width of
//! key, and not once for each type of key.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::chunks::Chunks;
use crate::key::Inline;

/// Key bytes to row numbers and values. `I` is how much of a key stands beside its row.
#[derive(Clone, Debug)]
pub(crate) struct Keys<V, I> {
    entries: Chunks<Entry<V, I>>,
    /// A power of two of slots: 0 if empty, else 32 bits of hash above the row number plus one. Linear probing; the hash's low
    /// bits are the home slot, so the index grows without hashing a key again.
    slots: Vec<u64>,
    /// Keys that are too long to stand beside their rows.
    long: Vec<u8>,
    /// How many of those bytes belong to rows that went.
    waste: usize,
    /// How many numbers have no row, since theirs went.
    gone: usize,
    /// Those numbers, and some that have a row again.
    vacant: Vec<u32>,
    /// How many rows went so far: of two copies that say the same, neither has removed rows that the other has.
    removals: u64,
    /// What marks the rows that are touched now: a number that no row bears when the round begins.
    round: u32,
    /// Drawn per table, so that no sender of keys can know which collide.
    seed: u64,
}

/// Everything a fold touches of a row, in one place: one cache miss.
#[derive(Clone, Debug)]
struct Entry<V, I> {
    /// The round in which the row was last touched; 0 if in none.
    round: u32,
    /// How many bytes its key has; [`VACANT`] if it went.
    length: u32,
    /// The key, zeros behind it; of a longer one, where it begins in [`Keys::long`].
    key: I,
    value: V,
}

/// In place of a key's length: the row went.
const VACANT: u32 = u32::MAX;

/// Keys have fewer bytes than this.
const LENGTH_LIMIT: usize = 1 << 24;

const MIN_SLOTS: usize = 16;

/// A key that is looked for: its bytes, and those that would stand beside its row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probe<'k, I> {
    bytes: &'k [u8],
    beside: I,
}

/// Where in the index a key belongs that is not there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    at: usize,
    hash: u32,
}

impl<'k, I: Inline> Probe<'k, I> {
    pub(crate) fn new(bytes: &'k [u8]) -> Self {
        let mut beside = I::ZERO;
        if let Some(room) = beside.as_mut().get_mut(..bytes.len()) {
            room.copy_from_slice(bytes);
        }
        Self { bytes, beside }
    }

    /// The first `length` of the bytes, where `padded` has zeros behind them for the rest of an `I` at least.
    #[inline]
    pub(crate) fn padded(padded: &'k [u8], length: usize) -> Self {
        Self { bytes: &padded[..length], beside: I::of(padded) }
    }

    #[inline]
    fn fits(&self) -> bool {
        self.bytes.len() <= I::BYTES
    }
}

impl<V, I: Inline> Default for Keys<V, I> {
    fn default() -> Self {
        use std::hash::{BuildHasher, RandomState};
        Self {
            entries: Chunks::default(),
            slots: vec![0; MIN_SLOTS],
            long: Vec::new(),
            waste: 0,
            gone: 0,
            vacant: Vec::new(),
            removals: 0,
            round: 1,
            seed: RandomState::new().hash_one(0),
        }
    }
}

impl<V, I: Inline> Keys<V, I> {
    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.gone
    }

    /// Whether a key could be added.
    #[inline]
    pub(crate) fn has_room(&self, probe: &Probe<'_, I>) -> bool {
        probe.bytes.len() < LENGTH_LIMIT && (self.entries.len() < u32::MAX as usize || self.gone > 0)
    }

    /// The number that the next key gets.
    #[inline]
    pub(crate) fn next(&mut self) -> u32 {
        self.vacancy().unwrap_or_else(|| self.end())
    }

    /// The number of a row that went, to be given to another.
    #[inline]
    fn vacancy(&mut self) -> Option<u32> {
        while let Some(row) = self.vacant.last().copied() {
            if !self.has(row) {
                return Some(row);
            }
            self.vacant.pop();
        }
        None
    }

    /// The first number that no row has ever had.
    pub(crate) fn end(&self) -> u32 {
        // `insert` gives out no number beyond.
        self.entries.len() as u32
    }

    /// The rows' numbers, from a number on.
    pub(crate) fn rows(&self, from: u32) -> impl Iterator<Item = u32> {
        (from..self.end()).filter(|row| self.has(*row))
    }

    /// Whether there is a row of this number.
    #[inline]
    pub(crate) fn has(&self, row: u32) -> bool {
        self.entries.get(row as usize).is_some_and(|entry| entry.length != VACANT)
    }

    #[inline]
    pub(crate) fn hash(&self, key: &[u8]) -> u32 {
        xxh3_64_with_seed(key, self.seed) as u32
    }

    /// The first slot in which a key of this hash could be. This and the next read ahead, for a batch of keys, what
    /// [`find`](Self::find) will read, so that the cache misses of the batch overlap.
    #[inline]
    pub(crate) fn peek_slot(&self, hash: u32) -> u64 {
        self.slots[hash as usize & (self.slots.len() - 1)]
    }

    /// Both ends of the entry of a peeked slot: it may lie across two cache lines.
    #[inline]
    pub(crate) fn peek_entry(&self, slot: u64) -> u32 {
        let entry = self.entries.get((slot as u32).wrapping_sub(1) as usize);
        entry.map_or(0, |entry| entry.round ^ u32::from(entry.key.as_ref()[I::BYTES - 1]))
    }

    /// The key of a row; of one that went, nothing.
    #[inline]
    pub(crate) fn key(&self, row: u32) -> &[u8] {
        let Entry { length, key, .. } = &self.entries[row as usize];
        match *length {
            VACANT => &[],
            length if length as usize <= I::BYTES => &key.as_ref()[..length as usize],
            length => &self.long[start(key)..][..length as usize],
        }
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
    pub(crate) fn touch(&mut self, row: u32) -> bool {
        let round = self.round;
        std::mem::replace(&mut self.entries[row as usize].round, round) != round
    }

    /// Begins a round, in which no row has been touched.
    pub(crate) fn begin_round(&mut self) {
        self.round = self.round.wrapping_add(1);
        if self.round == 0 {
            // A number that comes round again must not hide a change.
            for row in 0..self.entries.len() {
                self.entries[row].round = 0;
            }
            self.round = 1;
        }
    }

    /// The row of a key, if it has one.
    #[inline]
    pub(crate) fn find(&self, hash: u32, probe: &Probe<'_, I>) -> Option<u32> {
        self.seek(hash, probe).ok()
    }

    /// The row of a key; or else where it is to be [put](Self::put_at), which holds until another key is added.
    #[inline]
    pub(crate) fn seek(&self, hash: u32, probe: &Probe<'_, I>) -> Result<u32, Place> {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                return Err(Place { at, hash });
            }
            let row = (slot as u32).wrapping_sub(1);
            if (slot >> 32) as u32 == hash && self.is(row, probe) {
                return Ok(row);
            }
            at = (at + 1) & mask;
        }
    }

    #[inline]
    fn is(&self, row: u32, probe: &Probe<'_, I>) -> bool {
        let entry = &self.entries[row as usize];
        if probe.fits() {
            entry.length as usize == probe.bytes.len() && entry.key == probe.beside
        } else {
            self.key(row) == probe.bytes
        }
    }

    /// Adds a key at the place where it was not found, and returns its row's number; `None` when there is no room for it.
    ///
    /// There has to be a free slot left: [`reserve`](Self::reserve) sees to that.
    #[inline]
    pub(crate) fn put_at(&mut self, place: Place, probe: &Probe<'_, I>, value: V) -> Option<u32> {
        if !self.vacant.is_empty() {
            return self.put_in_vacancy(place, probe, value);
        }
        // The row number plus one has to fit.
        let row = u32::try_from(self.entries.len()).ok().filter(|row| *row < u32::MAX)?;
        let (length, key) = self.own(probe)?;
        self.slots[place.at] = slot(place.hash, row);
        self.entries.push(Entry { round: 0, length, key, value });
        Some(row)
    }

    fn put_in_vacancy(&mut self, place: Place, probe: &Probe<'_, I>, value: V) -> Option<u32> {
        let Some(row) = self.vacancy() else { return self.put_at(place, probe, value) };
        let (length, key) = self.own(probe)?;
        self.slots[place.at] = slot(place.hash, row);
        self.vacant.pop();
        self.gone -= 1;
        // Its mark stays: the number is in the list of what was touched once a round, whoever bears it.
        let round = self.entries[row as usize].round;
        self.entries[row as usize] = Entry { round, length, key, value };
        Some(row)
    }

    /// Adds a key that is not there under a number that no row has, making those between it and the end vacant; whether there was room.
    pub(crate) fn insert_at(&mut self, row: u32, hash: u32, probe: &Probe<'_, I>, value: V) -> bool
    where
        V: Default,
    {
        if row == u32::MAX || self.has(row) {
            return false;
        }
        self.reserve(1);
        let Err(place) = self.seek(hash, probe) else { return false };
        let Some((length, key)) = self.own(probe) else { return false };
        self.enter(row, place, Entry { round: 0, length, key, value });
        true
    }

    /// Adds a row that another copy has, where neither its number nor its key has one here.
    pub(crate) fn adopt(&mut self, row: u32, other: &Self)
    where
        V: Clone + Default,
    {
        self.reserve(1);
        let Entry { length, key, value, .. } = &other.entries[row as usize];
        let (hash, own) = if *length as usize <= I::BYTES {
            // As the whole that it is, and not by its bytes.
            (self.hash(&key.as_ref()[..*length as usize]), Some((*length, *key)))
        } else {
            let bytes = other.key(row);
            (self.hash(bytes), self.own_long(bytes))
        };
        // There was room in the other.
        let Some((length, key)) = own else { return };
        let at = free(&self.slots, hash);
        self.enter(row, Place { at, hash }, Entry { round: 0, length, key, value: value.clone() });
    }

    /// Puts an entry under a number that no row has.
    #[inline]
    fn enter(&mut self, row: u32, place: Place, mut entry: Entry<V, I>)
    where
        V: Default,
    {
        self.slots[place.at] = slot(place.hash, row);
        if let Some(vacated) = self.entries.get(row as usize) {
            entry.round = vacated.round;
            self.gone -= 1;
            self.entries[row as usize] = entry;
            return;
        }
        for vacant in self.end()..row {
            self.gone += 1;
            self.vacant.push(vacant);
            self.entries.push(Entry { round: 0, length: VACANT, key: I::ZERO, value: V::default() });
        }
        self.entries.push(entry);
    }

    /// What an entry has of a key: its length, and the key or its place.
    #[inline]
    fn own(&mut self, probe: &Probe<'_, I>) -> Option<(u32, I)> {
        if probe.fits() {
            return Some((probe.bytes.len() as u32, probe.beside));
        }
        self.own_long(probe.bytes)
    }

    /// By itself, so that the usual key is copied as the whole that it is: in pieces that other instructions have written, it is waited for.
    #[cold]
    #[inline(never)]
    fn own_long(&mut self, bytes: &[u8]) -> Option<(u32, I)> {
        if bytes.len() >= LENGTH_LIMIT {
            return None;
        }
        let mut place = I::ZERO;
        place.as_mut()[..8].copy_from_slice(&(self.long.len() as u64).to_le_bytes());
        self.long.extend_from_slice(bytes);
        Some((bytes.len() as u32, place))
    }

    /// How many rows were ever taken out.
    pub(crate) fn removals(&self) -> u64 {
        self.removals
    }

    /// Says so after these rows have become those of another copy.
    pub(crate) fn set_removals(&mut self, removals: u64) {
        self.removals = removals;
    }

    /// Whether a row of this number has another key than in `other`, or none there.
    pub(crate) fn parts_from(&self, other: &Self, row: u32) -> bool {
        self.has(row) && !(other.has(row) && self.key(row) == other.key(row))
    }

    /// Takes a row out. Its number is given to a later one.
    pub(crate) fn remove(&mut self, row: u32) -> V
    where
        V: Default,
    {
        let hash = self.hash(self.key(row));
        unindex(&mut self.slots, hash, row);
        let entry = &mut self.entries[row as usize];
        let length = std::mem::replace(&mut entry.length, VACANT) as usize;
        let value = std::mem::take(&mut entry.value);
        self.gone += 1;
        self.removals += 1;
        self.vacant.push(row);
        if self.vacant.len() > 2 * self.gone + 64 {
            let mut vacant = std::mem::take(&mut self.vacant);
            vacant.sort_unstable();
            vacant.dedup();
            for row in vacant {
                if !self.has(row) {
                    self.vacant.push(row);
                }
            }
        }
        if length > I::BYTES {
            self.waste += length;
            if self.waste > self.long.len() / 2 {
                self.tidy();
            }
        }
        value
    }

    /// Copies the long keys of rows that are there to a place of their own.
    fn tidy(&mut self) {
        let old = std::mem::take(&mut self.long);
        self.long.reserve(old.len() - self.waste);
        for row in 0..self.entries.len() {
            let entry = &mut self.entries[row];
            if entry.length != VACANT && entry.length as usize > I::BYTES {
                let key = &old[start(&entry.key)..][..entry.length as usize];
                entry.key.as_mut()[..8].copy_from_slice(&(self.long.len() as u64).to_le_bytes());
                self.long.extend_from_slice(key);
            }
        }
        self.waste = 0;
    }

    /// Makes room for so many rows more: the index is three quarters full at most.
    #[inline]
    pub(crate) fn reserve(&mut self, rows: usize) {
        if (self.len() + rows) * 4 > self.slots.len() * 3 {
            self.slots = resized(&self.slots, ((self.len() + rows) * 4 / 3 + 1).next_power_of_two());
        }
    }

    /// Bytes in memory.
    pub(crate) fn memory(&self) -> usize {
        self.entries.memory()
            + self.long.capacity()
            + self.slots.capacity() * size_of::<u64>()
            + self.vacant.capacity() * size_of::<u32>()
    }
}

/// Empties the row's slot, and moves those behind it up, so that no look-up stops short of them.
fn unindex(slots: &mut [u64], hash: u32, row: u32) {
    let mask = slots.len() - 1;
    let mut hole = hash as usize & mask;
    while slots[hole] as u32 != row + 1 {
        hole = (hole + 1) & mask;
    }
    let mut at = hole;
    loop {
        at = (at + 1) & mask;
        let slot = slots[at];
        if slot == 0 {
            break;
        }
        let home = (slot >> 32) as usize & mask;
        // It may move to the hole if its home does not lie behind the hole.
        if at.wrapping_sub(home) & mask >= at.wrapping_sub(hole) & mask {
            slots[hole] = slot;
            hole = at;
        }
    }
    slots[hole] = 0;
}

/// The same slots among so many.
#[cold]
fn resized(slots: &[u64], size: usize) -> Vec<u64> {
    let mut resized = vec![0; size];
    for slot in slots.iter().filter(|slot| **slot != 0) {
        let at = free(&resized, (slot >> 32) as u32);
        resized[at] = *slot;
    }
    resized
}

/// The first slot that is free for this hash.
#[inline]
fn free(slots: &[u64], hash: u32) -> usize {
    let mask = slots.len() - 1;
    let mut at = hash as usize & mask;
    while slots[at] != 0 {
        at = (at + 1) & mask;
    }
    at
}

/// Where in [`Keys::long`] a key begins.
fn start(key: &impl Inline) -> usize {
    let mut start = [0; 8];
    start.copy_from_slice(&key.as_ref()[..8]);
    u64::from_le_bytes(start) as usize
}

fn slot(hash: u32, row: u32) -> u64 {
    u64::from(hash) << 32 | (u64::from(row) + 1)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    type Small<V> = Keys<V, [u8; 8]>;

    fn find<V>(keys: &Small<V>, key: &[u8]) -> Option<u32> {
        keys.find(keys.hash(key), &Probe::new(key))
    }

    fn insert<V>(keys: &mut Small<V>, hash: u32, key: &[u8], value: V) -> Option<u32> {
        keys.reserve(1);
        let probe = Probe::new(key);
        let place = keys.seek(hash, &probe).unwrap_err();
        keys.put_at(place, &probe, value)
    }

    #[derive(Clone, Debug)]
    enum Step {
        Put(Vec<u8>),
        Remove(prop::sample::Index),
        Reserve(usize),
    }

    /// Short and long keys, and such as just stand beside a row; few of them, so that they come again.
    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let key = prop_oneof![
            prop::collection::vec(0_u8..3, 0..4),
            prop::collection::vec(0_u8..2, 2).prop_map(|key| key.repeat(4)),
            (prop::collection::vec(0_u8..2, 3), 7_usize..20).prop_map(|(key, times)| key.repeat(times)),
        ];
        let step = prop_oneof![
            5 => key.prop_map(Step::Put),
            3 => any::<prop::sample::Index>().prop_map(Step::Remove),
            1 => (0_usize..100).prop_map(Step::Reserve),
        ];
        prop::collection::vec(step, 0..400)
    }

    proptest! {
        #[test]
        fn is_a_map(steps in steps()) {
            let mut ours = Small::default();
            let mut plain: HashMap<Vec<u8>, (u32, usize)> = HashMap::new();
            let mut most = 0;
            for (value, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Put(key) => {
                        prop_assert_eq!(find(&ours, &key), plain.get(&key).map(|(row, _)| *row));
                        if !plain.contains_key(&key) {
                            let next = ours.next();
                            let row = { let hash = ours.hash(&key); insert(&mut ours, hash, &key, value) }.unwrap();
                            prop_assert_eq!(row, next);
                            prop_assert!(plain.values().all(|(taken, _)| *taken != row));
                            plain.insert(key, (row, value));
                        }
                    }
                    Step::Remove(which) => {
                        let mut rows: Vec<_> = plain.iter().map(|(key, (row, _))| (*row, key.clone())).collect();
                        rows.sort();
                        if rows.is_empty() { continue }
                        let (row, key) = rows[which.index(rows.len())].clone();
                        prop_assert_eq!(ours.remove(row), plain.remove(&key).unwrap().1);
                        prop_assert!(!ours.has(row) && ours.key(row).is_empty());
                        prop_assert_eq!(find(&ours, &key), None);
                    }
                    Step::Reserve(rows) => ours.reserve(rows),
                }
                prop_assert_eq!(ours.len(), plain.len());
                // Numbers are given again before there are new ones.
                most = most.max(plain.len());
                prop_assert_eq!(ours.end() as usize, most);
            }
            for (key, (row, value)) in &plain {
                prop_assert_eq!(ours.key(*row), key.as_slice());
                prop_assert_eq!(ours.value(*row), value);
                prop_assert_eq!(find(&ours, key), Some(*row));
            }
            let mut rows: Vec<_> = plain.values().map(|(row, _)| *row).collect();
            rows.sort_unstable();
            prop_assert_eq!(ours.rows(0).collect::<Vec<_>>(), rows);
        }

        #[test]
        fn a_copy_adopts_what_it_lacks(before in steps(), after in steps()) {
            let mut ours = Small::default();
            let go_on = |ours: &mut Small<usize>, steps: Vec<Step>| {
                for (value, step) in steps.into_iter().enumerate() {
                    match step {
                        Step::Put(key) if find(ours, &key).is_none() => {
                            let hash = ours.hash(&key);
                            insert(ours, hash, &key, value);
                        }
                        Step::Put(_) => {}
                        Step::Remove(which) => {
                            let rows: Vec<_> = ours.rows(0).collect();
                            if let Some(row) = (!rows.is_empty()).then(|| rows[which.index(rows.len())]) {
                                ours.remove(row);
                            }
                        }
                        Step::Reserve(rows) => ours.reserve(rows),
                    }
                }
            };
            go_on(&mut ours, before);
            let mut copy = ours.clone();
            go_on(&mut ours, after);
            for row in copy.rows(0).collect::<Vec<_>>() {
                if copy.parts_from(&ours, row) || copy.value(row) != ours.value(row) {
                    copy.remove(row);
                }
            }
            // In any order: numbers between them are vacant meanwhile.
            let missing: Vec<_> = ours.rows(0).filter(|row| !copy.has(*row)).collect();
            missing.into_iter().rev().for_each(|row| copy.adopt(row, &ours));
            prop_assert_eq!(copy.rows(0).collect::<Vec<_>>(), ours.rows(0).collect::<Vec<_>>());
            for row in ours.rows(0) {
                prop_assert_eq!(copy.key(row), ours.key(row));
                prop_assert_eq!(copy.value(row), ours.value(row));
                prop_assert_eq!(find(&copy, ours.key(row)), Some(row));
            }
            let (len, next) = (copy.len(), copy.next());
            prop_assert_eq!(len, ours.len());
            prop_assert!(!copy.has(next));
        }

        #[test]
        fn rows_come_back_under_their_numbers(numbers in prop::collection::hash_set(0_u32..60, 0..40)) {
            let mut ours = Small::default();
            for number in &numbers {
                let key = number.to_be_bytes();
                prop_assert!(ours.insert_at(*number, ours.hash(&key), &Probe::new(&key), *number));
                prop_assert!(!ours.insert_at(*number, 7, &Probe::new(b"other"), 0));
            }
            prop_assert_eq!(ours.len(), numbers.len());
            let next = insert(&mut ours, 7, b"another key", 0).unwrap();
            prop_assert!(!numbers.contains(&next));
            for number in &numbers {
                prop_assert_eq!(find(&ours, &number.to_be_bytes()), Some(*number));
            }
        }
    }

    #[test]
    fn equal_hashes_are_told_apart_by_the_key() {
        let mut keys = Small::default();
        for n in 0..100_u8 {
            assert_eq!(insert(&mut keys, 7, &[n], ()), Some(u32::from(n)));
        }
        for n in 0..100_u8 {
            assert_eq!(keys.find(7, &Probe::new(&[n])), Some(u32::from(n)));
        }
        assert_eq!(keys.find(7, &Probe::new(b"other")), None);
    }

    #[test]
    fn a_key_is_not_another_with_zeros_behind_it() {
        let mut keys = Small::default();
        insert(&mut keys, 7, b"a", ());
        assert_eq!(keys.find(7, &Probe::new(b"a\0")), None);
        assert_eq!(keys.find(7, &Probe::new(b"a\0\0\0\0\0\0\0\0\0")), None);
    }

    #[test]
    fn a_row_is_touched_once_a_round() {
        let mut keys = Small::default();
        insert(&mut keys, 7, b"a", ());
        assert_eq!([keys.touch(0), keys.touch(0)], [true, false]);
        keys.begin_round();
        assert_eq!([keys.touch(0), keys.touch(0)], [true, false]);
        insert(&mut keys, 8, b"b", ());
        assert_eq!([keys.touch(1), keys.touch(1)], [true, false]);
        keys.remove(1);
        assert!(!keys.touch(1), "its mark is there");
        assert_eq!(insert(&mut keys, 9, b"c", ()), Some(1));
        assert!(!keys.touch(1), "it is the number's");
    }

    #[test]
    fn rounds_that_come_round_again_hide_nothing() {
        let mut keys = Small::default();
        insert(&mut keys, 7, b"a", ());
        keys.touch(0);
        let marked = keys.round;
        keys.round = u32::MAX;
        for _ in 0..marked + 2 {
            keys.begin_round();
            assert!(keys.touch(0));
        }
    }

    #[test]
    fn the_bytes_of_long_keys_that_went_are_given_back() {
        let mut keys = Small::default();
        for n in 0..1000_u32 {
            let key = [n.to_be_bytes(); 8].concat();
            let row = {
                let hash = keys.hash(&key);
                insert(&mut keys, hash, &key, n)
            }
            .unwrap();
            if n % 10 != 0 {
                keys.remove(row);
            }
        }
        assert_eq!(keys.len(), 100);
        assert!(keys.long.len() <= 2 * 100 * 32 + 64, "{} bytes", keys.long.len());
        let key = [990_u32.to_be_bytes(); 8].concat();
        assert_eq!(find(&keys, &key).map(|row| *keys.value(row)), Some(990));
    }
}
