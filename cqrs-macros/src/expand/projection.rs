//! A projection: its state, its row, and one `Reads` a source.

use std::collections::BTreeSet;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;

use super::column;
use super::event::{is_string, option_of};
use super::run::{self, is_many};
use crate::check::computed_order;
use crate::errors::Errors;
use crate::expr::{Local, Names, canonical, resolve};
use crate::model::{Action, Aggregate, Column, Group, Kind, Projection, RowField, Source, SourceEvent};
use crate::prepend::core_path;
use crate::window::Shape;

pub(super) fn expand(mut model: Projection<'_>, errors: &mut Errors) -> TokenStream {
    let core = core_path();
    let named = named(&mut model);
    let model = &model;
    let reads: Vec<_> = (0..model.sources.len()).map(|source| reads(model, source, errors)).collect();
    let (state, row) = (state(model), projection(model, &reads, errors));
    let implementations = reads.iter().map(|reads| &reads.implementation);
    let (checks, prefixes, twin) = (checks(model), prefixes(model), twin(model));
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
            #checks
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
/// nowhere else. (A type with a const in it that does not compile is a mistake once; whoever goes by it is silent.)
fn named(model: &mut Projection<'_>) -> TokenStream {
    // A trait of its own, and not one of the core: of that, and a type of another crate, rustc would say that the other crate might answer otherwise one day, and
    // that two sources of other crates might be one.
    let mut items = quote! {
        pub trait __Asked<const ANSWER: bool> {
            type Itself;
        }
        impl<T, const ANSWER: bool> __Asked<ANSWER> for T {
            type Itself = T;
        }
    };
    let mut name = |path: &mut syn::Path, question: &str, at: usize| {
        let span = path.span();
        let [written, alias] =
            ["__written", "__asked"].map(|word| Ident::new(&format!("{word}_{question}_{at}"), span));
        let asked = std::mem::replace(path, syn::parse_quote!(#alias));
        let question = Ident::new(question, span);
        let question = quote_spanned!(span=> { __cqrs::#question::<#written>() });
        // Written once: a name that is not known is one mistake.
        items.extend(quote! {
            #[allow(non_camel_case_types)]
            type #written = #asked;
            #[allow(non_camel_case_types)]
            type #alias = <#written as __Asked<#question>>::Itself;
        });
    };
    model.sources.iter_mut().enumerate().for_each(|(at, source)| name(&mut source.path, "is_source", at));
    model.joins.iter_mut().enumerate().for_each(|(at, join)| name(&mut join.path, "is_view", at));
    for (at, field) in model.fields.iter_mut().enumerate() {
        if let Column::Aggregate(Aggregate { custom: Some(custom), .. }) = &mut field.column {
            name(&mut custom.path, "is_aggregate", at);
        }
    }
    items
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
fn indexed_types<'m>(model: &'m Projection<'_>) -> Vec<(&'m Ident, &'m syn::Type)> {
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

/// One question about each type, at the type.
fn checks(model: &Projection<'_>) -> TokenStream {
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

/// The bounds that [`checks`] asks about, for all the other items to take for granted: a bound behind a `for` is not itself
/// checked where it stands. Without this, a type that cannot be a column is a dozen errors.
fn assumptions(model: &Projection<'_>) -> TokenStream {
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

fn aggregates<'m>(model: &'m Projection<'_>) -> impl Iterator<Item = (&'m RowField<'m>, &'m Aggregate)> {
    model.fields.iter().filter_map(|field| match &field.column {
        Column::Aggregate(aggregate) => Some((field, aggregate)),
        _ => None,
    })
}

fn state(model: &Projection<'_>) -> TokenStream {
    let (idents, types): (Vec<_>, Vec<_>) =
        aggregates(model).map(|(field, aggregate)| (field.ident, column::state(field, aggregate))).unzip();
    let mut idents = idents;
    let mut types = types;
    for field in model.fields.iter().filter(|field| matches!(field.column, Column::Plain)) {
        let (ident, ty) = (field.ident, field.ty);
        idents.push(ident);
        types.push(quote_spanned!(ty.span()=> __cqrs::Plain<#ty>));
    }
    let windowed = model.window.as_ref().map(|_| {
        (
            quote!(__end: __cqrs::WindowEnd,),
            quote!(__cqrs::State::write(&self.__end, out);),
            quote!(__end: __cqrs::State::read(input)?,),
            quote! {
                fn end(&self) -> ::core::option::Option<i64> { self.__end.0 }
                fn set_end(&mut self, end: i64) { self.__end.0 = ::core::option::Option::Some(end); }
            },
        )
    });
    let (end_field, end_write, end_read, end_fns) = windowed.unwrap_or_default();
    let assumed = assumptions(model);
    let may_be_empty = aggregates(model).filter(|(_, aggregate)| aggregate.may_be_empty).map(|(field, _)| {
        let ty = field.ty;
        let check = quote_spanned!(ty.span()=> __cqrs::may_be_empty::<#ty>());
        quote!(const _: () = #check;)
    });
    quote! {
        #(#may_be_empty)*
        #[derive(Clone, Default)]
        #[allow(private_interfaces)]
        pub struct __State where #assumed { #(#idents: #types,)* #end_field __live: <__Mode as __cqrs::Mode>::Live }
        impl __cqrs::State for __State where #assumed {
            const SHAPE: u128 = {
                let hash = 1;
                #( let hash = __cqrs::mix(hash, <#types as __cqrs::State>::SHAPE); )*
                __cqrs::mix(hash, <<__Mode as __cqrs::Mode>::Live as __cqrs::State>::SHAPE)
            };
            fn write(&self, out: &mut ::std::vec::Vec<u8>) {
                #( __cqrs::State::write(&self.#idents, out); )*
                #end_write
                __cqrs::State::write(&self.__live, out);
            }
            fn read(input: &mut &[u8]) -> ::core::option::Option<Self> {
                ::core::option::Option::Some(Self { #(#idents: __cqrs::State::read(input)?,)* #end_read __live: __cqrs::State::read(input)? })
            }
            #end_fns
            #[inline]
            fn turn(&mut self, sign: __cqrs::Sign) -> bool {
                __cqrs::Live::count(&mut self.__live, sign)
            }
        }
    }
}

fn projection(model: &Projection<'_>, reads: &[Reads], errors: &mut Errors) -> TokenStream {
    let name = model.name;
    let stored = &model.stored;
    let rust_name = name.unraw().to_string();
    let columns = model.fields.iter().map(|field| {
        let (column, ty) = (field.ident.unraw().to_string(), field.ty);
        quote!((#column, <#ty as __cqrs::Value>::SQL),)
    });
    let key_types = key_types(model);
    let key = match key_types.as_slice() {
        [] => quote!(()),
        [one] => quote!(#one),
        many => quote!((#(#many),*)),
    };
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
            let field =
                model.fields.iter().map(|field| field.ident).find(|ident| ident.unraw() == column.as_str());
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
    let idents: Vec<_> = model.fields.iter().map(|field| field.ident).collect();
    let fingerprint = fingerprint(model, reads);
    let assumed = assumptions(model);
    let key_columns = key_columns(model);
    quote! {
        impl __cqrs::Projection for #name where #assumed {
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
                #( __cqrs::Value::same(&self.#idents, &other.#idents) )&&*
            }
            fn sql(&self, out: &mut ::std::vec::Vec<__cqrs::SqlValue>) {
                #( out.push(__cqrs::Value::sql(&self.#idents)); )*
            }
        }
    }
}

/// `fn row`: the key's parts, the aggregates' values, then the computed columns, each after those it uses.
fn row(model: &Projection<'_>, errors: &mut Errors) -> TokenStream {
    let local = |at: usize| format_ident!("__key_{at}", span = Span::mixed_site());
    let keys: Vec<_> = (0..key_types(model).len()).map(local).collect();
    let unit = model.window.as_ref().map(|window| window.unit());
    let window_key = window_key(model).map(|(field, _)| field.ident);
    let pattern = match keys.as_slice() {
        [] => quote!(()),
        [one] => quote!(#one),
        many => quote!((#(#many),*)),
    };
    let value =
        |field: &RowField<'_>| format_ident!("__value_{}", field.ident.unraw(), span = Span::mixed_site());
    let mut lets = TokenStream::new();
    let mut number = 0_u8;
    for field in &model.fields {
        let (value, ty, ident) = (value(field), field.ty, field.ident);
        match &field.column {
            Column::Key(group) => {
                let key = &keys[*group];
                lets.extend(quote!(let #value = #key;));
            }
            Column::Aggregate(_) => {
                let get = quote_spanned!(ty.span()=> get);
                if let Column::Aggregate(Aggregate { kind: Kind::Fold, .. }) = &field.column {
                    let at = Span::call_site().located_at(ty.span());
                    let shown = quote_spanned!(at=> __state.#ident.get(&__shown.at(#number))?);
                    lets.extend(quote!(let #value: #ty = #shown;));
                } else {
                    lets.extend(quote!(let #value: #ty = __state.#ident.#get(&__shown.at(#number))?;));
                }
                number += 1;
            }
            Column::WindowStart | Column::WindowEnd => {
                if window_key == Some(field.ident) {
                    let key = keys.last();
                    lets.extend(quote!(let #value = #key;));
                } else {
                    lets.extend(quote! {
                        let #value = <#ty as __cqrs::WindowBound>::bound(__state.__end.0.unwrap_or_default(), #unit);
                    });
                }
            }
            Column::Plain => {
                lets.extend(quote!(let #value: #ty = __state.#ident.get(&__shown.at(0))?;));
            }
            Column::Computed(_) => {}
        }
    }
    for at in computed_order(&model.fields, &model.names).unwrap_or_default() {
        let field = &model.fields[at];
        let Column::Computed(expr) = &field.column else { continue };
        let resolved = resolve(expr, &Names::Row(&model.names), errors);
        let needed = resolved.lets(|local| {
            let Local::Column(column) = local else { return TokenStream::new() };
            let used = model.fields.iter().find(|field| field.ident.unraw() == column.as_str()).map(&value);
            quote!(&#used)
        });
        let (value, ty, tokens) = (value(field), field.ty, resolved.tokens);
        lets.extend(quote!(let #value: #ty = { #needed (#tokens) };));
    }
    let fields = model.fields.iter().map(|field| {
        let (ident, value) = (field.ident, value(field));
        quote!(#ident: #value,)
    });
    quote! {
        fn row(
                __key: Self::Key, __state: &__State, __shown: __cqrs::ShownCells<'_>,
            ) -> ::core::option::Option<Self> {
            let #pattern = __key;
            #lets
            ::core::option::Option::Some(Self { #(#fields)* })
        }
    }
}

/// What came out of one source.
struct Reads {
    implementation: TokenStream,
    /// By event: the fields that its expressions use, and their canonical form.
    events: Vec<(BTreeSet<String>, String)>,
}

fn reads(model: &Projection<'_>, at: usize, errors: &mut Errors) -> Reads {
    let source = &model.sources[at];
    let (name, path) = (model.name, &source.path);
    let mut events = Vec::new();
    let (mut key_arms, mut fold_arms, mut run_arms) = (Vec::new(), Vec::new(), Vec::new());
    let many = is_many(model);
    for (number, event) in source.events.iter().enumerate() {
        let mut uses = BTreeSet::new();
        let mut words = String::new();
        if many {
            run_arms.push(run::event(model, at, number, &mut uses, &mut words, errors));
            events.push((uses, words));
            continue;
        }
        let key = key_of(model, event, &mut uses, &mut words, errors);
        let fold = fold_of(model, at, number, &[], &mut uses, &mut words, errors);
        key_arms.push(key);
        fold_arms.push(quote!(#fold ::core::result::Result::Ok(true)));
        events.push((uses, words));
    }
    // The twin of an enum is reached through an alias: a qualified path is no pattern.
    let twin = Ident::new("__Twin", Span::mixed_site());
    let passes = key_arms.iter().zip(&fold_arms).map(|(key, fold)| {
        quote! {
            match __pass {
                __cqrs::Pass::Key(__writer) => { #key }
                __cqrs::Pass::Fold(__state, mut __cells) => { #fold }
            }
        }
    });
    let arms: Vec<TokenStream> = if many { run_arms } else { passes.collect() };
    // What an arm is, and what is done with an event that is passed over.
    let passed = if many { quote!(()) } else { quote!(::core::result::Result::Ok(false)) };
    let (body, wants) = match source.open {
        None => (quote!(#(#arms)*), quote!(true)),
        Some(open) => {
            let variants: Vec<_> = source.events.iter().map(|event| &event.name).collect();
            let names = variants.iter().map(|variant| variant.unraw().to_string());
            let rest = open.then(|| quote!(#[allow(unreachable_patterns)] _ => #passed,));
            // rustc names the variants that are left out under what is matched on: the enum, in the user's words.
            let matched = Ident::new("__matched", source.path.span());
            (
                quote! {
                    type #twin<'a> = <#path as __cqrs::Source>::Ref<'a>;
                    let #matched = __recorded;
                    match #matched { #( #twin::#variants(__recorded) => { #arms } )* #rest }
                },
                quote!(::core::matches!(<#path as __cqrs::Source>::TYPES[type_index].variant, #(#names)|*)),
            )
        }
    };
    let (assumed, way) = (assumptions(model), way(source));
    let (pass, run) = if many {
        let run = quote! {
            fn run(
                __recorded: &<#path as __cqrs::Source>::Ref<'_>,
                __recorded_meta: &__cqrs::Meta,
                __sign: __cqrs::SignOf<#path>,
                __joined: &<<Self as __cqrs::Projection>::Joins as __cqrs::JoinSet>::Rows<'_>,
                __sink: &mut __cqrs::Sink<'_, Self>,
            ) -> ::core::result::Result<(), __cqrs::FoldError> {
                let __whole = __recorded;
                #body
                ::core::result::Result::Ok(())
            }
        };
        (quote!(::core::result::Result::Ok(false)), run)
    } else {
        (body, TokenStream::new())
    };
    let implementation = quote! {
        impl __cqrs::Reads<#path> for #name where #assumed {
            fn wants(type_index: usize) -> bool {
                #wants
            }
            #way
            #[inline(always)]
            fn pass(
                __recorded: &<#path as __cqrs::Source>::Ref<'_>,
                __recorded_meta: &__cqrs::Meta,
                __sign: __cqrs::SignOf<#path>,
                __pass: __cqrs::Pass<'_, '_, __State>,
            ) -> ::core::result::Result<bool, __cqrs::FoldError> {
                #pass
            }
            #run
        }
    };
    Reads { implementation, events }
}

/// `fn way`, where a source is not merely folded.
fn way(source: &Source) -> Option<TokenStream> {
    if source.events.iter().all(|event| event.action == Action::Fold) {
        return None;
    }
    let word = |event: &SourceEvent| match event.action {
        Action::Fold => quote!(Folds),
        Action::Remove { .. } => quote!(Removes),
        Action::ByHand => quote!(FoldsByHand),
    };
    let (path, ways) = (&source.path, source.events.iter().map(word));
    let body = if source.open.is_none() {
        quote!(#(__cqrs::Way::#ways)*)
    } else {
        let variants = source.events.iter().map(|event| event.name.unraw().to_string());
        quote! {
            match <#path as __cqrs::Source>::TYPES[type_index].variant {
                #(#variants => __cqrs::Way::#ways,)*
                _ => __cqrs::Way::Folds,
            }
        }
    };
    Some(quote! {
        fn way(type_index: usize) -> __cqrs::Way {
            #body
        }
    })
}

/// The guard and the key of one event: `true` if it is seen.
fn key_of(
    model: &Projection<'_>,
    event: &SourceEvent,
    uses: &mut BTreeSet<String>,
    words: &mut String,
    errors: &mut Errors,
) -> TokenStream {
    let guard = guard(event, &[], &quote!(return ::core::result::Result::Ok(false)), uses, words, errors);
    let parts = model.groups.iter().map(|group| key_part(group, event, &[], uses, words, errors));
    let parts: Vec<_> = parts.collect();
    quote! {
        #guard
        #(#parts)*
        ::core::result::Result::Ok(true)
    }
}

/// The guard of an event, which leaves where it turns the event away.
pub(super) fn guard(
    event: &SourceEvent,
    bound: &[String],
    leave: &TokenStream,
    uses: &mut BTreeSet<String>,
    words: &mut String,
    errors: &mut Errors,
) -> Option<TokenStream> {
    let guard = event.guard.as_ref()?;
    words.push_str("if ");
    words.push_str(&canonical(guard));
    let (tokens, lets) = column::expression(guard, bound, uses, errors);
    let local = Ident::new("__guard", guard.span());
    Some(quote!(#lets let #local: bool = #tokens; if !#local { #leave; }))
}

/// A column of an event's key, written to `__writer`.
pub(super) fn key_part(
    group: &Group<'_>,
    event: &SourceEvent,
    bound: &[String],
    uses: &mut BTreeSet<String>,
    words: &mut String,
    errors: &mut Errors,
) -> TokenStream {
    let renamed = event.keys.iter().find(|key| key.name.unraw() == group.name.unraw()).map(|key| &key.expr);
    let own: syn::Expr = {
        let field = &group.name;
        syn::parse_quote!(#field)
    };
    let expr = renamed.or(group.expr.as_ref()).unwrap_or(&own);
    words.push_str("; key ");
    words.push_str(&canonical(expr));
    let (tokens, lets) = column::expression(expr, bound, uses, errors);
    let ty = group.ty;
    let (put, local) = (Ident::new("put", expr.span()), Ident::new("__part", expr.span()));
    let done = quote!(__cqrs::KeyColumn::<#ty>::COLUMN.#put(#local, __writer));
    column::held(&local, &tokens, &lets, &done)
}

/// The columns that are folded by hand only.
pub(super) fn plain_fields<'m>(model: &'m Projection<'_>) -> Vec<&'m Ident> {
    let plain = model.fields.iter().filter(|field| matches!(field.column, Column::Plain));
    plain.map(|field| field.ident).collect()
}

/// The bound of the window that is the last column of the key, and whether it is the start.
pub(super) fn window_key<'m>(model: &'m Projection<'_>) -> Option<(&'m RowField<'m>, bool)> {
    let start = model.fields.iter().find(|field| matches!(field.column, Column::WindowStart));
    let end = model.fields.iter().find(|field| matches!(field.column, Column::WindowEnd));
    start.map(|field| (field, true)).or(end.map(|field| (field, false)))
}

/// The steps of one event in every column, then their commits.
pub(super) fn fold_of(
    model: &Projection<'_>,
    source: usize,
    event: usize,
    bound: &[String],
    uses: &mut BTreeSet<String>,
    words: &mut String,
    errors: &mut Errors,
) -> TokenStream {
    let (mut steps, mut commits) = (TokenStream::new(), TokenStream::new());
    for (number, (field, aggregate)) in aggregates(model).enumerate() {
        let number = number as u8;
        let inputs = &aggregate.inputs[source][event];
        words.push_str("; column ");
        words.push_str(&field.ident.unraw().to_string());
        for input in inputs {
            for (word, expr) in [(" if ", &input.guard), (" = ", &input.value), (" by ", &input.by)] {
                if let Some(expr) = expr {
                    words.push_str(word);
                    words.push_str(&canonical(expr));
                }
            }
            words.push(',');
        }
        let Some(step) = column::step(field, aggregate, inputs, bound, uses, errors) else { continue };
        let (local, ident) =
            (format_ident!("__step_{}", field.ident.unraw(), span = Span::mixed_site()), field.ident);
        steps.extend(quote!(let #local = #step;));
        commits.extend(quote! {
            if let ::core::option::Option::Some(step) = #local {
                __state.#ident.commit(step, &mut __cells.at(#number));
            }
        });
    }
    quote! {
        #steps
        #commits
    }
}

/// Everything that the rows depend on and a macro can see.
fn fingerprint(model: &Projection<'_>, reads: &[Reads]) -> TokenStream {
    let mut parts = TokenStream::new();
    for (source, reads) in model.sources.iter().zip(reads) {
        let path = &source.path;
        for (event, (uses, words)) in source.events.iter().zip(&reads.events) {
            let variant = event.name.unraw().to_string();
            parts.extend(quote! {
                let types = <#path as __cqrs::Source>::TYPES;
                let hash = if <#path as __cqrs::Source>::FINGERPRINT == 0 { hash } else { __cqrs::mix(hash, <#path as __cqrs::Source>::FINGERPRINT) };
                let hash = __cqrs::mix(hash, __cqrs::source_shape(types, #variant));
                let hash = __cqrs::mix_str(hash, #words);
                #( let hash = __cqrs::mix(hash, __cqrs::field_shape(types, #variant, #uses)); )*
            });
            // What of it a fold by hand uses is in a function's body, so all of it is.
            if event.action == Action::ByHand {
                parts.extend(quote!(let hash = __cqrs::mix(hash, __cqrs::whole_shape(types, #variant));));
            }
        }
    }
    let mut words = String::new();
    for group in &model.groups {
        words.push_str(&format!("key {}; ", group.name.unraw()));
    }
    for field in &model.fields {
        let what = match &field.column {
            Column::Key(_) => "key".to_owned(),
            Column::WindowStart | Column::WindowEnd => {
                let which =
                    if matches!(field.column, Column::WindowStart) { "window start" } else { "window end" };
                // One of them is of the key, whose type is seen.
                let ty = canonical(field.ty);
                let alike = window_key(model).is_none_or(|(key, _)| canonical(key.ty) == ty);
                if alike { which.to_owned() } else { format!("{which} {ty}") }
            }
            Column::Plain => "by hand".to_owned(),
            Column::Aggregate(aggregate) => {
                let (limit, n) = (&aggregate.limit, &aggregate.n);
                let custom = aggregate.custom.as_ref().map_or("", |custom| &custom.written);
                // Of these, the state does not say of which type the column is.
                let stateless = matches!(aggregate.kind, Kind::Avg | Kind::Variance | Kind::Stddev);
                let maybe = if stateless && option_of(field.ty).is_some() { " maybe" } else { "" };
                format!("{} {}{custom}{maybe}", aggregate_word(aggregate.kind), canonical(&quote!(#limit #n)))
            }
            Column::Computed(expr) => format!("computed {}", canonical(expr)),
        };
        words.push_str(&format!("{} {what}; ", field.ident.unraw()));
    }
    if let Some(having) = &model.having {
        words.push_str(&format!("having {}", canonical(having)));
    }
    for field in &model.fields {
        if let Column::Computed(_) = field.column {
            let ty = field.ty;
            parts.extend(quote!(let hash = __cqrs::mix(hash, <#ty as __cqrs::Value>::SHAPE);));
        }
    }
    for join in &model.joins {
        let path = &join.path;
        parts.extend(quote!(let hash = __cqrs::mix(hash, <#path as __cqrs::Projection>::FINGERPRINT);));
    }
    if let Some(window) = &model.window {
        words.push_str(&format!(
            "window {:?} {:?} {:?} {:?} {} {:?}",
            window.shape, window.lateness, window.max_ahead, window.keep, window.emit_final, window.unit
        ));
    }
    if model.parks.is_some() {
        words.push_str("; on fault park");
    }
    let version = model.version;
    quote! {{
        let hash: u128 = 1;
        #parts
        let hash = __cqrs::mix(hash, <<Self as __cqrs::Projection>::Key as __cqrs::Key>::SHAPE);
        let hash = __cqrs::mix(hash, <__State as __cqrs::State>::SHAPE);
        let hash = __cqrs::mix_str(hash, #words);
        __cqrs::mix(hash, #version as u128)
    }}
}

fn aggregate_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Count => "count",
        Kind::Sum => "sum",
        Kind::Avg => "avg",
        Kind::Min => "min",
        Kind::Max => "max",
        Kind::First => "first",
        Kind::FirstBy => "first by",
        Kind::Last => "last",
        Kind::LastBy => "last by",
        Kind::Variance => "variance",
        Kind::Stddev => "stddev",
        Kind::CountDistinct => "count_distinct",
        Kind::Collect => "collect",
        Kind::Top => "top",
        Kind::TopBy => "top by",
        Kind::Any => "any",
        Kind::All => "all",
        Kind::Fold => "fold",
    }
}

/// The types of the key's columns: the groups, then the window's bound.
fn key_types<'m>(model: &'m Projection<'_>) -> Vec<&'m syn::Type> {
    let window = window_key(model).map(|(field, _)| field.ty);
    model.groups.iter().map(|group| group.ty).chain(window).collect()
}

/// Which of the row's fields the key's columns are.
fn key_columns(model: &Projection<'_>) -> Vec<usize> {
    let window = window_key(model).map(|(field, _)| field.ident);
    let place = |wanted: &dyn Fn(&RowField<'_>) -> bool| model.fields.iter().position(wanted);
    let group = |number| place(&|field| matches!(field.column, Column::Key(group) if group == number));
    let groups = (0..model.groups.len()).filter_map(group);
    groups.chain(place(&|field| Some(field.ident) == window)).collect()
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

/// The type that has the projection's look-ups by the access `__A`, and what the projection says of its indexes.
fn lookups(model: &Projection<'_>) -> (TokenStream, TokenStream) {
    if model.indexes.is_empty() {
        return (quote!(__cqrs::NoLookups), TokenStream::new());
    }
    let name = &model.lookups;
    let count = model.indexes.len();
    let arms = model.indexes.iter().enumerate().map(|(at, index)| {
        let columns = &index.columns;
        quote!(#at => { #( __cqrs::Value::write_key(&self.#columns, out); )* })
    });
    let places = model.indexes.iter().map(|index| {
        let place =
            |column: &Ident| model.fields.iter().position(|field| field.ident.unraw() == column.unraw());
        let places = index.columns.iter().filter_map(place);
        quote!(&[#(#places),*])
    });
    let indexes = quote! {
        const INDEXES: usize = #count;
        const INDEX_COLUMNS: &'static [&'static [usize]] = &[#(#places),*];
        fn index_key(&self, index: usize, out: &mut ::std::vec::Vec<u8>) {
            match index {
                #(#arms)*
                _ => {}
            }
        }
    };
    (quote!(#name<__A>), indexes)
}

/// The type that has the projection's look-ups: `by_item`, and `by_item_in` for a range.
fn lookup_type(model: &Projection<'_>) -> TokenStream {
    if model.indexes.is_empty() {
        return TokenStream::new();
    }
    let (row, name) = (model.name, &model.lookups);
    let mut methods = TokenStream::new();
    let mut made: BTreeSet<String> = BTreeSet::new();
    for (at, index) in model.indexes.iter().enumerate() {
        let types = index.columns.iter().map(|column| {
            model.fields.iter().find(|field| field.ident.unraw() == column.unraw()).map(|field| field.ty)
        });
        // A column that the row has not is reported already.
        let Some(types) = types.collect::<Option<Vec<_>>>() else { continue };
        let names: Vec<_> = index.columns.iter().map(|column| column.unraw().to_string()).collect();
        for length in (1..=names.len()).rev() {
            let (types, columns) = (&types[..length], &index.columns[..length]);
            let method = format!("by_{}", names[..length].join("_"));
            if !made.insert(method.clone()) {
                continue;
            }
            let equal = Ident::new(&method, columns[length - 1].span());
            let range = Ident::new(&format!("{method}_in"), columns[length - 1].span());
            let (last_ty, first_tys) = (types[length - 1], &types[..length - 1]);
            let (last, first) = (&columns[length - 1], &columns[..length - 1]);
            let list = names[..length].join("`, `");
            let doc = format!(
                "The rows with these values of `{list}`, in the order of the index `({})`.",
                names.join(", ")
            );
            let doc_in = format!(
                "The rows with a value of `{last}` in this range, in its order{}.",
                if first.is_empty() { "" } else { ", and these of the columns before it" }
            );
            methods.extend(quote! {
                #[doc = #doc]
                ///
                /// # Errors
                ///
                /// As those of the view's `get`.
                pub fn #equal(
                    &self, #(#columns: <#types as __cqrs::KeyPart>::Ref<'_>),*
                ) -> __A::Answer<__cqrs::ViewRows<#row>> {
                    let mut __prefix = ::std::vec::Vec::new();
                    #( <#types as __cqrs::KeyPart>::write_ref(&#columns, &mut __prefix); )*
                    self.0.with(#at, &__prefix)
                }
                #[doc = #doc_in]
                ///
                /// # Errors
                ///
                /// As those of the view's `get`.
                pub fn #range<'a>(
                    &self, #(#first: <#first_tys as __cqrs::KeyPart>::Ref<'_>,)*
                    #last: impl ::core::ops::RangeBounds<<#last_ty as __cqrs::KeyPart>::Ref<'a>>,
                ) -> __A::Answer<__cqrs::ViewRows<#row>> {
                    let mut __prefix = ::std::vec::Vec::new();
                    #( <#first_tys as __cqrs::KeyPart>::write_ref(&#first, &mut __prefix); )*
                    let __bytes = |__bound: ::core::ops::Bound<&<#last_ty as __cqrs::KeyPart>::Ref<'a>>| __bound.map(|__value| {
                        let mut __out = ::std::vec::Vec::new();
                        <#last_ty as __cqrs::KeyPart>::write_ref(__value, &mut __out);
                        __out
                    });
                    self.0.within(#at, &__prefix, (__bytes(#last.start_bound()), __bytes(#last.end_bound())))
                }
            });
        }
    }
    let doc = format!("The look-ups of [`{row}`]'s indexes.");
    let assumed = indexed_types(model).into_iter().map(|(_, ty)| quote!(for<'__k> #ty: __cqrs::KeyPart));
    quote! {
        #[doc = #doc]
        pub struct #name<__A = __cqrs::LiveAccess>(__cqrs::Indexed<#row, __A>);
        impl<__A> ::core::convert::From<__cqrs::Indexed<#row, __A>> for #name<__A> {
            fn from(indexed: __cqrs::Indexed<#row, __A>) -> Self {
                Self(indexed)
            }
        }
        impl<__A: __cqrs::Access> #name<__A> where #(#assumed,)* { #methods }
    }
}

/// What is asked of the sources, each in one place.
fn questions(model: &Projection<'_>) -> TokenStream {
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

/// A window's clock is moved by ticks, too.
fn tick(model: &Projection<'_>) -> TokenStream {
    if model.window.is_none() {
        return TokenStream::new();
    }
    let (name, assumed) = (model.name, assumptions(model));
    quote! {
        impl __cqrs::Reads<__cqrs::Tick> for #name where #assumed {
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

/// `PrefixOf` for the borrowed forms of the first key columns: one, two, .. but not all.
fn prefixes(model: &Projection<'_>) -> TokenStream {
    let name = model.name;
    let mut implementations = TokenStream::new();
    let key_types = key_types(model);
    for parts in 1..key_types.len() {
        let types = &key_types[..parts];
        let refs = types.iter().map(|ty| quote!(<#ty as __cqrs::KeyPart>::Ref<'a>));
        let locals: Vec<_> = (0..parts).map(|at| format_ident!("__part_{at}")).collect();
        let text = parts == 1 && is_string(types[0]);
        let (prefix, pattern) = if text {
            // By name: rustc does not know this form of a `String` from others that stand here.
            (quote!(&'a ::core::primitive::str), quote!(#(#locals)*))
        } else if parts == 1 {
            (quote!(#(#refs)*), quote!(#(#locals)*))
        } else {
            (quote!((#(#refs),*)), quote!((#(#locals),*)))
        };
        implementations.extend(quote! {
            impl<'a> __cqrs::PrefixOf<#name, #parts> for #prefix {
                fn write_prefix(&self, out: &mut ::std::vec::Vec<u8>) {
                    let #pattern = self;
                    #( <#types as __cqrs::KeyPart>::write_ref(#locals, out); )*
                }
            }
        });
        // Where one is asked for, rustc does not make a `&str` of a `&String` by itself, as it does for a whole key.
        if text {
            let ty = types[0];
            implementations.extend(quote! {
                impl<'a> __cqrs::PrefixOf<#name, 1> for &'a #ty {
                    fn write_prefix(&self, out: &mut ::std::vec::Vec<u8>) {
                        <#ty as __cqrs::KeyPart>::write_ref(&self.as_str(), out);
                    }
                }
            });
        }
    }
    implementations
}

/// The row as a source of other projections: its borrowed twin.
fn twin(model: &Projection<'_>) -> TokenStream {
    let name = model.name;
    let twin = &model.twin;
    let doc = format!("The borrowed twin of a row, `{twin}`.");
    let forms = model.fields.iter().map(|field| {
        let (ident, ty) = (field.ident, field.ty);
        if is_string(ty) {
            (quote!(&'a str), quote!(::std::string::String::as_str(&self.#ident)))
        } else if option_of(ty).is_some_and(is_string) {
            (quote!(::core::option::Option<&'a str>), quote!(::core::option::Option::as_deref(&self.#ident)))
        } else if is_collection(ty) {
            (quote!(&'a #ty), quote!(&self.#ident))
        } else {
            (quote!(#ty), quote!(::core::clone::Clone::clone(&self.#ident)))
        }
    });
    let (types, places): (Vec<_>, Vec<_>) = forms.unzip();
    let idents: Vec<_> = model.fields.iter().map(|field| field.ident).collect();
    let assumed = assumptions(model);
    quote! {
        #[doc = #doc]
        #[allow(private_interfaces, dead_code)]
        pub struct #twin<'a> {
            #(pub #idents: #types,)*
            #[doc(hidden)]
            pub __row: ::core::marker::PhantomData<&'a ()>,
        }
        impl __cqrs::Source for #name where #assumed {
            type Ref<'a> = #twin<'a>;
            type Mode = __cqrs::Changing;
            const TYPES: &'static [__cqrs::Schema] = &[];
            const FINGERPRINT: u128 = <Self as __cqrs::Projection>::FINGERPRINT;
            fn visit<__P: __cqrs::Reads<Self>, __V: __cqrs::SourceVisitor<__P>>(visitor: &mut __V) {
                visitor.view::<Self>();
            }
        }
        impl __cqrs::RowSource for #name where #assumed {
            fn borrowed(&self) -> #twin<'_> {
                #twin { #(#idents: #places,)* __row: ::core::marker::PhantomData }
            }
            fn sign(sign: __cqrs::Sign) -> __cqrs::Sign {
                sign
            }
        }
    }
}

/// A collection, by its spelling: not copied to be looked at.
fn is_collection(ty: &syn::Type) -> bool {
    let syn::Type::Path(path) = super::event::ungrouped(ty) else { return false };
    path.path
        .segments
        .last()
        .is_some_and(|last| ["Vec", "BTreeSet", "BTreeMap"].iter().any(|known| last.ident == known))
}
