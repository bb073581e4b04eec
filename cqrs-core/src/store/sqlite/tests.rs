//! What only the store in a folder must do: locks, damage, mix-ups, backups, and SQL for others.

mod salvage;

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tempfile::TempDir;

use super::SqliteStore;
use super::database::Database;
use super::folder::{Folder, names_in};
use super::log::SqliteLog;
use super::schema::Kind;
use super::wal::WalWatch;
use crate::sql::SqlType;
use crate::store::suite::{
    WITNESS, append, checkpoint, columns, events, grow, note, notes, noting, read_all, rows, to,
};
use crate::store::{Advance, AppendFailure, Beside, Head, Log, Store, StoreError, StoredType};

/// The path of a folder that does not exist yet, and what removes it in the end.
fn place() -> (TempDir, PathBuf) {
    let parent = tempfile::tempdir().expect("a folder");
    let path = parent.path().join("a #1 100% store?");
    (parent, path)
}

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path).expect("a store")
}

/// A closed store with ten events and one view.
fn filled() -> (TempDir, PathBuf) {
    let (parent, path) = place();
    let store = open(&path);
    grow(&mut *store.log().expect("the log"), 10);
    let view =
        checkpoint(&store, "totals", &[(0, "a", 1.0, true), (1, "b", 2.0, false), (2, "c", 3.0, true)]);
    store.checkpoints().expect("the keeper").save(WITNESS, &[view]).expect("saved");
    store.close().expect("closed");
    (parent, path)
}

fn refused(path: &Path, word: &str) -> StoreError {
    let why = SqliteStore::open(path).expect_err("refused");
    assert!(why.to_string().contains(word), "{why}");
    why
}

fn plain(path: &Path) -> Connection {
    Connection::open(path).expect("a plain connection")
}

fn head(store: &SqliteStore) -> Head {
    store.reader().expect("a reader").head().expect("the head")
}

#[test]
fn one_opener_writes_and_dropping_the_last_end_frees_the_folder() {
    let (_parent, path) = place();
    let store = open(&path);
    assert!(matches!(refused(&path, "already open"), StoreError::Locked { .. }));
    let log = store.log().expect("the log");
    assert!(matches!(store.log().err(), Some(StoreError::Locked { .. })), "a second writing end");
    drop(store);
    assert!(matches!(refused(&path, "already open"), StoreError::Locked { .. }));
    drop(log);
    let store = open(&path);
    drop(store.log().expect("the log"));
    drop(store.log().expect("the log again"));
}

#[test]
fn a_process_that_is_being_spawned_does_not_keep_the_folder_locked() {
    let (_parent, path) = filled();
    let folder = Folder::open(&path).expect("the folder");
    // As a fork has it, until it becomes another program.
    let inherited = folder.lock.as_ref().expect("locked").try_clone().expect("another descriptor");
    drop(folder);
    open(&path);
    drop(inherited);
}

#[test]
fn the_identity_stays_and_differs() {
    let ((_a, one), (_b, other)) = (filled(), filled());
    let id = open(&one).id();
    assert_eq!(open(&one).id(), id);
    assert_eq!(SqliteStore::open_read_only(&one).expect("a store").id(), id);
    assert_ne!(open(&other).id(), id);
}

#[test]
fn events_survive_reopening_without_a_clean_close() {
    let (_parent, path) = place();
    let written = grow(&mut *open(&path).log().expect("the log"), 500);
    let store = open(&path);
    assert_eq!(read_all(&mut *store.reader().expect("a reader"), 0, 1000), written);
    assert_eq!(store.log().expect("the log").head().expect("the head"), head(&store));
}

#[test]
fn a_read_only_store_follows_and_writes_nothing() {
    let (_parent, path) = place();
    assert!(matches!(SqliteStore::open_read_only(&path), Err(StoreError::NotAStore { .. })));
    assert!(!path.exists());
    let store = open(&path);
    let mut log = store.log().expect("the log");
    grow(&mut *log, 1);
    let reading = SqliteStore::open_read_only(&path).expect("a read-only store");
    assert!(reading.read_only() && !store.read_only());
    let mut reader = reading.reader().expect("a reader");
    grow(&mut *log, 2);
    assert_eq!(reader.head().expect("the head").position, 3);
    assert!(matches!(reading.log().err(), Some(StoreError::ReadOnly)));

    let mut keeper = reading.checkpoints().expect("the keeper");
    assert_eq!(keeper.views().expect("views"), []);
    let view = checkpoint(&store, "v", &[(0, "a", 1.0, true)]);
    assert!(matches!(keeper.save(WITNESS, std::slice::from_ref(&view)), Err(StoreError::ReadOnly)));
    assert!(matches!(keeper.forget("v"), Err(StoreError::ReadOnly)));
    assert!(!path.join("views.db").exists());

    // A keeper that reads sees one state: its rows are those that its views speak of.
    let mut writing = store.checkpoints().expect("the keeper");
    writing.save(WITNESS, std::slice::from_ref(&view)).expect("saved");
    let mut keeper = reading.checkpoints().expect("the keeper");
    assert!(matches!(keeper.save(WITNESS, std::slice::from_ref(&view)), Err(StoreError::ReadOnly)));
    writing.save(WITNESS, &[checkpoint(&store, "v", &[(1, "b", 1.0, true)])]).expect("saved");
    assert_eq!(keeper.views().expect("views")[0].rows, 1);
    assert_eq!(rows(&mut *keeper, "v").len(), 1);
    assert_eq!(rows(&mut *reading.checkpoints().expect("the keeper"), "v").len(), 2);
}

#[test]
fn a_read_only_store_opens_what_was_closed_or_crashed() {
    let (_parent, path) = filled();
    assert_eq!(head(&SqliteStore::open_read_only(&path).expect("a store")).position, 10);
    assert_eq!(head(&open(&path)).position, 10);
    fs::write(path.join("views.db"), b"garbage").expect("written");
    let reading = SqliteStore::open_read_only(&path).expect("a store");
    assert_eq!(reading.checkpoints().expect("the keeper").views().expect("views"), []);
    assert_eq!(fs::read(path.join("views.db")).expect("read"), b"garbage", "left as it is");
}

