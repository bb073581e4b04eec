//! Views that are new or have changed: folded from the log, apart from the live ones, until they have caught up.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::abreast::replay_abreast;
use super::pipeline::Control;
use super::replay::{Halt, stop_all};
use super::shared::Core;
use super::slot::Slot;
use crate::projection::FoldError;
use crate::store::LogReader;
use crate::table::said;

/// How many events the live fold catches the views up with when they join it.
pub(super) const LAST_STRETCH: u64 = 8192;

/// Folds the log into every view of `slots`, all in one pass, with a thread for each reader, and hands them to the live fold.
pub(crate) fn rebuild(
    core: &Core,
    mut readers: Vec<Box<dyn LogReader>>,
    mut slots: Vec<Slot>,
    progress: &Arc<AtomicU64>,
) {
    let begun = Instant::now();
    let views = slots.iter().filter(|slot| slot.folds()).count();
    let _span = tracing::info_span!("rebuild", views).entered();
    let folded = catch_unwind(AssertUnwindSafe(|| {
        loop {
            let to = core.published.load().position;
            let outcome = replay_abreast(&mut readers, &core.catalog, &mut slots, to, &|position| {
                let before = progress.fetch_max(position, Ordering::Relaxed);
                // Whichever thread gets past a tenth says so.
                let tenth = |position: u64| u128::from(position) * 10 / u128::from(to);
                if position < to && tenth(before) < tenth(position) {
                    tracing::info!(position, to, "the log is being folded anew");
                }
                !core.stop.load(Ordering::Relaxed)
            });
            match outcome {
                Err(Halt::Stopped) => return false,
                Err(halt) => {
                    stop_all(&mut slots, halt);
                    return true;
                }
                Ok(()) if core.published.load().position - to <= LAST_STRETCH => return true,
                Ok(()) => {}
            }
        }
    }));
    match folded {
        Ok(false) => return,
        Ok(true) => {}
        Err(panic) => {
            let reason = format!("rebuilding it panicked: {}", said(&*panic));
            for slot in slots.iter_mut().filter(|slot| slot.folds()) {
                slot.fault(slot.at.position + 1, "", FoldError { column: "", reason: reason.clone() });
            }
        }
    }
    tracing::info!(elapsed = ?begun.elapsed(), position = progress.load(Ordering::Relaxed), "folded the log anew");
    core.control(Control::Join(slots));
}
