//! The macros of `cqrs-core`: `#[event]`, `#[projection]` and `#[value]`. Use them through `cqrs_core`.
//!
//! Each attribute only prepends a derive and hands its arguments on in a helper attribute, so the user's item stays as it was
//! written, and is there even when something is wrong with it.

mod check;
mod errors;
mod expand;
mod expr;
mod fallback;
mod model;
mod options;
mod prepend;
mod serde_attrs;

use proc_macro::TokenStream;

/// Makes a struct, or each variant of an enum, an event that can be appended to a log.
#[proc_macro_attribute]
pub fn event(args: TokenStream, item: TokenStream) -> TokenStream {
    prepend::event(args.into(), item.into()).into()
}

/// Makes a struct the row of a read model.
#[proc_macro_attribute]
pub fn projection(args: TokenStream, item: TokenStream) -> TokenStream {
    prepend::projection(args.into(), item.into()).into()
}

/// Makes a type of the user's usable in events, and a unit-only enum or a newtype as a key or a column.
#[proc_macro_attribute]
pub fn value(args: TokenStream, item: TokenStream) -> TokenStream {
    prepend::value(args.into(), item.into()).into()
}

#[doc(hidden)]
#[proc_macro_derive(DeriveEvent, attributes(__cqrs_event, event, serde))]
pub fn derive_event(item: TokenStream) -> TokenStream {
    expand::event(item.into()).into()
}

#[doc(hidden)]
#[proc_macro_derive(
    DeriveProjection,
    attributes(__cqrs_projection, count, sum, avg, min, max, first, last, computed)
)]
pub fn derive_projection(item: TokenStream) -> TokenStream {
    expand::projection(item.into()).into()
}

#[doc(hidden)]
#[proc_macro_derive(DeriveValue, attributes(serde))]
pub fn derive_value(item: TokenStream) -> TokenStream {
    expand::value(item.into()).into()
}
