//! The store itself: opened, checked, copied; and what it keeps beside its events.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use cqrs_core::codec::Readable;
use cqrs_core::store::{SqliteStore, Store};
use cqrs_core::{Engine, Timestamp};

use crate::failure::{Done, Failure};
use crate::table::{self, Cell};

/// What the source of a reaction begins with.
const REACTION: &str = "@react/";

/// What the notes of parked events begin with; the reaction's name and the position follow.
const PARKED: &str = "parked/";

pub(crate) fn open(folder: &Path) -> Result<SqliteStore, Failure> {
    Ok(SqliteStore::open_read_only(folder)?)
}

pub(crate) fn sources(folder: &Path, out: &mut dyn Write) -> Done {
    let sources = open(folder)?.reader()?.sources()?;
    let rows: Vec<_> = sources
        .iter()
        .filter(|(name, _)| !name.starts_with(REACTION))
        .map(|(name, offset)| vec![Cell::text(name), Cell::number(offset)])
        .collect();
    Ok(table::write(out, &["source", "offset"], &rows)?)
}

#[derive(Default)]
struct Reaction {
    position: u64,
    parked: u64,
}

/// The reactions that have left something in the log, by name.
fn all_reactions(store: &SqliteStore) -> Result<BTreeMap<String, Reaction>, Failure> {
    let mut reader = store.reader()?;
    let mut reactions: BTreeMap<String, Reaction> = BTreeMap::new();
    for (source, position) in reader.sources()? {
        if let Some(name) = source.strip_prefix(REACTION) {
            reactions.entry(name.to_owned()).or_default().position = position;
        }
    }
    reader.notes(PARKED, &mut |key, _| {
        if let Some((name, _)) = key[PARKED.len()..].split_once('/') {
            reactions.entry(name.to_owned()).or_default().parked += 1;
        }
        true
    })?;
    Ok(reactions)
}

pub(crate) fn reactions(folder: &Path, out: &mut dyn Write) -> Done {
    let store = open(folder)?;
    let reactions = all_reactions(&store)?;
    let end = store.reader()?.head()?.position;
    let row = |(name, reaction): (&String, &Reaction)| {
        let Reaction { position, parked } = *reaction;
        let lag = end.saturating_sub(position);
        vec![Cell::text(name), Cell::number(position), Cell::number(lag), Cell::number(parked)]
    };
    let rows: Vec<_> = reactions.iter().map(row).collect();
    Ok(table::write(out, &["reaction", "position", "lag", "parked"], &rows)?)
}

pub(crate) fn parked(folder: &Path, reaction: &str, out: &mut dyn Write) -> Done {
    let store = open(folder)?;
    let reactions = all_reactions(&store)?;
    if !reactions.contains_key(reaction) {
        let names = list(reactions.keys().map(String::as_str));
        return Err(Failure::Unreadable(format!(
            "there is no reaction `{reaction}` in the log, which has {names}"
        )));
    }
    let prefix = format!("{PARKED}{reaction}/");
    let mut rows = Vec::new();
    store.reader()?.notes(&prefix, &mut |key, note| {
        rows.extend(key[prefix.len()..].parse().ok().map(|position| parked_row(position, note)));
        true
    })?;
    Ok(table::write(out, &["position", "event", "attempts", "at", "reason"], &rows)?)
}

/// A parked event, as it was noted. What is not there, since another version of the library wrote it, stays empty.
fn parked_row(position: u64, note: &[u8]) -> Vec<Cell> {
    let fields = match Readable::of(note) {
        Ok(Readable::Map(fields)) => fields,
        _ => Vec::new(),
    };
    let field = |name: &str| {
        let is = |key: &Readable| matches!(key, Readable::Text(key) if key == name);
        match fields.iter().find(|(key, _)| is(key)) {
            None => String::new(),
            Some((_, Readable::Text(text))) => text.clone(),
            Some((_, other)) => other.to_string(),
        }
    };
    let at = field("at");
    let at = at.parse().map_or(at, |micros| Timestamp::from_micros(micros).to_string());
    vec![
        Cell::number(position),
        Cell::text(&field("event")),
        Cell::number(field("attempts")),
        Cell::text(&at),
        Cell::text(&field("reason")),
    ]
}

pub(crate) fn verify(folder: &Path, out: &mut dyn Write) -> Done {
    let verified = Engine::open_read_only(folder)?.verify()?;
    let written = writeln!(out, "{verified}");
    // Whether anybody reads all of it or not.
    if verified.is_whole() { Ok(written?) } else { Err(Failure::Damaged(None)) }
}

pub(crate) fn backup(folder: &Path, to: &Path, out: &mut dyn Write) -> Done {
    open(folder)?.backup(to)?;
    let copy = open(to)?;
    writeln!(out, "copied up to position {}", copy.reader()?.head()?.position)?;
    if folder.join("views.db").exists() && !to.join("views.db").exists() {
        let what =
            "the copy has no views.db, since that of the store cannot be read. The program makes it anew";
        return Err(Failure::damaged(what));
    }
    Ok(())
}

pub(crate) fn salvage(from: &Path, to: &Path, out: &mut dyn Write) -> Done {
    Ok(writeln!(out, "{}", SqliteStore::salvage(from, to)?)?)
}

/// Names in a sentence.
pub(crate) fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}
