//! Reactions for the tests that kill a process, cut the power and fail the disk: what follows from the bookings of orders, and what has to hold of it whatever
//! happened.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cqrs_core::prelude::*;
use cqrs_core::{Builder, ReactError, ReactOptions, Reaction, RetryError, StoreFailure};

use crate::bank::{Booked, Purse};

/// Emitted for each booking.
#[event]
#[derive(Debug, Clone, PartialEq)]
pub struct Echoed {
    /// Where the booking is.
    pub of: u64,
}

/// What else follows: of each echo, of a command for each order, of each booking in the end.
#[event]
#[derive(Debug, Clone, PartialEq)]
pub struct Followed {
    /// The reaction.
    pub by: String,
    /// Where the event is that it follows.
    pub of: u64,
    /// Which of its command's events it is.
    pub part: u32,
    /// How many the command has.
    pub parts: u32,
}

/// Bookings, and what follows from them.
#[event]
#[derive(Debug, Clone, PartialEq)]
pub enum Trace {
    /// What they follow.
    Booked(Booked),
    /// For each.
    Echoed(Echoed),
    /// And so on.
    Followed(Followed),
}

/// Has an engine know the events.
pub fn events(builder: Builder) -> Builder {
    builder.event::<Trace>()
}

/// The reactions: one emits, one executes commands, one follows what the first emits, one fails for some events, and one has an effect outside of the store.
pub const NAMES: [&str; 5] = ["echo", "order", "chain", "mend", "tell"];
const ECHO: usize = 0;
const ORDER: usize = 1;
const CHAIN: usize = 2;
const MEND: usize = 3;
const TELL: usize = 4;

/// How much may be done that is not stored yet.
pub const UNSTORED: usize = 256;

/// Whether `mend` fails for it, unless it works.
fn fails(booked: &Booked) -> bool {
    (u64::from(booked.worker) + booked.step * 3 + u64::from(booked.part)).is_multiple_of(16)
}

/// For the first booking of an order. How much it emits rests on what others write, so that it would be something else if it were decided again.
struct Follow(u64);

impl Command for Follow {
    type Refusal = ();

    fn decide(&self, tx: &mut Tx) -> Result<(), ()> {
        let parts = 1 + tx.get::<Purse>((0, 0)).map_or(0, |row| (row.position % 2) as u32);
        let by = || "order".into();
        (0..parts).for_each(|part| tx.emit(Followed { by: by(), of: self.0, part, parts }));
        Ok(())
    }
}

fn followed(by: &str, of: u64) -> Followed {
    Followed { by: by.into(), of, part: 0, parts: 1 }
}

/// The reactions, as they run.
#[derive(Debug)]
pub struct Followers {
    reactions: Vec<Reaction>,
    works: Arc<AtomicBool>,
}

impl Followers {
    /// Begins them. What has an effect outside of the store is called with the booking's position.
    ///
    /// # Errors
    ///
    /// If one does not begin.
    pub fn begin(engine: &Engine, mut tell: impl FnMut(u64) + Send + 'static) -> Result<Self, ReactError> {
        let (works, options) = (Arc::new(AtomicBool::new(false)), ReactOptions::new());
        let quick = options.backoff(Duration::from_micros(50), Duration::from_millis(1));
        let echo = engine.react_with::<Booked>("echo", Since::Beginning, quick, |event| {
            event.emit(Echoed { of: event.position() });
            Ok(())
        })?;
        // A disk that fails for a moment is no reason to park.
        let patient = quick.attempts(200);
        let order = engine.react_with::<Booked>("order", Since::Beginning, patient, |event| {
            if event.part > 0 {
                return Ok(());
            }
            match event.execute(Follow(event.position())).wait() {
                Ok(receipt) if (1..=2).contains(&receipt.len()) => Ok(()),
                answer => Err(format!("{answer:?}").into()),
            }
        })?;
        let chain = engine.react_with::<Echoed>("chain", Since::Beginning, quick, |event| {
            event.emit(followed("chain", event.position()));
            Ok(())
        })?;
        let mended = works.clone();
        let mend =
            engine.react_with::<Booked>("mend", Since::Beginning, quick.attempts(2), move |event| {
                event.emit(followed("mend", event.position()));
                if fails(event) && !mended.load(Ordering::SeqCst) {
                    Err("it is one of those".into())
                } else {
                    Ok(())
                }
            })?;
        let tell = engine.react_with::<Booked>("tell", Since::Beginning, quick, move |event| {
            tell(event.position());
            Ok(())
        })?;
        Ok(Self { reactions: vec![echo, order, chain, mend, tell], works })
    }

