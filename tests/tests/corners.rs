//! Forms of Rust that are seldom written, and mean in a projection what they mean elsewhere.
use cqrs_core::prelude::*;

/// Fields and types whose names generated code might have taken for its own.
#[event]
#[derive(Debug, Clone, PartialEq)]
pub enum Stock {
    Moved { item: String, out: u32, payload: u32, version: u32, event: u32 },
    Counted { item: String, type_index: u32, visitor: u32 },
}

impl Stock {
    pub const TYPES: usize = 3;
    pub const NAME: &'static str = "stock";
}

#[projection(from = Stock { Moved, Counted }, group_by = item)]
#[derive(Debug, Clone, PartialEq)]
pub struct Stocked {
    pub item: String,
    #[sum(Moved => out, Counted => type_index)]
    pub out: u64,
    #[last(Moved => event, Counted => visitor)]
    pub last: u32,
}

#[test]
fn fields_may_have_any_names() {
    let engine = Engine::in_memory().view::<Stocked>().start().unwrap();
    let moved = Stock::Moved { item: "hats".into(), out: 2, payload: 3, version: 4, event: 5 };
    let counted = Stock::Counted { item: "hats".into(), type_index: 7, visitor: 8 };
    engine.append_all([moved.clone(), counted.clone()]).wait().unwrap();
    let row = engine.view::<Stocked>().get("hats").unwrap().unwrap();
    assert_eq!(row, Stocked { item: "hats".into(), out: 9, last: 8 });
    let mut events = engine.events::<Stock>(1).until_head();
    let read = std::iter::from_fn(|| events.next().wait()).map(|event| event.unwrap().event);
    assert_eq!(read.collect::<Vec<_>>(), [moved, counted]);
    assert_eq!((Stock::TYPES, Stock::NAME), (3, "stock"));
}

/// What the twin of `Order` would be called.
#[value]
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OrderRef(pub String);

#[event]
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    pub order: OrderRef,
    pub qty: i64,
}

pub mod rows {
    use cqrs_core::prelude::*;

    use super::OrderRef;

    #[projection(from = super::Order, group_by = order)]
    #[derive(Debug, Clone, PartialEq)]
    pub struct Order {
        pub order: OrderRef,
        #[sum(if order == OrderRef("rush".into()) { qty * 2 } else { qty })]
        pub qty: i64,
    }

    #[projection(from = Order, group_by = ())]
    #[derive(Debug, Clone, PartialEq)]
    pub struct All {
        #[sum]
        pub qty: i64,
    }
}

#[test]
fn a_type_of_the_users_may_be_called_as_a_twin_would_be() {
    let engine = Engine::in_memory().view::<rows::All>().start().unwrap();
    let order = |order: &str, qty| Order { order: OrderRef(order.into()), qty };
    engine.append_all([order("slow", 1), order("rush", 1)]).wait().unwrap();
    assert_eq!(engine.view::<rows::Order>().get(&OrderRef("rush".into())).unwrap().unwrap().qty, 2);
    assert_eq!(engine.view::<rows::All>().get(()).unwrap().unwrap().qty, 3);
}

#[event]
#[derive(Debug, Clone, PartialEq)]
pub struct Sold {
    pub item: String,
    pub tags: Vec<String>,
    pub text: String,
    pub r#type: u32,
    pub qty: i64,
    pub note: Option<String>,
    pub status: Status,
}

#[value]
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Status {
    Paid,
    Open,
}

/// Values that are borrowed from what is made on the way, and blocks in front of operators.
#[projection(from = Sold, group_by = (item = item.to_lowercase().trim()))]
#[derive(Debug, Clone, PartialEq)]
pub struct Named {
    pub item: String,
    #[count_distinct(text.to_uppercase().trim())]
    pub texts: u64,
    #[last(text.to_uppercase().trim(), by = text.to_lowercase().trim())]
    pub last: String,
    #[sum(qty if match status { Status::Paid => true, Status::Open => false } && qty > 0)]
    pub paid: i64,
    #[count(if if qty > 1 { tags.len() == 1 } else { false } || qty < 0)]
    pub odd: u64,
    #[computed(if odd == 0 { 0 } else { paid / odd as i64 } as f64)]
    pub mean: f64,
    #[any({ let less = qty - 1; less < 1 } && !tags.is_empty())]
    pub small: bool,
    #[last(match note { Some(n) if tags.iter().any(|item| item == n) => item, _ => "none" })]
    pub tagged: String,
}

