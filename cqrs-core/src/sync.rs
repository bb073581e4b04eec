//! Waiting, under any executor and under none: one future a call, and a way to block on it.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// Locks; what a panicking holder left behind is whole, because nothing here is changed in more than one step.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

thread_local! {
    static INSIDE: Cell<usize> = const { Cell::new(0) };
}

/// While this lives, its thread does an engine's work, and must not wait for an engine to close: it might be the one that is waited for.
pub(crate) struct Inside(());

impl Inside {
    pub(crate) fn enter() -> Self {
        INSIDE.set(INSIDE.get() + 1);
        Self(())
    }

    /// Whether this thread does an engine's work.
    pub(crate) fn is() -> bool {
        INSIDE.get() > 0
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.set(INSIDE.get() - 1);
    }
}

/// A call that waits: `.await` it under any executor, or block on it with [`wait`](Self::wait).
///
/// Nothing happens before it is polled or waited for.
#[must_use = "nothing happens until it is awaited, or waited for with `.wait()`"]
pub struct Wait<T>(Pin<Box<dyn Future<Output = T> + Send>>);

impl<T> Wait<T> {
    pub(crate) fn new(future: impl Future<Output = T> + Send + 'static) -> Self {
        Self(Box::pin(future))
    }

    /// Blocks the thread until the answer is there.
    pub fn wait(self) -> T {
        block_on(self)
    }
}

impl<T> Future for Wait<T> {
    type Output = T;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        self.0.as_mut().poll(context)
    }
}

impl<T> std::fmt::Debug for Wait<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wait(..)")
    }
}

/// Wakes someone. It is an executor's code that runs then: if it panics (its tasks are gone, say), that is no reason not to wake the others.
pub(crate) fn wake(waker: Waker) {
    if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| waker.wake())).is_err() {
        tracing::error!("an executor panicked when one of its tasks was to be woken");
    }
}

struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future on this thread.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            // An unpark between the poll and here is not lost: it makes `park` return at once.
            Poll::Pending => std::thread::park(),
        }
    }
}

/// The receiving end of one answer.
pub(crate) struct Reply<T>(Arc<Mutex<Slot<T>>>);

/// The sending end. Dropped without an answer, it tells the other end so.
pub(crate) struct ReplyTo<T>(Option<Arc<Mutex<Slot<T>>>>);

enum Slot<T> {
    Empty(Option<Waker>),
    Full(T),
    Gone,
}

pub(crate) fn reply<T>() -> (ReplyTo<T>, Reply<T>) {
    let slot = Arc::new(Mutex::new(Slot::Empty(None)));
    (ReplyTo(Some(slot.clone())), Reply(slot))
}

impl<T> ReplyTo<T> {
    pub(crate) fn send(mut self, value: T) {
        self.put(Slot::Full(value));
    }

    fn put(&mut self, value: Slot<T>) {
        let Some(slot) = self.0.take() else { return };
        let before = std::mem::replace(&mut *lock(&slot), value);
        if let Slot::Empty(Some(waker)) = before {
            wake(waker);
        }
    }
}

impl<T> Drop for ReplyTo<T> {
    fn drop(&mut self) {
        self.put(Slot::Gone);
    }
}

impl<T> Future for Reply<T> {
    /// `None` if the other end is gone.
    type Output = Option<T>;
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut slot = lock(&self.0);
        match std::mem::replace(&mut *slot, Slot::Gone) {
            Slot::Full(value) => Poll::Ready(Some(value)),
            Slot::Gone => Poll::Ready(None),
            Slot::Empty(replaced) => {
                *slot = Slot::Empty(Some(context.waker().clone()));
                drop(slot);
                drop(replaced);
                Poll::Pending
            }
        }
    }
}

/// Something that happens again and again, and wakes whoever waits for it.
#[derive(Default)]
pub(crate) struct Signal {
    waiting: Mutex<Vec<(u64, Waker)>>,
    next: AtomicU64,
}

