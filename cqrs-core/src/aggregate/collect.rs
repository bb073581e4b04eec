//! `#[collect(..)]`

use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;

use super::element::{checked, read_both, read_tail, tail_at, whole, write_both, write_tail};
use super::{Cell, ColumnFault, Merge, Mode, Shown, Sign, State, Takes};
use crate::schema::{mix, mix_str};
use crate::value::{Item, OrderInput, Scalar, Value};

/// What a column of many values keeps of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(hidden)]
pub enum Shape {
    /// Every value, in order.
    List,
    /// Every value once.
    Set,
    /// One value a key.
    Map,
}

/// The type of a `#[collect]` column: `Vec<T>`, `BTreeSet<T>` or `BTreeMap<K, V>`.
#[diagnostic::on_unimplemented(
    message = "nothing can be collected into `{Self}`",
    label = "make it `Vec<T>`, `BTreeSet<T>` or `BTreeMap<K, V>`",
    note = "`Vec<u8>` is bytes, not a list: make it `Vec<u16>`"
)]
pub trait Collected: Value {
    /// A `T`, or a `(K, V)`.
    type One;
    #[doc(hidden)]
    const SHAPE_OF: Shape;
    /// Appends the canonical form.
    #[doc(hidden)]
    fn write_one_key(one: &Self::One, out: &mut Vec<u8>);
    /// Appends the exact form.
    #[doc(hidden)]
    fn write_one(one: &Self::One, out: &mut Vec<u8>);
    #[doc(hidden)]
    fn read_one_key(input: &mut &[u8]) -> Option<Self::One>;
    #[doc(hidden)]
    fn read_one(input: &mut &[u8]) -> Option<Self::One>;
    /// Passes over what a set or a map holds once.
    #[doc(hidden)]
    fn skip_unique(input: &mut &[u8]) -> bool;
    /// The column, of the first `limit`.
    #[doc(hidden)]
    fn gather(all: impl Iterator<Item = Option<(Self::One, u64)>>, limit: usize) -> Option<Self>;
}

/// Columns that collect such values: `T` and its borrowed form for `Vec<T>` and `BTreeSet<T>`, a pair of such for
/// `BTreeMap<K, V>`, and `Option` of these (`None` is passed over).
#[diagnostic::on_unimplemented(
    message = "`{I}` cannot be collected into `{Self}`",
    label = "the column is `{Self}`",
    note = "`Vec<T>` and `BTreeSet<T>` collect values of type `T`, `BTreeMap<K, V>` collects pairs: write `collect((key, value))`"
)]
pub trait CollectInto<I: ?Sized>: Collected {
    /// The value, owned; `None` for an empty input.
    fn own(input: &I) -> Option<Self::One>;
}

macro_rules! single {
    ($([$($generics:tt)*] $ty:ty, $shape:ident: |$all:ident, $limit:ident| $gather:block)*) => { $(
        impl<$($generics)*> Collected for $ty {
            type One = T;
            const SHAPE_OF: Shape = Shape::$shape;
            fn write_one_key(one: &T, out: &mut Vec<u8>) {
                one.write_key(out);
            }
            fn write_one(one: &T, out: &mut Vec<u8>) {
                one.write(out);
            }
            fn read_one_key(input: &mut &[u8]) -> Option<T> {
                T::read_key(input)
            }
            fn read_one(input: &mut &[u8]) -> Option<T> {
                T::read(input)
            }
            fn skip_unique(input: &mut &[u8]) -> bool {
                T::skip_key(input)
            }
            fn gather($all: impl Iterator<Item = Option<(T, u64)>>, $limit: usize) -> Option<Self> $gather
        }
        impl<I, $($generics)*> CollectInto<I> for $ty
        where
            Option<T>: Takes<I, Inner = T>,
        {
            fn own(input: &I) -> Option<T> {
                <Option<T> as Takes<I>>::own(input)
            }
        }
    )* };
}