#[projection(from = Sold, each(word in text.to_lowercase().split(' ')), group_by = (word))]
#[derive(Debug, Clone, PartialEq)]
pub struct Words {
    pub word: String,
    #[count]
    pub times: u64,
}

fn sold(item: &str, text: &str, qty: i64) -> Sold {
    let (item, tags, text) = (item.into(), vec!["x".into()], text.into());
    Sold { item, tags, text, r#type: 7, qty, note: Some("x".into()), status: Status::Paid }
}

#[test]
fn what_is_made_on_the_way_is_there_for_as_long_as_it_is_needed() {
    let mut named = Table::<Named>::new();
    named.apply_all(&[sold(" Hats", "b a ", 1), sold("hats ", "a B", 3), sold("HATS", "A b", -1)]).unwrap();
    let row = named.get("hats").unwrap();
    let expected = Named {
        item: "hats".into(),
        texts: 2,
        last: "B A".into(),
        paid: 4,
        odd: 2,
        mean: 2.0,
        small: true,
        tagged: " Hats".into(),
    };
    assert_eq!(Named { tagged: expected.tagged.clone(), ..row.clone() }, expected);
    assert_eq!(row.tagged, "HATS");
    let mut words = Table::<Words>::new();
    words.apply(&sold("hats", "To be or not to be", 1)).unwrap();
    assert_eq!((words.get("to").unwrap().times, words.get("or").unwrap().times), (2, 1));
}

/// The number of steps, and what each was.
#[projection(from = Stock { Moved, Counted }, group_by = ())]
#[derive(Debug, Clone, PartialEq)]
pub struct Steps {
    #[collect(Moved => 1, Counted => 2)]
    pub steps: Vec<i32>,
    #[top(2, Moved => 10, Counted => 20)]
    pub top: Vec<i64>,
    #[sum(Moved => 1u8, Counted => -1i8)]
    pub balance: i64,
    #[sum(1)]
    pub events: u16,
}

#[test]
fn a_bare_number_has_the_type_of_the_values() {
    let mut steps = Table::<Steps>::new();
    let counted = Stock::Counted { item: "hats".into(), type_index: 7, visitor: 8 };
    let moved = Stock::Moved { item: "hats".into(), out: 2, payload: 3, version: 4, event: 5 };
    steps.apply_all(&[moved, counted.clone(), counted]).unwrap();
    let expected = Steps { steps: vec![1, 2, 2], top: vec![20, 20], balance: -1, events: 3 };
    assert_eq!(steps.get(()).unwrap(), expected);
}

#[event]
#[derive(Debug, Clone)]
pub struct Kinded {
    pub kind: u32,
    pub label: String,
}

#[projection(from = Kinded, group_by = kind)]
#[derive(Debug, Clone, PartialEq)]
pub struct Kinds {
    pub kind: u32,
    #[last]
    pub label: String,
}

#[projection(from = Sold, join(r#type = Kinds[r#type]), group_by = (label = r#type.label))]
#[derive(Debug, Clone, PartialEq)]
pub struct ByLabel {
    pub label: String,
    #[count]
    pub times: u64,
}

macro_rules! summed {
    ($name:ident, $convert:path) => {
        #[projection(from = Sold, group_by = ())]
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            #[sum($convert(qty))]
            pub qty: i64,
        }
    };
}

fn twice(qty: i64) -> i64 {
    qty * 2
}

summed!(Twice, twice);

#[test]
fn raw_names_and_paths_of_macros_are_what_they_say() {
    let engine = Engine::in_memory().view::<ByLabel>().view::<Twice>().start().unwrap();
    engine.append(Kinded { kind: 7, label: "seven".into() }).wait().unwrap();
    engine.append(sold("hats", "a", 2)).wait().unwrap();
    assert_eq!(engine.view::<ByLabel>().get("seven").unwrap().unwrap().times, 1);
    assert_eq!(engine.view::<Twice>().get(()).unwrap().unwrap().qty, 4);
}

#[event]
#[derive(Debug, Clone)]
pub struct Bid {
    pub at: i64,
}

