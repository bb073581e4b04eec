//! The forms of a projection beyond one event into one row: `each`, `remove`, look-ups, windows, folds by hand, indexes.
use cqrs_core::prelude::*;

#[value]
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    pub item: String,
    pub qty: i32,
}

#[event]
#[derive(Debug)]
pub struct Ordered {
    pub customer: String,
    pub lines: Vec<Line>,
}

#[event]
#[derive(Debug)]
pub enum Cart {
    Added { customer: String, item: String, qty: i64 },
    Dropped { customer: String, item: String, for_good: bool },
    Cleared { customer: String },
    Closed {},
}

#[projection(from = Ordered, each(line in lines), group_by = (item = line.item))]
#[derive(Debug, Clone, PartialEq)]
pub struct Demand {
    pub item: String,
    #[sum(line.qty)]
    pub qty: i32,
    #[count]
    pub lines: u64,
}

fn line(item: &str, qty: i32) -> Line {
    Line { item: item.into(), qty }
}

#[test]
fn each_element_goes_to_its_row_and_an_event_counts_whole_or_not_at_all() {
    let mut table = Table::<Demand>::new();
    let order = |lines: Vec<Line>| Ordered { customer: "ann".into(), lines };
    table.apply(&order(vec![line("hats", 1), line("pants", 2), line("hats", 3)])).unwrap();
    table.apply(&order(vec![])).unwrap();
    assert_eq!(table.get("hats"), Some(Demand { item: "hats".into(), qty: 4, lines: 2 }));
    let before: Vec<_> = table.rows().collect();
    let fault =
        table.apply(&order(vec![line("hats", 1), line("socks", 1), line("hats", i32::MAX)])).unwrap_err();
    assert_eq!(fault.column, Some("qty"));
    assert_eq!(table.rows().collect::<Vec<_>>(), before);
    assert_eq!(table.len(), 2);
}

#[projection(
    from = Cart { Added },
    remove = Cart { Dropped if for_good, Cleared { customer, .. }, .. },
    group_by = (customer, item),
)]
#[derive(Debug, Clone, PartialEq)]
pub struct InCart {
    pub customer: String,
    pub item: String,
    #[sum(qty)]
    pub qty: i64,
}

fn added(customer: &str, item: &str) -> Cart {
    Cart::Added { customer: customer.into(), item: item.into(), qty: 1 }
}

#[test]
fn rows_go() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Engine::open(folder.path().join("shop")).unwrap().view::<InCart>().start().unwrap();
    let engine = open();
    let view = engine.view::<InCart>();
    let mut changes = view.subscribe();
    engine.append_all([added("ann", "hats"), added("ann", "pants"), added("bob", "hats")]).wait().unwrap();
    let dropped = |for_good| Cart::Dropped { customer: "bob".into(), item: "hats".into(), for_good };
    engine.append(dropped(false)).wait().unwrap();
    assert_eq!(view.len().unwrap(), 3);
    engine.append_all([dropped(true), dropped(true)]).wait().unwrap();
    assert_eq!(view.get(("bob", "hats")).unwrap(), None);
    engine.append(Cart::Cleared { customer: "ann".into() }).wait().unwrap();
    assert!(view.is_empty().unwrap());
    engine.append_all([added("cyd", "hats"), added("ann", "hats")]).wait().unwrap();
    // Removed and added in one batch: as if only its quantity had changed.
    engine
        .append_all([added("cyd", "hats"), Cart::Cleared { customer: "cyd".into() }, added("cyd", "hats")])
        .wait()
        .unwrap();
    let rows = |engine: &Engine| engine.view::<InCart>().rows_by_key().unwrap().collect::<Vec<_>>();
    let row = |customer: &str| InCart { customer: customer.into(), item: "hats".into(), qty: 1 };
    assert_eq!(rows(&engine), [row("ann"), row("cyd")]);
    let mut told = Vec::new();
    while !matches!(told.last(), Some(Change::Progress { position: 12 })) {
        told.push(changes.next().wait().unwrap().unwrap());
    }
    told.retain(|change| !matches!(change, Change::Progress { .. }));
    let names: Vec<String> = told
        .iter()
        .map(|change| match change {
            Change::Inserted { row } => format!("+{}", row.customer),
            Change::Deleted { row } => format!("-{}", row.customer),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(names, ["+ann", "+ann", "+bob", "-bob", "-ann", "-ann", "+cyd", "+ann"]);
    engine.close().wait().unwrap();
    assert_eq!(rows(&open()), [row("ann"), row("cyd")]);
}

#[event]
#[derive(Debug)]
pub struct Listed {
    pub auction: u64,
    pub category: String,
}

#[event]
#[derive(Debug, Clone)]
pub struct Bid {
    pub auction: u64,
    pub price: i64,
    pub at: i64,
}

#[projection(from = Listed, group_by = auction)]
#[derive(Debug, Clone, PartialEq)]
pub struct Auctions {
    pub auction: u64,
    #[last(category)]
    pub category: String,
}

#[projection(from = Bid, join(listing = Auctions[auction]), group_by = (category = listing.category))]
#[derive(Debug, Clone, PartialEq)]
pub struct Bids {
    pub category: String,
    #[count]
    pub bids: u64,
}

#[projection(from = Bid, left_join(listing = Auctions[auction]), group_by = (listed = listing.is_some()))]
#[derive(Debug, Clone, PartialEq)]
pub struct Strays {
    pub listed: bool,
    #[count]
    pub bids: u64,
}

#[test]
fn a_look_up_sees_the_row_as_of_the_event() {
    let engine = Engine::in_memory().view::<Bids>().view::<Strays>().start().unwrap();
    let bid = |auction| NewEvent::from(Bid { auction, price: 1, at: 0 });
    let listed = |category: &str| NewEvent::from(Listed { auction: 1, category: category.into() });
    engine.append_all([bid(1), listed("a"), bid(1), listed("b"), bid(1), bid(1), bid(2)]).wait().unwrap();
    let view = engine.view::<Bids>();
    assert_eq!(view.get("a").unwrap().unwrap().bids, 1);
    assert_eq!(view.get("b").unwrap().unwrap().bids, 2);
    assert_eq!(view.len().unwrap(), 2);
    assert_eq!(engine.view::<Strays>().get(false).unwrap().unwrap().bids, 2);
}

#[projection(
    from = Bid, group_by = auction, window = tumbling(at, "10s"), unit = "s",
    lateness = "5s", max_ahead = "1m", keep = "80s", emit = "final",
)]
#[derive(Debug, Clone, PartialEq)]
pub struct Tumbling {
    pub auction: u64,
    pub window_start: i64,
    pub window_end: i64,
    #[count]
    pub bids: u64,
}

