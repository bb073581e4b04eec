use crate::prelude::*;
use crate::testing::tests::{Added, Bought, Dropped, panic_of};
use crate::testing::{Then, given, nothing};

#[projection(from(Bought, Dropped), group_by = (customer, item))]
#[derive(Debug, PartialEq)]
struct Has {
    customer: String,
    item: String,
    #[sum(Bought => qty, Dropped => -qty)]
    qty: i32,
}

#[projection(from = Added, group_by = customer)]
#[derive(Debug, PartialEq)]
struct Greeted {
    customer: String,
    #[count]
    times: u64,
}

#[derive(Debug, PartialEq)]
struct Lacking {
    qty: i32,
}

/// Gives hats away, as far as there are any, to somebody who has been greeted.
struct Give(i32);

impl Command for Give {
    type Refusal = Lacking;
    fn decide(&self, tx: &mut Tx) -> Result<(), Lacking> {
        if tx.get::<Greeted>("ann").is_none() {
            return Ok(());
        }
        let qty = tx.get::<Has>(("ann", "hats")).map_or(0, |row| row.qty);
        if qty < self.0 {
            return Err(Lacking { qty: self.0 - qty });
        }
        tx.emit(Dropped { customer: "ann".into(), item: "hats".into(), qty: self.0 });
        tx.emit(Bought { customer: "bob".into(), item: "hats".into(), qty: self.0 });
        Ok(())
    }
}

fn bought(customer: &str, qty: i32) -> Bought {
    Bought { customer: customer.into(), item: "hats".into(), qty }
}

fn dropped(customer: &str, qty: i32) -> Dropped {
    Dropped { customer: customer.into(), item: "hats".into(), qty }
}

fn shop() -> Then<Has> {
    given([bought("ann", 3)])
        .and([Added { customer: "ann".into(), item: "hats".into() }])
        .view::<Greeted>()
        .view::<Has>()
}

#[test]
fn what_is_decided_is_what_is_said() {
    let events = [NewEvent::new(dropped("ann", 2)), NewEvent::new(bought("bob", 2))];
    shop()
        .when_executed(Give(2))
        .then_events(events)
        .view::<Has>()
        .then_row(("ann", "hats"), Has { customer: "ann".into(), item: "hats".into(), qty: 1 });
    shop().when_executed(Give(5)).then_refused(Lacking { qty: 2 }).view::<Greeted>();
    nothing().view::<Greeted>().view::<Has>().when_executed(Give(1)).then_no_events();
}

#[test]
fn other_events_are_shown_beside_those_expected() {
    let events = [NewEvent::new(dropped("ann", 2)), NewEvent::new(bought("carl", 2))];
    let text = panic_of(|| drop(shop().when_executed(Give(2)).then_events(events)));
    assert!(text.starts_with("the decision emitted other events (- expected, + emitted)"), "{text}");
    assert!(text.contains("-     customer: \"carl\"") && text.contains("+     customer: \"bob\""), "{text}");
    let text = panic_of(|| drop(shop().when_executed(Give(2)).then_no_events()));
    assert!(text.contains("+ 1: Dropped"), "{text}");
    let text = panic_of(|| drop(shop().when_executed(Give(9)).then_events([dropped("ann", 9)])));
    assert!(text.starts_with("the decision was refused, and expected to emit 1 events"), "{text}");
    assert!(text.contains("+     qty: 6"), "{text}");
}

#[test]
fn other_refusals_are_shown_beside_the_one_expected() {
    let text = panic_of(|| drop(shop().when_executed(Give(9)).then_refused(Lacking { qty: 1 })));
    assert!(text.starts_with("the decision was refused for another reason"), "{text}");
    assert!(text.contains("-     qty: 1") && text.contains("+     qty: 6"), "{text}");
    let text = panic_of(|| drop(shop().when_executed(Give(1)).then_refused(Lacking { qty: 1 })));
    assert!(text.starts_with("the decision was accepted, and expected to be refused"), "{text}");
    assert!(text.contains("- Lacking") && text.contains("+ 1: Dropped"), "{text}");
}

#[test]
fn what_cannot_be_decided_says_why() {
    let overflown = || given([bought("ann", i32::MAX), bought("ann", 1)]).view::<Has>();
    let text = panic_of(|| drop(overflown().when_executed(Give(1)).then_no_events()));
    assert!(text.contains("stopped before the event at position 2"), "{text}");
    let unknown = given([bought("ann", 1)]).view::<Has>().when(|tx| {
        tx.emit(Added { customer: "ann".into(), item: "hats".into() });
        Ok::<(), Lacking>(())
    });
    let text = panic_of(|| drop(unknown.then_no_events()));
    assert!(text.contains("`Added`") && text.contains(".event::<E>()"), "{text}");
}
