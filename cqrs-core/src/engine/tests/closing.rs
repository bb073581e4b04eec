//! Closing, dropping, and reading from beside.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::Refusal;
use crate::store::StoreError;

#[test]
fn a_closed_engine_says_so_and_gives_the_folder_back() {
    everywhere(|place| {
        let engine = place.engine().view::<Has>().start().unwrap();
        engine.append(bought("ann", "hats", 1)).wait().unwrap();
        let (view, other) = (engine.view::<Has>(), engine.clone());
        let (held, mut changes, events) =
            (view.rows().unwrap(), view.subscribe(), engine.events::<Bought>(1));
        if let Place::Folder(folder) = place {
            let error = SqliteStore::open(folder.path().join("shop")).unwrap_err();
            assert!(matches!(error, StoreError::Locked { .. }), "{error}");
        }
        engine.close().wait().unwrap();
        engine.close().wait().unwrap();
        assert!(other.health().closed);
        assert_eq!(view.get(("ann", "hats")), Err(ReadError::Closed));
        let refused = other.append(bought("ann", "hats", 1)).wait();
        assert!(matches!(refused, Err(AppendError::NotAppended(Refusal::Closed))), "{refused:?}");
        assert!(other.checkpoint().wait().is_err());
        assert!(other.wait_ready().wait().is_err());
        assert_eq!(held.count(), 1, "what is held can still be read");
        // The store is free, whoever still holds what.
        let again = place.engine().view::<Has>().start().unwrap();
        assert_eq!(has(&again).len(), 1);
        while changes.next().wait().is_some_and(|change| change.is_ok()) {}
        drop((events, other));
    });
}

#[test]
fn dropping_the_last_clone_drains_and_saves() {
    everywhere(|place| {
        let engine = place.engine().view::<Has>().start().unwrap();
        let view = engine.view::<Has>();
        std::thread::scope(|scope| {
            for n in 0..8 {
                let engine = engine.clone();
                scope.spawn(move || {
                    for _ in 0..20 {
                        engine.append(bought(&n.to_string(), "hats", 1)).durable().wait().unwrap();
                    }
                });
            }
        });
        drop(engine);
        assert_eq!(view.len(), Err(ReadError::Closed));
        let engine = place.engine().view::<Has>().start().unwrap();
        assert_eq!(engine.health().views[0].checkpoint.unwrap().position, 160);
        assert_eq!(has(&engine).values().map(|row| row.1).sum::<u64>(), 160);
    });
}

#[test]
fn appends_that_race_with_closing_are_answered() {
    everywhere(|place| {
        let engine = place.engine().view::<Has>().queues(2, 1).start().unwrap();
        let acknowledged = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..6)
                .map(|_| {
                    let engine = engine.clone();
                    scope.spawn(move || {
                        let mut acknowledged = 0;
                        loop {
                            match engine.append(bought("ann", "hats", 1)).wait() {
                                Ok(_) => acknowledged += 1,
                                Err(AppendError::NotAppended(Refusal::Closed)) => return acknowledged,
                                Err(error) => panic!("{error}"),
                            }
                        }
                    })
                })
                .collect();
            std::thread::sleep(Duration::from_millis(30));
            engine.close().wait().unwrap();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u64>()
        });
        let engine = place.engine().view::<Has>().start().unwrap();
        assert_eq!(engine.health().position, acknowledged);
    });
}

