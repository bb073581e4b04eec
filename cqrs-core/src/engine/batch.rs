//! Events between the log and the fold.

use super::catalog::{Catalog, Kind};
use super::encoded::EncodedEvents;
use crate::Timestamp;
use crate::error::AppendError;
use crate::receipt::Receipt;
use crate::store::{Head, LogEvent, chain};
use crate::sync::ReplyTo;

/// A stored event, as the fold sees it.
#[derive(Clone, Copy)]
pub(crate) struct StoredEvent<'a> {
    pub(crate) position: u64,
    pub(crate) kind: Kind,
    /// The version it is stored as, which may be older than the one its kind writes.
    pub(crate) version: u32,
    pub(crate) recorded_at: Timestamp,
    pub(crate) checksum: u64,
    pub(crate) payload: &'a [u8],
}

/// What the writer made durable in one transaction, on its way to the fold.
pub(crate) struct Batch {
    /// The log's head before it.
    pub(crate) after: Head,
    pub(crate) recorded_at: Timestamp,
    pub(crate) events: Vec<EncodedEvents>,
    /// One an event.
    pub(crate) checksums: Vec<u64>,
    /// Who waits for the views to have folded it.
    pub(crate) folded: Vec<Acknowledge>,
}

impl Batch {
    pub(crate) fn len(&self) -> usize {
        self.checksums.len()
    }

    /// The log's head after it.
    pub(crate) fn head(&self) -> Head {
        self.checksums.last().map_or(self.after, |checksum| Head {
            position: self.after.position + self.len() as u64,
            checksum: *checksum,
        })
    }

    pub(crate) fn stored(&self) -> Vec<StoredEvent<'_>> {
        let events = self.events.iter().flat_map(EncodedEvents::iter).zip(&self.checksums).enumerate();
        events
            .map(|(at, (event, checksum))| StoredEvent {
                position: self.after.position + 1 + at as u64,
                kind: event.kind(),
                version: event.schema().version,
                recorded_at: self.recorded_at,
                checksum: *checksum,
                payload: event.payload(),
            })
            .collect()
    }
}

/// A durable append that has yet to be answered. However it goes, the answer is the receipt.
pub(crate) struct Acknowledge {
    pub(crate) reply: Option<ReplyTo<Result<Receipt, AppendError>>>,
    pub(crate) receipt: Receipt,
}

impl Drop for Acknowledge {
    fn drop(&mut self) {
        if let Some(reply) = self.reply.take() {
            reply.send(Ok(self.receipt));
        }
    }
}

/// A stretch of the log, copied out of a reader, its chain verified.
#[derive(Default)]
pub(crate) struct Page {
    events: Vec<(Kind, u32, Timestamp, u64, usize)>,
    payloads: Vec<u8>,
    after: Head,
    /// Why the page ends where it does, if it is not for its size or the log's end.
    pub(crate) flaw: Option<Flaw>,
}

/// An event in the log that stops every view.
#[derive(Clone, Debug)]
pub(crate) struct Flaw {
    pub(crate) position: u64,
    pub(crate) event: String,
    pub(crate) what: String,
    /// Whether it is the log that is at fault, and not what this engine was told.
    pub(crate) damage: bool,
}

impl Flaw {
    /// A log that ends after this position, and not where it should.
    pub(crate) fn ends(after: u64, to: u64) -> Self {
        let what = format!("the log ends here, and events up to position {to} were in it");
        Self { position: after + 1, event: String::new(), what, damage: true }
    }
}

impl Page {
    /// How many events are read at a time.
    pub(crate) const EVENTS: usize = 4096;
    const BYTES: usize = 8 << 20;

    pub(crate) fn begin(&mut self, after: Head) {
        self.events.clear();
        self.payloads.clear();
        self.after = after;
        self.flaw = None;
    }

    /// Takes in the next event; `false` when the page is full, or cannot go on.
    pub(crate) fn push(&mut self, catalog: &Catalog, event: &LogEvent<'_>) -> bool {
        let flaw = |what: String, damage| {
            Some(Flaw { position: event.position, event: event.name.to_owned(), what, damage })
        };
        if chain(self.head().checksum, event) != event.checksum {
            self.flaw = flaw("its checksum does not follow from the event before it".into(), true);
            return false;
        }
        match catalog.kind(event.name, event.version) {
            Ok(kind) => {
                if catalog.course(kind) != 0 {
                    self.payloads.extend_from_slice(event.payload);
                }
                let end = self.payloads.len();
                self.events.push((kind, event.version, event.recorded_at, event.checksum, end));
            }
            Err(what) => {
                self.flaw = flaw(what, false);
                return false;
            }
        }
        self.payloads.len() < Self::BYTES
    }

    /// The log's head after the page.
    pub(crate) fn head(&self) -> Head {
        self.events.last().map_or(self.after, |(.., checksum, _)| Head {
            position: self.after.position + self.events.len() as u64,
            checksum: *checksum,
        })
    }

    pub(crate) fn stored(&self) -> Vec<StoredEvent<'_>> {
        let mut start = 0;
        let events = self.events.iter().enumerate();
        events
            .map(|(at, (kind, version, recorded_at, checksum, end))| {
                let payload = &self.payloads[std::mem::replace(&mut start, *end)..*end];
                StoredEvent {
                    position: self.after.position + 1 + at as u64,
                    kind: *kind,
                    version: *version,
                    recorded_at: *recorded_at,
                    checksum: *checksum,
                    payload,
                }
            })
            .collect()
    }
}
