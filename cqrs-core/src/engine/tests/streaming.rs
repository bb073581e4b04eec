//! Typed streams of recorded events.

use super::*;
use crate::EventsError;

#[test]
fn from_a_position_then_live() {
    everywhere(|place| {
        let engine = place.engine().view::<Has>().event::<Noted>().start().unwrap();
        engine.append(bought("ann", "hats", 1)).wait().unwrap();
        engine.append_all((0..1500).map(|_| Noted { text: "between".into() })).durable().wait().unwrap();
        let noted = NewEvent::new(returned("ann", "hats", 2))
            .id("r")
            .correlation_id("c")
            .causation_id("o")
            .meta("k", "v");
        engine.append(noted).wait().unwrap();

        let mut events = engine.events::<Shop>(0);
        let first = events.next().wait().unwrap().unwrap();
        assert_eq!((first.position, first.event), (1, Shop::Bought(bought("ann", "hats", 1))));
        let second = events.next().wait().unwrap().unwrap();
        assert_eq!((second.position, second.event_id.as_deref()), (1502, Some("r")));
        assert_eq!(second.metadata.correlation_id.as_deref(), Some("c"));
        assert_eq!(second.metadata.causation_id.as_deref(), Some("o"));
        assert_eq!(second.metadata.entries["k"], "v");
        assert!(second.recorded_at >= first.recorded_at);
        assert!(matches!(
            events.next_timeout(Duration::from_millis(5)).wait(),
            Some(Err(EventsError::TimedOut))
        ));

        // Live: woken by an append.
        let waiting = std::thread::spawn(move || (events.next().wait().unwrap().unwrap().position, events));
        std::thread::sleep(Duration::from_millis(5));
        engine.append(bought("bob", "hats", 1)).wait().unwrap();
        let (position, mut events) = waiting.join().unwrap();
        assert_eq!(position, 1503);

        // To the head, and no further; of one type only; from beyond the head.
        let mut some = engine.events::<Bought>(2).until_head();
        engine.append(bought("late", "hats", 1)).wait().unwrap();
        assert_eq!(some.next().wait().unwrap().unwrap().event.customer, "bob");
        assert!(some.next().wait().is_none());
        let mut ahead = engine.events::<Bought>(1506);
        for n in 0..3 {
            engine.append(bought(&n.to_string(), "hats", 1)).wait().unwrap();
        }
        assert_eq!(ahead.next().wait().unwrap().unwrap().event.customer, "1");
        assert_eq!(events.next().wait().unwrap().unwrap().position, 1504);
        engine.close().wait().unwrap();
        let rest: Vec<_> = std::iter::from_fn(|| events.next().wait()).collect();
        assert!(matches!(rest.last(), Some(Err(EventsError::Closed))), "{rest:?}");
        assert!(matches!(engine.events::<Bought>(1).next().wait(), Some(Err(EventsError::Closed))));
    });
}
