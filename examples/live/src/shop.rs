//! The shop: what happens in it, what is shown of it, and what it refuses.

use cqrs_core::prelude::*;
use serde::{Deserialize, Serialize};

/// What happened. Each event says of which item, so whoever has seen a position can be told what has changed since.
#[event]
#[derive(Debug)]
pub enum Shop {
    Delivered { item: String, shelf: String, qty: u32, cents: u32 },
    Bought { item: String, customer: String, qty: u32, cents: u32 },
    Discontinued { item: String },
}

impl Shop {
    pub fn into_item(self) -> String {
        match self {
            Self::Delivered { item, .. } | Self::Bought { item, .. } | Self::Discontinued { item } => item,
        }
    }
}

/// The board: what everybody sees, and what purchases are decided by.
#[projection(from = Shop { Delivered, Bought, .. }, remove = Shop { Discontinued, .. }, group_by = item, index(shelf))]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Board {
    pub item: String,
    #[last(Delivered => shelf)]
    pub shelf: Option<String>,
    /// The price of one, which is what was last asked or paid.
    #[last(cents)]
    pub cents: u32,
    #[sum(Delivered => i64::from(qty), Bought => -i64::from(qty))]
    pub left: i64,
    #[sum(Bought => u64::from(qty))]
    pub sold: u64,
    #[sum(Bought => u64::from(qty) * u64::from(cents))]
    pub takings: u64,
    #[count_distinct(Bought => customer)]
    pub customers: u64,
}

/// What a customer has bought.
#[projection(from = Shop { Bought, .. }, group_by = (customer, item))]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Purchases {
    pub customer: String,
    pub item: String,
    #[sum(u64::from(qty))]
    pub qty: u64,
    #[sum(u64::from(qty) * u64::from(cents))]
    pub cents: u64,
}

/// Why the shop says no, in the words that the customer reads.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum Refused {
    #[error("There is no {0} in this shop.")]
    Unknown(String),
    #[error("Only {left} of {item} left.")]
    TooFew { item: String, left: i64 },
    #[error("{qty} is no quantity: take 1 to {most}.")]
    Quantity { qty: u32, most: u32 },
    #[error("A price is 1 to {most} cents.")]
    Price { most: u32 },
    #[error("A name has 1 to {most} characters, and one space between words.")]
    Name { most: usize },
}

const MOST_BOUGHT: u32 = 10;
const MOST_DELIVERED: u32 = 1_000;
const MOST_CENTS: u32 = 1_000_000;
const LONGEST_NAME: usize = 40;

fn quantity(qty: u32, most: u32) -> Result<(), Refused> {
    if (1..=most).contains(&qty) { Ok(()) } else { Err(Refused::Quantity { qty, most }) }
}

fn name(name: &str) -> Result<(), Refused> {
    // As a page shows it, so that what is chosen there is what is meant.
    let plain = name.split_whitespace().collect::<Vec<_>>().join(" ");
    let fits = !name.is_empty() && name == plain && name.chars().count() <= LONGEST_NAME;
    if fits { Ok(()) } else { Err(Refused::Name { most: LONGEST_NAME }) }
}

#[derive(Debug, Deserialize)]
pub struct Delivery {
    pub shelf: String,
    pub qty: u32,
    pub cents: u32,
}

#[derive(Debug)]
pub struct Deliver {
    pub item: String,
    pub delivery: Delivery,
}

impl Command for Deliver {
    type Refusal = Refused;

    fn decide(&self, tx: &mut Tx) -> Result<(), Refused> {
        let Delivery { ref shelf, qty, cents } = self.delivery;
        name(&self.item)?;
        name(shelf)?;
        quantity(qty, MOST_DELIVERED)?;
        if !(1..=MOST_CENTS).contains(&cents) {
            return Err(Refused::Price { most: MOST_CENTS });
        }
        tx.emit(Shop::Delivered { item: self.item.clone(), shelf: shelf.clone(), qty, cents });
        Ok(())
    }
}

#[derive(Debug, Deserialize)]
pub struct Purchase {
    pub customer: String,
    pub qty: u32,
}

#[derive(Debug)]
pub struct Buy {
    pub item: String,
    pub purchase: Purchase,
}

impl Command for Buy {
    type Refusal = Refused;

    fn decide(&self, tx: &mut Tx) -> Result<(), Refused> {
        let Purchase { ref customer, qty } = self.purchase;
        name(customer)?;
        quantity(qty, MOST_BOUGHT)?;
        let row = tx.get::<Board>(&self.item).ok_or_else(|| Refused::Unknown(self.item.clone()))?;
        if row.left < i64::from(qty) {
            return Err(Refused::TooFew { item: row.item, left: row.left });
        }
        tx.emit(Shop::Bought { item: row.item, customer: customer.clone(), qty, cents: row.cents });
        Ok(())
    }
}

#[derive(Debug)]
pub struct Discontinue {
    pub item: String,
}

impl Command for Discontinue {
    type Refusal = Refused;

    fn decide(&self, tx: &mut Tx) -> Result<(), Refused> {
        let row = tx.get::<Board>(&self.item).ok_or_else(|| Refused::Unknown(self.item.clone()))?;
        tx.emit(Shop::Discontinued { item: row.item });
        Ok(())
    }
}

/// Fills the shelves of a new shop. Each delivery has a key, so it comes once, however often the program is started.
///
/// # Errors
///
/// [`DecideError`].
pub fn stock(engine: &Engine) -> Result<(), DecideError<Refused>> {
    for (item, shelf, qty, cents) in [
        ("Bowler", "hats", 12, 4_900),
        ("Fedora", "hats", 8, 6_450),
        ("Panama", "hats", 3, 8_900),
        ("Silk scarf", "scarves", 20, 2_750),
        ("Wool scarf", "scarves", 15, 3_200),
        ("Umbrella", "weather", 30, 1_950),
        ("Raincoat", "weather", 5, 11_900),
    ] {
        let delivery = Delivery { shelf: shelf.into(), qty, cents };
        let deliver = Deliver { item: item.into(), delivery };
        engine.execute(deliver).key(format!("opening/{item}")).wait()?;
    }
    Ok(())
}
