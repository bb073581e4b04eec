//! `report MEASURED [all]`: the table of ratios, out of the lines that `run.sh` has gathered from all programs. With `all`, one that is neither measured
//! nor said to be missing is an error.

use std::collections::BTreeMap;
use std::error::Error;

use benches::report::{here, human};

/// One system beside another: the job of each, and how many times as fast ours is to be, if a bar says so.
struct Comparison {
    bar: &'static str,
    what: &'static str,
    ours: (&'static str, &'static str),
    theirs: (&'static str, &'static str),
    wanted: Option<f64>,
    but: &'static str,
}

const DIFFERENTIAL: &str = "differential-dataflow, workers: 1";
const DIFFERENTIAL_TWO: &str = "differential-dataflow, workers: 2";
const FLINK: &str = "Flink SQL, as it comes, parallelism 1";
const FLINK_TWO: &str = "Flink SQL, as it comes, parallelism 2";
const TUNED: &str = "Flink SQL, tuned, parallelism 1";
const TUNED_TWO: &str = "Flink SQL, tuned, parallelism 2";

const NO_TABLE: &str = "both: no log, nothing durable. Theirs answers with changes, ours is a table to read";
const WHOLE: &str = "ours also has a log in memory, and readers; theirs has neither";
const TWO: &str = "theirs has two threads, ours one; else as above";
const NO_READERS: &str = "theirs has no log, no readers, nothing durable (no checkpoints)";

macro_rules! comparisons {
    ($($bar:literal $what:literal: $ours:literal, $theirs:expr, $job:literal $(/ $their_job:literal)?, $wanted:expr, $but:expr;)*) => {
        [$(Comparison {
            bar: $bar,
            what: $what,
            ours: ($ours, $job),
            theirs: ($theirs, comparisons!(@ $job $($their_job)?)),
            wanted: $wanted,
            but: $but,
        }),*]
    };
    (@ $job:literal) => { $job };
    (@ $job:literal $their_job:literal) => { $their_job };
}

