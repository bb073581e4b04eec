//! Aggregates of the user's own.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Appends, Cell, ColumnFault, Merge, Shown, Sign, State};
use crate::codec::is_shallow;
use crate::schema::{mix, mix_str};
use crate::value::Value;

/// An aggregate of your own: what is kept of a row, how a value comes into it, and what the column shows.
///
/// It has to be a function of the values and nothing else: no clock, no random numbers. What it keeps is stored through serde, with
/// the names of its fields; where equal states are to have equal bytes, it holds no `HashMap`. What of a value is kept is on the heap of
/// each row, and copied by each event: keep it small.
///
/// ```
/// use cqrs_core::{aggregate::Aggregate, prelude::*};
///
/// /// The product of integers.
/// #[value] // derives what it is stored by
/// #[derive(Clone)]
/// struct Product(i64);
///
/// impl Default for Product {
///     fn default() -> Self {
///         Self(1)
///     }
/// }
///
/// impl Aggregate for Product {
///     type Input = i64;
///     type Output = i64;
///     fn insert(&mut self, input: &i64) -> Result<(), String> {
///         self.0 = self.0.checked_mul(*input).ok_or("the product does not fit an i64")?;
///         Ok(())
///     }
///     fn output(&self) -> i64 {
///         self.0
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an aggregate",
    label = "not an aggregate",
    note = "implement `cqrs_core::aggregate::Aggregate` for it"
)]
pub trait Aggregate: Default + Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// What comes in.
    type Input;
    /// The column's type.
    type Output: Value;

    /// To be counted up whenever what is kept, or how, changes: the views that have it are folded anew then.
    const VERSION: u32 = 1;

    /// Takes in a value.
    ///
    /// # Errors
    ///
    /// Why the value cannot be taken in: the view stops before the event, which has changed nothing.
    fn insert(&mut self, input: &Self::Input) -> Result<(), String>;

    /// What the column shows.
    fn output(&self) -> Self::Output;
}

/// An [`Aggregate`] that values can be taken back from: what a source needs whose rows come and go, another projection.
#[diagnostic::on_unimplemented(
    message = "`{Self}` takes nothing back, and a source here does",
    label = "over a projection, whose rows come and go",
    note = "implement `cqrs_core::aggregate::Retract` for it: `remove` undoes an `insert`"
)]
pub trait Retract: Aggregate {
    /// Takes a value back that has come before. What remains is as if it never had.
    ///
    /// # Errors
    ///
    /// Why it cannot be taken back.
    fn remove(&mut self, input: &Self::Input) -> Result<(), String>;
}

/// An [`Aggregate`] of which two can become one: what a session needs that an event can bridge.
#[diagnostic::on_unimplemented(
    message = "two of `{Self}` cannot become one, and an event between two sessions makes them one",
    label = "in a view by sessions",
    note = "implement `cqrs_core::aggregate::Combine` for it"
)]
pub trait Combine: Aggregate {
    /// Takes in all that a later one has taken in.
    fn combine(&mut self, later: &Self);
}

/// What can be given to an aggregate with this input: the input, or its borrowed form.
#[diagnostic::on_unimplemented(
    message = "the aggregate takes `{T}`, and this is `{Self}`",
    label = "expected `{T}`",
    note = "convert the value in the column's expression"
)]
pub trait Gives<T: ?Sized> {
    /// Gives it.
    fn give<R>(&self, to: impl FnOnce(&T) -> R) -> R;
}

impl<T> Gives<T> for T {
    fn give<R>(&self, to: impl FnOnce(&T) -> R) -> R {
        to(self)
    }
}

macro_rules! gives {
    ($([$($generics:tt)*] $from:ty as $to:ty: $own:expr;)*) => { $(
        impl<$($generics)*> Gives<$to> for $from {
            fn give<R>(&self, to: impl FnOnce(&$to) -> R) -> R {
                let own: fn(&$from) -> $to = $own;
                to(&own(self))
            }
        }
    )* };
}

gives! {
    [] &str as String: |text| (*text).to_owned();
    [] Option<&str> as Option<String>: |text| text.map(ToOwned::to_owned);
    [] &[u8] as Vec<u8>: |bytes| (*bytes).to_owned();
    [] Option<&[u8]> as Option<Vec<u8>>: |bytes| bytes.map(ToOwned::to_owned);
    [T: Clone] (&str, T) as (String, T): |(text, other)| ((*text).to_owned(), other.clone());
    [T: Clone] (T, &str) as (T, String): |(other, text)| (other.clone(), (*text).to_owned());
    [] (&str, &str) as (String, String): |(left, right)| ((*left).to_owned(), (*right).to_owned());
}

macro_rules! wrapper {
    ($($(#[$doc:meta])* $name:ident, $shape:literal;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Debug, Default)]
        pub struct $name<A>(A);

        impl<A: Aggregate> $name<A> {
            /// Takes the step.
            pub fn commit(&mut self, step: A, _: &mut Cell<'_>) {
                self.0 = step;
            }
            /// The column.
            pub fn get(&self, _: &Shown<'_>) -> Option<A::Output> {
                Some(self.0.output())
            }
        }

        impl<A: Aggregate> State for $name<A> {
            const SHAPE: u128 = {
                let hash = mix(mix_str(4, $shape), <A::Output as Value>::SHAPE);
                mix(hash, A::VERSION as u128)
            };
            fn write(&self, out: &mut Vec<u8>) {
                // What cannot be written is refused when it is read, and folded anew.
                let bytes = rmp_serde::to_vec_named(&self.0).ok();
                bytes.is_some().write(out);
                if let Some(bytes) = bytes {
                    (bytes.len() as u64).write(out);
                    out.extend_from_slice(&bytes);
                }
            }
            fn read(input: &mut &[u8]) -> Option<Self> {
                if !bool::read(input)? {
                    return None;
                }
                let length = usize::try_from(u64::read(input)?).ok()?;
                let (bytes, rest) = input.split_at_checked(length)?;
                *input = rest;
                is_shallow(bytes).then(|| rmp_serde::from_slice(bytes).ok().map(Self))?
            }
        }

        impl<A: Combine> Merge for $name<A> {
            fn merge(&mut self, later: &Self, _: &mut Cell<'_>, _: u32) -> Result<(), ColumnFault> {
                self.0.combine(&later.0);
                Ok(())
            }
        }
    )* };
}

wrapper! {
    /// A user's aggregate.
    Custom, "custom";
    /// A user's aggregate that takes values back.
    CustomBack, "custom back";
}

impl<A: Aggregate> Custom<A> {
    /// The aggregate with one more value.
    pub fn step<I: Gives<A::Input>>(&self, _: Appends, input: &I) -> Result<A, ColumnFault> {
        let mut next = self.0.clone();
        input.give(|input| next.insert(input)).map_err(ColumnFault::Refused)?;
        Ok(next)
    }
}

impl<A: Aggregate> CustomBack<A> {
    /// The aggregate with one more value, or one less.
    pub fn step<I: Gives<A::Input>>(&self, sign: impl Into<Sign>, input: &I) -> Result<A, ColumnFault>
    where
        A: Retract,
    {
        let (mut next, sign) = (self.0.clone(), sign.into());
        let done = input.give(|input| match sign {
            Sign::Insert => next.insert(input),
            Sign::Remove => next.remove(input),
        });
        done.map_err(ColumnFault::Refused)?;
        Ok(next)
    }
}
