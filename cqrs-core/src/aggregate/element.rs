//! How values stand in elements.

use super::ColumnFault;

/// Elements have fewer bytes than this.
const LIMIT: usize = (1 << 24) - 64;

/// An element that is not too long.
pub(super) fn checked(element: Vec<u8>) -> Result<Vec<u8>, ColumnFault> {
    if element.len() < LIMIT { Ok(element) } else { Err(ColumnFault::TooLong) }
}

/// Reads a value off the front of what is left.
type Read<T> = fn(&mut &[u8]) -> Option<T>;

/// The canonical form, which orders; and the exact one, where that is another.
pub(super) fn write_both(
    out: &mut Vec<u8>,
    key: impl FnOnce(&mut Vec<u8>),
    exact: impl FnOnce(&mut Vec<u8>),
) {
    let start = out.len();
    key(out);
    let end = out.len();
    exact(out);
    if out[start..end] == out[end..] {
        out.truncate(end);
    }
}

/// Reads what [`write_both`] wrote.
pub(super) fn read_both<T>(mut element: &[u8], key: Read<T>, exact: Read<T>) -> Option<T> {
    let value = key(&mut element)?;
    if element.is_empty() { Some(value) } else { whole(element, exact) }
}

/// The exact form, and how long it is: found from behind.
pub(super) fn write_tail(out: &mut Vec<u8>, exact: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    exact(out);
    let length = (out.len() - start) as u32;
    out.extend_from_slice(&length.to_be_bytes());
}

/// Where the exact form begins.
pub(super) fn tail_at(element: &[u8]) -> Option<usize> {
    let (rest, length) = element.split_last_chunk::<4>()?;
    rest.len().checked_sub(u32::from_be_bytes(*length) as usize)
}

/// Reads what [`write_tail`] wrote.
pub(super) fn read_tail<T>(element: &[u8], exact: Read<T>) -> Option<T> {
    whole(&element[tail_at(element)?..element.len() - 4], exact)
}

/// Reads one value, which is all there is.
pub(super) fn whole<T>(mut bytes: &[u8], read: Read<T>) -> Option<T> {
    read(&mut bytes).filter(|_| bytes.is_empty())
}
