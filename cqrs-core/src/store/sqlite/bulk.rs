//! Many rows by few statements: what a statement costs by itself is shared by several rows.

use rusqlite::{Connection, Statement};

/// How many parameters a statement has at most, unless one row has more. With many more, those that are bound leave the processor's nearest memory before they are
/// read.
const PARAMETERS: usize = 256;

/// How many rows go at once where there are fewer than a whole statement takes.
const FEW: usize = 8;

/// By how many rows a statement may insert, the most first.
fn pieces(width: usize) -> [usize; 3] {
    let most = (PARAMETERS / width).max(1);
    [most, FEW.min(most), 1]
}

/// `(?, ?, ..), (?, ?, ..), ..`
fn values(width: usize, rows: usize) -> String {
    let row = format!("({})", vec!["?"; width].join(", "));
    vec![row; rows].join(", ")
}

/// Runs `insert`, which ends in `VALUES`, for every item. `bind` binds one of `width` parameters a column, from the index that it is given on.
pub(super) fn insert<T>(
    connection: &Connection,
    insert: &str,
    width: usize,
    items: impl IntoIterator<Item = T>,
    mut bind: impl FnMut(&mut Statement<'_>, usize, T) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut items = items.into_iter();
    let prepare = |rows| connection.prepare_cached(&format!("{insert} {}", values(width, rows)));
    let pieces = pieces(width);
    let mut some = Vec::with_capacity(pieces[0]);
    // Looked up once, as often as it serves.
    let mut statements = pieces.map(|_| None);
    loop {
        some.extend(items.by_ref().take(pieces[0]));
        if some.is_empty() {
            return Ok(());
        }
        let mut rest = some.drain(..);
        for (rows, statement) in pieces.into_iter().zip(&mut statements) {
            while rest.len() >= rows {
                let statement = match statement {
                    Some(statement) => statement,
                    None => statement.insert(prepare(rows)?),
                };
                for (row, item) in rest.by_ref().take(rows).enumerate() {
                    bind(statement, row * width + 1, item)?;
                }
                statement.raw_execute()?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_rows_goes_in_as_it_is() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE pairs (a INTEGER, b TEXT)").unwrap();
        let [rows, few, _] = pieces(2);
        for count in [0, 1, few - 1, few, few + 1, rows - 1, rows, rows + 1, 5 * rows + 2 * few + 3] {
            connection.execute_batch("DELETE FROM pairs").unwrap();
            insert(&connection, "INSERT INTO pairs VALUES", 2, 0..count, |statement, at, n| {
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
