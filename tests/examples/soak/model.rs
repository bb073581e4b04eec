//! What happens here, and the views of it. What there is a row of is bounded, so that memory has no reason to grow.

use std::sync::atomic::{AtomicBool, Ordering};

use cqrs_core::prelude::*;

pub(crate) const ACCOUNTS: u32 = 10_000;
pub(crate) const CUSTOMERS: u64 = 500;
pub(crate) const ITEMS: u64 = 100;
/// A customer who cannot be read.
const BLOT: u32 = u32::MAX;
const SECOND: i64 = 1_000;

/// What shops report: item number `offset` of the source.
#[event]
#[derive(Debug)]
pub(crate) struct Sold {
    pub(crate) offset: u64,
    pub(crate) customer: String,
    pub(crate) item: String,
    pub(crate) qty: i64,
    pub(crate) at: i64,
}

impl Sold {
    /// The same whenever the source is asked.
    pub(crate) fn of(offset: u64) -> Self {
        let customer = format!("customer-{:06}", offset % CUSTOMERS);
        let item = format!("item-{:04}", offset / CUSTOMERS % ITEMS);
        Self { offset, customer, item, qty: 1 + (offset % 5) as i64, at: offset as i64 * SECOND }
    }
}

/// Money that comes to an account, or goes.
#[event]
#[derive(Debug)]
pub(crate) struct Booked {
    pub(crate) account: u32,
    pub(crate) amount: i64,
}

/// A reaction's answer to money that came.
#[event]
#[derive(Debug)]
pub(crate) struct Thanked {
    pub(crate) account: u32,
}

/// Somebody looked at an item.
#[event]
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) item: u32,
    pub(crate) customer: u32,
    pub(crate) at: i64,
}

impl Seen {
    pub(crate) fn of(number: u64) -> Self {
        let customer = if number % 5_000 == 4_999 { BLOT } else { (number / ITEMS % CUSTOMERS) as u32 };
        Self { item: (number % ITEMS) as u32, customer, at: number as i64 }
    }
}

/// What makes every row that there will be.
pub(crate) fn beginning() -> impl Iterator<Item = NewEvent> {
    let accounts = (0..ACCOUNTS).map(|account| NewEvent::of(&Booked { account, amount: 0 }));
    accounts.chain((0..ITEMS * CUSTOMERS).map(|number| NewEvent::of(&Seen::of(number))))
}

#[projection(from = Sold, group_by = (customer, item))]
#[derive(Debug, Clone)]
pub(crate) struct Sales {
    pub(crate) customer: String,
    pub(crate) item: String,
    #[sum(qty)]
    pub(crate) qty: i64,
    #[count]
    pub(crate) sales: u64,
}

/// A view over a view.
#[projection(from = Sales, group_by = item, index(qty))]
#[derive(Debug, Clone)]
pub(crate) struct Items {
    pub(crate) item: String,
    #[sum(qty)]
    pub(crate) qty: i64,
    #[count]
    pub(crate) customers: u64,
}

/// Rows come and go for ever.
#[projection(from = Sold, group_by = item, window = tumbling(at, "10m"), unit = "ms", keep = "2h")]
#[derive(Debug, Clone)]
pub(crate) struct Lately {
    pub(crate) item: String,
    pub(crate) window_start: i64,
    #[sum(qty)]
    pub(crate) qty: i64,
}

#[projection(from = Booked, group_by = account)]
#[derive(Debug, Clone)]
pub(crate) struct Balance {
    pub(crate) account: u32,
    #[sum(amount)]
    pub(crate) amount: i64,
}

/// One in a thousand cannot be folded, until it is.
#[projection(from = Seen, group_by = item, on_fault = park)]
#[derive(Debug, Clone)]
pub(crate) struct Attention {
    pub(crate) item: u32,
    #[count]
    pub(crate) times: u64,
    #[count_distinct(legible(customer))]
    pub(crate) customers: u64,
    #[last(at)]
    pub(crate) last: i64,
}

pub(crate) const ILLEGIBLE: &str = "nobody can read that";

/// Whether [`legible`] reads everything.
pub(crate) static MENDED: AtomicBool = AtomicBool::new(false);

fn legible(customer: u32) -> u32 {
    assert!(customer != BLOT || MENDED.load(Ordering::Relaxed), "{ILLEGIBLE}");
    customer
}

/// What moves money, if it is there.
#[derive(Debug)]
pub(crate) struct Move {
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) amount: i64,
}

/// So much is missing.
#[derive(Debug)]
pub(crate) struct Missing(#[allow(dead_code)] i64);

impl Command for Move {
    type Refusal = Missing;

    fn decide(&self, tx: &mut Tx) -> Result<(), Missing> {
        let balance = tx.get::<Balance>(self.from).map_or(0, |row| row.amount);
        // Everyone may owe a thousand, so that there is something to move.
        if balance + 1_000 < self.amount {
            return Err(Missing(self.amount - balance));
        }
        tx.emit(Booked { account: self.from, amount: -self.amount });
        tx.emit(Booked { account: self.to, amount: self.amount });
        Ok(())
    }
}
