//! What a recorder hears of an engine. One test: a program has one recorder, and its engines share it.

mod shop;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cqrs_core::prelude::*;
use cqrs_core::store::{
    AppendFailure, Beside, Checkpoints, Head, Log, LogEvent, LogReader, MemoryStore, Store, StoreError,
    StoreId, StoredType,
};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};

use shop::{Bought, Refunded, Refunds, Stock};

#[derive(Debug)]
struct Enough;

/// What was recorded since the last call, by name and label.
fn heard(snapshotter: &Snapshotter) -> BTreeMap<String, DebugValue> {
    let all = snapshotter.snapshot().into_vec().into_iter().map(|(key, unit, text, value)| {
        let key = key.key();
        assert!(unit.is_some() && text.is_some(), "{key} is described");
        let labels = key.labels().map(|label| format!(" {}={}", label.key(), label.value()));
        (format!("{}{}", key.name(), labels.collect::<String>()), value)
    });
    all.collect()
}

fn counter(heard: &BTreeMap<String, DebugValue>, name: &str) -> u64 {
    match heard.get(name) {
        Some(DebugValue::Counter(value)) => *value,
        other => panic!("{name}: {other:?} in {heard:?}"),
    }
}

fn gauge(heard: &BTreeMap<String, DebugValue>, name: &str) -> f64 {
    match heard.get(name) {
        Some(DebugValue::Gauge(value)) => **value,
        other => panic!("{name}: {other:?} in {heard:?}"),
    }
}

fn histogram(heard: &BTreeMap<String, DebugValue>, name: &str) -> Vec<f64> {
    match heard.get(name) {
        Some(DebugValue::Histogram(values)) => values.iter().map(|value| **value).collect(),
        other => panic!("{name}: {other:?} in {heard:?}"),
    }
}

/// A store that can be told to refuse.
#[derive(Default)]
struct Failing {
    inner: MemoryStore,
    refuses: Arc<AtomicBool>,
}

struct FailingLog(Box<dyn Log>, Arc<AtomicBool>);

impl Store for Failing {
    fn id(&self) -> StoreId {
        self.inner.id()
    }
    fn log(&self) -> Result<Box<dyn Log>, StoreError> {
        Ok(Box::new(FailingLog(self.inner.log()?, self.refuses.clone())))
    }
    fn reader(&self) -> Result<Box<dyn LogReader>, StoreError> {
        self.inner.reader()
    }
    fn checkpoints(&self) -> Result<Box<dyn Checkpoints>, StoreError> {
        self.inner.checkpoints()
    }
    fn read_only(&self) -> bool {
        false
    }
    fn backup(&self, folder: &std::path::Path) -> Result<(), StoreError> {
        self.inner.backup(folder)
    }
    fn close(&self) -> Result<(), StoreError> {
        self.inner.close()
    }
}

