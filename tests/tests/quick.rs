//! Payloads that are read the quick way: they mean what serde says they mean, byte for byte.

#![allow(non_snake_case)]

use cqrs_core::prelude::*;

#[event]
#[derive(Debug, Clone, PartialEq)]
struct Wide {
    a01: u8,
    a02: u16,
    a03: u32,
    a04: u64,
    a05: i8,
    a06: i16,
    a07: i32,
    a08: i64,
    a09: bool,
    a10: f32,
    a11: f64,
    a12: Option<u8>,
    a13: Option<String>,
    a14: String,
    a15: Option<bool>,
    a_name_that_is_much_longer_than_thirty_one_bytes: i64,
    #[serde(
        rename = "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
    )]
    endless: u8,
}

#[event]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[derive(Debug, Clone, PartialEq)]
struct Odd {
    r#type: String,
    größe: u8,
    été: Option<i64>,
    #[serde(rename = "größe")]
    other: u8,
    #[serde(default)]
    late: bool,
    #[serde(rename = "")]
    nameless: u8,
}

#[event]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[derive(Debug, Clone, PartialEq)]
struct Camel {
    _leading: u8,
    two__lines: u8,
    trailing_: u8,
    #[serde(alias = "old")]
    new_name: Option<u64>,
}

#[event]
#[derive(Debug, Clone, PartialEq)]
enum Any {
    Nothing {},
    Text { text: String, r#fn: Option<f64> },
    Nested { twice: Vec<Option<u8>>, deep: Option<Vec<String>> },
}

/// Every payload that differs in one byte, or ends early, is read alike on both ways.
macro_rules! alike {
    ($event:ty, $value:expr) => {{
        let event: $event = $value;
        let mut payload = Vec::new();
        event.encode(&mut payload).unwrap();
        let check = |payload: &[u8], what: &str| {
            let quick = <$event>::decode(0, payload).map(<$event>::owned);
            let slow =
                cqrs_core::__private::decode::<<$event as Event>::Ref<'_>>(payload).map(<$event>::owned);
            assert_eq!(format!("{quick:?}"), format!("{slow:?}"), "{what}: {payload:x?}");
            quick
        };
        assert_eq!(check(&payload, "as written").unwrap(), event);
        for at in 0..payload.len() {
            let _ = check(&payload[..at], "cut off");
            for byte in 0..=255 {
                let mut changed = payload.clone();
                changed[at] = byte;
                let _ = check(&changed, "changed");
            }
        }
    }};
}

#[test]
fn what_is_read_the_quick_way_is_what_serde_reads() {
    alike!(
        Wide,
        Wide {
            a01: 200,
            a02: 70,
            a03: 70_000,
            a04: u64::MAX,
            a05: -1,
            a06: -300,
            a07: i32::MIN,
            a08: -70_000,
            a09: true,
            a10: 1.5,
            a11: -0.0,
            a12: None,
            a13: Some("x".into()),
            a14: "y".repeat(40),
            a15: Some(false),
            a_name_that_is_much_longer_than_thirty_one_bytes: 5,
            endless: 1,
        }
    );
    alike!(Odd, Odd { r#type: "t".into(), größe: 1, été: Some(-5), other: 2, late: true, nameless: 3 });
    alike!(Camel, Camel { _leading: 1, two__lines: 2, trailing_: 3, new_name: Some(4) });
}

#[test]
fn variants_come_back_however_odd() {
    for event in [
        Any::Nothing {},
        Any::Text { text: "é".into(), r#fn: Some(f64::MIN_POSITIVE) },
        Any::Nested { twice: vec![Some(1), None], deep: Some(vec!["x".into()]) },
        Any::Nested { twice: vec![], deep: None },
    ] {
        let mut payload = Vec::new();
        event.encode(&mut payload).unwrap();
        assert_eq!(Any::owned(Any::decode(event.type_index(), &payload).unwrap()), event);
    }
}

#[test]
fn the_schema_has_the_names_that_are_stored() {
    let mut payload = Vec::new();
    let odd = Odd { r#type: "t".into(), größe: 1, été: None, other: 2, late: true, nameless: 3 };
    odd.encode(&mut payload).unwrap();
    let stored = String::from_utf8_lossy(&payload).into_owned();
    for field in Odd::TYPES[0].fields {
        assert!(stored.contains(field.name), "{field:?} in {stored}");
    }
}
