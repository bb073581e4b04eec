//! JSON, as far as it is written here: values on one line.

use std::fmt::Write;

use cqrs_core::codec::Readable;
use cqrs_core::sql::SqlValue;

/// Appends text in quotes.
pub(crate) fn text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // The others that JSON does not take as they are, and those that a terminal would obey.
            c if c.is_control() => push(out, format_args!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Appends a number. Floats that JSON has no number for are text: `"NaN"`, `"inf"`, `"-inf"`.
fn float(out: &mut String, value: f64) {
    if value.is_finite() {
        push(out, format_args!("{value:?}"));
    } else {
        push(out, format_args!("\"{value}\""));
    }
}

/// Bytes as text: `0x00ff`.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut out = String::from("0x");
    bytes.iter().for_each(|byte| push(&mut out, format_args!("{byte:02x}")));
    out
}

/// Appends a stored event, or what goes with it.
pub(crate) fn readable(out: &mut String, value: &Readable) {
    match value {
        Readable::Nothing => out.push_str("null"),
        Readable::Bool(value) => push(out, format_args!("{value}")),
        Readable::Integer(value) => push(out, format_args!("{value}")),
        Readable::Float(value) => float(out, *value),
        Readable::Text(value) => text(out, value),
        Readable::Bytes(bytes) => text(out, &hex(bytes)),
        Readable::List(list) => {
            out.push('[');
            for (at, element) in list.iter().enumerate() {
                comma(out, at);
                readable(out, element);
            }
            out.push(']');
        }
        Readable::Map(map) => {
            out.push('{');
            for (at, (key, value)) in map.iter().enumerate() {
                comma(out, at);
                match key {
                    Readable::Text(key) => text(out, key),
                    other => text(out, &other.to_string()),
                }
                out.push(':');
                readable(out, value);
            }
            out.push('}');
        }
    }
}

/// Appends what the log holds encoded; as its bytes, where it is nothing that this library encoded.
pub(crate) fn stored(out: &mut String, bytes: &[u8]) {
    match Readable::of(bytes) {
        Ok(value) => readable(out, &value),
        Err(_) => text(out, &hex(bytes)),
    }
}

/// Appends a value of a row.
pub(crate) fn sql(out: &mut String, value: &SqlValue) {
    match value {
        SqlValue::Null => out.push_str("null"),
        SqlValue::Integer(value) => push(out, format_args!("{value}")),
        SqlValue::Real(value) => float(out, *value),
        SqlValue::Text(value) => text(out, value),
        SqlValue::Blob(bytes) => text(out, &hex(bytes)),
    }
}

/// The comma before all elements but the first.
pub(crate) fn comma(out: &mut String, at: usize) {
    if at > 0 {
        out.push(',');
    }
}

/// A `String` takes everything.
fn push(out: &mut String, what: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(what);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_json() {
        let map = Readable::Map(vec![
            (Readable::Text("a\"\n\u{1b}\u{e9}".into()), Readable::Float(f64::NAN)),
            (Readable::Integer(1), Readable::Float(-f64::INFINITY)),
            (Readable::Bool(true), Readable::List(vec![Readable::Float(1e300), Readable::Float(2.0)])),
            (Readable::Bytes(vec![0, 255]), Readable::Integer(u64::MAX.into())),
            (Readable::Nothing, Readable::Nothing),
        ]);
        let mut out = String::new();
        readable(&mut out, &map);
        assert_eq!(
            out,
            "{\"a\\\"\\n\\u001b\u{e9}\":\"NaN\",\"1\":\"-inf\",\"true\":[1e300,2.0],\"0x00ff\":18446744073709551615,\
             \"None\":null}"
        );
    }
}
