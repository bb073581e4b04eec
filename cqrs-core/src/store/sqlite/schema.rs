//! What the two files hold. Part of the file format: a change here needs a new [`Kind::format`].

use std::fmt::Write;

use crate::store::{SqlColumn, StoreError, ViewCheckpoint};

/// Which of a store's two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The log: the only copy of what happened.
    Events,
    /// The checkpoints: disposable.
    Views,
}

impl Kind {
    pub(super) const fn file_name(self) -> &'static str {
        match self {
            Self::Events => "events.db",
            Self::Views => "views.db",
        }
    }

    /// By which a file is known as ours: `CQRe` and `CQRv`.
    pub(super) const fn application_id(self) -> u32 {
        match self {
            Self::Events => u32::from_be_bytes(*b"CQRe"),
            Self::Views => u32::from_be_bytes(*b"CQRv"),
        }
    }

    /// The format that this version writes, and the newest that it reads; the file's `user_version`.
    pub(super) const fn format(self) -> u32 {
        match self {
            Self::Events => 3,
            Self::Views => 5,
        }
    }

    /// The oldest format that this version reads. Checkpoints of an older one are set aside: they are rebuilt from the log.
    pub(super) const fn oldest_format(self) -> u32 {
        match self {
            Self::Events => 1,
            Self::Views => 4,
        }
    }

    /// What turns a file of an older format into one of the next.
    pub(super) const fn upgrade(self, format: u32) -> &'static str {
        match (self, format) {
            (Self::Events, 1) => SOURCES,
            (Self::Events, 2) => NOTES,
            // What format 5 brought is there where it is needed.
            _ => "",
        }
    }

    pub(super) const fn tables(self) -> &'static [&'static str] {
        match self {
            Self::Events => &[EVENTS, SOURCES, NOTES],
            Self::Views => &[VIEWS],
        }
    }

    /// What to do when the file is damaged.
    pub(super) const fn remedy(self) -> &'static str {
        match self {
            Self::Events => {
                "Restore the folder from a backup; or have `SqliteStore::salvage` copy the beginning that is whole into a \
                 new folder. `Builder::verify` shows how far the damage goes, and `sqlite3 events.db .recover` what can \
                 be read behind it"
            }
            Self::Views => {
                "Delete views.db, views.db-wal and views.db-shm while no engine has the folder open: they are rebuilt \
                 from the log"
            }
        }
    }
}

