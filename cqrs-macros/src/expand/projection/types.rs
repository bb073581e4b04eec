//! What is asked about the types that a projection names, once each, at the word.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;

use super::aggregates;
use crate::expand::column;
use crate::model::{Action, Aggregate, Column, Kind, Projection, RowField};
use crate::spelling::{is_collection, option_of};

/// What is asked of the columns of indexes, at their names.
pub(super) fn checks(model: &Projection<'_>) -> TokenStream {
    let indexed = indexed_types(model).into_iter().map(|(column, ty)| {
        let ask = quote_spanned!(column.span()=> __cqrs::an_index_goes_by_what_can_be_a_key::<#ty>());
        let ask = respanned(ask, column.span());
        quote!(const _: () = #ask;)
    });
    quote!(#(#indexed)*)
}

/// What gives a type another name, with a question: `<Type as __Asked<{ question }>>::Itself`. (A type with a const in it that does not compile is a mistake once;
/// whoever goes by it is silent.)
pub(super) fn asked() -> TokenStream {
    // A trait of its own, and not one of the core: of that, and a type of another crate, rustc would say that the other crate might answer otherwise one day, and
    // that two sources of other crates might be one.
    quote! {
        pub trait __Asked<const ANSWER: bool> {
            type Itself;
        }
        impl<T, const ANSWER: bool> __Asked<ANSWER> for T {
            type Itself = T;
        }
    }
}

/// Gives the types of the row that are not known by their spelling names, which all other items go by: whether a type can be what it has to be is asked where it is
/// named, and nowhere else.
pub(super) fn name(model: &mut Projection<'_>) -> TokenStream {
    name_where(model, |_| true)
}

/// The same of the key's columns alone.
pub(super) fn name_keys(model: &mut Projection<'_>) -> TokenStream {
    name_where(model, is_key)
}

fn name_where(model: &mut Projection<'_>, wanted: fn(&RowField<'_>) -> bool) -> TokenStream {
    let mut names = Names::default();
    for field in model.fields.iter_mut().filter(|field| wanted(field)) {
        let (written, is_key) = (field.ty.written, is_key(field));
        if is_value(field) {
            field.ty.named = Some(names.ask(written, value_question(field), written));
            continue;
        }
        // An `Option` can be whatever is in it can be.
        let inside = option_of(written);
        let asked = inside.unwrap_or(written);
        if !column::is_known(asked, is_key) {
            let mut named = names.ask(asked, if is_key { "is_key_part" } else { "is_column" }, asked);
            if matches!(field.column, Column::Plain) && inside.is_none() {
                named = names.ask(&named, "a_column_folded_by_hand_starts_from_its_default", written);
            }
            let whole =
                inside.map(|_| syn::parse_quote_spanned!(written.span()=> ::core::option::Option<#named>));
            field.ty.named = Some(whole.unwrap_or(named));
        }
    }
    for (number, group) in model.groups.iter_mut().enumerate() {
        let field = model.fields.iter().find(|field| matches!(field.column, Column::Key(at) if at == number));
        group.ty.named = field.and_then(|field| field.ty.named.clone());
    }
    names.items
}

/// The names that types have been given.
#[derive(Default)]
struct Names {
    items: TokenStream,
    /// By what was asked of which.
    given: Vec<(String, &'static str, syn::Type)>,
}

impl Names {
    /// The name of a type of which this is asked, where it is written so: the same for the same.
    fn ask(&mut self, ty: &syn::Type, question: &'static str, written: &syn::Type) -> syn::Type {
        let tokens = quote!(#ty).to_string();
        let same = |(seen, asked, _): &&(String, &str, syn::Type)| *seen == tokens && *asked == question;
        if let Some((.., named)) = self.given.iter().find(same) {
            return named.clone();
        }
        let span = written.span();
        let number = self.given.len();
        let [whole, alias] = ["Written", "Type"].map(|word| Ident::new(&format!("__{word}{number}"), span));
        let call = Ident::new(question, span);
        let answer = quote_spanned!(span=> { __cqrs::#call::<#whole>(); true });
        // Written once: a name that is not known is one mistake.
        self.items.extend(quote! {
            type #whole = #ty;
            type #alias = <#whole as __Asked<#answer>>::Itself;
        });
        let named: syn::Type = syn::parse_quote!(#alias);
        self.given.push((tokens, question, named.clone()));
        named
    }
}

fn is_key(field: &RowField<'_>) -> bool {
    matches!(field.column, Column::Key(_) | Column::WindowStart | Column::WindowEnd)
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

/// Whether a column shows more than one value of the events, or one that a user's aggregate makes: then its type is another than those of the others.
fn is_value(field: &RowField<'_>) -> bool {
    match &field.column {
        Column::Aggregate(aggregate) => {
            matches!(aggregate.kind, Kind::Collect | Kind::Top | Kind::TopBy | Kind::Fold)
        }
        Column::Plain | Column::Computed(_) => is_collection(field.ty.written),
        _ => false,
    }
}

/// What is asked of the type of such a column.
fn value_question(field: &RowField<'_>) -> &'static str {
    match &field.column {
        Column::Aggregate(Aggregate { kind: Kind::Collect, .. }) => "is_collected",
        Column::Aggregate(Aggregate { kind: Kind::Top | Kind::TopBy, .. }) => "is_top",
        _ => "is_value",
    }
}

/// The columns of indexes whose types are not known to be ordered as keys are, each once by its type, without an `Option`: the keys are asked about already.
pub(super) fn indexed_types<'m>(model: &'m Projection<'_>) -> Vec<(&'m Ident, &'m syn::Type)> {
    let mut types: Vec<(&Ident, &syn::Type)> = Vec::new();
    for column in model.indexes.iter().flat_map(|index| &index.columns) {
        let Some(field) = model.fields.iter().find(|field| field.ident.unraw() == column.unraw()) else {
            continue;
        };
        let ty = option_of(field.ty.name()).unwrap_or(field.ty.name());
        if !is_key(field) && !column::is_known(ty, true) && types.iter().all(|(_, seen)| *seen != ty) {
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
