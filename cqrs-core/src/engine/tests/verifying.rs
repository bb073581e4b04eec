//! What `verify` says of a store that holds, and of one that does not.

use super::*;
use crate::engine::slot::{TypedView, ViewType};
use crate::store::{Beside, Head, LogEvent, Note, StoreId, ViewCheckpoint, Witness, chain};
use crate::verify::{Place as At, Verified};

/// A closed store with a view that hides a row, one that has stopped, and one that is not registered later.
fn filled(place: &Place) {
    let builder = place.engine().view::<Owners>().view::<Tiny>().view::<Has>().event::<Noted>();
    // Saved once, so that it is known in which of its tables a row is.
    let engine = builder.checkpoint_every(Duration::from_secs(3600), 1 << 40).start().unwrap();
    for n in 0..60 {
        engine.append(bought(&format!("c{}", n % 7), "hats", 5)).wait().unwrap();
    }
    engine.append(NewEvent::new(returned("c6", "hats", 40)).id("back").meta("by", "web")).wait().unwrap();
    engine.append(Noted { text: "noted".into() }).wait().unwrap();
    assert!(matches!(engine.view::<Tiny>().get("hats"), Err(ReadError::Faulted(_))));
    engine.close().wait().unwrap();
}

fn verify(place: &Place) -> Verified {
    place.engine().view::<Owners>().view::<Tiny>().event::<Noted>().verify().unwrap()
}

/// Has SQL done in one of the two files.
fn sql(place: &Place, file: &str, statements: &str) {
    let Place::Folder(folder) = place else { unreachable!("there is a file in a folder only") };
    let connection = rusqlite::Connection::open(folder.path().join("shop").join(file)).unwrap();
    connection.execute_batch(statements).unwrap();
}

/// What is found in a store after this was done to it.
#[track_caller]
fn found(file: &str, statements: &str) -> Vec<(At, String)> {
    let place = Place::Folder(tempfile::tempdir().unwrap());
    filled(&place);
    sql(&place, file, statements);
    let verified = verify(&place);
    assert!(!verified.is_whole(), "{statements}");
    assert!(verified.to_string().contains(&verified.findings[0].to_string()));
    verified.findings.into_iter().map(|finding| (finding.place, finding.what)).collect()
}

/// One finding, about this place, with these words.
#[track_caller]
fn only(found: &[(At, String)], place: &At, words: &str) {
    assert!(found.len() == 1 && found[0].0 == *place && found[0].1.contains(words), "{found:#?}");
}

#[test]
fn a_store_that_holds_is_whole() {
    everywhere(|place| {
        assert!(verify(place).is_whole(), "an empty one");
        filled(place);
        let verified = verify(place);
        assert!(verified.is_whole() && verified.is_log_whole(), "{verified}");
        assert_eq!((verified.events, verified.position), (62, 62));
        let views: Vec<_> = verified
            .views
            .iter()
            .map(|view| (view.name.as_str(), view.position, view.rows, view.folded))
            .collect();
        assert_eq!(views, [("has", 62, 7, false), ("owners", 62, 7, true), ("tiny", 25, 1, true)]);
        let text = verified.to_string();
        assert!(text.contains("62 events") && text.ends_with("everything holds"), "{text}");
        // Whoever registers nothing is told what can be told without.
        let verified = place.engine().verify().unwrap();
        assert!(verified.is_whole() && verified.views.iter().all(|view| !view.folded), "{verified}");
        // And it was only looked at.
        let engine = place.engine().view::<Owners>().view::<Tiny>().event::<Noted>().start().unwrap();
        assert_eq!(engine.view::<Owners>().rows().unwrap().count(), 6, "one is hidden");
    });
}

