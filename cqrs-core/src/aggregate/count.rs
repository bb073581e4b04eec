//! `#[count]`

use super::{Cell, ColumnFault, Merge, Shown, Sign, State};
use crate::schema::mix_str;
use crate::value::Value;

/// The type of a `#[count]` column: `u64`.
#[diagnostic::on_unimplemented(
    message = "a count is `u64`, and this column is `{Self}`",
    label = "make it `u64`"
)]
pub trait CountColumn: Value {
    /// The number as the column.
    fn show(count: u64) -> Self;
}

impl CountColumn for u64 {
    fn show(count: u64) -> Self {
        count
    }
}

/// How many events.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count(u64);

impl Count {
    /// One more, or one less.
    #[inline]
    pub fn step(&self, sign: impl Into<Sign>) -> Result<Sign, ColumnFault> {
        match sign.into() {
            Sign::Remove if self.0 == 0 => Err(ColumnFault::Refused(
                "more is taken back than was given: an expression that gives another value each time?".into(),
            )),
            sign => Ok(sign),
        }
    }
    /// Takes the step.
    #[inline]
    pub fn commit(&mut self, step: Sign, _: &mut Cell<'_>) {
        match step {
            Sign::Insert => self.0 += 1,
            Sign::Remove => self.0 -= 1,
        }
    }
    /// The column.
    pub fn get<C: CountColumn>(&self, _: &Shown<'_>) -> Option<C> {
        Some(C::show(self.0))
    }
}

impl State for Count {
    const SHAPE: u128 = mix_str(4, "count");
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }
    fn read(input: &mut &[u8]) -> Option<Self> {
        u64::read(input).map(Self)
    }
}

impl Merge for Count {
    fn merge(&mut self, later: &Self, _: &mut Cell<'_>, _: u32) -> Result<(), ColumnFault> {
        self.0 += later.0;
        Ok(())
    }
}
