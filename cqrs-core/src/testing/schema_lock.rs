//! What stored events look like, in a committed file, so that a change that could not read them any more fails a test.

use std::fmt::Write;
use std::path::Path;

use super::lock_file::{LockFile, Setting, Update, escaped, unescaped};
use super::types;
use crate::event::Event;
use crate::schema::{Field, Schema};

/// Holds what your events are now against what they were when events were stored: a change that would make stored events unreadable fails a test, before a
/// release finds out at its start, or a view stops.
///
/// Every event's stored name, version, aliases and fields are in a file of lines that is committed with the code. The first run writes it. Afterwards
/// - a change that old events can be read after (a new event, a field that may be missing, a field that is gone, a type that reads what the old one wrote) fails
///   until the file is brought up to date with the environment variable `CQRS_UPDATE=1`, which a review then sees;
/// - a change that old events cannot be read after fails, and says what to do: a new field that is required, a field of another type, a name, an alias or a
///   version that nobody reads. `CQRS_UPDATE=force` writes the file anew all the same, for events that were never stored anywhere.
///
/// Versions that were stored stay in the file, and go on being checked; so do fields that are gone, since old events have them. Where the variable `CI` is set, a
/// missing file is not written.
///
/// Types are compared as they are written. These are taken to be read as each other, and no others: wider integers, `f32` as `f64`, `T` as `Option<T>`, text as text
/// (`String`, `&str`, `Box<str>`, `Cow<str>`, a `char`), sequences and sets as each other, maps as each other, and all of that inside `Option`, `Box`, `Arc` and collections.
///
/// What it does not see: what is inside a type of your own (add a field to a `#[value]` struct, and it is the test of a [`fold_lock`](super::fold_lock()) that fails), `deny_unknown_fields`,
/// `with` and `flatten`. Versions of before are held against the types that they are upcast from, which are not to be named here.
///
/// ```
/// use cqrs_core::prelude::*;
/// use cqrs_core::testing::SchemaLock;
///
/// #[event]
/// pub struct Purchased { pub customer: String, pub qty: i32 }
///
/// #[event]
/// pub enum Cart { Added { item: String }, Cleared {} }
///
/// # let path = "src/testing/schema_lock/example.lock";
/// # let _ = r#"
/// // #[test]
/// let path = "tests/events.lock"; // in the crate's folder
/// # "#;
/// SchemaLock::new(path).event::<Purchased>().event::<Cart>().check();
/// # assert!(std::fs::read_to_string(path)?.contains("event Purchased version 1\n  field customer String required\n"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "check it: `.check()`"]
pub struct SchemaLock {
    file: LockFile,
    now: Vec<Schema>,
}

impl SchemaLock {
    /// A lock in the file of this path, relative to the folder of the crate that is tested.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self { file: LockFile::new(path.as_ref()), now: Vec::new() }
    }

    /// Locks an event type, or all types of an enum.
    pub fn event<E: Event>(mut self) -> Self {
        for schema in E::TYPES {
            if self.now.iter().all(|known| known.rust != schema.rust) {
                self.now.push(*schema);
            }
        }
        self
    }

    /// Holds the events against the file.
    ///
    /// # Panics
    ///
    /// If the file is not what the events are.
    #[track_caller]
    pub fn check(self) {
        if let Err(why) = Setting::of_env().and_then(|setting| self.hold(setting)) {
            panic!("{why}");
        }
    }

    pub(super) fn hold(&self, setting: Setting) -> Result<(), String> {
        let Some(text) = self.file.read()? else {
            return self.file.create(&write(&merge(&[], &self.now, &[])), setting);
        };
        let locked = parse(&text).map_err(|(line, what)| self.file.unreadable(line, &what))?;
        let breaks = breaks(&locked, &self.now);
        if !breaks.is_empty() && setting.update != Update::Force {
            return Err(self.told(&breaks));
        }
        let now = write(&merge(&locked, &self.now, &breaks));
        if setting.update != Update::No {
            return if now == text { Ok(()) } else { self.file.write(&now) };
        }
        if now == text { Ok(()) } else { Err(self.file.out_of_date(&text, &now)) }
    }

    fn told(&self, breaks: &[Break]) -> String {
        let mut text = format!("{}: events that are stored could not be read any more\n", self.file.name);
        for Break { event, version, field, what, remedy } in breaks {
            let field = if field.is_empty() { String::new() } else { format!(", field `{field}`") };
            let _ = write!(text, "\nevent `{event}` version {version}{field}: {what}\n    {remedy}\n");
        }
        text.push_str(
            "\nIf there is no log with such events, CQRS_UPDATE=force writes the file as the events are now.\n",
        );
        text
    }
}

/// One stored version of an event, as the file has it.
#[derive(Clone, Debug, PartialEq)]
struct Locked {
    name: String,
    version: u32,
    aliases: Vec<String>,
    fields: Vec<LockedField>,
}

