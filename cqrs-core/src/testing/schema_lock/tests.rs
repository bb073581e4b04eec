use std::path::PathBuf;

use super::*;
use crate::prelude::*;

const WRITE: Setting = Setting { update: Update::No, ci: false };
const CI: Setting = Setting { update: Update::No, ci: true };
const UPDATE: Setting = Setting { update: Update::Yes, ci: false };
const FORCE: Setting = Setting { update: Update::Force, ci: false };

/// Releases of a program, one after the other.
mod first {
    use super::*;

    #[event(aliases("Purchase"))]
    pub(super) struct Bought {
        pub(super) customer: String,
        pub(super) qty: i32,
        pub(super) note: Option<String>,
        #[serde(alias = "amount")]
        pub(super) price: f32,
    }

    #[event]
    pub(super) enum Cart {
        Added { item: String },
        Cleared {},
    }
}

/// Everything in it can read what the first wrote.
mod compatible {
    use super::*;

    #[event(name = "Bought", aliases("Purchase"))]
    pub(super) struct Purchased {
        #[serde(alias = "customer")]
        pub(super) buyer: Option<Box<str>>,
        pub(super) qty: i64,
        #[serde(default)]
        pub(super) channel: u8,
        #[serde(alias = "amount")]
        pub(super) price: f64,
    }

    #[event]
    pub(super) struct Shipped {
        pub(super) to: String,
    }
}

/// Nothing in it can.
mod broken {
    use super::*;

    #[event]
    pub(super) struct Bought {
        pub(super) who: String,
        pub(super) qty: i16,
        pub(super) note: String,
        pub(super) price: f32,
        pub(super) wholesale: bool,
    }
}

mod second {
    use super::*;

    #[event(version = 2, aliases("Purchase"))]
    pub(super) struct Bought {
        pub(super) other: String,
    }
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("events.lock")
    }

    fn lock(&self) -> SchemaLock {
        let mut lock = SchemaLock::new(self.path());
        lock.file.name = "events.lock".into();
        lock
    }

    /// A file, written by the first release.
    fn of_first() -> Self {
        let place = Self::new();
        place.first().hold(WRITE).unwrap();
        place
    }

    fn first(&self) -> SchemaLock {
        self.lock().event::<first::Bought>().event::<first::Cart>()
    }

    fn compatible(&self) -> SchemaLock {
        let lock = self.lock().event::<compatible::Purchased>().event::<first::Cart>();
        lock.event::<compatible::Shipped>()
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.path()).unwrap()
    }
}

const FIRST: &str = "
event Added version 1
  field item String required

event Bought version 1
  alias Purchase
  field customer String required
  field note Option<String> optional
  field price f32 required alias amount
  field qty i32 required

event Cleared version 1
";

#[test]
fn the_first_run_writes_the_file_and_the_next_finds_it_as_it_is() {
    let place = Place::of_first();
    assert_eq!(place.text(), format!("{HEAD}{FIRST}"));
    for setting in [WRITE, CI, UPDATE, FORCE] {
        place.first().hold(setting).unwrap();
    }
    assert_eq!(place.text(), format!("{HEAD}{FIRST}"));
    // The order in which they are named is nothing.
    place.lock().event::<first::Cart>().event::<first::Bought>().event::<first::Cart>().hold(WRITE).unwrap();
    std::fs::write(place.path(), place.text().replace('\n', "\r\n")).unwrap();
    place.first().hold(WRITE).unwrap();
}

#[test]
fn a_missing_file_is_not_written_in_ci() {
    let place = Place::new();
    let text = place.first().hold(CI).unwrap_err();
    assert!(text.ends_with("is not there, and this is CI: run the test once on a machine of yours, and commit the file that it writes"), "{text}");
    assert!(!place.path().exists());
}

#[test]
fn what_can_be_read_is_taken_in_when_it_is_asked_for() {
    let place = Place::of_first();
    let text = place.compatible().hold(WRITE).unwrap_err();
    assert_eq!(
        text,
        "events.lock is out of date: run the test with CQRS_UPDATE=1, and commit the file

      # What stored events look like. A test writes this file (cqrs_core::testing::SchemaLock); commit it.
      # A change that could not read what is stored fails that test. CQRS_UPDATE=1 takes in the others.
      
      event Added version 1
        field item String required
      
      event Bought version 1
        alias Purchase
    -   field customer String required
    -   field note Option<String> optional
    -   field price f32 required alias amount
    -   field qty i32 required
    +   field buyer Option<Box<str>> optional alias customer
    +   field channel u8 optional
    +   field note Option<String> gone
    +   field price f64 required alias amount
    +   field qty i64 required
      
      event Cleared version 1
    + 
    + event Shipped version 1
    +   field to String required
    (- in the file, + now)
"
    );
    assert_eq!(place.text(), format!("{HEAD}{FIRST}"));
    place.compatible().hold(UPDATE).unwrap();
    place.compatible().hold(WRITE).unwrap();
}

