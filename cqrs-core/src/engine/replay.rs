//! The log, read back into views: when an engine starts, when a view is rebuilt, when a reader follows a writer.

use super::batch::{Flaw, Page, StoredEvent};
use super::catalog::Catalog;
use super::route::fold_by_all;
use super::slot::Slot;
use crate::projection::{FoldError, UNREAD};
use crate::store::{Head, LogReader, StoreError, StoredType, TypeCounts};

/// Why a replay did not come to its end.
#[derive(Debug)]
pub(crate) enum Halt {
    Store(StoreError),
    Flaw(Flaw),
    /// It was told to.
    Stopped,
}

/// Folds a stretch of stored events, cut into runs that travel by the same routes.
pub(crate) fn fold(catalog: &Catalog, events: &[StoredEvent<'_>], slots: &mut [Slot]) {
    let together = |a: &StoredEvent<'_>, b: &StoredEvent<'_>| catalog.together(a.kind, b.kind);
    for run in events.chunk_by(together) {
        let course = catalog.course(run[0].kind);
        let routes = &catalog.courses[course];
        if catalog.singly[course] {
            run.iter().for_each(|event| fold_by_all(routes, event, catalog, slots));
        } else {
            routes.iter().for_each(|route| catalog.routes[*route].fold(run, catalog, slots));
        }
    }
}

/// Folds the log up to and with position `to` into every slot that takes events, each from where it stands. The chain of checksums is
/// verified on the way. `page` is told how far it is, and ends it with `false`.
pub(crate) fn replay(
    reader: &mut dyn LogReader,
    catalog: &Catalog,
    slots: &mut [Slot],
    to: u64,
    on_page: &mut dyn FnMut(u64) -> bool,
) -> Result<(), Halt> {
    let mut page = Page::default();
    loop {
        let behind = slots.iter().filter(|slot| slot.folds()).map(|slot| slot.at);
        let Some(after) = behind.min_by_key(|at| at.position).filter(|at| at.position < to) else {
            return Ok(());
        };
        page.begin(after);
        let limit = usize::try_from(to - after.position).unwrap_or(usize::MAX).min(Page::EVENTS);
        reader.read(after.position, limit, &mut |event| page.push(catalog, &event)).map_err(Halt::Store)?;
        if page.head() == after && page.flaw.is_none() {
            return Err(Halt::Flaw(Flaw::ends(after.position, to)));
        }
        fold_page(catalog, &page, after, slots);
        if !on_page(page.head().position) {
            return Err(Halt::Stopped);
        }
        if let Some(flaw) = page.flaw.take() {
            return Err(Halt::Flaw(flaw));
        }
    }
}

/// Folds what stands in a page, which begins after `after`, and moves the slots on to its end.
pub(crate) fn fold_page(catalog: &Catalog, page: &Page, after: Head, slots: &mut [Slot]) {
    let events = page.stored();
    fold(catalog, &events, slots);
    for slot in slots {
        slot.advance(page.head(), |position| checksum(&events, after, position));
        if let Some(view) = &mut slot.view {
            view.settle();
        }
    }
}

/// Counts the events of each type by reading them all, ordered as a store orders its own counts.
pub(crate) fn count_types(reader: &mut dyn LogReader) -> Result<Vec<StoredType>, StoreError> {
    let mut counts = TypeCounts::default();
    let mut after = 0;
    loop {
        let read = reader.read(after, Page::EVENTS, &mut |event| {
            counts.add(&[event]);
            true
        })?;
        if read == 0 {
            return Ok(counts.list());
        }
        after += read as u64;
    }
}

/// The checksum at a position of a stretch of events, or right before it.
pub(crate) fn checksum(events: &[StoredEvent<'_>], after: Head, position: u64) -> Option<u64> {
    match position.checked_sub(after.position)? {
        0 => Some(after.checksum),
        offset => events.get(offset as usize - 1).map(|event| event.checksum),
    }
}

/// Stops every view that would have to go past a place where the log cannot be read.
pub(crate) fn stop_all(slots: &mut [Slot], halt: Halt) {
    let (position, event, reason) = match halt {
        Halt::Stopped => return,
        Halt::Store(error) => (None, UNREAD.to_owned(), format!("the log cannot be read: {error}")),
        Halt::Flaw(flaw) if flaw.damage => {
            (Some(flaw.position), flaw.event, format!("the log is damaged here: {}", flaw.what))
        }
        Halt::Flaw(flaw) => (Some(flaw.position), flaw.event, flaw.what),
    };
    for slot in slots.iter_mut().filter(|slot| slot.folds()) {
        let error = FoldError { column: "", reason: reason.clone() };
        slot.fault(position.unwrap_or(slot.at.position + 1), &event, error);
    }
}
