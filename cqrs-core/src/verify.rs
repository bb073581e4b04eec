//! What [`Builder::verify`](crate::Builder::verify) finds out about a store.

use std::fmt;

use crate::store::StoreId;

/// A store, checked: what is in it, and everything that does not hold. Its `Display` is for a person to read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// The log's identity.
    pub store: StoreId,
    /// How many events could be read.
    pub events: u64,
    /// Where the log ends.
    pub position: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// The views that have a checkpoint, by name.
    pub views: Vec<VerifiedView>,
    /// What does not hold, at most the first thousand of it.
    pub findings: Vec<Finding>,
    /// How many findings there are beyond those.
    pub unlisted: u64,
}

/// A view's checkpoint, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifiedView {
    /// Its stored name.
    pub name: String,
    /// The last event that its checkpoint stands for.
    pub position: u64,
    /// How many rows the checkpoint has.
    pub rows: u64,
    /// Whether its rows, and what SQL shows of them, were held against a fold of the log from its beginning. Not where the view is not
    /// registered, its projection is another by now, or the log cannot be read so far.
    pub folded: bool,
}

/// One thing that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
#[non_exhaustive]
pub struct Finding {
    /// Where.
    pub place: Place,
    /// What.
    pub what: String,
}

/// What a finding is about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// The log: the only copy of what happened.
    Log,
    /// The program: what is stored is as it was written, and this program's types do not read it, or its projections do not fold it.
    Program,
    /// The checkpoints as a whole. They are disposable.
    Checkpoints,
    /// One view's checkpoint.
    View(String),
    /// What SQL shows of one view. The engine itself does not read it.
    Sql(String),
}

impl Verified {
    /// Whether everything holds.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.findings.is_empty()
    }

    /// Whether the log holds, whatever the checkpoints are: then nothing is lost.
    #[must_use]
    pub fn is_log_whole(&self) -> bool {
        // What is not listed may be about anything.
        self.unlisted == 0 && self.findings.iter().all(|finding| finding.place != Place::Log)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log => f.write_str("the log"),
            Self::Program => f.write_str("this program"),
            Self::Checkpoints => f.write_str("the checkpoints"),
            Self::View(view) => write!(f, "the checkpoint of the view `{view}`"),
            Self::Sql(view) => write!(f, "what SQL shows of the view `{view}`"),
        }
    }
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { store, events, position, bytes, views, findings, unlisted } = self;
        write!(
            f,
            "the log {store}: {events} events, the last at position {position}; {bytes} bytes on disk"
        )?;
        for VerifiedView { name, position, rows, folded } in views {
            let how = if *folded { "held against the log" } else { "by its checksums only" };
            write!(f, "\n  the view `{name}` at position {position}: {rows} rows, {how}")?;
        }
        if self.is_whole() {
            return f.write_str("\neverything holds");
        }
        write!(f, "\n{} findings:", findings.len() as u64 + unlisted)?;
        for finding in findings {
            write!(f, "\n  {finding}")?;
        }
        if *unlisted > 0 {
            write!(f, "\n  and {unlisted} more")?;
        }
        if !self.is_log_whole() {
            f.write_str(
                "\nThe log is the only copy of what happened: put back a backup that is whole, or copy what is whole of it with \
                 `SqliteStore::salvage`.",
            )?;
        }
        if findings.iter().any(|finding| finding.place == Place::Program) {
            f.write_str(
                "\nWhat this program does not read is whole: mend its types, or run the version of it that wrote the events. Delete nothing.",
            )?;
        }
        if findings.iter().any(|finding| !matches!(finding.place, Place::Log | Place::Program)) {
            f.write_str(
                "\nCheckpoints are disposable: delete views.db, views.db-wal and views.db-shm while no engine has the folder open, and they \
                 are rebuilt from the log.",
            )?;
        }
        Ok(())
    }
}
