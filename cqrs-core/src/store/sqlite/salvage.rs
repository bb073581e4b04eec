//! A new store out of a damaged one: the longest beginning of its log that is whole.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::SqliteStore;
use super::backup::prepare;
use super::checkpoints::SqliteCheckpoints;
use super::folder::{Folder, SALVAGED, io_failure, rename, sync_folder};
use super::reader::SqliteReader;
use crate::Timestamp;
use crate::store::{
    Advance, AppendFailure, Beside, Checkpoints, Head, Log, LogEvent, LogReader, Note, Store, StoreError,
    StoreId, Witness, chain,
};

/// How much is copied at a time.
const EVENTS: usize = 4096;
const BYTES: usize = 8 << 20;

/// What [`SqliteStore::salvage`] copied, and what it could not. Its `Display` is for a person to read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Salvaged {
    /// The new log's identity.
    pub store: StoreId,
    /// How many events were copied: those at the positions from 1 to this.
    pub events: u64,
    /// How many events behind them there are traces of, and are not in the new log. There may have been more.
    pub lost: u64,
    /// Why the copy ends where it does; `None` if that is the log's end.
    pub why: Option<String>,
    /// How far each source had been fed, where that is not carried over: it is if nothing is lost. Otherwise some of a source's events may be among
    /// those lost, and which is not recorded: to feed the source from its beginning doubles what was copied, unless its events bear ids.
    pub sources: BTreeMap<String, u64>,
    /// Why it is not known how far sources had been fed, if it is not: then none of it is carried over.
    pub sources_unknown: Option<String>,
    /// How many notes were copied: those that are whole, if no event is lost, and none otherwise. What a note says may be about an event that
    /// is lost, and which is not known: one that says that a command was executed would keep it from being executed again.
    pub notes: u64,
    /// How many other notes there are traces of, and are not in the new log.
    pub notes_lost: u64,
    /// Why they are not, if there are any.
    pub notes_why: Option<String>,
}

impl fmt::Display for Salvaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "events copied: {}", self.events)?;
        match &self.why {
            None => f.write_str(", the whole log"),
            Some(why) => write!(f, "; not copied: at least {}, because {why}", self.lost),
        }?;
        if let Some(why) = &self.sources_unknown {
            write!(f, "; how far sources had been fed is not known, and not carried over, because {why}")?;
        }
        for (source, offset) in &self.sources {
            write!(f, "; the source {source:?} was at offset {offset}, which is not carried over")?;
        }
        if let Some(why) = &self.notes_why {
            write!(
                f,
                "; notes copied: {}, not copied: at least {}, because {why}",
                self.notes, self.notes_lost
            )?;
        }
        Ok(())
    }
}

pub(super) fn salvage(from: &Path, to: &Path) -> Result<Salvaged, StoreError> {
    let from = Arc::new(Folder::open_read_only(from)?);
    let mut reader = SqliteReader::new(&from.events)?;
    prepare(to)?;
    // Half a copy is not to be taken for a store, whatever happens to this process.
    let partial = to.join(SALVAGED);
    let copied = copy(&from, &mut reader, &partial).and_then(|salvaged| {
        move_out(&partial, to)?;
        Ok(salvaged)
    });
    let _ = fs::remove_dir_all(&partial);
    copied
}

/// Gives the log its place: from then on, the folder is a store.
fn move_out(partial: &Path, to: &Path) -> Result<(), StoreError> {
    let left = partial.join("events.db-wal");
    if fs::metadata(&left).is_ok_and(|file| file.len() > 0) {
        let why = "another program reads it, so it could not be completed; keep others away from the new folder and try again";
        let action = format!("closing {}", left.display());
        return Err(StoreError::Io { action, source: why.into() });
    }
    rename(&partial.join("events.db"), &to.join("events.db"))?;
    sync_folder(Some(to))?;
    fs::remove_dir_all(partial).map_err(|e| io_failure("removing", partial, e))
}

fn copy(from: &Arc<Folder>, reader: &mut SqliteReader, to: &Path) -> Result<Salvaged, StoreError> {
    let store = SqliteStore::open(to)?;
    let mut log = store.log()?;
    // The witness first, which is not ahead of the log; and then one state of that, which may be in use.
    let witnessed = witnessed(from, reader);
    reader.hold()?;
    let (mut head, mut why) = (Head::default(), None);
    while why.is_none() {
        let (page, stop) = next_page(reader, head);
        why = stop;
        if page.is_empty() {
            break;
        }
        head = append(&mut *log, head, &page, &mut why)?;
    }
    let lost = witnessed.max(known_end(reader)).saturating_sub(head.position);
    if lost > 0 {
        why.get_or_insert_with(|| "the log ends there, and there are traces of events behind it".into());
    }
    let (mut sources, sources_unknown) = match reader.sources() {
        Ok(sources) => (sources, None),
        Err(error) => (BTreeMap::new(), Some(error.to_string())),
    };
    if why.is_none() {
        let sources = std::mem::take(&mut sources);
        let advances: Vec<_> =
            sources.iter().map(|(source, to)| Advance { source, after: None, to: *to }).collect();
        log.append(head, &[], &Beside { advances: &advances, notes: &[] }).map_err(refused)?;
    }
    let (notes, notes_lost, notes_why) = match &why {
        None => copy_notes(reader, &mut *log, head)?,
        Some(_) => leave_notes(reader),
    };
    drop(log);
    let store_id = store.id();
    store.close()?;
    let events = head.position;
    Ok(Salvaged {
        store: store_id,
        events,
        lost,
        why,
        sources,
        sources_unknown,
        notes,
        notes_lost,
        notes_why,
    })
}

