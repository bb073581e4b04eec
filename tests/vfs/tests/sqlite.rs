//! SQLite through the disk that remembers, held against the files that the platform has.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use faulty_vfs::{Disk, Entry, Fault, Medium, Operation, Survival, codes};
use rusqlite::Connection;

fn open(folder: &Path) -> Connection {
    let connection = Connection::open(folder.join("a.db")).unwrap();
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL").unwrap();
    connection
}

/// What is in the folder, but for shared memory.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let named = entries.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path));
    named
        .filter(|(name, _)| !name.ends_with("-shm"))
        .map(|(name, path)| (name, fs::read(path).unwrap()))
        .collect()
}

fn medium(trace: &[Entry]) -> Medium {
    let mut medium = Medium::default();
    trace.iter().for_each(|entry| medium.apply(entry));
    medium
}

#[test]
fn the_trace_tells_all_that_was_done() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::watch(folder.path());
    let same = || assert_eq!(medium(&disk.trace()).image(Survival::Everything, 0).0, files(folder.path()));
    let (one, other) = (open(folder.path()), open(folder.path()));
    one.execute_batch("CREATE TABLE t (n, x)").unwrap();
    for n in 0..200 {
        let writer = if n % 3 == 0 { &one } else { &other };
        writer.execute("INSERT INTO t VALUES (?, zeroblob(?))", (n, n * 50)).unwrap();
        if n % 40 == 0 {
            writer.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        }
        same();
    }
    let count: u32 = other.query_one("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 200, "two connections share a write-ahead log");
    drop(one);
    drop(other);
    same();
    assert_eq!(files(folder.path()).len(), 1, "closed, and folded");
    let after = Disk::watch(folder.path());
    drop(disk);
    open(folder.path()).execute_batch("PRAGMA journal_mode = DELETE; DELETE FROM t; VACUUM").unwrap();
    assert_eq!(medium(&after.trace()).image(Survival::Everything, 0).0, files(folder.path()));
}

#[test]
fn a_commit_is_synced_before_it_answers_and_a_swallowed_sync_is_seen() {
    for swallowed in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::watch(folder.path());
        let connection = open(folder.path());
        connection.execute_batch("CREATE TABLE t (n)").unwrap();
        if swallowed {
            disk.fail(Fault::swallowed_sync().file("a.db-wal").from_then_on());
        }
        connection.execute_batch("INSERT INTO t VALUES (1)").unwrap();
        let after = medium(&disk.trace());
        assert_eq!(after.at_stake() > 0, swallowed);
        assert_eq!(disk.failed() > 0, swallowed);
        let elsewhere = tempfile::tempdir().unwrap();
        after.image(Survival::Nothing, 0).write_to(elsewhere.path()).unwrap();
        let there: u32 =
            open(elsewhere.path()).query_one("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!(there, u32::from(!swallowed));
    }
}

#[test]
fn an_operation_fails_as_often_as_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::watch(folder.path());
    let connection = open(folder.path());
    connection.execute_batch("CREATE TABLE t (n)").unwrap();
    let insert = || connection.execute("INSERT INTO t VALUES (zeroblob(10000))", []);
    disk.fail(Fault::on(Operation::Sync, codes::SQLITE_IOERR_FSYNC).file("a.db-wal").nth(2));
    insert().unwrap();
    let error = insert().unwrap_err().sqlite_error().unwrap().extended_code;
    assert_eq!(error, codes::SQLITE_IOERR_FSYNC);
    assert!(disk.trace().iter().any(|entry| matches!(entry, Entry::NotSynced { .. })));
    insert().unwrap();
    assert_eq!(disk.failed(), 1);
    disk.mend();

    disk.fail(Fault::half_written(codes::SQLITE_FULL).files("a.db").from_then_on());
    for _ in 0..2 {
        insert().unwrap_err();
    }
    assert!(disk.failed() > 2);
    disk.mend();
    insert().unwrap();
    let count: u32 = connection.query_one("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 3);
}
