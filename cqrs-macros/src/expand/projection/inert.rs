//! What there is to be seen of a projection with mistakes.

use proc_macro2::TokenStream;
use quote::quote;

use super::lookups::{lookup_type, lookups, prefixes};
use super::twin::twin;
use super::types::assumptions;
use super::{key, key_types};
use crate::check::KEY_COLUMNS;
use crate::model::Projection;

/// How it is used from elsewhere.
pub(in crate::expand) struct Form {
    pub(in crate::expand) key: TokenStream,
    /// The type of its look-ups, by the access `__A`.
    pub(in crate::expand) lookups: TokenStream,
    /// The bounds that the items take for granted.
    pub(in crate::expand) assumed: TokenStream,
    /// Look-ups, prefixes, and the row as a source of others.
    pub(in crate::expand) items: TokenStream,
}

pub(in crate::expand) fn form(model: &Projection<'_>) -> Form {
    // One that is too long is none: that is said already.
    let has_key = key_types(model).len() <= KEY_COLUMNS;
    let key = if has_key { key(model) } else { quote!(()) };
    let prefixes = has_key.then(|| prefixes(model));
    let (lookups, _) = lookups(model);
    let (lookup_type, twin) = (lookup_type(model), twin(model));
    Form { key, lookups, assumed: assumptions(model), items: quote!(#prefixes #lookup_type #twin) }
}
