//! What stops a view, and nothing else; and what a view does whose projection is not the one it was saved under.

use std::path::Path;
use std::time::Duration;

use cqrs_core::health::ViewState;
use cqrs_core::prelude::*;
use cqrs_core::{ChangesError, NotReady};

#[event]
#[derive(Debug, Clone, PartialEq)]
pub struct Sold {
    item: String,
    qty: i32,
}

#[event]
#[derive(Debug, Clone, PartialEq)]
pub struct Noted {
    text: String,
}

/// Goes wrong with nothing.
#[projection(from(Sold, Noted { item: text }), group_by = item)]
#[derive(Debug, Clone, PartialEq)]
pub struct Sales {
    item: String,
    #[count]
    events: u64,
    #[sum(Sold => qty)]
    qty: Option<i64>,
}

/// Overflows beyond 127.
#[projection(from = Sold, group_by = item)]
#[derive(Debug, Clone, PartialEq)]
pub struct Small {
    item: String,
    #[count]
    sales: u64,
    #[sum(qty as i8)]
    pieces: i8,
}

/// Panics at a quantity of zero.
#[projection(from = Sold, group_by = item)]
#[derive(Debug, Clone, PartialEq)]
pub struct Share {
    item: String,
    #[max(1000 / qty)]
    share: i32,
}

/// Panics at a quantity of zero, before there is a key.
#[projection(from = Sold, group_by = (share = 1000 / qty))]
#[derive(Debug, Clone, PartialEq)]
pub struct ByShare {
    share: i32,
    #[count]
    sales: u64,
}

/// Panics when it is shown, as long as the sum is zero.
#[projection(from = Sold, group_by = item)]
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    item: String,
    #[sum(qty)]
    qty: i64,
    #[computed(1000 / qty)]
    share: i64,
}

fn sold(item: &str, qty: i32) -> Sold {
    Sold { item: item.into(), qty }
}

fn changes_until_error<P: Projection>(changes: &mut Changes<P>) -> (Vec<Change<P>>, ChangesError) {
    let mut told = Vec::new();
    loop {
        match changes.next_timeout(Duration::from_secs(20)).wait().expect("an error ends it") {
            Ok(Change::Progress { .. }) => {}
            Ok(change) => told.push(change),
            Err(error) => {
                assert!(changes.next().wait().is_none(), "nothing follows the error");
                return (told, error);
            }
        }
    }
}

/// The fault under which every read of the view answers.
fn fault<P: Projection + std::fmt::Debug>(engine: &Engine) -> Fault {
    let view = engine.view::<P>();
    let Err(ReadError::Faulted(fault)) = view.rows() else { panic!("`{}` goes on", P::RUST_NAME) };
    let faulted = ReadError::Faulted(fault.clone());
    assert_eq!(view.len(), Err(faulted.clone()));
    assert_eq!(view.position(), Err(faulted));
    let (told, error) = changes_until_error(&mut view.subscribe());
    assert!(told.is_empty());
    assert_eq!(error, ChangesError::Faulted(fault.clone()));
    let health = engine.health().views.into_iter().find(|health| health.projection == P::RUST_NAME).unwrap();
    assert_eq!(health.state, ViewState::Faulted(fault.clone()));
    assert_eq!(health.position, fault.position - 1, "it stands before the event");
    fault
}

