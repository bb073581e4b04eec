use super::*;
use crate::prelude::*;
use crate::testing::tests::{Added, Bought, Dropped, panic_of};

#[projection(from(Bought, Dropped), group_by = (customer, item), having = qty != 0)]
#[derive(Debug, Clone, PartialEq)]
struct Has {
    customer: String,
    item: String,
    #[sum(Bought => qty, Dropped => -qty)]
    qty: i32,
    #[count(Bought)]
    times: u64,
}

/// Over the view above, so that it is registered by itself.
#[projection(from = Has, group_by = item)]
#[derive(Debug, Clone, PartialEq)]
struct Owners {
    item: String,
    #[count]
    owners: u64,
}

/// With a look-up of the view above.
#[projection(from = Added, left_join(has = Has[(customer, item)]), group_by = customer)]
#[derive(Debug, Clone, PartialEq)]
struct Greeted {
    customer: String,
    #[last(has.map_or(0, |has| has.qty))]
    qty: i32,
}

fn bought(customer: &str, item: &str, qty: i32) -> Bought {
    Bought { customer: customer.into(), item: item.into(), qty }
}

fn dropped(customer: &str, item: &str, qty: i32) -> Dropped {
    Dropped { customer: customer.into(), item: item.into(), qty }
}

fn has(customer: &str, item: &str, qty: i32, times: u64) -> Has {
    Has { customer: customer.into(), item: item.into(), qty, times }
}

fn shop() -> Given {
    given([bought("ann", "hats", 1), bought("ann", "hats", 2), bought("bob", "pants", 1)])
}

#[test]
fn rows_are_found_and_given_on() {
    shop()
        .and([dropped("bob", "pants", 1)])
        .view::<Has>()
        .then_row(("ann", "hats"), has("ann", "hats", 3, 2))
        .then_no_row(("bob", "pants"))
        .then_rows([has("ann", "hats", 3, 2)])
        .view::<Owners>()
        .then_rows([Owners { item: "hats".into(), owners: 1 }]);
}

#[test]
fn a_look_up_sees_the_row_as_of_the_event() {
    let added = Added { customer: "ann".into(), item: "hats".into() };
    let greeted = Greeted { customer: "ann".into(), qty: 3 };
    shop().and([added]).and([bought("ann", "hats", 5)]).view::<Greeted>().then_rows([greeted]);
}

#[test]
fn events_that_no_view_reads_have_to_be_known() {
    let added = || Added { customer: "ann".into(), item: "hats".into() };
    let events = || given([bought("ann", "hats", 1)]).and([added()]);
    events().event::<Added>().view::<Has>().then_rows([has("ann", "hats", 1, 1)]);
    let text = panic_of(|| drop(events().view::<Has>().then_rows([])));
    assert!(text.starts_with("`Has` does not read `Added`, nor does a view that it reads: "), "{text}");
    assert!(text.contains("`.event::<E>()`") && text.contains("\n    2: Added {"), "{text}");
}

#[test]
fn a_row_that_differs_is_shown_line_by_line() {
    let text = panic_of(|| drop(shop().view::<Has>().then_row(("ann", "hats"), has("ann", "hats", 2, 2))));
    assert_eq!(
        text,
        r#"`Has`: row (customer = "ann", item = "hats") differs in `qty`:
      Has {
          customer: "ann",
          item: "hats",
    -     qty: 2,
    +     qty: 3,
          times: 2,
      }
    (- expected, + found)
"#
    );
}

#[test]
fn a_row_that_is_not_there_is_told_with_those_that_are() {
    let text = panic_of(|| drop(shop().view::<Has>().then_row(("carl", "hats"), has("carl", "hats", 1, 1))));
    assert_eq!(
        text,
        r#"`Has` has no row of this key. Expected was:
    Has {
        customer: "carl",
        item: "hats",
        qty: 1,
        times: 1,
    }
There are rows of:
    (customer = "ann", item = "hats")
    (customer = "bob", item = "pants")
"#
    );
    let text = panic_of(|| drop(nothing().view::<Has>().then_row(("a", "b"), has("a", "b", 1, 1))));
    assert!(text.ends_with("There are no rows.\n"), "{text}");
}

#[test]
fn a_row_that_is_not_to_be_there_is_shown() {
    let text = panic_of(|| drop(shop().view::<Owners>().then_no_row("hats")));
    assert_eq!(
        text,
        r#"`Owners` has a row (item = "hats"), where none was expected:
    Owners {
        item: "hats",
        owners: 1,
    }
"#
    );
}

#[test]
fn all_differences_are_listed() {
    let expected = [has("carl", "hats", 1, 1), has("ann", "hats", 3, 1), has("carl", "hats", 1, 1)];
    let text = panic_of(|| drop(shop().view::<Has>().then_rows(expected)));
    assert_eq!(
        text,
        r#"the rows of `Has` are not as expected: 1 differing, 1 missing, 1 unexpected, 1 expected twice (- expected, + found)

row (customer = "carl", item = "hats") is expected twice: a key has one row

row (customer = "ann", item = "hats") differs in `times`:
      Has {
          customer: "ann",
          item: "hats",
          qty: 3,
    -     times: 1,
    +     times: 2,
      }

row (customer = "bob", item = "pants") is unexpected:
    + Has {
    +     customer: "bob",
    +     item: "pants",
    +     qty: 1,
    +     times: 1,
    + }

row (customer = "carl", item = "hats") is missing:
    - Has {
    -     customer: "carl",
    -     item: "hats",
    -     qty: 1,
    -     times: 1,
    - }
"#
    );
}

#[test]
fn a_long_list_ends_somewhere() {
    let events = (0..50).map(|n| bought("ann", &format!("{n:02}"), 1));
    let text = panic_of(|| drop(given(events).view::<Has>().then_rows([])));
    assert!(text.starts_with("the rows of `Has` are not as expected: 50 unexpected"), "{text}");
    assert!(text.contains("item: \"19\"") && !text.contains("item: \"20\""), "{text}");
    assert!(text.ends_with("\n.. and 30 more rows\n"), "{text}");
}

#[test]
fn a_view_that_has_stopped_says_why() {
    let events = || given([bought("ann", "hats", i32::MAX), bought("ann", "hats", 1)]);
    let text = panic_of(|| drop(events().view::<Has>().then_rows([])));
    assert!(
        text.starts_with("`Has` stopped before the event at position 2, `Bought`, column `qty`: "),
        "{text}"
    );
    assert!(text.contains("\n    2: Bought {\n        customer: \"ann\",\n"), "{text}");
    events().view::<Has>().then_stopped("column `qty`");
    let text = panic_of(|| drop(events().view::<Has>().then_stopped("column `times`")));
    assert!(text.contains("stop for another reason:\n    - column `times`\n    + `Has` stopped"), "{text}");
    let text = panic_of(|| drop(shop().view::<Has>().then_stopped("column `qty`")));
    assert!(text.starts_with("`Has` has folded every event"), "{text}");
}

#[projection(from = Bought, group_by = customer)]
#[derive(Debug, Clone, PartialEq)]
struct LastBought {
    customer: String,
    #[last(meta.recorded_at)]
    at: Timestamp,
}

#[test]
fn what_is_decided_happens_at_the_same_time() {
    let at = Timestamp::from_micros(7);
    nothing()
        .at(at)
        .view::<LastBought>()
        .when(|tx: &mut Tx| {
            tx.emit(bought("ann", "hats", 1));
            Ok::<(), ()>(())
        })
        .then_events([bought("ann", "hats", 1)])
        .view::<LastBought>()
        .then_row("ann", LastBought { customer: "ann".into(), at });
}
