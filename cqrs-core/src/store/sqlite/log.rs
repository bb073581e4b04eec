//! The writing end of the log.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

use super::bulk;
use super::database::{Database, PATIENCE};
use super::folder::Folder;
use super::reader::{self, Sources};
use super::wal::WalWatch;
use crate::store::memory::{TypeCounts, id_taken, source_moved};
use crate::store::{
    Advance, AppendFailure, Head, Log, LogEvent, StoreError, StoreId, StoredType, source_checksum,
};

/// After this many events they are counted into `event_types`: counting within each append would have it write one
/// page more.
const COUNT_EVERY: u64 = 10_000;

/// What an event takes besides its payload and metadata, about.
const EVENT_BYTES: usize = 48;

const ACTION: &str = "appending to the log";

pub(super) struct SqliteLog {
    folder: Arc<Folder>,
    connection: Connection,
    /// As of the last commit: no one else writes.
    head: Head,
    id: StoreId,
    /// As of the last commit, too.
    sources: Sources,
    /// The types of events that are appended and not yet counted in `event_types`.
    pending: TypeCounts,
    uncounted: u64,
    /// Why the log's end is uncertain. Only reading it afresh, by reopening the store, can tell.
    poison: Option<String>,
    wal: WalWatch,
}

impl SqliteLog {
    pub(super) fn new(folder: &Arc<Folder>) -> Result<Self, StoreError> {
        if folder.read_only() {
            return Err(StoreError::ReadOnly);
        }
        if folder.log_taken.swap(true, Ordering::AcqRel) {
            return Err(StoreError::Locked { path: folder.path.clone() });
        }
        Self::open(folder).inspect_err(|_| folder.log_taken.store(false, Ordering::Release))
    }

    fn open(folder: &Arc<Folder>) -> Result<Self, StoreError> {
        let connection = folder.events.open()?;
        let head = reader::head(&folder.events, &connection)?;
        fold_leftovers(&folder.events, &connection)?;
        let fault = |error| folder.events.fault("counting the log's types", error);
        connection.execute(reader::COUNT, []).map_err(fault)?;
        let id = reader::identity(&folder.events, &connection)?;
        let sources = reader::sources(&folder.events, &connection)?;
        let wal = WalWatch::new(&folder.events);
        Ok(Self {
            folder: Arc::clone(folder),
            connection,
            head,
            id,
            sources,
            pending: TypeCounts::default(),
            uncounted: 0,
            poison: None,
            wal,
        })
    }

    #[cfg(test)]
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    fn run(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.raw_execute().map(drop)
    }

    /// Everything up to the commit. Returns the sum of the sources' checksums.
    fn write(&self, events: &[LogEvent<'_>], advances: &[Advance<'_>]) -> Result<u64, StoreError> {
        let fault = |error| self.folder.events.fault(ACTION, error);
        self.run("BEGIN IMMEDIATE").map_err(fault)?;
        for (event, position) in events.iter().zip(self.head.position + 1..) {
            if event.position != position {
                let why = format!("an event bears position {} where {position} comes next", event.position);
                return Err(StoreError::Io { action: ACTION.into(), source: why.into() });
            }
        }
        self.insert(events).map_err(|error| self.refusal(events, error))?;
        if self.uncounted >= COUNT_EVERY {
            self.count().map_err(fault)?;
        }
        if advances.is_empty() { Ok(self.sources.sum) } else { self.advance(advances).map_err(fault) }
    }

    fn insert(&self, events: &[LogEvent<'_>]) -> rusqlite::Result<()> {
        bulk::insert(
            &self.connection,
            "INSERT INTO events VALUES",
            8,
            events.iter(),
            |statement, at, event| {
                statement.raw_bind_parameter(at, event.position.cast_signed())?;
                statement.raw_bind_parameter(at + 1, event.name)?;
                statement.raw_bind_parameter(at + 2, event.version)?;
                statement.raw_bind_parameter(at + 3, event.recorded_at.as_micros())?;
                statement.raw_bind_parameter(at + 4, event.event_id)?;
                let metadata = (!event.metadata.is_empty()).then_some(event.metadata);
                statement.raw_bind_parameter(at + 5, metadata)?;
                statement.raw_bind_parameter(at + 6, event.payload)?;
                statement.raw_bind_parameter(at + 7, event.checksum.cast_signed())
            },
        )
    }

    /// Stores how far sources are now.
    fn advance(&self, advances: &[Advance<'_>]) -> rusqlite::Result<u64> {
        let (mut count, mut sum) = (self.sources.offsets.len() as u64, self.sources.sum);
        let mut put = self.connection.prepare_cached("INSERT OR REPLACE INTO sources VALUES (?1, ?2, ?3)")?;
        for Advance { source, after, to } in advances {
            let checksum = source_checksum(self.id, source, *to);
            let before = after.map_or(0, |after| source_checksum(self.id, source, after));
            sum = sum.wrapping_sub(before).wrapping_add(checksum);
            count += u64::from(after.is_none());
            put.execute((source, to.cast_signed(), checksum.cast_signed()))?;
        }
        put.execute(("", count.cast_signed(), sum.cast_signed()))?;
        Ok(sum)
    }

    /// Adds what earlier appends have brought to `event_types`.
    fn count(&self) -> rusqlite::Result<()> {
        let mut upsert = self.connection.prepare_cached(
            "INSERT INTO event_types VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET count = count + excluded.count",
        )?;
        for (name, version, count) in self.pending.iter() {
            upsert.execute((name, version, count.cast_signed()))?;
        }
        Ok(())
    }

    /// Why SQLite did not take these events.
    fn refusal(&self, events: &[LogEvent<'_>], error: rusqlite::Error) -> StoreError {
        let why = match error.sqlite_error().map(|e| e.extended_code) {
            Some(rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE) => self.taken(events).map(id_taken),
            Some(rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY) => Some(format!(
                "a position from {} on is already taken, so another program has written to {}; keep other programs from \
                 writing to it, and reopen the store",
                self.head.position + 1,
                self.folder.events.path.display()
            )),
            _ => None,
        };
        match why {
            Some(why) => StoreError::Io { action: ACTION.into(), source: why.into() },
            None => self.folder.events.fault(ACTION, error),
        }
    }

    /// The first event id that comes twice, among these events or in the log.
    fn taken<'e>(&self, events: &[LogEvent<'e>]) -> Option<&'e str> {
        let mut own = HashSet::new();
        let known = |id: &str| {
            let mut position = None;
            // Those of this transaction that were inserted before it failed are there, too.
            let found = reader::find(&self.folder.events, &self.connection, id, &mut |event| {
                position = Some(event.position);
            });
            found.is_ok() && position.is_some_and(|position| position <= self.head.position)
        };
        events.iter().filter_map(|event| event.event_id).find(|id| !own.insert(*id) || known(id))
    }

