//! The views, as they are saved.

use std::io::Write;
use std::path::Path;

use cqrs_core::sql::SqlValue;
use cqrs_core::store::{SavedView, Store};

use crate::failure::{Done, Failure};
use crate::json;
use crate::store::{list, open};
use crate::table::{self, Cell};

/// How many rows are read at a time.
const PAGE: usize = 4096;

pub(crate) fn views(folder: &Path, out: &mut dyn Write) -> Done {
    let store = open(folder)?;
    let saved = match store.saved()? {
        Some(mut keeper) => keeper.views()?,
        None => Vec::new(),
    };
    // After the views, so that none of them is beyond it.
    let end = store.reader()?.head()?.position;
    let row = |view: &SavedView| {
        let SavedView { name, position, rows, state, .. } = view;
        let (lag, state) = if view.store == store.id() {
            (Cell::number(end.saturating_sub(*position)), Cell::text(state))
        } else {
            (Cell::number("-"), Cell::text("of another log: a start is refused until views.db is deleted"))
        };
        vec![Cell::text(name), Cell::number(position), lag, Cell::number(rows), state]
    };
    let rows: Vec<_> = saved.iter().map(row).collect();
    Ok(table::write(out, &["view", "position", "lag", "stored", "state"], &rows)?)
}

pub(crate) fn rows(
    folder: &Path,
    view: &str,
    limit: Option<usize>,
    as_json: bool,
    out: &mut dyn Write,
) -> Done {
    let shown = read(folder, view, limit.unwrap_or(usize::MAX))?;
    let written = write_rows(&shown, as_json, out);
    let wrong = shown.wrong;
    if wrong == 0 {
        return written;
    }
    // Whether anybody reads all of them or not.
    Err(Failure::damaged(format!(
        "{wrong} of the rows are not as they were written, by their checksums. views.db is disposable: the program makes it anew if it is \
         deleted, with views.db-wal and views.db-shm, while no program has the folder open"
    )))
}

fn write_rows(Shown { columns, rows, .. }: &Shown, as_json: bool, out: &mut dyn Write) -> Done {
    if as_json {
        for row in rows {
            let mut line = String::from("{");
            for (at, (column, value)) in columns.iter().zip(row).enumerate() {
                json::comma(&mut line, at);
                json::text(&mut line, column);
                line.push(':');
                json::sql(&mut line, value);
            }
            writeln!(out, "{line}}}")?;
        }
        return Ok(());
    }
    let heads: Vec<&str> = columns.iter().map(String::as_str).collect();
    let rows: Vec<Vec<Cell>> = rows.iter().map(|row| row.iter().map(cell).collect()).collect();
    Ok(table::write(out, &heads, &rows)?)
}

/// What SQL shows of a view.
struct Shown {
    columns: Vec<String>,
    rows: Vec<Vec<SqlValue>>,
    /// How many of the rows are not what was written.
    wrong: u64,
}

/// Reads all before any is written: whoever reads what is written may take their time, and views.db would grow meanwhile.
fn read(folder: &Path, view: &str, limit: usize) -> Result<Shown, Failure> {
    let store = open(folder)?;
    let none = |views: &[SavedView]| {
        let names = list(views.iter().map(|view| view.name.as_str()));
        Failure::Unreadable(format!("there is no view `{view}` in views.db, which has {names}"))
    };
    let Some(mut keeper) = store.saved()? else { return Err(none(&[])) };
    let views = keeper.views()?;
    let Some(saved) = views.iter().find(|saved| saved.name == view) else { return Err(none(&views)) };
    if saved.store != store.id() {
        return Err(Failure::damaged(format!(
            "the view `{view}` in views.db is of another log than events.db: the program folds it anew when that file is deleted, with views.db-wal \
             and views.db-shm, while no program has the folder open"
        )));
    }
    let mut shown = Shown { columns: keeper.columns(view)?, rows: Vec::new(), wrong: 0 };
    let mut from = Some(0);
    while let Some(first) = from.filter(|_| shown.rows.len() < limit) {
        from = None;
        let mut read = 0;
        keeper.renderings(view, first, PAGE, &mut |row| {
            read += 1;
            from = row.id.checked_add(1);
            if row.shown && shown.rows.len() < limit {
                shown.rows.push(row.columns.to_vec());
                shown.wrong += u64::from(!row.whole);
            }
        })?;
        from = from.filter(|_| read == PAGE);
    }
    Ok(shown)
}

fn cell(value: &SqlValue) -> Cell {
    match value {
        SqlValue::Null => Cell::text(""),
        SqlValue::Integer(value) => Cell::number(value),
        SqlValue::Real(value) => Cell::number(format_args!("{value:?}")),
        SqlValue::Text(value) => Cell::text(value),
        SqlValue::Blob(bytes) => Cell::text(&json::hex(bytes)),
    }
}
