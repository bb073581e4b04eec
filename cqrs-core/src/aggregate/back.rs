//! `#[min]`, `#[max]`, `#[first(.., by = ..)]` and `#[last(.., by = ..)]` of what can be taken back: all values are kept, as elements.

use std::marker::PhantomData;

use super::element::{checked, read_both, read_tail, write_both, write_tail};
use super::{Cell, Column, ColumnFault, Merge, Shown, Sign, State, Takes, Which};
use crate::schema::{mix, mix_str};
use crate::value::{OrderInput, Value};

/// The least or greatest value that is there now; empty inputs are passed over.
#[derive(Debug)]
pub struct ExtremeOf<W, C>(PhantomData<fn() -> (W, C)>);

/// Of what is there now, the value that comes first in the order; of equals, the least.
#[derive(Debug)]
pub struct FirstByOf<C>(PhantomData<fn() -> C>);

/// Of what is there now, the value that comes last in the order; of equals, the greatest.
#[derive(Debug)]
pub struct LastByOf<C>(PhantomData<fn() -> C>);

macro_rules! elements_only {
    ($name:ident<$($param:ident $(: $bound:ident)?),*>, $shape:expr) => {
        impl<$($param),*> Clone for $name<$($param),*> {
            fn clone(&self) -> Self {
                Self(PhantomData)
            }
        }
        impl<$($param),*> Default for $name<$($param),*> {
            fn default() -> Self {
                Self(PhantomData)
            }
        }
        impl<$($param $(: $bound)?),*> $name<$($param),*> {
            /// Takes the step.
            pub fn commit(&mut self, step: Option<(Sign, Vec<u8>)>, cell: &mut Cell<'_>) {
                if let Some((sign, element)) = step {
                    cell.add(&element, sign.by());
                }
            }
        }
        impl<$($param $(: $bound)?),*> State for $name<$($param),*> {
            const SHAPE: u128 = $shape;
            fn write(&self, _: &mut Vec<u8>) {}
            fn read(_: &mut &[u8]) -> Option<Self> {
                Some(Self::default())
            }
        }
        impl<$($param $(: $bound)?),*> Merge for $name<$($param),*> {
            fn merge(&mut self, _: &Self, cell: &mut Cell<'_>, later_row: u32) -> Result<(), ColumnFault> {
                cell.absorb(later_row);
                Ok(())
            }
        }
    };
}

elements_only! { ExtremeOf<W: Which, C: Column>, mix(mix_str(mix_str(4, W::NAME), "of"), C::SHAPE) }
elements_only! { FirstByOf<C: Column>, mix(mix_str(5, "first by of"), C::SHAPE) }
elements_only! { LastByOf<C: Column>, mix(mix_str(5, "last by of"), C::SHAPE) }

impl<W: Which, C: Column> ExtremeOf<W, C> {
    /// One value more, or one less.
    pub fn step<I>(&self, sign: impl Into<Sign>, input: &I) -> Result<Option<(Sign, Vec<u8>)>, ColumnFault>
    where
        C: Takes<I>,
    {
        let Some(value) = C::own(input) else { return Ok(None) };
        let mut element = Vec::with_capacity(24);
        write_both(&mut element, |out| value.write_key(out), |out| value.write(out));
        Ok(Some((sign.into(), checked(element)?)))
    }
    /// The column.
    pub fn get(&self, shown: &Shown<'_>) -> Option<C> {
        let element = if W::WINS.is_lt() { shown.first() } else { shown.last() };
        let value = match element {
            None => None,
            Some((element, _)) => Some(read_both(element, C::Inner::read_key, C::Inner::read)?),
        };
        C::show(value.as_ref())
    }
}

/// The order, the value's own, and the value.
fn ordered<C: Takes<I>, I>(
    sign: impl Into<Sign>,
    input: &I,
    by: &impl OrderInput,
) -> Result<Option<(Sign, Vec<u8>)>, ColumnFault> {
    let value = C::own(input);
    let mut element = Vec::with_capacity(48);
    by.write_order(&mut element);
    value.write_key(&mut element);
    write_tail(&mut element, |out| value.write(out));
    Ok(Some((sign.into(), checked(element)?)))
}

macro_rules! by_order {
    ($($name:ident: $end:ident;)*) => { $(
        impl<C: Column> $name<C> {
            /// One value more, or one less.
            pub fn step<I, B: OrderInput>(
                &self, sign: impl Into<Sign>, input: &I, by: &B,
            ) -> Result<Option<(Sign, Vec<u8>)>, ColumnFault>
            where
                C: Takes<I>,
            {
                ordered::<C, I>(sign, input, by)
            }
            /// The column.
            pub fn get(&self, shown: &Shown<'_>) -> Option<C> {
                let value = match shown.$end() {
                    None => None,
                    Some((element, _)) => read_tail(element, Option::<C::Inner>::read)?,
                };
                C::show(value.as_ref())
            }
        }
    )* };
}

by_order! {
    FirstByOf: first;
    LastByOf: last;
}