#[test]
fn every_event_that_is_damaged_is_named_and_not_only_the_first() {
    let found = found(
        "events.db",
        "UPDATE events SET payload = x'80' WHERE position = 3;
         UPDATE events SET recorded_at = 7 WHERE position = 5;
         DELETE FROM events WHERE position BETWEEN 10 AND 29;
         DELETE FROM events WHERE position = 40;
         UPDATE events SET checksum = 1 WHERE position = 61;",
    );
    let of_log: Vec<_> = found.iter().filter(|(place, _)| *place == At::Log).map(|(_, what)| what).collect();
    let expected = [
        "position 3, `Bought`",
        "position 5,",
        "positions 10 to 29",
        "positions 40 to 40",
        "61,",
        "62,",
        "view `tiny`",
    ];
    assert_eq!(of_log.len(), expected.len(), "{of_log:#?}");
    for (what, expected) in of_log.iter().zip(expected) {
        assert!(what.contains(expected), "{what} without {expected}");
    }
    assert!(
        found.iter().any(|(place, what)| *place == At::View("owners".into()) && what.contains("position 3"))
    );
}

#[test]
fn a_log_that_lost_its_end_is_found_by_what_was_witnessed() {
    let lost = "DELETE FROM events WHERE position > 60; DELETE FROM event_types";
    let found = found("events.db", lost);
    for of in ["the last checkpoint", "view `has`", "view `owners`"] {
        let there = |(at, what): &(At, String)| {
            *at == At::Log && what.contains(of) && what.contains("the log ends at 60")
        };
        assert!(found.iter().any(there), "{of}: {found:#?}");
    }
}

#[test]
fn what_is_counted_wrong_is_found() {
    let found = found("events.db", "UPDATE event_types SET count = count - 1 WHERE name = 'Bought'");
    only(&found, &At::Log, "types are counted as");
}

#[test]
fn an_id_that_is_not_in_the_index_is_found() {
    let hide = "PRAGMA writable_schema = ON;
        UPDATE sqlite_schema SET sql = replace(sql, 'IS NOT NULL', 'IS NULL') WHERE name = 'events_event_id'";
    let found = found("events.db", hide);
    assert!(
        found.iter().all(|(place, what)| *place == At::Log && what.contains("events_event_id")),
        "{found:#?}"
    );
}

#[test]
fn a_row_that_is_not_as_a_fold_makes_it_is_named() {
    let owners = At::View("owners".into());
    let changed = found("views.db", "UPDATE \"rows$owners\" SET \"$state\" = x'00' WHERE \"$id\" = 4");
    only(&changed, &owners, "row 4 (customer = 'c4', qty = 40): its checksum does not match it");
    let hidden = found("views.db", "UPDATE \"rows$owners\" SET \"$shown\" = 0 WHERE \"$id\" > 2");
    only(&hidden, &owners, "row 3 (customer = 'c3', qty = 45): its checksum does not match it (and 2 more");
    let lost = found("views.db", "DELETE FROM \"rows$has\" WHERE \"$id\" IN (2, 3)");
    only(&lost, &At::View("has".into()), "5 rows of 7");
    // Where the view is folded anew, it is known which.
    let lost = found("views.db", "DELETE FROM \"rows$owners\" WHERE \"$id\" IN (2, 3)");
    assert!(lost.iter().all(|(place, _)| *place == owners), "{lost:#?}");
    assert!(
        lost[0].1.contains("row 2 (customer = 'c2', qty = ")
            && lost[0].1.contains(") is missing (and 1 more such rows)")
            && lost[1].1.contains("rows of"),
        "{lost:#?}"
    );
    // What is called by another number is the same row: it has its key.
    let renumbered = found("views.db", "UPDATE \"rows$owners\" SET \"$id\" = 90 WHERE \"$id\" = 2");
    only(&renumbered, &owners, "row 90 (customer = 'c2', qty = ");
    let moved = found("views.db", "UPDATE _views SET position = 25 WHERE name = 'owners'");
    only(&moved, &At::Checkpoints, "about the view owners does not match its checksum");
}

