//! What the fold does: follows the log, feeds every view, and shows each batch as a whole.
//!
//! In `tests/models`, a stand-in of a few lines takes its place (`src/hand_over.world.rs`): what it promises to `desk.rs` and `fold.rs` is to be kept there, too.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use super::abreast::fold_on;
use super::batch::{Acknowledge, Batch};
use super::checkpoint::Saver;
use super::replay::{Halt, checksum, fold, replay, stop_all};
use super::retry::{Retried, Retry, refuse};
use super::shared::{Core, Published, Shown};
use super::slot::Slot;
use crate::error::{ChangesError, RefoldError, StoreFailure};
use crate::meters;
use crate::projection::FoldError;
use crate::store::{Head, LogReader};
use crate::sync::{self, ReplyTo, lock};
use crate::table::{Parked, said};

/// What others ask, between two batches.
pub(crate) enum Control {
    /// Views that were rebuilt take their places.
    Join(Vec<Slot>),
    /// Views whose parked events were tried again take the places of those that are there.
    Retried(Retry, ReplyTo<Result<Retried, RefoldError>>),
    Checkpoint(ReplyTo<Result<(), StoreFailure>>),
    /// Someone else has written up to here.
    CatchUp(Head),
}

/// How many events may be folded before what they changed is shown, if more wait.
const SHOWN_AFTER: usize = 16_384;

/// From so many folds of one event into one view on, threads are started for them: it takes longer than that to start one.
const MANY_FOLDS: usize = 20_000;

pub(crate) struct Pipeline {
    pub(crate) core: Arc<Core>,
    pub(crate) slots: Vec<Slot>,
    pub(crate) shown: Vec<Shown>,
    /// The last event that has been folded.
    pub(crate) head: Head,
    pub(crate) reader: Box<dyn LogReader>,
    /// `None` where nothing is to be saved: read-only.
    pub(crate) saver: Option<Saver>,
    /// How often to look for what another process has written: read-only.
    pub(crate) follow: Option<Duration>,
    /// Whether it has panicked: what it holds is not to be relied on.
    pub(crate) broken: bool,
    /// Who waits for what is being folded: answered when it is shown, or when every view says that the fold has broken down.
    pub(crate) folded: Vec<Acknowledge>,
    /// Whether a follower could not fold all that it has seen in the log: its views stand somewhere before that, perhaps in the middle of an append.
    pub(crate) behind: bool,
    /// Views that were rebuilt, and wait until it is not.
    pub(crate) joining: Vec<Vec<Slot>>,
    /// How often views that are read were exchanged for ones that were folded anew.
    pub(crate) exchanged: u64,
    /// How many threads may fold at the same time.
    pub(crate) threads: usize,
}

impl Pipeline {
    /// Does something, unless the fold has broken down; should it break down here, says so to everyone.
    pub(super) fn guarded(&mut self, work: impl FnOnce(&mut Self)) {
        if self.broken {
            // What is durable is still acknowledged, as the work is dropped; what is asked is dropped, and so refused.
            while self.core.take_control().is_some() {}
        } else if let Err(panic) = catch_unwind(AssertUnwindSafe(|| work(self))) {
            self.broken = true;
            self.saver = None;
            self.break_down(&said(&*panic));
        }
    }

    /// Does what has been asked, and what is due.
    pub(super) fn look_around(&mut self) {
        while let Some(control) = self.core.take_control() {
            self.obey(control);
        }
        if let Some(saver) = &mut self.saver {
            saver.tick(&self.core, &mut self.slots, self.head);
        }
    }

    /// Whether so many events have come that it is time to look around, whatever the clock says.
    pub(super) fn due(&self) -> bool {
        self.saver.as_ref().is_some_and(|saver| saver.due(self.head.position))
    }

    /// How long there is nothing to do, unless something comes.
    pub(super) fn sleep(&self) -> Option<Duration> {
        self.saver.as_ref().and_then(|saver| saver.sleep(&self.slots, self.head)).or(self.follow)
    }

    /// Folds a batch, and those that wait behind it, then shows them.
    pub(super) fn take_in(&mut self, batch: Batch, mut more: impl FnMut() -> Option<Batch>) {
        let mut events = 0;
        let mut next = Some(batch);
        while let Some(mut batch) = next.take() {
            // One without events counts too: those who wait for it are to be answered.
            events += batch.len().max(1);
            self.folded.append(&mut batch.folded);
            self.fold(&batch);
            if events < SHOWN_AFTER {
                next = more();
            }
        }
        self.publish(&[]);
        self.folded.clear();
    }

