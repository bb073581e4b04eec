//! How values stand in elements.

use super::ColumnFault;
use crate::value::Value;

/// Elements have fewer bytes than this.
const LIMIT: usize = (1 << 24) - 64;

/// An element that is not too long.
pub(super) fn checked(element: Vec<u8>) -> Result<Vec<u8>, ColumnFault> {
    if element.len() < LIMIT { Ok(element) } else { Err(ColumnFault::TooLong) }
}

/// The canonical form, which orders; and the exact one, where that is another.
pub(super) fn write_value<T: Value>(value: &T, out: &mut Vec<u8>) {
    let start = out.len();
    value.write_key(out);
    let end = out.len();
    value.write(out);
    if out[start..end] == out[end..] {
        out.truncate(end);
    }
}

pub(super) fn read_value<T: Value>(mut element: &[u8]) -> Option<T> {
    let value = T::read_key(&mut element)?;
    if element.is_empty() { Some(value) } else { whole(element) }
}

/// The exact form, and how long it is: found from behind.
pub(super) fn write_tail<T: Value>(value: &T, out: &mut Vec<u8>) {
    let start = out.len();
    value.write(out);
    let length = (out.len() - start) as u32;
    out.extend_from_slice(&length.to_be_bytes());
}

/// Where the exact form begins.
pub(super) fn tail_at(element: &[u8]) -> Option<usize> {
    let (rest, length) = element.split_last_chunk::<4>()?;
    rest.len().checked_sub(u32::from_be_bytes(*length) as usize)
}

pub(super) fn read_tail<T: Value>(element: &[u8]) -> Option<T> {
    whole(&element[tail_at(element)?..element.len() - 4])
}

pub(super) fn whole<T: Value>(mut bytes: &[u8]) -> Option<T> {
    T::read(&mut bytes).filter(|_| bytes.is_empty())
}