#[test]
fn an_overflow_stops_its_view_before_its_event_and_for_good() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("store");
    let open = || Engine::open(&folder).unwrap().view::<Small>().view::<Sales>().start().unwrap();
    let engine = open();
    let mut changes = engine.view::<Small>().subscribe();
    engine.append(sold("hats", 100)).wait().unwrap();
    let batch = [sold("pants", 5), sold("hats", 27), sold("hats", 1), sold("pants", 1)];
    let receipt = engine.append_all(batch).wait().unwrap();
    assert_eq!((receipt.first, receipt.last), (2, 5), "the append is none the worse for it");

    let found = fault::<Small>(&engine);
    assert_eq!((found.position, found.event.as_str(), found.column), (4, "Sold", Some("pieces")));
    let text = found.to_string();
    for part in
        ["`Small` stopped before the event at position 4", "`Sold`", "column `pieces`", "does not fit"]
    {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
    // What came before it was told, batch or no batch.
    let (told, error) = changes_until_error(&mut changes);
    assert_eq!(error, ChangesError::Faulted(found.clone()));
    let last = told.iter().rev().find_map(|change| match change {
        Change::Inserted { row } | Change::Updated { after: row, .. } => {
            (row.item == "hats").then_some(row.pieces)
        }
        _ => None,
    });
    assert_eq!(last, Some(127));

    // The others go on, and so do appends.
    engine.append(sold("hats", -100)).wait().unwrap();
    assert_eq!(engine.view::<Sales>().get("hats").unwrap().unwrap().qty, Some(28));
    let reached = engine.view::<Small>().wait_for(&receipt, Duration::from_secs(20)).wait();
    assert_eq!(reached, Ok(Reached::Faulted(found.clone())));
    engine.close().wait().unwrap();

    // The same after a restart, from its checkpoint and from the log; and after a restart that appends.
    for forget in [false, false, true] {
        if forget {
            std::fs::remove_file(folder.join("views.db")).unwrap();
        }
        let engine = open();
        assert_eq!(engine.wait_ready().wait(), Err(NotReady::Faulted(vec![found.clone()])));
        assert_eq!(fault::<Small>(&engine), found);
        engine.append(sold("hats", 1)).wait().unwrap();
        assert_eq!(fault::<Small>(&engine), found);
        let position = engine.health().position;
        assert_eq!(engine.view::<Sales>().get("hats").unwrap().unwrap().events, position - 2);
        engine.close().wait().unwrap();
    }
    let state: String = rusqlite::Connection::open(folder.join("views.db"))
        .unwrap()
        .query_row("SELECT state FROM _views WHERE name = 'small'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(state, found.to_string(), "SQL shows why, too");
}

/// The remedy: a projection that can hold it.
#[projection(from = Sold, group_by = item, name = "small")]
#[derive(Debug, Clone, PartialEq)]
pub struct Wide {
    item: String,
    #[sum(qty)]
    pieces: i64,
}

#[test]
fn a_mended_projection_is_rebuilt_and_one_that_was_not_faults_on_its_way() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("store");
    let engine = Engine::open(&folder).unwrap().view::<Small>().start().unwrap();
    for qty in [100, 27, 1, 5] {
        engine.append(sold("hats", qty)).wait().unwrap();
    }
    let found = fault::<Small>(&engine);
    engine.close().wait().unwrap();

    let engine = Engine::open(&folder).unwrap().view::<Wide>().start().unwrap();
    engine.wait_ready().wait().unwrap();
    assert_eq!(engine.view::<Wide>().get("hats").unwrap().unwrap().pieces, 133);
    engine.close().wait().unwrap();

    // Back again: the subscription that waits for the rebuild is told why there will be nothing.
    let engine = Engine::open(&folder).unwrap().view::<Small>().view::<Sales>().start().unwrap();
    let (_, error) = changes_until_error(&mut engine.view::<Small>().subscribe());
    assert_eq!(error, ChangesError::Faulted(found.clone()));
    assert_eq!(engine.wait_ready().wait(), Err(NotReady::Faulted(vec![found.clone()])));
    assert_eq!(fault::<Small>(&engine), found);
    assert_eq!(engine.view::<Sales>().get("hats").unwrap().unwrap().qty, Some(133));
}

/// However the events were batched, live and from the log: the same event.
#[test]
fn a_panic_stops_its_view_before_its_event() {
    for batch in [1, 2, 7, 100] {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("store");
        let open = || {
            Engine::open(&folder).unwrap().view::<Share>().view::<ByShare>().view::<Sales>().start().unwrap()
        };
        let engine = open();
        let events: Vec<Sold> =
            (1..=60).map(|n| sold(&format!("item {}", n % 4), if n == 45 { 0 } else { n })).collect();
        for batch in events.chunks(batch) {
            engine.append_all(batch.to_vec()).wait().unwrap();
        }
        let check = |engine: &Engine| {
            for fault in [fault::<Share>(engine), fault::<ByShare>(engine)] {
                assert_eq!(
                    (fault.position, fault.event.as_str()),
                    (45, "Sold"),
                    "in batches of {batch}: {fault}"
                );
                assert!(fault.reason.contains("panicked"), "{fault}");
                assert!(fault.reason.contains("divide by zero"), "{fault}");
            }
            assert_eq!(engine.view::<Sales>().rows().unwrap().map(|row| row.events).sum::<u64>(), 60);
            let (views, broken) = (engine.health().views, engine.health().broken);
            assert_eq!((views[0].rows, views[1].rows, broken), (4, 44 - duplicates(44), None));
        };
        check(&engine);
        engine.close().wait().unwrap();
        for forget in [false, true] {
            if forget {
                std::fs::remove_file(folder.join("views.db")).unwrap();
            }
            let engine = open();
            engine.wait_ready().wait().unwrap_err();
            check(&engine);
            engine.close().wait().unwrap();
        }
    }
}

