//! Events as they will be stored, but for their places: the bytes of many in one piece.
//!
//! An event's bytes are made by the caller, read by the writer, and read and freed by the fold. Were each a block of its own, each would be memory that another
//! processor had last, and be freed by a thread that did not allocate it; so the block that an event is encoded into is used again for the next, and its bytes are
//! copied behind those of the event before.

use super::catalog::Kind;
use crate::schema::Schema;

/// Events on their way into the log, in order.
#[derive(Debug, Default)]
pub(crate) struct EncodedEvents {
    ends: Vec<Ends>,
    /// Each event's payload, and behind it its metadata.
    bytes: Vec<u8>,
    /// The ids of those that have one.
    ids: String,
}

/// An event, and where what it has ends. It begins where that of the event before it ends.
#[derive(Clone, Copy, Debug)]
struct Ends {
    schema: &'static Schema,
    kind: Kind,
    payload: usize,
    metadata: usize,
    id: usize,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EncodedEvent<'a> {
    of: &'a EncodedEvents,
    at: usize,
}

impl EncodedEvents {
    /// None yet, with room for this many of this size.
    pub(crate) fn with_room(events: usize, bytes: usize) -> Self {
        Self { ends: Vec::with_capacity(events), bytes: Vec::with_capacity(bytes), ids: String::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// How many bytes their payloads, metadata and ids are.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len() + self.ids.len()
    }

    /// Whether any of them has an id.
    pub(crate) fn has_ids(&self) -> bool {
        !self.ids.is_empty()
    }

    /// Adds an event. An empty id is none.
    pub(crate) fn push(
        &mut self,
        schema: &'static Schema,
        kind: Kind,
        id: &str,
        metadata: &[u8],
        payload: Vec<u8>,
    ) {
        if self.bytes.capacity() == 0 {
            // That of a single event need not be copied.
            self.bytes = payload;
        } else {
            self.bytes.extend_from_slice(&payload);
        }
        self.end(schema, kind, id, metadata);
    }

    /// Adds what belongs to the event whose payload was added.
    fn end(&mut self, schema: &'static Schema, kind: Kind, id: &str, metadata: &[u8]) {
        let payload = self.bytes.len();
        self.bytes.extend_from_slice(metadata);
        self.ids.push_str(id);
        self.ends.push(Ends { schema, kind, payload, metadata: self.bytes.len(), id: self.ids.len() });
    }

    /// Adds another's events.
    pub(crate) fn append(&mut self, other: &Self) {
        let (bytes, ids) = (self.bytes.len(), self.ids.len());
        self.bytes.extend_from_slice(&other.bytes);
        self.ids.push_str(&other.ids);
        self.ends.extend(other.ends.iter().map(|ends| Ends {
            payload: bytes + ends.payload,
            metadata: bytes + ends.metadata,
            id: ids + ends.id,
            ..*ends
        }));
    }

    /// Those that are not at these places, which are in order.
    pub(crate) fn without(&self, places: &[usize]) -> Self {
        let mut left = Self::with_room(self.len().saturating_sub(places.len()), 0);
        for event in self.iter().filter(|event| places.binary_search(&event.at).is_err()) {
            left.bytes.extend_from_slice(event.payload());
            left.end(event.schema(), event.kind(), event.id().unwrap_or(""), event.metadata());
        }
        left
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = EncodedEvent<'_>> {
        (0..self.len()).map(|at| EncodedEvent { of: self, at })
    }
}

impl<'a> EncodedEvent<'a> {
    /// Which of them it is.
    pub(crate) fn at(self) -> usize {
        self.at
    }

    pub(crate) fn schema(self) -> &'static Schema {
        self.ends().schema
    }

    pub(crate) fn kind(self) -> Kind {
        self.ends().kind
    }

