//! A shop over the years: stock that is never sold twice, an order's life, mails that are sent, and an event that has three versions in one log.
//!
//! `cargo run --release --example shop [folder]`

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cqrs_core::ReactOptions;
use cqrs_core::prelude::*;

/// The programs of the first two years. They are gone; what they wrote is not.
mod past {
    use super::*;

    /// In the first year an order was one piece of one item.
    #[event(name = "OrderPlaced", version = 1)]
    pub struct OrderPlacedV1 {
        pub order: u32,
        pub customer: String,
        pub item: String,
    }

    /// In the second, several pieces.
    #[event(name = "OrderPlaced", version = 2, upcast = OrderPlacedV1)]
    pub struct OrderPlacedV2 {
        pub order: u32,
        pub customer: String,
        pub item: String,
        pub qty: u32,
    }

    impl From<OrderPlacedV1> for OrderPlacedV2 {
        fn from(OrderPlacedV1 { order, customer, item }: OrderPlacedV1) -> Self {
            Self { order, customer, item, qty: 1 }
        }
    }
}

#[value]
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    pub item: String,
    pub qty: u32,
}

/// Today an order has lines. Orders of both years before are read as such.
#[event(version = 3, upcast = past::OrderPlacedV2)]
#[derive(Debug)]
pub struct OrderPlaced {
    pub order: u32,
    pub customer: String,
    pub lines: Vec<Line>,
}

impl From<past::OrderPlacedV2> for OrderPlaced {
    fn from(old: past::OrderPlacedV2) -> Self {
        let past::OrderPlacedV2 { order, customer, item, qty } = old;
        Self { order, customer, lines: vec![Line { item, qty }] }
    }
}

#[event]
pub struct Delivered {
    pub item: String,
    pub qty: u32,
}

#[event]
pub struct Reserved {
    pub order: u32,
    pub item: String,
    pub qty: u32,
}

#[event]
pub struct Released {
    pub order: u32,
    pub item: String,
    pub qty: u32,
}

#[event]
pub struct Paid {
    pub order: u32,
}

#[event]
pub struct Shipped {
    pub order: u32,
}

#[event]
pub struct Cancelled {
    pub order: u32,
}

/// What can still be sold.
#[projection(from(Delivered, Reserved, Released), group_by = item)]
#[derive(Debug)]
pub struct Stock {
    pub item: String,
    #[sum(Delivered => i64::from(qty), Reserved => -i64::from(qty), Released => i64::from(qty))]
    pub free: i64,
}

/// What an order holds.
#[projection(from(Reserved, Released), group_by = (order, item), having = qty > 0)]
#[derive(Debug)]
pub struct OrderLine {
    pub order: u32,
    pub item: String,
    #[sum(Reserved => i64::from(qty), Released => -i64::from(qty))]
    pub qty: i64,
}

#[value]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Placed,
    Paid,
    Shipped,
    Cancelled,
}

/// An order's life, as a table of transitions. Only one of its events says whose it is, so the customer is an `Option`.
#[projection(from(OrderPlaced, Paid, Shipped, Cancelled), group_by = order, index(status))]
#[derive(Debug)]
pub struct Order {
    pub order: u32,
    #[last(OrderPlaced => customer)]
    pub customer: Option<String>,
    #[last(OrderPlaced => Status::Placed, Paid => Status::Paid, Shipped => Status::Shipped, Cancelled => Status::Cancelled)]
    pub status: Status,
}

/// Why the shop says no.
#[derive(Debug, PartialEq)]
pub enum Refused {
    OutOfStock { item: String, free: i64 },
    Taken(u32),
    Is(Option<Status>),
}

pub struct Place {
    pub order: u32,
    pub customer: &'static str,
    pub lines: Vec<Line>,
}

impl Command for Place {
    type Refusal = Refused;

    fn decide(&self, tx: &mut Tx) -> Result<(), Refused> {
        if tx.get::<Order>(self.order).is_some() {
            return Err(Refused::Taken(self.order));
        }
        for Line { item, qty } in &self.lines {
            let free = tx.get::<Stock>(item).map_or(0, |stock| stock.free);
            if free < i64::from(*qty) {
                return Err(Refused::OutOfStock { item: item.clone(), free });
            }
        }
        let (order, customer) = (self.order, self.customer.to_owned());
        tx.emit(OrderPlaced { order, customer, lines: self.lines.clone() });
        for Line { item, qty } in self.lines.clone() {
            tx.emit(Reserved { order, item, qty });
        }
        Ok(())
    }
}

pub struct Cancel {
    pub order: u32,
}

impl Command for Cancel {
    type Refusal = Refused;

    fn decide(&self, tx: &mut Tx) -> Result<(), Refused> {
        let Self { order } = *self;
        match tx.get::<Order>(order).map(|row| row.status) {
            Some(Status::Placed) => {}
            other => return Err(Refused::Is(other)),
        }
        // All rows of the order: one that came meanwhile would have this decided anew.
        for line in tx.rows_of::<OrderLine, _>(order) {
            tx.emit(Released { order, item: line.item, qty: line.qty as u32 });
        }
        tx.emit(Cancelled { order });
        Ok(())
    }
}

/// Ships an order that is paid.
pub struct Ship {
    pub order: u32,
}

impl Command for Ship {
    type Refusal = Refused;

    fn decide(&self, tx: &mut Tx) -> Result<(), Refused> {
        match tx.get::<Order>(self.order).map(|row| row.status) {
            Some(Status::Paid) => tx.emit(Shipped { order: self.order }),
            other => return Err(Refused::Is(other)),
        }
        Ok(())
    }
}

