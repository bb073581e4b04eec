//! The fold: follows the log, feeds every view, and shows each batch as a whole.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::batch::{Acknowledge, Batch};
use super::checkpoint::Saver;
use super::replay::{Halt, checksum, fold, replay, stop_all};
use super::shared::{Core, Published, Shown};
use super::slot::Slot;
use crate::error::{ChangesError, StoreFailure};
use crate::projection::FoldError;
use crate::store::{Head, LogReader};
use crate::sync::{ReplyTo, lock};
use crate::table::said;

/// What the writer sends.
pub(crate) enum Message {
    Batch(Batch),
    /// There is something to be looked at.
    Nudge,
    /// The writer has sent its last.
    Stop,
}

/// What others ask, between two batches.
pub(crate) enum Control {
    /// Views that were rebuilt take their places.
    Join(Vec<Slot>),
    Checkpoint(ReplyTo<Result<(), StoreFailure>>),
}

/// How many events may be folded before what they changed is shown, if more wait.
const SHOWN_AFTER: usize = 16_384;

pub(crate) struct Pipeline {
    pub(crate) core: Arc<Core>,
    pub(crate) slots: Vec<Slot>,
    pub(crate) shown: Vec<Shown>,
    /// The last event that has been folded.
    pub(crate) head: Head,
    pub(crate) reader: Box<dyn LogReader>,
    pub(crate) messages: Receiver<Message>,
    /// `None` where nothing is to be saved: read-only.
    pub(crate) saver: Option<Saver>,
    /// How often to look for what another process has written: read-only.
    pub(crate) follow: Option<Duration>,
}