#[test]
fn other_contents_are_refused_and_left_alone() {
    let (parent, path) = place();
    fs::write(&path, b"a file").expect("written");
    assert!(matches!(refused(&path, "it is a file"), StoreError::NotAStore { .. }));
    fs::remove_file(&path).expect("removed");
    fs::create_dir(&path).expect("a folder");
    fs::write(path.join("thesis.txt"), b"").expect("written");
    assert!(matches!(refused(&path, "thesis.txt"), StoreError::NotAStore { .. }));
    assert_eq!(names_in(&path).expect("names"), ["thesis.txt"]);

    let foreign = parent.path().join("foreign");
    fs::create_dir(&foreign).expect("a folder");
    let other = plain(&foreign.join("events.db"));
    other
        .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE mine (x); PRAGMA user_version = 9")
        .expect("made");
    other.close().expect("closed");
    assert!(matches!(refused(&foreign, "another program"), StoreError::NotAStore { .. }));
    assert_eq!(names_in(&foreign).expect("names"), ["events.db", "lock"]);
    let unmarked = plain(&foreign.join("events.db"));
    unmarked.execute_batch("PRAGMA user_version = 0").expect("made");
    unmarked.close().expect("closed");
    assert!(matches!(refused(&foreign, "another program"), StoreError::NotAStore { .. }));
}

#[test]
fn leftovers_without_a_log_are_no_hindrance() {
    let (_parent, path) = place();
    fs::create_dir(&path).expect("a folder");
    for name in ["lock", "views.db-wal", "views.db.damaged-1"] {
        fs::write(path.join(name), b"").expect("written");
    }
    assert_eq!(head(&open(&path)), Head::default());
}

#[test]
fn a_garbled_log_is_refused() {
    for content in [&b"x"[..], &[b'x'; 5000]] {
        let (_parent, path) = filled();
        fs::write(path.join("events.db"), content).expect("written");
        assert!(matches!(refused(&path, "not an SQLite database"), StoreError::Corrupt { .. }));
        assert!(matches!(SqliteStore::open_read_only(&path), Err(StoreError::Corrupt { .. })));
        assert_eq!(fs::read(path.join("events.db")).expect("read"), content, "left as it is");
    }
}

#[test]
fn a_newer_format_is_refused() {
    let (_parent, path) = filled();
    plain(&path.join("events.db")).execute_batch("PRAGMA user_version = 4").expect("marked");
    for refused in [SqliteStore::open(&path), SqliteStore::open_read_only(&path)] {
        assert!(
            matches!(refused, Err(StoreError::NewerFormat { found: 4, supported: 3, .. })),
            "{refused:?}"
        );
    }
}

#[test]
fn a_log_that_lost_events_is_refused() {
    for (loss, word) in [
        ("DELETE FROM events", "10 events were appended"),
        ("DELETE FROM events WHERE position > 8", "10 events were appended"),
        ("DELETE FROM store", "identity is missing"),
        ("DROP TABLE events", "no such table"),
    ] {
        let (_parent, path) = filled();
        plain(&path.join("events.db")).execute_batch(loss).expect("lost");
        assert!(matches!(refused(&path, word), StoreError::Corrupt { .. }), "{loss}");
    }
}

#[test]
fn a_gap_is_found_and_named() {
    let (_parent, path) = filled();
    plain(&path.join("events.db")).execute_batch("DELETE FROM events WHERE position = 4").expect("lost");
    let mut read = 0;
    let why = open(&path).reader().expect("a reader").read(0, 100, &mut |_| {
        read += 1;
        true
    });
    let why = why.expect_err("a gap").to_string();
    assert!(why.contains("position 4 is missing") && why.contains("backup"), "{why}");
    assert_eq!(read, 3);
}

#[test]
fn damaged_pages_are_told_from_other_failures() {
    let (_parent, path) = place();
    let store = open(&path);
    grow(&mut *store.log().expect("the log"), 5000);
    store.close().expect("closed");
    drop(store);
    let file = path.join("events.db");
    let mut bytes = fs::read(&file).expect("read");
    let end = bytes.len();
    bytes[10 * 4096..end - 10 * 4096].fill(0xa5);
    fs::write(&file, bytes).expect("written");
    let why = SqliteStore::open(&path).and_then(|store| store.reader()?.read(0, 10_000, &mut |_| true));
    assert!(matches!(why, Err(StoreError::Corrupt { .. })), "{why:?}");
}

#[test]
fn a_missing_log_beside_its_views_is_refused() {
    let (_parent, path) = filled();
    fs::remove_file(path.join("events.db")).expect("removed");
    assert!(matches!(refused(&path, "only copy of what happened"), StoreError::Corrupt { .. }));
    assert!(matches!(SqliteStore::open_read_only(&path), Err(StoreError::Corrupt { .. })));
    fs::write(path.join("events.db"), b"").expect("written");
    assert!(matches!(refused(&path, "only copy of what happened"), StoreError::Corrupt { .. }));
    assert_eq!(fs::metadata(path.join("events.db")).expect("there").len(), 0);
}

#[test]
fn a_creation_that_was_cut_short_is_finished() {
    let cut_short: [fn(&Path); 3] = [
        |events| fs::write(events, b"").expect("written"),
        |events| {
            plain(events).execute_batch("PRAGMA journal_mode = WAL").expect("made");
            assert!(fs::metadata(events).expect("there").len() > 0);
        },
        |events| {
            // Created, and the change to a write-ahead log did not come about.
            let database = Database { kind: Kind::Events, path: events.into() };
            database.open().expect("made").execute_batch("PRAGMA journal_mode = DELETE").expect("changed");
        },
    ];
    for cut_short in cut_short {
        let (_parent, path) = place();
        fs::create_dir(&path).expect("a folder");
        cut_short(&path.join("events.db"));
        let store = open(&path);
        grow(&mut *store.log().expect("the log"), 2);
        let mode: String = plain(&path.join("events.db"))
            .pragma_query_value(None, "journal_mode", |row| row.get(0))
            .expect("the mode");
        assert_eq!((mode.as_str(), head(&store).position), ("wal", 2));
    }
    // The file's name was not on the disk yet when the power went, and its journal's was.
    let (_parent, path) = place();
    fs::create_dir(&path).expect("a folder");
    fs::write(path.join("events.db-journal"), [0; 512]).expect("written");
    grow(&mut *open(&path).log().expect("the log"), 2);
    fs::remove_file(path.join("events.db")).expect("removed");
    fs::write(path.join("events.db-journal"), [0; 512]).expect("written");
    fs::write(path.join("views.db"), b"").expect("written");
    refused(&path, "only copy of what happened");
    let (_parent, path) = place();
    fs::create_dir(&path).expect("a folder");
    fs::write(path.join("events.db"), b"").expect("written");
    let why = SqliteStore::open_read_only(&path).expect_err("unfinished").to_string();
    assert!(why.contains("did not finish"), "{why}");
}

