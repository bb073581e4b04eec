//! Events as programs of earlier days have stored them, read by the types of today.

use std::fmt::Debug;
use std::path::Path;

use cqrs_core::event::RecordedEvent;
use cqrs_core::prelude::*;
use cqrs_core::store::{Head, LogEvent, SqliteStore, Store, chain};
use cqrs_core::{EventsError, Refusal};

/// A stored event: its name, its version, its payload in hexadecimal.
type Stored = (&'static str, u32, &'static str);

/// `{ customer: "ann", item: "hats" }`
const V1: &str = "82a8637573746f6d6572a3616e6ea46974656da468617473";
/// `{ customer: "bob", item: "hats", qty: 2 }`
const V2: &str = "83a8637573746f6d6572a3626f62a46974656da468617473a371747902";
/// `{ customer: "ann", item: "hats", qty: 3, cents: 450 }`
const V3: &str = "84a8637573746f6d6572a3616e6ea46974656da468617473a371747903a563656e7473cd01c2";
/// `{ customer: "panic", item: "hats" }`
const PANICS: &str = "82a8637573746f6d6572a570616e6963a46974656da468617473";
/// `{ item: "hats" }`
const ITEM: &str = "81a46974656da468617473";
/// `{ item: "hats", qty: 2 }`
const QTY: &str = "82a46974656da468617473a371747902";
/// `{ item: "hats", amount: 2 }`
const AMOUNT: &str = "82a46974656da468617473a6616d6f756e7402";
/// `{ item: "hats", qty: 2, colour: "red" }`
const COLOUR: &str = "83a46974656da468617473a371747902a6636f6c6f7572a3726564";

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn hex(event: &impl Event) -> String {
    let mut payload = Vec::new();
    event.encode(&mut payload).unwrap();
    payload.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Puts events into a log as they are, whatever types there are.
fn plant(folder: &Path, stored: &[Stored]) {
    let store = SqliteStore::open(folder).unwrap();
    let mut log = store.log().unwrap();
    let before = log.head().unwrap();
    let payloads: Vec<Vec<u8>> = stored.iter().map(|(_, _, payload)| bytes(payload)).collect();
    let mut head = before;
    let events: Vec<LogEvent<'_>> = stored
        .iter()
        .zip(&payloads)
        .map(|((name, version, _), payload)| {
            let mut event = LogEvent {
                position: head.position + 1,
                name,
                version: *version,
                recorded_at: Timestamp::from_micros(1_000_000),
                event_id: None,
                metadata: &[],
                payload,
                checksum: 0,
            };
            event.checksum = chain(head.checksum, &event);
            head = Head { position: event.position, checksum: event.checksum };
            event
        })
        .collect();
    log.append(before, &events, &cqrs_core::store::Beside::default()).unwrap();
    drop(log);
    store.close().unwrap();
}

fn events<E: Event>(engine: &Engine) -> Vec<Result<RecordedEvent<E>, EventsError>> {
    let mut stream = engine.events::<E>(1).until_head();
    std::iter::from_fn(|| stream.next().wait()).collect()
}

fn rows<P: Projection>(engine: &Engine) -> Vec<P> {
    engine.wait_ready().wait().unwrap();
    engine.view::<P>().rows_by_key().unwrap().collect()
}

#[track_caller]
fn shows<P: Projection + Debug + PartialEq>(engine: &Engine, expected: &[P]) {
    assert_eq!(rows::<P>(engine), expected);
}

/// What is stored is read as these events, and folded into these rows: in one go, and from every checkpoint on.
fn reads<E, P>(stored: &[Stored], expected: &[E], row: &P)
where
    E: Event + Debug + PartialEq,
    P: Projection + Debug + PartialEq,
{
    for cut in 0..stored.len() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("shop");
        let open = || Engine::open(&folder).unwrap().view::<P>();
        if cut > 0 {
            plant(&folder, &stored[..cut]);
            open().start().unwrap().close().wait().unwrap();
        }
        plant(&folder, &stored[cut..]);
        let verified = open().verify().unwrap();
        assert!(verified.is_whole(), "{verified}");
        let engine = open().start().unwrap();
        let read: Vec<E> = events(&engine).into_iter().map(|event| event.unwrap().event).collect();
        assert_eq!(read, expected);
        shows(&engine, std::slice::from_ref(row));
        engine.close().wait().unwrap();
        let verified = open().verify().unwrap();
        assert!(verified.is_whole() && verified.views[0].folded, "{verified}");
    }
}

