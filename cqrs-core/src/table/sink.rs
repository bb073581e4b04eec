//! The fold of events that may go to several rows, take values back, or remove rows: one event at a time, all of it or nothing.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::fold::Folder;
use super::keys::Probe;
use super::rows::Rows;
use super::touches::Touches;
use super::window::Due;
use super::{caught, panicked};
use crate::aggregate::{Cells, Sign, State};
use crate::event::Meta;
use crate::key::KeyWriter;
use crate::projection::{FoldError, JoinSet, Projection, Reads, SignOf, Source};

/// So many rows are looked for one after the other.
const FEW: usize = 16;

/// What one event does to a view, until it is done: what undoes it, and what it changed.
pub(crate) struct Turn<P: Projection> {
    /// The rows that it has touched, in order.
    touched: Vec<Touched<P>>,
    /// Where in that list a row is, once it is long.
    place: HashMap<u32, usize>,
    pub(super) key: Vec<u8>,
    /// Whether others read this view's rows.
    watched: bool,
    /// What the last event changed, as readers see it, if others read it.
    pub(crate) changes: Vec<(Option<P>, Option<P>)>,
    /// The view's clock before the event.
    clock: super::Clock,
    /// Whether what is due by the clock has been taken out of the schedule.
    passed: bool,
}

struct Touched<P: Projection> {
    row: u32,
    /// Its state before; `None` if it was not there.
    state: Option<P::State>,
    /// It as others saw it.
    before: Option<P>,
    /// Whether it is to go.
    doomed: bool,
}

impl<P: Projection> std::fmt::Debug for Turn<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Turn").field("touched", &self.touched.len()).finish_non_exhaustive()
    }
}

impl<P: Projection> Default for Turn<P> {
    fn default() -> Self {
        Self {
            touched: Vec::new(),
            place: HashMap::new(),
            key: Vec::new(),
            watched: false,
            changes: Vec::new(),
            clock: super::Clock::default(),
            passed: false,
        }
    }
}

impl<P: Projection> Turn<P> {
    pub(crate) fn new(watched: bool) -> Self {
        Self { watched, ..Self::default() }
    }

    /// An event begins.
    pub(crate) fn begin(&mut self, rows: &mut Rows<P>, folder: &mut Folder) {
        folder.begin(rows);
        self.touched.clear();
        self.changes.clear();
        self.clock = rows.clock;
        self.passed = false;
        rows.elements.begin();
    }

    /// Takes in what a source gives; on an error, or a panic in the user's code, everything since [`begin`](Self::begin) is to be
    /// [undone](Self::undo).
    pub(crate) fn run<S: Source>(
        &mut self,
        rows: &mut Rows<P>,
        event: &S::Ref<'_>,
        meta: &Meta,
        sign: SignOf<S>,
        joined: &<P::Joins as JoinSet>::Rows<'_>,
    ) -> Result<(), FoldError>
    where
        P: Reads<S>,
    {
        let mut sink = Sink { rows, turn: self, noted: None };
        let ran = catch_unwind(AssertUnwindSafe(|| P::run(event, meta, sign, joined, &mut sink)));
        ran.unwrap_or_else(|panic| Err(panicked(&*panic)))
    }

    /// An event has nothing for this view.
    pub(crate) fn pass(&mut self) {
        self.changes.clear();
    }

    /// The event is folded: rows that are to go, go.
    pub(crate) fn end(&mut self, rows: &mut Rows<P>, folder: &mut Folder) -> Result<(), FoldError> {
        if Rows::<P>::SCHEDULED && rows.clock != self.clock {
            self.passed = true;
            caught(&mut || self.pass_time(rows))?;
        }
        if self.watched {
            caught(&mut || self.tell(rows))?;
        }
        for Touched { row, doomed, .. } in &self.touched {
            folder.touch(rows, *row);
            if *doomed {
                rows.remove(*row);
            }
        }
        self.touched.clear();
        rows.elements.commit();
        Ok(())
    }

