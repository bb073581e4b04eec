//! A projection, as it was meant: sources, keys and columns, each found and checked.

mod read;
#[cfg(test)]
mod tests;

use proc_macro2::{Ident, Span, TokenStream};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::{Data, DeriveInput, Expr, LitInt, Pat, Path, Type};

pub(crate) use self::read::read;
use crate::options::{Index, Join, KeyArg};
use crate::window::{Shape, Unit};

/// The attributes that make a row's field a column.
pub(crate) const COLUMN_ATTRIBUTES: [&str; 16] = [
    "count",
    "sum",
    "avg",
    "variance",
    "stddev",
    "min",
    "max",
    "first",
    "last",
    "count_distinct",
    "collect",
    "top",
    "any",
    "all",
    "fold",
    "computed",
];

/// A projection: without mistakes that a macro can see, where no error was told.
pub(crate) struct Projection<'a> {
    /// Whether all of it was. Otherwise, it is not to be expanded, and why is told.
    pub(crate) is_understood: bool,
    pub(crate) name: &'a Ident,
    /// What its borrowed twin is called, and the type of its look-ups.
    pub(crate) twin: Ident,
    pub(crate) lookups: Ident,
    /// The name it is stored under.
    pub(crate) stored: String,
    pub(crate) version: u32,
    pub(crate) sources: Vec<Source>,
    /// The elements of a collection that each event stands for, one after the other.
    pub(crate) each: Option<Each>,
    /// In order: each may use those before it in its key.
    pub(crate) joins: Vec<Join>,
    /// The key's columns, without the window's bounds.
    pub(crate) groups: Vec<Group<'a>>,
    pub(crate) window: Option<Window>,
    /// The row's fields, in order.
    pub(crate) fields: Vec<RowField<'a>>,
    pub(crate) having: Option<Expr>,
    /// Where the word `park` stands, if events that fault are parked.
    pub(crate) parks: Option<Span>,
    pub(crate) indexes: Vec<Index>,
    /// The names of all its fields, also of those that something is wrong with.
    pub(crate) names: Vec<String>,
    /// Whether what its rows are found by is what was meant: nothing is wrong with the key, or with the indexes.
    pub(crate) knows_key: bool,
    pub(crate) knows_indexes: bool,
}

impl<'a> Projection<'a> {
    /// The row's field of this name, and its place.
    pub(crate) fn field(&self, name: &str) -> Option<(usize, &RowField<'a>)> {
        self.fields.iter().enumerate().find(|(_, field)| field.ident.unraw() == name)
    }

    /// All fields of the row: those that something is wrong with are keys, if they are to be, or as if they were folded by hand.
    pub(crate) fn with_every_field(mut self, item: &'a DeriveInput) -> Self {
        let Data::Struct(data) = &item.data else { return self };
        let mut read = std::mem::take(&mut self.fields);
        // What has been named is to be named anew.
        self.groups.iter_mut().for_each(|group| group.ty.named = None);
        for field in &data.fields {
            let Some(ident) = &field.ident else { continue };
            let column = match read.iter().position(|read| read.ident == ident) {
                Some(at) => read.swap_remove(at).column,
                None => match self.groups.iter().position(|group| group.name.unraw() == ident.unraw()) {
                    Some(group) => Column::Key(group),
                    None => Column::Plain,
                },
            };
            self.fields.push(RowField { ident, ty: RowType::new(&field.ty), column });
        }
        self
    }
}

/// `each(line in lines)`
pub(crate) struct Each {
    pub(crate) pat: Pat,
    /// Over the event: none of the bound names is known in it.
    pub(crate) over: Expr,
    /// What the pattern binds.
    pub(crate) names: Vec<String>,
}

/// Event-time windows; durations are in microseconds.
pub(crate) struct Window {
    /// Where the word stands that says its shape.
    pub(crate) span: Span,
    /// The event's time.
    pub(crate) at: Expr,
    pub(crate) shape: Shape,
    pub(crate) lateness: Option<i64>,
    pub(crate) max_ahead: Option<i64>,
    pub(crate) keep: Option<i64>,
    /// Whether only closed windows are shown.
    pub(crate) emit_final: bool,
    /// What the time counts, if it is an integer.
    pub(crate) unit: Option<Unit>,
}

