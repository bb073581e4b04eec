//! The kit for users' tests, as a user has it: from outside, with the files that it keeps beside the tests, and with its environment variables.

use std::path::Path;
use std::process::Command;

use cqrs_core::aggregate::Aggregate;
use cqrs_core::codec::Readable;
use cqrs_core::prelude::*;
use cqrs_core::testing::{SchemaLock, fold_lock, given, nothing, refold_check};

#[value]
#[derive(Debug, Clone, PartialEq)]
pub enum Channel {
    Web,
    Shop,
}

#[event(name = "purchased", aliases("Purchase"))]
#[derive(Debug, Clone, PartialEq)]
pub struct Purchased {
    customer: String,
    item: String,
    qty: u32,
    #[serde(default, alias = "when")]
    at: i64,
    channel: Option<Channel>,
}

#[event]
#[derive(Debug, Clone, PartialEq)]
pub enum Account {
    Opened { customer: String },
    Closed { customer: String },
}

/// A row goes when the account is closed.
#[projection(from = Purchased, remove = Account { Closed, .. }, group_by = customer)]
#[derive(Debug, Clone, PartialEq)]
struct Customer {
    customer: String,
    #[sum(points(qty))]
    points: i64,
    #[count_distinct(item)]
    items: u64,
    #[top(2, qty)]
    most: Vec<u32>,
    #[last(channel)]
    channel: Option<Channel>,
}

fn points(qty: u32) -> i64 {
    i64::from(qty) * 10
}

#[projection(from = Purchased, group_by = item, window = session(at, gap = "10s"), unit = "s", lateness = "100s")]
#[derive(Debug, Clone, PartialEq)]
struct Rush {
    item: String,
    window_start: i64,
    window_end: i64,
    #[sum(i64::from(qty))]
    qty: i64,
}

#[projection(from = Customer, group_by = ())]
#[derive(Debug, Clone, PartialEq)]
struct Everyone {
    #[count]
    customers: u64,
    #[max(points)]
    best: Option<i64>,
}

fn purchased(customer: &str, item: &str, qty: u32, at: i64) -> Purchased {
    Purchased { customer: customer.into(), item: item.into(), qty, at, channel: Some(Channel::Web) }
}

fn closed(customer: &str) -> Account {
    Account::Closed { customer: customer.into() }
}

fn customer(customer: &str, points: i64, items: u64, most: &[u32]) -> Customer {
    Customer { customer: customer.into(), points, items, most: most.to_vec(), channel: Some(Channel::Web) }
}

fn many() -> impl Iterator<Item = NewEvent> {
    let customers = ["ann", "bob", "carl", "dora"];
    (0..120).map(move |n: usize| match n % 11 {
        10 => NewEvent::new(closed(customers[n % 4])),
        _ => {
            let item = ["hats", "pants"][n % 2];
            NewEvent::new(purchased(customers[n % 4], item, n as u32 % 7, (n as i64 * 37) % 100))
        }
    })
}

#[test]
fn events_make_rows() {
    given([purchased("ann", "hats", 1, 0), purchased("ann", "pants", 5, 3), purchased("bob", "hats", 2, 20)])
        .and([closed("bob")])
        .event::<Account>()
        .view::<Customer>()
        .then_row("ann", customer("ann", 60, 2, &[5, 1]))
        .then_no_row("bob")
        .then_rows([customer("ann", 60, 2, &[5, 1])])
        .view::<Rush>()
        .then_rows([
            Rush { item: "hats".into(), window_start: 20, window_end: 30, qty: 2 },
            Rush { item: "pants".into(), window_start: 3, window_end: 13, qty: 5 },
            Rush { item: "hats".into(), window_start: 0, window_end: 10, qty: 1 },
        ])
        .view::<Everyone>()
        .then_row((), Everyone { customers: 1, best: Some(60) });
    nothing().view::<Everyone>().then_no_row(());
}

#[test]
#[should_panic(expected = "differs in `points`, `most`")]
fn a_row_that_differs_names_its_columns() {
    given([purchased("ann", "hats", 1, 0)]).view::<Customer>().then_rows([customer("ann", 11, 1, &[2])]);
}

#[test]
fn views_of_every_kind_fold_the_same_in_pieces() {
    refold_check::<Customer>(many());
    refold_check::<Rush>(many().filter(|event| !format!("{event:?}").contains("Closed")));
    refold_check::<Everyone>(many());
}

#[test]
fn stored_events_stay_readable() {
    SchemaLock::new("tests/kit/events.lock").event::<Purchased>().event::<Account>().check();
}

#[test]
fn the_same_events_make_the_same_rows() {
    let events = [purchased("ann", "hats", 1, 0), purchased("ann", "pants", 5, 3)];
    fold_lock::<Customer>(
        "tests/kit/customer.lock",
        events
            .map(NewEvent::new)
            .into_iter()
            .chain([NewEvent::new(purchased("bob", "hats", 2, 20)), NewEvent::new(closed("bob"))]),
    );
}

#[test]
fn a_payload_can_be_read_by_people() {
    let mut payload = Vec::new();
    purchased("ann", "hats", 1, 0).encode(&mut payload).unwrap();
    assert_eq!(
        Readable::of(&payload).unwrap().to_string(),
        r#"{ customer: "ann", item: "hats", qty: 1, at: 0, channel: "Web" }"#
    );
}

