//! What [`Engine::describe`](crate::Engine::describe) tells: which events go to which views and reactions.

use std::fmt::{self, Write};

use crate::projection::{Projection, Way};
use crate::schema::Schema;
use crate::sql::SqlType;
use crate::table::{WindowShape, WindowSpec};

/// The graph of an engine: its events, its views and its reactions. Its `Display` is for a person to read, and [`mermaid`](Self::mermaid) draws it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Description {
    /// The stored event types, by name; that of the [`Tick`](crate::Tick) only where a window goes by it.
    pub events: Vec<DescribedEvent>,
    /// The views in the order of registration, each after those that it reads.
    pub views: Vec<DescribedView>,
    /// The reactions that run, by name; of a [`Builder`](crate::Builder), none.
    pub reactions: Vec<DescribedReaction>,
}

/// A stored event type.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DescribedEvent {
    /// Its name in the log.
    pub name: &'static str,
    /// The version that is written.
    pub version: u32,
    /// The oldest stored version that is read.
    pub oldest: u32,
    /// Whether it is only read, and no longer appended.
    pub retired: bool,
    /// Other stored names that are read as it.
    pub aliases: &'static [&'static str],
    /// The Rust path it was declared at.
    pub rust: &'static str,
}

/// A view.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DescribedView {
    /// The projection's stored name: that of its SQL view.
    pub name: &'static str,
    /// The projection's Rust name.
    pub projection: &'static str,
    /// The columns of its key, in its order.
    pub key: Vec<&'static str>,
    /// Its columns, as SQL shows them.
    pub columns: Vec<(&'static str, SqlType)>,
    /// The columns of each index, in its order.
    pub indexes: Vec<Vec<&'static str>>,
    /// How its windows go about time, if it has any.
    pub window: Option<WindowSpec>,
    /// Whether an event that faults is [parked](crate::Parked).
    pub parks: bool,
    /// What it reads: events by name, then the views whose rows it takes in, then those that it looks up.
    pub reads: Vec<Edge>,
}

/// Something that a view reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Edge {
    /// The stored name of the event, or the view.
    pub source: &'static str,
    /// What the view does with it; which also says whether it is an event or a view.
    pub how: How,
}

/// What a view does with what it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// An event is folded into its rows (`from`).
    Folds,
    /// An event removes rows of it (`remove`).
    Removes,
    /// An event is folded by an `impl Fold` (`by_hand`).
    FoldsByHand,
    /// Another view's rows are its source (`from`).
    TakesIn,
    /// Another view's rows are looked up (`join`).
    Joins,
}

/// A reaction that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DescribedReaction {
    /// Its name.
    pub name: String,
    /// The stored names of the events that it handles, by name.
    pub handles: Vec<&'static str>,
}

impl From<Way> for How {
    fn from(way: Way) -> Self {
        match way {
            Way::Folds => Self::Folds,
            Way::Removes => Self::Removes,
            Way::FoldsByHand => Self::FoldsByHand,
        }
    }
}

impl How {
    const ALL: [Self; 5] = [Self::Folds, Self::Removes, Self::FoldsByHand, Self::TakesIn, Self::Joins];

    /// Whether what is read is another view.
    #[must_use]
    pub const fn is_of_a_view(self) -> bool {
        matches!(self, Self::TakesIn | Self::Joins)
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Folds => "folds",
            Self::Removes => "removes rows on",
            Self::FoldsByHand => "folds by hand",
            Self::TakesIn => "takes in rows of",
            Self::Joins => "looks up rows of",
        }
    }
}

impl DescribedEvent {
    pub(crate) fn of(schema: &Schema) -> Self {
        Self {
            name: schema.name,
            version: schema.version,
            oldest: schema.oldest(),
            retired: schema.retired,
            aliases: schema.aliases,
            rust: schema.rust,
        }
    }

    /// What distinguishes it from any other.
    fn remarks(&self) -> String {
        let mut remarks = format!("v{}", self.version);
        if self.oldest < self.version {
            let _ = write!(remarks, ", read from v{}", self.oldest);
        }
        if self.retired {
            remarks.push_str(", retired");
        }
        remarks
    }
}

impl DescribedView {
    /// A view of `P`, without what it reads.
    pub(crate) fn of<P: Projection>() -> Self {
        Self {
            name: P::NAME,
            projection: P::RUST_NAME,
            key: names(P::COLUMNS, P::KEY_COLUMNS),
            columns: P::COLUMNS.to_vec(),
            indexes: all_names(P::COLUMNS, P::INDEX_COLUMNS),
            window: P::WINDOW,
            parks: P::PARKS,
            reads: Vec::new(),
        }
    }
}

