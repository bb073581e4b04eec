//! A view as the fold holds it: two copies of the rows, one for readers and one to fold into.

use std::any::{Any, TypeId};
use std::marker::PhantomData;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use super::pair::{Pair, Twin};
use crate::change::{Before, Feed, News};
use crate::describe::DescribedView;
use crate::event::Meta;
use crate::projection::{Fault, FoldError, JoinSet, Projection, Reads, SignOf, Source};
use crate::sql::SqlValue;
use crate::store::{Head, Part, RowImages, SqlColumn};
use crate::table::{Clock, Folder, Parked, Rows, Turn, said};

/// Rows of a view, with their type forgotten: an `Rows<P>`.
pub(crate) type AnyRows = Arc<dyn Any + Send + Sync>;

/// A registered projection, with its type forgotten.
pub(crate) trait ViewType: Send + Sync {
    fn row_type(&self) -> TypeId;
    fn name(&self) -> &'static str;
    fn rust_name(&self) -> &'static str;
    fn fingerprint(&self) -> u128;
    fn columns(&self) -> Vec<SqlColumn>;
    /// What it is, without what it reads.
    fn describe(&self) -> DescribedView;
    /// Others read its rows.
    fn watch(&self);
    /// Empty rows.
    fn rows(&self) -> Box<dyn AnyView>;
    /// Its subscribers.
    fn feed(&self) -> &Arc<Feed>;
}

pub(crate) struct TypedView<P: Projection> {
    feed: Arc<Feed>,
    /// Whether other views read its rows.
    watched: AtomicBool,
    row: PhantomData<fn() -> P>,
}

impl<P: Projection> Default for TypedView<P> {
    fn default() -> Self {
        Self { feed: Arc::default(), watched: AtomicBool::new(false), row: PhantomData }
    }
}

impl<P: Projection> ViewType for TypedView<P> {
    fn row_type(&self) -> TypeId {
        TypeId::of::<P>()
    }
    fn name(&self) -> &'static str {
        P::NAME
    }
    fn rust_name(&self) -> &'static str {
        P::RUST_NAME
    }
    fn fingerprint(&self) -> u128 {
        // 0 marks a checkpoint that is not complete.
        P::FINGERPRINT.max(1)
    }
    fn columns(&self) -> Vec<SqlColumn> {
        SqlColumn::all(P::COLUMNS)
    }
    fn describe(&self) -> DescribedView {
        DescribedView::of::<P>()
    }
    fn rows(&self) -> Box<dyn AnyView> {
        Box::new(ViewRows::<P>::new(self.feed.clone(), self.watched.load(Ordering::Relaxed)))
    }
    fn watch(&self) {
        self.watched.store(true, Ordering::Relaxed);
    }
    fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }
}

/// A view, as the fold holds it, with its type forgotten.
pub(crate) trait AnyView: Send {
    /// The [`ViewRows`].
    fn as_any(&mut self) -> &mut dyn Any;
    fn as_any_ref(&self) -> &dyn Any;
    /// The `Rows<P>` that are folded into.
    fn rows_ref(&self) -> &dyn Any;
    /// An event begins, of those that are folded one at a time.
    fn begin_turn(&mut self);
    fn end_turn(&mut self) -> Result<(), FoldError>;
    fn undo_turn(&mut self);
    /// An event has nothing for this view.
    fn pass_turn(&mut self);
    /// Whether the last event changed anything that others read.
    fn has_changed(&self) -> bool;
    fn len(&self) -> usize;
    /// How often an event came too late.
    fn late(&self) -> u64;
    /// The events that readers see as parked.
    fn parked(&self) -> &[Parked];
    /// Sets an event aside that could not be folded; the error comes back where the view is to stop.
    fn park(&mut self, position: u64, event: &str, error: FoldError) -> Result<(), FoldError>;
    fn memory(&self) -> usize;
    /// Adds a row out of a checkpoint; whether it is one.
    fn restore(&mut self, id: u64, key: &[u8], state: &[u8]) -> bool;
    /// Notes what has been folded in bulk as changed since the last checkpoint.
    fn settle(&mut self);
    /// Ends the bulk: from here on, readers have a copy of their own.
    fn go_live(&mut self);
    /// The rows that readers are to see.
    fn shown(&self) -> AnyRows;
    /// Puts what was folded since the last call in front; `None` if nothing was.
    fn flip(&mut self) -> Option<AnyRows>;
    /// Tells the subscribers what the last flip changed. Wakers of theirs are added to `wake`.
    fn deliver(&mut self, position: u64, wake: &mut Vec<Waker>);
    /// Gives the rows to subscribers who came while there were none to see.
    fn welcome(&mut self, position: u64, wake: &mut Vec<Waker>);
    /// Takes the place of other rows, an `Rows<P>`, that were read until now: the next [`deliver`](Self::deliver) tells how these differ.
    fn succeed(&mut self, others: AnyRows);
    /// Forgets what the store has: every row is to be saved, a stretch at a time.
    fn save_all(&mut self);
    /// What is to be saved next: at most about `stretch` of those that were never saved.
    fn images(&mut self, stretch: usize) -> Images;
    /// Adds a row's image.
    fn image(&self, row: u32, images: &mut RowImages);
    /// Takes back ids whose saving failed.
    fn unsaved(&mut self, ids: &[u64]);
    /// The row of a key.
    fn find(&self, key: &[u8]) -> Option<u32>;
    /// How many elements its rows have.
    fn elements(&self) -> u64;
    /// The count of the element of this full key.
    fn count(&self, key: &[u8]) -> Option<u64>;
    /// Whether what is known beside the rows is this, as a checkpoint has it; or, without one, nothing.
    fn knows(&self, state: Option<&[u8]>) -> bool;
    /// The rows' numbers.
    fn numbers(&self) -> Vec<u32>;
}