/// Drops the last engine from a waker, on one of the engine's own threads.
#[test]
fn an_engine_dropped_by_its_own_thread_does_not_wait_for_itself() {
    use std::future::Future;
    use std::task::{Context, Wake, Waker};

    struct Dropper(std::sync::Mutex<Option<Engine>>, AtomicBool);
    impl Wake for Dropper {
        fn wake(self: Arc<Self>) {
            drop(crate::sync::lock(&self.0).take());
            self.1.store(true, Ordering::SeqCst);
        }
    }
    everywhere(|place| {
        // An answer that is there at once wakes nobody: then it is tried with another engine.
        let waits = || {
            let engine = place.engine().view::<Has>().start().unwrap();
            let view = engine.view::<Has>();
            let mut append = Box::pin(engine.append(bought("ann", "hats", 1)));
            let dropper = Arc::new(Dropper(std::sync::Mutex::new(Some(engine)), AtomicBool::new(false)));
            let waker = Waker::from(dropper.clone());
            append.as_mut().poll(&mut Context::from_waker(&waker)).is_pending().then_some((dropper, view))
        };
        let (dropper, view) = std::iter::repeat_with(waits).flatten().next().unwrap();
        soon("the waker ran", || dropper.1.load(Ordering::SeqCst));
        soon("the engine closed", || view.len() == Err(ReadError::Closed));
    });
}

#[test]
fn a_folder_is_read_beside_its_writer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop");
    assert!(Engine::open_read_only(&path).is_err());
    let writer = Engine::open(&path).unwrap().view::<Has>().start().unwrap();
    writer.append(bought("ann", "hats", 1)).wait().unwrap();
    writer.checkpoint().wait().unwrap();
    let reader = Engine::open_read_only(&path).unwrap().view::<Has>().view::<Owners>().start().unwrap();
    reader.wait_ready().wait().unwrap();
    let mut changes = reader.view::<Has>().subscribe();
    let mut events = reader.events::<Bought>(1);
    for n in 0..50 {
        let receipt = writer.append(bought("bob", "hats", n)).wait().unwrap();
        let reached = reader.view::<Has>().wait_for(&receipt, Duration::from_secs(10)).wait();
        assert_eq!(reached, Ok(Reached::Reached));
    }
    assert_eq!(has(&reader), has(&writer));
    assert_eq!(reader.view::<Owners>().len().unwrap(), 2);
    for _ in 0..51 {
        events.next().wait().unwrap().unwrap();
    }
    assert!(matches!(changes.next().wait(), Some(Ok(Change::Inserted { .. }))));
    let refused = reader.append(bought("ann", "hats", 1)).wait();
    assert!(matches!(refused, Err(AppendError::NotAppended(Refusal::ReadOnly))));
    assert!(reader.checkpoint().wait().is_err());
    assert!(reader.health().read_only);
    reader.close().wait().unwrap();
    writer.close().wait().unwrap();
}

#[test]
fn a_backup_is_an_engine_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(folder.path().join("shop")).unwrap().view::<Has>().start().unwrap();
    for n in 0..100 {
        engine.append(bought(&n.to_string(), "hats", 1)).wait().unwrap();
    }
    engine.backup(folder.path().join("copy")).wait().unwrap();
    engine.append(bought("later", "hats", 1)).wait().unwrap();
    let copy = Engine::open(folder.path().join("copy")).unwrap().view::<Has>().start().unwrap();
    copy.wait_ready().wait().unwrap();
    assert_eq!((has(&copy).len(), has(&engine).len()), (100, 101));
}

#[test]
fn many_engines_come_and_go() {
    let place = Place::Folder(tempfile::tempdir().unwrap());
    for n in 0..30 {
        let engine = place.engine().view::<Has>().view::<Everything>().start().unwrap();
        assert_eq!(engine.view::<Everything>().get(()).unwrap().map_or(0, |row| row.events), n);
        engine.append(bought("ann", "hats", 1)).durable().wait().unwrap();
    }
}

#[test]
fn health_says_after_the_close_how_far_views_came() {
    everywhere(|place| {
        let engine = place.engine().view::<Has>().event::<Noted>().start().unwrap();
        engine.append(bought("ann", "hats", 1)).wait().unwrap();
        // Of no interest to the view, which has passed them even so.
        engine.append_all((0..10).map(|_| Noted { text: "noted".into() })).wait().unwrap();
        engine.close().wait().unwrap();
        let view = engine.health().views.remove(0);
        assert_eq!((view.position, view.lag), (11, 0));
    });
}
