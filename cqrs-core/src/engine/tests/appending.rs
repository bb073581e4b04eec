//! Promises 1, 2 and 9: acknowledged, seen, once.

use super::*;
use crate::Refusal;

fn refusal<T: std::fmt::Debug>(outcome: Result<T, AppendError>) -> Refusal {
    match outcome {
        Err(AppendError::NotAppended(refusal)) => refusal,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[test]
fn what_is_acknowledged_is_seen() {
    everywhere(|place| {
        let engine = place.engine().view::<Has>().view::<Everything>().start().unwrap();
        let view = engine.view::<Has>();
        assert_eq!(view.get(("ann", "hats")).unwrap(), None);
        for n in 1..=50 {
            let receipt = engine.append(bought("ann", "hats", 1)).wait().unwrap();
            assert_eq!((receipt.first, receipt.last, receipt.store), (n, n, engine.store_id()));
            assert_eq!(view.get(("ann", "hats")).unwrap().unwrap().qty, n as i64);
        }
        engine.append(returned("ann", "hats", 20)).wait().unwrap();
        assert_eq!(view.get(("ann", "hats")).unwrap().unwrap().qty, 30);
        assert_eq!(engine.view::<Everything>().get(()).unwrap().unwrap().events, 51);
        assert_eq!(view.rows_of("ann").unwrap().count(), 1);
        assert_eq!((view.position().unwrap(), view.len().unwrap()), (51, 1));
    });
}

#[test]
fn an_enum_is_appended_under_its_variants_names() {
    everywhere(|place| {
        let engine = place.engine().view::<Has>().start().unwrap();
        engine.append(Shop::Bought(bought("ann", "hats", 3))).wait().unwrap();
        engine.append(Shop::Returned(returned("ann", "hats", 1))).wait().unwrap();
        assert_eq!(engine.view::<Has>().get(("ann", "hats")).unwrap().unwrap().qty, 2);
    });
}

#[test]
fn a_batch_is_one_and_nothing_of_a_bad_one_is_appended() {
    everywhere(|place| {
        let engine = place.engine().view::<Has>().start().unwrap();
        let receipt = engine.append_all((0..10).map(|n| bought("ann", "hats", n))).wait().unwrap();
        assert_eq!((receipt.first, receipt.last, receipt.len()), (1, 10, 10));
        let batch = [NewEvent::new(bought("ann", "hats", 1)), NewEvent::new(Noted { text: "x".into() })];
        let refused = refusal(engine.append_all(batch).wait());
        assert!(refused.to_string().contains("`Noted`"), "{refused}");
        assert!(refused.to_string().contains(".event::<E>()"), "{refused}");
        assert_eq!(engine.health().position, 10);
        let empty = engine.append_all(Vec::<Bought>::new()).wait().unwrap();
        assert_eq!((empty.first, empty.last, empty.is_empty()), (11, 10, true));
    });
}

#[test]
fn payloads_have_a_limit() {
    let engine = Engine::in_memory().view::<Has>().payload_limit(100).start().unwrap();
    let refused = refusal(engine.append(bought(&"x".repeat(100), "hats", 1)).wait());
    assert!(matches!(refused, Refusal::TooLarge { name: "Bought", limit: 100, .. }), "{refused}");
    engine.append(bought("ann", "hats", 1)).wait().unwrap();
}

#[test]
fn what_just_fits_is_appended_with_its_id_and_metadata() {
    let just = |event: NewEvent| {
        let sizes = (0..200).filter(|limit| {
            let engine = Engine::in_memory().view::<Has>().payload_limit(*limit).start().unwrap();
            engine.append(event.clone()).wait().is_ok()
        });
        sizes.min().unwrap()
    };
    let mut payload = Vec::new();
    bought("ann", "hats", 1).encode(&mut payload).unwrap();
    let event = || NewEvent::new(bought("ann", "hats", 1));
    assert_eq!(just(event()), payload.len());
    assert_eq!(just(event().id("1234")), payload.len() + 4);
    assert!(just(event().meta("channel", "web")) > payload.len() + "channelweb".len());
}

#[test]
fn an_event_id_appends_once() {
    everywhere(|place| {
        let engine = place.engine().view::<Has>().start().unwrap();
        let with_id = |id: &str, qty| NewEvent::new(bought("ann", "hats", qty)).id(id);
        let first = engine.append(with_id("a", 1)).wait().unwrap();
        engine.append(bought("ann", "hats", 1)).wait().unwrap();
        assert_eq!(engine.append(with_id("a", 1)).wait().unwrap(), first);
        assert_eq!(engine.append(with_id("a", 1)).durable().wait().unwrap(), first);
        assert_eq!(engine.health().position, 2);
        let refused = refusal(engine.append(with_id("a", 2)).wait());
        assert!(refused.to_string().contains("`a` is taken"), "{refused}");
        let other = NewEvent::new(returned("ann", "hats", 1)).id("a");
        assert!(matches!(refusal(engine.append(other).wait()), Refusal::IdConflict { .. }));

        // A batch matches whole, also where only some of its events have ids.
        let batch = || [with_id("b", 1), NewEvent::new(bought("ann", "hats", 7)), with_id("c", 2)];
        let receipt = engine.append_all(batch()).wait().unwrap();
        assert_eq!((receipt.first, receipt.last), (3, 5));
        assert_eq!(engine.append_all(batch()).wait().unwrap(), receipt);
        for wrong in [
            vec![with_id("c", 2), with_id("b", 1)],
            vec![with_id("b", 1), with_id("c", 2)],
            vec![with_id("b", 1), NewEvent::new(bought("ann", "hats", 8)), with_id("c", 2)],
            vec![with_id("c", 2), with_id("new", 2)],
            vec![with_id("new", 2), with_id("c", 2)],
            vec![with_id("twice", 2), with_id("twice", 2)],
        ] {
            let refused = refusal(engine.append_all(wrong).wait());
            assert!(matches!(refused, Refusal::IdConflict { .. }), "{refused}");
        }
        assert_eq!(engine.health().position, 5);
        engine.close().wait().unwrap();
        let engine = place.engine().view::<Has>().start().unwrap();
        assert_eq!(engine.append_all(batch()).wait().unwrap(), receipt, "also after a restart");
    });
}

#[test]
fn an_event_id_appends_once_within_a_group() {
    everywhere(|place| {
        let engine = place.engine().view::<Has>().start().unwrap();
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let engine = engine.clone();
                std::thread::spawn(move || {
                    let ids = 0..50;
                    let receipts: Vec<Receipt> = ids
                        .map(|id| {
                            let event = NewEvent::new(bought("ann", "hats", id)).id(id.to_string());
                            engine.append(event).wait().unwrap()
                        })
                        .collect();
                    receipts
                })
            })
            .collect();
        let receipts: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(receipts.iter().all(|theirs| *theirs == receipts[0]));
        assert_eq!(engine.health().position, 50);
        assert_eq!(has(&engine).into_values().next(), Some(((0..50).sum(), 50)));
    });
}

