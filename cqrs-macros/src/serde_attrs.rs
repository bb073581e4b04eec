//! Serde's attributes on events, as far as a borrowed twin and a schema have to know them.

use quote::ToTokens;
use syn::{Attribute, LitStr, Token};

use crate::errors::{Errors, one_of};
use crate::expr::canonical;

/// What serde's attributes say about one field.
#[derive(Default)]
pub(crate) struct FieldSerde {
    pub(crate) rename: Option<String>,
    pub(crate) aliases: Vec<String>,
    pub(crate) has_default: bool,
    /// A function of the user's makes the value, so it has the user's type, also in the twin.
    pub(crate) by_function: bool,
    /// A function of the user's reads it from what is stored.
    pub(crate) read_by_function: bool,
    pub(crate) skipped: bool,
    pub(crate) flattened: bool,
    /// What is written and what is read may differ, in name or in form.
    pub(crate) unusual: bool,
    /// What is said about how it is read, besides its names.
    pub(crate) read: String,
}

/// Reads `#[serde(..)]` on a field. What serde itself would refuse is left to serde.
pub(crate) fn field(attributes: &[Attribute]) -> FieldSerde {
    let mut found = FieldSerde::default();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
        let _ = attribute.parse_nested_meta(|meta| {
            let word = meta.path.to_token_stream().to_string();
            let text = if meta.input.peek(Token![=]) {
                meta.value()?.parse::<LitStr>().ok().map(|text| text.value())
            } else {
                if meta.input.peek(syn::token::Paren) {
                    let content;
                    syn::parenthesized!(content in meta.input);
                    let inner: proc_macro2::TokenStream = content.parse()?;
                    if word == "rename" {
                        // `rename(serialize = "..", deserialize = "..")`: what is written is what is stored.
                        found.rename = inner.into_iter().find_map(|token| {
                            syn::parse2::<LitStr>(token.into_token_stream()).ok().map(|text| text.value())
                        });
                    }
                }
                None
            };
            found.unusual |= match word.as_str() {
                "rename" => text.is_none(),
                "default" => text.is_some(),
                "alias" => false,
                _ => true,
            };
            if matches!(
                word.as_str(),
                "with" | "deserialize_with" | "skip" | "skip_deserializing" | "flatten"
            ) || word == "default" && text.is_some()
            {
                found.read.push_str(&format!("{word} {}; ", text.as_deref().unwrap_or_default()));
            }
            match word.as_str() {
                "rename" if text.is_some() => found.rename = text,
                "alias" => found.aliases.extend(text),
                "default" => {
                    found.has_default = true;
                    found.by_function |= text.is_some();
                }
                "with" | "deserialize_with" => {
                    found.by_function = true;
                    found.read_by_function = true;
                }
                "skip" | "skip_deserializing" => {
                    found.skipped = true;
                    found.has_default = true;
                }
                "flatten" => found.flattened = true,
                _ => {}
            }
            Ok(())
        });
    }
    found
}

/// The attributes to put on the twin's field: serde's own, as they stand.
pub(crate) fn to_copy(attributes: &[Attribute]) -> impl Iterator<Item = &Attribute> {
    attributes.iter().filter(|attribute| attribute.path().is_ident("serde"))
}

/// A field's name in another case.
type Case = fn(&str) -> String;

/// How serde renames all fields of an item.
#[derive(Clone, Copy)]
pub(crate) struct RenameAll(Case);

/// Reads `#[serde(..)]` on an event: only what renames or refuses fields has a meaning for it.
pub(crate) fn container(attributes: &[Attribute], errors: &mut Errors) -> Option<RenameAll> {
    let mut rename = None;
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
        let outcome = attribute.parse_nested_meta(|meta| {
            let word = meta.path.to_token_stream().to_string();
            let text = if meta.input.peek(Token![=]) { Some(meta.value()?.parse::<LitStr>()?) } else { None };
            if meta.input.peek(syn::token::Paren) {
                let content;
                syn::parenthesized!(content in meta.input);
                content.parse::<proc_macro2::TokenStream>()?;
            }
            match (word.as_str(), text) {
                ("crate" | "deny_unknown_fields", _) => {}
                ("rename_all", None) => errors.at(
                    &meta.path,
                    "an event's fields are written as they are read: `#[serde(rename_all = \"..\")]`",
                ),
                ("rename_all", Some(case)) => {
                    rename = case_of(&case.value());
                    if rename.is_none() {
                        errors.at(&case, format!("unknown case; expected one of {}", one_of(&CASES.map(|(name, _)| name))));
                    }
                }
                _ => errors.at(
                    &meta.path,
                    format!(
                        "`#[serde({word})]` has no meaning on an event: only `rename_all` and `deny_unknown_fields` have; \
                         put it on the fields"
                    ),
                ),
            }
            Ok(())
        });
        if let Err(error) = outcome {
            errors.add(error);
        }
    }
    rename
}

/// As serde does it: letters beyond ASCII stay as they are.
const CASES: [(&str, Case); 8] = [
    ("lowercase", str::to_owned),
    ("UPPERCASE", |field| field.to_ascii_uppercase()),
    ("PascalCase", pascal),
    ("camelCase", |field| {
        let pascal = pascal(field);
        let mut chars = pascal.chars();
        chars
            .next()
            .map(|first| std::iter::once(first.to_ascii_lowercase()).chain(chars).collect())
            .unwrap_or_default()
    }),
    ("snake_case", str::to_owned),
    ("SCREAMING_SNAKE_CASE", |field| field.to_ascii_uppercase()),
    ("kebab-case", |field| field.replace('_', "-")),
    ("SCREAMING-KEBAB-CASE", |field| field.to_ascii_uppercase().replace('_', "-")),
];

fn case_of(name: &str) -> Option<RenameAll> {
    CASES.iter().find(|(case, _)| *case == name).map(|(_, rename)| RenameAll(*rename))
}

fn pascal(field: &str) -> String {
    field
        .split('_')
        .map(|word| {
            let mut chars = word.chars();
            chars
                .next()
                .map(|first| std::iter::once(first.to_ascii_uppercase()).chain(chars).collect::<String>())
                .unwrap_or_default()
        })
        .collect()
}

/// What stands in serde's attributes, but for the path to serde that `#[value]` puts there.
pub(crate) fn words(attributes: &[Attribute]) -> String {
    let own = attributes.iter().filter(|attribute| attribute.path().is_ident("serde"));
    let words =
        own.filter_map(|attribute| attribute.meta.require_list().ok()).map(|list| canonical(&list.tokens));
    words.filter(|words| !words.starts_with("crate")).collect::<Vec<_>>().join(",")
}

/// A field's name in the payload.
pub(crate) fn stored_name(rust: &str, field: &FieldSerde, all: Option<RenameAll>) -> String {
    field
        .rename
        .clone()
        .unwrap_or_else(|| all.map_or_else(|| rust.to_owned(), |RenameAll(rename)| rename(rust)))
}
