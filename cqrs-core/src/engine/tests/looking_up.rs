//! Look-ups by index that read elsewhere than what is published now.

use std::any::TypeId;
use std::ops::{Bound, Deref};
use std::sync::Mutex;

use super::*;
use crate::engine::shared::{Core, Published};
use crate::lookups::{Access, Indexed, NoLookups, Part, Shared};

/// What a customer has of an item.
#[projection(from = Bought, group_by = (customer, item), index(item, qty))]
#[derive(Debug, Clone, PartialEq)]
struct Bag {
    customer: String,
    item: String,
    #[sum(qty)]
    qty: i64,
}

/// Reads one state of the views, whatever comes after it, and knows what was looked up.
#[derive(Clone)]
struct Pinned {
    core: Arc<Core>,
    published: Arc<Published>,
    parts: Arc<Mutex<Vec<(usize, Part)>>>,
}

impl Access for Pinned {
    type Answer<T> = T;

    fn rows<P: Projection>(&self, view: usize) -> Shared<P> {
        let rows = self.core.shared_rows(&self.published, view).unwrap();
        Shared { rows, position: self.published.position }
    }

    fn map<T, U>(answer: T, make: impl FnOnce(T) -> U) -> U {
        make(answer)
    }

    fn looks_up(&self, view: usize, part: &Part) {
        self.parts.lock().unwrap().push((view, part.clone()));
    }
}

/// What a view is there.
struct PinnedView<P: Projection>(P::Lookups<Pinned>);

impl<P: Projection> Deref for PinnedView<P> {
    type Target = P::Lookups<Pinned>;
    fn deref(&self) -> &P::Lookups<Pinned> {
        &self.0
    }
}

fn engine() -> (Engine, Pinned) {
    let engine = Place::Memory(MemoryStore::new()).engine().view::<Bag>().view::<Has>().start().unwrap();
    let events = [
        bought("ann", "hats", 1),
        bought("bob", "hats", 2),
        bought("cyd", "hats", 3),
        bought("ann", "hat", 2),
        bought("ann", "pants", 2),
    ];
    engine.append_all(events).wait().unwrap();
    let core = engine.core().clone();
    let pinned = Pinned { published: core.published.load_full(), core, parts: Arc::default() };
    (engine, pinned)
}

fn number<P: Projection>(pinned: &Pinned) -> usize {
    pinned.core.number(TypeId::of::<P>(), P::RUST_NAME).unwrap()
}

fn view<P: Projection>(pinned: &Pinned) -> PinnedView<P> {
    PinnedView(Indexed::new(pinned.clone(), number::<P>(pinned)).into())
}

fn customers(rows: crate::ViewRows<Bag>) -> String {
    rows.map(|row| row.customer).collect::<Vec<_>>().join(" ")
}

#[test]
fn they_read_what_their_access_has() {
    let (engine, pinned) = engine();
    engine.append_all([bought("dan", "hats", 2), bought("bob", "hats", 7)]).wait().unwrap();
    assert_eq!(customers(engine.view::<Bag>().by_item("hats").unwrap()), "ann dan cyd bob");
    let view = view::<Bag>(&pinned);
    let rows = view.by_item("hats");
    assert_eq!(rows.position(), 5);
    assert_eq!(customers(rows), "ann bob cyd");
    let rows = view.by_item_qty_in("hats", 2..);
    assert_eq!(customers(rows), "bob cyd");
}

#[test]
fn the_access_knows_which_rows_may_be_found() {
    let (_engine, pinned) = engine();
    let view = view::<Bag>(&pinned);
    let after = |item| (Bound::Excluded(item), Bound::Unbounded);
    let found = [
        view.by_item("hats"),
        view.by_item("socks"),
        view.by_item_qty("hats", 2),
        view.by_item_in("hat".."hats"),
        view.by_item_in(after("hat")),
        view.by_item_in(.."hats"),
        view.by_item_in("hats"..="hats"),
        view.by_item_qty_in("hats", ..),
        view.by_item_qty_in("hats", 2..3),
        view.by_item_qty_in("hats", ..=2),
        view.by_item_qty_in("hats", (Bound::Excluded(1), Bound::Excluded(3))),
        view.by_item_qty_in("hats", 5..),
    ];
    let parts = pinned.parts.lock().unwrap().clone();
    assert_eq!(parts.len(), found.len());
    let Shared { rows: all, .. } = pinned.rows::<Bag>(number::<Bag>(&pinned));
    for ((number, part), found) in parts.iter().zip(found) {
        assert_eq!((*number, part.index), (self::number::<Bag>(&pinned), 0));
        let mut found: Vec<_> = found.map(|row| (row.customer, row.item)).collect();
        let all = all.keys().rows(0).filter_map(|row| all.render(row));
        let has = |row: &Bag| {
            let mut columns = Vec::new();
            row.index_key(part.index, &mut columns);
            part.has(&columns)
        };
        let mut within: Vec<_> = all.filter(has).map(|row| (row.customer, row.item)).collect();
        found.sort();
        within.sort();
        assert_eq!(found, within, "{part:?}");
    }
}

#[test]
fn without_an_index_there_are_none() {
    let (_engine, pinned) = engine();
    let _: &NoLookups = &view::<Has>(&pinned);
}
