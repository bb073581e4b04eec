//! Projections: what `#[projection]` implements on a row.

use std::any::{Any, TypeId};

use crate::aggregate::{Cells, ColumnFault, Mode, ShownCells, Sign, State};
use crate::event::{Event, Meta};
use crate::key::{Key, KeyWriter};
use crate::lookups::{Access, Indexed};
use crate::schema::Schema;
use crate::sql::{SqlType, SqlValue};
use crate::table::{Rows, Sink, WindowSpec};

/// A read model, written as the struct of its row.
///
/// Implemented by [`#[projection]`](macro@crate::projection).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a projection",
    label = "not a projection",
    note = "put `#[projection(from = .., group_by = ..)]` on the struct of the row"
)]
pub trait Projection: Send + Sync + Sized + 'static {
    /// The stored name: a Rust identifier in snake case, the name of its SQL view.
    const NAME: &'static str;

    /// The Rust name, for messages.
    const RUST_NAME: &'static str;

    /// A hash of everything that its rows depend on, as far as a macro can see it.
    const FINGERPRINT: u128;

    /// Its columns, as SQL shows them.
    const COLUMNS: &'static [(&'static str, SqlType)];

    /// Which of the columns are the key's, in its order.
    const KEY_COLUMNS: &'static [usize] = &[];

    /// What its rows are found by.
    type Key: Key;

    /// What is kept of a row besides its key.
    type State: State;

    /// The projections whose rows it looks up: `()`, or a tuple of them.
    type Joins: JoinSet;

    /// How many indexes it has.
    const INDEXES: usize = 0;

    /// Which of the columns each index goes by, in its order.
    const INDEX_COLUMNS: &'static [&'static [usize]] = &[];

    /// What a [`View`](crate::View) of it can be asked besides: one method an index.
    type Lookups<A: Access>: From<Indexed<Self, A>> + Send + Sync;

    /// Appends the canonical bytes of an index's columns.
    fn index_key(&self, _index: usize, _out: &mut Vec<u8>) {}

    /// How its windows go about time, if it has any.
    const WINDOW: Option<WindowSpec> = None;

    /// Makes one row of two: `later` is the other, whose number is `row`. Only sessions do that.
    ///
    /// # Errors
    ///
    /// Those of the columns.
    fn merge(
        _into: &mut Self::State,
        _later: &Self::State,
        _cells: Cells<'_>,
        _row: u32,
    ) -> Result<(), FoldError> {
        Ok(())
    }

    /// Whether each event of its sources goes to one row at most, and stays in it.
    const SINGLE: bool;

    /// Whether an event that faults is [parked](crate::Parked) (`on_fault = park`), and does not stop the view.
    const PARKS: bool = false;

    /// Names its sources, each once.
    fn sources<V: SourceVisitor<Self>>(sources: &mut V);

    /// The row of a key. `None` if the state lacks a value that the row's columns always have: never after a fold.
    fn row(key: Self::Key, state: &Self::State, elements: ShownCells<'_>) -> Option<Self>;

    /// Whether readers see the row (`having`).
    fn visible(&self) -> bool {
        true
    }

    /// Whether readers could not tell the two rows apart.
    fn same(&self, other: &Self) -> bool;

    /// Appends one value a column.
    fn sql(&self, out: &mut Vec<SqlValue>);
}

/// What a projection is folded from: an event, or another projection.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither an event nor a projection",
    label = "nothing to fold from",
    note = "put `#[event]` on it, or `#[projection(from = .., group_by = ..)]` where it is a row"
)]
pub trait Source: Sized + Send + Sync + 'static {
    /// The borrowed twin.
    type Ref<'a>;

    /// Whether it takes back what it gave.
    type Mode: Mode;

    /// The stored types of an event; none of a projection.
    const TYPES: &'static [Schema];

    /// A projection's fingerprint; 0 of an event.
    const FINGERPRINT: u128;

    /// Tells the visitor which of both it is.
    fn visit<P: Reads<Self>, V: SourceVisitor<P>>(visitor: &mut V);
}