    fn fold(&mut self, batch: &Batch) {
        let _span =
            tracing::trace_span!("fold", after = batch.after.position, events = batch.len()).entered();
        if batch.after.position > self.head.position {
            // Someone else has written in between.
            self.catch_up(batch.after);
        }
        let begun = meters::begin();
        let events = batch.stored();
        let folds = self.slots.iter().filter(|slot| slot.folds()).count() * events.len();
        if folds >= MANY_FOLDS {
            fold_on(self.threads, &self.core.catalog, &events, &mut self.slots);
        } else {
            fold(&self.core.catalog, &events, &mut self.slots);
        }
        for slot in &mut self.slots {
            slot.advance(batch.head(), |position| checksum(&events, batch.after, position));
        }
        meters::folded(events.len(), begun);
        // It may have been caught up with out of the log, and with more.
        if batch.head().position > self.head.position {
            self.head = batch.head();
        }
    }

    /// Folds the log up to and with `to`, out of the log; whether views stand there now, or have stopped.
    fn catch_up(&mut self, to: Head) -> bool {
        let outcome =
            replay(&mut *self.reader, &self.core.catalog, &mut self.slots, to.position, &mut |_| true);
        match outcome {
            // What a follower could not read now, it may be able to read when it looks again.
            Err(Halt::Store(error)) if self.follow.is_some() => {
                tracing::warn!(%error, "the log could not be read");
                self.behind = true;
                return false;
            }
            Err(halt) => stop_all(&mut self.slots, halt),
            Ok(()) => {}
        }
        self.head = to;
        self.behind = false;
        true
    }

    /// Looks for events that another process has written, where that is what it does.
    pub(super) fn look(&mut self) {
        if self.follow.is_none() {
            return;
        }
        match self.reader.head() {
            Ok(head) if head.position > self.head.position => {
                self.core.move_head(head.position);
                // What was folded up to a failure may end in the middle of an append.
                if self.catch_up(head) {
                    self.publish(&[]);
                    std::mem::take(&mut self.joining).into_iter().for_each(|slots| self.join(slots));
                }
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
            Control::Join(slots) if self.behind => self.joining.push(slots),
            Control::Join(slots) => self.join(slots),
            Control::Retried(retry, reply) => {
                let replaced = self.replace(retry);
                reply.send(replaced);
            }
            Control::CatchUp(head) => {
                if head.position > self.head.position {
                    self.catch_up(head);
                    self.publish(&[]);
                }
            }
            Control::Checkpoint(reply) => match &mut self.saver {
                Some(saver) => saver.ask(reply),
                None if self.core.read_only => reply.send(Err(crate::store::StoreError::ReadOnly.into())),
                // There is nothing to be saved.
                None => reply.send(Ok(())),
            },
        }
    }

    fn join(&mut self, mut rebuilt: Vec<Slot>) {
        let to = self.head.position;
        if let Err(halt) = replay(&mut *self.reader, &self.core.catalog, &mut rebuilt, to, &mut |_| true) {
            stop_all(&mut rebuilt, halt);
        }
        let parks_otherwise = |(number, slot): (usize, &Slot)| {
            let (Some(anew), Some(live)) = (&slot.view, &self.slots[number].view) else { return None };
            let positions = |parked: &[Parked]| parked.iter().map(|it| it.position).collect::<Vec<_>>();
            let other = positions(anew.parked()) != positions(live.parked());
            other.then(|| self.core.catalog.unit(number))
        };
        let mut exchanged: Vec<usize> = rebuilt.iter().enumerate().filter_map(parks_otherwise).collect();
        // What did not come to its end takes the place of nothing that goes on; and who would read that has nothing to go on from.
        let unit = |number: usize| self.core.catalog.unit(number);
        let failed =
            |number: &usize| (0..rebuilt.len()).any(|it| unit(it) == *number && rebuilt[it].fault.is_some());
        let stuck: Vec<usize> = exchanged.extract_if(.., |number| failed(number)).collect();
        let mut joined = Vec::new();
        for (number, mut slot) in rebuilt.into_iter().enumerate() {
            // One that is live was folded along for those that read it; one that has stopped stays as it is.
            let live = self.slots[number].view.is_some();
            let exchange = self.slots[number].folds() && exchanged.contains(&self.core.catalog.unit(number));
            if slot.view.is_none() || live && !exchange {
                continue;
            }
            if stuck.contains(&self.core.catalog.unit(number)) && slot.fault.is_none() {
                let reason = "views that it is folded with have set other events aside, and cannot be folded anew: restart the engine".into();
                slot.fault(slot.at.position + 1, "", FoldError { column: "", reason });
            }
            tracing::info!(
                view = self.core.catalog.views[number].name(),
                position = to,
                "the view is rebuilt"
            );
            self.take_place(number, slot);
            if !live {
                joined.push(number);
            }
        }
        // What they read may have stopped meanwhile.
        for cluster in &self.core.catalog.clusters {
            cluster.spread(&mut self.slots);
        }
        self.exchanged += u64::from(!exchanged.is_empty());
        self.publish(&joined);
    }

    /// Gives a view that was folded anew its place, also if another is there: everything of it is to be saved.
    fn take_place(&mut self, number: usize, mut slot: Slot) {
        let Some(view) = &mut slot.view else { return };
        view.go_live();
        if let Some(live) = &self.slots[number].view {
            view.succeed(live.shown());
        }
        view.save_all();
        self.shown[number] = Shown::Live(view.shown());
        if let Some(saver) = &mut self.saver {
            saver.rebuilt(number);
        }
        self.core.measure(number, &slot);
        self.slots[number] = slot;
    }

    /// Puts views that were folded anew in the places of live ones. On an error, everything is as it was.
    fn replace(&mut self, mut retry: Retry) -> Result<Retried, RefoldError> {
        let to = self.head.position;
        let caught_up = replay(&mut *self.reader, &self.core.catalog, &mut retry.slots, to, &mut |_| true);
        refuse(caught_up, &retry.slots)?;
        if let Some(fault) = &self.slots[retry.view].fault {
            return Err(RefoldError::Faulted((**fault).clone()));
        }
        let mut retried = Retried::default();
        for (number, slot) in retry.slots.into_iter().enumerate() {
            // One that has stopped meanwhile stays as it is.
            let live = self.slots[number].view.as_ref().filter(|_| self.slots[number].folds());
            let (Some(view), Some(live)) = (&slot.view, live) else { continue };
            if number == retry.view {
                let now = view.parked();
                let is_parked = |position: u64| now.binary_search_by_key(&position, |it| it.position).is_ok();
                retried.folded = live.parked().iter().filter(|it| !is_parked(it.position)).count();
                retried.still_parked = now.len();
            }
            self.take_place(number, slot);
        }
        tracing::info!(
            view = self.core.catalog.views[retry.view].name(),
            folded = retried.folded,
            still_parked = retried.still_parked,
            "the view's parked events were tried again"
        );
        self.exchanged += 1;
        self.publish(&[]);
        Ok(retried)
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
        self.put_up(self.shown.clone(), false);
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
            wake.extend(self.core.catalog.views[number].feed().end(&error));
        }
        drop(gate);
        meters::shown(&self.core, self.head.position, &self.shown);
        wake.into_iter().for_each(sync::wake);
        self.core.folded.notify();
    }