#[projection(from = Bid, group_by = (), window = hopping(at, "10s", every = "5s"), unit = "s", max_ahead = "1m")]
#[derive(Debug, Clone, PartialEq)]
pub struct Overlapping {
    pub window_end: i64,
    #[count]
    pub bids: u64,
}

#[event]
#[derive(Debug, Clone)]
pub struct Wide {
    pub at: i128,
}

#[projection(from = Wide, group_by = (), window = tumbling(at, "1h"), unit = "us")]
#[derive(Debug, Clone, PartialEq)]
pub struct Tumbling {
    pub window_start: i64,
    #[count]
    pub times: u64,
}

#[event]
#[derive(Debug, Clone)]
pub struct Ticked {
    pub at: jiff::Timestamp,
}

#[projection(from = Ticked, group_by = (), window = tumbling(at, "1h"))]
#[derive(Debug, Clone, PartialEq)]
pub struct Hours {
    pub window_start: jiff::Timestamp,
    #[count]
    pub times: u64,
}

#[test]
fn times_at_the_ends_of_time_are_where_they_are() {
    let mut overlapping = Table::<Overlapping>::new();
    overlapping.apply_all(&[Bid { at: 7 }, Bid { at: i64::MAX }]).unwrap();
    assert!(overlapping.rows().all(|row| row.bids == 1));

    let mut tumbling = Table::<Tumbling>::new();
    tumbling.apply_all(&[Wide { at: i128::MIN }, Wide { at: 7 }]).unwrap();
    assert_eq!(tumbling.get(0).unwrap().times, 1);

    let mut hours = Table::<Hours>::new();
    let just_before = jiff::Timestamp::from_nanosecond(-1).unwrap();
    hours.apply_all(&[Ticked { at: just_before }, Ticked { at: jiff::Timestamp::UNIX_EPOCH }]).unwrap();
    assert_eq!(hours.get(jiff::Timestamp::UNIX_EPOCH).unwrap().times, 1);
    assert_eq!(hours.get(jiff::Timestamp::from_second(-3600).unwrap()).unwrap().times, 1);
}

#[event]
#[derive(Debug, Clone)]
pub struct Listed {
    pub owner: String,
    pub items: Vec<u32>,
}

#[event]
#[derive(Debug, Clone)]
pub struct Cleared {
    pub owner: String,
}

#[projection(
    from = Listed, each(item in items), group_by = (owner, item = *item), remove(Cleared { owner, .. })
)]
#[derive(Debug, Clone, PartialEq)]
pub struct Lists {
    pub owner: String,
    pub item: u32,
    #[count]
    pub times: u64,
}

#[projection(from = Lists, group_by = ())]
#[derive(Debug, Clone, PartialEq)]
pub struct Least {
    #[min(times)]
    pub least: u64,
}

#[test]
fn one_event_may_make_very_many_rows_and_their_checkpoint_holds() {
    let folder = tempfile::tempdir().unwrap();
    let start = || Engine::open(folder.path()).unwrap().view::<Least>().start().unwrap();
    let engine = start();
    let listed = |owner: &str, items| Listed { owner: owner.into(), items };
    engine.append_all([listed("ann", (0..150_000).collect()), listed("bob", vec![1])]).wait().unwrap();
    engine.close().wait().unwrap();
    let resumed = |engine: &Engine| {
        engine.health().views.iter().all(|view| view.state == cqrs_core::health::ViewState::Live)
    };
    let engine = start();
    assert!(resumed(&engine));
    assert_eq!(engine.view::<Lists>().len(), Ok(150_001));
    // The row that is left has a number that is far beyond how many there are.
    engine.append(Cleared { owner: "ann".into() }).wait().unwrap();
    engine.close().wait().unwrap();
    let engine = start();
    assert!(resumed(&engine));
    assert_eq!(engine.view::<Least>().get(()).unwrap().unwrap().least, 1);
    assert_eq!(engine.view::<Lists>().len(), Ok(1));
}

#[value]
#[derive(Debug, Clone, PartialEq)]
#[serde(tag = "kind")]
pub enum Body {
    Text { text: String },
    Raw { bytes: Vec<u8> },
    Small { bytes: [u8; 3] },
}

#[event]
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    pub raw: Vec<u8>,
    pub body: Body,
}

