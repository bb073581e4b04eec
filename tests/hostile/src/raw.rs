//! Logs whose events are bytes, in memory.

use cqrs_core::Timestamp;
use cqrs_core::store::{Beside, Head, Log, LogEvent, MemoryStore, Store, chain};

/// An event as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct Raw {
    pub(crate) name: String,
    pub(crate) version: u32,
    pub(crate) payload: Vec<u8>,
}

/// A store with these events.
pub(crate) fn store(events: &[Raw]) -> MemoryStore {
    let store = MemoryStore::new();
    append(&mut *store.log().expect("there is one"), events);
    store
}

fn append(log: &mut dyn Log, events: &[Raw]) {
    let mut checksum = 0;
    let events: Vec<LogEvent<'_>> = (1..)
        .zip(events)
        .map(|(position, raw)| {
            let mut event = LogEvent {
                position,
                name: &raw.name,
                version: raw.version,
                recorded_at: Timestamp::from_micros(position.cast_signed()),
                event_id: None,
                metadata: &[],
                payload: &raw.payload,
                checksum: 0,
            };
            checksum = chain(checksum, &event);
            event.checksum = checksum;
            event
        })
        .collect();
    log.append(Head::default(), &events, &Beside::default()).expect("a store in memory takes events");
}
