//! Views over views: retraction, diamonds, restarts.
use cqrs_core::prelude::*;

#[event]
#[derive(Debug)]
pub struct Purchased {
    pub customer: String,
    pub item: String,
    pub qty: i32,
}

#[projection(from = Purchased, group_by = (customer, item), having = total != 0)]
#[derive(Debug, Clone, PartialEq)]
pub struct Bought {
    pub customer: String,
    pub item: String,
    #[sum(qty)]
    pub total: i64,
}

/// How many customers have how many of an item.
#[projection(from = Bought, group_by = (item, total))]
#[derive(Debug, Clone, PartialEq)]
pub struct Spread {
    pub item: String,
    pub total: i64,
    #[count]
    pub customers: u64,
}

fn buy(engine: &Engine, customer: &str, item: &str, qty: i32) {
    engine.append(Purchased { customer: customer.into(), item: item.into(), qty }).wait().unwrap();
}

#[test]
fn a_view_over_a_view_is_what_its_rows_say_now() {
    let engine = Engine::in_memory().view::<Spread>().start().unwrap();
    let view = engine.view::<Spread>();
    buy(&engine, "ann", "hats", 2);
    buy(&engine, "bob", "hats", 2);
    assert_eq!(view.get(("hats", 2)).unwrap().unwrap().customers, 2);
    buy(&engine, "bob", "hats", 1);
    assert_eq!(view.get(("hats", 2)).unwrap().unwrap().customers, 1);
    assert_eq!(view.get(("hats", 3)).unwrap().unwrap().customers, 1);
    // What `having` hides is not there.
    buy(&engine, "ann", "hats", -2);
    assert_eq!(view.get(("hats", 2)).unwrap(), None);
    assert_eq!(view.len().unwrap(), 1);
}

#[projection(from = Purchased, group_by = (customer, item, large = qty > 5))]
#[derive(Debug, Clone, PartialEq)]
pub struct ThreeKeys {
    pub customer: String,
    pub item: String,
    pub large: bool,
    #[count]
    pub times: u64,
}

#[test]
fn a_key_of_three_columns_has_two_prefixes() {
    let mut table = Table::<ThreeKeys>::new();
    for (item, qty) in [("hats", 1), ("hats", 9), ("pants", 1)] {
        table.apply(&Purchased { customer: "ann".into(), item: item.into(), qty }).unwrap();
    }
    assert_eq!(table.rows_of("ann").count(), 3);
    assert_eq!(table.rows_of(("ann", "hats")).count(), 2);
}

/// `Purchased` under two roofs: views may read it as it is, or out of this enum.
#[event]
#[derive(Debug)]
pub enum Shop {
    Purchased(Purchased),
    Left { customer: String },
}

#[projection(from = Purchased, group_by = customer)]
#[derive(Debug, Clone, PartialEq)]
pub struct Customers {
    pub customer: String,
    #[sum(1000 / (qty as i64))]
    pub shares: i64,
    #[count]
    pub times: u64,
}

/// How often it was bought by somebody for the first, the second .. time.
#[projection(
    from = Shop { Purchased, .. },
    left_join(of = Customers[customer]),
    group_by = (nth = of.map_or(0, |of| of.times)),
)]
#[derive(Debug, Clone, PartialEq)]
pub struct ByTurn {
    pub nth: u64,
    #[count]
    pub times: u64,
}

#[projection(from = Shop { Purchased, Left }, group_by = ())]
#[derive(Debug, Clone, PartialEq)]
pub struct Everything {
    #[count]
    pub events: u64,
}

/// All that was bought, beside how many customers have bought anything.
#[projection(from(Shop { Purchased, .. }, Customers), group_by = ())]
#[derive(Debug, Clone, PartialEq)]
pub struct Sales {
    #[count(Purchased)]
    pub sales: u64,
    #[count(Customers)]
    pub customers: u64,
}

