//! `#[first(..)]` and `#[last(..)]`, in log order or `by` an expression.

use super::{Appends, Cell, Column, ColumnFault, Merge, Shown, Sign, State, Takes, write_slot};
use crate::schema::{mix, mix_str};
use crate::value::{OrderInput, Value};

/// The first event's value.
#[derive(Clone, Debug)]
pub struct First<C: Column> {
    seen: bool,
    slot: Option<C::Inner>,
}

impl<C: Column> Default for First<C> {
    fn default() -> Self {
        Self { seen: false, slot: None }
    }
}

impl<C: Column> First<C> {
    /// The value, if it is the first.
    #[inline]
    pub fn step<I>(&self, _: impl Into<Sign>, input: &I) -> Result<Option<Option<C::Inner>>, ColumnFault>
    where
        C: Takes<I>,
    {
        Ok((!self.seen).then(|| C::own(input)))
    }
    /// Takes the step.
    #[inline]
    pub fn commit(&mut self, step: Option<Option<C::Inner>>, _: &mut Cell<'_>) {
        if let Some(slot) = step {
            *self = Self { seen: true, slot };
        }
    }
    /// The column.
    pub fn get(&self, _: &Shown<'_>) -> Option<C> {
        C::show(self.slot.as_ref())
    }
}

impl<C: Column> State for First<C> {
    const SHAPE: u128 = mix(mix_str(4, "first"), C::SHAPE);
    fn write(&self, out: &mut Vec<u8>) {
        self.seen.write(out);
        write_slot(self.slot.as_ref(), out);
    }
    fn read(input: &mut &[u8]) -> Option<Self> {
        Some(Self { seen: bool::read(input)?, slot: Option::<C::Inner>::read(input)? })
    }
}

/// The last event's value.
#[derive(Clone, Debug)]
pub struct Last<C: Column>(Option<C::Inner>);

impl<C: Column> Default for Last<C> {
    fn default() -> Self {
        Self(None)
    }
}

impl<C: Column> Last<C> {
    /// The value.
    #[inline]
    pub fn step<I>(&self, _: impl Into<Sign>, input: &I) -> Result<Option<C::Inner>, ColumnFault>
    where
        C: Takes<I>,
    {
        Ok(C::own(input))
    }
    /// Takes the step.
    #[inline]
    pub fn commit(&mut self, step: Option<C::Inner>, _: &mut Cell<'_>) {
        self.0 = step;
    }
    /// The column.
    pub fn get(&self, _: &Shown<'_>) -> Option<C> {
        C::show(self.0.as_ref())
    }
}

impl<C: Column> State for Last<C> {
    const SHAPE: u128 = mix(mix_str(4, "last"), C::SHAPE);
    fn write(&self, out: &mut Vec<u8>) {
        write_slot(self.0.as_ref(), out);
    }
    fn read(input: &mut &[u8]) -> Option<Self> {
        Option::<C::Inner>::read(input).map(Self)
    }
}

/// A value and the canonical bytes of what it is ordered by: kept as bytes, so that no type of it need be named.
#[derive(Clone, Debug)]
struct Ordered<T> {
    by: Option<Box<[u8]>>,
    slot: Option<T>,
}

impl<T> Default for Ordered<T> {
    fn default() -> Self {
        Self { by: None, slot: None }
    }
}

impl<T: Value + crate::value::Scalar> Ordered<T> {
    fn write(&self, out: &mut Vec<u8>) {
        match &self.by {
            None => out.push(0),
            Some(by) => {
                out.push(1);
                crate::value::KeyInput::<Vec<u8>>::write_key(&&**by, out);
            }
        }
        write_slot(self.slot.as_ref(), out);
    }
    fn read(input: &mut &[u8]) -> Option<Self> {
        let by = Option::<Vec<u8>>::read(input)?.map(Into::into);
        Some(Self { by, slot: Option::<T>::read(input)? })
    }
}

macro_rules! by_order {
    ($($(#[$doc:meta])* $name:ident, $shape:literal: $kept_wins:expr;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name<C: Column>(Ordered<C::Inner>);

        impl<C: Column> Default for $name<C> {
            fn default() -> Self {
                Self(Ordered::default())
            }
        }

        impl<C: Column> $name<C> {
            /// The value and what it is ordered by, if it takes the place of the one kept.
            #[allow(clippy::type_complexity)] // Said once, here.
            pub fn step<I, B: OrderInput>(
                &self, _: Appends, input: &I, by: &B,
            ) -> Result<Option<(Box<[u8]>, Option<C::Inner>)>, ColumnFault>
            where
                C: Takes<I>,
            {
                let mut order = Vec::with_capacity(16);
                by.write_order(&mut order);
                let kept_wins: fn(&[u8], &[u8]) -> bool = $kept_wins;
                Ok(match &self.0.by {
                    Some(kept) if kept_wins(kept, &order) => None,
                    _ => Some((order.into(), C::own(input))),
                })
            }
            /// Takes the step.
            pub fn commit(&mut self, step: Option<(Box<[u8]>, Option<C::Inner>)>, _: &mut Cell<'_>) {
                if let Some((by, slot)) = step {
                    self.0 = Ordered { by: Some(by), slot };
                }
            }
            /// The column.
            pub fn get(&self, _: &Shown<'_>) -> Option<C> {
                C::show(self.0.slot.as_ref())
            }
        }

        impl<C: Column> State for $name<C> {
            const SHAPE: u128 = mix(mix_str(5, $shape), C::SHAPE);
            fn write(&self, out: &mut Vec<u8>) {
                self.0.write(out);
            }
            fn read(input: &mut &[u8]) -> Option<Self> {
                Ordered::read(input).map(Self)
            }
        }

        impl<C: Column> Merge for $name<C> {
            fn merge(&mut self, later: &Self, _: &mut Cell<'_>, _: u32) -> Result<(), ColumnFault> {
                let kept_wins: fn(&[u8], &[u8]) -> bool = $kept_wins;
                match (&self.0.by, &later.0.by) {
                    (_, None) => {}
                    (Some(kept), Some(later)) if kept_wins(kept, later) => {}
                    _ => self.0.clone_from(&later.0),
                }
                Ok(())
            }
        }
    )* };
}

by_order! {
    /// The value of the event that comes first in the order; of equals, the earliest in the log.
    FirstBy, "first by": |kept, new| kept <= new;
    /// The value of the event that comes last in the order; of equals, the latest in the log.
    LastBy, "last by": |kept, new| kept > new;
}
