//! Events of older versions, of any bytes, read by today's types: an engine starts over such a log, and its views are what plain loops make of the
//! events that can be read.

use std::collections::BTreeMap;

use cqrs_core::codec;
use cqrs_core::prelude::*;
use std::sync::Arc;

use crate::Seed;
use crate::panics::{MEANT, none_in};
use crate::raw::{Raw, store};

#[event]
#[derive(Debug)]
pub struct PaidV1 {
    customer: String,
    euros: i8,
}

#[event(version = 2, upcast = PaidV1)]
#[derive(Debug)]
pub struct PaidV2 {
    customer: String,
    cents: i64,
}

#[event(name = "paid", version = 3, upcast = PaidV2, aliases("Paid"))]
#[derive(Debug)]
pub struct Paid {
    customer: String,
    cents: i64,
    via: Vec<String>,
}

#[event]
#[derive(Debug)]
pub struct AddedV1 {
    item: String,
}

#[event]
#[derive(Debug)]
pub enum Shop {
    #[event(version = 2, upcast = AddedV1)]
    Added {
        item: String,
        qty: i8,
    },
    Paid(Paid),
}

/// What the `From` of the user's panics at.
const UNLUCKY: i64 = 13;

impl From<PaidV1> for PaidV2 {
    fn from(old: PaidV1) -> Self {
        Self { customer: old.customer, cents: 100 * i64::from(old.euros) }
    }
}

impl From<PaidV2> for Paid {
    fn from(old: PaidV2) -> Self {
        if old.cents == UNLUCKY {
            panic!("{MEANT}");
        }
        Self { customer: old.customer, cents: old.cents, via: Vec::new() }
    }
}

impl From<AddedV1> for Shop {
    fn from(old: AddedV1) -> Self {
        Self::Added { item: old.item, qty: 1 }
    }
}

#[projection(from = Shop { Added { name: item }, Paid { name: customer } }, group_by = name)]
#[derive(Debug, PartialEq)]
pub struct Stopping {
    name: String,
    #[sum(Added => qty, Paid => cents)]
    total: i64,
    #[count]
    events: u64,
}

#[projection(from = Shop { Added { name: item }, Paid { name: customer } }, group_by = name, on_fault = park)]
#[derive(Debug, PartialEq)]
pub struct Parking {
    name: String,
    #[sum(Added => qty, Paid => cents)]
    total: i64,
    #[count]
    events: u64,
}

/// Stored names and versions that the types above read, and two that they do not.
const KINDS: [(&str, u32); 8] = [
    ("paid", 1),
    ("paid", 2),
    ("paid", 3),
    ("Paid", 2),
    ("Added", 1),
    ("Added", 2),
    ("paid", 4),
    ("gone", 1),
];

/// How many events an input has at most.
const MOST: usize = 24;

/// For each event: a byte that chooses its kind, its length, its payload.
pub fn run(bytes: &[u8]) {
    let events = events(bytes);
    none_in(|| check(&events));
}

fn events(mut rest: &[u8]) -> Vec<Raw> {
    let mut events = Vec::new();
    while let [kind, length, behind @ ..] = rest
        && events.len() < MOST
    {
        let (payload, behind) = behind.split_at(usize::from(*length).min(behind.len()));
        rest = behind;
        let (name, version) = KINDS[usize::from(*kind) % KINDS.len()];
        events.push(Raw { name: name.into(), version, payload: payload.into() });
    }
    events
}

fn check(events: &[Raw]) {
    let builder = || Engine::with_store(Arc::new(store(events))).view::<Stopping>().view::<Parking>();
    let started = builder().start();
    if events.iter().any(|event| KINDS[6..].contains(&(&*event.name, event.version))) {
        assert!(matches!(started, Err(StartError::UnknownEvents(_))), "it starts with what no type reads");
        return;
    }
    let engine = started.expect("every type is known");
    let _ = engine.wait_ready().wait();
    let (model, faults) = model(events);
    let rows: Vec<Parking> = engine.view::<Parking>().rows_by_key().expect("it parks").collect();
    assert!(
        rows.iter().map(|row| (&*row.name, row.total, row.events)).eq(listed(&model)),
        "{rows:?} is not {model:?}"
    );
    let parked = engine.view::<Parking>().parked().expect("it parks");
    assert!(
        parked.iter().map(|parked| parked.position).eq(faults.iter().copied()),
        "{parked:?} is not {faults:?}"
    );
    match (engine.view::<Stopping>().rows_by_key(), faults.first()) {
        (Ok(rows), None) => {
            let rows: Vec<Stopping> = rows.collect();
            assert!(
                rows.iter().map(|row| (&*row.name, row.total, row.events)).eq(listed(&model)),
                "{rows:?} is not {model:?}"
            );
        }
        (Err(ReadError::Faulted(fault)), Some(first)) => assert_eq!(fault.position, *first, "{fault}"),
        (rows, first) => panic!("{:?} where {first:?} is the first fault", rows.err()),
    }
    read(&engine, events);
    engine.close().wait().expect("memory can be closed");
    builder().verify().expect("there is a log to be verified");
}

