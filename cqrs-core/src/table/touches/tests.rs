//! What is said to be touched, against what the fold touches.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::event::Recorded;
use crate::prelude::*;

#[event]
#[derive(Clone, Debug)]
enum Shop {
    Ordered { customer: String, lines: Vec<Line>, at: i64 },
    Cleared { customer: String },
    Dropped { customer: String, item: String, really: bool },
    Noted { customer: String, item: String, text: String },
}

#[value]
#[derive(Clone, Debug)]
struct Line {
    item: String,
    qty: i8,
}

#[projection(from = Shop { Ordered if !lines.is_empty(), .. }, group_by = customer)]
struct Plain {
    customer: String,
    #[sum(lines[0].qty)]
    qty: i8,
    #[count]
    orders: u64,
}

#[projection(from = Shop { Ordered, .. }, group_by = (first = lines[0].item.as_str()))]
struct Panics {
    first: String,
    #[count]
    orders: u64,
}

#[projection(
    from = Shop { Ordered, .. },
    remove = Shop { Dropped { item: item } if really, Cleared { customer, .. }, .. },
    each(line in lines),
    group_by = (customer, item = line.item),
)]
struct Basket {
    customer: String,
    item: String,
    #[sum(line.qty)]
    qty: i8,
    #[count_distinct(line.qty)]
    sizes: u64,
}

#[projection(
    by_hand = Shop { Noted if text != "no", .. }, remove = Shop { Dropped if really, .. }, group_by = (customer, item),
)]
struct Notes {
    customer: String,
    item: String,
    last: String,
}

type ShopRef<'a> = <Shop as Event>::Ref<'a>;

impl Fold<Shop> for Notes {
    fn fold(&mut self, event: &<Shop as Event>::Ref<'_>, _: &Meta) -> Result<(), String> {
        let ShopRef::Noted(noted) = event else { return Ok(()) };
        self.last = noted.text.to_owned();
        if noted.text == "bad" { Err("it is bad".into()) } else { Ok(()) }
    }
}

#[projection(
    from = Shop { Ordered, .. }, remove = Shop { Cleared { customer }, .. }, group_by = customer,
    window = tumbling(at, "5s"), unit = "s", lateness = "3s", keep = "6s",
)]
struct Windows {
    customer: String,
    window_start: i64,
    #[count]
    orders: u64,
}

#[projection(from = Shop { Ordered, .. }, join(note = Notes[(customer, "a")]), group_by = (text = note.last))]
struct Joined {
    text: String,
    #[count]
    orders: u64,
}

fn events() -> impl Strategy<Value = Vec<Shop>> {
    let customer = || prop_oneof![Just("ann".to_owned()), Just("bob".to_owned())];
    let item = || prop_oneof![Just("a".to_owned()), Just("b".to_owned()), Just("ab".to_owned())];
    let line = (item(), prop_oneof![-3_i8..4, Just(100)]).prop_map(|(item, qty)| Line { item, qty });
    let text = prop_oneof![Just("yes"), Just("no"), Just("bad")].prop_map(str::to_owned);
    let event = prop_oneof![
        4 => (customer(), prop::collection::vec(line, 0..4), 0_i64..40)
            .prop_map(|(customer, lines, at)| Shop::Ordered { customer, lines, at }),
        1 => customer().prop_map(|customer| Shop::Cleared { customer }),
        2 => (customer(), item(), any::<bool>())
            .prop_map(|(customer, item, really)| Shop::Dropped { customer, item, really }),
        3 => (customer(), item(), text).prop_map(|(customer, item, text)| Shop::Noted { customer, item, text }),
    ];
    prop::collection::vec(event, 0..40)
}

fn found<P: Reads<Shop>>(event: &Shop) -> Touches {
    let mut found = Touches::default();
    if P::wants(event.type_index()) {
        touches::<Shop, P>(&event.borrowed(), &Meta::default(), &mut found);
    }
    found
}

/// The keys of the rows that there are, by number.
fn keys<P: Projection>(table: &Table<P>) -> BTreeMap<u32, Vec<u8>> {
    let keys = table.rows.keys();
    keys.rows(0).map(|row| (row, keys.key(row).to_vec())).collect()
}

