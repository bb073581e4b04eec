//! How an event that was stored in an older version is read: the type of the version before is read, and made into this one.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;

use super::asked;
use crate::options::EventOptions;

/// The type that the version before is read as.
pub(super) struct Older {
    /// What generated code calls it.
    pub(super) alias: Ident,
    /// What it is called by, with the questions whether it can be.
    pub(super) asked: TokenStream,
    version: u32,
}

impl Older {
    /// `name` makes its alias one of its own; `event` is the event that it is turned into.
    pub(super) fn new(options: &EventOptions, name: &Ident, event: &Ident) -> Option<Self> {
        let path = options.upcast.as_ref()?;
        let (span, version) = (path.span(), options.version);
        let alias = format_ident!("__{}Older", name, span = span);
        let mut event = event.clone();
        event.set_span(span);
        let gap = format!(
            "version {version} is made from version {}, and this type is of another: name the type of the version before here",
            version - 1
        );
        let mut asked = asked::named_by(
            &alias,
            &quote!(#path),
            |written| quote_spanned!(span=> { __cqrs::is_upcast::<#written, #event>() }),
        );
        let follows = quote!(__cqrs::follows(#version, &<#alias as __cqrs::NamedEvent>::SCHEMA));
        asked.extend(quote_spanned!(span=> const _: () = ::core::assert!(#follows, #gap);));
        Some(Self { alias, asked, version })
    }

    /// Reads what is stored as version `version`, as an expression.
    pub(super) fn read(&self, index: usize) -> TokenStream {
        let alias = &self.alias;
        quote!(__cqrs::upcast::<Self, #alias>(#index, version, payload))
    }

    /// Whether a `version` is to be read so.
    pub(super) fn guard(&self) -> TokenStream {
        let version = self.version;
        quote!(version < #version)
    }

    /// `Event::upcast` of a struct.
    pub(super) fn upcasts(&self) -> TokenStream {
        let (guard, read) = (self.guard(), self.read(0));
        quote! {
            fn upcast(
                type_index: usize, version: u32, payload: &[u8],
            ) -> ::core::result::Result<Self, __cqrs::DecodeError> {
                if #guard {
                    return #read;
                }
                <Self as __cqrs::Event>::decode(type_index, payload).map(<Self as __cqrs::Event>::owned)
            }
        }
    }
}
