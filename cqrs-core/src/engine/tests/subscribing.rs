//! The change feed: rows now, then every change, none lost and none twice.

use super::*;
use crate::{Changes, ChangesError};

/// Takes changes up to and with a position, and holds each against what it knows.
fn follow<P, K: Ord + Clone>(
    changes: &mut Changes<P>,
    rows: &mut BTreeMap<K, P>,
    to: u64,
    key: impl Fn(&P) -> K,
) where
    P: Projection + PartialEq + std::fmt::Debug,
{
    loop {
        match changes.next_timeout(Duration::from_secs(10)).wait().unwrap().unwrap() {
            Change::Inserted { row } => assert_eq!(rows.insert(key(&row), row), None),
            Change::Updated { before, after } => {
                assert_ne!(before, after);
                assert_eq!(rows.insert(key(&after), after), Some(before));
            }
            Change::Deleted { row } => assert_eq!(rows.remove(&key(&row)), Some(row)),
            Change::Progress { position } if position >= to => return,
            Change::Progress { .. } => {}
        }
    }
}

#[test]
fn rows_now_then_changes() {
    everywhere(|place| {
        let engine = place.engine().view::<Owners>().start().unwrap();
        engine.append_all([bought("ann", "hats", 1), bought("bob", "hats", 2)]).wait().unwrap();
        let mut changes = engine.view::<Owners>().subscribe();
        let mut next = || changes.next_timeout(Duration::from_secs(10)).wait().unwrap().unwrap();
        let owner = |customer: &str, qty| Owners { customer: customer.into(), qty };
        assert_eq!(next(), Change::Inserted { row: owner("ann", 1) });
        assert_eq!(next(), Change::Inserted { row: owner("bob", 2) });
        assert_eq!(next(), Change::Progress { position: 2 });
        engine.append(bought("ann", "hats", 4)).wait().unwrap();
        assert_eq!(next(), Change::Updated { before: owner("ann", 1), after: owner("ann", 5) });
        assert_eq!(next(), Change::Progress { position: 3 });
        // `having` hides the row: it leaves, and comes back.
        engine.append(returned("ann", "hats", 5)).wait().unwrap();
        assert_eq!(next(), Change::Deleted { row: owner("ann", 5) });
        assert_eq!(next(), Change::Progress { position: 4 });
        // Nothing that a reader could see has changed.
        engine.append_all([bought("bob", "hats", 1), bought("bob", "hats", -1)]).wait().unwrap();
        assert_eq!(next(), Change::Progress { position: 6 });
        engine.append(bought("ann", "hats", 1)).wait().unwrap();
        assert_eq!(next(), Change::Inserted { row: owner("ann", 1) });
        assert_eq!(next(), Change::Progress { position: 7 });
        assert_eq!(changes.next_timeout(Duration::from_millis(10)).wait(), Some(Err(ChangesError::TimedOut)));
        engine.close().wait().unwrap();
        assert_eq!(changes.next().wait(), Some(Err(ChangesError::Closed)));
        assert_eq!(changes.next().wait(), None);
    });
}

#[test]
fn nothing_is_lost_and_nothing_doubled_under_concurrent_appends() {
    everywhere(|place| {
        let engine = place.engine().view::<Has>().view::<Owners>().start().unwrap();
        let (writers, each) = (3, 150);
        let total = writers * each;
        std::thread::scope(|scope| {
            for writer in 0..writers {
                let engine = engine.clone();
                scope.spawn(move || {
                    for n in 0..each {
                        let (customer, item) = (format!("c{}", n % 5), format!("i{writer}"));
                        let event = if n % 4 == 3 {
                            Shop::Returned(returned(&customer, &item, 1))
                        } else {
                            Shop::Bought(bought(&customer, &item, 1))
                        };
                        engine.append(event).wait().unwrap();
                    }
                });
            }
            for subscriber in 0..4 {
                let engine = engine.clone();
                scope.spawn(move || {
                    std::thread::sleep(Duration::from_millis(subscriber * 3));
                    let (mut rows, mut owners) = (BTreeMap::new(), BTreeMap::new());
                    let (mut of_has, mut of_owners) =
                        (engine.view::<Has>().subscribe(), engine.view::<Owners>().subscribe());
                    let key = |row: &Has| (row.customer.clone(), row.item.clone());
                    follow(&mut of_has, &mut rows, total, key);
                    follow(&mut of_owners, &mut owners, total, |row: &Owners| row.customer.clone());
                    let rows: BTreeMap<_, _> =
                        rows.into_iter().map(|(key, row)| (key, (row.qty, row.events))).collect();
                    assert_eq!(rows, has(&engine));
                    let all = engine.view::<Owners>().rows().unwrap();
                    assert_eq!(owners.into_values().collect::<Vec<_>>().len(), all.count());
                });
            }
        });
    });
}