/// A module with an event type of today, and a view of it.
macro_rules! today {
    ($name:ident, { $($event:tt)* }) => {
        mod $name {
            use cqrs_core::prelude::*;

            $($event)*

            #[projection(from = Sale, group_by = item)]
            #[derive(Debug, PartialEq)]
            pub(crate) struct Sold {
                pub(crate) item: String,
                #[count]
                pub(crate) sales: u64,
                #[sum]
                pub(crate) qty: i64,
            }
        }
    };
}

macro_rules! sold {
    ($of:ident, $sales:expr, $qty:expr) => {
        $of::Sold { item: "hats".into(), sales: $sales, qty: $qty }
    };
}

today!(defaulted, {
    #[event]
    #[derive(Debug, PartialEq)]
    pub(crate) struct Sale {
        pub(crate) item: String,
        #[serde(default = "one")]
        pub(crate) qty: i32,
        pub(crate) note: Option<String>,
        #[serde(default)]
        pub(crate) tags: Vec<String>,
    }

    fn one() -> i32 {
        1
    }
});

#[test]
fn a_field_that_was_added() {
    let sale = |qty| defaulted::Sale { item: "hats".into(), qty, note: None, tags: Vec::new() };
    reads(&[("Sale", 1, ITEM), ("Sale", 1, QTY)], &[sale(1), sale(2)], &sold!(defaulted, 2, 3));
}

today!(aliased, {
    #[event]
    #[derive(Debug, PartialEq)]
    pub(crate) struct Sale {
        pub(crate) item: String,
        #[serde(alias = "amount")]
        pub(crate) qty: i32,
    }
});

#[test]
fn a_field_that_has_another_stored_name_from_now_on() {
    let sale = || aliased::Sale { item: "hats".into(), qty: 2 };
    reads(&[("Sale", 1, AMOUNT), ("Sale", 1, QTY)], &[sale(), sale()], &sold!(aliased, 2, 4));
    assert_eq!(hex(&sale()), QTY);
}

today!(renamed, {
    #[event]
    #[derive(Debug, PartialEq)]
    pub(crate) struct Sale {
        pub(crate) item: String,
        #[serde(rename = "amount")]
        pub(crate) qty: i32,
    }
});

#[test]
fn a_field_that_keeps_its_stored_name() {
    let sale = renamed::Sale { item: "hats".into(), qty: 2 };
    assert_eq!(hex(&sale), AMOUNT);
    reads(&[("Sale", 1, AMOUNT)], &[sale], &sold!(renamed, 1, 2));
}

today!(smaller, {
    #[event]
    #[derive(Debug, PartialEq)]
    pub(crate) struct Sale {
        pub(crate) item: String,
        pub(crate) qty: i64,
    }
});

#[test]
fn a_field_that_is_no_more_and_a_number_that_is_wider() {
    let sale = smaller::Sale { item: "hats".into(), qty: 2 };
    reads(&[("Sale", 1, COLOUR)], &[sale], &sold!(smaller, 1, 2));
}

today!(of_other_names, {
    #[event(name = "sale", aliases("Sale", "Deal"))]
    #[derive(Debug, PartialEq)]
    pub(crate) struct Sale {
        pub(crate) item: String,
        pub(crate) qty: i32,
    }
});

#[test]
fn a_type_that_has_another_stored_name_from_now_on() {
    let sale = || of_other_names::Sale { item: "hats".into(), qty: 2 };
    reads(
        &[("Deal", 1, QTY), ("Sale", 1, QTY), ("sale", 1, QTY)],
        &[sale(), sale(), sale()],
        &sold!(of_other_names, 3, 6),
    );
}

