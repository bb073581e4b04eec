use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;
use rusqlite::Connection;

use super::*;
use crate::store::sqlite::SqliteStore;
use crate::store::suite::{WITNESS, checkpoint, rows};
use crate::store::{Checkpoints, Store};

/// What becomes of a view from one checkpoint to the next.
#[derive(Clone, Debug)]
enum Step {
    /// Rows that are there are picked to change and to go, by chance; so many new ones come, also in another part.
    Save { changed: Vec<u16>, gone: Vec<u16>, new: [u8; 2] },
    /// The view is saved whole, without what was saved before.
    Reset,
    /// What would be saved fails half-way.
    Fail { changed: Vec<u16> },
    /// Somebody else goes on.
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let some = |up_to: usize| vec(any::<u16>(), 0..=up_to);
    prop_oneof![
        12 => (some(40), some(4), [0..=30_u8, 0..=6]).prop_map(|(changed, gone, new)| Step::Save { changed, gone, new }),
        1 => Just(Step::Reset),
        2 => some(30).prop_map(|changed| Step::Fail { changed }),
        3 => Just(Step::Reopen),
    ]
}

/// A row's value, and whether readers see it.
type Model = BTreeMap<u64, (f64, bool)>;

fn picked(model: &Model, chances: &[u16]) -> BTreeSet<u64> {
    let at = |chance: &u16| model.keys().nth(usize::from(*chance) % model.len().max(1)).copied();
    chances.iter().filter_map(at).collect()
}

fn saving(store: &SqliteStore, model: &Model, changed: impl IntoIterator<Item = u64>) -> ViewCheckpoint {
    let keys: Vec<_> = changed.into_iter().map(|id| (id, format!("key {id}"))).collect();
    let rows: Vec<_> = keys.iter().map(|(id, key)| (*id, &**key, model[id].0, model[id].1)).collect();
    let mut saved = checkpoint(store, "totals", &rows);
    saved.view.rows = model.len() as u64;
    saved
}

