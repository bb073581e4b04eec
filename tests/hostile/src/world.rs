//! A shop with views of every kind: each aggregate, over events and over rows; windows, sessions, removals, look-ups, folds by hand, parked events, indexes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::Duration;

use cqrs_core::aggregate::{Aggregate, Combine, Retract};
use cqrs_core::prelude::*;
use cqrs_core::{Builder, Tick};
use rust_decimal::Decimal;

#[value]
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Status {
    Open,
    Paid,
    Sent,
}

#[value]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sku(String);

#[event]
#[derive(Debug, Clone)]
pub(crate) struct Paid {
    customer: u32,
    item: String,
    cents: i64,
    weight: f64,
    at: i64,
    status: Status,
    sku: Sku,
    note: Option<String>,
    price: Decimal,
    took: Duration,
    raw: Vec<u8>,
}

#[event]
#[derive(Debug, Clone)]
pub(crate) enum Cart {
    Added { customer: String, item: String, qty: i8 },
    Dropped { customer: String, item: String },
    Cleared { customer: String },
    Noted { customer: String, text: String },
}

/// What came, less what went.
#[value]
#[derive(Debug, Clone, Default)]
pub(crate) struct Total {
    cents: i64,
    words: Vec<String>,
}

impl Aggregate for Total {
    type Input = i64;
    type Output = i64;
    fn insert(&mut self, input: &i64) -> Result<(), String> {
        self.cents = self.cents.checked_add(*input).ok_or("too much")?;
        Ok(())
    }
    fn output(&self) -> i64 {
        self.cents
    }
}

impl Retract for Total {
    fn remove(&mut self, input: &i64) -> Result<(), String> {
        self.cents = self.cents.checked_sub(*input).ok_or("too little")?;
        Ok(())
    }
}

impl Combine for Total {
    fn combine(&mut self, later: &Self) {
        self.cents = self.cents.wrapping_add(later.cents);
    }
}

#[projection(from = Paid, group_by = item, having = events != 3, index(last, events), index(sku))]
#[derive(Debug, PartialEq)]
pub(crate) struct OfEvents {
    item: String,
    #[count]
    events: u64,
    #[sum(cents)]
    sum: i64,
    #[sum(weight if cents > 0)]
    weight: Option<f64>,
    #[sum(price)]
    price: Decimal,
    #[sum(took)]
    took: Duration,
    #[avg(cents)]
    avg: f64,
    #[avg(weight)]
    mean: Option<f64>,
    #[min(sku)]
    sku: Sku,
    #[max(price)]
    dearest: Decimal,
    #[min(took)]
    quickest: Duration,
    #[first(note)]
    first: Option<String>,
    #[last(status)]
    last: Status,
    #[first(raw, by = cents)]
    raw: Vec<u8>,
    #[last(at, by = weight)]
    latest: i64,
    #[variance(cents)]
    variance: f64,
    #[stddev(weight)]
    stddev: f64,
    #[count_distinct(customer)]
    customers: u64,
    #[collect(cents)]
    all: Vec<i64>,
    #[collect(customer, limit = 2)]
    two: BTreeSet<u32>,
    #[collect((customer, price))]
    prices: BTreeMap<u32, Decimal>,
    #[top(2, sku, by = cents)]
    top: Vec<Sku>,
    #[any(cents > 5)]
    any: bool,
    #[all(cents > 0)]
    every: bool,
    #[fold(Total, cents)]
    total: i64,
    #[computed(sum as f64 / events as f64)]
    each: f64,
}

#[projection(from = Paid, group_by = (customer, item), having = cents != 0)]
#[derive(Debug, PartialEq)]
pub(crate) struct Account {
    customer: u32,
    item: String,
    #[sum(cents)]
    cents: i64,
    #[last(weight)]
    weight: f64,
    #[last(price)]
    price: Decimal,
}

