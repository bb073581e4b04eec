//! Values: what can be a key, a column, or part of an aggregate's state.
//!
//! A value has one canonical form in bytes, and bytes order as values do. Keys are compared, hashed and stored in that form, so
//! the table of rows is code over bytes, compiled once, and not once a projection.

mod collection;
mod foreign;
pub mod json;
mod scalar;
#[cfg(test)]
mod tests;

pub use collection::Item;

use std::cmp::Ordering;

use crate::schema::{mix, mix_str};
use crate::sql::{SqlType, SqlValue};

/// A type that can be a key or a column of a projection.
///
/// Implemented for integers, floats, `bool`, `char`, `String`, `Vec<u8>`, durations, [`Timestamp`](crate::Timestamp), `Option` of these,
/// `uuid`, `jiff`, `chrono` and `rust_decimal` types behind the features of these names, and for a user's own
/// structs and enums of these by [`#[value]`](macro@crate::value). Of what `#[collect]` and `#[top]` make, `Vec`, `BTreeSet` and `BTreeMap`,
/// for columns only.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a key or a column",
    label = "not a type that a row can hold",
    note = "numbers, bool, char, String, Vec<u8>, durations, timestamps, `Option` of these, and your own types under `#[value]` can"
)]
pub trait Value: Clone + Send + Sync + Sized + 'static {
    /// A hash of the type's shape: differs where stored bytes would be read differently.
    const SHAPE: u128;

    /// The type of its column in SQL.
    const SQL: SqlType;

    /// Appends its exact form.
    fn write(&self, out: &mut Vec<u8>);

    /// Takes a value off the front of `input`; `None` if the bytes are no value of this type.
    fn read(input: &mut &[u8]) -> Option<Self>;

    /// Appends its canonical form: equal values have equal bytes, and bytes order as values do.
    ///
    /// The same as [`write`](Self::write) unless equal values can look different (`1.0` and `1.00` as a decimal).
    fn write_key(&self, out: &mut Vec<u8>) {
        self.write(out);
    }

    /// Takes a value in canonical form off the front of `input`.
    fn read_key(input: &mut &[u8]) -> Option<Self> {
        Self::read(input)
    }

    /// Passes over a value in canonical form, without making it; `false` if the bytes are no value of this type.
    fn skip_key(input: &mut &[u8]) -> bool {
        Self::read_key(input).is_some()
    }

    /// Appends the bytes of what is there, the same of `T` and `Option<T>`, of whole numbers of every width, and of floats of both; `false` if nothing is.
    fn write_some(&self, out: &mut Vec<u8>) -> bool {
        self.write_key(out);
        true
    }

    /// Appends bytes by which it is ordered among those of other events, where its type may be another: whole numbers of every width, and floats of both, are as numbers are, and `T` and
    /// `Option<T>` as the latter. What follows is not taken for a part of it.
    fn write_order(&self, out: &mut Vec<u8>) {
        out.push(1);
        self.write_some(out);
    }

    /// The order of `min`, `max` and `by`: total, also for floats.
    fn order(&self, other: &Self) -> Ordering {
        let (mut left, mut right) = (Vec::new(), Vec::new());
        self.write_key(&mut left);
        other.write_key(&mut right);
        left.cmp(&right)
    }

    /// Whether readers could not tell the two apart.
    fn same(&self, other: &Self) -> bool {
        let (mut left, mut right) = (Vec::new(), Vec::new());
        self.write(&mut left);
        other.write(&mut right);
        left == right
    }

    /// The sum of nothing, for types that have one.
    #[must_use]
    fn empty() -> Option<Self> {
        None
    }

    /// What SQL shows.
    fn sql(&self) -> SqlValue;

    /// Appends how it stands within the JSON that SQL shows of a value of several parts.
    fn write_json(&self, out: &mut String) {
        json::one(&self.sql(), out);
    }
}

/// A [`Value`] that is not an `Option`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a key or a column",
    label = "not a type that a row can hold",
    note = "numbers, bool, char, String, Vec<u8>, durations, timestamps, `Option` of these, and your own types under `#[value]` can"
)]
pub trait Scalar: Value {}

/// A [`Value`] that rows can be grouped by: one whose equality is exact, so not a float.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a key",
    label = "not a type to group by, or to look up by",
    note = "a key is compared and hashed: group by an integer, text, a timestamp, a decimal or your own `#[value]` type; a float has no exact equality"
)]
pub trait KeyPart: Value {
    /// The form in which it is looked up: `&str` for `String`, the value itself where that is cheap.
    type Ref<'a>;

    /// Appends the canonical form of what is looked up.
    fn write_ref(key: &Self::Ref<'_>, out: &mut Vec<u8>);
}

impl<T: Scalar + KeyPart> KeyPart for Option<T> {
    type Ref<'a> = Option<T::Ref<'a>>;
    fn write_ref(key: &Self::Ref<'_>, out: &mut Vec<u8>) {
        out.push(u8::from(key.is_some()));
        if let Some(key) = key {
            T::write_ref(key, out);
        }
    }
}

/// What a key column of type `K` can be taken from: a `K`, or its borrowed form.
#[diagnostic::on_unimplemented(
    message = "the key column is `{K}`, and this is `{Self}`",
    label = "expected `{K}`",
    note = "a key column has the type of the event's field; write the key as an expression to convert it: `group_by = (key = convert(field))`"
)]
pub trait KeyInput<K> {
    /// Appends the canonical form of the key.
    fn write_key(&self, out: &mut Vec<u8>);
}

impl<K: Value> KeyInput<K> for K {
    fn write_key(&self, out: &mut Vec<u8>) {
        Value::write_key(self, out);
    }
}

