//! The change feed: rows now, then every change of them.

use std::any::Any;
use std::collections::VecDeque;
use std::future::Future;
use std::iter::Peekable;
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_core::Stream;

use crate::engine::shared::Core;
use crate::engine::slot::AnyRows;
use crate::error::ChangesError;
use crate::projection::{Fault, Projection};
use crate::sync::{Sleep, block_on, lock};
use crate::table::{Rows, said, unwinding};

/// One change of a view's rows, as readers see them: a row that `having` begins to hide is `Deleted`, one that it shows again `Inserted`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<R> {
    /// A row that was not there before.
    Inserted {
        /// The row.
        row: R,
    },
    /// A row that reads differently now.
    Updated {
        /// What it was.
        before: R,
        /// What it is.
        after: R,
    },
    /// A row that is no longer there.
    Deleted {
        /// What it was.
        row: R,
    },
    /// Everything up to and with this position has been told.
    Progress {
        /// A position in the log.
        position: u64,
    },
}

/// How many changes a subscription holds for its reader, unless [`Changes::backlog`] says otherwise.
pub(crate) const BACKLOG: usize = 100_000;

/// One who is told what becomes of a view's rows. Who tells it does not know their type, so that a change feed is compiled for the views that somebody subscribes to, and
/// not for every projection.
pub(crate) trait Subscriber: Send + Sync {
    /// Gives it the rows to begin with, an `Rows<P>`, unless it has some.
    fn begin(&self, rows: AnyRows, position: u64) -> Option<Waker>;
    /// Adds what a batch changed.
    fn tell(&self, news: &News<'_>) -> Option<Waker>;
    /// Ends it, once the subscriber has taken what waits.
    fn end(&self, error: ChangesError) -> Option<Waker>;
}

/// What a view has to tell: the `Rows<P>` that it shows at a position, and those that it showed before.
pub(crate) struct News<'a> {
    pub(crate) rows: &'a dyn Any,
    pub(crate) before: Before<'a>,
    pub(crate) position: u64,
}

/// The `Rows<P>` that a view showed before.
pub(crate) enum Before<'a> {
    /// These.
    Same,
    /// Others, which differ in these rows only.
    Without(&'a dyn Any, &'a [u32]),
    /// Those of another fold of the log.
    Other(&'a dyn Any),
}

/// The subscribers of one view.
#[derive(Default)]
pub(crate) struct Feed(Mutex<Vec<Weak<dyn Subscriber>>>);

impl Feed {
    pub(crate) fn add(&self, subscriber: Weak<dyn Subscriber>) {
        let mut list = lock(&self.0);
        if list.len() == list.capacity() {
            // Where nothing is published, nobody else clears away those who have gone.
            list.retain(|subscriber| subscriber.strong_count() > 0);
        }
        list.push(subscriber);
    }

    /// Those who are still there.
    fn subscribers(&self) -> Vec<Arc<dyn Subscriber>> {
        let mut list = lock(&self.0);
        if list.is_empty() {
            return Vec::new();
        }
        let there: Vec<_> = list.iter().filter_map(Weak::upgrade).collect();
        if there.len() < list.len() {
            list.retain(|subscriber| subscriber.strong_count() > 0);
        }
        there
    }

    /// Gives the rows to those who have none yet. Wakers of theirs are added to `wake`.
    pub(crate) fn begin(&self, rows: &AnyRows, position: u64, wake: &mut Vec<Waker>) {
        wake.extend(
            self.subscribers().iter().filter_map(|subscriber| subscriber.begin(rows.clone(), position)),
        );
    }

    /// Tells all of them. Showing a row runs the user's code: one in whose turn that panics is at its end.
    pub(crate) fn tell(&self, projection: &'static str, news: &News<'_>, wake: &mut Vec<Waker>) {
        for subscriber in self.subscribers() {
            let told = unwinding(&mut || subscriber.tell(news));
            wake.extend(told.unwrap_or_else(|panic| {
                let reason = format!("showing a row panicked: {}", said(&*panic));
                let (position, event) = (news.position, String::new());
                subscriber.end(ChangesError::Faulted(Fault {
                    projection,
                    position,
                    event,
                    column: None,
                    reason,
                }))
            }));
        }
    }

    /// Ends every subscription; the wakers of those who wait.
    pub(crate) fn end(&self, error: &ChangesError) -> Vec<Waker> {
        self.subscribers().iter().filter_map(|subscriber| subscriber.end(error.clone())).collect()
    }
}

/// What waits for one subscriber: bounded.
pub(crate) struct Backlog<P: Projection> {
    /// What the keys of the rows begin with that it is told of.
    prefix: Vec<u8>,
    /// Whether that is a whole key.
    one: bool,
    state: Mutex<State<P>>,
}

struct State<P: Projection> {
    /// The rows to begin with, and their position, until the subscriber takes them.
    start: Option<(Arc<Rows<P>>, u64)>,
    /// Whether it has begun: before that, the view had no rows to show.
    begun: bool,
    queue: VecDeque<Change<P>>,
    /// How many in the queue are not `Progress`.
    changes: usize,
    limit: usize,
    ended: Option<ChangesError>,
    waker: Option<Waker>,
}

