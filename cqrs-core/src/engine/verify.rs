//! A whole store, checked: nothing is started or changed, and everything that does not hold is told, not only the first.

use std::collections::{HashMap, HashSet};
use std::fmt::{self, Write};

use super::builder::check;
use super::catalog::{Catalog, PASSED_OVER};
use super::replay::{Halt, replay};
use super::slot::{AnyView, Slot};
use crate::codec;
use crate::error::StartError;
use crate::event::Metadata;
use crate::sql::SqlValue;
use crate::store::{
    Checked, Checkpoints, Head, LogEvent, LogReader, Part, RowImages, SavedRow, SavedView, SqlColumn, Store,
    StoreError, StoredType, TypeCounts, Witness, chain, row_checksum,
};
use crate::table::Parked;
use crate::verify::{Finding, Place, Verified, VerifiedView};

/// More findings than these are only counted.
const LISTED: usize = 1000;

/// How many events are read at a time.
const PAGE: u64 = 4096;

pub(crate) fn verify(store: &dyn Store, catalog: &Catalog) -> Result<Verified, StartError> {
    let mut report = Report::default();
    // The checkpoints are looked at before the log: a writer in another process may add to both.
    let Checked { bytes, log, checkpoints, mut keeper } = store.check()?;
    log.into_iter().for_each(|what| report.add(Place::Log, what));
    checkpoints.into_iter().for_each(|what| report.add(Place::Checkpoints, what));
    let (saved, witness) = match keeper.as_mut().map(|keeper| told(&mut **keeper)) {
        Some(Ok(told)) => told,
        Some(Err(error)) => {
            report.add(Place::Checkpoints, error.to_string());
            (Vec::new(), None)
        }
        None => (Vec::new(), None),
    };

    let mut reader = store.reader()?;
    let (head, events) = read_log(&mut *reader, catalog, &mut report);
    let mut sound = |seen: Witness, view: Option<&str>| match check(store, &mut *reader, head, seen, view) {
        Ok(()) => true,
        Err(error) => {
            // What checkpoints say is under checksums of its own: where the log has less, or another event, the log is at fault.
            let place = match (&error, view) {
                (StartError::OtherLog { .. }, Some(view)) => Place::View(view.to_owned()),
                (StartError::OtherLog { .. }, None) => Place::Checkpoints,
                _ => Place::Log,
            };
            report.add(place, error.to_string());
            false
        }
    };
    if let Some(witness) = witness {
        sound(witness, None);
    }
    let of_this_log: Vec<bool> =
        saved.iter().map(|saved| sound(saved.witness(), Some(&saved.name))).collect();
    let mut views = Vec::new();
    if let Some(keeper) = &mut keeper {
        let mut check = CheckViews { catalog, keeper: &mut **keeper, report: &mut report };
        let folded = check.fold_anew(&mut *reader, &saved, &of_this_log);
        for (saved, folded) in saved.into_iter().zip(folded) {
            views.push(VerifiedView { name: saved.name, position: saved.position, rows: saved.rows, folded });
        }
    }
    let Report { findings, unlisted } = report;
    Ok(Verified { store: store.id(), events, position: head.position, bytes, views, findings, unlisted })
}

/// What the checkpoints say about the views and the log.
fn told(keeper: &mut dyn Checkpoints) -> Result<(Vec<SavedView>, Option<Witness>), StoreError> {
    Ok((keeper.views()?, keeper.witness()?))
}

#[derive(Default)]
struct Report {
    findings: Vec<Finding>,
    unlisted: u64,
}

impl Report {
    fn add(&mut self, place: Place, what: String) {
        if self.findings.len() < LISTED {
            self.findings.push(Finding { place, what });
        } else {
            self.unlisted += 1;
        }
    }

    fn is_log_whole(&self) -> bool {
        self.findings.iter().all(|finding| finding.place != Place::Log)
    }
}

