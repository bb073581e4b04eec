//! Checkpoints, as a store keeps them: plain, so that a story can put back, lose, damage or mistake them.

use std::collections::BTreeMap;

use cqrs_core::store::{SavedRow, SavedView, StoreId, ViewCheckpoint, Witness};

/// A log that is not this one.
const OTHER: StoreId = StoreId([7; 16]);

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Kept {
    pub(crate) witness: Option<Witness>,
    pub(crate) views: BTreeMap<String, KeptView>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct KeptView {
    pub(crate) view: SavedView,
    rows: BTreeMap<u64, KeptRow>,
}

#[derive(Clone, Debug, PartialEq)]
struct KeptRow {
    key: Vec<u8>,
    state: Vec<u8>,
    checksum: u64,
    shown: bool,
}

impl Kept {
    pub(crate) fn save(&mut self, witness: Witness, views: &[ViewCheckpoint]) {
        self.witness = Some(witness);
        for saved in views {
            let kept = self
                .views
                .entry(saved.view.name.clone())
                .or_insert_with(|| KeptView { view: saved.view.clone(), rows: BTreeMap::new() });
            if saved.reset {
                kept.rows.clear();
            }
            kept.view.clone_from(&saved.view);
            saved.gone.iter().for_each(|id| drop(kept.rows.remove(id)));
            kept.rows.extend(saved.changed.iter().map(|row| {
                let (key, state) = (row.key.to_vec(), row.state.to_vec());
                (row.id, KeptRow { key, state, checksum: row.checksum, shown: row.shown })
            }));
        }
    }

    pub(crate) fn visit(&self, view: &str, visit: &mut dyn FnMut(SavedRow<'_>)) {
        for (&id, row) in self.views.get(view).into_iter().flat_map(|kept| &kept.rows) {
            let KeptRow { key, state, checksum, shown } = row;
            visit(SavedRow { id, key, state, checksum: *checksum, shown: *shown, columns: &[] });
        }
    }

    /// From here on it is of another log.
    pub(crate) fn mistake(&mut self) {
        self.witness.iter_mut().for_each(|witness| witness.store = OTHER);
        self.views.values_mut().for_each(|kept| kept.view.store = OTHER);
    }

    pub(crate) fn is_mistaken(&self) -> bool {
        self.witness.is_some_and(|witness| witness.store == OTHER)
    }

    /// One row is not as it was written, or one is missing.
    pub(crate) fn damage(&mut self, which: u64) {
        let kept = self.views.values_mut().filter(|kept| !kept.rows.is_empty());
        let mut rows: Vec<_> = kept.collect();
        let count = rows.len() as u64;
        if count == 0 {
            return;
        }
        let kept = &mut rows[(which % count) as usize];
        let Some((id, row)) = kept.rows.iter_mut().next() else { return };
        if which.is_multiple_of(2) {
            row.state.push(1);
        } else {
            let id = *id;
            kept.rows.remove(&id);
        }
    }
}
