//! All mutants that `cargo mutants` has for `cqrs-core`, in one build.
//!
//! `cargo mutants` builds the crate anew for each change: 5,600 builds. Here every change is compiled in, asleep: `a < b` is
//! `(if on(7) { a > b } else { a < b })`, and the environment says which one is awake. What does not compile is left out and counted. Each
//! test is first run with none awake, to see which places it comes by: a mutant is tried by those tests only that can notice it, the quickest first.
//! A test has to fail twice to have noticed.
//!
//! `cargo run --manifest-path tests/mutants/Cargo.toml [-- FILES]`, with `cargo-mutants` installed: some five minutes of builds on two cores, a fraction of a second
//! for a mutant that is caught, and ten for one that is not. `TMPDIR` is best in memory. A file is meant by how its path begins (`cqrs-core/src/table`);
//! without, all are tried. It prints what was missed, and a table, as `target/report.md` has them too. What was caught is remembered in
//! `target/fates.json`, and not tried again while the source is the same: after a test was added, the next run tries what is left.
//!
//! The tests are those of `cqrs-core`, the integration tests, the simulation and the hostile bytes, but for those that take too long, or look for what no mutant changes.
//! Doc tests are not run.

mod mutant;
mod run;
mod source;
mod tree;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use run::End;
use serde::{Deserialize, Serialize};

const PACKAGE: &str = "cqrs-core";

/// Longer tests are left out: they attack the disk and the process, and what they notice is noticed by others first.
const LONGEST: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Fate {
    Refused,
    Unreached,
    Caught,
    TimedOut,
    Missed,
}

/// By a mutant's name: what became of it, and the test that noticed.
type Fates = BTreeMap<String, (Fate, String)>;

fn main() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the project's folder is there");
    let parts: Vec<String> = std::env::args().skip(1).collect();
    let mutants = mutant::all(&project, PACKAGE);
    let remembered = project.join("tests/mutants/target/fates.json");
    let mut fates: Fates = std::fs::read(&remembered)
        .ok()
        .map(|json| serde_json::from_slice(&json).expect("the fates are as they were written"))
        .unwrap_or_default();

    let tree = tree::Tree::new(&project, PACKAGE);
    tree.copy(&mutants);
    let known = |(n, mutant): (usize, &mutant::Mutant)| {
        fates.get(&mutant.name).is_some_and(|(fate, _)| *fate == Fate::Refused).then_some(n + 1)
    };
    let refused = tree.mutate(&mutants, mutants.iter().enumerate().filter_map(known).collect());
    let mut binaries = tree.tests(&["-p", PACKAGE, "--lib", "--tests"]);
    binaries.extend(tree.tests(&["-p", "integration-tests", "-p", "sim", "-p", "hostile", "--tests"]));
    binaries.retain(|binary| !matches!(binary.name.as_str(), "ui" | "power" | "crash" | "disk" | "rot"));

    let scratch = std::env::temp_dir().join(format!("mutants-{}", std::process::id()));
    let tests = run::survey(&binaries, &scratch, LONGEST);
    eprintln!("{} tests, {:.0?} in all", tests.len(), tests.iter().map(|test| test.takes).sum::<Duration>());

    fates.extend(refused.iter().map(|id| (mutants[id - 1].name.clone(), (Fate::Refused, String::new()))));
    let meant =
        |mutant: &mutant::Mutant| parts.is_empty() || parts.iter().any(|part| mutant.file.starts_with(part));
    let settled = |mutant: &mutant::Mutant| {
        matches!(fates.get(&mutant.name), Some((Fate::Refused | Fate::Caught | Fate::TimedOut, _)))
    };
    let tried: Vec<usize> =
        (0..mutants.len()).filter(|n| meant(&mutants[*n]) && !settled(&mutants[*n])).collect();
    let fates = Mutex::new(fates);
    let began = Instant::now();
    run::abreast(tried.len(), &scratch, |at, folder| {
        let (id, mutant) = (tried[at] + 1, &mutants[tried[at]]);
        let fate = match run::noticed(id, &tests, folder) {
            Some((test, End::TimedOut)) => (Fate::TimedOut, test.name.clone()),
            Some((test, _)) => (Fate::Caught, test.name.clone()),
            None if tests.iter().any(|test| test.reaches.contains(&id)) => (Fate::Missed, String::new()),
            None => (Fate::Unreached, String::new()),
        };
        eprintln!("{:.0?} {:?} {} {}", began.elapsed(), fate.0, mutant.name, fate.1);
        let mut fates = fates.lock().expect("no panic");
        fates.insert(mutant.name.clone(), fate);
        std::fs::write(&remembered, serde_json::to_vec(&*fates).expect("it is plain data"))
            .expect("the fates can be written");
    });
    let _ = std::fs::remove_dir_all(&scratch);
    let report = report(&mutants, &fates.into_inner().expect("no panic"));
    std::fs::write(project.join("tests/mutants/target/report.md"), &report)
        .expect("the report can be written");
    println!("{report}");
}

fn report(mutants: &[mutant::Mutant], fates: &Fates) -> String {
    let known = || mutants.iter().filter_map(|mutant| Some((mutant, fates.get(&mutant.name)?.0)));
    let mut report = String::new();
    for fate in [Fate::Missed, Fate::Unreached, Fate::TimedOut, Fate::Refused] {
        writeln!(report, "\n{fate:?}\n").expect("a string takes all");
        for (mutant, _) in known().filter(|(_, its)| *its == fate) {
            writeln!(report, "- {}", mutant.name).expect("a string takes all");
        }
    }
    let mut table: BTreeMap<&str, [usize; 5]> = BTreeMap::new();
    for (mutant, fate) in known() {
        let inner = mutant.file.trim_start_matches(PACKAGE).trim_start_matches("/src/");
        let part = inner.split_once('/').map_or(inner, |(folder, _)| folder);
        for part in [part, "all"] {
            table.entry(part).or_default()[fate as usize] += 1;
        }
    }
    writeln!(report, "\n| | mutants | caught | ran out of time | missed | in no test's way | do not compile |\n| --- | --- | --- | --- | --- | --- | --- |").expect("a string takes all");
    for (part, [refused, unreached, caught, late, missed]) in table {
        let all = refused + unreached + caught + late + missed;
        writeln!(report, "| `{part}` | {all} | {caught} | {late} | {missed} | {unreached} | {refused} |")
            .expect("a string takes all");
    }
    report
}
