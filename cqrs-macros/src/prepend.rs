//! What the attributes do to an item: put a derive in front of it.

use proc_macro_crate::{FoundCrate, crate_name};
use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};

use crate::errors::{Errors, closest, one_of};
use crate::model::COLUMN_ATTRIBUTES;

/// The path to `cqrs_core` in the crate that is being compiled, under whatever name its manifest has it.
pub(crate) fn core_path() -> TokenStream {
    match crate_name("cqrs-core") {
        Ok(FoundCrate::Name(name)) => {
            let name = format_ident!("{name}", span = Span::call_site());
            quote!(::#name)
        }
        // `cqrs-core` itself names itself so.
        Ok(FoundCrate::Itself) | Err(_) => quote!(::cqrs_core),
    }
}

/// The same, as serde's `crate` attribute wants it.
fn serde_path(core: &TokenStream) -> String {
    format!("{core}::__private::serde").replace(' ', "")
}

pub(crate) fn event(args: TokenStream, item: TokenStream) -> TokenStream {
    let core = core_path();
    // An enum's variants are stored each for itself, so the enum as a whole needs no serde.
    let serde = is_struct(&item).then(|| derive_serde(&core));
    quote! {
        #[derive(#core::__private::DeriveEvent)]
        #[__cqrs_event(#args)]
        #serde
        #item
    }
}

pub(crate) fn value(args: TokenStream, item: TokenStream) -> TokenStream {
    let core = core_path();
    let serde = derive_serde(&core);
    let mut errors = Errors::default();
    let field = match args.to_string().as_str() {
        "" => None,
        "field" => Some(quote!(#[__cqrs_value(field)])),
        _ => {
            errors.at(&args, "`#[value]` takes nothing, or `field`: that makes it a field of events, and neither a key nor a column");
            None
        }
    };
    let errors = errors.into_tokens();
    quote! {
        #errors
        #[derive(#core::__private::DeriveValue)]
        #field
        #serde
        #item
    }
}

pub(crate) fn projection(args: TokenStream, item: TokenStream) -> TokenStream {
    let core = core_path();
    let (item, errors) = without_misspelt_attributes(item);
    // An attribute that was taken off leaves its column with nothing: that is not one more mistake.
    let misspelt = (!errors.is_empty()).then(|| quote!(#[__cqrs_projection(misspelt)]));
    quote! {
        #errors
        #[derive(#core::__private::DeriveProjection)]
        #[__cqrs_projection(#args)]
        #misspelt
        #item
    }
}

fn derive_serde(core: &TokenStream) -> TokenStream {
    let path = serde_path(core);
    quote! {
        #[derive(#core::__private::serde::Serialize, #core::__private::serde::Deserialize)]
        #[serde(crate = #path)]
    }
}

/// Whether the item is a `struct`: read off its tokens, since it need not parse.
fn is_struct(item: &TokenStream) -> bool {
    item.clone()
        .into_iter()
        .any(|token| matches!(token, proc_macro2::TokenTree::Ident(word) if word == "struct"))
}

/// rustc refuses an attribute that nobody registered, before a derive could say which one was meant. So an attribute that is
/// nearly one of ours is taken off here, with our own message.
fn without_misspelt_attributes(item: TokenStream) -> (TokenStream, TokenStream) {
    /// Names of attributes that are somebody's, however near they may be.
    const KNOWN: [&str; 14] = [
        "doc",
        "cfg",
        "cfg_attr",
        "allow",
        "warn",
        "deny",
        "expect",
        "forbid",
        "must_use",
        "deprecated",
        "serde",
        "arg",
        "validate",
        "schema",
    ];
    let Ok(mut row) = syn::parse2::<syn::ItemStruct>(item.clone()) else { return (item, TokenStream::new()) };
    let mut errors = Errors::default();
    let own =
        |attribute: &syn::Attribute| COLUMN_ATTRIBUTES.iter().any(|name| attribute.path().is_ident(name));
    // A field that says what it is has others from elsewhere.
    for field in row.fields.iter_mut().filter(|field| !field.attrs.iter().any(own)) {
        field.attrs.retain(|attribute| {
            let Some(name) = attribute.path().get_ident().map(ToString::to_string) else { return true };
            if KNOWN.contains(&name.as_str()) {
                return true;
            }
            let Some(near) = closest(&name, &COLUMN_ATTRIBUTES) else { return true };
            errors.at(
                attribute.path(),
                format!(
                    "unknown column attribute `{name}`; did you mean `{near}`? (expected one of {})",
                    one_of(&COLUMN_ATTRIBUTES)
                ),
            );
            false
        });
    }
    if errors.is_empty() { (item, TokenStream::new()) } else { (quote!(#row), errors.into_tokens()) }
}
