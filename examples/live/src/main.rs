//! A shop on http://127.0.0.1:4000, in a folder: `cargo run --release -p live -- shop`.
//!
//! `live [FOLDER] [PORT]`: port 0 is any that is free. `RUST_LOG=cqrs_core=debug` shows what the engine does.

use std::error::Error;
use std::io::IsTerminal;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

const PORT: u16 = 4000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env()?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();

    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().map_or_else(|| PathBuf::from("shop"), PathBuf::from);
    let port = arguments.next().map_or(Ok(PORT), |port| port.parse())?;

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let engine = live::open(&folder)?;
    engine.wait_ready().await?;
    live::shop::stock(&engine)?;
    println!("The shop in {} is open: http://{}", folder.display(), listener.local_addr()?);
    live::serve(listener, engine, interrupted()).await?;
    Ok(())
}

/// Done when the program is asked to end: by ctrl-c, or as a supervisor asks.
async fn interrupted() {
    let asked = async {
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted,
            _ = terminate.recv() => Ok(()),
        }
    };
    if let Err(error) = asked.await {
        tracing::error!(%error, "it cannot be asked to end");
        std::future::pending().await
    }
}
