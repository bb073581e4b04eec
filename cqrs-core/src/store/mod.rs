//! Where events and checkpoints are kept: the seam that every store stands behind.
//!
//! A store keeps bytes and answers for their durability. It knows no event type, no projection and no view: names,
//! payloads, keys and states pass through it unread. The chained checksum is computed above it ([`chain`]), so that
//! every store carries the same one.

mod memory;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(test)]
mod suite;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub(crate) use memory::KeptCheckpoints;
pub use memory::MemoryStore;
pub(crate) use memory::TypeCounts;
#[cfg(feature = "sqlite")]
pub use sqlite::{Salvaged, SqliteStore};

use crate::Timestamp;
use crate::hex::unhex;
use crate::sql::{SqlType, SqlValue};

/// The identity of one log: 16 random bytes, made when the store is created and never changed.
///
/// Receipts and checkpoints carry it, so that they are never read against another log.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StoreId(pub [u8; 16]);

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreId({self})")
    }
}

impl FromStr for StoreId {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let id = unhex(text).and_then(|id| id.try_into().ok());
        id.map(Self).ok_or("a store identity is 32 hexadecimal digits")
    }
}

/// The end of a log: the position of its last event (0 when empty) and that event's chained checksum (0 when empty).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The last event's position; positions start at 1 and have no gaps.
    pub position: u64,
    /// The last event's checksum.
    pub checksum: u64,
}

/// The log as a checkpoint saw it: whose it is, and where it ended.
///
/// A log can lose its last events in ways that look like a proper end: damage to the last of a write-ahead log looks like a power cut. What was
/// seen of it is kept apart from it, and tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Witness {
    /// The log's identity.
    pub store: StoreId,
    /// Its end, as of then: whatever comes later, the log has this event.
    pub head: Head,
}

/// One row of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEvent<'a> {
    /// Its place in the log, from 1.
    pub position: u64,
    /// The stored name of its type.
    pub name: &'a str,
    /// The schema version it was written with.
    pub version: u32,
    /// When the writer recorded it.
    pub recorded_at: Timestamp,
    /// The caller's own id, when one was given: unique in the log.
    pub event_id: Option<&'a str>,
    /// Encoded metadata; empty when there is none.
    pub metadata: &'a [u8],
    /// The encoded event.
    pub payload: &'a [u8],
    /// [`chain`] over the one before.
    pub checksum: u64,
}

/// The checksum of an event, chained over the one before it: XXH3-64 of every field, seeded by the previous checksum.
///
/// Its definition is part of the file format.
#[must_use]
pub fn chain(previous: u64, event: &LogEvent<'_>) -> u64 {
    use xxhash_rust::xxh3::xxh3_64_with_seed as xxh3;
    // Lengths go in with the fixed-size fields, so that no byte can move from one field to its neighbour unseen.
    let mut fixed = [0_u8; 40];
    fixed[..8].copy_from_slice(&event.position.to_le_bytes());
    fixed[8..16].copy_from_slice(&event.recorded_at.as_micros().to_le_bytes());
    fixed[16..20].copy_from_slice(&event.version.to_le_bytes());
    fixed[20..24].copy_from_slice(&(event.name.len() as u32).to_le_bytes());
    fixed[24..28].copy_from_slice(&event.event_id.map_or(u32::MAX, |id| id.len() as u32).to_le_bytes());
    fixed[28..32].copy_from_slice(&(event.metadata.len() as u32).to_le_bytes());
    fixed[32..].copy_from_slice(&(event.payload.len() as u64).to_le_bytes());
    let mut sum = xxh3(&fixed, previous);
    sum = xxh3(event.name.as_bytes(), sum);
    if let Some(id) = event.event_id {
        sum = xxh3(id.as_bytes(), sum);
    }
    if !event.metadata.is_empty() {
        sum = xxh3(event.metadata, sum);
    }
    xxh3(event.payload, sum)
}

/// How far a source has been taken into the log: stored with the events that came from it, in one transaction.
///
/// An offset is whatever the source counts its items by; it only ever grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advance<'a> {
    /// The source's name, which is not empty.
    pub source: &'a str,
    /// The offset that has to be stored now; `None` where there is none yet.
    pub after: Option<u64>,
    /// The offset that is to be stored.
    pub to: u64,
}

/// The checksum of a source's offset: XXH3-64 over offset and name, seeded by the log's identity. Its definition is part of the file format.
#[must_use]
pub fn source_checksum(store: StoreId, source: &str, offset: u64) -> u64 {
    use xxhash_rust::xxh3::xxh3_64_with_seed as xxh3;
    xxh3(source.as_bytes(), xxh3(&offset.to_le_bytes(), xxh3(&store.0, 0)))
}