/// How many of the first `n` sales share their share with one before.
fn duplicates(n: i32) -> u64 {
    let shares: std::collections::BTreeSet<i32> = (1..=n).map(|qty| 1000 / qty).collect();
    n as u64 - shares.len() as u64
}

/// A computed column that panics does so where it is shown: to its reader, and to nobody else.
#[test]
fn a_panic_in_a_computed_column_harms_no_one_else() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("store");
    let open = || Engine::open(&folder).unwrap().view::<Shown>().view::<Sales>().start().unwrap();
    let engine = open();
    let mut changes = engine.view::<Shown>().subscribe();
    engine.append(sold("hats", 5)).wait().unwrap();
    engine.append(sold("hats", -5)).wait().unwrap();
    engine.append(sold("pants", 4)).wait().unwrap();
    assert_eq!(engine.view::<Shown>().get("pants").unwrap().unwrap().share, 250);
    let (told, error) = changes_until_error(&mut changes);
    assert_eq!(told.len(), 1);
    assert!(error.to_string().contains("panicked"), "{error}");
    engine.checkpoint().wait().unwrap();
    engine.append(sold("hats", 10)).wait().unwrap();
    assert_eq!(engine.view::<Shown>().get("hats").unwrap().unwrap().share, 100);
    assert_eq!(engine.view::<Sales>().get("hats").unwrap().unwrap().qty, Some(10));
    let health = engine.health();
    assert_eq!((health.broken, health.checkpoint_failure), (None, None));
    engine.close().wait().unwrap();
    let engine = open();
    assert_eq!(engine.view::<Shown>().get("hats").unwrap().unwrap().share, 100);
}

/// One view, as several versions of a program have it.
mod versions {
    use super::*;

    #[projection(from = Sold, group_by = item, name = "sales")]
    #[derive(Debug, Clone, PartialEq)]
    pub(super) struct Count {
        pub item: String,
        #[count]
        pub sales: u64,
    }

    /// Same columns, same types, another meaning.
    #[projection(from = Sold, group_by = item, name = "sales")]
    #[derive(Debug, Clone, PartialEq)]
    pub(super) struct LargeOnly {
        pub item: String,
        #[count(if qty > 50)]
        pub sales: u64,
    }

    fn bonus() -> i64 {
        1000
    }

    /// Same text, another version: that of `bonus` changed.
    #[projection(from = Sold, group_by = item, name = "sales", version = 2)]
    #[derive(Debug, Clone, PartialEq)]
    pub(super) struct Bonus {
        pub item: String,
        #[sum(i64::from(qty) + bonus())]
        pub sales: i64,
    }

    fn bonus_before() -> i64 {
        0
    }

    pub(super) mod before {
        use super::bonus_before as bonus;
        use super::*;

        #[projection(from = Sold, group_by = item, name = "sales")]
        #[derive(Debug, Clone, PartialEq)]
        pub(crate) struct Bonus {
            pub item: String,
            #[sum(i64::from(qty) + bonus())]
            pub sales: i64,
        }
    }

    #[projection(from = Sold, group_by = (large = qty > 50), name = "sales")]
    #[derive(Debug, Clone, PartialEq)]
    pub(super) struct BySize {
        pub large: bool,
        #[count]
        pub sales: u64,
    }
}

const SALES: i32 = 20_000;

fn qty(n: i32) -> i32 {
    n % 100
}

fn fill(folder: &Path) {
    let engine = Engine::open(folder).unwrap().view::<versions::Count>().start().unwrap();
    let events: Vec<Sold> = (0..SALES).map(|n| sold(&format!("item {}", n % 10), qty(n))).collect();
    for batch in events.chunks(1000) {
        engine.append_all(batch.to_vec()).durable().wait().unwrap();
    }
    engine.close().wait().unwrap();
}

