//! The arguments of the attributes, as they are written.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, LitInt, LitStr, Path, Token, braced, parenthesized, token};

use crate::errors::{Errors, closest, did_you_mean, one_of};

/// The arguments of `#[event(..)]`.
pub(crate) struct EventOptions {
    pub(crate) name: Option<String>,
    pub(crate) version: u32,
    pub(crate) aliases: Vec<String>,
    /// Where the first option stands, if there is one.
    pub(crate) given: Option<Span>,
}

const EVENT_OPTIONS: [&str; 3] = ["name", "version", "aliases"];

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
        let mut options = Self { name: None, version: 1, aliases: Vec::new(), given: None };
        for attribute in attributes.iter().filter(|a| a.path().is_ident(attribute)) {
            let Ok(list) = attribute.meta.require_list() else { continue };
            each_option(&list.tokens, &EVENT_OPTIONS, errors, |option, input, errors| {
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
                    "version" => options.version = version(input)?,
                    _ => {
                        if !input.peek(token::Paren) {
                            return Err(
                                input.error("aliases stand in parentheses: `aliases(\"Old\", \"Older\")`")
                            );
                        }
                        let content;
                        parenthesized!(content in input);
                        let aliases: Punctuated<LitStr, Token![,]> = Punctuated::parse_terminated(&content)?;
                        options.aliases = aliases.iter().map(LitStr::value).collect();
                    }
                }
                Ok(())
            });
        }
        options
    }
}

fn version(input: ParseStream<'_>) -> syn::Result<u32> {
    input.parse::<Token![=]>()?;
    let number: LitInt = input.parse()?;
    match number.base10_parse::<u32>() {
        Ok(version) if version > 0 => Ok(version),
        _ => Err(syn::Error::new(number.span(), "a version is a whole number from 1")),
    }
}

/// Parses `word ..., word ...`: unknown and repeated words are errors, and an option that does not parse costs only itself.
fn each_option(
    tokens: &TokenStream,
    known: &[&str],
    errors: &mut Errors,
    mut parse: impl FnMut(&Ident, ParseStream<'_>, &mut Errors) -> syn::Result<()>,
) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    let options = |input: ParseStream<'_>| {
        while !input.is_empty() {
            let Ok(option) = input.call(Ident::parse_any) else {
                errors.at_span(input.span(), format!("expected an option, one of {}", one_of(known)));
                skip_to_comma(input);
                continue;
            };
            let word = option.to_string();
            if !known.contains(&word.as_str()) {
                let near = did_you_mean(&word, known);
                errors.at(
                    &option,
                    format!("unknown option `{word}`{near} (expected one of {})", one_of(known)),
                );
                // What was probably meant is not missing too.
                seen.extend(closest(&word, known).map(str::to_owned));
                skip_to_comma(input);
                continue;
            }
            if seen.contains(&word) {
                errors.at(&option, format!("`{word}` is given twice: keep one"));
                skip_to_comma(input);
                continue;
            }
            seen.push(word);
            if let Err(error) = parse(&option, input, errors) {
                errors.add(error);
                skip_to_comma(input);
            } else if !input.is_empty() && !input.peek(Token![,]) {
                errors.at_span(input.span(), "expected a `,` before the next option");
                skip_to_comma(input);
            }
            let _ = input.parse::<Option<Token![,]>>();
        }
        Ok(())
    };
    let parsed = options.parse2(tokens.clone());
    if let Err(error) = parsed {
        errors.add(error);
    }
    seen
}

fn skip_to_comma(input: ParseStream<'_>) {
    while !input.is_empty() {
        if input.peek(Token![,]) {
            let _ = input.parse::<Token![,]>();
            return;
        }
        let _ = input.parse::<TokenTree>();
    }
}

/// The arguments of `#[projection(..)]`.
#[derive(Default)]
pub(crate) struct ProjectionOptions {
    pub(crate) from: Option<Vec<SourceArg>>,
    pub(crate) group_by: Option<Vec<GroupArg>>,
    pub(crate) having: Option<Expr>,
    pub(crate) name: Option<LitStr>,
    pub(crate) version: u32,
    /// Options that were there, also if they did not parse or were misspelt.
    pub(crate) said: Vec<String>,
}

const PROJECTION_OPTIONS: [&str; 5] = ["from", "group_by", "having", "name", "version"];

