//! The algebra of columns: how an aggregate's state takes in one value.
//!
//! Every aggregate works in two steps, so that an event that faults changes nothing: `step` looks at the state and the
//! input and answers what is to happen, or why it cannot; `commit` makes it happen and cannot fail. A fold runs the
//! steps of all columns before it commits any.

mod avg;
mod back;
mod collect;
mod count;
mod custom;
mod distinct;
mod element;
mod exact;
mod extreme;
mod merge;
mod mode;
mod order;
mod plain;
mod spread;
mod sum;
mod truth;

pub use avg::{Avg, AvgColumn, AvgInput, ExactAvg};
pub use back::{ExtremeOf, FirstByOf, LastByOf};
pub use collect::{Collect, CollectInto, CollectStep, Collected, Top, TopColumn};
pub use count::{Count, CountColumn};
pub use custom::{Aggregate, Combine, Custom, CustomBack, Gives, Retract};
pub use distinct::CountDistinct;
pub use extreme::{Extreme, Max, Min, Which};
pub use merge::Merge;
pub use mode::{Appended, Appends, Changing, Contributions, KeepsOrder, Live, Mode, Sign, Stays};
pub use order::{First, FirstBy, Last, LastBy};
pub use plain::{Plain, WindowEnd};
pub use spread::{
    ExactSpread, ExactStddev, ExactVariance, Measure, Rooted, Spread, Squared, Stddev, Variance,
};
pub use sum::{Addend, ExactSum, Sum};
pub use truth::{All, Any, TruthColumn, TruthInput};

pub use crate::table::{Cell, Cells, Shown, ShownCells};

use crate::value::{Scalar, Value};

/// The state behind one column, or behind all of them.
pub trait State: Default + Clone + Send + Sync + 'static {
    /// A hash of the shape of its bytes.
    const SHAPE: u128;
    /// Appends its exact form.
    fn write(&self, out: &mut Vec<u8>);
    /// Takes one off the front of `input`; `None` if the bytes are no such state.
    fn read(input: &mut &[u8]) -> Option<Self>;
    /// When the row's window ends.
    #[inline]
    fn end(&self) -> Option<i64> {
        None
    }
    /// Notes when the row's window ends.
    fn set_end(&mut self, _: i64) {}
    /// Counts what a row consists of; whether there is still something.
    #[inline]
    fn turn(&mut self, _: Sign) -> bool {
        true
    }
}

/// Why an event could not be folded into a column.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ColumnFault {
    /// The sum does not fit the column's type.
    #[error("the sum does not fit the column's type")]
    Overflow,
    /// The value is too long to be kept beside others.
    #[error("the value is longer than the 16 MiB that a row can keep of it")]
    TooLong,
    /// A user's aggregate turned the value away.
    #[error("{0}")]
    Refused(String),
}

/// The type of a column that holds one value of the events: `T`, or `Option<T>` where there may be none.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a column",
    label = "not a type that a row can hold",
    note = "numbers, bool, char, String, Vec<u8>, durations, timestamps, `Option` of these, and your own types under `#[value]` can"
)]
pub trait Column: Value {
    /// The `T`.
    type Inner: Scalar;
    /// What the row shows. `slot` is empty only where [`MayBeEmpty`] was asked for at compile time.
    fn show(slot: Option<&Self::Inner>) -> Option<Self>;
}

impl<T: Scalar> Column for T {
    type Inner = T;
    #[inline]
    fn show(slot: Option<&T>) -> Option<Self> {
        slot.cloned()
    }
}

impl<T: Scalar> Column for Option<T> {
    type Inner = T;
    #[inline]
    fn show(slot: Option<&T>) -> Option<Self> {
        Some(slot.cloned())
    }
}

/// A column that can show that there is no value yet.
#[diagnostic::on_unimplemented(
    message = "this column may have no value: make it `Option<{Self}>`",
    label = "not always filled",
    note = "a guard, or a source without an arm, can make a row before this column has a value"
)]
pub trait MayBeEmpty {}
impl<T> MayBeEmpty for Option<T> {}

