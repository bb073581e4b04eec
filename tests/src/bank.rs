//! Decisions for the tests that kill a process, cut the power and fail the disk: orders on a few accounts that everybody draws on, and what has to hold
//! of them whatever happened.
//!
//! What an order emits, if it is accepted, depends on its worker and step only, so that it is recognised in a log. Whether it is accepted depends on what the others have
//! left.

use std::collections::BTreeMap;

use cqrs_core::prelude::*;
use cqrs_core::{Builder, Decide};

/// Money that comes to an account, or goes; or pieces, if its owner is a shelf.
#[event]
#[derive(Debug, Clone, PartialEq)]
pub struct Booked {
    /// Who gave the order, and in which step.
    pub worker: u32,
    /// See `worker`.
    pub step: u64,
    /// Which of the order's events it is.
    pub part: u32,
    /// How many the order has.
    pub of: u32,
    /// Who owns the purse.
    pub owner: u8,
    /// Which purse of the owner's.
    pub purse: u8,
    /// What comes.
    pub amount: i64,
}

/// A purse may be in debt, if its owner is not.
#[projection(from = Booked, group_by = (owner, purse))]
#[derive(Debug, Clone, PartialEq)]
pub struct Purse {
    owner: u8,
    purse: u8,
    #[sum(amount)]
    amount: i64,
    #[max(meta.position)]
    pub(crate) position: u64,
}

/// What is never below zero.
#[projection(from = Purse, group_by = owner)]
#[derive(Debug, Clone, PartialEq)]
pub struct Owner {
    owner: u8,
    #[sum(amount)]
    amount: i64,
}

/// Has an engine keep what orders read, and know what follows from them.
pub fn views(builder: Builder) -> Builder {
    crate::follow::events(builder.view::<Purse>().view::<Owner>())
}

/// Who gives the order that fills the purses: again and again, under its key.
pub const OPENER: u32 = 2_000_000;
/// Workers from here on send their orders without a key.
pub const KEYLESS: u32 = 1_000_000;

fn is_keyed(worker: u32) -> bool {
    worker < KEYLESS || worker == OPENER
}

/// From here on, owners are shelves.
const SHELF: u8 = 100;
const PURSES: u8 = 2;
const PEOPLE: u8 = 3;
const FILLED: i64 = 100;
/// Of all people, from when the purses are filled.
const TOTAL: i64 = FILLED * PEOPLE as i64 * PURSES as i64;

/// What a worker orders in a step.
#[derive(Debug)]
pub struct Order {
    worker: u32,
    step: u64,
    events: Vec<Booked>,
}

/// Why an order is refused: so much is missing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Refused(pub i64);

impl Order {
    /// The same whenever it is asked.
    #[must_use]
    pub fn of(worker: u32, step: u64) -> Self {
        let mut seed = u64::from(worker) << 40 | step;
        // SplitMix64.
        let mut below = |end: u8| {
            seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) % u64::from(end)) as u8
        };
        let (owner, purse, shelf) = (below(PEOPLE), below(PURSES), SHELF + below(2));
        let amount = 1 + i64::from(below(120));
        let pieces = 1 + i64::from(below(9));
        let others = |count: u8| (1..=count).map(move |n| ((owner + n) % PEOPLE, (purse + n) % PURSES));
        let bookings: Vec<(u8, u8, i64)> = match below(8) {
            _ if worker == OPENER => {
                let purses = (0..PEOPLE).flat_map(|owner| (0..PURSES).map(move |purse| (owner, purse)));
                purses.map(|(owner, purse)| (owner, purse, FILLED)).collect()
            }
            0 => Vec::new(),
            1 => vec![(shelf, 0, pieces)],
            2 | 3 => vec![(shelf, 0, -pieces)],
            4 => {
                let shares = others(3).map(|(owner, purse)| (owner, purse, amount));
                [(owner, purse, -3 * amount)].into_iter().chain(shares).collect()
            }
            _ => {
                let comes = others(1).map(|(owner, purse)| (owner, purse, amount));
                [(owner, purse, -amount)].into_iter().chain(comes).collect()
            }
        };
        let of = bookings.len() as u32;
        let booked = |(part, (owner, purse, amount))| Booked { worker, step, part, of, owner, purse, amount };
        Self { worker, step, events: (0..).zip(bookings).map(booked).collect() }
    }

    /// What it emits, if it is accepted: nothing, if it only looks.
    #[must_use]
    pub fn events(&self) -> &[Booked] {
        &self.events
    }

    /// Sends it: under its key, unless its worker has none.
    pub fn send(self, engine: &Engine) -> Decide<Refused> {
        if !is_keyed(self.worker) {
            return engine.decide(move |tx| self.decide(tx));
        }
        let key = self.key();
        engine.execute(self).key(key)
    }

    fn key(&self) -> String {
        format!("{}/{}", self.worker, self.step)
    }
}