today!(upcast, {
    #[event(version = 1)]
    #[derive(Debug, PartialEq)]
    pub(crate) struct SaleV1 {
        pub(crate) customer: String,
        pub(crate) item: String,
    }

    #[event(version = 2, upcast = SaleV1)]
    #[derive(Debug, PartialEq)]
    pub(crate) struct SaleV2 {
        pub(crate) customer: String,
        pub(crate) item: String,
        pub(crate) qty: i32,
    }

    #[event(version = 3, upcast = SaleV2, aliases("Purchased"))]
    #[derive(Debug, PartialEq)]
    pub(crate) struct Sale {
        pub(crate) customer: String,
        pub(crate) item: String,
        pub(crate) qty: i32,
        pub(crate) cents: u64,
    }

    impl From<SaleV1> for SaleV2 {
        fn from(old: SaleV1) -> Self {
            assert_ne!(old.customer, "panic", "nobody is called so");
            Self { customer: old.customer, item: old.item, qty: 1 }
        }
    }

    impl From<SaleV2> for Sale {
        fn from(old: SaleV2) -> Self {
            Self {
                cents: 100 * old.qty.unsigned_abs() as u64,
                customer: old.customer,
                item: old.item,
                qty: old.qty,
            }
        }
    }

    #[projection(from = Sale, group_by = customer)]
    #[derive(Debug, PartialEq)]
    pub(crate) struct Spent {
        pub(crate) customer: String,
        #[sum]
        pub(crate) cents: u64,
    }

    #[projection(from = Spent, group_by = ())]
    #[derive(Debug, PartialEq)]
    pub(crate) struct Turnover {
        #[sum]
        pub(crate) cents: u64,
        #[max(cents)]
        pub(crate) best: u64,
    }
});

fn sale(customer: &str, qty: i32, cents: u64) -> upcast::Sale {
    upcast::Sale { customer: customer.into(), item: "hats".into(), qty, cents }
}

#[test]
fn a_chain_of_versions_in_one_log() {
    let (customer, item) = ("ann".to_owned(), "hats".to_owned());
    assert_eq!(hex(&upcast::SaleV1 { customer, item }), V1);
    let (customer, item) = ("bob".to_owned(), "hats".to_owned());
    assert_eq!(hex(&upcast::SaleV2 { customer, item, qty: 2 }), V2);
    assert_eq!(hex(&sale("ann", 3, 450)), V3);
    reads(
        &[("Sale", 1, V1), ("Sale", 3, V3), ("Purchased", 1, V1), ("Sale", 2, V2), ("Sale", 3, V3)],
        &[
            sale("ann", 1, 100),
            sale("ann", 3, 450),
            sale("ann", 1, 100),
            sale("bob", 2, 200),
            sale("ann", 3, 450),
        ],
        &sold!(upcast, 5, 10),
    );
}

/// The program's earlier days.
mod first {
    use cqrs_core::prelude::*;

    #[event]
    pub(crate) struct Sale {
        pub(crate) customer: String,
        pub(crate) item: String,
    }

    #[projection(from = Sale, group_by = item)]
    #[derive(Debug, PartialEq)]
    pub(crate) struct Sold {
        pub(crate) item: String,
        #[count]
        pub(crate) sales: u64,
    }
}

mod second {
    use cqrs_core::prelude::*;

    #[event(version = 2, upcast = crate::first::Sale)]
    pub(crate) struct Sale {
        pub(crate) customer: String,
        pub(crate) item: String,
        pub(crate) qty: i32,
    }

    impl From<crate::first::Sale> for Sale {
        fn from(old: crate::first::Sale) -> Self {
            Self { customer: old.customer, item: old.item, qty: 1 }
        }
    }

    #[projection(from = Sale, group_by = item)]
    #[derive(Debug, PartialEq)]
    pub(crate) struct Sold {
        pub(crate) item: String,
        #[count]
        pub(crate) sales: u64,
        #[sum]
        pub(crate) qty: i64,
    }
}

