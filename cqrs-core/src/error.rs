//! What can go wrong: one enum an operation, with what to do next in the message.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::codec::EncodeError;
use crate::projection::Fault;
use crate::store::{StoreError, StoreId};

/// Why an engine could not be started. Nothing has been changed then.
///
/// Its `Debug` is its text too, since that is what a `main` that returns it prints.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The store could not be opened or read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Two event types have one stored name.
    #[error(
        "the event types `{first}` and `{second}` are both stored as `{name}`: give one of them another name \
         (`#[event(name = \"..\")]`), or take the alias away"
    )]
    SameEventName {
        /// The stored name, or alias.
        name: &'static str,
        /// One type.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// Two projections have one stored name.
    #[error(
        "the projections `{first}` and `{second}` are both stored as `{name}`: give one of them another name \
         (`#[projection(name = \"..\")]`)"
    )]
    SameViewName {
        /// The stored name.
        name: &'static str,
        /// One projection.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// A projection would fold an event twice.
    #[error(
        "the projection `{projection}` reads the event `{event}` through two of its sources: name it in one of them only"
    )]
    ReadTwice {
        /// The projection's Rust name.
        projection: &'static str,
        /// The event's stored name.
        event: &'static str,
    },
    /// The log holds events that no registered type claims.
    #[error("{}", unclaimed(.0))]
    UnknownEvents(Vec<UnknownEvent>),
    /// A program that writes may not pass over whatever it does not know.
    #[error(
        "`.allow_all_unknown()` is for stores that are open read-only: a program that writes names what it passes over, `.allow_unknown(\"..\")`, so that a renamed event makes no \
         view empty"
    )]
    AllUnknown,
    /// The checkpoints were made from another log.
    #[error(
        "{of} was made from the log {found}, and this log is {expected}: views.db belongs to another \
         events.db (or the identity in one of them is damaged). Put the right pair of files together; or delete views.db: it is rebuilt from events.db",
        of = checkpoint(view)
    )]
    OtherLog {
        /// The view's stored name; `None` if it is what the checkpoint as a whole saw of the log.
        view: Option<String>,
        /// The log's identity.
        expected: StoreId,
        /// The identity in the checkpoint.
        found: StoreId,
    },
    /// A checkpoint stands for events that the log does not have.
    #[error(
        "{of} stands at position {position}, and the log ends at {head}: events.db was truncated, replaced by an older copy, or lost the \
         end of its write-ahead log (events.db-wal), and events are missing from it. Put the right events.db back, and the events.db-wal \
         that belongs to it; or, if losing them is intended, delete views.db: it is rebuilt from events.db",
        of = checkpoint(view)
    )]
    LogTooShort {
        /// The view's stored name; `None` if it is what the checkpoint as a whole saw of the log.
        view: Option<String>,
        /// Where the checkpoint stands.
        position: u64,
        /// Where the log ends.
        head: u64,
    },
    /// A checkpoint was made from other events than the log has.
    #[error(
        "{of} was made from another event at position {position} than the log has there: events.db was restored from a backup and appended \
         to since, or replaced, or is damaged there. Put the right events.db back; or, if losing its events is intended, delete views.db: it \
         is rebuilt from events.db",
        of = checkpoint(view)
    )]
    LogDiffers {
        /// The view's stored name; `None` if it is what the checkpoint as a whole saw of the log.
        view: Option<String>,
        /// Where the checkpoint stands.
        position: u64,
    },
    /// The log's chain of checksums is broken.
    #[error(
        "the log is damaged at position {position}: {what}. Put back a backup of events.db that is whole (and delete views.db), or \
         have `SqliteStore::salvage` copy the events before this position into a new folder; those from it on cannot be trusted"
    )]
    Damaged {
        /// The first event that is not as it was written.
        position: u64,
        /// What does not hold.
        what: String,
    },
    /// The system gave no thread.
    #[error("no thread could be started: {0}")]
    Thread(#[source] std::io::Error),
}

impl fmt::Debug for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn checkpoint(view: &Option<String>) -> String {
    view.as_ref()
        .map_or_else(|| "the last checkpoint".into(), |view| format!("the checkpoint of the view `{view}`"))
}

/// Events in the log that no registered type claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownEvent {
    /// The stored name.
    pub name: String,
    /// The stored schema version.
    pub version: u32,
    /// How many there are.
    pub count: u64,
    /// The versions that the type of this name reads, if there is such a type.
    pub reads: Option<RangeInclusive<u32>>,
}