/// One item of `from`: an event, or an enum of which some variants are taken.
pub(crate) struct SourceArg {
    pub(crate) path: Path,
    pub(crate) variants: Option<VariantArgs>,
    pub(crate) keys: Vec<KeyArg>,
    pub(crate) guard: Option<Expr>,
}

/// `{ ItemAdded, ItemRemoved if sold, .. }`
pub(crate) struct VariantArgs {
    pub(crate) variants: Vec<VariantArg>,
    /// Whether `..` says that the others are passed over.
    pub(crate) open: bool,
}

/// `ItemAdded { customer: buyer } if sold`
pub(crate) struct VariantArg {
    pub(crate) name: Ident,
    pub(crate) keys: Vec<KeyArg>,
    pub(crate) guard: Option<Expr>,
}

/// `order_id: order_ref`
pub(crate) struct KeyArg {
    pub(crate) name: Ident,
    pub(crate) expr: Expr,
}

/// `customer`, or `day = at / DAY`
pub(crate) struct GroupArg {
    pub(crate) name: Ident,
    pub(crate) expr: Option<Expr>,
}

impl ProjectionOptions {
    pub(crate) fn read(tokens: &TokenStream, errors: &mut Errors) -> Self {
        let mut options = Self::default();
        let said = each_option(tokens, &PROJECTION_OPTIONS, errors, |option, input, errors| {
            match option.to_string().as_str() {
                "from" => options.from = Some(sources(option, input, errors)?),
                "group_by" => options.group_by = Some(groups(input)?),
                "having" => {
                    input.parse::<Token![=]>()?;
                    options.having = Some(input.parse()?);
                }
                "name" => {
                    input.parse::<Token![=]>()?;
                    options.name = Some(input.parse()?);
                }
                _ => options.version = version(input)?,
            }
            Ok(())
        });
        options.said = said;
        options
    }
}

fn sources(option: &Ident, input: ParseStream<'_>, errors: &mut Errors) -> syn::Result<Vec<SourceArg>> {
    if input.peek(token::Paren) {
        let content;
        parenthesized!(content in input);
        if content.is_empty() {
            errors.at(
                option,
                "`from` names at least one event: `from = Purchased` or `from(ItemAdded, ItemRemoved)`",
            );
        }
        let sources: Punctuated<SourceArg, Token![,]> = Punctuated::parse_terminated(&content)?;
        return Ok(sources.into_iter().collect());
    }
    if !input.peek(Token![=]) {
        return Err(syn::Error::new(
            option.span(),
            "`from` is written `from = Purchased`, or `from(ItemAdded, ItemRemoved)` for several",
        ));
    }
    input.parse::<Token![=]>()?;
    if input.peek(token::Paren) {
        return Err(syn::Error::new(
            input.span(),
            "several sources are written without the `=`: `from(ItemAdded, ItemRemoved)`",
        ));
    }
    Ok(vec![input.parse()?])
}

impl Parse for SourceArg {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let path = input.call(Path::parse_mod_style)?;
        let (mut variants, mut keys) = (None, Vec::new());
        if input.peek(token::Brace) {
            let content;
            braced!(content in input);
            match BraceArgs::parse(&content)? {
                BraceArgs::Variants(args) => variants = Some(args),
                BraceArgs::Keys(args) => keys = args,
            }
        }
        Ok(Self { path, variants, keys, guard: guard(input)? })
    }
}

fn guard(input: ParseStream<'_>) -> syn::Result<Option<Expr>> {
    if !input.peek(Token![if]) {
        return Ok(None);
    }
    input.parse::<Token![if]>()?;
    input.parse().map(Some)
}

/// What stands in the braces after a source: keys of an event (`order_id: order_ref`), or variants of an enum.
enum BraceArgs {
    Variants(VariantArgs),
    Keys(Vec<KeyArg>),
}