/// As a loss of power leaves it: pages are on the disk in part, and the write-ahead log that they come from is still there.
#[test]
fn a_file_that_was_torn_while_its_write_ahead_log_was_folded_is_made_good() {
    let (parent, path) = place();
    let store = open(&path);
    // As long as they are open, nothing is folded.
    let (mut log, mut keeper) = (store.log().expect("the log"), store.checkpoints().expect("the keeper"));
    let written = grow(&mut *log, 500);
    keeper.save(WITNESS, &[checkpoint(&store, "totals", &[(0, "a", 1.0, true)])]).expect("saved");
    let copy = parent.path().join("copy");
    let grown = |bytes: &mut Vec<u8>| bytes[28..32].copy_from_slice(&1_000_000_u32.to_be_bytes());
    let garbled = |bytes: &mut Vec<u8>| bytes[..512].fill(0xa5);
    for torn in [grown as fn(&mut Vec<u8>), garbled] {
        let _ = fs::remove_dir_all(&copy);
        fs::create_dir(&copy).expect("a folder");
        for name in ["events.db", "views.db"] {
            let mut bytes = fs::read(path.join(name)).expect("read");
            torn(&mut bytes);
            fs::write(copy.join(name), bytes).expect("written");
            let wal = format!("{name}-wal");
            fs::copy(path.join(&wal), copy.join(&wal)).expect("copied");
        }
        assert_eq!(head(&SqliteStore::open_read_only(&copy).expect("a store")).position, 500);
        let store = open(&copy);
        assert_eq!(read_all(&mut *store.reader().expect("a reader"), 0, 1000), written);
        let mut keeper = store.checkpoints().expect("the keeper");
        assert_eq!(rows(&mut *keeper, "totals").len(), 1, "checkpoints are not set aside for it");
    }
    drop((log, keeper));
}

#[test]
fn unreadable_views_are_set_aside() {
    let spoil: [fn(&Path); 7] = [
        |views| fs::write(views, b"garbage").expect("written"),
        |views| plain(views).execute_batch("PRAGMA user_version = 6").expect("marked"),
        // Of the version before, whose parts were others.
        |views| plain(views).execute_batch("PRAGMA user_version = 3").expect("marked"),
        |views| plain(views).execute_batch("PRAGMA application_id = 7").expect("marked"),
        |views| {
            // SQLite takes this mark for that of a file which it must not write.
            let mut bytes = fs::read(views).expect("read");
            bytes[18] = 3;
            fs::write(views, bytes).expect("written");
        },
        |views| plain(views).execute_batch("DROP TABLE _views").expect("dropped"),
        |views| {
            let mut bytes = fs::read(views).expect("read");
            bytes[100..4096].fill(0xa5);
            fs::write(views, bytes).expect("written");
        },
    ];
    let (_parent, path) = filled();
    for (number, spoil) in spoil.into_iter().enumerate() {
        spoil(&path.join("views.db"));
        let spoiled = fs::read(path.join("views.db")).expect("read");
        fs::write(path.join("views.db-wal"), b"stale").expect("written");
        let store = open(&path);
        let mut keeper = store.checkpoints().expect("a fresh keeper");
        assert_eq!(keeper.views().expect("views"), [], "{number}");
        let aside = fs::read(path.join("views.db.damaged-1")).expect("set aside");
        assert!(aside == spoiled, "{number}");
        // With what belongs to it.
        let wal = fs::read(path.join("views.db.damaged-1-wal")).expect("set aside");
        assert!(wal == b"stale", "{number}");
        fs::remove_file(path.join("views.db.damaged-1")).expect("removed");
        keeper.save(WITNESS, &[checkpoint(&store, "v", &[(0, "a", 1.0, true)])]).expect("saved");
        drop(keeper);
        store.close().expect("closed");
        assert_eq!(rows(&mut *store.checkpoints().expect("the keeper"), "v").len(), 1, "{number}");
        store.close().expect("closed");
    }
}

/// They are disposable: that is no reason to leave the log as it is, nor to frighten anyone.
#[test]
fn damaged_views_do_not_keep_a_store_from_closing() {
    let (_parent, path) = filled();
    let store = open(&path);
    let mut log = store.log().expect("the log");
    let more = events(log.head().expect("the head"), 2);
    append(&mut *log, &more).expect("appended");
    drop(log);
    assert!(path.join("events.db-wal").exists());
    fs::write(path.join("views.db"), [0xa5; 4096]).expect("written");
    store.close().expect("closed");
    assert!(!path.join("events.db-wal").exists());
    drop(store);
    let store = open(&path);
    assert_eq!(store.checkpoints().expect("a fresh keeper").views().expect("views"), []);
}

#[test]
fn no_more_than_a_few_damaged_files_are_kept() {
    let (_parent, path) = filled();
    for _ in 0..12 {
        fs::write(path.join("views.db"), b"garbage").expect("written");
        let store = open(&path);
        drop(store.checkpoints().expect("a fresh keeper"));
        store.close().expect("closed");
    }
    let aside = names_in(&path).expect("names").into_iter().filter(|name| name.contains("damaged")).count();
    assert_eq!(aside, 2);
}

#[test]
fn views_of_the_format_before_are_taken_as_they_are() {
    let (_parent, path) = filled();
    let views = path.join("views.db");
    plain(&views).execute_batch("PRAGMA user_version = 4").expect("marked");
    let reader = SqliteStore::open_read_only(&path).expect("a reader");
    assert_eq!(rows(&mut *reader.checkpoints().expect("the keeper"), "totals").len(), 3);
    drop(reader);
    let store = open(&path);
    let mut keeper = store.checkpoints().expect("the keeper");
    assert_eq!(rows(&mut *keeper, "totals").len(), 3);
    keeper.save(WITNESS, &[checkpoint(&store, "totals", &[(3, "d", 4.0, true)])]).expect("saved");
    drop(keeper);
    store.close().expect("closed");
    let format: i64 = plain(&views).pragma_query_value(None, "user_version", |row| row.get(0)).expect("read");
    assert_eq!(format, 5);
    assert!(!path.join("views.db.damaged-1").exists());
    assert_eq!(rows(&mut *store.checkpoints().expect("the keeper"), "totals").len(), 4);
}

