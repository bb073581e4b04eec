//! A view folded in pieces, held against itself folded otherwise.

use std::fmt::{Debug, Write};
use std::hash::{BuildHasher, RandomState};

use super::diff::{self, RowText};
use super::log::{self, Stored};
use crate::event::{Event, Meta};
use crate::projection::{JoinSet, Projection, Reads, RowSource, SourceVisitor};
use crate::store::MemoryStore;
use crate::{Engine, NewEvent, Table, Timestamp};

/// How many rounds there are, each with pieces of its own.
const ROUNDS: usize = 8;

/// What to look for, where rows differ.
const REMEDY: &str = "What a column keeps has to be stored whole, and may come from the events alone: look for a field that serde \
                      skips, a clock, a random number, a `static`.";

/// How often the engine is started anew in the round that starts it anew all the time.
const RESTARTS: usize = 100;

/// Checks that a view comes out the same however its events are cut into batches, and whatever is saved, lost and loaded between them.
///
/// A view is folded as events come, is saved, and is loaded when the program starts again; so what its code keeps has to survive that, and may depend on
/// nothing but the events. The attributes of columns see to it by themselves. What you write by hand may fail to: an [`Aggregate`](crate::aggregate::Aggregate) with a field that
/// serde skips, a function with a clock, a random number or a `static` in it.
///
/// The events are folded in one go, from the log. That is held against
/// - several rounds in which they are appended in batches of random sizes to a running engine, with checkpoints, restarts, restarts from an older checkpoint and
///   restarts without one in between,
/// - an engine that is started anew after every event, or every few if there are many,
/// - a [`Table`], where the projection reads events only and looks no other view up.
///
/// Every run goes by other random numbers; the text of a failure has the seed, and with the environment variable `REFOLD_SEED` set to that the same is done again.
///
/// ```
/// use cqrs_core::prelude::*;
/// use cqrs_core::testing::refold_check;
///
/// #[event]
/// pub struct Purchased { pub customer: String, pub qty: i64 }
///
/// #[projection(from = Purchased, group_by = customer)]
/// #[derive(Debug)]
/// pub struct Purchases { pub customer: String, #[sum(qty)] pub qty: i64 }
///
/// refold_check::<Purchases>((0..20).map(|n| Purchased { customer: format!("c{}", n % 3), qty: n }));
/// ```
///
/// # Panics
///
/// If the rows differ, with those that do; or an event cannot be folded.
#[track_caller]
pub fn refold_check<V: Projection + Debug>(events: impl IntoIterator<Item = impl Into<NewEvent>>) {
    let events: Vec<NewEvent> = events.into_iter().map(Into::into).collect();
    let seeds = match std::env::var("REFOLD_SEED").map(|text| text.trim().parse()) {
        Ok(Ok(seed)) => vec![seed],
        Ok(Err(_)) => panic!("REFOLD_SEED is a number, as the text of a failure has it"),
        Err(_) => (0..ROUNDS).map(|round| RandomState::new().hash_one(round)).collect(),
    };
    if let Err(why) = check::<V>(&events, &seeds) {
        panic!("{why}");
    }
}

pub(super) fn check<V: Projection + Debug>(events: &[NewEvent], seeds: &[u64]) -> Result<(), String> {
    let at = Timestamp::UNIX_EPOCH;
    let stored = events.iter().map(|event| Stored::of(event, at)).collect::<Result<Vec<_>, _>>()?;
    let in_one_go = fold::<V>(&stored)?;
    for (number, seed) in seeds.iter().enumerate() {
        let mut round = Round { random: Random(*seed), store: MemoryStore::new(), done: Vec::new() };
        round.run::<V>(events).map_err(|why| {
            let done = round.done.join(", ");
            format!(
                "{why}\n\nround {} of {}, in which this was done: {done}\nREFOLD_SEED={seed} repeats it",
                number + 1,
                seeds.len()
            )
        })?;
    }
    let restarted = fold_restarting::<V>(&stored)?;
    let what = "an engine that is started anew between events makes other rows of them";
    compare(what, ["in one go", "with restarts"], &in_one_go, &restarted)?;
    if let Some(table) = fold_singly::<V>(&stored) {
        let what = "a table that folds an event at a time makes other rows of them";
        compare(what, ["in one go", "one at a time"], &in_one_go, &table)?;
    }
    Ok(())
}

/// The rows of events that are all there before the engine is started.
fn fold<V: Projection>(events: &[Stored]) -> Result<Vec<V>, String> {
    let store = MemoryStore::new();
    log::append(&store, events)?;
    log::rows(&log::open::<V>(&store, &[], Timestamp::UNIX_EPOCH)?)
}

/// The same, with a restart between any two, or any two lots of them.
fn fold_restarting<V: Projection>(events: &[Stored]) -> Result<Vec<V>, String> {
    let store = MemoryStore::new();
    for events in events.chunks(events.len().div_ceil(RESTARTS).max(1)) {
        log::append(&store, events)?;
        close(&log::open::<V>(&store, &[], Timestamp::UNIX_EPOCH)?)?;
    }
    log::rows(&log::open::<V>(&store, &[], Timestamp::UNIX_EPOCH)?)
}

/// The same, in a table; `None` if it takes more than a table.
fn fold_singly<V: Projection>(events: &[Stored]) -> Option<Vec<V>> {
    let mut asked = ReadsViews(!V::Joins::types().is_empty());
    V::sources(&mut asked);
    if asked.0 {
        return None;
    }
    let mut table = Table::<V>::new();
    for (event, position) in events.iter().zip(1..) {
        let meta = Meta { position, recorded_at: event.recorded_at };
        V::sources(&mut Singly { table: &mut table, event, meta });
    }
    Some(table.rows().collect())
}

