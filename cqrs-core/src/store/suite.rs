//! What every store must do, run over each of them.

use std::collections::BTreeMap;

use super::{
    Advance, AppendFailure, Beside, Checkpoints, Head, Log, LogEvent, LogReader, MemoryStore, Note,
    RowImages, SavedView, SqlColumn, Store, StoreId, StoredType, ViewCheckpoint, Witness, chain,
};
use crate::Timestamp;
use crate::sql::{SqlType, SqlValue};

/// An event with its fields owned, so that what was read can be kept and compared.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Owned {
    pub(super) position: u64,
    pub(super) name: String,
    pub(super) version: u32,
    pub(super) recorded_at: Timestamp,
    pub(super) event_id: Option<String>,
    pub(super) metadata: Vec<u8>,
    pub(super) payload: Vec<u8>,
    pub(super) checksum: u64,
}

impl Owned {
    pub(super) fn of(event: LogEvent<'_>) -> Self {
        Self {
            position: event.position,
            name: event.name.into(),
            version: event.version,
            recorded_at: event.recorded_at,
            event_id: event.event_id.map(Into::into),
            metadata: event.metadata.into(),
            payload: event.payload.into(),
            checksum: event.checksum,
        }
    }

    pub(super) fn borrow(&self) -> LogEvent<'_> {
        LogEvent {
            position: self.position,
            name: &self.name,
            version: self.version,
            recorded_at: self.recorded_at,
            event_id: self.event_id.as_deref(),
            metadata: &self.metadata,
            payload: &self.payload,
            checksum: self.checksum,
        }
    }
}

/// `count` plain events that follow `after`, properly chained.
pub(super) fn events(after: Head, count: u64) -> Vec<Owned> {
    let mut checksum = after.checksum;
    (after.position + 1..=after.position + count)
        .map(|position| {
            let mut event = Owned {
                position,
                name: if position % 3 == 0 { "Returned" } else { "Purchased" }.into(),
                version: 1,
                recorded_at: Timestamp::from_micros(position as i64 * 10),
                event_id: None,
                metadata: Vec::new(),
                payload: format!("payload {position}").into(),
                checksum: 0,
            };
            checksum = chain(checksum, &event.borrow());
            event.checksum = checksum;
            event
        })
        .collect()
}

pub(super) fn append(log: &mut dyn Log, events: &[Owned]) -> Result<(), AppendFailure> {
    let head = log.head().expect("the head");
    let events: Vec<_> = events.iter().map(Owned::borrow).collect();
    log.append(head, &events, &Beside::default())
}

/// Appends `count` plain events.
pub(super) fn grow(log: &mut dyn Log, count: u64) -> Vec<Owned> {
    let new = events(log.head().expect("the head"), count);
    append(log, &new).expect("appended");
    new
}

pub(super) fn read_all(reader: &mut dyn LogReader, after: u64, limit: usize) -> Vec<Owned> {
    let mut read = Vec::new();
    let count = reader.read(after, limit, &mut |event| {
        read.push(Owned::of(event));
        true
    });
    assert_eq!(count.expect("read"), read.len());
    read
}

/// Unusual values in every field.
fn odd_events() -> Vec<Owned> {
    let plain = events(Head::default(), 5);
    let mut odd = plain.clone();
    odd[0].checksum = u64::MAX;
    odd[1] = Owned {
        name: "Ge\u{e4}ndert \u{1f980} 'quoted' \"twice\"".into(),
        version: u32::MAX,
        recorded_at: Timestamp::from_micros(i64::MIN),
        event_id: Some("\u{65e5}\u{672c}-1".into()),
        metadata: vec![0, 255, 0],
        payload: Vec::new(),
        checksum: 1 << 63,
        ..plain[1].clone()
    };
    odd[2].event_id = Some(String::new());
    odd[2].recorded_at = Timestamp::from_micros(i64::MAX);
    odd[3].payload = vec![7; 3_000_000];
    odd[4].version = 0;
    odd[4].checksum = 0;
    odd
}