    /// Notes what the event has changed of the touched rows, as readers see them.
    fn tell(&mut self, rows: &Rows<P>) {
        for touched in &mut self.touched {
            let after = if touched.doomed { None } else { rows.show(touched.row) };
            let before = touched.before.take();
            let same = match (&before, &after) {
                (None, None) => true,
                (Some(before), Some(after)) => before.same(after),
                _ => false,
            };
            if !same {
                self.changes.push((before, after));
            }
        }
    }

    /// The clock has moved on: windows close, and rows go.
    fn pass_time(&mut self, rows: &mut Rows<P>) {
        let mut due = rows.due(self.clock);
        if self.watched {
            rows.in_turn(&mut due);
        }
        for Due { row, goes, .. } in due {
            self.touch(rows, row);
            if goes {
                self.doom(rows, row);
            }
        }
    }

    /// Notes what a row was, if this event has not touched it yet.
    fn touch(&mut self, rows: &Rows<P>, row: u32) {
        if self.find(row).is_some() {
            return;
        }
        let before = self.watched.then(|| rows.show_at(row, self.clock)).flatten();
        let state = Some(rows.keys().value(row).clone());
        self.push(Touched { row, state, before, doomed: false });
    }

    fn push(&mut self, touched: Touched<P>) {
        if self.touched.len() == FEW {
            self.place.clear();
            for (at, touched) in self.touched.iter().enumerate() {
                self.place.insert(touched.row, at);
            }
        }
        if self.touched.len() >= FEW {
            self.place.insert(touched.row, self.touched.len());
        }
        self.touched.push(touched);
    }

    /// Where a row is in the list of those that were touched.
    fn find(&self, row: u32) -> Option<usize> {
        if self.touched.len() > FEW {
            return self.place.get(&row).copied();
        }
        self.touched.iter().rposition(|touched| touched.row == row)
    }

    /// A row that was touched.
    fn touched(&mut self, row: u32) -> &mut Touched<P> {
        let at = self.find(row);
        &mut self.touched[at.expect("it was touched")]
    }

    fn doom(&mut self, rows: &mut Rows<P>, row: u32) {
        self.touch(rows, row);
        rows.elements.remove_row(row);
        *rows.keys_mut().value_mut(row) = P::State::default();
        self.touched(row).doomed = true;
    }

    /// Makes it as if the event had never been.
    pub(crate) fn undo(&mut self, rows: &mut Rows<P>) {
        rows.elements.rollback();
        if self.passed {
            // What was due has been taken out. It is made anew when it is next needed.
            rows.schedule = None;
        }
        rows.clock = self.clock;
        while let Some(Touched { row, state, .. }) = self.touched.pop() {
            match state {
                Some(state) => *rows.keys_mut().value_mut(row) = state,
                None => drop(rows.remove(row)),
            }
        }
        self.changes.clear();
    }
}

/// Where a projection puts what an event does: rows to fold into, rows to remove.
pub struct Sink<'a, P: Projection> {
    pub(super) rows: &'a mut Rows<P>,
    pub(super) turn: &'a mut Turn<P>,
    /// Where it is only noted which rows that would be: then nothing is folded, and the rows are none of a view's.
    noted: Option<&'a mut Touches>,
}

impl<P: Projection> std::fmt::Debug for Sink<'_, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sink").field("projection", &P::RUST_NAME).finish_non_exhaustive()
    }
}

impl<'a, P: Projection> Sink<'a, P> {
    /// One that only notes what would be touched; `rows` and `turn` are its scratch space.
    pub(super) fn noting(rows: &'a mut Rows<P>, turn: &'a mut Turn<P>, noted: &'a mut Touches) -> Self {
        Self { rows, turn, noted: Some(noted) }
    }
}

