//! The log: its types, and its events.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::Duration;

use cqrs_core::store::{LogEvent, LogReader, Store, chain};

use crate::args::Which;
use crate::failure::{Done, Failure};
use crate::json;
use crate::store::open;
use crate::table::{self, Cell};

/// How many events are read at a time. What is written may wait for a reader, so nothing of the store is held meanwhile.
const PAGE: u64 = 1024;

/// So many bytes of lines are enough of a page, too.
const BYTES: usize = 1 << 20;

/// How often a log is looked at for more.
const POLL: Duration = Duration::from_millis(100);

pub(crate) fn types(folder: &Path, out: &mut dyn Write) -> Done {
    let types = open(folder)?.reader()?.types()?;
    let rows: Vec<_> = types
        .iter()
        .map(|ty| vec![Cell::text(&ty.name), Cell::number(ty.version), Cell::number(ty.count)])
        .collect();
    Ok(table::write(out, &["event", "version", "count"], &rows)?)
}

pub(crate) fn events(which: &Which, out: &mut dyn Write) -> Done {
    let store = open(&which.folder)?;
    let mut reader = store.reader()?;
    let mut end = reader.head()?.position;
    let last = which.to.unwrap_or(u64::MAX);
    let at = which.from.saturating_sub(1).min(end);
    let checksum = reader.checksum_at(at)?.ok_or_else(|| missing(at))?;
    let left = which.limit.unwrap_or(u64::MAX);
    let mut reading = Reading { which, at, checksum, left, lines: String::new(), broken: None };
    while reading.at < last && reading.left > 0 {
        if reading.at < last.min(end) {
            let done = reading.page(&mut *reader, last.min(end));
            out.write_all(reading.lines.as_bytes())?;
            reading.lines.clear();
            done?;
        } else if which.follow {
            out.flush()?;
            thread::sleep(POLL);
            end = reader.head()?.position;
        } else {
            break;
        }
    }
    Ok(())
}

struct Reading<'a> {
    which: &'a Which,
    /// The last event that was read, and its checksum.
    at: u64,
    checksum: u64,
    /// How many more are to be shown.
    left: u64,
    /// What is to be written.
    lines: String,
    broken: Option<String>,
}

impl Reading<'_> {
    /// Reads up to a page of the events up to and with `to`, of which there is at least one.
    fn page(&mut self, reader: &mut dyn LogReader, to: u64) -> Done {
        let after = self.at;
        let limit = (to - after).min(PAGE) as usize;
        reader.read(after, limit, &mut |event| self.see(&event))?;
        match self.broken.take() {
            Some(broken) => Err(Failure::damaged(broken)),
            None if self.at == after => Err(missing(after + 1)),
            None => Ok(()),
        }
    }

    /// Whether the page is to have another.
    fn see(&mut self, event: &LogEvent<'_>) -> bool {
        if chain(self.checksum, event) != event.checksum {
            self.broken = Some(format!(
                "the log is damaged: the event at position {}, `{}`, is not as it was written: its checksum does not follow from the event \
                 before it. `cqrs verify` tells all that does not hold",
                event.position,
                event.name.escape_debug()
            ));
            return false;
        }
        (self.at, self.checksum) = (event.position, event.checksum);
        let Which { from, types, .. } = self.which;
        if event.position >= *from && (types.is_empty() || types.iter().any(|name| name == event.name)) {
            line(&mut self.lines, event);
            self.left -= 1;
        }
        self.left > 0 && self.lines.len() < BYTES
    }
}

fn missing(position: u64) -> Failure {
    Failure::damaged(format!(
        "the log is damaged: the event at position {position} is missing. `cqrs verify` tells all that does not hold"
    ))
}

fn line(out: &mut String, event: &LogEvent<'_>) {
    let LogEvent { position, name, version, recorded_at, event_id, metadata, payload, .. } = event;
    let _ = write!(out, "{{\"position\":{position},\"recorded_at\":\"{recorded_at}\",\"name\":");
    json::text(out, name);
    let _ = write!(out, ",\"version\":{version},\"event_id\":");
    match event_id {
        Some(id) => json::text(out, id),
        None => out.push_str("null"),
    }
    out.push_str(",\"metadata\":");
    match metadata {
        [] => out.push_str("{}"),
        metadata => json::stored(out, metadata),
    }
    out.push_str(",\"event\":");
    json::stored(out, payload);
    out.push_str("}\n");
}
