//! Counters, gauges and histograms of running engines, through the [`metrics`](https://docs.rs/metrics) facade. "Observing", in the crate's documentation, lists them.

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
        describe_counter!(
            "cqrs_append_failures_total",
            Unit::Count,
            "Groups that the store did not take, as far as is known."
        );
        // There from the beginning, so that its first step is one.
        counter!("cqrs_append_failures_total").increment(0);
        describe_gauge!("cqrs_log_position", Unit::Count, "The last durable event.");
        describe_gauge!("cqrs_broken", Unit::Count, "Whether a thread of the engine has panicked.");
        // There from the beginning; another engine may have set it.
        gauge!("cqrs_broken").increment(0.0);
        describe_counter!("cqrs_folded_events_total", Unit::Count, "Events that were folded.");
        describe_histogram!("cqrs_fold_seconds", Unit::Seconds, "What it took to fold a batch.");
        describe_gauge!("cqrs_view_lag_events", Unit::Count, "Events that the view has not folded.");
        describe_gauge!("cqrs_view_stopped", Unit::Count, "Whether an event has stopped the view.");
        describe_gauge!("cqrs_view_rows", Unit::Count, "Rows, hidden ones included.");
        describe_gauge!("cqrs_view_memory_bytes", Unit::Bytes, "What the view has in memory.");
        describe_gauge!("cqrs_view_parked_events", Unit::Count, "Events that the view has parked.");
        describe_gauge!("cqrs_checkpoint_position", Unit::Count, "Where the view's last checkpoint stands.");
        describe_gauge!(
            "cqrs_checkpoint_timestamp_seconds",
            Unit::Seconds,
            "When it was saved, in Unix time."
        );
        describe_gauge!("cqrs_checkpoint_failing", Unit::Count, "Whether the last save failed.");
        describe_counter!("cqrs_decisions_total", Unit::Count, "Decisions, by their outcome.");
        describe_counter!("cqrs_decision_conflicts_total", Unit::Count, "Decisions that were made anew.");
        describe_counter!("cqrs_reaction_handled_total", Unit::Count, "Events that were handled.");
        describe_counter!("cqrs_reaction_failed_total", Unit::Count, "Tries to handle an event that failed.");
        describe_gauge!("cqrs_reaction_position", Unit::Count, "How far the reaction is in the log.");
        describe_gauge!("cqrs_reaction_parked_events", Unit::Count, "Events that the reaction has parked.");
        describe_gauge!("cqrs_reaction_stopped", Unit::Count, "Whether the reaction has ended.");
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

/// The store did not take a group.
pub(crate) fn append_failed() {
    #[cfg(feature = "metrics")]
    counter!("cqrs_append_failures_total").increment(1);
}

/// The log goes up to here.
pub(crate) fn log(position: u64) {
    #[cfg(feature = "metrics")]
    gauge!("cqrs_log_position").set(position as f64);
}

/// A thread of the engine has panicked.
pub(crate) fn broken() {
    #[cfg(feature = "metrics")]
    gauge!("cqrs_broken").set(1.0);
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
        let stopped = matches!(shown, Shown::Faulted(_));
        gauge!("cqrs_view_lag_events", "view" => view.name()).set(lag as f64);
        gauge!("cqrs_view_stopped", "view" => view.name()).set(f64::from(stopped));
    }
}

/// A view has so much.
pub(crate) fn view(name: &'static str, rows: usize, parked: usize, memory: usize) {
    #[cfg(feature = "metrics")]
    {
        gauge!("cqrs_view_rows", "view" => name).set(rows as f64);
        gauge!("cqrs_view_parked_events", "view" => name).set(parked as f64);
        gauge!("cqrs_view_memory_bytes", "view" => name).set(memory as f64);
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

/// Whether checkpoints can be saved.
pub(crate) fn saving(well: bool) {
    #[cfg(feature = "metrics")]
    gauge!("cqrs_checkpoint_failing").set(f64::from(!well));
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

/// A reaction has come so far, and that is stored.
pub(crate) fn reached(reaction: &str, position: u64) {
    #[cfg(feature = "metrics")]
    gauge!("cqrs_reaction_position", "reaction" => reaction.to_owned()).set(position as f64);
}

/// A reaction has so many events parked.
pub(crate) fn parked(reaction: &str, events: u64) {
    #[cfg(feature = "metrics")]
    gauge!("cqrs_reaction_parked_events", "reaction" => reaction.to_owned()).set(events as f64);
}

/// A reaction runs, or has ended.
pub(crate) fn stopped(reaction: &str, stopped: bool) {
    #[cfg(feature = "metrics")]
    gauge!("cqrs_reaction_stopped", "reaction" => reaction.to_owned()).set(f64::from(stopped));
}
