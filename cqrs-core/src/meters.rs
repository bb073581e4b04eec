//! Counters, gauges and histograms of running engines, through the [`metrics`](https://docs.rs/metrics) facade: the feature `metrics`.
//!
//! The engine records, and the program says where to: it installs a recorder before it starts the engine. Without a recorder nothing is kept; without the feature
//! nothing is compiled in. Nothing is recorded an event: what is recorded is a group that was appended, a batch that was folded, a decision, a save.
//!
//! | name | type | labels | of |
//! | --- | --- | --- | --- |
//! | `cqrs_appended_events_total` | counter | | events that were made durable |
//! | `cqrs_append_seconds` | histogram | | what it took to commit a group |
//! | `cqrs_group_events` | histogram | | how many events a group had |
//! | `cqrs_log_position` | gauge | | the last durable event |
//! | `cqrs_folded_events_total` | counter | | events that were folded, each once for all views; not those that are replayed by a start or a rebuild |
//! | `cqrs_fold_seconds` | histogram | | what it took to fold a batch into all views |
//! | `cqrs_view_lag_events` | gauge | `view` | how many events of the log the view had not folded when a batch was last shown |
//! | `cqrs_view_rows` | gauge | `view` | rows, those hidden from readers included |
//! | `cqrs_view_parked_events` | gauge | `view` | events that the view has parked |
//! | `cqrs_checkpoint_position` | gauge | `view` | the event that the last checkpoint saved stands at |
//! | `cqrs_checkpoint_timestamp_seconds` | gauge | `view` | when it was saved, in Unix time: its age is `time()` less this, also while nothing happens |
//! | `cqrs_decisions_total` | counter | `outcome` | decisions: `accepted`, `refused`, or `failed` |
//! | `cqrs_decision_conflicts_total` | counter | | decisions that were made anew because what they read had been touched |
//! | `cqrs_reaction_handled_total` | counter | `reaction` | events that were handled, once that is stored |
//! | `cqrs_reaction_failed_total` | counter | `reaction` | tries to handle an event that failed |
//! | `cqrs_reaction_parked_events` | gauge | `reaction` | events that the reaction has parked |
//!
//! No label says which engine it is: a program that runs several adds up their counters, and has the gauges of one view overwrite each other where two engines keep it.
//! [`Engine::health`](crate::Engine::health) is of one engine, and says more.
//!
//! For Prometheus, with the crate `metrics-exporter-prometheus`:
//!
//! ```ignore
//! use cqrs_core::Engine;
//! use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
//!
//! // Serves http://localhost:9000/metrics. Without buckets, histograms are shown as summaries.
//! PrometheusBuilder::new()
//!     .with_http_listener(([127, 0, 0, 1], 9000))
//!     .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &[0.0001, 0.001, 0.01, 0.1, 1.0])?
//!     .set_buckets_for_metric(Matcher::Full("cqrs_group_events".into()), &[1.0, 10.0, 100.0, 1e3, 1e4])?
//!     .install()?;
//! let engine = Engine::open("shop")?.view::<Stock>().start()?;
//! ```
//!
//! Worth an alert: `cqrs_view_lag_events` that does not come down, `cqrs_view_parked_events` and `cqrs_reaction_parked_events` above zero, and
//! `time() - cqrs_checkpoint_timestamp_seconds` that grows while `cqrs_log_position` does.

#![cfg_attr(not(feature = "metrics"), allow(unused_variables))]

