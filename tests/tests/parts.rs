//! Values of several parts, structs and enums of the user's own, as fields, columns and keys.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cqrs_core::prelude::*;
use cqrs_core::testing::given;

#[value]
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    pub country: Country,
    pub city: String,
    pub street: Option<String>,
}

#[value]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Country {
    Norway,
    Sweden,
}

#[value]
#[derive(Debug, Clone, PartialEq)]
pub enum Payment {
    Cash,
    Card { last: u16, tries: Vec<u8> },
    Voucher(String),
    Split(i64, f64),
}

#[value]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range(pub i32, pub i32);

/// What no row can hold may still be in an event; and a type may be within itself.
#[value]
#[derive(Debug, Clone, PartialEq)]
pub struct Remarks {
    pub by: HashMap<String, String>,
    pub replies: Vec<Remarks>,
}

/// Two that are within each other say so.
#[value(field)]
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    pub parts: Vec<Part>,
}

#[value(field)]
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    Text(String),
    Section(Section),
}

#[event]
#[derive(Debug, Clone)]
pub struct Ordered {
    pub order: u32,
    pub to: Address,
    pub paid: Payment,
    pub range: Range,
    pub remarks: Option<Remarks>,
    pub text: Section,
}

#[projection(from = Ordered, group_by = order)]
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    pub order: u32,
    #[last]
    pub to: Address,
    #[last(paid if paid != Payment::Cash)]
    pub paid: Option<Payment>,
    #[collect(to)]
    pub all: Vec<Address>,
    #[collect(to)]
    pub each: BTreeSet<Address>,
    #[collect((range, to.clone()))]
    pub by_range: BTreeMap<Range, Address>,
    #[count_distinct(to)]
    pub different: u64,
    #[max(range)]
    pub widest: Range,
    #[top(2, to, by = order)]
    pub latest: Vec<Address>,
}

/// Grouped by one, and looked up by another.
#[projection(from = Ordered, group_by = (to, order), index(range))]
#[derive(Debug, Clone, PartialEq)]
pub struct At {
    pub to: Address,
    pub order: u32,
    #[last]
    pub range: Range,
}

fn address(country: Country, city: &str, street: Option<&str>) -> Address {
    Address { country, city: city.into(), street: street.map(Into::into) }
}

fn ordered(order: u32, to: &Address, paid: Payment, range: Range) -> Ordered {
    let replies = vec![Remarks { by: HashMap::new(), replies: Vec::new() }];
    let text = Section { parts: vec![Part::Text("a".into()), Part::Section(Section { parts: Vec::new() })] };
    let by = HashMap::from([("ann".into(), "soon, please".into())]);
    Ordered { order, to: to.clone(), paid, range, remarks: Some(Remarks { by, replies }), text }
}