    /// Has readers see these. Who does so holds the gate, until subscribers are told.
    fn put_up(&self, views: Vec<Shown>, closed: bool) {
        let (position, exchanged, broken) = (self.head.position, self.exchanged, self.broken);
        let published = Published { position, views, closed, exchanged, broken };
        self.core.published.store(Arc::new(published));
    }

    /// The fold itself has failed: nothing it holds can be relied on.
    fn break_down(&mut self, said: &str) {
        self.core.break_down(format!("the engine's fold panicked: {said}"));
        for slot in self.slots.iter_mut().filter(|slot| slot.fault.is_none()) {
            let reason = format!("the engine's fold panicked, restart it: {said}");
            slot.fault(slot.at.position + 1, "", FoldError { column: "", reason });
        }
        let gate = lock(&self.core.gate);
        for (shown, slot) in self.shown.iter_mut().zip(&self.slots) {
            if let Some(fault) = &slot.fault {
                *shown = Shown::Faulted(fault.clone());
            }
        }
        self.put_up(self.shown.clone(), false);
        let mut wake = Vec::new();
        for (slot, view) in self.slots.iter().zip(&self.core.catalog.views) {
            if let Some(fault) = &slot.fault {
                wake.extend(view.feed().end(&ChangesError::Faulted((**fault).clone())));
            }
        }
        drop(gate);
        meters::shown(&self.core, self.head.position, &self.shown);
        wake.into_iter().for_each(sync::wake);
        self.core.folded.notify();
        self.folded.clear();
    }

    /// The last checkpoint, and the end.
    pub(super) fn finish(mut self) {
        if let Some(saver) = self.saver.take() {
            let last = || saver.finish(&self.core, &mut self.slots, self.head);
            if let Err(panic) = catch_unwind(AssertUnwindSafe(last)) {
                self.core.break_down(format!("the last checkpoint panicked: {}", said(&*panic)));
            }
        }
        self.close();
    }

    /// From here on, everything answers that the engine is closed.
    fn close(self) {
        let frozen = |shown: &Shown| match shown {
            // The rows go; how far they came stays.
            Shown::Live(_) => Shown::Rebuilding(Arc::new(AtomicU64::new(self.head.position))),
            other => other.clone(),
        };
        let views = self.shown.iter().map(frozen).collect();
        let gate = lock(&self.core.gate);
        self.put_up(views, true);
        drop(gate);
        while let Some(control) = self.core.take_control() {
            drop(control);
        }
        for view in &self.core.catalog.views {
            view.feed().end(&ChangesError::Closed).into_iter().for_each(sync::wake);
        }
        self.core.folded.notify();
    }
}
