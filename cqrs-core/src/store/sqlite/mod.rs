//! The embedded store: a folder with two SQLite files.
//!
//! `events.db` is the log, the only copy of what happened: write-ahead log, `synchronous=FULL`. `views.db` keeps the
//! checkpoints: disposable, `synchronous=NORMAL`; it shows each view to SQL. `lock` is held by the one writer.

mod backup;
mod bulk;
mod checkpoints;
mod database;
mod folder;
mod log;
mod reader;
mod rows;
mod salvage;
mod schema;
#[cfg(test)]
mod tests;
mod wal;

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;

pub use self::salvage::Salvaged;

use self::checkpoints::SqliteCheckpoints;
use self::database::Database;
use self::folder::{Folder, sync_folder};
use self::log::SqliteLog;
use self::reader::SqliteReader;
use super::{Checked, Checkpoints, Log, LogReader, Store, StoreError, StoreId};

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
        let id = identify(&folder.events, &folder.events.open()?)?;
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

    /// The checkpoints as they are now, to be looked at: one state of them, for as long as it is held; SQLite keeps for it what is written
    /// meanwhile, so it is not held for long. `None` where there are none yet.
    ///
    /// Unlike [`checkpoints`](Store::checkpoints) it sets nothing aside: what cannot be read is an error.
    ///
    /// ```
    /// # use cqrs_core::prelude::*;
    /// # #[event]
    /// # pub struct Purchased { pub customer: String, pub qty: i32 }
    /// # #[projection(from = Purchased, group_by = customer)]
    /// # pub struct Customer { pub customer: String, #[sum(qty)] pub total_qty: i64 }
    /// # let parent = tempfile::tempdir()?;
    /// # let shop = parent.path().join("shop");
    /// # let engine = Engine::open(&shop)?.view::<Customer>().start()?;
    /// # engine.append(Purchased { customer: "jsmith".into(), qty: 2 }).wait()?;
    /// # drop(engine);
    /// use cqrs_core::store::SqliteStore;
    ///
    /// let mut saved = SqliteStore::open_read_only(&shop)?.saved()?.expect("saved when the engine was closed");
    /// assert_eq!(saved.views()?[0].name, "customer");
    /// assert_eq!(saved.columns("customer")?, ["customer", "total_qty"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreError`]: the file is damaged, of another format, or cannot be read.
    pub fn saved(&self) -> Result<Option<Box<dyn Checkpoints>>, StoreError> {
        if !self.folder.views.path.exists() {
            return Ok(None);
        }
        Ok(Some(Box::new(SqliteCheckpoints::open_to_read(&self.folder)?)))
    }

    /// Makes a new store, in the folder `to`, of the longest beginning of a damaged one that is whole: every event up to the first that is missing, cannot
    /// be read, or is not as it was written. `from` is only read. For when there is no backup that reaches as far.
    ///
    /// The new log has an identity of its own, since it is another log: positions behind its end will be given to other events, and a receipt of one
    /// that was lost must not seem to be fulfilled by them. Old receipts are therefore refused ([`WaitError::OtherLog`](crate::WaitError::OtherLog)),
    /// and so is the old `views.db`. Views are folded anew.
    ///
    /// Events behind the damage are not copied: what they meant may rest on what is lost. They can be looked at with `sqlite3 events.db .recover`,
    /// and what still holds be appended as events of today. Nor are notes copied then: what they say may be about events that are lost. Where every
    /// event is whole, so are copied the notes that are.
    ///
    /// ```
    /// # use cqrs_core::prelude::*;
    /// # use cqrs_core::store::SqliteStore;
    /// # #[event]
    /// # pub struct Purchased { pub customer: String, pub qty: i32 }
    /// # let parent = tempfile::tempdir()?;
    /// # let (shop, mended) = (parent.path().join("shop"), parent.path().join("mended"));
    /// # let engine = Engine::open(&shop)?.event::<Purchased>().start()?;
    /// # engine.append(Purchased { customer: "jsmith".into(), qty: 2 }).wait()?;
    /// # drop(engine);
    /// let salvaged = SqliteStore::salvage(&shop, &mended)?;
    /// println!("{salvaged}"); // events copied: 1, the whole log
    /// assert_eq!((salvaged.events, salvaged.lost), (1, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreError`]: `from` is no store or its file cannot be opened at all, or `to` is not empty or cannot be written. Damage in the log is no error.
    pub fn salvage(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<Salvaged, StoreError> {
        salvage::salvage(from.as_ref(), to.as_ref())
    }
}

/// The log's identity; looks at the log's end as well, so that damage there is said at once.
fn identify(events: &Database, connection: &Connection) -> Result<StoreId, StoreError> {
    reader::head(events, connection)?;
    reader::identity(events, connection)
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

    fn check(&self) -> Result<Checked, StoreError> {
        let mut checked = Checked { bytes: self.folder.bytes(), ..Checked::default() };
        checked.log = self.folder.events.integrity(self.folder.read_only());
        // Where it cannot be opened, that has been said.
        if let Ok(reader) = SqliteReader::new(&self.folder.events) {
            checked.log.extend(reader.survey(&mut |_, _| true).wrong);
        }
        if self.folder.views.path.exists() {
            checked.checkpoints = self.folder.views.integrity(self.folder.read_only());
            match SqliteCheckpoints::open_to_read(&self.folder) {
                Ok(keeper) => checked.keeper = Some(Box::new(keeper)),
                Err(why) => checked.checkpoints.push(why.to_string()),
            }
        }
        Ok(checked)
    }

    fn close(&self) -> Result<(), StoreError> {
        if self.folder.read_only() {
            return Ok(());
        }
        let close = |database: &Database| if database.path.exists() { database.close() } else { Ok(()) };
        // The views first: on a disk that is nearly full, that makes room for the log.
        let views = match close(&self.folder.views) {
            Err(error @ StoreError::Corrupt { .. }) => {
                tracing::warn!(%error, "the checkpoints are damaged; the next start sets them aside");
                Ok(())
            }
            closed => closed,
        };
        close(&self.folder.events).and(views)
    }
}
