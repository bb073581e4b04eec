//! A file that is committed, and that a test holds the code against.

use std::fmt::Write;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::diff::{indented, lines};

/// What may be done to the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Update {
    /// It is only read, or written where it is not there.
    No,
    /// It is brought up to date.
    Yes,
    /// It is written anew, whatever that breaks.
    Force,
}

/// What the environment says about files.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    pub(super) update: Update,
    /// Whether this is a machine whose files nobody commits.
    pub(super) ci: bool,
}

impl Setting {
    /// `CQRS_UPDATE` and `CI`.
    pub(super) fn of_env() -> Result<Self, String> {
        let update = match std::env::var("CQRS_UPDATE").as_deref() {
            Err(_) | Ok("" | "0") => Update::No,
            Ok("1") => Update::Yes,
            Ok("force") => Update::Force,
            Ok(other) => return Err(format!("CQRS_UPDATE is `1` or `force`, and not `{other}`")),
        };
        let ci = std::env::var("CI").is_ok_and(|ci| !matches!(&*ci, "" | "0" | "false"));
        Ok(Self { update, ci })
    }
}

/// The file.
#[derive(Debug)]
pub(super) struct LockFile {
    path: PathBuf,
    /// The path as it was given.
    pub(super) name: String,
}

impl LockFile {
    /// The file of this path, in the folder of the crate that is tested.
    pub(super) fn new(path: &Path) -> Self {
        let folder = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
        Self { path: folder.join(path), name: path.display().to_string() }
    }

    /// What is in it; `None` if it is not there.
    pub(super) fn read(&self) -> Result<Option<String>, String> {
        match std::fs::read_to_string(&self.path) {
            // A checkout may have changed the ends of lines.
            Ok(text) => Ok(Some(text.replace("\r\n", "\n"))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("{} cannot be read: {error}", self.path.display())),
        }
    }

    /// Writes it for the first time.
    pub(super) fn create(&self, text: &str, setting: Setting) -> Result<(), String> {
        if setting.ci {
            return Err(format!(
                "{} is not there, and this is CI: run the test once on a machine of yours, and commit the file that it writes",
                self.path.display()
            ));
        }
        self.write(text)
    }

    pub(super) fn write(&self, text: &str) -> Result<(), String> {
        let folder = self.path.parent().map_or(Ok(()), std::fs::create_dir_all);
        let written = folder.and_then(|()| std::fs::write(&self.path, text));
        written.map_err(|error| format!("{} cannot be written: {error}", self.path.display()))
    }

    /// What is said of a file that is to be written anew, and of which nothing else speaks against that.
    pub(super) fn out_of_date(&self, before: &str, now: &str) -> String {
        format!(
            "{} is out of date: run the test with CQRS_UPDATE=1, and commit the file\n\n{}    (- in the file, + now)\n",
            self.name,
            indented(&lines(before, now), "")
        )
    }

    /// What is said of a line that cannot be read.
    pub(super) fn unreadable(&self, line: usize, what: &str) -> String {
        format!(
            "{}, line {line}: {what}. The file is written by the test: take it back to what was committed",
            self.name
        )
    }
}

/// A name as one word: what would make it two, or none, as `%` and its number in hex and `;`.
pub(super) fn escaped(name: &str) -> String {
    let mut word = String::new();
    for c in name.chars() {
        if c == '%' || c.is_whitespace() || c.is_control() {
            let _ = write!(word, "%{:x};", c as u32);
        } else {
            word.push(c);
        }
    }
    if word.is_empty() { "%;".into() } else { word }
}

pub(super) fn unescaped(word: &str) -> Option<String> {
    if word == "%;" {
        return Some(String::new());
    }
    let mut parts = word.split('%');
    let mut name = parts.next()?.to_owned();
    for part in parts {
        let (code, rest) = part.split_once(';')?;
        name.push(char::from_u32(u32::from_str_radix(code, 16).ok()?)?);
        name.push_str(rest);
    }
    Some(name)
}
