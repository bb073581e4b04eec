//! What differs, in words and lines: rows by their keys, columns by their names, texts line by line.

use std::collections::BTreeMap;
use std::fmt::{Debug, Write};

use crate::projection::Projection;
use crate::sql::SqlValue;

/// How many differing rows are shown in full.
const SHOWN: usize = 20;

/// How many lines that are the same are shown around those that are not.
const AROUND: usize = 8;

/// A row, as a difference tells of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RowText {
    /// Its key columns, in parentheses.
    pub(super) key: String,
    /// Its columns, by name.
    pub(super) columns: Vec<(String, String)>,
    /// All of it, on several lines.
    pub(super) text: String,
}

impl RowText {
    /// A row as its `Debug` shows it.
    pub(super) fn of<V: Projection + Debug>(row: &V) -> Self {
        let columns = columns(row);
        Self { key: key::<V>(&columns), columns, text: format!("{row:#?}") }
    }

    /// A row as its columns show it.
    pub(super) fn of_columns<V: Projection>(columns: Vec<(String, String)>) -> Self {
        let mut text = String::new();
        for (name, value) in &columns {
            let _ = writeln!(text, "{name} = {value}");
        }
        Self { key: key::<V>(&columns), columns, text }
    }

    /// The columns in which two rows differ.
    fn differing(&self, other: &Self) -> String {
        let pairs = self.columns.iter().zip(&other.columns);
        let names: Vec<_> =
            pairs.filter(|(one, another)| one != another).map(|((name, _), _)| format!("`{name}`")).collect();
        if names.is_empty() { String::new() } else { format!(" in {}", names.join(", ")) }
    }
}

/// A row's columns, by name, as SQL shows them.
pub(super) fn columns<V: Projection>(row: &V) -> Vec<(String, String)> {
    let mut values = Vec::new();
    row.sql(&mut values);
    V::COLUMNS.iter().zip(&values).map(|((name, _), value)| ((*name).to_owned(), shown(value))).collect()
}

fn shown(value: &SqlValue) -> String {
    match value {
        SqlValue::Null => "NULL".into(),
        SqlValue::Integer(value) => value.to_string(),
        SqlValue::Real(value) => format!("{value:?}"),
        SqlValue::Text(text) => format!("{text:?}"),
        SqlValue::Blob(bytes) => format!("x'{}'", hex(bytes)),
    }
}

/// Bytes as two digits each.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn key<V: Projection>(columns: &[(String, String)]) -> String {
    let names = V::KEY_COLUMNS.iter().filter_map(|at| Some(V::COLUMNS.get(*at)?.0));
    let parts = names.filter_map(|name| columns.iter().find(|(column, _)| column == name));
    let parts: Vec<_> = parts.map(|(name, value)| format!("{name} = {value}")).collect();
    format!("({})", parts.join(", "))
}

/// How the rows found differ from those expected, matched by their keys; `None` if they do not. `same` compares one of each, by their places;
/// the two words say what the two are.
pub(super) fn rows(
    [left, right]: [&str; 2],
    expected: &[RowText],
    found: &[RowText],
    same: impl Fn(usize, usize) -> bool,
) -> Option<String> {
    let mut keys: BTreeMap<&str, usize> = BTreeMap::new();
    let mut told = Vec::new();
    let mut counts = [0; 4];
    for (at, row) in expected.iter().enumerate() {
        if keys.insert(&row.key, at).is_some() {
            counts[3] += 1;
            told.push(format!("row {} is expected twice: a key has one row\n", row.key));
        }
    }
    for (at, row) in found.iter().enumerate() {
        match keys.remove(&*row.key) {
            Some(wanted) if same(wanted, at) => {}
            Some(wanted) => {
                counts[0] += 1;
                told.push(differing(&expected[wanted], row));
            }
            None => {
                counts[2] += 1;
                told.push(format!("row {} is unexpected:\n{}", row.key, indented(&row.text, "+ ")));
            }
        }
    }
    let mut missing: Vec<_> = keys.into_values().collect();
    missing.sort_unstable();
    for at in missing {
        counts[1] += 1;
        let row = &expected[at];
        told.push(format!("row {} is missing:\n{}", row.key, indented(&row.text, "- ")));
    }
    if told.is_empty() {
        return None;
    }
    let words = ["differing", "missing", "unexpected", "expected twice"];
    let counts = counts.iter().zip(words).filter(|(count, _)| **count > 0);
    let counts: Vec<_> = counts.map(|(count, word)| format!("{count} {word}")).collect();
    let more = told.len().saturating_sub(SHOWN);
    told.truncate(SHOWN);
    let mut text = format!("{} (- {left}, + {right})\n\n{}", counts.join(", "), told.join("\n"));
    if more > 0 {
        let _ = writeln!(text, "\n.. and {more} more rows");
    }
    Some(text)
}

