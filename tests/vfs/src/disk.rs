//! A folder that is watched: its trace, and the faults it is told to have.

use std::collections::BTreeMap;
use std::ffi::c_int;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use rusqlite::ffi;

use crate::fault::{Fault, How, Operation};
use crate::shim;
use crate::trace::{Entry, FileId};

/// The folders that are watched.
static WATCHED: RwLock<Vec<Arc<Shared>>> = RwLock::new(Vec::new());

/// A folder whose files SQLite opens through this crate, until it is dropped.
///
/// ```
/// use faulty_vfs::{Disk, Entry};
///
/// let folder = tempfile::tempdir().unwrap();
/// let disk = Disk::watch(folder.path());
/// let connection = rusqlite::Connection::open(folder.path().join("a.db")).unwrap();
/// connection.execute_batch("CREATE TABLE t (n)").unwrap();
/// disk.note(7);
/// let trace = disk.trace();
/// assert!(matches!(&trace[0], Entry::Created { name, .. } if name == "a.db"));
/// assert_eq!(trace.last(), Some(&Entry::Note(7)));
/// ```
#[derive(Debug)]
pub struct Disk {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    folder: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    trace: Vec<Entry>,
    /// The files that have a name, by it.
    files: BTreeMap<String, FileId>,
    known: u32,
    faults: Vec<Fault>,
    /// How many operations they have made fail.
    failed: u64,
}

/// An open file of a watched folder.
#[derive(Debug)]
pub(crate) struct Handle {
    shared: Arc<Shared>,
    file: FileId,
    name: String,
    /// Whether the platform syncs the folder, too, when this is first synced.
    syncs_folder: Mutex<bool>,
}

impl Disk {
    /// Watches a folder, which is created if it is not there. Files that are there already count as synced.
    ///
    /// # Panics
    ///
    /// If the folder cannot be created or read.
    #[must_use]
    pub fn watch(folder: &Path) -> Self {
        shim::install();
        fs::create_dir_all(folder).expect("the folder can be created");
        let folder = folder.canonicalize().expect("the folder is there");
        let mut state = State::default();
        for entry in fs::read_dir(&folder).expect("the folder can be read") {
            let path = entry.expect("the folder can be read").path();
            // The shared memory is no file to SQLite, and `lock` none of its files.
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if path.is_file() && !name.ends_with("-shm") {
                let bytes = fs::read(&path).expect("the file can be read");
                let file = state.name(&name);
                state.trace.push(Entry::Found { file, name, bytes });
            }
        }
        let shared = Arc::new(Shared { folder, state: Mutex::new(state) });
        WATCHED.write().unwrap_or_else(PoisonError::into_inner).push(shared.clone());
        Self { shared }
    }

    /// Puts a number into the trace.
    pub fn note(&self, number: u64) {
        self.shared.state().trace.push(Entry::Note(number));
    }

    /// What has happened until now.
    #[must_use]
    pub fn trace(&self) -> Vec<Entry> {
        self.shared.state().trace.clone()
    }

    /// Adds a rule by which operations fail.
    pub fn fail(&self, fault: Fault) {
        self.shared.state().faults.push(fault);
    }

    /// Forgets all rules.
    pub fn mend(&self) {
        self.shared.state().faults.clear();
    }

    /// How many operations have been made to fail until now.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.shared.state().failed
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let mut watched = WATCHED.write().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|other| !Arc::ptr_eq(other, &self.shared));
    }
}

impl State {
    /// A new file of this name.
    fn name(&mut self, name: &str) -> FileId {
        let file = FileId(self.known);
        self.known += 1;
        self.files.insert(name.to_owned(), file);
        file
    }

