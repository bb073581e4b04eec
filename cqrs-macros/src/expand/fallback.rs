//! What is emitted when something is wrong: the errors, and impls that do nothing, so that the uses of the item elsewhere
//! are not mistakes too. As much of the item's form as can be made out is kept: its fields, its key, its look-ups.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Data, DeriveInput, Fields};

use super::asked::{asking, mistaken};
use super::enumeration::conversions;
use super::projection::inert;
use super::twin::Twin;
use crate::errors::Errors;
use crate::expr::beside;
use crate::model::Projection;
use crate::prepend::core_path;

pub(super) fn event(item: &DeriveInput, errors: Errors) -> TokenStream {
    let (core, errors, name) = (core_path(), errors.into_tokens(), &item.ident);
    if !item.generics.params.is_empty() {
        return errors;
    }
    let Form { outer, inner, twin } = form(item);
    let (asking, unknown) = (asking(), mistaken(&errors));
    quote! {
        #[automatically_derived]
        #[allow(non_camel_case_types)]
        const _: () = {
            use #core::__private as __cqrs;
            #asking
            type __Event = #name;
            // What is not known is of a type that is a mistake itself: whatever touches it is silent.
            #[allow(dead_code)]
            type __Unknown = #unknown;
            #outer
            const _: () = {
                #inner
                impl __cqrs::Event for __Event {
                    type Ref<'a> = #twin;
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
                        ::core::unreachable!()
                    }
                    fn owned(_: Self::Ref<'_>) -> Self {
                        ::core::unreachable!()
                    }
                }
                impl __cqrs::NamedEvent for __Event {
                    const SCHEMA: __cqrs::Schema = __cqrs::Schema {
                        name: "", version: 1, upcast: ::core::option::Option::None, retired: false, aliases: &[], fields: &[], variant: "", rust: "",
                    };
                }
            };
        };
    }
}

/// What there is to be seen of an event.
struct Form {
    /// What is told in words that mean the user's types.
    outer: TokenStream,
    /// The twin of an enum, which bears its name.
    inner: TokenStream,
    /// The twin, as a type.
    twin: TokenStream,
}

fn form(item: &DeriveInput) -> Form {
    let name = &item.ident;
    // Its mistakes are told already.
    let told = &mut Errors::default();
    match &item.data {
        Data::Struct(syn::DataStruct { fields: Fields::Named(fields), .. }) => {
            let twin = Twin::new(beside(format_ident!("{name}Ref"), item), fields, None, &[], told);
            let (twin_name, generics) = (&twin.name, twin.generics());
            Form { outer: twin.inert(), inner: TokenStream::new(), twin: quote!(#twin_name #generics) }
        }
        Data::Enum(data) => {
            let (mut outer, mut variants) = (TokenStream::new(), TokenStream::new());
            let (mut types, whole) = (Vec::<&syn::Type>::new(), format_ident!("__Event"));
            let mut borrows = false;
            for variant in &data.variants {
                let variant_name = &variant.ident;
                match &variant.fields {
                    Fields::Named(fields) => {
                        let twin_name = beside(format_ident!("{name}{}Ref", variant_name), item);
                        let twin = Twin::new(twin_name, fields, None, &[], told);
                        let (twin_name, generics) = (&twin.name, twin.generics());
                        borrows |= generics.is_some();
                        outer.extend(twin.inert());
                        variants.extend(quote!(#variant_name(#twin_name #generics),));
                    }
                    Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
                        let (ty, alias) = (&fields.unnamed[0].ty, format_ident!("__{}Event", variant_name));
                        let conversions =
                            (!types.contains(&ty)).then(|| conversions(&whole, variant_name, &alias));
                        types.push(ty);
                        outer.extend(quote! {
                            type #alias = #ty;
                            #conversions
                        });
                        borrows = true;
                        variants.extend(quote!(#variant_name(<#alias as __cqrs::Event>::Ref<'a>),));
                    }
                    _ => variants.extend(quote!(#variant_name(__Unknown),)),
                }
            }
            let generics = borrows.then(|| quote!(<'a>));
            let inner = quote! {
                #[allow(private_interfaces, dead_code, clippy::large_enum_variant)]
                pub enum #name #generics { #variants }
            };
            Form { outer, inner, twin: quote!(#name #generics) }
        }
        // A tuple, or a union: nothing is known of its fields.
        _ => Form { outer: TokenStream::new(), inner: TokenStream::new(), twin: quote!(__Unknown) },
    }
}

pub(super) fn projection<'a>(item: &'a DeriveInput, model: Projection<'a>, errors: Errors) -> TokenStream {
    let (core, told, name) = (core_path(), errors.is_empty(), &item.ident);
    let errors = errors.into_tokens();
    if !item.generics.params.is_empty() {
        return errors;
    }
    // As above; but where the attribute has told what is wrong, there is nothing left that is.
    let unknown = if told { quote!(()) } else { mistaken(&errors) };
    let inert::Form { key, lookups, items } = inert::form(&mut model.with_every_field(item));
    quote! {
        #[automatically_derived]
        #[allow(non_camel_case_types)]
        const _: () = {
            use #core::__private as __cqrs;
            #[allow(dead_code)]
            type __Unknown = #unknown;
            impl __cqrs::Projection for #name {
                const NAME: &'static str = "";
                const RUST_NAME: &'static str = "";
                const FINGERPRINT: u128 = 0;
                const COLUMNS: &'static [(&'static str, __cqrs::SqlType)] = &[];
                type Key = #key;
                type State = __cqrs::Count;
                type Joins = ();
                type Lookups<__A: __cqrs::Access> = #lookups;
                const SINGLE: bool = true;
                fn sources<V: __cqrs::SourceVisitor<Self>>(_: &mut V) {}
                fn row(_: Self::Key, _: &__cqrs::Count, _: __cqrs::ShownCells<'_>) -> ::core::option::Option<Self> {
                    ::core::option::Option::None
                }
                fn same(&self, _: &Self) -> bool {
                    true
                }
                fn sql(&self, _: &mut ::std::vec::Vec<__cqrs::SqlValue>) {}
            }
            #items
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