#[projection(from = Account, group_by = item)]
#[derive(Debug, PartialEq)]
pub(crate) struct OfRows {
    item: String,
    #[count]
    accounts: u64,
    #[sum(cents)]
    cents: i64,
    #[sum(weight)]
    weight: f64,
    #[sum(price)]
    price: Decimal,
    #[sum(cents if cents > 3)]
    large: Option<i64>,
    #[avg(cents)]
    avg: f64,
    #[avg(weight)]
    mean: f64,
    #[variance(cents)]
    variance: f64,
    #[stddev(weight)]
    stddev: f64,
    #[min(cents)]
    min: i64,
    #[max(weight if cents > 0)]
    max: Option<f64>,
    #[first(customer, by = cents)]
    poorest: u32,
    #[last(price, by = cents)]
    richest: Decimal,
    #[count_distinct(cents)]
    distinct: u64,
    #[collect(customer)]
    customers: BTreeSet<u32>,
    #[collect(cents)]
    bag: Vec<i64>,
    #[collect((customer, cents))]
    map: BTreeMap<u32, i64>,
    #[top(2, cents)]
    top: Vec<i64>,
    #[any(cents > 5)]
    any: bool,
    #[all(cents > 0)]
    every: bool,
    #[fold(Total, cents)]
    total: i64,
}

#[projection(from = Paid, group_by = (status, sku, took, price), window = tumbling(at, "10s"), unit = "s", lateness = "5s", keep = "1m", emit = "final")]
#[derive(Debug, PartialEq)]
pub(crate) struct Tumbling {
    status: Status,
    sku: Sku,
    took: Duration,
    price: Decimal,
    window_start: i64,
    window_end: i64,
    #[count]
    events: u64,
}

#[projection(from = Paid, group_by = (note, raw), window = hopping(at, "10s", every = "5s"), unit = "s", max_ahead = "1m")]
#[derive(Debug, PartialEq)]
pub(crate) struct Hopping {
    note: Option<String>,
    raw: Vec<u8>,
    window_end: i64,
    #[max(weight)]
    heaviest: f64,
}

#[projection(from = Paid, group_by = customer, window = session(at, gap = "10s"), unit = "s", lateness = "1m", keep = "1h")]
#[derive(Debug, PartialEq)]
pub(crate) struct Sessions {
    customer: u32,
    window_start: i64,
    window_end: i64,
    #[count]
    events: u64,
    #[sum(cents)]
    cents: i64,
    #[avg(weight)]
    mean: f64,
    #[variance(weight)]
    variance: f64,
    #[min(cents)]
    min: i64,
    #[last(item, by = at)]
    last: String,
    #[count_distinct(item)]
    items: u64,
    #[collect(cents)]
    all: Vec<i64>,
    #[top(2, cents)]
    top: Vec<i64>,
    #[fold(Total, cents)]
    total: i64,
}

#[projection(from = Cart { Added }, remove = Cart { Dropped, Cleared { customer, .. }, .. }, group_by = (customer, item), on_fault = park)]
#[derive(Debug, PartialEq)]
pub(crate) struct InCart {
    customer: String,
    item: String,
    #[sum(qty)]
    qty: i8,
    #[collect(qty)]
    all: Vec<i8>,
}

#[projection(from = Cart { Added, .. }, by_hand = Cart { Noted, .. }, group_by = customer)]
#[derive(Debug, PartialEq)]
pub(crate) struct Notes {
    customer: String,
    longest: String,
    seen: BTreeSet<u64>,
    #[count]
    added: u64,
}

type CartRef<'a> = <Cart as Event>::Ref<'a>;

impl Fold<Cart> for Notes {
    fn fold(&mut self, event: &CartRef<'_>, meta: &Meta) -> Result<(), String> {
        if let CartRef::Noted(noted) = event {
            if noted.text.len() > self.longest.len() {
                self.longest = noted.text.to_owned();
            }
            self.seen.insert(meta.position);
        }
        Ok(())
    }
}

#[projection(from = Paid, left_join(of = OfEvents[item]), group_by = (known = of.is_some(), day = at / 20))]
#[derive(Debug, PartialEq)]
pub(crate) struct Joined {
    known: bool,
    day: i64,
    #[last(of.map(|of| of.sum))]
    sum: Option<i64>,
}

