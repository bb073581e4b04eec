//! The row as a source of other projections.

use proc_macro2::TokenStream;
use quote::quote;

use crate::model::Projection;
use crate::spelling::{is_collection, is_string, option_of};

/// The row as a source of other projections: its borrowed twin.
pub(super) fn twin(model: &Projection<'_>) -> TokenStream {
    of(model, |made| made)
}

/// The same of a projection with mistakes, whose types need not be what they have to be. It is never made.
pub(super) fn inert(model: &Projection<'_>) -> TokenStream {
    of(model, |_| quote!(::core::unreachable!()))
}

fn of(model: &Projection<'_>, borrowed: impl Fn(TokenStream) -> TokenStream) -> TokenStream {
    let name = model.name;
    let twin = &model.twin;
    let doc = format!("The borrowed twin of a row, `{twin}`.");
    let forms = model.fields.iter().map(|field| {
        let (ident, ty, written) = (field.ident, &field.ty, field.ty.written);
        if is_string(written) {
            (quote!(&'a str), quote!(::std::string::String::as_str(&self.#ident)))
        } else if option_of(written).is_some_and(is_string) {
            (quote!(::core::option::Option<&'a str>), quote!(::core::option::Option::as_deref(&self.#ident)))
        } else if is_collection(written) {
            (quote!(&'a #ty), quote!(&self.#ident))
        } else {
            (quote!(#ty), quote!(<#ty as ::core::clone::Clone>::clone(&self.#ident)))
        }
    });
    let (types, places): (Vec<_>, Vec<_>) = forms.unzip();
    let idents: Vec<_> = model.fields.iter().map(|field| field.ident).collect();
    let borrowed = borrowed(quote!(#twin { #(#idents: #places,)* __row: ::core::marker::PhantomData }));
    quote! {
        #[doc = #doc]
        #[allow(private_interfaces, dead_code)]
        pub struct #twin<'a> {
            #(pub #idents: #types,)*
            #[doc(hidden)]
            pub __row: ::core::marker::PhantomData<&'a ()>,
        }
        impl __cqrs::Source for #name {
            type Ref<'a> = #twin<'a>;
            type Mode = __cqrs::Changing;
            const TYPES: &'static [__cqrs::Schema] = &[];
            const FINGERPRINT: u128 = <Self as __cqrs::Projection>::FINGERPRINT;
            fn visit<__P: __cqrs::Reads<Self>, __V: __cqrs::SourceVisitor<__P>>(visitor: &mut __V) {
                visitor.view::<Self>();
            }
        }
        impl __cqrs::RowSource for #name {
            fn borrowed(&self) -> #twin<'_> {
                #borrowed
            }
            fn sign(sign: __cqrs::Sign) -> __cqrs::Sign {
                sign
            }
        }
    }
}
