//! What the store has of a view, and what a checkpoint is to bring it.

use std::ops::Range;

use crate::sql::SqlValue;
use crate::store::{Part, RowImages};
use crate::table::{Clock, Elements, Parked};

/// What a view has for a checkpoint.
#[derive(Default)]
pub(crate) struct Images {
    /// What the store may have, and is to forget.
    pub(crate) gone: Vec<u64>,
    /// In the order of their ids, first those that the store may have.
    pub(crate) changed: RowImages,
    /// Whether the store has everything then.
    pub(crate) complete: bool,
}

/// A view's rows, with their type forgotten, and what is known beside them: what there is to be saved.
pub(crate) trait Savable {
    /// How many columns SQL shows.
    fn columns(&self) -> usize;
    /// The first number that no row has ever had.
    fn end(&self) -> u32;
    fn has(&self, row: u32) -> bool;
    /// Adds a row's image.
    fn image(&self, row: u32, images: &mut RowImages);
    fn elements(&self) -> &Elements;
    fn clock(&self) -> Clock;
    fn parked(&self) -> &[Parked];
}

/// What the store has of a view. It is code over numbers and bytes, compiled once and not for each projection.
pub(super) struct Saved {
    /// Rows that changed since the last checkpoint.
    dirty: Dirty,
    /// Rows from this one on are not in the store.
    rows: u32,
    dirty_elements: Dirty,
    /// Elements from this one on are not in the store.
    elements: u32,
    /// The clock that the store has; `None` if that is not known.
    clock: Option<Clock>,
    /// How many parked events the store has.
    parked: usize,
}

/// Nothing: what an empty view has is known.
impl Default for Saved {
    fn default() -> Self {
        let (dirty, dirty_elements) = (Dirty::default(), Dirty::default());
        Self { dirty, rows: 0, dirty_elements, elements: 0, clock: Some(Clock::default()), parked: 0 }
    }
}

impl Saved {
    /// Rows, and elements, have changed.
    pub(super) fn touched(&mut self, rows: &[u32], elements: &[u32]) {
        self.dirty.add(rows);
        self.dirty_elements.add(elements);
    }

    /// Forgets what the store has: all is to be saved.
    pub(super) fn forget(&mut self) {
        (self.rows, self.elements, self.clock, self.parked) = (0, 0, Some(Clock::default()), 0);
    }

    /// Takes back ids whose saving failed.
    pub(super) fn unsaved(&mut self, ids: &[u64]) {
        for id in ids {
            match Part::of(*id) {
                Some((Part::Rows, row)) => self.dirty.add(&[row]),
                Some((Part::Elements, number)) => self.dirty_elements.add(&[number]),
                Some((Part::Parked, number)) => self.parked = self.parked.min(number as usize),
                _ => self.clock = None,
            }
        }
    }

    /// A row came out of the store.
    pub(super) fn restored(&mut self, row: u32) {
        self.rows = row.saturating_add(1);
    }

    /// Takes out of the store what is known beside the rows; whether it is of this view. `parked` is there where the projection parks.
    pub(super) fn restore(
        &mut self,
        (part, number): (Part, u32),
        key: &[u8],
        state: &[u8],
        beside: (&mut Elements, &mut Clock, Option<&mut Vec<Parked>>),
    ) -> bool {
        let (elements, clock, parked) = beside;
        match (part, parked) {
            (Part::Elements, _) => {
                self.elements = number.saturating_add(1);
                let count = state.try_into().map(u64::from_be_bytes);
                count.is_ok_and(|count| elements.restore(number, key, count))
            }
            (Part::View, _) if number == 0 && key.is_empty() => {
                self.clock = Clock::read(state);
                self.clock.map(|saved| *clock = saved).is_some()
            }
            (Part::Parked, Some(parked)) if number as usize == parked.len() => {
                let read = Parked::read(key, state).map(|event| parked.push(event));
                self.parked = parked.len();
                read.is_some()
            }
            _ => false,
        }
    }

