//! What is emitted when something is wrong: the errors, and impls that do nothing, so that the uses of the item elsewhere
//! are not mistakes too.

use proc_macro2::TokenStream;
use quote::quote;
use syn::DeriveInput;

use crate::errors::Errors;
use crate::prepend::core_path;

pub(crate) fn event(item: &DeriveInput, errors: Errors) -> TokenStream {
    let (core, errors, name) = (core_path(), errors.into_tokens(), &item.ident);
    if !item.generics.params.is_empty() {
        return errors;
    }
    quote! {
        #errors
        #[automatically_derived]
        const _: () = {
            use #core::__private as __cqrs;
            impl __cqrs::Event for #name {
                type Ref<'a> = &'a Self;
                type Standing = __cqrs::Current;
                const TYPES: &'static [__cqrs::Schema] = &[];
                fn type_index(&self) -> usize {
                    0
                }
                fn encode(
                    &self, _: &mut ::std::vec::Vec<u8>,
                ) -> ::core::result::Result<(), __cqrs::EncodeError> {
                    ::core::unreachable!()
                }
                fn decode(_: usize, _: &[u8]) -> ::core::result::Result<Self::Ref<'_>, __cqrs::DecodeError> {
                    ::core::unreachable!()
                }
                fn borrowed(&self) -> Self::Ref<'_> {
                    self
                }
                fn owned(_: Self::Ref<'_>) -> Self {
                    ::core::unreachable!()
                }
            }
            impl __cqrs::NamedEvent for #name {
                const SCHEMA: __cqrs::Schema = __cqrs::Schema {
                    name: "", version: 1, upcast: ::core::option::Option::None, retired: false, aliases: &[], fields: &[], variant: "", rust: "",
                };
            }
        };
    }
}

pub(crate) fn projection(item: &DeriveInput, errors: Errors) -> TokenStream {
    let (core, errors, name) = (core_path(), errors.into_tokens(), &item.ident);
    if !item.generics.params.is_empty() {
        return errors;
    }
    quote! {
        #errors
        #[automatically_derived]
        const _: () = {
            use #core::__private as __cqrs;
            impl __cqrs::Projection for #name {
                const NAME: &'static str = "";
                const RUST_NAME: &'static str = "";
                const FINGERPRINT: u128 = 0;
                const COLUMNS: &'static [(&'static str, __cqrs::SqlType)] = &[];
                type Key = ();
                type State = __cqrs::Count;
                type Joins = ();
                type Lookups<A: __cqrs::Access> = __cqrs::NoLookups;
                const SINGLE: bool = true;
                fn sources<V: __cqrs::SourceVisitor<Self>>(_: &mut V) {}
                fn row((): (), _: &__cqrs::Count, _: __cqrs::ShownCells<'_>) -> ::core::option::Option<Self> {
                    ::core::option::Option::None
                }
                fn same(&self, _: &Self) -> bool {
                    true
                }
                fn sql(&self, _: &mut ::std::vec::Vec<__cqrs::SqlValue>) {}
            }
            impl __cqrs::Source for #name {
                type Ref<'a> = &'a Self;
                type Mode = __cqrs::Changing;
                const TYPES: &'static [__cqrs::Schema] = &[];
                const FINGERPRINT: u128 = 0;
                fn visit<P: __cqrs::Reads<Self>, V: __cqrs::SourceVisitor<P>>(_: &mut V) {}
            }
            impl<S: __cqrs::Source> __cqrs::Reads<S> for #name {
                fn wants(_: usize) -> bool {
                    false
                }
                fn pass(
                    _: &S::Ref<'_>, _: &__cqrs::Meta, _: __cqrs::SignOf<S>, _: __cqrs::Pass<'_, '_, __cqrs::Count>,
                ) -> ::core::result::Result<bool, __cqrs::FoldError> {
                    ::core::result::Result::Ok(false)
                }
            }
        };
    }
}
