//! Everything that an event does, for projections in which it may do more than fold into one row: `each`, joins, windows, `remove`, `by_hand`.

use std::collections::BTreeSet;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::Expr;
use syn::ext::IdentExt;
use syn::spanned::Spanned;

use super::column::expression;
use super::projection::reads::{fold_of, guard, key_part};
use super::projection::{plain_fields, window_key};
use crate::errors::Errors;
use crate::expr::canonical;
use crate::model::{Action, Projection, SourceEvent, Window};
use crate::window::Shape;

/// Whether an event of the projection may do more than fold into one row.
pub(super) fn is_many(model: &Projection<'_>) -> bool {
    let events = model.sources.iter().flat_map(|source| &source.events);
    model.each.is_some()
        || !model.joins.is_empty()
        || model.window.is_some()
        || events.into_iter().any(|event| event.action != Action::Fold)
}

/// What one event does, as statements; `__sink` takes it.
pub(super) fn event(
    model: &Projection<'_>,
    source: usize,
    number: usize,
    uses: &mut BTreeSet<String>,
    words: &mut String,
    errors: &mut Errors,
) -> TokenStream {
    let event = &model.sources[source].events[number];
    // What is bound before: by `each`, then by the joins before.
    let mut bound: Vec<String> = Vec::new();
    let removes = matches!(event.action, Action::Remove { .. });
    let each = model.each.as_ref().filter(|_| !removes).map(|each| {
        words.push_str("each ");
        words.push_str(&canonical(&each.pat));
        words.push_str(" in ");
        words.push_str(&canonical(&each.over));
        let (over, lets) = expression(&each.over, &bound, uses, errors);
        bound.extend(each.names.iter().cloned());
        let pat = &each.pat;
        let place = matches!(each.over, Expr::Path(_) | Expr::Field(_));
        let over = if place { quote_spanned!(each.over.span()=> &(#over)) } else { over };
        (pat, lets, over, Ident::new("__each", each.over.span()))
    });
    let joins = joins(model, removes, &mut bound, uses, words, errors);
    let guard = guard(event, &bound, &quote!(break '__event), uses, words, errors);
    let doing = match event.action {
        Action::Remove { prefix } => remove(model, event, prefix, &bound, uses, words, errors),
        Action::ByHand => by_hand(model, source, event, &bound, uses, words, errors),
        Action::Fold => fold(model, source, number, &bound, uses, words, errors),
    };
    let once = quote!('__event: { #joins #guard #doing });
    match each {
        None => once,
        // One iteration an element; the collection is the event's own, or is there for as long. What is no collection is said so at the user's word.
        Some((pat, lets, over, local)) => {
            let over = quote_spanned!(local.span()=> (#over));
            quote!({ #lets match #over { #local => for #pat in #local { #once } } })
        }
    }
}

fn joins(
    model: &Projection<'_>,
    removes: bool,
    bound: &mut Vec<String>,
    uses: &mut BTreeSet<String>,
    words: &mut String,
    errors: &mut Errors,
) -> TokenStream {
    let mut lets = TokenStream::new();
    for (at, join) in model.joins.iter().enumerate().filter(|_| !removes) {
        words.push_str(if join.left { "left join " } else { "join " });
        words.push_str(&join.name.to_string());
        words.push_str(&canonical(&join.key));
        let (key, needed) = expression(&join.key, bound, uses, errors);
        let at = syn::Index::from(at);
        let name = &join.name;
        let local = Ident::new("__key", join.key.span());
        let get = Ident::new("get", join.key.span());
        let key = quote_spanned!(local.span()=> (#key));
        lets.extend(quote!(let #name = { #needed match #key { #local => __joined.#at.#get(#local) } };));
        if !join.left {
            lets.extend(quote!(let ::core::option::Option::Some(#name) = #name else { break '__event };));
        }
        bound.push(name.unraw().to_string());
    }
    lets
}

/// The first columns of the key, written to the sink.
fn key(
    model: &Projection<'_>,
    event: &SourceEvent,
    columns: usize,
    bound: &[String],
    uses: &mut BTreeSet<String>,
    words: &mut String,
    errors: &mut Errors,
) -> TokenStream {
    let groups = model.groups.iter().take(columns);
    let parts: Vec<_> = groups.map(|group| key_part(group, event, bound, uses, words, errors)).collect();
    quote!(let mut __key = __sink.key(); let __writer = &mut __key; #(#parts)*)
}

fn remove(
    model: &Projection<'_>,
    event: &SourceEvent,
    prefix: Option<usize>,
    bound: &[String],
    uses: &mut BTreeSet<String>,
    words: &mut String,
    errors: &mut Errors,
) -> TokenStream {
    words.push_str("; remove ");
    let key = key(model, event, prefix.unwrap_or(model.groups.len()), bound, uses, words, errors);
    // The windows of a key are rows of their own.
    if prefix.is_some() || model.window.is_some() {
        quote!(#key __sink.remove_under();)
    } else {
        quote!(#key __sink.remove();)
    }
}

fn by_hand(
    model: &Projection<'_>,
    source: usize,
    event: &SourceEvent,
    bound: &[String],
    uses: &mut BTreeSet<String>,
    words: &mut String,
    errors: &mut Errors,
) -> TokenStream {
    words.push_str("; by hand ");
    let (name, path) = (model.name, &model.sources[source].path);
    let key = key(model, event, model.groups.len(), bound, uses, words, errors);
    let plain = plain_fields(model);
    // That there is no such fold is said at the event, in no word of the user's: lints have nothing to say about it.
    let at = Span::call_site().located_at(event.name.span());
    let mut row = name.clone();
    row.set_span(at);
    let fold = quote_spanned!(at=> <#row as __cqrs::Fold<#path>>::fold);
    quote! {
        #key
        __sink.fold_by_hand(
            |__row| #fold(__row, __whole, __recorded_meta),
            |__state, __row| { #( __state.#plain = __cqrs::Plain(__row.#plain); )* },
        )?;
    }
}

fn fold(
    model: &Projection<'_>,
    source: usize,
    number: usize,
    bound: &[String],
    uses: &mut BTreeSet<String>,
    words: &mut String,
    errors: &mut Errors,
) -> TokenStream {
    let event = &model.sources[source].events[number];
    let key = key(model, event, model.groups.len(), bound, uses, words, errors);
    let steps = fold_of(model, source, number, bound, uses, words, errors);
    let fold = quote!(|__state, mut __cells| { #steps ::core::result::Result::Ok(()) });
    let Some(window) = &model.window else {
        return quote!(#key __sink.fold(__sign, #fold)?;);
    };
    words.push_str("; at ");
    words.push_str(&canonical(&window.at));
    let (at, lets) = expression(&window.at, bound, uses, errors);
    let local = Ident::new("__at", window.at.span());
    let micros = Ident::new("micros", window.at.span());
    let time = match window.unit {
        None => quote!(__cqrs::EventTime::#micros(#local)),
        Some(unit) => {
            let unit = unit.micros();
            quote!(__cqrs::IntegerTime::#micros(#local, #unit))
        }
    };
    let time = super::column::held(&local, &at, &lets, &time);
    let time = quote! {
        let __time: i64 = #time;
        __sink.pass(__time);
    };
    let bound_part = bound_part(model, window);
    match window.shape {
        Shape::Session { gap } => quote! {
            #time
            #key
            __sink.fold_session(__time, #gap, |__start: i64, __writer: &mut __cqrs::KeyWriter<'_>| { let __end = __start; #bound_part }, #fold)?;
        },
        Shape::Tumbling { size } | Shape::Hopping { size, .. } => {
            let every = if let Shape::Hopping { every, .. } = window.shape { every } else { size };
            // At the end of time, windows end together: where that is their key, they are one.
            let by_end = window_key(model).is_some_and(|(_, is_start)| !is_start);
            let before = by_end.then(|| quote!(let mut __before = ::core::option::Option::None;));
            let together = by_end.then(|| {
                quote! {
                    if __before.replace(__end) == ::core::option::Option::Some(__end) {
                        continue;
                    }
                }
            });
            quote! {
                #time
                #before
                for __start in __cqrs::starts(__time, #size, #every) {
                    let __end = __start.saturating_add(#size);
                    #together
                    if !__sink.takes(__end) {
                        continue;
                    }
                    #key
                    { #bound_part }
                    __sink.fold_window(__end, #fold)?;
                }
            }
        }
    }
}

/// The column of the key that is the window's.
fn bound_part(model: &Projection<'_>, window: &Window) -> TokenStream {
    let Some((field, is_start)) = window_key(model) else { return TokenStream::new() };
    let (ty, unit) = (&field.ty, window.unit());
    let local = format_ident!("{}", if is_start { "__start" } else { "__end" }, span = Span::call_site());
    quote! {
        let __bound = <#ty as __cqrs::WindowBound>::bound(#local, #unit);
        __cqrs::KeyColumn::<#ty>::COLUMN.put(&__bound, __writer);
    }
}
