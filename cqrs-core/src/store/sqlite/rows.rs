//! Where a view's rows stand in `views.db`: in one table, and those that changed in a large one for a while in a small table beside it.
//!
//! The changed rows of a large view are scattered over its table, so that a checkpoint which wrote them there would write nearly every page of it anew. They go
//! into the small table instead, where each counts in place of the row of its id in the large one; and each checkpoint takes a stretch of them, in the order of
//! their ids, to where they belong. So what a checkpoint writes of rows that change grows with the square root of the view's rows, and not with the rows. (Rows
//! that go are taken out of both tables at once.) When the last has gone to where it belongs, the small table goes, too.

use std::ops::RangeInclusive;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Statement, ToSql};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::bulk;
use super::schema::{self, Place};
use crate::sql::SqlValue;
use crate::store::{Part, SavedRow, ViewCheckpoint};

/// From so many rows on a view may have a small table. What a checkpoint writes is not worth the trouble before.
/// Our own tests come by it with small views, too.
const LARGE: u64 = if cfg!(any(test, feature = "_small-tables")) { 4 } else { 1 << 16 };

/// A view gets a small table when a checkpoint changes more than one row in so many, which is about as many as a page has: from there on it halves what is written.
/// (It begins to save at one in a thousand or so; but whoever reads the rows has two tables to go through, too.)
const ONE_IN: u64 = 64;

/// What is known of a view's tables, so that a checkpoint need not ask.
#[derive(Debug)]
pub(super) struct Placed {
    /// For each part, the id behind the last that the large table has had: what comes from there on is new, and goes to the end.
    ends: [u64; Part::COUNT],
    /// Which rows are in the small table; `None` if there is none.
    newer: Option<Ids>,
    /// The stretch that was last taken out of the small table ended here. Who opens the file anew begins at the first again.
    swept: u64,
}

impl Placed {
    /// An empty table, and none beside it.
    pub(super) fn new() -> Self {
        Self { ends: std::array::from_fn(|part| (part as u64) << 32), newer: None, swept: 0 }
    }

