//! A store in memory: the same surface as the durable one, for tests, examples and views that need no disk.

mod segment;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{
    Advance, AppendFailure, Beside, Checkpoints, Head, Log, LogEvent, LogReader, Note, SavedRow, SavedView,
    SqlColumn, Store, StoreError, StoreId, StoredType, ViewCheckpoint, Witness,
};
use segment::Segment;

/// A log and its checkpoints in memory. Clones share them, so that an engine can be "reopened" over a clone.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    id: StoreId,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    log: RwLock<Events>,
    checkpoint: RwLock<KeptCheckpoints>,
}

impl MemoryStore {
    /// An empty store with an identity of its own.
    #[must_use]
    pub fn new() -> Self {
        // `RandomState` is seeded from the system's randomness: good enough to tell stores apart, and already here.
        let mut id = [0; 16];
        id[..8].copy_from_slice(&RandomState::new().hash_one(0_u8).to_le_bytes());
        id[8..].copy_from_slice(&RandomState::new().hash_one(1_u8).to_le_bytes());
        Self { id: StoreId(id), shared: Arc::default() }
    }

    /// The checkpoints as they are now.
    pub(crate) fn kept(&self) -> KeptCheckpoints {
        self.shared.checkpoint().clone()
    }

    /// Puts the checkpoints back to what they were: what a process leaves that did not end well.
    pub(crate) fn put_back(&self, kept: KeptCheckpoints) {
        *self.shared.checkpoint_mut() = kept;
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Store for MemoryStore {
    fn id(&self) -> StoreId {
        self.id
    }

    fn log(&self) -> Result<Box<dyn Log>, StoreError> {
        Ok(Box::new(MemoryLog(Arc::clone(&self.shared))))
    }

    fn reader(&self) -> Result<Box<dyn LogReader>, StoreError> {
        Ok(Box::new(MemoryReader(Arc::clone(&self.shared))))
    }

    fn checkpoints(&self) -> Result<Box<dyn Checkpoints>, StoreError> {
        Ok(Box::new(MemoryCheckpoints(Arc::clone(&self.shared))))
    }

    fn read_only(&self) -> bool {
        false
    }

    fn backup(&self, _: &Path) -> Result<(), StoreError> {
        Err(StoreError::Io {
            action: "the backup".into(),
            source: "an in-memory store has no files to copy; open the engine on a folder to have backups"
                .into(),
        })
    }

    fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// The log: events by the segment, one buffer of bytes each.
#[derive(Debug, Default)]
struct Events {
    head: Head,
    /// Shared with readers, who visit a segment without holding the lock.
    segments: Vec<Arc<Segment>>,
    ids: HashMap<Box<str>, u64>,
    types: TypeCounts,
    sources: BTreeMap<String, u64>,
    /// Shared with readers, who visit them without holding the lock.
    notes: BTreeMap<Arc<str>, Arc<[u8]>>,
}

/// Events below this number go on into the last segment, so that appends of one event do not cost a segment each.
const SEGMENT: usize = 1024;

impl Events {
    /// The segment that holds the event at `position`, and the event's index in it.
    fn at(&self, position: u64) -> Option<(&Arc<Segment>, usize)> {
        if position > self.head.position {
            return None;
        }
        let segment = self.segments.partition_point(|s| s.after() < position).checked_sub(1)?;
        let segment = &self.segments[segment];
        Some((segment, usize::try_from(position - segment.after() - 1).ok()?))
    }

    /// Why these may not follow the head, if anything speaks against it.
    fn objection(&self, events: &[LogEvent<'_>], beside: &Beside<'_>) -> Option<StoreError> {
        let wrong = |why: String| Some(StoreError::Io { action: ACTION.into(), source: why.into() });
        let stray = |advance: &&Advance<'_>| self.sources.get(advance.source).copied() != advance.after;
        if let Some(advance) = beside.advances.iter().find(stray) {
            return Some(source_moved(advance, self.sources.get(advance.source).copied()));
        }
        if beside.notes.iter().any(|note| note.key.is_empty()) {
            return wrong(NO_KEY.into());
        }
        let mut in_batch = HashSet::new();
        for (event, position) in events.iter().zip(self.head.position + 1..) {
            if event.position != position {
                return wrong(format!(
                    "an event bears position {} where {position} comes next",
                    event.position
                ));
            }
            if let Some(id) = event.event_id
                && (self.ids.contains_key(id) || !in_batch.insert(id))
            {
                return wrong(id_taken(id));
            }
        }
        None
    }

    fn extend(&mut self, events: &[LogEvent<'_>]) {
        let Some(end) = events.last() else { return };
        // A segment that a reader holds at this moment is left as it is.
        let open = self.segments.last_mut().and_then(Arc::get_mut).filter(|s| s.len() < SEGMENT);
        match open {
            Some(segment) => events.iter().for_each(|event| segment.push(event)),
            None => {
                let mut segment = Segment::for_events(self.head.position, events);
                events.iter().for_each(|event| segment.push(event));
                self.segments.push(Arc::new(segment));
            }
        }
        for event in events {
            if let Some(id) = event.event_id {
                self.ids.insert(id.into(), event.position);
            }
        }
        self.types.add(events);
        self.head = Head { position: end.position, checksum: end.checksum };
    }

    fn put(&mut self, beside: &Beside<'_>) {
        self.sources.extend(beside.advances.iter().map(|advance| (advance.source.to_owned(), advance.to)));
        for Note { key, value } in beside.notes {
            match value {
                Some(value) => drop(self.notes.insert((*key).into(), (*value).into())),
                None => drop(self.notes.remove(*key)),
            }
        }
    }
}

/// How many events there are of each name and version.
#[derive(Debug, Default)]
pub(crate) struct TypeCounts(BTreeMap<String, BTreeMap<u32, u64>>);

impl TypeCounts {
    pub(crate) fn add(&mut self, events: &[LogEvent<'_>]) {
        // By the run, and with a key of its own only for a new name: most events are of the type before them.
        for run in events.chunk_by(|a, b| a.version == b.version && a.name == b.name) {
            if !self.0.contains_key(run[0].name) {
                self.0.insert(run[0].name.into(), BTreeMap::new());
            }
            if let Some(versions) = self.0.get_mut(run[0].name) {
                *versions.entry(run[0].version).or_default() += run.len() as u64;
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, u32, u64)> {
        let of = |(name, versions)| {
            let versions: &BTreeMap<u32, u64> = versions;
            versions.iter().map(move |(version, count)| (name, *version, *count))
        };
        self.0.iter().map(|(name, versions)| (name.as_str(), versions)).flat_map(of)
    }

    pub(crate) fn list(&self) -> Vec<StoredType> {
        let of = |(name, version, count): (&str, u32, u64)| StoredType { name: name.into(), version, count };
        self.iter().map(of).collect()
    }
}

/// What an append says about a source that does not stand where it should. Every store says it alike.
pub(super) fn source_moved(advance: &Advance<'_>, stored: Option<u64>) -> StoreError {
    let of = |offset: Option<u64>| offset.map_or("nothing".into(), |offset| format!("offset {offset}"));
    let why = format!(
        "the source {:?} is stored with {}, and was to go on after {}; keep other programs from writing to the store, and reopen it",
        advance.source,
        of(stored),
        of(advance.after)
    );
    StoreError::Io { action: ACTION.into(), source: why.into() }
}

/// What an append is doing when it fails. Every store says it alike.
pub(super) const ACTION: &str = "appending to the log";

/// What an append says about a note of the empty key. Every store says it alike.
pub(super) const NO_KEY: &str = "the key of a note is empty; give it one";

/// What an append says about an event id that the log, or the batch itself, already has. Every store says it alike.
pub(super) fn id_taken(id: &str) -> String {
    format!("the event id {id:?} is already taken; find the event that bears it, or choose another id")
}

// A panic while a lock was held cannot leave half a change: every change is checked before it begins.
impl Shared {
    fn log(&self) -> RwLockReadGuard<'_, Events> {
        self.log.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn log_mut(&self) -> RwLockWriteGuard<'_, Events> {
        self.log.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn checkpoint(&self) -> RwLockReadGuard<'_, KeptCheckpoints> {
        self.checkpoint.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn checkpoint_mut(&self) -> RwLockWriteGuard<'_, KeptCheckpoints> {
        self.checkpoint.write().unwrap_or_else(PoisonError::into_inner)
    }
}

struct MemoryLog(Arc<Shared>);

impl Log for MemoryLog {
    fn head(&mut self) -> Result<Head, StoreError> {
        Ok(self.0.log().head)
    }

    fn append(
        &mut self,
        expected: Head,
        events: &[LogEvent<'_>],
        beside: &Beside<'_>,
    ) -> Result<(), AppendFailure> {
        let mut log = self.0.log_mut();
        if log.head != expected {
            return Err(AppendFailure::HeadMoved(log.head));
        }
        if let Some(error) = log.objection(events, beside) {
            return Err(AppendFailure::NotAppended(error));
        }
        log.extend(events);
        log.put(beside);
        Ok(())
    }

    fn find(&mut self, event_id: &str, found: &mut dyn FnMut(LogEvent<'_>)) -> Result<(), StoreError> {
        let log = self.0.log();
        let place = log.ids.get(event_id).and_then(|position| log.at(*position));
        let place = place.map(|(segment, index)| (Arc::clone(segment), index));
        drop(log);
        if let Some(event) = place.as_ref().and_then(|(segment, index)| segment.get(*index)) {
            found(event);
        }
        Ok(())
    }

    fn types(&mut self) -> Result<Vec<StoredType>, StoreError> {
        Ok(self.0.log().types.list())
    }
}

struct MemoryReader(Arc<Shared>);

impl LogReader for MemoryReader {
    fn head(&mut self) -> Result<Head, StoreError> {
        Ok(self.0.log().head)
    }

    fn checksum_at(&mut self, position: u64) -> Result<Option<u64>, StoreError> {
        if position == 0 {
            return Ok(Some(0));
        }
        Ok(self.0.log().at(position).and_then(|(segment, index)| segment.get(index)).map(|e| e.checksum))
    }

    fn types(&mut self) -> Result<Vec<StoredType>, StoreError> {
        Ok(self.0.log().types.list())
    }

    fn sources(&mut self) -> Result<BTreeMap<String, u64>, StoreError> {
        Ok(self.0.log().sources.clone())
    }

    fn note(&mut self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.log().notes.get(key).map(|value| value.to_vec()))
    }

    fn notes(&mut self, prefix: &str, visit: &mut dyn FnMut(&str, &[u8]) -> bool) -> Result<(), StoreError> {
        let log = self.0.log();
        let from = log.notes.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        let found = from.take_while(|(key, _)| key.starts_with(prefix));
        let found: Vec<_> = found.map(|(key, value)| (Arc::clone(key), Arc::clone(value))).collect();
        drop(log);
        let _ = found.iter().all(|(key, value)| visit(key, value));
        Ok(())
    }

    fn read(
        &mut self,
        after: u64,
        limit: usize,
        visit: &mut dyn FnMut(LogEvent<'_>) -> bool,
    ) -> Result<usize, StoreError> {
        let mut visited = 0;
        while visited < limit {
            let next = after.saturating_add(visited as u64).saturating_add(1);
            let place = self.0.log().at(next).map(|(segment, index)| (Arc::clone(segment), index));
            let Some((segment, first)) = place else { break };
            for index in first..segment.len().min(first.saturating_add(limit - visited)) {
                let Some(event) = segment.get(index) else { break };
                visited += 1;
                if !visit(event) {
                    return Ok(visited);
                }
            }
        }
        Ok(visited)
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct KeptCheckpoints {
    witness: Option<Witness>,
    views: BTreeMap<String, KeptView>,
}

#[derive(Clone, Debug)]
struct KeptView {
    view: SavedView,
    columns: Vec<SqlColumn>,
    rows: BTreeMap<u64, KeptRow>,
}

#[derive(Clone, Debug)]
struct KeptRow {
    key: Box<[u8]>,
    state: Box<[u8]>,
    checksum: u64,
    shown: bool,
}

struct MemoryCheckpoints(Arc<Shared>);

impl Checkpoints for MemoryCheckpoints {
    fn views(&mut self) -> Result<Vec<SavedView>, StoreError> {
        Ok(self.0.checkpoint().views.values().map(|kept| kept.view.clone()).collect())
    }

    fn rows(&mut self, view: &str, visit: &mut dyn FnMut(SavedRow<'_>)) -> Result<(), StoreError> {
        if let Some(kept) = self.0.checkpoint().views.get(view) {
            for (&id, row) in &kept.rows {
                visit(SavedRow {
                    id,
                    key: &row.key,
                    state: &row.state,
                    checksum: row.checksum,
                    shown: row.shown,
                    columns: &[],
                });
            }
        }
        Ok(())
    }

    fn witness(&mut self) -> Result<Option<Witness>, StoreError> {
        Ok(self.0.checkpoint().witness)
    }

    fn save(&mut self, witness: Witness, views: &[ViewCheckpoint]) -> Result<(), StoreError> {
        // Everything that can fail comes before the first change.
        for saved in views {
            check_width(saved)?;
        }
        let mut checkpoint = self.0.checkpoint_mut();
        checkpoint.witness = Some(witness);
        for saved in views {
            let kept = checkpoint.views.entry(saved.view.name.clone()).or_insert_with(|| KeptView {
                view: saved.view.clone(),
                columns: saved.columns.clone(),
                rows: BTreeMap::new(),
            });
            if saved.reset || kept.columns != saved.columns {
                kept.rows.clear();
                kept.columns.clone_from(&saved.columns);
            }
            kept.view.clone_from(&saved.view);
            for id in &saved.gone {
                kept.rows.remove(id);
            }
            kept.rows.extend(saved.changed.iter().map(|row| {
                let kept = KeptRow {
                    key: row.key.into(),
                    state: row.state.into(),
                    checksum: row.checksum,
                    shown: row.shown,
                };
                (row.id, kept)
            }));
        }
        Ok(())
    }

    fn forget(&mut self, view: &str) -> Result<(), StoreError> {
        self.0.checkpoint_mut().views.remove(view);
        Ok(())
    }
}

/// Refuses rows that do not have one value a column. Every store refuses them alike.
pub(super) fn check_width(saved: &ViewCheckpoint) -> Result<(), StoreError> {
    let width = saved.columns.len();
    match saved.changed.iter().find(|row| row.columns.len() != width) {
        None => Ok(()),
        Some(row) => Err(StoreError::Io {
            action: format!("saving the view {}", saved.view.name),
            source: format!(
                "row {} has {} values for {width} columns; this is a defect of the library, please report it",
                row.id,
                row.columns.len()
            )
            .into(),
        }),
    }
}
