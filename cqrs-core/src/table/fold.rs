//! The fold: runs of events into rows, a batch of keys at a time.

use super::rows::Rows;
use crate::event::{Event, Recorded};
use crate::key::KeyWriter;
use crate::projection::{FoldError, Projection, Reads};

/// How many events have their keys written, hashed and looked ahead for before the first of them is folded.
const AHEAD: usize = 32;

/// What a fold needs besides the rows, kept from one batch to the next so that nothing is allocated an event.
#[derive(Debug)]
pub(crate) struct Folder {
    keys: Vec<u8>,
    ends: Vec<usize>,
    hashes: Vec<u32>,
    peeked: Vec<u64>,
    /// The rows that have been touched since the list was last taken, each once, in order.
    touched: Vec<u32>,
    /// What marks those rows: a number that no row bears yet.
    round: u64,
    /// How many events of the run that is being folded are done: also right after a panic.
    done: usize,
}

impl Default for Folder {
    fn default() -> Self {
        // Round 0 is that of rows that were never touched.
        Self {
            keys: Vec::new(),
            ends: Vec::new(),
            hashes: Vec::new(),
            peeked: Vec::new(),
            touched: Vec::new(),
            round: 1,
            done: 0,
        }
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
        for batch in run[self.done..].chunks(ahead) {
            self.look_ahead(rows, batch);
            let mut start = 0;
            for (at, recorded) in batch.iter().enumerate() {
                let end = self.ends[at];
                if end != TURNED_AWAY {
                    let key = &self.keys[start..end];
                    start = end;
                    let row = fold_one(rows, self.hashes[at], key, recorded)?;
                    if rows.keys_mut().touch(row, self.round) {
                        self.touched.push(row);
                    }
                }
                self.done += 1;
            }
        }
        Ok(())
    }

    /// Keys and hashes of a batch, then a look at what each will be found through. No look depends on another of its round, so
    /// their cache misses overlap.
    fn look_ahead<E: Event, P: Reads<E>>(&mut self, rows: &Rows<P>, batch: &[Recorded<'_, E>]) {
        let keys = rows.keys();
        self.keys.clear();
        self.ends.clear();
        self.hashes.clear();
        self.peeked.clear();
        for recorded in batch {
            let start = self.keys.len();
            if P::key(&recorded.event, &recorded.meta, &mut KeyWriter(&mut self.keys)) {
                self.ends.push(self.keys.len());
                self.hashes.push(keys.hash(&self.keys[start..]));
            } else {
                self.keys.truncate(start);
                self.ends.push(TURNED_AWAY);
                self.hashes.push(0);
            }
        }
        self.peeked.extend(self.hashes.iter().map(|hash| keys.peek_slot(*hash)));
        for peeked in &mut self.peeked {
            *peeked = keys.peek_entry(*peeked);
        }
        for peeked in &self.peeked {
            std::hint::black_box(keys.peek_key(*peeked));
        }
    }

    /// How many events of the last run were folded, or turned away by a guard.
    pub(crate) fn done(&self) -> usize {
        self.done
    }

    /// The rows touched since the last call, each once.
    pub(crate) fn take_touched(&mut self) -> Vec<u32> {
        self.next_round();
        std::mem::take(&mut self.touched)
    }

    /// Starts the list of touched rows anew.
    pub(crate) fn forget_touched(&mut self) {
        self.next_round();
        self.touched.clear();
    }

    fn next_round(&mut self) {
        self.round += 1;
    }

    /// Bytes in memory.
    pub(crate) fn memory(&self) -> usize {
        self.touched.capacity() * size_of::<u32>() + self.keys.capacity()
    }
}

/// In place of a key's end: a guard turned the event away.
const TURNED_AWAY: usize = usize::MAX;

#[inline]
fn fold_one<E: Event, P: Reads<E>>(
    rows: &mut Rows<P>,
    hash: u32,
    key: &[u8],
    recorded: &Recorded<'_, E>,
) -> Result<u32, FoldError> {
    match rows.keys().find(hash, key) {
        Some(row) => {
            P::fold(rows.keys_mut().value_mut(row), &recorded.event, &recorded.meta)?;
            Ok(row)
        }
        None => {
            let mut state = <P as Projection>::State::default();
            P::fold(&mut state, &recorded.event, &recorded.meta)?;
            rows.insert(hash, key, state).ok_or_else(|| FoldError {
                column: "",
                reason: "the view is full: it holds at most 4,294,967,295 rows, and keys of less than 16 MiB"
                    .into(),
            })
        }
    }
}