impl Command for Order {
    type Refusal = Refused;

    fn decide(&self, tx: &mut Tx) -> Result<(), Refused> {
        let Some(first) = self.events.first() else {
            let _ = tx.get::<Purse>((0, 0));
            return Ok(());
        };
        let owner = first.owner;
        if first.amount < 0 {
            // Whichever way it reads, it rests on all purses of the owner.
            let has: i64 = match self.step % 3 {
                0 => tx.rows_of::<Purse, _>(owner).map(|row| row.amount).sum(),
                1 => tx.get::<Owner>(owner).map_or(0, |row| row.amount),
                _ => tx.rows::<Purse>().filter(|row| row.owner == owner).map(|row| row.amount).sum(),
            };
            if has + first.amount < 0 {
                return Err(Refused(-first.amount - has));
            }
        }
        self.events.iter().for_each(|event| tx.emit(event.clone()));
        Ok(())
    }
}

/// Asks for what is known under the key of a command of this name, and does nothing.
struct Asked(&'static str);

impl Command for Asked {
    type Refusal = ();

    fn decide(&self, _: &mut Tx) -> Result<(), ()> {
        Err(())
    }

    fn name(&self) -> &'static str {
        self.0
    }
}

/// The first and last position of the receipt that a command's key answers with.
///
/// # Errors
///
/// If it cannot be asked for.
pub fn kept(engine: &Engine, name: &'static str, key: String) -> Result<Option<(u64, u64)>, String> {
    match engine.execute(Asked(name)).key(&*key).wait() {
        Ok(receipt) => Ok(Some((receipt.first, receipt.last))),
        Err(DecideError::Refused(())) => Ok(None),
        Err(error) => Err(format!("{name}/{key} cannot be asked for: {error:?}")),
    }
}

/// What holds at every position, as the views have it.
///
/// # Errors
///
/// What does not hold.
pub fn sound(engine: &Engine) -> Result<(), String> {
    let rows = engine.view::<Purse>().rows().map_err(|error| error.to_string())?;
    let mut owners: BTreeMap<u8, i64> = BTreeMap::new();
    rows.for_each(|row| *owners.entry(row.owner).or_default() += row.amount);
    balanced(&owners).map_err(|why| format!("in the view, {why}"))
}

/// Whether the view shows what an order did from this position on.
///
/// # Errors
///
/// What they do not show.
pub fn shown(engine: &Engine, order: &Order, first: u64) -> Result<(), String> {
    for (event, position) in order.events.iter().zip(first..) {
        let row =
            engine.view::<Purse>().get((event.owner, event.purse)).map_err(|error| error.to_string())?;
        if row.as_ref().is_none_or(|row| row.position < position) {
            return Err(format!("{event:?} was acknowledged at {position}, and the view has {row:?}"));
        }
    }
    Ok(())
}

/// Nobody owes, and people have what they had when the purses were filled.
fn balanced(owners: &BTreeMap<u8, i64>) -> Result<(), String> {
    if let Some((owner, amount)) = owners.iter().find(|(_, amount)| **amount < 0) {
        return Err(format!("owner {owner} has {amount}"));
    }
    match owners.range(..SHELF).map(|(_, amount)| amount).sum() {
        0 | TOTAL => Ok(()),
        sum => Err(format!("people have {sum}, and not {TOTAL}: {owners:?}")),
    }
}

/// What was answered to an order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Answer {
    /// Its first and last position.
    Accepted(u64, u64),
    /// Nothing happened.
    Refused,
}

impl Answer {
    /// Of a decision.
    ///
    /// # Errors
    ///
    /// If it could not be decided.
    pub fn of(said: Result<Receipt, DecideError<Refused>>) -> Result<Self, DecideError<Refused>> {
        match said {
            Ok(receipt) => Ok(Self::Accepted(receipt.first, receipt.last)),
            Err(DecideError::Refused(_)) => Ok(Self::Refused),
            Err(error) => Err(error),
        }
    }
}