    fn judge(&mut self, operation: Operation, name: &str) -> Option<How> {
        // The first that fits says how; the others count it, too.
        let judge = |how: Option<How>, fault: &mut Fault| {
            let own = fault.judge(operation, name);
            how.or(own)
        };
        let how = self.faults.iter_mut().fold(None, judge);
        self.failed += u64::from(how.is_some());
        how
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The watched folder that this file is in, and the file's name there.
    pub(crate) fn of(path: &Path) -> Option<(Arc<Self>, String)> {
        let watched = WATCHED.read().unwrap_or_else(PoisonError::into_inner);
        let folder = path.parent()?;
        let shared = watched.iter().find(|shared| shared.folder == folder)?;
        Some((shared.clone(), path.file_name()?.to_string_lossy().into_owned()))
    }

    /// Opens a file with `run`. `may_create` says that it is created if it is not there; `journal` that it is a journal or a write-ahead log.
    pub(crate) fn open(
        self: &Arc<Self>,
        name: String,
        may_create: bool,
        journal: bool,
        run: impl FnOnce() -> c_int,
    ) -> Result<Handle, c_int> {
        let mut state = self.state();
        match state.judge(Operation::Open, &name) {
            Some(How::Code(code) | How::Half(code)) => return Err(code),
            Some(How::Lie) | None => {}
        }
        let there = self.folder.join(&name).exists();
        match run() {
            ffi::SQLITE_OK => {}
            code => return Err(code),
        }
        let file = match state.files.get(&name) {
            Some(file) if there => *file,
            _ => {
                let file = state.name(&name);
                state.trace.push(Entry::Created { file, name: name.clone() });
                file
            }
        };
        drop(state);
        let syncs_folder = Mutex::new(may_create && journal);
        Ok(Handle { shared: self.clone(), file, name, syncs_folder })
    }

    /// Deletes a file with `run`.
    pub(crate) fn delete(&self, name: &str, sync_folder: bool, run: impl FnOnce() -> c_int) -> c_int {
        let mut state = self.state();
        match state.judge(Operation::Delete, name) {
            Some(How::Code(code) | How::Half(code)) => return code,
            Some(How::Lie) | None => {}
        }
        let code = run();
        if code == ffi::SQLITE_OK {
            state.files.remove(name);
            state.trace.push(Entry::Deleted { name: name.to_owned() });
            if sync_folder {
                state.trace.push(Entry::FolderSynced);
            }
        }
        code
    }
}

impl Handle {
    /// Does with `run` what is not recorded.
    pub(crate) fn pass(&self, operation: Operation, run: impl FnOnce() -> c_int) -> c_int {
        let how = self.shared.state().judge(operation, &self.name);
        match how {
            Some(How::Code(code) | How::Half(code)) => code,
            Some(How::Lie) | None => run(),
        }
    }

    /// Writes with `run`, which is given as many of the bytes as are to be written.
    pub(crate) fn write(&self, offset: u64, bytes: &[u8], run: impl FnOnce(&[u8]) -> c_int) -> c_int {
        let mut state = self.shared.state();
        let (bytes, failure) = match state.judge(Operation::Write, &self.name) {
            Some(How::Code(code)) => return code,
            Some(How::Half(code)) => (&bytes[..bytes.len() / 2], Some(code)),
            Some(How::Lie) | None => (bytes, None),
        };
        let code = run(bytes);
        if code == ffi::SQLITE_OK {
            state.trace.push(Entry::Wrote { file: self.file, offset, bytes: bytes.to_vec() });
        }
        failure.unwrap_or(code)
    }

    pub(crate) fn truncate(&self, length: u64, run: impl FnOnce() -> c_int) -> c_int {
        let mut state = self.shared.state();
        match state.judge(Operation::Truncate, &self.name) {
            Some(How::Code(code) | How::Half(code)) => return code,
            Some(How::Lie) | None => {}
        }
        let code = run();
        if code == ffi::SQLITE_OK {
            state.trace.push(Entry::Truncated { file: self.file, length });
        }
        code
    }

    pub(crate) fn sync(&self, run: impl FnOnce() -> c_int) -> c_int {
        let mut state = self.shared.state();
        let code = match state.judge(Operation::Sync, &self.name) {
            Some(How::Lie) => return ffi::SQLITE_OK,
            Some(How::Code(code) | How::Half(code)) => code,
            None => run(),
        };
        if code != ffi::SQLITE_OK {
            state.trace.push(Entry::NotSynced { file: self.file });
            return code;
        }
        state.trace.push(Entry::Synced { file: self.file });
        let mut syncs_folder = self.syncs_folder.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut *syncs_folder) {
            state.trace.push(Entry::FolderSynced);
        }
        code
    }
}