impl<P: Projection> Sink<'_, P> {
    /// Notes what would be touched by the key that was written, if that is all that is asked; whether it is.
    #[inline]
    fn only_notes(&mut self, note: impl FnOnce(&mut Touches, &[u8])) -> bool {
        let Some(noted) = &mut self.noted else { return false };
        note(noted, &self.turn.key);
        true
    }

    /// Begins a key: its columns are written next.
    pub fn key(&mut self) -> KeyWriter<'_> {
        self.turn.key.clear();
        KeyWriter(&mut self.turn.key)
    }

    /// Folds into the row of the key that was written.
    ///
    /// # Errors
    ///
    /// Those of `fold`, and that there is no room for the row.
    pub fn fold(
        &mut self,
        sign: impl Into<Sign>,
        fold: impl FnOnce(&mut P::State, Cells<'_>) -> Result<(), FoldError>,
    ) -> Result<(), FoldError> {
        if self.only_notes(Touches::key) {
            return Ok(());
        }
        let sign = sign.into();
        let row = match sign {
            Sign::Insert => self.row()?,
            Sign::Remove => self.given_row()?,
        };
        let (state, cells) = self.rows.parts_mut(row);
        fold(state, cells)?;
        let lives = state.turn(sign);
        self.turn.touched(row).doomed = !lives;
        Ok(())
    }

    /// Folds by hand into the row of the key that was written: `fold` changes the row as it is shown, `keep` takes from it what is the
    /// hand's own.
    ///
    /// # Errors
    ///
    /// The reason that `fold` gives.
    pub fn fold_by_hand(
        &mut self,
        fold: impl FnOnce(&mut P) -> Result<(), String>,
        keep: impl FnOnce(&mut P::State, P),
    ) -> Result<(), FoldError> {
        if self.only_notes(Touches::key) {
            return Ok(());
        }
        let number = self.row()?;
        let Some(mut row) = self.rows.render(number) else {
            let reason = "a column has no value yet, so the row cannot be shown to a fold by hand".into();
            return Err(FoldError { column: "", reason });
        };
        fold(&mut row).map_err(|reason| FoldError { column: "", reason })?;
        keep(self.rows.keys_mut().value_mut(number), row);
        Ok(())
    }

    /// The number of the row of the key that was written, out of which something is taken back: it is there.
    fn given_row(&mut self) -> Result<u32, FoldError> {
        let Some(row) = self.rows.find(&self.turn.key).filter(|row| !self.is_doomed(*row)) else {
            let reason = "a row is taken back whose key was never given: an expression that gives another value each time?";
            return Err(FoldError { column: "", reason: reason.into() });
        };
        self.touch(row);
        Ok(row)
    }

    /// The number of the row of the key that was written, which is made if it is not there.
    pub(super) fn row(&mut self) -> Result<u32, FoldError> {
        let probe = Probe::new(&self.turn.key);
        let hash = self.rows.keys().hash(&self.turn.key);
        self.rows.reserve(1);
        match self.rows.keys().seek(hash, &probe) {
            Ok(row) => {
                self.touch(row);
                self.turn.touched(row).doomed = false;
                Ok(row)
            }
            Err(place) => {
                let row = self.rows.put_at(place, &probe, P::State::default()).ok_or_else(FoldError::full)?;
                self.turn.push(Touched { row, state: None, before: None, doomed: false });
                Ok(row)
            }
        }
    }

    /// Notes what a row was, if this event has not touched it yet.
    pub(super) fn touch(&mut self, row: u32) {
        self.turn.touch(self.rows, row);
    }

    /// Whether this event has removed a row, so far.
    pub(super) fn is_doomed(&self, row: u32) -> bool {
        self.turn.find(row).is_some_and(|at| self.turn.touched[at].doomed)
    }

    /// Removes the row of the key that was written, if there is one.
    pub fn remove(&mut self) {
        if self.only_notes(Touches::key) {
            return;
        }
        if let Some(row) = self.rows.find(&self.turn.key) {
            self.doom(row);
        }
    }

    /// Removes every row whose key begins with the columns that were written.
    pub fn remove_under(&mut self) {
        if self.only_notes(Touches::under) {
            return;
        }
        for row in self.rows.under_bytes(&self.turn.key) {
            self.doom(row);
        }
    }

    pub(super) fn doom(&mut self, row: u32) {
        self.turn.doom(self.rows, row);
    }
}
