//! Columns at their edges: what is first, sessions that become one, numbers that are not finite and are taken back.

use crate::prelude::*;

#[event]
struct Measured {
    place: u8,
    at: i64,
    value: f64,
}

fn measured(at: i64, value: f64) -> Measured {
    Measured { place: 1, at, value }
}

#[projection(from = Measured, group_by = place)]
#[derive(Debug, Clone, PartialEq)]
struct Place {
    place: u8,
    #[first(value)]
    first: f64,
    #[last(value)]
    last: f64,
}

#[test]
fn the_first_value_stays_and_the_last_does_not() {
    let mut table = Table::<Place>::new();
    table.apply_all(&[measured(0, 1.5), measured(1, 2.5)]).unwrap();
    assert_eq!(table.get(1), Some(Place { place: 1, first: 1.5, last: 2.5 }));
}

#[projection(from = Measured, group_by = place, window = session(at, gap = "30s"), unit = "s", lateness = "5m")]
#[derive(Debug, Clone, PartialEq)]
struct Session {
    place: u8,
    window_start: i64,
    window_end: i64,
    #[avg(value)]
    mean: f64,
    #[count_distinct(value.to_bits())]
    values: u64,
}

#[test]
fn sessions_that_become_one_are_of_all_their_events() {
    let mut table = Table::<Session>::new();
    // Two sessions, of two events and of three; then one that lies between them.
    let apart = [(0, 1.0), (10, 2.0), (60, 3.0), (61, 4.0), (62, 2.0)];
    table.apply_all(&apart.map(|(at, value)| measured(at, value))).unwrap();
    assert_eq!(table.len(), 2);
    table.apply(&measured(35, 9.0)).unwrap();
    let rows: Vec<Session> = table.rows().collect();
    let expected = Session { place: 1, window_start: 0, window_end: 92, mean: 21.0 / 6.0, values: 5 };
    assert_eq!(rows, [expected]);
}

/// Over another view, so that values are taken back.
#[projection(from = Place, group_by = ())]
#[derive(Debug, Clone, PartialEq)]
struct All {
    #[sum(last)]
    sum: f64,
    #[avg(last)]
    mean: f64,
}

#[test]
fn a_number_that_is_not_finite_counts_until_it_is_taken_back() {
    let mut table = Table::<All>::new();
    let row = |place, last| Place { place, first: 0.0, last };
    let all = |table: &Table<All>| table.get(()).map(|row| (row.sum, row.mean)).unwrap();
    for (place, last) in [(1, 1.0), (2, f64::INFINITY), (3, 5.0)] {
        table.apply_change(&Change::Inserted { row: row(place, last) }).unwrap();
    }
    assert_eq!(all(&table), (f64::INFINITY, f64::INFINITY));
    let low = Change::Updated { before: row(3, 5.0), after: row(3, f64::NEG_INFINITY) };
    table.apply_change(&low).unwrap();
    assert!(all(&table).0.is_nan() && all(&table).1.is_nan());
    table.apply_change(&Change::Deleted { row: row(2, f64::INFINITY) }).unwrap();
    assert_eq!(all(&table), (f64::NEG_INFINITY, f64::NEG_INFINITY));
    table.apply_change(&Change::Deleted { row: row(3, f64::NEG_INFINITY) }).unwrap();
    assert_eq!(all(&table), (1.0, 1.0));
}
