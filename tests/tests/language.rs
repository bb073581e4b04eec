//! The language, folded in memory: what each form means.

use cqrs_core::prelude::*;

#[event]
#[derive(Debug)]
pub struct Purchased {
    pub customer: String,
    pub item: String,
    pub qty: i32,
}

#[projection(from = Purchased, group_by = (customer, item))]
#[derive(Debug, Clone, PartialEq)]
pub struct CustomerPurchases {
    pub customer: String,
    pub item: String,
    #[sum(qty)]
    pub total_qty: i64,
}

fn bought(customer: &str, item: &str, qty: i32) -> Purchased {
    Purchased { customer: customer.into(), item: item.into(), qty }
}

#[test]
fn sums_by_two_keys() {
    let mut table = Table::<CustomerPurchases>::new();
    for event in [bought("jsmith", "hats", 1), bought("jsmith", "hats", 2), bought("ann", "hats", -5)] {
        table.apply(&event).unwrap();
    }
    let row = table.get(("jsmith", "hats")).unwrap();
    assert_eq!(row, CustomerPurchases { customer: "jsmith".into(), item: "hats".into(), total_qty: 3 });
    assert_eq!(table.get(("ann", "hats")).unwrap().total_qty, -5);
    assert_eq!(table.rows_of("jsmith").count(), 1);
    assert_eq!(table.rows_of(&String::from("jsmith")).count(), 1);
    assert_eq!(table.get(("ann", "pants")), None);
}

#[event]
#[derive(Debug, Clone, PartialEq)]
pub enum Cart {
    ItemAdded {
        customer: String,
        item: String,
        qty: u32,
        price: Option<f64>,
    },
    #[event(name = "item-removed")]
    ItemRemoved {
        customer: String,
        item: String,
        qty: u32,
        #[serde(default)]
        damaged: bool,
    },
    Bought(Bought),
}

#[event(name = "bought", aliases("Purchase"), version = 2)]
#[derive(Debug, Clone, PartialEq)]
pub struct Bought {
    buyer: String,
    item: String,
    status: Status,
}

#[value]
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Status {
    Placed,
    Paid,
}

#[value]
#[derive(Debug, Clone, PartialEq)]
pub struct Sku(String);

#[value]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price(f64);

#[projection(
    from = Cart { ItemAdded if qty > 0, ItemRemoved, Bought { customer: buyer } },
    group_by = (customer, letter = item.chars().next()),
    having = qty != 0,
)]
#[derive(Debug, Clone, PartialEq)]
pub struct InCart {
    customer: String,
    letter: Option<char>,
    #[sum(ItemAdded => qty as i64, ItemRemoved if !damaged => -(qty as i64))]
    qty: i64,
    #[count(ItemAdded, ItemRemoved if damaged)]
    touched: u64,
    #[max(ItemAdded => price)]
    dearest: Option<f64>,
    #[last(Bought => status)]
    status: Option<Status>,
    #[last(meta.position)]
    last: u64,
    #[last(ItemAdded => 7)]
    lucky: Option<u8>,
    #[first(item)]
    item: String,
    #[computed(average * 2.0)]
    twice: f64,
    #[computed(qty as f64 / touched as f64)]
    average: f64,
}

#[test]
fn an_enum_of_events_with_guards_arms_and_computed_columns() {
    let mut table = Table::<InCart>::new();
    let ann = || "ann".to_owned();
    for event in [
        Cart::ItemAdded { customer: ann(), item: "hats".into(), qty: 0, price: None },
        Cart::ItemAdded { customer: ann(), item: "hats".into(), qty: 3, price: Some(1.5) },
        Cart::ItemRemoved { customer: ann(), item: "hats".into(), qty: 1, damaged: false },
        Cart::ItemRemoved { customer: ann(), item: "hoods".into(), qty: 1, damaged: true },
        Bought { buyer: ann(), item: "hats".into(), status: Status::Paid }.into(),
    ] {
        table.apply(&event).unwrap();
    }
    assert_eq!(
        table.get(("ann", Some('h'))).unwrap(),
        InCart {
            customer: ann(),
            letter: Some('h'),
            qty: 2,
            touched: 2,
            dearest: Some(1.5),
            status: Some(Status::Paid),
            last: 5,
            lucky: Some(7),
            item: "hats".into(),
            average: 1.0,
            twice: 2.0
        }
    );
}

