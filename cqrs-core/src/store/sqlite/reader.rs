//! Reading events: the reading end, and what it shares with the writing end.

use std::collections::BTreeMap;

use rusqlite::types::{FromSqlError, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row};

use super::database::Database;
use crate::Timestamp;
use crate::store::{
    Head, LogEvent, LogReader, StoreError, StoreId, StoredType, note_checksum, source_checksum,
};

/// In the order that [`event`] takes them.
const COLUMNS: &str = "position, name, version, recorded_at, event_id, metadata, payload, checksum";

pub(super) struct SqliteReader {
    database: Database,
    connection: Connection,
    /// The log's identity, once it has been read.
    id: Option<StoreId>,
}

impl SqliteReader {
    pub(super) fn new(database: &Database) -> Result<Self, StoreError> {
        let connection = database.open_read_only()?;
        Ok(Self { database: database.clone(), connection, id: None })
    }

    /// What is read from here on is one state of the log, whoever appends to it meanwhile.
    pub(super) fn hold(&self) -> Result<(), StoreError> {
        self.connection.execute_batch("BEGIN").map_err(|error| self.database.fault("reading the log", error))
    }

    /// The last event's position, whatever the counts say; 0 if it cannot be read.
    pub(super) fn last_position(&self) -> u64 {
        let read = self.connection.query_row(
            "SELECT position FROM events ORDER BY position DESC LIMIT 1",
            [],
            |row| row.get::<_, i64>(0),
        );
        read.map_or(0, i64::cast_unsigned)
    }

    /// Reads every note; `visit` is given those that are whole, and ends it early with `false`.
    pub(super) fn survey(&self, visit: &mut dyn FnMut(&str, &[u8]) -> bool) -> Surveyed {
        let mut surveyed = Surveyed::default();
        if let Err(error) = surveyed.run(&self.database, &self.connection, visit) {
            surveyed.wrong.push(error.to_string());
        }
        surveyed
    }

    pub(super) fn id(&mut self) -> Result<StoreId, StoreError> {
        match self.id {
            Some(id) => Ok(id),
            None => Ok(*self.id.insert(identity(&self.database, &self.connection)?)),
        }
    }

    /// Visits the notes of which this holds, up to the first whose key does not begin with `key`.
    fn notes_where(
        &mut self,
        (holds, key): (&str, &str),
        visit: &mut dyn FnMut(&str, &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        let id = self.id()?;
        let fault = |error| self.database.fault("reading the notes", error);
        let sql = format!("SELECT key, value, checksum FROM notes WHERE {holds} ORDER BY key");
        let mut select = match self.connection.prepare_cached(&sql) {
            Err(_) if is_before_notes(&self.connection) => return Ok(()),
            select => select.map_err(fault)?,
        };
        let mut rows = select.query([key]).map_err(fault)?;
        while let Some(row) = rows.next().map_err(fault)? {
            match row.get_ref(0).map_err(fault)?.as_str() {
                // The one of the empty key is not one of them.
                Ok("") => continue,
                Ok(at) if !at.starts_with(key) => break,
                _ => {}
            }
            let (key, value) = note(id, row).map_err(|what| self.database.corrupt(what))?;
            if !visit(key, value) {
                break;
            }
        }
        Ok(())
    }
}

impl LogReader for SqliteReader {
    fn head(&mut self) -> Result<Head, StoreError> {
        head(&self.database, &self.connection)
    }

    fn checksum_at(&mut self, position: u64) -> Result<Option<u64>, StoreError> {
        if position == 0 {
            return Ok(Some(0));
        }
        let Ok(position) = i64::try_from(position) else { return Ok(None) };
        let read = || {
            let mut select =
                self.connection.prepare_cached("SELECT checksum FROM events WHERE position = ?")?;
            select.query_row([position], |row| Ok(row.get::<_, i64>(0)?.cast_unsigned())).optional()
        };
        read().map_err(|error| self.database.fault("reading the log", error))
    }

    fn types(&mut self) -> Result<Vec<StoredType>, StoreError> {
        types(&self.database, &self.connection)
    }

    fn sources(&mut self) -> Result<BTreeMap<String, u64>, StoreError> {
        Ok(sources(&self.database, &self.connection)?.offsets)
    }