    /// Everything up to here is handled, they say.
    #[must_use]
    pub fn positions(&self) -> [u64; 5] {
        std::array::from_fn(|n| self.reactions[n].position())
    }

    /// Waits until everything is handled that is in the log.
    ///
    /// # Errors
    ///
    /// Which is not.
    pub fn catch_up(&self, engine: &Engine) -> Result<(), String> {
        for reaction in &self.reactions {
            // For `chain`, after what `echo` emitted.
            let end = engine.append_all::<Booked>([]).wait().map_err(|error| error.to_string())?;
            match reaction.wait_for(&end, Duration::from_secs(30)).wait() {
                Ok(Reached::Reached) if reaction.position() >= end.last => {}
                found => {
                    return Err(format!("{}: {found:?}, {:?}", reaction.name(), engine.health().reactions));
                }
            }
        }
        Ok(())
    }

    /// Has what is parked handled by a handler that works; answers whether nothing is parked then.
    ///
    /// # Errors
    ///
    /// If it was not tried.
    pub fn mend(&self) -> Result<bool, RetryError> {
        self.works.store(true, Ordering::SeqCst);
        let parked = self.reactions[MEND].retry_all().wait();
        self.works.store(false, Ordering::SeqCst);
        Ok(parked?.is_empty())
    }
}

/// What a plain loop makes of the log: bookings, and what followed.
#[derive(Debug, Default)]
pub struct Trail {
    read: u64,
    /// Where bookings are, whether they are the first of an order, and whether `mend` fails for them.
    booked: Vec<(u64, bool, bool)>,
    /// Where echoes are, and of what.
    echoed: Vec<(u64, u64)>,
    /// By reaction: of what follows, what it follows, in the log's order.
    of: [Vec<u64>; 5],
    mended: BTreeSet<u64>,
    /// How far the reactions are, as the store has it.
    stored: [u64; 5],
    told: Told,
}

/// What was done outside of the store, as far as it was looked at.
#[derive(Debug, Default)]
struct Told {
    run: u64,
    /// The next booking that was never told.
    next: usize,
    /// Whether all of it was stored, so that nothing may be told again.
    stored: bool,
}

impl Trail {
    /// Reads on. What follows is said to be caused by what it follows, has an id of that, and the events of a command are together.
    ///
    /// # Errors
    ///
    /// What is wrong in itself.
    pub fn read(&mut self, engine: &Engine) -> Result<(), String> {
        let mut events = engine.events::<Trace>(self.read + 1).until_head();
        let mut rest = None;
        while let Some(recorded) = events.next().wait() {
            let recorded = recorded.map_err(|error| error.to_string())?;
            let position = recorded.position;
            let (by, of, part, parts) = match &recorded.event {
                Trace::Booked(booked) => {
                    self.booked.push((position, booked.part == 0, fails(booked)));
                    (TELL, 0, 0, 1)
                }
                Trace::Echoed(Echoed { of }) => (ECHO, *of, 0, 1),
                Trace::Followed(Followed { by, of, part, parts }) => {
                    let by = NAMES.iter().position(|name| name == by).ok_or("by whom?")?;
                    (by, *of, *part, *parts)
                }
            };
            if rest.take().is_some_and(|rest| rest != (position, by, of, part, parts)) {
                return Err(format!("the command before {position} is torn: {recorded:?}"));
            }
            if by == TELL {
                continue;
            }
            if !self.is_caused(&recorded, by, of, part) {
                return Err(format!("it does not say what it follows, or follows nothing: {recorded:?}"));
            }
            match by {
                ECHO => self.echoed.push((position, of)),
                ORDER if part + 1 < parts => rest = Some((position + 1, by, of, part + 1, parts)),
                MEND if !self.mended.insert(of) => return Err(format!("mended twice: {recorded:?}")),
                _ => {}
            }
            if part == 0 {
                self.of[by].push(of);
            }
        }
        self.read = engine.health().position;
        if rest.is_some() { Err(format!("the last command is torn: {rest:?}")) } else { Ok(()) }
    }

