//! The table as its users see it.

use crate::prelude::*;

#[event]
enum Order {
    Placed { customer: String, item: String, qty: i8 },
    Cancelled { customer: String, item: String },
}

fn placed(customer: &str, item: &str, qty: i8) -> Order {
    Order::Placed { customer: customer.into(), item: item.into(), qty }
}

/// Overflows beyond 127.
#[projection(from = Order { Placed, .. }, group_by = (customer, item), on_fault = park)]
#[derive(Debug, PartialEq)]
struct Bought {
    customer: String,
    item: String,
    #[sum(qty)]
    qty: i8,
}

#[test]
fn each_event_that_is_parked_is_named_with_its_own_position() {
    let mut table = Table::<Bought>::new();
    let cancelled = || Order::Cancelled { customer: "ann".into(), item: "hats".into() };
    let events = [
        placed("ann", "hats", 100),
        cancelled(),
        placed("ann", "hats", 90),
        placed("ann", "hats", 20),
        cancelled(),
        placed("ann", "hats", 80),
        placed("ann", "hats", 7),
    ];
    table.apply_all(&events).unwrap();
    let parked: Vec<_> = table.parked().iter().map(|parked| (parked.position, &*parked.event)).collect();
    assert_eq!(parked, [(3, "Placed"), (6, "Placed")]);
    assert_eq!(table.get(("ann", "hats")).unwrap().qty, 127);
}

#[test]
fn rows_are_counted_and_found_by_the_beginning_of_their_keys() {
    let mut table = Table::<Bought>::new();
    assert!(table.is_empty());
    table
        .apply_all(&[placed("bob", "pants", 1), placed("ann", "pants", 2), placed("ann", "hats", 3)])
        .unwrap();
    assert!(!table.is_empty());
    assert_eq!(table.len(), 3);
    let items: Vec<_> = table.rows_of("ann").map(|row| (row.item, row.qty)).collect();
    assert_eq!(items, [("hats".to_owned(), 3), ("pants".to_owned(), 2)]);
    assert_eq!(table.rows_of("carl").count(), 0);
}