/// A small fact that is stored with the events it belongs to, in one transaction. What it says is not known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note<'a> {
    /// What it is known by: a log has one note of a key. Not empty.
    pub key: &'a str,
    /// What it says from now on, whatever it said before; `None` takes it away, if it is there.
    pub value: Option<&'a [u8]>,
}

/// The checksum of a note: XXH3-64 over value and key, seeded by the log's identity. Its definition is part of the file format.
#[must_use]
pub fn note_checksum(store: StoreId, key: &str, value: &[u8]) -> u64 {
    use xxhash_rust::xxh3::xxh3_64_with_seed as xxh3;
    xxh3(key.as_bytes(), xxh3(value, xxh3(&store.0, 0)))
}

/// What is stored in one transaction with events, or without any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beside<'a> {
    /// How far sources are taken, at most one a source.
    pub advances: &'a [Advance<'a>],
    /// Notes that are put or taken away, at most one a key.
    pub notes: &'a [Note<'a>],
}

impl Beside<'_> {
    /// Whether there is nothing to store.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.advances.is_empty() && self.notes.is_empty()
    }
}

/// A type of event that a log holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredType {
    /// Its stored name.
    pub name: String,
    /// Its stored schema version.
    pub version: u32,
    /// How many events of this name and version there are.
    pub count: u64,
}

/// What a store answers when it cannot.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Reading or writing failed; the text is the storage's own.
    #[error("{action} failed: {source}")]
    Io {
        /// What was being done, e.g. "reading the log".
        action: String,
        /// The storage's own error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The log takes nothing more until the store has been closed and opened anew, which looks at where the log ends.
    #[error("{action} failed: {why}")]
    Reopen {
        /// What was being done.
        action: String,
        /// Why.
        why: String,
    },
    /// What was read is not what was written.
    #[error("{file} is damaged: {what}. {remedy}")]
    Corrupt {
        /// The file, or "memory".
        file: String,
        /// What does not hold.
        what: String,
        /// What to do about it.
        remedy: String,
    },
    /// The folder is not a store of this library.
    #[error("{path} is not a store of this library: {what}", path = path.display())]
    NotAStore {
        /// The folder or file.
        path: PathBuf,
        /// What was found instead.
        what: String,
    },
    /// The store was written by a newer version of this library.
    #[error(
        "{file} has format version {found}, and this version of the library reads up to {supported}: upgrade it"
    )]
    NewerFormat {
        /// The file.
        file: String,
        /// Its format version.
        found: u32,
        /// The newest that is understood.
        supported: u32,
    },
    /// The file was written by an older version of this library. Only checkpoints are refused for that, and are rebuilt.
    #[error("{file} has format version {found}, and this version of the library reads from {oldest} on")]
    OlderFormat {
        /// The file.
        file: String,
        /// Its format version.
        found: u32,
        /// The oldest that is understood.
        oldest: u32,
    },
    /// Another engine has the folder open for writing.
    #[error(
        "{path} is already open for writing, in this process or another; close that engine first, or open the folder \
         read-only",
        path = path.display()
    )]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// The store was opened read-only.
    #[error("the store is open read-only")]
    ReadOnly,
}

/// Why an append to the log did not answer "durable".
#[derive(Debug, thiserror::Error)]
pub enum AppendFailure {
    /// Certainly not in the log, now or after a crash.
    #[error(transparent)]
    NotAppended(StoreError),
    /// May be in the log: the commit or its fsync failed half-way.
    #[error(transparent)]
    Unknown(StoreError),
    /// Certainly not in the log: it has grown since `expected`; look at its head and try again.
    #[error("the log has moved on to position {}", .0.position)]
    HeadMoved(Head),
}

/// The writing end of a log. One at a time.
pub trait Log: Send {
    /// The end of the log.
    fn head(&mut self) -> Result<Head, StoreError>;

