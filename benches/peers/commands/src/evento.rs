//! evento on SQLite, one command after the other: `evento CSV FULL` or `evento CSV NORMAL`, which is what `synchronous` is. With FULL, a command
//! that has been answered is on disk, as it is with ours; evento's own tests have NORMAL.
//!
//! A command loads the projection that it is decided by (`snapshot(memory)`), and commits through its write gateway, as the README does. A
//! subscription keeps the view, in memory, with a cursor in memory; the clock stops when the view shows the last event.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use commands::measured::{check, say};
use commands::{Purchase, group, purchases, sums};
use evento::metadata::Event;
use evento::subscription::{Context, SubscriptionBuilder};
use evento::{Executor, Projection, ProjectionAggregate};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};
use sqlx_migrator::{Migrate, Plan};
use tokio::sync::watch;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[evento::aggregate(name = "peers/Bought")]
pub enum Bought {
    Purchased { qty: i32 },
}

/// What a customer has bought of an item: the state that commands are decided by.
#[evento::projection(id = id)]
#[evento::snapshot(memory)]
pub struct State {
    pub id: String,
    pub qty: i64,
}

#[evento::handler]
async fn on_purchased(event: Event<Purchased>, state: &mut State) -> anyhow::Result<()> {
    state.id.clone_from(&event.aggregate_id);
    state.qty += i64::from(event.data.qty);
    Ok(())
}

/// The view, and how many events it shows.
#[derive(Clone)]
struct Totals {
    sums: Arc<Mutex<HashMap<String, i64>>>,
    shown: watch::Sender<usize>,
}

#[evento::subscription]
async fn total<E: Executor>(context: &Context<'_, E>, event: Event<Purchased>) -> anyhow::Result<()> {
    let totals: Totals = context.extract();
    let mut sums = totals.sums.lock().expect("no handler panics");
    *sums.entry(event.aggregate_id.clone()).or_default() += i64::from(event.data.qty);
    totals.shown.send_modify(|shown| *shown += 1);
    Ok(())
}

async fn execute<E: Executor>(executor: &E, purchase: &Purchase) -> anyhow::Result<()> {
    let id = purchase.aggregate();
    let state = Projection::<E, State>::new::<Bought>().handler(on_purchased()).strict();
    let state = state.load(&id).execute(executor).await?;
    let bought = state.as_ref().map_or(0, |state| state.qty);
    anyhow::ensure!(bought + i64::from(purchase.qty) >= -1_000, "nothing is left to be given back");
    let mut write = state.map_or_else(|| Ok(evento::append(&id)), |state| state.write())?;
    write.event(&Purchased { qty: purchase.qty }).commit(executor).await?;
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, synchronous] = arguments.as_slice() else { anyhow::bail!("evento CSV FULL|NORMAL") };
    let purchases = purchases(file)?;
    let folder = tempfile::tempdir()?;
    let options = SqliteConnectOptions::new()
        .filename(folder.path().join("events.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous.parse()?);
    let pool = SqlitePoolOptions::new().connect_with(options).await?;
    evento::sql_migrator::new::<sqlx::Sqlite>()?.run(&mut *pool.acquire().await?, &Plan::apply_all()).await?;
    let executor: evento::Sqlite = pool.into();

    let totals = Totals { sums: Arc::default(), shown: watch::Sender::new(0) };
    let mut shown = totals.shown.subscribe();
    let subscription = SubscriptionBuilder::new("totals")
        .handler(total())
        .data(totals.clone())
        .ephemeral()
        .start(&executor)
        .await?;
    let begun = Instant::now();
    for purchase in &purchases {
        execute(&executor, purchase).await?;
    }
    let answered = begun.elapsed();
    shown.wait_for(|shown| *shown == purchases.len()).await?;
    eprintln!("evento: answered after {answered:.1?}, shown after {:.1?}", begun.elapsed());
    let who = format!("evento, SQLite, synchronous {synchronous}");
    say(&who, "commands", purchases.len(), answered);

    subscription.shutdown().await?;
    let view = totals.sums.lock().expect("no handler panics");
    check(&who, view.iter().map(|(id, sum)| (group(id), *sum)), &sums(&purchases));
    Ok(())
}