mod wrong {
    //! Projections with a mistake that no compiler sees.

    use super::*;

    /// Keeps what it has seen where no checkpoint sees it.
    #[value]
    #[derive(Clone, Default)]
    pub(super) struct Longest {
        length: u64,
        #[serde(skip)]
        text: String,
    }

    impl Aggregate for Longest {
        type Input = String;
        type Output = String;
        fn insert(&mut self, input: &String) -> Result<(), String> {
            if input.len() as u64 >= self.length {
                (self.length, self.text) = (input.len() as u64, input.clone());
            }
            Ok(())
        }
        fn output(&self) -> String {
            self.text.clone()
        }
    }

    #[projection(from = Purchased, group_by = customer)]
    #[derive(Debug)]
    pub(super) struct Wordy {
        pub(super) customer: String,
        #[fold(Longest, item)]
        pub(super) longest: String,
    }

    #[projection(from = Purchased, group_by = customer)]
    #[derive(Debug)]
    pub(super) struct Full {
        pub(super) customer: String,
        #[sum(i64::MAX - i64::from(qty))]
        pub(super) sum: i64,
    }
}

/// Run by the tests below, in a process of its own.
#[test]
#[ignore = "fails"]
fn wordy() {
    let items = ["hats", "pants", "socks", "a tie"];
    refold_check::<wrong::Wordy>((0..40).map(|n: usize| purchased("ann", items[n * 7 % 4], 1, 0)));
}

/// Run by the tests below, in a process of its own.
#[test]
#[ignore = "fails"]
fn stopped() {
    given([1, 2].map(|qty| purchased("ann", "hats", qty, 0))).view::<wrong::Full>().then_no_row("bob");
}

/// Run by the tests below, in a process of its own.
#[test]
#[ignore = "goes by the environment"]
fn locked() {
    let folder = std::env::var("KIT_FOLDER").unwrap();
    let folder = Path::new(&folder);
    if std::env::var("KIT_MORE").is_ok() {
        SchemaLock::new(folder.join("events.lock")).event::<Purchased>().event::<Account>().check();
    } else {
        SchemaLock::new(folder.join("events.lock")).event::<Purchased>().check();
    }
    fold_lock::<Customer>(folder.join("customer.lock"), [purchased("ann", "hats", 1, 0)]);
}

/// Whether an ignored test passes, and what it says.
fn run(test: &str, variables: &[(&str, &str)]) -> (bool, String) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]);
    for variable in ["CI", "CQRS_UPDATE", "REFOLD_SEED", "RUST_BACKTRACE"] {
        command.env_remove(variable);
    }
    let output = command.envs(variables.iter().copied()).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_view_that_forgets_is_found_and_its_seed_repeats_it() {
    let (passes, text) = run("wordy", &[]);
    assert!(!passes && text.contains("tests/tests/kit.rs:"), "{text}");
    assert!(text.contains("`Wordy`: ") && text.contains(" differs in `longest`:"), "{text}");
    let seed = text.rsplit_once("REFOLD_SEED=").unwrap().1.split_once(' ').unwrap().0;
    let (passes, again) = run("wordy", &[("REFOLD_SEED", seed)]);
    assert!(!passes, "{again}");
    let told =
        |text: &str| text.split_once("`Wordy`: ").unwrap().1.split_once("\n\nround").unwrap().0.to_owned();
    assert_eq!(told(&text), told(&again));
    let (_, text) = run("wordy", &[("REFOLD_SEED", "many")]);
    assert!(text.contains("REFOLD_SEED is a number"), "{text}");
}

#[test]
fn a_failure_is_told_at_the_line_of_the_test() {
    let (passes, text) = run("stopped", &[]);
    assert!(!passes && text.contains("tests/tests/kit.rs:"), "{text}");
    assert!(
        text.contains("`Full` stopped before the event at position 2, `purchased`, column `sum`"),
        "{text}"
    );
}

#[test]
fn files_are_written_when_the_environment_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let here = ("KIT_FOLDER", folder.path().to_str().unwrap());
    let more = ("KIT_MORE", "1");
    let read = || std::fs::read_to_string(folder.path().join("events.lock")).unwrap();

    let (passes, text) = run("locked", &[here, ("CI", "true")]);
    assert!(!passes && text.contains("events.lock is not there, and this is CI"), "{text}");
    assert!(run("locked", &[here]).0);
    assert!(run("locked", &[here, ("CI", "true")]).0);
    let written = read();

    let (passes, text) = run("locked", &[here, more]);
    assert!(
        !passes && text.contains("run the test with CQRS_UPDATE=1") && text.contains("+ event Closed"),
        "{text}"
    );
    assert_eq!(read(), written);
    assert!(run("locked", &[here, more, ("CQRS_UPDATE", "1")]).0);
    assert!(read().contains("\nevent Closed version 1\n  field customer String required\n"));

    let (passes, text) = run("locked", &[here, ("CQRS_UPDATE", "1")]);
    assert!(!passes && text.contains("no event type claims the stored name `Closed` any more"), "{text}");
    assert!(run("locked", &[here, ("CQRS_UPDATE", "force")]).0);
    assert_eq!(read(), written);
    let (passes, text) = run("locked", &[here, ("CQRS_UPDATE", "yes")]);
    assert!(!passes && text.contains("CQRS_UPDATE is `1` or `force`, and not `yes`"), "{text}");
}
