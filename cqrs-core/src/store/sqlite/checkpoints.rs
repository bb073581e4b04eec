//! The keeper of checkpoints: views.db.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rusqlite::types::{FromSqlError, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, Rows};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::folder::{Folder, remove, rename};
use super::rows::{Placed, rendered};
use super::schema::{self, Place};
use super::wal::WalWatch;
use crate::sql::SqlValue;
use crate::store::memory::check_width;
use crate::store::{
    Checkpoints, Head, Rendering, SavedRow, SavedView, StoreError, StoreId, ViewCheckpoint, Witness,
};

/// Statements that are kept prepared: a handful, and up to twelve a view.
const STATEMENTS: usize = 1024;

pub(super) struct SqliteCheckpoints {
    folder: Arc<Folder>,
    /// `None` where a read-only store has no readable checkpoints, which is the same as having none; and where one that is written to was found
    /// damaged, until another takes its place.
    connection: Option<Connection>,
    /// Whether it is the one that saves, and not one that only looks.
    saves: bool,
    /// What each saved view was created with.
    declared: BTreeMap<String, Declared>,
    /// Where rows stand of those that were saved since it was opened.
    placed: BTreeMap<String, Placed>,
    wal: WalWatch,
}

impl SqliteCheckpoints {
    pub(super) fn new(folder: &Arc<Folder>) -> Result<Self, StoreError> {
        if folder.read_only() { Self::open_read_only(folder) } else { Self::open_or_replace(folder) }
    }

    /// One that cannot be read is none.
    fn open_read_only(folder: &Arc<Folder>) -> Result<Self, StoreError> {
        let none = || Self::with(folder, None, BTreeMap::new());
        if !folder.views.path.exists() {
            return Ok(none());
        }
        Ok(Self::open_to_read(folder).unwrap_or_else(|why| {
            tracing::warn!(%why, "the checkpoints cannot be read; views are folded from the beginning of the log");
            none()
        }))
    }

    /// A reader sees one state for as long as it lives, so that the rows it reads are those its views speak of.
    pub(super) fn open_to_read(folder: &Arc<Folder>) -> Result<Self, StoreError> {
        let connection = folder.views.open_read_only()?;
        connection.execute_batch("BEGIN").map_err(|e| folder.views.fault("reading checkpoints", e))?;
        let declared = declared(folder, &connection)?;
        Ok(Self::with(folder, Some(connection), declared))
    }

    fn open_or_replace(folder: &Arc<Folder>) -> Result<Self, StoreError> {
        let open = || {
            let connection = folder.views.open()?;
            folder.views.upgrade(&connection)?;
            let declared = declared(folder, &connection)?;
            Ok(Self { saves: true, ..Self::with(folder, Some(connection), declared) })
        };
        if folder.views_damaged.load(Ordering::Acquire) {
            if folder.views.path.exists() {
                set_aside(folder, &folder.views.corrupt("its rows could not be read, or not be replaced"))?;
            }
            folder.views_damaged.store(false, Ordering::Release);
            return open();
        }
        match open() {
            Err(
                why @ (StoreError::Corrupt { .. }
                | StoreError::NotAStore { .. }
                | StoreError::OlderFormat { .. }
                | StoreError::NewerFormat { .. }),
            ) => {
                set_aside(folder, &why)?;
                open()
            }
            other => other,
        }
    }

    fn with(
        folder: &Arc<Folder>,
        connection: Option<Connection>,
        declared: BTreeMap<String, Declared>,
    ) -> Self {
        if let Some(connection) = &connection {
            connection.set_prepared_statement_cache_capacity(STATEMENTS);
        }
        let wal = WalWatch::new(&folder.views);
        let placed = BTreeMap::new();
        Self { folder: Arc::clone(folder), connection, saves: false, declared, placed, wal }
    }

    fn save_all(&mut self, witness: Witness, views: &[ViewCheckpoint]) -> Result<(), StoreError> {
        let mut made = Vec::new();
        // Taken out: if this fails, it is read anew.
        let mut placed: Vec<_> = views.iter().map(|saved| self.placed.remove(&saved.view.name)).collect();
        self.change(|connection, folder, declared| {
            for (saved, placed) in views.iter().zip(&mut placed) {
                let name = &saved.view.name;
                let of_it = save_one(connection, saved, declared.get(name), placed.take())
                    .map_err(|error| folder.views.fault(&format!("saving the view {name}"), error))?;
                made.push((name.clone(), of_it));
            }
            save_witness(connection, &witness)
                .map_err(|error| folder.views.fault("saving where the log ends", error))
        })?;
        for (name, (declared, placed)) in made {
            self.declared.insert(name.clone(), declared);
            self.placed.insert(name, placed);
        }
        Ok(())
    }