    /// What a view's tables hold.
    pub(super) fn read(connection: &Connection, view: &str, newer: bool) -> rusqlite::Result<Self> {
        let mut placed = Self::new();
        let mut last = connection.prepare_cached(&schema::last_row(view))?;
        for end in &mut placed.ends {
            let part = *end..*end + (1 << 32);
            let found: Option<i64> =
                last.query_one((part.start.cast_signed(), part.end.cast_signed()), |row| row.get(0))?;
            *end = found.map_or(*end, |id| id.cast_unsigned() + 1);
        }
        if newer {
            let mut ids = Ids::default();
            let mut select = connection.prepare_cached(&schema::newer_ids(view))?;
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                ids.insert(row.get::<_, i64>(0)?.cast_unsigned());
            }
            placed.newer = Some(ids);
        }
        Ok(placed)
    }

    pub(super) fn has_newer(&self) -> bool {
        self.newer.is_some()
    }

    /// Brings the tables up to a checkpoint, within a transaction. If that fails, what is known here is not what they hold.
    pub(super) fn save(&mut self, connection: &Connection, saved: &ViewCheckpoint) -> rusqlite::Result<()> {
        let (view, all) = (&*saved.view.name, saved.view.rows);
        let old = saved.changed.iter().filter(|row| !is_new(&self.ends, row.id)).count() as u64;
        let scattered = all >= LARGE && old * ONE_IN > all && old * 2 < all;
        if scattered && self.newer.is_none() {
            connection.execute_batch(&schema::create_newer(view, &saved.columns))?;
            self.newer = Some(Ids::default());
        }
        self.forget(connection, view, &saved.gone)?;
        if let Some(newer) = self.newer.as_mut().filter(|_| scattered) {
            let ends = &self.ends;
            saved.changed.iter().filter(|row| !is_new(ends, row.id)).for_each(|row| newer.insert(row.id));
        }
        self.write(connection, saved)?;
        for row in saved.changed.iter() {
            if let Some(end) = self.ends.get_mut((row.id >> 32) as usize) {
                *end = (*end).max(row.id + 1);
            }
        }
        self.settle(connection, view, old, all)?;
        if !scattered && self.newer.as_ref().is_some_and(|newer| newer.len == 0) {
            connection.execute_batch(&schema::drop_newer(view, &saved.columns))?;
            self.newer = None;
        }
        Ok(())
    }

    fn forget(&mut self, connection: &Connection, view: &str, gone: &[u64]) -> rusqlite::Result<()> {
        if gone.is_empty() {
            return Ok(());
        }
        let mut delete = connection.prepare_cached(&schema::delete_row(view, Place::Settled))?;
        for id in gone {
            delete.execute([id.cast_signed()])?;
        }
        let Some(newer) = &mut self.newer else { return Ok(()) };
        let mut delete = connection.prepare_cached(&schema::delete_row(view, Place::Newer))?;
        for id in gone.iter().filter(|id| newer.remove(**id)) {
            delete.execute([id.cast_signed()])?;
        }
        Ok(())
    }

    /// Writes each row to the table that is known to have it.
    fn write(&self, connection: &Connection, saved: &ViewCheckpoint) -> rusqlite::Result<()> {
        let (width, mut scratch) = (schema::OWN_FROM + saved.columns.len(), Vec::new());
        for place in [Place::Settled, Place::Newer] {
            let newer = |id| self.newer.as_ref().is_some_and(|newer| newer.has(id));
            let rows = saved.changed.iter().filter(|row| newer(row.id) == (place == Place::Newer));
            let upsert = schema::upsert_row(&saved.view.name, &saved.columns, place);
            bulk::insert(connection, &upsert, width, rows, |statement, at, row| {
                bind(statement, at, row, &mut scratch)
            })?;
        }
        Ok(())
    }

    /// Takes a stretch of the small table to where it belongs: as much as has it hold, in the long run, what costs least.
    ///
    /// Where `old` rows change from one checkpoint to the next, a small table of `s` rows is written whole each time, and `old / s` of the large one: together that is
    /// least where `s` is the root of `old * all`.
    fn settle(&mut self, connection: &Connection, view: &str, old: u64, all: u64) -> rusqlite::Result<()> {
        let Some(newer) = self.newer.as_mut().filter(|newer| newer.len > 0) else { return Ok(()) };
        let part = (old as f64 / all as f64).sqrt();
        // Where little changes, it empties all the same.
        let count = ((newer.len as f64 * part) as u64).max(newer.len / 16 + 1);
        let stretch = newer.stretch(self.swept, count);
        let bounds = (stretch.start().cast_signed(), stretch.end().cast_signed());
        let settled = connection.prepare_cached(&schema::settle_rows(view))?.execute(bounds)?;
        let forgotten = connection.prepare_cached(&schema::forget_newer(view))?.execute(bounds)?;
        let known = newer.clear(&stretch);
        if [settled, forgotten] != [known; 2] {
            return Err(corrupt(format!(
                "the table {} had {forgotten} rows to be settled, of which {settled} could be read, where {known} had been written",
                schema::name_of(view, Place::Newer)
            )));
        }
        self.swept = stretch.end() + 1;
        Ok(())
    }
}

/// As SQLite says it.
fn corrupt(what: String) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT), Some(what))
}

fn is_new(ends: &[u64; Part::COUNT], id: u64) -> bool {
    ends.get((id >> 32) as usize).is_none_or(|end| id >= *end)
}

fn bind(
    statement: &mut Statement<'_>,
    at: usize,
    row: SavedRow<'_>,
    scratch: &mut Vec<u8>,
) -> rusqlite::Result<()> {
    statement.raw_bind_parameter(at, row.id.cast_signed())?;
    statement.raw_bind_parameter(at + 1, row.shown)?;
    statement.raw_bind_parameter(at + 2, row.checksum.cast_signed())?;
    statement.raw_bind_parameter(at + 3, rendered(row.columns.iter().map(value_ref), scratch))?;
    statement.raw_bind_parameter(at + 4, row.key)?;
    statement.raw_bind_parameter(at + 5, row.state)?;
    let columns = row.columns.iter().zip(at + schema::OWN_FROM..);
    columns.into_iter().try_for_each(|(value, at)| statement.raw_bind_parameter(at, value))
}

