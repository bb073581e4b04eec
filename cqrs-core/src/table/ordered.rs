//! Rows in the order of their keys: for look-ups by the first columns of a key, and by a stretch of keys.

use std::cmp::Ordering;

use super::keys::Keys;
use crate::key::Inline;

/// How many rows a run has at most; one that grows beyond is cut in two.
const RUN: usize = 512;

/// A stretch of keys, in canonical bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    /// It begins with this key, or after it.
    from: Vec<u8>,
    after: bool,
    /// It ends before this key; `None` if it does not end.
    to: Option<Vec<u8>>,
}

impl Span {
    /// All keys from this one on.
    pub(crate) fn from(key: Vec<u8>) -> Self {
        Self { from: key, ..Self::default() }
    }

    /// All keys after this one.
    pub(crate) fn after(key: Vec<u8>) -> Self {
        Self { from: key, after: true, to: None }
    }

    /// All keys before this one.
    pub(crate) fn before(key: Vec<u8>) -> Self {
        Self { to: Some(key), ..Self::default() }
    }

    /// All keys that begin with these bytes.
    pub(crate) fn under(prefix: Vec<u8>) -> Self {
        Self { to: beyond(prefix.clone()), from: prefix, after: false }
    }

    /// All keys under both.
    pub(crate) fn and(self, other: Self) -> Self {
        let (later, earlier) = match self.from.cmp(&other.from) {
            Ordering::Less => (other, self),
            Ordering::Greater => (self, other),
            Ordering::Equal if self.after => (self, other),
            Ordering::Equal => (other, self),
        };
        let to = match (later.to, earlier.to) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        Self { to, ..later }
    }

    /// All keys that neither begin with these bytes nor come before them.
    pub(crate) fn beyond(prefix: Vec<u8>) -> Self {
        match beyond(prefix) {
            Some(from) => Self { from, ..Self::default() },
            None => Self { to: Some(Vec::new()), ..Self::default() },
        }
    }

    /// All keys that begin with these bytes, or come before them.
    pub(crate) fn through(prefix: Vec<u8>) -> Self {
        Self { to: beyond(prefix), ..Self::default() }
    }

    /// Leaves what comes after a key of it.
    pub(crate) fn go_on_after(&mut self, key: Vec<u8>) {
        (self.from, self.after) = (key, true);
    }

    /// Leaves what comes before a key of it.
    pub(crate) fn go_on_before(&mut self, key: Vec<u8>) {
        self.to = Some(key);
    }

    /// Whether a key is in it.
    pub(crate) fn has(&self, key: &[u8]) -> bool {
        self.has_begun(key) && !self.has_ended(key)
    }

    fn has_begun(&self, key: &[u8]) -> bool {
        if self.after { key > &self.from[..] } else { key >= &self.from[..] }
    }

    fn has_ended(&self, key: &[u8]) -> bool {
        self.to.as_ref().is_some_and(|to| key >= &to[..])
    }
}

/// The first bytes that come after all that begin with these; `None` if all later ones do.
fn beyond(mut prefix: Vec<u8>) -> Option<Vec<u8>> {
    while let Some(last) = prefix.pop() {
        if last < u8::MAX {
            prefix.push(last + 1);
            return Some(prefix);
        }
    }
    None
}

/// Row numbers, ordered by their keys, in runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ordered {
    runs: Vec<Run>,
}

#[derive(Clone, Debug)]
struct Run {
    /// The beginning of the first key, so that most searches among runs look at no row.
    first: u128,
    /// Never empty.
    rows: Vec<u32>,
}

/// The first sixteen bytes of a key, as a number that orders as they do. Zeros fill up a shorter one, so equal numbers say nothing.
fn beginning(key: &[u8]) -> u128 {
    let mut bytes = [0; 16];
    let length = key.len().min(16);
    bytes[..length].copy_from_slice(&key[..length]);
    u128::from_be_bytes(bytes)
}

impl Ordered {
    /// All rows of a table.
    pub(crate) fn of<V, I: Inline>(keys: &Keys<V, I>) -> Self {
        let mut rows: Vec<_> = keys.rows(0).map(|row| (beginning(keys.key(row)), row)).collect();
        rows.sort_unstable_by(|(a, left), (b, right)| {
            a.cmp(b).then_with(|| keys.key(*left).cmp(keys.key(*right)))
        });
        // Half full, so that a row soon to come does not cut every run.
        let run =
            |rows: &[(u128, u32)]| Run { first: rows[0].0, rows: rows.iter().map(|(_, row)| *row).collect() };
        Self { runs: rows.chunks(RUN / 2).map(run).collect() }
    }

    /// The place of a key: its run, and how many rows of it come before.
    fn seek<V, I: Inline>(&self, keys: &Keys<V, I>, key: &[u8]) -> (usize, usize) {
        let start = beginning(key);
        let runs = self.runs.partition_point(|run| match run.first.cmp(&start) {
            Ordering::Equal => keys.key(run.rows[0]) <= key,
            other => other.is_lt(),
        });
        // The last run that does not begin behind the key.
        let run = runs.saturating_sub(1);
        let before = self.runs.get(run).map_or(0, |run| run.rows.partition_point(|row| keys.key(*row) < key));
        (run, before)
    }

