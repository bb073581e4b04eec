//! A typed event enum, several sources in one view, and two views of one stream: what is in each cart, and what it is worth.
//!
//! `cargo run --release --example cart`

use std::error::Error;

use cqrs_core::prelude::*;
use rust_decimal::Decimal;

/// Everything that can happen to a cart. Each variant is an event type of its own in the log.
#[event]
#[derive(Debug, Clone)]
pub enum Cart {
    ItemAdded { customer: String, item: String, qty: u32, price: Decimal },
    ItemRemoved { customer: String, item: String, qty: u32, price: Decimal },
    CheckedOut { customer: String },
}

#[value]
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Status {
    Filling,
    CheckedOut,
}

/// What is in a cart now: a line that has come down to nothing is not shown.
#[projection(
    from = Cart { ItemAdded, ItemRemoved, .. },
    group_by = (customer, item),
    having = qty != 0,
)]
#[derive(Debug, Clone, PartialEq)]
pub struct CartLine {
    pub customer: String,
    pub item: String,
    #[sum(ItemAdded => i64::from(qty), ItemRemoved => -i64::from(qty))]
    pub qty: i64,
    #[last(price)]
    pub price: Decimal,
    #[computed(price * Decimal::from(qty))]
    pub worth: Decimal,
}

/// A cart as a whole. Without `..`, a new variant of `Cart` would not compile before this view has decided about it.
#[projection(from = Cart { ItemAdded, ItemRemoved, CheckedOut }, group_by = customer)]
#[derive(Debug, Clone, PartialEq)]
pub struct CartSummary {
    pub customer: String,
    #[sum(ItemAdded => i64::from(qty), ItemRemoved => -i64::from(qty))]
    pub items: i64,
    #[sum(ItemAdded => price * Decimal::from(qty), ItemRemoved => -(price * Decimal::from(qty)))]
    pub worth: Decimal,
    #[count(ItemRemoved)]
    pub regrets: u64,
    #[last(ItemAdded => Status::Filling, ItemRemoved => Status::Filling, CheckedOut => Status::CheckedOut)]
    pub status: Status,
}

fn main() -> Result<(), Box<dyn Error>> {
    let engine = Engine::in_memory().view::<CartLine>().view::<CartSummary>().start()?;

    let (ann, bob) = (|| "ann".to_owned(), || "bob".to_owned());
    let (hats, pants) = (Decimal::new(1999, 2), Decimal::new(4950, 2));
    engine
        .append_all([
            Cart::ItemAdded { customer: ann(), item: "hats".into(), qty: 2, price: hats },
            Cart::ItemAdded { customer: bob(), item: "pants".into(), qty: 1, price: pants },
            Cart::ItemAdded { customer: ann(), item: "pants".into(), qty: 3, price: pants },
            Cart::ItemRemoved { customer: ann(), item: "pants".into(), qty: 2, price: pants },
            Cart::ItemRemoved { customer: bob(), item: "pants".into(), qty: 1, price: pants },
            Cart::CheckedOut { customer: ann() },
        ])
        .wait()?;

    let (lines, carts) = (engine.view::<CartLine>(), engine.view::<CartSummary>());
    for cart in carts.rows()? {
        println!("{}: {} items worth {}, {:?}", cart.customer, cart.items, cart.worth, cart.status);
        for line in lines.rows_of(cart.customer.as_str())? {
            println!("  {} x {} = {}", line.qty, line.item, line.worth);
        }
    }
    engine.close().wait()?;
    Ok(())
}
