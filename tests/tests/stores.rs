//! The folder over the years: one that earlier versions of the library have written, and one that is restored from a backup.

use std::fs;
use std::path::Path;

use cqrs_core::prelude::*;
use cqrs_core::stream;
use rusqlite::Connection;

#[event]
#[derive(Debug, Clone, PartialEq)]
pub struct Purchased {
    customer: String,
    item: String,
    qty: i32,
}

fn bought(customer: &str, item: &str, qty: i32) -> Purchased {
    Purchased { customer: customer.into(), item: item.into(), qty }
}

#[projection(from = Purchased, group_by = (customer, item))]
#[derive(Debug, Clone, PartialEq)]
pub struct CustomerPurchases {
    customer: String,
    item: String,
    #[sum(qty)]
    total_qty: i64,
}

/// At most ten of an item for a customer.
struct Buy(Purchased);

impl Command for Buy {
    type Refusal = i64;

    fn decide(&self, tx: &mut Tx) -> Result<(), i64> {
        let event = &self.0;
        let has = tx.get::<CustomerPurchases>((&event.customer, &event.item)).map_or(0, |row| row.total_qty);
        if has + i64::from(event.qty) > 10 {
            return Err(has);
        }
        tx.emit(event.clone());
        Ok(())
    }
}

fn open(folder: &Path) -> Engine {
    let engine = Engine::open(folder).unwrap().view::<CustomerPurchases>().start().unwrap();
    engine.wait_ready().wait().unwrap();
    engine
}

fn rows(engine: &Engine) -> Vec<(String, String, i64)> {
    let rows = engine.view::<CustomerPurchases>().rows_by_key().unwrap();
    rows.map(|row| (row.customer, row.item, row.total_qty)).collect()
}

fn format(file: &Path) -> u32 {
    Connection::open(file).unwrap().query_one("PRAGMA user_version", [], |row| row.get(0)).unwrap()
}

/// The example `purchases` of that time, as SQL: `events` and `views`, each by the format it has.
fn written_by_an_earlier_version(folder: &Path, files: [(&str, &str); 2]) {
    fs::create_dir(folder).unwrap();
    for (file, sql) in files {
        let connection = Connection::open(folder.join(file)).unwrap();
        connection.execute_batch(sql).unwrap();
    }
}

#[test]
fn what_earlier_versions_wrote_is_opened_and_brought_up_to_date() {
    let stores = [
        [
            ("events.db", include_str!("../formats/events-1.sql")),
            ("views.db", include_str!("../formats/views-1.sql")),
        ],
        [
            ("events.db", include_str!("../formats/events-2.sql")),
            ("views.db", include_str!("../formats/views-3.sql")),
        ],
        [
            ("events.db", include_str!("../formats/events-3.sql")),
            ("views.db", include_str!("../formats/views-4.sql")),
        ],
    ];
    for (number, files) in stores.into_iter().enumerate() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("shop");
        written_by_an_earlier_version(&folder, files);
        let before = format(&folder.join("events.db"));

        // Who only reads changes nothing.
        let reader = Engine::open_read_only(&folder).unwrap().view::<CustomerPurchases>().start().unwrap();
        reader.wait_ready().wait().unwrap();
        assert_eq!(reader.view::<CustomerPurchases>().len().unwrap(), 3);
        reader.close().wait().unwrap();
        assert_eq!(format(&folder.join("events.db")), before);

        let engine = open(&folder);
        // Checkpoints of the format before are of use, and older ones kept.
        assert_eq!(engine.health().views[0].checkpoint.is_some(), number == 2);
        assert_eq!(folder.join("views.db.damaged-1").exists(), number != 2);
        let of = |item: &str, qty| ("jsmith".to_owned(), item.to_owned(), qty);
        assert_eq!(rows(&engine), [of("hats", 2), of("pants", 1), of("sweaters", 1)]);
        // What came with newer formats: sources, and the keys of commands.
        let fed = engine.feed("till", stream([(7, bought("jsmith", "hats", 3))])).wait().unwrap();
        assert_eq!((fed.appended, engine.source("till").unwrap()), (1, Some(7)));
        let receipt = engine.execute(Buy(bought("jsmith", "hats", 5))).key("1").wait().unwrap();
        assert_eq!(engine.execute(Buy(bought("jsmith", "hats", 5))).key("1").wait().unwrap(), receipt);
        engine.close().wait().unwrap();
        assert_eq!([format(&folder.join("events.db")), format(&folder.join("views.db"))], [3, 5]);

        let engine = open(&folder);
        assert_eq!(rows(&engine), [of("hats", 10), of("pants", 1), of("sweaters", 1)]);
        engine.close().wait().unwrap();
        let verified = Engine::open(&folder).unwrap().view::<CustomerPurchases>().verify().unwrap();
        assert_eq!((verified.events, verified.findings), (8, vec![]));
    }
}

