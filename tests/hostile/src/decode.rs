//! Bytes as an event's payload: the core's ways to read them, the quick one and serde's, against serde alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::io::Cursor;
use std::time::Duration;

use cqrs_core::codec::{self, Readable};
use cqrs_core::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::Seed;

/// All that the quick way reads.
#[event]
#[derive(Debug)]
pub struct Plain {
    text: String,
    maybe: Option<String>,
    a: u8,
    b: u16,
    c: u32,
    d: u64,
    e: i8,
    f: i16,
    g: i32,
    h: i64,
    yes: bool,
    real: f64,
    half: Option<f32>,
}

/// Two fields: short enough to be met by chance.
#[event(aliases("Was"))]
#[derive(Debug)]
pub struct Short {
    a: String,
    n: Option<i32>,
}

#[value]
#[derive(Debug, Clone, Default)]
pub struct Nothing;

#[value]
#[derive(Debug, Clone)]
pub struct Sku(String);

#[value]
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Status {
    Open,
    #[serde(rename = "paid in full", alias = "settled")]
    Paid,
}

#[value]
#[derive(Debug, Clone)]
pub enum Way {
    Air,
    Ship { line: String, days: Option<u8> },
    Road(u8, f32),
    Rail(Box<Self>),
}

/// A value without a floor.
#[value]
#[derive(Debug, Clone)]
pub struct Tree {
    name: char,
    below: Vec<Self>,
}

/// All that serde alone reads.
#[event]
#[derive(Debug)]
pub struct Rich {
    wide: i128,
    unsigned: u128,
    letter: char,
    unit: (),
    pair: (u8, String),
    array: [i16; 3],
    bytes: Vec<u8>,
    words: Vec<String>,
    boxed: Box<str>,
    twice: Option<bool>,
    map: BTreeMap<String, i64>,
    numbers: BTreeMap<i8, Vec<f64>>,
    set: BTreeSet<u32>,
    long: Duration,
    at: Timestamp,
    nothing: Nothing,
    sku: Sku,
    status: Status,
    way: Way,
    ways: Vec<Way>,
    tree: Tree,
}

/// What the attributes of serde change.
#[event]
#[derive(Debug)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Renamed {
    first_name: String,
    #[serde(rename = "2nd", alias = "second")]
    other: i64,
    #[serde(default)]
    later: Option<Sku>,
    #[serde(default = "seven")]
    seven: u8,
    #[serde(skip)]
    never: u32,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    seldom: Option<Tree>,
}

fn seven() -> u8 {
    7
}

/// Types of other crates.
#[event]
#[derive(Debug)]
pub struct Foreign {
    id: uuid::Uuid,
    price: rust_decimal::Decimal,
    at: jiff::Timestamp,
    day: Option<chrono::DateTime<chrono::Utc>>,
}

/// Each variant is a type of its own.
#[event]
#[derive(Debug)]
pub enum Order {
    Placed { order: u64, customer: String, way: Way },
    Shipped { order: u64, at: i64 },
    Short(Short),
}

/// What a variant's payload is to serde.
#[derive(Debug, Serialize, Deserialize)]
struct Placed {
    order: u64,
    customer: String,
    way: Way,
}

#[derive(Debug, Serialize, Deserialize)]
struct Shipped {
    order: u64,
    at: i64,
}

/// The first byte chooses the type, the others are the payload.
pub fn run(bytes: &[u8]) {
    let Some((choice, payload)) = bytes.split_first() else { return };
    let types: [fn(&[u8]); 8] = [
        one::<Plain>,
        one::<Short>,
        one::<Rich>,
        one::<Renamed>,
        one::<Foreign>,
        variant::<0, Placed>,
        variant::<1, Shipped>,
        variant::<2, Short>,
    ];
    if !is_too_deep(payload) {
        types[usize::from(*choice) % types.len()](payload);
        readable(payload);
    }
}

/// What lies too deep is refused before it is read, whatever it is of: serde alone might overflow the stack.
fn is_too_deep(payload: &[u8]) -> bool {
    Readable::of(payload).is_err_and(|error| error.reason.contains("deeper than"))
}

fn one<E: Event + Serialize + DeserializeOwned + Debug>(payload: &[u8]) {
    let serde = by_serde::<E>(payload);
    agree("serde's way", codec::decode::<E>(payload).ok().map(|event| written(&event)), &serde, payload);
    agree(
        "the event's way",
        E::decode(0, payload).ok().map(|twin| encoded(&E::owned(twin))),
        &serde,
        payload,
    );
    comes_back::<E>(0, serde);
}

fn variant<const INDEX: usize, S: Serialize + DeserializeOwned>(payload: &[u8]) {
    let serde = by_serde::<S>(payload);
    let order = Order::decode(INDEX, payload).ok().map(Order::owned);
    assert!(order.as_ref().is_none_or(|order| order.type_index() == INDEX), "it is another variant");
    agree("the variant's way", order.as_ref().map(encoded), &serde, payload);
    comes_back::<Order>(INDEX, serde);
}

/// What serde reads, written anew: one whole map, and nothing behind it.
fn by_serde<T: Serialize + DeserializeOwned>(payload: &[u8]) -> Option<Vec<u8>> {
    matches!(payload.first()?, 0x80..=0x8f | 0xde | 0xdf).then_some(())?;
    let mut cursor = Cursor::new(payload);
    let value = T::deserialize(&mut rmp_serde::Deserializer::new(&mut cursor)).ok()?;
    (cursor.position() == payload.len() as u64).then(|| written(&value))
}

