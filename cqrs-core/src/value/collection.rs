//! Columns of many values: lists, sets and maps. They can be columns, and neither keys nor parts of one another.

use std::collections::{BTreeMap, BTreeSet};

use super::scalar::take;
use super::{Scalar, Value, json};
use crate::schema::{mix, mix_str};
use crate::sql::{SqlType, SqlValue};

/// What a `Vec` column can hold many of: any [`Scalar`] but `u8`, since `Vec<u8>` is bytes.
#[diagnostic::on_unimplemented(
    message = "a list column cannot hold `{Self}`",
    label = "not a value of which a row can hold many",
    note = "numbers, bool, char, String, Vec<u8>, durations, timestamps and your own types under `#[value]` can; `Vec<u8>` is bytes: make it `Vec<u16>` if it is to be a list"
)]
pub trait Item: Scalar {}

macro_rules! items {
    ($($(#[$attribute:meta])* $ty:ty;)*) => { $( $(#[$attribute])* impl Item for $ty {} )* };
}

items! {
    bool; char; u16; u32; u64; u128; usize; i8; i16; i32; i64; i128; isize; f32; f64; String; Vec<u8>;
    crate::Timestamp; std::time::Duration;
    #[cfg(feature = "uuid")] uuid::Uuid;
    #[cfg(feature = "jiff")] jiff::Timestamp;
    #[cfg(feature = "jiff")] jiff::civil::Date;
    #[cfg(feature = "jiff")] jiff::civil::Time;
    #[cfg(feature = "jiff")] jiff::civil::DateTime;
    #[cfg(feature = "jiff")] jiff::SignedDuration;
    #[cfg(feature = "chrono")] chrono::DateTime<chrono::Utc>;
    #[cfg(feature = "chrono")] chrono::NaiveDate;
    #[cfg(feature = "chrono")] chrono::NaiveTime;
    #[cfg(feature = "chrono")] chrono::NaiveDateTime;
    #[cfg(feature = "chrono")] chrono::TimeDelta;
    #[cfg(feature = "rust_decimal")] rust_decimal::Decimal;
}

/// Each value behind a 1, a 0 at the end: the bytes order as the values do, one after the other.
fn write_each<'v, T: Value>(
    values: impl IntoIterator<Item = &'v T>,
    out: &mut Vec<u8>,
    one: fn(&T, &mut Vec<u8>),
) {
    for value in values {
        out.push(1);
        one(value, out);
    }
    out.push(0);
}

/// Takes the values off one after the other, into what is made of them.
fn read_each<T, C: Default>(
    input: &mut &[u8],
    one: impl Fn(&mut &[u8]) -> Option<T>,
    add: impl Fn(&mut C, T),
) -> Option<C> {
    let mut values = C::default();
    loop {
        match take::<1>(input)? {
            [0] => return Some(values),
            [1] => add(&mut values, one(input)?),
            _ => return None,
        }
    }
}

macro_rules! value {
    ($([$($generics:tt)*] $ty:ty, $name:literal of $item:ty: $add:expr;)*) => { $(
        impl<$($generics)*> Value for $ty {
            const SHAPE: u128 = mix(mix_str(0, $name), <$item>::SHAPE);
            const SQL: SqlType = SqlType::Text;
            fn write(&self, out: &mut Vec<u8>) {
                write_each(self, out, <$item>::write);
            }
            fn read(input: &mut &[u8]) -> Option<Self> {
                read_each(input, <$item>::read, $add)
            }
            fn write_key(&self, out: &mut Vec<u8>) {
                write_each(self, out, <$item>::write_key);
            }
            fn read_key(input: &mut &[u8]) -> Option<Self> {
                read_each(input, <$item>::read_key, $add)
            }
            fn sql(&self) -> SqlValue {
                json::text(self)
            }
            fn write_json(&self, out: &mut String) {
                json::array(self.iter().map(|value| value as &dyn json::Json), out);
            }
        }
    )* };
}

value! {
    [T: Item] Vec<T>, "Vec" of T: Self::push;
    [T: Scalar + Ord] BTreeSet<T>, "BTreeSet" of T: |set: &mut Self, value| {
        set.insert(value);
    };
}

impl<K: Scalar + Ord, V: Scalar> Value for BTreeMap<K, V> {
    const SHAPE: u128 = mix(mix(mix_str(0, "BTreeMap"), K::SHAPE), V::SHAPE);
    const SQL: SqlType = SqlType::Text;
    fn write(&self, out: &mut Vec<u8>) {
        for (key, value) in self {
            out.push(1);
            key.write(out);
            value.write(out);
        }
        out.push(0);
    }
    fn read(input: &mut &[u8]) -> Option<Self> {
        let pair = |input: &mut &[u8]| Some((K::read(input)?, V::read(input)?));
        read_each(input, pair, |map: &mut Self, (key, value)| drop(map.insert(key, value)))
    }
    fn write_key(&self, out: &mut Vec<u8>) {
        for (key, value) in self {
            out.push(1);
            key.write_key(out);
            value.write_key(out);
        }
        out.push(0);
    }
    fn read_key(input: &mut &[u8]) -> Option<Self> {
        let pair = |input: &mut &[u8]| Some((K::read_key(input)?, V::read_key(input)?));
        read_each(input, pair, |map: &mut Self, (key, value)| drop(map.insert(key, value)))
    }
    fn sql(&self) -> SqlValue {
        json::text(self)
    }
    fn write_json(&self, out: &mut String) {
        json::object(self.iter().map(|(key, value)| (json::name(key), value as &dyn json::Json)), out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sql_shows_json() {
        let shown = |value: SqlValue| match value {
            SqlValue::Text(text) => text.into_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(shown(vec!["a\"\\\n".to_owned(), "é".into()].sql()), r#"["a\"\\\u000a","é"]"#);
        assert_eq!(shown(BTreeSet::from([2_i64, 1]).sql()), "[1,2]");
        assert_eq!(
            shown(BTreeMap::from([(1_u32, vec![0_u8, 255]), (2, vec![])]).sql()),
            r#"{"1":"00ff","2":""}"#
        );
        assert_eq!(shown(vec![1.0, f64::NAN, 1e300].sql()), "[1.0,null,1e300]");
        assert_eq!(shown(Vec::<bool>::new().sql()), "[]");
    }
}
