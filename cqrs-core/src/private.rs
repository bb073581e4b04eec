//! What generated code names. Not for users: it changes without notice.

use std::collections::{BTreeMap, BTreeSet};

pub use crate::Tick;
pub use crate::aggregate::{
    All, Any, Appended, Appends, Cells, Changing, Collected, Column, Count, First, KeepsOrder, Last, Live,
    Max, MayBeEmpty, Merge, Min, Mode, Plain, ShownCells, Sign, State, Takes, TopColumn, WindowEnd,
};
pub use crate::codec::{DecodeError, EncodeError, PlainReader, decode, encode};
pub use crate::event::{Current, Event, Meta, NamedEvent, Retired};
pub use crate::key::{Key, KeyColumn, KeyWriter, PrefixOf};
pub use crate::lookups::{Access, Indexed, Live as LiveAccess, NoLookups};
pub use crate::projection::{Fold, by_hand, looks_up, parks, removes_rows, windowed};
pub use crate::projection::{
    FoldError, JoinSet, Joined, Pass, Projection, Reads, RowSource, SignOf, Source, SourceVisitor, Way,
};
pub use crate::schema::{Field, Schema, field_shape, mix, mix_str, source_shape, whole_shape};
pub use crate::sql::{SqlType, SqlValue};
pub use crate::table::{Sink, WindowShape, WindowSpec, starts};
pub use crate::time::{EventTime, IntegerTime, WindowBound};
pub use crate::value::{Item, KeyInput, KeyPart, Scalar, Value, json};
pub use crate::view::ViewRows;
pub use serde;

#[cfg(feature = "macros")]
pub use cqrs_macros::{DeriveEvent, DeriveProjection, DeriveValue};

/// Asks, in one place, whether a column may be empty.
pub const fn may_be_empty<C: MayBeEmpty>() {}

/// Asks, in one place, whether rows can be grouped by a type. Everything else that is generated takes it for granted, so that
/// one mistake is one error.
pub const fn is_key_part<K: KeyPart>() {}

/// Asks, in one place, whether a type can be a column.
pub const fn is_column<C: Column>() {}

/// Asks, in one place, whether a user's value can be cloned.
pub const fn is_clone<T: Clone>() {}

/// Asks, in one place, whether a type can be a column that shows more than one value.
pub const fn is_value<C: Value>() {}

/// Asks, in one place, whether all sources keep the order of the log.
pub const fn keeps_order<M: KeepsOrder>() {}

/// Asks, in one place, whether a column can collect.
pub const fn is_collected<C: Collected>() {}

/// Asks, in one place, whether a column can show the greatest.
pub const fn is_top<C: TopColumn>() {}

/// Asks, in one place, whether a column that is folded by hand has a value to start from. Its name is part of what is said.
pub const fn a_column_folded_by_hand_starts_from_its_default<C: Default>() {}

/// Asks, in one place, whether an index can go by a type.
pub const fn an_index_goes_by_what_can_be_a_key<C: KeyPart>() {}

/// Asks, in one place, whether something can be a source.
pub const fn is_source<S: Source>() -> bool {
    true
}

/// What can be a field of an event.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a field of an event",
    label = "not a type that is stored",
    note = "a type of your own, also where it stands within another, has `#[value]` and `#[derive(Clone)]`; any other is `Clone`, and has serde's `Serialize` and `Deserialize`"
)]
pub trait EventField {}

#[diagnostic::do_not_recommend]
impl<T: Clone + serde::Serialize + serde::de::DeserializeOwned> EventField for T {}

/// Asks, in one place, whether a type can be a field of an event.
pub const fn is_event_field<T: EventField>() {}

/// What a user's own type is made of, where it has `#[value]`: its variants and fields, and what serde is told of them. (What others are made of, their names say.)
pub trait Shaped {
    /// A hash of it.
    const SHAPE: u128;
}

impl<T: Shaped> Shaped for Option<T> {
    const SHAPE: u128 = T::SHAPE;
}

impl<T: Shaped> Shaped for Vec<T> {
    const SHAPE: u128 = T::SHAPE;
}

impl<T: Shaped> Shaped for BTreeSet<T> {
    const SHAPE: u128 = T::SHAPE;
}

impl<K, T: Shaped> Shaped for BTreeMap<K, T> {
    const SHAPE: u128 = T::SHAPE;
}

/// What a type of a field is made of: `<Shape<T>>::OF` is that of one that is [`Shaped`], or else, by [`Shapeless`], 0.
#[derive(Debug)]
pub struct Shape<T>(std::marker::PhantomData<T>);

impl<T: Shaped> Shape<T> {
    /// Its shape.
    pub const OF: u128 = T::SHAPE;
}

/// What is found where a [`Shape`] has nothing of its own.
pub trait Shapeless {
    /// No shape.
    const OF: u128 = 0;
}

impl<T> Shapeless for Shape<T> {}

/// Asks, in one place, whether a variant of an event enum is around an event.
pub const fn is_event_struct<E: NamedEvent>() {}

/// Asks, in one place, whether events of type `O` can be turned into events of type `E`.
pub const fn is_upcast<O: NamedEvent, E: From<O>>() -> bool {
    true
}

/// Whether a version is the one after a type's. A type with mistakes has none, and is not asked.
pub const fn follows(version: u32, older: &Schema) -> bool {
    older.rust.is_empty() || version - 1 == older.version
}

/// Reads a payload that was stored as an older version of the type at `type_index` of `E`, through `O`.
pub fn upcast<E: Event + From<O>, O: NamedEvent>(
    type_index: usize,
    version: u32,
    payload: &[u8],
) -> Result<E, DecodeError> {
    let event = E::from(O::upcast(0, version, payload)?);
    if event.type_index() == type_index {
        return Ok(event);
    }
    let (stored, became) = (&E::TYPES[type_index], &E::TYPES[event.type_index()]);
    let reason = format!(
        "it is stored as version {version} of `{}`, and the `From<{}>` of its enum made it `{}`: it has to stay what it is",
        stored.name,
        O::SCHEMA.variant,
        became.name
    );
    Err(DecodeError { reason })
}

/// Asks, in one place, whether something is a view that can be looked up.
pub const fn is_view<P: Projection>() -> bool {
    true
}

/// Asks, in one place, whether a type is a user's aggregate.
pub const fn is_aggregate<A: crate::aggregate::Aggregate>() -> bool {
    true
}