impl BraceArgs {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let lower =
            |ident: &Ident| ident.unraw().to_string().starts_with(|c: char| c.is_lowercase() || c == '_');
        let keys = input.fork().parse::<Ident>().is_ok_and(|first| lower(&first));
        if keys {
            let keys: Punctuated<KeyArg, Token![,]> = Punctuated::parse_terminated(input)?;
            return Ok(Self::Keys(keys.into_iter().collect()));
        }
        let mut args = VariantArgs { variants: Vec::new(), open: false };
        while !input.is_empty() {
            if input.peek(Token![..]) {
                input.parse::<Token![..]>()?;
                args.open = true;
                if !input.is_empty() {
                    return Err(
                        input.error("`..` comes last: it passes over the variants that are not named")
                    );
                }
                break;
            }
            let name: Ident = input.parse()?;
            let mut keys = Vec::new();
            if input.peek(token::Brace) {
                let content;
                braced!(content in input);
                let args: Punctuated<KeyArg, Token![,]> = Punctuated::parse_terminated(&content)?;
                keys = args.into_iter().collect();
            }
            args.variants.push(VariantArg { name, keys, guard: guard(input)? });
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(Self::Variants(args))
    }
}

impl Parse for KeyArg {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let name: Ident = input.parse()?;
        if input.peek(Token![=]) {
            let error = input.error(format!("a renamed key is written with a colon: `{name}: field`"));
            // What is left in the braces would be one more mistake.
            input.parse::<TokenStream>()?;
            return Err(error);
        }
        if !input.peek(Token![:]) {
            let field = name.clone();
            return Ok(Self { name, expr: syn::parse_quote!(#field) });
        }
        input.parse::<Token![:]>()?;
        Ok(Self { name, expr: input.parse()? })
    }
}

fn groups(input: ParseStream<'_>) -> syn::Result<Vec<GroupArg>> {
    input.parse::<Token![=]>()?;
    if !input.peek(token::Paren) {
        if input.peek2(Token![=]) {
            return Err(input.error("a computed key stands in parentheses: `group_by = (day = at / DAY)`"));
        }
        let group = vec![input.parse()?];
        if !input.is_empty() && !input.peek(Token![,]) {
            return Err(input.error("a computed key is named, in parentheses: `group_by = (day = at / DAY)`"));
        }
        return Ok(group);
    }
    let content;
    parenthesized!(content in input);
    let groups: Punctuated<GroupArg, Token![,]> = Punctuated::parse_terminated(&content)?;
    Ok(groups.into_iter().collect())
}

impl Parse for GroupArg {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if !input.peek(syn::Ident) {
            return Err(input.error(
                "`group_by` takes fields by name: `group_by = customer`, or `group_by = (customer, item)`",
            ));
        }
        let name: Ident = input.parse()?;
        let expr = if input.peek(Token![=]) {
            input.parse::<Token![=]>()?;
            Some(input.parse()?)
        } else {
            None
        };
        Ok(Self { name, expr })
    }
}

/// The arguments of a column's attribute.
#[derive(Default)]
pub(crate) struct ColumnArgs {
    /// What stands in it, in order.
    pub(crate) items: Vec<ColumnItem>,
    /// `if ..` alone.
    pub(crate) guard: Option<Expr>,
    /// `by = ..`
    pub(crate) by: Option<(Ident, Expr)>,
}

/// `qty`, `qty if qty > 0`, `ItemAdded => qty`, `ItemAdded if sold => qty`
pub(crate) struct ColumnItem {
    /// What stands first: the expression, or in an arm the source.
    pub(crate) head: Expr,
    pub(crate) guard: Option<Expr>,
    /// What stands behind `=>`.
    pub(crate) value: Option<Expr>,
}

impl Parse for ColumnArgs {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut args = Self::default();
        while !input.is_empty() {
            let is_option = input.peek(syn::Ident)
                && input.peek2(Token![=])
                && !input.peek2(Token![==])
                && !input.peek2(Token![=>]);
            if let Some((by, _)) = &args.by {
                return Err(syn::Error::new(by.span(), "`by = ..` comes last, and once"));
            } else if is_option {
                let option: Ident = input.parse()?;
                if option != "by" {
                    let near = did_you_mean(&option.to_string(), &["by"]);
                    return Err(syn::Error::new(
                        option.span(),
                        format!("unknown option `{option}`{near} (expected `by`)"),
                    ));
                }
                input.parse::<Token![=]>()?;
                args.by = Some((option, input.parse()?));
            } else if input.peek(Token![if]) && input.fork().parse::<syn::ExprIf>().is_err() {
                args.guard = guard(input)?;
            } else {
                let head = input.parse()?;
                let guard = guard(input)?;
                let value = if input.peek(Token![=>]) {
                    input.parse::<Token![=>]>()?;
                    Some(input.parse()?)
                } else {
                    None
                };
                args.items.push(ColumnItem { head, guard, value });
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(args)
    }
}
