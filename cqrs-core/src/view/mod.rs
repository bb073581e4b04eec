//! What readers hold of a view.

mod cursor;
mod rows;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

pub use self::cursor::{Cursor, CursorError};
pub use self::rows::ViewRows;
use crate::change::{Backlog, Changes, Feed, Subscriber};
use crate::engine::shared::{Core, Shown};
use crate::error::{ChangesError, ReadError, WaitError};
use crate::key::{Key, PrefixOf, key_bytes, prefix_bytes};
use crate::lookups::{Access, Indexed, Live, Shared};
use crate::projection::{Fault, Projection};
use crate::receipt::Receipt;
use crate::sync::{Wait, within};
use crate::table::{Parked, Rows, Span};

/// A view of an engine: the rows of the projection `P`, in memory, always at the end of some batch of events.
///
/// Cheap to clone, usable from any thread. It does not keep the engine open: once the last [`Engine`](crate::Engine) is closed or dropped, reads answer
/// [`ReadError::Closed`].
pub struct View<P: Projection> {
    indexed: Indexed<P>,
    feed: Arc<Feed>,
    lookups: P::Lookups<Live>,
}

/// The look-ups of the projection's indexes: `view.by_item("hats")`.
impl<P: Projection> std::ops::Deref for View<P> {
    type Target = P::Lookups<Live>;
    fn deref(&self) -> &P::Lookups<Live> {
        &self.lookups
    }
}

impl<P: Projection> Clone for View<P> {
    fn clone(&self) -> Self {
        let indexed = self.indexed.clone();
        Self { lookups: indexed.clone().into(), indexed, feed: self.feed.clone() }
    }
}

impl<P: Projection> std::fmt::Debug for View<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View").field("projection", &P::RUST_NAME).finish_non_exhaustive()
    }
}

/// How waiting for a [`Receipt`] ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "what has not reached the receipt does not show what was written"]
pub enum Reached {
    /// The view has folded the events.
    Reached,
    /// Not within the time given.
    TimedOut {
        /// How many positions the view is short of the receipt's.
        behind: u64,
    },
    /// The view is being rebuilt: it answers nothing yet.
    Rebuilding {
        /// How far it is.
        position: u64,
        /// Where the log ends.
        head: u64,
    },
    /// The view has stopped.
    Faulted(Fault),
}

impl<P: Projection> View<P> {
    pub(crate) fn new(core: Arc<Core>, number: usize) -> Self {
        let feed = core.catalog.views[number].feed().clone();
        let indexed = Indexed::new(Live { core }, number);
        Self { lookups: indexed.clone().into(), indexed, feed }
    }

    fn read<T>(&self, look: impl FnOnce(&Rows<P>, u64) -> T) -> Result<T, ReadError> {
        let published = self.core().published.load();
        Ok(look(self.core().rows(&published, self.indexed.number)?, published.position))
    }

    /// All rows at one position, shared.
    fn shared(&self) -> Result<(Arc<Rows<P>>, u64), ReadError> {
        let Shared { rows, position } = self.indexed.access.rows(self.indexed.number)?;
        Ok((rows, position))
    }

    /// The rows of a span of keys, in their order.
    fn in_order(&self, span: Span) -> Result<ViewRows<P>, ReadError> {
        let (rows, position) = self.shared()?;
        Ok(ViewRows::in_order(rows, position, None, span))
    }

    fn core(&self) -> &Arc<Core> {
        &self.indexed.access.core
    }