    /// Appends all events or none, and returns when they are durable.
    ///
    /// `events` carry the positions `expected.position + 1 ..` and their checksums. Nothing is appended unless the
    /// log's head is `expected`.
    ///
    /// What is `beside` them is stored in the same transaction, also where there are no events. Nothing is appended unless
    /// each source stands where it is said to, and every note has a key. A store with other writers answers [`AppendFailure::HeadMoved`] to
    /// a source that does not, so that the sources are looked at anew.
    fn append(
        &mut self,
        expected: Head,
        events: &[LogEvent<'_>],
        beside: &Beside<'_>,
    ) -> Result<(), AppendFailure>;

    /// Calls `found` with the event that bears this id, if the log has one.
    fn find(&mut self, event_id: &str, found: &mut dyn FnMut(LogEvent<'_>)) -> Result<(), StoreError>;

    /// Every stored name and version, with counts, ordered by name and version.
    fn types(&mut self) -> Result<Vec<StoredType>, StoreError>;
}

/// A reading end of a log. Any number, each sees only what is durable.
pub trait LogReader: Send {
    /// The end of the log.
    fn head(&mut self) -> Result<Head, StoreError>;

    /// The checksum of the event at `position`; 0 for position 0, `None` past the head.
    fn checksum_at(&mut self, position: u64) -> Result<Option<u64>, StoreError>;

    /// Every stored name and version, with counts, ordered by name and version.
    fn types(&mut self) -> Result<Vec<StoredType>, StoreError>;

    /// Every source's stored offset, verified: an offset that is not as it was written, or is missing, is [`StoreError::Corrupt`].
    fn sources(&mut self) -> Result<BTreeMap<String, u64>, StoreError>;

    /// What the note of this key says, verified: a value that is not as it was written is [`StoreError::Corrupt`]. One that is missing is only
    /// found by [`Store::check`].
    fn note(&mut self, key: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Visits the notes whose keys begin with `prefix`, in the order of their keys, each verified. `visit` ends it early with `false`.
    fn notes(&mut self, prefix: &str, visit: &mut dyn FnMut(&str, &[u8]) -> bool) -> Result<(), StoreError>;

    /// Visits up to `limit` events after position `after`, in order, and returns how many it visited.
    ///
    /// Positions are checked to have no gap. Checksums are not verified here: the caller has the chain.
    /// `visit` ends the reading early with `false`.
    fn read(
        &mut self,
        after: u64,
        limit: usize,
        visit: &mut dyn FnMut(LogEvent<'_>) -> bool,
    ) -> Result<usize, StoreError>;
}

/// One column of a view, as SQL shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlColumn {
    /// The row field's name.
    pub name: String,
    /// The type it is declared with.
    pub ty: SqlType,
}

impl SqlColumn {
    pub(crate) fn all(columns: &[(&str, SqlType)]) -> Vec<Self> {
        columns.iter().map(|(name, ty)| Self { name: (*name).to_owned(), ty: *ty }).collect()
    }
}

/// A view's place in a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedView {
    /// The view's stored name, in snake case: a Rust identifier, and the name of its SQL view.
    pub name: String,
    /// The fingerprint of the projection that wrote it.
    pub fingerprint: u128,
    /// The log whose events it folded.
    pub store: StoreId,
    /// The last event it folded; its row stands for every event up to and with it.
    pub position: u64,
    /// The checksum of that event, by which a log that is not the one it folded is known.
    pub log_checksum: u64,
    /// How many rows it has, those hidden from readers included, and those of its other [parts](SavedRow::id).
    pub rows: u64,
    /// The wrapping sum of their checksums.
    pub digest: u64,
    /// `live`, or what stopped it; shown in `_views`, not read back.
    pub state: String,
}

impl SavedView {
    /// What it saw of the log.
    pub(crate) fn witness(&self) -> Witness {
        Witness { store: self.store, head: Head { position: self.position, checksum: self.log_checksum } }
    }
}

/// Changed rows of one view, flat in memory, on their way into a checkpoint.
#[derive(Clone, Debug, Default)]
pub struct RowImages {
    images: Vec<RowImage>,
    bytes: Vec<u8>,
    columns: Vec<SqlValue>,
}

#[derive(Clone, Debug)]
struct RowImage {
    id: u64,
    shown: bool,
    checksum: u64,
    key_end: usize,
    state_end: usize,
    columns_end: usize,
}

/// One row of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SavedRow<'a> {
    /// `part << 32 | number`. Part 0 is the view's rows. Parts 1 to 3 are the elements of their columns, what it knows beside its rows, and the
    /// events it has parked: never shown, and nothing for SQL to see. The number of a row that went is given to a later one.
    pub id: u64,
    /// The canonical bytes of its key.
    pub key: &'a [u8],
    /// The exact state of its columns; of an element, its count; of a parked event, why it is.
    pub state: &'a [u8],
    /// Whether readers see it (`having`).
    pub shown: bool,
    /// [`row_checksum`] of the four above.
    pub checksum: u64,
    /// What SQL shows, one value a column. Empty when read back: it is a rendering.
    pub columns: &'a [SqlValue],
}

/// What SQL shows of a row, read back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rendering<'a> {
    /// The row's number in its view: its id.
    pub id: u32,
    /// One value a column.
    pub columns: &'a [SqlValue],
    /// Whether SQL shows it at all (`having`).
    pub shown: bool,
    /// Whether it is what was written, by its checksum.
    pub whole: bool,
}

/// The checksum of a row in a checkpoint; its definition is part of the file format.
#[must_use]
pub fn row_checksum(id: u64, shown: bool, key: &[u8], state: &[u8]) -> u64 {
    use xxhash_rust::xxh3::xxh3_64_with_seed as xxh3;
    // No key is so long, and no id so large, that they share a bit.
    let fixed = id.rotate_left(26) ^ (u64::from(shown) << 25 | key.len() as u64 & 0x1ff_ffff);
    // 0 is that of a row that is not there.
    xxh3(state, xxh3(key, fixed)).max(1)
}

/// What a row of a checkpoint is one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The view's rows.
    Rows,
    /// The elements of their columns.
    Elements,
    /// What the view knows beside its rows: one row, of number 0.
    View,
    /// The events that it has parked, in the order of the log.
    Parked,
}

