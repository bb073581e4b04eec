//! What is asked about the types that a projection names, once each, at the word; and what all else takes for granted then.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;

use super::aggregates;
use crate::expand::column;
use crate::model::{Action, Column, Kind, Projection, RowField};
use crate::spelling::{is_collection, option_of};

/// One question about each type, at the type.
pub(super) fn checks(model: &Projection<'_>) -> TokenStream {
    let plain = plain_types(model).into_iter().map(|ty| {
        quote_spanned!(ty.span()=> const _: () = __cqrs::a_column_folded_by_hand_starts_from_its_default::<#ty>();)
    });
    let indexed = indexed_types(model).into_iter().map(|(column, ty)| {
        let ask = quote_spanned!(column.span()=> __cqrs::an_index_goes_by_what_can_be_a_key::<#ty>());
        let ask = respanned(ask, column.span());
        quote!(const _: () = #ask;)
    });
    let questions = unknown_types(model).into_iter().map(|(ty, is_key)| {
        let span = ty.span();
        if is_key {
            quote_spanned!(span=> const _: () = __cqrs::is_key_part::<#ty>();)
        } else {
            quote_spanned!(span=> const _: () = __cqrs::is_column::<#ty>();)
        }
    });
    let values = model.fields.iter().filter(|field| is_value(field)).map(|field| {
        let ty = field.ty;
        let (question, _) = value_question(field);
        quote_spanned!(ty.span()=> const _: () = __cqrs::#question::<#ty>();)
    });
    quote!(#(#questions)* #(#plain)* #(#indexed)* #(#values)*)
}

/// What is asked of the sources, each in one place.
pub(super) fn questions(model: &Projection<'_>) -> TokenStream {
    let mut asked = TokenStream::new();
    let mut ask = |span: Span, question: &str| {
        let question = Ident::new(question, span);
        let question = quote_spanned!(span=> __cqrs::#question::<__Mode>());
        asked.extend(quote!(const _: () = #question;));
    };
    if let Some(window) = &model.window {
        ask(window.span, "windowed");
    }
    for (_, aggregate) in aggregates(model) {
        if matches!(aggregate.kind, Kind::First | Kind::Last) {
            ask(aggregate.span, "keeps_order");
        }
    }
    if let Some(join) = model.joins.first() {
        ask(join.name.span(), "looks_up");
    }
    if let Some(park) = model.parks {
        ask(park, "parks");
    }
    for event in model.sources.iter().flat_map(|source| &source.events) {
        match event.action {
            Action::Fold => {}
            Action::Remove { .. } => ask(event.name.span(), "removes_rows"),
            Action::ByHand => ask(event.name.span(), "by_hand"),
        }
    }
    asked
}

/// The bounds that [`checks`] asks about, for all the other items to take for granted: a bound behind a `for` is not itself
/// checked where it stands. Without this, a type that cannot be a column is a dozen errors.
pub(super) fn assumptions(model: &Projection<'_>) -> TokenStream {
    let bounds = unknown_types(model).into_iter().map(|(ty, is_key)| {
        if is_key {
            quote!(for<'__k> #ty: __cqrs::KeyPart)
        } else {
            quote!(for<'__k> #ty: __cqrs::Column + __cqrs::Takes<#ty>)
        }
    });
    let values = model.fields.iter().filter(|field| is_value(field)).map(|field| {
        let (ty, (_, bound)) = (field.ty, value_question(field));
        quote!(for<'__k> #ty: __cqrs::#bound)
    });
    let plain = plain_types(model).into_iter().map(|ty| quote!(for<'__k> #ty: ::core::default::Default));
    quote!(#(#bounds,)* #(#values,)* #(#plain,)*)
}

/// The types of the row that the macro does not know by their spelling, each with the bound it has to meet.
fn unknown_types(model: &Projection<'_>) -> Vec<(TokenStream, bool)> {
    let mut types: Vec<(TokenStream, bool)> = Vec::new();
    for field in model.fields.iter().filter(|field| !is_value(field)) {
        let is_key = matches!(field.column, Column::Key(_) | Column::WindowStart | Column::WindowEnd);
        // An `Option` can be whatever is in it can be.
        let ty = option_of(field.ty).unwrap_or(field.ty);
        let tokens = quote!(#ty);
        let seen = types.iter().any(|(seen, key)| *key == is_key && seen.to_string() == tokens.to_string());
        if !seen && !column::is_known(ty, is_key) {
            types.push((tokens, is_key));
        }
    }
    types
}

/// Whether a column shows more than one value of the events, or one that a user's aggregate makes: then its type is another than those of the others.
fn is_value(field: &RowField<'_>) -> bool {
    match &field.column {
        Column::Aggregate(aggregate) => {
            matches!(aggregate.kind, Kind::Collect | Kind::Top | Kind::TopBy | Kind::Fold)
        }
        Column::Plain | Column::Computed(_) => is_collection(field.ty),
        _ => false,
    }
}

/// What is asked of the type of such a column, and the bound that it stands for.
fn value_question(field: &RowField<'_>) -> (Ident, Ident) {
    let kind = match &field.column {
        Column::Aggregate(aggregate) => Some(aggregate.kind),
        _ => None,
    };
    let (question, bound) = match kind {
        Some(Kind::Collect) => ("is_collected", "Collected"),
        Some(Kind::Top | Kind::TopBy) => ("is_top", "TopColumn"),
        _ => ("is_value", "Value"),
    };
    (Ident::new(question, field.ty.span()), format_ident!("{bound}"))
}

/// The types of the columns that are folded by hand which have to have a default, and are not known to by their spelling.
fn plain_types<'m>(model: &'m Projection<'_>) -> Vec<&'m syn::Type> {
    let mut types: Vec<&syn::Type> = Vec::new();
    for field in model.fields.iter().filter(|field| matches!(field.column, Column::Plain)) {
        if option_of(field.ty).is_none() && !column::is_known(field.ty, false) && !types.contains(&field.ty) {
            types.push(field.ty);
        }
    }
    types
}

/// The columns of indexes whose types are not known to be ordered as keys are, each once by its type: the keys are asked about already.
pub(super) fn indexed_types<'m>(model: &'m Projection<'_>) -> Vec<(&'m Ident, &'m syn::Type)> {
    let mut types: Vec<(&Ident, &syn::Type)> = Vec::new();
    for column in model.indexes.iter().flat_map(|index| &index.columns) {
        let Some(field) = model.fields.iter().find(|field| field.ident.unraw() == column.unraw()) else {
            continue;
        };
        let ty = option_of(field.ty).unwrap_or(field.ty);
        let is_key = matches!(field.column, Column::Key(_));
        if !is_key && !column::is_known(ty, true) && types.iter().all(|(_, seen)| *seen != ty) {
            types.push((column, ty));
        }
    }
    types
}

/// Tokens that all bear one span: what is asked of a type at another word than the type.
fn respanned(tokens: TokenStream, span: Span) -> TokenStream {
    tokens
        .into_iter()
        .map(|mut token| {
            if let proc_macro2::TokenTree::Group(group) = &token {
                token = proc_macro2::Group::new(group.delimiter(), respanned(group.stream(), span)).into();
            }
            token.set_span(span.resolved_at(token.span()));
            token
        })
        .collect()
}
