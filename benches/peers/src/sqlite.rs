//! SQLite whose trigger keeps the view: each batch of events is one transaction, in WAL, with `synchronous = FULL`.

use std::time::Instant;

use peers::measured::{check, say};
use peers::{events, sums};
use rusqlite::Connection;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    CREATE TABLE events (position INTEGER PRIMARY KEY, customer TEXT NOT NULL, item TEXT NOT NULL, qty INTEGER NOT NULL) STRICT;
    CREATE TABLE purchases (customer TEXT, item TEXT, total_qty INTEGER, PRIMARY KEY (customer, item)) WITHOUT ROWID;
    CREATE TRIGGER purchased AFTER INSERT ON events BEGIN
        INSERT INTO purchases VALUES (new.customer, new.item, new.qty)
        ON CONFLICT DO UPDATE SET total_qty = total_qty + excluded.total_qty;
    END;";

fn main() -> rusqlite::Result<()> {
    let events = events();
    let wanted = sums(&events);
    for batch in [1_000, 10_000] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut connection = Connection::open(folder.path().join("events.db"))?;
        connection.execute_batch(SCHEMA)?;
        let begun = Instant::now();
        for batch in events.chunks(batch) {
            let transaction = connection.transaction()?;
            let mut insert =
                transaction.prepare_cached("INSERT INTO events (customer, item, qty) VALUES (?1, ?2, ?3)")?;
            for event in batch {
                insert.execute((&event.customer, &event.item, event.qty))?;
            }
            drop(insert);
            transaction.commit()?;
        }
        say("SQLite, trigger", &format!("batches of {batch}"), events.len(), begun.elapsed());

        let mut rows = connection.prepare("SELECT customer, item, total_qty FROM purchases")?;
        let rows = rows.query_map([], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)))?;
        let rows: Vec<_> = rows.collect::<rusqlite::Result<_>>()?;
        check("SQLite, trigger", rows, &wanted);
    }
    Ok(())
}