#[projection(from = Bid, group_by = (), window = hopping(at, "10s", every = "5s"), unit = "s")]
#[derive(Debug, Clone, PartialEq)]
pub struct Hopping {
    pub window_end: i64,
    #[count]
    pub bids: u64,
}

#[projection(from = Bid, group_by = auction, window = session(at, gap = "10s"), unit = "s", lateness = "100s")]
#[derive(Debug, Clone, PartialEq)]
pub struct Sessions {
    pub auction: u64,
    pub window_start: i64,
    pub window_end: i64,
    #[count]
    pub bids: u64,
}

fn bid_at(at: i64) -> Bid {
    Bid { auction: 1, price: 1, at }
}

#[test]
fn windows_close_show_and_go() {
    let mut table = Table::<Tumbling>::new();
    let starts = |table: &Table<Tumbling>| {
        table.rows().map(|row| (row.window_start, row.window_end, row.bids)).collect::<Vec<_>>()
    };
    for at in [1, 9, 10, 14] {
        table.apply(&bid_at(at)).unwrap();
    }
    assert_eq!(starts(&table), []);
    table.apply(&bid_at(3)).unwrap();
    table.apply(&bid_at(15)).unwrap();
    assert_eq!(starts(&table), [(0, 10, 3)]);
    // Too late; and one that is dated wrong moves the clock by a minute at most.
    table.apply(&bid_at(4)).unwrap();
    table.apply(&bid_at(i64::from(i32::MAX))).unwrap();
    assert_eq!(starts(&table), [(0, 10, 3), (10, 20, 3)]);
    table.apply(&Tick { at: 200_000_000 }).unwrap();
    assert_eq!(starts(&table), []);
    assert_eq!(table.len(), 1);
    assert_eq!(table.late(), 1);
}

#[test]
fn windows_overlap() {
    let mut table = Table::<Hopping>::new();
    table.apply(&bid_at(7)).unwrap();
    table.apply(&bid_at(12)).unwrap();
    let mut rows: Vec<_> = table.rows().map(|row| (row.window_end, row.bids)).collect();
    rows.sort_unstable();
    assert_eq!(rows, [(10, 1), (15, 2), (20, 1)]);
}

#[test]
fn sessions_are_bridged() {
    let mut table = Table::<Sessions>::new();
    let rows = |table: &Table<Sessions>| {
        table.rows_of(1).map(|row| (row.window_start, row.window_end, row.bids)).collect::<Vec<_>>()
    };
    for at in [100, 105, 120, 95] {
        table.apply(&bid_at(at)).unwrap();
    }
    assert_eq!(rows(&table), [(95, 115, 3), (120, 130, 1)]);
    table.apply(&bid_at(112)).unwrap();
    assert_eq!(rows(&table), [(95, 130, 5)]);
    table.apply(&bid_at(130)).unwrap();
    assert_eq!(rows(&table), [(95, 130, 5), (130, 140, 1)]);
}

