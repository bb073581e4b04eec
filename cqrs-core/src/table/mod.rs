//! The table of rows by key, and the fold into it.

mod chunks;
mod clock;
mod elements;
mod elements_store;
mod fold;
mod index;
mod keys;
mod ordered;
mod parked;
mod rows;
mod sink;
#[cfg(test)]
mod tests;
mod touches;
mod window;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use clock::Clock;
pub use elements::{Cell, Cells, Elements, Shown, ShownCells};
use fold::AHEAD;
pub(crate) use fold::Folder;
pub(crate) use ordered::Span;
pub use parked::Parked;
pub(crate) use parked::brief;
pub(crate) use rows::Rows;
pub use sink::Sink;
pub(crate) use sink::Turn;
pub(crate) use touches::{Touches, touches};
pub use window::{WindowShape, WindowSpec, starts};

use crate::Timestamp;
use crate::aggregate::{Appends, Sign};
use crate::change::Change;
use crate::event::{Event, Meta, Recorded};
use crate::key::{Key, PrefixOf};
use crate::projection::{Fault, FoldError, JoinSet, Projection, Reads, RowSource, SignOf, Source};

/// A projection in memory, with no store, no log and no threads: apply events, look at rows.
///
/// It is what an engine's views are made of, and the quickest way to test a projection. It takes events as they are in memory: what serde leaves out (`#[serde(skip)]`), or stores otherwise
/// (`with`), an engine reads from the log as it was stored. [`given`](crate::testing::given) goes by what is stored, too.
///
/// ```
/// use cqrs_core::prelude::*;
///
/// #[event]
/// pub struct Purchased {
///     pub customer: String,
///     pub item: String,
///     pub qty: i32,
/// }
///
/// #[projection(from = Purchased, group_by = (customer, item))]
/// #[derive(Debug, PartialEq)]
/// pub struct CustomerPurchases {
///     pub customer: String,
///     pub item: String,
///     #[sum(qty)]
///     pub total_qty: i64,
/// }
///
/// let mut table = Table::<CustomerPurchases>::new();
/// for qty in [1, 2] {
///     table.apply(&Purchased { customer: "jsmith".into(), item: "hats".into(), qty })?;
/// }
/// assert_eq!(table.get(("jsmith", "hats")).unwrap().total_qty, 3);
/// assert_eq!(table.get(("jsmith", "pants")), None);
/// # Ok::<(), Fault>(())
/// ```
#[derive(Debug)]
pub struct Table<P: Projection> {
    rows: Rows<P>,
    folder: Folder,
    turn: Turn<P>,
    position: u64,
}

impl<P: Projection> Default for Table<P> {
    fn default() -> Self {
        Self { rows: Rows::default(), folder: Folder::default(), turn: Turn::default(), position: 0 }
    }
}

impl<P: Projection> Table<P> {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Folds one event: `meta.position` counts from 1, `meta.recorded_at` is the Unix epoch.
    ///
    /// # Errors
    ///
    /// The fold's fault. The event has changed nothing then. A projection that parks has no fault: the event is in [`parked`](Self::parked).
    pub fn apply<E: Event>(&mut self, event: &E) -> Result<(), Fault>
    where
        P: Reads<E> + Projection<Joins = ()>,
    {
        self.apply_at(event, Timestamp::UNIX_EPOCH)
    }

    /// Folds one event that was recorded at this time.
    ///
    /// # Errors
    ///
    /// As [`apply`](Self::apply).
    pub fn apply_at<E: Event>(&mut self, event: &E, recorded_at: Timestamp) -> Result<(), Fault>
    where
        P: Reads<E> + Projection<Joins = ()>,
    {
        self.apply_all_at([event], recorded_at)
    }