mod payloads {
    //! What is stored, and what is read back: both forms of events, serde's attributes, the borrowed twin.

    use std::collections::BTreeMap;

    use super::*;

    #[value]
    #[derive(Debug, Clone, PartialEq)]
    struct Line {
        item: String,
        qty: u32,
    }

    #[value]
    #[derive(Debug, Clone, PartialEq)]
    enum Payment {
        Cash,
        Card { last_four: String },
    }

    fn seven() -> String {
        "seven".into()
    }

    mod shouted {
        use cqrs_core::__private::serde::{Deserialize, Deserializer, Serializer};

        pub(super) fn serialize<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_str(&text.to_uppercase())
        }
        pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
            Ok(String::deserialize(deserializer)?.to_lowercase())
        }
    }

    #[event]
    #[serde(rename_all = "camelCase")]
    #[derive(Debug, Clone, PartialEq)]
    struct Everything {
        order_ref: String,
        #[serde(rename = "who", alias = "buyer")]
        customer: String,
        note: Option<String>,
        #[serde(default)]
        added_later: i64,
        #[serde(default = "seven")]
        by_function: String,
        #[serde(with = "shouted")]
        shouted: String,
        #[serde(skip)]
        scratch: Vec<u8>,
        bytes: Vec<u8>,
        lines: Vec<Line>,
        tags: BTreeMap<String, String>,
        payment: Payment,
        wide: i128,
        r#type: String,
    }

    #[allow(clippy::large_enum_variant)]
    #[event]
    #[derive(Debug, Clone, PartialEq)]
    enum Variants {
        Plain {
            customer: String,
            #[serde(default, skip_serializing_if = "Option::is_none")]
            note: Option<String>,
        },
        Numbers {
            a: u8,
            b: f32,
        },
        Nothing {},
        Everything(Everything),
    }

    fn everything() -> Everything {
        Everything {
            order_ref: "r".into(),
            customer: "ann".into(),
            note: Some("gift".into()),
            added_later: -1,
            by_function: "x".into(),
            shouted: "loud".into(),
            scratch: Vec::new(),
            bytes: vec![0, 255],
            lines: vec![Line { item: "hats".into(), qty: 2 }],
            tags: BTreeMap::from([("a".into(), "b".into())]),
            payment: Payment::Card { last_four: "1234".into() },
            wide: i128::MAX,
            r#type: "t".into(),
        }
    }

    fn payload(event: &impl Event) -> Vec<u8> {
        let mut out = Vec::new();
        event.encode(&mut out).unwrap();
        out
    }

    #[track_caller]
    fn comes_back<E: Event + Clone + PartialEq + std::fmt::Debug>(event: E) {
        assert_eq!(E::owned(E::decode(event.type_index(), &payload(&event)).unwrap()), event);
        assert_eq!(E::owned(event.borrowed()), event);
    }

    #[test]
    fn what_is_appended_comes_back() {
        comes_back(everything());
        comes_back(Variants::Plain { customer: "ann".into(), note: None });
        comes_back(Variants::Numbers { a: 1, b: f32::MIN_POSITIVE });
        comes_back(Variants::Nothing {});
        comes_back(Variants::from(everything()));
        assert_eq!(payload(&Variants::from(everything())), payload(&everything()));
    }

    #[test]
    fn the_schema_is_what_is_stored() {
        let stored = String::from_utf8_lossy(&payload(&everything())).into_owned();
        for field in Everything::SCHEMA.fields {
            assert_eq!(stored.contains(field.name), field.rust != "scratch", "{field:?}");
        }
        let by = |rust: &str| Everything::SCHEMA.fields.iter().find(|field| field.rust == rust).unwrap();
        assert_eq!((by("order_ref").name, by("customer").name, by("type").name), ("orderRef", "who", "type"));
        assert_eq!((by("customer").aliases, by("lines").ty), (["buyer"].as_slice(), "Vec<Line>"));
        assert!(
            by("bytes").required
                && !by("note").required
                && !by("added_later").required
                && !by("by_function").required
        );
        assert_eq!(
            Variants::TYPES.iter().map(|t| t.name).collect::<Vec<_>>(),
            ["Plain", "Numbers", "Nothing", "Everything"]
        );
        assert_eq!(
            (Bought::NAME, Bought::VERSION, Bought::SCHEMA.aliases),
            ("bought", 2, ["Purchase"].as_slice())
        );
        assert_eq!(Cart::TYPES[1].name, "item-removed");
    }

    /// A payload that an older program wrote: fewer fields, an old name.
    #[event]
    #[derive(Debug, Clone, PartialEq)]
    struct Old {
        buyer: String,
        #[serde(rename = "orderRef")]
        order_ref: String,
        unknown: bool,
    }

    #[event]
    #[derive(Debug, Clone, PartialEq)]
    struct New {
        #[serde(alias = "buyer")]
        customer: String,
        #[serde(rename = "orderRef")]
        reference: String,
        #[serde(default)]
        qty: u8,
        note: Option<String>,
    }

    #[test]
    fn fields_are_added_and_renamed_by_serde_s_rules() {
        let old = Old { buyer: "ann".into(), order_ref: "r".into(), unknown: true };
        let new = New::owned(New::decode(0, &payload(&old)).unwrap());
        assert_eq!(new, New { customer: "ann".into(), reference: "r".into(), qty: 0, note: None });
        assert!(Everything::decode(0, &payload(&old)).is_err());
    }

    #[test]
    fn an_enum_and_its_types_turn_into_each_other() {
        assert_eq!(Everything::try_from(Variants::from(everything())), Ok(everything()));
        let other = Variants::Nothing {};
        assert_eq!(Everything::try_from(other.clone()), Err(other));
    }
}