    /// Adds a row, whose key no other has.
    pub(crate) fn insert<V, I: Inline>(&mut self, keys: &Keys<V, I>, row: u32) {
        let key = keys.key(row);
        let (at, before) = self.seek(keys, key);
        let Some(run) = self.runs.get_mut(at) else {
            self.runs.push(Run { first: beginning(key), rows: vec![row] });
            return;
        };
        run.rows.insert(before, row);
        if before == 0 {
            run.first = beginning(key);
        }
        if run.rows.len() > RUN {
            // Keys that come in order fill each run but the last.
            let last = at + 1 == self.runs.len() && before + 1 == RUN + 1;
            let run = &mut self.runs[at];
            let rows = run.rows.split_off(if last { RUN } else { RUN / 2 });
            self.runs.insert(at + 1, Run { first: beginning(keys.key(rows[0])), rows });
        }
    }

    /// Takes out a row, which still has its key.
    pub(crate) fn remove<V, I: Inline>(&mut self, keys: &Keys<V, I>, row: u32) {
        let (at, before) = self.seek(keys, keys.key(row));
        let Some(run) = self.runs.get_mut(at).filter(|run| run.rows.get(before) == Some(&row)) else {
            return;
        };
        run.rows.remove(before);
        match run.rows.first() {
            None => drop(self.runs.remove(at)),
            Some(first) if before == 0 => run.first = beginning(keys.key(*first)),
            Some(_) => {}
        }
    }