    fn is_caused(&self, recorded: &RecordedEvent<Trace>, by: usize, of: u64, part: u32) -> bool {
        let id = if by == ORDER { format!("{of}/0/{part}") } else { format!("{of}/0") };
        let there = |position: u64| self.booked.binary_search_by_key(&position, |booked| booked.0).is_ok();
        let origin = if by == CHAIN {
            let echo = self.echoed.binary_search_by_key(&of, |echo| echo.0);
            // The echo has an id, and follows from a booking itself.
            echo.map(|at| self.echoed[at].1)
                .map(|first| (format!("@{first}"), format!("@react/echo/{first}/0")))
        } else if there(of) {
            Ok((format!("@{of}"), format!("@{of}")))
        } else {
            return false;
        };
        let said = &recorded.metadata;
        let found = (said.correlation_id.clone(), said.causation_id.clone());
        recorded.event_id == Some(format!("@react/{}/{id}", NAMES[by]))
            && origin.is_ok_and(|(correlation, cause)| found == (Some(correlation), Some(cause)))
    }

    /// While no reaction runs: what follows is there for all that is handled, as the store has it, and for nothing else; and as far as they
    /// said that it is, everything is handled.
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub fn stored(&mut self, engine: &Engine, said: [u64; 5]) -> Result<(), String> {
        let failed = |failure: StoreFailure| failure.to_string();
        let booked: Vec<u64> = self.booked.iter().map(|booked| booked.0).collect();
        let firsts: Vec<u64> = self.booked.iter().filter(|booked| booked.1).map(|booked| booked.0).collect();
        let echoed: Vec<u64> = self.echoed.iter().map(|echo| echo.0).collect();
        for (by, name) in (0..).zip(NAMES) {
            let stored = engine.source(&format!("@react/{name}")).map_err(failed)?.unwrap_or(0);
            let before = std::mem::replace(&mut self.stored[by], stored);
            if stored < before || stored > self.read {
                return Err(format!("{name} was at {before} before, and is at {stored} of {}", self.read));
            }
            let from = [&booked, &firsts, &echoed, &booked, &booked][by];
            let (handled, rest) = from.split_at(from.partition_point(|at| *at <= stored));
            if rest.first().is_some_and(|at| *at <= said[by]) {
                return Err(format!("{name} said that it was at {}, and is at {stored}", said[by]));
            }
            let parked: Vec<u64> =
                engine.parked(name).map_err(failed)?.iter().map(|parked| parked.position).collect();
            let found = &self.of[by];
            let holds = parked.is_empty() || by == MEND;
            let holds = holds
                && match by {
                    ECHO | CHAIN => found == handled,
                    // A command that is there was executed, and its reaction may not have said so yet.
                    ORDER => {
                        found.starts_with(handled)
                            && from.starts_with(found)
                            && found.len() <= handled.len() + UNSTORED
                    }
                    MEND => self.is_mended(stored, &parked),
                    _ => true,
                };
            if !holds {
                return Err(format!(
                    "{name} is at {stored}, has parked {parked:?}, and what follows is there of {:?}, and not of {:?}",
                    &found[found.len().saturating_sub(300)..],
                    &handled[handled.len().saturating_sub(300)..]
                ));
            }
        }
        Ok(())
    }

