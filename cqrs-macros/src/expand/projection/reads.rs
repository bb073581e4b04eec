//! What is done with the events of a source: guards, keys, and the steps of the columns.

use std::collections::BTreeSet;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote};
use syn::ext::IdentExt;
use syn::spanned::Spanned;

use super::aggregates;
use crate::errors::Errors;
use crate::expand::column;
use crate::expand::run::{self, is_many};
use crate::expr::canonical;
use crate::model::{Action, Group, Projection, Source, SourceEvent};

/// What came out of one source.
pub(super) struct Reads {
    pub(super) implementation: TokenStream,
    /// By event: the fields that its expressions use, and their canonical form.
    pub(super) events: Vec<(BTreeSet<String>, String)>,
}

pub(super) fn reads(model: &Projection<'_>, at: usize, errors: &mut Errors) -> Reads {
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
    let way = way(source);
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
        impl __cqrs::Reads<#path> for #name {
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
pub(in crate::expand) fn guard(
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
pub(in crate::expand) fn key_part(
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
    let ty = &group.ty;
    let (put, local) = (Ident::new("put", expr.span()), Ident::new("__part", expr.span()));
    let done = quote!(__cqrs::KeyColumn::<#ty>::COLUMN.#put(#local, __writer));
    column::held(&local, &tokens, &lets, &done)
}

/// The steps of one event in every column, then their commits.
pub(in crate::expand) fn fold_of(
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