/// What a view has for a checkpoint.
#[derive(Default)]
pub(crate) struct Images {
    /// What the store may have, and is to forget.
    pub(crate) gone: Vec<u64>,
    /// In the order of their ids, first those that the store may have.
    pub(crate) changed: RowImages,
    /// Whether the store has everything then.
    pub(crate) complete: bool,
}

/// A view's rows, and what is known of them.
pub(crate) struct ViewRows<P: Projection> {
    rows: Pair<Rows<P>>,
    /// Whether the last flip put something new in front that has not been delivered.
    flipped: bool,
    /// Nobody reads yet: fold right into `front`.
    bulk: bool,
    folder: Folder,
    turn: Turn<P>,
    dirty: Dirty,
    /// Rows from this one on are not in the store.
    saved: u32,
    dirty_elements: Dirty,
    /// Elements from this one on are not in the store.
    saved_elements: u32,
    /// The clock that the store has; `None` if that is not known.
    saved_clock: Option<Clock>,
    /// How many parked events the store has.
    saved_parked: usize,
    /// What readers saw instead of these rows, until subscribers are told.
    others: Option<AnyRows>,
    feed: Arc<Feed>,
}

/// Rows, or elements, that changed since the last checkpoint, each once.
#[derive(Default)]
struct Dirty {
    marks: Vec<u64>,
    rows: Vec<u32>,
}

impl Dirty {
    fn add(&mut self, rows: &[u32]) {
        for &row in rows {
            let (word, bit) = (row as usize / 64, 1 << (row % 64));
            if word >= self.marks.len() {
                self.marks.resize(word + 1, 0);
            }
            if self.marks[word] & bit == 0 {
                self.marks[word] |= bit;
                self.rows.push(row);
            }
        }
    }

    fn take(&mut self) -> Vec<u32> {
        let rows = std::mem::take(&mut self.rows);
        for row in &rows {
            self.marks[*row as usize / 64] = 0;
        }
        rows
    }
}

/// The numbers of one part that a checkpoint is to have.
struct Stretch {
    /// Those that changed and that the store may have, in order: so it comes to each of its pages once.
    dirty: Vec<u32>,
    /// The first ones that it does not have.
    new: Range<u32>,
}

impl Stretch {
    fn take(dirty: &mut Dirty, saved: &mut u32, end: u32, stretch: usize) -> Self {
        // New ones are saved in the order of their numbers; of those beyond the stretch, it does not matter that they changed.
        let limit = (*saved as usize).saturating_add(stretch).min(end as usize) as u32;
        let new = *saved..limit.max(*saved);
        let mut dirty = dirty.take();
        // After a rebuild that is every row, and none of them is in the store yet.
        dirty.retain(|number| *number < *saved);
        dirty.sort_unstable();
        *saved = new.end;
        Self { dirty, new }
    }

    fn len(&self) -> usize {
        self.dirty.len() + self.new.len()
    }

    fn numbers(&self) -> impl Iterator<Item = u32> {
        self.dirty.iter().copied().chain(self.new.clone())
    }
}

