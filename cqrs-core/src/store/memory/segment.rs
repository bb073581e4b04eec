//! Events in memory, one behind the other: what neighbours have in common is kept once, and what few events have only where they do.

use std::ops::Range;

use crate::Timestamp;
use crate::store::LogEvent;

/// A stretch of the log.
#[derive(Debug, Default)]
pub(super) struct Segment {
    /// The position before its first event.
    after: u64,
    /// Where each event ends in `bytes`, and its checksum.
    events: Vec<(usize, u64)>,
    /// Payloads, and before some of them the event's metadata.
    bytes: Vec<u8>,
    runs: Vec<Run>,
    names: Vec<Box<str>>,
    extras: Vec<Extra>,
    ids: String,
}

/// Events of one type, recorded at one time.
#[derive(Debug, PartialEq)]
struct Run {
    first: usize,
    /// Which of the names.
    name: usize,
    version: u32,
    recorded_at: Timestamp,
}

/// What an event has beside its payload.
#[derive(Debug)]
struct Extra {
    event: usize,
    /// Where in `ids`.
    id: Option<Range<usize>>,
    /// How many bytes before the payload.
    metadata: usize,
}

impl Segment {
    /// Room for these events, which come after a position.
    pub(super) fn for_events(after: u64, events: &[LogEvent<'_>]) -> Self {
        let bytes = events.iter().map(|event| event.metadata.len() + event.payload.len()).sum();
        Self {
            after,
            events: Vec::with_capacity(events.len()),
            bytes: Vec::with_capacity(bytes),
            ..Self::default()
        }
    }

    pub(super) fn after(&self) -> u64 {
        self.after
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    pub(super) fn push(&mut self, event: &LogEvent<'_>) {
        let at = self.events.len();
        let like = self.runs.last().is_some_and(|run| {
            run.version == event.version
                && run.recorded_at == event.recorded_at
                && *self.names[run.name] == *event.name
        });
        if !like {
            let name = self.name(event.name);
            self.runs.push(Run { first: at, name, version: event.version, recorded_at: event.recorded_at });
        }
        if event.event_id.is_some() || !event.metadata.is_empty() {
            let start = self.ids.len();
            let id = event.event_id.map(|id| {
                self.ids.push_str(id);
                start..self.ids.len()
            });
            self.extras.push(Extra { event: at, id, metadata: event.metadata.len() });
        }
        self.bytes.extend_from_slice(event.metadata);
        self.bytes.extend_from_slice(event.payload);
        self.events.push((self.bytes.len(), event.checksum));
    }

    fn name(&mut self, name: &str) -> usize {
        let known = self.names.iter().position(|known| **known == *name);
        known.unwrap_or_else(|| {
            self.names.push(name.into());
            self.names.len() - 1
        })
    }

    pub(super) fn get(&self, at: usize) -> Option<LogEvent<'_>> {
        let (end, checksum) = *self.events.get(at)?;
        let start = at.checked_sub(1).map_or(0, |before| self.events[before].0);
        let run = &self.runs[self.runs.partition_point(|run| run.first <= at).checked_sub(1)?];
        let extra = self.extras.binary_search_by_key(&at, |extra| extra.event);
        let extra = extra.ok().map(|found| &self.extras[found]);
        let payload = start + extra.map_or(0, |extra| extra.metadata);
        Some(LogEvent {
            position: self.after + at as u64 + 1,
            name: &self.names[run.name],
            version: run.version,
            recorded_at: run.recorded_at,
            event_id: extra.and_then(|extra| extra.id.clone()).map(|id| &self.ids[id]),
            metadata: &self.bytes[start..payload],
            payload: &self.bytes[payload..end],
            checksum,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    /// Name, version, time, id, metadata and payload.
    type Drawn = (usize, u32, i64, Option<String>, Vec<u8>, Vec<u8>);

    fn drawn() -> impl Strategy<Value = Drawn> {
        // Most events have no metadata.
        let metadata = prop_oneof![3 => Just(vec![]), 1 => vec(any::<u8>(), 1..3)];
        (0..3_usize, 1..3_u32, 0..3_i64, option::of("[a-z]{0,3}"), metadata, vec(any::<u8>(), 0..5))
    }

    fn event(at: usize, (name, version, time, id, metadata, payload): &Drawn) -> LogEvent<'_> {
        LogEvent {
            position: 8 + at as u64,
            name: ["a", "b", "a b"][*name],
            version: *version,
            recorded_at: Timestamp::from_micros(*time),
            event_id: id.as_deref(),
            metadata,
            payload,
            checksum: at as u64 * 7,
        }
    }

    proptest! {
        #[test]
        fn each_event_comes_back(events in vec(drawn(), 0..60), foreseen in 0..60_usize) {
            let events: Vec<_> = events.iter().enumerate().map(|(at, drawn)| event(at, drawn)).collect();
            let mut segment = Segment::for_events(7, &events[..foreseen.min(events.len())]);
            events.iter().for_each(|event| segment.push(event));
            prop_assert_eq!((segment.after(), segment.len()), (7, events.len()));
            for (at, event) in events.iter().enumerate() {
                prop_assert_eq!(segment.get(at), Some(*event));
            }
            prop_assert_eq!(segment.get(events.len()), None);
        }
    }
}
