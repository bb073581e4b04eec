//! What is asked about the types that a projection names, once each, at the word.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;

use super::aggregates;
use crate::expand::asked::named;
use crate::expand::column;
use crate::model::{Action, Aggregate, Column, Kind, Projection, RowField};
use crate::spelling::{is_collection, option_of};

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
    let mut names = Names::new("Type");
    for field in model.fields.iter_mut().filter(|field| wanted(field)) {
        let (written, is_key) = (field.ty.written, is_key(field));
        if is_value(field) {
            field.ty.named = Some(names.ask(written, value_question(field), written.span()));
            continue;
        }
        // An `Option` can be whatever is in it can be.
        let inside = option_of(written);
        let asked = inside.unwrap_or(written);
        if !column::is_known(asked, is_key) {
            let mut named = names.ask(asked, if is_key { "is_key_part" } else { "is_column" }, asked.span());
            if matches!(field.column, Column::Plain) && inside.is_none() {
                named = names.ask(&named, "a_column_folded_by_hand_starts_from_its_default", written.span());
            }
            field.ty.named = Some(again(inside.is_some(), named, written.span()));
        }
    }
    for (number, group) in model.groups.iter_mut().enumerate() {
        let field = model.fields.iter().find(|field| matches!(field.column, Column::Key(at) if at == number));
        group.ty.named = field.and_then(|field| field.ty.named.clone());
    }
    names.items
}

/// The types of the columns of indexes, by index, and the names that those have of which is asked whether they are ordered as keys are. Keys are asked about already.
pub(super) fn of_indexes(model: &Projection<'_>) -> (TokenStream, Vec<Vec<syn::Type>>) {
    let mut names = Names::new("Index");
    let mut of = |column: &Ident| {
        // A column that the row has not is told of already.
        let (_, field) = model.field(&column.unraw().to_string())?;
        let named = field.ty.name();
        let inside = option_of(named);
        let asked = inside.unwrap_or(named);
        if is_key(field) || column::is_known(asked, true) {
            return Some(named.clone());
        }
        let alias = names.ask(asked, "an_index_goes_by_what_can_be_a_key", column.span());
        Some(again(inside.is_some(), alias, column.span()))
    };
    let types =
        model.indexes.iter().map(|index| index.columns.iter().filter_map(&mut of).collect()).collect();
    (names.items, types)
}

/// The type that was asked about, in its `Option` again, if it came out of one.
fn again(optional: bool, asked: syn::Type, span: Span) -> syn::Type {
    if optional { syn::parse_quote_spanned!(span=> ::core::option::Option<#asked>) } else { asked }
}

/// The names that types have been given.
struct Names {
    /// What the names begin with.
    word: &'static str,
    items: TokenStream,
    /// By what was asked of which.
    given: Vec<(String, &'static str, syn::Type)>,
}

impl Names {
    fn new(word: &'static str) -> Self {
        Self { word, items: TokenStream::new(), given: Vec::new() }
    }

    /// The name of a type of which this is asked, at this place: the same for the same.
    fn ask(&mut self, ty: &syn::Type, question: &'static str, span: Span) -> syn::Type {
        let tokens = quote!(#ty).to_string();
        let same = |(seen, asked, _): &&(String, &str, syn::Type)| *seen == tokens && *asked == question;
        if let Some((.., named)) = self.given.iter().find(same) {
            return named.clone();
        }
        let (word, number) = (self.word, self.given.len());
        let alias = Ident::new(&format!("__{word}{number}"), span);
        let question_asked = Ident::new(question, span);
        self.items.extend(named(&alias, &quote!(#ty), &question_asked));
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