fn copy_files(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

/// A source is longer than what was fed of it, and is read from its start.
fn feed(engine: &Engine, items: u64) {
    let items = (1..=items).map(|offset| (offset, bought("till", "hats", 1)));
    assert_eq!(engine.feed("till", stream(items)).wait().unwrap().offset, engine.source("till").unwrap());
}

#[test]
fn a_backup_is_restored_by_putting_it_in_place_and_everything_goes_on_from_there() {
    let place = tempfile::tempdir().unwrap();
    let (folder, backup) = (place.path().join("shop"), place.path().join("backup"));
    let engine = open(&folder);
    feed(&engine, 100);
    let kept = engine.execute(Buy(bought("ann", "hats", 6))).key("ann-1").wait().unwrap();
    engine.backup(&backup).wait().unwrap();
    // What comes after it is lost with the folder.
    feed(&engine, 150);
    let lost = engine.execute(Buy(bought("ann", "hats", 4))).key("ann-2").wait().unwrap();
    let full = engine.execute(Buy(bought("ann", "hats", 1))).key("ann-3").wait();
    assert!(matches!(full, Err(DecideError::Refused(10))));
    let store = engine.store_id();
    engine.close().wait().unwrap();
    drop(engine);
    fs::remove_dir_all(&folder).unwrap();

    copy_files(&backup, &folder);
    let engine = open(&folder);
    assert_eq!(engine.store_id(), store, "receipts of before stay valid");
    let at = |customer: &str, qty| (customer.to_owned(), "hats".to_owned(), qty);
    assert_eq!(rows(&engine), [at("ann", 6), at("till", 100)]);
    assert!(engine.health().position < lost.first);
    // The source goes on from what the log has of it; a command that is sent again is known, or executed now.
    feed(&engine, 150);
    assert_eq!(engine.execute(Buy(bought("ann", "hats", 6))).key("ann-1").wait().unwrap(), kept);
    engine.execute(Buy(bought("ann", "hats", 4))).key("ann-2").wait().unwrap();
    assert_eq!(rows(&engine), [at("ann", 10), at("till", 150)]);
    engine.close().wait().unwrap();
    drop(engine);
    let verified = Engine::open(&folder).unwrap().view::<CustomerPurchases>().verify().unwrap();
    assert_eq!(verified.findings, []);
}

/// `CustomerPurchases` as the next version of the program has it.
#[projection(name = "customer_purchases", from = Purchased, group_by = (customer, item))]
#[derive(Debug, Clone, PartialEq)]
pub struct CountedPurchases {
    customer: String,
    item: String,
    #[sum(qty)]
    total_qty: i64,
    #[count]
    times: u64,
}

#[test]
fn a_changed_projection_can_be_folded_beforehand_beside_the_program_that_runs() {
    let parent = tempfile::tempdir().unwrap();
    let (shop, copy) = (parent.path().join("shop"), parent.path().join("copy"));
    let engine = open(&shop);
    engine.append_all((0..100).map(|qty| bought("ann", "hats", qty))).wait().unwrap();
    engine.backup(&copy).wait().unwrap();

    // The next version, on the copy, while this one goes on.
    let next = Engine::open(&copy).unwrap().view::<CountedPurchases>().start().unwrap();
    next.wait_ready().wait().unwrap();
    engine.append_all((0..50).map(|qty| bought("bob", "ties", qty))).wait().unwrap();
    next.close().wait().unwrap();
    engine.close().wait().unwrap();
    fs::rename(copy.join("views.db"), shop.join("views.db")).unwrap();
    for file in ["views.db-wal", "views.db-shm"] {
        assert!(!copy.join(file).exists() && !shop.join(file).exists(), "a close leaves none");
    }

    let engine = Engine::open(&shop).unwrap().view::<CountedPurchases>().start().unwrap();
    let times = |customer, item| {
        // It answers at once.
        let row = engine.view::<CountedPurchases>().get((customer, item)).unwrap().unwrap();
        (row.times, row.total_qty)
    };
    assert_eq!([times("ann", "hats"), times("bob", "ties")], [(100, 99 * 50), (50, 49 * 25)]);
}

#[test]
fn restored_by_salvage_a_log_has_another_identity_and_keeps_all_else() {
    let parent = tempfile::tempdir().unwrap();
    let [shop, copy, restored] = ["shop", "copy", "restored"].map(|name| parent.path().join(name));
    let engine = open(&shop);
    feed(&engine, 5);
    let kept = engine.execute(Buy(bought("ann", "hats", 6))).key("ann-1").wait().unwrap();
    let reaction =
        |engine: &Engine| engine.react::<Purchased>("counts", Since::Beginning, |_| Ok(())).unwrap();
    let counts = reaction(&engine);
    assert_eq!(counts.wait_for(&kept, std::time::Duration::from_secs(20)).wait().unwrap(), Reached::Reached);
    counts.stop().wait();
    let position = counts.position();
    engine.backup(&copy).wait().unwrap();
    let lost = engine.append(bought("bob", "ties", 1)).wait().unwrap();
    engine.close().wait().unwrap();

    let salvaged = cqrs_core::store::SqliteStore::salvage(&copy, &restored).unwrap();
    assert!(salvaged.why.is_none(), "{salvaged}");
    let engine = open(&restored);
    assert_eq!(
        (engine.health().position, engine.reaction_position("counts").unwrap()),
        (kept.last, Some(position))
    );
    assert_eq!(engine.source("till").unwrap(), Some(5));
    // The command is known, and what is believed of the log that was is refused.
    let again = engine.execute(Buy(bought("ann", "hats", 6))).key("ann-1").wait().unwrap();
    assert_eq!((again.first, again.last), (kept.first, kept.last));
    let waits = engine.view::<CustomerPurchases>().wait_for(&lost, std::time::Duration::ZERO).wait();
    assert!(matches!(waits, Err(cqrs_core::WaitError::OtherLog { .. })), "{waits:?}");
}

#[event]
#[derive(Debug)]
pub struct Delivered {
    item: String,
}

/// What another team reads of the log.
#[projection(from = Delivered, group_by = item)]
#[derive(Debug)]
pub struct Deliveries {
    item: String,
    #[count]
    times: u64,
}

#[test]
fn who_only_reads_may_pass_over_whatever_it_does_not_know() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(folder.path()).unwrap();
    let engine = engine.view::<CustomerPurchases>().event::<Delivered>().start().unwrap();
    engine.append(bought("ann", "hats", 1)).wait().unwrap();
    let read = || Engine::open_read_only(folder.path()).unwrap().view::<Deliveries>();
    assert!(read().start().unwrap_err().to_string().contains("`Purchased` version 1"));
    let reader = read().allow_all_unknown().start().unwrap();
    // Also what comes later.
    let receipt = engine
        .append_all([NewEvent::from(bought("ann", "hats", 1)), Delivered { item: "hats".into() }.into()]);
    let receipt = receipt.wait().unwrap();
    let view = reader.view::<Deliveries>();
    let reached = view.wait_for(&receipt, std::time::Duration::from_secs(20)).wait().unwrap();
    assert_eq!((reached, view.get("hats").unwrap().unwrap().times), (Reached::Reached, 1));
    assert!(read().allow_all_unknown().verify().unwrap().is_whole());
    engine.close().wait().unwrap();
    // Who writes does not.
    let error =
        Engine::open(folder.path()).unwrap().view::<Deliveries>().allow_all_unknown().start().unwrap_err();
    assert!(error.to_string().contains("open read-only"), "{error}");
}
