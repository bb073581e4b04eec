//! A small shop: what happens in it, what is known of it, and what is decided.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use cqrs_core::prelude::*;
use cqrs_core::{Builder, FeedItem};

/// Pieces that come, or go by themselves.
#[event]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stocked {
    pub(crate) item: u8,
    pub(crate) qty: i64,
    pub(crate) tag: u64,
}

impl Stocked {
    /// Tags from here on are of another writer.
    pub(crate) const FOREIGN: u64 = 1 << 48;
}

/// Pieces that come from elsewhere, by way of a source.
#[event]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fed {
    pub(crate) source: u8,
    pub(crate) offset: u64,
    pub(crate) item: u8,
    pub(crate) qty: i64,
}

/// Pieces that are promised: part 0 or 1 of an order.
#[event]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reserved {
    pub(crate) order: u64,
    pub(crate) part: u8,
    pub(crate) item: u8,
    pub(crate) qty: i64,
}

/// What one reaction makes of a [`Reserved`].
#[event]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Followed {
    pub(crate) order: u64,
    pub(crate) of: u64,
}

/// What another makes of a [`Followed`], by a command.
#[event]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Billed {
    pub(crate) order: u64,
    pub(crate) of: u64,
}

/// A reading, with a time of its own, in seconds.
#[event]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sensed {
    pub(crate) sensor: u8,
    pub(crate) at: i64,
    pub(crate) value: i64,
    pub(crate) tag: u64,
}

/// A payment that may not be understood at first.
#[event]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Paid {
    pub(crate) story: u64,
    pub(crate) customer: u8,
    pub(crate) amount: i64,
    pub(crate) tag: u64,
}

#[projection(from(Stocked, Fed, Reserved), group_by = item, having = free != 0)]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stock {
    pub(crate) item: u8,
    #[sum(Stocked => qty, Fed => qty, Reserved => -qty)]
    pub(crate) free: i64,
    #[count]
    pub(crate) events: u64,
    #[last(meta.position)]
    pub(crate) position: u64,
    #[last(meta.recorded_at)]
    pub(crate) at: Timestamp,
}

/// Over a view.
#[projection(from = Stock, group_by = (deep = free >= 10))]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Depth {
    pub(crate) deep: bool,
    #[count]
    pub(crate) items: u64,
    #[sum(free)]
    pub(crate) free: i64,
}

#[projection(from(Reserved, Followed, Billed), group_by = order)]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Order {
    pub(crate) order: u64,
    #[count(Reserved)]
    pub(crate) parts: u64,
    #[count(Followed)]
    pub(crate) followed: u64,
    #[count(Billed)]
    pub(crate) billed: u64,
}

#[projection(
    from = Sensed, group_by = sensor, window = tumbling(at, "10s"), unit = "s", lateness = "5s", keep = "40s"
)]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Minute {
    pub(crate) sensor: u8,
    pub(crate) window_start: i64,
    #[count]
    pub(crate) readings: u64,
    #[sum(value)]
    pub(crate) value: i64,
}

#[projection(from = Paid, group_by = customer, on_fault = park)]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Account {
    pub(crate) customer: u8,
    #[sum(understood(story, amount))]
    pub(crate) balance: i64,
    #[count]
    pub(crate) payments: u64,
}

/// What nobody understands, until it is explained.
pub(crate) const RIDDLE: i64 = 13;

/// The stories in which it is.
static EXPLAINED: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());

pub(crate) fn explain(story: u64, explained: bool) {
    let mut stories = EXPLAINED.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = if explained { stories.insert(story) } else { stories.remove(&story) };
}

fn understood(story: u64, amount: i64) -> i64 {
    // A panic that nobody prints: thousands of these are no news.
    if amount == RIDDLE && !EXPLAINED.lock().unwrap_or_else(PoisonError::into_inner).contains(&story) {
        std::panic::resume_unwind(Box::new("a riddle"));
    }
    amount
}

/// Why an order is refused.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct OutOfStock {
    pub(crate) free: i64,
}

/// An order for pieces, in one part or two.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reserve {
    pub(crate) order: u64,
    pub(crate) item: u8,
    pub(crate) qty: i64,
}

impl Reserve {
    /// What it emits, if it is accepted.
    pub(crate) fn events(&self) -> Vec<Reserved> {
        let Self { order, item, qty } = *self;
        let halves = if qty > 3 { vec![qty / 2, qty - qty / 2] } else { vec![qty] };
        (0..).zip(halves).map(|(part, qty)| Reserved { order, part, item, qty }).collect()
    }
}

impl Command for Reserve {
    type Refusal = OutOfStock;
    fn decide(&self, tx: &mut Tx) -> Result<(), OutOfStock> {
        let free = tx.get::<Stock>(self.item).map_or(0, |stock| stock.free);
        if free < self.qty {
            return Err(OutOfStock { free });
        }
        self.events().into_iter().for_each(|event| tx.emit(event));
        Ok(())
    }
}

/// Bills an order that was followed.
pub(crate) struct Bill {
    pub(crate) order: u64,
    pub(crate) of: u64,
}

impl Command for Bill {
    type Refusal = std::convert::Infallible;
    fn decide(&self, tx: &mut Tx) -> Result<(), Self::Refusal> {
        tx.emit(Billed { order: self.order, of: self.of });
        Ok(())
    }
}

/// The item of a source at an offset: the same whenever it is asked.
pub(crate) fn item_of(source: u8, offset: u64) -> FeedItem {
    if offset % 7 == 3 {
        return FeedItem::nothing(offset);
    }
    let qty = 1 + ((offset * 5 + u64::from(source)) % 4) as i64;
    FeedItem::new(offset, Fed { source, offset, item: (offset % 3) as u8, qty })
}

/// How many items there are.
pub(crate) const ITEMS: u64 = 3;

pub(crate) fn views(builder: Builder) -> Builder {
    builder.view::<Stock>().view::<Depth>().view::<Order>().view::<Minute>().view::<Account>()
}
