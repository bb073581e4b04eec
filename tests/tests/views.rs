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