impl<E: Event> Source for E {
    type Ref<'a> = <E as Event>::Ref<'a>;
    type Mode = crate::aggregate::Appended;
    const TYPES: &'static [Schema] = <E as Event>::TYPES;
    const FINGERPRINT: u128 = 0;
    fn visit<P: Reads<Self>, V: SourceVisitor<P>>(visitor: &mut V) {
        visitor.event::<E>();
    }
}

/// A projection whose rows are a source of others.
pub trait RowSource: Projection + Source {
    /// A row's twin.
    fn borrowed(&self) -> Self::Ref<'_>;
    /// The sign, as sources of this mode have it.
    fn sign(sign: Sign) -> SignOf<Self>;
}

/// The sign of what a source gives.
pub type SignOf<S> = <<S as Source>::Mode as Mode>::Sign;

/// A projection that folds the source `S`.
pub trait Reads<S: Source>: Projection {
    /// Whether it wants events of the type at this index of [`Event::TYPES`]; those it does not want are not even decoded.
    fn wants(type_index: usize) -> bool;

    /// What it does with those events; of another projection's rows, this says nothing.
    fn way(_type_index: usize) -> Way {
        Way::Folds
    }

    /// Does what `pass` asks with an event. `Ok(false)` only from [`Pass::Key`], if a guard turns the event away; `Err` only from
    /// [`Pass::Fold`], and then the state is as it was.
    ///
    /// One function for both, since it is the same match on the event.
    fn pass(
        event: &S::Ref<'_>,
        meta: &Meta,
        sign: SignOf<S>,
        pass: Pass<'_, '_, Self::State>,
    ) -> Result<bool, FoldError>;

    /// Does everything that an event does.
    #[inline]
    fn run(
        event: &S::Ref<'_>,
        meta: &Meta,
        sign: SignOf<S>,
        _joined: &<Self::Joins as JoinSet>::Rows<'_>,
        sink: &mut Sink<'_, Self>,
    ) -> Result<(), FoldError> {
        if !Self::key(event, meta, sign, &mut sink.key()) {
            return Ok(());
        }
        sink.fold(sign, |state, cells| Self::fold(state, cells, event, meta, sign))
    }

    /// Writes the key of the row that the event goes to; `false` if a guard turns the event away.
    #[inline]
    fn key(event: &S::Ref<'_>, meta: &Meta, sign: SignOf<S>, key: &mut KeyWriter<'_>) -> bool {
        matches!(Self::pass(event, meta, sign, Pass::Key(key)), Ok(true))
    }

    /// Folds an event into the state of its key. An `Err` leaves the state as it was.
    #[inline]
    fn fold(
        state: &mut Self::State,
        cells: Cells<'_>,
        event: &S::Ref<'_>,
        meta: &Meta,
        sign: SignOf<S>,
    ) -> Result<(), FoldError> {
        Self::pass(event, meta, sign, Pass::Fold(state, cells)).map(|_| ())
    }
}

/// What a projection does with an event it wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It is folded into its row (`from`).
    Folds,
    /// It removes rows (`remove`).
    Removes,
    /// It is folded by an `impl Fold` (`by_hand`).
    FoldsByHand,
}

/// What is wanted of an event.
#[derive(Debug)]
pub enum Pass<'k, 'b, S> {
    /// Its key.
    Key(&'k mut KeyWriter<'b>),
    /// That it be folded into the state of its key.
    Fold(&'k mut S, Cells<'k>),
}

/// Is told the projections whose rows another looks up.
pub trait JoinVisitor {
    /// One of them.
    fn join<P: Projection>(&mut self);
}

