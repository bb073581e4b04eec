//! The const schema of an event: what `#[event]` knows about a stored type, for the log, for tools and for
//! fingerprints.

use std::ops::RangeInclusive;

/// One stored event type.
///
/// ```
/// use cqrs_core::prelude::*;
///
/// #[event(name = "purchased", aliases("Bought"))]
/// pub struct Purchased {
///     pub customer: String,
///     #[serde(default)]
///     pub qty: i32,
/// }
///
/// assert_eq!(Purchased::SCHEMA.name, "purchased");
/// assert_eq!(Purchased::SCHEMA.fields[0].ty, "String");
/// assert!(!Purchased::SCHEMA.fields[1].required);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schema {
    /// The type's name in the log.
    pub name: &'static str,
    /// The version that is written; versions start at 1.
    pub version: u32,
    /// The type that the version before it is read as, if that is read.
    pub upcast: Option<&'static Schema>,
    /// Whether it is only read, and no longer appended.
    pub retired: bool,
    /// Other stored names that this type claims.
    pub aliases: &'static [&'static str],
    /// Its fields, in the order they are declared.
    pub fields: &'static [Field],
    /// The variant it was declared as, or the type; what arms and `from` call it.
    pub variant: &'static str,
    /// The Rust path it was declared at, for messages.
    pub rust: &'static str,
}

/// One field of a stored event type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The field's name in Rust.
    pub rust: &'static str,
    /// Its name in the payload.
    pub name: &'static str,
    /// Its type, as it is written in Rust.
    pub ty: &'static str,
    /// Whether a payload without it cannot be read.
    pub required: bool,
    /// Other payload names it is read from.
    pub aliases: &'static [&'static str],
    /// What serde's attributes say about how it is read, besides its names: `default = ".."`, `with`, `skip`, ..
    pub read: &'static str,
    /// A hash of what its type is made of, where that is a type under [`#[value]`](macro@crate::value), or an `Option` or a collection of one; else 0.
    pub shape: u128,
}

impl Schema {
    /// Whether an event stored under this name belongs to this type.
    #[must_use]
    pub fn claims(&self, name: &str) -> bool {
        self.name == name || self.aliases.contains(&name)
    }

    /// The oldest stored version that is read.
    ///
    /// ```
    /// use cqrs_core::prelude::*;
    ///
    /// #[event(version = 1)]
    /// pub struct PurchasedV1 { pub item: String }
    ///
    /// #[event(version = 2, upcast = PurchasedV1)]
    /// pub struct Purchased { pub item: String, pub qty: i32 }
    ///
    /// impl From<PurchasedV1> for Purchased {
    ///     fn from(old: PurchasedV1) -> Self {
    ///         Self { item: old.item, qty: 1 }
    ///     }
    /// }
    ///
    /// assert_eq!((Purchased::SCHEMA.oldest(), Purchased::VERSION), (1, 2));
    /// ```
    #[must_use]
    pub const fn oldest(&self) -> u32 {
        let mut schema = self;
        while let Some(older) = schema.upcast {
            schema = older;
        }
        schema.version
    }

    /// Whether events stored as this version are read.
    pub(crate) fn reads(&self, version: u32) -> bool {
        version == self.version || self.versions().contains(&version)
    }

    /// The stored versions that are read.
    pub(crate) fn versions(&self) -> RangeInclusive<u32> {
        self.oldest()..=self.version
    }
}

/// The 128-bit const hash that fingerprints are made of.
pub const fn mix(hash: u128, more: u128) -> u128 {
    let mut bytes = [0; 32];
    let (left, right) = (hash.to_le_bytes(), more.to_le_bytes());
    let mut i = 0;
    while i < 16 {
        bytes[i] = left[i];
        bytes[16 + i] = right[i];
        i += 1;
    }
    xxhash_rust::const_xxh3::xxh3_128(&bytes)
}

/// The same over text.
pub const fn mix_str(hash: u128, text: &str) -> u128 {
    mix(hash, xxhash_rust::const_xxh3::xxh3_128(text.as_bytes()))
}

/// The part of a fingerprint that one used field of one source accounts for: the names under which the log holds it.
///
/// 0 where there is no such field: rustc says so at the access.
pub const fn field_shape(schemas: &[Schema], variant: &str, field: &str) -> u128 {
    let mut s = 0;
    while s < schemas.len() {
        let schema = &schemas[s];
        if is_of(schemas, s, variant) {
            let mut f = 0;
            while f < schema.fields.len() {
                let candidate = &schema.fields[f];
                if same(candidate.rust, field) {
                    return of_field(mix_str(1, schema.name), candidate);
                }
                f += 1;
            }
        }
        s += 1;
    }
    0
}

/// How a field is held and read.
const fn of_field(hash: u128, field: &Field) -> u128 {
    let mut hash = mix_str(mix_str(hash, field.name), field.ty);
    let mut a = 0;
    while a < field.aliases.len() {
        hash = mix_str(hash, field.aliases[a]);
        a += 1;
    }
    if !field.read.is_empty() {
        hash = mix_str(mix_str(hash, "read"), field.read);
    }
    // A type may change behind its name, and with it the bytes that an aggregate keeps of its values.
    if field.shape == 0 { hash } else { mix(mix_str(hash, "shape"), field.shape) }
}

/// The part of a fingerprint that a source accounts for of which all is used.
pub const fn whole_shape(schemas: &[Schema], variant: &str) -> u128 {
    let mut hash = 3;
    let mut s = 0;
    while s < schemas.len() {
        if is_of(schemas, s, variant) {
            hash = of_fields(hash, &schemas[s]);
        }
        s += 1;
    }
    hash
}

/// The part of a fingerprint that a source accounts for: its stored names and versions.
pub const fn source_shape(schemas: &[Schema], variant: &str) -> u128 {
    let mut hash = 2;
    let mut s = 0;
    while s < schemas.len() {
        let schema = &schemas[s];
        if is_of(schemas, s, variant) {
            hash = mix_str(hash, schema.name);
            // Which stored events are read depends on it.
            hash = mix(hash, schema.version as u128);
            let mut a = 0;
            while a < schema.aliases.len() {
                hash = mix_str(hash, schema.aliases[a]);
                a += 1;
            }
            let mut older = schema.upcast;
            while let Some(schema) = older {
                hash = lineage(hash, schema);
                older = schema.upcast;
            }
        }
        s += 1;
    }
    hash
}

/// The part of a fingerprint that a type accounts for which an older version is read as. What of it is used is in a function's body, so all of it is.
const fn lineage(hash: u128, schema: &Schema) -> u128 {
    of_fields(mix(mix_str(hash, schema.variant), schema.version as u128), schema)
}

const fn of_fields(mut hash: u128, schema: &Schema) -> u128 {
    let mut f = 0;
    while f < schema.fields.len() {
        hash = of_field(hash, &schema.fields[f]);
        f += 1;
    }
    hash
}

/// Whether an event is the one that is named so, or one of all, where none is named.
const fn is_of(schemas: &[Schema], s: usize, variant: &str) -> bool {
    variant.is_empty() || schemas.len() == 1 || same(schemas[s].variant, variant)
}

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}