/// Rows as they are loaded, their renderings, and what SQL shows.
fn check(store: &SqliteStore, keeper: &mut dyn Checkpoints, views: &Connection, model: &Model) {
    let loaded = rows(keeper, "totals");
    let expected = model.iter().map(|(id, (value, shown))| {
        (*id, format!("key {id}").into_bytes(), value.to_bits().to_le_bytes().to_vec(), *shown)
    });
    assert_eq!(loaded, expected.collect::<Vec<_>>());

    let of_part_0 = || model.range(..1 << 32);
    let mut rendered = Vec::new();
    let mut from = 0;
    loop {
        let mut count = 0;
        let seen = keeper.renderings("totals", from, 7, &mut |row| {
            assert!(row.whole);
            rendered.push((u64::from(row.id), row.columns[1].clone(), row.shown));
            (from, count) = (row.id + 1, count + 1);
        });
        seen.expect("it reads");
        if count < 7 {
            break;
        }
    }
    let expected = of_part_0().map(|(id, (value, shown))| (*id, SqlValue::Real(*value), *shown));
    assert_eq!(rendered, expected.collect::<Vec<_>>());

    let mut select =
        views.prepare_cached("SELECT customer, total FROM totals ORDER BY total").expect("prepared");
    let sql = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("selected");
    let sql: Vec<(String, f64)> = sql.collect::<Result<_, _>>().expect("rows");
    let mut shown: Vec<_> =
        model.iter().filter(|(_, row)| row.1).map(|(id, row)| (format!("key {id}"), row.0)).collect();
    shown.sort_by(|a, b| a.1.total_cmp(&b.1));
    assert_eq!(sql, shown);

    assert_eq!(store.check().expect("checked").checkpoints, [""; 0]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn whatever_table_a_row_is_in_it_is_the_one_that_was_saved_last(steps in vec(step(), 1..30)) {
        let folder = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::open(folder.path()).expect("a store");
        let mut keeper = store.checkpoints().expect("the keeper");
        let views = || Connection::open(folder.path().join("views.db")).expect("a connection");
        let (mut model, mut ends, mut value) = (Model::new(), [0_u64, 1 << 32], 0.0);
        let mut next = || { value += 1.0; (value, value % 5.0 != 0.0) };
        for step in steps {
            match step {
                Step::Save { changed, gone, new } => {
                    let gone = picked(&model, &gone);
                    model.retain(|id, _| !gone.contains(id));
                    let mut changed = picked(&model, &changed);
                    for (end, new) in ends.iter_mut().zip(new) {
                        changed.extend(*end..*end + u64::from(new));
                        *end += u64::from(new);
                    }
                    // A number of a row that went is given to another now and then.
                    changed.extend(gone.iter().filter(|id| *id % 3 == 0));
                    changed.iter().for_each(|id| _ = model.insert(*id, if *id < 1 << 32 { next() } else { (next().0, false) }));
                    let mut saved = saving(&store, &model, changed);
                    saved.gone = gone.into_iter().collect();
                    keeper.save(WITNESS, &[saved]).expect("saved");
                }
                Step::Reset => {
                    let mut saved = saving(&store, &model, model.keys().copied());
                    saved.reset = true;
                    keeper.save(WITNESS, &[saved]).expect("saved");
                }
                Step::Fail { changed } => {
                    let mut would_be = model.clone();
                    let changed = picked(&model, &changed);
                    changed.iter().for_each(|id| _ = would_be.insert(*id, next()));
                    would_be.insert(ends[0], next());
                    let would_be_saved = saving(&store, &would_be, changed.into_iter().chain([ends[0]]));
                    // It is saved behind the other, and no table bears such a name.
                    let mut other = would_be_saved.clone();
                    other.view.name = "other".into();
                    if model.is_empty() {
                        continue;
                    }
                    let spoil = "CREATE TRIGGER spoil BEFORE INSERT ON _views WHEN new.name = 'other' BEGIN SELECT raise(FAIL, 'spoiled'); END";
                    views().execute_batch(spoil).expect("made");
                    keeper.save(WITNESS, &[would_be_saved, other]).expect_err("spoiled");
                    views().execute_batch("DROP TRIGGER spoil").expect("dropped");
                }
                Step::Reopen => {
                    drop(keeper);
                    keeper = store.checkpoints().expect("the keeper");
                }
            }
            if !keeper.views().expect("views").is_empty() {
                check(&store, &mut *keeper, &views(), &model);
            }
        }
    }
}

/// Scattered changes stay out of the large table until their turn comes, and all of them come to it, whatever else changes.
#[test]
fn a_stretch_at_a_time_is_taken_to_where_it_belongs() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(folder.path()).expect("a store");
    let mut keeper = store.checkpoints().expect("the keeper");
    let views = Connection::open(folder.path().join("views.db")).expect("a connection");
    let mut model: Model = (0..1_000).map(|id| (id, (0.0, true))).collect();
    keeper.save(WITNESS, &[saving(&store, &model, model.keys().copied())]).expect("saved");
    let count = |table: &str, value: f64| -> i64 {
        let sql = format!("SELECT count(*) FROM {table} WHERE total = ?");
        views.query_one(&sql, [value], |row| row.get(0)).expect("counted")
    };
    // Another keeper finds out by itself what is there.
    drop(keeper);
    let mut keeper = store.checkpoints().expect("the keeper");
    let scattered = || (0..1_000).step_by(20);
    scattered().for_each(|id| model.get_mut(&id).expect("there").0 = 1.0);
    keeper.save(WITNESS, &[saving(&store, &model, scattered())]).expect("saved");
    let first = count("rows$totals", 1.0);
    assert!((1..50).contains(&first), "{first} of 50 are where they belong");
    assert_eq!(first + count("newer$totals", 1.0), 50);
    // As many again, all of them at the beginning.
    for _ in 0..60 {
        keeper.save(WITNESS, &[saving(&store, &model, 1..41)]).expect("saved");
    }
    assert_eq!(count("rows$totals", 1.0), 50);
    let left = count("newer$totals", 0.0);
    assert!((1..40).contains(&left), "{left}");
    // Where nothing changes but what is new, what is left goes, too.
    for id in 1_000..1_100 {
        model.insert(id, (0.0, true));
        keeper.save(WITNESS, &[saving(&store, &model, [id])]).expect("saved");
    }
    assert_eq!(count("rows$totals", 0.0), 1_050);
    // Then nobody has two tables to go through.
    // Asked by a statement, so that the connection looks at the file.
    let sql = "SELECT count(*) FROM sqlite_schema WHERE name = 'newer$totals'";
    let has_newer = || views.query_one(sql, [], |row| row.get::<_, bool>(0)).expect("asked");
    assert!(!has_newer());
    model.insert(500, (2.0, true));
    keeper.save(WITNESS, &[saving(&store, &model, [500])]).expect("saved");
    assert_eq!([count("rows$totals", 2.0), count("totals", 1.0)], [1, 49]);
    assert_eq!(rows(&mut *keeper, "totals").len(), 1_100);
    // Until there is something to gain by it.
    keeper.save(WITNESS, &[saving(&store, &model, scattered())]).expect("saved");
    assert!(has_newer());
    assert_eq!([count("totals", 2.0), count("totals", 1.0)], [1, 49]);
    assert_eq!(rows(&mut *keeper, "totals").len(), 1_100);
}