/// One who waits for a [`Signal`]: its place in the list, given up when dropped.
pub(crate) struct Listener<'a> {
    signal: &'a Signal,
    id: u64,
}

impl Signal {
    /// Wakes everyone, outside of the lock.
    pub(crate) fn notify(&self) {
        let waiting = std::mem::take(&mut *lock(&self.waiting));
        for (_, waker) in waiting {
            wake(waker);
        }
    }

    pub(crate) fn id(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Is woken by the next notification. What is waited for is to be looked at after this, not before.
    pub(crate) fn listen(&self, id: u64, waker: &Waker) {
        let mut waiting = lock(&self.waiting);
        let replaced = match waiting.iter_mut().find(|(known, _)| *known == id) {
            Some((_, known)) if known.will_wake(waker) => None,
            Some((_, known)) => Some(std::mem::replace(known, waker.clone())),
            None => {
                waiting.push((id, waker.clone()));
                None
            }
        };
        drop(waiting);
        // Not under the lock: it may be the last that has a task, which listens, too.
        drop(replaced);
    }

    pub(crate) fn forget(&self, id: u64) {
        let gone = {
            let mut waiting = lock(&self.waiting);
            let at = waiting.iter().position(|(known, _)| *known == id);
            at.map(|at| waiting.swap_remove(at))
        };
        drop(gone);
    }

    /// Waits until `look` finds what it looks for; it is asked at once, and after each notification.
    pub(crate) async fn until<T>(&self, mut look: impl FnMut() -> Option<T>) -> T {
        let listener = Listener { signal: self, id: self.id() };
        std::future::poll_fn(|context| {
            if let Some(found) = look() {
                return Poll::Ready(found);
            }
            listener.signal.listen(listener.id, context.waker());
            look().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

impl Drop for Listener<'_> {
    fn drop(&mut self) {
        self.signal.forget(self.id);
    }
}

/// Wakes at points in time: one thread, started when it is first asked for, ended with its last owner.
#[derive(Default)]
pub(crate) struct Timer {
    shared: Arc<TimerShared>,
}

#[derive(Default)]
struct TimerShared {
    state: Mutex<TimerState>,
    changed: Condvar,
}

#[derive(Default)]
struct TimerState {
    running: bool,
    ended: bool,
    next: u64,
    due: BinaryHeap<Reverse<(Instant, u64)>>,
    wakers: std::collections::HashMap<u64, Waker>,
}

impl Drop for Timer {
    fn drop(&mut self) {
        lock(&self.shared.state).ended = true;
        self.shared.changed.notify_all();
    }
}

impl Timer {
    /// A future that is done at `deadline`.
    pub(crate) fn at(&self, deadline: Instant) -> Sleep {
        Sleep { timer: self.shared.clone(), deadline, id: None }
    }
}

pub(crate) struct Sleep {
    timer: Arc<TimerShared>,
    deadline: Instant,
    id: Option<u64>,
}

impl Future for Sleep {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.deadline {
            return Poll::Ready(());
        }
        let timer = self.timer.clone();
        let mut state = lock(&timer.state);
        let deadline = self.deadline;
        let id = *self.id.get_or_insert_with(|| {
            state.next += 1;
            let id = state.next;
            state.due.push(Reverse((deadline, id)));
            id
        });
        let replaced = state.wakers.insert(id, context.waker().clone());
        if !state.running {
            let shared = timer.clone();
            let thread =
                std::thread::Builder::new().name("cqrs-timer".into()).spawn(move || run_timer(&shared));
            state.running = thread.is_ok();
        }
        drop(state);
        drop(replaced);
        timer.changed.notify_all();
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            let mut state = lock(&self.timer.state);
            let waker = state.wakers.remove(&id);
            // Those who went before their time are cleared away before they are many.
            let TimerState { due, wakers, .. } = &mut *state;
            if due.len() > 2 * wakers.len() + 64 {
                due.retain(|Reverse((_, id))| wakers.contains_key(id));
            }
            drop(state);
            drop(waker);
        }
    }
}

fn run_timer(shared: &TimerShared) {
    // Whoever is woken may let go of an engine's last handle, and is not to wait for it here.
    let _inside = Inside::enter();
    let mut state = lock(&shared.state);
    while !state.ended {
        let now = Instant::now();
        match state.due.peek() {
            Some(Reverse((at, _))) if *at <= now => {
                let Some(Reverse((_, id))) = state.due.pop() else { continue };
                if let Some(waker) = state.wakers.remove(&id) {
                    drop(state);
                    wake(waker);
                    state = lock(&shared.state);
                }
            }
            Some(Reverse((at, _))) => {
                let left = *at - now;
                state = shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            }
            None => state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
        }
    }
    // Whoever still sleeps looks at the clock again.
    let wakers = std::mem::take(&mut state.wakers);
    drop(state);
    wakers.into_values().for_each(wake);
}

/// The outcome of `future`, or `None` once the time is up.
pub(crate) async fn within<F: Future>(timer: &Timer, timeout: Duration, future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    // A timeout beyond what the clock can count never comes.
    let mut sleep = Instant::now().checked_add(timeout).map(|deadline| timer.at(deadline));
    std::future::poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        match &mut sleep {
            Some(sleep) => Pin::new(sleep).poll(context).map(|()| None),
            None => Poll::Pending,
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_arrives_and_a_dropped_one_is_noticed() {
        let (to, from) = reply();
        let thread = std::thread::spawn(move || block_on(from));
        std::thread::sleep(Duration::from_millis(5));
        to.send(7);
        assert_eq!(thread.join().unwrap(), Some(7));
        let (to, from) = reply::<u8>();
        drop(to);
        assert_eq!(block_on(from), None);
    }

    #[test]
    fn a_signal_wakes_all_and_is_left_clean() {
        let signal = Arc::new(Signal::default());
        let count = Arc::new(AtomicU64::new(0));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (signal, count) = (signal.clone(), count.clone());
                std::thread::spawn(move || {
                    block_on(signal.until(|| (count.load(Ordering::SeqCst) == 100).then_some(())));
                })
            })
            .collect();
        for _ in 0..100 {
            count.fetch_add(1, Ordering::SeqCst);
            signal.notify();
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(lock(&signal.waiting).is_empty());
    }

    /// A task of an executor that is gone.
    struct Gone;

    impl Wake for Gone {
        fn wake(self: Arc<Self>) {
            panic!("the executor is gone");
        }
    }

    #[test]
    fn who_panics_when_it_is_woken_keeps_nobody_else_asleep() {
        let gone = Waker::from(Arc::new(Gone));
        let signal = Signal::default();
        signal.listen(signal.id(), &gone);
        let (count, ids) = (AtomicU64::new(0), [signal.id(), signal.id()]);
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                block_on(signal.until(|| (count.load(Ordering::SeqCst) == 1).then_some(())));
            });
            while lock(&signal.waiting).len() < 2 {
                std::thread::yield_now();
            }
            signal.listen(ids[0], &gone);
            count.store(1, Ordering::SeqCst);
            signal.notify();
            thread.join().unwrap();
        });

        let timer = Timer::default();
        let mut sleep = timer.at(Instant::now() + Duration::from_millis(1));
        assert!(Pin::new(&mut sleep).poll(&mut Context::from_waker(&gone)).is_pending());
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(block_on(within(&timer, Duration::from_millis(1), std::future::pending::<()>())), None);
    }

    #[test]
    fn time_is_up_or_it_is_not() {
        let timer = Timer::default();
        let begun = Instant::now();
        assert_eq!(block_on(within(&timer, Duration::from_millis(20), std::future::pending::<()>())), None);
        assert!(begun.elapsed() >= Duration::from_millis(20));
        assert_eq!(block_on(within(&timer, Duration::MAX, async { 1 })), Some(1));
    }
}
