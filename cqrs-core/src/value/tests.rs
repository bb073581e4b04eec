use proptest::prelude::*;

use super::{KeyPart, Value};

fn key(value: &impl Value) -> Vec<u8> {
    let mut out = Vec::new();
    value.write_key(&mut out);
    out
}

/// Canonical bytes order as the values do, both forms come back, and a value ends where the next begins.
fn holds<T: Value + std::fmt::Debug>(left: &T, right: &T) {
    assert_eq!(key(left).cmp(&key(right)), left.order(right), "{left:?} {right:?}");
    let mut out = Vec::new();
    left.write(&mut out);
    right.write(&mut out);
    let mut input = out.as_slice();
    assert!(T::read(&mut input).unwrap().same(left) && T::read(&mut input).unwrap().same(right));
    assert!(input.is_empty());
    let both = [key(left), key(right)].concat();
    let mut input = both.as_slice();
    assert!(T::read_key(&mut input).unwrap().order(left).is_eq());
    assert!(T::read_key(&mut input).unwrap().order(right).is_eq() && input.is_empty());
}

fn borrowed_agrees<K: KeyPart>(owned: &K, borrowed: K::Ref<'_>) {
    let mut out = Vec::new();
    K::write_ref(&borrowed, &mut out);
    assert_eq!(out, key(owned));
}

macro_rules! properties {
    ($($name:ident: $ty:ty;)*) => { proptest! { $(
        #[test]
        fn $name(left: $ty, right: $ty) { holds(&left, &right); }
    )* } };
}

properties! {
    i8s: i8; i16s: i16; i32s: i32; i64s: i64; i128s: i128; u8s: u8; u16s: u16; u32s: u32; u64s: u64; u128s: u128;
    bools: bool; chars: char; strings: String; bytes: Vec<u8>; maybe: Option<String>; maybe_int: Option<i16>;
    durations: std::time::Duration;
    lists: Vec<String>; sets: std::collections::BTreeSet<i16>; maps: std::collections::BTreeMap<String, u16>;
}

fn zeros() -> impl Strategy<Value = Vec<char>> {
    let common = prop::sample::select(vec!['\0', '\u{1}', 'a', 'é', '\u{ff}', '\u{80}']);
    prop_oneof![
        prop::collection::vec(common.clone(), 0..40),
        prop::collection::vec(prop_oneof![20 => Just('a'), 1 => common], 0..40),
    ]
}

proptest! {
    #[test]
    fn floats(left in prop::num::f64::ANY, right in prop::num::f64::ANY) { holds(&left, &right); }

    #[test]
    fn zero_bytes(left in prop::collection::vec(0_u8..3, 0..6), right in prop::collection::vec(0_u8..3, 0..6)) {
        holds(&left, &right);
        borrowed_agrees(&left, &left);
    }

    #[test]
    fn garbage_is_refused_or_read_but_never_panics(bytes: Vec<u8>) {
        let _ = String::read(&mut bytes.as_slice());
        let _ = Option::<char>::read(&mut bytes.as_slice());
        let _ = f64::read(&mut bytes.as_slice());
    }

    /// Zeros are what marks the end: many of them, at every place in a word.
    #[test]
    fn text_with_zeros(left in zeros(), right in zeros()) {
        holds(&left.into_iter().collect::<String>(), &right.into_iter().collect::<String>());
    }

    #[test]
    fn bytes_with_zeros(left in zeros(), right in zeros()) {
        let bytes = |chars: Vec<char>| chars.into_iter().map(|c| c as u32 as u8).collect::<Vec<u8>>();
        holds(&bytes(left), &bytes(right));
    }

    #[test]
    fn borrowed_text(text: String, maybe: Option<String>) {
        borrowed_agrees(&text, &text);
        borrowed_agrees(&maybe, maybe.as_deref());
    }
}

#[cfg(feature = "rust_decimal")]
proptest! {
    #[test]
    fn decimals(left: i64, left_scale in 0_u32..28, right: i64, right_scale in 0_u32..28) {
        use rust_decimal::Decimal;
        holds(&Decimal::new(left, left_scale), &Decimal::new(right, right_scale));
        holds(&Decimal::new(left, left_scale), &Decimal::new(left, left_scale).normalize());
    }
}

#[cfg(feature = "jiff")]
proptest! {
    #[test]
    fn jiff_types(left in -377_705_023_201_i64..253_402_207_200, right in -377_705_023_201_i64..253_402_207_200, nanos in 0_i32..1_000_000_000) {
        let at = |s| jiff::Timestamp::new(s, 0).unwrap() + jiff::SignedDuration::new(0, if s < 0 { 0 } else { nanos });
        let civil = |s| jiff::tz::TimeZone::UTC.to_datetime(at(s));
        holds(&at(left), &at(right));
        holds(&civil(left), &civil(right));
        holds(&civil(left).date(), &civil(right).date());
        holds(&civil(left).time(), &civil(right).time());
        holds(&jiff::SignedDuration::new(left, nanos.min(0)), &jiff::SignedDuration::from_secs(right));
    }
}

#[cfg(feature = "chrono")]
proptest! {
    #[test]
    fn chrono_types(left in -8_334_601_228_800_i64..8_210_266_876_799, right in -8_334_601_228_800_i64..8_210_266_876_799, nanos in 0_u32..1_000_000_000) {
        let at = |s| chrono::DateTime::from_timestamp(s, nanos).unwrap();
        holds(&at(left), &at(right));
        holds(&at(left).naive_utc(), &at(right).naive_utc());
        holds(&at(left).date_naive(), &at(right).date_naive());
        holds(&at(left).time(), &at(right).time());
        holds(&chrono::TimeDelta::seconds(left), &chrono::TimeDelta::seconds(right));
    }
}

#[cfg(feature = "uuid")]
proptest! {
    #[test]
    fn uuids(left: u128, right: u128) { holds(&uuid::Uuid::from_u128(left), &uuid::Uuid::from_u128(right)); }
}