/// Values that a column of this type takes: `T` and its borrowed form, and `Option` of these if the column is an `Option`.
#[diagnostic::on_unimplemented(
    message = "`{I}` does not fit the column's type, `{Self}`",
    label = "the column is `{Self}`",
    note = "the column has the type of the value it takes, or `Option` of it; an `Option` value needs an `Option` column"
)]
pub trait Takes<I: ?Sized>: Column {
    /// The value, owned; `None` for an empty input.
    fn own(input: &I) -> Option<Self::Inner>;
    /// How the input orders against a value; `None` for an empty input.
    fn order(input: &I, other: &Self::Inner) -> Option<std::cmp::Ordering>;
}

impl<T: Scalar> Takes<T> for T {
    fn own(input: &T) -> Option<T> {
        Some(input.clone())
    }
    fn order(input: &T, other: &T) -> Option<std::cmp::Ordering> {
        Some(Value::order(input, other))
    }
}

impl<T: Scalar> Takes<T> for Option<T> {
    fn own(input: &T) -> Option<T> {
        Some(input.clone())
    }
    fn order(input: &T, other: &T) -> Option<std::cmp::Ordering> {
        Some(Value::order(input, other))
    }
}

impl<T: Scalar> Takes<Option<T>> for Option<T> {
    fn own(input: &Self) -> Option<T> {
        input.clone()
    }
    fn order(input: &Self, other: &T) -> Option<std::cmp::Ordering> {
        input.as_ref().map(|value| Value::order(value, other))
    }
}

macro_rules! takes_borrowed {
    ($($owned:ty: $borrowed:ty;)*) => { $(
        impl Takes<&$borrowed> for $owned {
            fn own(input: &&$borrowed) -> Option<$owned> {
                Some((*input).to_owned())
            }
            fn order(input: &&$borrowed, other: &$owned) -> Option<std::cmp::Ordering> {
                let other: &$borrowed = other;
                Some((*input).cmp(other))
            }
        }
        impl Takes<&$borrowed> for Option<$owned> {
            fn own(input: &&$borrowed) -> Option<$owned> {
                Some((*input).to_owned())
            }
            fn order(input: &&$borrowed, other: &$owned) -> Option<std::cmp::Ordering> {
                <$owned as Takes<&$borrowed>>::order(input, other)
            }
        }
        impl Takes<Option<&$borrowed>> for Option<$owned> {
            fn own(input: &Option<&$borrowed>) -> Option<$owned> {
                input.map(ToOwned::to_owned)
            }
            fn order(input: &Option<&$borrowed>, other: &$owned) -> Option<std::cmp::Ordering> {
                input.as_ref().and_then(|input| <$owned as Takes<&$borrowed>>::order(input, other))
            }
        }
    )* };
}

takes_borrowed! {
    String: str;
    Vec<u8>: [u8];
}

/// The slot of a column that may not have been filled yet.
pub(crate) fn write_slot<T: Value>(slot: Option<&T>, out: &mut Vec<u8>) {
    out.push(u8::from(slot.is_some()));
    if let Some(value) = slot {
        value.write(out);
    }
}

