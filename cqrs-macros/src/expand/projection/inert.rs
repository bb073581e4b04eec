//! What there is to be seen of a projection with mistakes.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;

use super::lookups::{lookup_type, lookups, prefixes};
use super::twin;
use super::{key, key_types};
use crate::check::KEY_COLUMNS;
use crate::expand::column;
use crate::model::Projection;
use crate::spelling::option_of;

/// How it is used from elsewhere.
pub(in crate::expand) struct Form {
    pub(in crate::expand) key: TokenStream,
    /// The type of its look-ups, by the access `__A`.
    pub(in crate::expand) lookups: TokenStream,
    /// Look-ups, prefixes, and the row as a source of others.
    pub(in crate::expand) items: TokenStream,
}

pub(in crate::expand) fn form(model: &Projection<'_>) -> Form {
    let (items, assumed, types) = key_columns(model);
    let types: Vec<_> = types.iter().collect();
    // One that is too long is none: that is told already.
    let has_key = model.knows_key && types.len() <= KEY_COLUMNS;
    let key = if has_key { key(&types) } else { quote!(__Unknown) };
    let prefixes = has_key.then(|| prefixes(model.name, &types, &TokenStream::new()));
    let (lookups, _) = lookups(model);
    let lookups = if model.knows_indexes { lookups } else { quote!(__Unknown) };
    let lookup_type = model.knows_indexes.then(|| lookup_type(model, &assumed));
    let twin = twin::inert(model);
    Form { key, lookups, items: quote!(#items #prefixes #lookup_type #twin) }
}

/// The types of the key's columns. Of one that is not known to be a key, that is asked where it is named, and nowhere else: one that cannot be is a mistake once, and
/// whatever goes by it is silent. With the names there come the bounds, for what goes by the types themselves.
fn key_columns(model: &Projection<'_>) -> (TokenStream, TokenStream, Vec<syn::Type>) {
    let (mut items, mut bounds) = (TokenStream::new(), TokenStream::new());
    let types = key_types(model).into_iter().enumerate().map(|(at, ty)| {
        let asked = option_of(ty).unwrap_or(ty);
        if column::is_known(asked, true) {
            return ty.clone();
        }
        let alias = format_ident!("__Key{at}");
        let question = quote_spanned!(asked.span()=> { __cqrs::is_key_part::<#asked>(); true });
        items.extend(quote!(type #alias = <#ty as __cqrs::Asked<#question>>::Itself;));
        bounds.extend(quote!(for<'__k> #asked: __cqrs::KeyPart,));
        syn::parse_quote!(#alias)
    });
    let types = types.collect();
    (items, bounds, types)
}
