//! Tests, each in a process of its own.

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::tree::Binary;

#[derive(Debug, Clone)]
pub(crate) struct Test {
    pub(crate) binary: Binary,
    pub(crate) name: String,
    /// What it takes with no mutant awake.
    pub(crate) takes: Duration,
    /// The mutants whose places it comes by.
    pub(crate) reaches: BTreeSet<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Passed,
    Failed,
    TimedOut,
}

/// How often a test has to pass with no mutant awake: one that fails now and then would catch what it does not.
const PASSES: u32 = 4;

/// All tests that pass by themselves, each time within so long, with what they reach.
pub(crate) fn survey(binaries: &[Binary], scratch: &Path, longest: Duration) -> Vec<Test> {
    let mut names = Vec::new();
    for binary in binaries {
        let listed = Command::new(&binary.path)
            .args(["--list", "--format", "terse"])
            .current_dir(&binary.folder)
            .output()
            .expect("the test program starts");
        let listed = String::from_utf8(listed.stdout).expect("names are UTF-8");
        names.extend(
            listed
                .lines()
                .filter_map(|line| line.strip_suffix(": test"))
                .map(|name| (binary.clone(), name.to_owned())),
        );
    }
    let tests = Mutex::new(Vec::new());
    abreast(names.len(), scratch, |n, folder| {
        let (binary, name) = &names[n];
        let reached = folder.join("reached");
        let began = Instant::now();
        let mut ends = (0..PASSES).map(|_| {
            run(binary, name, folder, longest, |command| {
                command.env("MUTANTS_REACHED", &reached);
            })
        });
        let end = ends.find(|end| *end != End::Passed).unwrap_or(End::Passed);
        let takes = began.elapsed() / PASSES;
        let reaches = std::fs::read(&reached).unwrap_or_default();
        let reaches = reaches
            .chunks_exact(4)
            .map(|id| u32::from_le_bytes(id.try_into().expect("four bytes")) as usize)
            .collect();
        match end {
            End::Passed => tests.lock().expect("no panic").push(Test {
                binary: binary.clone(),
                name: name.clone(),
                takes,
                reaches,
            }),
            end => eprintln!("not used, for it {end:?} with no mutant awake: {} {name}", binary.name),
        }
    });
    let mut tests = tests.into_inner().expect("no panic");
    tests.sort_by_key(|test| test.takes);
    tests
}

/// The first of these tests that notices this mutant, twice, the quickest first.
pub(crate) fn noticed<'t>(mutant: usize, tests: &'t [Test], folder: &Path) -> Option<(&'t Test, End)> {
    for test in tests.iter().filter(|test| test.reaches.contains(&mutant)) {
        let longest = test.takes * 6 + Duration::from_secs(3);
        let again = || {
            run(&test.binary, &test.name, folder, longest, |command| {
                command.env("MUTANT", mutant.to_string());
            })
        };
        match again() {
            End::Passed => {}
            End::TimedOut => return Some((test, End::TimedOut)),
            End::Failed => match again() {
                End::Passed => {}
                end => return Some((test, end)),
            },
        }
    }
    None
}

/// Does this for each number below `count`, as many at a time as there are processors, each with an empty folder.
pub(crate) fn abreast(count: usize, scratch: &Path, each: impl Fn(usize, &Path) + Sync) {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let folder: PathBuf = scratch.join(thread.to_string());
            let (next, each) = (&next, &each);
            scope.spawn(move || {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= count {
                        break;
                    }
                    std::fs::create_dir_all(&folder).expect("the scratch folder can be made");
                    each(n, &folder);
                    std::fs::remove_dir_all(&folder).expect("the scratch folder can be removed");
                }
            });
        }
    });
}

/// A mutant may loop for ever, or fill memory and disk: it gets 8 GB of one and 2 GB a file at most, and is killed with all that it started.
fn run(binary: &Binary, name: &str, folder: &Path, longest: Duration, with: impl Fn(&mut Command)) -> End {
    let mut command = Command::new("prlimit");
    command
        .args(["--as=8000000000", "--fsize=2000000000", "--core=0"])
        .arg(&binary.path)
        .args(["--exact", name]);
    command
        .current_dir(&binary.folder)
        .env("TMPDIR", folder)
        .env("CI", "true")
        .env("PROPTEST_CASES", "32")
        .env("PROPTEST_FAILURE_PERSISTENCE", "off");
    command
        .env("SIM_SEEDS", "200")
        .env("PROPTEST_MAX_SHRINK_ITERS", "0")
        .env("CARGO_MANIFEST_DIR", &binary.folder);
    with(&mut command);
    let mut child = command
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("prlimit starts");
    let began = Instant::now();
    let mut pause = Duration::from_millis(1);
    let end = loop {
        match child.try_wait().expect("it is our child") {
            Some(status) if status.success() => break End::Passed,
            Some(_) => break End::Failed,
            None if began.elapsed() > longest => break End::TimedOut,
            None => std::thread::sleep(pause),
        }
        pause = (pause * 5 / 4).min(Duration::from_millis(20));
    };
    let _ =
        Command::new("kill").args(["-9", "--", &format!("-{}", child.id())]).stderr(Stdio::null()).status();
    let _ = child.wait();
    end
}
