use std::sync::atomic::{AtomicI64, Ordering};

use serde::{Deserialize, Serialize};

use super::*;
use crate::aggregate::Aggregate;
use crate::prelude::*;
use crate::testing::tests::{Added, Bought, panic_of};

/// Forgets at every restart what it has not written down.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(crate = "serde")]
struct Forgetful {
    sum: i64,
    #[serde(skip)]
    greatest: i64,
}

impl Aggregate for Forgetful {
    type Input = i32;
    type Output = i64;
    fn insert(&mut self, input: &i32) -> Result<(), String> {
        self.sum += i64::from(*input);
        self.greatest = self.greatest.max(i64::from(*input));
        Ok(())
    }
    fn output(&self) -> i64 {
        self.sum * 1000 + self.greatest
    }
}

#[projection(from = Bought, group_by = customer)]
#[derive(Debug)]
struct Wrong {
    customer: String,
    #[fold(Forgetful, qty)]
    mixed: i64,
    #[count]
    times: u64,
}

static CALLS: AtomicI64 = AtomicI64::new(0);

fn counted(qty: i32) -> i64 {
    CALLS.fetch_add(1, Ordering::Relaxed) + i64::from(qty)
}

#[projection(from = Bought, group_by = customer)]
#[derive(Debug)]
struct Fickle {
    customer: String,
    #[last(counted(qty))]
    call: i64,
}

#[projection(from = Bought, group_by = (customer, item), having = qty != 0)]
#[derive(Debug)]
struct Has {
    customer: String,
    item: String,
    #[sum(qty)]
    qty: i64,
    #[avg(f64::from(qty) / 3.0)]
    average: f64,
    #[collect(qty)]
    all: Vec<i32>,
    #[last(meta.recorded_at)]
    at: Timestamp,
}

#[projection(from = Has, group_by = item)]
#[derive(Debug)]
struct Owners {
    item: String,
    #[max(average)]
    most: f64,
}

#[projection(from = Added, join(has = Has[(customer, item)]), group_by = customer)]
#[derive(Debug)]
struct Greeted {
    customer: String,
    #[sum(has.qty)]
    qty: i64,
}

fn bought(n: i32) -> Bought {
    Bought { customer: format!("c{}", n % 5), item: format!("i{}", n % 3), qty: n % 7 - 2 }
}

#[test]
fn what_is_right_passes() {
    refold_check::<Has>((0..150).map(bought));
    refold_check::<Owners>((0..60).map(bought));
    let mixed = (0..60).map(|n| match n % 4 {
        0 => NewEvent::new(Added { customer: format!("c{}", n % 5), item: format!("i{}", n % 3) }),
        _ => NewEvent::new(bought(n)),
    });
    refold_check::<Greeted>(mixed);
    refold_check::<Has>(Vec::<Bought>::new());
    refold_check::<Has>([bought(1)]);
}

#[test]
fn what_does_not_survive_a_restart_is_found() {
    let text = panic_of(|| refold_check::<Wrong>((0..40).map(bought)));
    assert!(text.starts_with("`Wrong`: "), "{text}");
    assert!(text.contains(" differs in `mixed`:\n"), "{text}");
    assert!(text.contains("          times: "), "{text}");
}

#[test]
fn what_depends_on_how_often_it_is_called_is_found() {
    let text = panic_of(|| refold_check::<Fickle>((0..10).map(bought)));
    assert!(text.contains(" differs in `call`:\n"), "{text}");
}

#[test]
fn a_seed_repeats_what_was_done() {
    let events: Vec<NewEvent> = (0..40).map(|n| NewEvent::new(bought(n))).collect();
    let text = (0..100).find_map(|seed| check::<Wrong>(&events, &[seed]).err()).unwrap();
    let seed = text.rsplit_once("REFOLD_SEED=").unwrap().1.split_once(' ').unwrap().0.parse().unwrap();
    assert_eq!(check::<Wrong>(&events, &[seed]), Err(text.clone()));
    assert!(text.contains("\n\nround 1 of 1, in which this was done: append "), "{text}");
    assert!(text.ends_with(" repeats it"), "{text}");
}

#[test]
fn what_was_done_before_is_told() {
    let events: Vec<NewEvent> = (0..40).map(|n| NewEvent::new(bought(n))).collect();
    let told = |text: &str, what, sides| text.contains(what) && text.contains(sides);
    for what in ["after a restart it has", "after a restart from the checkpoint before it has"] {
        let mut texts = (0..100).filter_map(|seed| check::<Wrong>(&events, &[seed]).err());
        assert!(texts.any(|text| told(&text, what, "(- before, + after)")), "{what}");
    }
    // No restart changes these rows.
    let text = (0..100).find_map(|seed| {
        let text = check::<Fickle>(&events, &[seed]).unwrap_err();
        (!text.contains("after a restart")).then_some(text)
    });
    let what = "events that are appended bit by bit make other rows than all in one go";
    assert!(text.is_some_and(|text| told(&text, what, "(- in one go, + bit by bit)")));
}

#[test]
fn an_event_that_cannot_be_folded_says_so() {
    let most = || Bought { customer: "ann".into(), item: "hats".into(), qty: i32::MAX };
    #[projection(from = Bought, group_by = customer)]
    #[derive(Debug)]
    struct Narrow {
        customer: String,
        #[sum(qty)]
        qty: i32,
    }
    let text = panic_of(|| refold_check::<Narrow>([most(), most()]));
    assert!(text.starts_with("`Narrow` stopped before the event at position 2"), "{text}");
    let text = panic_of(|| {
        refold_check::<Narrow>([Added { customer: "ann".into(), item: "hats".into() }]);
    });
    assert!(text.contains("`Narrow` does not read `Added`"), "{text}");
}

#[test]
fn each_way_to_fold_makes_rows_of_its_own() {
    let stored = |event| Stored::of(&event, Timestamp::UNIX_EPOCH).unwrap();
    let events: Vec<Stored> = (0..40).map(|n| stored(NewEvent::new(bought(n)))).collect();
    let (whole, singly) = (fold::<Has>(&events).unwrap(), fold_singly::<Has>(&events).unwrap());
    assert!(whole.len() > 10 && whole.len() == singly.len(), "{}", whole.len());
    compare("", ["", ""], &whole, &singly).unwrap();
    assert!(fold_singly::<Owners>(&events).is_none() && fold_singly::<Greeted>(&events).is_none());
    let (whole, restarted) = (fold::<Wrong>(&events).unwrap(), fold_restarting::<Wrong>(&events).unwrap());
    compare("", ["", ""], &whole, &restarted).unwrap_err();
    let twice = fold_singly::<Has>(&[&events[..], &events[..1]].concat()).unwrap();
    compare("", ["", ""], &singly, &twice).unwrap_err();
}