#[cfg(test)]
mod algebra;
#[cfg(test)]
mod columns;
#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Elements;

    /// A state comes back from its bytes, and leaves what follows.
    fn round_trip<S: State>(state: &S) -> S {
        let mut out = Vec::new();
        state.write(&mut out);
        let length = out.len();
        out.push(7);
        let mut input = out.as_slice();
        let back = S::read(&mut input).unwrap();
        assert_eq!(input, [7]);
        for cut in 0..length {
            assert!(S::read(&mut &out[..cut]).is_none(), "cut at {cut}");
        }
        back
    }

    #[test]
    fn sums_are_checked_and_exact() {
        let mut sum = Sum::<i8>::default();
        sum.commit(sum.step(Appends, &100_i8).unwrap(), &mut Elements::default().cells(0).at(0));
        assert_eq!(sum.step(Appends, &28_i8), Err(ColumnFault::Overflow));
        assert_eq!(round_trip(&sum).get(&Elements::default().shown(0).at(0)), Some(100));
        sum.commit(sum.step(Appends, &Some(27_i8)).unwrap(), &mut Elements::default().cells(0).at(0));
        sum.commit(sum.step(Appends, &None::<i8>).unwrap(), &mut Elements::default().cells(0).at(0));
        assert_eq!(sum.get(&Elements::default().shown(0).at(0)), Some(127));
        let mut empty = Sum::<Option<i64>>::default();
        assert_eq!(round_trip(&empty).get(&Elements::default().shown(0).at(0)), Some(None));
        empty.commit(empty.step(Appends, &0_i64).unwrap(), &mut Elements::default().cells(0).at(0));
        assert_eq!(empty.get(&Elements::default().shown(0).at(0)), Some(Some(0)));
    }

    #[test]
    fn an_average_of_integers_is_exact_before_it_is_a_float() {
        let mut avg = Avg::default();
        for input in [i64::MAX, i64::MAX, 1, -1] {
            avg.commit(avg.step(Appends, &input).unwrap(), &mut Elements::default().cells(0).at(0));
        }
        assert_eq!(round_trip(&avg).get(&Elements::default().shown(0).at(0)), Some(i64::MAX as f64 / 2.0));
        assert_eq!(Avg::default().get::<Option<f64>>(&Elements::default().shown(0).at(0)), Some(None));
    }

    #[test]
    fn an_average_of_floats_is_compensated() {
        let mut avg = Avg::default();
        for input in [1e16, 1.0, -1e16, 1.0] {
            avg.commit(avg.step(Appends, &input).unwrap(), &mut Elements::default().cells(0).at(0));
        }
        assert_eq!(round_trip(&avg).get(&Elements::default().shown(0).at(0)), Some(0.5));
    }

    #[test]
    fn extremes_keep_the_earliest_of_equals_and_skip_nothing_but_none() {
        let mut max = Extreme::<Max, Option<f64>>::default();
        assert_eq!(max.get(&Elements::default().shown(0).at(0)), Some(None));
        for input in [Some(-0.0), None, Some(0.0), Some(f64::NAN), Some(1.0)] {
            max.commit(max.step(Appends, &input).unwrap(), &mut Elements::default().cells(0).at(0));
        }
        assert!(
            round_trip(&max).get(&Elements::default().shown(0).at(0)).unwrap().unwrap().is_nan(),
            "floats by total order"
        );
        let mut min = Extreme::<Min, String>::default();
        min.commit(min.step(Appends, &"pants").unwrap(), &mut Elements::default().cells(0).at(0));
        min.commit(min.step(Appends, &"hats").unwrap(), &mut Elements::default().cells(0).at(0));
        min.commit(min.step(Appends, &"sweaters").unwrap(), &mut Elements::default().cells(0).at(0));
        assert_eq!(round_trip(&min).get(&Elements::default().shown(0).at(0)), Some("hats".into()));
    }

    #[test]
    fn first_and_last_by_break_ties_by_position() {
        let (mut first, mut last) = (FirstBy::<u32>::default(), LastBy::<u32>::default());
        for (value, by) in [(1_u32, 5), (2, 3), (3, 3), (4, 5)] {
            first.commit(first.step(Appends, &value, &by).unwrap(), &mut Elements::default().cells(0).at(0));
            last.commit(last.step(Appends, &value, &by).unwrap(), &mut Elements::default().cells(0).at(0));
        }
        assert_eq!(
            (
                round_trip(&first).get(&Elements::default().shown(0).at(0)),
                round_trip(&last).get(&Elements::default().shown(0).at(0))
            ),
            (Some(2), Some(4))
        );
    }

    #[test]
    fn last_of_an_option_can_become_none_again() {
        let mut last = Last::<Option<String>>::default();
        for input in [Some("a"), None] {
            last.commit(last.step(Appends, &input).unwrap(), &mut Elements::default().cells(0).at(0));
        }
        assert_eq!(round_trip(&last).get(&Elements::default().shown(0).at(0)), Some(None));
        let mut first = First::<Option<String>>::default();
        for input in [None, Some("a")] {
            first.commit(first.step(Appends, &input).unwrap(), &mut Elements::default().cells(0).at(0));
        }
        assert_eq!(
            round_trip(&first).get(&Elements::default().shown(0).at(0)),
            Some(None),
            "the first event had none"
        );
    }
}