    /// What is to be saved next: at most about `stretch` of those that were never saved.
    pub(super) fn images(&mut self, view: &dyn Savable, stretch: usize) -> Images {
        let (row_end, element_end) = (view.end(), view.elements().end());
        let rows = Stretch::take(&mut self.dirty, &mut self.rows, row_end, stretch);
        let left = stretch.saturating_sub(rows.new.len());
        let elements = Stretch::take(&mut self.dirty_elements, &mut self.elements, element_end, left);
        let clock = Some(view.clock()).filter(|clock| self.clock != Some(*clock));
        self.clock = Some(view.clock());
        let parked = self.parked..view.parked().len();
        self.parked = parked.end;
        let complete = self.rows >= row_end && self.elements >= element_end;

        let room = rows.len() + elements.len() + usize::from(clock.is_some()) + parked.len();
        let mut changed = RowImages::with_capacity(room, view.columns());
        let mut gone = Vec::new();
        for row in rows.dirty.iter().copied().filter(|row| !view.has(*row)) {
            gone.push(Part::Rows.id(row));
        }
        for row in rows.numbers().filter(|row| view.has(*row)) {
            view.image(row, &mut changed);
        }
        let hidden = |columns: &mut Vec<SqlValue>| {
            columns.resize(columns.len() + view.columns(), SqlValue::Null);
        };
        for number in
            elements.dirty.iter().copied().filter(|number| view.elements().element(*number).is_none())
        {
            gone.push(Part::Elements.id(number));
        }
        for number in elements.numbers() {
            let Some((key, count)) = view.elements().element(number) else { continue };
            let count = |out: &mut Vec<u8>| out.extend_from_slice(&count.to_be_bytes());
            changed.push(Part::Elements.id(number), false, key, count, hidden);
        }
        if let Some(clock) = clock {
            changed.push(Part::View.id(0), false, &[], |out| clock.write(out), hidden);
        }
        for number in parked {
            let event = &view.parked()[number];
            changed.push(Part::Parked.id(number as u32), false, &event.key(), |out| event.write(out), hidden);
        }
        Images { gone, changed, complete }
    }
}

/// Rows, or elements, that changed since the last checkpoint, each once.
#[derive(Default)]
struct Dirty {
    marks: Vec<u64>,
    rows: Vec<u32>,
}

impl Dirty {
    fn add(&mut self, rows: &[u32]) {
        for &row in rows {
            let (word, bit) = (row as usize / 64, 1 << (row % 64));
            if word >= self.marks.len() {
                self.marks.resize(word + 1, 0);
            }
            if self.marks[word] & bit == 0 {
                self.marks[word] |= bit;
                self.rows.push(row);
            }
        }
    }

    fn take(&mut self) -> Vec<u32> {
        let rows = std::mem::take(&mut self.rows);
        for row in &rows {
            self.marks[*row as usize / 64] = 0;
        }
        rows
    }
}

/// The numbers of one part that a checkpoint is to have.
struct Stretch {
    /// Those that changed and that the store may have, in order: so it comes to each of its pages once.
    dirty: Vec<u32>,
    /// The first ones that it does not have.
    new: Range<u32>,
}

impl Stretch {
    fn take(dirty: &mut Dirty, saved: &mut u32, end: u32, stretch: usize) -> Self {
        // New ones are saved in the order of their numbers; of those beyond the stretch, it does not matter that they changed.
        let limit = (*saved as usize).saturating_add(stretch).min(end as usize) as u32;
        let new = *saved..limit.max(*saved);
        let mut dirty = dirty.take();
        // After a rebuild that is every row, and none of them is in the store yet.
        dirty.retain(|number| *number < *saved);
        dirty.sort_unstable();
        *saved = new.end;
        Self { dirty, new }
    }

    fn len(&self) -> usize {
        self.dirty.len() + self.new.len()
    }

    fn numbers(&self) -> impl Iterator<Item = u32> {
        self.dirty.iter().copied().chain(self.new.clone())
    }
}