/// What is known of the small table is held against it when rows leave it.
#[test]
fn a_small_table_that_has_lost_a_row_is_damage_and_everything_is_saved_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(folder.path()).expect("a store");
    let mut keeper = store.checkpoints().expect("the keeper");
    let views = || Connection::open(folder.path().join("views.db")).expect("a connection");
    let model: Model = (0..100).map(|id| (id, (0.0, true))).collect();
    let whole = || saving(&store, &model, model.keys().copied());
    keeper.save(WITNESS, &[whole()]).expect("saved");
    keeper.save(WITNESS, &[saving(&store, &model, (0..100).step_by(5))]).expect("saved");
    let last = "DELETE FROM newer$totals WHERE \"$id\" = (SELECT max(\"$id\") FROM newer$totals)";
    assert_eq!(views().execute(last, []).expect("deleted"), 1);
    let mut save_nothing = || keeper.save(WITNESS, &[saving(&store, &model, [])]);
    let why = (0..100).find_map(|_| save_nothing().err()).expect("noticed").to_string();
    assert!(why.contains("newer$totals had") && why.contains("views.db"), "{why}");
    // As an engine does then.
    let mut anew = whole();
    anew.reset = true;
    keeper.save(WITNESS, &[anew]).expect("saved");
    check(&store, &mut *keeper, &views(), &model);
    assert!(folder.path().join("views.db.damaged-1").exists());
}

/// What goes to the end of a table is not scattered, nor is what changes most of it.
#[test]
fn a_view_that_grows_or_is_small_has_one_table() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(folder.path()).expect("a store");
    let mut keeper = store.checkpoints().expect("the keeper");
    let mut save = |rows: u64, changed: &[u64]| {
        let model: Model = (0..rows).map(|id| (id, (0.0, true))).collect();
        keeper.save(WITNESS, &[saving(&store, &model, changed.iter().copied())]).expect("saved");
        let views = Connection::open(folder.path().join("views.db")).expect("a connection");
        views.table_exists(None, "newer$totals").expect("asked")
    };
    for rows in 1..LARGE {
        assert!(!save(rows, &[0, rows - 1]), "it is small");
    }
    for rows in LARGE..10 * LARGE {
        assert!(!save(rows, &[rows - 1]), "it grows");
    }
    let half: Vec<u64> = (0..10 * LARGE).step_by(2).collect();
    assert!(!save(10 * LARGE, &half), "half of it changes");
    assert!(save(10 * LARGE, &half[1..]), "they are scattered");
}

/// SQLite gives back NULL for what is no number, and zero without its sign: that is no damage.
#[test]
fn what_sqlite_does_not_keep_of_floats_is_not_missed() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(folder.path()).expect("a store");
    let mut keeper = store.checkpoints().expect("the keeper");
    let values = [f64::NAN, -0.0, 0.0, -1.5, f64::INFINITY];
    let model: Model = (0..).zip(values.map(|value| (value, true))).collect();
    keeper.save(WITNESS, &[saving(&store, &model, model.keys().copied())]).expect("saved");
    let mut seen = Vec::new();
    let read = keeper.renderings("totals", 0, 9, &mut |row| seen.push((row.columns[1].clone(), row.whole)));
    read.expect("it reads");
    let [null, reals @ ..] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!(*null, (SqlValue::Null, true));
    let expected = [0.0, 0.0, -1.5, f64::INFINITY].map(|value| (SqlValue::Real(value), true));
    assert_eq!(reals, expected);
}