#[test]
fn a_checkpoint_that_is_whole_and_wrong_is_found() {
    everywhere(|place| {
        filled(place);
        // As if the fold had been at fault: rows and checksums belong together, and are not what the log says.
        let mut keeper = place.store().checkpoints().unwrap();
        let witness = keeper.witness().unwrap().unwrap();
        let (mut view, ty) = (keeper.views().unwrap().remove(1), TypedView::<Owners>::default());
        assert_eq!(view.name, "owners");
        let mut rows = ty.rows();
        let mut changed = crate::store::RowImages::default();
        let mut digest = 0_u64;
        keeper
            .rows("owners", &mut |row| {
                let state: Vec<u8> = row.state.iter().map(|byte| byte ^ u8::from(row.id == 2)).collect();
                assert!(rows.restore(row.id, row.key, &state));
            })
            .unwrap();
        for row in 0..rows.len() as u32 {
            rows.savable().image(row, &mut changed);
        }
        changed.iter().for_each(|row| digest = digest.wrapping_add(row.checksum));
        view.digest = digest;
        let columns = ty.columns();
        keeper
            .save(witness, &[ViewCheckpoint { view, columns, reset: true, gone: Vec::new(), changed }])
            .unwrap();
        drop(keeper);
        let verified = verify(place);
        let of_view: Vec<_> =
            verified.findings.iter().filter(|finding| finding.place == At::View("owners".into())).collect();
        assert!(of_view.len() == 1 && of_view[0].what.contains("row 2 (customer = 'c2'"), "{verified}");
        assert!(of_view[0].what.contains("a fold of the log from its beginning makes another"), "{verified}");
        assert!(verified.is_log_whole());
    });
}

#[test]
fn elements_and_a_state_that_no_fold_makes_are_found() {
    everywhere(|place| {
        filled(place);
        let mut keeper = place.store().checkpoints().unwrap();
        let witness = keeper.witness().unwrap().unwrap();
        let mut view = keeper.views().unwrap().remove(1);
        let mut changed = crate::store::RowImages::default();
        let columns = TypedView::<Owners>::default().columns();
        for (id, key, state) in [
            (1 << 32 | 3, &[0, 0, 0, 2, 0, b'x'][..], &5_u64.to_be_bytes()[..]),
            (1 << 32 | 9, &[0, 0, 9, 9, 0, b'x'], &5_u64.to_be_bytes()),
            (2 << 32, &[], &[7; 17]),
        ] {
            let nulls =
                |into: &mut Vec<_>| into.resize(into.len() + columns.len(), crate::sql::SqlValue::Null);
            let checksum = changed.push(id, false, key, |out| out.extend_from_slice(state), nulls);
            view.digest = view.digest.wrapping_add(checksum);
            view.rows += 1;
        }
        keeper
            .save(witness, &[ViewCheckpoint { view, columns, reset: false, gone: Vec::new(), changed }])
            .unwrap();
        drop(keeper);
        let verified = verify(place);
        let [first, second] = &verified.findings[..] else { panic!("{verified}") };
        let found = first.what.contains("element 3: a fold of the log from its beginning makes another");
        assert!(found && first.what.contains("(and 2 more such rows)"), "{verified}");
        assert!(second.what.contains(" rows with 2 elements, and a fold of the log"), "{verified}");
        // A state that is none is no checkpoint: the view is rebuilt.
        let engine = place.engine().view::<Owners>().view::<Tiny>().event::<Noted>().start().unwrap();
        engine.checkpoint().wait().unwrap();
        engine.close().wait().unwrap();
        assert!(verify(place).is_whole(), "{}", verify(place));
    });
}