    pub(crate) fn payload(self) -> &'a [u8] {
        &self.of.bytes[self.begin().0..self.ends().payload]
    }

    /// Encoded; empty if there is none.
    pub(crate) fn metadata(self) -> &'a [u8] {
        &self.of.bytes[self.ends().payload..self.ends().metadata]
    }

    pub(crate) fn id(self) -> Option<&'a str> {
        Some(&self.of.ids[self.begin().1..self.ends().id]).filter(|id| !id.is_empty())
    }

    fn ends(self) -> &'a Ends {
        &self.of.ends[self.at]
    }

    /// Where its bytes begin, and its id.
    fn begin(self) -> (usize, usize) {
        self.at.checked_sub(1).map_or((0, 0), |before| {
            let before = &self.of.ends[before];
            (before.metadata, before.id)
        })
    }
}

impl PartialEq for EncodedEvent<'_> {
    /// Whether they are the same event, under the same id; what accompanies them may differ.
    fn eq(&self, other: &Self) -> bool {
        let what = |event: Self| (event.schema().name, event.schema().version, event.payload());
        self.id() == other.id() && what(*self) == what(*other)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    static SCHEMA: Schema = Schema {
        name: "n",
        version: 1,
        upcast: None,
        retired: false,
        aliases: &[],
        fields: &[],
        variant: "n",
        rust: "n",
    };
    static NEWER: Schema = Schema { version: 2, ..SCHEMA };

    /// An event's kind, id, metadata and payload.
    type Plain = (u32, String, Vec<u8>, Vec<u8>);

    fn schema(kind: u32) -> &'static Schema {
        if kind == 1 { &NEWER } else { &SCHEMA }
    }

    fn plain() -> impl Strategy<Value = Plain> {
        let bytes = || proptest::collection::vec(any::<u8>(), 0..4);
        (0..3_u32, "[aö]{0,2}", bytes(), bytes())
    }

    fn encoded(list: &[Plain]) -> EncodedEvents {
        let mut events = EncodedEvents::default();
        for (kind, id, metadata, payload) in list {
            events.push(schema(*kind), *kind, id, metadata, payload.clone());
        }
        events
    }

    fn read(events: &EncodedEvents) -> Vec<Plain> {
        let plain = |event: EncodedEvent<'_>| {
            assert_eq!(event.schema(), schema(event.kind()));
            let id = event.id().unwrap_or("").to_owned();
            (event.kind(), id, event.metadata().to_vec(), event.payload().to_vec())
        };
        events.iter().map(plain).collect()
    }

    #[test]
    fn events_are_the_same_whatever_accompanies_them() {
        let event = |kind, id: &str, metadata: &[u8], payload: &[u8]| {
            encoded(&[(kind, id.to_owned(), metadata.to_vec(), payload.to_vec())])
        };
        let [one, accompanied] = [event(0, "a", b"", b"p"), event(0, "a", b"m", b"p")];
        let others = [
            event(0, "b", b"", b"p"),
            event(0, "", b"", b"p"),
            event(1, "a", b"", b"p"),
            event(0, "a", b"", b"q"),
        ];
        let first =
            |events: &EncodedEvents, other: &EncodedEvents| events.iter().next() == other.iter().next();
        assert!(first(&one, &accompanied));
        assert!(others.iter().all(|other| !first(&one, other)));
    }

    proptest! {
        #[test]
        fn they_are_a_list(
            list in proptest::collection::vec(plain(), 0..6),
            more in proptest::collection::vec(plain(), 0..6),
            places in proptest::collection::btree_set(0..6_usize, 0..4),
        ) {
            let mut events = encoded(&list);
            prop_assert_eq!(read(&events), list.clone());
            prop_assert_eq!((events.len(), events.is_empty()), (list.len(), list.is_empty()));
            let bytes: usize =
                list.iter().map(|(_, id, metadata, payload)| id.len() + metadata.len() + payload.len()).sum();
            prop_assert_eq!(events.bytes(), bytes);

            let places = Vec::from_iter(places);
            let left = list.iter().enumerate().filter(|(at, _)| !places.contains(at)).map(|(_, event)| event.clone());
            prop_assert_eq!(read(&events.without(&places)), left.collect::<Vec<_>>());

            let mut expected = list;
            events.append(&encoded(&more));
            expected.extend(more);
            prop_assert_eq!(read(&events), expected);
        }
    }
}
