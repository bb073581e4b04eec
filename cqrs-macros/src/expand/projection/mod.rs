//! A projection: its state, its row, and one `Reads` a source.

mod fingerprint;
pub(super) mod inert;
mod lookups;
pub(super) mod reads;
mod row;
mod twin;
mod types;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;

use self::fingerprint::fingerprint;
use self::lookups::{lookup_type, lookups, prefixes};
use self::reads::{Reads, reads};
use self::row::{row, state};
use self::twin::twin;
use self::types::questions;
use crate::errors::Errors;
use crate::expand::asked::{self, asking};
use crate::expand::run::is_many;
use crate::expr::{Local, Names, resolve};
use crate::model::{Aggregate, Column, Projection, RowField, RowType};
use crate::prepend::core_path;
use crate::window::Shape;

pub(super) fn expand(model: &mut Projection<'_>, errors: &mut Errors) -> TokenStream {
    let core = core_path();
    let named = named(model);
    let model = &*model;
    let reads: Vec<_> = (0..model.sources.len()).map(|source| reads(model, source, errors)).collect();
    let (state, row) = (state(model), projection(model, &reads, errors));
    let implementations = reads.iter().map(|reads| &reads.implementation);
    let (prefixes, twin) = (prefixes(model), twin(model));
    let (lookup_type, questions, tick) = (lookup_type(model), questions(model), tick(model));
    let mode = model.sources.iter().fold(quote!(__cqrs::Appended), |mode, source| {
        let path = &source.path;
        quote!(<#mode as __cqrs::Mode>::Or<<#path as __cqrs::Source>::Mode>)
    });
    let lints = quote! {
        #[allow(
            unused_parens, unused_variables, unused_braces, clippy::clone_on_copy, clippy::unnecessary_cast,
            clippy::double_parens, clippy::collapsible_match, clippy::single_match, clippy::let_unit_value, clippy::unit_arg,
            clippy::nonminimal_bool, clippy::needless_borrow, clippy::match_single_binding
        )]
    };
    quote! {
        #[automatically_derived]
        #lints
        const _: () = {
            use #core::__private as __cqrs;
            #named
            type __Mode = #mode;
            #state
            #row
            #(#implementations)*
            #prefixes
            #twin
            #lookup_type
            #questions
            #tick
        };
    }
}

