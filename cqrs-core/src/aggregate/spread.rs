//! `#[variance(..)]` and `#[stddev(..)]`: of the population, as SQL's `var_pop` and `stddev_pop`.

use std::marker::PhantomData;

use num_bigint::BigUint;

use super::exact::{Number as Exact, Total};
use super::{Appends, AvgColumn, AvgInput, Cell, ColumnFault, Merge, Shown, Sign, State, avg::Number};
use crate::schema::mix_str;
use crate::value::Value;

/// What is shown of a variance.
pub trait Measure: Send + Sync + 'static {
    /// Its name in fingerprints.
    const NAME: &'static str;
    /// The column's number.
    fn of(variance: f64) -> f64;
}

/// The variance itself.
#[derive(Clone, Copy, Debug)]
pub enum Squared {}
/// Its root.
#[derive(Clone, Copy, Debug)]
pub enum Rooted {}

impl Measure for Squared {
    const NAME: &'static str = "variance";
    fn of(variance: f64) -> f64 {
        variance
    }
}
impl Measure for Rooted {
    const NAME: &'static str = "stddev";
    fn of(variance: f64) -> f64 {
        variance.sqrt()
    }
}

/// The variance of the population: 0 of a single number, nothing of none.
pub type Variance = Spread<Squared>;
/// The standard deviation of the population: 0 of a single number, nothing of none.
pub type Stddev = Spread<Rooted>;
/// [`Variance`] of what is there now.
pub type ExactVariance = ExactSpread<Squared>;
/// [`Stddev`] of what is there now.
pub type ExactStddev = ExactSpread<Rooted>;

/// The sum of numbers, and of their squares.
#[derive(Clone, Debug, Default)]
struct Moments {
    total: Total,
    squares: Exact,
}

impl Moments {
    fn with(&self, sign: Sign, number: Number) -> Self {
        let exact = match number {
            Number::Integer(number) => number.into(),
            Number::Float(float) if float.is_finite() => Exact::float(float),
            Number::Float(_) => Exact::default(),
        };
        let squares = self.squares.plus(&exact.times(&exact).signed(sign));
        Self { total: self.total.with(sign, number.into()), squares }
    }
    fn plus(&self, other: &Self) -> Self {
        Self { total: self.total.plus(&other.total), squares: self.squares.plus(&other.squares) }
    }
    /// Rounded once.
    fn variance(&self) -> Option<f64> {
        let count = self.total.count();
        if count == 0 {
            return None;
        }
        if self.total.not_finite().is_some() {
            return Some(f64::NAN);
        }
        let (sum, many) = (self.total.sum(), Exact::from(i128::from(count)));
        let difference = many.times(&self.squares).plus(&sum.times(sum).signed(Sign::Remove));
        Some(difference.over(&(BigUint::from(count) * count)))
    }
    fn write(&self, out: &mut Vec<u8>) {
        self.total.write(out);
        self.squares.write(out);
    }
    fn read(input: &mut &[u8]) -> Option<Self> {
        Some(Self { total: Total::read(input)?, squares: Exact::read(input)? })
    }
}

/// Welford's running mean, and the sum of squares about it.
#[derive(Clone, Copy, Debug, Default)]
struct Running {
    count: u64,
    mean: f64,
    squares: f64,
}

impl Running {
    fn with(self, number: f64) -> Self {
        let count = self.count + 1;
        let off = number - self.mean;
        let mean = self.mean + off / count as f64;
        Self { count, mean, squares: self.squares + off * (number - mean) }
    }
    /// Chan's formula.
    fn plus(self, other: Self) -> Self {
        if other.count == 0 {
            return self;
        }
        if self.count == 0 {
            return other;
        }
        let count = self.count + other.count;
        let (off, share) = (other.mean - self.mean, other.count as f64 / count as f64);
        Self {
            count,
            mean: self.mean + off * share,
            squares: self.squares + other.squares + off * off * self.count as f64 * share,
        }
    }
}