fn every_field_comes_back(store: &dyn Store) {
    let mut log = store.log().expect("the log");
    let odd = odd_events();
    append(&mut *log, &odd).expect("appended");
    let head = Head { position: 5, checksum: 0 };
    assert_eq!(log.head().expect("the head"), head);
    let mut reader = store.reader().expect("a reader");
    assert_eq!(reader.head().expect("the head"), head);
    assert_eq!(read_all(&mut *reader, 0, 100), odd);
    for event in &odd {
        assert_eq!(reader.checksum_at(event.position).expect("read"), Some(event.checksum));
    }
    assert_eq!(reader.checksum_at(0).expect("read"), Some(0));
    assert_eq!(reader.checksum_at(6).expect("read"), None);
    assert_eq!(reader.checksum_at(u64::MAX).expect("read"), None);
}

fn an_empty_log_is_empty(store: &dyn Store) {
    let mut reader = store.reader().expect("a reader");
    assert_eq!(reader.head().expect("the head"), Head::default());
    assert_eq!(read_all(&mut *reader, 0, 10), []);
    assert_eq!(reader.types().expect("types"), []);
    assert_eq!(reader.checksum_at(1).expect("read"), None);
    let mut log = store.log().expect("the log");
    log.append(Head::default(), &[], &Beside::default()).expect("nothing to append");
    assert_eq!(log.head().expect("the head"), Head::default());
}

fn a_wrong_head_is_refused(store: &dyn Store) {
    let mut log = store.log().expect("the log");
    grow(&mut *log, 3);
    let head = log.head().expect("the head");
    let next = events(head, 1);
    for wrong in
        [Head::default(), Head { position: 3, checksum: head.checksum ^ 1 }, Head { position: 4, ..head }]
    {
        let refused = log.append(wrong, &[next[0].borrow()], &Beside::default());
        assert!(matches!(refused, Err(AppendFailure::HeadMoved(now)) if now == head), "{refused:?}");
    }
    assert_eq!(read_all(&mut *store.reader().expect("a reader"), 0, 10).len(), 3);
}

fn a_wrong_position_is_refused(store: &dyn Store) {
    let mut log = store.log().expect("the log");
    grow(&mut *log, 2);
    let head = log.head().expect("the head");
    let mut gap = events(head, 3);
    gap.remove(1);
    let refused = append(&mut *log, &gap);
    assert!(matches!(refused, Err(AppendFailure::NotAppended(_))), "{refused:?}");
    assert_eq!(log.head().expect("the head"), head);
    assert_eq!(store.reader().expect("a reader").head().expect("the head"), head);
    grow(&mut *log, 1);
}

fn an_id_finds_its_event(store: &dyn Store) {
    let mut log = store.log().expect("the log");
    append(&mut *log, &odd_events()).expect("appended");
    grow(&mut *log, 10);
    for (id, position) in [("\u{65e5}\u{672c}-1", Some(2)), ("", Some(3)), ("no such", None)] {
        let mut found = None;
        log.find(id, &mut |event| found = Some(Owned::of(event))).expect("looked up");
        assert_eq!(
            found.map(|event| (event.position, event.event_id)),
            position.map(|p| (p, Some(id.into())))
        );
    }
}