/// Reads every event; the last one, and how many there are.
fn read_log(reader: &mut dyn LogReader, catalog: &Catalog, report: &mut Report) -> (Head, u64) {
    let mut reading = Reading {
        catalog,
        report,
        at: Head::default(),
        gap: false,
        events: 0,
        counts: TypeCounts::default(),
        whole: true,
    };
    let mut to = 0;
    match reader.head() {
        Ok(head) => to = head.position,
        Err(error) => reading.damage(error.to_string()),
    }
    let types = match reader.types() {
        Ok(types) => Some(types),
        Err(error) => {
            reading.damage(error.to_string());
            None
        }
    };
    if let Err(error) = reader.sources() {
        reading.report.add(Place::Log, error.to_string());
    }
    // Counts and events are from one moment: what is counted is what is read, or else it is said.
    let counted = types.iter().flatten().fold(0_u64, |sum, ty| sum.saturating_add(ty.count));
    reading.run(reader, to.max(counted));
    reading.compare(types.unwrap_or_default());
    (reading.at, reading.events)
}

struct Reading<'a> {
    catalog: &'a Catalog,
    report: &'a mut Report,
    /// The last event that was read.
    at: Head,
    /// Whether events right after it could not be read, so that nothing is known of the next one's predecessor.
    gap: bool,
    events: u64,
    counts: TypeCounts,
    /// Whether all of it could be read.
    whole: bool,
}

impl Reading<'_> {
    fn damage(&mut self, what: String) {
        self.whole = false;
        self.report.add(Place::Log, what);
    }

    fn run(&mut self, reader: &mut dyn LogReader, to: u64) {
        while self.at.position < to {
            let limit = (to - self.at.position).min(PAGE) as usize;
            match reader.read(self.at.position, limit, &mut |event| self.see(&event)) {
                Ok(0) => {
                    let what = format!(
                        "it ends at position {}, and had events up to position {to}",
                        self.at.position
                    );
                    return self.damage(what);
                }
                Ok(_) => {}
                Err(error) => {
                    let first = self.at.position + 1;
                    let next = next_readable(reader, first, to);
                    let last = next.map_or(to, |next| next - 1);
                    self.damage(format!("the events at positions {first} to {last} cannot be read: {error}"));
                    match next {
                        Some(next) => (self.at.position, self.gap) = (next - 1, true),
                        None => return,
                    }
                }
            }
        }
    }

    fn see(&mut self, event: &LogEvent<'_>) -> bool {
        let follows = std::mem::take(&mut self.gap) || chain(self.at.checksum, event) == event.checksum;
        // Those behind an event that was changed are held against what is stored of it, so that each is told for itself.
        self.at = Head { position: event.position, checksum: event.checksum };
        self.events += 1;
        self.counts.add(&[*event]);
        let wrong =
            if follows { self.unreadable(event) } else { Some((Place::Log, NOT_AS_WRITTEN.to_owned())) };
        if let Some((place, what)) = wrong {
            let what = format!("the event at position {}, `{}`: {what}", event.position, event.name);
            self.report.add(place, what);
        }
        true
    }

    /// Why an event that is as it was written cannot be read as its type.
    fn unreadable(&self, event: &LogEvent<'_>) -> Option<(Place, String)> {
        if !event.metadata.is_empty()
            && let Err(error) = codec::decode::<Metadata>(event.metadata)
        {
            return Some((Place::Log, format!("its metadata cannot be read: {error}")));
        }
        // What nobody claims is told once, with its count.
        let kind = self.catalog.kind(event.name, event.version).ok().filter(|kind| *kind != PASSED_OVER)?;
        let error = self.catalog.read(kind, event.version, event.payload).err()?;
        Some((Place::Program, format!("it cannot be read as the type that claims its name: {error}")))
    }

    /// Holds the counts that the store keeps, and what is registered, against what was read.
    fn compare(&mut self, types: Vec<StoredType>) {
        if self.catalog.knows_any()
            && let Err(error) = self.catalog.claim(&types)
        {
            self.report.add(Place::Program, error.to_string());
        }
        let read = self.counts.list();
        if self.whole && read != types {
            let list = |types: &[StoredType]| {
                let one = |ty: &StoredType| format!("{} of `{}` version {}", ty.count, ty.name, ty.version);
                types.iter().map(one).collect::<Vec<_>>().join(", ")
            };
            let what = format!("its types are counted as {}, and it has {}", list(&types), list(&read));
            self.report.add(Place::Log, what);
        }
    }
}

const NOT_AS_WRITTEN: &str =
    "it is not as it was written: its checksum does not follow from the event before it";

