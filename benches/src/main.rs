//! `cargo run --release -p benches [-- FILTER]`: each measurement beside its baseline in the same run, as a table of ratios with the bars that
//! are to be reached. Without a filter, the table is also written to `BENCHMARKS.md`.
//!
//! `profile JOB [TURNS [EVENTS]]` does one job over and over, 10 times over 1 M events if not told otherwise, and prints how long each turn took, for `perf record` and
//! `valgrind --tool=callgrind`: `fold`, `append`, `singles`, `batches`, `views`, `replay`, `get`, `csv`, `durable` (from CSV, too).
//!
//! Absolute figures move with the machine; the ratios are what to look at. `quick` as the filter's first word runs everything on a tenth of the events.

use std::time::Duration;

use benches::report::{Report, timed};
use benches::{append, decide, feed, fold, language, read, start, subscribe, workload};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn profile(job: &str, turns: usize, events: usize) {
    let events = workload::events(events);
    let csv = (job == "csv" || job == "durable").then(|| feed::Csv::of(&events));
    let csv = || csv.as_ref().expect("it is written");
    // What each did is dropped, or closed, beside the clock.
    let job: &dyn Fn() -> Duration = match job {
        "append" => &|| append::with_view(&events, 10_000).time,
        "singles" => &|| append::log_only(&events[..4_000], 1),
        "batches" => &|| append::log_only(&events[..100_000], 100),
        "views" => &|| timed(|| start::views(&events[..200_000], start::fifty_views)),
        "get" => &|| read::gets(&events),
        "replay" => &|| timed(|| start::replays(&events)),
        "csv" => &|| timed(|| csv().in_memory()),
        "durable" => &|| timed(|| csv().durable()),
        _ => &|| timed(fold::ours_over(&events)),
    };
    for _ in 0..turns {
        eprintln!("{:.2} M/s", events.len() as f64 / job().as_secs_f64() / 1e6);
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let filter: Vec<String> = std::env::args().skip(1).collect();
    let quick = filter.first().is_some_and(|word| word == "quick");
    let wanted = |name: &str| {
        let words = &filter[usize::from(quick)..];
        words.is_empty() || words.iter().any(|word| name == word)
    };
    if filter.first().is_some_and(|word| word == "profile") {
        let turns = filter.get(2).map_or(Ok(10), |turns| turns.parse())?;
        let events = filter.get(3).map_or(Ok(1_000_000), |events| events.parse())?;
        profile(filter.get(1).map_or("fold", String::as_str), turns, events);
        return Ok(());
    }
    let events = workload::events(if quick { 100_000 } else { 1_000_000 });
    let mut report = Report::new(events.len());
    type Part = fn(&[workload::Purchased], &mut Report);
    let parts: [(&str, Part); 9] = [
        ("fold", fold::run),
        ("append", append::run),
        ("callers", append::run_callers),
        ("decide", decide::run),
        ("feed", feed::run),
        ("read", read::run),
        ("subscribe", subscribe::run),
        ("start", start::run),
        ("language", language::run),
    ];
    for (name, run) in parts {
        if wanted(name) {
            eprintln!("{name} ..");
            run(&events, &mut report);
        }
    }
    println!("{report}");
    if filter.is_empty() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/../BENCHMARKS.md"), report.to_string())?;
    }
    Ok(())
}
