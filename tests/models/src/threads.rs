//! What `cqrs-core/src/threads.rs` has, under shuttle's scheduler. Time passes by chance: a wait with a timeout ends at any moment.

pub(crate) use shuttle::sync::{Condvar, Mutex, atomic};
pub(crate) use shuttle::thread;

/// Starts a thread that helps.
pub(crate) fn assist<'scope>(scope: &'scope thread::Scope<'scope, '_>, work: impl FnOnce() + Send + 'scope) {
    scope.spawn(work);
}

use shuttle::rand::{Rng, thread_rng};

/// Whether what may happen now does.
pub(crate) fn chance() -> bool {
    thread_rng().gen_bool(0.3)
}

/// A clock on which any patience is over at some point.
pub(crate) struct Instant;

impl Instant {
    pub(crate) fn now() -> Self {
        Self
    }
    pub(crate) fn elapsed(&self) -> std::time::Duration {
        if chance() { std::time::Duration::MAX } else { std::time::Duration::ZERO }
    }
}

/// A bounded queue: what `mpsc` and `queue` have in common.
pub(crate) struct Bounded<T> {
    state: Mutex<(std::collections::VecDeque<T>, bool)>,
    moved: Condvar,
    places: usize,
}

pub(crate) enum Try<T> {
    Full(T),
    Closed(T),
}

impl<T> Bounded<T> {
    fn new(places: usize) -> std::sync::Arc<Self> {
        std::sync::Arc::new(Self { state: Mutex::default(), moved: Condvar::new(), places })
    }
    fn try_put(&self, item: T) -> Result<(), Try<T>> {
        let mut state = self.state.lock().unwrap();
        if state.1 {
            return Err(Try::Closed(item));
        }
        if state.0.len() == self.places {
            return Err(Try::Full(item));
        }
        state.0.push_back(item);
        self.moved.notify_all();
        Ok(())
    }
    fn put(&self, item: T) -> Result<(), T> {
        let mut state = self.state.lock().unwrap();
        while state.0.len() == self.places && !state.1 {
            state = self.moved.wait(state).unwrap();
        }
        if state.1 {
            return Err(item);
        }
        state.0.push_back(item);
        self.moved.notify_all();
        Ok(())
    }
    fn try_take(&self) -> Option<T> {
        let item = self.state.lock().unwrap().0.pop_front();
        self.moved.notify_all();
        item
    }
    fn take(&self) -> Option<T> {
        let mut state = self.state.lock().unwrap();
        loop {
            if let Some(item) = state.0.pop_front() {
                self.moved.notify_all();
                return Some(item);
            }
            if state.1 {
                return None;
            }
            state = self.moved.wait(state).unwrap();
        }
    }
    fn close(&self) {
        self.state.lock().unwrap().1 = true;
        self.moved.notify_all();
    }
    fn len(&self) -> usize {
        self.state.lock().unwrap().0.len()
    }
}

pub(crate) mod mpsc {
    use super::{Bounded, chance, thread};
    use std::sync::Arc;
    pub(crate) use std::sync::mpsc::{RecvError, RecvTimeoutError};

    pub(crate) struct SyncSender<T>(Arc<Bounded<T>>);
    pub(crate) struct Receiver<T>(Arc<Bounded<T>>);

    pub(crate) fn sync_channel<T>(places: usize) -> (SyncSender<T>, Receiver<T>) {
        let queue = Bounded::new(places);
        (SyncSender(queue.clone()), Receiver(queue))
    }
    impl<T> Clone for SyncSender<T> {
        fn clone(&self) -> Self {
            Self(self.0.clone())
        }
    }
    impl<T> SyncSender<T> {
        pub(crate) fn send(&self, item: T) -> Result<(), T> {
            self.0.put(item)
        }
        pub(crate) fn try_send(&self, item: T) -> Result<(), ()> {
            self.0.try_put(item).map_err(drop)
        }
    }
    impl<T> Receiver<T> {
        pub(crate) fn try_recv(&self) -> Result<T, ()> {
            self.0.try_take().ok_or(())
        }
        pub(crate) fn recv(&self) -> Result<T, RecvError> {
            self.0.take().ok_or(RecvError)
        }
        pub(crate) fn recv_timeout(&self, _: std::time::Duration) -> Result<T, RecvTimeoutError> {
            loop {
                if let Some(item) = self.0.try_take() {
                    return Ok(item);
                }
                if chance() {
                    return Err(RecvTimeoutError::Timeout);
                }
                thread::yield_now();
            }
        }
    }
    impl<T> Drop for Receiver<T> {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                self.0.close();
                while self.0.try_take().is_some() {}
            }
        }
    }
}

pub(crate) mod queue {
    use super::{Bounded, Try};
    use std::sync::Arc;

    pub(crate) struct Sender<T>(Arc<Bounded<T>>);
    pub(crate) struct Receiver<T>(Arc<Bounded<T>>);
    pub(crate) struct SendError<T>(pub(crate) T);
    pub(crate) enum TrySendError<T> {
        Full(T),
        Closed(T),
    }

    pub(crate) fn bounded<T>(places: usize) -> (Sender<T>, Receiver<T>) {
        let queue = Bounded::new(places);
        (Sender(queue.clone()), Receiver(queue))
    }
    impl<T> Sender<T> {
        /// Blocks where the real one would be pending: here every caller is a thread.
        pub(crate) async fn send(&self, item: T) -> Result<(), SendError<T>> {
            self.0.put(item).map_err(SendError)
        }
        pub(crate) fn try_send(&self, item: T) -> Result<(), TrySendError<T>> {
            self.0.try_put(item).map_err(|refused| match refused {
                Try::Full(item) => TrySendError::Full(item),
                Try::Closed(item) => TrySendError::Closed(item),
            })
        }
        pub(crate) fn close(&self) {
            self.0.close();
        }
    }
    impl<T> Receiver<T> {
        pub(crate) fn recv_blocking(&self) -> Result<T, ()> {
            self.0.take().ok_or(())
        }
        pub(crate) fn try_recv(&self) -> Result<T, ()> {
            self.0.try_take().ok_or(())
        }
        pub(crate) fn is_empty(&self) -> bool {
            self.0.len() == 0
        }
    }
}
