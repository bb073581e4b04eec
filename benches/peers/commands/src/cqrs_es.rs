//! cqrs-es, one command after the other: `cqrs-es CSV` in memory, `cqrs-es CSV URL` on PostgreSQL, each with a view that a `Query` keeps.
//!
//! An aggregate is a customer's purchases of one item, its events are loaded for each command (`event store`, what its guide begins with), and
//! its view has the sum. The tables are those of its `init.sql`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use async_trait::async_trait;
use commands::measured::{check, say};
use commands::{Purchase, group, purchases, sums};
use cqrs_es::event_sink::EventSink;
use cqrs_es::mem_store::MemStore;
use cqrs_es::persist::GenericQuery;
use cqrs_es::{Aggregate, CqrsFramework, DomainEvent, EventEnvelope, EventStore, Query, View};
use postgres_es::{PostgresViewRepository, default_postgress_pool, postgres_cqrs};
use serde::{Deserialize, Serialize};
use sqlx_postgres_es as sqlx;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Purchased {
    qty: i32,
}

impl DomainEvent for Purchased {
    fn event_type(&self) -> String {
        "Purchased".into()
    }

    fn event_version(&self) -> String {
        "1.0".into()
    }
}

/// What a customer has bought of an item: the state that commands are decided by, and the view.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Bought {
    qty: i64,
}

impl Aggregate for Bought {
    const TYPE: &'static str = "bought";
    type Command = i32;
    type Event = Purchased;
    type Error = Refused;
    type Services = ();

    async fn handle(&mut self, qty: i32, (): &(), sink: &EventSink<Self>) -> Result<(), Refused> {
        if self.qty + i64::from(qty) < -1_000 {
            return Err(Refused);
        }
        sink.write(Purchased { qty }, self).await;
        Ok(())
    }

    fn apply(&mut self, event: Purchased) {
        self.qty += i64::from(event.qty);
    }
}

#[derive(Debug)]
struct Refused;

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("nothing is left to be given back")
    }
}

impl std::error::Error for Refused {}

impl View<Bought> for Bought {
    fn update(&mut self, event: &EventEnvelope<Bought>) {
        self.apply(event.payload.clone());
    }
}

/// The view in memory: `GenericQuery` has no repository for that.
#[derive(Clone, Default)]
struct InMemory(Arc<Mutex<HashMap<String, Bought>>>);

#[async_trait]
impl Query<Bought> for InMemory {
    async fn dispatch(&self, aggregate: &str, events: &[EventEnvelope<Bought>]) {
        let mut views = self.0.lock().expect("no update panics");
        let view = views.entry(aggregate.to_owned()).or_default();
        events.iter().for_each(|event| view.update(event));
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let purchases = purchases(&arguments[0])?;
    match arguments.get(1) {
        None => in_memory(&purchases).await,
        Some(url) => on_postgres(&purchases, url).await,
    }
}

async fn in_memory(purchases: &[Purchase]) -> anyhow::Result<()> {
    let view = InMemory::default();
    let cqrs = CqrsFramework::new(MemStore::<Bought>::default(), vec![Box::new(view.clone())], ());
    execute("cqrs-es, in memory", &cqrs, purchases).await?;
    let views = view.0.lock().expect("no update panics");
    let rows = views.iter().map(|(id, view)| (group(id), view.qty));
    check("cqrs-es, in memory", rows, &sums(purchases));
    Ok(())
}

async fn on_postgres(purchases: &[Purchase], url: &str) -> anyhow::Result<()> {
    let pool = default_postgress_pool(url).await;
    let view = Arc::new(PostgresViewRepository::<Bought, Bought>::new("bought", pool.clone()));
    let mut query = GenericQuery::new(view);
    query.use_error_handler(Box::new(|error| panic!("{error}")));
    let cqrs = postgres_cqrs(pool.clone(), vec![Box::new(query)], ());
    execute("cqrs-es, PostgreSQL", &cqrs, purchases).await?;
    let rows: Vec<(String, i64)> =
        sqlx::query_as("SELECT view_id, (payload->>'qty')::bigint FROM bought").fetch_all(&pool).await?;
    check("cqrs-es, PostgreSQL", rows.into_iter().map(|(id, qty)| (group(&id), qty)), &sums(purchases));
    Ok(())
}

async fn execute<S: EventStore<Bought>>(
    who: &str,
    cqrs: &CqrsFramework<Bought, S>,
    purchases: &[Purchase],
) -> anyhow::Result<()> {
    let begun = Instant::now();
    for purchase in purchases {
        cqrs.execute(&purchase.aggregate(), purchase.qty).await?;
    }
    say(who, "commands", purchases.len(), begun.elapsed());
    Ok(())
}