impl Log for FailingLog {
    fn head(&mut self) -> Result<Head, StoreError> {
        self.0.head()
    }
    fn append(
        &mut self,
        expected: Head,
        events: &[LogEvent<'_>],
        beside: &Beside<'_>,
    ) -> Result<(), AppendFailure> {
        if self.1.load(Ordering::Relaxed) {
            let error = StoreError::Io { action: "appending".into(), source: "the disk is full".into() };
            return Err(AppendFailure::NotAppended(error));
        }
        self.0.append(expected, events, beside)
    }
    fn find(&mut self, event_id: &str, found: &mut dyn FnMut(LogEvent<'_>)) -> Result<(), StoreError> {
        self.0.find(event_id, found)
    }
    fn types(&mut self) -> Result<Vec<StoredType>, StoreError> {
        self.0.types()
    }
}

#[test]
fn a_recorder_hears_what_an_engine_does() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    recorder.install().unwrap();
    let store = Failing::default();
    let (inner, refuses) = (store.inner.clone(), store.refuses.clone());
    let engine = Engine::with_store(Arc::new(store)).view::<Stock>().view::<Refunds>().start().unwrap();
    let bought = |item: &str, qty| Bought { item: item.into(), qty };

    // A group of three, of which one is parked.
    engine.append_all([bought("hats", 1), bought("ties", 13), bought("caps", 2)]).wait().unwrap();
    // It may have been saved by itself; and a gauge is heard once.
    engine.checkpoint().wait().unwrap();
    let first = heard(&snapshotter);
    assert_eq!(counter(&first, "cqrs_appended_events_total"), 3);
    assert_eq!(histogram(&first, "cqrs_group_events"), [3.0]);
    assert_eq!(counter(&first, "cqrs_folded_events_total"), 3);
    assert_eq!(gauge(&first, "cqrs_log_position"), 3.0);
    assert_eq!(gauge(&first, "cqrs_view_rows view=stock"), 2.0);
    assert_eq!(gauge(&first, "cqrs_view_parked_events view=stock"), 1.0);
    assert_eq!(gauge(&first, "cqrs_view_lag_events view=stock"), 0.0);
    assert_eq!(gauge(&first, "cqrs_view_memory_bytes view=stock"), engine.health().views[0].memory as f64);
    assert_eq!(gauge(&first, "cqrs_broken"), 0.0);
    for name in ["cqrs_append_seconds", "cqrs_fold_seconds"] {
        let [seconds] = histogram(&first, name)[..] else { panic!("{name} is recorded once a group") };
        assert!((0.0..60.0).contains(&seconds), "{name}: {seconds}");
    }

    assert_eq!(gauge(&first, "cqrs_checkpoint_position view=stock"), 3.0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let age = now - gauge(&first, "cqrs_checkpoint_timestamp_seconds view=stock");
    assert!((-1.0..60.0).contains(&age), "{age}");

    // One decision is accepted at its second try, one is refused.
    let (other, touched) = (engine.clone(), AtomicBool::new(false));
    let decided = engine.decide::<Enough>(move |tx| {
        tx.get::<Stock>("hats");
        if !touched.swap(true, Ordering::Relaxed) {
            let append = other.append(Bought { item: "hats".into(), qty: 1 });
            std::thread::spawn(move || append.wait().unwrap()).join().unwrap();
        }
        tx.emit(Bought { item: "hats".into(), qty: 1 });
        Ok(())
    });
    decided.wait().unwrap();
    engine.decide(|_| Err(Enough)).wait().unwrap_err();
    let decisions = heard(&snapshotter);
    assert_eq!(counter(&decisions, "cqrs_decisions_total outcome=accepted"), 1);
    assert_eq!(counter(&decisions, "cqrs_decisions_total outcome=refused"), 1);
    assert_eq!(counter(&decisions, "cqrs_decision_conflicts_total"), 1);
    assert_eq!(counter(&decisions, "cqrs_appended_events_total"), 2);

    // A reaction handles one event, and parks one after the tries it has.
    let options = cqrs_core::ReactOptions::new().attempts(2);
    let refunds = engine.react_with::<Refunded>("refunds", Since::Beginning, options, |event| {
        if event.item == "ties" { Err("none left".into()) } else { Ok(()) }
    });
    let refunded = |item: &str| Refunded { item: item.into() };
    let receipt = engine.append_all([refunded("hats"), refunded("ties")]).wait().unwrap();
    let refunds = refunds.unwrap();
    let reached = refunds.wait_for(&receipt, Duration::from_secs(30)).wait().unwrap();
    assert_eq!(reached, Reached::Reached);
    let reacted = heard(&snapshotter);
    assert_eq!(counter(&reacted, "cqrs_reaction_handled_total reaction=refunds"), 1);
    assert_eq!(counter(&reacted, "cqrs_reaction_failed_total reaction=refunds"), 2);
    assert_eq!(gauge(&reacted, "cqrs_reaction_parked_events reaction=refunds"), 1.0);
    assert_eq!(gauge(&reacted, "cqrs_reaction_stopped reaction=refunds"), 0.0);
    let position = engine.reaction_position("refunds").unwrap().unwrap();
    assert_eq!(gauge(&reacted, "cqrs_reaction_position reaction=refunds"), position as f64);
    assert_eq!(gauge(&reacted, "cqrs_view_stopped view=refunds"), 0.0);

    // The store does not take two appends, and then takes one.
    refuses.store(true, Ordering::Relaxed);
    engine.append(bought("hats", 1)).wait().unwrap_err();
    engine.append(bought("hats", 1)).wait().unwrap_err();
    assert!(!engine.health().needs_reopen, "a full disk passes");
    let failure = engine.health().append_failure.unwrap();
    assert!(failure.contains("the disk is full"), "{failure}");
    refuses.store(false, Ordering::Relaxed);
    engine.append(bought("hats", 1)).wait().unwrap();
    assert_eq!(engine.health().append_failure, None);
    assert_eq!(counter(&heard(&snapshotter), "cqrs_append_failures_total"), 2);

    // The reaction ends, and an event stops a view, which is from then on behind.
    refunds.stop().wait();
    engine.append(refunded("ghosts")).wait().unwrap();
    let stopped = heard(&snapshotter);
    assert_eq!(gauge(&stopped, "cqrs_reaction_stopped reaction=refunds"), 1.0);
    assert_eq!(gauge(&stopped, "cqrs_view_stopped view=refunds"), 1.0);
    assert_eq!(gauge(&stopped, "cqrs_view_lag_events view=refunds"), 1.0);
    assert_eq!(gauge(&stopped, "cqrs_view_stopped view=stock"), 0.0);

    // What is documented is what there is.
    let lines = include_str!("../OBSERVING.md").lines();
    let documented: BTreeSet<&str> = lines
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .filter(|name| name.starts_with("cqrs_"))
        .collect();
    let recorded: BTreeSet<&str> = stopped.keys().filter_map(|key| key.split(' ').next()).collect();
    assert_eq!(documented, recorded);

    // What a start loads is known from the start on, whether it can be saved anew or not.
    engine.close().wait().unwrap();
    heard(&snapshotter);
    metrics::gauge!("cqrs_checkpoint_position", "view" => "stock").set(-1.0);
    let engine = Engine::with_store(Arc::new(inner)).view::<Stock>().view::<Refunds>();
    let engine = engine.checkpoint_every(Duration::from_secs(3600), 1 << 40).start().unwrap();
    assert!(gauge(&heard(&snapshotter), "cqrs_checkpoint_position view=stock") > 0.0);
    drop(engine);
}
