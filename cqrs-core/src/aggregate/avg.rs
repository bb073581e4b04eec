//! `#[avg(..)]`

use super::exact::{Term, Total};
use super::{Appends, Cell, ColumnFault, Merge, Shown, Sign, State};
use crate::schema::mix_str;
use crate::value::Value;

/// What an average is taken of.
#[derive(Clone, Copy, Debug)]
pub enum Number {
    /// Kept exact.
    Integer(i128),
    /// Summed with a compensation for what rounding loses.
    Float(f64),
}

/// Values that have an average: numbers, decimals, and `Option` of these (`None` is passed over).
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no average",
    label = "not a number",
    note = "an average is taken of integers, floats or decimals, or of `Option`s of these"
)]
pub trait AvgInput {
    /// The number.
    fn number(&self) -> Option<Number>;
}

impl<T: AvgInput> AvgInput for Option<T> {
    fn number(&self) -> Option<Number> {
        self.as_ref().and_then(T::number)
    }
}

macro_rules! numbers {
    ($($variant:ident($to:ident): $($ty:ident)*;)*) => { $($(
        impl AvgInput for $ty {
            #[inline]
            fn number(&self) -> Option<Number> {
                Some(Number::$variant(*self as $to))
            }
        }
    )*)* };
}

numbers! {
    Integer(i128): u8 u16 u32 u64 usize i8 i16 i32 i64 isize;
    Float(f64): f32 f64;
}

#[cfg(feature = "rust_decimal")]
impl AvgInput for rust_decimal::Decimal {
    fn number(&self) -> Option<Number> {
        // Every decimal has a nearest float.
        f64::try_from(*self).ok().map(Number::Float)
    }
}

/// The type of an `#[avg]` column: `f64`, or `Option<f64>` where there may be nothing to average.
#[diagnostic::on_unimplemented(
    message = "an average is `f64`, and this column is `{Self}`",
    label = "make it `f64` or `Option<f64>`"
)]
pub trait AvgColumn: Value {
    /// The average as the column; `None` where an `f64` column has none.
    fn show(average: Option<f64>) -> Option<Self>;
}

impl AvgColumn for f64 {
    fn show(average: Option<f64>) -> Option<Self> {
        // Only inputs that are `None` leave such a column without a value: 0 / 0.
        Some(average.unwrap_or(Self::NAN))
    }
}

impl AvgColumn for Option<f64> {
    fn show(average: Self) -> Option<Self> {
        Some(average)
    }
}

/// The arithmetic mean.
#[derive(Clone, Copy, Debug, Default)]
pub struct Avg {
    count: u64,
    integers: i128,
    floats: f64,
    lost: f64,
}

/// A float sum with one more number, and what rounding has lost: Neumaier's variant of Kahan summation.
fn compensated(sum: f64, lost: f64, number: f64) -> (f64, f64) {
    let next = sum + number;
    if !next.is_finite() {
        return (next, lost);
    }
    let more = if sum.abs() >= number.abs() { (sum - next) + number } else { (number - next) + sum };
    (next, lost + more)
}

impl Avg {
    /// The average with one more number.
    #[inline]
    pub fn step<I: AvgInput>(&self, _: Appends, input: &I) -> Result<Self, ColumnFault> {
        let mut next = *self;
        match input.number() {
            None => return Ok(next),
            Some(Number::Integer(number)) => {
                next.integers = self.integers.checked_add(number).ok_or(ColumnFault::Overflow)?;
            }
            Some(Number::Float(number)) => {
                (next.floats, next.lost) = compensated(self.floats, self.lost, number);
            }
        }
        next.count += 1;
        Ok(next)
    }
    /// Takes the step.
    #[inline]
    pub fn commit(&mut self, step: Self, _: &mut Cell<'_>) {
        *self = step;
    }
    /// The column.
    pub fn get<C: AvgColumn>(&self, _: &Shown<'_>) -> Option<C> {
        let total = self.integers as f64 + (self.floats + self.lost);
        C::show((self.count > 0).then(|| total / self.count as f64))
    }
}

impl State for Avg {
    const SHAPE: u128 = mix_str(4, "avg");
    fn write(&self, out: &mut Vec<u8>) {
        self.count.write(out);
        self.integers.write(out);
        self.floats.write(out);
        self.lost.write(out);
    }
    fn read(input: &mut &[u8]) -> Option<Self> {
        Some(Self {
            count: u64::read(input)?,
            integers: i128::read(input)?,
            floats: f64::read(input)?,
            lost: f64::read(input)?,
        })
    }
}

impl Merge for Avg {
    fn merge(&mut self, later: &Self, _: &mut Cell<'_>, _: u32) -> Result<(), ColumnFault> {
        self.integers = self.integers.checked_add(later.integers).ok_or(ColumnFault::Overflow)?;
        (self.floats, self.lost) = compensated(self.floats, self.lost + later.lost, later.floats);
        self.count += later.count;
        Ok(())
    }
}

/// The arithmetic mean of what is there now: exact, and rounded once.
#[derive(Clone, Debug, Default)]
pub struct ExactAvg(Total);

impl ExactAvg {
    /// The average with one more number, or one less.
    pub fn step<I: AvgInput>(&self, sign: impl Into<Sign>, input: &I) -> Result<Option<Self>, ColumnFault> {
        Ok(input.number().map(|number| Self(self.0.with(sign.into(), number.into()))))
    }
    /// Takes the step.
    pub fn commit(&mut self, step: Option<Self>, _: &mut Cell<'_>) {
        if let Some(next) = step {
            *self = next;
        }
    }
    /// The column.
    pub fn get<C: AvgColumn>(&self, _: &Shown<'_>) -> Option<C> {
        C::show(self.0.mean())
    }
}

impl From<Number> for Term {
    fn from(number: Number) -> Self {
        match number {
            Number::Integer(number) => Self::Whole(number),
            Number::Float(number) => Self::Float(number),
        }
    }
}

impl State for ExactAvg {
    const SHAPE: u128 = mix_str(4, "exact avg");
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }
    fn read(input: &mut &[u8]) -> Option<Self> {
        Total::read(input).map(Self)
    }
}

impl Merge for ExactAvg {
    fn merge(&mut self, later: &Self, _: &mut Cell<'_>, _: u32) -> Result<(), ColumnFault> {
        self.0 = self.0.plus(&later.0);
        Ok(())
    }
}
