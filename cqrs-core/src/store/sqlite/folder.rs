//! The folder: whether it may become or is a store, and who may write to it.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use super::database::Database;
use super::schema::Kind;
use crate::store::StoreError;

/// The name under which a backup's log is written until it is whole.
pub(super) const PARTIAL: &str = "events.db.partial";

/// The folder in which a salvaged store is made until it is whole.
pub(super) const SALVAGED: &str = "salvage.partial";

/// What every end of an open store shares: the folder stays locked until the last of them is gone.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) events: Database,
    pub(super) views: Database,
    /// Held for its lock; `None` when read-only.
    pub(super) lock: Option<File>,
    /// Whether the writing end is out: there is one, since it alone knows the head.
    pub(super) log_taken: AtomicBool,
    /// Whether views.db was found damaged after it was opened; the next opening sets it aside.
    pub(super) views_damaged: AtomicBool,
}

impl Folder {
    /// Locks the folder for writing, and creates it where there is none.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let path = &absolute(path)?;
        if !path.exists() {
            create_folder(path)?;
        }
        inspect(path)?;
        let lock = File::options().create(true).truncate(false).write(true).open(path.join("lock"));
        let lock = lock.map_err(|e| io_failure("opening the lock file in", path, e))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self::new(path, Some(lock))),
            Err(TryLockError::WouldBlock) => Err(StoreError::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(e)) => Err(io_failure("locking", path, e)),
        }
    }

    /// Looks at the folder and takes no lock.
    pub(super) fn open_read_only(path: &Path) -> Result<Self, StoreError> {
        let path = &absolute(path)?;
        if !path.exists() {
            return Err(StoreError::NotAStore {
                path: path.to_owned(),
                what: "it does not exist, and reading creates nothing; open it for writing first".into(),
            });
        }
        inspect(path)?;
        if !path.join(Kind::Events.file_name()).exists() {
            return Err(StoreError::NotAStore {
                path: path.to_owned(),
                what: "it has no events.db, and reading creates nothing; open it for writing first".into(),
            });
        }
        Ok(Self::new(path, None))
    }

    fn new(path: &Path, lock: Option<File>) -> Self {
        Self {
            path: path.to_owned(),
            events: Database::in_folder(path, Kind::Events),
            views: Database::in_folder(path, Kind::Views),
            lock,
            log_taken: AtomicBool::new(false),
            views_damaged: AtomicBool::new(false),
        }
    }

    /// How much the store takes on disk.
    pub(super) fn bytes(&self) -> u64 {
        let files = [&self.events, &self.views].map(|file| [file.path.clone(), file.beside("-wal")]);
        files.iter().flatten().map(|file| fs::metadata(file).map_or(0, |file| file.len())).sum()
    }

    pub(super) fn read_only(&self) -> bool {
        self.lock.is_none()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Closing the file is not enough: a process that another thread is just spawning has it open as well, until it is on its way.
        if let Some(lock) = &self.lock {
            let _ = lock.unlock();
        }
    }
}

/// Refuses a folder that holds something else, or a store that has lost its log.
fn inspect(path: &Path) -> Result<(), StoreError> {
    let not_a_store = |what: String| Err(StoreError::NotAStore { path: path.to_owned(), what });
    if !path.is_dir() {
        return not_a_store("it is a file, and a store is a folder; name the folder instead".into());
    }
    let mut names = names_in(path)?;
    if !names.iter().any(|n| n == "views.db" || n == "events.db-wal") {
        // A journal is there when the file is created, and at no other time. Alone, it is what a loss of power left of a
        // creation: the folder was not synced yet, so nothing was in the file.
        names.retain(|n| n != "events.db-journal");
    }
    let has = |name: &str| names.iter().any(|n| n == name);
    let lost = |what: &str| {
        Err(StoreError::Corrupt {
            file: path.join("events.db").display().to_string(),
            what: what.into(),
            remedy: "Restore events.db from a backup (beside the events.db-wal that belongs to it, if there is one). \
                     Only to begin anew with an empty log, move what is left of events.db and views.db away"
                .into(),
        })
    };
    if has("events.db") {
        let size = |name| fs::metadata(path.join(name)).map_or(0, |m| m.len());
        // The log's file is complete before a write-ahead log or a checkpoint is begun.
        if size("events.db") == 0 && (size("events.db-wal") > 0 || size("views.db") > 0) {
            return lost(
                "it is empty, though files beside it show that it was not; it is the only copy of what happened",
            );
        }
        return Ok(());
    }
    for (left, making) in [(PARTIAL, "backup"), (SALVAGED, "salvage")] {
        if has(left) {
            return not_a_store(format!(
                "it holds {left} and no events.db: a {making} into it did not finish. Delete the folder and make the {making} again"
            ));
        }
    }
    if let Some(left) = names.iter().find(|n| *n == "views.db" || n.starts_with("events.db")) {
        return lost(&format!("it is missing, though {left} is here; it is the only copy of what happened"));
    }
    let foreign: Vec<_> = names.iter().filter(|n| *n != "lock" && !n.starts_with("views.db")).collect();
    match foreign.as_slice() {
        [] => Ok(()),
        [first, rest @ ..] => not_a_store(match rest.len() {
            0 => format!("it holds {first} and no events.db; choose an empty or a new folder"),
            more => {
                format!("it holds {first}, {more} more, and no events.db; choose an empty or a new folder")
            }
        }),
    }
}

/// The same folder, wherever the process goes meanwhile.
fn absolute(path: &Path) -> Result<PathBuf, StoreError> {
    std::path::absolute(path).map_err(|e| io_failure("finding", path, e))
}

/// Makes a folder, and those above it that are not there, so that they survive a loss of power.
pub(super) fn create_folder(path: &Path) -> Result<(), StoreError> {
    let made: Vec<&Path> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    fs::create_dir_all(path).map_err(|e| io_failure("creating the folder", path, e))?;
    made.into_iter().try_for_each(|folder| sync_folder(folder.parent()))
}

/// The names in a folder, in order.
pub(super) fn names_in(path: &Path) -> Result<Vec<String>, StoreError> {
    let read = || {
        let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
        let mut names = fs::read_dir(path)?.map(name).collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    };
    read().map_err(|e| io_failure("listing", path, e))
}

/// Makes what was created or renamed in a folder survive a loss of power.
pub(super) fn sync_folder(path: Option<&Path>) -> Result<(), StoreError> {
    // Elsewhere a folder cannot be opened as a file, and its entries are durable without.
    let Some(path) = path.filter(|_| cfg!(unix)) else { return Ok(()) };
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path).and_then(|folder| folder.sync_all()).map_err(|e| io_failure("syncing", path, e))
}

pub(super) fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    fs::rename(from, to).map_err(|error| io_failure("renaming", from, error))
}

/// Removes a file, if it is there.
pub(super) fn remove(file: &Path) -> Result<(), StoreError> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_failure("removing", file, error)),
        _ => Ok(()),
    }
}

pub(super) fn io_failure(action: &str, path: &Path, error: io::Error) -> StoreError {
    let advice = match error.kind() {
        io::ErrorKind::PermissionDenied => "; see that this user may write there",
        io::ErrorKind::StorageFull => "; make room on the disk and try again",
        _ => "",
    };
    StoreError::Io {
        action: format!("{action} {}", path.display()),
        source: if advice.is_empty() { error.into() } else { format!("{error}{advice}").into() },
    }
}
