//! The fold: runs of events into rows, a batch of keys at a time.

use super::keys::Probe;
use super::rows::Rows;
use crate::aggregate::Appends;
use crate::event::{Event, Recorded};
use crate::key::{Inline, Key, KeyWriter};
use crate::projection::{FoldError, Projection, Reads};

/// How many events have their keys written, hashed and looked ahead for before the first of them is folded.
pub(super) const AHEAD: usize = 32;

/// What a fold needs besides the rows, kept from one batch to the next so that nothing is allocated an event.
#[derive(Debug)]
pub(crate) struct Folder {
    /// Keys of a batch, each with zeros behind it where it is shorter than what stands beside a row.
    keys: Vec<u8>,
    batch: [Ahead; AHEAD],
    /// The rows that have been touched since the list was last taken, each once, in order.
    touched: Vec<u32>,
    /// How many events of the run that is being folded are done: also right after a panic.
    done: usize,
}

/// What is known of an event before it is folded.
#[derive(Clone, Copy, Debug, Default)]
struct Ahead {
    /// Where its key begins.
    start: usize,
    /// How long it is; [`TURNED_AWAY`] if a guard turned the event away.
    length: usize,
    hash: u32,
}

const TURNED_AWAY: usize = usize::MAX;

impl Default for Folder {
    fn default() -> Self {
        Self { keys: Vec::new(), batch: [Ahead::default(); AHEAD], touched: Vec::new(), done: 0 }
    }
}

impl Folder {
    /// Folds a run of events, in order.
    ///
    /// On an error, the events before it are folded, and it and those after it have changed nothing;
    /// [`done`](Self::done) says how many that is. The same after a panic in the user's code.
    pub(crate) fn fold<E: Event, P: Reads<E>>(
        &mut self,
        rows: &mut Rows<P>,
        run: &[Recorded<'_, E>],
    ) -> Result<(), FoldError> {
        self.done = 0;
        self.go_on(rows, run, AHEAD)
    }

    /// Folds what is left of a run after a panic, an event at a time: the panic may have been that of a key that was looked at ahead of
    /// its turn, and the events before it are still to be folded.
    pub(crate) fn go_on_singly<E: Event, P: Reads<E>>(
        &mut self,
        rows: &mut Rows<P>,
        run: &[Recorded<'_, E>],
    ) -> Result<(), FoldError> {
        self.go_on(rows, run, 1)
    }

    #[inline]
    fn go_on<E: Event, P: Reads<E>>(
        &mut self,
        rows: &mut Rows<P>,
        run: &[Recorded<'_, E>],
        ahead: usize,
    ) -> Result<(), FoldError> {
        self.begin(rows);
        for batch in run[self.done..].chunks(ahead) {
            rows.reserve(batch.len());
            self.look_ahead(rows, batch);
            for (at, recorded) in batch.iter().enumerate() {
                let Ahead { start, length, hash } = self.batch[at];
                if length != TURNED_AWAY {
                    let probe = Probe::padded(&self.keys[start..], length);
                    let row = fold_one(rows, hash, &probe, recorded)?;
                    if rows.keys_mut().touch(row) {
                        self.touched.push(row);
                    }
                }
                self.done += 1;
            }
        }
        Ok(())
    }

    /// Begins a round, if nothing has been touched since the list was last taken.
    pub(super) fn begin<P: Projection>(&self, rows: &mut Rows<P>) {
        if self.touched.is_empty() {
            rows.keys_mut().begin_round();
        }
    }

    /// Notes that a row was touched.
    pub(super) fn touch<P: Projection>(&mut self, rows: &mut Rows<P>, row: u32) {
        if rows.keys_mut().touch(row) {
            self.touched.push(row);
        }
    }

    /// Keys and hashes of a batch, then a look at what each will be found through. No look depends on another of its round, so
    /// their cache misses overlap.
    #[inline]
    fn look_ahead<E: Event, P: Reads<E>>(&mut self, rows: &Rows<P>, batch: &[Recorded<'_, E>]) {
        let keys = rows.keys();
        self.keys.clear();
        for (recorded, ahead) in batch.iter().zip(&mut self.batch) {
            let start = self.keys.len();
            if P::key(&recorded.event, &recorded.meta, Appends, &mut KeyWriter(&mut self.keys)) {
                let length = self.keys.len() - start;
                *ahead = Ahead { start, length, hash: keys.hash(&self.keys[start..]) };
                self.keys.extend_from_slice(<P::Key as Key>::Inline::ZERO.as_ref());
            } else {
                self.keys.truncate(start);
                ahead.length = TURNED_AWAY;
            }
        }
        let mut slots = [0; AHEAD];
        for (slot, ahead) in slots.iter_mut().zip(&self.batch[..batch.len()]) {
            *slot = keys.peek_slot(ahead.hash);
        }
        let seen = slots[..batch.len()].iter().fold(0, |seen, slot| seen ^ keys.peek_entry(*slot));
        std::hint::black_box(seen);
    }

    /// How many events of the last run were folded, or turned away by a guard.
    pub(crate) fn done(&self) -> usize {
        self.done
    }

    /// The rows touched since the last call, each once.
    pub(crate) fn take_touched(&mut self) -> Vec<u32> {
        // About as many will be touched next, so their list need not grow from nothing.
        let room = self.touched.len();
        std::mem::replace(&mut self.touched, Vec::with_capacity(room))
    }

    /// Starts the list of touched rows anew.
    pub(crate) fn forget_touched(&mut self) {
        self.touched.clear();
    }

    /// Bytes in memory.
    pub(crate) fn memory(&self) -> usize {
        self.touched.capacity() * size_of::<u32>() + self.keys.capacity()
    }
}

#[inline]
fn fold_one<E: Event, P: Reads<E>>(
    rows: &mut Rows<P>,
    hash: u32,
    probe: &Probe<'_, <P::Key as Key>::Inline>,
    recorded: &Recorded<'_, E>,
) -> Result<u32, FoldError> {
    match rows.keys().seek(hash, probe) {
        Ok(row) => {
            let (state, cells) = rows.parts_mut(row);
            P::fold(state, cells, &recorded.event, &recorded.meta, Appends)?;
            Ok(row)
        }
        Err(place) => {
            // What is folded may leave elements behind: there has to be room for their row.
            if !rows.keys().has_room(probe) {
                return Err(FoldError::full());
            }
            let mut state = <P as Projection>::State::default();
            let row = rows.keys_mut().next();
            P::fold(&mut state, rows.elements.cells(row), &recorded.event, &recorded.meta, Appends)?;
            rows.put_at(place, probe, state).ok_or_else(FoldError::full)
        }
    }
}