#[test]
fn damage_found_while_reading_rows_sets_the_views_aside_next_time() {
    for (damage, word) in [
        ("DROP VIEW totals; DROP TABLE \"rows$totals\"", "no such table"),
        ("UPDATE \"rows$totals\" SET \"$key\" = 7", "not what was written"),
    ] {
        let (_parent, path) = filled();
        plain(&path.join("views.db")).execute_batch(damage).expect("damaged");
        let store = open(&path);
        let why = store.checkpoints().expect("the keeper").rows("totals", &mut |_| {}).expect_err("damaged");
        assert!(matches!(why, StoreError::Corrupt { .. }) && why.to_string().contains(word), "{why}");
        assert_eq!(store.checkpoints().expect("a fresh keeper").views().expect("views"), []);
        assert!(path.join("views.db.damaged-1").exists());
    }
}

#[test]
fn sql_shows_the_real_columns_of_shown_rows() {
    let (_parent, path) = filled();
    let store = open(&path);
    let mut keeper = store.checkpoints().expect("the keeper");
    let shown = |sql: &str| {
        let other = plain(&path.join("views.db"));
        let mut select = other.prepare(sql).expect("prepared");
        let names = select.column_names().collect::<Vec<_>>().join(",");
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("selected");
        (names, rows.collect::<Result<Vec<(String, Option<f64>)>, _>>().expect("rows"))
    };
    let (names, rows) = shown("SELECT * FROM totals ORDER BY customer");
    assert_eq!(names, "customer,total");
    assert_eq!(rows, [("a".into(), Some(1.0)), ("c".into(), Some(3.0))]);
    keeper
        .save(WITNESS, &[checkpoint(&store, "totals", &[(0, "a", f64::NAN, true), (2, "c", 3.0, false)])])
        .expect("saved");
    assert_eq!(shown("SELECT * FROM totals").1, [("a".into(), None)]);
    assert_eq!(shown("SELECT state, position FROM _views").1, [("live".into(), Some(42.0))]);

    let mut renamed = checkpoint(&store, "totals", &[(9, "z", 9.0, true)]);
    renamed.columns = columns(&[("select", SqlType::Text), ("_id", SqlType::Real)]);
    keeper.save(WITNESS, &[renamed]).expect("saved");
    assert_eq!(shown("SELECT * FROM totals"), ("select,_id".into(), vec![("z".into(), Some(9.0))]));
    keeper.forget("totals").expect("forgotten");
    let left: i64 = plain(&path.join("views.db"))
        .query_one("SELECT count(*) FROM sqlite_schema WHERE name LIKE '%totals%'", [], |row| row.get(0))
        .expect("counted");
    assert_eq!(left, 0);
}

#[test]
fn names_that_sql_cannot_hold_are_refused() {
    let (_parent, path) = filled();
    let store = open(&path);
    let mut keeper = store.checkpoints().expect("the keeper");
    for (name, word) in [("Totals", "ignores case"), ("sqlite_stats", "reserved"), ("_views", "reserved")] {
        let why = keeper.save(WITNESS, &[checkpoint(&store, name, &[])]).expect_err("refused").to_string();
        assert!(why.contains(word) && why.contains("rename"), "{why}");
    }
    let why = keeper
        .save(WITNESS, &[checkpoint(&store, "a", &[]), checkpoint(&store, "A", &[])])
        .expect_err("refused");
    assert!(why.to_string().contains("ignores case"), "{why}");
    let mut twice = checkpoint(&store, "b", &[]);
    twice.columns = columns(&[("n", SqlType::Integer), ("N", SqlType::Integer)]);
    let why = keeper.save(WITNESS, &[twice]).expect_err("refused");
    assert!(why.to_string().contains("ignores case"), "{why}");
    assert_eq!(keeper.views().expect("views").len(), 1);
    let mut none = checkpoint(&store, "no_columns", &[]);
    none.columns = Vec::new();
    keeper.save(WITNESS, &[none, checkpoint(&store, "table", &[(0, "a", 1.0, true)])]).expect("saved");
    assert_eq!(rows(&mut *keeper, "table").len(), 1);
}

#[test]
fn a_long_reader_elsewhere_is_no_error_and_is_warned_of() {
    let (_parent, path) = filled();
    let store = open(&path);
    let mut keeper = store.checkpoints().expect("the keeper");
    let other = plain(&path.join("views.db"));
    other.execute_batch("BEGIN; SELECT * FROM totals").expect("reading");
    let views = Database::in_folder(&path, Kind::Views);
    let connection = views.open().expect("opened");
    let mut watch = WalWatch::with_limit(&views, 100_000);
    assert!(!watch.look(&connection));
    let long = "k".repeat(150_000);
    let save = |keeper: &mut dyn crate::store::Checkpoints, n| {
        keeper.save(WITNESS, &[checkpoint(&store, "totals", &[(n, &long, 1.0, true)])]).expect("saved");
    };
    save(&mut *keeper, 3);
    assert!(watch.look(&connection), "large, and the reader is in the way");
    assert!(!watch.look(&connection), "said once");
    (4..10).for_each(|n| save(&mut *keeper, n));
    assert!(watch.look(&connection), "twice as large");
    let seen: i64 = other.query_one("SELECT count(*) FROM totals", [], |row| row.get(0)).expect("read");
    assert_eq!(seen, 2, "the reader's own moment");
    other.execute_batch("COMMIT").expect("ended");
    save(&mut *keeper, 10);
    assert!(!WalWatch::with_limit(&views, 100_000).look(&connection), "folded");
    assert_eq!(fs::metadata(path.join("views.db-wal")).map_or(0, |file| file.len()), 0);
}

#[test]
fn a_backup_of_a_busy_store_opens_as_a_store() {
    let (parent, path) = filled();
    let store = open(&path);
    let into = parent.path().join("backups/monday");
    let stop = std::sync::atomic::AtomicBool::new(false);
    let first = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut log = store.log().expect("the log");
            let mut keeper = store.checkpoints().expect("the keeper");
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                grow(&mut *log, 50);
                let position = log.head().expect("the head").position;
                let mut view = checkpoint(&store, "totals", &[(0, "a", position as f64, true)]);
                view.view.position = position;
                keeper.save(WITNESS, &[view]).expect("saved");
            }
        });
        while head(&store).position < 200 {
            std::thread::yield_now();
        }
        let first = head(&store).position;
        let copied = store.backup(&into);
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        copied.expect("a backup");
        first
    });
    assert_eq!(names_in(&into).expect("names"), ["events.db", "views.db"]);
    let copy = open(&into);
    assert_eq!(copy.id(), store.id());
    let position = head(&copy).position;
    assert!(position >= first, "the backup is not older than its beginning");
    let copied = read_all(&mut *copy.reader().expect("a reader"), 0, usize::MAX);
    assert!(copied == read_all(&mut *store.reader().expect("a reader"), 0, copied.len()));
    assert_eq!(copied.len() as u64, position);
    let mut keeper = copy.checkpoints().expect("the keeper");
    let view = &keeper.views().expect("views")[0];
    assert!(view.position >= first - 50 && view.position <= position, "the log is not behind its views");
    let total = &rows(&mut *keeper, "totals")[0].2;
    assert_eq!(f64::from_le_bytes(total[..].try_into().expect("8 bytes")), view.position as f64);
    grow(&mut *copy.log().expect("the log"), 5);

    let why = store.backup(&into).expect_err("not empty").to_string();
    assert!(why.contains("not empty"), "{why}");
    let why = store.backup(&path.join("lock")).expect_err("a file").to_string();
    assert!(why.contains("is a file"), "{why}");
}

