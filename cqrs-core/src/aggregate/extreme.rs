//! `#[min(..)]` and `#[max(..)]`

use std::cmp::Ordering;
use std::marker::PhantomData;

use super::{Appends, Cell, Column, ColumnFault, Merge, Shown, State, Takes, write_slot};
use crate::schema::{mix, mix_str};
use crate::value::Value;

/// Which end of the order.
pub trait Which: Send + Sync + 'static {
    /// How a value orders against the one kept when it takes its place.
    const WINS: Ordering;
    /// Its name in fingerprints.
    const NAME: &'static str;
}

/// The least value.
#[derive(Clone, Copy, Debug, Default)]
pub struct Min;
/// The greatest value.
#[derive(Clone, Copy, Debug, Default)]
pub struct Max;

impl Which for Min {
    const WINS: Ordering = Ordering::Less;
    const NAME: &'static str = "min";
}
impl Which for Max {
    const WINS: Ordering = Ordering::Greater;
    const NAME: &'static str = "max";
}

/// The least or greatest value seen; empty inputs are passed over.
#[derive(Debug)]
pub struct Extreme<W, C: Column> {
    slot: Option<C::Inner>,
    which: PhantomData<fn() -> W>,
}

impl<W, C: Column> Clone for Extreme<W, C> {
    fn clone(&self) -> Self {
        Self { slot: self.slot.clone(), which: PhantomData }
    }
}

impl<W, C: Column> Default for Extreme<W, C> {
    fn default() -> Self {
        Self { slot: None, which: PhantomData }
    }
}

impl<W: Which, C: Column> Extreme<W, C> {
    /// The value, if it takes the place of the one kept.
    #[inline]
    pub fn step<I>(&self, _: Appends, input: &I) -> Result<Option<C::Inner>, ColumnFault>
    where
        C: Takes<I>,
    {
        Ok(match &self.slot {
            Some(kept) if <C as Takes<I>>::order(input, kept) != Some(W::WINS) => None,
            _ => C::own(input),
        })
    }
    /// Takes the step.
    #[inline]
    pub fn commit(&mut self, step: Option<C::Inner>, _: &mut Cell<'_>) {
        if step.is_some() {
            self.slot = step;
        }
    }
    /// The column.
    pub fn get(&self, _: &Shown<'_>) -> Option<C> {
        C::show(self.slot.as_ref())
    }
}

impl<W: Which, C: Column> State for Extreme<W, C> {
    const SHAPE: u128 = mix(mix_str(4, W::NAME), C::SHAPE);
    fn write(&self, out: &mut Vec<u8>) {
        write_slot(self.slot.as_ref(), out);
    }
    fn read(input: &mut &[u8]) -> Option<Self> {
        Some(Self { slot: Option::<C::Inner>::read(input)?, which: PhantomData })
    }
}

impl<W: Which, C: Column> Merge for Extreme<W, C> {
    fn merge(&mut self, later: &Self, _: &mut Cell<'_>, _: u32) -> Result<(), ColumnFault> {
        match (&self.slot, &later.slot) {
            (_, None) => {}
            (Some(kept), Some(later)) if later.order(kept) != W::WINS => {}
            (_, later) => self.slot.clone_from(later),
        }
        Ok(())
    }
}
