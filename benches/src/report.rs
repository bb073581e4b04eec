//! The table of ratios.

use std::fmt;
use std::process::Command;
use std::time::{Duration, Instant};

pub struct Report {
    events: usize,
    rows: Vec<Row>,
}

struct Row {
    bar: &'static str,
    what: String,
    against: String,
    ours: String,
    theirs: String,
    ratio: f64,
    wanted: f64,
    at_most: bool,
}

impl Report {
    pub fn new(events: usize) -> Self {
        Self { events, rows: Vec::new() }
    }

    /// Both did the same work: how many times as fast as the baseline we are, and should be.
    pub fn speed(
        &mut self,
        (bar, what, against): (&'static str, &str, &str),
        work: usize,
        ours: Duration,
        theirs: Duration,
        wanted: f64,
    ) {
        let rate = |time: Duration| format!("{}/s", human(work as f64 / time.as_secs_f64()));
        let ratio = theirs.as_secs_f64() / ours.as_secs_f64();
        self.push(bar, (what, against), (rate(ours), rate(theirs)), ratio, wanted, false);
    }

    /// How many times the baseline's cost ours is, and may be.
    pub fn cost(
        &mut self,
        (bar, what, against): (&'static str, &str, &str),
        (ours, theirs): (f64, f64),
        unit: &str,
        wanted: f64,
    ) {
        let text = |value: f64| format!("{} {unit}", human(value));
        self.push(bar, (what, against), (text(ours), text(theirs)), ours / theirs, wanted, true);
    }

    fn push(
        &mut self,
        bar: &'static str,
        (what, against): (&str, &str),
        (ours, theirs): (String, String),
        ratio: f64,
        wanted: f64,
        at_most: bool,
    ) {
        let (what, against) = (what.to_owned(), against.to_owned());
        self.rows.push(Row { bar, what, against, ours, theirs, ratio, wanted, at_most });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Benchmarks\n")?;
        writeln!(
            f,
            "Written by `cargo run --release -p benches`: ours and the baseline in one run, on one machine, the better of a few turns each."
        )?;
        writeln!(
            f,
            "A ratio is how many times as fast as the baseline we are, or, with \"at most\", how many times its cost ours is. The machine is shared,"
        )?;
        writeln!(f, "so absolute figures move by a third and more from run to run.\n")?;
        writeln!(
            f,
            "{}; workload W with {} events, mimalloc on both sides.\n",
            here(),
            human(self.events as f64)
        )?;
        writeln!(f, "| bar | what | against | ours | baseline | ratio | wanted | |")?;
        writeln!(f, "| --- | --- | --- | --- | --- | --- | --- | --- |")?;
        for row in &self.rows {
            let met = if row.at_most { row.ratio <= row.wanted } else { row.ratio >= row.wanted };
            writeln!(
                f,
                "| {} | {} | {} | {} | {} | {:.2} | {} {} | {} |",
                row.bar,
                row.what,
                row.against,
                row.ours,
                row.theirs,
                row.ratio,
                if row.at_most { "at most" } else { "at least" },
                row.wanted,
                if met { "met" } else { "**not met**" }
            )?;
        }
        Ok(())
    }
}

/// When, what and where: the day, the commit, the machine and the compiler.
pub fn here() -> String {
    let said = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().ok();
        output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
    };
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or("")
        .trim_matches([' ', '\t', ':']);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "{}, commit {}, {cores} cores, {cpu}, {}",
        said("date", &["-u", "+%F"]),
        said("git", &["rev-parse", "--short", "HEAD"]),
        said("rustc", &["--version"])
    )
}

pub fn human(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{:.2} M", v / 1e6),
        v if v >= 1e4 => format!("{:.0} k", v / 1e3),
        v if v >= 100.0 => format!("{v:.0}"),
        v => format!("{v:.2}"),
    }
}

/// The better time of a few turns of both, taken in turns, so that what else the machine does hits both.
pub fn both<A, B>(
    turns: usize,
    mut ours: impl FnMut() -> A,
    mut theirs: impl FnMut() -> B,
) -> (Duration, Duration) {
    let mut best = (Duration::MAX, Duration::MAX);
    for _ in 0..turns {
        best.0 = best.0.min(timed(&mut ours));
        best.1 = best.1.min(timed(&mut theirs));
    }
    best
}

/// The better time of a few turns of both, where each takes its own time, that of setting up and clearing away not within it.
pub fn both_taking(
    turns: usize,
    mut ours: impl FnMut() -> Duration,
    mut theirs: impl FnMut() -> Duration,
) -> (Duration, Duration) {
    let mut best = (Duration::MAX, Duration::MAX);
    for _ in 0..turns {
        best.0 = best.0.min(ours());
        best.1 = best.1.min(theirs());
    }
    best
}

/// How long it takes, what it made not being dropped within the time.
pub fn timed<T>(mut work: impl FnMut() -> T) -> Duration {
    let begun = Instant::now();
    let made = std::hint::black_box(work());
    let time = begun.elapsed();
    drop(made);
    time
}
