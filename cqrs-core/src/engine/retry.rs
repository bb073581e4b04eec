//! Parked events, tried again. What came after them has been folded without them, so it is the log that is folded anew, beside the live rows, which
//! are read meanwhile; at a batch boundary the new ones take their places.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::pipeline::Control;
use super::rebuild::LAST_STRETCH;
use super::replay::{Halt, replay};
use super::shared::{Core, LentReader, Shown};
use super::slot::Slot;
use super::verify;
use crate::error::{ReadError, RefoldError};
use crate::sync::{Inside, Wait, lock, reply};
use crate::table::said;

/// What became of a view's parked events: [`Engine::retry_parked`](crate::Engine::retry_parked).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retried {
    /// How many that were parked are folded now.
    pub folded: usize,
    /// How many are parked now.
    pub still_parked: usize,
}

/// Views that are folded anew.
pub(crate) struct Retry {
    /// The view whose parked events are tried again.
    pub(crate) view: usize,
    /// It and those it is folded with, afresh.
    pub(crate) slots: Vec<Slot>,
    reader: Arc<LentReader>,
    running: Running,
}

/// While it lives, no other retry of these views begins.
struct Running {
    core: Arc<Core>,
    unit: usize,
}

impl Running {
    fn begin(core: &Arc<Core>, unit: usize) -> Option<Self> {
        let mut retrying = lock(&core.retrying);
        if retrying.contains(&unit) {
            return None;
        }
        retrying.push(unit);
        Some(Self { core: core.clone(), unit })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        lock(&self.core.retrying).retain(|unit| *unit != self.unit);
    }
}

/// Retries the parked events of a view that has some, in a thread of its own.
pub(crate) fn retry(core: &Arc<Core>, view: usize) -> Wait<Result<Retried, RefoldError>> {
    let core = core.clone();
    Wait::new(async move {
        let begun = Retry::begin(&core, view)?;
        let (to, answer) = reply();
        let run = move || {
            let _inside = Inside::enter();
            let core = begun.running.core.clone();
            match catch_unwind(AssertUnwindSafe(|| begun.fold())) {
                Ok(Ok(folded)) => core.control(Control::Retried(folded, to)),
                Ok(Err(error)) => to.send(Err(error)),
                Err(panic) => to.send(Err(RefoldError::Unfoldable(said(&*panic)))),
            }
            // Nobody hears of it any more once the fold is over.
            if core.published.load().closed {
                while core.take_control().is_some() {}
            }
        };
        let thread = std::thread::Builder::new().name("cqrs-retry".into());
        thread.spawn(run).map_err(|error| RefoldError::Unfoldable(error.to_string()))?;
        answer.await.unwrap_or(Err(RefoldError::Closed))
    })
}

impl Retry {
    fn begin(core: &Arc<Core>, view: usize) -> Result<Self, RefoldError> {
        if core.read_only {
            return Err(RefoldError::ReadOnly);
        }
        let unit = core.catalog.unit(view);
        let running = Running::begin(core, unit).ok_or(RefoldError::Running)?;
        let published = core.published.load();
        let views = &core.catalog.views;
        let mut slots: Vec<Slot> = views.iter().map(|ty| Slot::absent(&**ty)).collect();
        for number in core.catalog.members(view) {
            match &published.views[number] {
                Shown::Live(_) => slots[number].view = Some(views[number].rows()),
                // One that has stopped stays as it is. What the retried view reads has not, or it would have stopped, too.
                Shown::Faulted(_) => {}
                shown @ Shown::Rebuilding(_) => {
                    return Err(core.unreadable(shown).unwrap_or(ReadError::Closed).into());
                }
            }
        }
        let reader = core.lend().map_err(|error| RefoldError::Unfoldable(error.to_string()))?;
        Ok(Self { view, slots, reader: reader.ok_or(RefoldError::Closed)?, running })
    }

    /// Folds the log until it has nearly caught up with the live views.
    fn fold(mut self) -> Result<Self, RefoldError> {
        let core = self.running.core.clone();
        let _span = tracing::info_span!("retry").entered();
        loop {
            let to = core.published.load().position;
            let on_page = &mut |_| !core.stop.load(Ordering::Relaxed);
            {
                let mut lent = lock(&self.reader);
                let reader = lent.as_mut().ok_or(RefoldError::Closed)?;
                refuse(replay(&mut **reader, &core.catalog, &mut self.slots, to, on_page), &self.slots)?;
            }
            if core.published.load().position - to <= LAST_STRETCH {
                return Ok(self);
            }
        }
    }
}

/// Why views that were folded anew cannot take the places of those that are there.
pub(crate) fn refuse(outcome: Result<(), Halt>, slots: &[Slot]) -> Result<(), RefoldError> {
    match outcome {
        Err(Halt::Stopped) => return Err(RefoldError::Closed),
        Err(halt) => return Err(RefoldError::Unfoldable(verify::said(halt))),
        Ok(()) => {}
    }
    let fault = slots.iter().find_map(|slot| slot.fault.as_ref());
    fault.map_or(Ok(()), |fault| Err(RefoldError::WouldStop((**fault).clone())))
}
