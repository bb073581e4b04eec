//! Types that are asked whether they are what they have to be, each in one place.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote, quote_spanned};

/// What gives a type another name, with a question. (A type with a const in it that does not compile is a mistake once; whoever goes by it is silent.)
pub(super) fn asking() -> TokenStream {
    // A trait of its own, and not one of the core: of that, and a type of another crate, rustc would say that the other crate might answer otherwise one day, and
    // that two types of other crates might be one.
    quote! {
        pub trait __Asked<const ANSWER: bool> {
            type Itself;
        }
        impl<T, const ANSWER: bool> __Asked<ANSWER> for T {
            type Itself = T;
        }
    }
}

/// Gives a type this name, with this question, where [`asking`] is.
pub(super) fn named(alias: &Ident, ty: &TokenStream, question: &Ident) -> TokenStream {
    named_by(alias, ty, |written| quote_spanned!(alias.span()=> { __cqrs::#question::<#written>(); true }))
}

/// The same with an answer, `true` if it compiles, that is asked of the name that the type is written under. A name that is not known is one mistake, too: the type is
/// written once.
pub(super) fn named_by(
    alias: &Ident,
    ty: &TokenStream,
    answer: impl FnOnce(&Ident) -> TokenStream,
) -> TokenStream {
    let written = format_ident!("{}Written", alias, span = alias.span());
    let answer = answer(&written);
    quote! {
        #[allow(non_camel_case_types)]
        type #written = #ty;
        #[allow(non_camel_case_types)]
        type #alias = <#written as __Asked<#answer>>::Itself;
    }
}

/// A type that has these errors in it, where [`asking`] is: they are told once, and whatever touches it is silent.
pub(super) fn mistaken(errors: &TokenStream) -> TokenStream {
    quote!(<() as __Asked<{ #errors }>>::Itself)
}
