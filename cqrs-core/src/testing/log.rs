//! Logs made by hand: events as they are stored, and what a view makes of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::diff;
use crate::codec::Readable;
use crate::error::{StartError, UnknownEvent};
use crate::event::Metadata;
use crate::projection::Projection;
use crate::store::{Beside, LogEvent, MemoryStore, Store, StoreError, chain};
use crate::{Builder, Engine, NewEvent, Timestamp};

/// An event as a log has it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stored {
    pub(super) name: String,
    pub(super) version: u32,
    pub(super) recorded_at: Timestamp,
    pub(super) event_id: Option<String>,
    pub(super) metadata: Metadata,
    pub(super) payload: Vec<u8>,
}

impl Stored {
    pub(super) fn of(event: &NewEvent, recorded_at: Timestamp) -> Result<Self, String> {
        let payload = event.payload().map_err(ToString::to_string)?.to_vec();
        let schema = event.schema();
        Ok(Self {
            name: schema.name.to_owned(),
            version: schema.version,
            recorded_at,
            event_id: event.own_id().map(str::to_owned),
            metadata: event.own_metadata().cloned().unwrap_or_default(),
            payload,
        })
    }

    /// The event for a person to read: on several lines, with the version if it is not the first, and what is beside it.
    pub(super) fn text(&self) -> String {
        let version = if self.version == 1 { String::new() } else { format!(" (version {})", self.version) };
        let mut text = match Readable::of(&self.payload) {
            Ok(readable) => format!("{}{version} {readable:#}", self.name),
            Err(error) => format!("{}{version}, whose payload cannot be read: {error}", self.name),
        };
        let Metadata { correlation_id, causation_id, entries } = &self.metadata;
        let ids =
            [("id", &self.event_id), ("correlation_id", correlation_id), ("causation_id", causation_id)];
        let ids = ids.into_iter().filter_map(|(name, id)| Some((name, id.as_ref()?)));
        let entries = entries.iter().map(|(key, value)| (key.as_str(), value));
        ids.chain(entries).for_each(|(name, value)| text += &format!("\n    beside it, {name}: {value:?}"));
        text
    }

    /// Without what the other does not say of id and metadata: that is not asked for.
    pub(super) fn limited_to(mut self, other: Option<&Self>) -> Self {
        let asked = other.map(|other| (other.event_id.is_some(), &other.metadata));
        let (id, metadata) = asked.unwrap_or((false, &NO_METADATA));
        self.event_id = self.event_id.filter(|_| id);
        let own = &mut self.metadata;
        own.correlation_id = own.correlation_id.take().filter(|_| metadata.correlation_id.is_some());
        own.causation_id = own.causation_id.take().filter(|_| metadata.causation_id.is_some());
        own.entries.retain(|key, _| metadata.entries.contains_key(key));
        self
    }
}

static NO_METADATA: Metadata =
    Metadata { correlation_id: None, causation_id: None, entries: BTreeMap::new() };

/// Events as they would be stored.
#[track_caller]
pub(super) fn stored<E: Into<NewEvent>>(events: impl IntoIterator<Item = E>) -> Vec<Stored> {
    let events = events.into_iter().map(|event| Stored::of(&event.into(), Timestamp::UNIX_EPOCH));
    match events.collect() {
        Ok(events) => events,
        Err(error) => panic!("{error}"),
    }
}

/// Panics unless `who` emitted just these.
#[track_caller]
pub(super) fn hold(who: &str, expected: &[Stored], found: &[Stored]) {
    let found = found.iter().enumerate();
    let found: Vec<_> = found.map(|(at, event)| event.clone().limited_to(expected.get(at))).collect();
    let alike =
        |(one, other): (&Stored, &Stored)| *one == Stored { recorded_at: one.recorded_at, ..other.clone() };
    if expected.len() != found.len() || !expected.iter().zip(&found).all(alike) {
        let lines = diff::lines(&texts(expected), &texts(&found));
        panic!("{who} emitted other events (- expected, + emitted)\n\n{}", diff::indented(&lines, ""));
    }
}

/// Events one below the other, each with its place.
pub(super) fn texts(events: &[Stored]) -> String {
    let text = |(at, event): (usize, &Stored)| format!("{}: {}\n", at + 1, event.text());
    events.iter().enumerate().map(text).collect()
}

