//! An event that is a struct.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Data, DeriveInput, Fields};

use super::asked::asking;
use super::older::Older;
use super::twin::Twin;
use crate::errors::Errors;
use crate::expr::beside;
use crate::options::EventOptions;
use crate::prepend::core_path;
use crate::serde_attrs;

pub(super) fn expand(item: &DeriveInput, errors: &mut Errors) -> TokenStream {
    let core = core_path();
    let options = EventOptions::of_item(&item.attrs, errors);
    refuse_generics(item, errors);
    let rename_all = serde_attrs::container(&item.attrs, errors);
    let Data::Struct(data) = &item.data else {
        errors.at(
            &item.ident,
            "an event is a struct with named fields, or an enum of such: a union cannot be one",
        );
        return TokenStream::new();
    };
    let Fields::Named(fields) = &data.fields else {
        errors.at(
            &item.ident,
            "an event has named fields, since they are stored under their names: write `struct .. { field: Type }`",
        );
        return TokenStream::new();
    };
    let name = &item.ident;
    let twin = Twin::new(beside(format_ident!("{name}Ref"), item), fields, rename_all, &item.attrs, errors);
    if let Some(path) = options.upcast.as_ref().filter(|path| path.is_ident(name)) {
        errors
            .at(path, "a type does not upcast from itself: name the type that the version before is read as");
    }
    let older = Older::new(&options, name, name);
    let (asked, upcasts) = (older.as_ref().map(|older| &older.asked), older.as_ref().map(Older::upcasts));
    let standing = if options.retired { quote!(Retired) } else { quote!(Current) };
    let (definition, twin_name, generics) = (twin.definition(), &twin.name, twin.generics());
    let schema = twin.schema(&options, older.as_ref(), name, &quote!(::core::stringify!(#name)));
    let borrowed = twin.borrow(|field| quote!(self.#field));
    let (bindings, owned) = (twin.pattern(), twin.own());
    let (decode, asking) = (twin.decode(), asking());
    quote! {
        #[automatically_derived]
        #[allow(non_camel_case_types)]
        const _: () = {
            use #core::__private as __cqrs;
            #asking
            #definition
            #asked
            impl __cqrs::Event for #name {
                type Ref<'a> = #twin_name #generics;
                type Standing = __cqrs::#standing;
                const TYPES: &'static [__cqrs::Schema] = &[<Self as __cqrs::NamedEvent>::SCHEMA];
                fn type_index(&self) -> usize {
                    0
                }
                fn encode(
                    &self, out: &mut ::std::vec::Vec<u8>,
                ) -> ::core::result::Result<(), __cqrs::EncodeError> {
                    __cqrs::encode(<Self as __cqrs::NamedEvent>::NAME, self, out)
                }
                fn decode(
                    _: usize, payload: &[u8],
                ) -> ::core::result::Result<Self::Ref<'_>, __cqrs::DecodeError> {
                    #decode
                }
                #upcasts
                fn borrowed(&self) -> Self::Ref<'_> {
                    #twin_name { #borrowed }
                }
                fn owned(event: Self::Ref<'_>) -> Self {
                    let #twin_name { #bindings } = event;
                    Self { #owned }
                }
            }
            impl __cqrs::NamedEvent for #name {
                const SCHEMA: __cqrs::Schema = #schema;
            }
        };
    }
}

/// An event's generics would make it many events under one stored name.
pub(super) fn refuse_generics(item: &DeriveInput, errors: &mut Errors) {
    if !item.generics.params.is_empty() {
        errors.at(
            &item.generics,
            "an event has no generics: each stored type has one name and one set of fields",
        );
    }
}
