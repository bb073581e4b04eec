//! What has each customer bought? `SELECT customer, item, SUM(qty) .. GROUP BY customer, item`, kept current for ever.
//!
//! `cargo run --release --example purchases [FOLDER]`: run it twice on one folder, and the second run goes on counting.

use std::error::Error;
use std::path::PathBuf;

use cqrs_core::prelude::*;

/// The system of record: what happened, exactly as it happened.
#[event]
pub struct Purchased {
    pub customer: String,
    pub item: String,
    pub qty: i32,
}

/// The read model: what a customer has now.
#[projection(from = Purchased, group_by = (customer, item))]
#[derive(Debug, Clone, PartialEq)]
pub struct CustomerPurchases {
    pub customer: String,
    pub item: String,
    #[sum(qty)]
    pub total_qty: i64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = match std::env::args().nth(1) {
        Some(folder) => PathBuf::from(folder),
        None => tempfile::Builder::new().prefix("purchases-").tempdir()?.keep(),
    };
    let engine = Engine::open(&folder)?.view::<CustomerPurchases>().start()?;
    let view: View<CustomerPurchases> = engine.view();
    match engine.health().position {
        0 => println!("A new store in {}.", folder.display()),
        position => println!("Resumed at position {position}, in {}.", folder.display()),
    }

    let bought = |item: &str, qty| Purchased { customer: "jsmith".into(), item: item.into(), qty };
    engine
        .append_all([
            bought("hats", 1),
            bought("hats", 1),
            bought("pants", 1),
            bought("sweaters", 1),
            bought("pants", 1),
        ])
        .wait()?;

    // A subscriber gets the rows as they are now, and from then on every change.
    let mut changes = view.subscribe();
    while !matches!(changes.next().wait().ok_or("the view ended")??, Change::Progress { .. }) {}

    let receipt = engine.append(bought("pants", -1)).wait()?;
    if let Some(Change::Updated { before, after }) = changes.next().wait().transpose()? {
        println!(
            "A live change at position {}: {} {} -> {}",
            receipt.last, after.item, before.total_qty, after.total_qty
        );
    }

    let mut table = comfy_table::Table::new();
    table.set_header(["customer", "item", "total_qty"]);
    for row in view.rows_of("jsmith")? {
        table.add_row([row.customer, row.item, row.total_qty.to_string()]);
    }
    println!("\n{table}\n");

    engine.close().wait()?;
    println!("The same rows in SQL:");
    println!("  sqlite3 -readonly {}/views.db 'SELECT * FROM customer_purchases'", folder.display());
    Ok(())
}