    /// Runs `change` in a transaction: all of it or nothing.
    fn change(
        &mut self,
        change: impl FnOnce(&Connection, &Folder, &BTreeMap<String, Declared>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let Some(connection) = self.connection.as_ref().filter(|_| self.saves) else {
            return Err(StoreError::ReadOnly);
        };
        let run = |sql| {
            let mut statement = connection.prepare_cached(sql)?;
            statement.raw_execute().map(drop)
        };
        let fault = |error| self.folder.views.fault("saving a checkpoint", error);
        run("BEGIN IMMEDIATE").map_err(fault)?;
        let changed =
            change(connection, &self.folder, &self.declared).and_then(|()| run("COMMIT").map_err(fault));
        if changed.is_err() && !connection.is_autocommit() {
            // What cannot be rolled back is gone with the connection; the next transaction would say so.
            let _ = run("ROLLBACK");
        }
        self.noted(changed)?;
        // What was damaged is saved anew by now; or is found again by whoever reads it.
        self.folder.views_damaged.store(false, Ordering::Release);
        self.wal.look(connection);
        Ok(())
    }

    /// Remembers damage that stands in the way of saving, so that the next opening starts afresh.
    fn noted<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if self.saves && matches!(result, Err(StoreError::Corrupt { .. })) {
            self.folder.views_damaged.store(true, Ordering::Release);
        }
        result
    }
}

/// What a view's table was created with.
#[derive(Clone, Debug)]
struct Declared {
    columns: String,
    /// The checksum of the SQL that made what shows it.
    schema: u64,
    /// Whether there is a table beside it, of [rows that changed](Placed).
    newer: bool,
}

/// The checksum of what SQLite has on record about a view's table and the SQL view over it.
fn schema_of(connection: &Connection, view: &str) -> rusqlite::Result<u64> {
    let mut select = connection.prepare_cached(
        "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE name IN (?1, ?2, ?3) ORDER BY name",
    )?;
    let mut objects = select.query(schema::made(view))?;
    let mut seal = Seal::default();
    while let Some(object) = objects.next()? {
        for column in 0..4 {
            seal.add(object.get_ref(column)?.as_bytes().map_err(|error| wrong(column, error))?);
        }
    }
    Ok(seal.0)
}

/// A checksum over several fields, lengths included.
#[derive(Clone, Copy, Default)]
struct Seal(u64);

impl Seal {
    fn add(&mut self, field: &[u8]) {
        self.0 = xxh3_64_with_seed(field, self.0 ^ field.len() as u64);
    }

    fn of_view(view: &SavedView, declared: &Declared) -> Self {
        let SavedView { name, fingerprint, store, position, log_checksum, rows, digest, state } = view;
        let mut seal = Self::default();
        seal.add(name.as_bytes());
        seal.add(&fingerprint.to_le_bytes());
        seal.add(&store.0);
        for number in [*position, *log_checksum, *rows, *digest, declared.schema] {
            seal.add(&number.to_le_bytes());
        }
        seal.add(state.as_bytes());
        seal.add(declared.columns.as_bytes());
        seal
    }

    fn of_witness(witness: &Witness) -> Self {
        let mut seal = Self::default();
        seal.add(&witness.store.0);
        seal.add(&witness.head.position.to_le_bytes());
        seal.add(&witness.head.checksum.to_le_bytes());
        seal
    }

    /// As it is stored.
    fn text(self) -> String {
        format!("{:016x}", self.0)
    }
}

fn declared(folder: &Folder, connection: &Connection) -> Result<BTreeMap<String, Declared>, StoreError> {
    let read = || {
        let mut select = connection.prepare("SELECT name, columns FROM _views")?;
        let views = select.query_map([], |row| {
            let name: String = row.get(0)?;
            let (columns, schema) = (row.get(1)?, schema_of(connection, &name)?);
            let newer = connection.table_exists(None, schema::name_of(&name, Place::Newer).as_str())?;
            Ok((name, Declared { columns, schema, newer }))
        })?;
        views.collect::<Result<BTreeMap<String, Declared>, _>>()
    };
    read().map_err(|error| folder.views.fault("reading checkpoints", error))
}

