//! Windows of event time: which an event falls into, which have closed, and which rows go with time.

use std::collections::BTreeSet;

use super::clock::Clock;
use super::rows::Rows;
use super::sink::Sink;
use crate::aggregate::{Cells, State};
use crate::key::KeyWriter;
use crate::projection::{FoldError, Projection};

/// How a projection's windows go about time; all in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowSpec {
    /// How they lie in time.
    pub shape: WindowShape,
    /// How long after its end a window still takes events.
    pub lateness: i64,
    /// How far one event may move the clock; `None` for as far as it likes.
    pub max_ahead: Option<i64>,
    /// How long after it closed a window's row is kept; `None` for ever.
    pub keep: Option<i64>,
    /// Whether only closed windows are shown.
    pub only_final: bool,
}

/// How a projection's windows lie in time; all in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowShape {
    /// One after the other.
    Tumbling {
        /// How long each is.
        size: i64,
    },
    /// A new one at every step, overlapping.
    Hopping {
        /// How long each is.
        size: i64,
        /// The step.
        every: i64,
    },
    /// As long as no gap between two events of it is as long as this.
    Session {
        /// The gap.
        gap: i64,
    },
}

impl WindowSpec {
    /// Up to where windows have closed: the greatest event time, less the lateness.
    pub(crate) fn watermark(&self, clock: Clock) -> Option<i64> {
        clock.time.map(|time| time.saturating_sub(self.lateness))
    }

    /// Whether something happens to rows by itself.
    const fn schedules(&self) -> bool {
        self.only_final || self.keep.is_some()
    }

    fn has_closed(&self, end: i64, clock: Clock) -> bool {
        self.watermark(clock).is_some_and(|watermark| end <= watermark)
    }
}

/// A row to which something happens by itself.
pub(crate) struct Due {
    /// The end of its window.
    end: i64,
    pub(super) row: u32,
    /// Whether it goes, or is shown now.
    pub(super) goes: bool,
}

/// When something happens to rows by itself: a window closes, or its row goes. An entry that its row has outgrown says nothing.
pub(crate) type Schedule = BTreeSet<(i64, u32)>;

/// The starts of the windows of a size that begin `every` so often and have this time in them, the earliest first.
pub fn starts(time: i64, size: i64, every: i64) -> impl Iterator<Item = i64> {
    let last = time.saturating_sub(time.rem_euclid(every));
    let before = (size - 1 - time.rem_euclid(every)).div_euclid(every).max(-1);
    (0..=before).rev().filter_map(move |n| last.checked_sub(n.checked_mul(every)?))
}

impl<P: Projection> Rows<P> {
    /// Whether something happens to rows by itself.
    pub(super) const SCHEDULED: bool = matches!(P::WINDOW, Some(spec) if spec.schedules());

    /// Whether readers see a row, as far as time decides it.
    pub(crate) fn is_due(&self, row: u32, clock: Clock) -> bool {
        match P::WINDOW {
            Some(spec) if spec.only_final => {
                self.keys().value(row).end().is_none_or(|end| spec.has_closed(end, clock))
            }
            _ => true,
        }
    }

    fn schedule(&mut self) -> Option<(WindowSpec, &mut Schedule)> {
        let spec = P::WINDOW.filter(WindowSpec::schedules)?;
        if self.schedule.is_none() {
            let due = self.keys().rows(0).filter_map(|row| Some((self.keys().value(row).end()?, row)));
            self.schedule = Some(due.collect());
        }
        Some((spec, self.schedule.as_mut()?))
    }

    /// Notes when something is to happen to a row.
    pub(crate) fn schedule_row(&mut self, row: u32) {
        let Some(end) = self.keys().value(row).end() else { return };
        if let Some((_, schedule)) = self.schedule() {
            schedule.insert((end, row));
        }
    }

    /// Puts them in the order of the ends of their windows, and then of their keys, and not of their numbers: which number a row has depends on how the log was cut, and who
    /// takes in these rows may fault on the way.
    pub(crate) fn in_turn(&self, due: &mut [Due]) {
        let key = |due: &Due| (due.end, self.keys().key(due.row));
        due.sort_unstable_by(|one, other| key(one).cmp(&key(other)));
    }

    /// The rows to which something happens between then and now, in any order.
    pub(crate) fn due(&mut self, before: Clock) -> Vec<Due> {
        let clock = self.clock;
        let mut due = Vec::new();
        loop {
            let Some((spec, schedule)) = self.schedule() else { return due };
            let Some(watermark) = spec.watermark(clock) else { return due };
            let Some((_, row)) = schedule.first().copied().filter(|(at, _)| *at <= watermark) else {
                return due;
            };
            schedule.pop_first();
            let end = self.keys().has(row).then(|| self.keys().value(row).end()).flatten();
            let Some(end) = end.filter(|end| *end <= watermark) else { continue };
            // The schedule of a copy that catches up, or is made anew, has windows that have closed long since.
            let closes = !spec.has_closed(end, before);
            match spec.keep.map(|keep| end.saturating_add(keep)) {
                Some(goes) if goes <= watermark => due.push(Due { end, row, goes: true }),
                Some(goes) => {
                    if let Some((_, schedule)) = self.schedule() {
                        schedule.insert((goes, row));
                    }
                    if closes {
                        due.push(Due { end, row, goes: false });
                    }
                }
                None if closes => due.push(Due { end, row, goes: false }),
                None => {}
            }
        }
    }
}

