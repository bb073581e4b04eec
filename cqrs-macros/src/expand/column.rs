//! One folded column: the type of its state, and the step that an event makes in it.

use std::collections::BTreeSet;

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::Expr;
use syn::spanned::Spanned;

use crate::errors::Errors;
use crate::expr::{Names, is_literal, resolve};
use crate::model::{Aggregate, Input, Kind, RowField};
use crate::spelling::{option_of, ungrouped};

/// The type of the column's state.
pub(super) fn state(field: &RowField<'_>, aggregate: &Aggregate) -> TokenStream {
    let ty = &field.ty;
    // Bounds on the column's type are reported at the type, as the user wrote it.
    let name = |name: &str| Ident::new(name, ty.span());
    match aggregate.kind {
        Kind::Count => quote!(__cqrs::Count),
        Kind::Avg => quote!(<__Mode as __cqrs::Mode>::Avg),
        Kind::Variance => quote!(<__Mode as __cqrs::Mode>::Variance),
        Kind::Stddev => quote!(<__Mode as __cqrs::Mode>::Stddev),
        Kind::CountDistinct => quote!(<__Mode as __cqrs::Mode>::CountDistinct),
        Kind::Any => quote!(__cqrs::Any),
        Kind::All => quote!(__cqrs::All),
        Kind::Collect => quote_spanned!(ty.span()=> <__Mode as __cqrs::Mode>::Collect<#ty>),
        Kind::Top | Kind::TopBy => quote_spanned!(ty.span()=> <__Mode as __cqrs::Mode>::Top<#ty>),
        Kind::Fold => {
            let custom = aggregate.custom.as_ref().map(|custom| &custom.path);
            quote_spanned!(custom.span()=> <__Mode as __cqrs::Mode>::Custom<#custom>)
        }
        Kind::Min | Kind::Max => {
            let (extreme, which) = (name("Extreme"), if aggregate.kind == Kind::Min { "Min" } else { "Max" });
            let which = format_ident!("{which}");
            quote_spanned!(ty.span()=> <__Mode as __cqrs::Mode>::#extreme<__cqrs::#which, #ty>)
        }
        kind => {
            let state = name(match kind {
                Kind::Sum => "Sum",
                Kind::First => "First",
                Kind::FirstBy => "FirstBy",
                Kind::LastBy => "LastBy",
                _ => "Last",
            });
            if matches!(kind, Kind::First | Kind::Last) {
                quote_spanned!(ty.span()=> __cqrs::#state<#ty>)
            } else {
                quote_spanned!(ty.span()=> <__Mode as __cqrs::Mode>::#state<#ty>)
            }
        }
    }
}

/// The step of one event, as an expression of type `Option<Step>`, or `None` if the event has nothing for this column.
pub(super) fn step(
    field: &RowField<'_>,
    aggregate: &Aggregate,
    inputs: &[Input],
    bound: &[String],
    uses: &mut BTreeSet<String>,
    errors: &mut Errors,
) -> Option<TokenStream> {
    if inputs.is_empty() {
        return None;
    }
    let mut chain = TokenStream::new();
    for input in inputs {
        let step = one_step(field, aggregate, input, bound, uses, errors);
        match &input.guard {
            None => chain.extend(quote!({ ::core::option::Option::Some(#step) })),
            Some(guard) => {
                let (guard, lets) = expression(guard, bound, uses, errors);
                chain.extend(quote!(if { #lets (#guard) } { ::core::option::Option::Some(#step) } else));
            }
        }
    }
    if inputs.last().is_some_and(|last| last.guard.is_some()) {
        chain.extend(quote!({ ::core::option::Option::None }));
    }
    Some(chain)
}

fn one_step(
    field: &RowField<'_>,
    aggregate: &Aggregate,
    input: &Input,
    bound: &[String],
    uses: &mut BTreeSet<String>,
    errors: &mut Errors,
) -> TokenStream {
    let (ident, ty) = (field.ident, &field.ty);
    let name = syn::ext::IdentExt::unraw(ident).to_string();
    // Each value is a local that bears the span of the user's first word: rustc's words about its type stand there.
    let local = |name: &str, of: &Expr| Ident::new(name, of.span());
    let value = input.value.as_ref().map(|of| (local("__value", of), expression(of, bound, uses, errors)));
    let by = input.by.as_ref().map(|of| (local("__by", of), expression(of, bound, uses, errors)));
    let at = input.value.as_ref().map_or(aggregate.span, Expr::span);
    let (method, more) = match (aggregate.kind, &aggregate.limit, &aggregate.n) {
        (Kind::Collect, Some(limit), _) => ("step_limited", quote!(, (#limit) as usize)),
        (Kind::Top, _, Some(n)) => ("step", quote!(, #n as usize)),
        (Kind::TopBy, _, Some(n)) => ("step_by", quote!(, #n as usize)),
        _ => ("step", TokenStream::new()),
    };
    let step = Ident::new(method, at);
    let given = |local: &Option<(Ident, _)>| local.as_ref().map(|(local, _)| quote!(, #local));
    let (value_given, by_given) = (given(&value), given(&by));
    let call = if aggregate.kind == Kind::Fold {
        // What is wrong with a user's aggregate is said of its name.
        let at = proc_macro2::Span::call_site()
            .located_at(aggregate.custom.as_ref().map_or(aggregate.span, |custom| custom.path.span()));
        quote_spanned!(at=> __state.#ident.#step(__sign #value_given #by_given #more))
    } else {
        quote!(__state.#ident.#step(__sign #value_given #by_given #more))
    };
    let mut step = quote!(#call.map_err(__cqrs::FoldError::column(#name))?);
    if let Some((local, (tokens, needed))) = by {
        step = held(&local, &tokens, &needed, &step);
    }
    if let Some((local, (tokens, needed))) = value {
        // A bare literal has the type of the values: that of the column, where its values are such.
        let of_column = !matches!(aggregate.kind, Kind::Collect | Kind::Top | Kind::TopBy | Kind::Fold);
        step = if input.value.as_ref().is_some_and(is_literal) && of_column {
            let ty = option_of(ty.name()).unwrap_or(ty.name());
            quote!({ let #local: &#ty = &(#tokens); #step })
        } else {
            held(&local, &tokens, &needed, &step)
        };
    }
    step
}

/// Something done with a reference to an expression's value, which, and what it borrows from, is there for as long: a `let` would drop that first.
pub(super) fn held(
    local: &Ident,
    tokens: &TokenStream,
    needed: &TokenStream,
    done: &TokenStream,
) -> TokenStream {
    quote!({ #needed match &(#tokens) { #local => #done } })
}

/// An expression over the event, and the `let`s that it needs before it.
pub(super) fn expression(
    expr: &Expr,
    bound: &[String],
    uses: &mut BTreeSet<String>,
    errors: &mut Errors,
) -> (TokenStream, TokenStream) {
    let resolved = resolve(expr, &Names::Event(bound), errors);
    let lets = resolved.event_lets();
    uses.extend(resolved.uses);
    (resolved.tokens, lets)
}

/// Whether a type is one that can be a key, or a column, by its spelling alone.
pub(super) fn is_known(ty: &syn::Type, as_key: bool) -> bool {
    const KEYS: [&str; 15] = [
        "i8", "i16", "i32", "i64", "i128", "isize", "u8", "u16", "u32", "u64", "u128", "usize", "bool",
        "char", "String",
    ];
    let syn::Type::Path(path) = ungrouped(ty) else { return false };
    path.path.get_ident().is_some_and(|ident| {
        KEYS.iter().any(|known| ident == known) || (!as_key && (ident == "f32" || ident == "f64"))
    })
}
