//! Many rows by few statements: what a statement costs by itself is shared by several rows.

use rusqlite::{Connection, Statement};

/// How many rows one statement inserts, where there are so many.
const ROWS: usize = 16;

/// SQLite takes no more parameters than this in a statement.
const PARAMETERS: usize = 32_766;

/// `(?, ?, ..), (?, ?, ..), ..`
fn values(width: usize, rows: usize) -> String {
    let row = format!("({})", vec!["?"; width].join(", "));
    vec![row; rows].join(", ")
}

/// Runs `insert`, which ends in `VALUES`, for every one of `count` items. `bind` binds one of `width` parameters a column, from the index that it is given on.
pub(super) fn insert<T>(
    connection: &Connection,
    insert: &str,
    width: usize,
    count: usize,
    mut items: impl Iterator<Item = T>,
    mut bind: impl FnMut(&mut Statement<'_>, usize, T) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut left = count;
    let rows = ROWS.min(PARAMETERS / width).max(1);
    while left > 0 {
        let rows = if left >= rows { rows } else { 1 };
        let mut statement = connection.prepare_cached(&format!("{insert} {}", values(width, rows)))?;
        // As often as it serves, so that it is looked up once.
        for _ in 0..left / rows {
            for (row, item) in items.by_ref().take(rows).enumerate() {
                bind(&mut statement, row * width + 1, item)?;
            }
            statement.raw_execute()?;
        }
        left %= rows;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_rows_goes_in_as_it_is() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE pairs (a INTEGER, b TEXT)").unwrap();
        for count in [0, 1, ROWS - 1, ROWS, ROWS + 1, 5 * ROWS + 3] {
            connection.execute_batch("DELETE FROM pairs").unwrap();
            insert(&connection, "INSERT INTO pairs VALUES", 2, count, 0..count, |statement, at, n| {
                statement.raw_bind_parameter(at, n as i64)?;
                statement.raw_bind_parameter(at + 1, n.to_string())
            })
            .unwrap();
            let mut select = connection.prepare("SELECT a, b FROM pairs ORDER BY rowid").unwrap();
            let rows =
                select.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))).unwrap();
            let expected: Vec<_> = (0..count as i64).map(|n| (n, n.to_string())).collect();
            assert_eq!(rows.collect::<Result<Vec<_>, _>>().unwrap(), expected);
        }
    }
}