/// So many files that were set aside are kept, the first and the last: what is damaged often is not to fill the disk.
const ASIDE: u32 = 2;

/// Moves an unreadable views.db out of the way. Kept and not deleted: it may be somebody's, or tell what happened.
fn set_aside(folder: &Folder, why: &StoreError) -> Result<(), StoreError> {
    let free = |n: &u32| !folder.views.beside(&format!(".damaged-{n}")).exists();
    let number = (1..ASIDE).find(free).unwrap_or(ASIDE);
    let aside = folder.views.beside(&format!(".damaged-{number}"));
    let aside_wal = folder.views.beside(&format!(".damaged-{number}-wal"));
    remove(&aside_wal)?;
    rename(&folder.views.path, &aside)?;
    // It goes where SQLite will look for it. Were it left here, SQLite would take it for that of no file, and delete it.
    let wal = folder.views.beside("-wal");
    if wal.exists() {
        rename(&wal, &aside_wal)?;
    }
    remove(&folder.views.beside("-shm"))?;
    remove(&folder.views.beside("-journal"))?;
    tracing::warn!(
        %why,
        aside = %aside.display(),
        "the checkpoints are damaged, or cannot be read, and were set aside; views that are in memory are saved anew, others are rebuilt from \
         the log, and the file that was set aside can be deleted"
    );
    Ok(())
}

impl Checkpoints for SqliteCheckpoints {
    fn views(&mut self) -> Result<Vec<SavedView>, StoreError> {
        let Some(connection) = &self.connection else { return Ok(Vec::new()) };
        let read = || {
            let mut select = connection.prepare_cached(
                "SELECT name, fingerprint, store, position, log_checksum, rows, digest, state, checksum FROM _views ORDER BY name",
            )?;
            let views = select.query_map([], |row| Ok((saved_view(row)?, row.get(8)?)))?;
            views.collect::<Result<Vec<(SavedView, String)>, _>>()
        };
        let read = read().map_err(|error| self.folder.views.fault("reading checkpoints", error));
        let whole = read.and_then(|views| {
            let whole = |(view, checksum): (SavedView, String)| match self.declared.get(&view.name) {
                Some(declared) if Seal::of_view(&view, declared).text() == checksum => Ok(view),
                _ => {
                    let what =
                        format!("what it says about the view {} does not match its checksum", view.name);
                    Err(self.folder.views.corrupt(what))
                }
            };
            views.into_iter().map(whole).collect()
        });
        self.noted(whole)
    }

    fn witness(&mut self) -> Result<Option<Witness>, StoreError> {
        let Some(connection) = &self.connection else { return Ok(None) };
        let read = || {
            let mut select =
                connection.prepare_cached("SELECT store, position, log_checksum, checksum FROM _witness")?;
            select.query_row([], |row| Ok((saved_witness(row)?, row.get::<_, String>(3)?))).optional()
        };
        let damaged = |what: &str| Err(self.folder.views.corrupt(what));
        let witness = match read() {
            Ok(Some((witness, checksum))) if Seal::of_witness(&witness).text() == checksum => {
                Ok(Some(witness))
            }
            Ok(Some(_)) => damaged("what it says about the log's end does not match its checksum"),
            // Every checkpoint has one.
            Ok(None) if !self.declared.is_empty() => {
                damaged("it has views, and does not say where the log ended")
            }
            Ok(None) => Ok(None),
            Err(error) => Err(self.folder.views.fault("reading checkpoints", error)),
        };
        self.noted(witness)
    }

