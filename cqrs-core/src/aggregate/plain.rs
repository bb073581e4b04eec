//! Columns that are folded by hand.

use super::{Shown, State};
use crate::schema::mix_str;
use crate::value::Value;

/// A column that is folded by hand.
#[derive(Clone, Debug, Default)]
pub struct Plain<C>(pub C);

impl<C: Value> Plain<C> {
    /// The column.
    pub fn get(&self, _: &Shown<'_>) -> Option<C> {
        Some(self.0.clone())
    }
}

impl<C: Value + Default> State for Plain<C> {
    const SHAPE: u128 = crate::schema::mix(mix_str(4, "plain"), C::SHAPE);
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }
    fn read(input: &mut &[u8]) -> Option<Self> {
        C::read(input).map(Self)
    }
}

/// When a row's window ends.
#[derive(Clone, Copy, Debug, Default)]
pub struct WindowEnd(pub Option<i64>);

impl State for WindowEnd {
    const SHAPE: u128 = mix_str(4, "window end");
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }
    fn read(input: &mut &[u8]) -> Option<Self> {
        Option::read(input).map(Self)
    }
}