impl Window {
    /// How many microseconds are one in the bounds, if these are integers.
    pub(crate) fn unit(&self) -> i64 {
        self.unit.map_or(1, Unit::micros)
    }
}

/// An event type, or an enum of which some variants are taken: all that `from`, `remove` and `by_hand` take of it.
pub(crate) struct Source {
    pub(crate) path: Path,
    /// For an enum, whether `..` passes over the variants that are not named.
    pub(crate) open: Option<bool>,
    pub(crate) events: Vec<SourceEvent>,
}

/// One event: the source itself, or a variant of it.
pub(crate) struct SourceEvent {
    /// What arms call it: the variant, or the end of the source's path.
    pub(crate) name: Ident,
    pub(crate) keys: Vec<KeyArg>,
    pub(crate) guard: Option<Expr>,
    pub(crate) action: Action,
}

/// What an event does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// It is folded into the columns of its row.
    Fold,
    /// It removes the row of its key; or with a prefix, every row whose key begins with so many columns, one or more. They are the first of the
    /// groups, and `keys` has an entry for each.
    Remove { prefix: Option<usize> },
    /// The user's `impl Fold` folds it.
    ByHand,
}

/// A column of the key.
pub(crate) struct Group<'a> {
    /// As `group_by` has it: rustc's words about it belong there.
    pub(crate) name: Ident,
    pub(crate) ty: RowType<'a>,
    pub(crate) expr: Option<Expr>,
}

/// A field of the row.
pub(crate) struct RowField<'a> {
    pub(crate) ident: &'a Ident,
    pub(crate) ty: RowType<'a>,
    pub(crate) column: Column,
}

/// The type of a row's field.
#[derive(Clone)]
pub(crate) struct RowType<'a> {
    /// As it is written: what it is by its spelling is seen here.
    pub(crate) written: &'a Type,
    /// What generated code calls it, where it has a name for it.
    pub(crate) named: Option<Type>,
}

impl<'a> RowType<'a> {
    pub(crate) fn new(written: &'a Type) -> Self {
        Self { written, named: None }
    }

    /// What generated code calls it.
    pub(crate) fn name(&self) -> &Type {
        self.named.as_ref().unwrap_or(self.written)
    }
}

impl ToTokens for RowType<'_> {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.name().to_tokens(tokens);
    }
}

pub(crate) enum Column {
    /// One of the groups, by number.
    Key(usize),
    /// The bounds of the window, which are part of the key.
    WindowStart,
    WindowEnd,
    Aggregate(Aggregate),
    Computed(Expr),
    /// Folded by hand only.
    Plain,
}

/// A column that is folded.
pub(crate) struct Aggregate {
    pub(crate) kind: Kind,
    /// Where the attribute's name stands.
    pub(crate) span: Span,
    /// By source and event: what it takes of that event, the first that its guard lets through. Nothing of an event that is not folded.
    pub(crate) inputs: Vec<Vec<Vec<Input>>>,
    /// Whether a row can be there before it has a value.
    pub(crate) may_be_empty: bool,
    /// Of `collect`: how many, if that is limited.
    pub(crate) limit: Option<Expr>,
    /// Of `top`: how many, 1 or more.
    pub(crate) n: Option<LitInt>,
    /// Of `fold`: the user's aggregate.
    pub(crate) custom: Option<Custom>,
}

/// A user's aggregate.
pub(crate) struct Custom {
    pub(crate) path: Path,
    /// The path as it is written, for the fingerprint.
    pub(crate) written: String,
}

/// What a column takes of one event.
#[derive(Clone)]
pub(crate) struct Input {
    pub(crate) guard: Option<Expr>,
    /// `None` for `count`, which looks at nothing.
    pub(crate) value: Option<Expr>,
    pub(crate) by: Option<Expr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Count,
    Sum,
    Avg,
    Variance,
    Stddev,
    Min,
    Max,
    First,
    FirstBy,
    Last,
    LastBy,
    CountDistinct,
    Collect,
    Top,
    TopBy,
    Any,
    All,
    Fold,
}

impl Kind {
    /// Whether it has a value before an event gave it one.
    fn is_neutral(self) -> bool {
        matches!(
            self,
            Self::Count
                | Self::Sum
                | Self::CountDistinct
                | Self::Collect
                | Self::Top
                | Self::TopBy
                | Self::Any
                | Self::All
                | Self::Fold
        )
    }
}
