//! The row as a source of other projections.

use proc_macro2::TokenStream;
use quote::quote;

use super::types::assumptions;
use crate::model::Projection;
use crate::spelling::{is_collection, is_string, option_of};

/// The row as a source of other projections: its borrowed twin.
pub(super) fn twin(model: &Projection<'_>) -> TokenStream {
    of(model, &assumptions(model), |made| made)
}

/// The same of a projection with mistakes, whose types need not be what they have to be. It is never made.
pub(super) fn inert(model: &Projection<'_>) -> TokenStream {
    of(model, &TokenStream::new(), |_| quote!(::core::unreachable!()))
}

fn of(
    model: &Projection<'_>,
    assumed: &TokenStream,
    borrowed: impl Fn(TokenStream) -> TokenStream,
) -> TokenStream {
    let name = model.name;
    let twin = &model.twin;
    let doc = format!("The borrowed twin of a row, `{twin}`.");
    let forms = model.fields.iter().map(|field| {
        let (ident, ty) = (field.ident, field.ty);
        if is_string(ty) {
            (quote!(&'a str), quote!(::std::string::String::as_str(&self.#ident)))
        } else if option_of(ty).is_some_and(is_string) {
            (quote!(::core::option::Option<&'a str>), quote!(::core::option::Option::as_deref(&self.#ident)))
        } else if is_collection(ty) {
            (quote!(&'a #ty), quote!(&self.#ident))
        } else {
            (quote!(#ty), quote!(::core::clone::Clone::clone(&self.#ident)))
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
        impl __cqrs::Source for #name where #assumed {
            type Ref<'a> = #twin<'a>;
            type Mode = __cqrs::Changing;
            const TYPES: &'static [__cqrs::Schema] = &[];
            const FINGERPRINT: u128 = <Self as __cqrs::Projection>::FINGERPRINT;
            fn visit<__P: __cqrs::Reads<Self>, __V: __cqrs::SourceVisitor<__P>>(visitor: &mut __V) {
                visitor.view::<Self>();
            }
        }
        impl __cqrs::RowSource for #name where #assumed {
            fn borrowed(&self) -> #twin<'_> {
                #borrowed
            }
            fn sign(sign: __cqrs::Sign) -> __cqrs::Sign {
                sign
            }
        }
    }
}