single! {
    [T: Item] Vec<T>, List: |all, limit| {
        let mut list = Self::new();
        for one in all {
            let (one, count) = one?;
            let room = limit - list.len();
            list.extend(std::iter::repeat_n(one, usize::try_from(count).map_or(room, |count| count.min(room))));
            if list.len() == limit {
                break;
            }
        }
        Some(list)
    }
    [T: Scalar + Ord] BTreeSet<T>, Set: |all, limit| {
        let mut set = Self::new();
        for one in all {
            if set.len() == limit {
                break;
            }
            set.insert(one?.0);
        }
        Some(set)
    }
}

impl<K: Scalar + Ord, V: Scalar> Collected for BTreeMap<K, V> {
    type One = (K, V);
    const SHAPE_OF: Shape = Shape::Map;
    fn write_one_key((key, value): &(K, V), out: &mut Vec<u8>) {
        key.write_key(out);
        value.write_key(out);
    }
    fn write_one((key, value): &(K, V), out: &mut Vec<u8>) {
        key.write(out);
        value.write(out);
    }
    fn read_one_key(input: &mut &[u8]) -> Option<(K, V)> {
        Some((K::read_key(input)?, V::read_key(input)?))
    }
    fn read_one(input: &mut &[u8]) -> Option<(K, V)> {
        Some((K::read(input)?, V::read(input)?))
    }
    fn skip_unique(input: &mut &[u8]) -> bool {
        K::skip_key(input)
    }
    fn gather(all: impl Iterator<Item = Option<((K, V), u64)>>, limit: usize) -> Option<Self> {
        let mut map = Self::new();
        for one in all {
            let ((key, value), _) = one?;
            if map.len() == limit && !map.contains_key(&key) {
                break;
            }
            // The values of a key come in order: the greatest stays.
            map.insert(key, value);
        }
        Some(map)
    }
}

impl<K: Scalar + Ord, V: Scalar, A, B> CollectInto<(A, B)> for BTreeMap<K, V>
where
    Option<K>: Takes<A, Inner = K>,
    Option<V>: Takes<B, Inner = V>,
{
    fn own((key, value): &(A, B)) -> Option<(K, V)> {
        Some((<Option<K> as Takes<A>>::own(key)?, <Option<V> as Takes<B>>::own(value)?))
    }
}

/// All values, or the first so many.
///
/// Over events, a list is in the order of the log, and a map has the latest value of a key. Where values can be taken back, a list is
/// in the order of its values, each as often as it is there, and a map has the greatest value of a key. With a limit, a list keeps
/// its first values, and sets and maps their least.
#[derive(Debug)]
pub struct Collect<M, C> {
    /// How many elements there are: counted over events only.
    held: u64,
    limit: u64,
    kind: PhantomData<fn() -> (M, C)>,
}

/// What a [`Collect`] is about to take in, or give back.
#[derive(Debug)]
pub struct CollectStep {
    sign: Sign,
    element: Vec<u8>,
    limit: u64,
}

impl<M, C> Clone for Collect<M, C> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<M, C> Default for Collect<M, C> {
    fn default() -> Self {
        Self { held: 0, limit: u64::MAX, kind: PhantomData }
    }
}

