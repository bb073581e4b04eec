//! The arguments of the attributes, as they are written.

mod column;
mod event;
mod projection;

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{Expr, LitInt, Token};

pub(crate) use self::column::ColumnArgs;
pub(crate) use self::event::EventOptions;
pub(crate) use self::projection::{
    EachArg, GroupArg, Index, Join, KeyArg, KeyArgs, ProjectionOptions, SourceArg,
};
use crate::errors::{Errors, closest, did_you_mean, one_of};

fn version(input: ParseStream<'_>) -> syn::Result<u32> {
    input.parse::<Token![=]>()?;
    let number: LitInt = input.parse()?;
    match number.base10_parse::<u32>() {
        Ok(version) if version > 0 => Ok(version),
        _ => Err(syn::Error::new(number.span(), "a version is a whole number from 1")),
    }
}

/// Options that may be given more than once.
const REPEATED: [&str; 3] = ["join", "left_join", "index"];

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
                // What was probably meant is taken for it, and not missing too.
                if let Some(near) = closest(&word, known).map(str::to_owned) {
                    if !seen.contains(&near) || REPEATED.contains(&&*near) {
                        let meant = Ident::new(&near, option.span());
                        let _ = parse(&meant, input, &mut Errors::default());
                    }
                    seen.push(near);
                }
                skip_to_comma(input);
                continue;
            }
            if seen.contains(&word) && !REPEATED.contains(&word.as_str()) {
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

/// Parses all of what stands in delimiters. After a mistake the rest is taken out: it would be one more.
pub(crate) fn inside<T>(
    content: ParseStream<'_>,
    parse: impl FnOnce(ParseStream<'_>) -> syn::Result<T>,
) -> syn::Result<T> {
    let parsed = parse(content).and_then(|parsed| match content.is_empty() {
        true => Ok(parsed),
        false => Err(content.error(COMMA)),
    });
    if parsed.is_err() {
        drained(content);
    }
    parsed
}

/// Takes out what is left.
fn drained(input: ParseStream<'_>) {
    let _ = input.parse::<TokenStream>();
}

/// The comma before what follows, if something does.
fn after_comma(input: ParseStream<'_>) -> syn::Result<()> {
    at_comma(input)?;
    input.parse::<Option<Token![,]>>().map(drop)
}

/// Nothing follows, or a comma does.
fn at_comma(input: ParseStream<'_>) -> syn::Result<()> {
    if input.is_empty() || input.peek(Token![,]) { Ok(()) } else { Err(input.error(COMMA)) }
}

const COMMA: &str = "expected a `,` (a condition is written `if ..`)";

fn guard(input: ParseStream<'_>) -> syn::Result<Option<Expr>> {
    if !input.peek(Token![if]) {
        return Ok(None);
    }
    input.parse::<Token![if]>()?;
    let guard: Expr = input.parse()?;
    match binds(&guard) {
        Some(bound) => Err(syn::Error::new_spanned(
            bound,
            "a guard binds nothing: write `if matches!(field, Some(n) if n > 0)`, or `if field.is_some()`",
        )),
        None => Ok(Some(guard)),
    }
}

/// The `let` of an `if let`.
fn binds(guard: &Expr) -> Option<&syn::ExprLet> {
    match guard {
        Expr::Let(bound) => Some(bound),
        Expr::Binary(both) => binds(&both.left).or_else(|| binds(&both.right)),
        Expr::Paren(paren) => binds(&paren.expr),
        _ => None,
    }
}