mod keys {
    //! Keys and columns of every type.

    use super::*;

    #[event]
    #[derive(Debug, Clone)]
    struct Seen {
        id: uuid::Uuid,
        at: jiff::Timestamp,
        day: chrono::NaiveDate,
        price: rust_decimal::Decimal,
        bytes: Vec<u8>,
        maybe: Option<String>,
        flag: bool,
        letter: char,
        sku: Sku,
        status: Status,
        size: i128,
    }

    macro_rules! grouped {
        ($($row:ident by $field:ident: $ty:ty, $key:expr;)*) => { $(
            #[test]
            #[allow(non_snake_case)]
            fn $row() {
                #[projection(from = Seen, group_by = $field)]
                struct Row {
                    #[allow(dead_code)]
                    $field: $ty,
                    #[count]
                    count: u64,
                }
                let mut table = Table::<Row>::new();
                table.apply(&seen()).unwrap();
                table.apply(&seen()).unwrap();
                assert_eq!(table.get($key).unwrap().count, 2);
                assert_eq!(table.len(), 1);
            }
        )* };
    }

    fn seen() -> Seen {
        Seen {
            id: uuid::Uuid::from_u128(7),
            at: jiff::Timestamp::UNIX_EPOCH,
            day: chrono::NaiveDate::MIN,
            price: "2.50".parse().unwrap(),
            bytes: vec![0, 1],
            maybe: None,
            flag: true,
            letter: 'é',
            sku: Sku("a".into()),
            status: Status::Paid,
            size: i128::MIN,
        }
    }

    grouped! {
        by_uuid by id: uuid::Uuid, uuid::Uuid::from_u128(7);
        by_timestamp by at: jiff::Timestamp, jiff::Timestamp::UNIX_EPOCH;
        by_date by day: chrono::NaiveDate, chrono::NaiveDate::MIN;
        by_decimal by price: rust_decimal::Decimal, "2.5".parse().unwrap();
        by_bytes by bytes: Vec<u8>, &[0, 1][..];
        by_option by maybe: Option<String>, None;
        by_bool by flag: bool, true;
        by_char by letter: char, 'é';
        by_newtype by sku: Sku, &Sku("a".into());
        by_enum by status: Status, Status::Paid;
        by_wide by size: i128, i128::MIN;
    }