impl<P: Projection> ViewRows<P> {
    fn new(feed: Arc<Feed>, watched: bool) -> Self {
        Self {
            turn: Turn::new(watched),
            rows: Pair::default(),
            flipped: false,
            bulk: true,
            folder: Folder::default(),
            dirty: Dirty::default(),
            saved: 0,
            dirty_elements: Dirty::default(),
            saved_elements: 0,
            saved_clock: Some(Clock::default()),
            saved_parked: 0,
            others: None,
            feed,
        }
    }

    /// What a run is folded into. Does not wait for readers longer than copying the rows would take.
    pub(crate) fn writable(&mut self) -> (&mut Folder, &mut Rows<P>) {
        let (folder, _, rows) = self.parts();
        (folder, rows)
    }

    /// The same, with the turn.
    fn parts(&mut self) -> (&mut Folder, &mut Turn<P>, &mut Rows<P>) {
        let Self { rows, bulk, folder, turn, .. } = self;
        if *bulk {
            return (folder, turn, rows.front_mut());
        }
        let begins = !rows.is_writing();
        let rows = rows.back_mut();
        if begins {
            // Where it is a new copy, the list is that of the batch before.
            rows.elements.forget_touched();
        }
        (folder, turn, rows)
    }

    /// The rows that are folded into.
    fn writing(&self) -> &Rows<P> {
        if self.bulk { self.rows.front() } else { self.rows.writing() }
    }

    /// What the last event changed.
    pub(crate) fn changes_of_turn(&self) -> &[(Option<P>, Option<P>)] {
        &self.turn.changes
    }

    /// Takes in what a source gives, in a turn.
    pub(crate) fn run<S: Source>(
        &mut self,
        event: &S::Ref<'_>,
        meta: &Meta,
        sign: SignOf<S>,
        joined: &<P::Joins as JoinSet>::Rows<'_>,
    ) -> Result<(), FoldError>
    where
        P: Reads<S>,
    {
        let (_, turn, rows) = self.parts();
        turn.run::<S>(rows, event, meta, sign, joined)
    }
}

impl<P: Projection> Twin for Rows<P> {
    const NAME: &'static str = P::NAME;

    fn catch_up(&mut self, newer: &Self, touched: &[u32]) {
        Rows::catch_up(self, newer, touched);
        self.reindex(touched);
    }
    fn memory(&self) -> usize {
        Rows::memory(self)
    }
}