impl<M: Mode, C: Collected> Collect<M, C> {
    /// One value more, or one less.
    pub fn step<I>(&self, sign: impl Into<Sign>, input: &I) -> Result<Option<CollectStep>, ColumnFault>
    where
        C: CollectInto<I>,
    {
        self.next(sign.into(), input, u64::MAX)
    }
    /// One value more, or one less, where the column shows so many.
    pub fn step_limited<I>(
        &self,
        sign: impl Into<Sign>,
        input: &I,
        limit: usize,
    ) -> Result<Option<CollectStep>, ColumnFault>
    where
        C: CollectInto<I>,
    {
        self.next(sign.into(), input, limit as u64)
    }
    fn next<I>(&self, sign: Sign, input: &I, limit: u64) -> Result<Option<CollectStep>, ColumnFault>
    where
        C: CollectInto<I>,
    {
        let in_order = Self::in_log_order();
        if in_order && self.held >= limit {
            return Ok(None);
        }
        let Some(one) = C::own(input) else { return Ok(None) };
        let mut element = Vec::with_capacity(32);
        if in_order {
            element.extend_from_slice(&self.held.to_be_bytes());
            C::write_one(&one, &mut element);
        } else {
            write_both(&mut element, |out| C::write_one_key(&one, out), |out| C::write_one(&one, out));
        }
        Ok(Some(CollectStep { sign, element: checked(element)?, limit }))
    }
    fn in_log_order() -> bool {
        !M::RETRACTS && C::SHAPE_OF == Shape::List
    }
    /// Takes the step.
    pub fn commit(&mut self, step: Option<CollectStep>, cell: &mut Cell<'_>) {
        let Some(CollectStep { sign, element, limit }) = step else { return };
        self.limit = limit;
        if M::RETRACTS {
            cell.add(&element, sign.by());
        } else {
            self.take_in(element, cell);
        }
    }
    /// Over events only.
    fn take_in(&mut self, mut element: Vec<u8>, cell: &mut Cell<'_>) {
        if C::SHAPE_OF == Shape::List {
            if self.held < self.limit
                && let Some(number) = element.first_chunk_mut()
            {
                *number = self.held.to_be_bytes();
                cell.add(&element, 1);
                self.held += 1;
            }
            return;
        }
        let mut rest = element.as_slice();
        C::skip_unique(&mut rest);
        let unique = &element[..element.len() - rest.len()];
        let there = cell.under(unique).next();
        let other = there.filter(|(there, _)| C::SHAPE_OF == Shape::Map && *there != element);
        match (there.is_some(), other.map(|(other, _)| other.to_vec())) {
            (true, None) => {}
            (true, Some(other)) => {
                cell.add(&other, -1);
                cell.add(&element, 1);
            }
            (false, _) => {
                cell.add(&element, 1);
                self.held += 1;
                if self.held > self.limit
                    && let Some((last, _)) = cell.last()
                {
                    let last = last.to_vec();
                    cell.add(&last, -1);
                    self.held -= 1;
                }
            }
        }
    }
    /// The column.
    pub fn get(&self, shown: &Shown<'_>) -> Option<C> {
        let one = |element: &[u8]| {
            if Self::in_log_order() {
                return whole(element.get(8..)?, C::read_one);
            }
            read_both(element, C::read_one_key, C::read_one)
        };
        let all = shown.iter().map(|(element, count)| Some((one(element)?, times::<M>(count))));
        C::gather(all, usize::try_from(self.limit).unwrap_or(usize::MAX))
    }
}

/// How often a column has an element: over events once, whatever count a checkpoint claims.
fn times<M: Mode>(count: u64) -> u64 {
    if M::RETRACTS { count } else { 1 }
}

impl<M: Mode, C: Collected> State for Collect<M, C> {
    const SHAPE: u128 = mix(mix_str(4, if M::RETRACTS { "collect of" } else { "collect" }), C::SHAPE);
    fn write(&self, out: &mut Vec<u8>) {
        self.held.write(out);
        self.limit.write(out);
    }
    fn read(input: &mut &[u8]) -> Option<Self> {
        Some(Self { held: u64::read(input)?, limit: u64::read(input)?, kind: PhantomData })
    }
}

impl<M: Mode, C: Collected> Merge for Collect<M, C> {
    fn merge(&mut self, later: &Self, cell: &mut Cell<'_>, later_row: u32) -> Result<(), ColumnFault> {
        self.limit = self.limit.min(later.limit);
        if M::RETRACTS {
            cell.absorb(later_row);
        } else {
            for (element, _) in cell.take(later_row) {
                self.take_in(element, cell);
            }
        }
        Ok(())
    }
}

/// The type of a `#[top]` column: `Vec<T>`.
#[diagnostic::on_unimplemented(
    message = "the greatest are a `Vec`, and this column is `{Self}`",
    label = "make it `Vec<T>`",
    note = "`Vec<u8>` is bytes, not a list: make it `Vec<u16>`"
)]
pub trait TopColumn: Collected {}

impl<T: Item> TopColumn for Vec<T> {}

/// The greatest `n` values, or the values with the greatest `by`, the greatest first.
///
/// Of equals, over events, the earliest comes first. Where values can be taken back, the greatest value does.
#[derive(Debug)]
pub struct Top<M, C> {
    /// How many have come, and how many are held: over events only.
    come: u64,
    held: u64,
    limit: u64,
    kind: PhantomData<fn() -> (M, C)>,
}