/// The names of some of the columns.
fn names(columns: &[(&'static str, SqlType)], which: &[usize]) -> Vec<&'static str> {
    which.iter().filter_map(|at| Some(columns.get(*at)?.0)).collect()
}

fn all_names(columns: &[(&'static str, SqlType)], which: &[&[usize]]) -> Vec<Vec<&'static str>> {
    which.iter().map(|which| names(columns, which)).collect()
}

impl DescribedReaction {
    pub(crate) fn of(name: &str, handles: &[Schema]) -> Self {
        let mut handles: Vec<_> = handles.iter().map(|schema| schema.name).collect();
        handles.sort_unstable();
        Self { name: name.to_owned(), handles }
    }
}

impl Description {
    /// A [Mermaid](https://mermaid.js.org) flowchart of it, which GitHub draws where it stands in a ` ```mermaid ` block: events, views and reactions, and
    /// what goes where. Columns are not in it.
    #[must_use]
    pub fn mermaid(&self) -> String {
        let mut chart = String::from("flowchart LR\n");
        let mut line = |line: fmt::Arguments<'_>| {
            // Writing to a `String` does not fail.
            let _ = writeln!(chart, "    {line}");
        };
        for (at, event) in self.events.iter().enumerate() {
            line(format_args!("e{at}([\"{}<br/>{}\"])", Label(event.name), event.remarks()));
        }
        for (at, view) in self.views.iter().enumerate() {
            line(format_args!("v{at}[(\"{}\")]", Label(view.name)));
        }
        for (at, reaction) in self.reactions.iter().enumerate() {
            line(format_args!("r{at}{{{{\"{}\"}}}}", Label(&reaction.name)));
        }
        let event = |name: &str| self.events.iter().position(|event| event.name == name);
        let view = |name: &str| self.views.iter().position(|view| view.name == name);
        for (at, described) in self.views.iter().enumerate() {
            for Edge { source, how } in &described.reads {
                let (letter, from) =
                    if how.is_of_a_view() { ("v", view(source)) } else { ("e", event(source)) };
                let Some(from) = from else { continue };
                let arrow = match how {
                    How::Folds | How::TakesIn => "-->",
                    How::Removes => "-- \"removes\" -->",
                    How::FoldsByHand => "-- \"by hand\" -->",
                    How::Joins => "-. \"looked up\" .->",
                };
                line(format_args!("{letter}{from} {arrow} v{at}"));
            }
        }
        for (at, reaction) in self.reactions.iter().enumerate() {
            for from in reaction.handles.iter().filter_map(|name| event(name)) {
                line(format_args!("e{from} --> r{at}"));
            }
        }
        chart
    }
}

/// Text between quotes, in Mermaid's words: what would end it, or be markup, by its number.
struct Label<'a>(&'a str);

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| {
            if matches!(c, '"' | '#' | '&' | '<' | '>' | '`' | '\\' | ';') || c.is_control() {
                write!(f, "#{};", u32::from(c))
            } else {
                f.write_char(c)
            }
        })
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("events")?;
        for event in &self.events {
            write!(f, "\n  {} {}", event.name, event.remarks())?;
            if !event.aliases.is_empty() {
                write!(f, ", also stored as {}", event.aliases.join(", "))?;
            }
        }
        f.write_str("\nviews")?;
        self.views.iter().try_for_each(|view| write!(f, "\n{view}"))?;
        if !self.reactions.is_empty() {
            f.write_str("\nreactions")?;
        }
        self.reactions.iter().try_for_each(|DescribedReaction { name, handles }| {
            write!(f, "\n  {name}\n    handles {}", handles.join(", "))
        })
    }
}

impl fmt::Display for DescribedView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  {} ({})", self.name, self.projection)?;
        for how in How::ALL {
            let sources = self.reads.iter().filter(|edge| edge.how == how).map(|edge| edge.source);
            let sources: Vec<_> = sources.collect();
            if !sources.is_empty() {
                write!(f, "\n    {} {}", how.words(), sources.join(", "))?;
            }
        }
        match self.key.as_slice() {
            [] => f.write_str("\n    one row")?,
            key => write!(f, "\n    key {}", key.join(", "))?,
        }
        let columns: Vec<_> = self.columns.iter().map(|(name, ty)| column(name, *ty)).collect();
        write!(f, "\n    columns {}", columns.join(", "))?;
        for index in &self.indexes {
            write!(f, "\n    index {}", index.join(", "))?;
        }
        if let Some(window) = &self.window {
            write!(f, "\n    window {window}")?;
        }
        if self.parks { f.write_str("\n    parks events that fault") } else { Ok(()) }
    }
}

fn column(name: &str, ty: SqlType) -> String {
    match ty {
        SqlType::Any => name.to_owned(),
        ty => format!("{name} {}", ty.as_str()),
    }
}

/// As the options of a projection say it.
impl fmt::Display for WindowSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.shape {
            WindowShape::Tumbling { size } => write!(f, "tumbling {}", Span(size))?,
            WindowShape::Hopping { size, every } => {
                write!(f, "hopping {} every {}", Span(size), Span(every))?;
            }
            WindowShape::Session { gap } => write!(f, "session gap {}", Span(gap))?,
        }
        if self.lateness > 0 {
            write!(f, ", lateness {}", Span(self.lateness))?;
        }
        if let Some(ahead) = self.max_ahead {
            write!(f, ", max_ahead {}", Span(ahead))?;
        }
        if let Some(keep) = self.keep {
            write!(f, ", keep {}", Span(keep))?;
        }
        if self.only_final { f.write_str(", shown once closed") } else { Ok(()) }
    }
}

/// A length of time in microseconds, as options have it: `1h30m`.
struct Span(i64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(&str, i64); 6] = [
            ("d", 86_400_000_000),
            ("h", 3_600_000_000),
            ("m", 60_000_000),
            ("s", 1_000_000),
            ("ms", 1_000),
            ("us", 1),
        ];
        let mut rest = self.0;
        for (unit, each) in UNITS {
            if rest >= each {
                write!(f, "{}{unit}", rest / each)?;
                rest %= each;
            }
        }
        if self.0 == 0 { f.write_str("0s") } else { Ok(()) }
    }
}