impl<P: Projection> AnyView for ViewRows<P> {
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }

    fn as_any_ref(&self) -> &dyn Any {
        self
    }

    fn rows_ref(&self) -> &dyn Any {
        self.writing()
    }

    fn begin_turn(&mut self) {
        let (folder, turn, rows) = self.parts();
        turn.begin(rows, folder);
    }

    fn end_turn(&mut self) -> Result<(), FoldError> {
        let (folder, turn, rows) = self.parts();
        turn.end(rows, folder)
    }

    fn undo_turn(&mut self) {
        let (_, turn, rows) = self.parts();
        turn.undo(rows);
    }

    fn pass_turn(&mut self) {
        self.turn.pass();
    }

    fn has_changed(&self) -> bool {
        !self.turn.changes.is_empty()
    }

    fn len(&self) -> usize {
        self.rows.front().len()
    }

    fn late(&self) -> u64 {
        self.rows.front().clock.late
    }

    fn parked(&self) -> &[Parked] {
        &self.rows.front().parked
    }

    fn park(&mut self, position: u64, event: &str, error: FoldError) -> Result<(), FoldError> {
        if !P::PARKS {
            return Err(error);
        }
        self.writable().1.park(position, event, error)
    }

    fn memory(&self) -> usize {
        let back = self.rows.back().map_or(0, |back| back.memory());
        self.rows.front().memory() + back + self.folder.memory()
    }

    fn restore(&mut self, id: u64, key: &[u8], state: &[u8]) -> bool {
        let rows = self.rows.front_mut();
        match Part::of(id) {
            Some((Part::Rows, row)) => {
                self.saved = row.saturating_add(1);
                catch_unwind(AssertUnwindSafe(|| rows.restore(row, key, state))).unwrap_or(false)
            }
            Some((Part::Elements, number)) => {
                self.saved_elements = number.saturating_add(1);
                let count = state.try_into().map(u64::from_be_bytes);
                count.is_ok_and(|count| rows.elements.restore(number, key, count))
            }
            Some((Part::View, 0)) if key.is_empty() => {
                self.saved_clock = Clock::read(state);
                self.saved_clock.map(|clock| rows.clock = clock).is_some()
            }
            Some((Part::Parked, number)) if P::PARKS && number as usize == rows.parked.len() => {
                let read = Parked::read(key, state).map(|parked| rows.parked.push(parked));
                self.saved_parked = rows.parked.len();
                read.is_some()
            }
            _ => false,
        }
    }

    fn settle(&mut self) {
        if self.bulk {
            let touched = self.folder.take_touched();
            self.dirty.add(&touched);
            self.rows.front_mut().reindex(&touched);
            if !self.rows.front().elements.touched().is_empty() {
                self.dirty_elements.add(&self.rows.front_mut().elements.take_touched());
            }
        }
    }

    fn go_live(&mut self) {
        self.settle();
        self.bulk = false;
    }

    fn shown(&self) -> AnyRows {
        self.rows.front().clone()
    }

    fn flip(&mut self) -> Option<AnyRows> {
        if !self.rows.end_writing() {
            return None;
        }
        let touched = self.folder.take_touched();
        let (front, back) = (self.rows.front(), self.rows.back()?);
        // They stay with the copy: it is by them that the other catches up.
        let elements = back.elements.touched();
        let parked = front.parked.len() != back.parked.len();
        if touched.is_empty() && elements.is_empty() && front.clock == back.clock && !parked {
            return None;
        }
        self.dirty.add(&touched);
        self.dirty_elements.add(elements);
        if P::INDEXES > 0 {
            self.rows.written_mut().reindex(&touched);
        }
        self.flipped = true;
        Some(self.rows.flip(touched))
    }

    fn deliver(&mut self, position: u64, wake: &mut Vec<Waker>) {
        let (others, back) = (self.others.take(), self.rows.back().filter(|_| self.flipped));
        let before = match (&others, back) {
            (Some(others), _) => Before::Other(&**others),
            (None, Some(back)) => Before::Without(&**back, self.rows.lag()),
            (None, None) => Before::Same,
        };
        self.feed.tell(P::RUST_NAME, &News { rows: &**self.rows.front(), before, position }, wake);
        self.flipped = false;
    }

    fn welcome(&mut self, position: u64, wake: &mut Vec<Waker>) {
        self.feed.begin(&self.shown(), position, wake);
    }

    fn succeed(&mut self, others: AnyRows) {
        self.others = Some(others);
    }

    fn save_all(&mut self) {
        (self.saved, self.saved_elements, self.saved_clock) = (0, 0, Some(Clock::default()));
        self.saved_parked = 0;
    }

    fn images(&mut self, stretch: usize) -> Images {
        let rows = self.rows.front().clone();
        let (row_end, element_end) = (rows.keys().end(), rows.elements.end());
        let next = Stretch::take(&mut self.dirty, &mut self.saved, row_end, stretch);
        let left = stretch.saturating_sub(next.new.len());
        let next_elements =
            Stretch::take(&mut self.dirty_elements, &mut self.saved_elements, element_end, left);
        let clock = (self.saved_clock != Some(rows.clock)).then_some(rows.clock);
        self.saved_clock = Some(rows.clock);
        let parked = self.saved_parked..rows.parked.len();
        self.saved_parked = parked.end;
        let complete = self.saved >= row_end && self.saved_elements >= element_end;

        let room = next.len() + next_elements.len() + usize::from(clock.is_some()) + parked.len();
        let mut changed = RowImages::with_capacity(room, P::COLUMNS.len());
        let mut gone = Vec::new();
        for row in next.dirty.iter().copied().filter(|row| !rows.keys().has(*row)) {
            gone.push(Part::Rows.id(row));
        }
        for row in next.numbers().filter(|row| rows.keys().has(*row)) {
            self.image(row, &mut changed);
        }
        let hidden = |columns: &mut Vec<SqlValue>| {
            columns.resize(columns.len() + P::COLUMNS.len(), SqlValue::Null);
        };
        for number in
            next_elements.dirty.iter().copied().filter(|number| rows.elements.element(*number).is_none())
        {
            gone.push(Part::Elements.id(number));
        }
        for number in next_elements.numbers() {
            let Some((key, count)) = rows.elements.element(number) else { continue };
            let count = |out: &mut Vec<u8>| out.extend_from_slice(&count.to_be_bytes());
            changed.push(Part::Elements.id(number), false, key, count, hidden);
        }
        if let Some(clock) = clock {
            changed.push(Part::View.id(0), false, &[], |out| clock.write(out), hidden);
        }
        for number in parked {
            let event = &rows.parked[number];
            changed.push(Part::Parked.id(number as u32), false, &event.key(), |out| event.write(out), hidden);
        }
        Images { gone, changed, complete }
    }

    fn image(&self, row: u32, images: &mut RowImages) {
        // A panic in an expression of the user's costs the rendering, not the checkpoint.
        let mut columns = Vec::with_capacity(P::COLUMNS.len());
        let shown = catch_unwind(AssertUnwindSafe(|| match self.rows.front().render(row) {
            Some(rendered) => {
                rendered.sql(&mut columns);
                self.rows.front().is_seen(row, &rendered, self.rows.front().clock)
            }
            None => false,
        }));
        let shown = shown.unwrap_or_else(|panic| {
            tracing::warn!(view = P::NAME, row, "rendering a row for SQL panicked: {}", said(&*panic));
            false
        });
        columns.resize(P::COLUMNS.len(), SqlValue::Null);
        let key = self.rows.front().keys().key(row);
        images.push(
            Part::Rows.id(row),
            shown,
            key,
            |out| self.rows.front().write_state(row, out),
            |out| out.append(&mut columns),
        );
    }

    fn unsaved(&mut self, ids: &[u64]) {
        for id in ids {
            match Part::of(*id) {
                Some((Part::Rows, row)) => self.dirty.add(&[row]),
                Some((Part::Elements, number)) => self.dirty_elements.add(&[number]),
                Some((Part::Parked, number)) => self.saved_parked = self.saved_parked.min(number as usize),
                _ => self.saved_clock = None,
            }
        }
    }

    fn find(&self, key: &[u8]) -> Option<u32> {
        self.rows.front().find(key)
    }

    fn elements(&self) -> u64 {
        self.rows.front().elements.len() as u64
    }

    fn count(&self, key: &[u8]) -> Option<u64> {
        self.rows.front().elements.count(key)
    }

    fn knows(&self, state: Option<&[u8]>) -> bool {
        state.map_or(Some(Clock::default()), Clock::read) == Some(self.rows.front().clock)
    }

    fn numbers(&self) -> Vec<u32> {
        self.rows.front().keys().rows(0).collect()
    }
}

