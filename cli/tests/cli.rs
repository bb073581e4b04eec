//! The tool, run over a store that a program of this file's own has made.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use cqrs_core::prelude::*;
use cqrs_core::{ReactOptions, stream};
use tempfile::TempDir;

#[value]
#[derive(Debug, Clone, PartialEq)]
pub enum Way {
    Fetched,
    Sent { to: String, parcels: u8 },
}

#[event(version = 3)]
#[derive(Debug, Clone, PartialEq)]
pub struct Purchased {
    pub customer: String,
    pub qty: i32,
    pub price: f64,
    pub note: Option<String>,
    pub way: Way,
    pub raw: Vec<u8>,
    pub shelves: BTreeMap<u8, Vec<u64>>,
}

#[event]
#[derive(Debug, Clone, PartialEq)]
pub struct Refunded {
    pub customer: String,
}

#[projection(from = Purchased, group_by = customer)]
#[derive(Debug, Clone, PartialEq)]
pub struct Customer {
    pub customer: String,
    #[sum(qty)]
    pub total_qty: i64,
    #[sum(price)]
    pub paid: f64,
    #[sum(qty if qty > 1)]
    pub many: Option<i64>,
}

/// Stops before the second event of a customer.
#[projection(from = Purchased, group_by = customer)]
#[derive(Debug, Clone, PartialEq)]
pub struct Narrow {
    pub customer: String,
    #[sum(i64::from(qty > 0) * i64::MAX)]
    pub much: i64,
}

fn purchased(customer: &str, qty: i32) -> Purchased {
    Purchased {
        customer: customer.into(),
        qty,
        price: 2.5,
        note: None,
        way: Way::Fetched,
        raw: vec![0, 255],
        shelves: BTreeMap::new(),
    }
}

/// Six events, one with an id and metadata and one from a source; two views, of which one has stopped; two reactions, of which one has parked an
/// event.
fn fill(engine: &Engine) {
    let first = Purchased {
        note: Some("\"two\"\nlines".into()),
        way: Way::Sent { to: "Zürich".into(), parcels: 2 },
        price: f64::INFINITY,
        shelves: [(7, vec![1, u64::MAX])].into(),
        ..purchased("ann", 1)
    };
    let first = NewEvent::new(first).id("order-1").correlation_id("request-4").meta("channel", "web");
    engine.append(first).wait().unwrap();
    engine.append_all([purchased("bob", 2), purchased("bob", 3)]).wait().unwrap();
    engine.append(Refunded { customer: "ann".into() }).wait().unwrap();
    engine.append(purchased("eve\u{1b}[31m", -1)).wait().unwrap();
    let fed = engine.feed("till", stream([(17_u64, Refunded { customer: "bob".into() })]));
    fed.wait().unwrap();

    let once = ReactOptions::new().attempts(1);
    let mail = engine.react_with::<Purchased>("mail", Since::Beginning, once, |event| match event.qty {
        3 => Err("the server\nis down".into()),
        _ => Ok(()),
    });
    let stock = engine.react::<Refunded>("stock", Since::Beginning, |_| Ok(())).unwrap();
    let last = engine.append(purchased("ann", 4)).wait().unwrap();
    for reaction in [mail.unwrap(), stock] {
        let reached = reaction.wait_for(&last, Duration::from_secs(20)).wait().unwrap();
        assert_eq!(reached, Reached::Reached);
    }
}

fn start(folder: &Path) -> Engine {
    Engine::open(folder).unwrap().view::<Customer>().view::<Narrow>().event::<Refunded>().start().unwrap()
}

/// A folder for what a test makes.
struct Scene {
    parent: TempDir,
}

impl Scene {
    fn new() -> Self {
        Self { parent: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.parent.path().join(name)
    }

    /// A store that no program has open.
    fn shop() -> Self {
        let scene = Self::new();
        let engine = start(&scene.path("shop"));
        fill(&engine);
        engine.close().wait().unwrap();
        scene
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cqrs"));
        command.current_dir(self.parent.path()).args(args);
        command
    }

    fn run(&self, args: &[&str]) -> (i32, String, String) {
        let Output { status, stdout, stderr } = self.command(args).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (status.code().expect("an exit code"), text(stdout), text(stderr))
    }

    /// What it shows, all being well.
    fn shows(&self, args: &[&str]) -> String {
        let (code, stdout, stderr) = self.run(args);
        assert_eq!((code, &*stderr), (0, ""), "{args:?}: {stdout}");
        stdout
    }

    /// What it says where it fails with this exit code.
    fn fails(&self, code: i32, args: &[&str]) -> String {
        let (found, stdout, stderr) = self.run(args);
        assert_eq!(found, code, "{args:?}: {stdout}{stderr}");
        stderr
    }

    fn change(&self, file: &str, sql: &str) {
        rusqlite::Connection::open(self.path("shop").join(file)).unwrap().execute_batch(sql).unwrap();
    }
}

fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
}

