//! The values of the standard library.

use std::cmp::Ordering;
use std::time::Duration;

use super::{Scalar, Value, key_parts};
use crate::Timestamp;
use crate::schema::mix_str;
use crate::sql::{SqlType, SqlValue};

/// Takes `N` bytes off the front.
pub(crate) fn take<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = input.split_first_chunk::<N>()?;
    *input = rest;
    Some(*head)
}

/// Appends bytes so that they order as they do, and end: a zero becomes `00 ff`, the end is `00 00`.
#[inline]
pub(crate) fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    if !write_short(bytes, out) {
        write_long(bytes, out);
    }
}

/// Eight to sixteen bytes without a zero, as most text in keys: copied and looked through as two words that may overlap. Whether they were.
#[inline]
fn write_short(bytes: &[u8], out: &mut Vec<u8>) -> bool {
    let (Some(first), Some(last), 8..=16) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>(), bytes.len())
    else {
        return false;
    };
    if word_has_zero(*first) || word_has_zero(*last) {
        return false;
    }
    let last = u128::from(u64::from_le_bytes(*last)) << (8 * (bytes.len() - 8));
    let text = u128::from(u64::from_le_bytes(*first)) | last;
    // With the two zeros that end it, and what is too much taken back.
    let end = out.len() + bytes.len() + 2;
    out.extend_from_slice(&text.to_le_bytes());
    out.extend_from_slice(&[0, 0]);
    out.truncate(end);
    true
}

fn write_long(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(bytes.len() + 2);
    let mut rest = bytes;
    if has_zero(bytes) {
        while let Some(zero) = first_zero(rest) {
            out.extend_from_slice(&rest[..=zero]);
            out.push(0xff);
            rest = &rest[zero + 1..];
        }
    }
    out.extend_from_slice(rest);
    out.extend_from_slice(&[0, 0]);
}

/// Takes what [`write_bytes`] wrote.
pub(crate) fn read_bytes(input: &mut &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let zero = first_zero(input)?;
        bytes.extend_from_slice(&input[..zero]);
        let mark = *input.get(zero + 1)?;
        *input = &input[zero + 2..];
        match mark {
            0 => return Some(bytes),
            0xff => bytes.push(0),
            _ => return None,
        }
    }
}

/// Passes over what [`write_bytes`] wrote.
pub(crate) fn skip_bytes(input: &mut &[u8]) -> bool {
    while let Some(zero) = first_zero(input) {
        let Some(mark) = input.get(zero + 1).copied() else { return false };
        *input = &input[zero + 2..];
        if mark == 0 {
            return true;
        }
    }
    false
}

/// Whether there is a zero: eight bytes at a time, the last eight overlapping those before. Keys are short, and hardly one has a zero.
#[inline]
fn has_zero(bytes: &[u8]) -> bool {
    match bytes.last_chunk::<8>() {
        None => bytes.contains(&0),
        Some(last) => {
            bytes.as_chunks::<8>().0.iter().any(|chunk| word_has_zero(*chunk)) || word_has_zero(*last)
        }
    }
}

#[inline]
fn word_has_zero(word: [u8; 8]) -> bool {
    zero_marks(u64::from_le_bytes(word)) != 0
}

/// The highest bit of the lowest byte that is zero, and perhaps of some above it; nothing if no byte is.
#[inline]
fn zero_marks(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    word.wrapping_sub(ONES) & !word & (ONES << 7)
}

/// Where the first zero is, eight bytes at a time.
#[inline]
fn first_zero(bytes: &[u8]) -> Option<usize> {
    let (words, rest) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        // The lowest mark is that of the first zero; those above it may be wrong.
        let marks = zero_marks(u64::from_le_bytes(*word));
        if marks != 0 {
            return Some(at * 8 + marks.trailing_zeros() as usize / 8);
        }
    }
    rest.iter().position(|byte| *byte == 0).map(|at| words.len() * 8 + at)
}

/// A whole number of whatever width, so that bytes order as numbers do: how many bytes it has, and they; of one below nought, both turned round.
fn write_whole(below: bool, size: u128, out: &mut Vec<u8>) {
    let bytes = size.to_be_bytes();
    let significant = &bytes[size.leading_zeros() as usize / 8..];
    let length = significant.len() as u8;
    out.push(if below { 0x7f - length } else { 0x80 + length });
    out.extend(significant.iter().map(|byte| if below { !byte } else { *byte }));
}