/// Opens the folder with this projection, looks at it until it is ready, and holds what it shows against `right`. Whether it was
/// rebuilt.
fn turns_into<P: Projection + std::fmt::Debug + PartialEq>(folder: &Path, right: &[P]) -> bool {
    let engine = Engine::open(folder)
        .unwrap()
        .view::<P>()
        .checkpoint_every(Duration::from_millis(1), 1)
        .start()
        .unwrap();
    let view = engine.view::<P>();
    let mut changes = view.subscribe();
    let mut rebuilt = engine.health().views[0].checkpoint.is_none();
    let mut last = 0;
    loop {
        match view.rows() {
            Ok(rows) => {
                assert_eq!(rows.collect::<Vec<_>>(), right);
                break;
            }
            Err(ReadError::Rebuilding { position, head }) => {
                rebuilt = true;
                assert!(position >= last && position <= head, "{position} of {head}, after {last}");
                assert_eq!(head, SALES as u64);
                last = position;
                std::thread::yield_now();
            }
            Err(error) => panic!("{error}"),
        }
    }
    engine.wait_ready().wait().unwrap();
    // A subscription that was made meanwhile begins with the right rows.
    for row in right {
        let Some(Ok(Change::Inserted { row: told })) = changes.next().wait() else { panic!("a row") };
        assert_eq!(told, *row);
    }
    assert_eq!(changes.next().wait(), Some(Ok(Change::Progress { position: SALES as u64 })));
    engine.checkpoint().wait().unwrap();
    let health = &engine.health().views[0];
    assert_eq!((health.position, health.lag, &health.state), (SALES as u64, 0, &ViewState::Live));
    assert_eq!(health.checkpoint.unwrap().position, SALES as u64);
    engine.close().wait().unwrap();
    rebuilt
}

#[test]
fn a_changed_projection_rebuilds_and_an_unchanged_one_resumes() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("store");
    fill(&folder);
    let items = || (0..10).map(|item| (item, format!("item {item}")));
    let of = |item: i32| (0..SALES).filter(move |n| n % 10 == item).map(qty);

    let count: Vec<_> =
        items().map(|(n, item)| versions::Count { item, sales: of(n).count() as u64 }).collect();
    let large = |n| of(n).filter(|qty| *qty > 50).count() as u64;
    let large: Vec<_> = items().map(|(n, item)| versions::LargeOnly { item, sales: large(n) }).collect();
    let sum = |n, bonus| of(n).map(|qty| i64::from(qty) + bonus).sum();
    let plain: Vec<_> = items().map(|(n, item)| versions::before::Bonus { item, sales: sum(n, 0) }).collect();
    let bonus: Vec<_> = items().map(|(n, item)| versions::Bonus { item, sales: sum(n, 1000) }).collect();
    let size = |large| (0..SALES).filter(|n| (qty(*n) > 50) == large).count() as u64;
    let sizes = [false, true].map(|large| versions::BySize { large, sales: size(large) });

    assert!(!turns_into(&folder, &count), "unchanged");
    assert!(turns_into(&folder, &large), "another meaning");
    assert!(!turns_into(&folder, &large), "unchanged");
    assert!(turns_into(&folder, &plain), "other columns");
    assert!(!turns_into(&folder, &plain), "unchanged");
    assert!(turns_into(&folder, &bonus), "another version");
    assert!(!turns_into(&folder, &bonus), "unchanged");
    assert!(turns_into(&folder, &sizes), "another key");
    assert!(turns_into(&folder, &count), "and back");
    assert!(!turns_into(&folder, &count), "unchanged");

    // Resuming does not read the log: what is behind the checkpoint may even be gone.
    let connection = rusqlite::Connection::open(folder.join("events.db")).unwrap();
    connection.execute("UPDATE events SET payload = x'00' WHERE position <= 10000", []).unwrap();
    drop(connection);
    assert!(!turns_into(&folder, &count), "unchanged");
}

/// While it rebuilds, appends are not held up, and are in it at the end.
#[test]
fn a_rebuild_takes_in_what_is_appended_meanwhile() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("store");
    fill(&folder);
    let engine = Engine::open(&folder).unwrap().view::<Sales>().view::<Small>().start().unwrap();
    let more = 500;
    for _ in 0..more {
        let receipt = engine.append(sold("late", 1)).wait().unwrap();
        match engine.view::<Sales>().get("late") {
            Ok(row) => assert_eq!(row.unwrap().events, receipt.last - SALES as u64),
            Err(error) => assert!(matches!(error, ReadError::Rebuilding { .. }), "{error}"),
        }
    }
    // `Small` overflows on the way; `Sales` does not mind.
    let NotReady::Faulted(faults) = engine.wait_ready().wait().unwrap_err() else { panic!("a fault") };
    assert_eq!((faults.len(), faults[0].projection, faults[0].column), (1, "Small", Some("pieces")));
    let sales: Vec<Sales> = engine.view::<Sales>().rows().unwrap().collect();
    assert_eq!(sales.len(), 11);
    assert_eq!(sales.iter().map(|row| row.events).sum::<u64>(), SALES as u64 + more);
    engine.close().wait().unwrap();
}
