//! `#[event(..)]`

use proc_macro2::Span;
use syn::punctuated::Punctuated;
use syn::{Attribute, LitStr, Path, Token, parenthesized, token};

use super::{each_option, inside, version};
use crate::errors::Errors;

/// The arguments of `#[event(..)]`.
pub(crate) struct EventOptions {
    pub(crate) name: Option<String>,
    pub(crate) version: u32,
    /// The type that the version before is read as.
    pub(crate) upcast: Option<Path>,
    pub(crate) retired: bool,
    pub(crate) aliases: Vec<String>,
    /// Where the first option stands, if there is one.
    pub(crate) given: Option<Span>,
}

const EVENT_OPTIONS: [&str; 5] = ["name", "version", "upcast", "retired", "aliases"];

impl EventOptions {
    /// Those of the item, which `#[event]` has put in `#[__cqrs_event(..)]`.
    pub(crate) fn of_item(attributes: &[Attribute], errors: &mut Errors) -> Self {
        Self::of(attributes, "__cqrs_event", errors)
    }

    /// Those of a variant.
    pub(crate) fn of_variant(attributes: &[Attribute], errors: &mut Errors) -> Self {
        Self::of(attributes, "event", errors)
    }

    fn of(attributes: &[Attribute], attribute: &str, errors: &mut Errors) -> Self {
        let mut options =
            Self { name: None, version: 1, upcast: None, retired: false, aliases: Vec::new(), given: None };
        let (mut upcast, mut said) = (None, Vec::new());
        // One that is misspelt is not that of the first either.
        let mut version_read = None;
        for attribute in attributes.iter().filter(|a| a.path().is_ident(attribute)) {
            let Ok(list) = attribute.meta.require_list() else { continue };
            said.extend(each_option(&list.tokens, &EVENT_OPTIONS, errors, |option, input, errors| {
                options.given = options.given.or(Some(option.span()));
                match option.to_string().as_str() {
                    "name" => {
                        input.parse::<Token![=]>()?;
                        let name: LitStr = input.parse()?;
                        if name.value().is_empty() {
                            errors.at(&name, "a stored name is not empty");
                        }
                        options.name = Some(name.value());
                    }
                    "version" => version_read = Some(version(input)?),
                    "upcast" => {
                        if !input.peek(Token![=]) {
                            return Err(syn::Error::new(
                                option.span(),
                                "`upcast` names the type that the version before is read as: `upcast = PurchasedV1`",
                            ));
                        }
                        input.parse::<Token![=]>()?;
                        options.upcast = Some(input.parse()?);
                        upcast = Some(option.clone());
                    }
                    "retired" => {
                        if !input.is_empty() && !input.peek(Token![,]) {
                            return Err(syn::Error::new(
                                option.span(),
                                "`retired` stands by itself: `#[event(retired)]`",
                            ));
                        }
                        options.retired = true;
                    }
                    _ => {
                        if !input.peek(token::Paren) {
                            return Err(
                                input.error("aliases stand in parentheses: `aliases(\"Old\", \"Older\")`")
                            );
                        }
                        let content;
                        parenthesized!(content in input);
                        let aliases: Punctuated<LitStr, Token![,]> =
                            inside(&content, Punctuated::parse_terminated)?;
                        options.aliases = aliases.iter().map(LitStr::value).collect();
                    }
                }
                Ok(())
            }));
        }
        options.version = version_read.unwrap_or(1);
        let is_first =
            options.version == 1 && (version_read.is_some() || said.iter().all(|word| word != "version"));
        if let Some(upcast) = upcast.filter(|_| is_first) {
            errors.at(
                &upcast,
                "version 1 has none before it to upcast from: give the type the `version` that comes after that of the other",
            );
        }
        options
    }
}