macro_rules! unsigned {
    ($($ty:ident)*) => { $(
        impl Value for $ty {
            const SHAPE: u128 = mix_str(0, stringify!($ty));
            const SQL: SqlType = match size_of::<$ty>() {
                16 => SqlType::Text,
                8 => SqlType::Any,
                _ => SqlType::Integer,
            };
            #[inline]
            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }
            fn read(input: &mut &[u8]) -> Option<Self> {
                take(input).map(Self::from_be_bytes)
            }
            fn write_some(&self, out: &mut Vec<u8>) -> bool {
                write_whole(false, u128::from(*self), out);
                true
            }
            fn order(&self, other: &Self) -> Ordering {
                self.cmp(other)
            }
            fn same(&self, other: &Self) -> bool {
                self == other
            }
            fn empty() -> Option<Self> {
                Some(0)
            }
            fn sql(&self) -> SqlValue {
                match i64::try_from(*self) {
                    Ok(number) if size_of::<$ty>() <= 8 => SqlValue::Integer(number),
                    _ => SqlValue::Text(self.to_string().into()),
                }
            }
        }
        impl Scalar for $ty {}
        key_parts! { $ty => $ty; }
    )* };
}

macro_rules! signed {
    ($($ty:ident as $bits:ident)*) => { $(
        impl Value for $ty {
            const SHAPE: u128 = mix_str(0, stringify!($ty));
            const SQL: SqlType = if size_of::<$ty>() > 8 { SqlType::Text } else { SqlType::Integer };
            #[inline]
            fn write(&self, out: &mut Vec<u8>) {
                // With the sign bit flipped, two's complement orders as unsigned.
                out.extend_from_slice(&(*self as $bits ^ (1 << ($bits::BITS - 1))).to_be_bytes());
            }
            fn read(input: &mut &[u8]) -> Option<Self> {
                take(input).map(|bytes| ($bits::from_be_bytes(bytes) ^ (1 << ($bits::BITS - 1))) as $ty)
            }
            fn write_some(&self, out: &mut Vec<u8>) -> bool {
                // Of one below nought, how far it is below -1.
                let below = *self < 0;
                write_whole(below, u128::from((if below { !*self } else { *self }) as $bits), out);
                true
            }
            fn order(&self, other: &Self) -> Ordering {
                self.cmp(other)
            }
            fn same(&self, other: &Self) -> bool {
                self == other
            }
            fn empty() -> Option<Self> {
                Some(0)
            }
            fn sql(&self) -> SqlValue {
                match i64::try_from(*self) {
                    Ok(number) if size_of::<$ty>() <= 8 => SqlValue::Integer(number),
                    _ => SqlValue::Text(self.to_string().into()),
                }
            }
        }
        impl Scalar for $ty {}
        key_parts! { $ty => $ty; }
    )* };
}

macro_rules! floats {
    ($($ty:ident as $bits:ident)*) => { $(
        impl Value for $ty {
            const SHAPE: u128 = mix_str(0, stringify!($ty));
            const SQL: SqlType = SqlType::Real;
            #[inline]
            fn write(&self, out: &mut Vec<u8>) {
                // The order of `total_cmp`, and every bit kept: NaN and -0.0 come back as they were.
                let bits = self.to_bits();
                let flip = if bits >> ($bits::BITS - 1) == 1 { $bits::MAX } else { 1 << ($bits::BITS - 1) };
                out.extend_from_slice(&(bits ^ flip).to_be_bytes());
            }
            fn read(input: &mut &[u8]) -> Option<Self> {
                let bits = $bits::from_be_bytes(take(input)?);
                let flip = if bits >> ($bits::BITS - 1) == 0 { $bits::MAX } else { 1 << ($bits::BITS - 1) };
                Some($ty::from_bits(bits ^ flip))
            }
            fn write_some(&self, out: &mut Vec<u8>) -> bool {
                f64::from(*self).write(out);
                true
            }
            fn order(&self, other: &Self) -> Ordering {
                self.total_cmp(other)
            }
            fn same(&self, other: &Self) -> bool {
                self.to_bits() == other.to_bits()
            }
            fn empty() -> Option<Self> {
                Some(0.0)
            }
            fn sql(&self) -> SqlValue {
                SqlValue::Real(f64::from(*self))
            }
        }
        impl Scalar for $ty {}
    )* };
}

unsigned! { u8 u16 u32 u64 u128 }
signed! { i8 as u8 i16 as u16 i32 as u32 i64 as u64 i128 as u128 }
floats! { f32 as u32 f64 as u64 }

