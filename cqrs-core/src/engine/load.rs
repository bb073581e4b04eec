//! A view out of its checkpoint: rows are read by one thread, and held against what the checkpoint says of them by another.

use std::sync::mpsc::sync_channel;

use super::checkpoint::Sums;
use super::slot::{AnyView, ViewType};
use crate::store::{Checkpoints, Part, SavedRow, SavedView, StoreError, row_checksum};

/// How many rows pass from one thread to the other at a time. A view with fewer is loaded by one.
const PIECE: usize = 4096;

/// Why a checkpoint is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unloadable {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It was read, and is not what was saved.
    #[error("{0}")]
    Damaged(String),
}

/// How many numbers may be without a row, for each row that is there and each event that was folded: what is far beyond was hardly ever a row's, and a table
/// has room for every number up to the last. Such a checkpoint is not loaded, and the view is folded anew.
const VACANT: u64 = 64;

/// So many may be in any case: as many as one event of a mebibyte may have made, which were removed since.
const VACANT_ANYWAY: u64 = 1 << 20;

/// How often an element may be there, for each event that was folded: a list has it as often.
const TIMES: u64 = 1 << 20;

/// Rows on their way, flat in memory.
#[derive(Default)]
struct Piece {
    rows: Vec<Place>,
    bytes: Vec<u8>,
}

struct Place {
    id: u64,
    shown: bool,
    checksum: u64,
    key_end: usize,
    state_end: usize,
}

impl Piece {
    fn push(&mut self, row: &SavedRow<'_>) {
        self.bytes.extend_from_slice(row.key);
        let key_end = self.bytes.len();
        self.bytes.extend_from_slice(row.state);
        let SavedRow { id, shown, checksum, .. } = *row;
        self.rows.push(Place { id, shown, checksum, key_end, state_end: self.bytes.len() });
    }
}

/// A view as far as it is loaded.
struct Loading {
    view: Box<dyn AnyView>,
    sums: Sums,
    /// The ids from this one on may follow.
    next: u64,
    /// How many events were folded.
    position: u64,
    damage: Option<String>,
}

impl Loading {
    /// Whether an element may have the count that it has.
    fn may_count(&self, id: u64, state: &[u8]) -> bool {
        let elements = matches!(Part::of(id), Some((Part::Elements, _)));
        let count = state.first_chunk().filter(|_| elements).map_or(0, |count| u64::from_be_bytes(*count));
        count <= self.position.saturating_mul(TIMES)
    }

    /// The greatest number that the next row may have.
    fn most(&self) -> u64 {
        self.sums.len().saturating_add(self.position).saturating_mul(VACANT).saturating_add(VACANT_ANYWAY)
    }

    fn take(&mut self, piece: &Piece) {
        if self.damage.is_some() {
            return;
        }
        let mut start = 0;
        for Place { id, shown, checksum, key_end, state_end } in &piece.rows {
            let (key, state) = (&piece.bytes[start..*key_end], &piece.bytes[*key_end..*state_end]);
            start = *state_end;
            // Numbers may be without a row: how many there are, and the digest over all, tell whether one is missing.
            let what = if *id < self.next {
                "comes out of turn"
            } else if row_checksum(*id, *shown, key, state) != *checksum {
                "is not what its checksum is of"
            } else if *id & u64::from(u32::MAX) > self.most() {
                "has a number far beyond those that there are"
            } else if !self.may_count(*id, state) {
                "is there more often than so many events can have it"
            } else if !self.view.restore(*id, key, state) {
                "is none of this projection"
            } else {
                self.next = *id + 1;
                self.sums.set(*id, *checksum);
                continue;
            };
            self.damage = Some(format!("{} {what}", Part::name(*id)));
            return;
        }
    }
}

/// Loads a view's rows, and holds them against everything the checkpoint says about them.
pub(crate) fn load(
    ty: &dyn ViewType,
    store: &mut dyn Checkpoints,
    saved: &SavedView,
) -> Result<(Box<dyn AnyView>, Sums), Unloadable> {
    let (Loading { view, sums, damage, .. }, read) = std::thread::scope(|scope| {
        let (view, sums) = (ty.rows(), Sums::default());
        let mut loading = Some(Loading { view, sums, next: 0, position: saved.position, damage: None });
        let (pieces, taken) = sync_channel::<Piece>(2);
        let mut taken = Some(taken);
        let mut other = None;
        let mut piece = Piece::default();
        let read = store.rows(&saved.name, &mut |row| {
            piece.push(&row);
            if piece.rows.len() < PIECE {
                return;
            }
            if let Some((taken, mut loading)) = taken.take().zip(loading.take()) {
                other = Some(scope.spawn(move || {
                    taken.iter().for_each(|piece| loading.take(&piece));
                    loading
                }));
            }
            // Were the other thread gone, it would have panicked, which is found out below.
            let _ = pieces.send(std::mem::take(&mut piece));
        });
        drop(pieces);
        let loaded = other.map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        let Some(mut loading) = loaded.or(loading) else {
            unreachable!("it is here or with the other thread")
        };
        loading.take(&piece);
        (loading, read)
    });
    read?;
    let damage = damage.or_else(|| {
        let whole = (sums.len(), sums.digest()) == (saved.rows, saved.digest);
        let rows = sums.len();
        (!whole)
            .then(|| format!("{rows} rows of {} are there, or the digest does not match them", saved.rows))
    });
    match damage {
        Some(damage) => Err(Unloadable::Damaged(damage)),
        None => Ok((view, sums)),
    }
}