/// The positions in lines of events.
fn positions(lines: &str) -> Vec<u64> {
    let position = |line: &str| {
        let rest = line.strip_prefix("{\"position\":").expect("the position comes first");
        rest[..rest.find(',').unwrap()].parse().unwrap()
    };
    lines.lines().map(position).collect()
}

/// A line of an event, with the time taken out, which is the only thing in it that is not known before.
fn timeless(line: &str) -> String {
    let (before, rest) = line.split_once("\"recorded_at\":\"").unwrap();
    let (time, after) = rest.split_once('"').unwrap();
    assert!(time.len() == 27 && time.ends_with('Z') && time.as_bytes()[10] == b'T', "{time}");
    format!("{before}{}", after.trim_start_matches(','))
}

#[test]
fn types_are_counted() {
    assert_eq!(
        Scene::shop().shows(&["types", "shop"]),
        "event      version  count\n\
         Purchased        3      5\n\
         Refunded         1      2\n"
    );
}

#[test]
fn an_event_is_a_line_of_json() {
    let scene = Scene::shop();
    let all = scene.shows(&["events", "shop"]);
    assert_eq!(positions(&all), [1, 2, 3, 4, 5, 6, 7]);
    let lines: Vec<String> = all.lines().map(timeless).collect();
    assert_eq!(
        lines[0],
        "{\"position\":1,\"name\":\"Purchased\",\"version\":3,\"event_id\":\"order-1\",\
         \"metadata\":{\"correlation_id\":\"request-4\",\"entries\":{\"channel\":\"web\"}},\
         \"event\":{\"customer\":\"ann\",\"qty\":1,\"price\":\"inf\",\"note\":\"\\\"two\\\"\\nlines\",\
         \"way\":{\"Sent\":{\"to\":\"Zürich\",\"parcels\":2}},\"raw\":\"0x00ff\",\"shelves\":{\"7\":[1,18446744073709551615]}}}"
    );
    assert_eq!(
        lines[4],
        "{\"position\":5,\"name\":\"Purchased\",\"version\":3,\"event_id\":null,\"metadata\":{},\
         \"event\":{\"customer\":\"eve\\u001b[31m\",\"qty\":-1,\"price\":2.5,\"note\":null,\"way\":\"Fetched\",\"raw\":\"0x00ff\",\
         \"shelves\":{}}}"
    );
}

#[test]
fn events_are_chosen_by_position_name_and_number() {
    let scene = Scene::shop();
    let chosen = |args: &[&str]| positions(&scene.shows(&[&["events", "shop"], args].concat()));
    assert_eq!(chosen(&["--from", "3", "--to", "5"]), [3, 4, 5]);
    assert_eq!(chosen(&["--from", "6"]), [6, 7]);
    assert_eq!(chosen(&["--from", "0", "--limit", "2"]), [1, 2]);
    assert_eq!(chosen(&["--from", "99"]), []);
    assert_eq!(chosen(&["--to", "0"]), []);
    assert_eq!(chosen(&["--limit", "0"]), []);
    assert_eq!(chosen(&["--type", "Refunded"]), [4, 6]);
    assert_eq!(chosen(&["--type", "Refunded", "--from", "5", "--type", "Purchased", "--limit", "2"]), [5, 6]);
    assert_eq!(chosen(&["--type", "Nobody"]), []);
    assert_eq!(chosen(&["--follow", "--to", "2"]), [1, 2], "there is nothing more to wait for");
}

#[test]
fn large_events_are_all_shown() {
    let scene = Scene::new();
    let engine = start(&scene.path("shop"));
    let large = |_| Refunded { customer: "x".repeat(300_000) };
    engine.append_all((0..12).map(large)).wait().unwrap();
    assert_eq!(positions(&scene.shows(&["events", "shop"])), (1..=12).collect::<Vec<u64>>());
}

