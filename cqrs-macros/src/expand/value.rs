//! `#[value]`: a type of the user's as a field, and, if it is a unit-only enum or a newtype, as a key or a column.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Fields};

use crate::check;
use crate::errors::Errors;
use crate::prepend::core_path;
use crate::serde_attrs;

pub(super) fn expand(item: &DeriveInput, errors: &mut Errors) -> TokenStream {
    let core = core_path();
    if !item.generics.params.is_empty() {
        errors.at(&item.generics, "a value has no generics: its stored form has one shape");
        return TokenStream::new();
    }
    let fields = match &item.data {
        Data::Struct(data) => vec![&data.fields],
        Data::Enum(data) => data.variants.iter().map(|variant| &variant.fields).collect(),
        Data::Union(_) => Vec::new(),
    };
    for field in fields.into_iter().flatten() {
        let serde = serde_attrs::field(&field.attrs);
        if !serde.read_by_function && !serde.skipped {
            check::no_option_twice(&field.ty, errors);
        }
    }
    let implementation = match &item.data {
        Data::Enum(data)
            if !data.variants.is_empty() && data.variants.iter().all(|v| v.fields.is_empty()) =>
        {
            unit_enum(item, data)
        }
        Data::Struct(data) => match &data.fields {
            Fields::Unnamed(fields) if fields.unnamed.len() == 1 => newtype(item, &fields.unnamed[0].ty),
            // Any other shape can stand in an event, where serde is all it needs.
            _ => return TokenStream::new(),
        },
        _ => return TokenStream::new(),
    };
    let name = &item.ident;
    let clone = quote_spanned!(name.span()=> const _: () = __cqrs::is_clone::<#name>(););
    quote! {
        #[automatically_derived]
        const _: () = {
            use #core::__private as __cqrs;
            #clone
            #implementation
        };
    }
}

/// Stored as the variant's number: in the order of declaration, which is the order of `min` and `max`.
fn unit_enum(item: &DeriveInput, data: &syn::DataEnum) -> TokenStream {
    let name = &item.ident;
    let text = syn::ext::IdentExt::unraw(name).to_string();
    let variants: Vec<_> = data.variants.iter().map(|variant| &variant.ident).collect();
    let numbers: Vec<_> = (0..variants.len()).map(|number| number as u32).collect();
    quote! {
        impl __cqrs::Value for #name where for<'k> #name: ::core::clone::Clone {
            const SHAPE: u128 = {
                let hash = __cqrs::mix_str(0, #text);
                #( let hash = __cqrs::mix_str(hash, ::core::stringify!(#variants)); )*
                hash
            };
            const SQL: __cqrs::SqlType = __cqrs::SqlType::Text;
            fn write(&self, out: &mut ::std::vec::Vec<u8>) {
                let number: u32 = match self { #(Self::#variants => #numbers,)* };
                __cqrs::Value::write(&number, out);
            }
            fn read(input: &mut &[u8]) -> ::core::option::Option<Self> {
                match <u32 as __cqrs::Value>::read(input)? {
                    #(#numbers => ::core::option::Option::Some(Self::#variants),)*
                    _ => ::core::option::Option::None,
                }
            }
            fn sql(&self) -> __cqrs::SqlValue {
                let name = match self { #(Self::#variants => ::core::stringify!(#variants),)* };
                __cqrs::SqlValue::Text(::std::convert::From::from(name))
            }
        }
        impl __cqrs::Scalar for #name where for<'k> #name: ::core::clone::Clone {}
        impl __cqrs::Item for #name where for<'k> #name: ::core::clone::Clone {}
        impl __cqrs::KeyPart for #name where for<'k> #name: ::core::clone::Clone {
            type Ref<'a> = Self;
            fn write_ref(key: &Self, out: &mut ::std::vec::Vec<u8>) {
                __cqrs::Value::write_key(key, out);
            }
        }
    }
}

fn newtype(item: &DeriveInput, inner: &syn::Type) -> TokenStream {
    let name = &item.ident;
    let text = syn::ext::IdentExt::unraw(name).to_string();
    // `for<'k>`: a float inside makes this no key, and no error before somebody groups by it.
    let key = quote_spanned!(inner.span()=> for<'k> #inner: __cqrs::KeyPart);
    let value = quote_spanned!(inner.span()=> <#inner as __cqrs::Value>);
    // And anything else that no row can hold makes it a mere field of events.
    let column =
        quote_spanned!(inner.span()=> for<'k> #inner: __cqrs::Value, for<'k> #name: ::core::clone::Clone);
    quote! {
        impl __cqrs::Value for #name where #column {
            const SHAPE: u128 = __cqrs::mix(__cqrs::mix_str(0, #text), #value::SHAPE);
            const SQL: __cqrs::SqlType = #value::SQL;
            fn write(&self, out: &mut ::std::vec::Vec<u8>) {
                #value::write(&self.0, out);
            }
            fn read(input: &mut &[u8]) -> ::core::option::Option<Self> {
                #value::read(input).map(Self)
            }
            fn write_key(&self, out: &mut ::std::vec::Vec<u8>) {
                #value::write_key(&self.0, out);
            }
            fn read_key(input: &mut &[u8]) -> ::core::option::Option<Self> {
                #value::read_key(input).map(Self)
            }
            fn order(&self, other: &Self) -> ::core::cmp::Ordering {
                #value::order(&self.0, &other.0)
            }
            fn same(&self, other: &Self) -> bool {
                #value::same(&self.0, &other.0)
            }
            fn sql(&self) -> __cqrs::SqlValue {
                #value::sql(&self.0)
            }
        }
        impl __cqrs::Scalar for #name where #column {}
        impl __cqrs::Item for #name where #column {}
        impl __cqrs::KeyPart for #name where #column, #key {
            type Ref<'a> = &'a Self;
            fn write_ref(key: &&Self, out: &mut ::std::vec::Vec<u8>) {
                __cqrs::Value::write_key(*key, out);
            }
        }
    }
}
