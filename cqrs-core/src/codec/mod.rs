//! Payloads as bytes: MessagePack with field names.
//!
//! The one place that knows the format. Field names make a payload explain itself and let it evolve by serde's rules.

mod depth;
mod plain;
mod readable;

use std::io::ErrorKind;

use rmp_serde::config::BytesMode;
use serde::{Deserialize, Serialize};

pub(crate) use self::depth::{DEEPEST, has_bytes, is_shallow};
pub use self::plain::{Plain, PlainReader};
pub use self::readable::Readable;

/// An event that could not be turned into a payload.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the event `{name}` cannot be encoded: {reason}")]
pub struct EncodeError {
    /// The event's stored name.
    pub name: &'static str,
    /// What its `Serialize` said.
    pub reason: String,
}

/// A payload that could not be read as the event it is stored as.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct DecodeError {
    /// What is wrong with it.
    pub reason: String,
}

/// Appends the payload of `event` to `out`.
///
/// # Errors
///
/// What its `Serialize` says; and if values lie in it deeper than [`decode`] reads.
pub fn encode<T: Serialize>(name: &'static str, event: &T, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let start = out.len();
    let mut serializer =
        rmp_serde::Serializer::new(&mut *out).with_struct_map().with_bytes(BytesMode::ForceAll);
    event.serialize(&mut serializer).map_err(|error| EncodeError { name, reason: error.to_string() })?;
    if !is_shallow(&out[start..]) {
        return Err(EncodeError { name, reason: too_deep() });
    }
    Ok(())
}

fn too_deep() -> String {
    format!("its values lie in each other deeper than {DEEPEST} levels")
}

/// Reads a whole payload; borrowed fields point into it.
///
/// A payload is one map and nothing after it. Without the check on the first byte, serde would also take a positional array. Its values lie in each
/// other up to 128 levels deep.
///
/// # Errors
///
/// If it is none, or none of a `T`.
pub fn decode<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, DecodeError> {
    let is_map = matches!(payload.first(), Some(0x80..=0x8f | 0xde | 0xdf));
    if !is_map {
        return Err(DecodeError { reason: "the payload is not a map of fields".into() });
    }
    if !is_shallow(payload) {
        return Err(DecodeError { reason: too_deep() });
    }
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(payload);
    let event =
        T::deserialize(&mut deserializer).map_err(|error| DecodeError { reason: error.to_string() })?;
    // The reader does not say how far it came, but a further value can only be missing at the very end. What is asked for is never gone into: in a list that
    // is cut short, a value is missing, too.
    match <()>::deserialize(&mut deserializer) {
        Err(rmp_serde::decode::Error::InvalidMarkerRead(end)) if end.kind() == ErrorKind::UnexpectedEof => {}
        _ => return Err(DecodeError { reason: "the payload has bytes after the event".into() }),
    }
    Ok(event)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    #[serde(crate = "serde")]
    struct All {
        text: String,
        bytes: Vec<u8>,
        wide: i128,
        maybe: Option<u64>,
        list: Vec<(u8, char)>,
        map: BTreeMap<String, f64>,
    }

    fn all() -> All {
        All {
            text: "hats".into(),
            bytes: vec![0, 255, 128],
            wide: i128::MIN,
            maybe: None,
            list: vec![(1, 'é')],
            map: BTreeMap::from([("x".into(), -0.0)]),
        }
    }

    #[test]
    fn what_goes_in_comes_out() {
        let mut payload = Vec::new();
        encode("All", &all(), &mut payload).unwrap();
        assert_eq!(decode::<All>(&payload).unwrap(), all());
        assert!(payload.windows(4).any(|w| w == b"wide"), "field names are stored");
    }

    #[test]
    fn trailing_bytes_and_positional_arrays_are_refused() {
        let mut payload = Vec::new();
        encode("All", &all(), &mut payload).unwrap();
        // Nil, and heads of what is not there: of a list, of a map, of text.
        for behind in [&[0xc0][..], &[0x91], &[0x82, 1], &[0xde], &[0xd9, 5]] {
            let payload = [&payload, behind].concat();
            assert!(decode::<All>(&payload).unwrap_err().reason.contains("after the event"), "{behind:x?}");
        }
        let array = rmp_serde::to_vec(&all()).unwrap();
        assert!(decode::<All>(&array).unwrap_err().reason.contains("not a map"));
        assert!(decode::<All>(&[]).is_err());
    }
}