const COMPARISONS: [Comparison; 32] = comparisons! {
    "9" "W in batches of 1,000, the table alone": "our table", DIFFERENTIAL, "batches of 1000", Some(20.0), NO_TABLE;
    "9" "W in batches of 1,000, the table alone": "our table", "dbsp", "batches of 1000", Some(40.0), NO_TABLE;
    "" "W in batches of 1,000, the table alone": "our table", DIFFERENTIAL_TWO, "batches of 1000", None, TWO;
    "" "W in batches of 1,000, a live view": "our engine", DIFFERENTIAL, "batches of 1000", None, WHOLE;
    "" "W in batches of 1,000, a live view": "our engine", DIFFERENTIAL_TWO, "batches of 1000", None, WHOLE;
    "" "W in batches of 1,000, a live view": "our engine", "dbsp", "batches of 1000", None, WHOLE;
    "10" "W in batches of 100,000, the table alone": "our table", DIFFERENTIAL, "batches of 100000", Some(8.0), NO_TABLE;
    "10" "W in batches of 100,000, the table alone": "our table", "dbsp", "batches of 100000", Some(8.0), NO_TABLE;
    "" "W in batches of 100,000, the table alone": "our table", DIFFERENTIAL_TWO, "batches of 100000", None, TWO;
    "" "W in batches of 100,000, a live view": "our engine", DIFFERENTIAL, "batches of 100000", None, WHOLE;
    "" "W in batches of 100,000, a live view": "our engine", DIFFERENTIAL_TWO, "batches of 100000", None, WHOLE;
    "" "W in batches of 100,000, a live view": "our engine", "dbsp", "batches of 100000", None, WHOLE;
    "11" "W from CSV, in memory, a live view": "our engine", FLINK, "csv", Some(12.0), NO_READERS;
    "11" "W from CSV, in memory, a live view": "our engine", FLINK_TWO, "csv", Some(12.0), NO_READERS;
    "11" "W from CSV, in memory, a live view": "our engine", TUNED, "csv", Some(12.0), NO_READERS;
    "11" "W from CSV, in memory, a live view": "our engine", TUNED_TWO, "csv", Some(12.0), NO_READERS;
    "11" "W from CSV, durable, a live view": "ours, durable", FLINK, "csv", Some(4.0), NO_READERS;
    "11" "W from CSV, durable, a live view": "ours, durable", FLINK_TWO, "csv", Some(4.0), NO_READERS;
    "11" "W from CSV, durable, a live view": "ours, durable", TUNED, "csv", Some(4.0), NO_READERS;
    "11" "W from CSV, durable, a live view": "ours, durable", TUNED_TWO, "csv", Some(4.0), NO_READERS;
    "12" "one durable command at a time": "ours, durable", "evento, SQLite, synchronous FULL", "commands", Some(3.0),
        "its view is shown up to a second after the answer (not in its time), ours with it";
    "12" "one durable command at a time": "ours, durable", "cqrs-es, PostgreSQL", "commands", Some(4.0),
        "a server, over a socket; the view's row is another transaction than the event";
    "" "one durable command at a time": "ours, durable", "evento, SQLite, synchronous NORMAL", "commands", None,
        "ours is on disk when it answers, theirs may lose the last commands with the power";
    "" "one command at a time, in memory": "our engine", "cqrs-es, in memory", "commands", None, "its store is for tests, and prints two lines a command, here to nowhere";
    "" "durable, a live view, batches of 1,000": "ours, durable", "SQLite, trigger", "batches of 1000", None,
        "it has no codec, no checksums";
    "7" "durable, a live view, batches of 10,000": "ours, durable", "SQLite, trigger", "batches of 10000", Some(5.0),
        "it has no codec, no checksums";
    "" "W from CSV, in memory, a live view": "our engine", "DuckDB", "csv", None, "once: nothing is kept current. All cores";
    "" "W in batches of 100,000, the table alone": "our table", "DuckDB", "batches of 100000" / "table", None,
        "once, of a loaded table: nothing is kept current. All cores";
    "" "Nexmark q2 (a filter), batches of 1,000": "our engine", DIFFERENTIAL, "q2", None, "ours keeps the rows to be read, and a log";
    "" "Nexmark q4 (join, maximum, average)": "our engine", DIFFERENTIAL, "q4", None,
        "theirs takes back any row; ours looks the auction up at the time of the bid";
    "" "Nexmark q8 (join in windows)": "our engine", DIFFERENTIAL, "q8", None, "as q2";
    "" "Nexmark q18 (last of each)": "our engine", DIFFERENTIAL, "q18", None, "theirs keeps every bid, ours the last";
};

/// The best of the turns of each.
#[derive(Default)]
struct Measured {
    rates: BTreeMap<(String, String), f64>,
    events: BTreeMap<(String, String), usize>,
    /// Who was not run, and why.
    missing: Vec<(String, String)>,
    versions: Vec<(String, String)>,
}

impl Measured {
    fn read(file: &str) -> Result<Self, Box<dyn Error>> {
        let mut measured = Self::default();
        for line in std::fs::read_to_string(file)?.lines() {
            match line.split('\t').collect::<Vec<_>>().as_slice() {
                ["version", who, version] => measured.versions.push(((*who).into(), (*version).into())),
                ["missing", who, why] => measured.missing.push(((*who).into(), (*why).into())),
                [who, job, events, seconds] => {
                    let key = ((*who).to_owned(), (*job).to_owned());
                    let events: usize = events.parse()?;
                    let rate = measured.rates.entry(key.clone()).or_default();
                    *rate = rate.max(events as f64 / seconds.parse::<f64>()?);
                    measured.events.insert(key, events);
                }
                _ => return Err(format!("not a measurement: {line}").into()),
            }
        }
        Ok(measured)
    }

    fn rate(&self, (who, job): (&str, &str)) -> Option<f64> {
        self.rates.get(&(who.to_owned(), job.to_owned())).copied()
    }

