//! A copy of a store that is in use.

use std::fs::{self, File};
use std::path::Path;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::database::Database;
use super::folder::{Folder, PARTIAL, create_folder, io_failure, names_in, remove, rename, sync_folder};
use crate::store::StoreError;

/// Copies the views first and then the log, so that the log is never behind the views; the log gets its name last, so
/// that a copy which was cut short is not taken for a store.
pub(super) fn backup(folder: &Folder, into: &Path) -> Result<(), StoreError> {
    prepare(into)?;
    let copied = copy_both(folder, into);
    if copied.is_err() {
        // The folder was empty before: nothing but what was begun is removed.
        for name in ["views.db", "views.db-journal", PARTIAL, "events.db.partial-journal"] {
            let _ = fs::remove_file(into.join(name));
        }
    }
    copied
}

/// Refuses a folder that is not empty, and makes one that is not there.
pub(super) fn prepare(into: &Path) -> Result<(), StoreError> {
    let refuse = |why: &str| {
        Err(StoreError::Io { action: format!("copying into {}", into.display()), source: why.into() })
    };
    if !into.exists() {
        return create_folder(into);
    }
    if !into.is_dir() {
        return refuse("it is a file; name a folder that does not exist or is empty");
    }
    if !names_in(into)?.is_empty() {
        return refuse("it is not empty; name a folder that does not exist or is empty");
    }
    Ok(())
}

fn copy_both(folder: &Folder, into: &Path) -> Result<(), StoreError> {
    let partial = into.join(PARTIAL);
    // There from the beginning, so that whatever is left of it is known for what it is.
    File::create(&partial).map_err(|e| io_failure("creating", &partial, e))?;
    if folder.views.path.exists()
        && let Err(why) = copy(&folder.views, &into.join("views.db"))
    {
        // They are disposable. Were it for the disk that is copied to, the log could not be copied either.
        remove(&into.join("views.db"))?;
        tracing::warn!(%why, "the backup has no checkpoints, since they cannot be copied; they can be rebuilt");
    }
    copy(&folder.events, &partial)?;
    // The views' copy must be durable before the log's name makes the folder a store.
    sync_folder(Some(into))?;
    rename(&partial, &into.join("events.db"))?;
    sync_folder(Some(into))
}

fn copy(from: &Database, to: &Path) -> Result<(), StoreError> {
    let fault = |error| from.fault(&format!("the backup to {}", to.display()), error);
    let source = from.open_read_only()?;
    let mut target = Connection::open(to).map_err(fault)?;
    // It is synced once, as a whole, below.
    target.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF").map_err(fault)?;
    {
        let backup = Backup::new(&source, &mut target).map_err(fault)?;
        // In one step, that is within one read transaction: a copy in several would begin again at every commit. It waits for locks as every reading does.
        if backup.step(-1).map_err(fault)? != StepResult::Done {
            let why = "another program keeps the file locked; end its transaction and try again";
            let action = format!("the backup to {}", to.display());
            return Err(StoreError::Io { action, source: why.into() });
        }
    }
    target.close().map_err(|(_, error)| fault(error))?;
    File::open(to).and_then(|file| file.sync_all()).map_err(|e| io_failure("syncing", to, e))
}