/// A mail server, which knows who has a mailbox.
#[derive(Default)]
struct Mailer {
    mailboxes: Mutex<Vec<&'static str>>,
}

impl Mailer {
    fn send(&self, to: &str, text: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
        if !self.mailboxes.lock().expect("not poisoned").contains(&to) {
            return Err(format!("{to} has no mailbox").into());
        }
        println!("  mail to {to}: {text}");
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let temporary = tempfile::tempdir()?;
    let folder = std::env::args().nth(1).map_or_else(|| temporary.path().join("shop"), PathBuf::from);
    if !folder.exists() {
        the_first_two_years(&folder)?;
    }

    let engine = Engine::open(&folder)?.view::<Stock>().view::<OrderLine>().view::<Order>().start()?;
    engine.wait_ready().wait()?;
    let orders = engine.view::<Order>();
    println!("The log has {} events; these are the orders:", engine.health().position);
    show(&orders)?;

    // Mails are sent at least once; that something is shipped happens exactly once.
    let mailer = Arc::new(Mailer { mailboxes: Mutex::new(vec!["ann", "bob"]) });
    let (sender, attempts) = (mailer.clone(), ReactOptions::new().attempts(2));
    let mails = engine.react_with::<OrderPlaced>("mails", Since::Beginning, attempts, move |placed| {
        let pieces: u32 = placed.lines.iter().map(|line| line.qty).sum();
        sender.send(&placed.customer, &format!("thank you for order {}, {pieces} pieces", placed.order))
    })?;
    let ships = engine.react::<Paid>("ships", Since::Beginning, |paid| {
        match paid.execute(Ship { order: paid.order }).wait() {
            Ok(_) => Ok(()),
            // A refusal is an answer, too; anything else is tried again.
            Err(error) => error.apart().map(drop).map_err(Into::into),
        }
    })?;

    println!("Today:");
    let number = orders.len()? as u32 + 1;
    engine.append(Delivered { item: "hats".into(), qty: 3 }).wait()?;
    let line = |item: &str, qty| Line { item: item.into(), qty };
    let place = |order, customer, lines| engine.execute(Place { order, customer, lines }).wait();
    tell("carl orders 2 hats", place(number, "carl", vec![line("hats", 2)]));
    tell("ann orders 9 hats", place(number + 1, "ann", vec![line("hats", 9)]));
    tell("ann takes carl's number", place(number, "ann", vec![line("hats", 1)]));
    tell("carl cancels", engine.execute(Cancel { order: number }).wait());
    tell("ann orders 3 hats", place(number + 1, "ann", vec![line("hats", 3)]));
    let paid = engine.append(Paid { order: number + 1 }).wait()?;
    for reaction in [&mails, &ships] {
        let reached = reaction.wait_for(&paid, Duration::from_secs(20)).wait()?;
        assert_eq!(reached, Reached::Reached);
    }
    tell("ann cancels", engine.execute(Cancel { order: number + 1 }).wait());

    for parked in mails.parked()? {
        println!("A mail was not sent: {}, after {} attempts", parked.reason, parked.attempts);
        mailer.mailboxes.lock().expect("not poisoned").push("carl");
        mails.retry(parked.position).wait()?;
    }
    println!("At the end of the day:");
    show(&orders)?;
    for stock in engine.view::<Stock>().rows_by_key()? {
        println!("  {} {} are free", stock.free, stock.item);
    }
    engine.close().wait()?;
    Ok(())
}

/// Writes what the programs of then wrote: each knew the form of its own time.
fn the_first_two_years(folder: &Path) -> Result<(), Box<dyn Error>> {
    let hats = || "hats".to_owned();
    let engine = Engine::open(folder)?
        .event::<past::OrderPlacedV1>()
        .event::<Delivered>()
        .event::<Reserved>()
        .event::<Paid>()
        .event::<Shipped>()
        .start()?;
    engine.append(Delivered { item: hats(), qty: 5 }).wait()?;
    let placed = past::OrderPlacedV1 { order: 1, customer: "ann".into(), item: hats() };
    engine.append_all([NewEvent::new(placed), Reserved { order: 1, item: hats(), qty: 1 }.into()]).wait()?;
    engine.append_all([NewEvent::new(Paid { order: 1 }), Shipped { order: 1 }.into()]).wait()?;
    engine.close().wait()?;

    let engine = Engine::open(folder)?
        .event::<past::OrderPlacedV2>()
        .event::<Delivered>()
        .event::<Reserved>()
        .event::<Paid>()
        .event::<Shipped>()
        .start()?;
    let placed = past::OrderPlacedV2 { order: 2, customer: "bob".into(), item: hats(), qty: 4 };
    engine.append_all([NewEvent::new(placed), Reserved { order: 2, item: hats(), qty: 4 }.into()]).wait()?;
    engine.close().wait()?;
    Ok(())
}

fn tell(what: &str, outcome: Result<Receipt, DecideError<Refused>>) {
    match outcome {
        Ok(_) => println!("  {what}: yes"),
        Err(DecideError::Refused(why)) => println!("  {what}: no, {why:?}"),
        Err(error) => println!("  {what}: {error:?}"),
    }
}

fn show(orders: &View<Order>) -> Result<(), Box<dyn Error>> {
    for status in [Status::Placed, Status::Paid, Status::Shipped, Status::Cancelled] {
        for row in orders.by_status(status)? {
            let customer = row.customer.as_deref().unwrap_or("somebody");
            println!("  order {} of {customer}: {status:?}", row.order);
        }
    }
    Ok(())
}