/// Values that are a value of another type, one to one and in order.
macro_rules! through {
    ($($(#[$attribute:meta])* $ty:ty, $name:literal as $inner:ty: $to:expr, $from:expr, $sql:expr, $sql_type:ident $(, $zero:expr)?;)*) => { $(
        $(#[$attribute])*
        impl $crate::value::Value for $ty {
            $(fn empty() -> Option<Self> {
                Some($zero)
            })?
            const SHAPE: u128 = $crate::schema::mix_str(0, $name);
            const SQL: $crate::sql::SqlType = $crate::sql::SqlType::$sql_type;
            fn write(&self, out: &mut Vec<u8>) {
                let to: fn(&$ty) -> $inner = $to;
                $crate::value::Value::write(&to(self), out);
            }
            fn read(input: &mut &[u8]) -> Option<Self> {
                let from: fn($inner) -> Option<$ty> = $from;
                from(<$inner as $crate::value::Value>::read(input)?)
            }
            fn order(&self, other: &Self) -> std::cmp::Ordering {
                self.cmp(other)
            }
            fn same(&self, other: &Self) -> bool {
                self == other
            }
            fn sql(&self) -> $crate::sql::SqlValue {
                let sql: fn(&$ty) -> $crate::sql::SqlValue = $sql;
                sql(self)
            }
        }
        $(#[$attribute])*
        impl $crate::value::Scalar for $ty {}
        $crate::value::key_parts! { $(#[$attribute])* $ty => $ty; }
    )* };
}
pub(crate) use through;

/// Text, as SQL shows it.
pub(crate) fn text(value: &impl ToString) -> SqlValue {
    SqlValue::Text(value.to_string().into())
}

through! {
    bool, "bool" as u8: |b| u8::from(*b), |n| (n < 2).then_some(n == 1), |b| SqlValue::Integer(i64::from(*b)), Integer;
    char, "char" as u32: |c| u32::from(*c), char::from_u32, text, Text;
    Timestamp, "Timestamp" as i64: |t| t.as_micros(), |n| Some(Timestamp::from_micros(n)), text, Text;
    Duration, "Duration" as u128: Duration::as_nanos, |n| {
        Some(Duration::new(u64::try_from(n / 1_000_000_000).ok()?, (n % 1_000_000_000) as u32))
    }, |d| SqlValue::Real(d.as_secs_f64()), Real, Duration::ZERO;
    usize, "u64" as u64: |n| *n as u64, |n| usize::try_from(n).ok(), |n| (*n as u64).sql(), Any, 0;
    isize, "i64" as i64: |n| *n as i64, |n| isize::try_from(n).ok(), |n| (*n as i64).sql(), Integer, 0;
}

impl Value for String {
    fn skip_key(input: &mut &[u8]) -> bool {
        let bytes = *input;
        // What `write_bytes` adds, zeros and `ff`, can be told from text: without it, the whole has to be text.
        skip_bytes(input)
            && (std::str::from_utf8(&bytes[..bytes.len() - input.len()]).is_ok()
                || Self::read(&mut &*bytes).is_some())
    }
    const SHAPE: u128 = mix_str(0, "String");
    const SQL: SqlType = SqlType::Text;
    fn write(&self, out: &mut Vec<u8>) {
        write_bytes(self.as_bytes(), out);
    }
    fn read(input: &mut &[u8]) -> Option<Self> {
        let end = first_zero(input)?;
        if input.get(end + 1) != Some(&0) {
            return Self::from_utf8(read_bytes(input)?).ok();
        }
        // No zero in it: it is taken in one piece.
        let text = std::str::from_utf8(&input[..end]).ok()?;
        *input = &input[end + 2..];
        Some(text.to_owned())
    }
    fn order(&self, other: &Self) -> Ordering {
        self.cmp(other)
    }
    fn same(&self, other: &Self) -> bool {
        self == other
    }
    fn sql(&self) -> SqlValue {
        SqlValue::Text(self.as_str().into())
    }
}

impl Value for Vec<u8> {
    fn skip_key(input: &mut &[u8]) -> bool {
        skip_bytes(input)
    }
    const SHAPE: u128 = mix_str(0, "Vec<u8>");
    const SQL: SqlType = SqlType::Blob;
    fn write(&self, out: &mut Vec<u8>) {
        write_bytes(self, out);
    }
    fn read(input: &mut &[u8]) -> Option<Self> {
        read_bytes(input)
    }
    fn order(&self, other: &Self) -> Ordering {
        self.cmp(other)
    }
    fn same(&self, other: &Self) -> bool {
        self == other
    }
    fn sql(&self) -> SqlValue {
        SqlValue::Blob(self.as_slice().into())
    }
}

impl Scalar for String {}
impl Scalar for Vec<u8> {}
key_parts! {
    String => &'a str;
    Vec<u8> => &'a [u8];
}
