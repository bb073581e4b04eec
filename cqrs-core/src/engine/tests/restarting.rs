//! Promises 3 to 5, 7 and 8: exactly once, rebuilt when changed, and never folded from the wrong log.

use super::*;
use crate::error::StartError;
use crate::health::ViewState;
use crate::store::{Beside, Head, LogEvent, SavedView, StoreId, ViewCheckpoint, Witness};
use crate::sync::lock;

/// `Has`, in another version: same name, other columns.
mod changed {
    use super::super::{Bought, Returned};
    use crate::prelude::*;

    #[projection(from(Bought, Returned), group_by = (customer, item))]
    #[derive(Debug, Clone, PartialEq)]
    pub(super) struct Has {
        customer: String,
        item: String,
        #[count]
        pub(super) events: u64,
    }
}

fn fill(engine: &Engine, events: i32) {
    for chunk in (0..events).collect::<Vec<_>>().chunks(100) {
        let event = |n: &i32| bought(&format!("c{}", n % 17), &format!("i{}", n % 5), 1);
        engine.append_all(chunk.iter().map(event)).wait().unwrap();
    }
}

#[test]
fn a_restart_resumes_from_the_checkpoint() {
    everywhere(|place| {
        let engine = place.engine().view::<Has>().view::<Owners>().start().unwrap();
        fill(&engine, 1000);
        let before = has(&engine);
        engine.close().wait().unwrap();

        let engine = place.engine().view::<Has>().view::<Owners>().start().unwrap();
        let health = engine.health();
        assert_eq!(health.views[0].state, ViewState::Live);
        assert_eq!(health.views[0].checkpoint.unwrap().position, 1000);
        assert_eq!(has(&engine), before);
        fill(&engine, 50);
        assert_eq!(engine.view::<Has>().position().unwrap(), 1050);
        drop(engine);
        let engine = place.engine().view::<Has>().view::<Owners>().start().unwrap();
        assert_eq!(has(&engine).values().map(|row| row.1).sum::<u64>(), 1050);
    });
}

#[test]
fn what_a_checkpoint_lacks_is_folded_at_the_start() {
    everywhere(|place| {
        let slow = Duration::from_secs(3600);
        let engine = place.engine().view::<Has>().checkpoint_every(slow, 1 << 40).start().unwrap();
        fill(&engine, 300);
        engine.checkpoint().wait().unwrap();
        assert_eq!(engine.health().views[0].checkpoint.unwrap().position, 300);
        fill(&engine, 9000);
        let before = has(&engine);
        // As if killed: the last checkpoint is kept away from the store.
        let saved = place_checkpoints(place);
        engine.close().wait().unwrap();
        if let Place::Memory(store) = place {
            // Only the memory store can be put back in time.
            let mut checkpoints = store.checkpoints().unwrap();
            let witness = checkpoints.witness().unwrap().unwrap();
            checkpoints.save(witness, &saved).unwrap();
            let engine = place.engine().view::<Has>().start().unwrap();
            assert_eq!(engine.health().views[0].checkpoint.unwrap().position, 300);
            assert_eq!(has(&engine), before);
        }
    });
}

/// The checkpoints as they are, as something that can be saved again.
fn place_checkpoints(place: &Place) -> Vec<ViewCheckpoint> {
    let Place::Memory(store) = place else { return Vec::new() };
    let mut checkpoints = store.checkpoints().unwrap();
    let views = checkpoints.views().unwrap();
    views
        .into_iter()
        .map(|view| {
            let mut changed = crate::store::RowImages::default();
            checkpoints
                .rows(&view.name, &mut |row| {
                    changed.push(row.id, row.shown, row.key, |out| out.extend_from_slice(row.state), |_| {});
                })
                .unwrap();
            ViewCheckpoint { view, columns: Vec::new(), reset: true, gone: Vec::new(), changed }
        })
        .collect()
}

