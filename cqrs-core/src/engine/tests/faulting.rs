//! Promise 6: a fault is loud, and stays where it is.

use super::*;
use crate::health::ViewState;
use crate::{ChangesError, NotReady};

#[test]
fn a_fault_stops_its_view_and_no_other() {
    everywhere(|place| {
        let engine = place.engine().view::<Has>().view::<Tiny>().start().unwrap();
        let tiny = engine.view::<Tiny>();
        let mut changes = tiny.subscribe();
        engine.append(bought("ann", "hats", 100)).wait().unwrap();
        engine
            .append_all([bought("ann", "pants", 1), bought("ann", "hats", 28), bought("ann", "socks", 1)])
            .wait()
            .unwrap();
        engine.append(bought("ann", "hats", 1)).wait().unwrap();

        let Err(ReadError::Faulted(fault)) = tiny.get("hats") else { panic!("faulted") };
        assert_eq!((fault.position, fault.column, fault.event.as_str()), (3, Some("qty"), "Bought"));
        assert!(matches!(tiny.rows(), Err(ReadError::Faulted(_))));
        assert_eq!(engine.wait_ready().wait(), Err(NotReady::Faulted(vec![fault.clone()])));
        assert_eq!(has(&engine)[&("ann".into(), "hats".into())], (129, 3));
        let health = engine.health();
        assert_eq!((health.views[0].position, health.views[1].position), (5, 2));
        assert_eq!(health.views[1].lag, 3);
        assert_eq!(health.views[1].state, ViewState::Faulted(fault.clone()));

        // The subscriber is told what was folded, then why there is no more.
        let mut told = Vec::new();
        let end = loop {
            match changes.next().wait() {
                Some(Ok(Change::Progress { .. })) => {}
                Some(Ok(change)) => told.push(change),
                Some(Err(error)) => break error,
                None => panic!("an error ends it"),
            }
        };
        assert_eq!(end, ChangesError::Faulted(fault.clone()));
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(changes.next().wait().is_none());
        assert_eq!(tiny.subscribe().next().wait(), Some(Err(ChangesError::Faulted(fault.clone()))));
        let receipt = engine.append(bought("ann", "socks", 1)).wait().unwrap();
        let reached = tiny.wait_for(&receipt, Duration::from_secs(5)).wait();
        assert_eq!(reached, Ok(Reached::Faulted(fault.clone())));

        // It is there again after a restart, from a checkpoint before the event.
        engine.close().wait().unwrap();
        let engine = place.engine().view::<Has>().view::<Tiny>().start().unwrap();
        assert_eq!(engine.view::<Tiny>().get("hats"), Err(ReadError::Faulted(fault)));
        assert_eq!(engine.health().views[1].checkpoint.unwrap().position, 2);
        engine.append(bought("ann", "hats", 1)).wait().unwrap();
    });
}

#[test]
fn a_rebuild_that_faults_leaves_the_others() {
    everywhere(|place| {
        let engine = place.engine().event::<Bought>().start().unwrap();
        engine
            .append_all([bought("ann", "hats", 100), bought("ann", "hats", 100), bought("ann", "pants", 1)])
            .wait()
            .unwrap();
        engine.close().wait().unwrap();
        let engine = place.engine().view::<Tiny>().view::<Has>().start().unwrap();
        let error = engine.wait_ready().wait().unwrap_err();
        assert!(
            matches!(&error, NotReady::Faulted(faults) if faults.len() == 1 && faults[0].position == 2),
            "{error}"
        );
        assert_eq!(has(&engine).len(), 2);
        engine.append(bought("ann", "hats", 1)).wait().unwrap();
        assert_eq!(has(&engine)[&("ann".into(), "hats".into())], (201, 3));
    });
}

#[test]
fn a_payload_that_cannot_be_read_is_a_fault_of_the_views_that_want_it() {
    everywhere(|place| {
        let engine = place.engine().view::<Has>().start().unwrap();
        engine.append(bought("ann", "hats", 1)).wait().unwrap();
        engine.close().wait().unwrap();
        let store = place.store();
        let mut log = store.log().unwrap();
        let head = log.head().unwrap();
        let mut event = crate::store::LogEvent {
            position: 2,
            name: "Bought",
            version: 1,
            recorded_at: Timestamp::now(),
            event_id: None,
            metadata: &[],
            payload: b"\x81\xa1x\x01",
            checksum: 0,
        };
        event.checksum = crate::store::chain(head.checksum, &event);
        log.append(head, &[event], &crate::store::Beside::default()).unwrap();
        drop((log, store));
        let engine = place.engine().view::<Has>().start().unwrap();
        let Err(ReadError::Faulted(fault)) = engine.view::<Has>().get(("ann", "hats")) else {
            panic!("faulted")
        };
        assert_eq!(fault.position, 2);
        for part in ["missing field", "give the field `#[serde(default)]`"] {
            assert!(fault.to_string().contains(part), "{fault}");
        }
        let events: Vec<_> = std::iter::from_fn({
            let mut events = engine.events::<Bought>(1).until_head();
            move || events.next().wait()
        })
        .collect();
        assert!(events[0].is_ok() && events[1].is_err() && events.len() == 2, "{events:?}");
    });
}