/// Ends what it waits for, however the test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn what_is_appended_is_followed() {
    let scene = Scene::new();
    let engine = start(&scene.path("shop"));
    fill(&engine);
    let args = ["events", "shop", "--follow", "--from", "7", "--type", "Purchased", "--limit", "3"];
    let mut followed = Running(scene.command(&args).stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(followed.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(positions(&lines.next().unwrap()), [7]);
    engine.append(purchased("kim", 8)).wait().unwrap();
    assert_eq!(positions(&lines.next().unwrap()), [8]);
    engine.append(Refunded { customer: "kim".into() }).wait().unwrap();
    engine.append(purchased("kim", 10)).wait().unwrap();
    assert_eq!(positions(&lines.next().unwrap()), [10]);
    assert_eq!(lines.next(), None, "three are enough");
    assert_eq!(followed.0.wait().unwrap().code(), Some(0));

    // From where the log has not come to yet.
    let args = ["events", "shop", "--follow", "--from", "12", "--to", "12"];
    let mut followed = Running(scene.command(&args).stdout(Stdio::piped()).spawn().unwrap());
    let lines = BufReader::new(followed.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    engine.append_all([purchased("kim", 11), purchased("kim", 12), purchased("kim", 13)]).wait().unwrap();
    assert_eq!(lines.map(|line| positions(&line)).collect::<Vec<_>>(), [[12]]);
    assert_eq!(followed.0.wait().unwrap().code(), Some(0));
}

#[test]
fn views_say_how_far_they_are() {
    let views = Scene::shop().shows(&["views", "shop"]);
    let lines: Vec<&str> = views.lines().collect();
    assert_eq!(lines.len(), 3, "{views}");
    assert_eq!(lines[0], "view      position  lag  stored  state");
    assert_eq!(lines[1], "customer         7    0       3  live");
    assert!(lines[2].starts_with("narrow           2    5       2  "), "{views}");
    says(lines[2], &["position 3", "much"]);
}

#[test]
fn rows_are_shown_as_sql_shows_them() {
    let scene = Scene::shop();
    assert_eq!(
        scene.shows(&["rows", "shop", "customer"]),
        "customer       total_qty  paid  many\n\
         ann                    5   inf     4\n\
         bob                    5   5.0     5\n\
         eve\\u{1b}[31m         -1   2.5\n"
    );
    assert_eq!(
        scene.shows(&["rows", "shop", "customer", "--json"]),
        "{\"customer\":\"ann\",\"total_qty\":5,\"paid\":\"inf\",\"many\":4}\n\
         {\"customer\":\"bob\",\"total_qty\":5,\"paid\":5.0,\"many\":5}\n\
         {\"customer\":\"eve\\u001b[31m\",\"total_qty\":-1,\"paid\":2.5,\"many\":null}\n"
    );
    assert_eq!(scene.shows(&["rows", "shop", "customer", "--json", "--limit", "1"]).lines().count(), 1);
    assert_eq!(scene.shows(&["rows", "shop", "customer", "--limit", "1"]).lines().count(), 2);
    says(&scene.fails(3, &["rows", "shop", "nobody"]), &["no view `nobody`", "`customer`, `narrow`"]);
}

#[test]
fn rows_and_views_that_are_damaged_say_so() {
    let scene = Scene::shop();
    scene.change("views.db", "UPDATE \"rows$customer\" SET total_qty = 6 WHERE customer = 'bob'");
    let (code, stdout, stderr) = scene.run(&["rows", "shop", "customer", "--json"]);
    assert_eq!(code, 1);
    says(&stdout, &["\"bob\",\"total_qty\":6"]);
    says(&stderr, &["1 of the rows", "views.db is disposable"]);
    scene.change("views.db", "UPDATE _views SET position = 5");
    says(&scene.fails(1, &["views", "shop"]), &["views.db is damaged", "does not match its checksum"]);
    scene.change("views.db", "PRAGMA user_version = 99");
    says(&scene.fails(3, &["views", "shop"]), &["views.db has format version 99"]);
    assert_eq!(positions(&scene.shows(&["events", "shop", "--to", "1"])), [1], "the log is whole");
}

#[test]
fn sources_and_reactions_say_how_far_they_are() {
    let scene = Scene::shop();
    assert_eq!(
        scene.shows(&["sources", "shop"]),
        "source  offset\n\
         till        17\n"
    );
    assert_eq!(
        scene.shows(&["reactions", "shop"]),
        "reaction  position  lag  parked\n\
         mail             7    0       1\n\
         stock            7    0       0\n"
    );
    let parked = scene.shows(&["parked", "shop", "mail"]);
    let (head, row) = parked.split_once('\n').unwrap();
    assert_eq!(head, "position  event      attempts  at                           reason");
    assert!(
        row.starts_with("       3  Purchased         1  20") && row.ends_with("Z  the server\\nis down\n"),
        "{row}"
    );
    assert_eq!(scene.shows(&["parked", "shop", "stock"]).lines().count(), 1, "the heads alone");
    says(&scene.fails(3, &["parked", "shop", "post"]), &["no reaction `post`", "`mail`, `stock`"]);
}

#[test]
fn a_store_in_use_is_read_and_left_as_it_is() {
    let scene = Scene::new();
    let engine = start(&scene.path("shop"));
    fill(&engine);
    assert_eq!(scene.shows(&["types", "shop"]).lines().count(), 3);
    assert_eq!(positions(&scene.shows(&["events", "shop", "--from", "7"])), [7]);
    scene.shows(&["views", "shop"]);
    scene.shows(&["reactions", "shop"]);
    says(&scene.shows(&["verify", "shop"]), &["7 events", "everything holds"]);
    assert_eq!(scene.shows(&["backup", "shop", "copy"]), "copied up to position 7\n");
    engine.append(purchased("kim", 8)).wait().unwrap();
    let late = Instant::now() + Duration::from_secs(20);
    while !scene.shows(&["rows", "shop", "customer"]).contains("\nkim  ") {
        assert!(Instant::now() < late, "the row is never seen");
    }
    assert_eq!(scene.shows(&["backup", "shop", "second"]), "copied up to position 8\n");
    engine.close().wait().unwrap();
    assert_eq!(positions(&scene.shows(&["events", "copy", "--from", "7"])), [7]);
    // As a program would open it.
    let copy = start(&scene.path("copy"));
    assert_eq!(copy.view::<Customer>().get("ann").unwrap().unwrap().total_qty, 5);
}

#[test]
fn a_backup_takes_the_place_of_nothing() {
    let scene = Scene::shop();
    says(&scene.fails(3, &["backup", "shop", "shop"]), &["it is not empty"]);
    assert_eq!(scene.shows(&["types", "shop"]).lines().count(), 3);
}

#[test]
fn a_backup_without_views_is_told() {
    let scene = Scene::shop();
    fs::write(scene.path("shop").join("views.db"), [b'x'; 8192]).unwrap();
    let (code, stdout, stderr) = scene.run(&["backup", "shop", "copy"]);
    assert_eq!((code, &*stdout), (1, "copied up to position 7\n"));
    says(&stderr, &["the copy has no views.db"]);
    assert_eq!(scene.shows(&["types", "copy"]).lines().count(), 3);
}

#[test]
fn views_of_another_log_are_told_from_its_own() {
    let scene = Scene::shop();
    let engine = start(&scene.path("other"));
    engine.close().wait().unwrap();
    fs::copy(scene.path("shop").join("views.db"), scene.path("other").join("views.db")).unwrap();
    says(&scene.shows(&["views", "other"]), &["customer         7    -       3  of another log"]);
    says(
        &scene.fails(1, &["rows", "other", "customer"]),
        &["the view `customer` in views.db is of another log"],
    );
}

#[test]
fn damage_ends_the_reading_and_is_told() {
    let scene = Scene::shop();
    says(&scene.shows(&["verify", "shop"]), &["7 events", "the view `customer`", "everything holds"]);
    scene.change("events.db", "UPDATE events SET name = 'Sold' WHERE position = 4");

    let (code, stdout, stderr) = scene.run(&["events", "shop"]);
    assert_eq!((code, positions(&stdout)), (1, vec![1, 2, 3]));
    says(
        &stderr,
        &[
            "cqrs: the log is damaged: the event at position 4, `Sold`, is not as it was written",
            "cqrs verify",
        ],
    );
    scene.fails(1, &["events", "shop", "--type", "Purchased"]);
    assert_eq!(
        positions(&scene.shows(&["events", "shop", "--from", "5"])),
        [5, 6, 7],
        "they hold by themselves"
    );

    let (code, stdout, stderr) = scene.run(&["verify", "shop"]);
    assert_eq!((code, &*stderr), (1, ""));
    says(&stdout, &["findings:", "the log: the event at position 4, `Sold`: it is not as it was written"]);

    let salvaged = scene.shows(&["salvage", "shop", "mended"]);
    says(&salvaged, &["events copied: 3; not copied: at least 4"]);
    assert_eq!(positions(&scene.shows(&["events", "mended"])), [1, 2, 3]);
    says(&scene.shows(&["verify", "mended"]), &["everything holds"]);
    says(&scene.fails(3, &["salvage", "shop", "mended"]), &["it is not empty"]);
}

#[test]
fn a_missing_event_is_told() {
    let scene = Scene::shop();
    scene.change("events.db", "DELETE FROM events WHERE position = 4");
    let (code, stdout, stderr) = scene.run(&["events", "shop"]);
    assert_eq!((code, positions(&stdout)), (1, vec![1, 2, 3]));
    says(&stderr, &["position 4 is missing"]);
    says(&scene.fails(1, &["events", "shop", "--from", "5"]), &["position 4 is missing"]);
    scene.change("events.db", "DELETE FROM events WHERE position > 3");
    says(&scene.fails(1, &["types", "shop"]), &["events.db is damaged", "position 3", "Restore the folder"]);
}

#[test]
fn what_is_no_store_is_said_to_be_none() {
    let scene = Scene::shop();
    fs::create_dir(scene.path("empty")).unwrap();
    fs::write(scene.path("file"), "text").unwrap();
    for command in ["types", "events", "views", "sources", "reactions", "verify"] {
        let says_of = |folder: &str, words: &[&str]| says(&scene.fails(3, &[command, folder]), words);
        says_of("absent", &["absent is not a store of this library", "it does not exist"]);
        says_of("empty", &["it has no events.db"]);
        says_of("file", &["it is a file, and a store is a folder"]);
    }
    assert!(!scene.path("absent").exists() && fs::read_dir(scene.path("empty")).unwrap().next().is_none());
    says(&scene.fails(3, &["backup", "absent", "copy"]), &["it does not exist"]);
    says(&scene.fails(3, &["salvage", "absent", "copy"]), &["absent"]);
    scene.change("events.db", "PRAGMA user_version = 99");
    says(&scene.fails(3, &["types", "shop"]), &["format version 99", "upgrade it"]);
    fs::write(scene.path("shop").join("events.db"), [b'x'; 8192]).unwrap();
    says(&scene.fails(1, &["types", "shop"]), &["events.db is damaged", "Restore the folder from a backup"]);
}

#[test]
fn a_log_without_views_has_none() {
    let scene = Scene::new();
    let engine = Engine::open(scene.path("shop")).unwrap().event::<Refunded>().start().unwrap();
    engine.close().wait().unwrap();
    assert_eq!(scene.shows(&["types", "shop"]), "event  version  count\n");
    assert_eq!(scene.shows(&["events", "shop"]), "");
    assert_eq!(scene.shows(&["views", "shop"]), "view  position  lag  stored  state\n");
    says(&scene.fails(3, &["rows", "shop", "customer"]), &["no view `customer`", "none"]);
}

#[test]
fn a_reader_that_goes_ends_it_quietly() {
    let scene = Scene::new();
    let engine = start(&scene.path("shop"));
    // More than a pipe holds.
    engine.append_all((0..5000).map(|n| purchased("ann", n % 2))).wait().unwrap();
    for args in [&["events", "shop"][..], &["events", "shop", "--follow"]] {
        let mut child =
            Running(scene.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
        let mut first = String::new();
        BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut first).unwrap();
        assert_eq!(positions(&first), [1]);
        let stderr = BufReader::new(child.0.stderr.take().unwrap());
        assert_eq!(stderr.lines().count(), 0);
        assert_eq!(child.0.wait().unwrap().code(), Some(0), "{args:?}");
    }
}

#[test]
fn the_exit_code_says_it_also_where_nobody_reads_why() {
    let scene = Scene::new();
    let mut child = scene.command(&["types", "absent"]).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(3));
}

#[test]
fn a_wrong_argument_is_told_from_a_wrong_store() {
    let scene = Scene::new();
    says(&scene.fails(2, &["events"]), &["<FOLDER>"]);
    says(&scene.fails(2, &["events", "shop", "--from", "x"]), &["--from"]);
    says(&scene.fails(2, &["look", "shop"]), &["look"]);
    says(&scene.fails(2, &[]), &["Usage: cqrs <COMMAND>"]);
    says(&scene.shows(&["--help"]), &["Exit codes: 0", "verify"]);
    for command in
        ["types", "events", "views", "rows", "sources", "reactions", "parked", "verify", "backup", "salvage"]
    {
        says(&scene.shows(&[command, "--help"]), &[&format!("Example: cqrs {command} ./shop")]);
    }
    says(&scene.shows(&["rows", "--help"]), &["half a second behind"]);
}
