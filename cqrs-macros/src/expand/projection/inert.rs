//! What there is to be seen of a projection with mistakes.

use proc_macro2::TokenStream;
use quote::quote;

use super::lookups::{lookup_type, lookups, prefixes};
use super::{key, key_types, twin, types};
use crate::check::KEY_COLUMNS;
use crate::expand::asked::asking;
use crate::model::Projection;

/// How it is used from elsewhere.
pub(in crate::expand) struct Form {
    pub(in crate::expand) key: TokenStream,
    /// The type of its look-ups, by the access `__A`.
    pub(in crate::expand) lookups: TokenStream,
    /// Look-ups, prefixes, and the row as a source of others.
    pub(in crate::expand) items: TokenStream,
}

pub(in crate::expand) fn form(model: &mut Projection<'_>) -> Form {
    // Of the types, none but the key's have to be what they would.
    let (asked, names) = (asking(), types::name_keys(model));
    // A key that is too long is none: that is told already.
    let has_key = model.knows_key && key_types(model).len() <= KEY_COLUMNS;
    let key = if has_key { key(model) } else { quote!(__Unknown) };
    let prefixes = has_key.then(|| prefixes(model));
    let (lookups, _) = lookups(model);
    let lookups = if model.knows_indexes { lookups } else { quote!(__Unknown) };
    let lookup_type = model.knows_indexes.then(|| lookup_type(model));
    let twin = twin::inert(model);
    Form { key, lookups, items: quote!(#asked #names #prefixes #lookup_type #twin) }
}