#[derive(Clone, Debug, PartialEq)]
struct LockedField {
    name: String,
    ty: String,
    need: Need,
    aliases: Vec<String>,
}

/// Whether what is stored has the field.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Need {
    Required,
    Optional,
    /// The type has no such field any more.
    Gone,
}

const NEEDS: [(Need, &str); 3] =
    [(Need::Required, "required"), (Need::Optional, "optional"), (Need::Gone, "gone")];

/// What could not be read any more.
#[derive(Debug, PartialEq)]
struct Break {
    event: String,
    version: u32,
    field: String,
    what: String,
    remedy: String,
}

/// Everything that was stored and is not read now.
fn breaks(locked: &[Locked], now: &[Schema]) -> Vec<Break> {
    let mut breaks = Vec::new();
    for event in locked {
        let found = |field: &str, what: String, remedy: String| Break {
            event: event.name.clone(),
            version: event.version,
            field: field.to_owned(),
            what,
            remedy,
        };
        for name in std::iter::once(&event.name).chain(&event.aliases) {
            if now.iter().all(|schema| !schema.claims(name)) {
                breaks.push(found(
                    "",
                    format!("no event type claims the stored name `{name}` any more"),
                    format!(
                        "if the type was renamed, put `aliases(\"{name}\")` into the `#[event(..)]` of the new one; if it is not appended any more, keep it under \
                         `#[event(retired)]`; if it is only missing here, add `.event::<..>()`"
                    ),
                ));
            }
        }
        let mut claims = now.iter().filter(|schema| schema.claims(&event.name));
        let of_version = claims.clone().find(|schema| schema.version == event.version);
        let Some(schema) = of_version.or_else(|| claims.next()) else { continue };
        let (name, locked, now) = (schema.variant, event.version, schema.version);
        if now < locked {
            breaks.push(found(
                "",
                format!("its version went back to {now}"),
                format!("set `version = {locked}` again; a change is undone in one more version"),
            ));
        } else if now > locked && schema.oldest() > locked {
            breaks.push(found(
                "",
                format!("its version is {now} now, and version {locked} is not read"),
                format!(
                    "read it as the type that it was, `#[event(version = {now}, upcast = {name}V{locked})]` with `impl From<{name}V{locked}> for {name}`; or keep \
                     version {locked}, if serde reads the old form as the new one"
                ),
            ));
        } else {
            // An older version is read as the type that it was.
            let mut read = schema;
            while let Some(older) = read.upcast.filter(|_| read.version > locked) {
                read = older;
            }
            let taken_back = (read.version < now).then(|| {
                format!("version {locked} is read as `{}`, and nothing else is: take that type back to what it was", read.variant)
            });
            breaks.extend(
                field_breaks(&event.fields, read.fields)
                    .into_iter()
                    .map(|(field, what, remedy)| found(field, what, taken_back.clone().unwrap_or(remedy))),
            );
        }
    }
    breaks
}

/// The fields that could not be read, each with why and what to do.
fn field_breaks<'f>(locked: &[LockedField], now: &'f [Field]) -> Vec<(&'f str, String, String)> {
    let mut breaks = Vec::new();
    let reads = |field: &Field, name: &str| field.name == name || field.aliases.contains(&name);
    for field in now {
        let mut stored = locked.iter().filter(|stored| reads(field, &stored.name)).peekable();
        if stored.peek().is_none() && field.required {
            let renamed = locked.iter().find(|stored| {
                now.iter().all(|field| !reads(field, &stored.name)) && types::reads(&stored.ty, field.ty)
            });
            let renamed = renamed.map_or(String::new(), |stored| {
                format!("if it is `{0}` under another name, `#[serde(alias = \"{0}\")]`; else ", stored.name)
            });
            breaks.push((
                field.name,
                "it is new and required, and what is stored has no such field".to_owned(),
                format!("{renamed}give it `#[serde(default)]`, or make it an `Option`; or raise the event's version, and read the old one with `upcast`"),
            ));
        }
        // An event has all fields that are required: where two of them are one now, serde finds it twice.
        let both: Vec<_> = stored.clone().filter(|stored| stored.need != Need::Gone).collect();
        if let [one, other, ..] = both[..] {
            breaks.push((
                field.name,
                format!("it is read from `{}` and from `{}`, and events that have both are stored", one.name, other.name),
                "keep them as two fields, and take what is there; or raise the event's version, and read the old one with `upcast`".to_owned(),
            ));
        }
        for stored in stored {
            if !types::reads(&stored.ty, field.ty) {
                breaks.push((
                    field.name,
                    format!("it is `{}` now, and `{}` is stored", field.ty, stored.ty),
                    format!(
                        "keep `{}`, and give the new form a new field; or raise the event's version, and read the old one with `upcast`; if serde does read the \
                         one as the other (the small table of `SchemaLock` does not know everything), CQRS_UPDATE=force",
                        stored.ty
                    ),
                ));
            } else if field.required && stored.need != Need::Required {
                breaks.push((
                    field.name,
                    "it is required now, and there may be events that are stored without it".to_owned(),
                    "give it `#[serde(default)]`".to_owned(),
                ));
            }
            for alias in stored.aliases.iter().filter(|alias| !reads(field, alias)) {
                breaks.push((
                    field.name,
                    format!("it is not read from `{alias}` any more"),
                    format!("keep `#[serde(alias = \"{alias}\")]`"),
                ));
            }
        }
    }
    breaks
}