/// With all the views.
pub(crate) fn views(builder: Builder) -> Builder {
    let builder = builder.view::<OfEvents>().view::<Account>().view::<OfRows>().view::<Tumbling>();
    builder.view::<Hopping>().view::<Sessions>().view::<InCart>().view::<Notes>().view::<Joined>()
}

/// With some: what has removals, parks, and folds by hand.
pub(crate) fn few_views(builder: Builder) -> Builder {
    builder.view::<InCart>().view::<Notes>()
}

/// What these answer, each in a text.
pub(crate) fn few_answers(engine: &Engine) -> Vec<String> {
    vec![view::<InCart>(engine), view::<Notes>(engine)]
}

/// What all views answer, each in a text.
pub(crate) fn answers(engine: &Engine) -> Vec<String> {
    let indexed = engine.view::<OfEvents>();
    let by = [
        said(indexed.by_last(Status::Paid)),
        said(indexed.by_last_events_in(Status::Open, 1..)),
        said(indexed.by_sku(&Sku("A".into()))),
        said(engine.view::<InCart>().rows_of("ann")),
        said(engine.view::<Sessions>().rows_of(1)),
    ];
    let views = [
        view::<OfEvents>(engine),
        view::<Account>(engine),
        view::<OfRows>(engine),
        view::<Tumbling>(engine),
        view::<Hopping>(engine),
        view::<Sessions>(engine),
        view::<InCart>(engine),
        view::<Notes>(engine),
        view::<Joined>(engine),
    ];
    views.into_iter().chain(by).collect()
}

fn view<P: Projection + Debug>(engine: &Engine) -> String {
    let view = engine.view::<P>();
    format!("{} {} {:?} {:?}", said(view.rows()), said(view.rows_by_key()), view.late(), view.parked())
}

fn said<P: Debug, E: Debug>(rows: Result<impl IntoIterator<Item = P>, E>) -> String {
    format!("{:?}", rows.map(|rows| rows.into_iter().collect::<Vec<P>>()))
}

/// What happens in the shop before it is closed.
pub(crate) fn before() -> Vec<NewEvent> {
    let mut events: Vec<NewEvent> = (0..12).map(|n| paid(n).into()).collect();
    events.extend(carts());
    events.push(Tick { at: 25_000_000 }.into());
    events
}

/// What happens to carts; the last cannot be folded.
pub(crate) fn carts() -> Vec<NewEvent> {
    (0..9).map(cart).chain([added("ann", 100), added("ann", 100)]).map(NewEvent::from).collect()
}

/// What happens afterwards, to every row there is.
pub(crate) fn after() -> Vec<NewEvent> {
    let mut events: Vec<NewEvent> = (3..18).map(|n| paid(n).into()).collect();
    events.extend((0..9).map(|n| cart(n).into()));
    events.push(Cart::Cleared { customer: "bob".into() }.into());
    events.push(Tick { at: 200_000_000 }.into());
    events
}

fn paid(n: i32) -> Paid {
    let small = n.cast_unsigned() % 3;
    Paid {
        customer: small + 1,
        item: ["hats", "pants"][(n % 2) as usize].into(),
        cents: i64::from(n % 7 - 2),
        weight: if n == 4 { 1e300 } else { f64::from(n) / 7.0 },
        at: i64::from(n * 3),
        status: [Status::Open, Status::Paid, Status::Sent][small as usize],
        sku: Sku(["A", "B\0C", ""][small as usize].into()),
        note: (n % 4 != 0).then(|| "é".repeat(n as usize)),
        price: Decimal::new(i64::from(n) * 125, small),
        took: Duration::from_millis(u64::from(small) * 1500),
        raw: vec![0; small as usize],
    }
}

fn added(customer: &str, qty: i8) -> Cart {
    Cart::Added { customer: customer.into(), item: "hats".into(), qty }
}

fn cart(n: usize) -> Cart {
    let customer = || ["ann", "bob", "cyd"][n % 3].to_owned();
    match n {
        4 => Cart::Dropped { customer: customer(), item: "hats".into() },
        5 => Cart::Cleared { customer: customer() },
        6 | 8 => Cart::Noted { customer: customer(), text: "x".repeat(n) },
        _ => added(&customer(), 1),
    }
}