    fn note(&mut self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let mut found = None;
        self.notes_where(("key = ?", key), &mut |_, value| {
            found = Some(value.to_vec());
            false
        })?;
        Ok(found)
    }

    fn notes(&mut self, prefix: &str, visit: &mut dyn FnMut(&str, &[u8]) -> bool) -> Result<(), StoreError> {
        self.notes_where(("key >= ?", prefix), visit)
    }

    fn read(
        &mut self,
        after: u64,
        limit: usize,
        visit: &mut dyn FnMut(LogEvent<'_>) -> bool,
    ) -> Result<usize, StoreError> {
        let fault = |error| self.database.fault("reading the log", error);
        let Ok(start) = i64::try_from(after) else { return Ok(0) };
        let sql = format!("SELECT {COLUMNS} FROM events WHERE position > ? ORDER BY position LIMIT ?");
        let mut select = self.connection.prepare_cached(&sql).map_err(fault)?;
        let mut rows = select.query((start, i64::try_from(limit).unwrap_or(i64::MAX))).map_err(fault)?;
        let mut visited = 0;
        while let Some(row) = rows.next().map_err(fault)? {
            let event = event(&self.database, row)?;
            let due = after + visited as u64 + 1;
            if event.position != due {
                return Err(self.database.corrupt(format!(
                    "position {due} is missing: the next event after it is at {}",
                    event.position
                )));
            }
            visited += 1;
            if !visit(event) {
                break;
            }
        }
        Ok(visited)
    }
}

/// One row, borrowed from SQLite.
fn event<'row>(database: &Database, row: &'row Row<'_>) -> Result<LogEvent<'row>, StoreError> {
    let of = |column| row.get_ref(column).map_err(|error| database.fault("reading the log", error));
    let wrong = |error: FromSqlError| database.corrupt(format!("an event is not what was written ({error})"));
    let int = |column| of(column)?.as_i64().map_err(wrong);
    let version = int(2)?;
    Ok(LogEvent {
        position: int(0)?.cast_unsigned(),
        name: of(1)?.as_str().map_err(wrong)?,
        version: u32::try_from(version).map_err(|_| wrong(FromSqlError::OutOfRange(version)))?,
        recorded_at: Timestamp::from_micros(int(3)?),
        event_id: of(4)?.as_str_or_null().map_err(wrong)?,
        metadata: match of(5)? {
            ValueRef::Null => &[],
            metadata => metadata.as_blob().map_err(wrong)?,
        },
        payload: of(6)?.as_blob().map_err(wrong)?,
        checksum: int(7)?.cast_unsigned(),
    })
}

/// The last event, held against the number of events that have been counted: a log that lost its end, or all
/// of its events, is not taken for a shorter one.
pub(super) fn head(database: &Database, connection: &Connection) -> Result<Head, StoreError> {
    let read = || {
        let mut select = connection.prepare_cached(
            "SELECT (SELECT position FROM events ORDER BY position DESC LIMIT 1),
                    (SELECT checksum FROM events ORDER BY position DESC LIMIT 1),
                    (SELECT sum(count) FROM event_types)",
        )?;
        select.query_one([], |row| {
            let number = |column| {
                Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.unwrap_or(0).cast_unsigned())
            };
            Ok((Head { position: number(0)?, checksum: number(1)? }, number(2)?))
        })
    };
    let (head, counted) = read().map_err(|error| database.fault("reading the log's head", error))?;
    if head.position >= counted {
        return Ok(head);
    }
    Err(database.corrupt(format!(
        "its last event is at position {}, but at least {counted} events were appended to it",
        head.position
    )))
}

/// Counts the events after those that were counted.
pub(super) const COUNT: &str = "
    INSERT INTO event_types
    SELECT name, version, count(*) FROM events
    WHERE position > (SELECT coalesce(sum(count), 0) FROM event_types)
    GROUP BY name, version
    ON CONFLICT DO UPDATE SET count = count + excluded.count";

/// The counts, and the events after those that were counted.
const TYPES: &str = "
    SELECT name, version, sum(count) FROM (
        SELECT name, version, count FROM event_types
        UNION ALL
        SELECT name, version, 1 FROM events
        WHERE position > (SELECT coalesce(sum(count), 0) FROM event_types)
    ) GROUP BY name, version ORDER BY name, version";

pub(super) fn types(database: &Database, connection: &Connection) -> Result<Vec<StoredType>, StoreError> {
    let read = || {
        let mut select = connection.prepare_cached(TYPES)?;
        let types = select.query_map([], |row| {
            Ok(StoredType {
                name: row.get(0)?,
                version: row.get(1)?,
                count: row.get::<_, i64>(2)?.cast_unsigned(),
            })
        })?;
        types.collect::<Result<Vec<_>, _>>()
    };
    read().map_err(|error| database.fault("reading the log's types", error))
}

/// The log's identity.
pub(super) fn identity(database: &Database, connection: &Connection) -> Result<StoreId, StoreError> {
    let id = connection
        .query_row("SELECT id FROM store", [], |row| row.get(0))
        .optional()
        .map_err(|error| database.fault("reading the store's identity", error))?;
    id.map(StoreId).ok_or_else(|| database.corrupt("its identity is missing"))
}

/// How far each source is in the log.
#[derive(Debug, Default)]
pub(super) struct Sources {
    pub(super) offsets: BTreeMap<String, u64>,
    /// The wrapping sum of their checksums.
    pub(super) sum: u64,
}

/// Reads the sources, and holds each against its checksum and all against their sum: a wrong offset would have events doubled or left out.
pub(super) fn sources(database: &Database, connection: &Connection) -> Result<Sources, StoreError> {
    let fault = |error| database.fault("reading the sources", error);
    let mut sources = Sources::default();
    let format: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(fault)?;
    if format < 2 {
        // From before there were any, and not upgraded yet.
        return Ok(sources);
    }
    let store = identity(database, connection)?;
    let mut select = connection
        .prepare_cached("SELECT name, offset, checksum FROM sources ORDER BY name")
        .map_err(fault)?;
    let mut rows = select.query([]).map_err(fault)?;
    let mut total = None;
    while let Some(row) = rows.next().map_err(fault)? {
        let number = |column| Ok(row.get::<_, i64>(column)?.cast_unsigned());
        let (offset, checksum) = (number(1).map_err(fault)?, number(2).map_err(fault)?);
        let name: String = row.get(0).map_err(fault)?;
        if name.is_empty() {
            total = Some((offset, checksum));
        } else if source_checksum(store, &name, offset) == checksum {
            sources.sum = sources.sum.wrapping_add(checksum);
            sources.offsets.insert(name, offset);
        } else {
            return Err(database.corrupt(format!(
                "the offset of the source {name:?} is stored as {offset}, which does not match its checksum"
            )));
        }
    }
    if total == Some((sources.offsets.len() as u64, sources.sum)) {
        return Ok(sources);
    }
    Err(database.corrupt("the sources' offsets do not match their sum: one of them is missing, or was put there by another program"))
}

/// How many notes there are, and the wrapping sum of their checksums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct NoteSum {
    pub(super) count: u64,
    pub(super) sum: u64,
}