impl<P: Projection> Backlog<P> {
    pub(crate) fn new(prefix: Vec<u8>, one: bool) -> Self {
        let state = State {
            start: None,
            begun: false,
            queue: VecDeque::new(),
            changes: 0,
            limit: BACKLOG,
            ended: None,
            waker: None,
        };
        Self { prefix, one, state: Mutex::new(state) }
    }

    /// Adds what a batch changed: each touched row before and after.
    fn extend(&self, touched: impl Iterator<Item = (Option<P>, Option<P>)>, position: u64) -> Option<Waker> {
        let mut state = lock(&self.state);
        if !state.begun || state.ended.is_some() {
            return None;
        }
        for (before, after) in touched {
            let change = match (before, after) {
                (None, None) => continue,
                (None, Some(row)) => Change::Inserted { row },
                (Some(row), None) => Change::Deleted { row },
                (Some(before), Some(after)) if before.same(&after) => continue,
                (Some(before), Some(after)) => Change::Updated { before, after },
            };
            if state.changes >= state.limit {
                state.queue = VecDeque::new();
                state.changes = 0;
                state.ended = Some(ChangesError::Lagged { position });
                return state.waker.take();
            }
            state.changes += 1;
            state.queue.push_back(change);
        }
        if let Some(Change::Progress { position: last }) = state.queue.back_mut() {
            *last = position;
        } else {
            state.queue.push_back(Change::Progress { position });
        }
        state.waker.take()
    }

    fn take(&self, context: &Context<'_>) -> Poll<Taken<P>> {
        let mut state = lock(&self.state);
        if let Some((rows, position)) = state.start.take() {
            return Poll::Ready(Taken::Rows(rows, position));
        }
        if let Some(change) = state.queue.pop_front() {
            if !matches!(change, Change::Progress { .. }) {
                state.changes -= 1;
            }
            return Poll::Ready(Taken::Change(change));
        }
        if let Some(error) = state.ended.clone() {
            return Poll::Ready(Taken::End(error));
        }
        let replaced = state.waker.replace(context.waker().clone());
        drop(state);
        drop(replaced);
        Poll::Pending
    }
}

impl<P: Projection> Subscriber for Backlog<P> {
    fn begin(&self, rows: AnyRows, position: u64) -> Option<Waker> {
        let Ok(rows) = rows.downcast() else { unreachable!("a view's feed has its subscribers only") };
        let mut state = lock(&self.state);
        if state.begun || state.ended.is_some() {
            return None;
        }
        state.begun = true;
        state.start = Some((rows, position));
        state.waker.take()
    }

    fn tell(&self, news: &News<'_>) -> Option<Waker> {
        let rows = typed::<P>(news.rows);
        let changed: Box<dyn Iterator<Item = _> + '_> = match news.before {
            Before::Same => Box::new(std::iter::empty()),
            Before::Without(before, touched) => {
                Box::new(rows.changes(typed::<P>(before), touched, &self.prefix))
            }
            Before::Other(before) => Box::new(rows.differences(typed::<P>(before), &self.prefix)),
        };
        self.extend(changed, news.position)
    }

    fn end(&self, error: ChangesError) -> Option<Waker> {
        let mut state = lock(&self.state);
        state.ended.get_or_insert(error);
        state.waker.take()
    }
}

fn typed<P: Projection>(rows: &dyn Any) -> &Rows<P> {
    let Some(rows) = rows.downcast_ref() else { unreachable!("a view's feed has its subscribers only") };
    rows
}

enum Taken<P: Projection> {
    Rows(Arc<Rows<P>>, u64),
    Change(Change<P>),
    End(ChangesError),
}

/// A subscription to a view: a [`Stream`] of its rows as they are, then of every change, batch by batch.
///
/// It begins with one [`Change::Inserted`] a row and a [`Change::Progress`]; from there on, each batch of events brings the changes of
/// the rows that read differently after it, and a `Progress`. No row's change is left out, and none told twice; what a row was within a batch is not told: for each event there are
/// [`Engine::events`](crate::Engine::events) and reactions. While the view is being rebuilt it is silent; it begins when the view is live.
///
/// Each subscription builds the rows that it is told of for itself, before and after, and an append is answered after that. Where there are many readers, let each have what concerns it
/// ([`View::subscribe_of`](crate::View::subscribe_of)), or hand the changes of one subscription on to all of them.
///
/// Changes wait in a backlog of bounded length ([`backlog`](Self::backlog)); `Progress` takes no room in it. A reader who lets it overflow gets
/// [`ChangesError::Lagged`], and the stream ends. Dropping the subscription ends it.
#[must_use = "a subscription that is dropped has ended"]
pub struct Changes<P: Projection> {
    core: Arc<Core>,
    backlog: Arc<Backlog<P>>,
    snapshot: Option<Snapshot<P>>,
    ended: bool,
}

/// Rows that are still to be told, by their numbers.
struct Snapshot<P: Projection> {
    rows: Arc<Rows<P>>,
    numbers: Peekable<Box<dyn Iterator<Item = u32> + Send + Sync>>,
    position: u64,
}