#[test]
fn a_save_that_fails_half_way_is_undone() {
    let (_parent, path) = filled();
    let store = open(&path);
    let mut keeper = store.checkpoints().expect("the keeper");
    keeper.save(WITNESS, &[checkpoint(&store, "other", &[(0, "a", 1.0, true)])]).expect("saved");
    plain(&path.join("views.db"))
        .execute_batch(
            "CREATE TRIGGER spoil BEFORE INSERT ON \"rows$other\" BEGIN SELECT raise(FAIL, 'spoiled'); END",
        )
        .expect("made");
    let before = keeper.views().expect("views");
    let mut first = checkpoint(&store, "totals", &[(7, "a", 1.0, true)]);
    first.view.position = 99;
    first.reset = true;
    let second = checkpoint(&store, "other", &[(1, "a", 1.0, true)]);
    let why = keeper.save(WITNESS, &[first.clone(), second]).expect_err("spoiled").to_string();
    assert!(why.contains("spoiled"), "{why}");
    assert_eq!(keeper.views().expect("views"), before);
    assert_eq!(rows(&mut *keeper, "totals").len(), 3);
    keeper.save(WITNESS, &[first]).expect("saved after a failure");
    assert_eq!(rows(&mut *keeper, "totals").len(), 1);
}

#[test]
fn half_a_backup_is_not_taken_for_a_store() {
    let (_parent, path) = filled();
    fs::rename(path.join("events.db"), path.join("events.db.partial")).expect("renamed");
    assert!(matches!(refused(&path, "did not finish"), StoreError::NotAStore { .. }));
}

#[test]
fn close_leaves_two_files_and_the_lock() {
    let (_parent, path) = filled();
    assert_eq!(names_in(&path).expect("names"), ["events.db", "lock", "views.db"]);
    // A reader elsewhere keeps the write-ahead log's file, but not its contents.
    let store = open(&path);
    let _reader = SqliteStore::open_read_only(&path).expect("a store").reader().expect("a reader");
    grow(&mut *store.log().expect("the log"), 10);
    let size = || fs::metadata(path.join("events.db-wal")).expect("there").len();
    assert!(size() > 0);
    store.close().expect("closed");
    assert_eq!(size(), 0);
}

/// The writing end itself, whose connection a test can hinder.
fn log(path: &Path) -> SqliteLog {
    SqliteLog::new(&std::sync::Arc::new(Folder::open(path).expect("the folder"))).expect("the log")
}

