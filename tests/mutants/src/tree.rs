//! A copy of the project in which the mutants sleep, and its builds.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::mutant::Mutant;
use crate::source::{self, Written};

pub(crate) struct Tree {
    project: PathBuf,
    copy: PathBuf,
    package: String,
}

/// What cargo prints, a line each.
#[derive(Deserialize)]
struct Line {
    reason: String,
    message: Option<Message>,
    executable: Option<PathBuf>,
    target: Option<Target>,
    manifest_path: Option<PathBuf>,
    #[serde(default)]
    profile: Profile,
}

#[derive(Deserialize)]
struct Message {
    level: String,
    code: Option<Code>,
    rendered: Option<String>,
    spans: Vec<Place>,
}

#[derive(Deserialize)]
struct Code {
    code: String,
}

#[derive(Deserialize)]
struct Place {
    file_name: String,
    byte_start: usize,
    byte_end: usize,
    is_primary: bool,
    expansion: Option<Expansion>,
}

/// What is wrong lies in a macro of another file: where it was called.
#[derive(Deserialize)]
struct Expansion {
    span: Box<Place>,
}

impl Place {
    fn called_at(&self) -> &Self {
        self.expansion.as_ref().map_or(self, |expansion| expansion.span.called_at())
    }
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

#[derive(Deserialize, Default)]
struct Profile {
    test: bool,
}

/// A built test program.
#[derive(Debug, Clone)]
pub(crate) struct Binary {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// Where cargo would start it.
    pub(crate) folder: PathBuf,
}

/// Removes sources that are not to be there.
fn remove_others(folder: &Path, is_there: &dyn Fn(&Path) -> bool) {
    let Ok(all) = std::fs::read_dir(folder) else { return };
    for path in all.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                remove_others(&path, is_there);
            }
        } else if path.extension().is_some_and(|ending| ending == "rs") && !is_there(&path) {
            std::fs::remove_file(&path).expect("a file of the copy can be removed");
        }
    }
}

impl Tree {
    pub(crate) fn new(project: &Path, package: &str) -> Self {
        let copy = project.join("tests/mutants/target/tree");
        Self { project: project.to_owned(), copy, package: package.to_owned() }
    }

    /// Copies what git knows, as it stands in the folder, but for what has mutants.
    pub(crate) fn copy(&self, mutants: &[Mutant]) {
        let lib = self.lib();
        let changed: BTreeSet<&str> = mutants.iter().map(|mutant| &*mutant.file).chain([&*lib]).collect();
        let listed = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(&self.project)
            .output()
            .expect("git starts");
        let listed = String::from_utf8(listed.stdout).expect("file names are UTF-8");
        let listed: BTreeSet<&str> = listed.split_terminator('\0').collect();
        // What was moved since the last copy would be there twice.
        remove_others(&self.copy, &|path| {
            let name = path.strip_prefix(&self.copy).ok().and_then(Path::to_str);
            name.is_some_and(|name| listed.contains(name) && self.project.join(name).exists())
        });
        for name in listed {
            if !changed.contains(name)
                && let Ok(content) = std::fs::read(self.project.join(name))
            {
                self.put(name, &content);
            }
        }
    }

    fn lib(&self) -> String {
        format!("{}/src/lib.rs", self.package)
    }

    /// A file that is already so keeps its time: cargo builds nothing anew for it.
    fn put(&self, name: &str, content: &[u8]) {
        let path = self.copy.join(name);
        if std::fs::read(&path).is_ok_and(|there| there == content) {
            return;
        }
        std::fs::create_dir_all(path.parent().expect("it lies in the copy")).expect("the folder can be made");
        std::fs::write(path, content).expect("the file can be written");
    }

    /// Puts the mutants in, leaves out those that the compiler does not take, and says which. `refused` are known.
    pub(crate) fn mutate(&self, mutants: &[Mutant], mut refused: BTreeSet<usize>) -> BTreeSet<usize> {
        let lib = self.lib();
        loop {
            let mut by_file: BTreeMap<&str, Vec<(usize, &Mutant)>> = BTreeMap::new();
            by_file.entry(&lib).or_default();
            for (n, mutant) in mutants.iter().enumerate() {
                let of_file = by_file.entry(&mutant.file).or_default();
                if !refused.contains(&(n + 1)) {
                    of_file.push((n + 1, mutant));
                }
            }
            let mut files = HashMap::new();
            for (name, mutants) in by_file {
                let text = std::fs::read_to_string(self.project.join(name)).expect("the source can be read");
                let (mut written, homeless) = source::write(&text, &mutants);
                refused.extend(homeless);
                if name == lib {
                    written.text.push_str("#[doc(hidden)]\npub mod mutants;\n");
                }
                self.put(name, written.text.as_bytes());
                files.insert(name.to_owned(), written);
            }
            self.put(&format!("{}/src/mutants.rs", self.package), include_bytes!("awake.rs"));
            let before = refused.len();
            for error in self.errors() {
                let blamed = blame(&error, &files);
                assert!(!blamed.is_empty(), "no mutant is to blame:\n{}", error.rendered.unwrap_or_default());
                refused.extend(blamed);
            }
            eprintln!("{} of {} do not compile", refused.len(), mutants.len());
            if refused.len() == before {
                return refused;
            }
        }
    }

