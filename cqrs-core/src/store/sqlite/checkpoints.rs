//! The keeper of checkpoints: views.db.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rusqlite::types::{FromSqlError, ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row, ToSql};

use super::folder::{Folder, io_failure};
use super::schema;
use super::wal::WalWatch;
use crate::sql::SqlValue;
use crate::store::memory::check_width;
use crate::store::{Checkpoints, SavedRow, SavedView, StoreError, ViewCheckpoint};

/// Statements that are kept prepared: one a view, and a handful.
const STATEMENTS: usize = 1024;

pub(super) struct SqliteCheckpoints {
    folder: Arc<Folder>,
    /// `None` where a read-only store has no readable checkpoints, which is the same as having none.
    connection: Option<Connection>,
    /// The columns that each saved view's table was created with.
    declared: BTreeMap<String, String>,
    wal: WalWatch,
}

impl SqliteCheckpoints {
    pub(super) fn new(folder: &Arc<Folder>) -> Result<Self, StoreError> {
        if folder.read_only() { Self::open_read_only(folder) } else { Self::open_or_replace(folder) }
    }

    /// A reader sees one state for as long as it lives, so that the rows it reads are those its views speak of.
    fn open_read_only(folder: &Arc<Folder>) -> Result<Self, StoreError> {
        if !folder.views.path.exists() {
            return Ok(Self::with(folder, None, BTreeMap::new()));
        }
        let open = || {
            let connection = folder.views.open_read_only()?;
            connection.execute_batch("BEGIN").map_err(|e| folder.views.fault("reading checkpoints", e))?;
            let declared = declared(folder, &connection)?;
            Ok((connection, declared))
        };
        match open() {
            Ok((connection, declared)) => Ok(Self::with(folder, Some(connection), declared)),
            Err(why) => {
                let why: StoreError = why;
                tracing::warn!(%why, "the checkpoints cannot be read; views are folded from the beginning of the log");
                Ok(Self::with(folder, None, BTreeMap::new()))
            }
        }
    }