#[test]
fn a_new_view_and_a_changed_one_are_rebuilt() {
    everywhere(|place| {
        let engine = place.engine().view::<Has>().start().unwrap();
        fill(&engine, 30_000);
        engine.close().wait().unwrap();

        let engine = place.engine().view::<changed::Has>().view::<Owners>().start().unwrap();
        let view = engine.view::<changed::Has>();
        match view.get(("c1", "i1")) {
            Ok(_) | Err(ReadError::Rebuilding { .. }) => {}
            Err(other) => panic!("{other}"),
        }
        // Appends go on meanwhile, and do not wait for the rebuild.
        for n in 0..200 {
            engine.append(bought("new", "hats", n)).wait().unwrap();
        }
        engine.wait_ready().wait().unwrap();
        assert_eq!(view.rows().unwrap().map(|row| row.events).sum::<u64>(), 30_200);
        assert_eq!(engine.view::<Owners>().get("new").unwrap().unwrap().qty, (0..200).sum::<i64>());
        engine.append(bought("new", "hats", 1)).wait().unwrap();
        assert_eq!(view.rows().unwrap().map(|row| row.events).sum::<u64>(), 30_201);
        engine.close().wait().unwrap();

        let engine = place.engine().view::<changed::Has>().view::<Owners>().start().unwrap();
        assert_eq!(engine.health().views[0].state, ViewState::Live);
        assert_eq!(engine.health().views[1].checkpoint.unwrap().position, 30_201);
        assert_eq!(engine.view::<changed::Has>().rows().unwrap().map(|row| row.events).sum::<u64>(), 30_201);
    });
}

#[test]
fn a_rebuild_that_is_interrupted_begins_anew() {
    everywhere(|place| {
        let engine = place.engine().event::<Bought>().start().unwrap();
        fill(&engine, 20_000);
        engine.close().wait().unwrap();
        for _ in 0..3 {
            drop(place.engine().view::<Has>().start().unwrap());
        }
        let engine = place.engine().view::<Has>().start().unwrap();
        engine.wait_ready().wait().unwrap();
        assert_eq!(has(&engine).values().map(|row| row.1).sum::<u64>(), 20_000);
    });
}

#[test]
fn many_rows_are_saved_by_the_stretch() {
    let place = Place::Memory(MemoryStore::new());
    let engine = place.engine().event::<Bought>().start().unwrap();
    for base in 0..20 {
        let rows = (0..10_000).map(|n| bought(&format!("c{}", base * 10_000 + n), "hats", 1));
        engine.append_all(rows).durable().wait().unwrap();
    }
    engine.close().wait().unwrap();
    let engine = place.engine().view::<Has>().start().unwrap();
    engine.wait_ready().wait().unwrap();
    let writer = engine.clone();
    let thread = std::thread::spawn(move || {
        for n in 0..300 {
            writer.append(bought(&format!("c{}", n * 600), "hats", 1)).wait().unwrap();
        }
    });
    engine.checkpoint().wait().unwrap();
    assert!(engine.health().views[0].checkpoint.is_some());
    thread.join().unwrap();
    let before = has(&engine);
    engine.close().wait().unwrap();
    let engine = place.engine().view::<Has>().start().unwrap();
    assert_eq!(engine.health().views[0].state, ViewState::Live, "resumed, so the digest held");
    assert_eq!(has(&engine), before);
}

#[test]
fn replay_equals_live_however_the_batches_were_cut() {
    everywhere(|place| {
        let engine = place.engine().view::<Has>().view::<Owners>().group_limits(3, 64).start().unwrap();
        let mut seed = 7_u32;
        for _ in 0..300 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let size = (seed >> 28) as i32;
            let events = (0..size).map(|n| {
                if n % 3 == 0 {
                    Shop::Returned(returned("ann", &format!("i{}", n % 4), n))
                } else {
                    Shop::Bought(bought(&format!("c{}", n % 3), "hats", n))
                }
            });
            engine.append_all(events).wait().unwrap();
        }
        let (live, position) = (has(&engine), engine.health().position);
        engine.close().wait().unwrap();
        let mut checkpoints = place.store().checkpoints().unwrap();
        for view in ["has", "owners"] {
            checkpoints.forget(view).unwrap();
        }
        drop(checkpoints);
        let engine = place.engine().view::<Has>().view::<Owners>().start().unwrap();
        engine.wait_ready().wait().unwrap();
        assert_eq!((has(&engine), engine.view::<Has>().position().unwrap()), (live, position));
    });
}

#[test]
fn unknown_history_is_refused() {
    everywhere(|place| {
        let engine = place.engine().event::<Noted>().view::<Has>().start().unwrap();
        engine.append(Noted { text: "x".into() }).wait().unwrap();
        engine.append(bought("ann", "hats", 1)).wait().unwrap();
        engine.close().wait().unwrap();
        let error = place.engine().view::<Has>().start().unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, StartError::UnknownEvents(_)), "{text}");
        for part in ["`Noted` version 1 (1 stored)", ".event::<E>()", "aliases", ".allow_unknown(\"Noted\")"]
        {
            assert!(text.contains(part), "{text}");
        }
        let engine = place.engine().view::<Has>().view::<Owners>().allow_unknown("Noted").start().unwrap();
        engine.wait_ready().wait().unwrap();
        assert_eq!(engine.view::<Owners>().len().unwrap(), 1);
        assert_eq!(has(&engine).len(), 1);
    });
}

