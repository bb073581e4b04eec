//! What is to fail, when, and how.

use std::ffi::c_int;

/// What SQLite does with files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Opening a file, or creating it.
    Open,
    /// Reading bytes.
    Read,
    /// Writing bytes.
    Write,
    /// Setting a file's length.
    Truncate,
    /// Making a file durable.
    Sync,
    /// Deleting a file.
    Delete,
    /// Reaching for the shared memory of a write-ahead log. SQLite takes the code `SQLITE_READONLY` for a success here: use another.
    Share,
}

/// A rule by which operations fail.
///
/// ```
/// use faulty_vfs::{Fault, Operation, codes};
///
/// // The third sync of the write-ahead log fails, and every later one.
/// let fault = Fault::on(Operation::Sync, codes::SQLITE_IOERR_FSYNC).file("events.db-wal").nth(3).from_then_on();
/// # let _ = fault;
/// ```
#[derive(Clone, Debug)]
pub struct Fault {
    operations: Vec<Operation>,
    files: Files,
    nth: u64,
    lasting: bool,
    how: How,
    seen: u64,
}

#[derive(Clone, Debug)]
enum Files {
    All,
    Named(String),
    Beginning(String),
}

/// How it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// With this code, and nothing is done.
    Code(c_int),
    /// With this code, when half is written.
    Half(c_int),
    /// It does not, and does nothing.
    Lie,
}

impl Fault {
    fn new(operations: Vec<Operation>, how: How) -> Self {
        Self { operations, files: Files::All, nth: 1, lasting: false, how, seen: 0 }
    }

    /// Operations of this kind answer with this code, and do nothing.
    #[must_use]
    pub fn on(operation: Operation, code: c_int) -> Self {
        Self::new(vec![operation], How::Code(code))
    }

    /// As [`on`](Self::on), whichever of these kinds it is.
    #[must_use]
    pub fn on_any(operations: &[Operation], code: c_int) -> Self {
        Self::new(operations.to_vec(), How::Code(code))
    }

    /// Writes write the first half of what they were to write, and answer with this code.
    #[must_use]
    pub fn half_written(code: c_int) -> Self {
        Self::new(vec![Operation::Write], How::Half(code))
    }

    /// Syncs answer that all is well, and do nothing.
    #[must_use]
    pub fn swallowed_sync() -> Self {
        Self::new(vec![Operation::Sync], How::Lie)
    }

    /// Only on the file of this name.
    #[must_use]
    pub fn file(self, name: impl Into<String>) -> Self {
        Self { files: Files::Named(name.into()), ..self }
    }

    /// Only on files whose names begin so: `events.db` for the database, its journal and its write-ahead log.
    #[must_use]
    pub fn files(self, beginning: impl Into<String>) -> Self {
        Self { files: Files::Beginning(beginning.into()), ..self }
    }

    /// Not before the `n`-th operation that fits, counted from 1 when the rule is made known.
    #[must_use]
    pub fn nth(self, n: u64) -> Self {
        Self { nth: n, ..self }
    }

    /// From then on, and not only once.
    #[must_use]
    pub fn from_then_on(self) -> Self {
        Self { lasting: true, ..self }
    }

    /// How this operation is to fail, if it is.
    pub(crate) fn judge(&mut self, operation: Operation, name: &str) -> Option<How> {
        let fits = self.operations.contains(&operation)
            && match &self.files {
                Files::All => true,
                Files::Named(file) => file == name,
                Files::Beginning(start) => name.starts_with(start.as_str()),
            };
        if !fits {
            return None;
        }
        self.seen += 1;
        let due = self.seen == self.nth || self.lasting && self.seen > self.nth;
        due.then_some(self.how)
    }
}
