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
