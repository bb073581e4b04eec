//! Nexmark, the standard benchmark of stream processors: bids at an auction house, and the questions q0 to q22, each a projection below
//! its SQL in `queries.rs`.
//!
//! `cargo run --release --example nexmark [-- EVENTS FOLDER]`: 100,000 events in memory, unless you say otherwise.

mod events;
mod queries;

use std::error::Error;
use std::time::Instant;

use cqrs_core::prelude::*;

use crate::events::{BEFORE_MIDNIGHT, Nexmark, generate, side_input};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let n = arguments.next().map_or(Ok(100_000), |n| n.parse())?;
    let builder = match arguments.next() {
        Some(folder) => Engine::open(folder)?,
        None => Engine::in_memory(),
    };
    let queries = queries::all();
    let builder = queries.iter().fold(queries::shared(builder), |builder, query| (query.views)(builder));
    let engine = builder.start()?;
    engine.wait_ready().wait()?;

    if engine.health().position == 0 {
        let started = Instant::now();
        engine.append_all(side_input()).durable().wait()?;
        let mut events = generate(n, BEFORE_MIDNIGHT).peekable();
        while events.peek().is_some() {
            engine.append_all(events.by_ref().take(1_000)).durable().wait()?;
        }
        engine.append_all(Vec::<Nexmark>::new()).wait()?;
        println!(
            "{n} events through {} queries in {:.1} s.\n",
            queries.len(),
            started.elapsed().as_secs_f64()
        );
    } else {
        println!("The events of an earlier run.\n");
    }

    for query in &queries {
        println!("{:<12}{:>8} rows", query.name, (query.rows)(&engine)?.len());
    }
    println!("\nNot, or not quite, what the standard asks:");
    for (name, why) in queries::NOT_SAYABLE {
        println!("{name:<6}{why}");
    }
    engine.close().wait()?;
    Ok(())
}
