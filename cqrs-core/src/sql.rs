//! How values are shown to SQL.

/// The type that a column is declared with, in SQLite's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SqlType {
    /// `INTEGER`
    Integer,
    /// `REAL`
    Real,
    /// `TEXT`
    Text,
    /// `BLOB`
    Blob,
    /// No type: what is stored stays as it is. For integers of which some are too wide for SQL's, and are text then; an `INTEGER`
    /// column would turn that text into a float.
    Any,
}

impl SqlType {
    /// The word in a `CREATE TABLE`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Integer => "INTEGER",
            Self::Real => "REAL",
            Self::Text => "TEXT",
            Self::Blob => "BLOB",
            Self::Any => "",
        }
    }
}

/// One value, as SQL shows it. A rendering: a restart reads the exact state that is stored beside it.
#[derive(Clone, Debug, PartialEq)]
pub enum SqlValue {
    /// `NULL`
    Null,
    /// A 64-bit integer. Wider ones are shown as text.
    Integer(i64),
    /// A float. SQLite shows NaN as `NULL`.
    Real(f64),
    /// Text.
    Text(Box<str>),
    /// Bytes.
    Blob(Box<[u8]>),
}
