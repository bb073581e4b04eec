//! The log, read and folded by several threads abreast.
//!
//! Each thread takes the next stretch of the log, reads it and verifies its chain, all at the same time; the folds into a group of views take turns, in
//! the order of the log. One view alone is thereby folded while the next stretches are read; several views are folded at the same time as well, each group a stretch behind
//! the one before it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::PoisonError;

use super::batch::{Flaw, Page};
use super::catalog::Catalog;
use super::replay::{Halt, fold, fold_page};
use super::slot::Slot;
use crate::store::{Head, LogReader};
use crate::sync::lock;
use crate::threads::atomic::{AtomicU64, Ordering};
use crate::threads::{Condvar, Mutex, assist, thread};

/// Slots that are folded into by one thread at a time: as many as there are views, those of other groups absent.
type Group = Vec<Slot>;

/// Deals the slots out into so many groups, evenly.
fn deal(catalog: &Catalog, slots: &mut [Slot], groups: usize) -> Vec<Group> {
    let absent = || catalog.views.iter().map(|view| Slot::absent(&**view)).collect::<Group>();
    let mut dealt: Vec<Group> = Vec::new();
    // Views that read each other stay together.
    let mut units: Vec<usize> = Vec::new();
    for number in (0..slots.len()).filter(|number| slots[*number].folds()) {
        let unit = catalog.unit(number);
        if !units.contains(&unit) {
            units.push(unit);
        }
    }
    dealt.resize_with(groups.min(units.len()).max(1), absent);
    for (number, slot) in slots.iter_mut().enumerate().filter(|(_, slot)| slot.folds()) {
        let unit = catalog.unit(number);
        let group = units.iter().position(|dealt| *dealt == unit).unwrap_or(0) % dealt.len();
        std::mem::swap(slot, &mut dealt[group][number]);
    }
    dealt
}

/// Puts the slots back.
fn collect(slots: &mut [Slot], groups: Vec<Group>) {
    for group in groups {
        for (slot, dealt) in slots.iter_mut().zip(group) {
            if dealt.view.is_some() {
                *slot = dealt;
            }
        }
    }
}

/// Folds a stretch of events, already in memory, into the slots: on this thread and `others` more.
pub(crate) fn fold_on(
    threads: usize,
    catalog: &Catalog,
    events: &[super::batch::StoredEvent<'_>],
    slots: &mut [Slot],
) {
    let mut groups = deal(catalog, slots, threads);
    let others = groups.len() - 1;
    let left = Mutex::new(groups.iter_mut());
    let next = || lock(&left).next();
    let work = || std::iter::from_fn(next).for_each(|group| fold(catalog, events, group));
    thread::scope(|scope| {
        for _ in 0..others {
            assist(scope, work);
        }
        work();
    });
    collect(slots, groups);
}

/// Whose turn it is.
struct Turns<'a> {
    catalog: &'a Catalog,
    after: u64,
    to: u64,
    /// The next stretch that nobody reads yet.
    next: AtomicU64,
    groups: Vec<Mutex<Group>>,
    state: Mutex<State>,
    moved: Condvar,
}

struct State {
    /// For each group the stretch that is to be folded into it next.
    due: Vec<u64>,
    /// How many of the groups have a view that still takes events.
    folding: usize,
    /// Why nothing more is to be folded.
    halt: Option<Halt>,
    /// What a thread panicked with.
    panic: Option<Box<dyn Any + Send>>,
}

/// What came of waiting for a turn.
#[derive(PartialEq)]
enum Turn {
    Due,
    /// Nothing more is to be folded.
    Halted,
    /// Every view has stopped: who would have had the turn before may have gone without passing it on.
    Over,
}