#[test]
fn many_threads_append_and_every_append_is_seen_by_its_thread() {
    everywhere(|place| {
        let engine = place.engine().view::<Has>().view::<Owners>().queues(4, 1).start().unwrap();
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let engine = engine.clone();
                scope.spawn(move || {
                    let name = thread.to_string();
                    let view = engine.view::<Has>();
                    for n in 1..=100 {
                        engine.append(bought(&name, "hats", 1)).wait().unwrap();
                        assert_eq!(view.get((&name, "hats")).unwrap().unwrap().qty, n);
                    }
                });
            }
        });
        assert_eq!(engine.health().position, 800);
        assert!(has(&engine).into_values().all(|row| row == (100, 100)));
        assert_eq!(has(&engine).len(), 8);
    });
}

#[test]
fn a_dropped_append_still_happens() {
    use std::future::Future;
    use std::task::{Context, Waker};
    everywhere(|place| {
        let engine = place.engine().view::<Has>().start().unwrap();
        let mut append = Box::pin(engine.append(bought("ann", "hats", 1)));
        let _ = append.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        drop(append);
        drop(engine.append(bought("ann", "never polled", 1)));
        soon("the event is in", || engine.health().position == 1);
        engine.append(bought("ann", "hats", 1)).wait().unwrap();
        assert_eq!(has(&engine).into_values().next(), Some((2, 2)));
    });
}

#[test]
fn durable_is_enough_where_it_was_asked_for() {
    everywhere(|place| {
        let engine = place.engine().view::<Has>().consistency(Consistency::Durable).start().unwrap();
        let mut last = None;
        for _ in 0..100 {
            last = Some(engine.append(bought("ann", "hats", 1)).wait().unwrap());
        }
        let view = engine.view::<Has>();
        let reached = view.wait_for(&last.unwrap(), Duration::from_secs(10)).wait().unwrap();
        assert_eq!(reached, Reached::Reached);
        assert_eq!(view.get(("ann", "hats")).unwrap().unwrap().qty, 100);
        engine.append(bought("ann", "hats", 1)).consistency(Consistency::ReadYourWrites).wait().unwrap();
        assert_eq!(view.get(("ann", "hats")).unwrap().unwrap().qty, 101);
    });
}

#[test]
fn a_reader_who_dawdles_holds_nobody_up_and_sees_one_state() {
    everywhere(|place| {
        let engine = place.engine().view::<Has>().start().unwrap();
        engine.append_all((0..100).map(|n| bought("ann", &n.to_string(), 1))).wait().unwrap();
        let view = engine.view::<Has>();
        let held: Vec<_> = (0..20)
            .map(|_| {
                let rows = view.rows().unwrap();
                for _ in 0..5 {
                    engine.append_all((0..100).map(|n| bought("ann", &n.to_string(), 1))).wait().unwrap();
                }
                rows
            })
            .collect();
        for (round, rows) in held.into_iter().enumerate() {
            let due = 1 + 5 * round as i64;
            assert_eq!(rows.position(), due as u64 * 100);
            assert_eq!(rows.map(|row| (row.qty == due) as usize).sum::<usize>(), 100);
        }
        assert!(has(&engine).into_values().all(|row| row == (101, 101)));
    });
}

#[test]
fn two_views_are_published_as_one() {
    let engine = Engine::in_memory().view::<Has>().view::<Everything>().start().unwrap();
    let core = &engine.handle.core;
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for n in 0..2000 {
                engine.append(bought("ann", &(n % 7).to_string(), 1)).durable().wait().unwrap();
            }
        });
        while !writer.is_finished() {
            let published = core.published.load_full();
            let rows = |number: usize| match &published.views[number] {
                crate::engine::shared::Shown::Live(rows) => rows.clone(),
                _ => panic!("not live"),
            };
            let has = rows(0).downcast::<crate::table::Rows<Has>>().unwrap();
            let all = rows(1).downcast::<crate::table::Rows<Everything>>().unwrap();
            let sum: u64 = (0..has.len() as u32).filter_map(|row| has.show(row)).map(|row| row.events).sum();
            assert_eq!(sum, published.position);
            assert_eq!(all.get(&()).map_or(0, |row| row.events), published.position);
        }
    });
}
