//! `#[sum(..)]`

use std::time::Duration;

use super::exact::{Sums, Term, Total};
use super::{Appends, Cell, ColumnFault, Merge, Shown, Sign, State};
use crate::schema::{mix, mix_str};
use crate::value::Value;

/// What can be added into a sum column of type `C` without losing anything: numbers of its own type or of a narrower one,
/// decimals, durations, and `Option` of these (`None` adds nothing). An `Option` column is `None` until something was added.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be summed into `{C}`",
    label = "does not fit a sum of type `{C}`",
    note = "a sum takes numbers of its column's type or of a narrower one (`i32` into `i64`), decimals and durations: widen the column, or convert the value"
)]
pub trait Addend<C> {
    /// The sum with this added to it; `Ok(None)` if there is nothing to add.
    fn add_to(&self, sum: &C) -> Result<Option<C>, ColumnFault>;
    /// The same, in a form that can be taken back.
    #[doc(hidden)]
    fn term(&self) -> Option<Term>;
    /// The column of a sum.
    #[doc(hidden)]
    fn show(total: &Total) -> Result<C, ColumnFault>;
}

impl<C, I: Addend<C>> Addend<C> for Option<I> {
    #[inline]
    fn add_to(&self, sum: &C) -> Result<Option<C>, ColumnFault> {
        self.as_ref().map_or(Ok(None), |addend| addend.add_to(sum))
    }
    fn term(&self) -> Option<Term> {
        self.as_ref().and_then(I::term)
    }
    fn show(total: &Total) -> Result<C, ColumnFault> {
        I::show(total)
    }
}

/// One addend type into one sum type, and into its `Option`.
macro_rules! addend {
    ($from:ty, $to:ty, $widen:expr, $plus:expr) => {
        impl Addend<$to> for $from {
            #[inline]
            fn add_to(&self, sum: &$to) -> Result<Option<$to>, ColumnFault> {
                let widen: fn($from) -> $to = $widen;
                let plus: fn($to, $to) -> Option<$to> = $plus;
                plus(*sum, widen(*self)).map(Some).ok_or(ColumnFault::Overflow)
            }
            fn term(&self) -> Option<Term> {
                let widen: fn($from) -> $to = $widen;
                Some(Sums::term(widen(*self)))
            }
            fn show(total: &Total) -> Result<$to, ColumnFault> {
                Sums::of(total).ok_or(ColumnFault::Overflow)
            }
        }
        impl Addend<Option<$to>> for $from {
            #[inline]
            fn add_to(&self, sum: &Option<$to>) -> Result<Option<Option<$to>>, ColumnFault> {
                let widen: fn($from) -> $to = $widen;
                match sum {
                    None => Ok(Some(Some(widen(*self)))),
                    Some(sum) => Ok(Addend::<$to>::add_to(self, sum)?.map(Some)),
                }
            }
            fn term(&self) -> Option<Term> {
                Addend::<$to>::term(self)
            }
            fn show(total: &Total) -> Result<Option<$to>, ColumnFault> {
                (total.count() > 0).then(|| <Self as Addend<$to>>::show(total)).transpose()
            }
        }
    };
}

macro_rules! checked {
    ($($from:ident into $($to:ident)*;)*) => { $($( addend! { $from, $to, <$to>::from, <$to>::checked_add } )*)* };
}

macro_rules! rounded {
    ($($from:ident into $($to:ident)*;)*) => { $($( addend! { $from, $to, <$to>::from, |a, b| Some(a + b) } )*)* };
}

checked! {
    u8 into u8 u16 u32 u64 u128 usize i16 i32 i64 i128 isize;
    u16 into u16 u32 u64 u128 usize i32 i64 i128;
    u32 into u32 u64 u128 i64 i128;
    u64 into u64 u128 i128;
    u128 into u128;
    usize into usize;
    i8 into i8 i16 i32 i64 i128 isize;
    i16 into i16 i32 i64 i128 isize;
    i32 into i32 i64 i128;
    i64 into i64 i128;
    i128 into i128;
    isize into isize;
    Duration into Duration;
}

rounded! {
    u8 into f32 f64;
    u16 into f32 f64;
    u32 into f64;
    i8 into f32 f64;
    i16 into f32 f64;
    i32 into f64;
    f32 into f32 f64;
    f64 into f64;
}

