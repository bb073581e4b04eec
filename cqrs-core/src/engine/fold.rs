//! Where batches are folded: by a thread of its own, or by a caller's that appends on its own.

use super::batch::Batch;
use super::pipeline::Pipeline;
use crate::sync::lock;
use crate::threads::Mutex;
use crate::threads::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::threads::mpsc::{Receiver, RecvTimeoutError, SyncSender};

/// What the writer sends.
pub(crate) enum Message {
    Batch(Batch),
    /// There is something to be looked at.
    Nudge,
    /// The writer has sent its last.
    Stop,
}

/// The fold, where it can be reached: by its own thread, and by a caller's that appends on its own.
pub(crate) struct Fold {
    messages: SyncSender<Message>,
    /// `None` once it is over.
    pipeline: Mutex<Option<Pipeline>>,
    /// How many batches are on their way to the fold's thread.
    waiting: AtomicUsize,
    /// Whether that thread sleeps until it is woken, however long that is.
    asleep: AtomicBool,
}

impl Fold {
    /// The way to a fold that [`run`](Self::run) is to receive for.
    pub(crate) fn new(messages: SyncSender<Message>) -> Self {
        Self {
            messages,
            pipeline: Mutex::default(),
            waiting: AtomicUsize::new(0),
            asleep: AtomicBool::new(false),
        }
    }

    pub(crate) fn begin(&self, pipeline: Pipeline) {
        *lock(&self.pipeline) = Some(pipeline);
    }

    pub(crate) fn tell(&self, message: Message) {
        // Were the thread gone, those who wait would be answered as the message is dropped.
        let _ = self.messages.send(message);
    }

    /// Leaves a batch to the fold's thread.
    pub(crate) fn send(&self, batch: Batch) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        self.tell(Message::Batch(batch));
    }

    /// Folds a batch in this thread, unless others are on their way: then it is left to the fold's thread. `entered` is called once no other batch
    /// can come before this one.
    pub(crate) fn take_over(&self, batch: Batch, entered: impl FnOnce()) {
        let Ok(mut place) = self.pipeline.try_lock() else { return self.send(batch) };
        if self.waiting.load(Ordering::SeqCst) > 0 {
            // The queue may be full, and the fold's thread needs the lock to empty it.
            drop(place);
            return self.send(batch);
        }
        let Some(pipeline) = place.as_mut() else { return };
        entered();
        pipeline.guarded(|pipeline| pipeline.take_in(batch, || None));
        if pipeline.due() {
            pipeline.guarded(Pipeline::look_around);
        }
        // What is due by the clock is that thread's to see to; where nothing is, it may sleep on.
        let due = pipeline.sleep().is_some();
        let core = pipeline.core.clone();
        drop(place);
        if due && self.asleep.swap(false, Ordering::SeqCst) {
            core.nudge();
        }
    }

    /// The fold's thread: runs until it is told to stop. Once the fold has broken down, views answer with that, and appends go on.
    pub(crate) fn run(&self, messages: &Receiver<Message>) {
        loop {
            let sleep = {
                let mut place = lock(&self.pipeline);
                let Some(pipeline) = place.as_mut() else { return };
                pipeline.guarded(Pipeline::look_around);
                let sleep = pipeline.sleep();
                self.asleep.store(sleep.is_none(), Ordering::SeqCst);
                sleep
            };
            let message = match sleep {
                Some(sleep) => messages.recv_timeout(sleep),
                None => messages.recv().map_err(RecvTimeoutError::from),
            };
            let mut place = lock(&self.pipeline);
            let Some(pipeline) = place.as_mut() else { return };
            let stop = match message {
                Ok(Message::Batch(batch)) => {
                    let (mut count, mut stop) = (1, false);
                    let more = || match messages.try_recv() {
                        Ok(Message::Batch(batch)) => {
                            count += 1;
                            Some(batch)
                        }
                        Ok(Message::Stop) => {
                            stop = true;
                            None
                        }
                        Ok(Message::Nudge) | Err(_) => None,
                    };
                    pipeline.guarded(|pipeline| pipeline.take_in(batch, more));
                    self.waiting.fetch_sub(count, Ordering::SeqCst);
                    stop
                }
                Ok(Message::Nudge) => false,
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => true,
                Err(RecvTimeoutError::Timeout) => {
                    pipeline.guarded(Pipeline::look);
                    false
                }
            };
            if stop {
                let pipeline = place.take();
                drop(place);
                pipeline.into_iter().for_each(Pipeline::finish);
                return;
            }
        }
    }
}