#[projection(from = Listed, group_by = auction, index(category), index(category, auction))]
#[derive(Debug, Clone, PartialEq)]
pub struct ByCategory {
    pub auction: u64,
    #[last(category)]
    pub category: String,
}

#[test]
fn indexes_are_kept_in_step() {
    let engine = Engine::in_memory().view::<ByCategory>().start().unwrap();
    let view = engine.view::<ByCategory>();
    let list = |auction, category: &str| Listed { auction, category: category.into() };
    let auctions =
        |category: &str| view.by_category(category).unwrap().map(|row| row.auction).collect::<Vec<_>>();
    engine.append_all([list(3, "b"), list(1, "a"), list(2, "b")]).wait().unwrap();
    assert_eq!(auctions("b"), [2, 3]);
    for n in 0..10 {
        engine.append(list(2, if n % 2 == 0 { "a" } else { "b" })).wait().unwrap();
        assert_eq!(auctions("b").contains(&2), n % 2 == 1);
    }
    let between = view.by_category_auction_in("b", 2..3).unwrap().map(|row| row.auction).collect::<Vec<_>>();
    assert_eq!(between, [2]);
    let from = view.by_category_in("aa"..).unwrap().map(|row| row.auction).collect::<Vec<_>>();
    assert_eq!(from, [2, 3]);
    let page: Vec<_> = view.rows_after(1).unwrap().take(1).map(|row| row.auction).collect();
    assert_eq!(page, [2]);
}

#[test]
fn late_events_are_seen_in_health_and_an_old_tick_moves_nothing() {
    let engine = Engine::in_memory().view::<Tumbling>().start().unwrap();
    engine.append_all([bid_at(1), bid_at(30), bid_at(2)]).wait().unwrap();
    engine.tick(Timestamp::from_micros(0)).wait().unwrap();
    assert_eq!(engine.view::<Tumbling>().late().unwrap(), 1);
    assert_eq!(engine.health().views[0].late, 1);
    // Where nothing happens, time goes by all the same.
    assert_eq!(engine.view::<Tumbling>().get((1, 30)).unwrap(), None);
    engine.tick(Timestamp::from_micros(45_000_000)).wait().unwrap();
    assert_eq!(engine.view::<Tumbling>().get((1, 30)).unwrap().unwrap().bids, 1);
}

#[event]
#[derive(Debug)]
pub struct Visited {
    pub customer: String,
    pub page: String,
    pub at: i64,
}

#[projection(
    from = Visited, group_by = customer, window = session(at, gap = "4s"), unit = "s", lateness = "100s", having = !pages.is_empty()
)]
#[derive(Debug, Clone, PartialEq)]
pub struct Visits {
    pub customer: String,
    pub window_start: i64,
    #[collect(page)]
    pub pages: Vec<String>,
}

#[projection(from = Visits, group_by = customer)]
#[derive(Debug, Clone, PartialEq)]
pub struct Visitors {
    pub customer: String,
    #[count]
    pub visits: u64,
    #[sum(pages.len() as u64)]
    pub pages: u64,
}

#[test]
fn a_session_that_is_merged_is_taken_back_as_it_was() {
    let engine = Engine::in_memory().view::<Visitors>().start().unwrap();
    let visited = |at| Visited { customer: "ann".into(), page: format!("p{at}"), at };
    engine.append_all([visited(0), visited(6), visited(3)]).wait().unwrap();
    let row = engine.view::<Visits>().get(("ann", 0)).unwrap().unwrap();
    assert_eq!(row.pages, ["p0", "p6", "p3"]);
    let row = engine.view::<Visitors>().get("ann").unwrap().unwrap();
    assert_eq!((row.visits, row.pages), (1, 3));
}

#[projection(from = Listed, group_by = auction, index(category, auction))]
#[derive(Debug, Clone, PartialEq)]
pub struct Composite {
    pub auction: u64,
    #[last(category)]
    pub category: String,
}

#[test]
fn a_range_over_the_first_column_of_an_index_has_its_ends() {
    use std::ops::Bound;
    let engine = Engine::in_memory().view::<Composite>().start().unwrap();
    let list = |auction, category: &str| Listed { auction, category: category.into() };
    engine.append_all([list(3, "b"), list(1, "a"), list(2, "b"), list(4, "c")]).wait().unwrap();
    let view = engine.view::<Composite>();
    let auctions = |rows: cqrs_core::ViewRows<Composite>| rows.map(|row| row.auction).collect::<Vec<_>>();
    assert_eq!(auctions(view.by_category_in("a"..="b").unwrap()), [1, 2, 3]);
    assert_eq!(auctions(view.by_category_in("a".."b").unwrap()), [1]);
    let after = (Bound::Excluded("b"), Bound::Unbounded);
    assert_eq!(auctions(view.by_category_in(after).unwrap()), [4]);
    assert_eq!(auctions(view.by_category_auction_in("b", ..=2).unwrap()), [2]);
}