#[cfg(feature = "jiff")]
addend! { jiff::SignedDuration, jiff::SignedDuration, |d| d, jiff::SignedDuration::checked_add }
#[cfg(feature = "chrono")]
addend! { chrono::TimeDelta, chrono::TimeDelta, |d| d, |a, b| a.checked_add(&b) }
#[cfg(feature = "rust_decimal")]
mod decimals {
    use super::{Addend, ColumnFault, Sums, Term, Total};
    use rust_decimal::Decimal;
    checked! {
        Decimal into Decimal;
        u8 into Decimal; u16 into Decimal; u32 into Decimal; u64 into Decimal;
        i8 into Decimal; i16 into Decimal; i32 into Decimal; i64 into Decimal;
    }
}

/// The sum of what was added. Which types it can be of is asked once, by [`step`](Self::step): see [`Addend`].
#[derive(Clone, Debug)]
pub struct Sum<C>(C);

impl<C: Value> Default for Sum<C> {
    fn default() -> Self {
        // Every type with an `Addend` has one; the others have failed to compile at the step.
        Self(C::empty().unwrap_or_else(|| unreachable!("`{}` is no sum", std::any::type_name::<C>())))
    }
}

impl<C: Value> Sum<C> {
    /// The sum with one more addend; `Ok(None)` if there is nothing to add.
    #[inline]
    pub fn step<I: Addend<C>>(&self, _: Appends, input: &I) -> Result<Option<C>, ColumnFault> {
        input.add_to(&self.0)
    }
    /// Takes the step.
    #[inline]
    pub fn commit(&mut self, step: Option<C>, _: &mut Cell<'_>) {
        if let Some(sum) = step {
            self.0 = sum;
        }
    }
    /// The column.
    pub fn get(&self, _: &Shown<'_>) -> Option<C> {
        Some(self.0.clone())
    }
}

impl<C: Value> State for Sum<C> {
    const SHAPE: u128 = mix(mix_str(4, "sum"), C::SHAPE);
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }
    fn read(input: &mut &[u8]) -> Option<Self> {
        C::read(input).map(Self)
    }
}

impl<C: Value + Addend<C>> Merge for Sum<C> {
    fn merge(&mut self, later: &Self, _: &mut Cell<'_>, _: u32) -> Result<(), ColumnFault> {
        if let Some(sum) = later.0.add_to(&self.0)? {
            self.0 = sum;
        }
        Ok(())
    }
}

/// The sum of what is there now: nothing is lost of what was added, so it can be taken back. A float is the exact sum, rounded once.
///
/// A sum that does not fit the column's type faults at each step: also one that a later step would have brought back.
#[derive(Clone, Debug)]
pub struct ExactSum<C> {
    total: Total,
    shown: C,
}

impl<C: Value> Default for ExactSum<C> {
    fn default() -> Self {
        Self { total: Total::default(), shown: Sum::default().0 }
    }
}

impl<C: Value> ExactSum<C> {
    /// The sum with one more addend, or one less; `Ok(None)` if there is nothing to add.
    pub fn step<I: Addend<C>>(&self, sign: impl Into<Sign>, input: &I) -> Result<Option<Self>, ColumnFault> {
        let Some(term) = input.term() else { return Ok(None) };
        let total = self.total.with(sign.into(), term);
        Ok(Some(Self { shown: I::show(&total)?, total }))
    }
    /// Takes the step.
    pub fn commit(&mut self, step: Option<Self>, _: &mut Cell<'_>) {
        if let Some(next) = step {
            *self = next;
        }
    }
    /// The column.
    pub fn get(&self, _: &Shown<'_>) -> Option<C> {
        Some(self.shown.clone())
    }
}

impl<C: Value> State for ExactSum<C> {
    const SHAPE: u128 = mix(mix_str(4, "exact sum"), C::SHAPE);
    fn write(&self, out: &mut Vec<u8>) {
        self.total.write(out);
        self.shown.write(out);
    }
    fn read(input: &mut &[u8]) -> Option<Self> {
        Some(Self { total: Total::read(input)?, shown: C::read(input)? })
    }
}

impl<C: Value + Addend<C>> Merge for ExactSum<C> {
    fn merge(&mut self, later: &Self, _: &mut Cell<'_>, _: u32) -> Result<(), ColumnFault> {
        let total = self.total.plus(&later.total);
        *self = Self { shown: C::show(&total)?, total };
        Ok(())
    }
}
