//! What decisions rest on, and what has been touched since: the writer's account.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use super::catalog::Catalog;
use super::encoded::EncodedEvent;
use crate::event::Meta;
use crate::table::Touches;

/// What a decision has read of a view, by the view's number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// The row of a key, by its canonical bytes, or that there is none.
    Key(usize, Vec<u8>),
    /// All rows whose key begins so.
    Prefix(usize, Vec<u8>),
    /// All rows.
    All(usize),
}

impl Read {
    fn view(&self) -> usize {
        match self {
            Self::Key(view, _) | Self::Prefix(view, _) | Self::All(view) => *view,
        }
    }
}

/// What a decision rests on.
#[derive(Debug)]
pub(crate) struct Boundary {
    /// The last event that it has seen.
    pub(crate) at: u64,
    /// How often views had been exchanged by then.
    pub(crate) exchanged: u64,
    pub(crate) reads: Vec<Read>,
}

/// How many touched keys are kept account of. Decisions are seldom older than a few groups of events; one that is is made anew.
const KEPT: usize = 1 << 16;

/// What has been touched in the views that decisions read, as far back as it is known.
#[derive(Default)]
pub(crate) struct Account {
    views: HashMap<usize, Touched>,
    kept: usize,
    scratch: Touches,
}

/// What events have touched in a view, by the position of the last that did.
#[derive(Default)]
struct Touched {
    /// What came up to here is not known.
    since: u64,
    keys: BTreeMap<Vec<u8>, u64>,
    /// Prefixes under which all was touched.
    prefixes: BTreeMap<Vec<u8>, u64>,
    /// When it may have been any row.
    all: u64,
    /// When it was some row.
    any: u64,
}

impl Account {
    /// Whether nothing of this has been touched since. `head` is the last event there is: what is asked for the first time is kept account of from there on.
    pub(crate) fn holds(&mut self, boundary: &Boundary, head: u64) -> bool {
        let mut holds = true;
        for read in &boundary.reads {
            let new = || Touched { since: head, ..Touched::default() };
            let touched = self.views.entry(read.view()).or_insert_with(new);
            holds &= boundary.at >= head || touched.is_untouched(read, boundary.at);
        }
        holds
    }

    /// Takes an event in that is to be appended.
    pub(crate) fn take_in(&mut self, catalog: &Catalog, event: EncodedEvent<'_>, meta: &Meta) {
        if self.kept > KEPT {
            self.forget(meta.position - 1);
        }
        let Self { views, kept, scratch, .. } = self;
        for (view, touched) in views {
            scratch.clear();
            catalog.touches(*view, event.kind(), event.payload(), meta, scratch);
            *kept += touched.take_in(scratch, meta.position);
        }
    }

    /// Forgets what came up to this position: it was not kept account of, or is not as it was to be.
    pub(crate) fn forget(&mut self, since: u64) {
        self.kept = 0;
        for touched in self.views.values_mut() {
            *touched = Touched { since, ..Touched::default() };
        }
    }
}

impl Touched {
    fn take_in(&mut self, touches: &mut Touches, position: u64) -> usize {
        if touches.all {
            (self.all, self.any) = (position, position);
        }
        let count = touches.keys.len() + touches.prefixes.len();
        if count > 0 {
            self.any = position;
        }
        self.keys.extend(touches.keys.drain(..).map(|key| (key, position)));
        self.prefixes.extend(touches.prefixes.drain(..).map(|prefix| (prefix, position)));
        count
    }

    fn is_untouched(&self, read: &Read, at: u64) -> bool {
        if at < self.since || at < self.all {
            return false;
        }
        let after = |position: &u64| *position > at;
        // Whether all was touched under any beginning of these bytes.
        let under = |bytes: &[u8]| self.under(bytes).any(|position| after(&position));
        match read {
            Read::All(_) => self.any <= at,
            Read::Key(_, key) => !self.keys.get(key).is_some_and(after) && !under(key),
            Read::Prefix(_, prefix) => {
                let within = |touched: &BTreeMap<Vec<u8>, u64>| {
                    let from = (Bound::Included(prefix), Bound::Unbounded);
                    let begin_so =
                        touched.range::<Vec<u8>, _>(from).take_while(|(key, _)| key.starts_with(prefix));
                    begin_so.into_iter().any(|(_, position)| after(position))
                };
                !within(&self.keys) && !within(&self.prefixes) && !under(prefix)
            }
        }
    }

    /// When all was touched under a beginning of these bytes, for each beginning that was: from the longest on, each found as what comes last before the bytes, or before
    /// what it has in common with them. So a long key costs no more than the prefixes that are on the way to it.
    fn under<'t>(&'t self, bytes: &'t [u8]) -> impl Iterator<Item = u64> + 't {
        let mut end = Some(bytes.len());
        std::iter::from_fn(move || {
            loop {
                let upto = &bytes[..end?];
                let range = (Bound::Unbounded, Bound::Included(upto));
                let (found, position) = self.prefixes.range::<[u8], _>(range).next_back()?;
                let common = found.iter().zip(upto).take_while(|(a, b)| a == b).count();
                if common == found.len() {
                    // It begins them; what is shorter comes next.
                    end = common.checked_sub(1);
                    return Some(*position);
                }
                end = Some(common);
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touched(keys: &[(&str, u64)], prefixes: &[(&str, u64)]) -> Touched {
        let map = |of: &[(&str, u64)]| of.iter().map(|(key, at)| (key.as_bytes().to_vec(), *at)).collect();
        Touched { since: 3, keys: map(keys), prefixes: map(prefixes), all: 0, any: 9 }
    }

    #[test]
    fn what_was_read_is_held_against_keys_and_prefixes() {
        let touched = touched(&[("ann1", 5), ("bob1", 7), ("", 4)], &[("carl", 6), ("dora1", 8)]);
        let key = |key: &str, at| touched.is_untouched(&Read::Key(0, key.into()), at);
        let prefix = |key: &str, at| touched.is_untouched(&Read::Prefix(0, key.into()), at);
        assert!(!key("ann1", 4) && key("ann1", 5) && key("ann", 4) && key("ann2", 4));
        assert!(!key("carl", 5) && !key("carl7", 5) && key("carl7", 6) && key("car", 5));
        assert!(!prefix("ann", 4) && prefix("ann", 5) && prefix("ann2", 4));
        // What was removed lies above, or below, what was read.
        assert!(!prefix("carl7", 5) && !prefix("car", 5) && !prefix("dora", 7) && prefix("dora", 8));
        assert!(!prefix("", 7) && prefix("", 8));
        assert!(touched.is_untouched(&Read::All(0), 9) && !touched.is_untouched(&Read::All(0), 8));
        // Before that, nothing is known.
        assert!(!key("nobody", 2) && key("nobody", 3));
    }

    proptest::proptest! {
        #[test]
        fn every_beginning_of_what_was_read_is_found(
            prefixes in proptest::collection::btree_map(proptest::collection::vec(0_u8..3, 0..6), 1_u64..9, 0..20),
            bytes in proptest::collection::vec(0_u8..3, 0..8),
        ) {
            let touched = Touched { prefixes: prefixes.clone(), ..Touched::default() };
            let mut found: Vec<u64> = touched.under(&bytes).collect();
            let begins = prefixes.iter().filter(|(prefix, _)| bytes.starts_with(prefix));
            let mut expected: Vec<u64> = begins.map(|(_, position)| *position).collect();
            found.sort_unstable();
            expected.sort_unstable();
            proptest::prop_assert_eq!(found, expected);
        }
    }
}
