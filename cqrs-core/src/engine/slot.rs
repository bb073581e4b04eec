//! A view as the fold holds it: two copies of the rows, one for readers and one to fold into.

use std::any::{Any, TypeId};
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use super::pair::{Pair, Twin};
use super::saved::{Images, Savable, Saved};
use crate::change::{Before, Feed, News};
use crate::describe::DescribedView;
use crate::event::Meta;
use crate::projection::{Fault, FoldError, JoinSet, Projection, Reads, SignOf, Source};
use crate::sql::SqlValue;
use crate::store::{Head, Part, RowImages, SqlColumn};
use crate::table::{Clock, Elements, Folder, Parked, Rows, Turn, said, unwinding};

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
    /// Whether it sets events aside.
    fn parks(&self) -> bool;
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
    fn parks(&self) -> bool {
        P::PARKS
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
    /// The rows that readers see, as a checkpoint sees them.
    fn savable(&self) -> &dyn Savable;
    /// Takes back ids whose saving failed.
    fn unsaved(&mut self, ids: &[u64]);
    /// The row of a key.
    fn find(&self, key: &[u8]) -> Option<u32>;
}

impl dyn AnyView + '_ {
    /// How often an event came too late.
    pub(crate) fn late(&self) -> u64 {
        self.savable().clock().late
    }

    /// The events that readers see as parked.
    pub(crate) fn parked(&self) -> &[Parked] {
        self.savable().parked()
    }

    /// How many elements its rows have.
    pub(crate) fn elements(&self) -> u64 {
        self.savable().elements().len() as u64
    }

    /// The count of the element of this full key.
    pub(crate) fn count(&self, key: &[u8]) -> Option<u64> {
        self.savable().elements().count(key)
    }

    /// Whether what is known beside the rows is this, as a checkpoint has it; or, without one, nothing.
    pub(crate) fn knows(&self, state: Option<&[u8]>) -> bool {
        state.map_or(Some(Clock::default()), Clock::read) == Some(self.savable().clock())
    }

    /// The rows' numbers.
    pub(crate) fn numbers(&self) -> Vec<u32> {
        let rows = self.savable();
        (0..rows.end()).filter(|row| rows.has(*row)).collect()
    }
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
    saved: Saved,
    /// What readers saw instead of these rows, until subscribers are told.
    others: Option<AnyRows>,
    feed: Arc<Feed>,
}

impl<P: Projection> ViewRows<P> {
    fn new(feed: Arc<Feed>, watched: bool) -> Self {
        Self {
            turn: Turn::new(watched),
            rows: Pair::default(),
            flipped: false,
            bulk: true,
            folder: Folder::default(),
            saved: Saved::default(),
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

impl<P: Projection> Savable for Rows<P> {
    fn columns(&self) -> usize {
        P::COLUMNS.len()
    }

    fn end(&self) -> u32 {
        self.keys().end()
    }

    fn has(&self, row: u32) -> bool {
        self.keys().has(row)
    }

    fn image(&self, row: u32, images: &mut RowImages) {
        let mut columns = Vec::with_capacity(P::COLUMNS.len());
        let shown = unwinding(&mut || match self.render(row) {
            Some(rendered) => {
                rendered.sql(&mut columns);
                self.is_seen(row, &rendered, self.clock)
            }
            None => false,
        });
        let shown = whether_shown(shown, P::NAME, row);
        columns.resize(P::COLUMNS.len(), SqlValue::Null);
        let state = |out: &mut Vec<u8>| self.write_state(row, out);
        images.push(Part::Rows.id(row), shown, self.keys().key(row), state, |out| out.append(&mut columns));
    }

    fn elements(&self) -> &Elements {
        &self.elements
    }

    fn clock(&self) -> Clock {
        self.clock
    }

    fn parked(&self) -> &[Parked] {
        &self.parked
    }
}

/// A panic in an expression of the user's costs the rendering, not the checkpoint.
fn whether_shown(rendered: std::thread::Result<bool>, view: &str, row: u32) -> bool {
    rendered.unwrap_or_else(|panic| {
        tracing::warn!(view, row, "rendering a row for SQL panicked: {}", said(&*panic));
        false
    })
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
        let Some((part, number)) = Part::of(id) else { return false };
        if matches!(part, Part::Rows) {
            self.saved.restored(number);
            return unwinding(&mut || rows.restore(number, key, state)).unwrap_or(false);
        }
        let parked = if P::PARKS { Some(&mut rows.parked) } else { None };
        self.saved.restore((part, number), key, state, (&mut rows.elements, &mut rows.clock, parked))
    }

    fn settle(&mut self) {
        if self.bulk {
            let touched = self.folder.take_touched();
            let rows = self.rows.front_mut();
            rows.reindex(&touched);
            self.saved.touched(&touched, &rows.elements.take_touched());
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
        self.saved.touched(&touched, elements);
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
        self.saved.forget();
    }

    fn images(&mut self, stretch: usize) -> Images {
        self.saved.images(&**self.rows.front(), stretch)
    }

    fn savable(&self) -> &dyn Savable {
        &**self.rows.front()
    }

    fn unsaved(&mut self, ids: &[u64]) {
        self.saved.unsaved(ids);
    }

    fn find(&self, key: &[u8]) -> Option<u32> {
        self.rows.front().find(key)
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