#[test]
fn a_slow_subscriber_is_told_and_costs_nobody_else() {
    let engine = Engine::in_memory().view::<Has>().start().unwrap();
    let view = engine.view::<Has>();
    let (mut slow, mut quick) = (view.subscribe().backlog(10), view.subscribe());
    for n in 0..11 {
        engine.append(bought("ann", &n.to_string(), 1)).wait().unwrap();
    }
    assert_eq!(slow.next().wait(), Some(Ok(Change::Progress { position: 0 })), "the rows it began with");
    assert_eq!(slow.next().wait(), Some(Err(ChangesError::Lagged { position: 11 })));
    assert_eq!(slow.next().wait(), None);
    let mut rows = BTreeMap::new();
    follow(&mut quick, &mut rows, 11, |row| row.item.clone());
    assert_eq!(rows.len(), 11);
}

#[test]
fn progress_alone_does_not_fill_the_backlog() {
    let engine = Engine::in_memory().view::<Tiny>().event::<Returned>().start().unwrap();
    let mut changes = engine.view::<Tiny>().subscribe().backlog(1);
    for _ in 0..100 {
        engine.append(returned("ann", "hats", 1)).wait().unwrap();
    }
    assert_eq!(changes.next().wait(), Some(Ok(Change::Progress { position: 0 })));
    assert_eq!(changes.next().wait(), Some(Ok(Change::Progress { position: 100 })));
}

#[test]
fn a_subscription_to_a_view_that_is_rebuilt_begins_when_it_is() {
    everywhere(|place| {
        let engine = place.engine().event::<Bought>().start().unwrap();
        for _ in 0..30 {
            engine.append_all((0..1000).map(|n| bought(&format!("c{n}"), "hats", 1))).wait().unwrap();
        }
        engine.close().wait().unwrap();
        let engine = place.engine().view::<Has>().start().unwrap();
        let mut changes = engine.view::<Has>().subscribe();
        let mut rows = BTreeMap::new();
        engine.append(bought("ann", "hats", 1)).wait().unwrap();
        follow(&mut changes, &mut rows, 30_001, |row| row.customer.clone());
        assert_eq!(rows.len(), 1001);
        assert_eq!(rows["c7"].qty, 30);
    });
}

/// A task of an executor that is gone.
struct Gone;

impl std::task::Wake for Gone {
    fn wake(self: Arc<Self>) {
        panic!("the executor is gone");
    }
}

#[test]
fn a_subscriber_whose_executor_panics_stops_nobody_else() {
    let engine = Engine::in_memory().view::<Has>().start().unwrap();
    let mut changes = engine.view::<Has>().subscribe();
    assert_eq!(changes.next().wait(), Some(Ok(Change::Progress { position: 0 })));
    let gone = std::task::Waker::from(Arc::new(Gone));
    let mut context = std::task::Context::from_waker(&gone);
    assert!(std::pin::pin!(changes.next()).poll(&mut context).is_pending());
    engine.append(bought("ann", "hats", 1)).wait().unwrap();
    assert_eq!(engine.view::<Has>().get(("ann", "hats")).unwrap().unwrap().qty, 1);
    assert_eq!(engine.health().broken, None);
    assert!(matches!(changes.next().wait(), Some(Ok(Change::Inserted { .. }))));
    assert!(matches!(changes.next().wait(), Some(Ok(Change::Progress { position: 1 }))));
    assert!(std::pin::pin!(changes.next()).poll(&mut context).is_pending());
    engine.close().wait().unwrap();
    assert_eq!(changes.next().wait(), Some(Err(ChangesError::Closed)));
}
