use super::*;
use crate::prelude::*;
use crate::testing::tests::{Added, Bought};

const WRITE: Setting = Setting { update: Update::No, ci: false };
const CI: Setting = Setting { update: Update::No, ci: true };
const UPDATE: Setting = Setting { update: Update::Yes, ci: false };
const FORCE: Setting = Setting { update: Update::Force, ci: false };

/// What a projection calls, in one release and the next.
fn with_tax(price: i32) -> i64 {
    i64::from(price) * 119 / 100
}

fn with_more_tax(price: i32) -> i64 {
    i64::from(price) * 125 / 100
}

macro_rules! spent {
    ($module:ident, $function:ident $(, $version:literal)?) => {
        mod $module {
            use super::{$function as taxed, *};
            #[projection(from = Bought, group_by = customer $(, version = $version)?)]
            pub(super) struct Spent {
                pub(super) customer: String,
                #[sum(taxed(qty))]
                pub(super) total: i64,
            }
        }
    };
}

spent!(before, with_tax);
spent!(changed, with_more_tax);
spent!(visible, with_tax, 2);
spent!(raised, with_more_tax, 2);

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn hold<V: Projection>(&self, events: &[NewEvent], setting: Setting) -> Result<(), String> {
        let mut file = LockFile::new(&self.0.path().join("spent.lock"));
        file.name = "spent.lock".into();
        hold::<V>(&file, events, setting)
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.0.path().join("spent.lock")).unwrap()
    }

    fn put(&self, text: &str) {
        std::fs::write(self.0.path().join("spent.lock"), text).unwrap();
    }
}

fn bought(customer: &str, qty: i32) -> NewEvent {
    NewEvent::new(Bought { customer: customer.into(), item: "hats".into(), qty })
}

fn events() -> Vec<NewEvent> {
    vec![bought("ann", 100), bought("bob", 200), bought("ann", 1)]
}

#[test]
fn a_change_is_held_against_the_last_that_was_taken_also_where_that_made_the_same_rows() {
    let place = Place::new();
    place.hold::<before::Spent>(&events(), WRITE).unwrap();
    let text = place.hold::<visible::Spent>(&events(), WRITE).unwrap_err();
    assert!(text.contains("makes the same rows of these events"), "{text}");
    place.hold::<visible::Spent>(&events(), UPDATE).unwrap();
    // Since then, nothing has changed that a macro can see.
    assert_eq!(raised::Spent::FINGERPRINT, visible::Spent::FINGERPRINT);
    let text = place.hold::<raised::Spent>(&events(), UPDATE).unwrap_err();
    assert!(text.contains("Nothing that a macro can see has changed"), "{text}");
}

#[test]
fn the_file_has_the_events_and_their_rows() {
    let place = Place::new();
    place.hold::<before::Spent>(&events()[..1], CI).unwrap_err();
    place.hold::<before::Spent>(&events()[..1], WRITE).unwrap();
    let text = place.text();
    let fingerprint = format!("view spent fingerprint {:032x}\n", before::Spent::FINGERPRINT);
    let rest = text.split_once(&fingerprint).unwrap().1;
    assert_eq!(
        rest,
        r#"
event Bought version 1
  payload 83a8637573746f6d6572a3616e6ea46974656da468617473a371747964
  # Bought {
  #     customer: "ann",
  #     item: "hats",
  #     qty: 100,
  # }

row
  customer = "ann"
  total = 119
"#
    );
    for setting in [WRITE, CI, UPDATE, FORCE] {
        place.hold::<before::Spent>(&events()[..1], setting).unwrap();
        assert_eq!(place.text(), text);
    }
}

#[test]
fn a_function_that_has_changed_is_found() {
    let place = Place::new();
    place.hold::<before::Spent>(&events(), WRITE).unwrap();
    let before = place.text();
    let text = place.hold::<changed::Spent>(&events(), WRITE).unwrap_err();
    assert_eq!(
        text,
        r#"spent.lock: `Spent` makes other rows of the same events: 2 differing (- in the file, + now)

row (customer = "ann") differs in `total`:
      customer = "ann"
    - total = 120
    + total = 126

row (customer = "bob") differs in `total`:
      customer = "bob"
    - total = 238
    + total = 250

Nothing that a macro can see has changed in the projection, so views that are saved would keep the rows of before. If the new rows are right, raise the projection's version, `#[projection(version = N, ..)]`, or that of an aggregate of yours, `const VERSION`, and run the test with CQRS_UPDATE=1.
"#
    );
    // Not even then: saved views would keep their rows.
    assert_eq!(place.hold::<changed::Spent>(&events(), UPDATE).unwrap_err(), text);
    assert_eq!(place.text(), before);
    let text = place.hold::<raised::Spent>(&events(), WRITE).unwrap_err();
    assert!(text.contains("If the new rows are right, run the test with CQRS_UPDATE=1."), "{text}");
    place.hold::<raised::Spent>(&events(), UPDATE).unwrap();
    place.hold::<raised::Spent>(&events(), CI).unwrap();

    place.put(&before);
    place.hold::<changed::Spent>(&events(), FORCE).unwrap();
    place.hold::<changed::Spent>(&events(), WRITE).unwrap();
}

