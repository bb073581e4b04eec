//! `#[sum(..)]`, `#[count(..)]`, and so on: the attributes of a row's fields.

use proc_macro2::{Ident, TokenStream};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Expr, LitInt, Path, Token};

use super::{after_comma, drained, guard};
use crate::errors::did_you_mean;

/// The arguments of a column's attribute.
#[derive(Default)]
pub(crate) struct ColumnArgs {
    /// What stands in it, in order.
    pub(crate) items: Vec<ColumnItem>,
    /// `if ..` alone.
    pub(crate) guard: Option<Expr>,
    /// `by = ..`
    pub(crate) by: Option<(Ident, Expr)>,
    /// `limit = ..`
    pub(crate) limit: Option<(Ident, Expr)>,
    /// What stands first in `top`: how many.
    pub(crate) n: Option<LitInt>,
    /// What stands first in `fold`: the aggregate.
    pub(crate) custom: Option<Path>,
}

/// `qty`, `qty if qty > 0`, `ItemAdded => qty`, `ItemAdded if sold => qty`
pub(crate) struct ColumnItem {
    /// What stands first: the expression, or in an arm the source.
    pub(crate) head: Expr,
    pub(crate) guard: Option<Expr>,
    /// What stands behind `=>`.
    pub(crate) value: Option<Expr>,
}

impl ColumnArgs {
    /// Those of the attribute of this name.
    pub(crate) fn read(word: &Ident, tokens: TokenStream) -> syn::Result<Self> {
        let of_word = |input: ParseStream<'_>| match word.to_string().as_str() {
            "top" => Self::of_top(word, input),
            "fold" => Self::of_fold(word, input),
            _ => input.parse(),
        };
        of_word.parse2(tokens)
    }

    /// `3, price`
    fn of_top(word: &Ident, input: ParseStream<'_>) -> syn::Result<Self> {
        const FORM: &str = "`top` says first how many values it keeps, from 1: `#[top(3, price)]`";
        if !input.peek(LitInt) {
            let span = if input.is_empty() { word.span() } else { input.span() };
            drained(input);
            return Err(syn::Error::new(span, FORM));
        }
        let n: LitInt = input.parse()?;
        if !n.base10_parse::<usize>().is_ok_and(|n| n > 0) {
            drained(input);
            return Err(syn::Error::new(n.span(), FORM));
        }
        after_comma(input)?;
        Ok(Self { n: Some(n), ..input.parse()? })
    }

    /// `my::Median, price`
    fn of_fold(word: &Ident, input: ParseStream<'_>) -> syn::Result<Self> {
        const FORM: &str = "`fold` names its aggregate first: `#[fold(my::Median, price)]`";
        let path = input.parse::<Path>();
        let is_type = |path: &Path| {
            let last = path.segments.last().map(|last| last.ident.unraw().to_string());
            last.is_some_and(|last| last.starts_with(char::is_uppercase))
        };
        match path {
            Ok(path) if is_type(&path) && (input.is_empty() || input.peek(Token![,])) => {
                after_comma(input)?;
                Ok(Self { custom: Some(path), ..input.parse()? })
            }
            Ok(path) => {
                drained(input);
                Err(syn::Error::new_spanned(&path, FORM))
            }
            Err(error) => {
                let span = if input.is_empty() { word.span() } else { error.span() };
                drained(input);
                Err(syn::Error::new(span, FORM))
            }
        }
    }
}

impl Parse for ColumnArgs {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut args = Self::default();
        while !input.is_empty() {
            let is_option = input.peek(syn::Ident)
                && input.peek2(Token![=])
                && !input.peek2(Token![==])
                && !input.peek2(Token![=>]);
            if is_option {
                let option: Ident = input.parse()?;
                let word = option.to_string();
                let place = match word.as_str() {
                    "by" => &mut args.by,
                    "limit" => &mut args.limit,
                    _ => {
                        let near = did_you_mean(&word, &["by", "limit"]);
                        return Err(syn::Error::new(
                            option.span(),
                            format!("unknown option `{word}`{near} (expected `by` or `limit`)"),
                        ));
                    }
                };
                if place.is_some() {
                    return Err(syn::Error::new(option.span(), format!("`{word}` is given twice: keep one")));
                }
                input.parse::<Token![=]>()?;
                *place = Some((option, input.parse()?));
            } else if let Some((option, _)) = args.by.as_ref().or(args.limit.as_ref()) {
                return Err(syn::Error::new(option.span(), format!("`{option} = ..` comes last")));
            } else if input.peek(Token![if]) && input.fork().parse::<syn::ExprIf>().is_err() {
                let place = input.span();
                if args.guard.is_some() {
                    return Err(syn::Error::new(place, "a second condition: join them with `&&`"));
                }
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
            after_comma(input)?;
        }
        Ok(args)
    }
}