/// Folds events one at a time: each touches what was said, and no other row. Where `exact`, what was said is what there was before or after it.
fn agree<P>(events: &[Shop], exact: bool) -> Result<(), TestCaseError>
where
    P: Reads<Shop> + Projection<Joins = ()>,
{
    let mut table = Table::<P>::new();
    for event in events.iter().filter(|event| P::wants(event.type_index())) {
        let found = found::<P>(event);
        let before = keys(&table);
        let folded =
            table.fold(&[Recorded { meta: Meta::default(), event: event.borrowed() }], |_| String::new());
        let rows = table.folder.take_touched();
        table.rows.elements.forget_touched();
        let after = keys(&table);
        // A number may have been one row's before, and be another's now.
        let touched = rows.iter().flat_map(|row| [before.get(row), after.get(row)]).flatten();
        for key in touched.clone() {
            prop_assert!(found.has(key), "{event:?} has touched {key:?}: {found:?}");
        }
        if exact && folded.is_ok() {
            prop_assert!(!found.all);
            let touched: Vec<_> = touched.collect();
            for key in before.values().chain(after.values()).filter(|key| found.has(key)) {
                prop_assert!(touched.contains(&key), "{event:?} has not touched {key:?}: {found:?}");
            }
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn what_is_touched_was_said(events in events()) {
        agree::<Plain>(&events, true)?;
        agree::<Basket>(&events, true)?;
        agree::<Notes>(&events, true)?;
        agree::<Panics>(&events, true)?;
        agree::<Windows>(&events, false)?;
    }
}

fn ordered(lines: &[(&str, i8)]) -> Shop {
    let lines = lines.iter().map(|(item, qty)| Line { item: (*item).into(), qty: *qty }).collect();
    Shop::Ordered { customer: "ann".into(), lines, at: 0 }
}

fn noted(text: &str) -> Shop {
    Shop::Noted { customer: "ann".into(), item: "a".into(), text: text.into() }
}

fn bytes<K: crate::key::Key>(key: K::Ref<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    K::write_ref(&key, &mut bytes);
    bytes
}

type Two = (String, String);

fn these<const N: usize>(keys: [Vec<u8>; N]) -> Touches {
    Touches { keys: keys.into(), ..Touches::default() }
}

#[test]
fn guards_are_asked_and_folds_are_not() {
    assert_eq!(found::<Plain>(&ordered(&[])), Touches::default());
    // It would overflow, and so would what is folded by hand not be.
    assert_eq!(found::<Plain>(&ordered(&[("a", 100)])), these([bytes::<String>("ann")]));
    assert_eq!(found::<Notes>(&noted("no")), Touches::default());
    assert_eq!(found::<Notes>(&noted("bad")), these([bytes::<Two>(("ann", "a"))]));
}

#[test]
fn each_element_has_its_key() {
    let keys = [bytes::<Two>(("ann", "a")), bytes::<Two>(("ann", "b"))];
    assert_eq!(found::<Basket>(&ordered(&[("a", 1), ("b", 2)])), these(keys));
    assert_eq!(found::<Basket>(&ordered(&[])), Touches::default());
}

#[test]
fn removals_are_of_a_key_or_a_prefix() {
    let dropped = |really| Shop::Dropped { customer: "ann".into(), item: "a".into(), really };
    assert_eq!(found::<Basket>(&dropped(true)), these([bytes::<Two>(("ann", "a"))]));
    assert_eq!(found::<Basket>(&dropped(false)), Touches::default());
    let cleared = found::<Basket>(&Shop::Cleared { customer: "ann".into() });
    assert_eq!(cleared, Touches { prefixes: vec![bytes::<String>("ann")], ..Touches::default() });
    assert!(cleared.has(&bytes::<Two>(("ann", "b"))) && !cleared.has(&bytes::<Two>(("anna", "b"))));
}

#[test]
fn what_the_event_does_not_say_is_everything() {
    assert!(found::<Windows>(&ordered(&[])).all);
    assert!(found::<Joined>(&ordered(&[])).all);
    assert!(found::<Panics>(&ordered(&[])).all);
    assert_eq!(found::<Panics>(&ordered(&[("a", 1)])), these([bytes::<String>("a")]));
}