    /// Folds events in order, many at a time: the fastest way in.
    ///
    /// # Errors
    ///
    /// As [`apply`](Self::apply); the events before the one that faulted are folded.
    pub fn apply_all<'e, E: Event>(&mut self, events: impl IntoIterator<Item = &'e E>) -> Result<(), Fault>
    where
        P: Reads<E> + Projection<Joins = ()>,
    {
        self.apply_all_at(events, Timestamp::UNIX_EPOCH)
    }

    /// Folds recorded events, borrowed, in order: what an engine does with a run of decoded payloads.
    ///
    /// # Errors
    ///
    /// As [`apply_all`](Self::apply_all). The fault of a source with several event types names them all: a twin does not say
    /// which it is stored as.
    pub fn apply_recorded<E: Event>(&mut self, run: &[Recorded<'_, E>]) -> Result<(), Fault>
    where
        P: Reads<E> + Projection<Joins = ()>,
    {
        self.position = run.last().map_or(self.position, |last| last.meta.position);
        let folded = self.fold(run, |_| {
            let names: Vec<_> = E::TYPES.iter().map(|ty| ty.name).collect();
            names.join("` or `")
        });
        self.forget_touched();
        folded
    }

    fn apply_all_at<'e, E: Event>(
        &mut self,
        events: impl IntoIterator<Item = &'e E>,
        recorded_at: Timestamp,
    ) -> Result<(), Fault>
    where
        P: Reads<E> + Projection<Joins = ()>,
    {
        // As many as the fold looks ahead for: what is prepared for it is still in the cache when it gets there.
        let mut events = events.into_iter();
        let mut run = Vec::with_capacity(AHEAD);
        let mut types = Vec::new();
        loop {
            let before = self.position;
            for event in events.by_ref().take(AHEAD) {
                self.position += 1;
                let ty = event.type_index();
                if P::wants(ty) {
                    let meta = Meta { position: self.position, recorded_at };
                    run.push(Recorded { meta, event: event.borrowed() });
                    // Where there is one type, there is nothing to be noted.
                    if E::TYPES.len() > 1 {
                        types.push(ty);
                    }
                }
            }
            if self.position == before {
                return Ok(());
            }
            self.fold(&run, |at| E::TYPES[types.get(at).copied().unwrap_or(0)].name.to_owned())?;
            self.forget_touched();
            run.clear();
            types.clear();
        }
    }

    /// Folds a run; what faults is parked, where the projection says so. `name` is what an event of the run is stored as.
    fn fold<E: Event>(&mut self, run: &[Recorded<'_, E>], name: impl Fn(usize) -> String) -> Result<(), Fault>
    where
        P: Reads<E> + Projection<Joins = ()>,
    {
        let mut start = 0;
        while let Err((done, error)) = self.fold_some(&run[start..]) {
            let (position, event) = (run[start + done].meta.position, name(start + done));
            let parked = self.rows.park(position, &event, error);
            parked.map_err(|error| Fault::new(P::RUST_NAME, position, &event, error))?;
            start += done + 1;
        }
        Ok(())
    }

    /// Folds a run up to an event that faults; with the error comes how many were folded before it.
    fn fold_some<E: Event>(&mut self, run: &[Recorded<'_, E>]) -> Result<(), (usize, FoldError)>
    where
        P: Reads<E> + Projection<Joins = ()>,
    {
        if P::SINGLE {
            return fold_run::<E, P>(&mut self.folder, &mut self.rows, run);
        }
        for (done, Recorded { event, meta }) in run.iter().enumerate() {
            self.take_turn::<E>(&[(event, Appends)], meta, &()).map_err(|error| (done, error))?;
        }
        Ok(())
    }

    /// Folds one event in a turn of its own, also where a run would do. An event that faults changes nothing, and neither does any
    /// where the projection looks other views up.
    pub(crate) fn take_one<E: Event>(&mut self, event: &E::Ref<'_>, meta: &Meta) -> Result<(), FoldError>
    where
        P: Reads<E>,
    {
        let Some(joined) = P::Joins::find(&|_| None) else { return Ok(()) };
        let folded = self.take_turn::<E>(&[(event, Appends)], meta, &joined);
        self.forget_touched();
        folded
    }

    /// A table has no other copy, and no checkpoint.
    fn forget_touched(&mut self) {
        self.folder.forget_touched();
        self.rows.elements.forget_touched();
    }

    /// Takes in what a source gives and takes back, all of it or nothing.
    fn take_turn<S: Source>(
        &mut self,
        given: &[(&S::Ref<'_>, SignOf<S>)],
        meta: &Meta,
        joined: &<P::Joins as JoinSet>::Rows<'_>,
    ) -> Result<(), FoldError>
    where
        P: Reads<S>,
    {
        let Self { rows, folder, turn, .. } = self;
        turn.begin(rows, folder);
        let folded = given
            .iter()
            .try_for_each(|(event, sign)| turn.run::<S>(rows, event, meta, *sign, joined))
            .and_then(|()| turn.end(rows, folder));
        if folded.is_err() {
            turn.undo(rows);
        }
        folded
    }

    /// Takes in a change of another projection's rows, which this one is folded from: what an engine does with every change of a view that
    /// others read.
    ///
    /// # Errors
    ///
    /// The fold's fault. The change has changed nothing then.
    pub fn apply_change<U: RowSource>(&mut self, change: &Change<U>) -> Result<(), Fault>
    where
        P: Reads<U> + Projection<Joins = ()>,
    {
        let (before, after) = match change {
            Change::Inserted { row } => (None, Some(row)),
            Change::Updated { before, after } => (Some(before), Some(after)),
            Change::Deleted { row } => (Some(row), None),
            Change::Progress { .. } => return Ok(()),
        };
        self.position += 1;
        let before = before.map(|row| (row.borrowed(), U::sign(Sign::Remove)));
        let after = after.map(|row| (row.borrowed(), U::sign(Sign::Insert)));
        let given: Vec<_> = before.iter().chain(&after).map(|(row, sign)| (row, *sign)).collect();
        let folded = self.take_turn::<U>(&given, &Meta::default(), &());
        self.forget_touched();
        folded.map_err(|error| Fault::new(P::RUST_NAME, self.position, U::NAME, error))
    }

    /// The row of a key, if there is one and `having` does not hide it.
    #[must_use]
    pub fn get(&self, key: <P::Key as Key>::Ref<'_>) -> Option<P> {
        self.rows.get(&key)
    }

    /// All rows that `having` does not hide, in the order in which their keys first appeared.
    pub fn rows(&self) -> impl Iterator<Item = P> {
        self.rows.keys().rows(0).filter_map(|row| self.rows.show(row))
    }

    /// The rows whose key begins with these columns, in the order of their keys.
    pub fn rows_of<const N: usize>(&self, prefix: impl PrefixOf<P, N>) -> impl Iterator<Item = P> {
        self.rows.under(&prefix).into_iter().filter_map(|row| self.rows.show(row))
    }

    /// How often an event came too late for its window, and was not folded.
    #[must_use]
    pub fn late(&self) -> u64 {
        self.rows.clock.late
    }

    /// The events that were parked (`on_fault = park`), in order.
    #[must_use]
    pub fn parked(&self) -> &[Parked] {
        &self.rows.parked
    }

    /// How many rows there are, those that `having` hides included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether no event has made a row yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes in memory: index, keys, states and scratch space; not what a state has on the heap of its own (text of `last`).
    #[must_use]
    pub fn memory(&self) -> usize {
        self.rows.memory() + self.folder.memory()
    }
}

/// Folds a run; a panic in the user's code is an error like any other. With the error comes how many events were folded before it.
pub(crate) fn fold_run<E: Event, P: Reads<E>>(
    folder: &mut Folder,
    rows: &mut Rows<P>,
    run: &[Recorded<'_, E>],
) -> Result<(), (usize, FoldError)> {
    // A fold evaluates the user's expressions before it changes anything, so a panic leaves rows and folder whole.
    let outcome = catch_unwind(AssertUnwindSafe(|| folder.fold(rows, run)))
        .or_else(|_| catch_unwind(AssertUnwindSafe(|| folder.go_on_singly(rows, run))));
    let error = match outcome {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => error,
        Err(panic) => panicked(&*panic),
    };
    Err((folder.done(), error))
}

/// Runs the user's code; a panic in it is an error like any other.
pub(crate) fn caught(run: &mut dyn FnMut()) -> Result<(), FoldError> {
    unwinding(run).map_err(|panic| panicked(&*panic))
}

/// Runs the user's code; what it panics with comes back. It is behind a pointer, so that this is compiled once and not for each projection.
pub(crate) fn unwinding<T>(run: &mut dyn FnMut() -> T) -> std::thread::Result<T> {
    catch_unwind(AssertUnwindSafe(run))
}

/// A panic in an expression of the user's, as an error.
fn panicked(panic: &(dyn Any + Send)) -> FoldError {
    let reason = format!("an expression of the projection panicked: {}", said(panic));
    FoldError { column: "", reason }
}

/// What a panic said.
pub(crate) fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "(no message)".into())
}