fn an_id_is_taken_once(store: &dyn Store) {
    let mut log = store.log().expect("the log");
    append(&mut *log, &odd_events()).expect("appended");
    let head = log.head().expect("the head");
    let types = log.types().expect("types");
    let mut in_log = events(head, 3);
    in_log[2].event_id = Some("\u{65e5}\u{672c}-1".into());
    let mut in_batch = events(head, 3);
    in_batch[0].event_id = Some("new".into());
    in_batch[2].event_id = Some("new".into());
    for batch in [in_log, in_batch] {
        match append(&mut *log, &batch) {
            Err(AppendFailure::NotAppended(why)) => {
                assert!(why.to_string().contains("already taken"), "{why}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(log.head().expect("the head"), head);
        assert_eq!(log.types().expect("types"), types);
        assert_eq!(read_all(&mut *store.reader().expect("a reader"), 0, 100).len(), 5);
    }
    // The refused batch has not used up its ids.
    let mut fresh = events(head, 1);
    fresh[0].event_id = Some("new".into());
    append(&mut *log, &fresh).expect("appended");
}

fn types_are_counted(store: &dyn Store) {
    let mut log = store.log().expect("the log");
    grow(&mut *log, 10);
    let mut newer = events(log.head().expect("the head"), 3);
    newer[0].version = 2;
    newer[0].name = "Purchased".into();
    newer[1].name = "Purchased".into();
    newer[2].name = "Arrived".into();
    append(&mut *log, &newer).expect("appended");
    let of = |name: &str, version, count| StoredType { name: name.into(), version, count };
    let types = vec![of("Arrived", 1, 1), of("Purchased", 1, 8), of("Purchased", 2, 1), of("Returned", 1, 3)];
    assert_eq!(log.types().expect("types"), types);
    assert_eq!(store.reader().expect("a reader").types().expect("types"), types);
}

/// Sources that are taken further, and no notes.
pub(super) fn to<'a>(advances: &'a [Advance<'a>]) -> Beside<'a> {
    Beside { advances, ..Beside::default() }
}

fn a_source_moves_with_its_events(store: &dyn Store) {
    let advance = |source, after, to| Advance { source, after, to };
    let sources = || store.reader().expect("a reader").sources().expect("sources");
    let of = |offsets: &[(&str, u64)]| -> BTreeMap<String, u64> {
        offsets.iter().map(|(name, offset)| ((*name).into(), *offset)).collect()
    };
    let mut log = store.log().expect("the log");
    assert_eq!(sources(), of(&[]));
    let first = events(Head::default(), 2);
    let first: Vec<_> = first.iter().map(Owned::borrow).collect();
    let both = [advance("a", None, 0), advance("\u{e4} 'b'", None, u64::MAX)];
    log.append(Head::default(), &first, &to(&both)).expect("appended");
    assert_eq!(sources(), of(&[("a", 0), ("\u{e4} 'b'", u64::MAX)]));
    let head = log.head().expect("the head");
    assert_eq!(head.position, 2);

    // Without events: the offset alone.
    log.append(head, &[], &to(&[advance("a", Some(0), 9)])).expect("moved");
    assert_eq!(log.head().expect("the head"), head);

    // What does not follow is refused, and with it the events.
    let next = events(head, 1);
    for wrong in [advance("a", None, 10), advance("a", Some(8), 10), advance("new", Some(1), 2)] {
        match log.append(head, &[next[0].borrow()], &to(&[wrong])) {
            Err(AppendFailure::NotAppended(why)) => assert!(why.to_string().contains(wrong.source), "{why}"),
            other => panic!("{other:?}"),
        }
    }
    // Events that are refused leave the offset.
    let mut gap = next.clone();
    gap[0].position = 7;
    log.append(head, &[gap[0].borrow()], &to(&[advance("a", Some(9), 10)])).expect_err("a gap");
    assert_eq!(log.head().expect("the head"), head);
    assert_eq!(sources(), of(&[("a", 9), ("\u{e4} 'b'", u64::MAX)]));

    log.append(head, &[next[0].borrow()], &to(&[advance("a", Some(9), 10)])).expect("appended");
    drop(log);
    assert_eq!(sources()["a"], 10);
    let mut log = store.log().expect("the log");
    let head = log.head().expect("the head");
    log.append(head, &[], &to(&[advance("a", Some(10), 11), advance("c", None, 1)])).expect("moved");
    assert_eq!(sources(), of(&[("a", 11), ("c", 1), ("\u{e4} 'b'", u64::MAX)]));
}

/// Notes alone.
pub(super) fn noting<'a>(notes: &'a [Note<'a>]) -> Beside<'a> {
    Beside { notes, ..Beside::default() }
}

pub(super) fn note<'a>(key: &'a str, value: &'a str) -> Note<'a> {
    Note { key, value: Some(value.as_bytes()) }
}

/// The notes whose keys begin with this.
pub(super) fn notes(store: &dyn Store, prefix: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut reader = store.reader().expect("a reader");
    let read = reader.notes(prefix, &mut |key, value| {
        found.push((key.into(), String::from_utf8(value.into()).expect("text")));
        true
    });
    read.expect("notes");
    found
}

fn of(notes: &[(&str, &str)]) -> Vec<(String, String)> {
    notes.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
}

fn a_note_is_put_replaced_and_taken_away(store: &dyn Store) {
    let mut reader = store.reader().expect("a reader");
    let mut say = |key| reader.note(key).expect("read").map(|value| String::from_utf8(value).expect("text"));
    let mut log = store.log().expect("the log");
    assert_eq!(say("a"), None);
    let first = events(Head::default(), 2);
    let first: Vec<_> = first.iter().map(Owned::borrow).collect();
    let both = [note("a", "1"), note("\u{e4} 'b'\0", "")];
    let advance = [Advance { source: "till", after: None, to: 3 }];
    log.append(Head::default(), &first, &Beside { advances: &advance, notes: &both }).expect("appended");
    assert_eq!((say("a"), say("\u{e4} 'b'\0")), (Some("1".into()), Some(String::new())));
    assert_eq!(store.reader().expect("a reader").sources().expect("sources")["till"], 3);
    let head = log.head().expect("the head");
    assert_eq!(head.position, 2);

    // Without events. To take away what is not there is no error.
    let away = |key| Note { key, value: None };
    let long = "long".repeat(50_000);
    log.append(head, &[], &noting(&[note("a", &long), away("\u{e4} 'b'\0"), away("none")])).expect("put");
    assert_eq!((say("a"), say("\u{e4} 'b'\0"), say("none")), (Some(long), None, None));
    assert_eq!(log.head().expect("the head"), head);

    // It is there for whoever opens the store again, and goes on from there.
    drop(log);
    let mut log = store.log().expect("the log");
    let next = events(head, 1);
    log.append(head, &[next[0].borrow()], &noting(&[note("a", "2"), note("c", "3")])).expect("appended");
    assert_eq!(notes(store, ""), of(&[("a", "2"), ("c", "3")]));
    let head = log.head().expect("the head");
    log.append(head, &[], &noting(&[away("a"), away("c")])).expect("taken away");
    assert_eq!(notes(store, ""), []);
    assert_eq!(store.check().expect("checked").log, [""; 0]);
}

fn a_note_goes_in_with_its_events_or_not_at_all(store: &dyn Store) {
    let mut log = store.log().expect("the log");
    append(&mut *log, &odd_events()).expect("appended");
    let head = log.head().expect("the head");
    log.append(head, &[], &noting(&[note("a", "1"), note("b", "1")])).expect("put");
    let next = events(head, 1);
    let mut taken = next.clone();
    taken[0].event_id = Some("\u{65e5}\u{672c}-1".into());
    let mut gap = next.clone();
    gap[0].position = 9;
    let changes = [note("a", "2"), Note { key: "b", value: None }, note("c", "2")];
    let stray = [Advance { source: "till", after: Some(1), to: 2 }];
    let keyless = [note("a", "2"), note("", "2")];
    let moved = Head { position: 1, ..head };
    for (expected, event, beside) in [
        (head, &taken[0], noting(&changes)),
        (head, &gap[0], noting(&changes)),
        (head, &next[0], Beside { advances: &stray, notes: &changes }),
        (head, &next[0], noting(&keyless)),
        (moved, &next[0], noting(&changes)),
    ] {
        match log.append(expected, &[event.borrow()], &beside) {
            Err(AppendFailure::HeadMoved(now)) => assert_eq!((now, expected), (head, moved)),
            Err(AppendFailure::NotAppended(_)) => assert_eq!(expected, head),
            other => panic!("{other:?}"),
        }
        assert_eq!(notes(store, ""), of(&[("a", "1"), ("b", "1")]));
    }
    // Nor by themselves.
    assert!(matches!(log.append(moved, &[], &noting(&changes)), Err(AppendFailure::HeadMoved(_))));
    let refused = log.append(head, &[], &noting(&keyless));
    assert!(
        matches!(&refused, Err(AppendFailure::NotAppended(why)) if why.to_string().contains("is empty")),
        "{refused:?}"
    );
    assert_eq!(notes(store, ""), of(&[("a", "1"), ("b", "1")]));
    // Their count and sum are as they were, too.
    log.append(head, &[next[0].borrow()], &noting(&changes)).expect("appended");
    assert_eq!(notes(store, ""), of(&[("a", "2"), ("c", "2")]));
    assert_eq!(store.check().expect("checked").log, [""; 0]);
}

fn notes_are_read_by_the_beginning_of_their_keys(store: &dyn Store) {
    let mut log = store.log().expect("the log");
    let put = [
        "b/2",
        "b",
        "a/1",
        "b/\u{10ffff}",
        "b0",
        "b/\u{10ffff}z",
        "b/10",
        "B/1",
        "c",
        "b.",
        "b/\u{e4}",
        "b/",
    ];
    let put = put.map(|key| note(key, "x"));
    log.append(Head::default(), &[], &noting(&put)).expect("put");
    let keys = |prefix| notes(store, prefix).into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    assert_eq!(keys("b/"), ["b/", "b/10", "b/2", "b/\u{e4}", "b/\u{10ffff}", "b/\u{10ffff}z"]);
    assert_eq!(keys("c"), ["c"]);
    assert_eq!(keys("d"), [""; 0]);
    assert_eq!((keys("").len(), keys("")[0].as_str()), (12, "B/1"));
    let mut seen = Vec::new();
    let mut reader = store.reader().expect("a reader");
    let read = reader.notes("b/", &mut |key, _| {
        seen.push(key.to_owned());
        seen.len() < 2
    });
    read.expect("notes");
    assert_eq!(seen, ["b/", "b/10"]);
    assert_eq!(reader.note("").expect("read"), None);
}

fn a_log_is_read_in_pages(store: &dyn Store) {
    let mut log = store.log().expect("the log");
    let mut all = Vec::new();
    // Batches around the sizes at which stores begin a new segment.
    for count in [1, 1, 1021, 1, 1, 1024, 3000, 1] {
        all.extend(grow(&mut *log, count));
    }
    let mut reader = store.reader().expect("a reader");
    for page in [1_usize, 7, 1023, 1024, 1025, usize::MAX] {
        let start = if page == 1 { all.len() - 20 } else { 0 };
        let mut read = Vec::new();
        loop {
            let next = read_all(&mut *reader, (start + read.len()) as u64, page);
            assert!(next.len() <= page);
            if next.is_empty() {
                break;
            }
            read.extend(next);
        }
        assert!(read == all[start..], "pages of {page}");
    }
    assert_eq!(reader.read(0, 0, &mut |_| true).expect("read"), 0);
    assert_eq!(reader.read(u64::MAX, 5, &mut |_| true).expect("read"), 0);
    let mut seen = 0;
    let visited = reader.read(10, 100, &mut |event| {
        seen = event.position;
        event.position < 15
    });
    assert_eq!((visited.expect("read"), seen), (5, 15));
}

fn a_reader_follows_the_writer(store: &dyn Store) {
    let mut reader = store.reader().expect("a reader");
    let mut log = store.log().expect("the log");
    for count in [1, 5, 2000] {
        grow(&mut *log, count);
        assert_eq!(reader.head().expect("the head"), log.head().expect("the head"));
    }
    std::thread::scope(|scope| {
        let appending = scope.spawn(move || (0..200).for_each(|_| drop(grow(&mut *log, 5))));
        let (mut after, mut checksum) = (0, 0);
        while after < 3006 {
            let read = reader.read(after, 97, &mut |event| {
                assert_eq!(event.position, after + 1);
                checksum = chain(checksum, &event);
                assert_eq!(event.checksum, checksum);
                after += 1;
                true
            });
            read.expect("read");
        }
        appending.join().expect("appended");
    });
}

/// What a checkpoint saw of the log, where that does not matter.
pub(super) const WITNESS: Witness =
    Witness { store: StoreId([7; 16]), head: Head { position: 42, checksum: u64::MAX } };

pub(super) fn columns(names: &[(&str, SqlType)]) -> Vec<SqlColumn> {
    names.iter().map(|(name, ty)| SqlColumn { name: (*name).into(), ty: *ty }).collect()
}

/// A checkpoint of a view with the columns `customer` and `total`.
pub(super) fn checkpoint(store: &dyn Store, name: &str, rows: &[(u64, &str, f64, bool)]) -> ViewCheckpoint {
    let mut changed = RowImages::default();
    let mut digest = 0_u64;
    for (id, key, total, shown) in rows {
        let columns = |into: &mut Vec<SqlValue>| {
            into.extend([SqlValue::Text((*key).into()), SqlValue::Real(*total)]);
        };
        let state = |into: &mut Vec<u8>| into.extend(total.to_bits().to_le_bytes());
        digest = digest.wrapping_add(changed.push(*id, *shown, key.as_bytes(), state, columns));
    }
    ViewCheckpoint {
        view: SavedView {
            name: name.into(),
            fingerprint: u128::MAX - 7,
            store: store.id(),
            position: 42,
            log_checksum: u64::MAX,
            rows: rows.len() as u64,
            digest,
            state: "live".into(),
        },
        columns: columns(&[("customer", SqlType::Text), ("total", SqlType::Real)]),
        reset: false,
        gone: Vec::new(),
        changed,
    }
}

/// A view's rows as (id, key, state, shown), their checksums verified.
pub(super) fn rows(keeper: &mut dyn Checkpoints, view: &str) -> Vec<(u64, Vec<u8>, Vec<u8>, bool)> {
    let mut rows = Vec::new();
    let read = keeper.rows(view, &mut |row| {
        assert_eq!(row.checksum, super::row_checksum(row.id, row.shown, row.key, row.state));
        assert!(row.columns.is_empty());
        rows.push((row.id, row.key.to_vec(), row.state.to_vec(), row.shown));
    });
    read.expect("rows");
    rows
}

fn ids(keeper: &mut dyn Checkpoints, view: &str) -> Vec<u64> {
    rows(keeper, view).into_iter().map(|row| row.0).collect()
}

fn a_checkpoint_comes_back(store: &dyn Store) {
    let mut keeper = store.checkpoints().expect("the keeper");
    assert_eq!(keeper.views().expect("views"), []);
    assert_eq!(rows(&mut *keeper, "purchases"), []);
    let long = "k".repeat(200_000);
    let saved = checkpoint(
        store,
        "purchases",
        &[(2, &long, f64::NAN, true), (0, "", -0.0, false), (1, "\u{e4}\0b", f64::INFINITY, true)],
    );
    let other = checkpoint(store, "customers", &[]);
    keeper.save(WITNESS, &[saved.clone(), other.clone()]).expect("saved");
    drop(keeper);
    let mut keeper = store.checkpoints().expect("the keeper");
    assert_eq!(keeper.views().expect("views"), [other.view, saved.view]);
    let of =
        |id, key: &str, total: f64, shown| (id, key.into(), total.to_bits().to_le_bytes().to_vec(), shown);
    let expected =
        [of(0, "", -0.0, false), of(1, "\u{e4}\0b", f64::INFINITY, true), of(2, &long, f64::NAN, true)];
    assert_eq!(rows(&mut *keeper, "purchases"), expected);
    assert_eq!(rows(&mut *keeper, "customers"), []);
}

fn a_changed_row_replaces_its_own(store: &dyn Store) {
    let mut keeper = store.checkpoints().expect("the keeper");
    keeper
        .save(WITNESS, &[checkpoint(store, "v", &[(0, "a", 1.0, true), (1, "b", 2.0, true)])])
        .expect("saved");
    let mut next = checkpoint(store, "v", &[(1, "b", 3.0, false), (2, "c", 4.0, true)]);
    next.view.position = 43;
    next.view.state = "faulted".into();
    keeper.save(WITNESS, std::slice::from_ref(&next)).expect("saved");
    let kept = rows(&mut *keeper, "v");
    assert_eq!(kept.iter().map(|row| (row.0, row.3)).collect::<Vec<_>>(), [(0, true), (1, false), (2, true)]);
    assert_eq!(kept[1].2, 3.0_f64.to_bits().to_le_bytes());
    assert_eq!(keeper.views().expect("views"), [next.view]);
}

fn a_row_that_went_is_forgotten(store: &dyn Store) {
    let mut keeper = store.checkpoints().expect("the keeper");
    let (element, state) = (1 << 32 | 7, 2 << 32);
    let before =
        [(0, "a", 1.0, true), (1, "b", 2.0, false), (element, "e", 3.0, false), (state, "", 4.0, false)];
    keeper.save(WITNESS, &[checkpoint(store, "v", &before)]).expect("saved");
    assert_eq!(ids(&mut *keeper, "v"), [0, 1, element, state]);
    let mut seen = Vec::new();
    keeper.renderings("v", 0, 100, &mut |row| seen.push((row.id, row.shown))).expect("read");
    assert!(seen.is_empty() || seen == [(0, true), (1, false)], "SQL shows rows: {seen:?}");
    let columns = keeper.columns("v").expect("columns");
    assert!(
        columns == ["customer", "total"] || seen.is_empty() && columns.is_empty(),
        "SQL shows columns: {columns:?}"
    );
    assert!(keeper.columns("w").expect("columns").is_empty(), "there is no such view");
    let mut next = checkpoint(store, "v", &[(1, "c", 5.0, true)]);
    // What went is forgotten first, and what never was is none.
    next.gone = vec![0, 1, 900, element];
    keeper.save(WITNESS, &[next]).expect("saved");
    let kept: Vec<_> = rows(&mut *keeper, "v").into_iter().map(|row| (row.0, row.1)).collect();
    assert_eq!(kept, [(1, b"c".to_vec()), (state, Vec::new())]);
}

fn a_reset_or_new_columns_forget_the_rows(store: &dyn Store) {
    let mut keeper = store.checkpoints().expect("the keeper");
    keeper
        .save(WITNESS, &[checkpoint(store, "v", &[(0, "a", 1.0, true), (1, "b", 2.0, true)])])
        .expect("saved");
    let mut again = checkpoint(store, "v", &[(5, "a", 1.0, true)]);
    again.reset = true;
    keeper.save(WITNESS, &[again.clone(), checkpoint(store, "w", &[(0, "x", 0.0, true)])]).expect("saved");
    assert_eq!(ids(&mut *keeper, "v"), [5]);
    // The same names in the other order, then another type: both are other columns.
    again.reset = false;
    let by_type = columns(&[("customer", SqlType::Text), ("total", SqlType::Blob)]);
    let by_order = columns(&[("total", SqlType::Text), ("customer", SqlType::Real)]);
    for (id, columns) in [(6, by_type), (7, by_order)] {
        let mut changed = checkpoint(store, "v", &[(id, "a", 1.0, true)]);
        changed.columns = columns;
        keeper.save(WITNESS, &[changed]).expect("saved");
        assert_eq!(ids(&mut *keeper, "v"), [id]);
    }
    assert_eq!(ids(&mut *keeper, "w"), [0]);
}

fn a_forgotten_view_is_gone(store: &dyn Store) {
    let mut keeper = store.checkpoints().expect("the keeper");
    let kept = checkpoint(store, "kept", &[(0, "a", 1.0, true)]);
    keeper.save(WITNESS, &[kept.clone(), checkpoint(store, "gone", &[(0, "a", 1.0, true)])]).expect("saved");
    keeper.forget("gone").expect("forgotten");
    keeper.forget("never there").expect("nothing to forget");
    assert_eq!(keeper.views().expect("views"), [kept.view]);
    assert_eq!(ids(&mut *keeper, "gone"), []);
    keeper.save(WITNESS, &[checkpoint(store, "gone", &[(3, "b", 1.0, true)])]).expect("saved");
    assert_eq!(ids(&mut *keeper, "gone"), [3]);
    assert_eq!(ids(&mut *keeper, "kept"), [0]);
}

fn a_checkpoint_is_all_or_none(store: &dyn Store) {
    let mut keeper = store.checkpoints().expect("the keeper");
    let before = checkpoint(store, "a", &[(0, "x", 1.0, true)]);
    keeper.save(WITNESS, std::slice::from_ref(&before)).expect("saved");
    let mut good = checkpoint(store, "a", &[(0, "x", 2.0, true), (1, "y", 2.0, true)]);
    good.view.position = 99;
    good.reset = true;
    let mut bad = checkpoint(store, "b", &[(0, "x", 1.0, true)]);
    bad.changed.push(1, true, b"short", |_| {}, |columns| columns.push(SqlValue::Null));
    keeper.save(WITNESS, &[good, bad]).expect_err("a row without all its columns");
    assert_eq!(keeper.views().expect("views"), [before.view]);
    assert_eq!(ids(&mut *keeper, "a"), [0]);
    assert_eq!(ids(&mut *keeper, "b"), []);
    keeper.save(WITNESS, &[checkpoint(store, "b", &[(0, "x", 1.0, true)])]).expect("saved after a failure");
}

fn what_a_checkpoint_saw_of_the_log_comes_back(store: &dyn Store) {
    let mut keeper = store.checkpoints().expect("the keeper");
    assert_eq!(keeper.witness().expect("the witness"), None);
    keeper.save(WITNESS, &[]).expect("saved without a view");
    let head = Head { position: u64::MAX >> 1, checksum: 1 << 63 };
    let next = Witness { store: store.id(), head };
    let view = checkpoint(store, "v", &[(0, "a", 1.0, true)]);
    keeper.save(next, std::slice::from_ref(&view)).expect("saved");
    drop(keeper);
    let mut keeper = store.checkpoints().expect("the keeper");
    assert_eq!(keeper.witness().expect("the witness"), Some(next));
    // It is of the checkpoint: what is not saved is not witnessed.
    let mut bad = checkpoint(store, "w", &[]);
    bad.changed.push(0, true, b"short", |_| {}, |columns| columns.push(SqlValue::Null));
    keeper.save(WITNESS, &[bad]).expect_err("a row without all its columns");
    assert_eq!(keeper.witness().expect("the witness"), Some(next));
    keeper.forget("v").expect("forgotten");
    assert_eq!(keeper.witness().expect("the witness"), Some(next));
}

macro_rules! suite {
    ($($test:ident)*) => {
        mod memory {
            $(#[test] fn $test() { super::$test(&super::MemoryStore::new()); })*
        }
        #[cfg(feature = "sqlite")]
        mod sqlite {
            $(#[test] fn $test() {
                let folder = tempfile::tempdir().expect("a folder");
                super::$test(&crate::store::SqliteStore::open(folder.path().join("store")).expect("a store"));
            })*
        }
    };
}

suite! {
    every_field_comes_back
    an_empty_log_is_empty
    a_wrong_head_is_refused
    a_wrong_position_is_refused
    an_id_finds_its_event
    an_id_is_taken_once
    types_are_counted
    a_source_moves_with_its_events
    a_note_is_put_replaced_and_taken_away
    a_note_goes_in_with_its_events_or_not_at_all
    notes_are_read_by_the_beginning_of_their_keys
    a_log_is_read_in_pages
    a_reader_follows_the_writer
    a_checkpoint_comes_back
    a_changed_row_replaces_its_own
    a_row_that_went_is_forgotten
    a_reset_or_new_columns_forget_the_rows
    a_forgotten_view_is_gone
    a_checkpoint_is_all_or_none
    what_a_checkpoint_saw_of_the_log_comes_back
}

#[test]
fn a_clone_in_memory_is_the_same_store() {
    let store = MemoryStore::new();
    let clone = store.clone();
    grow(&mut *store.log().expect("the log"), 3);
    assert_eq!(clone.reader().expect("a reader").head().expect("the head").position, 3);
    assert_eq!(clone.id(), store.id());
    assert_ne!(MemoryStore::new().id(), store.id());
    assert_ne!(store.id(), StoreId([0; 16]));
    let refused = store.backup(std::path::Path::new("nowhere")).expect_err("no files");
    assert!(refused.to_string().contains("no files to copy"), "{refused}");
}