    #[projection(from = Seen, group_by = ())]
    struct Columns {
        #[last]
        id: uuid::Uuid,
        #[max]
        at: jiff::Timestamp,
        #[first]
        day: chrono::NaiveDate,
        #[sum]
        price: rust_decimal::Decimal,
        #[last(bytes)]
        bytes: Vec<u8>,
        #[min]
        letter: Option<char>,
        #[last(sku)]
        sku: Sku,
        #[max]
        status: Option<Status>,
        #[last(Price(1.5))]
        cost: Price,
        #[last(match maybe { Some(text) if text.len() > 3 => text.len() as u64, Some(_) => 1, None => 0 })]
        length: u64,
        #[last(double(size as i64))]
        doubled: i64,
        #[last(letter.to_uppercase().to_string())]
        upper: String,
        #[max(-1)]
        literal: i8,
        #[last("text")]
        text: String,
        #[last(if flag { "yes" } else { "no" })]
        answer: Option<String>,
        #[sum(if flag { 2 } else { 1 })]
        weighed: i64,
    }

    fn double(n: i64) -> i64 {
        n.wrapping_mul(2)
    }

    #[test]
    fn columns_of_every_type() {
        let mut table = Table::<Columns>::new();
        table.apply(&seen()).unwrap();
        table
            .apply(&Seen { maybe: Some("long".into()), status: Status::Placed, size: 21, ..seen() })
            .unwrap();
        let row = table.get(()).unwrap();
        assert_eq!((row.id, row.at, row.day), (seen().id, seen().at, seen().day));
        assert_eq!((row.price.to_string(), row.bytes, row.letter), ("5.00".into(), vec![0, 1], Some('é')));
        assert_eq!(
            (row.sku, row.status, row.cost, row.length),
            (Sku("a".into()), Some(Status::Paid), Price(1.5), 4)
        );
        assert_eq!((row.doubled, row.upper, row.literal), (42, "É".into(), -1));
        assert_eq!((row.text, row.answer, row.weighed), ("text".into(), Some("yes".into()), 4));
    }
}

mod routes {
    //! Two enums that share event types: a view may read one type through one and another through the other.

    use super::*;

    #[event]
    #[derive(Debug, Clone)]
    struct X {
        v: u64,
    }

    #[event]
    #[derive(Debug, Clone)]
    struct Y {
        v: u64,
    }

    #[event]
    enum A {
        X(X),
        Y(Y),
    }

    #[event]
    enum B {
        X(X),
        Y(Y),
    }

    #[projection(from(A { X, .. }, B { Y, .. }), group_by = ())]
    struct Both {
        #[last(v)]
        last: u64,
        #[count]
        count: u64,
    }

    #[projection(from = A { X, Y }, group_by = ())]
    struct OfA {
        #[count]
        #[allow(dead_code)]
        count: u64,
    }

    #[projection(from = B { X, Y }, group_by = ())]
    struct OfB {
        #[count]
        #[allow(dead_code)]
        count: u64,
    }

    #[test]
    fn events_are_folded_in_the_order_of_the_log() {
        let engine = Engine::in_memory().view::<Both>().view::<OfA>().view::<OfB>().start().unwrap();
        let events: Vec<NewEvent> = vec![X { v: 1 }.into(), Y { v: 2 }.into(), X { v: 3 }.into()];
        engine.append_all(events).wait().unwrap();
        let row = engine.view::<Both>().get(()).unwrap().unwrap();
        assert_eq!((row.last, row.count), (3, 3));
    }
}

mod sql {
    //! What SQL shows of a row.

    use super::*;