#[test]
fn a_program_that_grows_in_one_folder() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("shop");
    let ann = || "ann".to_owned();
    let hat = || "hats".to_owned();

    let engine = Engine::open(&folder).unwrap().view::<first::Sold>().start().unwrap();
    engine.append(first::Sale { customer: ann(), item: hat() }).wait().unwrap();
    shows(&engine, &[first::Sold { item: hat(), sales: 1 }]);
    engine.close().wait().unwrap();

    let engine = Engine::open(&folder).unwrap().view::<second::Sold>().start().unwrap();
    engine.append(second::Sale { customer: ann(), item: hat(), qty: 2 }).wait().unwrap();
    shows(&engine, &[second::Sold { item: hat(), sales: 2, qty: 3 }]);
    engine.close().wait().unwrap();

    let open = || {
        let engine = Engine::open(&folder).unwrap();
        engine.view::<upcast::Sold>().view::<upcast::Spent>().view::<upcast::Turnover>()
    };
    let engine = open().start().unwrap();
    shows(&engine, &[sold!(upcast, 2, 3)]);
    engine.append(sale("ann", 3, 450)).wait().unwrap();
    shows(&engine, &[sold!(upcast, 3, 6)]);
    shows(&engine, &[upcast::Turnover { cents: 750, best: 750 }]);
    engine.close().wait().unwrap();
    let verified = open().verify().unwrap();
    assert!(verified.is_whole() && verified.views.iter().all(|view| view.folded), "{verified}");

    // Who has gone on to version 3 does not go back to 2.
    let error = Engine::open(&folder).unwrap().view::<second::Sold>().start().unwrap_err().to_string();
    assert!(error.contains("`Sale` version 3 (1 stored): its type reads versions 1 to 2 only"), "{error}");
    assert!(error.contains("newer version of this program"), "{error}");
}

#[test]
fn many_events_of_three_versions_are_folded_in_their_order() {
    let golden = [("Sale", 1, V1), ("Sale", 2, V2), ("Sale", 3, V3)];
    let stored: Vec<Stored> = (0..9000_usize).map(|at| golden[at * at % 7 % 3]).collect();
    let cents = |version| stored.iter().filter(|stored| stored.1 == version).count() as u64;
    let ann = cents(1) * 100 + cents(3) * 450;
    let bob = cents(2) * 200;
    for (cut, threads) in [(0, 1), (0, 2), (4100, 2)] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("shop");
        let open = || {
            let engine = Engine::open(&folder).unwrap().threads(threads);
            engine.view::<upcast::Sold>().view::<upcast::Turnover>()
        };
        plant(&folder, &stored[..cut]);
        open().start().unwrap().close().wait().unwrap();
        plant(&folder, &stored[cut..]);
        let engine = open().start().unwrap();
        let qty = cents(1) + 2 * cents(2) + 3 * cents(3);
        shows(&engine, &[sold!(upcast, 9000, qty as i64)]);
        shows(&engine, &[upcast::Turnover { cents: ann + bob, best: ann.max(bob) }]);
        assert_eq!(events::<upcast::Sale>(&engine).len(), 9000);
    }
}

#[test]
fn an_old_event_that_cannot_be_read_stops_the_views_that_read_it() {
    let wrong = [
        (("Sale", 1, PANICS), "reading it panicked", "nobody is called so"),
        (("Sale", 2, V1), "missing field", "qty"),
    ];
    for (wrong, why, what) in wrong {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("shop");
        plant(&folder, &[("Sale", 1, V1), ("Other", 1, QTY), wrong, ("Sale", 3, V3), ("Other", 1, QTY)]);
        let open = || {
            let engine = Engine::open(&folder).unwrap();
            engine.view::<upcast::Sold>().view::<upcast::Turnover>().view::<variants::Others>()
        };
        let engine = open().start().unwrap();
        engine.wait_ready().wait().unwrap_err();
        let error = engine.view::<upcast::Sold>().rows().err().unwrap();
        let ReadError::Faulted(fault) = &error else { panic!("{error}") };
        assert_eq!((fault.position, &*fault.event, fault.column), (3, "Sale", None));
        assert!(fault.reason.contains(why) && fault.reason.contains(what), "{fault}");
        assert!(matches!(engine.view::<upcast::Turnover>().rows(), Err(ReadError::Faulted(_))));
        assert_eq!(engine.view::<variants::Others>().get(()).unwrap().unwrap().n, 2);
        let mut read = events::<upcast::Sale>(&engine);
        assert_eq!(read.len(), 2);
        let error = read.pop().unwrap().unwrap_err().to_string();
        assert!(error.contains("position 3, `Sale`") && error.contains(what), "{error}");
        engine.close().wait().unwrap();
        let verified = open().verify().unwrap().to_string();
        assert!(verified.contains("position 3, `Sale`") && verified.contains(what), "{verified}");
    }
}