#[test]
fn parked_events_are_held_against_a_fold_of_the_log() {
    everywhere(|place| {
        let engine = place.engine().view::<Sets>().start().unwrap();
        engine.append_all([100, 100, 1, 100].map(|qty| bought("ann", "hats", qty))).wait().unwrap();
        engine.close().wait().unwrap();
        let verified = place.engine().view::<Sets>().verify().unwrap();
        assert!(verified.is_whole(), "{verified}");
        let mut keeper = place.store().checkpoints().unwrap();
        let witness = keeper.witness().unwrap().unwrap();
        let mut stored = Vec::new();
        keeper.rows("sets", &mut |row| stored.push((row.id, row.key.to_vec(), row.state.to_vec()))).unwrap();
        assert_eq!(stored.iter().map(|row| row.0).collect::<Vec<_>>(), [0, 3 << 32, 3 << 32 | 1]);
        assert_eq!(stored[2].1, 4_u64.to_be_bytes());
        let mut view = keeper.views().unwrap().remove(0);
        let columns = TypedView::<Sets>::default().columns();
        let mut changed = crate::store::RowImages::default();
        let nulls = |into: &mut Vec<_>| into.resize(into.len() + columns.len(), crate::sql::SqlValue::Null);
        // One that no fold parks, and is written as it should be.
        let write = |out: &mut Vec<u8>| out.extend_from_slice(&stored[2].2);
        let checksum = changed.push(3 << 32 | 2, false, &5_u64.to_be_bytes(), write, nulls);
        view.digest = view.digest.wrapping_add(checksum);
        view.rows += 1;
        keeper
            .save(witness, &[ViewCheckpoint { view, columns, reset: false, gone: Vec::new(), changed }])
            .unwrap();
        drop(keeper);
        let verified = place.engine().view::<Sets>().verify().unwrap();
        let [first, second] = &verified.findings[..] else { panic!("{verified}") };
        assert!(first.what.contains("parked event 2: a fold of the log from its beginning makes"), "{first}");
        assert!(
            second.what.contains("3 parked events, and a fold of the log from its beginning parks 2"),
            "{second}"
        );
    });
}

#[test]
fn a_parked_event_that_rots_or_is_gone_has_the_view_rebuilt() {
    for damage in [
        "UPDATE \"rows$sets\" SET \"$state\" = x'00' WHERE \"$id\" >> 32 = 3",
        "DELETE FROM \"rows$sets\" WHERE \"$id\" >> 32 = 3",
    ] {
        let place = Place::Folder(tempfile::tempdir().unwrap());
        let engine = place.engine().view::<Sets>().start().unwrap();
        engine.append_all([100, 100, 1].map(|qty| bought("ann", "hats", qty))).wait().unwrap();
        let parked = engine.view::<Sets>().parked().unwrap();
        assert_eq!(parked.len(), 1);
        engine.close().wait().unwrap();
        sql(&place, "views.db", damage);
        assert!(!place.engine().view::<Sets>().verify().unwrap().is_whole());
        let engine = place.engine().view::<Sets>().start().unwrap();
        engine.wait_ready().wait().unwrap();
        assert_eq!(engine.view::<Sets>().parked().unwrap(), parked);
        engine.checkpoint().wait().unwrap();
        engine.close().wait().unwrap();
        let verified = place.engine().view::<Sets>().verify().unwrap();
        assert!(verified.is_whole(), "{verified}");
    }
}

#[test]
fn what_sql_shows_is_held_against_the_rows() {
    let sql = At::Sql("owners".into());
    let found = found("views.db", "UPDATE \"rows$owners\" SET qty = 41 WHERE \"$id\" = 4");
    only(&found, &sql, "row 4 (customer = 'c4', qty = 40)");
}

#[test]
fn another_sql_view_under_its_name_is_found() {
    let found = found(
        "views.db",
        "DROP VIEW owners; CREATE VIEW owners AS SELECT customer, 1 AS qty FROM \"rows$owners\" WHERE \"$shown\"",
    );
    only(&found, &At::Checkpoints, "about the view owners does not match its checksum");
}

