//! What is copied of a damaged log, and what is not.

use std::fs;

use super::*;
use crate::store::Witness;

#[test]
fn a_salvage_copies_the_beginning_that_is_whole() {
    for (damage, whole, lost, word) in [
        ("", 10, 0, ""),
        ("UPDATE events SET payload = x'00' WHERE position = 7", 6, 4, "position 7 is not as it was written"),
        ("DELETE FROM events WHERE position = 3", 2, 8, "position 3 is missing"),
        ("DELETE FROM events WHERE position > 8", 8, 2, "traces of events behind it"),
        (
            "DELETE FROM events WHERE position > 8; DELETE FROM event_types",
            8,
            34,
            "traces of events behind it",
        ),
        ("UPDATE events SET checksum = 0 WHERE position = 1", 0, 10, "position 1 is not as it was written"),
    ] {
        let (parent, path) = filled();
        let written = read_all(&mut *open(&path).reader().expect("a reader"), 0, 100);
        if damage.contains("event_types") {
            let store = open(&path);
            let witness = Witness { store: store.id(), ..WITNESS };
            store.checkpoints().expect("the keeper").save(witness, &[]).expect("saved");
            store.close().expect("closed");
        } else {
            fs::remove_file(path.join("views.db")).expect("removed");
        }
        plain(&path.join("events.db")).execute_batch(damage).expect("damaged");
        let to = parent.path().join("mended");
        let salvaged = SqliteStore::salvage(&path, &to).expect("salvaged");
        assert_eq!((salvaged.events, salvaged.lost), (whole, lost), "{damage}: {salvaged}");
        assert_eq!(salvaged.why.is_none(), damage.is_empty());
        assert!(salvaged.to_string().contains(word), "{salvaged}");
        assert_eq!(names_in(&to).expect("names"), ["events.db"]);
        let mended = open(&to);
        assert_eq!(mended.id(), salvaged.store);
        let read = read_all(&mut *mended.reader().expect("a reader"), 0, 100);
        assert_eq!(read, written[..whole as usize]);
        assert!(mended.check().expect("checked").log.is_empty());
        grow(&mut *mended.log().expect("the log"), 3);
    }
}

#[test]
fn a_salvage_carries_offsets_over_only_if_nothing_is_lost() {
    for (damage, carried, word) in [
        ("", true, "the whole log"),
        ("UPDATE events SET payload = x'00' WHERE position = 7", false, "\"till\" was at offset 7"),
        (
            "UPDATE sources SET offset = 6 WHERE name = 'till'",
            false,
            "how far sources had been fed is not known",
        ),
    ] {
        let (parent, path) = filled();
        let store = open(&path);
        let advance = Advance { source: "till", after: None, to: 7 };
        store.log().expect("the log").append(head(&store), &[], &to(&[advance])).expect("moved");
        drop(store);
        // It speaks of more events than this log has.
        fs::remove_file(path.join("views.db")).expect("removed");
        plain(&path.join("events.db")).execute_batch(damage).expect("damaged");
        let to = parent.path().join("mended");
        let salvaged = SqliteStore::salvage(&path, &to).expect("salvaged");
        assert!(salvaged.to_string().contains(word), "{salvaged}");
        let sources = open(&to).reader().expect("a reader").sources().expect("sources");
        assert_eq!(sources.get("till").copied(), carried.then_some(7), "{damage}");
    }
}

#[test]
fn a_salvage_carries_notes_over_only_if_nothing_is_lost() {
    const ALL: &[&str] = &["a", "b/1", "b/2"];
    for (damage, kept, lost, word) in [
        ("", ALL, 0, "the whole log"),
        ("UPDATE events SET payload = x'00' WHERE position = 7", &[], 3, "about events that are lost"),
        ("UPDATE notes SET value = x'39' WHERE key = 'b/1'", &["a", "b/2"], 1, "\"b/1\" is not as it was"),
        ("DELETE FROM notes WHERE key = 'b/2'", &["a", "b/1"], 1, "one of them is missing"),
        ("DELETE FROM notes WHERE key = ''", ALL, 0, "one of them is missing"),
        ("UPDATE notes SET value = x'03' WHERE key = ''", ALL, 0, "one of them is missing"),
        ("DROP TABLE notes", &[], 0, "no such table: notes"),
    ] {
        let (parent, path) = noted();
        plain(&path.join("events.db")).execute_batch(damage).expect("damaged");
        let to = parent.path().join("mended");
        let salvaged = SqliteStore::salvage(&path, &to).expect("salvaged");
        assert!(salvaged.to_string().contains(word), "{damage}: {salvaged}");
        assert_eq!((salvaged.notes, salvaged.notes_lost), (kept.len() as u64, lost), "{damage}");
        assert_eq!(salvaged.notes_why.is_none(), damage.is_empty(), "{salvaged}");
        let mended = open(&to);
        let keys: Vec<_> = notes(&mended, "").into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, kept, "{damage}");
        assert_eq!(mended.check().expect("checked").log, [""; 0]);
    }
}

#[test]
fn a_salvage_copies_notes_by_the_page() {
    let (parent, path) = filled();
    fs::remove_file(path.join("views.db")).expect("removed");
    let store = open(&path);
    let keys: Vec<_> = (0..9000).map(|n| n.to_string()).collect();
    let put: Vec<_> = keys.iter().map(|key| note(key, key)).collect();
    store.log().expect("the log").append(head(&store), &[], &noting(&put)).expect("put");
    let to = parent.path().join("mended");
    let salvaged = SqliteStore::salvage(&path, &to).expect("salvaged");
    assert_eq!((salvaged.notes, salvaged.notes_lost, &salvaged.notes_why), (9000, 0, &None));
    assert_eq!(notes(&open(&to), ""), notes(&store, ""));
}