#[test]
fn what_cannot_be_read_is_refused_and_says_what_to_do() {
    let place = Place::of_first();
    let broken = || place.lock().event::<broken::Bought>().event::<first::Cart>();
    let text = broken().hold(UPDATE).unwrap_err();
    assert_eq!(
        text,
        "events.lock: events that are stored could not be read any more

event `Bought` version 1: no event type claims the stored name `Purchase` any more
    if the type was renamed, put `aliases(\"Purchase\")` into the `#[event(..)]` of the new one; if it is not appended any more, keep it under `#[event(retired)]`; if it is \
only missing here, add `.event::<..>()`

event `Bought` version 1, field `who`: it is new and required, and what is stored has no such field
    if it is `customer` under another name, `#[serde(alias = \"customer\")]`; else give it `#[serde(default)]`, or make it an `Option`; or raise the event's version, and \
read the old one with `upcast`

event `Bought` version 1, field `qty`: it is `i16` now, and `i32` is stored
    keep `i32`, and give the new form a new field; or raise the event's version, and read the old one with `upcast`; if serde does read the one as the other (the small \
table of `SchemaLock` does not know everything), CQRS_UPDATE=force

event `Bought` version 1, field `note`: it is `String` now, and `Option<String>` is stored
    keep `Option<String>`, and give the new form a new field; or raise the event's version, and read the old one with `upcast`; if serde does read the one as the other (the \
small table of `SchemaLock` does not know everything), CQRS_UPDATE=force

event `Bought` version 1, field `price`: it is not read from `amount` any more
    keep `#[serde(alias = \"amount\")]`

event `Bought` version 1, field `wholesale`: it is new and required, and what is stored has no such field
    give it `#[serde(default)]`, or make it an `Option`; or raise the event's version, and read the old one with `upcast`

If there is no log with such events, CQRS_UPDATE=force writes the file as the events are now.
"
    );
    assert_eq!(broken().hold(WRITE).unwrap_err(), text);
    assert_eq!(place.text(), format!("{HEAD}{FIRST}"));
    broken().hold(FORCE).unwrap();
    broken().hold(WRITE).unwrap();
    assert!(place.first().hold(WRITE).is_err(), "it is another lock now");
}

#[test]
fn a_version_that_is_not_read_is_refused() {
    let place = Place::of_first();
    let second = || place.lock().event::<second::Bought>().event::<first::Cart>();
    let text = second().hold(UPDATE).unwrap_err();
    assert!(
        text.contains(
            "event `Bought` version 1: its version is 2 now, and version 1 is not read\n    read it as the type that it was, `#[event(version = 2, upcast = BoughtV1)]`"
        ),
        "{text}"
    );
    // Read by a type of its own, it may: both are in the file then.
    let both = || second().event::<first::Bought>();
    both().hold(UPDATE).unwrap();
    assert!(
        place.text().contains("\nevent Bought version 2\n  alias Purchase\n  field other String required\n")
    );
    assert!(place.text().contains(FIRST.trim_end().split_once("\n\nevent Cleared").unwrap().0));
    both().hold(WRITE).unwrap();
    let text = place.first().hold(UPDATE).unwrap_err();
    assert!(text.contains("event `Bought` version 2: its version went back to 1\n"), "{text}");
}

#[test]
fn an_event_that_nobody_claims_is_refused() {
    let place = Place::of_first();
    let text = place.lock().event::<first::Bought>().hold(UPDATE).unwrap_err();
    assert!(
        text.contains("event `Added` version 1: no event type claims the stored name `Added` any more\n"),
        "{text}"
    );
    place.lock().event::<first::Bought>().hold(FORCE).unwrap();
    assert!(!place.text().contains("Added"));
}

#[test]
fn a_field_that_is_gone_is_remembered() {
    let place = Place::of_first();
    place.compatible().hold(UPDATE).unwrap();

    mod back {
        use super::*;
        #[event(aliases("Purchase"))]
        pub(super) struct Bought {
            pub(super) customer: String,
            pub(super) note: Option<u8>,
            pub(super) qty: i64,
            #[serde(alias = "amount")]
            pub(super) price: f64,
        }
    }
    let lock = place.lock().event::<back::Bought>().event::<first::Cart>().event::<compatible::Shipped>();
    let text = lock.hold(UPDATE).unwrap_err();
    assert!(text.contains("field `note`: it is `Option<u8>` now, and `Option<String>` is stored"), "{text}");
    assert!(text.contains("field `customer`: it is new and required"), "{text}");
}