/// A view's place in the fold.
pub(crate) struct Slot {
    pub(crate) view: Option<Box<dyn AnyView>>,
    pub(crate) name: &'static str,
    pub(crate) rust_name: &'static str,
    /// The last event that the view stands at.
    pub(crate) at: Head,
    pub(crate) fault: Option<Arc<Fault>>,
    /// Whether the fault has been made known.
    pub(crate) told: bool,
}

impl Slot {
    /// The place of a view that is not here: being rebuilt elsewhere.
    pub(crate) fn absent(view: &dyn ViewType) -> Self {
        let (name, rust_name) = (view.name(), view.rust_name());
        Self { view: None, name, rust_name, at: Head::default(), fault: None, told: false }
    }

    /// The place of a view that has folded nothing yet.
    pub(crate) fn fresh(view: &dyn ViewType) -> Self {
        Self { view: Some(view.rows()), ..Self::absent(view) }
    }

    /// Whether it takes events.
    pub(crate) fn folds(&self) -> bool {
        self.view.is_some() && self.fault.is_none()
    }

    pub(crate) fn view_mut(&mut self) -> Option<&mut dyn Any> {
        self.view.as_mut().map(|view| view.as_any())
    }

    /// An event could not be folded: it is parked, or stops the view.
    pub(crate) fn fail(&mut self, position: u64, event: &str, error: FoldError) {
        let Some(view) = &mut self.view else { return };
        let column = Some(error.column).filter(|column| !column.is_empty());
        let reason = error.reason.clone();
        match view.park(position, event, error) {
            Ok(()) => {
                let view = self.name;
                tracing::warn!(view, position, event, column, reason, "the view parks an event");
            }
            Err(error) => self.fault(position, event, error),
        }
    }

    pub(crate) fn fault(&mut self, position: u64, event: &str, error: FoldError) {
        let fault = Fault::new(self.rust_name, position, event, error);
        let Fault { column, reason, .. } = &fault;
        tracing::error!(view = self.name, position, event, column, reason, "an event stops the view");
        self.fault = Some(Arc::new(fault));
    }

    /// Moves on to the end of a stretch that has been folded, or to right before the event that stopped it.
    ///
    /// `checksum` answers for positions within the stretch.
    pub(crate) fn advance(&mut self, end: Head, checksum: impl Fn(u64) -> Option<u64>) {
        if self.view.is_none() || self.told {
            return;
        }
        match &self.fault {
            None if end.position > self.at.position => self.at = end,
            Some(fault) if fault.position > self.at.position + 1 => {
                let position = fault.position - 1;
                if let Some(checksum) = checksum(position) {
                    self.at = Head { position, checksum };
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