macro_rules! spread {
    ($name:ident) => {
        impl<K> Clone for $name<K> {
            fn clone(&self) -> Self {
                Self { parts: self.parts.clone(), measure: PhantomData }
            }
        }
        impl<K> Default for $name<K> {
            fn default() -> Self {
                Self { parts: Default::default(), measure: PhantomData }
            }
        }
        impl<K: Measure> $name<K> {
            /// Takes the step.
            pub fn commit(&mut self, step: Option<Self>, _: &mut Cell<'_>) {
                if let Some(next) = step {
                    *self = next;
                }
            }
            /// The column.
            pub fn get<C: AvgColumn>(&self, _: &Shown<'_>) -> Option<C> {
                C::show(self.variance().map(K::of))
            }
        }
    };
}

/// How far numbers lie apart. Integers are kept exact; floats are not, but nothing cancels out.
#[derive(Debug)]
pub struct Spread<K> {
    parts: (Moments, Running),
    measure: PhantomData<fn() -> K>,
}
spread! { Spread }

impl<K: Measure> Spread<K> {
    /// The spread with one more number.
    pub fn step<I: AvgInput>(&self, _: Appends, input: &I) -> Result<Option<Self>, ColumnFault> {
        let (integers, floats) = &self.parts;
        let parts = match input.number() {
            None => return Ok(None),
            Some(Number::Float(number)) => (integers.clone(), floats.with(number)),
            Some(number) => (integers.with(Sign::Insert, number), *floats),
        };
        Ok(Some(Self { parts, measure: PhantomData }))
    }
    fn variance(&self) -> Option<f64> {
        let (integers, floats) = &self.parts;
        if floats.count == 0 {
            return integers.variance();
        }
        let count = integers.total.count();
        let integers = Running {
            count,
            mean: integers.total.mean().unwrap_or(0.0),
            squares: integers.variance().unwrap_or(0.0) * count as f64,
        };
        let all = integers.plus(*floats);
        Some(all.squares / all.count as f64)
    }
}

impl<K: Measure> State for Spread<K> {
    const SHAPE: u128 = mix_str(4, K::NAME);
    fn write(&self, out: &mut Vec<u8>) {
        self.parts.0.write(out);
        let Running { count, mean, squares } = self.parts.1;
        count.write(out);
        mean.write(out);
        squares.write(out);
    }
    fn read(input: &mut &[u8]) -> Option<Self> {
        let integers = Moments::read(input)?;
        let floats =
            Running { count: u64::read(input)?, mean: f64::read(input)?, squares: f64::read(input)? };
        Some(Self { parts: (integers, floats), measure: PhantomData })
    }
}

impl<K: Measure> Merge for Spread<K> {
    fn merge(&mut self, later: &Self, _: &mut Cell<'_>, _: u32) -> Result<(), ColumnFault> {
        self.parts = (self.parts.0.plus(&later.parts.0), self.parts.1.plus(later.parts.1));
        Ok(())
    }
}

/// How far the numbers that are there now lie apart: exact, and rounded once.
#[derive(Debug)]
pub struct ExactSpread<K> {
    parts: Moments,
    measure: PhantomData<fn() -> K>,
}
spread! { ExactSpread }

impl<K: Measure> ExactSpread<K> {
    /// The spread with one more number, or one less.
    pub fn step<I: AvgInput>(&self, sign: impl Into<Sign>, input: &I) -> Result<Option<Self>, ColumnFault> {
        let with = |number| Self { parts: self.parts.with(sign.into(), number), measure: PhantomData };
        Ok(input.number().map(with))
    }
    fn variance(&self) -> Option<f64> {
        self.parts.variance()
    }
}

impl<K: Measure> State for ExactSpread<K> {
    const SHAPE: u128 = mix_str(mix_str(4, "exact"), K::NAME);
    fn write(&self, out: &mut Vec<u8>) {
        self.parts.write(out);
    }
    fn read(input: &mut &[u8]) -> Option<Self> {
        Some(Self { parts: Moments::read(input)?, measure: PhantomData })
    }
}

impl<K: Measure> Merge for ExactSpread<K> {
    fn merge(&mut self, later: &Self, _: &mut Cell<'_>, _: u32) -> Result<(), ColumnFault> {
        self.parts = self.parts.plus(&later.parts);
        Ok(())
    }
}