impl Turns<'_> {
    /// Waits until a stretch may be folded into a group.
    fn wait(&self, group: usize, stretch: u64) -> Turn {
        let mut state = lock(&self.state);
        loop {
            if state.halt.is_some() {
                return Turn::Halted;
            }
            if state.folding == 0 {
                return Turn::Over;
            }
            if state.due[group] == stretch {
                return Turn::Due;
            }
            state = self.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn pass_on(&self, group: usize) {
        lock(&self.state).due[group] += 1;
        self.moved.notify_all();
    }

    fn halt(&self, halt: Halt) {
        lock(&self.state).halt.get_or_insert(halt);
        self.moved.notify_all();
    }

    /// Reads and folds stretch after stretch.
    fn work(&self, reader: &mut dyn LogReader, on_page: &(dyn Fn(u64) -> bool + Sync)) {
        let mut page = Page::default();
        loop {
            let stretch = self.next.fetch_add(1, Ordering::Relaxed);
            let start = self.after + stretch * Page::EVENTS as u64;
            // Once every view has stopped, the rest of the log is read for nobody.
            if start >= self.to || lock(&self.state).folding == 0 {
                return;
            }
            if let Err(halt) = self.stretch(reader, &mut page, stretch, start, on_page) {
                // What is wrong further on in the log must not hide what comes before it.
                let due = |group| self.wait(group, stretch) == Turn::Due;
                if matches!(halt, Halt::Stopped) || (0..self.groups.len()).all(due) {
                    self.halt(halt);
                }
                return;
            }
        }
    }

    /// One stretch: a page, or as many as its payloads need. Its turn in a group ends with the last of them.
    fn stretch(
        &self,
        reader: &mut dyn LogReader,
        page: &mut Page,
        stretch: u64,
        start: u64,
        on_page: &(dyn Fn(u64) -> bool + Sync),
    ) -> Result<(), Halt> {
        let end = (start + Page::EVENTS as u64).min(self.to);
        // What stands there is verified by whoever reads the stretch before, and nothing is folded here before that is.
        let checksum = reader.checksum_at(start).map_err(Halt::Store)?.unwrap_or_default();
        let mut after = Head { position: start, checksum };
        loop {
            page.begin(after);
            let limit = (end - after.position) as usize;
            reader
                .read(after.position, limit, &mut |event| page.push(self.catalog, &event))
                .map_err(Halt::Store)?;
            let reached = page.head();
            if reached == after && page.flaw.is_none() {
                return Err(Halt::Flaw(Flaw::ends(after.position, self.to)));
            }
            for group in 0..self.groups.len() {
                match self.wait(group, stretch) {
                    Turn::Due => {}
                    Turn::Halted => return Err(Halt::Stopped),
                    Turn::Over => return Ok(()),
                }
                self.fold(group, page, after);
                if reached.position == end && page.flaw.is_none() {
                    self.pass_on(group);
                }
            }
            if let Some(flaw) = page.flaw.take() {
                return Err(Halt::Flaw(flaw));
            }
            if !on_page(reached.position) {
                return Err(Halt::Stopped);
            }
            if reached.position == end {
                return Ok(());
            }
            after = reached;
        }
    }

    fn fold(&self, group: usize, page: &Page, after: Head) {
        let mut slots = lock(&self.groups[group]);
        if !slots.iter().any(Slot::folds) {
            return;
        }
        fold_page(self.catalog, page, after, &mut slots);
        if !slots.iter().any(Slot::folds) {
            lock(&self.state).folding -= 1;
            self.moved.notify_all();
        }
    }
}

/// Folds the log up to and with position `to` into every slot that takes events, all of which stand at the same position, with a thread for each reader. `on_page` is told how far it is, by
/// any of the threads, and ends it with `false`.
pub(crate) fn replay_abreast(
    readers: &mut [Box<dyn LogReader>],
    catalog: &Catalog,
    slots: &mut [Slot],
    to: u64,
    on_page: &(dyn Fn(u64) -> bool + Sync),
) -> Result<(), Halt> {
    let Some(after) = slots.iter().find(|slot| slot.folds()).map(|slot| slot.at.position) else {
        return Ok(());
    };
    let groups = deal(catalog, slots, readers.len());
    let turns = Turns {
        catalog,
        after,
        to,
        next: AtomicU64::new(0),
        state: Mutex::new(State {
            due: vec![0; groups.len()],
            folding: groups.len(),
            halt: None,
            panic: None,
        }),
        groups: groups.into_iter().map(Mutex::new).collect(),
        moved: Condvar::new(),
    };
    let work = |reader: &mut dyn LogReader| {
        let worked = catch_unwind(AssertUnwindSafe(|| turns.work(reader, on_page)));
        if let Err(panic) = worked {
            lock(&turns.state).panic.get_or_insert(panic);
            // The others would wait for this one's turn to end.
            turns.halt(Halt::Stopped);
        }
    };
    if let Some((first, others)) = readers.split_first_mut() {
        thread::scope(|scope| {
            for reader in others {
                assist(scope, || work(&mut **reader));
            }
            work(&mut **first);
        });
    }
    let Turns { groups, state, .. } = turns;
    let groups = groups.into_iter().map(|group| group.into_inner().unwrap_or_else(PoisonError::into_inner));
    collect(slots, groups.collect());
    let state = state.into_inner().unwrap_or_else(PoisonError::into_inner);
    // Not before the slots are back: whoever catches it has to be able to say that they have stopped.
    if let Some(panic) = state.panic {
        resume_unwind(panic);
    }
    state.halt.map_or(Ok(()), Err)
}