#[projection(from = Sent, group_by = ())]
#[derive(Debug, Clone, PartialEq)]
pub struct AllSent {
    #[count]
    pub sent: u64,
}

#[test]
fn what_could_not_be_read_again_is_not_taken_in() {
    let engine = Engine::in_memory().view::<AllSent>().start().unwrap();
    let sent = |body| Sent { raw: vec![0xc4, 200], body };
    for body in [Body::Text { text: "Ĉapelo".into() }, Body::Small { bytes: [10, 20, 30] }] {
        engine.append(sent(body)).wait().unwrap();
    }
    // serde reads no bytes out of what it has put by to see which variant it is.
    for body in [Body::Raw { bytes: vec![200] }, Body::Small { bytes: [255, 0, 0] }] {
        let error = engine.append(sent(body)).wait().unwrap_err().to_string();
        assert!(error.contains("could not be read again"), "{error}");
    }
    assert_eq!(engine.view::<AllSent>().get(()).unwrap().unwrap().sent, 2);
}

mod words {
    use super::*;

    #[event]
    #[derive(Debug)]
    pub struct V1 {
        pub id: u64,
    }

    /// The name of a type is any that Rust allows.
    #[event(version = 2, upcast = V1)]
    #[derive(Debug, PartialEq)]
    #[allow(non_camel_case_types)]
    pub struct r#try {
        pub id: u64,
        pub why: String,
    }

    impl From<V1> for r#try {
        fn from(old: V1) -> Self {
            Self { id: old.id, why: String::new() }
        }
    }

    #[event]
    #[derive(Debug)]
    #[allow(non_camel_case_types)]
    pub enum Deeds {
        #[event(name = "loop")]
        r#loop {
            id: u64,
        },
        r#try(r#try),
    }
}

#[projection(from = words::r#try, group_by = id)]
#[derive(Debug)]
pub struct Deeds {
    id: u64,
    #[last]
    why: String,
}