#[test]
fn a_full_disk_is_not_appended_and_passes() {
    let (_parent, path) = filled();
    let mut log = log(&path);
    let limit = |log: &SqliteLog, pages: u32| {
        log.connection().pragma_update(None, "max_page_count", pages).expect("set");
    };
    limit(&log, 1);
    let before = log.head().expect("the head");
    let mut large = events(before, 3);
    large[2].payload = vec![1; 1_000_000];
    match append(&mut log, &large) {
        Err(AppendFailure::NotAppended(why)) => assert!(why.to_string().contains("make room"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(log.head().expect("the head"), before);
    limit(&log, 1 << 20);
    append(&mut log, &large).expect("appended once there is room");
    assert_eq!(log.types().expect("types").iter().map(|t| t.count).sum::<u64>(), 13);
}

#[test]
fn a_failed_commit_is_unknown_and_poisons_the_log() {
    let (_parent, path) = filled();
    // A constraint that is checked at the commit makes it fail.
    plain(&path.join("events.db"))
        .execute_batch(
            "CREATE TABLE parent (id INTEGER PRIMARY KEY);
             CREATE TABLE child (id REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED);
             CREATE TRIGGER spoil AFTER INSERT ON events BEGIN INSERT INTO child VALUES (1); END",
        )
        .expect("made");
    let mut spoiled = log(&path);
    let next = events(spoiled.head().expect("the head"), 1);
    assert!(matches!(append(&mut spoiled, &next), Err(AppendFailure::Unknown(_))));
    plain(&path.join("events.db")).execute_batch("DROP TRIGGER spoil").expect("dropped");
    match append(&mut spoiled, &next) {
        Err(AppendFailure::NotAppended(why)) => assert!(why.to_string().contains("reopen"), "{why}"),
        other => panic!("{other:?}"),
    }
    drop(spoiled);
    append(&mut log(&path), &next).expect("appended after reopening");
}

#[test]
fn another_programs_writing_is_found() {
    let theirs = |position: i64, id: &str| {
        format!("INSERT INTO events VALUES ({position}, 'Theirs', 1, 0, {id}, NULL, x'', 0)")
    };
    let rebuilt =
        "CREATE TABLE others AS SELECT * FROM events; DROP TABLE events; ALTER TABLE others RENAME TO events";
    let all = [
        theirs(11, "NULL"),
        theirs(500, "NULL"),
        theirs(i64::MAX, "NULL"),
        theirs(11, "'ours'"),
        "DELETE FROM events WHERE position = 10".to_owned(),
        "DELETE FROM events".to_owned(),
        rebuilt.to_owned(),
    ];
    for sql in all {
        let (_parent, path) = filled();
        let mut log = log(&path);
        let other = plain(&path.join("events.db"));
        other.execute_batch(&sql).expect("written");
        let count = || other.query_one("SELECT count(*) FROM events", [], |row| row.get::<_, u32>(0));
        let before = count().expect("counted");
        for (many, id) in [(1, None), (70, None), (1, Some("ours")), (70, Some("ours"))] {
            if sql.contains("ours") && id.is_none() {
                continue;
            }
            let mut next = events(log.head().expect("the head"), many);
            next[0].event_id = id.map(str::to_owned);
            match append(&mut log, &next) {
                Err(AppendFailure::NotAppended(why)) => {
                    assert!(why.to_string().contains("another program"), "{sql}: {why}");
                    assert!(id.is_some() || why.to_string().contains("position 11 "), "{sql}: {why}");
                }
                other => panic!("{sql}: {other:?}"),
            }
            assert_eq!(count().expect("counted"), before, "{sql}");
        }
    }
}

#[test]
fn types_are_counted_now_and_then_and_on_closing() {
    let (_parent, path) = place();
    let store = open(&path);
    let counted = || {
        plain(&path.join("events.db"))
            .query_one("SELECT coalesce(sum(count), 0) FROM event_types", [], |row| row.get::<_, u32>(0))
            .expect("counted")
    };
    let mut log = store.log().expect("the log");
    let mut reader = store.reader().expect("a reader");
    for (total, in_file) in [(9000, 0), (18_000, 0), (27_000, 18_000), (36_000, 18_000), (45_000, 36_000)] {
        grow(&mut *log, 9000);
        let count = |types: Vec<StoredType>| {
            assert_eq!(types.len(), 2);
            types.iter().map(|t| t.count).sum::<u64>()
        };
        assert_eq!(count(reader.types().expect("types")), total);
        assert_eq!(count(log.types().expect("types")), total);
        assert_eq!(counted(), in_file);
    }
    drop(log);
    assert_eq!(counted(), 45_000);
    // As a crash leaves it.
    plain(&path.join("events.db")).execute_batch("DELETE FROM event_types").expect("deleted");
    drop(store.log().expect("the log"));
    assert_eq!(counted(), 45_000);
}

#[test]
fn a_write_ahead_log_stays_small() {
    let (_parent, path) = place();
    let store = open(&path);
    let mut log = store.log().expect("the log");
    let mut largest = 0;
    for _ in 0..30 {
        let mut batch = events(log.head().expect("the head"), 40);
        batch.iter_mut().for_each(|event| event.payload = vec![1; 100_000]);
        append(&mut *log, &batch).expect("appended");
        largest = largest.max(fs::metadata(path.join("events.db-wal")).expect("there").len());
    }
    assert!(largest < 16 << 20, "{largest} bytes for 120 MB of events");
}

#[test]
fn a_log_that_is_folded_in_part_is_not_taken_for_damaged() {
    let (_parent, path) = filled();
    let mut log = log(&path);
    let reader = plain(&path.join("events.db"));
    let fold_after = |log: &SqliteLog, pages: u32| {
        log.connection().pragma_update(None, "wal_autocheckpoint", pages).expect("set");
    };
    for _ in 0..20 {
        fold_after(&log, 0);
        grow(&mut log, 30);
        // While this holds its moment, the last page stays in the write-ahead log as soon as it is written again; the first one, which says that there is
        // such a page, goes into the file.
        reader.execute_batch("BEGIN; SELECT * FROM events LIMIT 1").expect("reading");
        fold_after(&log, 1);
        grow(&mut log, 1);
        let reading = SqliteStore::open_read_only(&path).expect("a read-only store");
        assert_eq!(head(&reading), log.head().expect("the head"));
        reader.execute_batch("COMMIT").expect("ended");
    }
}

#[test]
fn a_log_from_before_there_were_sources_is_brought_up_to_date() {
    let (_parent, path) = filled();
    let mark = |format: u32| {
        plain(&path.join("events.db"))
            .execute_batch(&format!("PRAGMA user_version = {format}"))
            .expect("marked");
    };
    mark(1);
    let why = open(&path).log().err().expect("refused");
    assert!(
        matches!(why, StoreError::Corrupt { .. }) && why.to_string().contains("marked as format 1"),
        "{why}"
    );
    plain(&path.join("events.db")).execute_batch("DROP TABLE sources; DROP TABLE notes").expect("dropped");

    let reading = SqliteStore::open_read_only(&path).expect("a read-only store");
    assert!(reading.reader().expect("a reader").sources().expect("sources").is_empty());
    drop(reading);
    let store = open(&path);
    let advance = Advance { source: "till", after: None, to: 7 };
    let mut log = store.log().expect("the log");
    log.append(head(&store), &[], &to(&[advance])).expect("moved");
    assert_eq!(read_all(&mut *store.reader().expect("a reader"), 0, 100).len(), 10);
    drop((log, store));
    assert_eq!(open(&path).reader().expect("a reader").sources().expect("sources")["till"], 7);
}

#[test]
fn an_offset_that_is_not_what_was_stored_is_named() {
    for (change, word) in [
        ("UPDATE sources SET offset = 6 WHERE name = 'till/2'", "\"till/2\" is stored as 6"),
        ("UPDATE sources SET name = 'till/3' WHERE name = 'till/2'", "\"till/3\""),
        ("DELETE FROM sources WHERE name = 'till/1'", "one of them is missing"),
        ("DELETE FROM sources WHERE name = ''", "one of them is missing"),
        ("DELETE FROM sources", "one of them is missing"),
        ("DROP TABLE sources", "no such table: sources"),
    ] {
        let (_parent, path) = filled();
        let store = open(&path);
        let both = ["till/1", "till/2"].map(|source| Advance { source, after: None, to: 7 });
        store.log().expect("the log").append(head(&store), &[], &to(&both)).expect("moved");
        plain(&path.join("events.db")).execute_batch(change).expect("changed");
        for why in [store.reader().expect("a reader").sources().err(), store.log().err()] {
            let why = why.expect("refused");
            assert!(
                matches!(why, StoreError::Corrupt { .. }) && why.to_string().contains(word),
                "{change}: {why}"
            );
        }
    }
}

/// A closed store with ten events and three notes.
fn noted() -> (TempDir, PathBuf) {
    let (parent, path) = filled();
    // It speaks of more events than this log has.
    fs::remove_file(path.join("views.db")).expect("removed");
    let store = open(&path);
    let put = [note("a", "1"), note("b/1", "2"), note("b/2", "3")];
    store.log().expect("the log").append(head(&store), &[], &noting(&put)).expect("put");
    store.close().expect("closed");
    (parent, path)
}

#[test]
fn a_log_from_before_there_were_notes_is_brought_up_to_date() {
    let (_parent, path) = filled();
    let file = path.join("events.db");
    plain(&file).execute_batch("PRAGMA user_version = 2").expect("marked");
    let why = open(&path).log().err().expect("refused");
    assert!(
        matches!(why, StoreError::Corrupt { .. }) && why.to_string().contains("marked as format 2"),
        "{why}"
    );
    plain(&file).execute_batch("DROP TABLE notes").expect("dropped");

    let reading = SqliteStore::open_read_only(&path).expect("a read-only store");
    assert_eq!(reading.reader().expect("a reader").note("a").expect("read"), None);
    assert_eq!(notes(&reading, ""), []);
    assert_eq!(reading.check().expect("checked").log, [""; 0]);
    drop(reading);
    let store = open(&path);
    let put =
        Beside { advances: &[Advance { source: "till", after: None, to: 7 }], notes: &[note("a", "1")] };
    store.log().expect("the log").append(head(&store), &[], &put).expect("put");
    drop(store);
    let store = open(&path);
    assert_eq!(notes(&store, ""), [("a".into(), "1".into())]);
    assert_eq!(store.reader().expect("a reader").sources().expect("sources")["till"], 7);
    assert_eq!(read_all(&mut *store.reader().expect("a reader"), 0, 100).len(), 10);
    assert_eq!(store.check().expect("checked").log, [""; 0]);
}

#[test]
fn a_note_that_is_not_what_was_put_is_found() {
    for (change, words, read) in [
        ("UPDATE notes SET value = x'39' WHERE key = 'b/1'", "\"b/1\" is not as it was written", false),
        ("UPDATE notes SET value = x'' WHERE key > 'b'", "(and 1 more such notes)", false),
        ("UPDATE notes SET checksum = 0 WHERE key = 'b/1'", "\"b/1\" is not as it was written", false),
        ("UPDATE notes SET key = 'b/3' WHERE key = 'b/1'", "\"b/3\" is not as it was written", true),
        ("DELETE FROM notes WHERE key = 'b/1'", "one of them is missing", true),
        ("DELETE FROM notes WHERE key > ''", "one of them is missing", true),
        ("INSERT INTO notes SELECT 'z', value, checksum FROM notes WHERE key = 'a'", "\"z\" is not", true),
        ("UPDATE notes SET checksum = checksum + 1 WHERE key = ''", "one of them is missing", true),
        ("UPDATE notes SET value = x'0200000000000000' WHERE key = ''", "one of them is missing", true),
        ("UPDATE notes SET value = x'03' WHERE key = ''", "one of them is missing", true),
        ("DELETE FROM notes WHERE key = ''", "one of them is missing", true),
        ("DROP TABLE notes", "no such table: notes", false),
    ] {
        let (_parent, path) = noted();
        plain(&path.join("events.db")).execute_batch(change).expect("changed");
        for store in [open(&path), SqliteStore::open_read_only(&path).expect("a read-only store")] {
            let found = store.check().expect("checked").log;
            assert!(found.iter().any(|what| what.contains(words)), "{change}: {found:?}");
            let mut reader = store.reader().expect("a reader");
            match reader.note("b/1") {
                Ok(_) => assert!(read, "{change}"),
                Err(why) => {
                    assert!(!read && matches!(why, StoreError::Corrupt { .. }), "{change}: {why}");
                    reader.notes("b", &mut |_, _| true).expect_err("damaged");
                }
            }
            // Its neighbour's damage is none of its own.
            if !change.starts_with("DROP") {
                reader.note("a").expect("read");
                reader.notes("a", &mut |_, _| true).expect("read");
            }
        }
    }
}

#[test]
fn a_log_without_the_sum_of_its_notes_is_not_written_to() {
    for change in [
        "DELETE FROM notes WHERE key = ''",
        "UPDATE notes SET value = x'03' WHERE key = ''",
        "DROP TABLE notes",
    ] {
        let (_parent, path) = noted();
        plain(&path.join("events.db")).execute_batch(change).expect("changed");
        let why = open(&path).log().err().expect("refused");
        assert!(matches!(why, StoreError::Corrupt { .. }), "{change}: {why}");
    }
}

#[test]
fn a_missing_note_is_found_whatever_is_put_after_it() {
    let (_parent, path) = noted();
    plain(&path.join("events.db")).execute_batch("DELETE FROM notes WHERE key = 'b/1'").expect("deleted");
    let store = open(&path);
    let put = [note("b/1", "2"), note("c", "4")];
    store.log().expect("the log").append(head(&store), &[], &noting(&put)).expect("put");
    let found = store.check().expect("checked").log;
    assert!(found.len() == 1 && found[0].contains("one of them is missing"), "{found:?}");
}

#[test]
fn a_backup_has_the_notes() {
    let (parent, path) = noted();
    let store = open(&path);
    store.backup(&parent.path().join("copy")).expect("copied");
    let copy = open(&parent.path().join("copy"));
    assert_eq!(notes(&copy, ""), notes(&store, ""));
    assert_eq!(notes(&copy, "").len(), 3);
    assert_eq!(copy.check().expect("checked").log, [""; 0]);
}

#[test]
fn what_was_seen_of_the_log_is_under_a_checksum() {
    for damage in [
        "UPDATE _witness SET position = position + 1",
        "UPDATE _witness SET log_checksum = '00000000000000aa'",
        "UPDATE _witness SET store = replace(store, '7', '6')",
        "DELETE FROM _witness",
        "DROP TABLE _witness",
    ] {
        let (_parent, path) = filled();
        plain(&path.join("views.db")).execute_batch(damage).expect("damaged");
        let store = open(&path);
        let why = store.checkpoints().expect("the keeper").witness().expect_err("damaged");
        assert!(matches!(why, StoreError::Corrupt { .. }), "{damage}: {why}");
        assert_eq!(store.checkpoints().expect("a fresh keeper").witness().expect("none"), None, "{damage}");
        assert!(path.join("views.db.damaged-1").exists());
    }
}

#[test]
fn a_file_is_brought_up_to_date_by_whoever_writes_to_it_and_no_one_else() {
    let (_parent, path) = filled();
    let (events, views) = (path.join("events.db"), path.join("views.db"));
    plain(&events).execute_batch("DROP TABLE notes; PRAGMA user_version = 2").expect("marked");
    plain(&views).execute_batch("PRAGMA user_version = 4").expect("marked");
    let format = |file: &Path| {
        plain(file).pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0)).expect("a format")
    };
    let store = open(&path);
    assert_eq!(read_all(&mut *store.reader().expect("a reader"), 0, 100).len(), 10);
    assert_eq!(notes(&store, ""), []);
    let checked = store.check().expect("checked");
    assert_eq!((checked.log, checked.checkpoints), (vec![], vec![]));
    drop(checked.keeper);
    store.close().expect("closed");
    assert_eq!((format(&events), format(&views)), (2, 4));
    drop(store.checkpoints().expect("the keeper"));
    assert_eq!((format(&events), format(&views)), (2, 5));
    drop(store.log().expect("the log"));
    assert_eq!(format(&events), 3);
}

#[test]
fn a_backup_does_without_checkpoints_that_it_cannot_copy() {
    for spoil in ["PRAGMA user_version = 3", "PRAGMA user_version = 9", "PRAGMA application_id = 7"] {
        let (parent, path) = filled();
        plain(&path.join("views.db")).execute_batch(spoil).expect("spoiled");
        let copy = parent.path().join("copy");
        SqliteStore::open_read_only(&path).expect("a store").backup(&copy).expect("a backup");
        assert_eq!(names_in(&copy).expect("names"), ["events.db"], "{spoil}");
        assert_eq!(head(&open(&copy)).position, 10);
    }
}

#[test]
fn checkpoints_that_were_mended_are_not_set_aside() {
    let (_parent, path) = filled();
    let store = open(&path);
    // Those who only look leave it to the one that saves.
    plain(&path.join("views.db"))
        .execute_batch("UPDATE _views SET position = position + 1")
        .expect("damaged");
    assert!(store.saved().expect("opened").expect("there").views().is_err());
    plain(&path.join("views.db")).execute_batch("UPDATE _views SET position = position - 1").expect("mended");
    assert_eq!(store.checkpoints().expect("the keeper").views().expect("views").len(), 1);

    let mut keeper = store.checkpoints().expect("the keeper");
    plain(&path.join("views.db"))
        .execute_batch("DROP VIEW totals; DROP TABLE \"rows$totals\"")
        .expect("damaged");
    assert!(keeper.renderings("totals", 0, 10, &mut |_| {}).is_err());
    let mut anew = checkpoint(&store, "totals", &[(0, "a", 1.0, true)]);
    anew.reset = true;
    keeper.save(WITNESS, &[anew]).expect("saved");
    drop(keeper);
    assert_eq!(store.checkpoints().expect("the keeper").views().expect("views").len(), 1);
    assert!(!path.join("views.db.damaged-1").exists());
}

#[test]
fn closing_does_not_wait_for_a_reader_that_stays() {
    let (_parent, path) = filled();
    let store = open(&path);
    grow(&mut *store.log().expect("the log"), 10);
    let readers = ["events.db", "views.db"].map(|file| {
        let reader = plain(&path.join(file));
        reader.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema").expect("it reads");
        reader
    });
    grow(&mut *store.log().expect("the log"), 10);
    let view = checkpoint(&store, "more", &[(0, "a", 1.0, true)]);
    store.checkpoints().expect("the keeper").save(WITNESS, &[view]).expect("saved");
    let begun = std::time::Instant::now();
    store.close().expect("closed");
    // SQLite's own patience would be ten seconds a file.
    assert!(begun.elapsed() < super::database::PATIENCE, "{:?}", begun.elapsed());
    drop(readers);
    drop(store);
    assert_eq!(head(&open(&path)).position, 30);
}

#[test]
fn a_store_stays_where_it_was_opened() {
    let (_parent, path) = filled();
    let up = std::env::current_dir().expect("a folder").components().count() - 1;
    let relative = Path::new(&"../".repeat(up)).join(path.strip_prefix("/").expect("absolute"));
    let folder = Folder::open(&relative).expect("the folder");
    // Whatever the process takes for its own folder later.
    assert!(folder.path.is_absolute() && folder.events.path.is_absolute());
    drop(folder);
    assert!(SqliteStore::open_read_only(&relative).expect("a store").folder.views.path.is_absolute());
}

#[test]
fn an_index_that_names_another_event_is_damaged() {
    let (_parent, path) = place();
    let store = open(&path);
    let mut batch = events(Head::default(), 3);
    let mut checksum = 0;
    for event in &mut batch {
        event.event_id = Some(format!("order-477{}", event.position));
        checksum = crate::store::chain(checksum, &event.borrow());
        event.checksum = checksum;
    }
    append(&mut *store.log().expect("the log"), &batch).expect("appended");
    store.close().expect("closed");
    drop(store);
    let file = path.join("events.db");
    let whole = fs::read(&file).expect("read");
    let id = b"order-4772";
    let places: Vec<_> = (0..whole.len() - id.len()).filter(|at| whole[*at..].starts_with(id)).collect();
    let mut found = 0;
    for place in places {
        let mut bytes = whole.clone();
        bytes[place + id.len() - 1] = b'9';
        fs::write(&file, bytes).expect("written");
        let store = open(&path);
        if read_all(&mut *store.reader().expect("a reader"), 0, 10) != batch {
            continue;
        }
        // It is the index that says so, and not the event.
        let mut log = store.log().expect("the log");
        let Err(why) = log.find("order-4779", &mut |_| panic!("another's")) else { continue };
        let said = "the index of event ids has \"order-4779\" for the event at position 2";
        assert!(matches!(why, StoreError::Corrupt { .. }) && why.to_string().contains(said), "{why}");
        found += 1;
    }
    assert_eq!(found, 1);
}

#[test]
fn an_index_that_names_an_event_that_is_not_there_is_damaged() {
    let (_parent, path) = place();
    let store = open(&path);
    let mut batch = events(Head::default(), 3);
    let mut checksum = 0;
    for event in &mut batch {
        event.event_id = Some(format!("order-{}", event.position));
        checksum = crate::store::chain(checksum, &event.borrow());
        event.checksum = checksum;
    }
    append(&mut *store.log().expect("the log"), &batch).expect("appended");
    drop(store);
    let file = path.join("events.db");
    let index: (i64, String) = plain(&file)
        .query_row("SELECT rootpage, sql FROM sqlite_schema WHERE name = 'events_event_id'", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .expect("the index");
    // Where SQLite does not know of the index, it leaves that as it is.
    let hidden = "PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name = 'events_event_id'";
    plain(&file).execute_batch(hidden).expect("hidden");
    plain(&file).execute_batch("DELETE FROM events WHERE position = 2").expect("deleted");
    let shown = plain(&file);
    shown.execute_batch("PRAGMA writable_schema = ON").expect("writable");
    let back = "INSERT INTO sqlite_schema VALUES ('index', 'events_event_id', 'events', ?1, ?2)";
    shown.execute(back, index).expect("shown");
    drop(shown);
    let mut log = open(&path).log().expect("the log");
    log.find("order-1", &mut |event| assert_eq!(event.position, 1)).expect("found");
    let why = log.find("order-2", &mut |_| panic!("it is not there")).expect_err("damaged");
    assert!(matches!(why, StoreError::Corrupt { .. }) && why.to_string().contains("position 2"), "{why}");
}