mod variants {
    use cqrs_core::prelude::*;

    #[event]
    pub(crate) struct AddedV1 {
        pub(crate) item: String,
    }

    #[event(version = 2, upcast = AddedV1)]
    pub(crate) struct AddedV2 {
        pub(crate) item: String,
        #[serde(rename = "amount")]
        pub(crate) qty: i32,
    }

    impl From<AddedV1> for AddedV2 {
        fn from(old: AddedV1) -> Self {
            Self { item: old.item, qty: 1 }
        }
    }

    #[event]
    #[derive(Debug, PartialEq)]
    pub(crate) enum Cart {
        #[event(version = 3, upcast = AddedV2)]
        Added {
            item: String,
            qty: i32,
        },
        /// Version 1 was an event of its own, which is what a cart's `Added` is now.
        #[event(version = 2, upcast = AddedV1)]
        Put {
            item: String,
            qty: i32,
        },
        #[event(retired)]
        Other {
            item: String,
            qty: i32,
        },
        Bought(crate::upcast::Sale),
        Returned(Returned),
    }

    impl From<AddedV2> for Cart {
        fn from(old: AddedV2) -> Self {
            Self::Added { item: old.item, qty: old.qty }
        }
    }

    impl From<AddedV1> for Cart {
        fn from(old: AddedV1) -> Self {
            Self::Added { item: old.item, qty: 1 }
        }
    }

    #[event(retired)]
    #[derive(Debug, PartialEq)]
    pub(crate) struct Returned {
        pub(crate) item: String,
        pub(crate) qty: i32,
    }

    #[projection(from = Cart { Added, Bought, Returned, .. }, group_by = item)]
    #[derive(Debug, PartialEq)]
    pub(crate) struct Wanted {
        pub(crate) item: String,
        #[count]
        pub(crate) sales: u64,
        #[sum(Added => qty, Bought => qty, Returned => -qty)]
        pub(crate) qty: i64,
    }

    #[projection(from = Cart { Put, .. }, group_by = item)]
    #[derive(Debug, PartialEq)]
    pub(crate) struct Puts {
        pub(crate) item: String,
        #[count]
        pub(crate) n: u64,
    }

    #[projection(from = Cart { Other, .. }, group_by = ())]
    #[derive(Debug, PartialEq)]
    pub(crate) struct Others {
        #[count]
        pub(crate) n: u64,
    }
}

#[test]
fn variants_have_older_versions_too() {
    use variants::{Cart, Returned, Wanted};
    let item = || "hats".to_owned();
    reads(
        &[
            ("Added", 1, ITEM),
            ("Added", 2, AMOUNT),
            ("Sale", 1, V1),
            ("Added", 3, QTY),
            ("Returned", 1, QTY),
            ("Other", 1, QTY),
            ("Put", 2, QTY),
        ],
        &[
            Cart::Added { item: item(), qty: 1 },
            Cart::Added { item: item(), qty: 2 },
            Cart::Bought(sale("ann", 1, 100)),
            Cart::Added { item: item(), qty: 2 },
            Cart::Returned(Returned { item: item(), qty: 2 }),
            Cart::Other { item: item(), qty: 2 },
            Cart::Put { item: item(), qty: 2 },
        ],
        &Wanted { item: item(), sales: 5, qty: 4 },
    );
}

#[test]
fn a_variant_stays_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("shop");
    plant(&folder, &[("Put", 2, QTY), ("Put", 1, ITEM)]);
    let engine = Engine::open(&folder).unwrap().view::<variants::Puts>().start().unwrap();
    engine.wait_ready().wait().unwrap_err();
    let error = engine.view::<variants::Puts>().rows().err().unwrap().to_string();
    for part in ["position 2", "version 1 of `Put`", "`From<AddedV1>`", "`Added`"] {
        assert!(error.contains(part), "{error}");
    }
    let error = events::<variants::Cart>(&engine).pop().unwrap().unwrap_err().to_string();
    assert!(error.contains("it has to stay what it is"), "{error}");
}