    fn renderings(
        &mut self,
        view: &str,
        from: u32,
        limit: usize,
        visit: &mut dyn FnMut(Rendering<'_>),
    ) -> Result<(), StoreError> {
        let (Some(connection), Some(declared)) = (&self.connection, self.declared.get(view)) else {
            return Ok(());
        };
        let (mut columns, mut scratch) = (Vec::new(), Vec::new());
        let mut read = || {
            let mut select = connection.prepare_cached(&schema::select_all(view, declared.newer))?;
            let width = select.column_count();
            let mut rows = select.query((from, i64::try_from(limit).unwrap_or(i64::MAX)))?;
            while let Some(row) = rows.next()? {
                let values = (schema::OWN_FROM..width).map(|column| row.get_ref_unwrap(column));
                columns.clear();
                columns.extend(values.clone().map(sql_value));
                let whole = row.get::<_, i64>(3)? == rendered(values, &mut scratch);
                visit(Rendering { id: row.get(0)?, columns: &columns, shown: row.get(1)?, whole });
            }
            Ok(())
        };
        let read = read().map_err(|error| self.folder.views.fault("reading what SQL shows", error));
        self.noted(read)
    }

    fn columns(&mut self, view: &str) -> Result<Vec<String>, StoreError> {
        let (Some(connection), Some(declared)) = (&self.connection, self.declared.get(view)) else {
            return Ok(Vec::new());
        };
        let select = connection.prepare_cached(&schema::select_all(view, declared.newer));
        let columns =
            select.map(|select| select.column_names().skip(schema::OWN_FROM).map(str::to_owned).collect());
        self.noted(columns.map_err(|error| self.folder.views.fault("reading what SQL shows", error)))
    }

    fn rows(&mut self, view: &str, visit: &mut dyn FnMut(SavedRow<'_>)) -> Result<(), StoreError> {
        let (Some(connection), Some(declared)) = (&self.connection, self.declared.get(view)) else {
            return Ok(());
        };
        let read = visit_rows(connection, view, declared.newer, visit);
        self.noted(read.map_err(|error| self.folder.views.fault("reading a checkpoint's rows", error)))
    }

    fn save(&mut self, witness: Witness, views: &[ViewCheckpoint]) -> Result<(), StoreError> {
        if self.connection.is_none() && self.saves {
            *self = Self::open_or_replace(&self.folder)?;
        }
        for (at, saved) in views.iter().enumerate() {
            check_width(saved)?;
            let before = views[..at].iter().map(|other| other.view.name.as_str());
            schema::check_names(saved, self.declared.keys().map(String::as_str).chain(before))?;
        }
        let saved = self.save_all(witness, views);
        if matches!(saved, Err(StoreError::Corrupt { .. })) {
            // No other checkpoint could be saved to it either.
            self.connection = None;
        }
        saved
    }

    fn forget(&mut self, view: &str) -> Result<(), StoreError> {
        if !self.declared.contains_key(view) && self.saves {
            return Ok(());
        }
        self.change(|connection, folder, _| {
            let forget = || {
                connection.execute("DELETE FROM _views WHERE name = ?", [view])?;
                connection.execute_batch(&schema::drop_view(view))
            };
            forget().map_err(|error| folder.views.fault(&format!("forgetting the view {view}"), error))
        })?;
        self.declared.remove(view);
        self.placed.remove(view);
        Ok(())
    }
}

fn save_witness(connection: &Connection, witness: &Witness) -> rusqlite::Result<()> {
    let mut place = connection.prepare_cached(
        "INSERT OR REPLACE INTO _witness (rowid, store, position, log_checksum, checksum) VALUES (1, ?1, ?2, ?3, ?4)",
    )?;
    place.execute((
        witness.store.to_string(),
        witness.head.position.cast_signed(),
        format!("{:016x}", witness.head.checksum),
        Seal::of_witness(witness).text(),
    ))?;
    Ok(())
}

/// What the view is declared with from now on.
fn save_one(
    connection: &Connection,
    saved: &ViewCheckpoint,
    declared: Option<&Declared>,
    placed: Option<Placed>,
) -> rusqlite::Result<(Declared, Placed)> {
    let view = &saved.view;
    let columns = schema::declared(&saved.columns);
    let (mut declared, mut placed) = match declared {
        Some(declared) if !saved.reset && declared.columns == columns => {
            let read = || Placed::read(connection, &view.name, declared.newer);
            (declared.clone(), placed.map_or_else(read, Ok)?)
        }
        _ => {
            connection.execute_batch(&schema::drop_view(&view.name))?;
            connection.execute_batch(&schema::create_view(&view.name, &saved.columns))?;
            let declared = Declared { columns, schema: schema_of(connection, &view.name)?, newer: false };
            (declared, Placed::new())
        }
    };
    placed.save(connection, saved)?;
    if placed.has_newer() != declared.newer {
        declared =
            Declared { schema: schema_of(connection, &view.name)?, newer: placed.has_newer(), ..declared };
    }
    let mut place = connection
        .prepare_cached("INSERT OR REPLACE INTO _views VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")?;
    place.execute((
        &view.name,
        format!("{:032x}", view.fingerprint),
        view.store.to_string(),
        view.position.cast_signed(),
        format!("{:016x}", view.log_checksum),
        view.rows.cast_signed(),
        format!("{:016x}", view.digest),
        &view.state,
        &declared.columns,
        Seal::of_view(view, &declared).text(),
    ))?;
    Ok((declared, placed))
}

fn saved_view(row: &Row<'_>) -> rusqlite::Result<SavedView> {
    Ok(SavedView {
        name: row.get(0)?,
        fingerprint: hex(row, 1)?,
        store: store_id(row, 2)?,
        position: number(row, 3)?,
        log_checksum: hex64(row, 4)?,
        rows: number(row, 5)?,
        digest: hex64(row, 6)?,
        state: row.get(7)?,
    })
}

fn saved_witness(row: &Row<'_>) -> rusqlite::Result<Witness> {
    let head = Head { position: number(row, 1)?, checksum: hex64(row, 2)? };
    Ok(Witness { store: store_id(row, 0)?, head })
}

fn store_id(row: &Row<'_>, column: usize) -> rusqlite::Result<StoreId> {
    let text: String = row.get(column)?;
    text.parse().map_err(|error: &str| wrong(column, FromSqlError::Other(error.into())))
}

fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)?.cast_unsigned())
}