    fn open_or_replace(folder: &Arc<Folder>) -> Result<Self, StoreError> {
        let open = || {
            let connection = folder.views.open()?;
            let declared = declared(folder, &connection)?;
            Ok(Self::with(folder, Some(connection), declared))
        };
        if folder.views_damaged.swap(false, Ordering::AcqRel) {
            set_aside(folder, &folder.views.corrupt("its rows could not be read"))?;
            return open();
        }
        match open() {
            Err(
                why @ (StoreError::Corrupt { .. }
                | StoreError::NotAStore { .. }
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
        declared: BTreeMap<String, String>,
    ) -> Self {
        if let Some(connection) = &connection {
            connection.set_prepared_statement_cache_capacity(STATEMENTS);
        }
        Self { folder: Arc::clone(folder), connection, declared, wal: WalWatch::new(&folder.views) }
    }

    /// Runs `change` in a transaction: all of it or nothing.
    fn change(
        &mut self,
        change: impl FnOnce(&Connection, &Folder, &BTreeMap<String, String>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let Some(connection) = self.connection.as_ref().filter(|_| !self.folder.read_only()) else {
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
        noted(&self.folder, changed)?;
        self.wal.look(&self.folder.views, connection);
        Ok(())
    }
}

/// Remembers damage, so that the next opening starts afresh.
fn noted<T>(folder: &Folder, result: Result<T, StoreError>) -> Result<T, StoreError> {
    if matches!(result, Err(StoreError::Corrupt { .. })) {
        folder.views_damaged.store(true, Ordering::Release);
    }
    result
}

fn declared(folder: &Folder, connection: &Connection) -> Result<BTreeMap<String, String>, StoreError> {
    let read = || {
        let mut select = connection.prepare("SELECT name, columns FROM _views")?;
        let views = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        views.collect::<Result<BTreeMap<String, String>, _>>()
    };
    read().map_err(|error| folder.views.fault("reading checkpoints", error))
}

/// Moves an unreadable views.db out of the way. Kept and not deleted: it may be somebody's, or tell what happened.
fn set_aside(folder: &Folder, why: &StoreError) -> Result<(), StoreError> {
    for ending in ["-wal", "-shm", "-journal"] {
        let beside = folder.views.beside(ending);
        if beside.exists() {
            fs::remove_file(&beside).map_err(|e| io_failure("removing", &beside, e))?;
        }
    }
    let free = |n: &u32| !folder.views.beside(&format!(".damaged-{n}")).exists();
    let number = (1..).find(free).unwrap_or(u32::MAX);
    let aside = folder.views.beside(&format!(".damaged-{number}"));
    fs::rename(&folder.views.path, &aside).map_err(|e| io_failure("renaming", &folder.views.path, e))?;
    tracing::warn!(
        %why,
        aside = %aside.display(),
        "the checkpoints cannot be read and were set aside; views are rebuilt from the log, and the file that was set \
         aside can be deleted"
    );
    Ok(())
}

impl Checkpoints for SqliteCheckpoints {
    fn views(&mut self) -> Result<Vec<SavedView>, StoreError> {
        let Some(connection) = &self.connection else { return Ok(Vec::new()) };
        let read = || {
            let mut select = connection.prepare_cached(
                "SELECT name, fingerprint, store, position, log_checksum, rows, digest, state FROM _views ORDER BY name",
            )?;
            let views = select.query_map([], saved_view)?;
            views.collect::<Result<Vec<_>, _>>()
        };
        noted(&self.folder, read().map_err(|error| self.folder.views.fault("reading checkpoints", error)))
    }

    fn rows(&mut self, view: &str, visit: &mut dyn FnMut(SavedRow<'_>)) -> Result<(), StoreError> {
        let Some(connection) = &self.connection else { return Ok(()) };
        if !self.declared.contains_key(view) {
            return Ok(());
        }
        let mut read = || {
            let mut select = connection.prepare(&schema::select_rows(view))?;
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                visit(saved_row(row)?);
            }
            Ok(())
        };
        noted(
            &self.folder,
            read().map_err(|error| self.folder.views.fault("reading a checkpoint's rows", error)),
        )
    }

    fn save(&mut self, views: &[ViewCheckpoint]) -> Result<(), StoreError> {
        for (at, saved) in views.iter().enumerate() {
            check_width(saved)?;
            let before = views[..at].iter().map(|other| other.view.name.as_str());
            schema::check_names(saved, self.declared.keys().map(String::as_str).chain(before))?;
        }
        self.change(|connection, folder, declared| {
            for saved in views {
                let before = declared.get(&saved.view.name).map(String::as_str);
                save_one(connection, saved, before).map_err(|error| {
                    folder.views.fault(&format!("saving the view {}", saved.view.name), error)
                })?;
            }
            Ok(())
        })?;
        self.declared.extend(views.iter().map(|v| (v.view.name.clone(), schema::declared(&v.columns))));
        Ok(())
    }

    fn forget(&mut self, view: &str) -> Result<(), StoreError> {
        if !self.declared.contains_key(view) && !self.folder.read_only() {
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
        Ok(())
    }
}

fn save_one(connection: &Connection, saved: &ViewCheckpoint, declared: Option<&str>) -> rusqlite::Result<()> {
    let view = &saved.view;
    let columns = schema::declared(&saved.columns);
    if saved.reset || declared != Some(&columns) {
        connection.execute_batch(&schema::drop_view(&view.name))?;
        connection.execute_batch(&schema::create_view(&view.name, &saved.columns))?;
    }
    let mut upsert = connection.prepare_cached(&schema::upsert_row(&view.name, &saved.columns))?;
    for row in saved.changed.iter() {
        upsert.raw_bind_parameter(1, row.id)?;
        upsert.raw_bind_parameter(2, row.shown)?;
        upsert.raw_bind_parameter(3, row.checksum.cast_signed())?;
        upsert.raw_bind_parameter(4, row.key)?;
        upsert.raw_bind_parameter(5, row.state)?;
        for (value, column) in row.columns.iter().zip(6_usize..) {
            upsert.raw_bind_parameter(column, value)?;
        }
        upsert.raw_execute()?;
    }
    let mut place = connection
        .prepare_cached("INSERT OR REPLACE INTO _views VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?;
    place.execute((
        &view.name,
        format!("{:032x}", view.fingerprint),
        view.store.to_string(),
        view.position.cast_signed(),
        format!("{:016x}", view.log_checksum),
        view.rows.cast_signed(),
        format!("{:016x}", view.digest),
        &view.state,
        columns,
    ))?;
    Ok(())
}

fn saved_view(row: &Row<'_>) -> rusqlite::Result<SavedView> {
    let hex = |column: usize| {
        let text = row.get_ref(column)?.as_str().map_err(|error| wrong(column, error))?;
        u128::from_str_radix(text, 16).map_err(|error| wrong(column, FromSqlError::other(error)))
    };
    // Written from 64 bits, so that more can only be damage.
    let hex64 = |column| u64::try_from(hex(column)?).map_err(|e| wrong(column, FromSqlError::other(e)));
    let number = |column: usize| Ok::<_, rusqlite::Error>(row.get::<_, i64>(column)?.cast_unsigned());
    let store: String = row.get(2)?;
    Ok(SavedView {
        name: row.get(0)?,
        fingerprint: hex(1)?,
        store: store.parse().map_err(|error: &str| wrong(2, FromSqlError::Other(error.into())))?,
        position: number(3)?,
        log_checksum: hex64(4)?,
        rows: number(5)?,
        digest: hex64(6)?,
        state: row.get(7)?,
    })
}

fn saved_row<'row>(row: &'row Row<'_>) -> rusqlite::Result<SavedRow<'row>> {
    let blob = |column: usize| row.get_ref(column)?.as_blob().map_err(|error| wrong(column, error));
    Ok(SavedRow {
        id: row.get(0)?,
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

impl ToSql for SqlValue {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(value) => ValueRef::Integer(*value),
            Self::Real(value) => ValueRef::Real(*value),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
            Self::Blob(value) => ValueRef::Blob(value),
        }))
    }
}