/// `event_types` counts the events up to a position, which is the sum of its counts, and is brought up to date now and
/// then, in an append's own transaction: a start knows every type without reading the log but for its last events, and
/// a log that has fewer events than were counted has lost some. Checksums are unsigned; SQLite keeps their bits as a signed number.
const EVENTS: &str = "
    CREATE TABLE store (
        id BLOB NOT NULL CHECK (length(id) = 16)
    ) STRICT;
    INSERT INTO store VALUES (randomblob(16));
    CREATE TABLE events (
        position INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        version INTEGER NOT NULL,
        recorded_at INTEGER NOT NULL,
        event_id TEXT,
        metadata BLOB,
        payload BLOB NOT NULL,
        checksum INTEGER NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX events_event_id ON events (event_id) WHERE event_id IS NOT NULL;
    CREATE TABLE event_types (
        name TEXT NOT NULL,
        version INTEGER NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (name, version)
    ) STRICT, WITHOUT ROWID;
";

/// How far each source has been taken into the log (format 2). The row without a name counts the others and sums up their checksums, so that
/// one that vanishes is missed; it is there from the beginning. Offsets, too, are unsigned and keep their bits.
const SOURCES: &str = "
    CREATE TABLE sources (
        name TEXT PRIMARY KEY,
        offset INTEGER NOT NULL,
        checksum INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    INSERT INTO sources VALUES ('', 0, 0);
";

/// Small facts that go with events (format 3). The row of the empty key counts the others, in 8 bytes, little-endian, and sums up their
/// checksums, so that one that vanishes is missed; it is there from the beginning.
const NOTES: &str = "
    CREATE TABLE notes (
        key TEXT PRIMARY KEY,
        value BLOB NOT NULL,
        checksum INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    INSERT INTO notes VALUES ('', x'0000000000000000', 0);
";

/// `_witness` has one row. The checksum of a row of either is over all it says, and in `_views` over the SQL by which the view is shown, too: a
/// position that was changed is not taken for another log's, nor another table shown for the view.
const VIEWS: &str = "
    CREATE TABLE _witness (
        store TEXT NOT NULL,
        position INTEGER NOT NULL,
        log_checksum TEXT NOT NULL,
        checksum TEXT NOT NULL
    ) STRICT;
    CREATE TABLE _views (
        name TEXT PRIMARY KEY,
        fingerprint TEXT NOT NULL,
        store TEXT NOT NULL,
        position INTEGER NOT NULL,
        log_checksum TEXT NOT NULL,
        rows INTEGER NOT NULL,
        digest TEXT NOT NULL,
        state TEXT NOT NULL,
        columns TEXT NOT NULL,
        checksum TEXT NOT NULL
    ) STRICT;
";

/// The columns that every view's table has beside its own. `$` is in no Rust identifier, so nothing can collide. `$checksum` is the row's own,
/// `$rendered` that of the columns shown to SQL. `$id` has the row's part above its number; what is no row of the view is never shown.
const ROW: &str = "\"$id\" INTEGER PRIMARY KEY, \"$shown\" INTEGER NOT NULL, \"$checksum\" INTEGER NOT NULL, \
                   \"$rendered\" INTEGER NOT NULL, \"$key\" BLOB NOT NULL, \"$state\" BLOB NOT NULL";

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Which of a view's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The one that every view has.
    Settled,
    /// Where a row counts in place of the settled one of its id. Small views have none.
    Newer,
}

pub(super) fn name_of(view: &str, place: Place) -> String {
    match place {
        Place::Settled => format!("rows${view}"),
        Place::Newer => format!("newer${view}"),
    }
}

fn table(view: &str, place: Place) -> String {
    quoted(&name_of(view, place))
}

/// A view's own columns as they stand in its `CREATE TABLE`; kept in `_views`, where a change of them is seen.
pub(super) fn declared(columns: &[SqlColumn]) -> String {
    let declare = |column: &SqlColumn| format!("{} {}", quoted(&column.name), column.ty.as_str());
    columns.iter().map(declare).collect::<Vec<_>>().join(", ")
}

pub(super) fn drop_view(view: &str) -> String {
    let [settled, newer] = [Place::Settled, Place::Newer].map(|place| table(view, place));
    unshow(view) + &format!("DROP TABLE IF EXISTS {settled}; DROP TABLE IF EXISTS {newer};")
}

/// The table of a view's rows, and the SQL view through which others read it: real columns of shown rows, no order.
pub(super) fn create_view(view: &str, columns: &[SqlColumn]) -> String {
    create_table(view, columns, Place::Settled) + &show(view, columns, false)
}

/// The table of rows that changed, which count in place of those of the same ids, also in what others read.
pub(super) fn create_newer(view: &str, columns: &[SqlColumn]) -> String {
    create_table(view, columns, Place::Newer) + &unshow(view) + &show(view, columns, true)
}

/// The way back, where the table of rows that changed is empty.
pub(super) fn drop_newer(view: &str, columns: &[SqlColumn]) -> String {
    let drop = format!("DROP TABLE {};", table(view, Place::Newer));
    unshow(view) + &drop + &show(view, columns, false)
}

fn create_table(view: &str, columns: &[SqlColumn], place: Place) -> String {
    let own = if columns.is_empty() { String::new() } else { format!(", {}", declared(columns)) };
    format!("CREATE TABLE {} ({ROW}{own});", table(view, place))
}

fn unshow(view: &str) -> String {
    format!("DROP VIEW IF EXISTS {};", quoted(view))
}

fn show(view: &str, columns: &[SqlColumn], newer: bool) -> String {
    if columns.is_empty() {
        return String::new();
    }
    let names = columns.iter().map(|column| quoted(&column.name)).collect::<Vec<_>>().join(", ");
    let rows = select(view, newer, &names, None, Some("\"$shown\""));
    format!("CREATE VIEW {} AS {rows};", quoted(view))
}

/// A view's rows, each once: the newer one of two. `range` goes by their ids only, `shown` by what stands in them.
fn select(view: &str, newer: bool, columns: &str, range: Option<&str>, shown: Option<&str>) -> String {
    let [settled, beside] = [Place::Settled, Place::Newer].map(|place| table(view, place));
    let of = |table: &str, shown: Option<&str>| {
        let conditions: Vec<_> = range.into_iter().chain(shown).collect();
        let filter = if conditions.is_empty() { "" } else { " WHERE " };
        format!("SELECT {columns} FROM {table}{filter}{}", conditions.join(" AND "))
    };
    if !newer {
        return of(&settled, shown);
    }
    // Of a row that does not count, nothing but the id is read: damage in it is none of the readers' business.
    let counts = format!(
        "CASE WHEN \"$id\" IN (SELECT \"$id\" FROM {beside}) THEN 0 ELSE {} END",
        shown.unwrap_or("1")
    );
    format!("{} UNION ALL {}", of(&beside, shown), of(&settled, Some(&counts)))
}

pub(super) fn upsert_row(view: &str, columns: &[SqlColumn], place: Place) -> String {
    let mut sql = format!(
        "INSERT OR REPLACE INTO {} (\"$id\", \"$shown\", \"$checksum\", \"$rendered\", \"$key\", \"$state\"",
        table(view, place)
    );
    for column in columns {
        let _ = write!(sql, ", {}", quoted(&column.name));
    }
    sql.push_str(") VALUES");
    sql
}

pub(super) fn delete_row(view: &str, place: Place) -> String {
    format!("DELETE FROM {} WHERE \"$id\" = ?", table(view, place))
}

/// The last id from one on and before another.
pub(super) fn last_row(view: &str) -> String {
    format!("SELECT max(\"$id\") FROM {} WHERE \"$id\" >= ? AND \"$id\" < ?", table(view, Place::Settled))
}

pub(super) fn newer_ids(view: &str) -> String {
    format!("SELECT \"$id\" FROM {}", table(view, Place::Newer))
}

/// Takes newer rows with ids from one to another, both included, to where they belong. They are to be [forgotten](forget_newer) then.
pub(super) fn settle_rows(view: &str) -> String {
    let [settled, newer] = [Place::Settled, Place::Newer].map(|place| table(view, place));
    format!(
        "INSERT OR REPLACE INTO {settled} SELECT * FROM {newer} WHERE \"$id\" BETWEEN ? AND ? ORDER BY \"$id\""
    )
}

pub(super) fn forget_newer(view: &str) -> String {
    format!("DELETE FROM {} WHERE \"$id\" BETWEEN ? AND ?", table(view, Place::Newer))
}

/// What a table has of a view's rows, but for what SQL shows of them.
pub(super) fn select_rows(view: &str, place: Place) -> String {
    let columns = "\"$id\", \"$shown\", \"$checksum\", \"$key\", \"$state\"";
    format!("SELECT {columns} FROM {} ORDER BY \"$id\"", table(view, place))
}

/// How many columns come before a view's own in [`select_all`].
pub(super) const OWN_FROM: usize = 6;

/// Stretches of whole rows, of those that can be shown.
pub(super) fn select_all(view: &str, newer: bool) -> String {
    let range = "\"$id\" >= ?1 AND \"$id\" < 4294967296";
    format!("{} ORDER BY \"$id\" LIMIT ?2", select(view, newer, "*", Some(range), None))
}

/// The names of what [`create_view`] and [`create_newer`] make.
pub(super) fn made(view: &str) -> [String; 3] {
    [name_of(view, Place::Settled), name_of(view, Place::Newer), view.to_owned()]
}

/// Refuses names that SQL cannot tell apart or that belong to SQLite. `known` are the views saved before.
pub(super) fn check_names<'a>(
    saved: &'a ViewCheckpoint,
    mut known: impl Iterator<Item = &'a str>,
) -> Result<(), StoreError> {
    let name = &saved.view.name;
    let refuse = |why: String| {
        Err(StoreError::Io {
            action: format!("saving the view {name}"),
            source: format!("{why}; rename it, or give it another stored name").into(),
        })
    };
    let reserved = name.eq_ignore_ascii_case("_views")
        || name.eq_ignore_ascii_case("_witness")
        || name.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("sqlite_"));
    if reserved {
        return refuse(format!("the name {name} is reserved in SQL"));
    }
    if let Some(other) = known.find(|other| *other != name && other.eq_ignore_ascii_case(name)) {
        return refuse(format!("SQL, which ignores case, cannot tell {name} from the view {other}"));
    }
    for (at, column) in saved.columns.iter().enumerate() {
        if let Some(other) = saved.columns[..at].iter().find(|c| c.name.eq_ignore_ascii_case(&column.name)) {
            return refuse(format!(
                "SQL, which ignores case, cannot tell its column {} from its column {}",
                column.name, other.name
            ));
        }
    }
    Ok(())
}