impl Pipeline {
    /// Runs until it is told to stop, or breaks down: then views answer with that, and appends go on.
    pub(crate) fn run(mut self) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.follow_log())) {
            self.break_down(&said(&*panic));
            // What is durable is still acknowledged; what is asked is dropped, and so refused.
            while let Ok(Message::Batch(_) | Message::Nudge) = self.messages.recv() {
                while self.core.take_control().is_some() {}
            }
            self.saver = None;
        }
        if let Some(saver) = self.saver.take() {
            let last = || saver.finish(&self.core, &mut self.slots, self.head);
            if let Err(panic) = catch_unwind(AssertUnwindSafe(last)) {
                self.core.break_down(format!("the last checkpoint panicked: {}", said(&*panic)));
            }
        }
        self.close();
    }

    fn follow_log(&mut self) {
        loop {
            while let Some(control) = self.core.take_control() {
                self.obey(control);
            }
            if let Some(saver) = &mut self.saver {
                saver.tick(&self.core, &mut self.slots, self.head);
            }
            let sleep =
                self.saver.as_ref().and_then(|saver| saver.sleep(&self.slots, self.head)).or(self.follow);
            let message = match sleep {
                Some(sleep) => self.messages.recv_timeout(sleep),
                None => self.messages.recv().map_err(RecvTimeoutError::from),
            };
            match message {
                Ok(Message::Batch(batch)) => {
                    if self.take_in(batch) {
                        return;
                    }
                }
                Ok(Message::Nudge) => {}
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    if self.follow.is_some() {
                        self.look();
                    }
                }
            }
        }
    }

    /// Folds a batch, and those that wait behind it, then shows them. Whether it is time to stop.
    fn take_in(&mut self, batch: Batch) -> bool {
        let mut folded: Vec<Acknowledge> = Vec::new();
        let (mut events, mut stop) = (0, false);
        let mut next = Some(batch);
        while let Some(mut batch) = next.take() {
            // One without events counts too: those who wait for it are to be answered.
            events += batch.len().max(1);
            // However the fold goes: who waits is answered when `folded` goes.
            folded.append(&mut batch.folded);
            self.fold(&batch);
            if events < SHOWN_AFTER {
                match self.messages.try_recv() {
                    Ok(Message::Batch(batch)) => next = Some(batch),
                    Ok(Message::Stop) => stop = true,
                    Ok(Message::Nudge) | Err(_) => {}
                }
            }
        }
        self.publish(&[]);
        drop(folded);
        stop
    }

    fn fold(&mut self, batch: &Batch) {
        let _span =
            tracing::trace_span!("fold", after = batch.after.position, events = batch.len()).entered();
        if batch.after.position > self.head.position {
            // Someone else has written in between.
            self.catch_up(batch.after);
        }
        let events = batch.stored();
        fold(&self.core.catalog, &events, &mut self.slots);
        for slot in &mut self.slots {
            slot.advance(batch.head(), |position| checksum(&events, batch.after, position));
        }
        self.head = batch.head();
    }

    /// Folds the log up to and with `to`, out of the log.
    fn catch_up(&mut self, to: Head) {
        let outcome =
            replay(&mut *self.reader, &self.core.catalog, &mut self.slots, to.position, &mut |_| true);
        match outcome {
            // What a follower could not read now, it may be able to read when it looks again.
            Err(Halt::Store(error)) if self.follow.is_some() => {
                tracing::warn!(%error, "the log could not be read");
                return;
            }
            Err(halt) => stop_all(&mut self.slots, halt),
            Ok(()) => {}
        }
        self.head = to;
    }

    /// Looks for events that another process has written.
    fn look(&mut self) {
        match self.reader.head() {
            Ok(head) if head.position > self.head.position => {
                self.core.move_head(head.position);
                self.catch_up(head);
                self.publish(&[]);
            }
            Ok(head) if head.position < self.head.position => {
                let reason = format!(
                    "the log ended at position {} and now ends at {}: events.db was replaced; close this engine and open it anew",
                    self.head.position, head.position
                );
                self.fault_all(&reason);
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "the log could not be looked at; it is tried again"),
        }
    }

    fn fault_all(&mut self, reason: &str) {
        let mut any = false;
        for slot in self.slots.iter_mut().filter(|slot| slot.folds()) {
            any = true;
            let error = FoldError { column: "", reason: reason.to_owned() };
            slot.fault(slot.at.position + 1, "", error);
        }
        if any {
            self.publish(&[]);
        }
    }

    fn obey(&mut self, control: Control) {
        match control {
            Control::Join(slots) => self.join(slots),
            Control::Checkpoint(reply) => match &mut self.saver {
                Some(saver) => saver.ask(reply),
                None => reply.send(Err(crate::store::StoreError::ReadOnly.into())),
            },
        }
    }

    fn join(&mut self, mut rebuilt: Vec<Slot>) {
        let to = self.head.position;
        if let Err(halt) = replay(&mut *self.reader, &self.core.catalog, &mut rebuilt, to, &mut |_| true) {
            stop_all(&mut rebuilt, halt);
        }
        let mut joined = Vec::new();
        for (number, mut slot) in rebuilt.into_iter().enumerate() {
            let Some(view) = &mut slot.view else { continue };
            view.go_live();
            view.save_all();
            self.shown[number] = Shown::Live(view.shown());
            if let Some(saver) = &mut self.saver {
                saver.rebuilt(number);
            }
            self.core.measure(number, &slot);
            tracing::info!(
                view = self.core.catalog.views[number].name(),
                position = to,
                "the view is rebuilt"
            );
            self.slots[number] = slot;
            joined.push(number);
        }
        self.publish(&joined);
    }

    /// Shows all views as they stand now, and tells their subscribers; those of `joined` begin here.
    fn publish(&mut self, joined: &[usize]) {
        let mut wake = Vec::new();
        let gate = lock(&self.core.gate);
        let mut stopped = Vec::new();
        for (number, slot) in self.slots.iter_mut().enumerate() {
            let Some(view) = slot.view.as_mut().filter(|_| !slot.told) else { continue };
            if let Some(rows) = view.flip() {
                self.shown[number] = Shown::Live(rows);
                self.core.measure(number, slot);
            }
            if let Some(fault) = &slot.fault {
                self.shown[number] = Shown::Faulted(fault.clone());
                self.core.measure(number, slot);
                slot.told = true;
                stopped.push((number, ChangesError::Faulted((**fault).clone())));
            }
        }
        let position = self.head.position;
        let published = Published { position, views: self.shown.clone(), closed: false };
        self.core.published.store(Arc::new(published));
        for (number, slot) in self.slots.iter_mut().enumerate() {
            let stops = stopped.iter().any(|(stopped, _)| *stopped == number);
            if let Some(view) = slot.view.as_mut().filter(|_| slot.fault.is_none() || stops) {
                view.deliver(slot.at.position, &mut wake);
                if joined.contains(&number) {
                    view.welcome(slot.at.position, &mut wake);
                }
            }
        }
        for (number, error) in stopped {
            wake.extend(self.core.catalog.views[number].end(&error));
        }
        drop(gate);
        wake.into_iter().for_each(std::task::Waker::wake);
        self.core.folded.notify();
    }

    /// The fold itself has failed: nothing it holds can be relied on.
    fn break_down(&mut self, said: &str) {
        self.core.break_down(format!("the engine's fold panicked: {said}"));
        for slot in self.slots.iter_mut().filter(|slot| slot.fault.is_none()) {
            let reason = format!("the engine's fold panicked, restart it: {said}");
            slot.fault(slot.at.position + 1, "", FoldError { column: "", reason });
        }
        for (number, slot) in self.slots.iter().enumerate() {
            if let Some(fault) = &slot.fault {
                self.shown[number] = Shown::Faulted(fault.clone());
                let wakers = self.core.catalog.views[number].end(&ChangesError::Faulted((**fault).clone()));
                wakers.into_iter().for_each(std::task::Waker::wake);
            }
        }
        let published = Published { position: self.head.position, views: self.shown.clone(), closed: false };
        self.core.published.store(Arc::new(published));
        self.core.folded.notify();
    }

    /// From here on, everything answers that the engine is closed.
    fn close(self) {
        let frozen = |(number, shown): (usize, &Shown)| match shown {
            // The rows go; what `health` says stays.
            Shown::Live(_) => Shown::Rebuilding(Arc::new(AtomicU64::new(
                self.core.vitals[number].position.load(Ordering::Relaxed),
            ))),
            other => other.clone(),
        };
        let views = self.shown.iter().enumerate().map(frozen).collect();
        let gate = lock(&self.core.gate);
        self.core.published.store(Arc::new(Published { position: self.head.position, views, closed: true }));
        drop(gate);
        while let Some(control) = self.core.take_control() {
            drop(control);
        }
        for view in &self.core.catalog.views {
            view.end(&ChangesError::Closed).into_iter().for_each(std::task::Waker::wake);
        }
        self.core.folded.notify();
    }
}