impl Part {
    pub(crate) const COUNT: usize = 4;

    pub(crate) const fn id(self, number: u32) -> u64 {
        (self as u64) << 32 | number as u64
    }

    /// The part and the number in it; `None` if there is no such part.
    pub(crate) const fn of(id: u64) -> Option<(Self, u32)> {
        let part = match id >> 32 {
            0 => Self::Rows,
            1 => Self::Elements,
            2 => Self::View,
            3 => Self::Parked,
            _ => return None,
        };
        Some((part, id as u32))
    }

    /// What a row of this part is called.
    pub(crate) fn name(id: u64) -> String {
        match Self::of(id) {
            Some((Self::Rows, number)) => format!("row {number}"),
            Some((Self::Elements, number)) => format!("element {number}"),
            Some((Self::Parked, number)) => format!("parked event {number}"),
            Some((Self::View, 0)) => "the state beside its rows".into(),
            _ => format!("what has the id {id}"),
        }
    }
}

impl RowImages {
    /// None yet, and room for so many rows with so many columns each.
    #[must_use]
    pub fn with_capacity(rows: usize, columns: usize) -> Self {
        // A key and a state seldom have more bytes than this; where they have, it grows.
        let bytes = Vec::with_capacity(rows * 48);
        Self { images: Vec::with_capacity(rows), bytes, columns: Vec::with_capacity(rows * columns) }
    }

    /// How many rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.images.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// Adds a row: `state` and `columns` append to the buffers they are given. Returns the row's checksum.
    pub fn push(
        &mut self,
        id: u64,
        shown: bool,
        key: &[u8],
        state: impl FnOnce(&mut Vec<u8>),
        columns: impl FnOnce(&mut Vec<SqlValue>),
    ) -> u64 {
        self.bytes.extend_from_slice(key);
        state(&mut self.bytes);
        columns(&mut self.columns);
        self.end_row(id, shown, key.len())
    }

    /// A row's key, state and columns have been added.
    fn end_row(&mut self, id: u64, shown: bool, key: usize) -> u64 {
        let start = self.images.last().map_or(0, |last| last.state_end);
        let key_end = start + key;
        let checksum = row_checksum(id, shown, &self.bytes[start..key_end], &self.bytes[key_end..]);
        let (state_end, columns_end) = (self.bytes.len(), self.columns.len());
        self.images.push(RowImage { id, shown, checksum, key_end, state_end, columns_end });
        checksum
    }

    /// The rows, in the order they were added.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = SavedRow<'_>> {
        let (mut start, mut column) = (0, 0);
        self.images.iter().map(move |image| {
            let row = SavedRow {
                id: image.id,
                key: &self.bytes[start..image.key_end],
                state: &self.bytes[image.key_end..image.state_end],
                checksum: image.checksum,
                shown: image.shown,
                columns: &self.columns[column..image.columns_end],
            };
            (start, column) = (image.state_end, image.columns_end);
            row
        })
    }
}

