//! One of the two SQLite files: opened, created, known as ours, and its failures put into words.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::schema::Kind;
use crate::store::StoreError;

/// How long a write waits for a foreign process that holds a lock.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// How long closing waits for a reader of another process, so that the write-ahead log can be folded: one that stays leaves that to the next who opens it.
const BRIEFLY: Duration = Duration::from_millis(100);

/// After this many pages of write-ahead log (4 MiB, SQLite's own default) they are folded into the file.
const FOLD_PAGES: u32 = 1000;

/// What is left of a write-ahead log on disk after it grew beyond this.
const KEPT_WAL_BYTES: u32 = 64 << 20;

#[derive(Clone, Debug)]
pub(super) struct Database {
    pub(super) kind: Kind,
    pub(super) path: PathBuf,
}

impl Database {
    pub(super) fn in_folder(folder: &Path, kind: Kind) -> Self {
        Self { kind, path: folder.join(kind.file_name()) }
    }

    /// The file with this ending added to its name.
    pub(super) fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(ending);
        name.into()
    }

    /// Opens the file for writing, and creates it first where there is none or its creation was cut short. One of an older format stays as it is until it is
    /// [upgraded](Self::upgrade).
    pub(super) fn open(&self) -> Result<Connection, StoreError> {
        let fault = |error| self.fault("opening it", error);
        self.peek()?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags).map_err(fault)?;
        connection.busy_timeout(PATIENCE).map_err(fault)?;
        // Whoever looks and goes again leaves the write-ahead log as it is: where its end is damaged, it is what there is to be looked at.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(fault)?;
        // For macOS, where a plain fsync does not reach the disk; elsewhere without effect.
        connection.execute_batch("PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON").map_err(fault)?;
        if self.is_blank(&connection).map_err(fault)? {
            self.create(&connection).map_err(fault)?;
        }
        self.check(&connection)?;
        if connection.is_readonly(rusqlite::MAIN_DB).map_err(fault)? {
            return Err(self.unwritable());
        }
        self.tune(&connection).map_err(fault)?;
        Ok(connection)
    }

    /// Opens an existing file for reading only.
    pub(super) fn open_read_only(&self) -> Result<Connection, StoreError> {
        let fault = |error| self.fault("opening it for reading", error);
        self.peek()?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags).map_err(fault)?;
        connection.busy_timeout(PATIENCE).map_err(fault)?;
        if self.is_blank(&connection).map_err(fault)? {
            return Err(StoreError::NotAStore {
                path: self.path.clone(),
                what: "it is empty: its creation did not finish. Open the folder once for writing, which finishes it"
                    .into(),
            });
        }
        self.check(&connection)?;
        Ok(connection)
    }

    /// Refuses what is not ours before SQLite would write anything beside it.
    ///
    /// Read through SQLite and not through `File`: closing a `File` would drop the locks that this process' other
    /// connections hold on it.
    fn peek(&self) -> Result<(), StoreError> {
        // What a crash left half-written is rolled back when it is opened; before that it says nothing.
        if !self.path.exists() || self.beside("-journal").exists() {
            return Ok(());
        }
        // SQLite would take so short a file for an empty database, and write over it.
        if std::fs::metadata(&self.path).is_ok_and(|file| (1..512).contains(&file.len())) {
            return Err(self.corrupt("it is too short and not an SQLite database"));
        }
        let flags =
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
        let connection = Connection::open_with_flags(immutable_uri(&self.path), flags)
            .map_err(|error| self.fault("opening it", error))?;
        let (application, format) = match marks(&connection) {
            Ok(marks) => marks,
            // A loss of power while a write-ahead log was being folded into the file leaves it torn: it is read together
            // with that log, which makes it good.
            Err(_) if std::fs::metadata(self.beside("-wal")).is_ok_and(|wal| wal.len() > 0) => return Ok(()),
            Err(error) => return Err(self.fault("reading its header", error)),
        };
        if application == 0 && format == 0 { Ok(()) } else { self.check_marks(application, format) }
    }

    /// SQLite opens what it may not write, or what bears a mark in its header that it does not know, for reading only.
    fn unwritable(&self) -> StoreError {
        match self.kind {
            Kind::Events => {
                let code = ErrorCode::ReadOnly;
                let error = rusqlite::ffi::Error { code, extended_code: rusqlite::ffi::SQLITE_READONLY };
                self.fault("opening it for writing", rusqlite::Error::SqliteFailure(error, None))
            }
            // Whatever the cause, another takes its place.
            Kind::Views => self.corrupt("it cannot be written, because of its permissions or its header"),
        }
    }

    /// The format of the file, which is ours.
    fn check(&self, connection: &Connection) -> Result<u32, StoreError> {
        let (application, format) =
            marks(connection).map_err(|error| self.fault("reading its header", error))?;
        self.check_marks(application, format).map(|()| format)
    }

    fn check_marks(&self, application: u32, format: u32) -> Result<(), StoreError> {
        if application != self.kind.application_id() {
            return Err(StoreError::NotAStore {
                path: self.path.clone(),
                what: format!(
                    "it is an SQLite database of another program (application_id {application:#x}); choose another \
                     folder"
                ),
            });
        }
        let file = || self.path.display().to_string();
        let (oldest, newest) = (self.kind.oldest_format(), self.kind.format());
        match format {
            0 => return Err(self.corrupt("its format version is missing")),
            found if found < oldest => return Err(StoreError::OlderFormat { file: file(), found, oldest }),
            found if found > newest => {
                return Err(StoreError::NewerFormat { file: file(), found, supported: newest });
            }
            _ => {}
        }
        Ok(())
    }

    /// Brings a file of an older format up to date, in one transaction. Nobody else writes to it: the folder is locked.
    pub(super) fn upgrade(&self, connection: &Connection) -> Result<(), StoreError> {
        let (found, format) = (self.check(connection)?, self.kind.format());
        if found == format {
            return Ok(());
        }
        let steps: String = (found..format).map(|from| self.kind.upgrade(from)).collect();
        let sql = format!("BEGIN IMMEDIATE; {steps} PRAGMA user_version = {format}; COMMIT");
        connection.execute_batch(&sql).map_err(|error| {
            let _ = connection.execute_batch("ROLLBACK");
            match error {
                // What a newer format brought is there, so the older mark is not what was written.
                rusqlite::Error::SqlInputError { msg, .. } if msg.ends_with("already exists") => {
                    self.corrupt(format!("it is marked as format {found}, but {msg}"))
                }
                error => self.fault("bringing it to the present format", error),
            }
        })
    }

    /// Whether nothing has ever been committed to it, as before its creation, or after one that was cut short.
    fn is_blank(&self, connection: &Connection) -> rusqlite::Result<bool> {
        let objects: i64 =
            connection.query_one("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        Ok(objects == 0 && marks(connection)? == (0, 0))
    }

    /// Tables, identity and marks in one transaction. The change to a write-ahead log comes after it and on every
    /// opening, so that a crash between the two is made good by the next.
    fn create(&self, connection: &Connection) -> rusqlite::Result<()> {
        let sql = format!(
            "BEGIN IMMEDIATE; {} PRAGMA application_id = {}; PRAGMA user_version = {}; COMMIT",
            self.kind.tables().concat(),
            self.kind.application_id(),
            self.kind.format()
        );
        connection.execute_batch(&sql)
    }

    fn tune(&self, connection: &Connection) -> rusqlite::Result<()> {
        let synchronous = match self.kind {
            Kind::Events => "FULL",
            Kind::Views => "NORMAL",
        };
        connection.execute_batch(&format!(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = {synchronous};
             PRAGMA wal_autocheckpoint = {FOLD_PAGES};
             PRAGMA journal_size_limit = {KEPT_WAL_BYTES};
             PRAGMA cache_size = -32768;"
        ))?;
        let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
        if mode == "wal" {
            return Ok(());
        }
        let busy =
            rusqlite::ffi::Error { code: ErrorCode::DatabaseBusy, extended_code: rusqlite::ffi::SQLITE_BUSY };
        Err(rusqlite::Error::SqliteFailure(busy, Some(format!("the journal mode is {mode} and not wal"))))
    }

    /// Folds the write-ahead log into the file and takes it away, as far as readers of other processes permit.
    pub(super) fn close(&self) -> Result<(), StoreError> {
        let connection = self.open()?;
        let folded = connection
            .busy_timeout(BRIEFLY)
            .and_then(|()| Self::fold(&connection))
            .and_then(|_| connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false));
        folded.map(drop).map_err(|error| self.fault("folding the write-ahead log", error))
    }

    /// Folds the write-ahead log into the file and empties it, as far as readers of other processes permit.
    pub(super) fn fold(connection: &Connection) -> rusqlite::Result<()> {
        connection.query_one("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    }

    /// What SQLite's own check of the whole file finds, and whether it can be opened as the store was. Nothing is changed: one whose creation was cut short, or of an older
    /// format, stays so.
    pub(super) fn integrity(&self, read_only: bool) -> Vec<String> {
        let check = || {
            let connection = self.open_read_only()?;
            if !read_only {
                drop(self.open()?);
            }
            let run = || {
                let mut check = connection.prepare("PRAGMA integrity_check(100)")?;
                let found = check.query_map([], |row| row.get(0))?;
                found.collect::<rusqlite::Result<Vec<String>>>()
            };
            run().map_err(|error| self.fault("checking it", error))
        };
        match check() {
            Ok(found) => {
                found.into_iter().filter(|found| found != "ok").map(|found| self.tell(&found)).collect()
            }
            Err(why) => vec![why.to_string()],
        }
    }

    fn tell(&self, found: &str) -> String {
        format!("SQLite finds in {}: {found}", self.kind.file_name())
    }

    /// What does not hold in this file.
    pub(super) fn corrupt(&self, what: impl fmt::Display) -> StoreError {
        StoreError::Corrupt {
            file: self.path.display().to_string(),
            what: what.to_string(),
            remedy: self.kind.remedy().into(),
        }
    }

    /// An error of SQLite, in the store's words.
    pub(super) fn fault(&self, action: &str, error: rusqlite::Error) -> StoreError {
        use rusqlite::Error as E;
        match &error {
            // A value of a type that no version wrote.
            E::InvalidColumnType(..)
            | E::FromSqlConversionFailure(..)
            | E::IntegralValueOutOfRange(..)
            | E::Utf8Error(..) => {
                return self.corrupt(format!("a value is not what was written ({error})"));
            }
            // The statements are fixed, so a table or column that is not there is one that was taken away; and the format is the one
            // that this SQLite wrote.
            E::SqlInputError { msg, .. } | E::SqliteFailure(_, Some(msg))
                if msg.starts_with("no such")
                    || msg.contains("has no column")
                    || msg.starts_with("unsupported file format")
                    // Of the counts of types, which are as many as the events.
                    || msg == "integer overflow" =>
            {
                return self.corrupt(msg);
            }
            _ => {}
        }
        let advice = match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt) => {
                return self.corrupt(format!("{error} (found while {action})"));
            }
            Some(ErrorCode::NotADatabase) => {
                return self.corrupt(format!(
                    "it is not an SQLite database, or its beginning was overwritten ({error})"
                ));
            }
            // No column is NULL where it must not be, unless it is not what was written.
            Some(ErrorCode::ConstraintViolation)
                if self.kind == Kind::Views
                    && error.sqlite_extended_error_code()
                        == Some(rusqlite::ffi::SQLITE_CONSTRAINT_NOTNULL) =>
            {
                return self.corrupt(format!("{error} (found while {action})"));
            }
            Some(ErrorCode::DiskFull) => "make room on the disk and try again",
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                "another program holds a lock on the file; end its transaction and try again"
            }
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                "see that this user may write to the file and its folder, or open the store read-only; if it may be written, its \
                 header is damaged"
            }
            Some(ErrorCode::CannotOpen) => {
                "see that it exists and that this user may read and write it and its folder (reading, too, needs \
                 the -wal and -shm files beside it; copy the folder to a writable place if it has none)"
            }
            Some(ErrorCode::TooBig) => "the value is larger than SQLite stores; make it smaller",
            Some(ErrorCode::SystemIoFailure) => {
                "see the system's log for errors of the disk, and reopen the store before writing again"
            }
            _ => "if it happens again, please report it as a defect of the library",
        };
        StoreError::Io {
            action: format!("{action} ({})", self.path.display()),
            source: Box::new(Advised { error, advice }),
        }
    }
}

fn marks(connection: &Connection) -> rusqlite::Result<(u32, u32)> {
    let mark =
        |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0)).map(i32::cast_unsigned);
    Ok((mark("application_id")?, mark("user_version")?))
}

/// An address under which SQLite reads the file alone, without locks and without creating a file beside it.
fn immutable_uri(path: &Path) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut uri = String::from(if cfg!(windows) { "file:///" } else { "file:" });
    for &byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'\\' if cfg!(windows) => uri.push('/'),
            b'/' | b'.' | b'-' | b'_' => uri.push(byte.into()),
            b':' if cfg!(windows) => uri.push(':'),
            _ if byte.is_ascii_alphanumeric() => uri.push(byte.into()),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri.push_str("?immutable=1");
    uri
}

/// SQLite's error, and what to do about it.
#[derive(Debug)]
struct Advised {
    error: rusqlite::Error,
    advice: &'static str,
}

impl fmt::Display for Advised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.error, self.advice)
    }
}

impl std::error::Error for Advised {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}