/// The projections whose rows another looks up.
pub trait JoinSet: 'static {
    /// The rows of each.
    type Rows<'a>;

    /// The type of each one's row.
    fn types() -> Vec<TypeId>;

    /// Names each.
    fn visit<V: JoinVisitor>(visitor: &mut V);

    /// Finds the rows of each; `find` gives the `Rows<P>` of the view whose row has the type.
    fn find<'a>(find: &dyn Fn(TypeId) -> Option<&'a dyn Any>) -> Option<Self::Rows<'a>>;
}

/// The rows of a projection, to be looked up by another.
#[derive(Debug)]
pub struct Joined<'a, P: Projection>(&'a Rows<P>);

impl<P: Projection> Joined<'_, P> {
    /// The row of a key, as of the event's own position.
    pub fn get(&self, key: <P::Key as Key>::Ref<'_>) -> Option<P> {
        self.0.get(&key)
    }
}

macro_rules! join_sets {
    ($(($($p:ident)*))*) => { $(
        #[allow(unused_variables, clippy::unused_unit)]
        impl<$($p: Projection),*> JoinSet for ($($p,)*) {
            type Rows<'a> = ($(Joined<'a, $p>,)*);
            fn types() -> Vec<TypeId> {
                vec![$(TypeId::of::<$p>()),*]
            }
            fn visit<V: JoinVisitor>(visitor: &mut V) {
                $( visitor.join::<$p>(); )*
            }
            fn find<'a>(find: &dyn Fn(TypeId) -> Option<&'a dyn Any>) -> Option<Self::Rows<'a>> {
                Some(($(Joined(find(TypeId::of::<$p>())?.downcast_ref::<Rows<$p>>()?),)*))
            }
        }
    )* };
}

join_sets! { () (A) (A B) (A B C) (A B C D) }

/// Is told a projection's sources, with their types.
pub trait SourceVisitor<P: Projection> {
    /// `P` reads the event `E`.
    fn event<E: Event>(&mut self)
    where
        P: Reads<E>;

    /// `P` reads the rows of the projection `U`.
    fn view<U: RowSource>(&mut self)
    where
        P: Reads<U>;
}

/// An event that could not be folded, before it is known which event it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoldError {
    /// The column that refused it; empty if no single column did.
    pub column: &'static str,
    /// Why.
    pub reason: String,
}

impl FoldError {
    /// There is no room for one more row.
    pub(crate) fn full() -> Self {
        let reason = "the view is full: it holds at most 4,294,967,295 rows, and keys of less than 16 MiB";
        Self { column: "", reason: reason.into() }
    }

    /// A column's fault.
    pub fn column(column: &'static str) -> impl Fn(ColumnFault) -> Self {
        move |fault| Self { column, reason: fault.to_string() }
    }
}

/// Why a view, or a table, has stopped: the event it could not fold, and the column that refused it.
///
/// The event changed nothing. The rows stand as they were before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{projection}` stopped before the event at position {position}, `{event}`{at}: {reason}", at = at(.column))]
pub struct Fault {
    /// The projection's Rust name.
    pub projection: &'static str,
    /// The event's position in the log.
    pub position: u64,
    /// The event's stored name. Where it was not an event, none, or `(unread)`.
    pub event: String,
    /// The column, where it was a column that refused it.
    pub column: Option<&'static str>,
    /// Why.
    pub reason: String,
}

/// In place of an event's name, where it could not be read which it is.
pub(crate) const UNREAD: &str = "(unread)";

impl Fault {
    /// Whether it was an event: that stops the view again after the next start, until it is mended. Else the log could not be read, or was replaced, or a thread has panicked, which
    /// a start may mend.
    #[must_use]
    pub fn is_of_an_event(&self) -> bool {
        !self.event.is_empty() && self.event != UNREAD
    }

    /// A fold's error, with the event it was.
    pub(crate) fn new(projection: &'static str, position: u64, event: &str, error: FoldError) -> Self {
        Self {
            projection,
            position,
            event: event.to_owned(),
            column: (!error.column.is_empty()).then_some(error.column),
            reason: error.reason,
        }
    }
}

fn at(column: &Option<&'static str>) -> String {
    column.map(|column| format!(", column `{column}`")).unwrap_or_default()
}