#[test]
fn an_event_that_comes_by_two_types_has_one_turn_in_whatever_order_they_are_registered() {
    type Register = fn(cqrs_core::Builder) -> cqrs_core::Builder;
    let orders: [Register; 4] = [
        |engine| engine.view::<ByTurn>().view::<Sales>(),
        |engine| engine.view::<Everything>().view::<ByTurn>().view::<Sales>(),
        |engine| engine.view::<Sales>().view::<ByTurn>().view::<Everything>(),
        |engine| engine.event::<Shop>().view::<Customers>().view::<Sales>().view::<ByTurn>(),
    ];
    for register in orders {
        let engine = register(Engine::in_memory()).start().unwrap();
        for customer in ["ann", "bob", "ann"] {
            buy(&engine, customer, "hats", 1);
        }
        let mut turns: Vec<ByTurn> = engine.view::<ByTurn>().rows().unwrap().collect();
        turns.sort_by_key(|row| row.nth);
        assert_eq!(turns, [ByTurn { nth: 1, times: 2 }, ByTurn { nth: 2, times: 1 }]);

        // What one of them cannot take in, no other has taken in.
        buy(&engine, "cid", "hats", 0);
        assert!(engine.view::<Sales>().rows().is_err());
        let of = |view: &str| engine.health().views.iter().find(|it| it.name == view).unwrap().position;
        assert_eq!([of("customers"), of("sales"), of("by_turn")], [3; 3]);
        assert_eq!(engine.health().position, 4);
    }
}

#[test]
fn an_event_that_comes_by_two_types_is_folded_once_when_its_fault_is_mended() {
    use std::sync::atomic::{AtomicI64, Ordering};
    static LIMIT: AtomicI64 = AtomicI64::new(100);
    fn accepted(qty: i32) -> i64 {
        assert!(i64::from(qty) < LIMIT.load(Ordering::SeqCst), "too many");
        qty.into()
    }

    #[projection(from = Purchased, group_by = customer)]
    #[derive(Debug, Clone, PartialEq)]
    struct Accepted {
        customer: String,
        #[sum(accepted(qty))]
        qty: i64,
    }

    #[projection(from(Shop { Purchased, .. }, Accepted), group_by = ())]
    #[derive(Debug, Clone, PartialEq)]
    struct Both {
        #[count(Purchased)]
        sales: u64,
        #[count(Accepted)]
        customers: u64,
    }

    let folder = tempfile::tempdir().unwrap();
    let start = || Engine::open(folder.path()).unwrap().view::<Everything>().view::<Both>().start().unwrap();
    let engine = start();
    buy(&engine, "ann", "hats", 1);
    buy(&engine, "bob", "hats", 200);
    assert!(engine.view::<Both>().rows().is_err());
    engine.close().wait().unwrap();
    LIMIT.store(1000, Ordering::SeqCst);
    let engine = start();
    assert_eq!(engine.view::<Both>().get(()).unwrap(), Some(Both { sales: 2, customers: 2 }));
}

#[test]
fn a_view_is_verified_with_what_it_reads_also_where_that_was_not_saved() {
    use cqrs_core::store::{SqliteStore, Store};
    let folder = tempfile::tempdir().unwrap();
    let builder = || Engine::open(folder.path()).unwrap().view::<Spread>().view::<ByTurn>();
    let engine = builder().start().unwrap();
    for customer in ["ann", "bob", "ann"] {
        buy(&engine, customer, "hats", 1);
    }
    engine.close().wait().unwrap();
    let mut saved = SqliteStore::open(folder.path()).unwrap().checkpoints().unwrap();
    saved.forget("bought").unwrap();
    saved.forget("customers").unwrap();
    drop(saved);
    let verified = builder().verify().unwrap();
    assert!(verified.is_whole(), "{verified}");
    let views: Vec<_> = verified.views.iter().map(|view| (view.name.as_str(), view.folded)).collect();
    assert_eq!(views, [("by_turn", true), ("spread", true)]);
}

#[test]
fn rows_say_how_many_there_are_at_most() {
    let engine = Engine::in_memory().view::<Bought>().start().unwrap();
    let view = engine.view::<Bought>();
    assert!(view.is_empty().unwrap());
    assert_eq!(view.rows().unwrap().size_hint(), (0, Some(0)));
    for (customer, qty) in [("ann", 1), ("bob", 0), ("cid", 3)] {
        buy(&engine, customer, "hats", qty);
    }
    assert!(!view.is_empty().unwrap());
    // One of them is hidden.
    let mut rows = view.rows().unwrap();
    assert_eq!(rows.size_hint(), (0, Some(3)));
    assert_eq!(rows.next().unwrap().customer, "ann");
    assert_eq!(rows.size_hint(), (0, Some(2)));
    assert_eq!((rows.next().unwrap().customer.as_str(), rows.next()), ("cid", None));
    // Those in an order are not counted before they are asked for.
    for (rows, count) in [(view.rows_of("cid").unwrap(), 1), (view.rows_by_key().unwrap(), 2)] {
        assert!(rows.size_hint().1.is_some_and(|most| most >= count));
        assert_eq!(rows.count(), count);
    }
}
