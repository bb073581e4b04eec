//! Keys of rows: the tuple of a projection's group columns, as canonical bytes.

use crate::schema::{mix, mix_str};
use crate::value::{KeyInput, KeyPart, Value};

/// The key of a projection's rows: one [`KeyPart`], a tuple of them, or `()` where there is one row for everything.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a key",
    label = "not a type to group by",
    note = "a key is compared and hashed: group by an integer, text, a timestamp, a decimal or your own `#[value]` type; a float has no exact equality"
)]
pub trait Key: Clone + Send + Sync + Sized + 'static {
    /// The borrowed form in which a row is looked up: `(&str, &str)` for `(String, String)`.
    type Ref<'a>;

    /// A hash of the shapes of its parts.
    const SHAPE: u128;

    /// How many columns it has.
    const PARTS: usize;

    /// How much of its canonical bytes stands beside a row in memory: all of most keys.
    type Inline: Inline;

    /// Appends the canonical bytes of the key.
    fn write_ref(key: &Self::Ref<'_>, out: &mut Vec<u8>);

    /// Reads the key back; `None` if these are not the bytes of such a key.
    fn read(bytes: &[u8]) -> Option<Self>;

    /// Whether these are the bytes of such a key.
    fn check(bytes: &[u8]) -> bool;
}

/// As many of a key's bytes as stand beside its row.
pub trait Inline:
    AsRef<[u8]> + AsMut<[u8]> + Copy + PartialEq + std::fmt::Debug + Send + Sync + 'static
{
    /// How many: at least eight.
    const BYTES: usize;
    /// Zeros.
    const ZERO: Self;
    /// The first [`BYTES`](Self::BYTES) of these bytes, which are no fewer.
    fn of(bytes: &[u8]) -> Self;
}

impl<const N: usize> Inline for [u8; N] {
    const BYTES: usize = {
        assert!(N >= 8, "the place of a long key has to fit");
        N
    };
    const ZERO: Self = [0; N];
    #[inline]
    fn of(bytes: &[u8]) -> Self {
        *bytes.first_chunk().expect("as many bytes as an `Inline` has, zeros behind the key")
    }
}

impl Key for () {
    type Ref<'a> = ();
    const SHAPE: u128 = 3;
    const PARTS: usize = 0;
    type Inline = [u8; 8];
    fn write_ref((): &(), _: &mut Vec<u8>) {}
    fn read(bytes: &[u8]) -> Option<Self> {
        bytes.is_empty().then_some(())
    }
    fn check(bytes: &[u8]) -> bool {
        bytes.is_empty()
    }
}

impl<K: KeyPart> Key for K {
    type Ref<'a> = K::Ref<'a>;
    const SHAPE: u128 = mix(3, <K as Value>::SHAPE);
    const PARTS: usize = 1;
    type Inline = [u8; 24];
    #[inline]
    fn write_ref(key: &Self::Ref<'_>, out: &mut Vec<u8>) {
        K::write_ref(key, out);
    }
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut input = bytes;
        K::read_key(&mut input).filter(|_| input.is_empty())
    }
    fn check(bytes: &[u8]) -> bool {
        let mut input = bytes;
        K::skip_key(&mut input) && input.is_empty()
    }
}

macro_rules! tuples {
    ($($count:literal $inline:literal: $first:ident $($part:ident)*;)*) => { $(
        #[allow(non_snake_case)]
        impl<$first: KeyPart, $($part: KeyPart),*> Key for ($first, $($part,)*) {
            type Ref<'a> = ($first::Ref<'a>, $($part::Ref<'a>,)*);
            const SHAPE: u128 = {
                let hash = mix(mix_str(3, "tuple"), <$first as Value>::SHAPE);
                $( let hash = mix(hash, <$part as Value>::SHAPE); )*
                hash
            };
            const PARTS: usize = $count;
            type Inline = [u8; $inline];
            #[inline]
            fn write_ref(($first, $($part,)*): &Self::Ref<'_>, out: &mut Vec<u8>) {
                $first::write_ref($first, out);
                $( $part::write_ref($part, out); )*
            }
            fn read(bytes: &[u8]) -> Option<Self> {
                let mut input = bytes;
                let key = ($first::read_key(&mut input)?, $($part::read_key(&mut input)?,)*);
                input.is_empty().then_some(key)
            }
            fn check(bytes: &[u8]) -> bool {
                let mut input = bytes;
                $first::skip_key(&mut input) $( && $part::skip_key(&mut input) )* && input.is_empty()
            }
        }
    )* };
}

tuples! {
    2 32: A B;
    3 48: A B C;
    4 48: A B C D;
    5 48: A B C D E;
    6 48: A B C D E F;
    7 48: A B C D E F G;
    8 48: A B C D E F G H;
}

/// Keys under one prefix of `N` columns: what [`View::rows_of`](crate::View::rows_of) takes. Implemented by `#[projection]` for the borrowed
/// forms of the first key columns, one or several.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no key prefix of `{P}`",
    label = "not the first columns of its key",
    note = "a prefix is the first key column, or a tuple of the first few: fewer than the whole key"
)]
pub trait PrefixOf<P, const N: usize> {
    /// Appends the canonical bytes.
    fn write_prefix(&self, out: &mut Vec<u8>);
}

/// The canonical bytes of a key.
pub(crate) fn key_bytes<K: Key>(key: &K::Ref<'_>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    K::write_ref(key, &mut bytes);
    bytes
}

/// The canonical bytes of a prefix.
pub(crate) fn prefix_bytes<P, const N: usize>(prefix: &impl PrefixOf<P, N>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    prefix.write_prefix(&mut bytes);
    bytes
}

/// Where a generated `key` function puts the columns of an event's key, one after the other.
#[derive(Debug)]
pub struct KeyWriter<'a>(pub(crate) &'a mut Vec<u8>);

/// A column of a generated key, of type `K`.
#[derive(Debug)]
pub struct KeyColumn<K>(std::marker::PhantomData<fn() -> K>);

impl<K> KeyColumn<K> {
    /// The column.
    pub const COLUMN: Self = Self(std::marker::PhantomData);

    /// Adds the column's value to the key.
    #[inline]
    pub fn put<I: KeyInput<K>>(self, value: &I, key: &mut KeyWriter<'_>) {
        value.write_key(key.0);
    }
}