/// Gives what the projection reads names of its own, which all other items go by: whether it can be read is asked where it is named, and
/// nowhere else.
fn named(model: &mut Projection<'_>) -> TokenStream {
    let mut items = asking();
    let mut name = |path: &mut syn::Path, question: &str, at: usize| {
        let span = path.span();
        let alias = Ident::new(&format!("__asked_{question}_{at}"), span);
        let asked = std::mem::replace(path, syn::parse_quote!(#alias));
        items.extend(asked::named(&alias, &quote!(#asked), &Ident::new(question, span)));
    };
    model.sources.iter_mut().enumerate().for_each(|(at, source)| name(&mut source.path, "is_source", at));
    model.joins.iter_mut().enumerate().for_each(|(at, join)| name(&mut join.path, "is_view", at));
    for (at, field) in model.fields.iter_mut().enumerate() {
        if let Column::Aggregate(Aggregate { custom: Some(custom), .. }) = &mut field.column {
            name(&mut custom.path, "is_aggregate", at);
        }
    }
    items.extend(types::name(model));
    items
}

fn projection(model: &Projection<'_>, reads: &[Reads], errors: &mut Errors) -> TokenStream {
    let name = model.name;
    let stored = &model.stored;
    let rust_name = name.unraw().to_string();
    let columns = model.fields.iter().map(|field| {
        let (column, ty) = (field.ident.unraw().to_string(), &field.ty);
        quote!((#column, <#ty as __cqrs::Value>::SQL),)
    });
    let key = key(model);
    let tick: Option<syn::Path> = model.window.as_ref().map(|_| syn::parse_quote!(__cqrs::Tick));
    let sources = model.sources.iter().map(|source| &source.path).chain(&tick);
    let joins = model.joins.iter().map(|join| &join.path);
    let single = if is_many(model) { quote!(false) } else { quote!(!<__Mode as __cqrs::Mode>::RETRACTS) };
    let (lookups, indexes) = lookups(model);
    let window = model.window.as_ref().map(|window| {
        let lateness = window.lateness.unwrap_or(0);
        let option = |value: Option<i64>| match value {
            None => quote!(::core::option::Option::None),
            Some(value) => quote!(::core::option::Option::Some(#value)),
        };
        let (ahead, keep, only_final) = (option(window.max_ahead), option(window.keep), window.emit_final);
        let shape = match window.shape {
            Shape::Tumbling { size } => quote!(Tumbling { size: #size }),
            Shape::Hopping { size, every } => quote!(Hopping { size: #size, every: #every }),
            Shape::Session { gap } => quote!(Session { gap: #gap }),
        };
        quote! {
            const WINDOW: ::core::option::Option<__cqrs::WindowSpec> = ::core::option::Option::Some(__cqrs::WindowSpec {
                shape: __cqrs::WindowShape::#shape, lateness: #lateness, max_ahead: #ahead, keep: #keep, only_final: #only_final,
            });
        }
    });
    let parks = model.parks.map(|_| {
        quote!(
            const PARKS: bool = true;
        )
    });
    let merge = merge(model);
    let row = row(model, errors);
    let having = model.having.as_ref().map(|having| {
        let resolved = resolve(having, &Names::Row(&model.names), errors);
        let lets = resolved.lets(|local| {
            let Local::Column(column) = local else { return TokenStream::new() };
            let field = model.field(column).map(|(_, field)| field.ident);
            quote!(&self.#field)
        });
        let tokens = resolved.tokens;
        let shown = Ident::new("__shown", having.span());
        quote! {
            fn visible(&self) -> bool {
                #lets
                let #shown: bool = #tokens;
                #shown
            }
        }
    });
    // By the names of their types: what cannot be a column is told of where it is named.
    let (idents, types): (Vec<_>, Vec<_>) = model.fields.iter().map(|field| (field.ident, &field.ty)).unzip();
    let fingerprint = fingerprint(model, reads);
    let key_columns = key_columns(model);
    quote! {
        impl __cqrs::Projection for #name {
            const NAME: &'static str = #stored;
            const RUST_NAME: &'static str = #rust_name;
            const FINGERPRINT: u128 = #fingerprint;
            const COLUMNS: &'static [(&'static str, __cqrs::SqlType)] = &[#(#columns)*];
            const KEY_COLUMNS: &'static [usize] = &[#(#key_columns),*];
            type Key = #key;
            type State = __State;
            type Joins = (#(#joins,)*);
            type Lookups<__A: __cqrs::Access> = #lookups;
            const SINGLE: bool = #single;
            #parks
            #window
            #indexes
            #merge
            fn sources<__V: __cqrs::SourceVisitor<Self>>(sources: &mut __V) {
                #( <#sources as __cqrs::Source>::visit::<Self, __V>(sources); )*
            }
            #row
            #having
            fn same(&self, other: &Self) -> bool {
                #( <#types as __cqrs::Value>::same(&self.#idents, &other.#idents) )&&*
            }
            fn sql(&self, out: &mut ::std::vec::Vec<__cqrs::SqlValue>) {
                #( out.push(<#types as __cqrs::Value>::sql(&self.#idents)); )*
            }
        }
    }
}

/// Sessions that are bridged become one row: every column has to merge.
fn merge(model: &Projection<'_>) -> Option<TokenStream> {
    let Shape::Session { .. } = model.window.as_ref()?.shape else { return None };
    let merges = aggregates(model).enumerate().map(|(number, (field, aggregate))| {
        let (ident, number) = (field.ident, number as u8);
        let name = field.ident.unraw().to_string();
        let at = Span::call_site().located_at(aggregate.span);
        let merged = quote_spanned! {at=>
            __cqrs::Merge::merge(&mut __into.#ident, &__later.#ident, &mut __cells.at(#number), __row)
        };
        quote!(#merged.map_err(__cqrs::FoldError::column(#name))?;)
    });
    Some(quote! {
        fn merge(
            __into: &mut __State, __later: &__State, mut __cells: __cqrs::Cells<'_>, __row: u32,
        ) -> ::core::result::Result<(), __cqrs::FoldError> {
            #(#merges)*
            ::core::result::Result::Ok(())
        }
    })
}

/// A window's clock is moved by ticks, too.
fn tick(model: &Projection<'_>) -> TokenStream {
    if model.window.is_none() {
        return TokenStream::new();
    }
    let name = model.name;
    quote! {
        impl __cqrs::Reads<__cqrs::Tick> for #name {
            fn wants(_: usize) -> bool {
                true
            }
            fn pass(
                _: &__cqrs::Tick, _: &__cqrs::Meta, _: __cqrs::Appends, _: __cqrs::Pass<'_, '_, __State>,
            ) -> ::core::result::Result<bool, __cqrs::FoldError> {
                ::core::result::Result::Ok(false)
            }
            fn run(
                tick: &__cqrs::Tick, _: &__cqrs::Meta, _: __cqrs::Appends,
                _: &<<Self as __cqrs::Projection>::Joins as __cqrs::JoinSet>::Rows<'_>,
                sink: &mut __cqrs::Sink<'_, Self>,
            ) -> ::core::result::Result<(), __cqrs::FoldError> {
                sink.tick(tick.at);
                ::core::result::Result::Ok(())
            }
        }
    }
}

fn aggregates<'m>(model: &'m Projection<'_>) -> impl Iterator<Item = (&'m RowField<'m>, &'m Aggregate)> {
    model.fields.iter().filter_map(|field| match &field.column {
        Column::Aggregate(aggregate) => Some((field, aggregate)),
        _ => None,
    })
}

/// What its rows are found by, as a type.
fn key(model: &Projection<'_>) -> TokenStream {
    match key_types(model).as_slice() {
        [] => quote!(()),
        [one] => quote!(#one),
        many => quote!((#(#many),*)),
    }
}

/// The types of the key's columns: the groups, then the window's bound.
fn key_types<'m>(model: &'m Projection<'m>) -> Vec<&'m RowType<'m>> {
    let window = window_key(model).map(|(field, _)| &field.ty);
    model.groups.iter().map(|group| &group.ty).chain(window).collect()
}

/// Which of the row's fields the key's columns are.
fn key_columns(model: &Projection<'_>) -> Vec<usize> {
    let window = window_key(model).map(|(field, _)| field.ident);
    let place = |wanted: &dyn Fn(&RowField<'_>) -> bool| model.fields.iter().position(wanted);
    let group = |number| place(&|field| matches!(field.column, Column::Key(group) if group == number));
    let groups = (0..model.groups.len()).filter_map(group);
    groups.chain(place(&|field| Some(field.ident) == window)).collect()
}

/// The bound of the window that is the last column of the key, and whether it is the start.
pub(super) fn window_key<'m>(model: &'m Projection<'_>) -> Option<(&'m RowField<'m>, bool)> {
    let start = model.fields.iter().find(|field| matches!(field.column, Column::WindowStart));
    let end = model.fields.iter().find(|field| matches!(field.column, Column::WindowEnd));
    start.map(|field| (field, true)).or(end.map(|field| (field, false)))
}

/// The columns that are folded by hand only.
pub(super) fn plain_fields<'m>(model: &'m Projection<'_>) -> Vec<&'m Ident> {
    let plain = model.fields.iter().filter(|field| matches!(field.column, Column::Plain));
    plain.map(|field| field.ident).collect()
}
