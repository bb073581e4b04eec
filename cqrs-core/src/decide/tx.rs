//! What a decision sees, and what it says.

use std::any::TypeId;
use std::cell::OnceCell;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex};

use crate::Timestamp;
use crate::engine::boundary::{Boundary, Read};
use crate::engine::request::NewEvent;
use crate::engine::shared::{Core, Published};
use crate::error::ReadError;
use crate::key::{Key, PrefixOf, key_bytes, prefix_bytes};
use crate::lookups::PinnedView;
use crate::projection::Projection;
use crate::sync::lock;
use crate::table::{Rows, Span};
use crate::view::ViewRows;

/// What a decision sees, and what it says: the views at one position, and the events it emits.
///
/// Whatever is read becomes part of the decision's boundary, rows that are not there too: should an event touch it before the decision's own events
/// are in the log, the decision is made anew. A view's `group_by` thereby says what can conflict: decisions about different keys do not.
///
/// A decision may be made several times, and for nothing: what it does besides reading and emitting is done each time.
pub struct Tx {
    core: Arc<Core>,
    published: Arc<Published>,
    reads: Arc<Mutex<Vec<Read>>>,
    pub(super) events: Vec<NewEvent>,
    now: OnceCell<Timestamp>,
    /// The view that could not be read, and why.
    pub(super) failed: Option<(&'static str, ReadError)>,
}

impl std::fmt::Debug for Tx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tx")
            .field("position", &self.position())
            .field("emitted", &self.events.len())
            .finish_non_exhaustive()
    }
}

/// What ends a decision whose view cannot be read.
struct Abandoned;

impl Tx {
    /// One that sees what is published now.
    pub(super) fn new(core: &Arc<Core>) -> Self {
        let (core, published) = (core.clone(), core.published.load_full());
        Self {
            core,
            published,
            reads: Arc::default(),
            events: Vec::new(),
            now: OnceCell::new(),
            failed: None,
        }
    }

    /// What it rests on by now.
    pub(super) fn boundary(&self) -> Boundary {
        let reads = std::mem::take(&mut *lock(&self.reads));
        Boundary { at: self.position(), exchanged: self.published.exchanged, reads }
    }