    #[event]
    struct Measured {
        wide: u64,
        small: u32,
        huge: u128,
        price: rust_decimal::Decimal,
        ratio: f64,
        note: Option<String>,
        status: Status,
    }

    #[projection(from = Measured, group_by = wide, name = "figures")]
    struct Figures {
        wide: u64,
        #[last]
        small: u32,
        #[last]
        huge: u128,
        #[sum]
        price: rust_decimal::Decimal,
        #[last]
        ratio: f64,
        #[last]
        note: Option<String>,
        #[last]
        status: Status,
        #[last(meta.recorded_at)]
        at: Timestamp,
    }

    #[test]
    fn nothing_is_rounded() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("store");
        let engine = Engine::open(&folder).unwrap().view::<Figures>().start().unwrap();
        let measured = |wide| Measured {
            wide,
            small: 7,
            huge: u128::MAX,
            price: "2.50".parse().unwrap(),
            ratio: 0.5,
            note: None,
            status: Status::Paid,
        };
        engine.append_all([measured(u64::MAX), measured(3)]).wait().unwrap();
        engine.close().wait().unwrap();
        let db = rusqlite::Connection::open(folder.join("views.db")).unwrap();
        let mut query = db
            .prepare("SELECT wide, typeof(wide), small, huge, price, ratio, note, status, at FROM figures ORDER BY typeof(wide) DESC")
            .unwrap();
        let rows = query.query_map([], |row| {
            (0..9).map(|n| row.get(n)).collect::<Result<Vec<rusqlite::types::Value>, _>>()
        });
        let rows: Vec<_> = rows.unwrap().map(Result::unwrap).collect();
        use rusqlite::types::Value::{Integer, Null, Real, Text};
        let text = |text: &str| Text(text.to_owned());
        let rest = [Integer(7), text(&u128::MAX.to_string()), text("2.50"), Real(0.5), Null, text("Paid")];
        assert_eq!(rows[0][..2], [text(&u64::MAX.to_string()), text("text")]);
        assert_eq!(rows[1][..2], [Integer(3), text("integer")]);
        assert!(
            rows.iter().all(|row| row[2..8] == rest && matches!(&row[8], Text(at) if at.ends_with('Z'))),
            "{rows:?}"
        );
    }
}

mod faults {
    //! An event that cannot be folded changes nothing.

    use super::*;

    #[projection(from = Purchased, group_by = customer)]
    #[derive(Debug, PartialEq)]
    struct Small {
        customer: String,
        #[count]
        count: u64,
        #[sum(i8::try_from(qty).unwrap_or(0))]
        total: i8,
        #[last(1000 / (qty - 7))]
        ratio: i32,
    }

    #[test]
    fn overflow_and_panic_leave_the_row_and_say_where() {
        let mut table = Table::<Small>::new();
        table.apply(&bought("ann", "hats", 100)).unwrap();
        let before = table.get("ann").unwrap();
        let fault = table.apply(&bought("ann", "hats", 28)).unwrap_err();
        assert_eq!(
            fault.to_string(),
            "`Small` stopped before the event at position 2, `Purchased`, column `total`: the sum does not fit the column's type"
        );
        let fault = table.apply(&bought("ann", "hats", 7)).unwrap_err();
        assert!(fault.to_string().contains("panicked: attempt to divide by zero"), "{fault}");
        assert_eq!(table.get("ann").unwrap(), before);
        // Nor is there a row of a key that no event could be folded into.
        table.apply(&bought("bob", "hats", 7)).unwrap_err();
        assert_eq!(table.get("bob"), None);
        assert_eq!(table.len(), 1);
        // Of many, those before it are folded, those after it are not.
        let many = [bought("cat", "hats", 1), bought("cat", "hats", 7), bought("cat", "hats", 2)];
        table.apply_all(&many).unwrap_err();
        assert_eq!(table.get("cat").unwrap().total, 1);
    }
}

mod fingerprints {
    //! What makes a view rebuild, and what does not.

    use super::*;