/// The first position after `bad` from which on the log can be read again. It is looked for in growing strides, and then within the last one:
/// a gap may be long.
fn next_readable(reader: &mut dyn LogReader, bad: u64, to: u64) -> Option<u64> {
    let mut readable = |position: u64| matches!(reader.read(position - 1, 1, &mut |_| true), Ok(1));
    let (mut before, mut stride) = (bad, 1);
    let mut found = loop {
        let next = before.saturating_add(stride).min(to);
        if next == before {
            return None;
        }
        if readable(next) {
            break next;
        }
        (before, stride) = (next, stride.saturating_mul(2));
    };
    while found - before > 1 {
        let middle = before + (found - before) / 2;
        if readable(middle) { found = middle } else { before = middle }
    }
    Some(found)
}

struct CheckViews<'a> {
    catalog: &'a Catalog,
    keeper: &'a mut dyn Checkpoints,
    report: &'a mut Report,
}

impl CheckViews<'_> {
    /// Folds the views that can be from the beginning of the log, all in one pass, and holds every checkpoint against what comes of it: each
    /// as soon as its own position is reached. Whether it was folded, for each.
    fn fold_anew(
        &mut self,
        reader: &mut dyn LogReader,
        saved: &[SavedView],
        of_this_log: &[bool],
    ) -> Vec<bool> {
        let number = |saved: &SavedView| {
            self.catalog
                .views
                .iter()
                .position(|ty| ty.name() == saved.name && ty.fingerprint() == saved.fingerprint)
        };
        let numbers: Vec<Option<usize>> = saved
            .iter()
            .zip(of_this_log)
            .map(|(saved, of_this_log)| number(saved).filter(|_| *of_this_log))
            .collect();
        let reads = self.catalog.with_upstream();
        let mut slots: Vec<Slot> = self.catalog.views.iter().map(|ty| Slot::absent(&**ty)).collect();
        // Each with those it reads: their checkpoints may be lost, or not be complete.
        for number in numbers.iter().flatten().flat_map(|number| &reads[*number]) {
            slots[*number].view.get_or_insert_with(|| self.catalog.views[*number].rows());
        }
        let mut order: Vec<usize> = (0..saved.len()).collect();
        order.sort_by_key(|view| saved[*view].position);
        let order = &order[..];
        let mut folded = vec![false; saved.len()];
        let mut halted: Option<String> = None;
        for (at, &view) in order.iter().enumerate() {
            let (saved, Some(number)) = (&saved[view], numbers[view]) else {
                self.hold(&saved[view], None);
                continue;
            };
            if halted.is_none() {
                halted =
                    replay(reader, self.catalog, &mut slots, saved.position, &mut |_| true).err().map(said);
            }
            let slot = &slots[number];
            // Where the log is whole, it is the program that cannot fold it: with the checkpoint would go what is not made again.
            let of_program = slot.fault.is_some() || self.report.is_log_whole();
            let stopped = slot
                .fault
                .as_ref()
                .map(|fault| fault.to_string())
                .or_else(|| halted.clone().filter(|_| slot.at.position < saved.position));
            if let Some(why) = stopped {
                let what =
                    format!("stands at position {} and cannot be folded anew so far: {why}", saved.position);
                let view = Place::View(saved.name.clone());
                let (place, what) = if of_program {
                    (Place::Program, format!("{view} {what}"))
                } else {
                    (view, format!("it {what}"))
                };
                self.report.add(place, what);
                self.hold(saved, None);
            } else {
                let columns = self.catalog.views[number].columns();
                let anew = slot.view.as_deref().map(|view| Anew { view, columns, numbers: HashMap::new() });
                self.hold(saved, anew);
                folded[view] = true;
            }
            // What is done with goes: the rows of all views are in memory at most once.
            let later = || order[at + 1..].iter().filter_map(|view| numbers[*view]);
            for done in reads[number].iter().filter(|done| !later().any(|it| reads[it].contains(done))) {
                slots[*done] = Slot::absent(&*self.catalog.views[*done]);
            }
        }
        folded
    }

    /// Holds a checkpoint against its own checksums, and against the rows of a fold from the beginning, if there are such.
    fn hold(&mut self, saved: &SavedView, mut anew: Option<Anew<'_>>) {
        for what in self.rows(saved, anew.as_mut()) {
            self.report.add(Place::View(saved.name.clone()), what);
        }
        for what in self.sql(saved, anew.as_ref()) {
            self.report.add(Place::Sql(saved.name.clone()), what);
        }
    }

    fn rows(&mut self, saved: &SavedView, mut anew: Option<&mut Anew<'_>>) -> Vec<String> {
        let [mut missing, mut broken, mut other] = [const { Alike::new() }; 3];
        let (mut counts, mut digest) = ([0_u64; Part::COUNT], 0_u64);
        let read = self.keeper.rows(&saved.name, &mut |row| {
            digest = digest.wrapping_add(row.checksum);
            let part = Part::of(row.id);
            counts[part.map_or(0, |(part, _)| part as usize)] += 1;
            let differs = part.zip(anew.as_deref_mut()).and_then(|(part, anew)| anew.differs(part, &row));
            if part.is_none() || row_checksum(row.id, row.shown, row.key, row.state) != row.checksum {
                broken.note(|| {
                    format!("{}: its checksum does not match it", Anew::name(anew.as_deref(), row.id))
                });
            } else if let Some(how) = differs {
                other.note(|| format!("{}: {how}", Anew::name(anew.as_deref(), row.id)));
            }
        });
        let rows: u64 = counts.iter().sum();
        let anew = anew.as_deref();
        if read.is_ok()
            && let Some(anew) = anew.filter(|anew| anew.view.len() as u64 > counts[0])
        {
            for number in anew.unseen() {
                missing.note(|| format!("row {number}{} is missing", anew.values(number)));
            }
        }
        let mut told: Vec<String> = [missing, broken, other].into_iter().filter_map(Alike::told).collect();
        if let Err(error) = read {
            told.push(error.to_string());
            return told;
        }
        let made = anew.map(|anew| (anew.view.len() as u64, anew.view.elements()));
        if (rows, digest) != (saved.rows, saved.digest) {
            told.push(format!("it has {rows} rows of {}, or their digest does not match them", saved.rows));
        } else if let Some((made, elements)) = made.filter(|made| *made != (counts[0], counts[1])) {
            let of =
                |elements| if elements == 0 { String::new() } else { format!(" with {elements} elements") };
            told.push(format!(
                "it has {} rows{}, and a fold of the log from its beginning makes {made}{}",
                counts[0],
                of(counts[1]),
                of(elements)
            ));
        } else if let Some(made) = anew
            .map(|anew| anew.view.parked().len())
            .filter(|made| *made as u64 != counts[Part::Parked as usize])
        {
            told.push(format!(
                "it has {} parked events, and a fold of the log from its beginning parks {made}",
                counts[Part::Parked as usize]
            ));
        } else if anew.is_some_and(|anew| counts[Part::View as usize] == 0 && !anew.view.knows(None)) {
            told.push(format!("{} is missing", Part::name(Part::View.id(0))));
        }
        told
    }

    fn sql(&mut self, saved: &SavedView, anew: Option<&Anew<'_>>) -> Vec<String> {
        let [mut broken, mut other] = [const { Alike::new() }; 2];
        let read = self.keeper.renderings(&saved.name, 0, usize::MAX, &mut |row| {
            let name = || Anew::name(anew, Part::Rows.id(row.id));
            if !row.whole {
                broken.note(|| format!("{}: its checksum does not match it", name()));
            } else if anew.is_some_and(|anew| !anew.shows(row.id, row.columns)) {
                other.note(|| format!("{}: SQL shows other values", name()));
            }
        });
        let told = [broken, other].into_iter().filter_map(Alike::told);
        told.chain(read.err().map(|error| error.to_string())).collect()
    }
}