    /// Everything up to here was mended in the log's order or, where that failed, is parked or was mended later.
    fn is_mended(&self, stored: u64, parked: &[u64]) -> bool {
        let handled = || self.booked.iter().filter(|booked| booked.0 <= stored);
        let failing: BTreeSet<u64> = handled().filter(|booked| booked.2).map(|booked| booked.0).collect();
        let others = handled().filter(|booked| !booked.2).map(|booked| booked.0);
        let late: BTreeSet<u64> = self.mended.intersection(&failing).chain(parked).copied().collect();
        let at_once = self.of[MEND].iter().copied().filter(|of| !failing.contains(of));
        others.eq(at_once) && late == failing && parked.iter().all(|position| !self.mended.contains(position))
    }

    /// Something was done outside of the store: in the log's order, and again only after a restart, for as many bookings as may be done that are not stored.
    ///
    /// # Errors
    ///
    /// If it was left out, or done again.
    pub fn told(&mut self, run: u64, position: u64) -> Result<(), String> {
        let found = self.booked.binary_search_by_key(&position, |booked| booked.0);
        let at = found.map_err(|_| format!("told of {position}, and no booking is there"))?;
        let Told { run: before, next, stored } = self.told;
        let again = if run == before || stored { 0 } else { UNSTORED };
        if at > next || at + again < next {
            return Err(format!("run {run} told of booking {at}, after run {before} had come to {next}"));
        }
        // One that is told again brings the others after it.
        self.told = Told { run, next: at + 1, stored: false };
        Ok(())
    }

    /// Everything was told that is handled, as the store has it.
    ///
    /// # Errors
    ///
    /// If not.
    pub fn all_told(&self) -> Result<(), String> {
        let handled = self.booked.partition_point(|booked| booked.0 <= self.stored[TELL]);
        if handled <= self.told.next {
            return Ok(());
        }
        Err(format!("{} are told, and {handled} are handled", self.told.next))
    }

    /// Nothing may be told again: what was told is stored.
    pub fn all_stored(&mut self) {
        self.told.stored = true;
    }

    /// What was told is of bookings that are there; and of all those after a position that are handled, as the store has it.
    ///
    /// # Errors
    ///
    /// What is not.
    pub fn were_told(&self, told: &BTreeSet<u64>, after: u64) -> Result<(), String> {
        let booked: BTreeSet<u64> = self.booked.iter().map(|booked| booked.0).collect();
        if let Some(position) = told.difference(&booked).next() {
            return Err(format!("told of {position}, and no booking is there"));
        }
        let handled = booked.range(..=self.stored[TELL]).filter(|position| **position > after);
        match handled.clone().find(|position| !told.contains(position)) {
            Some(position) => Err(format!("not told of {position}, and at {}", self.stored[TELL])),
            None => Ok(()),
        }
    }

    /// Begins the reactions, and waits until they have caught up: everything holds before, and of everything there is afterwards.
    ///
    /// # Errors
    ///
    /// What does not.
    pub fn caught_up(
        &mut self,
        engine: &Engine,
        said: [u64; 5],
        tell: impl FnMut(u64) + Send + 'static,
    ) -> Result<Followers, String> {
        self.read(engine)?;
        self.stored(engine, said)?;
        let followers = Followers::begin(engine, tell).map_err(|error| error.to_string())?;
        followers.catch_up(engine)?;
        self.read(engine)?;
        self.stored(engine, [u64::MAX; 5])?;
        Ok(followers)
    }

    /// Has what is parked handled: each exactly once, and nothing is parked then.
    ///
    /// # Errors
    ///
    /// If it is not.
    pub fn mended(&mut self, engine: &Engine, followers: &Followers) -> Result<(), String> {
        let mended = followers.mend().map_err(|error| error.to_string())?;
        self.read(engine)?;
        self.stored(engine, [u64::MAX; 5])?;
        if mended && self.mended.len() == self.booked.len() {
            Ok(())
        } else {
            Err("something is parked yet".into())
        }
    }

    /// How many bookings were followed, and of how many of them handling failed.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.booked.len(), self.booked.iter().filter(|booked| booked.2).count())
    }
}
