//! Tables for people: columns as wide as their widest cell, numbers to the right.

use std::io::{self, Write};

/// A cell.
pub(crate) enum Cell {
    /// To the left.
    Text(String),
    /// To the right.
    Number(String),
}

impl Cell {
    /// Text on one line: line breaks, and whatever else a terminal would obey, are written as Rust writes them.
    pub(crate) fn text(text: &str) -> Self {
        let mut line = String::with_capacity(text.len());
        for c in text.chars() {
            if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
        }
        Self::Text(line)
    }

    pub(crate) fn number(number: impl ToString) -> Self {
        Self::Number(number.to_string())
    }

    fn width(&self) -> usize {
        let (Self::Text(text) | Self::Number(text)) = self;
        text.chars().count()
    }
}

/// Writes the heads of the columns and the rows under them. The head of a column that has numbers is to the right, too.
pub(crate) fn write(out: &mut dyn Write, heads: &[&str], rows: &[Vec<Cell>]) -> io::Result<()> {
    let widest = |column: usize| rows.iter().map(|row| row[column].width()).max().unwrap_or(0);
    let widths: Vec<usize> =
        heads.iter().enumerate().map(|(at, head)| head.chars().count().max(widest(at))).collect();
    let right = |at: usize| rows.iter().any(|row| matches!(row[at], Cell::Number(_)));
    let heads: Vec<Cell> = heads
        .iter()
        .enumerate()
        .map(|(at, head)| if right(at) { Cell::number(head) } else { Cell::text(head) })
        .collect();
    for row in std::iter::once(&heads).chain(rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&match cell {
                Cell::Text(text) => format!("{text:width$}  "),
                Cell::Number(text) => format!("{text:>width$}  "),
            });
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}