#[cfg(feature = "metrics")]
use std::{
    sync::atomic::Ordering,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

#[cfg(feature = "metrics")]
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use crate::engine::shared::{Core, Shown};

/// Tells the recorder what there is.
pub(crate) fn describe() {
    #[cfg(feature = "metrics")]
    {
        describe_counter!("cqrs_appended_events_total", Unit::Count, "Events that were made durable.");
        describe_histogram!("cqrs_append_seconds", Unit::Seconds, "What it took to commit a group.");
        describe_histogram!("cqrs_group_events", Unit::Count, "How many events a group had.");
        describe_gauge!("cqrs_log_position", Unit::Count, "The last durable event.");
        describe_counter!("cqrs_folded_events_total", Unit::Count, "Events that were folded.");
        describe_histogram!("cqrs_fold_seconds", Unit::Seconds, "What it took to fold a batch.");
        describe_gauge!("cqrs_view_lag_events", Unit::Count, "Events that the view has not folded.");
        describe_gauge!("cqrs_view_rows", Unit::Count, "Rows, hidden ones included.");
        describe_gauge!("cqrs_view_parked_events", Unit::Count, "Events that the view has parked.");
        describe_gauge!("cqrs_checkpoint_position", Unit::Count, "Where the view's last checkpoint stands.");
        describe_gauge!(
            "cqrs_checkpoint_timestamp_seconds",
            Unit::Seconds,
            "When it was saved, in Unix time."
        );
        describe_counter!("cqrs_decisions_total", Unit::Count, "Decisions, by their outcome.");
        describe_counter!("cqrs_decision_conflicts_total", Unit::Count, "Decisions that were made anew.");
        describe_counter!("cqrs_reaction_handled_total", Unit::Count, "Events that were handled.");
        describe_counter!("cqrs_reaction_failed_total", Unit::Count, "Tries to handle an event that failed.");
        describe_gauge!("cqrs_reaction_parked_events", Unit::Count, "Events that the reaction has parked.");
    }
}

/// When something began that is timed.
#[derive(Clone, Copy)]
pub(crate) struct Begun {
    #[cfg(feature = "metrics")]
    at: Instant,
}

/// Begins to time something.
pub(crate) fn begin() -> Begun {
    Begun {
        #[cfg(feature = "metrics")]
        at: Instant::now(),
    }
}

/// A group is durable.
pub(crate) fn appended(events: usize, begun: Begun) {
    #[cfg(feature = "metrics")]
    {
        histogram!("cqrs_append_seconds").record(begun.at.elapsed());
        histogram!("cqrs_group_events").record(events as f64);
        counter!("cqrs_appended_events_total").increment(events as u64);
    }
}

/// The log goes up to here.
pub(crate) fn log(position: u64) {
    #[cfg(feature = "metrics")]
    gauge!("cqrs_log_position").set(position as f64);
}

/// A batch is folded.
pub(crate) fn folded(events: usize, begun: Begun) {
    #[cfg(feature = "metrics")]
    {
        histogram!("cqrs_fold_seconds").record(begun.at.elapsed());
        counter!("cqrs_folded_events_total").increment(events as u64);
    }
}

/// Views are shown, as of an event.
pub(crate) fn shown(core: &Core, position: u64, shown: &[Shown]) {
    #[cfg(feature = "metrics")]
    for ((view, vitals), shown) in core.catalog.views.iter().zip(&core.vitals).zip(shown) {
        let position = match shown {
            Shown::Live(_) => position,
            Shown::Rebuilding(position) => position.load(Ordering::Relaxed),
            Shown::Faulted(_) => vitals.position.load(Ordering::Relaxed),
        };
        let lag = core.head().saturating_sub(position);
        gauge!("cqrs_view_lag_events", "view" => view.name()).set(lag as f64);
    }
}

/// A view has so much.
pub(crate) fn view(name: &'static str, rows: usize, parked: usize) {
    #[cfg(feature = "metrics")]
    {
        gauge!("cqrs_view_rows", "view" => name).set(rows as f64);
        gauge!("cqrs_view_parked_events", "view" => name).set(parked as f64);
    }
}

/// A view's checkpoint is saved.
pub(crate) fn saved(view: &'static str, position: u64) {
    #[cfg(feature = "metrics")]
    {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        gauge!("cqrs_checkpoint_position", "view" => view).set(position as f64);
        gauge!("cqrs_checkpoint_timestamp_seconds", "view" => view).set(now.as_secs_f64());
    }
}

/// A decision is answered.
pub(crate) fn decided(outcome: &'static str) {
    #[cfg(feature = "metrics")]
    counter!("cqrs_decisions_total", "outcome" => outcome).increment(1);
}

/// What a decision had read was touched before its events came in.
pub(crate) fn conflict() {
    #[cfg(feature = "metrics")]
    counter!("cqrs_decision_conflicts_total").increment(1);
}

/// A reaction has handled events, and that is stored.
pub(crate) fn handled(reaction: &str, events: usize) {
    #[cfg(feature = "metrics")]
    counter!("cqrs_reaction_handled_total", "reaction" => reaction.to_owned()).increment(events as u64);
}

/// A reaction has failed to handle an event.
pub(crate) fn failed(reaction: &str) {
    #[cfg(feature = "metrics")]
    counter!("cqrs_reaction_failed_total", "reaction" => reaction.to_owned()).increment(1);
}

/// A reaction has so many events parked.
pub(crate) fn parked(reaction: &str, events: u64) {
    #[cfg(feature = "metrics")]
    gauge!("cqrs_reaction_parked_events", "reaction" => reaction.to_owned()).set(events as f64);
}