    macro_rules! fingerprint {
        ($event:item $(#[$projection:meta])* struct $row:ident $fields:tt) => {{
            #[event]
            #[allow(dead_code)]
            $event
            $(#[$projection])*
            #[allow(dead_code)]
            struct $row $fields
            <$row as Projection>::FINGERPRINT
        }};
    }

    #[test]
    fn it_sees_versions_and_the_types_of_computed_columns() {
        mod one {
            use super::super::*;
            #[event]
            pub(super) struct Sold {
                pub(super) customer: String,
            }
            #[projection(from = Sold, group_by = customer)]
            pub(super) struct Row {
                customer: String,
                #[count]
                n: u64,
                #[computed(Default::default())]
                more: f64,
            }
        }
        mod two {
            use super::super::*;
            #[event(version = 2)]
            pub(super) struct Sold {
                pub(super) customer: String,
            }
            #[projection(from = Sold, group_by = customer)]
            pub(super) struct Row {
                customer: String,
                #[count]
                n: u64,
                #[computed(Default::default())]
                more: f64,
            }
        }
        mod three {
            use super::super::*;
            #[event]
            pub(super) struct Sold {
                pub(super) customer: String,
            }
            #[projection(from = Sold, group_by = customer)]
            pub(super) struct Row {
                customer: String,
                #[count]
                n: u64,
                #[computed(Default::default())]
                more: String,
            }
        }
        assert_ne!(one::Row::FINGERPRINT, two::Row::FINGERPRINT);
        assert_ne!(one::Row::FINGERPRINT, three::Row::FINGERPRINT);
    }

    #[test]
    fn it_sees_what_the_rows_depend_on() {
        let base = fingerprint! {
            struct Sold { customer: String, qty: i32, other: u8 }
            #[projection(from = Sold, group_by = customer)]
            struct Row { customer: String, #[sum(qty * 2)] total: i64 }
        };
        let same = [
            // A field that it does not use, the order of fields, the layout of an expression, the row's Rust name.
            fingerprint! {
                struct Sold { qty: i32, customer: String }
                #[projection(from = Sold, group_by = customer)]
                struct Row { customer: String, #[sum(qty*2)] total: i64 }
            },
            fingerprint! {
                #[serde(deny_unknown_fields)]
                struct Sold { customer: String, qty: i32, other: u64, more: bool }
                #[projection(from = Sold, group_by = (customer))]
                #[derive(Debug)]
                struct Renamed { customer: String, #[sum(qty * 2)] total: i64 }
            },
        ];
        assert_eq!(same, [base; 2]);
        let others = [
            fingerprint! {
                struct Sold { customer: String, qty: i32 }
                #[projection(from = Sold, group_by = customer)]
                struct Row { customer: String, #[sum(qty * 3)] total: i64 }
            },
            fingerprint! {
                struct Sold { customer: String, qty: i16 }
                #[projection(from = Sold, group_by = customer)]
                struct Row { customer: String, #[sum(qty * 2)] total: i64 }
            },
            fingerprint! {
                struct Sold { customer: String, #[serde(rename = "n")] qty: i32 }
                #[projection(from = Sold, group_by = customer)]
                struct Row { customer: String, #[sum(qty * 2)] total: i64 }
            },
            fingerprint! {
                struct Bought { customer: String, qty: i32 }
                #[projection(from = Bought, group_by = customer)]
                struct Row { customer: String, #[sum(qty * 2)] total: i64 }
            },
            fingerprint! {
                struct Sold { customer: String, qty: i32 }
                #[projection(from = Sold if qty > 0, group_by = customer)]
                struct Row { customer: String, #[sum(qty * 2)] total: i64 }
            },
            fingerprint! {
                struct Sold { customer: String, qty: i32 }
                #[projection(from = Sold, group_by = customer, having = total > 0)]
                struct Row { customer: String, #[sum(qty * 2)] total: i64 }
            },
            fingerprint! {
                struct Sold { customer: String, qty: i32 }
                #[projection(from = Sold, group_by = customer, version = 1)]
                struct Row { customer: String, #[sum(qty * 2)] total: i64 }
            },
            fingerprint! {
                struct Sold { customer: String, qty: i32 }
                #[projection(from = Sold, group_by = customer)]
                struct Row { customer: String, #[sum(qty * 2)] total: i128 }
            },
            fingerprint! {
                struct Sold { customer: String, qty: i32 }
                #[projection(from = Sold, group_by = customer)]
                struct Row { customer: String, #[max(qty * 2)] total: i32 }
            },
            fingerprint! {
                struct Sold { customer: String, qty: i32 }
                #[projection(from = Sold, group_by = customer)]
                struct Row { customer: String, #[sum(qty * 2)] amount: i64 }
            },
            fingerprint! {
                struct Sold { customer: String, qty: i32 }
                #[projection(from = Sold, group_by = customer)]
                struct Row { customer: String, #[sum(qty * 2)] total: i64, #[computed(total)] more: i64 }
            },
        ];
        for (at, other) in others.iter().enumerate() {
            assert_ne!(*other, base, "change {at} goes unseen");
            assert!(!others[..at].contains(other), "change {at} looks like another");
        }
    }

    fn one() -> i32 {
        1
    }

    fn two() -> i32 {
        2
    }

    mod cents {
        use cqrs_core::__private::serde::{Deserialize, Deserializer, Serialize, Serializer};

        pub(super) fn serialize<S: Serializer>(value: &i32, serializer: S) -> Result<S::Ok, S::Error> {
            value.serialize(serializer)
        }
        pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
            i32::deserialize(deserializer).map(|value| value * 100)
        }
    }

    #[test]
    fn it_sees_how_a_field_is_read() {
        let all = [
            fingerprint! {
                struct Sold { customer: String, #[serde(default)] qty: i32 }
                #[projection(from = Sold, group_by = customer)]
                struct Row { customer: String, #[sum(qty)] total: i64 }
            },
            fingerprint! {
                struct Sold { customer: String, #[serde(default = "one")] qty: i32 }
                #[projection(from = Sold, group_by = customer)]
                struct Row { customer: String, #[sum(qty)] total: i64 }
            },
            fingerprint! {
                struct Sold { customer: String, #[serde(default = "two")] qty: i32 }
                #[projection(from = Sold, group_by = customer)]
                struct Row { customer: String, #[sum(qty)] total: i64 }
            },
            fingerprint! {
                struct Sold { customer: String, #[serde(with = "cents")] qty: i32 }
                #[projection(from = Sold, group_by = customer)]
                struct Row { customer: String, #[sum(qty)] total: i64 }
            },
            fingerprint! {
                struct Sold { customer: String, #[serde(skip)] qty: i32 }
                #[projection(from = Sold, group_by = customer)]
                struct Row { customer: String, #[sum(qty)] total: i64 }
            },
        ];
        for (at, fingerprint) in all.iter().enumerate() {
            assert!(!all[..at].contains(fingerprint), "the form {at} looks like another");
        }
        // How it is written, or what of a field is read that is not used, changes no row.
        let plain = fingerprint! {
            struct Sold { customer: String, qty: i32 }
            #[projection(from = Sold, group_by = customer)]
            struct Row { customer: String, #[sum(qty)] total: i64 }
        };
        let other = fingerprint! {
            struct Sold { customer: String, qty: i32, #[serde(default = "one")] other: i32 }
            #[projection(from = Sold, group_by = customer)]
            struct Row { customer: String, #[sum(qty)] total: i64 }
        };
        assert_eq!((plain, all[0]), (other, plain));
    }

    macro_rules! by_hand {
        ($event:item) => {{
            #[event]
            $event
            #[projection(by_hand(Sold), group_by = customer)]
            struct Row {
                customer: String,
                total: i64,
            }
            impl Fold<Sold> for Row {
                fn fold(&mut self, event: &<Sold as Event>::Ref<'_>, _: &Meta) -> Result<(), String> {
                    self.total += i64::from(event.qty);
                    Ok(())
                }
            }
            let row = Row { customer: String::new(), total: 0 };
            let _ = (row.customer, row.total);
            <Row as Projection>::FINGERPRINT
        }};
    }

    #[test]
    fn it_sees_of_which_type_every_column_is() {
        let all = [
            fingerprint! {
                struct Read { sensor: u32, value: f64, at: i64 }
                #[projection(from = Read, group_by = sensor)]
                struct Row { sensor: u32, #[avg(value)] mean: f64 }
            },
            fingerprint! {
                struct Read { sensor: u32, value: f64, at: i64 }
                #[projection(from = Read, group_by = sensor)]
                struct Row { sensor: u32, #[avg(value)] mean: Option<f64> }
            },
            fingerprint! {
                struct Read { sensor: u32, value: f64, at: i64 }
                #[projection(from = Read, group_by = sensor)]
                struct Row { sensor: u32, #[stddev(value)] mean: f64 }
            },
            fingerprint! {
                struct Read { sensor: u32, value: f64, at: i64 }
                #[projection(from = Read, group_by = sensor)]
                struct Row { sensor: u32, #[stddev(value)] mean: Option<f64> }
            },
            fingerprint! {
                struct Read { sensor: u32, value: f64, at: i64 }
                #[projection(from = Read, group_by = sensor, window = tumbling(at, "1h"), unit = "s")]
                struct Row { sensor: u32, window_start: i64, window_end: i64, #[count] n: u64 }
            },
            fingerprint! {
                struct Read { sensor: u32, value: f64, at: i64 }
                #[projection(from = Read, group_by = sensor, window = tumbling(at, "1h"), unit = "s")]
                struct Row { sensor: u32, window_start: i64, window_end: Timestamp, #[count] n: u64 }
            },
        ];
        for (at, fingerprint) in all.iter().enumerate() {
            assert!(!all[..at].contains(fingerprint), "the form {at} looks like another");
        }
    }

    #[test]
    fn it_sees_all_of_an_event_that_is_folded_by_hand() {
        let all = [
            by_hand!(
                struct Sold {
                    customer: String,
                    qty: i32,
                }
            ),
            by_hand!(
                struct Sold {
                    customer: String,
                    #[serde(rename = "n")]
                    qty: i32,
                }
            ),
            by_hand!(
                struct Sold {
                    customer: String,
                    #[serde(alias = "n")]
                    qty: i32,
                }
            ),
            by_hand!(
                struct Sold {
                    customer: String,
                    qty: i16,
                }
            ),
        ];
        for (at, fingerprint) in all.iter().enumerate() {
            assert!(!all[..at].contains(fingerprint), "the form {at} looks like another");
        }
    }

    #[test]
    fn it_sees_the_events_of_an_enum_that_is_a_source_as_a_whole() {
        macro_rules! whole {
            ($event:item) => {
                fingerprint!($event #[projection(from = Cart, group_by = ())] struct Row { #[count] n: u64 })
            };
        }
        let all = [
            whole!(
                enum Cart {
                    Added { qty: i64 },
                }
            ),
            whole!(
                enum Cart {
                    Added { qty: i64 },
                    Cleared { by: String },
                }
            ),
            whole!(
                enum Cart {
                    Added {
                        qty: i64,
                    },
                    #[event(aliases("Emptied"))]
                    Cleared {
                        by: String,
                    },
                }
            ),
        ];
        for (at, fingerprint) in all.iter().enumerate() {
            assert!(!all[..at].contains(fingerprint), "the form {at} looks like another");
        }
    }
}

#[test]
fn a_stream_of_events_that_nobody_registered_says_so() {
    #[event]
    #[derive(Debug)]
    struct Unheard {
        of: u32,
    }
    let engine = Engine::in_memory().start().unwrap();
    let mut events = engine.events::<Unheard>(1);
    let error = events.next().wait().unwrap().unwrap_err();
    assert!(
        error.to_string().contains("`Unheard`") && error.to_string().contains(".event::<E>()"),
        "{error}"
    );
    assert!(events.next().wait().is_none());
}
