//! Hostile rows in a checkpoint, with checksums that fit them, so that they come to the states' own readers; or without, and then they must not count.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use cqrs_core::prelude::*;
use cqrs_core::store::{
    Checkpoints, Log, LogReader, MemoryStore, SavedRow, SavedView, Store, StoreError, StoreId,
    ViewCheckpoint, Witness, row_checksum,
};

use crate::Seed;
use crate::panics::none_in;
use crate::raw::{self, Raw};
use crate::world::{after, answers, before, views};

/// One row, owned.
#[derive(Debug, Clone)]
struct Row {
    id: u64,
    key: Vec<u8>,
    state: Vec<u8>,
    shown: bool,
    checksum: u64,
}

/// A shop that was closed: its log, its checkpoint, and what its views answer, then and after more has happened.
struct Shop {
    log: Vec<Raw>,
    witness: Witness,
    views: Vec<(SavedView, Vec<Row>)>,
    answers: Vec<String>,
    later: Vec<String>,
}

/// How many changes an input makes at most.
const MOST: usize = 16;

/// Whether checksums are made to fit what was changed, and rows put in the order of their ids.
const FORGED: u8 = 1;
const SORTED: u8 = 2;

/// The first byte says what fits; then, for each change: what is done, the view, the row, a length, and so many bytes.
pub fn run(bytes: &[u8]) {
    let Some((fits, changes)) = bytes.split_first() else { return };
    let shop = shop();
    let mut views = shop.views.clone();
    let changed = change(&mut views, changes);
    if fits & SORTED != 0 {
        views.iter_mut().for_each(|(_, rows)| rows.sort_by_key(|row| row.id));
    }
    if fits & FORGED != 0 {
        views.iter_mut().for_each(forge);
    }
    none_in(|| check(shop, &views, fits & FORGED == 0 || !changed));
}

/// Goes through the changes; whether there was one.
fn change(views: &mut [(SavedView, Vec<Row>)], mut rest: &[u8]) -> bool {
    let mut changes = 0;
    while let [what, view, at, length, behind @ ..] = rest
        && changes < MOST
    {
        let (bytes, behind) = behind.split_at(usize::from(*length).min(behind.len()));
        (rest, changes) = (behind, changes + 1);
        let view = usize::from(*view) % views.len();
        let (saved, rows) = &mut views[view];
        let number = bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        let at = usize::from(*at) % rows.len().max(1);
        match (what % 9, rows.get_mut(at)) {
            (0, Some(row)) => row.state = bytes.to_vec(),
            (1, Some(row)) => row.key = bytes.to_vec(),
            (2, Some(row)) => row.id = number,
            (3, Some(row)) => row.shown = !row.shown,
            (4, Some(_)) => drop(rows.remove(at)),
            (5, Some(row)) => {
                let row = Row { id: number, ..row.clone() };
                rows.push(row);
            }
            // The first bytes of the state only: what is behind them is as it was.
            (6, Some(row)) => row.state.iter_mut().zip(bytes).for_each(|(old, new)| *old = *new),
            (7, _) => (saved.rows, saved.digest) = (number, number.rotate_left(32)),
            (8, _) => saved.state = String::from_utf8_lossy(bytes).into_owned(),
            _ => {}
        }
    }
    changes > 0
}

fn forge((view, rows): &mut (SavedView, Vec<Row>)) {
    for row in &mut *rows {
        row.checksum = row_checksum(row.id, row.shown, &row.key, &row.state);
    }
    view.rows = rows.len() as u64;
    view.digest = rows.iter().fold(0, |digest, row| digest.wrapping_add(row.checksum));
}

fn check(shop: &Shop, views: &[(SavedView, Vec<Row>)], honest: bool) {
    let store = || Arc::new(Hostile::new(shop, views));
    let engine = builder(store()).start().expect("a checkpoint is disposable");
    let _ = engine.wait_ready().wait();
    let found = answers(&engine);
    let _ = engine.append_all(after()).wait();
    let later = answers(&engine);
    let _ = engine.checkpoint().wait();
    let _ = engine.close().wait();
    let verified = builder(store()).verify().expect("there is a log to be verified");
    assert!(verified.is_log_whole(), "{verified}");
    if honest {
        assert_eq!((found, later), (shop.answers.clone(), shop.later.clone()));
    }
}

fn builder(store: Arc<dyn Store>) -> cqrs_core::Builder {
    // No checkpoint but those that are asked for.
    views(Engine::with_store(store)).threads(1).checkpoint_every(Duration::from_secs(3600), 1 << 40)
}

fn shop() -> &'static Shop {
    static SHOP: OnceLock<Shop> = OnceLock::new();
    SHOP.get_or_init(|| {
        let store = MemoryStore::new();
        let engine = builder(Arc::new(store.clone())).start().expect("it is new");
        engine.append_all(before()).wait().expect("there is room");
        let told = answers(&engine);
        engine.close().wait().expect("memory can be closed");
        let mut keeper = store.checkpoints().expect("they are there");
        let witness = keeper.witness().expect("it is there").expect("it was closed");
        let saved = keeper.views().expect("they are there");
        let views = saved.into_iter().map(|view| (view.clone(), rows(&mut *keeper, &view.name))).collect();
        let log = log(&store);
        let mut shop = Shop { log, witness, views, answers: told, later: Vec::new() };
        let engine = builder(Arc::new(Hostile::new(&shop, &[]))).start().expect("it is new");
        engine.wait_ready().wait().expect("no view stops");
        assert_eq!(answers(&engine), shop.answers, "a replay gives other rows");
        engine.append_all(after()).wait().expect("there is room");
        shop.later = answers(&engine);
        shop
    })
}