#[test]
fn other_events_are_told() {
    let place = Place::new();
    place.hold::<before::Spent>(&events(), WRITE).unwrap();
    let others = [bought("ann", 100), bought("bob", 7), bought("ann", 1)];
    let text = place.hold::<before::Spent>(&others, WRITE).unwrap_err();
    assert_eq!(
        text,
        r#"spent.lock: the events given are not those of the file (- in the file, + now):
      1: Bought {
          customer: "ann",
          item: "hats",
          qty: 100,
      }
      2: Bought {
          customer: "bob",
          item: "hats",
    -     qty: 200,
    +     qty: 7,
      }
      3: Bought {
          customer: "ann",
          item: "hats",
          qty: 1,
      }

If they are meant to be others, run the test with CQRS_UPDATE=1.
"#
    );
    place.hold::<before::Spent>(&others, UPDATE).unwrap();
    place.hold::<before::Spent>(&others, WRITE).unwrap();
}

/// What `Bought` was before it had an item, under a name that it claims.
mod old {
    use super::*;
    #[event(name = "Bought")]
    pub(super) struct Bought {
        pub(super) customer: String,
        pub(super) qty: i32,
    }
}

mod grown {
    use super::*;
    #[event(name = "Bought")]
    pub(super) struct Grown {
        pub(super) customer: String,
        pub(super) qty: i64,
        pub(super) note: Option<String>,
    }

    #[projection(from = Grown, group_by = customer)]
    pub(super) struct Spent {
        pub(super) customer: String,
        #[sum(qty)]
        pub(super) total: i64,
    }

    /// Over that view.
    #[projection(from = Spent, group_by = ())]
    pub(super) struct Total {
        #[sum(total)]
        pub(super) total: i64,
    }
}

#[projection(from = old::Bought, group_by = customer)]
struct Spent {
    customer: String,
    #[sum(i64::from(qty))]
    total: i64,
}

#[test]
fn bytes_of_an_earlier_release_stay_in_the_file() {
    let place = Place::new();
    let old = |qty| NewEvent::new(old::Bought { customer: "ann".into(), qty });
    let new = |qty| NewEvent::new(grown::Grown { customer: "ann".into(), qty, note: None });
    place.hold::<Spent>(&[old(1), old(2)], WRITE).unwrap();
    let before = place.text();
    // The event has grown; the same is said, in other bytes.
    let text = place.hold::<grown::Spent>(&[new(1), new(2)], CI).unwrap_err();
    assert!(text.contains("has changed since the file was written, and makes the same rows"), "{text}");
    place.hold::<grown::Spent>(&[new(1), new(2)], UPDATE).unwrap();
    place.hold::<grown::Spent>(&[new(1), new(2)], CI).unwrap();
    place.hold::<grown::Spent>(&[new(1), new(2), new(3)], UPDATE).unwrap();
    let payloads = |text: &str| {
        let lines = text.lines().filter(|line| line.starts_with("  payload"));
        lines.map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(payloads(&place.text())[..2], payloads(&before));
    assert_eq!(payloads(&place.text()).len(), 3);

    let place = Place::new();
    place.put(&before.replace("row\n  customer = \"ann\"\n", "row\n"));
    place.hold::<grown::Total>(&[new(1), new(2)], UPDATE).unwrap();
}

#[test]
fn an_event_that_cannot_be_read_any_more_is_told() {
    let place = Place::new();
    let old = || NewEvent::new(old::Bought { customer: "ann".into(), qty: 1 });
    place.hold::<Spent>(&[old()], WRITE).unwrap();
    // It has no item.
    let text = place.hold::<before::Spent>(&events()[..1], UPDATE).unwrap_err();
    assert!(
        text.starts_with(
            "spent.lock: the view cannot be made of the events in the file any more: `Spent` stopped before the event at position 1, `Bought`: "
        ),
        "{text}"
    );
    let text = place.hold::<before::Spent>(
        &[NewEvent::new(Added { customer: "ann".into(), item: "hats".into() })],
        FORCE,
    );
    assert!(text.unwrap_err().contains("`Spent` does not read `Added`"));
}

#[test]
fn a_line_that_cannot_be_read_is_told() {
    let place = Place::new();
    place.hold::<before::Spent>(&events(), WRITE).unwrap();
    let written = place.text();
    for (from, to) in [
        ("  payload 83a8", "  payload 83g8"),
        ("event Bought version 1", "event Bought version one"),
        ("row\n", "raw\n"),
        ("view spent ", "view "),
    ] {
        place.put(&written.replacen(from, to, 1));
        let number = 1 + place.text().lines().zip(written.lines()).take_while(|(a, b)| a == b).count();
        let text = place.hold::<before::Spent>(&events(), UPDATE).unwrap_err();
        assert!(text.starts_with(&format!("spent.lock, line {number}: `")), "{text}");
    }
}
