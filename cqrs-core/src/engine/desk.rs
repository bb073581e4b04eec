//! Where appends are handed in.
//!
//! A thread of the engine writes them, in groups. But where nobody else is at it, and the caller would only wait for that thread, the caller's own thread
//! writes and folds: an append on its own then costs no change of threads, which would take longer than all the rest but the fsync.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::fold::{Fold, Message};
use super::request::Request;
use super::writer::{GroupLimits, Writer};
use crate::error::{AppendError, Refusal};
use crate::sync::{Inside, lock};
use crate::table::said;
use crate::threads::Mutex;
use crate::threads::atomic::{AtomicUsize, Ordering};
use crate::threads::queue::{Receiver, SendError, Sender, TrySendError, bounded};

/// How many callers are woken soon enough for the next group not to wait for it.
const FEW: usize = 4;

pub(crate) struct Desk {
    requests: Sender<Request>,
    taken: Receiver<Request>,
    /// `None` once it is closed, or has panicked. Whoever locks it hands its batch to the fold before unlocking, so that batches get there in order.
    writer: Mutex<Option<Writer>>,
    /// How many requests have been handed in, or are about to be, and are not written yet.
    waiting: AtomicUsize,
    fold: Arc<Fold>,
    limits: GroupLimits,
}

/// One of those who wait, for as long as this lives.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Desk {
    pub(crate) fn new(writer: Writer, fold: Arc<Fold>, requests: usize, limits: GroupLimits) -> Self {
        let (requests, taken) = bounded(requests);
        let waiting = AtomicUsize::new(0);
        Self { requests, taken, writer: Mutex::new(Some(writer)), waiting, fold, limits }
    }

    /// Leaves a request to the writer's thread, once there is a place for it; refuses it if the engine is closed.
    pub(crate) async fn hand_in(&self, request: Request) {
        let waiting = Waiting::new(&self.waiting);
        match self.requests.send(request).await {
            // From here on it is the writer's thread that counts it off.
            Ok(()) => std::mem::forget(waiting),
            Err(SendError(request)) => refuse(request),
        }
    }

    /// The same, if there is a place for it now; gives it back if there is not.
    pub(crate) fn try_hand_in(&self, request: Request) -> Result<(), Request> {
        let waiting = Waiting::new(&self.waiting);
        match self.requests.try_send(request) {
            Ok(()) => std::mem::forget(waiting),
            Err(TrySendError::Closed(request)) => refuse(request),
            Err(TrySendError::Full(request)) => return Err(request),
        }
        Ok(())
    }

    /// Writes a request, and folds it, in the caller's thread; gives it back if others are at it or wait.
    pub(crate) fn serve(&self, request: Request) -> Result<(), Request> {
        let Ok(mut place) = self.writer.try_lock() else { return Err(request) };
        // What this thread handed in before comes first.
        if self.waiting.load(Ordering::SeqCst) > 0 {
            return Err(request);
        }
        let Some(writer) = place.as_mut() else { return Err(request) };
        let _inside = Inside::enter();
        let waits = request.waits();
        match catch_unwind(AssertUnwindSafe(|| writer.write(vec![request]))) {
            Ok(None) => {}
            Ok(Some(batch)) if waits => self.fold.take_over(batch, || drop(place)),
            Ok(Some(batch)) => self.fold.send(batch),
            Err(panic) => self.break_down(&mut place, &said(&*panic)),
        }
        Ok(())
    }

    /// Takes no more requests. Those that were handed in are answered.
    pub(crate) fn close(&self) {
        self.requests.close();
    }

    /// The writer's thread: runs until the desk is closed and every request answered.
    pub(crate) fn run(&self) {
        let mut next = None;
        while let Some(first) = next.take().or_else(|| self.taken.recv_blocking().ok()) {
            let mut place = lock(&self.writer);
            let group;
            (group, next) = self.gather(first);
            let count = group.len();
            let batch = match place.as_mut() {
                Some(writer) => match catch_unwind(AssertUnwindSafe(|| writer.write(group))) {
                    Ok(batch) => batch,
                    Err(panic) => {
                        self.break_down(&mut place, &said(&*panic));
                        None
                    }
                },
                None => {
                    group.into_iter().for_each(refuse);
                    None
                }
            };
            self.waiting.fetch_sub(count, Ordering::SeqCst);
            match batch {
                // Nobody waits to be written, and there are not many to be woken: the fold might as well be done here, while others write. But
                // not where nobody waits for it: who comes next may want to know that it is durable, and nothing else.
                Some(batch)
                    if next.is_none() && self.taken.is_empty() && (1..=FEW).contains(&batch.folded.len()) =>
                {
                    self.fold.take_over(batch, || drop(place));
                }
                Some(batch) => self.fold.send(batch),
                None => {}
            }
        }
        // The store is given back with it.
        lock(&self.writer).take();
        self.fold.tell(Message::Stop);
    }

    /// What makes a group with this request, and the one that begins the next, if that had to be looked at.
    fn gather(&self, first: Request) -> (Vec<Request>, Option<Request>) {
        let (mut events, mut bytes) = (first.weight(), first.bytes());
        let mut group = vec![first];
        while events < self.limits.events && bytes < self.limits.bytes {
            let Ok(request) = self.taken.try_recv() else { break };
            if request.leads() {
                return (group, Some(request));
            }
            events += request.weight();
            bytes += request.bytes();
            group.push(request);
        }
        (group, None)
    }

    /// Nothing that the writer holds can be relied on any more.
    fn break_down(&self, writer: &mut Option<Writer>, said: &str) {
        if let Some(writer) = writer.take() {
            writer.core.break_down(format!("the engine's writer panicked: {said}"));
            writer.core.nothing_follows();
        }
        self.requests.close();
    }
}

fn refuse(request: Request) {
    request.reply.send(Err(AppendError::NotAppended(Refusal::Closed)));
}
