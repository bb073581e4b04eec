//! What cargo-mutants would change.

use std::path::Path;
use std::process::Command;

use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub(crate) struct Mutant {
    /// The file, a description, and the function: `src/a.rs:3:9: replace == with != in f`.
    pub(crate) name: String,
    pub(crate) file: String,
    pub(crate) genre: Genre,
    /// What stands in the place of `span` then.
    pub(crate) replacement: String,
    pub(crate) span: Span,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum Genre {
    FnValue,
    BinaryOperator,
    UnaryOperator,
    MatchArm,
    MatchArmGuard,
    StructField,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Span {
    start: Place,
    end: Place,
}

/// Lines and columns count from 1, and a column is a character.
#[derive(Debug, Deserialize)]
struct Place {
    line: usize,
    column: usize,
}

impl Span {
    /// The bytes of this text that are meant.
    pub(crate) fn within(&self, text: &str) -> std::ops::Range<usize> {
        self.start.within(text)..self.end.within(text)
    }
}

impl Place {
    fn within(&self, text: &str) -> usize {
        let line: usize = text.split_inclusive('\n').take(self.line - 1).map(str::len).sum();
        line + text[line..].chars().take(self.column - 1).map(char::len_utf8).sum::<usize>()
    }
}

/// All mutants of the package.
pub(crate) fn all(project: &Path, package: &str) -> Vec<Mutant> {
    let listed = Command::new("cargo")
        .args(["mutants", "--list", "--json", "-p", package])
        .current_dir(project)
        .output()
        .expect("cargo mutants starts");
    assert!(listed.status.success(), "cargo mutants: {}", String::from_utf8_lossy(&listed.stderr));
    serde_json::from_slice(&listed.stdout).expect("cargo mutants prints JSON")
}