#[test]
fn a_salvage_stops_before_an_id_that_comes_twice() {
    let (parent, path) = place();
    let store = open(&path);
    let mut log = store.log().expect("the log");
    let mut batch = events(Head::default(), 4);
    let mut checksum = 0;
    for event in &mut batch {
        event.event_id = (event.position != 3).then(|| event.position.to_string());
        checksum = crate::store::chain(checksum, &event.borrow());
        event.checksum = checksum;
    }
    append(&mut *log, &batch).expect("appended");
    drop(log);
    drop(store);
    // As a damaged index lets it happen: the chain holds, and the id is there twice.
    let other = plain(&path.join("events.db"));
    other.execute_batch("DROP INDEX events_event_id").expect("dropped");
    let mut twice = batch[3].clone();
    twice.event_id = Some("2".into());
    twice.checksum = crate::store::chain(batch[2].checksum, &twice.borrow());
    other
        .execute(
            "UPDATE events SET event_id = '2', checksum = ? WHERE position = 4",
            [twice.checksum.cast_signed()],
        )
        .expect("changed");
    let salvaged = SqliteStore::salvage(&path, parent.path().join("mended")).expect("salvaged");
    assert_eq!((salvaged.events, salvaged.lost), (3, 1), "{salvaged}");
    assert!(salvaged.to_string().contains("the event id \"2\" is already taken"), "{salvaged}");
}

#[test]
fn a_salvage_changes_nothing_that_is_there() {
    let (parent, path) = filled();
    let to = parent.path().join("taken");
    fs::create_dir(&to).expect("made");
    fs::write(to.join("thesis.txt"), b"text").expect("written");
    let why = SqliteStore::salvage(&path, &to).expect_err("refused").to_string();
    assert!(why.contains("it is not empty"), "{why}");
    assert_eq!(names_in(&to).expect("names"), ["thesis.txt"]);
    let to = parent.path().join("mended");
    assert!(SqliteStore::salvage(parent.path().join("nowhere"), &to).is_err() && !to.exists());
    let before = fs::read(path.join("events.db")).expect("read");
    // It need not be left alone for that.
    let busy = open(&path);
    SqliteStore::salvage(&path, &to).expect("salvaged");
    drop(busy);
    assert!(before == fs::read(path.join("events.db")).expect("read"));
}

#[test]
fn half_a_salvage_is_not_taken_for_a_store() {
    let (parent, path) = place();
    let written = 30_000;
    grow(&mut *open(&path).log().expect("the log"), written);
    let to = parent.path().join("mended");
    std::thread::scope(|scope| {
        let salvage = scope.spawn(|| SqliteStore::salvage(&path, &to).expect("salvaged"));
        while !to.join("events.db").exists() {
            // As a process that died would have left it.
            if to.join("salvage.partial/events.db").exists()
                && let Err(why) = SqliteStore::open_read_only(&to)
            {
                let unfinished = why.to_string().contains("a salvage into it did not finish");
                assert!(unfinished || to.join("events.db").exists(), "{why}");
            }
            std::thread::yield_now();
        }
        let whole = SqliteStore::open_read_only(&to).expect("a store");
        assert_eq!(head(&whole).position, written);
        assert_eq!(salvage.join().expect("salvaged").events, written);
    });
    assert_eq!(names_in(&to).expect("names")[0], "events.db");
    assert!(!to.join("salvage.partial").exists());

    let left = parent.path().join("left");
    fs::create_dir_all(left.join("salvage.partial")).expect("made");
    assert!(matches!(refused(&left, "a salvage into it did not finish"), StoreError::NotAStore { .. }));
}

#[test]
fn a_salvage_of_a_log_in_use_is_one_state_of_it() {
    let (parent, path) = place();
    let store = open(&path);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut log = store.log().expect("the log");
            let mut keeper = store.checkpoints().expect("the keeper");
            let mut after = None;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let at = log.head().expect("the head");
                let [event] = &events(at, 1)[..] else { unreachable!() };
                let advance = Advance { source: "till", after, to: event.position };
                log.append(at, &[event.borrow()], &to(&[advance])).expect("appended");
                after = Some(event.position);
                let head = log.head().expect("the head");
                keeper.save(Witness { store: store.id(), head }, &[]).expect("saved");
            }
        });
        for turn in 0..50 {
            let mended = parent.path().join(format!("mended-{turn}"));
            let salvaged = SqliteStore::salvage(&path, &mended);
            done.store(turn == 49 || salvaged.is_err(), std::sync::atomic::Ordering::Relaxed);
            let salvaged = salvaged.expect("salvaged");
            assert_eq!((salvaged.lost, &salvaged.why), (0, &None), "{salvaged}");
            let sources = open(&mended).reader().expect("a reader").sources().expect("sources");
            assert_eq!(sources.get("till").copied().unwrap_or(0), salvaged.events, "turn {turn}");
        }
    });
}

#[test]
fn a_salvage_does_not_believe_the_checkpoints_of_another_log() {
    let (parent, path) = filled();
    let store = open(&path);
    let advance = Advance { source: "till", after: None, to: 7 };
    store.log().expect("the log").append(head(&store), &[], &to(&[advance])).expect("moved");
    store.checkpoints().expect("the keeper").save(WITNESS, &[]).expect("saved");
    store.close().expect("closed");
    assert!(WITNESS.head.position > 10 && WITNESS.store != store.id());
    drop(store);
    let mended = parent.path().join("mended");
    let salvaged = SqliteStore::salvage(&path, &mended).expect("salvaged");
    assert_eq!((salvaged.events, salvaged.lost, salvaged.why), (10, 0, None));
    assert_eq!(open(&mended).reader().expect("a reader").sources().expect("sources")["till"], 7);
}