impl NoteSum {
    pub(super) fn add(&mut self, checksum: u64) {
        (self.count, self.sum) = (self.count.wrapping_add(1), self.sum.wrapping_add(checksum));
    }

    /// What the row of the empty key says.
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { count: u64::from_le_bytes(row.get(1)?), sum: row.get::<_, i64>(2)?.cast_unsigned() })
    }

    pub(super) fn remove(&mut self, checksum: u64) {
        (self.count, self.sum) = (self.count.wrapping_sub(1), self.sum.wrapping_sub(checksum));
    }
}

/// What is stored of all notes together. They are not held against it here: there may be millions.
pub(super) fn note_sum(database: &Database, connection: &Connection) -> Result<NoteSum, StoreError> {
    let sql = "SELECT key, value, checksum FROM notes WHERE key = ''";
    let read = connection.query_row(sql, [], NoteSum::of).optional();
    let read = read.map_err(|error| database.fault("reading the notes", error))?;
    read.ok_or_else(|| database.corrupt("the sum of the notes is missing"))
}

/// All notes, held against their checksums, their count and their sum.
#[derive(Default)]
pub(super) struct Surveyed {
    /// How many are as they were written.
    pub(super) whole: u64,
    /// What does not hold.
    pub(super) wrong: Vec<String>,
    read: NoteSum,
    stored: Option<NoteSum>,
}

