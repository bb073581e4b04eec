//! The embedded store: a folder with two SQLite files.
//!
//! `events.db` is the log, the only copy of what happened: write-ahead log, `synchronous=FULL`. `views.db` keeps the
//! checkpoints: disposable, `synchronous=NORMAL`; it shows each view to SQL. `lock` is held by the one writer.

mod backup;
mod checkpoints;
mod database;
mod folder;
mod log;
mod reader;
mod schema;
#[cfg(test)]
mod tests;
mod wal;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OptionalExtension};

use self::checkpoints::SqliteCheckpoints;
use self::database::Database;
use self::folder::{Folder, sync_folder};
use self::log::SqliteLog;
use self::reader::SqliteReader;
use super::{Checkpoints, Log, LogReader, Store, StoreError, StoreId};

/// A store in a folder. One process may write to it; any number may read it, also with plain SQLite tools.
///
/// The folder stays locked until the store and every end it handed out have been dropped.
#[derive(Debug)]
pub struct SqliteStore {
    id: StoreId,
    folder: Arc<Folder>,
}

impl SqliteStore {
    /// Opens the folder for writing, and creates it and its files where there are none.
    ///
    /// # Errors
    ///
    /// [`StoreError::Locked`] while another opener writes to it, [`StoreError::NotAStore`] for a file or a folder with
    /// other contents, [`StoreError::NewerFormat`], and [`StoreError::Corrupt`] when the log is damaged or missing.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let folder = Folder::open(path.as_ref())?;
        let events = folder.events.open()?;
        let id = identify(&folder.events, &events)?;
        fold_leftovers(&folder.events, &events)?;
        sync_folder(Some(&folder.path))?;
        Ok(Self { id, folder: Arc::new(folder) })
    }

    /// Opens the folder for reading, also while another process writes to it. No store is created and no data changed.
    ///
    /// SQLite coordinates readers through `events.db-wal` and `events.db-shm`; where they are missing it creates them,
    /// so the folder must be writable even so.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and [`StoreError::NotAStore`] where there is nothing yet.
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let folder = Folder::open_read_only(path.as_ref())?;
        let id = identify(&folder.events, &folder.events.open_read_only()?)?;
        Ok(Self { id, folder: Arc::new(folder) })
    }
}

/// Folds what a crash left in the write-ahead log, before anything is built upon it: if a sync of it had failed, what is read from it may be in
/// the system's memory only, and no later sync would bring it to the disk.
fn fold_leftovers(events: &Database, connection: &Connection) -> Result<(), StoreError> {
    let fault = |error| events.fault("folding the write-ahead log", error);
    // A reader of another process may be in the way for hours; it is not waited for.
    connection.busy_timeout(Duration::ZERO).map_err(fault)?;
    match events.fold(connection) {
        // Where there is no room, it can be read even so.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => Ok(()),
        folded => folded.map(drop).map_err(fault),
    }
}

/// The log's identity; looks at the log's end as well, so that damage there is said at once.
fn identify(events: &Database, connection: &Connection) -> Result<StoreId, StoreError> {
    reader::head(events, connection)?;
    let id = connection
        .query_row("SELECT id FROM store", [], |row| row.get(0))
        .optional()
        .map_err(|error| events.fault("reading the store's identity", error))?;
    id.map(StoreId).ok_or_else(|| events.corrupt("its identity is missing"))
}

impl Store for SqliteStore {
    fn id(&self) -> StoreId {
        self.id
    }

    fn log(&self) -> Result<Box<dyn Log>, StoreError> {
        Ok(Box::new(SqliteLog::new(&self.folder)?))
    }

    fn reader(&self) -> Result<Box<dyn LogReader>, StoreError> {
        Ok(Box::new(SqliteReader::new(&self.folder.events)?))
    }

    fn checkpoints(&self) -> Result<Box<dyn Checkpoints>, StoreError> {
        Ok(Box::new(SqliteCheckpoints::new(&self.folder)?))
    }

    fn read_only(&self) -> bool {
        self.folder.read_only()
    }

    fn backup(&self, folder: &Path) -> Result<(), StoreError> {
        backup::backup(&self.folder, folder)
    }

    fn close(&self) -> Result<(), StoreError> {
        if self.folder.read_only() {
            return Ok(());
        }
        for database in [&self.folder.events, &self.folder.views] {
            if database.path.exists() {
                let connection = database.open()?;
                // A reader of another process may be in the way; then the next one folds it.
                database.fold(&connection).map_err(|e| database.fault("folding the write-ahead log", e))?;
            }
        }
        Ok(())
    }
}