impl<M, C> Clone for Top<M, C> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<M, C> Default for Top<M, C> {
    fn default() -> Self {
        Self { come: 0, held: 0, limit: u64::MAX, kind: PhantomData }
    }
}

impl<M: Mode, C: TopColumn> Top<M, C> {
    /// One value more, or one less.
    pub fn step<I>(
        &self,
        sign: impl Into<Sign>,
        input: &I,
        n: usize,
    ) -> Result<Option<CollectStep>, ColumnFault>
    where
        C: CollectInto<I>,
    {
        let Some(one) = C::own(input) else { return Ok(None) };
        let mut element = Vec::with_capacity(48);
        C::write_one_key(&one, &mut element);
        self.next(sign.into(), one, element, n)
    }
    /// One value more, or one less, with what it is ordered by.
    pub fn step_by<I, B: OrderInput>(
        &self,
        sign: impl Into<Sign>,
        input: &I,
        by: &B,
        n: usize,
    ) -> Result<Option<CollectStep>, ColumnFault>
    where
        C: CollectInto<I>,
    {
        let Some(one) = C::own(input) else { return Ok(None) };
        let mut element = Vec::with_capacity(48);
        by.write_order(&mut element);
        if M::RETRACTS {
            C::write_one_key(&one, &mut element);
        }
        self.next(sign.into(), one, element, n)
    }
    fn next(
        &self,
        sign: Sign,
        one: C::One,
        mut element: Vec<u8>,
        n: usize,
    ) -> Result<Option<CollectStep>, ColumnFault> {
        if !M::RETRACTS {
            // The earliest is the greatest of equals.
            element.extend_from_slice(&(!self.come).to_be_bytes());
        }
        write_tail(&mut element, |out| C::write_one(&one, out));
        Ok(Some(CollectStep { sign, element: checked(element)?, limit: n as u64 }))
    }
    /// Takes the step.
    pub fn commit(&mut self, step: Option<CollectStep>, cell: &mut Cell<'_>) {
        let Some(CollectStep { sign, element, limit }) = step else { return };
        self.limit = limit;
        if M::RETRACTS {
            cell.add(&element, sign.by());
        } else {
            self.come += 1;
            self.take_in(&element, cell);
        }
    }
    /// Over events only.
    fn take_in(&mut self, element: &[u8], cell: &mut Cell<'_>) {
        if self.held >= self.limit {
            let less = cell.first().filter(|(least, _)| *least < element);
            let Some(least) = less.map(|(least, _)| least.to_vec()) else { return };
            cell.add(&least, -1);
            self.held -= 1;
        }
        cell.add(element, 1);
        self.held += 1;
    }
    /// The column.
    pub fn get(&self, shown: &Shown<'_>) -> Option<C> {
        let all = shown
            .iter_back()
            .map(|(element, count)| Some((read_tail(element, C::read_one)?, times::<M>(count))));
        C::gather(all, usize::try_from(self.limit).unwrap_or(usize::MAX))
    }
}

impl<M: Mode, C: TopColumn> State for Top<M, C> {
    const SHAPE: u128 = mix(mix_str(5, if M::RETRACTS { "top of" } else { "top" }), C::SHAPE);
    fn write(&self, out: &mut Vec<u8>) {
        self.come.write(out);
        self.held.write(out);
        self.limit.write(out);
    }
    fn read(input: &mut &[u8]) -> Option<Self> {
        let mut state = Self::default();
        for part in [&mut state.come, &mut state.held, &mut state.limit] {
            *part = u64::read(input)?;
        }
        Some(state)
    }
}

impl<M: Mode, C: TopColumn> Merge for Top<M, C> {
    fn merge(&mut self, later: &Self, cell: &mut Cell<'_>, later_row: u32) -> Result<(), ColumnFault> {
        self.limit = self.limit.min(later.limit);
        if M::RETRACTS {
            cell.absorb(later_row);
            return Ok(());
        }
        for (mut element, _) in cell.take(later_row) {
            if let Some(at) = tail_at(&element)
                && let Some(number) = element[..at].last_chunk_mut()
            {
                *number = u64::from_be_bytes(*number).wrapping_sub(self.come).to_be_bytes();
            }
            self.take_in(&element, cell);
        }
        self.come += later.come;
        Ok(())
    }
}
