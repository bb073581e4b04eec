//! The writing end of the log.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OptionalExtension};

use super::bulk;
use super::database::{Database, PATIENCE};
use super::folder::Folder;
use super::reader::{self, NoteSum, Sources};
use super::wal::WalWatch;
use crate::store::memory::{ACTION, NO_KEY, TypeCounts, id_taken, source_moved};
use crate::store::{
    Advance, AppendFailure, Beside, Head, Log, LogEvent, Note, StoreError, StoreId, StoredType,
    note_checksum, source_checksum,
};

/// After this many events they are counted into `event_types`: counting within each append would have it write one
/// page more.
const COUNT_EVERY: u64 = 10_000;

/// What an event takes besides its payload and metadata, or a note besides its key and value, about.
const EVENT_BYTES: usize = 48;

/// Statements that are kept prepared: more than there are.
const STATEMENTS: usize = 32;

pub(super) struct SqliteLog {
    folder: Arc<Folder>,
    connection: Connection,
    /// As of the last commit: no one else writes.
    head: Head,
    id: StoreId,
    /// As of the last commit, too.
    sources: Sources,
    notes: NoteSum,
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
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        let head = reader::head(&folder.events, &connection)?;
        fold_leftovers(&folder.events, &connection)?;
        folder.events.upgrade(&connection)?;
        let fault = |error| folder.events.fault("counting the log's types", error);
        connection.execute(reader::COUNT, []).map_err(fault)?;
        let id = reader::identity(&folder.events, &connection)?;
        let sources = reader::sources(&folder.events, &connection)?;
        let notes = reader::note_sum(&folder.events, &connection)?;
        let wal = WalWatch::new(&folder.events);
        Ok(Self {
            folder: Arc::clone(folder),
            connection,
            head,
            id,
            sources,
            notes,
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

    /// Everything up to the commit. Returns the sum of the sources' checksums, and that of the notes.
    fn write(&self, events: &[LogEvent<'_>], beside: &Beside<'_>) -> Result<(u64, NoteSum), StoreError> {
        let fault = |error| self.folder.events.fault(ACTION, error);
        self.run("BEGIN IMMEDIATE").map_err(fault)?;
        for (event, position) in events.iter().zip(self.head.position + 1..) {
            if event.position != position {
                let why = format!("an event bears position {} where {position} comes next", event.position);
                return Err(StoreError::Io { action: ACTION.into(), source: why.into() });
            }
        }
        self.insert(events).map_err(|error| self.refusal(events, error))?;
        self.ends_with(events)?;
        if self.uncounted >= COUNT_EVERY {
            self.count().map_err(fault)?;
        }
        let (mut sources, mut notes) = (self.sources.sum, self.notes);
        if !beside.advances.is_empty() {
            sources = self.advance(beside.advances).map_err(fault)?;
        }
        if !beside.notes.is_empty() {
            notes = self.note(beside.notes).map_err(fault)?;
        }
        Ok((sources, notes))
    }

    /// Adds events. SQLite gives each the position behind the last there is, which costs it less than a look whether one that it is told is free. What few events
    /// have is named where one of them has it: each column costs something, empty or not.
    fn insert(&self, events: &[LogEvent<'_>]) -> rusqlite::Result<()> {
        let accompanied = events.iter().any(|event| event.event_id.is_some() || !event.metadata.is_empty());
        let (insert, width) = if accompanied {
            let all = "INSERT INTO events (name, version, recorded_at, payload, checksum, event_id, metadata) VALUES";
            (all, 7)
        } else {
            ("INSERT INTO events (name, version, recorded_at, payload, checksum) VALUES", 5)
        };
        bulk::insert(&self.connection, insert, width, events, |statement, at, event| {
            statement.raw_bind_parameter(at, event.name)?;
            statement.raw_bind_parameter(at + 1, event.version)?;
            statement.raw_bind_parameter(at + 2, event.recorded_at.as_micros())?;
            statement.raw_bind_parameter(at + 3, event.payload)?;
            statement.raw_bind_parameter(at + 4, event.checksum.cast_signed())?;
            if accompanied {
                let metadata = (!event.metadata.is_empty()).then_some(event.metadata);
                statement.raw_bind_parameter(at + 5, event.event_id)?;
                statement.raw_bind_parameter(at + 6, metadata)?;
            }
            Ok(())
        })
    }

    /// Whether the log ends with the last of these events: so the others are before it.
    fn ends_with(&self, events: &[LogEvent<'_>]) -> Result<(), StoreError> {
        let Some(last) = events.last() else { return Ok(()) };
        let fault = |error| self.folder.events.fault(ACTION, error);
        let mut select = self
            .connection
            .prepare_cached("SELECT position, checksum FROM events ORDER BY position DESC LIMIT 1")
            .map_err(fault)?;
        let end: Option<(i64, i64)> =
            select.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional().map_err(fault)?;
        if end == Some((last.position.cast_signed(), last.checksum.cast_signed())) {
            return Ok(());
        }
        let first = self.head.position + 1;
        Err(self.foreign(&format!("position {first} did not come next")))
    }

    /// That somebody else has written to the log, as is seen by this.
    fn foreign(&self, seen: &str) -> StoreError {
        let why = format!(
            "{seen}, so another program has written to {}; keep other programs from writing to it, and reopen the store",
            self.folder.events.path.display()
        );
        StoreError::Reopen { action: ACTION.into(), why }
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

    /// Puts notes and takes them away.
    fn note(&self, notes: &[Note<'_>]) -> rusqlite::Result<NoteSum> {
        let mut all = self.notes;
        let mut find = self.connection.prepare_cached("SELECT checksum FROM notes WHERE key = ?")?;
        let mut put = self.connection.prepare_cached("INSERT OR REPLACE INTO notes VALUES (?1, ?2, ?3)")?;
        let mut remove = self.connection.prepare_cached("DELETE FROM notes WHERE key = ?")?;
        for Note { key, value } in notes {
            let before: Option<i64> = find.query_row([key], |row| row.get(0)).optional()?;
            if let Some(checksum) = before {
                all.remove(checksum.cast_unsigned());
            }
            match value {
                Some(value) => {
                    let checksum = note_checksum(self.id, key, value);
                    put.execute((key, value, checksum.cast_signed()))?;
                    all.add(checksum);
                }
                None => drop(remove.execute([key])?),
            }
        }
        put.execute(("", all.count.to_le_bytes(), all.sum.cast_signed()))?;
        Ok(all)
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
        let code = error.sqlite_error().map(|error| error.extended_code);
        if code != Some(rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE) {
            return self.folder.events.fault(ACTION, error);
        }
        match self.taken(events) {
            Some(id) => StoreError::Io { action: ACTION.into(), source: id_taken(id).into() },
            None => {
                self.foreign("there is an event with the id of one of these, and it was not there before")
            }
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
    let folded = Database::fold(connection);
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
        beside: &Beside<'_>,
    ) -> Result<(), AppendFailure> {
        if let Some(why) = &self.poison {
            let why = format!("{why}, so the log's end is uncertain; close the store and reopen it");
            let error = StoreError::Reopen { action: ACTION.into(), why };
            // An event with an id may be one that is tried again, and its first try the one that is uncertain. So may what a note goes with.
            let again = !beside.is_empty() || events.iter().any(|event| event.event_id.is_some());
            return Err(if again {
                AppendFailure::Unknown(error)
            } else {
                AppendFailure::NotAppended(error)
            });
        }
        if expected != self.head {
            return Err(AppendFailure::HeadMoved(self.head));
        }
        for advance in beside.advances {
            let stored = self.sources.offsets.get(advance.source).copied();
            if stored != advance.after {
                return Err(AppendFailure::NotAppended(source_moved(advance, stored)));
            }
        }
        if beside.notes.iter().any(|note| note.key.is_empty()) {
            let error = StoreError::Io { action: ACTION.into(), source: NO_KEY.into() };
            return Err(AppendFailure::NotAppended(error));
        }
        if events.is_empty() && beside.is_empty() {
            return Ok(());
        }
        let (sources, notes) = match self.write(events, beside) {
            Ok(sums) => sums,
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
        (self.sources.sum, self.notes) = (sources, notes);
        self.sources
            .offsets
            .extend(beside.advances.iter().map(|advance| (advance.source.to_owned(), advance.to)));
        if self.uncounted >= COUNT_EVERY {
            (self.pending, self.uncounted) = (TypeCounts::default(), 0);
        }
        self.pending.add(events);
        self.uncounted += events.len() as u64;
        let bytes = events.iter().map(|event| event.payload.len() + event.metadata.len() + EVENT_BYTES);
        let notes =
            beside.notes.iter().map(|note| note.key.len() + note.value.map_or(0, <[u8]>::len) + EVENT_BYTES);
        self.wal.committed(bytes.chain(notes).sum(), &self.connection);
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