/// A view as a fold of the log from its beginning makes it. Its numbers may be others than the stored ones: rows are held against each other by
/// their keys.
struct Anew<'a> {
    view: &'a dyn AnyView,
    columns: Vec<SqlColumn>,
    /// Stored numbers to those here.
    numbers: HashMap<u32, u32>,
}

impl Anew<'_> {
    fn image(&self, number: u32) -> RowImages {
        let mut image = RowImages::default();
        self.view.savable().image(number, &mut image);
        image
    }

    /// How what is stored differs from what was folded, if it does. Notes which row it is.
    fn differs(&mut self, (part, number): (Part, u32), stored: &SavedRow<'_>) -> Option<&'static str> {
        const NONE: &str = "a fold of the log from its beginning makes no such row";
        let same = match part {
            Part::Rows => {
                let Some(here) = self.view.find(stored.key) else { return Some(NONE) };
                self.numbers.insert(number, here);
                self.image(here)
                    .iter()
                    .all(|row| (row.key, row.state, row.shown) == (stored.key, stored.state, stored.shown))
            }
            // Their keys begin with the number of the row that they are of.
            Part::Elements => {
                let owner = stored.key.split_first_chunk();
                let owner = owner.map(|(owner, rest)| (self.numbers.get(&u32::from_be_bytes(*owner)), rest));
                let Some((Some(owner), rest)) = owner else { return Some(NONE) };
                let count = self.view.count(&[&owner.to_be_bytes(), rest].concat());
                count.map(u64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice) == Some(stored.state)
            }
            Part::View => number == 0 && self.view.knows(Some(stored.state)),
            Part::Parked => {
                let here = self.view.parked().get(number as usize);
                here.zip(Parked::read(stored.key, stored.state))
                    .is_some_and(|(here, stored)| here.is(&stored))
            }
        };
        (!same).then_some(
            "a fold of the log from its beginning makes another; unless the projection calls a function that has changed since (raise its \
             `version` then), the checkpoint is wrong",
        )
    }

    /// The rows here of which none was stored.
    fn unseen(&self) -> impl Iterator<Item = u32> {
        let seen: HashSet<u32> = self.numbers.values().copied().collect();
        self.view.numbers().into_iter().filter(move |number| !seen.contains(number))
    }

    /// Whether these are the row's values, as SQL can show them: it knows no NaN.
    fn shows(&self, id: u32, columns: &[SqlValue]) -> bool {
        let same = |(value, shown): (&SqlValue, &SqlValue)| match (value, shown) {
            (SqlValue::Real(value), SqlValue::Null) => value.is_nan(),
            (value, shown) => value == shown,
        };
        let same = |row: SavedRow<'_>| {
            row.columns.len() == columns.len() && row.columns.iter().zip(columns).all(same)
        };
        self.numbers.get(&id).is_none_or(|number| self.image(*number).iter().all(same))
    }

    /// What a stored row is called in a finding: its number, and its values if they are known.
    fn name(anew: Option<&Self>, id: u64) -> String {
        let here = anew.zip(Part::of(id)).filter(|(_, (part, _))| *part == Part::Rows);
        let here = here.and_then(|(anew, (_, number))| Some((anew, *anew.numbers.get(&number)?)));
        Part::name(id) + &here.map_or(String::new(), |(anew, number)| anew.values(number))
    }

    /// The values of a row here, in parentheses.
    fn values(&self, number: u32) -> String {
        let image = self.image(number);
        let (mut text, mut before) = (String::new(), " (");
        for (value, column) in image.iter().flat_map(|row| row.columns).zip(&self.columns) {
            let _ = write!(text, "{before}{} = {}", column.name, Shown(value));
            before = ", ";
        }
        text.push_str(if text.is_empty() { "" } else { ")" });
        text
    }
}