#[test]
fn another_version_is_refused() {
    mod newer {
        use crate::prelude::*;
        #[event(version = 2)]
        pub(super) struct Noted {
            pub(super) text: String,
        }
    }
    everywhere(|place| {
        let engine = place.engine().event::<newer::Noted>().start().unwrap();
        engine.append(newer::Noted { text: "x".into() }).wait().unwrap();
        engine.close().wait().unwrap();
        let text = place.engine().event::<Noted>().start().unwrap_err().to_string();
        assert!(text.contains("`Noted` version 2 (1 stored)") && text.contains("newer version"), "{text}");
    });
}

#[test]
fn two_types_of_one_name_are_refused() {
    mod other {
        use crate::prelude::*;
        #[event]
        pub(super) struct Noted {
            pub(super) text: String,
        }
    }
    let _ = other::Noted { text: String::new() }.text;
    let text = Engine::in_memory().event::<Noted>().event::<other::Noted>().start().unwrap_err().to_string();
    assert!(text.contains("both stored as `Noted`"), "{text}");
    let text = Engine::in_memory().view::<Has>().view::<changed::Has>().start().unwrap_err().to_string();
    assert!(text.contains("both stored as `has`"), "{text}");
    assert!(Engine::in_memory().view::<Has>().view::<Has>().start().is_ok(), "the same one twice is one");
}

fn saved(place: &Place) -> SavedView {
    place.store().checkpoints().unwrap().views().unwrap().remove(0)
}

/// Saves the view's checkpoint again, with something changed.
fn tamper(place: &Place, change: impl FnOnce(&mut SavedView)) {
    let mut view = saved(place);
    change(&mut view);
    let columns = crate::engine::slot::ViewType::columns(&crate::engine::slot::TypedView::<Has>::default());
    let checkpoint = ViewCheckpoint {
        view,
        columns,
        reset: false,
        gone: Vec::new(),
        changed: crate::store::RowImages::default(),
    };
    let mut checkpoints = place.store().checkpoints().unwrap();
    let witness = checkpoints.witness().unwrap().unwrap();
    checkpoints.save(witness, &[checkpoint]).unwrap();
}

#[test]
fn a_checkpoint_of_another_log_is_refused_with_a_remedy() {
    everywhere(|place| {
        let engine = place.engine().view::<Has>().start().unwrap();
        fill(&engine, 100);
        engine.close().wait().unwrap();
        let right = saved(place);
        let start = || place.engine().view::<Has>().start();

        tamper(place, |view| view.store = StoreId([9; 16]));
        let error = start().unwrap_err();
        assert!(
            matches!(error, StartError::OtherLog { .. }) && error.to_string().contains("delete views.db"),
            "{error}"
        );

        tamper(place, |view| (view.store, view.position) = (right.store, 101));
        let error = start().unwrap_err();
        assert!(matches!(error, StartError::LogTooShort { head: 100, position: 101, .. }), "{error}");

        tamper(place, |view| (view.position, view.log_checksum) = (100, right.log_checksum ^ 1));
        let error = start().unwrap_err();
        assert!(matches!(error, StartError::LogDiffers { position: 100, .. }), "{error}");

        tamper(place, |view| view.log_checksum = right.log_checksum);
        assert_eq!(has(&start().unwrap()).values().map(|row| row.1).sum::<u64>(), 100);
    });
}

fn witnessed(place: &Place) -> Option<Head> {
    place.store().checkpoints().unwrap().witness().unwrap().map(|witness| witness.head)
}

fn head(place: &Place) -> Head {
    place.store().reader().unwrap().head().unwrap()
}

#[test]
fn the_end_of_the_log_is_witnessed_without_any_view() {
    everywhere(|place| {
        let engine = place.engine().event::<Noted>().start().unwrap();
        engine.append(Noted { text: "a".into() }).wait().unwrap();
        engine.checkpoint().wait().unwrap();
        let store = lock(&engine.handle.core.store).clone().unwrap();
        let witness = || store.checkpoints().unwrap().witness().unwrap().unwrap().head.position;
        assert_eq!(witness(), 1);
        // At the usual pace, too.
        engine.append(Noted { text: "b".into() }).wait().unwrap();
        soon("the second is witnessed", || witness() == 2);
        engine.append(Noted { text: "c".into() }).wait().unwrap();
        drop(store);
        engine.close().wait().unwrap();
        assert_eq!(witnessed(place), Some(head(place)));
        assert_eq!(head(place).position, 3);
    });
}