    /// The rows from a key on, in order.
    pub(crate) fn from<'a, V, I: Inline>(
        &'a self,
        keys: &Keys<V, I>,
        key: &[u8],
    ) -> impl Iterator<Item = u32> + use<'a, V, I> {
        let (at, before) = self.seek(keys, key);
        let rest = self.runs.get(at).map_or(&[][..], |run| &run.rows[before..]);
        let after = self.runs.get(at + 1..).unwrap_or_default();
        rest.iter().chain(after.iter().flat_map(|run| &run.rows)).copied()
    }

    /// The rows of a span, in order.
    pub(crate) fn within<'a, V, I: Inline>(
        &'a self,
        keys: &'a Keys<V, I>,
        span: &'a Span,
    ) -> impl Iterator<Item = u32> + 'a {
        let begun = self.from(keys, &span.from).skip_while(|row| !span.has_begun(keys.key(*row)));
        begun.take_while(|row| !span.has_ended(keys.key(*row)))
    }

    /// The same, the last first.
    pub(crate) fn within_reversed<'a, V, I: Inline>(
        &'a self,
        keys: &'a Keys<V, I>,
        span: &'a Span,
    ) -> impl Iterator<Item = u32> + 'a {
        self.before(keys, span.to.as_deref()).take_while(|row| span.has_begun(keys.key(*row)))
    }

    /// The rows before a key, or all, the last first.
    pub(crate) fn before<'a, V, I: Inline>(
        &'a self,
        keys: &Keys<V, I>,
        key: Option<&[u8]>,
    ) -> impl Iterator<Item = u32> + use<'a, V, I> {
        let (at, before) = match key {
            Some(key) => self.seek(keys, key),
            None => (self.runs.len(), 0),
        };
        let first = self.runs.get(at).map_or(&[][..], |run| &run.rows[..before]);
        let earlier = self.runs.get(..at).unwrap_or_default();
        first.iter().rev().chain(earlier.iter().rev().flat_map(|run| run.rows.iter().rev())).copied()
    }

    /// The rows whose keys begin with these bytes, in order.
    pub(crate) fn under<'a, V, I: Inline>(
        &'a self,
        keys: &'a Keys<V, I>,
        prefix: &'a [u8],
    ) -> impl Iterator<Item = u32> + 'a {
        self.from(keys, prefix).take_while(move |row| keys.key(*row).starts_with(prefix))
    }

    /// Bytes in memory.
    pub(crate) fn memory(&self) -> usize {
        // Runs are between half full and full. To look at each would cost every batch that is shown.
        self.runs.len() * (RUN * 3 / 4) * size_of::<u32>() + self.runs.capacity() * size_of::<Run>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::keys::Probe;
    use super::*;

    type Small = Keys<(), [u8; 8]>;

    fn put(keys: &mut Small, key: &[u8]) -> u32 {
        keys.reserve(1);
        let probe = Probe::new(key);
        let place = keys.seek(keys.hash(key), &probe).unwrap_err();
        keys.put_at(place, &probe, ()).unwrap()
    }

    proptest! {
        #[test]
        fn is_an_ordered_map(
            before in prop::collection::hash_set(prop::collection::vec(0_u8..3, 0..20), 0..40),
            steps in prop::collection::vec((prop::collection::vec(0_u8..3, 0..20), any::<bool>()), 0..200),
            prefix in prop::collection::vec(0_u8..3, 0..4),
        ) {
            let (mut keys, mut plain) = (Small::default(), BTreeMap::new());
            for key in before {
                plain.insert(key.clone(), put(&mut keys, &key));
            }
            let mut ordered = Ordered::of(&keys);
            for (key, add) in steps {
                match (plain.get(&key).copied(), add) {
                    (None, true) => {
                        let row = put(&mut keys, &key);
                        ordered.insert(&keys, row);
                        plain.insert(key, row);
                    }
                    (Some(row), false) => {
                        ordered.remove(&keys, row);
                        keys.remove(row);
                        plain.remove(&key);
                    }
                    _ => {}
                }
            }
            let expected: Vec<_> = plain.range(prefix.clone()..).map(|(_, row)| *row).collect();
            prop_assert_eq!(ordered.from(&keys, &prefix).collect::<Vec<_>>(), expected);
            let expected: Vec<_> = plain.range(..prefix.clone()).rev().map(|(_, row)| *row).collect();
            prop_assert_eq!(ordered.before(&keys, Some(&prefix)).collect::<Vec<_>>(), expected);
            let expected: Vec<_> =
                plain.iter().filter(|(key, _)| key.starts_with(&prefix)).map(|(_, row)| *row).collect();
            prop_assert_eq!(ordered.under(&keys, &prefix).collect::<Vec<_>>(), &*expected);
            prop_assert_eq!(ordered.within(&keys, &Span::under(prefix.clone())).collect::<Vec<_>>(), expected);
            prop_assert_eq!(ordered.before(&keys, None).count(), plain.len());
        }

        #[test]
        fn spans_hold_the_keys_that_they_say(
            all in prop::collection::btree_set(prop::collection::vec(prop::sample::select(vec![0, 1, 0xfe, 0xff]), 0..4), 0..60),
            one in prop::collection::vec(prop::sample::select(vec![0, 1, 0xfe, 0xff]), 0..4),
            other in prop::collection::vec(prop::sample::select(vec![0, 1, 0xfe, 0xff]), 0..4),
        ) {
            let mut keys = Small::default();
            for key in &all {
                put(&mut keys, key);
            }
            let ordered = Ordered::of(&keys);
            let (of, with) = (one.clone(), other.clone());
            type Holds<'k> = &'k dyn Fn(&Vec<u8>) -> bool;
            let spans: [(Span, Holds<'_>); 8] = [
                (Span::default(), &|_| true),
                (Span::after(one.clone()), &|key| key > &of),
                (Span::before(one.clone()), &|key| key < &of),
                (Span::under(one.clone()), &|key| key.starts_with(&of)),
                (Span::beyond(one.clone()), &|key| key > &of && !key.starts_with(&of)),
                (Span::through(one.clone()), &|key| key < &of || key.starts_with(&of)),
                (Span::after(one.clone()).and(Span::under(other.clone())).and(Span::under(one.clone())), &|key| {
                    key > &of && key.starts_with(&with) && key.starts_with(&of)
                }),
                (Span::under(one.clone()).and(Span::after(one.clone())), &|key| key > &of && key.starts_with(&of)),
            ];
            for (span, holds) in spans {
                let expected: Vec<_> = all.iter().filter(|key| holds(key)).cloned().collect();
                let found: Vec<_> = ordered.within(&keys, &span).map(|row| keys.key(row).to_vec()).collect();
                prop_assert_eq!(&found, &expected, "{:?}", span);
                let mut back: Vec<_> = ordered.within_reversed(&keys, &span).map(|row| keys.key(row).to_vec()).collect();
                back.reverse();
                prop_assert_eq!(&back, &expected, "{:?}", span);
            }
        }
    }

    #[test]
    fn many_rows_in_any_order() {
        for order in [|n: u32| n, |n: u32| 4999 - n, |n: u32| n * 1237 % 5000] {
            let (mut keys, mut ordered) = (Small::default(), Ordered::default());
            for n in 0..5000 {
                let row = put(&mut keys, &order(n).to_be_bytes());
                ordered.insert(&keys, row);
            }
            let found: Vec<_> =
                ordered.from(&keys, &1000_u32.to_be_bytes()).map(|row| keys.key(row).to_vec()).collect();
            let back = ordered.before(&keys, Some(&4000_u32.to_be_bytes())).map(|row| keys.key(row).to_vec());
            assert!(back.eq((0..4000_u32).rev().map(|n| n.to_be_bytes())));
            assert!(
                found.iter().map(Vec::as_slice).eq((1000..5000_u32)
                    .map(|n| n.to_be_bytes())
                    .collect::<Vec<_>>()
                    .iter()
                    .map(|k| &k[..]))
            );
            assert!(ordered.runs.iter().all(|run| (1..=RUN).contains(&run.rows.len())));
            for row in 0..5000 {
                ordered.remove(&keys, row);
                keys.remove(row);
            }
            assert!(ordered.runs.is_empty());
        }
    }
}