/// A value, as a finding shows it.
struct Shown<'a>(&'a SqlValue);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            SqlValue::Null => f.write_str("NULL"),
            SqlValue::Integer(value) => write!(f, "{value}"),
            SqlValue::Real(value) => write!(f, "{value}"),
            SqlValue::Text(text) if text.chars().count() > 40 => {
                write!(f, "'{}..'", text.chars().take(40).collect::<String>())
            }
            SqlValue::Text(text) => write!(f, "'{text}'"),
            SqlValue::Blob(bytes) => write!(f, "({} bytes)", bytes.len()),
        }
    }
}

/// Findings of one sort about one view: the first, and how many more.
struct Alike {
    first: Option<String>,
    more: u64,
}

impl Alike {
    const fn new() -> Self {
        Self { first: None, more: 0 }
    }

    fn note(&mut self, what: impl FnOnce() -> String) {
        match self.first {
            None => self.first = Some(what()),
            Some(_) => self.more += 1,
        }
    }

    fn told(self) -> Option<String> {
        let more =
            if self.more == 0 { String::new() } else { format!(" (and {} more such rows)", self.more) };
        self.first.map(|first| first + &more)
    }
}

/// Why a fold of the log came to no end.
pub(super) fn said(halt: Halt) -> String {
    match halt {
        Halt::Stopped => "it was stopped".into(),
        Halt::Store(error) => error.to_string(),
        Halt::Flaw(flaw) if flaw.event.is_empty() => flaw.what,
        Halt::Flaw(flaw) => {
            format!("the event at position {}, `{}`: {}", flaw.position, flaw.event, flaw.what)
        }
    }
}