fn unclaimed(events: &[UnknownEvent]) -> String {
    use fmt::Write;
    let mut text = String::from("the log holds events that no registered type reads:");
    for UnknownEvent { name, version, count, reads } in events {
        let _ = write!(text, "\n  `{name}` version {version} ({count} stored): ");
        let _ = match reads {
            Some(reads) if version > reads.end() => write!(
                text,
                "its type reads {} only; it was written by a newer version of this program: run that, or raise the \
                 type's `version` to {version}",
                versions(reads)
            ),
            Some(reads) => write!(
                text,
                "its type reads {} only; add `upcast = ..` to the type of version {}, with a type of version {} that has the fields of then, \
                 and a `From` that turns that one into it; where fields were only added, the version stays, and they are `#[serde(default)]`",
                versions(reads),
                reads.start(),
                reads.start().saturating_sub(1)
            ),
            None => write!(
                text,
                "register its type with `.event::<E>()`; if it was renamed, give the type `#[event(aliases(\"{name}\"))]`; if it is not appended any \
                 more, keep it under `#[event(retired)]`; to pass these events over, `.allow_unknown(\"{name}\")`"
            ),
        };
    }
    text
}

/// "version 2", "versions 1 to 3"
pub(crate) fn versions(reads: &RangeInclusive<u32>) -> String {
    match (reads.start(), reads.end()) {
        (oldest, newest) if oldest == newest => format!("version {newest}"),
        (oldest, newest) => format!("versions {oldest} to {newest}"),
    }
}

/// Why an append did not answer with a receipt.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// This append has brought no event into the log, and will not after a crash. (An earlier one under the same ids or key may have: appended again, once it can be, the
    /// answer is that one's.)
    #[error("nothing was appended: {0}")]
    NotAppended(#[source] Refusal),
    /// The events may be in the log, all of them or none: the commit failed half-way. The store takes no more appends until it is opened
    /// anew; then look at the log, or append again with the same event ids.
    #[error(
        "it is unknown whether the events are in the log: {reason}. Open the store anew, and append again under the same event ids"
    )]
    Unknown {
        /// What happened.
        reason: String,
        /// The store's own error, if it had one.
        #[source]
        source: Option<Arc<StoreError>>,
    },
}

impl AppendError {
    /// What is to be appended may be there already, from an earlier try: whether it is could not be read.
    pub(crate) fn unread(error: Arc<StoreError>) -> Self {
        let reason = format!("whether an earlier try is there could not be read: {error}");
        Self::Unknown { reason, source: Some(error) }
    }
}

/// Why nothing was appended.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The engine has not been told of the event's type.
    #[error("{}", unregistered(name, rust))]
    Unregistered {
        /// The stored name.
        name: &'static str,
        /// The Rust type.
        rust: &'static str,
    },
    /// The event is retired: it is still read from the log.
    #[error(
        "the event type `{name}` is retired, and can no longer be appended: append the event that took its place"
    )]
    Retired {
        /// The stored name.
        name: &'static str,
    },
    /// The payload is larger than the engine takes.
    #[error(
        "`{name}` has {size} bytes, with metadata and id (or key), and the limit is {limit}: keep large data elsewhere, or raise `.payload_limit(..)`"
    )]
    TooLarge {
        /// The stored name.
        name: &'static str,
        /// Bytes of payload, metadata and id; or of a command's key.
        size: usize,
        /// The engine's limit.
        limit: usize,
    },
    /// The event could not be turned into bytes.
    #[error(transparent)]
    Encode(Arc<EncodeError>),
    /// The event id is empty, which would make all such events one.
    #[error("the event id of `{name}` is empty: give each event an id of its own, or none")]
    EmptyId {
        /// The stored name.
        name: &'static str,
    },
    /// The log has an event with this id, and it is not this one.
    #[error("the event id `{id}` is taken: {what}")]
    IdConflict {
        /// The caller's event id.
        id: String,
        /// What differs.
        what: String,
    },
    /// The source of a feed no longer stands where this feed left it.
    #[error(
        "another feed of the source `{name}` has come between: the source stands at {}, and this feed was at {}. End one of them, or give \
         each source (each partition of one) a name of its own",
        offset(.stored), offset(.after)
    )]
    SourceMoved {
        /// The source's name.
        name: String,
        /// The offset that the feed goes on from; `None` is the source's beginning.
        after: Option<u64>,
        /// The offset that is stored.
        stored: Option<u64>,
    },
    /// The key of a command is empty, which would make all such commands one.
    #[error("the key of the command `{name}` is empty: give each command a key of its own, or none")]
    EmptyKey {
        /// The command's name.
        name: &'static str,
    },
    /// A decision with a key has no name: all such decisions would share their keys.
    #[error(
        "a key is kept under a command's name, and what was decided has none: `engine.execute(command)`, or give the closure a name, `.named(\"..\")`"
    )]
    Nameless,
    /// Two types of commands bear one name, and would share their keys: a command of the one would be taken for one of the other that was executed before.
    #[error(
        "two commands are called `{name}`, and would share their keys, `{first}` and `{second}`: give one of them a name of its own, `fn name(&self) -> &'static str`"
    )]
    OneName {
        /// The name.
        name: &'static str,
        /// The type that was executed under a key first.
        first: &'static str,
        /// The type that was refused.
        second: &'static str,
    },
    /// What a decision rests on has been touched. [`Engine::decide`](crate::Engine::decide) decides anew then, and does not answer this.
    #[error("what the decision read has been touched since")]
    Conflict,
    /// It was asked in a decision, which may be made several times, and for nothing.
    #[error(
        "a decision does not append, and does not decide anything else: it emits what is to be appended, `tx.emit(event)`"
    )]
    Deciding,
    /// The store was opened read-only.
    #[error("the store is open read-only")]
    ReadOnly,
    /// The engine has been closed.
    #[error("the engine is closed")]
    Closed,
    /// The store could not.
    #[error(transparent)]
    Store(Arc<StoreError>),
}