/// Two windows have come to one row.
fn out_of_bounds() -> FoldError {
    let reason = "the bounds of two windows are the same in the row: its type does not go so far (an unsigned number has no time before nought)";
    FoldError { column: "", reason: reason.into() }
}

impl<P: Projection> Sink<'_, P> {
    /// The time of an event: moves the clock on, as far as one event may.
    pub fn pass(&mut self, time: i64) {
        let Some(spec) = P::WINDOW else { return };
        self.tick(match (self.rows.clock.time, spec.max_ahead) {
            (Some(now), Some(ahead)) => time.min(now.saturating_add(ahead)),
            _ => time,
        });
    }

    /// The clock is at least here, whatever one event may do.
    pub fn tick(&mut self, time: i64) {
        let clock = &mut self.rows.clock;
        clock.time = Some(clock.time.map_or(time, |now| now.max(time)));
    }

    /// Whether a window with this end still takes events; if not, the event has come too late, which is counted.
    pub fn takes(&mut self, end: i64) -> bool {
        let late = P::WINDOW.is_some_and(|spec| spec.has_closed(end, self.rows.clock));
        self.rows.clock.late = self.rows.clock.late.saturating_add(u64::from(late));
        !late
    }

    /// Folds into the row of the key that was written, whose window ends here.
    ///
    /// # Errors
    ///
    /// As [`fold`](Self::fold).
    pub fn fold_window(
        &mut self,
        end: i64,
        fold: impl FnOnce(&mut P::State, Cells<'_>) -> Result<(), FoldError>,
    ) -> Result<(), FoldError> {
        let row = self.row()?;
        if self.rows.keys().value(row).end().is_some_and(|other| other != end) {
            return Err(out_of_bounds());
        }
        self.fold_ending(row, end, fold)
    }

    fn fold_ending(
        &mut self,
        row: u32,
        end: i64,
        fold: impl FnOnce(&mut P::State, Cells<'_>) -> Result<(), FoldError>,
    ) -> Result<(), FoldError> {
        let (state, cells) = self.rows.parts_mut(row);
        fold(state, cells)?;
        if state.end() != Some(end) {
            state.set_end(end);
            self.rows.schedule_row(row);
        }
        Ok(())
    }

    /// Folds into the session that this time falls into; those that it bridges become one.
    ///
    /// The key that was written lacks its last column, which `bound` writes: when the session begins.
    ///
    /// # Errors
    ///
    /// As [`fold`](Self::fold).
    pub fn fold_session(
        &mut self,
        time: i64,
        gap: i64,
        bound: impl Fn(i64, &mut KeyWriter<'_>),
        fold: impl FnOnce(&mut P::State, Cells<'_>) -> Result<(), FoldError>,
    ) -> Result<(), FoldError> {
        let Some(spec) = P::WINDOW else { return Ok(()) };
        let own_end = time.saturating_add(gap);
        // What is late is so by itself, also where it touches a session that is open: else that would come to begin before one that has
        // closed, and they could no longer be told apart by their order.
        if !self.takes(own_end) {
            return Ok(());
        }
        let group = self.turn.key.clone();
        let key_at = |start: i64| {
            let mut key = group.clone();
            bound(start, &mut KeyWriter(&mut key));
            key
        };
        // Those that begin before this one would end, the latest first. Those that are open do not overlap, and begin after all that have closed:
        // so the first that ended before is the last to look at.
        let mut met = Vec::new();
        for row in self.rows.before(&group, &key_at(own_end)) {
            // One that another element of the same event has bridged stands there until the event is done.
            if self.is_doomed(row) {
                continue;
            }
            let end = self.rows.keys().value(row).end().unwrap_or(i64::MIN);
            if end <= time || spec.has_closed(end, self.rows.clock) {
                break;
            }
            met.push((row, end));
        }
        met.reverse();
        let own = key_at(time);
        let end = met.iter().map(|(_, end)| *end).fold(own_end, i64::max);
        let into = match met.first() {
            Some((row, _)) if *self.rows.keys().key(*row) <= *own => {
                let row = *row;
                self.touch(row);
                met.remove(0);
                row
            }
            _ => {
                self.turn.key = own;
                let row = self.row()?;
                if self.rows.keys().value(row).end().is_some() {
                    return Err(out_of_bounds());
                }
                row
            }
        };
        for (row, _) in met {
            // As others saw it, before its elements go.
            self.touch(row);
            let other = self.rows.keys().value(row).clone();
            let (state, cells) = self.rows.parts_mut(into);
            P::merge(state, &other, cells, row)?;
            self.doom(row);
        }
        self.fold_ending(into, end, fold)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::starts;

    proptest! {
        #[test]
        fn every_window_that_has_the_time_in_it(time in -200_i64..200, size in 1_i64..50, every in 1_i64..50) {
            prop_assume!(every <= size);
            let found: Vec<_> = starts(time, size, every).collect();
            let expected: Vec<_> = (-300..300)
                .filter(|start| start % every == 0 && *start <= time && time < start + size)
                .collect();
            prop_assert_eq!(found, expected);
        }
    }
}