#[test]
fn the_end_of_the_log_is_witnessed_where_every_view_has_stopped() {
    everywhere(|place| {
        let engine = place.engine().view::<Tiny>().start().unwrap();
        for _ in 0..5 {
            engine.append(bought("ann", "hats", 100)).wait().unwrap();
        }
        assert!(matches!(engine.view::<Tiny>().get("hats"), Err(ReadError::Faulted(_))));
        engine.close().wait().unwrap();
        assert_eq!((saved(place).position, witnessed(place)), (1, Some(head(place))));
        // A stopped view resumes where it stopped, and what is witnessed goes on.
        let engine = place.engine().view::<Tiny>().start().unwrap();
        engine.append(bought("ann", "hats", 1)).wait().unwrap();
        engine.close().wait().unwrap();
        assert_eq!((head(place).position, witnessed(place)), (6, Some(head(place))));
    });
}

#[test]
fn a_log_that_is_not_the_one_last_seen_is_refused_with_a_remedy() {
    everywhere(|place| {
        let engine = place.engine().event::<Noted>().start().unwrap();
        for text in ["a", "b"] {
            engine.append(Noted { text: text.into() }).wait().unwrap();
        }
        engine.close().wait().unwrap();
        let store = place.store().id();
        let right = Witness { store, head: head(place) };
        let refused = |witness| {
            place.store().checkpoints().unwrap().save(witness, &[]).unwrap();
            let error = place.engine().event::<Noted>().start().unwrap_err();
            assert!(error.to_string().starts_with("the last checkpoint "), "{error}");
            error
        };
        let error = refused(Witness { store: StoreId([9; 16]), ..right });
        assert!(matches!(error, StartError::OtherLog { view: None, .. }), "{error}");
        let error = refused(Witness { head: Head { position: 3, ..right.head }, ..right });
        assert!(matches!(error, StartError::LogTooShort { head: 2, position: 3, view: None }), "{error}");
        let error = refused(Witness { head: Head { position: 1, ..right.head }, ..right });
        assert!(matches!(error, StartError::LogDiffers { position: 1, view: None }), "{error}");
        place.store().checkpoints().unwrap().save(right, &[]).unwrap();
        place.engine().event::<Noted>().start().unwrap();
    });
}

#[test]
fn damaged_rows_are_found_and_rebuilt() {
    everywhere(|place| {
        let engine = place.engine().view::<Has>().start().unwrap();
        fill(&engine, 100);
        let before = has(&engine);
        engine.close().wait().unwrap();
        for change in [|view: &mut SavedView| view.digest ^= 1, |view: &mut SavedView| view.rows += 1] {
            tamper(place, change);
            let engine = place.engine().view::<Has>().start().unwrap();
            engine.wait_ready().wait().unwrap();
            assert_eq!(has(&engine), before);
            engine.close().wait().unwrap();
        }
        assert_eq!(saved(place).rows, before.len() as u64);
    });
}

#[test]
fn a_broken_chain_is_found() {
    everywhere(|place| {
        let store = place.store();
        let mut log = store.log().unwrap();
        let mut payload = Vec::new();
        Event::encode(&bought("ann", "hats", 1), &mut payload).unwrap();
        let event = LogEvent {
            position: 1,
            name: "Bought",
            version: 1,
            recorded_at: Timestamp::UNIX_EPOCH,
            event_id: None,
            metadata: &[],
            payload: &payload,
            checksum: 17,
        };
        log.append(Head::default(), &[event], &Beside::default()).unwrap();
        drop((log, store));
        let engine = place.engine().view::<Has>().start().unwrap();
        let error = engine.wait_ready().wait().unwrap_err();
        assert!(error.to_string().contains("the log is damaged here"), "{error}");
        assert!(matches!(engine.view::<Has>().get(("ann", "hats")), Err(ReadError::Faulted(_))));
        let event = engine.events::<Bought>(1).next().wait().unwrap();
        assert!(matches!(event, Err(crate::EventsError::Damaged { position: 1, .. })));
        // Appends go on: what is appended now is whole.
        engine.append(bought("ann", "hats", 1)).wait().unwrap();
    });
}
