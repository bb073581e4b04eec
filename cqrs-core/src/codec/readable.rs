//! A payload for people to read, whatever type it is of.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{DecodeError, decode};

/// A payload, read without its type, and shown much as Rust would write it: for a person who looks at one.
///
/// `{}` is one line, `{:#}` a line a field. Bytes are shown as hex, which is also what integers of 128 bits are stored as.
///
/// ```
/// use cqrs_core::codec::Readable;
/// use cqrs_core::prelude::*;
///
/// #[event]
/// pub struct Purchased { pub customer: String, pub qty: i32, pub note: Option<String> }
///
/// let mut payload = Vec::new();
/// Purchased { customer: "ann".into(), qty: 2, note: None }.encode(&mut payload)?;
/// assert_eq!(Readable::of(&payload)?.to_string(), r#"{ customer: "ann", qty: 2, note: None }"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Readable {
    /// Nothing: `None`, and `()`.
    Nothing,
    /// `bool`
    Bool(bool),
    /// An integer.
    Integer(i128),
    /// A float.
    Float(f64),
    /// Text, and the name of a variant without fields.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A sequence, or a tuple.
    List(Vec<Self>),
    /// Fields, or a map; of a variant with fields, its name and them.
    Map(Vec<(Self, Self)>),
}

impl Readable {
    /// Reads an event's payload.
    ///
    /// # Errors
    ///
    /// If it is none: not a map of fields, cut off, or with bytes behind it.
    pub fn of(payload: &[u8]) -> Result<Self, DecodeError> {
        decode(payload)
    }
}

impl<'de> Deserialize<'de> for Readable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Readable;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: Error>(self) -> Result<Readable, E> {
        Ok(Readable::Nothing)
    }

    fn visit_none<E: Error>(self) -> Result<Readable, E> {
        Ok(Readable::Nothing)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Readable, D::Error> {
        Deserialize::deserialize(deserializer)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Readable, D::Error> {
        Deserialize::deserialize(deserializer)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Readable, E> {
        Ok(Readable::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Readable, E> {
        Ok(Readable::Integer(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Readable, E> {
        Ok(Readable::Integer(value.into()))
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<Readable, E> {
        Ok(Readable::Integer(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Readable, E> {
        Ok(Readable::Float(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Readable, E> {
        Ok(Readable::Text(value.to_owned()))
    }

    fn visit_bytes<E: Error>(self, value: &[u8]) -> Result<Readable, E> {
        Ok(Readable::Bytes(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Readable, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element()? {
            list.push(element);
        }
        Ok(Readable::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Readable, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Readable::Map(map))
    }
}

impl fmt::Display for Readable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, f.alternate().then_some(0))
    }
}

impl Readable {
    /// Writes it on one line, or at a depth of lines.
    fn write(&self, f: &mut fmt::Formatter<'_>, depth: Option<usize>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("None"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Bytes(bytes) => {
                f.write_str("0x")?;
                bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            Self::List(list) => {
                within(f, depth, ["[", "]", ""], list, |f, element, depth| element.write(f, depth))
            }
            Self::Map(map) => within(f, depth, ["{", "}", " "], map, |f, (key, value), depth| {
                match key {
                    Self::Text(name) if is_name(name) => f.write_str(name)?,
                    other => other.write(f, None)?,
                }
                f.write_str(": ")?;
                value.write(f, depth)
            }),
        }
    }
}

/// Writes what stands between two brackets: on one line, with a space inside them where there is to be one, or each on its own.
fn within<T>(
    f: &mut fmt::Formatter<'_>,
    depth: Option<usize>,
    [open, close, space]: [&str; 3],
    items: &[T],
    write: impl Fn(&mut fmt::Formatter<'_>, &T, Option<usize>) -> fmt::Result,
) -> fmt::Result {
    f.write_str(open)?;
    if items.is_empty() {
        return f.write_str(close);
    }
    let inner = depth.map(|depth| depth + 1);
    for (at, item) in items.iter().enumerate() {
        match inner {
            Some(inner) => write!(f, "\n{:1$}", "", inner * 4)?,
            None => f.write_str(if at == 0 { space } else { ", " })?,
        }
        write(f, item, inner)?;
        if inner.is_some() {
            f.write_str(",")?;
        }
    }
    match depth {
        Some(depth) => write!(f, "\n{:1$}", "", depth * 4)?,
        None => f.write_str(space)?,
    }
    f.write_str(close)
}

/// Whether a field of this name needs no quotes.
fn is_name(text: &str) -> bool {
    let letter = |c: char| c == '_' || c.is_alphabetic();
    text.chars().next().is_some_and(letter) && text.chars().all(|c| letter(c) || c.is_numeric())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Serialize;

    use super::*;
    use crate::codec::encode;

    #[derive(Serialize)]
    #[serde(crate = "serde")]
    enum Way {
        Air,
        Ship { line: String },
        Road(u8, f32),
    }

    #[derive(Serialize)]
    #[serde(crate = "serde")]
    struct Sent {
        #[serde(rename = "to whom")]
        to: String,
        least: i64,
        most: u64,
        price: f64,
        ways: Vec<Way>,
        raw: Vec<u8>,
        wide: i128,
        map: BTreeMap<u8, bool>,
        none: Option<()>,
        empty: Vec<u64>,
    }

    #[test]
    fn every_form_is_shown() {
        let sent = Sent {
            to: "a \"b\"\n".into(),
            least: i64::MIN,
            most: u64::MAX,
            price: 1.0,
            ways: vec![Way::Air, Way::Ship { line: "north".into() }, Way::Road(1, 0.5)],
            raw: vec![0, 255],
            wide: 1,
            map: [(1, true)].into(),
            none: None,
            empty: Vec::new(),
        };
        let mut payload = Vec::new();
        encode("Sent", &sent, &mut payload).unwrap();
        let readable = Readable::of(&payload).unwrap();
        assert_eq!(
            readable.to_string(),
            "{ \"to whom\": \"a \\\"b\\\"\\n\", least: -9223372036854775808, most: 18446744073709551615, price: 1.0, \
             ways: [\"Air\", { Ship: { line: \"north\" } }, { Road: [1, 0.5] }], raw: 0x00ff, \
             wide: 0x00000000000000000000000000000001, map: { 1: true }, none: None, empty: [] }"
        );
        let lines = format!("{readable:#}");
        assert!(lines.starts_with("{\n    \"to whom\": "), "{lines}");
        assert!(
            lines.contains("\n        {\n            Ship: {\n                line: \"north\",\n"),
            "{lines}"
        );
        assert!(lines.ends_with("\n    empty: [],\n}"), "{lines}");
    }

    #[test]
    fn what_is_no_payload_is_an_error() {
        for bytes in [&b""[..], b"\x01", b"\x81\xa1a", b"\x80\x80"] {
            Readable::of(bytes).unwrap_err();
        }
    }
}