/// The checksum of what SQL shows of a row; of the values as SQLite gives them back, which knows no NaN and no negative zero.
pub(super) fn rendered<'v>(values: impl Iterator<Item = ValueRef<'v>>, scratch: &mut Vec<u8>) -> i64 {
    scratch.clear();
    for value in values {
        let (tag, bytes) = match value {
            ValueRef::Integer(value) => (1, &value.to_le_bytes()[..]),
            ValueRef::Real(value) if !value.is_nan() => (2, &(value + 0.0).to_le_bytes()[..]),
            ValueRef::Null | ValueRef::Real(_) => (0, &[][..]),
            ValueRef::Text(text) => (3, text),
            ValueRef::Blob(blob) => (4, blob),
        };
        scratch.push(tag);
        scratch.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        scratch.extend_from_slice(bytes);
    }
    // Half of it: a start has to read past every byte that a row has.
    i64::from((xxh3_64_with_seed(scratch, 0) as u32).cast_signed())
}

fn value_ref(value: &SqlValue) -> ValueRef<'_> {
    match value {
        SqlValue::Null => ValueRef::Null,
        SqlValue::Integer(value) => ValueRef::Integer(*value),
        SqlValue::Real(value) => ValueRef::Real(*value),
        SqlValue::Text(value) => ValueRef::Text(value.as_bytes()),
        SqlValue::Blob(value) => ValueRef::Blob(value),
    }
}

impl ToSql for SqlValue {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(value_ref(self)))
    }
}

/// A set of ids of rows: a bit for each that there could be.
#[derive(Debug, Default)]
struct Ids {
    parts: [Vec<u64>; Part::COUNT],
    len: u64,
}

impl Ids {
    /// The last id that there can be.
    const LAST: u64 = ((Part::COUNT as u64) << 32) - 1;

    /// Where an id has its bit: part, word, and mask.
    fn place(id: u64) -> (usize, usize, u64) {
        ((id >> 32) as usize, id as u32 as usize / 64, 1 << (id % 64))
    }

    fn has(&self, id: u64) -> bool {
        let (part, word, bit) = Self::place(id);
        self.parts.get(part).and_then(|words| words.get(word)).is_some_and(|word| word & bit != 0)
    }

    fn insert(&mut self, id: u64) {
        let (part, word, bit) = Self::place(id);
        let Some(words) = self.parts.get_mut(part) else { return };
        if word >= words.len() {
            words.resize(word + 1, 0);
        }
        self.len += u64::from(words[word] & bit == 0);
        words[word] |= bit;
    }

    /// Takes an id out; whether it was there.
    fn remove(&mut self, id: u64) -> bool {
        let there = self.has(id);
        if there {
            let (part, word, bit) = Self::place(id);
            self.parts[part][word] &= !bit;
            self.len -= 1;
        }
        there
    }

    /// The ids from one on, in order.
    fn from(&self, from: u64) -> impl Iterator<Item = u64> {
        let first = (from >> 32) as usize;
        let parts = self.parts.iter().enumerate().skip(first);
        parts.flat_map(move |(part, words)| {
            let start = if part == first { from as u32 as usize / 64 } else { 0 };
            let words = words.iter().enumerate().skip(start);
            let ids = words.flat_map(move |(at, word)| {
                let mut left = *word;
                std::iter::from_fn(move || {
                    let bit = (left != 0).then(|| u64::from(left.trailing_zeros()))?;
                    left &= left - 1;
                    Some((part as u64) << 32 | (at as u64 * 64 + bit))
                })
            });
            ids.skip_while(move |id| *id < from)
        })
    }

    /// A stretch with so many of the ids, or all that there are up to the last: from an id on, or from the first, if none are left behind it.
    fn stretch(&self, from: u64, count: u64) -> RangeInclusive<u64> {
        let from = if self.from(from).next().is_some() { from } else { 0 };
        let at = usize::try_from(count - 1).unwrap_or(usize::MAX);
        from..=self.from(from).nth(at).unwrap_or(Self::LAST)
    }

    /// Takes out all that lie in a stretch; how many they were.
    fn clear(&mut self, stretch: &RangeInclusive<u64>) -> usize {
        let gone: Vec<u64> = self.from(*stretch.start()).take_while(|id| stretch.contains(id)).collect();
        gone.iter().for_each(|id| _ = self.remove(*id));
        gone.len()
    }
}

#[cfg(test)]
mod tests;