/// Why a decision did not answer with a receipt.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DecideError<R> {
    /// It was decided, and refused: the decision's own answer. Nothing was appended.
    #[error("{0}")]
    Refused(R),
    /// A view that it reads does not answer. Nothing was appended.
    #[error("the decision reads the view `{view}`, which does not answer: {error}")]
    Read {
        /// The projection's Rust name.
        view: &'static str,
        /// Why.
        #[source]
        error: ReadError,
    },
    /// Its events could not be appended, or it is unknown.
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl<R> DecideError<R> {
    /// The decision's own refusal, if it is one.
    pub fn refusal(self) -> Option<R> {
        self.apart().ok()
    }

    /// The refusal, or what else it is: an error that `?` takes, whatever a refusal is.
    ///
    /// ```
    /// use cqrs_core::prelude::*;
    /// # #[event]
    /// # pub struct Shipped { pub order: u64 }
    /// struct OutOfStock;
    ///
    /// # let engine = Engine::in_memory().event::<Shipped>().start()?;
    /// let shipped = engine.decide(|tx| {
    ///     tx.emit(Shipped { order: 7 });
    ///     Ok::<(), OutOfStock>(())
    /// });
    /// match shipped.wait() {
    ///     Ok(_) => {}
    ///     Err(error) => {
    ///         let OutOfStock = error.apart()?;
    ///         // Say so to whoever asked.
    ///     }
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// What it is if it is no refusal.
    pub fn apart(self) -> Result<R, DecideError<std::convert::Infallible>> {
        match self {
            Self::Refused(refusal) => Ok(refusal),
            Self::Read { view, error } => Err(DecideError::Read { view, error }),
            Self::Append(error) => Err(DecideError::Append(error)),
        }
    }
}

fn unregistered(name: &str, rust: &str) -> String {
    format!(
        "the event type `{name}` ({rust}) is not registered with this engine: register it with `.event::<E>()`, or a view that reads it"
    )
}

fn offset(offset: &Option<u64>) -> String {
    offset.map_or_else(|| "its beginning".into(), |offset| format!("offset {offset}"))
}

