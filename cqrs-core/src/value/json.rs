//! Values of several parts as SQL shows them: JSON.

use std::fmt::Write;

use super::Value;
use crate::sql::SqlValue;

/// A [`Value`], whichever.
pub trait Json {
    /// Appends it.
    fn append(&self, out: &mut String);
}

impl<T: Value> Json for T {
    fn append(&self, out: &mut String) {
        self.write_json(out);
    }
}

/// What SQL is shown of a value that is JSON.
pub fn text(value: &impl Value) -> SqlValue {
    let mut out = String::new();
    value.write_json(&mut out);
    SqlValue::Text(out.into())
}

/// `[..]`
pub fn array<'v>(values: impl IntoIterator<Item = &'v dyn Json>, out: &mut String) {
    out.push('[');
    for (at, value) in values.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        value.append(out);
    }
    out.push(']');
}

/// `{"name":..}`
pub fn object<'v, N: AsRef<str>>(fields: impl IntoIterator<Item = (N, &'v dyn Json)>, out: &mut String) {
    out.push('{');
    for (at, (name, value)) in fields.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        quoted(name.as_ref(), out);
        out.push(':');
        value.append(out);
    }
    out.push('}');
}

/// `{"Variant":..}`, or `"Variant"` of one that has nothing in it.
pub fn variant(name: &str, inside: Option<&dyn Fn(&mut String)>, out: &mut String) {
    let Some(inside) = inside else { return quoted(name, out) };
    out.push('{');
    quoted(name, out);
    out.push(':');
    inside(out);
    out.push('}');
}

/// A key of a map as a name, which is text.
pub(super) fn name(key: &impl Value) -> String {
    match key.sql() {
        SqlValue::Text(text) => text.into(),
        other => {
            let mut out = String::new();
            one(&other, &mut out);
            // Bytes are quoted already.
            out.trim_matches('"').to_owned()
        }
    }
}

/// A value of one part: bytes in hexadecimal, a float that JSON has no word for as `null`.
pub(super) fn one(value: &SqlValue, out: &mut String) {
    // Writing to a string cannot fail.
    let _ = match value {
        SqlValue::Null => write!(out, "null"),
        SqlValue::Integer(number) => write!(out, "{number}"),
        SqlValue::Real(number) if number.is_finite() => write!(out, "{number:?}"),
        SqlValue::Real(_) => write!(out, "null"),
        SqlValue::Blob(bytes) => {
            out.push('"');
            for byte in bytes {
                let _ = write!(out, "{byte:02x}");
            }
            write!(out, "\"")
        }
        SqlValue::Text(text) => {
            quoted(text, out);
            Ok(())
        }
    };
}

fn quoted(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        let _ = match c {
            '"' | '\\' => write!(out, "\\{c}"),
            c if c < ' ' => write!(out, "\\u{:04x}", u32::from(c)),
            c => write!(out, "{c}"),
        };
    }
    out.push('"');
}
