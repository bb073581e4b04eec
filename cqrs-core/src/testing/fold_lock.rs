//! What a view makes of some events, in a committed file, so that code which folds them otherwise fails a test.

use std::fmt::Write;
use std::path::Path;

use super::diff::{self, RowText, hex, indented};
use super::lock_file::{LockFile, Setting, Update, escaped, unescaped};
use super::log::{self, Stored};
use crate::event::{Event, Metadata};
use crate::hex::unhex;
use crate::projection::{JoinSet, JoinVisitor, Projection, Reads, RowSource, SourceVisitor};
use crate::schema::Schema;
use crate::store::MemoryStore;
use crate::{NewEvent, Timestamp};

/// Holds what a view makes of some events against what it made of them before.
///
/// A projection that is changed is folded anew by itself, as far as a macro can see the change. It cannot see into a function that a projection calls, a constant, the body of a
/// [`Fold`](crate::projection::Fold) or an [`Aggregate`](crate::aggregate::Aggregate), or a `Deserialize` by hand: when these change, what is saved stays as it was folded, unless the projection's
/// `version` is raised. This test fails then.
///
/// The file has the events as the bytes they are stored as, with a form beside them that people can read, and the rows. The first run writes it; commit it.
/// Later runs fold the bytes out of the file: so they are also events of an earlier release, which have to stay readable. (The events given are those of the file if they say
/// the same, and be it that the file has fewer fields. Such bytes are kept when the file is written anew.)
///
/// When rows are meant to differ, raise the projection's `version`, and bring the file up to date with the environment variable `CQRS_UPDATE=1`; with `CQRS_UPDATE=force`
/// the version may stay as it is, for a projection that is not in use anywhere. Where the variable `CI` is set, a missing file is not written.
///
/// ```
/// use cqrs_core::prelude::*;
/// use cqrs_core::testing::fold_lock;
///
/// #[event]
/// pub struct Purchased { pub customer: String, pub price: i64 }
///
/// fn with_tax(price: i64) -> i64 { price * 119 / 100 }
///
/// #[projection(from = Purchased, group_by = customer)]
/// pub struct Spent { pub customer: String, #[sum(with_tax(price))] pub total: i64 }
///
/// # let path = "src/testing/fold_lock/example.lock";
/// # let _ = r#"
/// // #[test]
/// let path = "tests/spent.lock"; // in the crate's folder
/// # "#;
/// fold_lock::<Spent>(path, [100, 50].map(|price| Purchased { customer: "ann".into(), price }));
/// # assert!(std::fs::read_to_string(path)?.contains("row\n  customer = \"ann\"\n  total = 178\n"));
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
///
/// If the events are not those of the file, cannot be read or folded, or make other rows: with what differs.
#[track_caller]
pub fn fold_lock<V: Projection>(
    path: impl AsRef<Path>,
    events: impl IntoIterator<Item = impl Into<NewEvent>>,
) {
    let events: Vec<NewEvent> = events.into_iter().map(Into::into).collect();
    let held =
        Setting::of_env().and_then(|setting| hold::<V>(&LockFile::new(path.as_ref()), &events, setting));
    if let Err(why) = held {
        panic!("{why}");
    }
}

pub(super) fn hold<V: Projection>(
    file: &LockFile,
    events: &[NewEvent],
    setting: Setting,
) -> Result<(), String> {
    // A view sees nothing of what is beside an event.
    let stored = |event| Ok(Stored::of(event, Timestamp::UNIX_EPOCH)?.limited_to(None));
    let mut events = events.iter().map(stored).collect::<Result<Vec<_>, String>>()?;
    let lock = |events: Vec<Stored>| {
        let rows = fold::<V>(&events)?;
        Ok::<_, String>(Lock { view: V::NAME.into(), fingerprint: V::FINGERPRINT, events, rows })
    };
    let Some(text) = file.read()? else {
        return file.create(&lock(events)?.write(), setting);
    };
    let locked = Lock::parse(&text).map_err(|(line, what)| file.unreadable(line, &what))?;
    // What says the same as the bytes of the file is these.
    for (event, old) in events.iter_mut().zip(&locked.events) {
        if says::<V>(old) == *event {
            event.clone_from(old);
        }
    }
    let same_events = events == locked.events;
    if setting.update == Update::Force {
        return file.write(&lock(events)?.write());
    }
    let rows = fold::<V>(&locked.events).map_err(|why| {
        format!("{}: the view cannot be made of the events in the file any more: {why}", file.name)
    })?;
    let names = ["in the file", "now"];
    let rows_text = row_texts::<V>(&locked.rows);
    let now_text = row_texts::<V>(&rows);
    let differences = diff::rows(names, &rows_text, &now_text, |l, n| locked.rows[l] == rows[n]);
    let unseen = V::FINGERPRINT == locked.fingerprint;
    let mut told = String::new();
    if let Some(differences) = &differences {
        let remedy = if unseen {
            "Nothing that a macro can see has changed in the projection, so views that are saved would keep the rows of before. If the new rows are right, raise the \
             projection's version, `#[projection(version = N, ..)]`, or that of an aggregate of yours, `const VERSION`, and run the test with CQRS_UPDATE=1."
        } else {
            "If the new rows are right, run the test with CQRS_UPDATE=1. (The projection has changed since the file was written; if what changed the rows is a function, a \
             constant or a fold by hand that it calls, raise its version too, `#[projection(version = N, ..)]`.)"
        };
        let _ = write!(
            told,
            "{}: `{}` makes other rows of the same events: {differences}\n{remedy}\n",
            file.name,
            V::RUST_NAME
        );
    }
    if !same_events {
        let lines = diff::lines(&log::texts(&locked.events), &log::texts(&events));
        let _ = write!(
            told,
            "{}: the events given are not those of the file (- in the file, + now):\n{}\nIf they are meant to be others, run the test with CQRS_UPDATE=1.\n",
            file.name,
            indented(&lines, "")
        );
    }
    if told.is_empty() && !unseen {
        let _ = writeln!(
            told,
            "{}: the projection `{}` has changed since the file was written, and makes the same rows of these events. So that the next change is held against this one, run the \
             test with CQRS_UPDATE=1.",
            file.name,
            V::RUST_NAME
        );
    }
    match setting.update {
        Update::Yes if differences.is_none() || !unseen => {
            if told.is_empty() {
                Ok(())
            } else {
                file.write(&lock(events)?.write())
            }
        }
        _ if told.is_empty() => Ok(()),
        _ => Err(told),
    }
}