type Totals = BTreeMap<String, (i64, u64)>;

fn listed(model: &Totals) -> impl Iterator<Item = (&str, i64, u64)> {
    model.iter().map(|(name, (total, events))| (&**name, *total, *events))
}

/// What plain loops make of the events, and the positions of those that they cannot take in.
fn model(events: &[Raw]) -> (Totals, Vec<u64>) {
    let (mut model, mut faults) = (Totals::new(), Vec::new());
    for (position, event) in (1..).zip(events) {
        let folded = value(event).and_then(|(name, value)| {
            let (total, count) = model.get(&name).copied().unwrap_or_default();
            Some((name, (total.checked_add(value)?, count + 1)))
        });
        match folded {
            Some((name, totals)) => drop(model.insert(name, totals)),
            None => faults.push(position),
        }
    }
    (model, faults)
}

/// Whom an event is about, and what it adds; `None` if it cannot be read.
fn value(Raw { name, version, payload }: &Raw) -> Option<(String, i64)> {
    match (&**name, version) {
        ("Added", 1) => codec::decode(payload).ok().map(|AddedV1 { item }| (item, 1)),
        ("Added", _) => match Shop::owned(Shop::decode(0, payload).ok()?) {
            Shop::Added { item, qty } => Some((item, qty.into())),
            Shop::Paid(_) => unreachable!("it was asked for the other"),
        },
        (_, 1) => {
            codec::decode(payload).ok().map(|PaidV1 { customer, euros }| (customer, 100 * i64::from(euros)))
        }
        (_, 2) => {
            let PaidV2 { customer, cents } = codec::decode(payload).ok()?;
            (cents != UNLUCKY).then_some((customer, cents))
        }
        _ => codec::decode(payload).ok().map(|Paid { customer, cents, .. }| (customer, cents)),
    }
}

/// The stream of events has those before the first that cannot be read, and ends with an error that names it.
fn read(engine: &Engine, events: &[Raw]) {
    let illegible = (1..).zip(events).find(|(_, event)| value(event).is_none()).map(|(position, _)| position);
    let mut stream = engine.events::<Shop>(1).until_head();
    for position in 1_u64.. {
        match stream.next().wait() {
            Some(Ok(event)) => assert_eq!(event.position, position),
            Some(Err(error)) => {
                assert_eq!(illegible, Some(position), "{error}");
                assert!(error.to_string().contains(&position.to_string()), "{error}");
                return;
            }
            None => {
                assert_eq!(
                    (illegible, position),
                    (None, events.len() as u64 + 1),
                    "the stream ends too soon"
                );
                return;
            }
        }
    }
}

pub(crate) fn seeds() -> Vec<Seed> {
    let of = |kind: u8, event: &dyn Fn(&mut Vec<u8>)| {
        let mut payload = Vec::new();
        event(&mut payload);
        let length = u8::try_from(payload.len()).expect("it is short");
        [vec![kind, length], payload].concat()
    };
    let customer = || "ann".to_owned();
    let encode = |event: &dyn Fn(&mut Vec<u8>) -> Result<(), codec::EncodeError>, out: &mut Vec<u8>| {
        event(out).expect("it can be written");
    };
    let v1 = of(0, &|out| encode(&|out| PaidV1 { customer: customer(), euros: 5 }.encode(out), out));
    let v2 = |cents| of(1, &|out| encode(&|out| PaidV2 { customer: customer(), cents }.encode(out), out));
    let v3 = |cents| {
        let paid = || Paid { customer: customer(), cents, via: vec!["web".into()] };
        of(2, &|out| encode(&|out| paid().encode(out), out))
    };
    let a1 = of(4, &|out| encode(&|out| AddedV1 { item: "hats".into() }.encode(out), out));
    let a2 = of(5, &|out| encode(&|out| Shop::Added { item: "hats".into(), qty: -3 }.encode(out), out));
    let seeds = [
        ("all-versions", [v1.clone(), v2(7), v3(8), a1.clone(), a2.clone()].concat()),
        ("a-from-that-panics", [v2(UNLUCKY), v2(7)].concat()),
        ("an-overflow", [v3(i64::MAX), v3(i64::MAX), v3(-1)].concat()),
        ("a-version-of-another", [vec![2], v1[1..].to_vec(), v3(1)].concat()),
        ("a-newer-version", [vec![6], v1[1..].to_vec()].concat()),
        ("no-payload", [v1, vec![1, 0], a2, vec![4, 0]].concat()),
        ("an-alias", [vec![3], v2(7)[1..].to_vec(), a1].concat()),
    ];
    seeds.map(|(name, bytes)| (name.to_owned(), bytes)).into()
}
