//! What the catalog says that an event touches of a view, against what folding it changes there.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::marker::PhantomData;

use proptest::prelude::*;

use super::*;
use crate::engine::batch::StoredEvent;
use crate::engine::catalog::{Catalog, Kind, PASSED_OVER, Registry};
use crate::engine::slot::Slot;
use crate::key::Key;
use crate::table::{Rows, Touches};

/// Owners by how much they have: over a view.
#[projection(from = Owners, group_by = qty)]
#[derive(Debug, Clone, PartialEq)]
struct Levels {
    qty: i64,
    #[count]
    owners: u64,
}

/// Over a view over a view, and events of its own.
#[projection(from(Levels { text: owners.to_string() }, Noted), group_by = text)]
#[derive(Debug, Clone, PartialEq)]
struct Crowds {
    text: String,
    #[count]
    count: u64,
}

fn catalog() -> Catalog {
    let mut registry = Registry::default();
    registry.view::<Crowds>();
    registry.view::<Has>();
    registry.view::<Tiny>();
    registry.view::<Everything>();
    registry.finish(1 << 10).unwrap()
}

/// An event's kind and payload.
fn stored<E: NamedEvent>(catalog: &Catalog, event: &E) -> (Kind, Vec<u8>) {
    let mut payload = Vec::new();
    event.encode(&mut payload).unwrap();
    (catalog.appended(&E::SCHEMA).unwrap(), payload)
}

fn number<P: Projection>(catalog: &Catalog) -> usize {
    catalog.view_number(TypeId::of::<P>()).unwrap()
}

fn touches<P: Projection>(catalog: &Catalog, (kind, payload): &(Kind, Vec<u8>)) -> Touches {
    let mut touches = Touches::default();
    catalog.touches(number::<P>(catalog), *kind, payload, &Meta::default(), &mut touches);
    touches
}

/// What a view has of each key.
fn states<P: Projection>(catalog: &Catalog, slots: &[Slot]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let view = slots[number::<P>(catalog)].view.as_deref().unwrap();
    let rows: &Rows<P> = view.rows_ref().downcast_ref().unwrap();
    let state = |row| {
        let mut state = Vec::new();
        rows.write_state(row, &mut state);
        (rows.keys().key(row).to_vec(), state)
    };
    rows.keys().rows(0).map(state).collect()
}

/// What a view has, and what an event was said to touch of it.
struct Before<P> {
    touches: Touches,
    states: BTreeMap<Vec<u8>, Vec<u8>>,
    row: PhantomData<P>,
}

impl<P: Projection> Before<P> {
    fn of(catalog: &Catalog, slots: &[Slot], event: &(Kind, Vec<u8>)) -> Self {
        Self { touches: touches::<P>(catalog, event), states: states::<P>(catalog, slots), row: PhantomData }
    }

    /// Every key of which the view now has something else was said to be touched.
    fn agrees(&self, catalog: &Catalog, slots: &[Slot]) -> Result<(), TestCaseError> {
        let (before, after) = (&self.states, states::<P>(catalog, slots));
        for key in before.keys().chain(after.keys()).filter(|key| before.get(*key) != after.get(*key)) {
            let name = P::RUST_NAME;
            prop_assert!(self.touches.has(key), "{name}: {key:?} has changed: {:?}", self.touches);
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn what_changes_in_views_was_said(
        events in prop::collection::vec((0_u8..3, "[ab]", "[xy]", -2_i32..3), 0..40),
    ) {
        let catalog = catalog();
        let mut slots: Vec<_> = catalog.views.iter().map(|ty| Slot::fresh(&**ty)).collect();
        for (at, (which, customer, item, qty)) in events.iter().enumerate() {
            let event = match which {
                0 => stored(&catalog, &bought(customer, item, *qty)),
                1 => stored(&catalog, &returned(customer, item, *qty)),
                _ => stored(&catalog, &Noted { text: qty.to_string() }),
            };
            let has = Before::<Has>::of(&catalog, &slots, &event);
            let owners = Before::<Owners>::of(&catalog, &slots, &event);
            let levels = Before::<Levels>::of(&catalog, &slots, &event);
            let crowds = Before::<Crowds>::of(&catalog, &slots, &event);
            let everything = Before::<Everything>::of(&catalog, &slots, &event);
            let position = at as u64 + 1;
            let recorded_at = Timestamp::UNIX_EPOCH;
            let run = [StoredEvent { position, kind: event.0, version: 1, recorded_at, checksum: 0, payload: &event.1 }];
            for route in &catalog.courses[catalog.course(event.0)] {
                catalog.routes[*route].fold(&run, &catalog, &mut slots);
            }
            has.agrees(&catalog, &slots)?;
            owners.agrees(&catalog, &slots)?;
            levels.agrees(&catalog, &slots)?;
            crowds.agrees(&catalog, &slots)?;
            everything.agrees(&catalog, &slots)?;
        }
    }
}

fn key<K: Key>(key: K::Ref<'_>) -> Touches {
    let mut bytes = Vec::new();
    K::write_ref(&key, &mut bytes);
    Touches { keys: vec![bytes], ..Touches::default() }
}

#[test]
fn an_event_touches_the_views_it_goes_to() {
    let catalog = catalog();
    let bought = stored(&catalog, &bought("ann", "hats", 1));
    assert_eq!(touches::<Has>(&catalog, &bought), key::<(String, String)>(("ann", "hats")));
    assert_eq!(touches::<Owners>(&catalog, &bought), key::<String>("ann"));
    assert_eq!(touches::<Everything>(&catalog, &bought), key::<()>(()));
    let noted = stored(&catalog, &Noted { text: "x".into() });
    assert_eq!(touches::<Has>(&catalog, &noted), Touches::default());
    let returned = stored(&catalog, &returned("ann", "hats", 1));
    assert_eq!(touches::<Tiny>(&catalog, &returned), Touches::default());
    assert_eq!(touches::<Has>(&catalog, &(PASSED_OVER, Vec::new())), Touches::default());
}

#[test]
fn it_may_touch_any_row_of_a_view_over_a_view_it_goes_to() {
    let catalog = catalog();
    let bought = stored(&catalog, &bought("ann", "hats", 1));
    assert!(touches::<Levels>(&catalog, &bought).all);
    assert!(touches::<Crowds>(&catalog, &bought).all);
    let noted = stored(&catalog, &Noted { text: "x".into() });
    assert_eq!(touches::<Levels>(&catalog, &noted), Touches::default());
    assert_eq!(touches::<Crowds>(&catalog, &noted), key::<String>("x"));
}

#[test]
fn what_cannot_be_read_may_touch_any_row_where_it_goes() {
    let catalog = catalog();
    let (kind, _) = stored(&catalog, &Noted { text: "x".into() });
    for payload in [vec![0xc1], vec![0; 2 << 10]] {
        assert!(touches::<Crowds>(&catalog, &(kind, payload.clone())).all);
        assert_eq!(touches::<Has>(&catalog, &(kind, payload)), Touches::default());
    }
}