    /// The position of the last event that is seen.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.published.position
    }

    /// How late it is by the engine's [clock](crate::Builder::clock): the same however often it is asked for. A decision that is made anew is made at a later time.
    ///
    /// Its events are recorded when they are appended, a little later. (A log's times do not go back: where the clock did, they may be ahead of it.)
    ///
    /// ```
    /// # use cqrs_core::prelude::*;
    /// # use cqrs_core::Timestamp;
    /// # #[event]
    /// # pub struct Offered { pub offer: u32, pub until: Timestamp }
    /// # #[event]
    /// # pub struct Accepted { pub offer: u32 }
    /// # #[projection(from = Offered, group_by = offer)]
    /// # pub struct Offers { pub offer: u32, #[last] pub until: Timestamp }
    /// # let noon = Timestamp::from_micros(43_200_000_000);
    /// # let engine = Engine::in_memory().view::<Offers>().event::<Accepted>().clock(move || noon).start()?;
    /// # engine.append(Offered { offer: 1, until: Timestamp::from_micros(1) }).wait()?;
    /// let late = engine.decide(|tx: &mut Tx| {
    ///     let offer = tx.get::<Offers>(1).ok_or("there is no such offer")?;
    ///     if offer.until < tx.now() {
    ///         return Err("the offer has ended");
    ///     }
    ///     tx.emit(Accepted { offer: 1 });
    ///     Ok(())
    /// });
    /// assert!(matches!(late.wait(), Err(DecideError::Refused("the offer has ended"))));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn now(&self) -> Timestamp {
        *self.now.get_or_init(|| (self.core.clock)())
    }

    /// The row of a key in the view of `P`; `None` if there is none, or `having` hides it. Either way the key is in the boundary.
    ///
    /// If the view cannot be read (it is being rebuilt, or has stopped), the decision ends here, and [`DecideError::Read`](crate::DecideError::Read) is its answer.
    ///
    /// # Panics
    ///
    /// If the engine was not started with the view.
    #[track_caller]
    pub fn get<P: Projection>(&mut self, key: <P::Key as Key>::Ref<'_>) -> Option<P> {
        let view = self.number::<P>();
        self.note(Read::Key(view, key_bytes::<P::Key>(&key)));
        match self.core.rows::<P>(&self.published, view) {
            Ok(rows) => rows.get(&key),
            Err(error) => self.abandon::<P, _>(error),
        }
    }

    /// The rows of the view of `P` whose key begins with these columns, in the order of their keys: `tx.rows_of::<Line, _>("order-1")`. All of the prefix is in the
    /// boundary: a row that appears under it conflicts, too.
    ///
    /// What becomes of a view that cannot be read, see [`get`](Self::get).
    ///
    /// # Panics
    ///
    /// As [`get`](Self::get).
    #[track_caller]
    pub fn rows_of<P: Projection, const N: usize>(&mut self, prefix: impl PrefixOf<P, N>) -> ViewRows<P> {
        let view = self.number::<P>();
        let bytes = prefix_bytes(&prefix);
        self.note(Read::Prefix(view, bytes.clone()));
        ViewRows::in_order(self.shared(view), self.position(), None, Span::under(bytes))
    }

    /// All rows of the view of `P`, as [`View::rows`](crate::View::rows) has them. The whole view is in the boundary: any event that it folds conflicts.
    ///
    /// What becomes of a view that cannot be read, see [`get`](Self::get).
    ///
    /// # Panics
    ///
    /// As [`get`](Self::get).
    #[track_caller]
    pub fn rows<P: Projection>(&mut self) -> ViewRows<P> {
        let view = self.number::<P>();
        self.note(Read::All(view));
        ViewRows::all(self.shared(view), self.position())
    }

    /// The view of `P`, for look-ups by its indexes: `tx.view::<Order>().by_status(Status::Open)`. What an event does to an index is known when it is folded, so
    /// the whole view is in the boundary: any event that it folds conflicts.
    ///
    /// What becomes of a view that cannot be read, see [`get`](Self::get).
    ///
    /// # Panics
    ///
    /// As [`get`](Self::get).
    #[track_caller]
    pub fn view<P: Projection>(&mut self) -> PinnedView<P> {
        let view = self.number::<P>();
        let rows = self.shared::<P>(view);
        let reads = self.reads.clone();
        PinnedView::new(view, rows, self.position(), move |view| lock(&reads).push(Read::All(view)))
    }

    /// Has an event appended, if the decision stands: all of a decision's events, in this order, or none. The decision does not see it in what it reads.
    pub fn emit(&mut self, event: impl Into<NewEvent>) {
        self.events.push(event.into());
    }

    fn note(&self, read: Read) {
        lock(&self.reads).push(read);
    }

    /// Ends the decision here. Where a panic would end the program, it goes on with nothing, and what it says then is not heard.
    fn abandon<P: Projection, T: Default>(&mut self, error: ReadError) -> T {
        self.failed.get_or_insert((P::RUST_NAME, error));
        if cfg!(panic = "unwind") {
            resume_unwind(Box::new(Abandoned));
        }
        T::default()
    }

    fn shared<P: Projection>(&mut self, view: usize) -> Arc<Rows<P>> {
        match self.core.shared_rows(&self.published, view) {
            Ok(rows) => rows,
            Err(error) => self.abandon::<P, _>(error),
        }
    }

    #[track_caller]
    fn number<P: Projection>(&self) -> usize {
        match self.core.number(TypeId::of::<P>(), P::RUST_NAME) {
            Ok(number) => number,
            Err(error) => panic!("{error}"),
        }
    }
}
