//! A view whose rows come and go, against plain maps: both copies, what subscribers are told, and what a checkpoint has.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::Timestamp;
use crate::engine::checkpoint::Sums;
use crate::event::{Event, Meta, Recorded};
use crate::prelude::*;
use crate::store::{SavedView, StoreId, ViewCheckpoint, row_checksum};
use crate::table::fold_run;

#[event]
#[derive(Clone, Debug)]
struct Sold {
    place: String,
    item: String,
    qty: i64,
}

#[projection(from = Sold, group_by = (place, item), having = qty != 0)]
#[derive(Clone, Debug, PartialEq)]
struct Stock {
    place: String,
    item: String,
    #[sum(qty)]
    qty: i64,
}

type Name = (String, String);
type View = ViewRows<Stock>;

/// What a view is to have.
#[derive(Clone, Debug, Default, PartialEq)]
struct Plain {
    rows: BTreeMap<Name, i64>,
    /// By row, and by the element's own key.
    elements: BTreeMap<(Name, Vec<u8>), u64>,
    clock: Clock,
}

#[derive(Clone, Debug)]
enum Step {
    Add(u8, i64),
    Remove(u8),
    /// Of the row, to this count.
    Element(u8, u8, u64),
    Time(i64),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Save {
    No,
    Done,
    Failed,
}

#[derive(Clone, Debug)]
struct Batch {
    steps: Vec<Step>,
    /// Whether a reader holds on to the rows.
    dawdles: bool,
    save: Save,
    stretch: usize,
}

fn batches() -> impl Strategy<Value = Vec<Batch>> {
    let step = prop_oneof![
        6 => (0_u8..16, -2_i64..3).prop_map(|(key, qty)| Step::Add(key, qty)),
        4 => (0_u8..16).prop_map(Step::Remove),
        4 => (0_u8..16, 0_u8..3, 0_u64..3).prop_map(|(key, of, count)| Step::Element(key, of, count)),
        1 => (0_i64..3).prop_map(Step::Time),
    ];
    let save = prop_oneof![Just(Save::No), Just(Save::Done), Just(Save::Failed)];
    let stretch = prop_oneof![Just(3), Just(usize::MAX)];
    let batch = (prop::collection::vec(step, 0..24), prop::bool::weighted(0.2), save, stretch)
        .prop_map(|(steps, dawdles, save, stretch)| Batch { steps, dawdles, save, stretch });
    prop::collection::vec(batch, 1..14)
}

fn name(key: u8) -> Name {
    // Some are too long to stand beside their rows.
    let item = format!("item {key}").repeat(if key.is_multiple_of(3) { 12 } else { 1 });
    (if key < 8 { "here" } else { "there" }.into(), item)
}

fn find(rows: &Rows<Stock>, (place, item): &Name) -> Option<u32> {
    let mut key = Vec::new();
    <<Stock as Projection>::Key as crate::key::Key>::write_ref(&(place, item), &mut key);
    rows.find(&key)
}

fn full(row: u32, own: &[u8]) -> Vec<u8> {
    [&row.to_be_bytes()[..], &[0], own].concat()
}

/// An element's own key: some are long.
fn own(of: u8) -> Vec<u8> {
    vec![of; if of == 2 { 50 } else { 1 }]
}

fn fold(view: &mut View, (place, item): Name, qty: i64) {
    let sold = Sold { place, item, qty };
    let meta = Meta { position: 1, recorded_at: Timestamp::UNIX_EPOCH };
    let (folder, rows) = view.writable();
    fold_run::<Sold, Stock>(folder, rows, &[Recorded { meta, event: sold.borrowed() }]).unwrap();
}

/// Does to a view, and to its model, what a step says.
fn step(view: &mut View, plain: &mut Plain, step: &Step) {
    match *step {
        Step::Add(key, qty) => {
            *plain.rows.entry(name(key)).or_default() += qty;
            fold(view, name(key), qty);
        }
        Step::Remove(key) => {
            if plain.rows.remove(&name(key)).is_none() {
                return;
            }
            plain.elements.retain(|(row, _), _| *row != name(key));
            // So that it is touched.
            fold(view, name(key), 0);
            let (_, rows) = view.writable();
            let row = find(rows, &name(key)).unwrap();
            for of in 0..3 {
                rows.elements.set(&full(row, &own(of)), 0);
            }
            rows.remove(row);
        }
        Step::Element(key, of, count) => {
            if !plain.rows.contains_key(&name(key)) {
                return;
            }
            let (_, rows) = view.writable();
            let row = find(rows, &name(key)).unwrap();
            rows.elements.set(&full(row, &own(of)), count);
            let at = (name(key), own(of));
            if count == 0 {
                plain.elements.remove(&at)
            } else {
                plain.elements.insert(at, count)
            };
        }
        Step::Time(time) => {
            plain.clock = Clock { time: Some(time), late: plain.clock.late + 1 };
            view.writable().1.clock = plain.clock;
        }
    }
}

/// What rows have, asked for in every way.
fn plainly(rows: &Rows<Stock>) -> Plain {
    let mut plain = Plain { clock: rows.clock, ..Plain::default() };
    let mut names = BTreeMap::new();
    for number in rows.keys().rows(0) {
        let Stock { place, item, qty } = rows.render(number).unwrap();
        let name = (place, item);
        assert_eq!(find(rows, &name), Some(number));
        assert!(names.insert(number, name.clone()).is_none());
        assert!(plain.rows.insert(name, qty).is_none());
    }
    assert_eq!(rows.len(), plain.rows.len());
    let ordered: Vec<_> =
        ["here", "there"].iter().flat_map(|place| rows.under(place)).map(|row| names[&row].clone()).collect();
    assert_eq!(ordered, plain.rows.keys().cloned().collect::<Vec<_>>());
    for number in 0..rows.elements.end() {
        let Some((key, count)) = rows.elements.element(number) else { continue };
        assert_eq!(rows.elements.count(key), Some(count));
        let (row, own) = key.split_first_chunk().unwrap();
        let name = names[&u32::from_be_bytes(*row)].clone();
        assert!(plain.elements.insert((name, own[1..].to_vec()), count).is_none());
    }
    assert_eq!(rows.elements.len(), plain.elements.len());
    assert!(rows.elements.is_ordered());
    plain
}

/// What a subscriber knows, after the changes of the last flip.
fn follow(told: &mut BTreeMap<Name, i64>, view: &View) {
    let back = view.rows.back().unwrap();
    let mut once = BTreeSet::new();
    let at = |row: &Stock| (row.place.clone(), row.item.clone());
    let changes = |prefix: &[u8]| {
        let changes: Vec<_> = view.rows.front().changes(back, view.rows.lag(), prefix).collect();
        changes.into_iter().filter(|(before, after)| before.is_some() || after.is_some()).collect::<Vec<_>>()
    };
    let all = changes(&[]);
    for place in ["here", "there"] {
        let is_there = |row: &Option<Stock>| row.as_ref().is_some_and(|row| row.place == place);
        let theirs = |(before, after): &&(_, _)| is_there(before) || is_there(after);
        let told = format!("{:?}", all.iter().filter(theirs).collect::<Vec<_>>());
        let prefix = crate::key::prefix_bytes::<Stock, _>(&place);
        assert_eq!(format!("{:?}", changes(&prefix)), told);
    }
    for (before, after) in all {
        let name = at(before.as_ref().or(after.as_ref()).unwrap());
        assert!(once.insert(name.clone()), "{name:?} is told twice");
        assert_eq!(before.map(|row| row.qty), told.remove(&name));
        if let Some(after) = after {
            assert_eq!(at(&after), name);
            told.insert(name, after.qty);
        }
    }
}

/// A store, as it has a view.
#[derive(Clone, Default)]
struct Kept {
    rows: BTreeMap<u64, (Vec<u8>, Vec<u8>, bool, u64)>,
    complete: bool,
}

fn save(view: &mut View, kept: &mut Kept, save: Save, stretch: usize) {
    let stretch = if kept.complete { usize::MAX } else { stretch };
    let Images { gone, changed, complete } = view.images(stretch);
    if save == Save::Failed {
        let ids: Vec<u64> = gone.iter().copied().chain(changed.iter().map(|row| row.id)).collect();
        view.unsaved(&ids);
        kept.complete &= complete;
        return;
    }
    let mut once = BTreeSet::new();
    for id in gone {
        assert!(once.insert(id));
        kept.rows.remove(&id);
    }
    for row in changed.iter() {
        assert!(once.insert(row.id), "{} is there twice", row.id);
        assert_eq!(row.columns.len(), 3);
        assert_eq!(row.checksum, row_checksum(row.id, row.shown, row.key, row.state));
        kept.rows.insert(row.id, (row.key.to_vec(), row.state.to_vec(), row.shown, row.checksum));
    }
    kept.complete = complete;
}

/// A view as a start has it.
fn restored(kept: &Kept) -> View {
    let mut view = View::new(Arc::default(), false);
    for (id, (key, state, ..)) in &kept.rows {
        assert!(AnyView::restore(&mut view, *id, key, state), "{id}");
    }
    view
}

fn scenario(batches: &[Batch], live: usize, restart: usize) {
    let mut view = View::new(Arc::default(), false);
    let (mut plain, mut told, mut kept) = (Plain::default(), BTreeMap::new(), Kept::default());
    let mut held = Vec::new();
    for (number, batch) in batches.iter().enumerate() {
        if number == live {
            view.go_live();
            told = plain.rows.iter().filter(|(_, qty)| **qty != 0).map(|(n, q)| (n.clone(), *q)).collect();
        }
        if number >= live {
            // The copy that is to be folded into has caught up.
            assert_eq!(plainly(view.writable().1), plain);
            assert!(view.writable().1.elements.touched().is_empty());
        }
        for one in &batch.steps {
            step(&mut view, &mut plain, one);
        }
        if number < live {
            view.settle();
        } else if view.flip().is_some() {
            view.flipped = true;
            follow(&mut told, &view);
        }
        assert_eq!(plainly(view.rows.front()), plain);
        assert_eq!(view.len(), plain.rows.len());
        if number >= live {
            let shown = plain.rows.iter().filter(|(_, qty)| **qty != 0).map(|(n, q)| (n.clone(), *q));
            assert_eq!(told, shown.collect());
            if batch.dawdles {
                held.push((view.rows.front().clone(), plain.clone()));
            } else if number % 3 == 0 {
                held.clear();
            }
        }
        if batch.save != Save::No {
            save(&mut view, &mut kept, batch.save, batch.stretch);
        }
        for (rows, then) in &held {
            assert_eq!(plainly(rows), *then);
        }
        if number == restart {
            while !kept.complete || batch.save != Save::Done {
                save(&mut view, &mut kept, Save::Done, batch.stretch);
                if kept.complete {
                    break;
                }
            }
            held.clear();
            view = restored(&kept);
            assert_eq!(plainly(view.rows.front()), plain);
            if number >= live {
                view.go_live();
            }
        }
    }
    // What a store has is what there is, in whatever way it came there.
    loop {
        save(&mut view, &mut kept, Save::Done, 3);
        if kept.complete {
            break;
        }
    }
    assert_eq!(plainly(restored(&kept).rows.front()), plain);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn rows_come_and_go(batches in batches(), live in any::<Index>(), restart in any::<Index>()) {
        scenario(&batches, live.index(batches.len() + 1), restart.index(batches.len()));
    }

    #[test]
    fn sums_are_those_of_what_is_there(batches in batches()) {
        let mut view = View::new(Arc::default(), false);
        view.go_live();
        let (mut plain, mut kept, mut sums) = (Plain::default(), BTreeMap::new(), Sums::default());
        for batch in &batches {
            batch.steps.iter().for_each(|one| step(&mut view, &mut plain, one));
            view.flip();
            let Images { gone, changed, .. } = view.images(usize::MAX);
            kept.retain(|id, _| !gone.contains(id));
            kept.extend(changed.iter().map(|row| (row.id, row.checksum)));
            let mut checkpoint = checkpoint(gone, changed);
            (checkpoint.view.digest, checkpoint.view.rows) = sums.after(&checkpoint);
            sums.take(&checkpoint);
            let digest = kept.values().fold(0_u64, |sum, checksum| sum.wrapping_add(*checksum));
            prop_assert_eq!((sums.len(), sums.digest()), (kept.len() as u64, digest));
            let view = checkpoint.view;
            prop_assert_eq!((view.rows, view.digest), (kept.len() as u64, digest));
        }
    }
}

fn checkpoint(gone: Vec<u64>, changed: RowImages) -> ViewCheckpoint {
    let view = SavedView {
        name: "stock".into(),
        fingerprint: 1,
        store: StoreId([0; 16]),
        position: 0,
        log_checksum: 0,
        rows: 0,
        digest: 0,
        state: String::new(),
    };
    ViewCheckpoint { view, columns: Vec::new(), reset: false, gone, changed }
}

#[test]
fn a_key_that_moved_to_another_number_is_told_once() {
    let mut view = View::new(Arc::default(), false);
    view.go_live();
    let (mut plain, mut told) = (Plain::default(), BTreeMap::new());
    for steps in [
        vec![Step::Add(1, 1), Step::Add(2, 2)],
        // 1 and 2 exchange their numbers, and 1 changes; 5 comes and goes.
        vec![
            Step::Remove(1),
            Step::Remove(2),
            Step::Add(1, 7),
            Step::Add(2, 2),
            Step::Add(5, 1),
            Step::Remove(5),
        ],
        // The number of 2 is 4's now.
        vec![Step::Remove(2), Step::Add(4, 4)],
    ] {
        steps.iter().for_each(|one| step(&mut view, &mut plain, one));
        let (before, _) = (view.rows.front().clone(), view.flip().unwrap());
        follow(&mut told, &view);
        assert_eq!(told, plain.rows);
        if plain.rows.get(&name(1)) == Some(&7) && plain.rows.contains_key(&name(2)) {
            assert_ne!(find(&before, &name(1)), find(view.rows.front(), &name(1)));
        }
    }
}

#[test]
fn only_the_clock_may_change() {
    let mut view = View::new(Arc::default(), false);
    view.go_live();
    let mut plain = Plain::default();
    step(&mut view, &mut plain, &Step::Time(5));
    assert!(view.flip().is_some());
    view.writable();
    assert!(view.flip().is_none());
    let Images { gone, changed, complete } = view.images(9);
    assert!(gone.is_empty() && complete);
    assert_eq!(changed.iter().map(|row| (row.id, row.shown)).collect::<Vec<_>>(), [(2 << 32, false)]);
    assert!(view.images(9).changed.is_empty());
}

#[projection(from = Sold, group_by = item, on_fault = park)]
#[derive(Clone, Debug, PartialEq)]
struct Parking {
    item: String,
    #[sum(qty)]
    qty: i64,
}

#[test]
fn only_parked_events_may_change_and_each_is_saved_once_unless_that_fails() {
    let mut view = ViewRows::<Parking>::new(Arc::default(), false);
    view.go_live();
    let ids = |view: &mut ViewRows<Parking>| {
        let images = view.images(9);
        assert!(images.complete && images.gone.is_empty());
        images.changed.iter().map(|row| row.id).collect::<Vec<_>>()
    };
    let park = |view: &mut ViewRows<Parking>, position| {
        let error = FoldError { column: "qty", reason: "overflow".into() };
        view.park(position, "Sold", error).unwrap();
        assert!(view.flip().is_some());
    };
    park(&mut view, 3);
    park(&mut view, 5);
    view.writable();
    assert!(view.flip().is_none());
    let part = |number| Part::Parked.id(number);
    assert_eq!(ids(&mut view), [part(0), part(1)]);
    park(&mut view, 9);
    assert_eq!(ids(&mut view), [part(2)]);
    assert_eq!(ids(&mut view), []);
    view.unsaved(&[part(1), part(2)]);
    assert_eq!(ids(&mut view), [part(1), part(2)]);
    view.save_all();
    let images = view.images(9);
    assert_eq!(images.changed.len(), 3);

    // Out of the checkpoint, in its order only.
    let mut restored = ViewRows::<Parking>::new(Arc::default(), false);
    for row in images.changed.iter() {
        assert!(!restored.restore(part(7), row.key, row.state) && !restored.restore(row.id, b"", row.state));
        assert!(restored.restore(row.id, row.key, row.state));
    }
    assert_eq!(restored.savable().parked(), view.savable().parked());
    assert_eq!(restored.savable().parked().iter().map(|it| it.position).collect::<Vec<_>>(), [3, 5, 9]);
    assert_eq!(ids(&mut restored), []);
}

#[test]
fn what_is_none_is_not_restored() {
    let mut view = View::new(Arc::default(), false);
    let count = 1_u64.to_be_bytes();
    for (id, key, state) in [
        (0, &b"?"[..], &count[..]),
        (1 << 32, b"abc", &count),
        (1 << 32, b"abcde", &[1]),
        (1 << 32, b"abcde", &[0; 8]),
        (2 << 32, b"", &[7; 17]),
        (2 << 32, b"x", &[0; 17]),
        (2 << 32 | 1, b"", &[0; 17]),
        // It does not park.
        (3 << 32, &count, &[0; 12]),
        (4 << 32, b"", &[0; 17]),
    ] {
        assert!(!AnyView::restore(&mut view, id, key, state), "{id:x}");
    }
    assert!(AnyView::restore(&mut view, 1 << 32, b"abcde", &count));
    assert!(AnyView::restore(&mut view, 2 << 32, b"", &[0; 17]));
}