fn hex(row: &Row<'_>, column: usize) -> rusqlite::Result<u128> {
    let text = row.get_ref(column)?.as_str().map_err(|error| wrong(column, error))?;
    u128::from_str_radix(text, 16).map_err(|error| wrong(column, FromSqlError::other(error)))
}

/// Written from 64 bits, so that more can only be damage.
fn hex64(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    u64::try_from(hex(row, column)?).map_err(|error| wrong(column, FromSqlError::other(error)))
}

/// Visits the rows of both tables by ascending id, or of the one that there is: of two with one id, that which is newer.
fn visit_rows(
    connection: &Connection,
    view: &str,
    newer: bool,
    visit: &mut dyn FnMut(SavedRow<'_>),
) -> rusqlite::Result<()> {
    let select = |place| connection.prepare(&schema::select_rows(view, place));
    let mut settled = select(Place::Settled)?;
    let mut settled = settled.query([])?;
    if !newer {
        while let Some(row) = settled.next()? {
            visit(saved_row(row)?);
        }
        return Ok(());
    }
    let mut newer = select(Place::Newer)?;
    let mut newer = newer.query([])?;
    let (mut old, mut new) = (numbered(&mut settled)?, numbered(&mut newer)?);
    loop {
        match old {
            Some((id, row)) if new.is_none_or(|(newer, _)| id < newer) => {
                visit(saved_row(row)?);
                old = numbered(&mut settled)?;
            }
            _ => {
                let Some((id, row)) = new else { return Ok(()) };
                visit(saved_row(row)?);
                // Of a row that does not count, nothing but the id is looked at: what is damaged in it does no harm.
                if old.is_some_and(|(replaced, _)| replaced == id) {
                    old = numbered(&mut settled)?;
                }
                new = numbered(&mut newer)?;
            }
        }
    }
}

/// The next row, and its id.
fn numbered<'rows, 'stmt>(
    rows: &'rows mut Rows<'stmt>,
) -> rusqlite::Result<Option<(u64, &'rows Row<'stmt>)>> {
    rows.next()?.map(|row| Ok((number(row, 0)?, row))).transpose()
}

fn saved_row<'row>(row: &'row Row<'_>) -> rusqlite::Result<SavedRow<'row>> {
    let blob = |column: usize| row.get_ref(column)?.as_blob().map_err(|error| wrong(column, error));
    Ok(SavedRow {
        id: number(row, 0)?,
        shown: row.get(1)?,
        checksum: row.get::<_, i64>(2)?.cast_unsigned(),
        key: blob(3)?,
        state: blob(4)?,
        columns: &[],
    })
}

fn wrong(column: usize, error: FromSqlError) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Null, Box::new(error))
}

fn sql_value(value: ValueRef<'_>) -> SqlValue {
    match value {
        ValueRef::Null => SqlValue::Null,
        ValueRef::Integer(value) => SqlValue::Integer(value),
        ValueRef::Real(value) => SqlValue::Real(value),
        ValueRef::Text(text) => SqlValue::Text(String::from_utf8_lossy(text).into()),
        ValueRef::Blob(value) => SqlValue::Blob(value.into()),
    }
}