#[test]
fn what_is_retired_is_read_and_no_longer_appended() {
    use variants::{Cart, Others, Returned, Wanted};
    let engine = Engine::in_memory().view::<Wanted>().view::<Others>().start().unwrap();
    let item = || "hats".to_owned();
    type Made = fn(String) -> Cart;
    let retired: [(&str, Made); 2] = [
        ("Returned", |item| Returned { item, qty: 2 }.into()),
        ("Other", |item| Cart::Other { item, qty: 2 }),
    ];
    for (name, retired) in retired {
        let error =
            engine.append_all([Cart::Added { item: item(), qty: 1 }, retired(item())]).wait().unwrap_err();
        let AppendError::NotAppended(Refusal::Retired { name: said }) = error else { panic!("{error}") };
        assert_eq!(said, name);
        let items = cqrs_core::stream([(1, retired(item()))]);
        let error = engine.feed("carts", items).wait().unwrap_err().to_string();
        assert!(error.contains(&format!("`{name}` is retired")), "{error}");
    }
    shows::<Wanted>(&engine, &[]);
    engine.append(Cart::Added { item: item(), qty: 1 }).wait().unwrap();
    shows(&engine, &[Wanted { item: item(), sales: 1, qty: 1 }]);
}

#[test]
fn a_version_that_nothing_reads_says_how_to_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("shop");
    plant(&folder, &[("Sale", 1, V1)]);
    mod alone {
        use cqrs_core::prelude::*;
        #[event(version = 2)]
        #[derive(Debug)]
        pub(super) struct Sale {
            pub(super) item: String,
        }
    }
    let open = || Engine::open(&folder).unwrap().event::<alone::Sale>();
    let error = open().start().unwrap_err().to_string();
    for part in
        ["`Sale` version 1 (1 stored): its type reads version 2 only", "add `upcast = ..`", "a `From`"]
    {
        assert!(error.contains(part), "{error}");
    }
    let engine = open().allow_unknown("Sale").start().unwrap();
    let error = events::<alone::Sale>(&engine).pop().unwrap().unwrap_err().to_string();
    assert!(error.contains("stored as version 1, and its type reads version 2 only"), "{error}");
    engine.append(alone::Sale { item: "hats".into() }).wait().unwrap();
}

/// A program whose way from version 1 to 2 gives each old sale so many.
macro_rules! program {
    ($name:ident, $older:ident { $($field:ident: $ty:ty),* }, $qty:expr) => {
        today!($name, {
            #[event]
            pub(crate) struct $older {
                $(pub(crate) $field: $ty),*
            }

            #[event(version = 2, upcast = $older)]
            pub(crate) struct Sale {
                pub(crate) item: String,
                pub(crate) qty: i32,
            }

            impl From<$older> for Sale {
                fn from(old: $older) -> Self {
                    Self { item: old.item, qty: $qty }
                }
            }
        });
    };
}

program!(one_each, SaleV1 { item: String }, 1);
program!(other_body, SaleV1 { item: String }, 5);
program!(other_type, FirstSale { item: String }, 5);
program!(other_fields, SaleV1 { item: String, note: Option<String> }, 5);

#[test]
fn a_view_is_rebuilt_when_the_way_from_older_versions_changes() {
    fn folded<P: Projection + Debug>(folder: &Path) -> String {
        let engine = Engine::open(folder).unwrap().view::<P>().start().unwrap();
        let rows = rows::<P>(&engine);
        engine.close().wait().unwrap();
        format!("{rows:?}")
    }
    let [one, five] = [sold!(one_each, 1, 1), sold!(one_each, 1, 5)].map(|row| format!("[{row:?}]"));
    type Folded = fn(&Path) -> String;
    let programs: [(Folded, &String); 3] = [
        // What a fingerprint cannot see is the body of a function: that needs a new `version` of the projection.
        (folded::<other_body::Sold>, &one),
        (folded::<other_type::Sold>, &five),
        (folded::<other_fields::Sold>, &five),
    ];
    for (next, expected) in programs {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("shop");
        plant(&folder, &[("Sale", 1, ITEM)]);
        assert_eq!(folded::<one_each::Sold>(&folder), one);
        assert_eq!(&next(&folder), expected);
    }
}