/// What the file is to have: the events as they are now, and what else was stored and is read.
fn merge(locked: &[Locked], now: &[Schema], breaks: &[Break]) -> Vec<Locked> {
    let is_now =
        |old: &Locked| now.iter().any(|schema| schema.name == old.name && schema.version == old.version);
    let is_broken = |old: &Locked| breaks.iter().any(|b| b.event == old.name && b.version == old.version);
    let mut merged: Vec<_> = locked.iter().filter(|old| !is_now(old) && !is_broken(old)).cloned().collect();
    for schema in now {
        let texts = |texts: &[&str]| {
            let mut texts: Vec<_> = texts.iter().map(ToString::to_string).collect();
            texts.sort();
            texts
        };
        let mut fields: Vec<_> = schema
            .fields
            .iter()
            .map(|field| LockedField {
                name: field.name.to_owned(),
                ty: field.ty.split_whitespace().collect(),
                need: if field.required { Need::Required } else { Need::Optional },
                aliases: texts(field.aliases),
            })
            .collect();
        let old = locked.iter().find(|old| old.name == schema.name && old.version == schema.version);
        for field in old.into_iter().flat_map(|old| &old.fields) {
            let is_read = |now: &Field| now.name == field.name || now.aliases.contains(&&*field.name);
            if !schema.fields.iter().any(is_read) {
                fields.push(LockedField { need: Need::Gone, ..field.clone() });
            }
        }
        fields.sort_by(|a, b| a.name.cmp(&b.name));
        merged.push(Locked {
            name: schema.name.to_owned(),
            version: schema.version,
            aliases: texts(schema.aliases),
            fields,
        });
    }
    merged.sort_by(|a, b| (&a.name, a.version).cmp(&(&b.name, b.version)));
    merged
}

const HEAD: &str = "\
# What stored events look like. A test writes this file (cqrs_core::testing::SchemaLock); commit it.
# A change that could not read what is stored fails that test. CQRS_UPDATE=1 takes in the others.
";

fn write(events: &[Locked]) -> String {
    let mut text = HEAD.to_owned();
    for event in events {
        let _ = writeln!(text, "\nevent {} version {}", escaped(&event.name), event.version);
        for alias in &event.aliases {
            let _ = writeln!(text, "  alias {}", escaped(alias));
        }
        for LockedField { name, ty, need, aliases } in &event.fields {
            let need = NEEDS.iter().find(|(known, _)| known == need).map_or("", |(_, word)| word);
            let _ = write!(text, "  field {} {} {need}", escaped(name), escaped(ty));
            for alias in aliases {
                let _ = write!(text, " alias {}", escaped(alias));
            }
            text.push('\n');
        }
    }
    text
}

/// Reads the file; the error has the line, and what is wrong with it.
fn parse(text: &str) -> Result<Vec<Locked>, (usize, String)> {
    let mut events: Vec<Locked> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let wrong = || (number, format!("`{}` is no line of a lock", line.trim()));
        match (&words[..], events.last_mut()) {
            ([], _) => {}
            ([first, ..], _) if first.starts_with('#') => {}
            (["event", name, "version", version], _) => events.push(Locked {
                name: unescaped(name).ok_or_else(wrong)?,
                version: version.parse().map_err(|_| wrong())?,
                aliases: Vec::new(),
                fields: Vec::new(),
            }),
            (["alias" | "field", ..], None) => {
                return Err((number, format!("`{}` stands before any event", line.trim())));
            }
            (["alias", alias], Some(event)) => event.aliases.push(unescaped(alias).ok_or_else(wrong)?),
            (["field", name, ty, need, aliases @ ..], Some(event)) => {
                let need = NEEDS.iter().find(|(_, word)| word == need).ok_or_else(wrong)?.0;
                let alias = |pair: &[&str]| match pair {
                    ["alias", alias] => unescaped(alias),
                    _ => None,
                };
                event.fields.push(LockedField {
                    name: unescaped(name).ok_or_else(wrong)?,
                    ty: unescaped(ty).ok_or_else(wrong)?,
                    need,
                    aliases: aliases.chunks(2).map(alias).collect::<Option<_>>().ok_or_else(wrong)?,
                });
            }
            _ => return Err(wrong()),
        }
    }
    Ok(events)
}

#[cfg(test)]
mod tests;