#[test]
fn they_are_columns_and_keys() {
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        let engine = Engine::open(folder.path()).unwrap().view::<Order>().view::<At>().start().unwrap();
        engine.wait_ready().wait().unwrap();
        engine
    };
    let (oslo, bergen) =
        (address(Country::Norway, "Oslo", Some("Storgata")), address(Country::Norway, "Bergen", None));
    let lund = address(Country::Sweden, "Lund", Some("a \"b\""));
    let card = Payment::Card { last: 4711, tries: vec![1, 2] };
    let expected = Order {
        order: 1,
        to: lund.clone(),
        paid: Some(Payment::Split(-3, 0.5)),
        all: vec![oslo.clone(), bergen.clone(), oslo.clone(), lund.clone()],
        each: BTreeSet::from([bergen.clone(), oslo.clone(), lund.clone()]),
        by_range: BTreeMap::from([(Range(-1, 5), oslo.clone()), (Range(0, 0), lund.clone())]),
        different: 3,
        widest: Range(0, 0),
        latest: vec![oslo.clone(), bergen.clone()],
    };
    let engine = open();
    let events = [
        ordered(1, &oslo, Payment::Cash, Range(-1, 5)),
        ordered(1, &bergen, card, Range(-1, 5)),
        ordered(1, &oslo, Payment::Voucher("v".into()), Range(-1, 5)),
        ordered(1, &lund, Payment::Split(-3, 0.5), Range(0, 0)),
        ordered(2, &lund, Payment::Cash, Range(-7, 9)),
    ];
    engine.append_all(events).wait().unwrap();
    let mut opened = Some(engine);
    for _ in 0..2 {
        // The second time from what is stored of the rows.
        let engine = opened.take().unwrap_or_else(open);
        let row = engine.view::<Order>().get(1).unwrap().unwrap();
        assert_eq!(row, expected);
        let at = engine.view::<At>();
        assert_eq!(at.get((&lund, 2)).unwrap().unwrap().range, Range(-7, 9));
        assert!(at.get((&address(Country::Norway, "Lund", None), 2)).unwrap().is_none());
        // In the order of their parts: the country as it is declared, then the city, and none before some.
        let order: Vec<(String, u32)> =
            at.rows_by_key().unwrap().map(|row| (row.to.city, row.order)).collect();
        assert_eq!(order, [("Bergen".into(), 1), ("Oslo".into(), 1), ("Lund".into(), 1), ("Lund".into(), 2)]);
        assert_eq!(at.rows_of(&lund).unwrap().count(), 2);
        let ranges: Vec<Range> = at.by_range_in(&Range(-1, 0)..).unwrap().map(|row| row.range).collect();
        assert_eq!(ranges, [Range(-1, 5), Range(-1, 5), Range(0, 0)]);
        engine.close().wait().unwrap();
    }

    let sql = rusqlite::Connection::open(folder.path().join("views.db")).unwrap();
    let texts = "SELECT \"to\", paid, \"all\", by_range, widest, \"to\" ->> 'city' FROM \"order\" WHERE \"order\" = 1";
    let shown: Vec<String> = sql.query_row(texts, [], |row| (0..6).map(|at| row.get(at)).collect()).unwrap();
    assert_eq!(shown[0], r#"{"country":"Sweden","city":"Lund","street":"a \"b\""}"#);
    assert_eq!(shown[1], r#"{"Split":[-3,0.5]}"#);
    assert!(shown[2].starts_with(r#"[{"country":"Norway","city":"Oslo","street":"Storgata"},{"country":"Norway","city":"Bergen","street":null},"#));
    assert!(shown[3].starts_with(r#"{"[-1,5]":{"country""#), "{}", shown[3]);
    assert_eq!((&*shown[4], &*shown[5]), ("[0,0]", "Lund"));
}

/// A form of a struct, with its fields in this order.
macro_rules! with_fields {
    ($name:ident: $first:ident, $second:ident) => {
        mod $name {
            use super::*;
            #[value]
            #[derive(Debug, Clone, PartialEq)]
            pub(super) struct Size {
                pub(super) $first: u32,
                pub(super) $second: u32,
            }
            #[event]
            #[derive(Debug)]
            pub(super) struct Measured {
                pub(super) size: Size,
            }
            #[projection(from = Measured, group_by = ())]
            #[derive(Debug)]
            pub(super) struct Last {
                #[last]
                pub(super) size: Size,
            }
        }
    };
}
with_fields!(before: width, height);
with_fields!(after: height, width);

#[test]
fn what_changes_in_them_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(folder.path()).unwrap().view::<before::Last>().start().unwrap();
    let size = before::Size { width: 1, height: 2 };
    engine.append(before::Measured { size: size.clone() }).wait().unwrap();
    assert_eq!(engine.view::<before::Last>().get(()).unwrap().unwrap().size, size);
    engine.close().wait().unwrap();
    // The same fields in another order: the events are read by name, and the row is not taken for one of that form.
    let engine = Engine::open(folder.path()).unwrap().view::<after::Last>().start().unwrap();
    engine.wait_ready().wait().unwrap();
    let row = engine.view::<after::Last>().get(()).unwrap().unwrap();
    assert_eq!(row.size, after::Size { height: 2, width: 1 });
}

/// What is kept of a payment, whose types have these forms.
macro_rules! payments {
    ($name:ident, $method:item, $cents:item) => {
        mod $name {
            use super::*;
            #[value]
            #[derive(Debug, Clone, Copy, PartialEq)]
            $method
            #[value]
            #[derive(Debug, Clone, Copy, PartialEq)]
            $cents
            /// Which can be no column.
            #[value]
            #[derive(Debug, Clone)]
            pub(super) struct Detail {
                pub(super) method: Method,
                pub(super) tags: std::collections::HashMap<String, String>,
            }
            #[event]
            #[derive(Debug)]
            pub(super) struct Entered {
                pub(super) detail: Option<Detail>,
            }
            #[projection(from = Entered, group_by = ())]
            #[derive(Debug, PartialEq)]
            pub(super) struct Entries {
                #[count_distinct(detail.as_ref().map(|detail| detail.method))]
                pub(super) ways: u64,
            }
            #[event]
            #[derive(Debug)]
            pub(super) struct Paid {
                pub(super) method: Method,
                pub(super) cents: Cents,
                pub(super) note: u32,
            }
            /// Of whose columns none is of these types.
            #[projection(from = Paid, group_by = ())]
            #[derive(Debug, PartialEq)]
            pub(super) struct Payments {
                #[count_distinct(method)]
                pub(super) ways: u64,
                #[last(note, by = cents)]
                pub(super) dearest: u32,
                #[top(1, note, by = cents)]
                pub(super) top: Vec<u32>,
            }
        }
    };
}
payments!(
    paid_once,
    pub(super) enum Method {
        Card,
        Cheque,
    },
    pub(super) struct Cents(pub(super) i32);
);
payments!(
    paid_later,
    pub(super) enum Method {
        Card,
        Phone,
        #[serde(alias = "Cheque")]
        Other,
    },
    pub(super) struct Cents(pub(super) i64);
);

#[test]
fn what_changes_behind_a_name_is_seen_where_only_its_bytes_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(folder.path()).unwrap().view::<paid_once::Payments>();
    let engine = engine.view::<paid_once::Entries>().start().unwrap();
    for method in [paid_once::Method::Card, paid_once::Method::Cheque] {
        let detail = paid_once::Detail { method, tags: Default::default() };
        engine.append(paid_once::Entered { detail: Some(detail) }).wait().unwrap();
    }
    for (method, cents, note) in [(paid_once::Method::Card, 5, 1), (paid_once::Method::Cheque, 7, 2)] {
        engine.append(paid_once::Paid { method, cents: paid_once::Cents(cents), note }).wait().unwrap();
    }
    engine.close().wait().unwrap();

    use paid_later::{Cents, Detail, Entered, Entries, Method, Paid, Payments};
    let engine = Engine::open(folder.path()).unwrap().view::<Payments>().view::<Entries>().start().unwrap();
    engine.wait_ready().wait().unwrap();
    let row = || engine.view::<Payments>().get(()).unwrap().unwrap();
    assert_eq!(row(), Payments { ways: 2, dearest: 2, top: vec![2] });
    for (method, cents, note) in [(Method::Phone, 6, 3), (Method::Other, 8, 4)] {
        engine.append(Paid { method, cents: Cents(cents), note }).wait().unwrap();
    }
    assert_eq!(row(), Payments { ways: 3, dearest: 4, top: vec![4] });
    for method in [Method::Phone, Method::Other] {
        engine.append(Entered { detail: Some(Detail { method, tags: Default::default() }) }).wait().unwrap();
    }
    assert_eq!(engine.view::<Entries>().get(()).unwrap().unwrap(), Entries { ways: 3 });
    drop(engine);
    let folded = Engine::open_read_only(folder.path()).unwrap().view::<Payments>().view::<Entries>();
    let folded = folded.verify().unwrap();
    assert!(folded.is_whole(), "{folded}");
}

#[value]
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(non_camel_case_types)]
pub enum Kind {
    Plain,
    r#type,
}

#[event]
#[derive(Debug)]
pub struct Sorted {
    kind: Kind,
}

#[projection(from = Sorted, group_by = ())]
#[derive(Debug)]
pub struct LastKind {
    #[last]
    kind: Kind,
}

#[test]
fn a_raw_name_is_shown_as_it_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(folder.path()).unwrap().view::<LastKind>().start().unwrap();
    engine.append(Sorted { kind: Kind::r#type }).wait().unwrap();
    engine.close().wait().unwrap();
    let views = rusqlite::Connection::open(folder.path().join("views.db")).unwrap();
    let kind: String = views.query_row("SELECT kind FROM last_kind", [], |row| row.get(0)).unwrap();
    assert_eq!(kind, "type");
}

/// A form of a struct, with a default of its own for what old events lack.
macro_rules! with_default {
    ($name:ident, $default:literal) => {
        mod $name {
            use super::*;
            pub(super) fn eur() -> String {
                "EUR".into()
            }
            pub(super) fn usd() -> String {
                "USD".into()
            }
            #[value]
            #[derive(Debug, Clone, PartialEq)]
            pub(super) struct Amount {
                pub(super) cents: i64,
                #[serde(default = $default)]
                pub(super) currency: String,
            }
            #[event]
            #[derive(Debug)]
            pub(super) struct Due {
                pub(super) amount: Amount,
            }
            #[projection(from = Due, group_by = ())]
            #[derive(Debug)]
            pub(super) struct LastDue {
                #[last]
                pub(super) amount: Amount,
            }
            #[allow(dead_code)]
            const USED: [fn() -> String; 2] = [eur, usd];
        }
    };
}
with_default!(euros, "euros::eur");
with_default!(dollars, "dollars::usd");

#[test]
fn how_old_events_are_read_is_seen_in_them_too() {
    mod first {
        use super::*;
        #[value]
        #[derive(Debug, Clone)]
        pub(super) struct Amount {
            pub(super) cents: i64,
        }
        #[event]
        #[derive(Debug)]
        pub(super) struct Due {
            pub(super) amount: Amount,
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let open = || Engine::open(folder.path()).unwrap();
    let engine = open().event::<first::Due>().start().unwrap();
    engine.append(first::Due { amount: first::Amount { cents: 1 } }).wait().unwrap();
    engine.close().wait().unwrap();
    let engine = open().view::<euros::LastDue>().start().unwrap();
    engine.wait_ready().wait().unwrap();
    assert_eq!(engine.view::<euros::LastDue>().get(()).unwrap().unwrap().amount.currency, "EUR");
    engine.close().wait().unwrap();
    let engine = open().view::<dollars::LastDue>().start().unwrap();
    engine.wait_ready().wait().unwrap();
    assert_eq!(engine.view::<dollars::LastDue>().get(()).unwrap().unwrap().amount.currency, "USD");
}

/// Variants that have braces, and nothing in them.
#[value]
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sign {
    Plus {},
    Minus(),
}

#[test]
fn the_kit_knows_them() {
    let oslo = address(Country::Norway, "Oslo", None);
    let rows = [At { to: oslo.clone(), order: 1, range: Range(1, 2) }];
    given([ordered(1, &oslo, Payment::Cash, Range(1, 2))]).view::<At>().then_rows(rows);
}

proptest::proptest! {
    #[test]
    fn keys_order_as_the_types_do(
        places in proptest::collection::btree_set(
            (proptest::bool::ANY, "[ab\0]{0,3}", proptest::option::of("[ab\0]{0,2}")), 0..40),
    ) {
        let country = |norway| if norway { Country::Norway } else { Country::Sweden };
        let places = places.iter().map(|(norway, city, street)| address(country(*norway), city, street.as_deref()));
        let places: BTreeSet<Address> = places.collect();
        let engine = Engine::in_memory().view::<At>().start().unwrap();
        let shuffled = places.iter().rev().map(|place| ordered(1, place, Payment::Cash, Range(0, 0)));
        engine.append_all(shuffled).wait().unwrap();
        let found: Vec<Address> = engine.view::<At>().rows_by_key().unwrap().map(|row| row.to).collect();
        proptest::prop_assert!(found.iter().eq(&places), "{found:?}");
    }
}