    /// Returns whether the transaction is certainly undone.
    fn roll_back(&mut self) -> bool {
        if !self.connection.is_autocommit()
            && self.run("ROLLBACK").is_err()
            && !self.connection.is_autocommit()
        {
            self.poison = Some("a transaction could not be rolled back".into());
        }
        self.poison.is_none()
    }
}

/// Folds what a crash left in the write-ahead log, before anything is built upon it: if a sync of it had failed, what is read from it may be in
/// the system's memory only, and no later sync would bring it to the disk.
fn fold_leftovers(events: &Database, connection: &Connection) -> Result<(), StoreError> {
    let fault = |error| events.fault("folding the write-ahead log", error);
    // A reader of another process may be in the way for hours; it is not waited for.
    connection.busy_timeout(Duration::ZERO).map_err(fault)?;
    let folded = events.fold(connection);
    connection.busy_timeout(PATIENCE).map_err(fault)?;
    match folded {
        // Where there is no room, it can be read even so.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => Ok(()),
        folded => folded.map(drop).map_err(fault),
    }
}

impl Log for SqliteLog {
    fn head(&mut self) -> Result<Head, StoreError> {
        Ok(self.head)
    }

    fn append(
        &mut self,
        expected: Head,
        events: &[LogEvent<'_>],
        advances: &[Advance<'_>],
    ) -> Result<(), AppendFailure> {
        if let Some(why) = &self.poison {
            let why = format!("{why}, so the log's end is uncertain; close the store and reopen it");
            let error = StoreError::Io { action: ACTION.into(), source: why.into() };
            // An event with an id may be one that is tried again, and its first try the one that is uncertain.
            let again = !advances.is_empty() || events.iter().any(|event| event.event_id.is_some());
            return Err(if again {
                AppendFailure::Unknown(error)
            } else {
                AppendFailure::NotAppended(error)
            });
        }
        if expected != self.head {
            return Err(AppendFailure::HeadMoved(self.head));
        }
        for advance in advances {
            let stored = self.sources.offsets.get(advance.source).copied();
            if stored != advance.after {
                let why = source_moved(advance, stored);
                let error = StoreError::Io { action: ACTION.into(), source: why.into() };
                return Err(AppendFailure::NotAppended(error));
            }
        }
        if events.is_empty() && advances.is_empty() {
            return Ok(());
        }
        let sum = match self.write(events, advances) {
            Ok(sum) => sum,
            Err(error) => {
                self.roll_back();
                return Err(AppendFailure::NotAppended(error));
            }
        };
        if let Err(error) = self.run("COMMIT") {
            let code = error.sqlite_error_code();
            let failure = self.folder.events.fault("committing an append", error);
            // "Full" says that a frame was not written whole, and the frame that commits comes last; "busy" says that
            // none was begun. Of any other failure, an fsync's above all, a commit may be left that a recovery finds.
            let undone = self.roll_back();
            if undone && matches!(code, Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy)) {
                return Err(AppendFailure::NotAppended(failure));
            }
            self.poison = Some("an earlier commit failed half-way".into());
            return Err(AppendFailure::Unknown(failure));
        }
        if let Some(last) = events.last() {
            self.head = Head { position: last.position, checksum: last.checksum };
        }
        self.sources.sum = sum;
        self.sources.offsets.extend(advances.iter().map(|advance| (advance.source.to_owned(), advance.to)));
        if self.uncounted >= COUNT_EVERY {
            (self.pending, self.uncounted) = (TypeCounts::default(), 0);
        }
        self.pending.add(events);
        self.uncounted += events.len() as u64;
        let bytes = events.iter().map(|event| event.payload.len() + event.metadata.len() + EVENT_BYTES).sum();
        self.wal.committed(bytes, &self.folder.events, &self.connection);
        Ok(())
    }

    fn find(&mut self, event_id: &str, found: &mut dyn FnMut(LogEvent<'_>)) -> Result<(), StoreError> {
        reader::find(&self.folder.events, &self.connection, event_id, found)
    }

    fn types(&mut self) -> Result<Vec<StoredType>, StoreError> {
        reader::types(&self.folder.events, &self.connection)
    }
}

impl Drop for SqliteLog {
    fn drop(&mut self) {
        // So that a log which was closed and then lost its end is known for it. Without, the next counting makes good.
        if self.poison.is_none() && self.uncounted > 0 {
            let _ = self.run(reader::COUNT);
        }
        self.folder.log_taken.store(false, Ordering::Release);
    }
}