impl<P: Projection> Snapshot<P> {
    fn new(rows: Arc<Rows<P>>, position: u64, of: &Backlog<P>) -> Self {
        let numbers: Box<dyn Iterator<Item = u32> + Send + Sync> = match &*of.prefix {
            key if of.one => Box::new(rows.find(key).into_iter()),
            [] => Box::new(0..rows.keys().end()),
            prefix => Box::new(rows.under_bytes(prefix).into_iter()),
        };
        Self { rows, numbers: numbers.peekable(), position }
    }
}

impl<P: Projection> std::fmt::Debug for Changes<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Changes").field("projection", &P::RUST_NAME).field("ended", &self.ended).finish()
    }
}

// No field of it is pinned.
impl<P: Projection> Unpin for Changes<P> {}

impl<P: Projection> Changes<P> {
    pub(crate) fn new(core: Arc<Core>, backlog: Arc<Backlog<P>>) -> Self {
        Self { core, backlog, snapshot: None, ended: false }
    }

    /// Holds up to this many changes for the reader; the default is 100,000.
    pub fn backlog(self, changes: usize) -> Self {
        lock(&self.backlog.state).limit = changes;
        self
    }

    /// The next change: `.await` it, or block with `.wait()`. `None` after the end.
    #[allow(clippy::should_implement_trait)] // As streams have it; an iterator could not be awaited.
    pub fn next(&mut self) -> Next<'_, Self> {
        Next(self)
    }

    /// The next change, or [`ChangesError::TimedOut`]; after that the subscription goes on.
    pub fn next_timeout(&mut self, timeout: Duration) -> NextTimeout<'_, Self> {
        let deadline = std::time::Instant::now().checked_add(timeout);
        let sleep = deadline.map(|deadline| self.core.timer.at(deadline));
        NextTimeout { stream: self, sleep }
    }
}

impl<P: Projection> Stream for Changes<P> {
    type Item = Result<Change<P>, ChangesError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if self.ended {
                return Poll::Ready(None);
            }
            if let Some(snapshot) = &mut self.snapshot {
                while let Some(number) = snapshot.numbers.peek() {
                    // Showing it runs the user's code: one that panics there is not passed over.
                    let row = snapshot.rows.show(*number);
                    snapshot.numbers.next();
                    if let Some(row) = row {
                        return Poll::Ready(Some(Ok(Change::Inserted { row })));
                    }
                }
                let position = snapshot.position;
                self.snapshot = None;
                return Poll::Ready(Some(Ok(Change::Progress { position })));
            }
            match std::task::ready!(self.backlog.take(context)) {
                Taken::Rows(rows, position) => {
                    self.snapshot = Some(Snapshot::new(rows, position, &self.backlog));
                }
                Taken::Change(change) => return Poll::Ready(Some(Ok(change))),
                Taken::End(error) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}

/// The next item of a stream: `.await` it, or block with [`wait`](Self::wait).
#[must_use = "nothing happens until it is awaited, or waited for with `.wait()`"]
#[derive(Debug)]
pub struct Next<'s, S>(pub(crate) &'s mut S);

impl<S: Stream + Unpin> Next<'_, S> {
    /// Blocks the thread until there is an item, or the stream has ended.
    pub fn wait(self) -> Option<S::Item> {
        block_on(self)
    }
}

impl<S: Stream + Unpin> Future for Next<'_, S> {
    type Output = Option<S::Item>;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut *self.0).poll_next(context)
    }
}

/// An error that can say that the time was up.
pub(crate) trait TimedOut {
    fn timed_out() -> Self;
}

impl TimedOut for ChangesError {
    fn timed_out() -> Self {
        Self::TimedOut
    }
}

/// The next item of a stream, within some time: `.await` it, or block with [`wait`](Self::wait).
#[must_use = "nothing happens until it is awaited, or waited for with `.wait()`"]
pub struct NextTimeout<'s, S> {
    pub(crate) stream: &'s mut S,
    pub(crate) sleep: Option<Sleep>,
}

impl<S> std::fmt::Debug for NextTimeout<'_, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NextTimeout(..)")
    }
}

#[allow(private_bounds)] // Only this crate's errors know how to say it.
impl<T, X: TimedOut, S: Stream<Item = Result<T, X>> + Unpin> NextTimeout<'_, S> {
    /// Blocks the thread until there is an item, the stream has ended, or the time is up.
    pub fn wait(self) -> Option<S::Item> {
        block_on(self)
    }
}

#[allow(private_bounds)]
impl<T, X: TimedOut, S: Stream<Item = Result<T, X>> + Unpin> Future for NextTimeout<'_, S> {
    type Output = Option<S::Item>;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(item) = Pin::new(&mut *self.stream).poll_next(context) {
            return Poll::Ready(item);
        }
        match &mut self.sleep {
            Some(sleep) => Pin::new(sleep).poll(context).map(|()| Some(Err(X::timed_out()))),
            None => Poll::Pending,
        }
    }
}
