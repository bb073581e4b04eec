//! Places between the rows of a view, to go on from later and elsewhere.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::hex::unhex;
use crate::projection::Projection;

/// A place between rows in an order: that of their keys, or of an index. What [`ViewRows::cursor`](crate::ViewRows::cursor) gives, and [`after`](crate::ViewRows::after) and
/// [`before`](crate::ViewRows::before) take.
///
/// It is what the next request for a page bears: a text that fits an address, or a string in JSON. It says nothing of which row was there, so that one
/// may change or go, and holds in every process and after a rebuild; but whoever has the text can read the columns of that row out of it which make the order.
///
/// ```
/// use cqrs_core::{Cursor, prelude::*};
///
/// #[event]
/// pub struct Listed { pub article: u32, pub cents: i64 }
///
/// #[projection(from = Listed, group_by = article, index(cents))]
/// pub struct Article { pub article: u32, #[last] pub cents: i64 }
///
/// let engine = Engine::in_memory().view::<Article>().start()?;
/// engine.append_all((1..=5).map(|article| Listed { article, cents: 100 })).wait()?;
/// let view = engine.view::<Article>();
/// let page = |after: Option<&str>| -> Result<_, Box<dyn std::error::Error>> {
///     let mut rows = view.by_cents_in(..)?;
///     if let Some(cursor) = after {
///         rows = rows.after(&cursor.parse()?)?;
///     }
///     let page: Vec<u32> = rows.by_ref().take(2).map(|row| row.article).collect();
///     Ok((page, rows.cursor().map(|cursor| cursor.to_string())))
/// };
/// let (first, next) = page(None)?;
/// let (second, next) = page(next.as_deref())?;
/// let (third, _) = page(next.as_deref())?;
/// assert_eq!([first, second, third], [vec![1, 2], vec![3, 4], vec![5]]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// Which order it is of.
    pub(crate) order: u64,
    /// What the row has that it was taken at, in canonical bytes.
    pub(crate) at: Vec<u8>,
}

impl Cursor {
    /// A number of an order of a view's rows: that of an index, or of their keys. It goes by their names, so that it is the same in every program.
    pub(crate) fn order_of<P: Projection>(index: Option<usize>) -> u64 {
        let mut names = P::NAME.to_owned();
        let columns = index.map_or(P::KEY_COLUMNS, |index| P::INDEX_COLUMNS[index]);
        for column in columns {
            names.push(if index.is_some() { '/' } else { '.' });
            names.push_str(P::COLUMNS[*column].0);
        }
        xxhash_rust::xxh3::xxh3_64(names.as_bytes())
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.order)?;
        self.at.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Cursor {
    type Err = CursorError;
    fn from_str(text: &str) -> Result<Self, CursorError> {
        let bytes = unhex(text);
        let parsed = bytes.as_ref().and_then(|bytes| bytes.split_first_chunk::<8>());
        let (order, at) = parsed.ok_or(CursorError::NoCursor)?;
        Ok(Self { order: u64::from_be_bytes(*order), at: at.to_vec() })
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'_, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Why a [`Cursor`] leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CursorError {
    /// The text is none.
    #[error("this is no cursor: one is the text that an earlier page of rows came with")]
    NoCursor,
    /// It is of another view, or of other columns.
    #[error(
        "the cursor is of another order of rows: it goes on with the look-up that it was taken from, of the same view and index"
    )]
    OtherOrder,
    /// The rows come in no order that stays.
    #[error(
        "these rows come in no order that stays, so nothing comes after a cursor: take `rows_by_key()`, or an index"
    )]
    Unordered,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_through_text_and_serde() {
        let cursor = Cursor { order: 0x0123_4567_89ab_cdef, at: vec![0, 255, 16] };
        assert_eq!(cursor.to_string(), "0123456789abcdef00ff10");
        assert_eq!(cursor.to_string().parse(), Ok(cursor.clone()));
        let bytes = rmp_serde::to_vec(&cursor).unwrap();
        assert_eq!(rmp_serde::from_slice::<Cursor>(&bytes).unwrap(), cursor);
        for wrong in [
            "",
            "0123456789abcde",
            "0123456789abcdef0",
            "0123456789abcdefgg",
            "0123456789abcdef+1",
            "0123456789abcdéf",
        ] {
            assert_eq!(wrong.parse::<Cursor>(), Err(CursorError::NoCursor), "{wrong}");
        }
    }
}