impl<K: Value> KeyInput<K> for &K {
    fn write_key(&self, out: &mut Vec<u8>) {
        Value::write_key(*self, out);
    }
}

impl KeyInput<String> for &str {
    #[inline]
    fn write_key(&self, out: &mut Vec<u8>) {
        scalar::write_bytes(self.as_bytes(), out);
    }
}

impl KeyInput<Vec<u8>> for &[u8] {
    fn write_key(&self, out: &mut Vec<u8>) {
        scalar::write_bytes(self, out);
    }
}

/// What `by = ..` can order by: any [`Value`], floats included, or its borrowed form.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no order to go by",
    label = "not a value that orders",
    note = "`by` takes numbers, text, timestamps, `Option` of these, and your own types under `#[value]`"
)]
pub trait OrderInput {
    /// Appends bytes that order as the values do.
    fn write_order(&self, out: &mut Vec<u8>);
    /// Appends the bytes of what is there, the same of `T` and `Option<T>`; `false` if nothing is.
    fn write_there(&self, out: &mut Vec<u8>) -> bool {
        self.write_order(out);
        true
    }
}

impl<T: Value> OrderInput for T {
    fn write_order(&self, out: &mut Vec<u8>) {
        Value::write_order(self, out);
    }
    fn write_there(&self, out: &mut Vec<u8>) -> bool {
        self.write_some(out)
    }
}

impl OrderInput for &str {
    fn write_order(&self, out: &mut Vec<u8>) {
        OrderInput::write_order(&Some(*self), out);
    }
    fn write_there(&self, out: &mut Vec<u8>) -> bool {
        KeyInput::<String>::write_key(self, out);
        true
    }
}

impl OrderInput for Option<&str> {
    fn write_order(&self, out: &mut Vec<u8>) {
        KeyInput::<Option<String>>::write_key(self, out);
    }
    fn write_there(&self, out: &mut Vec<u8>) -> bool {
        self.is_some_and(|text| OrderInput::write_there(&text, out))
    }
}

impl OrderInput for &[u8] {
    fn write_order(&self, out: &mut Vec<u8>) {
        OrderInput::write_order(&Some(*self), out);
    }
    fn write_there(&self, out: &mut Vec<u8>) -> bool {
        KeyInput::<Vec<u8>>::write_key(self, out);
        true
    }
}

impl OrderInput for Option<&[u8]> {
    fn write_order(&self, out: &mut Vec<u8>) {
        KeyInput::<Option<Vec<u8>>>::write_key(self, out);
    }
    fn write_there(&self, out: &mut Vec<u8>) -> bool {
        self.is_some_and(|bytes| OrderInput::write_there(&bytes, out))
    }
}

/// The borrowed forms of the `Option` of a key.
pub(crate) fn write_option_key<K>(value: Option<&impl KeyInput<K>>, out: &mut Vec<u8>) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        value.write_key(out);
    }
}

impl KeyInput<Option<String>> for Option<&str> {
    fn write_key(&self, out: &mut Vec<u8>) {
        write_option_key::<String>(self.as_ref(), out);
    }
}

impl KeyInput<Option<Vec<u8>>> for Option<&[u8]> {
    fn write_key(&self, out: &mut Vec<u8>) {
        write_option_key::<Vec<u8>>(self.as_ref(), out);
    }
}

impl<T: Scalar> Value for Option<T> {
    const SHAPE: u128 = mix(mix_str(0, "Option"), T::SHAPE);
    const SQL: SqlType = T::SQL;

    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.is_some()));
        if let Some(value) = self {
            value.write(out);
        }
    }

    fn read(input: &mut &[u8]) -> Option<Self> {
        match scalar::take::<1>(input)? {
            [0] => Some(None),
            [1] => T::read(input).map(Some),
            _ => None,
        }
    }

    fn write_key(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.is_some()));
        if let Some(value) = self {
            value.write_key(out);
        }
    }

    fn write_some(&self, out: &mut Vec<u8>) -> bool {
        self.as_ref().is_some_and(|value| value.write_some(out))
    }

    fn write_order(&self, out: &mut Vec<u8>) {
        match self {
            Some(value) => value.write_order(out),
            None => out.push(0),
        }
    }

    fn read_key(input: &mut &[u8]) -> Option<Self> {
        match scalar::take::<1>(input)? {
            [0] => Some(None),
            [1] => T::read_key(input).map(Some),
            _ => None,
        }
    }

    fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Some(left), Some(right)) => left.order(right),
            _ => self.is_some().cmp(&other.is_some()),
        }
    }

    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Some(left), Some(right)) => left.same(right),
            _ => self.is_some() == other.is_some(),
        }
    }

    fn empty() -> Option<Self> {
        Some(None)
    }

    fn sql(&self) -> SqlValue {
        self.as_ref().map_or(SqlValue::Null, T::sql)
    }

    fn write_json(&self, out: &mut String) {
        match self {
            Some(value) => value.write_json(out),
            None => json::one(&SqlValue::Null, out),
        }
    }
}

/// Key types, each with its borrowed form.
macro_rules! key_parts {
    ($($(#[$attribute:meta])* $ty:ty => $borrowed:ty;)*) => { $(
        $(#[$attribute])*
        impl $crate::value::KeyPart for $ty {
            type Ref<'a> = $borrowed;
            #[inline]
            fn write_ref(key: &Self::Ref<'_>, out: &mut Vec<u8>) {
                $crate::value::KeyInput::<$ty>::write_key(key, out);
            }
        }
    )* };
}
pub(crate) use key_parts;