#[test]
fn the_type_that_an_older_version_is_read_as_stays_what_it_was() {
    mod chain {
        use super::*;
        #[event]
        pub(super) struct SoldV1 {
            pub(super) qty: i32,
        }
        #[event(version = 2, upcast = SoldV1)]
        pub(super) struct Sold {
            pub(super) lines: Vec<i32>,
        }
        impl From<SoldV1> for Sold {
            fn from(old: SoldV1) -> Self {
                Self { lines: vec![old.qty] }
            }
        }
    }
    mod touched {
        use super::*;
        #[event]
        pub(super) struct SoldV1 {
            pub(super) qty: i32,
            pub(super) item: String,
        }
        #[event(version = 2, upcast = SoldV1)]
        pub(super) struct Sold {
            pub(super) lines: Vec<i32>,
        }
        impl From<SoldV1> for Sold {
            fn from(old: SoldV1) -> Self {
                Self { lines: vec![old.qty; old.item.len()] }
            }
        }
    }
    mod before {
        use super::*;
        #[event]
        pub(super) struct Sold {
            pub(super) qty: i32,
        }
    }
    let place = Place::new();
    place.lock().event::<before::Sold>().hold(WRITE).unwrap();
    place.lock().event::<chain::Sold>().hold(UPDATE).unwrap();
    let text = place.lock().event::<touched::Sold>().hold(UPDATE).unwrap_err();
    assert!(
        text.contains(
            "event `Sold` version 1, field `item`: it is new and required, and what is stored has no such field\n    \
             version 1 is read as `SoldV1`, and nothing else is: take that type back to what it was"
        ),
        "{text}"
    );
}

#[test]
fn a_line_that_cannot_be_read_is_told() {
    for (line, told) in [
        ("field x", "`field x` is no line of a lock"),
        ("  field x i32 maybe", "`field x i32 maybe` is no line of a lock"),
        ("event X version one", "`event X version one` is no line of a lock"),
        ("  field x i32 required alias", "`field x i32 required alias` is no line of a lock"),
        ("<<<<<<< HEAD", "`<<<<<<< HEAD` is no line of a lock"),
        ("alias %zz;", "`alias %zz;` is no line of a lock"),
    ] {
        let place = Place::of_first();
        std::fs::write(place.path(), place.text() + line).unwrap();
        let text = place.first().hold(FORCE).unwrap_err();
        let number = place.text().lines().count();
        assert!(text.starts_with(&format!("events.lock, line {number}: {told}.")), "{text}");
    }
    let place = Place::new();
    std::fs::write(place.path(), "alias Early").unwrap();
    let text = place.first().hold(WRITE).unwrap_err();
    assert!(text.starts_with("events.lock, line 1: `alias Early` stands before any event."), "{text}");
}

#[test]
fn names_that_are_more_than_a_word_come_back() {
    for name in ["plain", "two words", "100%", "%20;", "line\nend", "", "\u{1f980}", "a\u{a0}b"] {
        let word = escaped(name);
        assert_eq!(word.split_whitespace().count(), 1, "{word}");
        assert_eq!(unescaped(&word).as_deref(), Some(name));
    }
}

mod two_fields {
    use super::*;

    #[event]
    pub(super) struct Named {
        pub(super) name: String,
        pub(super) full_name: String,
    }
}

mod one_field {
    use super::*;

    #[event]
    pub(super) struct Named {
        #[serde(alias = "full_name")]
        pub(super) name: String,
    }
}

#[test]
fn two_fields_that_events_have_cannot_become_one() {
    let place = Place::new();
    place.lock().event::<two_fields::Named>().hold(WRITE).unwrap();
    let text = place.lock().event::<one_field::Named>().hold(UPDATE).unwrap_err();
    assert!(text.contains("it is read from `full_name` and from `name`"), "{text}");
    let mut payload = Vec::new();
    let both = two_fields::Named { name: "Ann".into(), full_name: "Ann Lee".into() };
    both.encode(&mut payload).unwrap();
    let error = one_field::Named::decode(0, &payload).map(|named| named.name.len()).unwrap_err();
    assert!(error.reason.contains("duplicate field"), "{error}");
}

mod read_otherwise {
    use super::*;

    pub(super) mod plain {
        use serde::{Deserialize, Deserializer, Serialize, Serializer};

        pub(in super::super) fn serialize<S: Serializer>(
            value: &Option<u8>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            value.serialize(serializer)
        }
        pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<u8>, D::Error> {
            Option::deserialize(deserializer)
        }
    }

    #[event]
    pub(super) struct Named {
        #[serde(with = "plain")]
        pub(super) age: Option<u8>,
    }
}

#[test]
fn an_option_that_a_function_reads_is_required() {
    assert!(read_otherwise::Named::TYPES[0].fields[0].required);
    let error = read_otherwise::Named::decode(0, &[0x80]).map(|named| named.age).unwrap_err();
    assert!(error.reason.contains("missing field"), "{error}");
}
