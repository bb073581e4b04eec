//! The table as its users see it.

use crate::event::{Meta, Recorded};
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

#[event]
enum Stock {
    Delivered { item: String, qty: i8 },
    Returned { item: String, qty: i8 },
}

#[projection(from = Stock { Delivered, Returned }, group_by = item, on_fault = park)]
struct Moved {
    item: String,
    /// Overflows beyond 127, whatever takes it there.
    #[sum(qty)]
    qty: i8,
}

#[test]
fn what_is_parked_is_named_as_it_is_stored() {
    let delivered = |qty| Stock::Delivered { item: "hats".into(), qty };
    let returned = |qty| Stock::Returned { item: "hats".into(), qty };
    let mut table = Table::<Moved>::new();
    table.apply_all(&[delivered(100), delivered(99), returned(50), returned(50), delivered(98)]).unwrap();
    let parked: Vec<_> = table.parked().iter().map(|parked| (parked.position, &*parked.event)).collect();
    assert_eq!(parked, [(2, "Delivered"), (3, "Returned"), (4, "Returned"), (5, "Delivered")]);
}

#[test]
fn recorded_events_are_folded_under_their_own_positions() {
    let events = [placed("ann", "hats", 100), placed("ann", "pants", 1), placed("ann", "hats", 100)];
    let recorded = |(position, event)| Recorded {
        meta: Meta { position, ..Meta::default() },
        event: Event::borrowed(event),
    };
    let run: Vec<_> = [3, 7, 20].into_iter().zip(&events).map(recorded).collect();
    let mut table = Table::<Bought>::new();
    table.apply_recorded(&run).unwrap();
    assert_eq!(
        table.rows().map(|row| (row.item, row.qty)).collect::<Vec<_>>(),
        [("hats".to_owned(), 100), ("pants".to_owned(), 1)]
    );
    let parked: Vec<_> = table.parked().iter().map(|parked| (parked.position, &*parked.event)).collect();
    assert_eq!(parked, [(20, "Placed` or `Cancelled")]);
    // What is folded next comes after these.
    table.apply(&placed("ann", "hats", 101)).unwrap();
    assert_eq!(table.parked()[1].position, 21);
}

/// No list of what was touched grows with the events.
#[test]
fn memory_goes_by_the_rows() {
    let rows = |table: &mut Table<Bought>| {
        (0..100).for_each(|n| table.apply(&placed("ann", &n.to_string(), 0)).unwrap());
        table.memory()
    };
    let mut table = Table::<Bought>::new();
    let empty = table.memory();
    let once = rows(&mut table);
    assert!(once > empty + 100 * 16, "{empty}, {once}");
    for _ in 0..100 {
        rows(&mut table);
    }
    assert_eq!(table.memory(), once);
}
