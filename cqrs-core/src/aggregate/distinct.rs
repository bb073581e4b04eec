//! `#[count_distinct(..)]`

use std::marker::PhantomData;

use super::element::checked;
use super::{Cell, ColumnFault, CountColumn, Merge, Mode, Shown, Sign, State};
use crate::schema::mix_str;
use crate::value::{OrderInput, Value};

/// How many different values there are; empty inputs are passed over, and `T` and `Option<T>` are one.
#[derive(Debug)]
pub struct CountDistinct<M>(u64, PhantomData<fn() -> M>);

impl<M> Clone for CountDistinct<M> {
    fn clone(&self) -> Self {
        Self(self.0, PhantomData)
    }
}

impl<M> Default for CountDistinct<M> {
    fn default() -> Self {
        Self(0, PhantomData)
    }
}

impl<M: Mode> CountDistinct<M> {
    /// One value more, or one less.
    pub fn step<I: OrderInput>(
        &self,
        sign: impl Into<Sign>,
        input: &I,
    ) -> Result<Option<(Sign, Vec<u8>)>, ColumnFault> {
        let mut element = Vec::with_capacity(24);
        if !input.write_there(&mut element) {
            return Ok(None);
        }
        Ok(Some((sign.into(), checked(element)?)))
    }
    /// Takes the step.
    pub fn commit(&mut self, step: Option<(Sign, Vec<u8>)>, cell: &mut Cell<'_>) {
        let Some((sign, element)) = step else { return };
        let count = cell.count(&element);
        match sign {
            Sign::Insert if count == 0 => self.0 += 1,
            // How often a value is there matters only where it can go again.
            Sign::Insert if !M::RETRACTS => return,
            Sign::Remove if count == 1 => self.0 -= 1,
            _ => {}
        }
        cell.add(&element, sign.by());
    }
    /// The column.
    pub fn get<C: CountColumn>(&self, _: &Shown<'_>) -> Option<C> {
        Some(C::show(self.0))
    }
}

impl<M: Mode> State for CountDistinct<M> {
    const SHAPE: u128 = mix_str(5, if M::RETRACTS { "count distinct of" } else { "count distinct" });
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }
    fn read(input: &mut &[u8]) -> Option<Self> {
        u64::read(input).map(|count| Self(count, PhantomData))
    }
}

impl<M: Mode> Merge for CountDistinct<M> {
    fn merge(&mut self, _: &Self, cell: &mut Cell<'_>, later_row: u32) -> Result<(), ColumnFault> {
        for (element, count) in cell.take(later_row) {
            let before = cell.count(&element);
            self.0 += u64::from(before == 0);
            if M::RETRACTS || before == 0 {
                cell.plus(&element, count);
            }
        }
        Ok(())
    }
}