/// Why a feed ended before its stream. What came before the item that ended it is durable, unless that is what failed; feeding again goes on
/// after what is stored.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FeedError<E> {
    /// The stream gave an error. What came before it is in the log.
    #[error("the stream of the source ended with an error: {0}")]
    Stream(E),
    /// The offsets of the stream do not increase, so one of the items would have been taken for one that is in the log. What came before it is in
    /// the log.
    #[error(
        "the source `{name}` gave offset {offset} after offset {before}: offsets have to increase from item to item. Give each partition \
         of a source a name of its own, and the events of one offset as one item (`FeedItem::all`)"
    )]
    OutOfOrder {
        /// The source's name.
        name: String,
        /// The offset before.
        before: u64,
        /// The offset that does not follow it.
        offset: u64,
    },
    /// An event cannot be appended. What came before its item is in the log.
    #[error(
        "the item at offset {offset} of the source `{name}` cannot be appended: {refusal}; what came before it is in the log. \
         Mend it and feed the source again, or leave the item out (`FeedItem::nothing({offset})`)"
    )]
    Refused {
        /// The source's name.
        name: String,
        /// The item's offset.
        offset: u64,
        /// Why.
        refusal: Refusal,
    },
    /// An append failed. What the log has from the source, [`Engine::source`](crate::Engine::source) tells.
    #[error("feeding the source `{name}` failed: {error}")]
    Append {
        /// The source's name.
        name: String,
        /// What became of the append.
        error: AppendError,
    },
    /// The name is empty.
    #[error("the source has no name: give it one, under which its offset is stored")]
    Nameless,
    /// The name begins with `@`, as those of the library's own sources do.
    #[error("the source name `{name}` begins with `@`, which is kept for the library's own: give it another")]
    Reserved {
        /// The source's name.
        name: String,
    },
    /// The source's offset could not be read. Nothing was appended.
    #[error("the offset of the source `{name}` could not be read: {failure}")]
    Store {
        /// The source's name.
        name: String,
        /// Why.
        failure: StoreFailure,
    },
}

/// Why a view does not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The view is new, or its projection has changed, and it is being folded from the log.
    #[error(
        "the view is being rebuilt, {position} of {head} events are folded: wait with `engine.wait_ready()`"
    )]
    Rebuilding {
        /// How far it is.
        position: u64,
        /// Where the log ends.
        head: u64,
    },
    /// The view has stopped.
    #[error(transparent)]
    Faulted(#[from] Fault),
    /// The engine has been closed.
    #[error("the engine is closed")]
    Closed,
}

/// Why parked events were not tried again, or to no end. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RefoldError {
    /// The engine was not started with the view.
    #[error(transparent)]
    NoSuchView(#[from] NoSuchView),
    /// The view, or one that it is folded with, is being rebuilt: that tries all its events.
    #[error(
        "the view, or one that it is folded with, is being rebuilt, {position} of {head} events are folded: wait with `engine.wait_ready()`"
    )]
    Rebuilding {
        /// How far it is.
        position: u64,
        /// Where the log ends.
        head: u64,
    },
    /// Parked events of the view, or of one that it is folded with, are being tried again already.
    #[error("the view's parked events are being tried again already: wait for that")]
    Running,
    /// The view has stopped: what stopped it was not parked.
    #[error("the view has stopped, by an event that was not parked: {0}")]
    Faulted(Fault),
    /// Folded anew, a view would stop: this one, or one that it is folded with. It goes on as it was.
    #[error("folded anew, a view would stop, so everything was left as it was: {0}")]
    WouldStop(Fault),
    /// The log could not be folded anew.
    #[error("the log could not be folded anew: {0}")]
    Unfoldable(String),
    /// The store was opened read-only: its views are those of the process that writes it.
    #[error("the store is open read-only: retry in the process that writes it")]
    ReadOnly,
    /// The engine has been closed.
    #[error("the engine is closed")]
    Closed,
}

impl From<ReadError> for RefoldError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Rebuilding { position, head } => Self::Rebuilding { position, head },
            ReadError::Faulted(fault) => Self::Faulted(fault),
            ReadError::Closed => Self::Closed,
        }
    }
}

/// A projection that the engine was not started with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the projection `{projection}` is not a view of this engine: start it with `.view::<{projection}>()`"
)]
pub struct NoSuchView {
    /// The projection's Rust name.
    pub projection: &'static str,
}

/// Why a reaction was not begun.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReactError {
    /// The name is none.
    #[error(
        "`{name}` is no name for a reaction: its position is stored under it, so it is not empty, and without `/` and control characters"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// A reaction of this name runs.
    #[error("the reaction `{name}` is running: stop it first, or give this one a name of its own")]
    InUse {
        /// Its name.
        name: String,
    },
    /// The engine has not been told of the event's type.
    #[error("{}", unregistered(name, rust))]
    Unregistered {
        /// The stored name.
        name: &'static str,
        /// The Rust type.
        rust: &'static str,
    },
    /// It was asked in a decision, which may be made several times, and for nothing.
    #[error("a decision begins no reaction: it emits what is to be appended, `tx.emit(event)`")]
    Deciding,
    /// The store was opened read-only.
    #[error("the store is open read-only, and a reaction stores how far it is")]
    ReadOnly,
    /// The engine has been closed.
    #[error("the engine is closed")]
    Closed,
    /// Where it begins could not be stored.
    #[error("where the reaction `{name}` begins could not be stored: {error}")]
    Append {
        /// Its name.
        name: String,
        /// What became of it.
        error: AppendError,
    },
    /// Its position could not be read.
    #[error("the position of the reaction `{name}` could not be read: {failure}")]
    Store {
        /// Its name.
        name: String,
        /// Why.
        failure: StoreFailure,
    },
    /// The system gave no thread.
    #[error("no thread could be started: {0}")]
    Thread(#[source] Arc<std::io::Error>),
}