/// Adds events to a store, behind those it has.
pub(super) fn append(store: &MemoryStore, events: &[Stored]) -> Result<(), String> {
    let mut log = store.log().map_err(said)?;
    let head = log.head().map_err(said)?;
    let mut checksum = head.checksum;
    let beside = events.iter().map(|event| event.metadata.encode().map_err(|error| error.to_string()));
    let beside = beside.collect::<Result<Vec<_>, String>>()?;
    let events: Vec<_> = events
        .iter()
        .zip(&beside)
        .zip(head.position + 1..)
        .map(|((event, metadata), position)| {
            let mut event = LogEvent {
                position,
                name: &event.name,
                version: event.version,
                recorded_at: event.recorded_at,
                event_id: event.event_id.as_deref(),
                metadata,
                payload: &event.payload,
                checksum: 0,
            };
            event.checksum = chain(checksum, &event);
            checksum = event.checksum;
            event
        })
        .collect();
    log.append(head, &events, &Beside::default()).map_err(|failure| failure.to_string())
}

/// All events of a store.
pub(super) fn read(store: &MemoryStore) -> Result<Vec<Stored>, String> {
    read_where(store, |_| true)
}

/// Those of a store's events that are wanted, by their ids.
pub(super) fn read_where(
    store: &MemoryStore,
    wanted: impl Fn(Option<&str>) -> bool,
) -> Result<Vec<Stored>, String> {
    let mut events = Vec::new();
    let mut visit = |event: LogEvent<'_>| {
        if wanted(event.event_id) {
            events.push(Stored {
                name: event.name.to_owned(),
                version: event.version,
                recorded_at: event.recorded_at,
                event_id: event.event_id.map(str::to_owned),
                metadata: Metadata::decode(event.metadata).unwrap_or_default(),
                payload: event.payload.to_owned(),
            });
        }
        true
    };
    store.reader().and_then(|mut reader| reader.read(0, usize::MAX, &mut visit)).map_err(said)?;
    Ok(events)
}

/// An engine over a store, with the view `V` and what else it is to know, once all events are folded. It is always this late there.
pub(super) fn open<V: Projection>(
    store: &MemoryStore,
    known: &[fn(Builder) -> Builder],
    at: Timestamp,
) -> Result<Engine, String> {
    open_for(V::RUST_NAME, Builder::view::<V>, store, known, at)
}

/// The same, with what is registered `for` somebody.
pub(super) fn open_for(
    who: &str,
    register: fn(Builder) -> Builder,
    store: &MemoryStore,
    known: &[fn(Builder) -> Builder],
    at: Timestamp,
) -> Result<Engine, String> {
    let builder = Engine::with_store(Arc::new(store.clone())).threads(1).clock(move || at);
    // What is saved, and when, is the caller's: nothing by itself.
    let builder = builder.checkpoint_every(Duration::from_secs(1 << 20), 1 << 60);
    let builder = known.iter().fold(register(builder), |builder, known| known(builder));
    let engine = builder.start().map_err(|error| match error {
        StartError::UnknownEvents(events) if events.iter().all(|event| event.reads.is_none()) => {
            foreign(who, &events)
        }
        error => error.to_string(),
    })?;
    engine.wait_ready().wait().map_err(|error| error.to_string())?;
    Ok(engine)
}

/// What is said of events that neither the view nor one that it reads knows.
fn foreign(who: &str, events: &[UnknownEvent]) -> String {
    let names: Vec<_> = events.iter().map(|event| format!("`{}`", event.name)).collect();
    format!(
        "`{who}` does not read {}, nor does a view that it reads: leave such events out (`given(..)` can also be told of their type, with `.event::<E>()`); if a type was \
         renamed, give it its old name too, `#[event(aliases(\"{}\"))]`",
        names.join(", "),
        events.first().map_or("", |event| &event.name)
    )
}

/// The rows of an engine's view, in the order of their keys.
pub(super) fn rows<V: Projection>(engine: &Engine) -> Result<Vec<V>, String> {
    let rows = engine.view::<V>().rows_by_key().map_err(|error| error.to_string())?;
    Ok(rows.collect())
}

fn said(error: StoreError) -> String {
    error.to_string()
}