/// A fold written by hand, of an event that stands in `by_hand(..)`: for what no column attribute says. Columns without an attribute are its own.
///
/// ```
/// use cqrs_core::prelude::*;
///
/// #[event]
/// pub struct Noted { pub customer: String, pub text: String }
///
/// #[projection(by_hand(Noted), group_by = customer)]
/// #[derive(Debug, PartialEq)]
/// pub struct Notes {
///     pub customer: String,
///     pub longest: String,
/// }
///
/// impl Fold<Noted> for Notes {
///     fn fold(&mut self, event: &<Noted as Event>::Ref<'_>, _: &Meta) -> Result<(), String> {
///         if event.text.len() > self.longest.len() {
///             self.longest = event.text.into();
///         }
///         Ok(())
///     }
/// }
///
/// let mut table = Table::<Notes>::new();
/// table.apply(&Noted { customer: "ann".into(), text: "likes hats".into() })?;
/// table.apply(&Noted { customer: "ann".into(), text: "pays".into() })?;
/// assert_eq!(table.get("ann").unwrap().longest, "likes hats");
/// # Ok::<(), Fault>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not fold `{E}` by hand",
    label = "no `impl Fold<{E}> for {Self}`",
    note = "write it: `impl Fold<{E}> for {Self} {{ fn fold(&mut self, event: &<{E} as Event>::Ref<'_>, meta: &Meta) -> Result<(), String> {{ .. }} }}`"
)]
pub trait Fold<E: Event> {
    /// Folds an event into the columns that have no attribute; what is done to the others is forgotten.
    ///
    /// # Errors
    ///
    /// The reason, in words: the view stops before the event, and the row is as it was.
    fn fold(&mut self, event: &<E as Event>::Ref<'_>, meta: &Meta) -> Result<(), String>;
}

/// Sources that rows can be removed under.
#[diagnostic::on_unimplemented(
    message = "`remove` goes with events, and a source here is a projection",
    label = "its rows go when what they came from goes",
    note = "leave `remove` out, or put it on the projection that is the source"
)]
pub trait RemovesRows {}
impl RemovesRows for crate::aggregate::Appended {}

/// Sources that windows can go over.
#[diagnostic::on_unimplemented(
    message = "a window goes over events, and a source here is a projection",
    label = "its rows have no event time",
    note = "put the window on the projection that is the source"
)]
pub trait Windowed {}
impl Windowed for crate::aggregate::Appended {}

/// Sources beside which an event can be folded by hand.
#[diagnostic::on_unimplemented(
    message = "a fold by hand cannot take a value back, and a source here is a projection",
    label = "its rows come and go",
    note = "fold by hand from events only"
)]
pub trait ByHand {}
impl ByHand for crate::aggregate::Appended {}

/// Sources beside which another view's rows can be looked up.
#[diagnostic::on_unimplemented(
    message = "`join` looks a row up as of an event, and a source here is a projection",
    label = "when one of its rows is taken back, another row may be found than was when it came",
    note = "join in the projection that is the source, or take the other view in as a source"
)]
pub trait LooksUp {}
impl LooksUp for crate::aggregate::Appended {}

/// Sources whose events can be set aside.
#[diagnostic::on_unimplemented(
    message = "`on_fault = park` sets events aside, and a source here is a projection",
    label = "a change of its rows that is set aside could never be taken back",
    note = "put `on_fault = park` on the projection of events that is the source"
)]
pub trait Parks {}
impl Parks for crate::aggregate::Appended {}

#[doc(hidden)]
pub const fn removes_rows<M: RemovesRows>() {}
#[doc(hidden)]
pub const fn windowed<M: Windowed>() {}
#[doc(hidden)]
pub const fn by_hand<M: ByHand>() {}
#[doc(hidden)]
pub const fn looks_up<M: LooksUp>() {}
#[doc(hidden)]
pub const fn parks<M: Parks>() {}
