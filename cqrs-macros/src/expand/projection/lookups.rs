//! How rows are found, but by their whole key: by an index, and by the first columns of the key.

use std::collections::BTreeSet;

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use syn::ext::IdentExt;

use super::key_types;
use super::types::of_indexes;
use crate::model::Projection;
use crate::spelling::is_string;

/// The type that has the projection's look-ups by the access `__A`, and what the projection says of its indexes.
pub(super) fn lookups(model: &Projection<'_>) -> (TokenStream, TokenStream) {
    if model.indexes.is_empty() {
        return (quote!(__cqrs::NoLookups), TokenStream::new());
    }
    let name = &model.lookups;
    let count = model.indexes.len();
    let arms = model.indexes.iter().enumerate().map(|(at, index)| {
        let columns = index.columns.iter().filter_map(|column| {
            let (_, field) = model.field(&column.unraw().to_string())?;
            let ty = &field.ty;
            Some(quote!(<#ty as __cqrs::Value>::write_key(&self.#column, out);))
        });
        quote!(#at => { #(#columns)* })
    });
    let places = model.indexes.iter().map(|index| {
        let columns = index.columns.iter();
        let places = columns.filter_map(|column| Some(model.field(&column.unraw().to_string())?.0));
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
pub(super) fn lookup_type(model: &Projection<'_>) -> TokenStream {
    if model.indexes.is_empty() {
        return TokenStream::new();
    }
    let (row, name) = (model.name, &model.lookups);
    let mut methods = TokenStream::new();
    let mut made: BTreeSet<String> = BTreeSet::new();
    let (asked, types) = of_indexes(model);
    for ((at, index), types) in model.indexes.iter().enumerate().zip(&types) {
        if types.len() < index.columns.len() {
            continue;
        }
        let names: Vec<_> = index.columns.iter().map(|column| column.unraw().to_string()).collect();
        for length in (1..=names.len()).rev() {
            let (types, columns) = (&types[..length], &index.columns[..length]);
            let method = format!("by_{}", names[..length].join("_"));
            if !made.insert(method.clone()) {
                continue;
            }
            let equal = Ident::new(&method, columns[length - 1].span());
            let range = Ident::new(&format!("{method}_in"), columns[length - 1].span());
            let (last_ty, first_tys) = (&types[length - 1], &types[..length - 1]);
            let (last, first) = (&columns[length - 1], &columns[..length - 1]);
            let list = names[..length].join("`, `");
            let doc = format!(
                "The rows with these values of `{list}`, in the order of the index `({})`, and then of their keys.",
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
    quote! {
        #asked
        #[doc = #doc]
        pub struct #name<__A = __cqrs::LiveAccess>(__cqrs::Indexed<#row, __A>);
        impl<__A> ::core::convert::From<__cqrs::Indexed<#row, __A>> for #name<__A> {
            fn from(indexed: __cqrs::Indexed<#row, __A>) -> Self {
                Self(indexed)
            }
        }
        impl<__A: __cqrs::Access> #name<__A> { #methods }
    }
}

/// `PrefixOf` for the borrowed forms of the first key columns: one, two, .. but not all.
pub(super) fn prefixes(model: &Projection<'_>) -> TokenStream {
    let (name, key_types) = (model.name, key_types(model));
    let mut implementations = TokenStream::new();
    for parts in 1..key_types.len() {
        let types = &key_types[..parts];
        let refs = types.iter().map(|ty| quote!(<#ty as __cqrs::KeyPart>::Ref<'a>));
        let locals: Vec<_> = (0..parts).map(|at| format_ident!("__part_{at}")).collect();
        let text = parts == 1 && is_string(types[0].written);
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