    fn row(&self, row: &Comparison) -> Option<String> {
        let Comparison { bar, what, ours, theirs, wanted, but } = row;
        let wanted_text = wanted.map_or(String::new(), |wanted| format!("at least {wanted}"));
        let why = self.missing.iter().find(|(who, _)| theirs.0.starts_with(who.as_str())).map(|(_, why)| why);
        let Some((our, their)) = self.rate(*ours).zip(self.rate(*theirs)) else {
            let why = why?;
            return Some(format!(
                "| {bar} | {what} | {} | | | | {wanted_text} | **not run**: {why} | {but} |",
                theirs.0
            ));
        };
        let ratio = our / their;
        let met = match wanted {
            Some(wanted) if ratio >= *wanted => "met",
            Some(_) => "**not met**",
            None => "",
        };
        let events = self.events[&(theirs.0.to_owned(), theirs.1.to_owned())];
        Some(format!(
            "| {bar} | {what} | {} | {}/s | {}/s | {ratio:.2} | {wanted_text} | {met} | {but}; {} events |",
            theirs.0,
            human(our),
            human(their),
            human(events as f64)
        ))
    }
}

/// The version of a package, as the lock file has it.
fn locked(lock: &str, package: &str) -> String {
    let start = format!("name = \"{package}\"\nversion = \"");
    let version = lock.split_once(&start).and_then(|(_, rest)| rest.split_once('"'));
    version.map_or("?", |(version, _)| version).to_owned()
}

#[allow(clippy::print_stdout)]
fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args().nth(1).ok_or("report MEASURED [all]")?;
    let all = std::env::args().nth(2).is_some_and(|word| word == "all");
    let measured = Measured::read(&file)?;
    let (peers, commands) = (include_str!("../Cargo.lock"), include_str!("../commands/Cargo.lock"));
    let postgres = format!("cqrs-es and postgres-es {}", locked(commands, "postgres-es"));
    println!("# Peers\n");
    println!(
        "Written by `benches/peers/run.sh`: ours and theirs in one run, on one machine, in turns, the best turn of each. A ratio is how many times as fast as \
         the peer we are.\nThe machine is shared, so absolute figures move by a third and more from run to run. Each system's rows have been \
         compared with those of a plain loop (Nexmark: with ours), one by one.\n\nBars 9 and 10 are judged by the table of rows alone: the peers have \
         no log and no readers either. The whole engine stands below.\n"
    );
    println!("{}.\n", here());
    println!("| bar | what | against | ours | theirs | ratio | wanted | | what they do less or more |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for comparison in &COMPARISONS {
        match measured.row(comparison) {
            Some(row) => println!("{row}"),
            None if all => return Err(format!("not measured: {:?}", comparison.theirs).into()),
            None => (),
        }
    }
    println!("\n## How each is set up\n");
    println!("- All programs in Rust: release, thin LTO, 4 codegen units, mimalloc.");
    println!(
        "- differential-dataflow {}, timely {}: `count_total`, the sums as differences (with a count, so that a sum of zero is a row), a probe \
         waited for after each batch. The owned strings are made before the clock starts.",
        locked(peers, "differential-dataflow"),
        locked(peers, "timely")
    );
    println!(
        "- dbsp {}, the newest that Rust 1.95 compiles: one worker, `aggregate_linear`, a transaction for each batch. The owned strings are made \
         before the clock starts.",
        locked(peers, "dbsp")
    );
    println!(
        "- {postgres}: an aggregate for each customer and item, its events loaded for each command; the view by a `Query`: `GenericQuery` with PostgreSQL, a map in memory."
    );
    println!(
        "- evento {}: SQLite in WAL; the projection of a command with `snapshot(memory)`; the view by a subscription, in memory.",
        locked(commands, "evento")
    );
    println!("- SQLite {} (`rusqlite`): WAL, `synchronous = FULL`.", rusqlite::version());
    println!(
        "- Flink SQL: streaming mode, heap state; tuned: mini-batches of 5,000 with 5 s, local-global aggregation, object reuse; a CSV file for each reader; the \
         black hole is the sink. The time is the job's net runtime, as Flink has it, without start-up; the turns are in one JVM."
    );
    for (who, version) in &measured.versions {
        println!("- {who}: {version}");
    }
    Ok(())
}
