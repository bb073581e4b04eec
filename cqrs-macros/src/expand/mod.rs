//! Items out of models. Nothing here finds mistakes: that is done before.

mod asked;
mod column;
mod enumeration;
mod event;
mod fallback;
mod older;
mod projection;
mod run;
mod twin;
mod value;

use proc_macro2::TokenStream;

use crate::errors::Errors;
use crate::model;

/// `DeriveEvent`
pub(crate) fn event(item: TokenStream) -> TokenStream {
    let item: syn::DeriveInput = match syn::parse2(item) {
        Ok(item) => item,
        Err(error) => return error.to_compile_error(),
    };
    let mut errors = Errors::default();
    let expansion = match &item.data {
        syn::Data::Enum(_) => enumeration::expand(&item, &mut errors),
        _ => event::expand(&item, &mut errors),
    };
    if errors.is_empty() { expansion } else { fallback::event(&item, errors) }
}

/// `DeriveProjection`
pub(crate) fn projection(item: TokenStream) -> TokenStream {
    let item: syn::DeriveInput = match syn::parse2(item) {
        Ok(item) => item,
        Err(error) => return error.to_compile_error(),
    };
    let mut errors = Errors::default();
    let mut model = model::read(&item, &mut errors);
    let expansion = model.is_understood.then(|| projection::expand(&mut model, &mut errors));
    match expansion {
        Some(expansion) if errors.is_empty() => expansion,
        _ => fallback::projection(&item, model, errors),
    }
}

/// `DeriveValue`
pub(crate) fn value(item: TokenStream) -> TokenStream {
    let item: syn::DeriveInput = match syn::parse2(item) {
        Ok(item) => item,
        Err(error) => return error.to_compile_error(),
    };
    let mut errors = Errors::default();
    let expansion = value::expand(&item, &mut errors);
    let errors = errors.into_tokens();
    quote::quote!(#expansion #errors)
}
