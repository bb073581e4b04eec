//! The arguments, and the help texts, which are their doc comments.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Looks into a store, without the program that wrote it.
///
/// A store is the folder that the program gives to `Engine::open`, with events.db (the log) and views.db (its views) in it. It is only read, also while a
/// program has it open, which does not wait for the reader. (SQLite may leave its own -shm and empty -wal files beside the two.)
#[derive(Debug, Parser)]
#[command(
    name = "cqrs",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 all went well; 1 the store has something wrong, which is told; 2 a wrong argument; 3 it \
                  cannot be opened, or does not have what is asked for."
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) show: Show,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Show {
    /// The types of events that the log has: stored name, version, how many
    #[command(after_help = "Example: cqrs types ./shop")]
    Types {
        /// The store's folder
        folder: PathBuf,
    },
    Events(Which),
    /// The views that are saved: how far each is, and whether it has stopped
    ///
    /// A row a view: its name, the position of the last event that it has folded, its lag behind the log's end, how much is stored of it (its rows, with those
    /// that `having` hides, and the elements of its columns, of which a `collect` has many), and its state: `live`, or what stopped it.
    ///
    /// It is what views.db says, which is up to about half a second behind the program that has the store open.
    #[command(after_help = "Example: cqrs views ./shop")]
    Views {
        /// The store's folder
        folder: PathBuf,
    },
    /// The rows of a view, as SQL shows them
    ///
    /// It is what views.db says, which is up to about half a second behind the program that has the store open. All rows are read before
    /// the first is written. For more than a look, ask with SQL: `sqlite3 -readonly ./shop/views.db "SELECT .."`.
    #[command(after_help = "Example: cqrs rows ./shop customer_purchases --limit 20")]
    Rows {
        /// The store's folder
        folder: PathBuf,
        /// The view's stored name, as `cqrs views` has it
        view: String,
        /// No more rows than these
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
        /// A JSON object a line, in place of a table; bytes are text, "0x00ff"
        #[arg(long)]
        json: bool,
    },
    /// The sources that are fed into the log: how far each has been taken in
    #[command(after_help = "Example: cqrs sources ./shop")]
    Sources {
        /// The store's folder
        folder: PathBuf,
    },
    /// The reactions: the last event that each has handled, its lag behind the log's end, how many events it has parked
    #[command(after_help = "Example: cqrs reactions ./shop")]
    Reactions {
        /// The store's folder
        folder: PathBuf,
    },
    /// The events that a reaction has parked: it could not handle them, and has gone on without
    ///
    /// `cqrs events FOLDER --from N --to N` shows the event of a position. They are retried by the program itself (`Reaction::retry`).
    #[command(after_help = "Example: cqrs parked ./shop mail")]
    Parked {
        /// The store's folder
        folder: PathBuf,
        /// The reaction's name, as `cqrs reactions` has it
        reaction: String,
    },
    /// Checks the whole store, and tells everything that does not hold
    ///
    /// Both files, the log's chain of checksums, and the checkpoints by theirs. What only the program can check, with its types, is not checked: that its events
    /// can be read, and that its views come out the same (`Builder::verify`).
    #[command(after_help = "Example: cqrs verify ./shop && echo whole")]
    Verify {
        /// The store's folder
        folder: PathBuf,
    },
    /// Copies the store as it is now, also while a program has it open
    #[command(after_help = "Example: cqrs backup ./shop /backups/shop-monday")]
    Backup {
        /// The store's folder
        folder: PathBuf,
        /// A folder that does not exist, or is empty
        to: PathBuf,
    },
    /// Makes a new store of the beginning of a damaged one that is whole
    ///
    /// Every event up to the first that is missing, cannot be read, or is not as it was written. FROM is only read. For when there is no
    /// backup that reaches as far. That something is lost is told and is no failure: the exit code is 0.
    #[command(after_help = "Example: cqrs salvage ./shop ./shop-mended")]
    Salvage {
        /// The damaged store's folder
        from: PathBuf,
        /// A folder that does not exist, or is empty
        to: PathBuf,
    },
}

/// The events, a JSON object a line
///
/// Each has `position`, `recorded_at` (RFC 3339, UTC), `name`, `version`, `event_id` (or null), `metadata`, and `event`, which is as it was
/// written: of its own version, with its fields' names. Bytes are text, "0x00ff", and so are integers of 128 bits, which are stored as
/// bytes; NaN and infinities are text ("NaN", "inf"), and so are the keys of all maps.
///
/// The chain of checksums is verified on the way, from the event before the first on. Damage ends it with a message and exit code 1.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: cqrs events ./shop --type Purchased --limit 10\n         cqrs events ./shop --from 1000 --follow | jq .event"
)]
pub(crate) struct Which {
    /// The store's folder
    pub(crate) folder: PathBuf,
    /// The first position
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) from: u64,
    /// The last position
    #[arg(long, value_name = "N")]
    pub(crate) to: Option<u64>,
    /// Only events of this stored name; may be given several times
    #[arg(long = "type", value_name = "NAME")]
    pub(crate) types: Vec<String>,
    /// Goes on with events as they are appended, until it is interrupted
    #[arg(long)]
    pub(crate) follow: bool,
    /// No more events than these
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
}