impl Surveyed {
    /// How many there are traces of, beside those that are whole.
    pub(super) fn lost(&self) -> u64 {
        self.stored.map_or(0, |sum| sum.count).max(self.read.count).saturating_sub(self.whole)
    }

    fn run(
        &mut self,
        database: &Database,
        connection: &Connection,
        visit: &mut dyn FnMut(&str, &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        let fault = |error| database.fault("reading the notes", error);
        let id = identity(database, connection)?;
        let mut select = match connection.prepare("SELECT key, value, checksum FROM notes") {
            Err(_) if is_before_notes(connection) => return Ok(()),
            select => select.map_err(fault)?,
        };
        let mut rows = select.query([]).map_err(fault)?;
        while let Some(row) = rows.next().map_err(fault)? {
            if row.get_ref(0).is_ok_and(|key| key == ValueRef::Text(b"")) {
                self.stored = NoteSum::of(row).ok();
                continue;
            }
            self.read.add(row.get(2).map_or(0, i64::cast_unsigned));
            match note(id, row) {
                Ok((key, value)) => {
                    self.whole += 1;
                    if !visit(key, value) {
                        return Ok(());
                    }
                }
                // The first stands for all: there may be millions.
                Err(what) if self.wrong.is_empty() => self.wrong.push(what),
                Err(_) => {}
            }
        }
        let more = self.read.count - self.whole;
        if let [first] = &mut self.wrong[..]
            && more > 1
        {
            first.push_str(&format!(" (and {} more such notes)", more - 1));
        }
        if self.stored != Some(self.read) {
            let what = "the notes do not match their sum: one of them is missing, or was put there by another program";
            self.wrong.push(what.into());
        }
        Ok(())
    }
}

/// Whether the file is from before there were notes, and not upgraded yet.
fn is_before_notes(connection: &Connection) -> bool {
    let format = connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0));
    format.is_ok_and(|format| format < 3)
}

/// The key and the value of a note that is as it was written; otherwise what is wrong with it.
fn note<'row>(id: StoreId, row: &'row Row<'_>) -> Result<(&'row str, &'row [u8]), String> {
    let of = |column| row.get_ref(column).map_err(|error| format!("a note cannot be read ({error})"));
    let wrong = |error: FromSqlError| format!("a note is not what was written ({error})");
    let key = of(0)?.as_str().map_err(wrong)?;
    let value = of(1)?.as_blob().map_err(wrong)?;
    if note_checksum(id, key, value) == of(2)?.as_i64().map_err(wrong)?.cast_unsigned() {
        return Ok((key, value));
    }
    Err(format!("the note {key:?} is not as it was written, by its checksum"))
}

pub(super) fn find(
    database: &Database,
    connection: &Connection,
    event_id: &str,
    found: &mut dyn FnMut(LogEvent<'_>),
) -> Result<(), StoreError> {
    let fault = |error| database.fault("looking up an event id", error);
    let mut select =
        connection.prepare_cached("SELECT position FROM events WHERE event_id = ?").map_err(fault)?;
    let position: Option<i64> = select.query_row([event_id], |row| row.get(0)).optional().map_err(fault)?;
    let Some(position) = position else { return Ok(()) };
    // The row is read by its position: by its id, SQLite would take that out of the index, too.
    let sql = format!("SELECT {COLUMNS} FROM events WHERE position = ?");
    let mut select = connection.prepare_cached(&sql).map_err(fault)?;
    let mut rows = select.query([position]).map_err(fault)?;
    let row = rows.next().map_err(fault)?;
    let event = row.map(|row| event(database, row)).transpose()?;
    match event.filter(|event| event.event_id == Some(event_id)) {
        Some(event) => found(event),
        None => {
            return Err(database.corrupt(format!(
                "the index of event ids has {event_id:?} for the event at position {position}, which is not there, or has another"
            )));
        }
    }
    Ok(())
}
