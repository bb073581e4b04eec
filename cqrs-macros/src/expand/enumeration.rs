//! An event enum: each struct-like variant is an event type of its own, each variant around a type is that event type.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Fields};

use super::asked::{self, asking};
use super::event::refuse_generics;
use super::older::Older;
use super::twin::Twin;
use crate::errors::Errors;
use crate::expr::beside;
use crate::options::EventOptions;
use crate::prepend::core_path;
use crate::serde_attrs;

enum Variant<'a> {
    /// `ItemAdded { .. }`
    Own { name: &'a Ident, twin: Twin<'a>, encoder: Ident, options: Box<EventOptions>, older: Option<Older> },
    /// `Purchased(Purchased)`
    Of { name: &'a Ident, ty: &'a syn::Type, alias: Ident },
}

pub(super) fn expand(item: &DeriveInput, errors: &mut Errors) -> TokenStream {
    let core = core_path();
    let options = EventOptions::of_item(&item.attrs, errors);
    if let Some(span) = options.given {
        errors.at_span(span, "an event enum is stored as its variants: put `#[event(..)]` on the variant");
    }
    refuse_generics(item, errors);
    let rename_all = serde_attrs::container(&item.attrs, errors);
    let Data::Enum(data) = &item.data else { return TokenStream::new() };
    if data.variants.is_empty() {
        errors.at(&item.ident, "an event enum has at least one variant");
    }
    let name = &item.ident;
    let mut variants = Vec::new();
    for variant in &data.variants {
        let options = EventOptions::of_variant(&variant.attrs, errors);
        for attribute in variant.attrs.iter().filter(|attribute| attribute.path().is_ident("serde")) {
            errors.at(attribute, "serde's attributes have no meaning on a variant of an event: put them on its fields, or `rename_all` on the enum");
        }
        match &variant.fields {
            Fields::Named(fields) => variants.push(Variant::Own {
                name: &variant.ident,
                twin: Twin::new(beside(format_ident!("{name}{}Ref", variant.ident), item), fields, rename_all, &item.attrs, errors),
                encoder: format_ident!("__{}Fields", variant.ident),
                older: Older::new(&options, &variant.ident, &format_ident!("__Enum")),
                options: Box::new(options),
            }),
            Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
                if let Some(span) = options.given {
                    errors.at_span(span, "this variant is an event type of its own: put the options on that type's `#[event]`");
                }
                let ty = &fields.unnamed[0].ty;
                variants.push(Variant::Of { name: &variant.ident, ty, alias: format_ident!("__{}Event", variant.ident, span = ty.span()) });
            }
            _ => errors.at(
                variant,
                format!(
                    "a variant of an event enum is `{0} {{ field: Type, .. }}`, an event of its own, or `{0}(Type)` around an \
                     event type that exists",
                    variant.ident
                ),
            ),
        }
    }
    refuse_repeated_types(&variants, errors);

    // The twin of the enum bears the enum's own name, so that rustc speaks of it by the user's word. It shadows that name, so
    // everything that means the user's types stands in the outer block.
    let outer = variants.iter().map(|variant| match variant {
        Variant::Own { twin, encoder, older, .. } => {
            let (definition, encoder) = (twin.definition(), twin.encoder(encoder));
            let asked = older.as_ref().map(|older| &older.asked);
            quote!(#definition #encoder #asked)
        }
        Variant::Of { ty, alias, .. } => {
            let (ty, question) = (quote!(#ty), Ident::new("is_event_struct", ty.span()));
            asked::named(alias, &ty, &question)
        }
    });
    let borrows = variants.iter().any(|variant| match variant {
        Variant::Own { twin, .. } => twin.generics().is_some(),
        Variant::Of { .. } => true,
    });
    let generics = borrows.then(|| quote!(<'a>));
    let twin_variants = variants.iter().map(|variant| match variant {
        Variant::Own { name, twin, .. } => {
            let (twin, generics) = (&twin.name, twin.generics());
            quote!(#name(#twin #generics),)
        }
        Variant::Of { name, alias, .. } => quote!(#name(<#alias as __cqrs::Event>::Ref<'a>),),
    });
    let types = variants.iter().map(|variant| match variant {
        Variant::Own { name: variant, twin, options, older, .. } => {
            let path = quote!(::core::stringify!(#name), "::", ::core::stringify!(#variant));
            twin.schema(options, older.as_ref(), variant, &path)
        }
        Variant::Of { name, alias, .. } => {
            let called = name.unraw().to_string();
            quote!(__cqrs::Schema { variant: #called, ..<#alias as __cqrs::NamedEvent>::SCHEMA })
        }
    });
    let indexes = variants.iter().enumerate().map(|(index, variant)| {
        let name = variant.name();
        quote!(Self::#name { .. } => #index,)
    });
    let encodes = variants.iter().enumerate().map(|(index, variant)| match variant {
        Variant::Own { name, twin, encoder, .. } => {
            let (idents, value) = (twin.idents(), twin.encoder_value(encoder));
            quote!(Self::#name { #(#idents),* } => __cqrs::encode(<Self as __cqrs::Event>::TYPES[#index].name, &#value, __out),)
        }
        Variant::Of { name, alias, .. } => {
            quote!(Self::#name(event) => <#alias as __cqrs::Event>::encode(event, __out),)
        }
    });
    let decodes = variants.iter().enumerate().map(|(index, variant)| match variant {
        Variant::Own { name: variant, twin, .. } => {
            let decode = twin.decode();
            quote!(#index => (#decode).map(#name::#variant),)
        }
        Variant::Of { name: variant, alias, .. } => {
            quote!(#index => <#alias as __cqrs::Event>::decode(0, payload).map(#name::#variant),)
        }
    });
    let upcasts = variants.iter().enumerate().filter_map(|(index, variant)| match variant {
        Variant::Own { older, .. } => {
            let older = older.as_ref()?;
            let (guard, read) = (older.guard(), older.read(index));
            Some(quote!(#index if #guard => #read,))
        }
        Variant::Of { name: variant, alias, .. } => Some(quote! {
            #index => <#alias as __cqrs::Event>::upcast(0, version, payload).map(Self::#variant),
        }),
    });
    let borroweds = variants.iter().map(|variant| match variant {
        Variant::Own { name: variant, twin, .. } => {
            let (idents, twin_name) = (twin.idents(), &twin.name);
            let borrowed = twin.borrow(|field| quote!(*#field));
            quote!(Self::#variant { #(#idents),* } => #name::#variant(#twin_name { #borrowed }),)
        }
        Variant::Of { name: variant, alias, .. } => {
            quote!(Self::#variant(event) => #name::#variant(<#alias as __cqrs::Event>::borrowed(event)),)
        }
    });
    let owneds = variants.iter().map(|variant| match variant {
        Variant::Own { name: variant, twin, .. } => {
            let (twin_name, bindings, owned) = (&twin.name, twin.pattern(), twin.own());
            quote!(#name::#variant(#twin_name { #bindings }) => Self::#variant { #owned },)
        }
        Variant::Of { name: variant, alias, .. } => quote! {
            #name::#variant(event) => Self::#variant(<#alias as __cqrs::Event>::owned(event)),
        },
    });
    let whole = format_ident!("__Enum");
    let conversions = variants.iter().filter_map(|variant| match variant {
        Variant::Own { .. } => None,
        Variant::Of { name: variant, alias, .. } => Some(conversions(&whole, variant, alias)),
    });
    let asking = asking();
    quote! {
        #[automatically_derived]
        #[allow(non_camel_case_types)]
        const _: () = {
            use #core::__private as __cqrs;
            type __Enum = #name;
            #asking
            #(#outer)*
            #(#conversions)*
            const _: () = {
                #[allow(private_interfaces, clippy::large_enum_variant)]
                pub enum #name #generics { #(#twin_variants)* }
                impl __cqrs::Event for __Enum {
                    type Ref<'a> = #name #generics;
                    type Standing = __cqrs::Current;
                    const TYPES: &'static [__cqrs::Schema] = &[#(#types),*];
                    fn type_index(&self) -> usize {
                        match self { #(#indexes)* }
                    }
                    fn encode(
                        &self, __out: &mut ::std::vec::Vec<u8>,
                    ) -> ::core::result::Result<(), __cqrs::EncodeError> {
                        match self { #(#encodes)* }
                    }
                    fn decode(
                        type_index: usize, payload: &[u8],
                    ) -> ::core::result::Result<Self::Ref<'_>, __cqrs::DecodeError> {
                        match type_index {
                            #(#decodes)*
                            _ => ::core::unreachable!("the index of a type that the enum has not"),
                        }
                    }
                    #[allow(unused_variables)]
                    fn upcast(
                        type_index: usize, version: u32, payload: &[u8],
                    ) -> ::core::result::Result<Self, __cqrs::DecodeError> {
                        match type_index {
                            #(#upcasts)*
                            _ => <Self as __cqrs::Event>::decode(type_index, payload).map(<Self as __cqrs::Event>::owned),
                        }
                    }
                    fn borrowed(&self) -> Self::Ref<'_> {
                        match self { #(#borroweds)* }
                    }
                    fn owned(event: Self::Ref<'_>) -> Self {
                        match event { #(#owneds)* }
                    }
                }
            };
        };
    }
}

/// What makes the enum, by the name of its type, of the event that a variant is around, and the other way round.
pub(super) fn conversions(whole: &Ident, variant: &Ident, event: &Ident) -> TokenStream {
    quote! {
        impl ::core::convert::From<#event> for #whole {
            fn from(event: #event) -> Self {
                Self::#variant(event)
            }
        }
        impl ::core::convert::TryFrom<#whole> for #event {
            type Error = #whole;
            fn try_from(event: #whole) -> ::core::result::Result<Self, #whole> {
                match event {
                    #whole::#variant(event) => ::core::result::Result::Ok(event),
                    #[allow(unreachable_patterns)]
                    other => ::core::result::Result::Err(other),
                }
            }
        }
    }
}

impl Variant<'_> {
    fn name(&self) -> &Ident {
        match self {
            Self::Own { name, .. } | Self::Of { name, .. } => name,
        }
    }
}

fn refuse_repeated_types(variants: &[Variant<'_>], errors: &mut Errors) {
    let mut seen = Vec::new();
    for variant in variants {
        if let Variant::Of { ty, .. } = variant {
            if seen.contains(ty) {
                errors.at(ty, "this event type is already the type of another variant: an event can only be one of them");
            }
            seen.push(ty);
        }
    }
}
