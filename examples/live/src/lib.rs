//! A shop over HTTP: commands, queries, and a page whose board changes as things are bought.

mod api;
mod problem;
mod requests;
pub mod shop;
mod stream;

use std::io;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use cqrs_core::prelude::*;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::api::Service;

/// How long requests have to end, once the service is to stop.
const GRACE: Duration = Duration::from_secs(5);

/// A program has one recorder. It is installed before an engine starts, and says what `/metrics` shows.
static METRICS: LazyLock<PrometheusHandle> = LazyLock::new(|| {
    let seconds = Matcher::Suffix("_seconds".into());
    PrometheusBuilder::new()
        .set_buckets_for_metric(seconds, &[0.000_1, 0.001, 0.01, 0.1, 1.0])
        .and_then(|metrics| {
            let events = Matcher::Full("cqrs_group_events".into());
            metrics.set_buckets_for_metric(events, &[1.0, 10.0, 100.0, 1_000.0, 10_000.0])
        })
        .and_then(PrometheusBuilder::install_recorder)
        .expect("there are buckets, and no other recorder")
});

/// Opens the shop in a folder.
///
/// # Errors
///
/// [`StartError`].
pub fn open(folder: &Path) -> Result<Engine, StartError> {
    LazyLock::force(&METRICS);
    Engine::open(folder)?.view::<shop::Board>().view::<shop::Purchases>().start()
}

/// Answers requests until `stop` is done; then lets those that run end, and closes the engine.
///
/// # Errors
///
/// That of the listener, or of the store as it is closed.
pub async fn serve(
    listener: TcpListener,
    engine: Engine,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (stopping, stopped) = watch::channel(false);
    let service = Service::new(&engine, METRICS.clone(), stopped.clone());
    let grace = {
        let mut stopped = stopped;
        async move {
            drop(stopped.wait_for(|stopped| *stopped).await);
            tokio::time::sleep(GRACE).await;
        }
    };
    let signal = async move {
        stop.await;
        // Streams have no end of their own.
        stopping.send_replace(true);
    };
    let serving = axum::serve(listener, service.routes()).with_graceful_shutdown(signal);
    let served = tokio::select! {
        served = async { serving.await } => served,
        () = grace => Ok(()),
        // What histograms were told is added up, also where nobody asks for it.
        () = upkeep() => Ok(()),
    };
    engine.close().await.map_err(io::Error::other)?;
    served
}

async fn upkeep() {
    let mut interval = tokio::time::interval(Duration::from_secs(5));
    loop {
        interval.tick().await;
        METRICS.run_upkeep();
    }
}
