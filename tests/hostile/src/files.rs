//! The two files of a store, with bytes that are not as they were: it is refused, or what it answers is what was there; never other rows, and no panic.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use cqrs_core::prelude::*;
use cqrs_core::store::SqliteStore;
use cqrs_core::{Builder, StartError};
use tempfile::TempDir;

use crate::Seed;
use crate::panics::none_in;
use crate::world::{carts, few_answers, few_views};

const NAMES: [&str; 2] = ["events.db", "views.db"];

/// A store that was closed.
struct Shop {
    files: [Vec<u8>; 2],
    /// What the views answer after so many events.
    answers: Vec<Vec<String>>,
}

/// How many changes an input makes at most.
const MOST: usize = 16;

/// The low bit of the first byte of a change says which file, the others what is done; three bytes say where, one how many bytes come.
pub fn run(bytes: &[u8]) {
    let shop = shop();
    let mut files = shop.files.clone();
    change(&mut files, bytes);
    let both = (0..2).all(|file| files[file] != shop.files[file]);
    none_in(|| check(shop, &files, both));
}

fn change(files: &mut [Vec<u8>; 2], mut rest: &[u8]) {
    let mut left = MOST;
    while let [what, a, b, c, length, behind @ ..] = rest
        && left > 0
    {
        let (bytes, behind) = behind.split_at(usize::from(*length).min(behind.len()));
        (rest, left) = (behind, left - 1);
        let file = &mut files[usize::from(what & 1)];
        let at = u32::from_be_bytes([0, *a, *b, *c]) as usize % file.len().max(1);
        let end = file.len().min(at + bytes.len());
        match what >> 1 {
            0 => file.truncate(at),
            1 => file.extend_from_slice(bytes),
            2 => *file = bytes.to_vec(),
            // A page in place of another.
            3 => {
                let (from, to) = (at & !4095, usize::from(*length) << 12);
                if from + 4096 <= file.len() && to + 4096 <= file.len() {
                    file.copy_within(from..from + 4096, to);
                }
            }
            _ => file[at..end].copy_from_slice(&bytes[..end - at]),
        }
    }
}

fn check(shop: &Shop, files: &[Vec<u8>; 2], both: bool) {
    let place = place();
    let folder = place.path().join("shop");
    fs::create_dir(&folder).expect("it is a new folder");
    for (name, bytes) in NAMES.iter().zip(files) {
        fs::write(folder.join(name), bytes).expect("there is room");
    }
    let verified = Engine::open_read_only(&folder).map(few_views).and_then(Builder::verify);
    let salvaged = SqliteStore::salvage(&folder, place.path().join("salvaged"));
    if salvaged.is_ok() {
        start(&place.path().join("salvaged"))
            .expect("what was salvaged is a store")
            .close()
            .wait()
            .expect("it can be closed");
    }
    let Ok(engine) = start(&folder) else { return };
    let _ = engine.wait_ready().wait();
    // Where both were changed, nothing may be left that knows how long the log was.
    let may_be = if both { &shop.answers[..] } else { &shop.answers[shop.answers.len() - 1..] };
    for (view, answer) in few_answers(&engine).into_iter().enumerate() {
        let known = answer.contains("Err(") || may_be.iter().any(|answers| answers[view] == answer);
        assert!(known, "{answer} was never so; verified: {verified:?}");
    }
    let _ = engine.append_all(carts()).wait();
    let _ = few_answers(&engine);
    let _ = engine.close().wait();
}

fn start(folder: &Path) -> Result<Engine, StartError> {
    few_views(Engine::open(folder)?).threads(1).checkpoint_every(Duration::from_secs(3600), 1 << 40).start()
}

/// In memory, if the system has such a folder: nothing here has to be durable.
fn place() -> TempDir {
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    place.expect("there is room for a folder")
}

fn shop() -> &'static Shop {
    static SHOP: OnceLock<Shop> = OnceLock::new();
    SHOP.get_or_init(|| {
        let place = place();
        let folder = place.path().join("shop");
        let engine = start(&folder).expect("it is new");
        let mut answers = vec![few_answers(&engine)];
        for event in carts() {
            engine.append(event).wait().expect("there is room");
            answers.push(few_answers(&engine));
        }
        engine.close().wait().expect("it can be closed");
        let files = NAMES.map(|name| fs::read(folder.join(name)).expect("it is there"));
        Shop { files, answers }
    })
}

pub(crate) fn seeds() -> Vec<Seed> {
    let change = |what: u8, at: usize, bytes: &[u8]| {
        let [_, a, b, c] = u32::try_from(at).expect("it is small").to_be_bytes();
        let length = u8::try_from(bytes.len()).expect("it is short");
        [&[what, a, b, c, length], bytes].concat()
    };
    let (write, views) = (8, 1);
    let mut seeds = vec![
        ("nothing".to_owned(), vec![]),
        ("log-cut".to_owned(), change(0, 8192, &[])),
        ("views-cut".to_owned(), change(views, 8192, &[])),
        ("log-longer".to_owned(), change(2, 0, &[0; 16])),
        ("no-database".to_owned(), change(4 | views, 0, b"SQLite format 3\0")),
        ("nothing-at-all".to_owned(), change(4, 0, b"")),
        ("pages-of-the-log".to_owned(), change(6, 12288, &[1])),
        ("both".to_owned(), [change(write, 100, &[7]), change(write | views, 100, &[7])].concat()),
    ];
    // The header, and the head of each page: what SQLite finds its way by.
    for (file, bytes) in (0..).zip(&shop().files) {
        let name = NAMES[usize::from(file)];
        for at in (16..100).step_by(8).chain((4096..bytes.len()).step_by(4096)) {
            seeds.push((format!("{name}-{at}"), change(write | file, at, &[bytes[at] ^ 1, 0xff])));
        }
    }
    seeds
}
