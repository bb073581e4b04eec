//! Keeps an eye on a write-ahead log: a reader elsewhere that never ends its transaction lets it grow.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rusqlite::Connection;

use super::database::{Database, PATIENCE};

/// From here on a write-ahead log is worth a warning.
const LARGE: u64 = 256 << 20;

/// After so many bytes that were written it is looked at. Not at every commit: a file system that is asked for a file's times notes the next write to it exactly, and
/// then syncs that along with the data, which makes an fsync a quarter slower.
const LOOK: u64 = 8 << 20;

/// What a commit writes at least: a page.
const PAGE: u64 = 4096;

#[derive(Debug)]
pub(super) struct WalWatch {
    file: PathBuf,
    large: u64,
    /// The size at which to speak next.
    next: u64,
    /// How many bytes were written since it was last looked at, about.
    written: u64,
}

impl WalWatch {
    pub(super) fn new(database: &Database) -> Self {
        Self::with_limit(database, LARGE)
    }

    pub(super) fn with_limit(database: &Database, large: u64) -> Self {
        Self { file: database.beside("-wal"), large, next: large, written: 0 }
    }

    /// To be called after a commit of so many bytes, about. Returns whether it warned.
    pub(super) fn committed(&mut self, bytes: usize, connection: &Connection) -> bool {
        self.written += (bytes as u64).max(PAGE);
        if self.written < LOOK.min(self.large) {
            return false;
        }
        self.written = 0;
        self.look(connection)
    }

    /// Looks now. Returns whether it warned.
    pub(super) fn look(&mut self, connection: &Connection) -> bool {
        let size = || fs::metadata(&self.file).map_or(0, |file| file.len());
        let before = size();
        if before < self.large {
            self.next = self.large;
        }
        if before < self.next {
            return false;
        }
        // Not worth waiting for: the reader that is in the way may stay for hours. What fails here is tried again at
        // the next size, and by SQLite's own folding; nothing is lost by it.
        let folded = connection.busy_timeout(Duration::ZERO).and_then(|()| Database::fold(connection));
        let restored = connection.busy_timeout(PATIENCE);
        if size() < self.large {
            return false;
        }
        self.next = before.saturating_mul(2);
        tracing::warn!(
            file = %self.file.display(),
            bytes = before,
            failure = folded.and(restored).err().map(tracing::field::display),
            "the write-ahead log keeps growing because a reader, perhaps in another program, holds a transaction open; \
             end that transaction, and the file shrinks again"
        );
        true
    }
}