#[test]
fn types_and_variants_are_named_by_any_word() {
    use words::Deeds as Did;
    let engine = Engine::in_memory().view::<Deeds>().event::<Did>().start().unwrap();
    let tried = words::r#try { id: 1, why: "x".into() };
    let receipt = engine.append_all([Did::r#loop { id: 1 }, Did::from(tried)]).wait().unwrap();
    assert_eq!(engine.view::<Deeds>().get(1).unwrap().unwrap().why, "x");
    let mut log = engine.events::<Did>(receipt.first).until_head();
    let mut next = || log.next().wait().unwrap().unwrap().event;
    assert!(matches!(next(), Did::r#loop { id: 1 }));
    assert_eq!(words::r#try::try_from(next()).unwrap().id, 1);
}

#[event]
#[derive(Debug)]
pub struct Took {
    item: String,
    at: i64,
    cents: i32,
}

#[projection(from = Took, group_by = item, window = tumbling(at, "10s"), unit = "s", keep = "10s", emit = "final")]
#[derive(Debug)]
pub struct TookAtOnce {
    item: String,
    window_start: i64,
    #[sum]
    cents: i32,
}

#[projection(from = TookAtOnce, group_by = ())]
#[derive(Debug)]
pub struct TookInAll {
    #[sum(cents)]
    cents: i32,
}

#[test]
fn in_which_order_windows_close_does_not_depend_on_how_the_log_was_cut() {
    let took = |item: &str, at, cents| NewEvent::new(Took { item: item.into(), at, cents });
    let tick = |seconds: i64| NewEvent::new(Tick { at: seconds * 1_000_000 });
    // Rows come and go, and others take their numbers; what these add up to on the way is too much in some orders.
    let halves = || {
        [
            vec![took("a", 0, 0), took("b", 1, 0), took("c", 2, 0), tick(100)],
            vec![
                took("a", 101, -2_000_000_000),
                took("b", 101, 2_000_000_000),
                took("c", 101, 2_000_000_000),
                tick(115),
            ],
        ]
    };
    let folder = tempfile::tempdir().unwrap();
    let open =
        || Engine::open(folder.path()).unwrap().view::<TookAtOnce>().view::<TookInAll>().start().unwrap();
    let total = |engine: &Engine| engine.view::<TookInAll>().get(()).map(|row| row.map(|row| row.cents));
    let engine = open();
    for half in halves() {
        engine.append_all(half).wait().unwrap();
    }
    assert_eq!(total(&engine), Ok(Some(2_000_000_000)));
    engine.close().wait().unwrap();
    for file in ["views.db", "views.db-wal", "views.db-shm"] {
        let _ = std::fs::remove_file(folder.path().join(file));
    }
    let engine = open();
    engine.wait_ready().wait().unwrap();
    assert_eq!(total(&engine), Ok(Some(2_000_000_000)), "from scratch");
    let engine = Engine::in_memory().view::<TookAtOnce>().view::<TookInAll>().start().unwrap();
    for event in halves().into_iter().flatten() {
        engine.append(event).wait().unwrap();
    }
    assert_eq!(total(&engine), Ok(Some(2_000_000_000)), "one by one");
}

#[event]
#[derive(Debug)]
pub enum Parcel {
    Placed { id: u64, state: String, at: u32, by: u8, weight: f32 },
    Shipped { id: u64, state: String, at: i64, by: i128, weight: f64 },
    Returned { id: u64, state: String, at: Option<i16>, by: u64, weight: Option<f64> },
}

/// Ordered, and told apart, by numbers that are of another type in each event.
#[projection(from = Parcel { Placed, Shipped, Returned }, group_by = id)]
#[derive(Debug, PartialEq)]
pub struct Parcels {
    id: u64,
    #[last(state, by = at)]
    last: String,
    #[first(state, by = at)]
    first: String,
    #[last(state, by = weight)]
    heaviest: String,
    #[top(2, state, by = at)]
    latest: Vec<String>,
    #[count_distinct(by)]
    people: u64,
    #[count_distinct(Placed => 7, Shipped => by, Returned => by)]
    sevens: u64,
}

/// The same over rows, which are taken back.
#[projection(from = Parcels, group_by = ())]
#[derive(Debug, PartialEq)]
pub struct OfParcels {
    #[last(last, by = people)]
    last: String,
    #[count_distinct(people)]
    numbers: u64,
}

#[test]
fn numbers_of_any_type_are_ordered_and_told_apart_as_numbers() {
    use Parcel::{Placed, Returned, Shipped};
    let state = |state: &str| state.to_owned();
    let engine = Engine::in_memory().view::<Parcels>().view::<OfParcels>().start().unwrap();
    let events = [
        Placed { id: 1, state: state("placed"), at: 100, by: 7, weight: 1.5 },
        Shipped { id: 1, state: state("shipped"), at: 200, by: 7, weight: 1.25 },
        Returned { id: 1, state: state("returned"), at: Some(150), by: 7, weight: Some(1.5) },
        Shipped { id: 1, state: state("before time"), at: -70_000, by: -3, weight: -2.0 },
        Returned { id: 1, state: state("some day"), at: None, by: 300, weight: None },
        Placed { id: 1, state: state("placed again"), at: 3, by: 44, weight: 0.0 },
    ];
    engine.append_all(events).wait().unwrap();
    let row = engine.view::<Parcels>().get(1).unwrap().unwrap();
    let expected = Parcels {
        id: 1,
        last: state("shipped"),
        first: state("some day"),
        heaviest: state("returned"),
        latest: vec![state("shipped"), state("returned")],
        people: 4,
        sevens: 3,
    };
    assert_eq!(row, expected);
    let of = engine.view::<OfParcels>().get(()).unwrap().unwrap();
    assert_eq!(of, OfParcels { last: state("shipped"), numbers: 1 });
}

#[event]
#[derive(Debug)]
#[allow(non_camel_case_types)]
pub enum Pace {
    Begun { id: u64 },
    r#break { id: u64 },
}

#[projection(from = Pace { Begun, r#break }, group_by = id)]
#[derive(Debug)]
pub struct Paces {
    id: u64,
    #[count]
    all: u64,
    #[count(Begun)]
    begun: u64,
}

#[test]
fn a_variant_with_a_raw_name_is_folded() {
    let engine = Engine::in_memory().view::<Paces>().start().unwrap();
    engine.append_all([Pace::Begun { id: 1 }, Pace::r#break { id: 1 }]).wait().unwrap();
    let row = engine.view::<Paces>().get(1).unwrap().unwrap();
    assert_eq!((row.all, row.begun), (2, 1));
}