/// Why a parked event is still parked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RetryError {
    /// No event is parked there.
    #[error("the reaction `{name}` has no parked event at position {position}")]
    NotParked {
        /// The reaction's name.
        name: String,
        /// The position.
        position: u64,
    },
    /// It was handled once more, and failed.
    #[error("the event at position {position} failed again: {reason}")]
    Failed {
        /// Its position.
        position: u64,
        /// Why.
        reason: String,
    },
    /// The reaction has stopped, or stops.
    #[error("the reaction `{name}` does not run: {reason}")]
    Stopped {
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
    /// It was asked by the reaction's own handler, which is not called within itself.
    #[error("a reaction's handler does not retry what the reaction has parked: do it from elsewhere")]
    Reacting,
    /// It was asked in a decision, which may be made several times, and for which the reaction may have to wait.
    #[error("a decision retries nothing that a reaction has parked: do it from elsewhere")]
    Deciding,
    /// What it emitted could not be stored.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// It could not be read.
    #[error(transparent)]
    Store(#[from] StoreFailure),
}

/// Why waiting for a receipt makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// The receipt is for another log.
    #[error(
        "the receipt is for the log {found}, and this engine's is {expected}: it was sent to the wrong place"
    )]
    OtherLog {
        /// The engine's log.
        expected: StoreId,
        /// The receipt's.
        found: StoreId,
    },
    /// The reaction does not run.
    #[error("the reaction `{name}` does not run: {reason}")]
    Stopped {
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
    /// The engine has been closed.
    #[error("the engine is closed")]
    Closed,
}

/// Why a subscription gave no change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChangesError {
    /// The subscriber was too slow: its backlog was full when the view reached `position`. The subscription has ended; subscribe anew.
    #[error(
        "the subscriber lagged behind, and its backlog was full at position {position}: subscribe anew, or with a larger `backlog(..)`"
    )]
    Lagged {
        /// Where the view was.
        position: u64,
    },
    /// The view has stopped, and with it the subscription.
    #[error(transparent)]
    Faulted(#[from] Fault),
    /// The engine has been closed.
    #[error("the engine is closed")]
    Closed,
    /// No change within the time given. The subscription goes on.
    #[error("nothing changed within the time given")]
    TimedOut,
}

/// Why a stream of events gave no event.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventsError {
    /// The engine has not been told of the type, so none of its events can come. The stream has ended.
    #[error("{}", unregistered(name, rust))]
    Unregistered {
        /// The stored name.
        name: &'static str,
        /// The Rust type.
        rust: &'static str,
    },
    /// An event cannot be read as the type asked for. The stream has ended.
    #[error("the event at position {position}, `{event}`, cannot be read: {reason}")]
    Undecodable {
        /// Its position.
        position: u64,
        /// Its stored name.
        event: String,
        /// Why.
        reason: String,
    },
    /// The log's chain of checksums is broken. The stream has ended.
    #[error(
        "the log is damaged at position {position}: {what}. Put back a backup of events.db that is whole"
    )]
    Damaged {
        /// The first event that is not as it was written.
        position: u64,
        /// What does not hold.
        what: String,
    },
    /// The store could not be read. The stream has ended.
    #[error(transparent)]
    Store(Arc<StoreError>),
    /// The engine has been closed.
    #[error("the engine is closed")]
    Closed,
    /// No event within the time given. The stream goes on.
    #[error("no event within the time given")]
    TimedOut,
}

/// Why an engine is not ready.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotReady {
    /// No view is being rebuilt any more, and these have stopped.
    #[error("{}", faults(.0))]
    Faulted(Vec<Fault>),
    /// The engine has been closed.
    #[error("the engine is closed")]
    Closed,
}

fn faults(faults: &[Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Why a checkpoint or a backup was not made, or a close was not clean.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreFailure {
    /// The engine has been closed.
    #[error("the engine is closed")]
    Closed,
    /// The store could not.
    #[error(transparent)]
    Store(Arc<StoreError>),
}

impl From<StoreError> for StoreFailure {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}