/// Whether a projection reads other views.
struct ReadsViews(bool);

impl<V: Projection> SourceVisitor<V> for ReadsViews {
    fn event<E: Event>(&mut self)
    where
        V: Reads<E>,
    {
    }
    fn view<U: RowSource>(&mut self)
    where
        V: Reads<U>,
    {
        self.0 = true;
    }
}

/// Folds one event, through the source that has it.
struct Singly<'a, V: Projection> {
    table: &'a mut Table<V>,
    event: &'a Stored,
    meta: Meta,
}

impl<V: Projection> SourceVisitor<V> for Singly<'_, V> {
    fn event<E: Event>(&mut self)
    where
        V: Reads<E>,
    {
        let index = E::TYPES.iter().position(|ty| ty.name == self.event.name);
        if let Some(index) = index.filter(|index| V::wants(*index))
            && let Ok(event) = E::upcast(index, self.event.version, &self.event.payload)
        {
            // What a fault leaves out shows in the rows: the engine has folded every event.
            let _ = self.table.take_one::<E>(&event.borrowed(), &self.meta);
        }
    }
    fn view<U: RowSource>(&mut self)
    where
        V: Reads<U>,
    {
    }
}

fn compare<V: Projection + Debug>(
    what: &str,
    sides: [&str; 2],
    left: &[V],
    right: &[V],
) -> Result<(), String> {
    let texts = |rows: &[V]| rows.iter().map(RowText::of).collect::<Vec<_>>();
    let same = |l: usize, r: usize| left[l].same(&right[r]);
    // Rows are many, and mostly alike: then no text is made of them.
    let alike = left.len() == right.len() && (0..left.len()).all(|at| same(at, at));
    if alike {
        return Ok(());
    }
    match diff::rows(sides, &texts(left), &texts(right), same) {
        None => Ok(()),
        Some(differences) => Err(format!("`{}`: {what}: {differences}\n{REMEDY}", V::RUST_NAME)),
    }
}

fn close(engine: &Engine) -> Result<(), String> {
    engine.close().wait().map_err(|error| error.to_string())
}

/// Events appended in pieces.
struct Round {
    random: Random,
    store: MemoryStore,
    /// What has been done, for a person to read.
    done: Vec<String>,
}

impl Round {
    /// An engine whose first checkpoint, which it saves by itself, is saved: so what was saved last is what was asked for, and a seed repeats it.
    fn open<V: Projection>(&self) -> Result<Engine, String> {
        let engine = log::open::<V>(&self.store, &[], Timestamp::UNIX_EPOCH)?;
        engine.checkpoint().wait().map_err(|error| error.to_string())?;
        Ok(engine)
    }

    fn run<V: Projection + Debug>(&mut self, events: &[NewEvent]) -> Result<(), String> {
        let mut engine = self.open::<V>()?;
        let mut left = events;
        while !left.is_empty() {
            let most = self.random.below(left.len().min(events.len().div_ceil(4)));
            let (batch, rest) = left.split_at(most + 1);
            left = rest;
            self.append(&engine, batch)?;
            match self.random.below(8) {
                0 => {
                    self.done.push("checkpoint".into());
                    engine.checkpoint().wait().map_err(|error| error.to_string())?;
                }
                1 | 2 => engine = self.restart::<V>(&engine, "restart", |_, _| {})?,
                3 => {
                    let what = "restart from the checkpoint before";
                    engine = self.restart::<V>(&engine, what, |store, before| store.put_back(before))?;
                }
                4 => {
                    let forget = |store: &MemoryStore, _| store.put_back(MemoryStore::new().kept());
                    engine = self.restart::<V>(&engine, "restart without a checkpoint", forget)?;
                }
                _ => {}
            }
        }
        let in_pieces = log::rows::<V>(&engine)?;
        // The very log, with the times at which it was recorded.
        let in_one_go = fold::<V>(&log::read(&self.store)?)?;
        let what = "events that are appended bit by bit make other rows than all in one go";
        compare(what, ["in one go", "bit by bit"], &in_one_go, &in_pieces)
    }

    /// Appends events: all at once, or one after the other without waiting for the view.
    fn append(&mut self, engine: &Engine, events: &[NewEvent]) -> Result<(), String> {
        let singly = self.random.below(2) == 0;
        let mut text = String::new();
        let _ = write!(text, "append {}", events.len());
        if singly && events.len() > 1 {
            text.push_str(" one by one");
            for event in events {
                engine.append(event.clone()).durable().wait().map_err(|error| error.to_string())?;
            }
        }
        self.done.push(text);
        // With none to append, it is a wait for what came before.
        let whole = if singly && events.len() > 1 { &[] } else { events };
        engine.append_all(whole.iter().cloned()).wait().map_err(|error| error.to_string())?;
        Ok(())
    }

    /// Closes the engine and starts another, which has to show the same rows. `lose` gets the checkpoints that were there before the close.
    fn restart<V: Projection + Debug>(
        &mut self,
        engine: &Engine,
        what: &str,
        lose: impl FnOnce(&MemoryStore, crate::store::KeptCheckpoints),
    ) -> Result<Engine, String> {
        self.done.push(what.into());
        let before = log::rows::<V>(engine)?;
        let kept = self.store.kept();
        close(engine)?;
        lose(&self.store, kept);
        let engine = self.open::<V>()?;
        let what = format!("after a {what} it has other rows");
        compare(&what, ["before", "after"], &before, &log::rows::<V>(&engine)?)?;
        Ok(engine)
    }
}

/// SplitMix64: random enough to cut by, and the same on every machine.
struct Random(u64);

impl Random {
    /// A number below this one, which is not 0.
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) % limit as u64) as usize
    }
}

#[cfg(test)]
mod tests;
