//! A row: what is kept of it, and how it is made of that.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;

use super::{aggregates, key_types, window_key};
use crate::check::computed_order;
use crate::errors::Errors;
use crate::expand::column;
use crate::expr::{Local, Names, resolve};
use crate::model::{Aggregate, Column, Kind, Projection, RowField};

pub(super) fn state(model: &Projection<'_>) -> TokenStream {
    let (idents, types): (Vec<_>, Vec<_>) =
        aggregates(model).map(|(field, aggregate)| (field.ident, column::state(field, aggregate))).unzip();
    let mut idents = idents;
    let mut types = types;
    for field in model.fields.iter().filter(|field| matches!(field.column, Column::Plain)) {
        let (ident, ty) = (field.ident, &field.ty);
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
    let may_be_empty = aggregates(model).filter(|(_, aggregate)| aggregate.may_be_empty).map(|(field, _)| {
        let ty = &field.ty;
        let check = quote_spanned!(ty.span()=> __cqrs::may_be_empty::<#ty>());
        quote!(const _: () = #check;)
    });
    quote! {
        #(#may_be_empty)*
        #[derive(Clone, Default)]
        #[allow(private_interfaces)]
        pub struct __State { #(#idents: #types,)* #end_field __live: <__Mode as __cqrs::Mode>::Live }
        impl __cqrs::State for __State {
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

/// `fn row`: the key's parts, the aggregates' values, then the computed columns, each after those it uses.
pub(super) fn row(model: &Projection<'_>, errors: &mut Errors) -> TokenStream {
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
        let (value, ty, ident) = (value(field), &field.ty, field.ident);
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
            let used = model.field(column).map(|(_, field)| value(field));
            quote!(&#used)
        });
        let (value, ty, tokens) = (value(field), &field.ty, resolved.tokens);
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