/// A row's columns, by name.
type Columns = Vec<(String, String)>;

fn fold<V: Projection>(events: &[Stored]) -> Result<Vec<Columns>, String> {
    let store = MemoryStore::new();
    log::append(&store, events)?;
    let engine = log::open::<V>(&store, &[], Timestamp::UNIX_EPOCH)?;
    Ok(log::rows::<V>(&engine)?.iter().map(diff::columns).collect())
}

fn row_texts<V: Projection>(rows: &[Columns]) -> Vec<RowText> {
    rows.iter().cloned().map(RowText::of_columns::<V>).collect()
}

/// An event as it would be stored today, if the view, or one that it reads, reads it.
fn says<V: Projection>(event: &Stored) -> Stored {
    let mut today = Today { event, again: None };
    V::sources(&mut today);
    V::Joins::visit(&mut today);
    today.again.unwrap_or_else(|| event.clone())
}

struct Today<'a> {
    event: &'a Stored,
    again: Option<Stored>,
}

impl<P: Projection> SourceVisitor<P> for Today<'_> {
    fn event<E: Event>(&mut self)
    where
        P: Reads<E>,
    {
        let mine = |schema: &Schema| schema.claims(&self.event.name) && schema.reads(self.event.version);
        let Some(index) = E::TYPES.iter().position(mine) else { return };
        let Ok(event) = E::upcast(index, self.event.version, &self.event.payload) else { return };
        let mut payload = Vec::new();
        if event.encode(&mut payload).is_ok() {
            let Schema { name, version, .. } = E::TYPES[index];
            self.again = Some(Stored { name: name.to_owned(), version, payload, ..self.event.clone() });
        }
    }

    fn view<U: RowSource>(&mut self)
    where
        P: Reads<U>,
    {
        U::sources(self);
    }
}

impl JoinVisitor for Today<'_> {
    fn join<P: Projection>(&mut self) {
        P::sources(self);
    }
}

/// The file.
struct Lock {
    view: String,
    fingerprint: u128,
    events: Vec<Stored>,
    rows: Vec<Columns>,
}

impl Lock {
    fn write(&self) -> String {
        let mut text = format!(
            "# What a view makes of some events. A test writes this file (cqrs_core::testing::fold_lock); commit it.\n\
             # When other rows are meant: raise the projection's version, then CQRS_UPDATE=1.\n\n\
             view {} fingerprint {:032x}\n",
            escaped(&self.view),
            self.fingerprint
        );
        for event in &self.events {
            let (name, payload) = (escaped(&event.name), hex(&event.payload));
            let _ = writeln!(text, "\nevent {name} version {}\n  payload {payload}", event.version);
            event.text().lines().for_each(|line| text.push_str(&format!("  # {line}\n")));
        }
        for row in &self.rows {
            text.push_str("\nrow\n");
            row.iter().for_each(|(name, value)| text.push_str(&format!("  {name} = {value}\n")));
        }
        text
    }

    /// Reads the file; the error has the line, and what is wrong with it.
    fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut lock = Self { view: String::new(), fingerprint: 0, events: Vec::new(), rows: Vec::new() };
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            let wrong = || (number, format!("`{line}` is no line of a lock"));
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let (Some((name, value)), Some(row)) = (line.split_once(" = "), lock.rows.last_mut()) {
                row.push((name.to_owned(), value.to_owned()));
                continue;
            }
            match &line.split_whitespace().collect::<Vec<_>>()[..] {
                ["view", name, "fingerprint", fingerprint] => {
                    lock.view = unescaped(name).ok_or_else(wrong)?;
                    lock.fingerprint = u128::from_str_radix(fingerprint, 16).map_err(|_| wrong())?;
                }
                ["event", name, "version", version] => lock.events.push(Stored {
                    name: unescaped(name).ok_or_else(wrong)?,
                    version: version.parse().map_err(|_| wrong())?,
                    recorded_at: Timestamp::UNIX_EPOCH,
                    event_id: None,
                    metadata: Metadata::default(),
                    payload: Vec::new(),
                }),
                ["payload", payload] => {
                    let event = lock.events.last_mut().ok_or_else(wrong)?;
                    event.payload = unhex(payload).ok_or_else(wrong)?;
                }
                ["row"] => lock.rows.push(Vec::new()),
                _ => return Err(wrong()),
            }
        }
        Ok(lock)
    }
}

#[cfg(test)]
mod tests;