/// What one view has to say to a checkpoint.
#[derive(Clone, Debug)]
pub struct ViewCheckpoint {
    /// What `_views` is to hold about it from now on.
    pub view: SavedView,
    /// Its SQL columns, in the row's order.
    pub columns: Vec<SqlColumn>,
    /// Forget every row saved before: the view was rebuilt, or is new.
    pub reset: bool,
    /// The ids of rows that went since the last checkpoint, each once; forgotten before `changed` is taken in. One that is not there is no error.
    pub gone: Vec<u64>,
    /// Rows that are new or changed since the last checkpoint; a row replaces the one of its id.
    pub changed: RowImages,
}

/// The keeper of checkpoints: views' rows and the position they stand for. Disposable: everything in it can be
/// recomputed from the log.
pub trait Checkpoints: Send {
    /// The views that have been saved.
    fn views(&mut self) -> Result<Vec<SavedView>, StoreError>;

    /// Visits every row of a view, of all parts, by ascending id. Checksums are not verified here.
    fn rows(&mut self, view: &str, visit: &mut dyn FnMut(SavedRow<'_>)) -> Result<(), StoreError>;

    /// Visits what SQL shows of up to `limit` rows of a view (part 0 of its [ids](SavedRow::id)), by ascending id, beginning with `from`. A store that shows nothing to SQL
    /// visits nothing.
    fn renderings(
        &mut self,
        view: &str,
        from: u32,
        limit: usize,
        visit: &mut dyn FnMut(Rendering<'_>),
    ) -> Result<(), StoreError> {
        let _ = (view, from, limit, visit);
        Ok(())
    }

    /// The names of the columns that [`renderings`](Self::renderings) have. None where nothing is shown to SQL, or there is no such view.
    fn columns(&mut self, view: &str) -> Result<Vec<String>, StoreError> {
        let _ = view;
        Ok(Vec::new())
    }

    /// What the last checkpoint saw of the log; `None` before the first.
    fn witness(&mut self) -> Result<Option<Witness>, StoreError>;

    /// Saves the witness and all views, or nothing. Need not be durable when it returns, but never half. There may be no view to save.
    ///
    /// After [`StoreError::Corrupt`] it is given all rows of the live views, a stretch at a time: whatever it had may be forgotten.
    fn save(&mut self, witness: Witness, views: &[ViewCheckpoint]) -> Result<(), StoreError>;

    /// Forgets a view and drops what SQL showed of it.
    fn forget(&mut self, view: &str) -> Result<(), StoreError>;
}

/// What a store has found by checking itself.
#[derive(Default)]
pub struct Checked {
    /// Bytes on disk.
    pub bytes: u64,
    /// What does not hold in the log.
    pub log: Vec<String>,
    /// What does not hold in the checkpoints.
    pub checkpoints: Vec<String>,
    /// A keeper that only reads, and sees one state; `None` where there are no checkpoints that can be read.
    pub keeper: Option<Box<dyn Checkpoints>>,
}

impl fmt::Debug for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes, log, checkpoints, .. } = self;
        f.debug_struct("Checked")
            .field("bytes", bytes)
            .field("log", log)
            .field("checkpoints", checkpoints)
            .finish_non_exhaustive()
    }
}

/// A store: hands out the ends of one log and the keeper of its checkpoints.
pub trait Store: Send + Sync + 'static {
    /// The log's identity.
    fn id(&self) -> StoreId;

    /// The writing end. Called once, by the engine that owns the store; [`StoreError::ReadOnly`] where it was opened so.
    fn log(&self) -> Result<Box<dyn Log>, StoreError>;

    /// A reading end.
    fn reader(&self) -> Result<Box<dyn LogReader>, StoreError>;

    /// The keeper of checkpoints. A store that finds its checkpoints unreadable sets them aside, says so through
    /// `tracing`, and starts empty ones: they are disposable.
    fn checkpoints(&self) -> Result<Box<dyn Checkpoints>, StoreError>;

    /// Whether it was opened read-only.
    fn read_only(&self) -> bool;

    /// Copies a consistent image of the store into `folder`, which must not exist or be empty, while it is in use.
    fn backup(&self, folder: &std::path::Path) -> Result<(), StoreError>;

    /// Checks what only the store itself can check, and changes nothing: unlike [`checkpoints`](Self::checkpoints), it sets nothing aside.
    ///
    /// What is stored above it (the chain, the checksums of rows) is not checked here. A store that has nothing to check leaves this as it is.
    fn check(&self) -> Result<Checked, StoreError> {
        Ok(Checked { keeper: Some(self.checkpoints()?), ..Checked::default() })
    }

    /// Tidies up after a clean close, when every end handed out has been dropped: folds write-ahead logs into their files.
    fn close(&self) -> Result<(), StoreError>;
}
