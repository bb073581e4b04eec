//! Keys of three columns and more, whatever type comes first: each prefix finds its rows.
#![allow(missing_debug_implementations)] // What is looked at is what comes out of a table.

use cqrs_core::prelude::*;

#[value]
#[derive(Debug, Clone, PartialEq)]
pub struct Sku(pub String);

#[event]
pub struct Moved {
    pub text: String,
    pub maybe: Option<String>,
    pub bytes: Vec<u8>,
    pub number: i64,
    pub at: Timestamp,
    pub id: uuid::Uuid,
    pub price: rust_decimal::Decimal,
    pub day: chrono::NaiveDate,
    pub time: jiff::Timestamp,
    pub long: std::time::Duration,
    pub sku: Sku,
}

macro_rules! rows {
    ($($row:ident $first:ident: $ty:ty;)*) => { $(
        #[projection(from = Moved, group_by = ($first, number, bytes, maybe))]
        pub struct $row {
            pub $first: $ty,
            pub number: i64,
            pub bytes: Vec<u8>,
            pub maybe: Option<String>,
            #[count]
            pub n: u64,
        }
    )* };
}

rows! {
    ByText text: String;
    ByAt at: Timestamp;
    ById id: uuid::Uuid;
    ByPrice price: rust_decimal::Decimal;
    ByDay day: chrono::NaiveDate;
    ByTime time: jiff::Timestamp;
    ByLong long: std::time::Duration;
    BySku sku: Sku;
}

#[projection(from = Moved, group_by = (maybe, bytes, number))]
pub struct ByMaybe {
    pub maybe: Option<String>,
    pub bytes: Vec<u8>,
    pub number: i64,
    #[count]
    pub n: u64,
}

#[projection(from = Moved, group_by = (bytes, maybe, number))]
pub struct ByBytes {
    pub bytes: Vec<u8>,
    pub maybe: Option<String>,
    pub number: i64,
    #[count]
    pub n: u64,
}

#[projection(from = Moved, group_by = (number, text), window = tumbling(at, "1h"))]
pub struct ByHour {
    pub number: i64,
    pub text: String,
    pub window_start: Timestamp,
    #[count]
    pub n: u64,
}

#[test]
fn each_prefix_finds_its_rows() {
    let moved = |number| Moved {
        text: "ann".into(),
        maybe: Some("x".into()),
        bytes: vec![1],
        number,
        at: Timestamp::UNIX_EPOCH,
        id: uuid::Uuid::nil(),
        price: rust_decimal::Decimal::ONE,
        day: chrono::NaiveDate::default(),
        time: jiff::Timestamp::UNIX_EPOCH,
        long: std::time::Duration::ZERO,
        sku: Sku("a".into()),
    };
    let events = [moved(1), moved(2)];
    macro_rules! finds {
        ($($row:ident $first:expr;)*) => { $(
            let mut table = Table::<$row>::new();
            table.apply_all(&events).unwrap();
            assert_eq!(table.rows_of($first).count(), 2);
            assert_eq!(table.rows_of(($first, 2)).count(), 1);
            assert_eq!(table.rows_of(($first, 2, &[1][..])).count(), 1);
        )* };
    }
    finds! {
        ByText "ann";
        ByAt Timestamp::UNIX_EPOCH;
        ById uuid::Uuid::nil();
        ByPrice rust_decimal::Decimal::ONE;
        ByDay chrono::NaiveDate::default();
        ByTime jiff::Timestamp::UNIX_EPOCH;
        ByLong std::time::Duration::ZERO;
        BySku &Sku("a".into());
    }
    let mut table = Table::<ByMaybe>::new();
    table.apply_all(&events).unwrap();
    assert_eq!((table.rows_of(Some("x")).count(), table.rows_of((Some("x"), &[1][..])).count()), (2, 2));
    let mut table = Table::<ByBytes>::new();
    table.apply_all(&events).unwrap();
    assert_eq!((table.rows_of(&[1][..]).count(), table.rows_of((&[1][..], Some("x"))).count()), (2, 2));
    let mut table = Table::<ByHour>::new();
    table.apply_all(&events).unwrap();
    assert_eq!((table.rows_of(1).count(), table.rows_of((1, "ann")).count()), (1, 1));
}
