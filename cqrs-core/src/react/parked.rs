//! Events that a reaction has set aside, as they are kept in the log's file.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::codec;
use crate::engine::shared::Core;
use crate::error::StoreFailure;
use crate::store::StoreError;

/// An event that a reaction could not handle, and has set aside. See [`Reaction::parked`](crate::Reaction::parked).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParkedEvent {
    /// Its place in the log.
    pub position: u64,
    /// The stored name of its type.
    pub event: String,
    /// Why it failed the last time.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it failed the last time.
    pub at: Timestamp,
}

impl std::fmt::Display for ParkedEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { position, event, reason, attempts, .. } = self;
        let times = if *attempts == 1 { "attempt" } else { "attempts" };
        write!(f, "the event at position {position}, `{event}`, is parked after {attempts} {times}: {reason}")
    }
}

/// As it is stored.
#[derive(Serialize, Deserialize)]
#[serde(crate = "serde")]
struct ParkedNote {
    event: String,
    reason: String,
    attempts: u32,
    at: Timestamp,
}

/// The key of the note of a parked event.
pub(crate) fn parked_key(name: &str, position: u64) -> String {
    format!("{}{position:020}", parked_prefix(name))
}

/// What the keys of all notes of events that a reaction has parked begin with. No name has a slash.
fn parked_prefix(name: &str) -> String {
    format!("parked/{name}/")
}

impl ParkedEvent {
    pub(crate) fn note(&self) -> Vec<u8> {
        let Self { event, reason, attempts, at, .. } = self.clone();
        let mut bytes = Vec::new();
        // It consists of texts and numbers.
        let _ = codec::encode("parked", &ParkedNote { event, reason, attempts, at }, &mut bytes);
        bytes
    }

    fn read(key: &str, position: u64, note: &[u8]) -> Result<Self, StoreError> {
        match codec::decode(note) {
            Ok(ParkedNote { event, reason, attempts, at }) => {
                Ok(Self { position, event, reason, attempts, at })
            }
            Err(error) => {
                let what = format!("the note `{key}` is no parked event: {error}");
                let remedy = "It was written by another version of this library".into();
                Err(StoreError::Corrupt { file: "events.db".into(), what, remedy })
            }
        }
    }
}

/// What a reaction has parked, by position.
pub(crate) fn parked(core: &Core, name: &str) -> Result<Vec<ParkedEvent>, StoreFailure> {
    let prefix = parked_prefix(name);
    let mut parked = Vec::new();
    core.reader()?.notes(&prefix, &mut |key, note| {
        let position = key[prefix.len()..].parse();
        parked.extend(position.ok().map(|position| ParkedEvent::read(key, position, note)));
        true
    })?;
    Ok(parked.into_iter().collect::<Result<_, _>>()?)
}

/// How many events a reaction has parked.
pub(crate) fn count_parked(core: &Core, name: &str) -> Result<u64, StoreFailure> {
    let (prefix, mut count) = (parked_prefix(name), 0);
    core.reader()?.notes(&prefix, &mut |_, _| {
        count += 1;
        true
    })?;
    Ok(count)
}

/// The parked event of a position.
pub(crate) fn parked_at(core: &Core, name: &str, position: u64) -> Result<Option<ParkedEvent>, StoreFailure> {
    let key = parked_key(name, position);
    let note = core.reader()?.note(&key)?;
    Ok(note.map(|note| ParkedEvent::read(&key, position, &note)).transpose()?)
}