    /// All rows in the order of their keys, at one position; from the last one on with `.rev()`.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn rows_by_key(&self) -> Result<ViewRows<P>, ReadError> {
        self.in_order(Span::default())
    }

    /// The rows whose keys come after this one, in the order of their keys: the next page is `view.rows_after(last_key)?.take(100)`.
    ///
    /// The key need not have a row.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn rows_after(&self, key: <P::Key as Key>::Ref<'_>) -> Result<ViewRows<P>, ReadError> {
        self.in_order(Span::after(key_bytes::<P::Key>(&key)))
    }

    /// The rows whose keys come before this one, in the order of their keys: the page before is `view.rows_before(first_key)?.rev().take(100)`, from its end.
    ///
    /// The key need not have a row.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn rows_before(&self, key: <P::Key as Key>::Ref<'_>) -> Result<ViewRows<P>, ReadError> {
        self.in_order(Span::before(key_bytes::<P::Key>(&key)))
    }

    /// How often an event came too late for its window, and was not folded.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn late(&self) -> Result<u64, ReadError> {
        self.read(|rows, _| rows.clock.late)
    }

    /// The events that could not be folded, and were set aside (`on_fault = park`), in the order of the log. Once what they failed at is mended,
    /// [`Engine::retry_parked`](crate::Engine::retry_parked) takes them in.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn parked(&self) -> Result<Vec<Parked>, ReadError> {
        self.read(|rows, _| rows.parked.clone())
    }

    /// The row of a key; `None` if there is none, or `having` hides it. The key is borrowed: `("jsmith", "hats")`.
    ///
    /// # Errors
    ///
    /// [`ReadError`]: the view is being rebuilt, has stopped, or the engine is closed.
    pub fn get(&self, key: <P::Key as Key>::Ref<'_>) -> Result<Option<P>, ReadError> {
        self.read(|rows, _| rows.get(&key))
    }

    /// All rows that readers are to see, at one position, in the order in which their keys first appeared; where rows are removed, later ones take
    /// their places. In the order of their keys: [`rows_by_key`](Self::rows_by_key).
    ///
    /// The iterator sees one state of the view, however long it is held, and holds nobody up: if it is held for longer than a moment, the
    /// fold goes on in a copy.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn rows(&self) -> Result<ViewRows<P>, ReadError> {
        let (rows, position) = self.shared()?;
        Ok(ViewRows::all(rows, position))
    }

    /// The rows whose key begins with these columns, in the order of their keys: `view.rows_of("jsmith")`.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn rows_of<const N: usize>(&self, prefix: impl PrefixOf<P, N>) -> Result<ViewRows<P>, ReadError> {
        self.in_order(Span::under(prefix_bytes(&prefix)))
    }

    /// How many rows there are, those that `having` hides included.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn len(&self) -> Result<usize, ReadError> {
        self.read(|rows, _| rows.len())
    }

    /// Whether there is no row, hidden or not.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn is_empty(&self) -> Result<bool, ReadError> {
        self.len().map(|len| len == 0)
    }

    /// The position of the last event that the view has folded; 0 before the first.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn position(&self) -> Result<u64, ReadError> {
        self.read(|_, position| position)
    }

    /// The rows now, then every change of them. See [`Changes`].
    pub fn subscribe(&self) -> Changes<P> {
        self.subscribe_to(Vec::new(), false)
    }

    /// The same of the rows whose key begins with these columns: a customer's own, say. The others cost it a look at their keys, and the rows to begin with come in the order of
    /// their keys.
    ///
    /// ```
    /// use cqrs_core::prelude::*;
    ///
    /// #[event]
    /// pub struct Purchased { pub customer: String, pub item: String }
    ///
    /// #[projection(from = Purchased, group_by = (customer, item))]
    /// #[derive(Debug, PartialEq)]
    /// pub struct Bought { pub customer: String, pub item: String, #[count] pub times: u64 }
    ///
    /// let engine = Engine::in_memory().view::<Bought>().start()?;
    /// let mut changes = engine.view::<Bought>().subscribe_of("ann");
    /// assert_eq!(changes.next().wait().unwrap()?, Change::Progress { position: 0 });
    /// for customer in ["bob", "ann"] {
    ///     engine.append(Purchased { customer: customer.into(), item: "hats".into() }).wait()?;
    /// }
    /// let row = Bought { customer: "ann".into(), item: "hats".into(), times: 1 };
    /// assert_eq!(changes.next().wait().unwrap()?, Change::Progress { position: 1 });
    /// assert_eq!(changes.next().wait().unwrap()?, Change::Inserted { row });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn subscribe_of<const N: usize>(&self, prefix: impl PrefixOf<P, N>) -> Changes<P> {
        self.subscribe_to(prefix_bytes(&prefix), false)
    }

    /// The same of one row, whether it is there or not.
    ///
    /// ```
    /// use cqrs_core::prelude::*;
    ///
    /// #[event]
    /// pub struct Purchased { pub customer: String }
    ///
    /// #[projection(from = Purchased, group_by = customer)]
    /// #[derive(Debug, PartialEq)]
    /// pub struct Bought { pub customer: String, #[count] pub times: u64 }
    ///
    /// let engine = Engine::in_memory().view::<Bought>().start()?;
    /// let mut changes = engine.view::<Bought>().subscribe_row("ann");
    /// assert_eq!(changes.next().wait().unwrap()?, Change::Progress { position: 0 });
    /// engine.append(Purchased { customer: "ann".into() }).wait()?;
    /// let row = Bought { customer: "ann".into(), times: 1 };
    /// assert_eq!(changes.next().wait().unwrap()?, Change::Inserted { row });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn subscribe_row(&self, key: <P::Key as Key>::Ref<'_>) -> Changes<P> {
        self.subscribe_to(key_bytes::<P::Key>(&key), true)
    }

    fn subscribe_to(&self, prefix: Vec<u8>, one: bool) -> Changes<P> {
        let backlog = Arc::new(Backlog::<P>::new(prefix, one));
        let subscriber: Weak<Backlog<P>> = Arc::downgrade(&backlog);
        // Between the snapshot and the place in the list, nothing can be published.
        let gate = crate::sync::lock(&self.core().gate);
        match self.shared() {
            Ok((rows, position)) => {
                backlog.begin(rows, position);
                self.feed.add(subscriber);
            }
            Err(ReadError::Rebuilding { .. }) => self.feed.add(subscriber),
            Err(ReadError::Faulted(fault)) => drop(backlog.end(ChangesError::Faulted(fault))),
            Err(ReadError::Closed) => drop(backlog.end(ChangesError::Closed)),
        }
        drop(gate);
        Changes::new(self.core().clone(), backlog)
    }

    /// Waits until the view has folded the events of a receipt, which may come from another handle or process, for at most this long. A view that is being
    /// rebuilt or has stopped is answered at once.
    pub fn wait_for(&self, receipt: &Receipt, timeout: Duration) -> Wait<Result<Reached, WaitError>> {
        let (core, number, receipt) = (self.core().clone(), self.indexed.number, *receipt);
        Wait::new(async move {
            if receipt.store != core.store_id {
                return Err(WaitError::OtherLog { expected: core.store_id, found: receipt.store });
            }
            let look = || {
                let published = core.published.load();
                if published.closed {
                    return Some(Err(WaitError::Closed));
                }
                match &published.views[number] {
                    Shown::Live(_) => (published.position >= receipt.last).then_some(Ok(Reached::Reached)),
                    Shown::Faulted(fault) => Some(Ok(Reached::Faulted((**fault).clone()))),
                    Shown::Rebuilding(position) => {
                        let position = position.load(Ordering::Relaxed);
                        Some(Ok(Reached::Rebuilding { position, head: core.head() }))
                    }
                }
            };
            within(&core.timer, timeout, core.folded.until(look)).await.unwrap_or_else(|| {
                let behind = receipt.last.saturating_sub(core.published.load().position);
                Ok(Reached::TimedOut { behind })
            })
        })
    }
}