fn rows(keeper: &mut dyn Checkpoints, view: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut keep = |row: SavedRow<'_>| {
        let SavedRow { id, key, state, shown, checksum, .. } = row;
        rows.push(Row { id, key: key.into(), state: state.into(), shown, checksum });
    };
    keeper.rows(view, &mut keep).expect("they are there");
    rows
}

fn log(store: &MemoryStore) -> Vec<Raw> {
    let mut log = Vec::new();
    let mut keep = |event: cqrs_core::store::LogEvent<'_>| {
        log.push(Raw { name: event.name.into(), version: event.version, payload: event.payload.into() });
        true
    };
    store.reader().expect("there is one").read(0, usize::MAX, &mut keep).expect("it can be read");
    log
}

/// A store whose log is as it should be, and whose checkpoint is what an input has made of it.
struct Hostile {
    store: MemoryStore,
    witness: Option<Witness>,
    views: Vec<(SavedView, Vec<Row>)>,
}

impl Hostile {
    fn new(shop: &Shop, views: &[(SavedView, Vec<Row>)]) -> Self {
        let store = raw::store(&shop.log);
        let mut views = views.to_vec();
        let head = store.reader().and_then(|mut reader| reader.head()).expect("it can be read");
        for (view, _) in &mut views {
            (view.store, view.log_checksum) = (store.id(), head.checksum);
        }
        assert_eq!(head.position, shop.witness.head.position);
        let witness = (!views.is_empty()).then_some(Witness { store: store.id(), head });
        Self { store, witness, views }
    }
}

impl Store for Hostile {
    fn id(&self) -> StoreId {
        self.store.id()
    }
    fn log(&self) -> Result<Box<dyn Log>, StoreError> {
        self.store.log()
    }
    fn reader(&self) -> Result<Box<dyn LogReader>, StoreError> {
        self.store.reader()
    }
    fn checkpoints(&self) -> Result<Box<dyn Checkpoints>, StoreError> {
        Ok(Box::new(Keeper { witness: self.witness, views: self.views.clone() }))
    }
    fn read_only(&self) -> bool {
        false
    }
    fn backup(&self, folder: &Path) -> Result<(), StoreError> {
        self.store.backup(folder)
    }
    fn close(&self) -> Result<(), StoreError> {
        self.store.close()
    }
}

/// Gives what it has, and keeps nothing.
struct Keeper {
    witness: Option<Witness>,
    views: Vec<(SavedView, Vec<Row>)>,
}

impl Checkpoints for Keeper {
    fn views(&mut self) -> Result<Vec<SavedView>, StoreError> {
        Ok(self.views.iter().map(|(view, _)| view.clone()).collect())
    }
    fn rows(&mut self, view: &str, visit: &mut dyn FnMut(SavedRow<'_>)) -> Result<(), StoreError> {
        let rows = self.views.iter().filter(|(saved, _)| saved.name == view).flat_map(|(_, rows)| rows);
        for Row { id, key, state, shown, checksum } in rows {
            visit(SavedRow { id: *id, key, state, shown: *shown, checksum: *checksum, columns: &[] });
        }
        Ok(())
    }
    fn witness(&mut self) -> Result<Option<Witness>, StoreError> {
        Ok(self.witness)
    }
    fn save(&mut self, _: Witness, _: &[ViewCheckpoint]) -> Result<(), StoreError> {
        Ok(())
    }
    fn forget(&mut self, _: &str) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Every row as it is, in place of itself; and what a forger might try.
pub(crate) fn seeds() -> Vec<Seed> {
    let change = |what: u8, view: usize, at: usize, bytes: &[u8]| {
        let small = |number: usize| u8::try_from(number).expect("it is small");
        [&[what, small(view), small(at), small(bytes.len().min(255))], &bytes[..bytes.len().min(255)]]
            .concat()
    };
    let mut seeds = Vec::new();
    for (view, (saved, rows)) in shop().views.iter().enumerate() {
        // One of each length of state, and one of each part: others have nothing new.
        let mut seen = std::collections::BTreeSet::new();
        for (at, row) in rows.iter().enumerate() {
            if !seen.insert((row.id >> 32, row.state.len() / 16)) {
                continue;
            }
            let part = row.id >> 32;
            let bytes =
                [vec![FORGED], change(0, view, at, &row.state), change(1, view, at, &row.key)].concat();
            seeds.push((format!("{}-{part}-{at}", saved.name), bytes));
        }
    }
    let far = 0xffff_fffe_u64.to_be_bytes();
    let element = 0x1_ffff_fffe_u64.to_be_bytes();
    let tries = [
        ("nothing", vec![]),
        ("a-number-that-is-far-away", [vec![FORGED | SORTED], change(2, 0, 1, &far)].concat()),
        ("an-element-that-is-far-away", [vec![FORGED | SORTED], change(5, 3, 5, &element)].concat()),
        ("not-forged", [vec![0], change(6, 3, 0, &[0, 0, 7])].concat()),
        ("out-of-turn", [vec![FORGED], change(2, 0, 0, &far)].concat()),
        ("one-is-missing", [vec![0], change(4, 4, 0, &[])].concat()),
        ("twice", [vec![FORGED], change(5, 4, 0, &[9])].concat()),
        ("claims", [vec![0], change(7, 2, 0, &[255; 8]), change(8, 2, 0, b"stopped")].concat()),
        ("hidden", [vec![0], change(3, 5, 0, &[])].concat()),
    ];
    seeds.extend(tries.map(|(name, bytes)| (name.to_owned(), bytes)));
    seeds
}