fn written(value: &impl Serialize) -> Vec<u8> {
    let mut out = Vec::new();
    codec::encode("", value, &mut out).expect("what was read can be written");
    out
}

fn encoded(event: &impl Event) -> Vec<u8> {
    let mut out = Vec::new();
    event.encode(&mut out).expect("what was read can be written");
    out
}

/// Compared as it is written: what is not a number is not equal to itself.
fn agree(way: &str, read: Option<Vec<u8>>, serde: &Option<Vec<u8>>, payload: &[u8]) {
    assert_eq!(&read, serde, "{way} reads {payload:x?} as the left, serde alone as the right");
}

/// What was written anew reads as itself.
fn comes_back<E: Event>(index: usize, written: Option<Vec<u8>>) {
    let Some(written) = written else { return };
    let again = E::decode(index, &written).map(|twin| encoded(&E::owned(twin)));
    assert_eq!(again.as_deref(), Ok(&*written), "it does not come back");
}

/// Every whole payload can be shown, whatever it is of; and what cannot be is no payload of any type.
fn readable(payload: &[u8]) {
    use std::fmt::Write;
    /// Takes text, and keeps none.
    struct Count(usize);
    impl Write for Count {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0 += text.len();
            Ok(())
        }
    }
    let Ok(readable) = Readable::of(payload) else { return };
    let (mut line, mut lines) = (Count(0), Count(0));
    write!(line, "{readable}").expect("it can be shown");
    write!(lines, "{readable:#}").expect("it can be shown");
    // A name of one byte may be a letter that is escaped, and a float of nine has 300 digits at most.
    assert!(line.0 <= 64 * payload.len(), "{} bytes are shown as {}", payload.len(), line.0);
}

/// Payloads as they are written, by name.
pub(crate) fn seeds() -> Vec<Seed> {
    let tree = Tree { name: 'é', below: vec![Tree { name: 'b', below: vec![] }] };
    let way = Way::Rail(Box::new(Way::Ship { line: "north".into(), days: Some(3) }));
    let plain = Plain {
        text: "hats".into(),
        maybe: None,
        a: 255,
        b: 256,
        c: 70_000,
        d: u64::MAX,
        e: -1,
        f: -200,
        g: -70_000,
        h: i64::MIN,
        yes: true,
        real: -0.0,
        half: Some(f32::NAN),
    };
    let rich = Rich {
        wide: i128::MIN,
        unsigned: u128::MAX,
        letter: '✓',
        unit: (),
        pair: (1, "a".into()),
        array: [1, -2, 300],
        bytes: vec![0, 255],
        words: vec!["a".into(), String::new()],
        boxed: "b".into(),
        twice: Some(false),
        map: [("x".into(), -1)].into(),
        numbers: [(-1, vec![0.5])].into(),
        set: [1, 2].into(),
        long: Duration::from_millis(1500),
        at: Timestamp::from_micros(7),
        nothing: Nothing,
        sku: Sku("A-1".into()),
        status: Status::Paid,
        way: way.clone(),
        ways: vec![Way::Air, Way::Road(1, 2.5)],
        tree: tree.clone(),
    };
    let renamed = Renamed {
        first_name: "ann".into(),
        other: 2,
        later: Some(Sku("B".into())),
        seven: 8,
        never: 0,
        seldom: Some(tree),
    };
    let foreign = Foreign {
        id: uuid::Uuid::from_u128(7),
        price: rust_decimal::Decimal::new(1250, 2),
        at: jiff::Timestamp::UNIX_EPOCH,
        day: Some(chrono::DateTime::UNIX_EPOCH),
    };
    let deep = |levels| [&[1, 0x81, 0xa1, b'a'][..], &vec![0x91; levels], &[0xc0]].concat();
    let short = Short { a: "b".into(), n: Some(1) };
    let placed = Order::Placed { order: 1, customer: "ann".into(), way };
    let of = |choice: u8, payload: Vec<u8>| [vec![choice], payload].concat();
    let seeds = [
        ("plain", of(0, encoded(&plain))),
        ("short", of(1, encoded(&short))),
        ("rich", of(2, encoded(&rich))),
        ("renamed", of(3, encoded(&renamed))),
        ("foreign", of(4, encoded(&foreign))),
        ("placed", of(5, encoded(&placed))),
        ("shipped", of(6, encoded(&Order::Shipped { order: 1, at: -1 }))),
        ("variant-short", of(7, encoded(&short))),
        ("claims-a-long-text", b"\x01\x82\xa1a\xdb\xff\xff\xff\xff".to_vec()),
        ("claims-a-long-list", b"\x02\x81\xa5words\xdd\xff\xff\xff\xff\xa1a".to_vec()),
        ("claims-a-long-map", b"\x02\xdf\xff\xff\xff\xff\xa3map".to_vec()),
        ("claims-long-bytes", b"\x02\x81\xa5bytes\xc6\xff\xff\xff\xff".to_vec()),
        ("text-that-is-none", b"\x01\x82\xa1a\xa2\xff\xfe\xa1n\xc0".to_vec()),
        ("a-field-twice", b"\x01\x82\xa1a\xa1x\xa1a\xa1y".to_vec()),
        ("positional", b"\x01\x92\xa1a\x01".to_vec()),
        ("deep", deep(120)),
        ("too-deep", deep(900)),
    ];
    seeds.map(|(name, bytes)| (name.to_owned(), bytes)).into()
}