/// How one row differs from what it is to be.
pub(super) fn differing(expected: &RowText, found: &RowText) -> String {
    let columns = expected.differing(found);
    format!("row {} differs{columns}:\n{}", found.key, indented(&lines(&expected.text, &found.text), ""))
}

/// Every line behind a mark, and set in.
pub(super) fn indented(text: &str, mark: &str) -> String {
    text.lines().map(|line| format!("    {mark}{line}\n")).collect()
}

/// The lines of two texts, those that only one of them has behind `- ` (the first) or `+ ` (the second).
pub(super) fn lines(expected: &str, found: &str) -> String {
    let (left, right): (Vec<_>, Vec<_>) = (expected.lines().collect(), found.lines().collect());
    let before = left.iter().zip(&right).take_while(|(left, right)| left == right).count();
    let (left_rest, right_rest) = (&left[before..], &right[before..]);
    let after = left_rest.iter().rev().zip(right_rest.iter().rev());
    let after = after.take_while(|(left, right)| left == right).count();
    let mut marked: Vec<(char, &str)> = left[..before].iter().map(|line| (' ', *line)).collect();
    let middle = (&left_rest[..left_rest.len() - after], &right_rest[..right_rest.len() - after]);
    marked.extend(middle_lines(middle.0, middle.1));
    marked.extend(left[left.len() - after..].iter().map(|line| (' ', *line)));
    let mut text = String::new();
    let mut passed_over = false;
    for (at, (mark, line)) in marked.iter().enumerate() {
        let around = &marked[at.saturating_sub(AROUND)..marked.len().min(at + AROUND + 1)];
        let shown = around.iter().any(|(mark, _)| *mark != ' ');
        if shown {
            let _ = writeln!(text, "{mark} {line}");
        } else if !passed_over {
            text.push_str("  ..\n");
        }
        passed_over = !shown;
    }
    text
}

/// The longest common subsequence, and what is beside it. Texts too long for its table are shown one after the other.
fn middle_lines<'t>(left: &[&'t str], right: &[&'t str]) -> Vec<(char, &'t str)> {
    let width = right.len() + 1;
    let cells = if left.len().saturating_mul(right.len()) > 1 << 22 { 0 } else { (left.len() + 1) * width };
    // At [i, j]: how long the common subsequence of what follows line i and line j is.
    let mut lengths = vec![0_u32; cells];
    if cells > 0 {
        for i in (0..left.len()).rev() {
            for j in (0..right.len()).rev() {
                lengths[i * width + j] = if left[i] == right[j] {
                    lengths[(i + 1) * width + j + 1] + 1
                } else {
                    lengths[(i + 1) * width + j].max(lengths[i * width + j + 1])
                };
            }
        }
    }
    let length = |i: usize, j: usize| lengths.get(i * width + j).copied().unwrap_or(0);
    let (mut i, mut j, mut marked) = (0, 0, Vec::new());
    while i < left.len() || j < right.len() {
        if cells > 0 && i < left.len() && j < right.len() && left[i] == right[j] {
            marked.push((' ', left[i]));
            (i, j) = (i + 1, j + 1);
        } else if i < left.len() && (j == right.len() || length(i + 1, j) >= length(i, j + 1)) {
            marked.push(('-', left[i]));
            i += 1;
        } else {
            marked.push(('+', right[j]));
            j += 1;
        }
    }
    marked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_differ_are_marked_and_the_others_are_around_them() {
        assert_eq!(lines("a\nb\nc", "a\nx\nc"), "  a\n- b\n+ x\n  c\n");
        assert_eq!(lines("a\nb\nc\nd", "b\nc\ne\nd"), "- a\n  b\n  c\n+ e\n  d\n");
        assert_eq!(lines("", "a"), "+ a\n");
        assert_eq!(lines("a\na\na", "a\na"), "  a\n  a\n- a\n");
        let long: String = (0..100).map(|line| format!("{line}\n")).collect();
        let text = lines(&long, &long.replace("\n50\n", "\nhalf\n"));
        assert!(text.starts_with("  ..\n  42\n"), "{text}");
        assert!(text.contains("  49\n- 50\n+ half\n  51\n"), "{text}");
        assert!(text.ends_with("  58\n  ..\n"), "{text}");
    }

    #[test]
    fn texts_too_long_to_be_compared_are_told_whole() {
        let text = |from: u32| (from..from + 3000).map(|line| format!("{line}\n")).collect::<String>();
        assert_eq!(lines(&text(0), &text(5000)).lines().filter(|line| line.starts_with("- ")).count(), 3000);
    }
}