    fn errors(&self) -> Vec<Message> {
        let said = self.cargo(&["check", "--all-features", "-p", &self.package]).0;
        said.into_iter()
            .filter_map(|line| line.message)
            .filter(|message| message.level == "error" && !message.spans.is_empty())
            .collect()
    }

    /// Builds the tests of these packages.
    pub(crate) fn tests(&self, arguments: &[&str]) -> Vec<Binary> {
        let (lines, succeeded) = self.cargo(&[&["test", "--no-run", "--all-features"], arguments].concat());
        for message in
            lines.iter().filter_map(|line| line.message.as_ref()).filter(|message| message.level == "error")
        {
            eprintln!("{}", message.rendered.as_deref().unwrap_or_default());
        }
        assert!(succeeded, "the tests do not build");
        let tests = lines.into_iter().filter(|line| line.reason == "compiler-artifact" && line.profile.test);
        let binary = |line: Line| {
            let folder = line.manifest_path?.parent()?.to_owned();
            Some(Binary { name: line.target?.name, path: line.executable?, folder })
        };
        tests.filter_map(binary).collect()
    }

    fn cargo(&self, arguments: &[&str]) -> (Vec<Line>, bool) {
        let mut cargo = Command::new("cargo");
        cargo.args(arguments).args(["--message-format=json", "--locked"]).current_dir(&self.copy);
        cargo
            .env("RUSTFLAGS", "--cap-lints=allow")
            .env("CARGO_TARGET_DIR", self.copy.join("target"))
            .env("CARGO_PROFILE_DEV_DEBUG", "0");
        cargo.env("CARGO_PROFILE_DEV_OPT_LEVEL", "1");
        let output = cargo.stderr(Stdio::inherit()).output().expect("cargo starts");
        let lines = String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        (lines, output.status.success())
    }
}

/// The mutants that an error comes from: the one that wrote what is wrong, or all of the smallest place around it.
fn blame(error: &Message, files: &HashMap<String, Written>) -> Vec<usize> {
    for primary in [true, false] {
        for place in error.spans.iter().filter(|place| place.is_primary == primary).map(Place::called_at) {
            let Some(written) = files.get(&place.file_name) else { continue };
            let holds = |range: &std::ops::Range<usize>| {
                range.start <= place.byte_start && place.byte_end <= range.end
            };
            if let Some((_, id)) =
                written.of_one.iter().filter(|(range, _)| holds(range)).min_by_key(|(range, _)| range.len())
            {
                return vec![*id];
            }
            if let Some((_, ids)) =
                written.around.iter().filter(|(range, _)| holds(range)).min_by_key(|(range, _)| range.len())
            {
                return ids.clone();
            }
            // An error about more than one place, as a borrow in a loop: all that lie in it.
            let within: Vec<_> = written
                .around
                .iter()
                .filter(|(range, _)| place.byte_start <= range.start && range.end <= place.byte_end)
                .collect();
            if !within.is_empty() {
                return within.into_iter().flat_map(|(_, ids)| ids.clone()).collect();
            }
        }
    }
    let primary = || error.spans.iter().filter(|place| place.is_primary);
    // An arm with a guard does not count for a match that has to be exhaustive.
    if error.code.as_ref().is_some_and(|code| code.code == "E0004") {
        let next = primary().find_map(|place| {
            let guards = &files.get(&place.file_name)?.guards;
            guards.iter().filter(|(at, _)| *at >= place.byte_end).min_by_key(|(at, _)| *at)
        });
        return next.map(|(_, ids)| ids.clone()).unwrap_or_default();
    }
    // A function whose other returns say what its `impl Trait` is.
    let before = primary().find_map(|place| {
        let starts = &files.get(&place.file_name)?.starts;
        starts.iter().filter(|(at, _)| *at <= place.byte_start).max_by_key(|(at, _)| *at)
    });
    before.map(|(_, ids)| ids.clone()).unwrap_or_default()
}