/// Copies the notes that are whole: how many, how many others there are traces of, and why those are not copied.
fn copy_notes(
    reader: &SqliteReader,
    log: &mut dyn Log,
    head: Head,
) -> Result<(u64, u64, Option<String>), StoreError> {
    let (mut page, mut bytes, mut put) = (Vec::new(), 0, Ok(()));
    let mut write = |page: &mut Vec<(String, Vec<u8>)>| {
        let notes: Vec<_> = page.iter().map(|(key, value)| Note { key, value: Some(value) }).collect();
        let written = log.append(head, &[], &Beside { advances: &[], notes: &notes });
        page.clear();
        written.map_err(refused)
    };
    let found = reader.survey(&mut |key, value| {
        bytes += key.len() + value.len();
        page.push((key.to_owned(), value.to_vec()));
        if page.len() == EVENTS || bytes >= BYTES {
            bytes = 0;
            put = write(&mut page);
        }
        put.is_ok()
    });
    put.and_then(|()| write(&mut page))?;
    Ok((found.whole, found.lost(), (!found.wrong.is_empty()).then(|| found.wrong.join("; "))))
}

/// As [`copy_notes`], where events are lost.
fn leave_notes(reader: &SqliteReader) -> (u64, u64, Option<String>) {
    let found = reader.survey(&mut |_, _| true);
    let left = found.whole + found.lost();
    let any = left > 0 || !found.wrong.is_empty();
    (0, left, any.then(|| "what they say may be about events that are lost".into()))
}

/// The next events that are whole, and why there are no more, unless it is for the size of the page or the log's end.
fn next_page(reader: &mut SqliteReader, after: Head) -> (Vec<Kept>, Option<String>) {
    let (mut page, mut bytes, mut why) = (Vec::new(), 0, None);
    let mut last = after.checksum;
    let read = reader.read(after.position, EVENTS, &mut |event| {
        if chain(last, &event) != event.checksum {
            let position = event.position;
            why = Some(format!("the event at position {position} is not as it was written, by its checksum"));
            return false;
        }
        last = event.checksum;
        bytes += event.payload.len();
        page.push(Kept::of(&event));
        bytes < BYTES
    });
    (page, why.or_else(|| read.err().map(|error| error.to_string())))
}

/// Appends a page. An event that the new log does not take, because of an id that comes twice, ends the copy.
fn append(
    log: &mut dyn Log,
    after: Head,
    page: &[Kept],
    why: &mut Option<String>,
) -> Result<Head, StoreError> {
    let events: Vec<LogEvent<'_>> = page.iter().map(Kept::event).collect();
    let end = |events: &[LogEvent<'_>]| {
        events.last().map_or(after, |last| Head { position: last.position, checksum: last.checksum })
    };
    match log.append(after, &events, &Beside::default()) {
        Ok(()) => return Ok(end(&events)),
        Err(AppendFailure::NotAppended(error)) if taken(&events, &error) => {}
        Err(error) => return Err(refused(error)),
    }
    for (at, event) in events.iter().enumerate() {
        match log.append(end(&events[..at]), std::slice::from_ref(event), &Beside::default()) {
            Ok(()) => {}
            Err(AppendFailure::NotAppended(error)) if taken(&[*event], &error) => {
                *why = Some(format!("the event at position {} is not taken: {error}", event.position));
                return Ok(end(&events[..at]));
            }
            Err(error) => return Err(refused(error)),
        }
    }
    Ok(end(&events))
}

fn refused(failure: AppendFailure) -> StoreError {
    match failure {
        AppendFailure::NotAppended(error) | AppendFailure::Unknown(error) => error,
        AppendFailure::HeadMoved(_) => StoreError::Locked { path: "the new folder".into() },
    }
}

/// Whether an append failed for an event id that comes twice, and not for the disk.
fn taken(events: &[LogEvent<'_>], error: &StoreError) -> bool {
    let StoreError::Io { source, .. } = error else { return false };
    let said = source.to_string();
    events.iter().filter_map(|event| event.event_id).any(|id| said == crate::store::memory::id_taken(id))
}

/// Where the last checkpoint saw the log end, if it is one of this log.
fn witnessed(from: &Arc<Folder>, reader: &mut SqliteReader) -> u64 {
    let witness = || SqliteCheckpoints::open_to_read(from).ok()?.witness().ok()?;
    let of_it = |witness: &Witness| reader.id().map_or(true, |id| id == witness.store);
    witness().filter(of_it).map_or(0, |witness| witness.head.position)
}

/// The last position of which there is a trace in the log: an event behind the damage, or the count of types.
fn known_end(reader: &mut SqliteReader) -> u64 {
    let counted =
        reader.types().map_or(0, |types| types.iter().fold(0_u64, |sum, ty| sum.saturating_add(ty.count)));
    counted.max(reader.last_position())
}

/// An event on its way.
struct Kept {
    position: u64,
    name: String,
    version: u32,
    recorded_at: Timestamp,
    event_id: Option<String>,
    metadata: Vec<u8>,
    payload: Vec<u8>,
    checksum: u64,
}

impl Kept {
    fn of(event: &LogEvent<'_>) -> Self {
        Self {
            position: event.position,
            name: event.name.to_owned(),
            version: event.version,
            recorded_at: event.recorded_at,
            event_id: event.event_id.map(str::to_owned),
            metadata: event.metadata.to_vec(),
            payload: event.payload.to_vec(),
            checksum: event.checksum,
        }
    }

    fn event(&self) -> LogEvent<'_> {
        LogEvent {
            position: self.position,
            name: &self.name,
            version: self.version,
            recorded_at: self.recorded_at,
            event_id: self.event_id.as_deref(),
            metadata: &self.metadata,
            payload: &self.payload,
            checksum: self.checksum,
        }
    }
}