/// What a plain loop makes of the log.
#[derive(Debug, Default)]
pub struct Books {
    purses: BTreeMap<(u8, u8), (i64, u64)>,
    owners: BTreeMap<u8, i64>,
    /// First and last position, by worker and step.
    orders: BTreeMap<(u32, u64), (u64, u64)>,
}

impl Books {
    /// Takes in what an order did, from this position on.
    ///
    /// # Errors
    ///
    /// If it is not what the order does, is there already, or should have been refused.
    pub fn enter(&mut self, first: u64, events: &[Booked]) -> Result<(), String> {
        let Some(Booked { worker, step, .. }) = events.first() else { return Ok(()) };
        if *events != Order::of(*worker, *step).events {
            return Err(format!("at {first}: torn: {events:?}"));
        }
        let last = first + events.len() as u64 - 1;
        if let Some(before) = self.orders.insert((*worker, *step), (first, last)) {
            return Err(format!("order {worker}/{step} is at {before:?}, and again at {first}"));
        }
        for (event, position) in events.iter().zip(first..) {
            let purse = self.purses.entry((event.owner, event.purse)).or_default();
            *purse = (purse.0 + event.amount, position);
            *self.owners.entry(event.owner).or_default() += event.amount;
        }
        balanced(&self.owners).map_err(|why| format!("since order {worker}/{step} at {first}, {why}"))
    }

    /// The log, and the store, have what was answered to an order.
    ///
    /// # Errors
    ///
    /// What is not as it was said to be.
    pub fn answered(&self, engine: &Engine, order: (u32, u64), answer: Answer) -> Result<(), String> {
        let (found, of) = (self.orders.get(&order).copied(), Order::of(order.0, order.1));
        let expected = match answer {
            Answer::Accepted(first, last) => Some((first, last)),
            Answer::Refused => None,
        };
        if found != expected.filter(|_| !of.events.is_empty()) {
            return Err(format!("order {order:?} was answered {answer:?}, and not there: {found:?}"));
        }
        if !is_keyed(order.0) {
            return Ok(());
        }
        match kept(engine, of.name(), of.key())? {
            kept if kept == expected => Ok(()),
            kept => Err(format!("order {order:?} was answered {answer:?}, and its key answers {kept:?}")),
        }
    }

    /// An order's key is known if and only if its events are there, and says where.
    ///
    /// # Errors
    ///
    /// Where one is without the other.
    pub fn together(&self, engine: &Engine, order: (u32, u64)) -> Result<(), String> {
        let of = Order::of(order.0, order.1);
        let found = self.orders.get(&order).copied();
        match kept(engine, of.name(), of.key())? {
            // It may have looked, or not.
            Some((first, last)) if of.events.is_empty() && last + 1 == first => Ok(()),
            kept if kept == found => Ok(()),
            kept => Err(format!("order {order:?} is at {found:?}, and its key answers {kept:?}")),
        }
    }

    /// The orders with events whose workers send them under keys.
    pub fn keyed(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        self.orders.keys().copied().filter(|(worker, _)| is_keyed(*worker))
    }

    /// The views are what the log makes them.
    ///
    /// # Errors
    ///
    /// Which is not.
    pub fn shown(&self, engine: &Engine) -> Result<(), String> {
        let mut purses: Vec<Purse> =
            engine.view::<Purse>().rows().map_err(|error| format!("Purse: {error}"))?.collect();
        purses.sort_by_key(|row| (row.owner, row.purse));
        let purse = |(&(owner, purse), &(amount, position))| Purse { owner, purse, amount, position };
        let expected: Vec<Purse> = self.purses.iter().map(purse).collect();
        if purses != expected {
            return Err(format!("Purse: {purses:?} and not {expected:?}"));
        }
        let mut owners: Vec<Owner> =
            engine.view::<Owner>().rows().map_err(|error| format!("Owner: {error}"))?.collect();
        owners.sort_by_key(|row| row.owner);
        let expected: Vec<Owner> =
            self.owners.iter().map(|(&owner, &amount)| Owner { owner, amount }).collect();
        if owners == expected { Ok(()) } else { Err(format!("Owner: {owners:?} and not {expected:?}")) }
    }
}