#[test]
fn what_nobody_claims_or_can_read_is_told() {
    everywhere(|place| {
        filled(place);
        let mut log = place.store().log().unwrap();
        let head = log.head().unwrap();
        let mut event = LogEvent {
            position: head.position + 1,
            name: "Noted",
            version: 1,
            recorded_at: Timestamp::from_micros(i64::MAX / 2),
            event_id: None,
            metadata: &[],
            payload: &[0x80],
            checksum: 0,
        };
        event.checksum = chain(head.checksum, &event);
        log.append(head, &[event], &Beside::default()).unwrap();
        drop(log);
        let verified = verify(place);
        assert_eq!(verified.findings.len(), 1, "{verified}");
        assert!(
            verified.to_string().contains("position 63, `Noted`: it cannot be read as the type"),
            "{verified}"
        );
        let unclaimed = place.engine().view::<Owners>().verify().unwrap();
        assert!(unclaimed.to_string().contains("`Noted` version 1 (2 stored)"), "{unclaimed}");
        // It is the program that has to be mended: nothing is to be put back, or deleted.
        for verified in [verified, unclaimed] {
            assert!(verified.is_log_whole() && !verified.is_whole(), "{verified}");
            let text = verified.to_string();
            assert!(text.contains("Delete nothing") && !text.contains("backup"), "{text}");
            assert!(!text.contains("delete views.db"), "{text}");
        }
    });
}

#[test]
fn damaged_notes_are_told_and_what_to_do() {
    for (damage, words) in [
        ("UPDATE notes SET value = x'00' WHERE key = 'n'", "the note \"n\" is not as it was written"),
        ("DELETE FROM notes WHERE key = 'n'", "the notes do not match their sum"),
    ] {
        let place = Place::Folder(tempfile::tempdir().unwrap());
        filled(&place);
        let mut log = place.store().log().unwrap();
        let head = log.head().unwrap();
        let notes = [Note { key: "n", value: Some(b"1") }];
        log.append(head, &[], &Beside { notes: &notes, ..Beside::default() }).unwrap();
        drop(log);
        assert!(verify(&place).is_whole(), "{}", verify(&place));
        sql(&place, "events.db", damage);
        let verified = verify(&place);
        assert!(!verified.is_log_whole());
        assert!(verified.to_string().contains("put back a backup that is whole"), "{verified}");
        let found: Vec<_> = verified.findings.into_iter().map(|found| (found.place, found.what)).collect();
        only(&found, &At::Log, words);
    }
}

#[test]
fn a_witness_of_another_log_is_told_and_the_rest_all_the_same() {
    everywhere(|place| {
        filled(place);
        let witness = Witness { store: StoreId([9; 16]), head: Head { position: 1, checksum: 1 } };
        place.store().checkpoints().unwrap().save(witness, &[]).unwrap();
        let verified = verify(place);
        assert_eq!(verified.findings.len(), 1, "{verified}");
        assert!(
            verified.to_string().contains("the last checkpoint was made from the log 0909"),
            "{verified}"
        );
        assert!(verified.views.iter().filter(|view| view.folded).count() == 2);
    });
}

#[test]
fn what_sql_shows_is_written_anew_where_it_was_damaged() {
    let place = Place::Folder(tempfile::tempdir().unwrap());
    filled(&place);
    sql(&place, "views.db", "UPDATE \"rows$owners\" SET qty = 41 WHERE \"$id\" IN (1, 4)");
    sql(&place, "views.db", "UPDATE \"rows$owners\" SET \"$rendered\" = 0 WHERE \"$id\" = 2");
    let start = || place.engine().view::<Owners>().view::<Tiny>().event::<Noted>().start().unwrap();
    let engine = start();
    engine.checkpoint().wait().unwrap();
    engine.close().wait().unwrap();
    assert!(verify(&place).is_whole(), "{}", verify(&place));
    // There is nothing left to be done.
    let before = shown(&place);
    let engine = start();
    engine.checkpoint().wait().unwrap();
    engine.close().wait().unwrap();
    assert_eq!(shown(&place), before);
}

/// What SQL shows of a view.
fn shown(place: &Place) -> Vec<(u32, Vec<crate::sql::SqlValue>)> {
    let mut rows = Vec::new();
    let mut keeper = place.store().checkpoints().unwrap();
    keeper.renderings("owners", 0, 100, &mut |row| rows.push((row.id, row.columns.to_vec()))).unwrap();
    rows
}
