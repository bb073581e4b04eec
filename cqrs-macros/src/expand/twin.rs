//! The borrowed twin of an event: how it is written, read, and looked at.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::FieldsNamed;
use syn::ext::IdentExt;
use syn::spanned::Spanned;

use super::asked;
use super::older::Older;
use crate::check;
use crate::errors::Errors;
use crate::options::EventOptions;
use crate::prepend::core_path;
use crate::serde_attrs::{self, FieldSerde, RenameAll};
use crate::spelling::{is_plain, is_std, is_stored, is_string, option_of};

/// The borrowed twin of a set of named fields.
pub(crate) struct Twin<'a> {
    pub(crate) name: Ident,
    fields: Vec<TwinField<'a>>,
    container: Vec<&'a syn::Attribute>,
}

struct TwinField<'a> {
    field: &'a syn::Field,
    ident: &'a Ident,
    serde: FieldSerde,
    /// Its name in the payload.
    stored: String,
    form: Form,
    /// What generated code calls its type, where it is asked whether it can be a field.
    named: Option<Ident>,
}

/// How a field stands in the twin.
enum Form {
    /// `String` as `&str`
    Text,
    /// `Option<String>` as `Option<&str>`
    OptionalText,
    /// As it is.
    Owned,
}

impl TwinField<'_> {
    /// How it is written in the twin, if what it holds as it is has this type.
    fn shown(&self, owned: &TokenStream) -> TokenStream {
        let ident = self.ident;
        match self.form {
            Form::Text => quote!(pub #ident: &'a str),
            Form::OptionalText => quote!(pub #ident: ::core::option::Option<&'a str>),
            Form::Owned => quote!(pub #ident: #owned),
        }
    }

    /// Its type, by its name if it has one.
    fn ty(&self) -> TokenStream {
        match &self.named {
            Some(named) => quote!(#named),
            None => self.field.ty.to_token_stream(),
        }
    }
}

impl<'a> Twin<'a> {
    pub(crate) fn new(
        name: Ident,
        fields: &'a FieldsNamed,
        rename_all: Option<RenameAll>,
        container: &'a [syn::Attribute],
        errors: &mut Errors,
    ) -> Self {
        let fields = fields.named.iter().filter_map(|field| {
            let ident = field.ident.as_ref()?;
            if ident == "meta" {
                errors.at(
                    ident,
                    "an event has no field `meta`: in projections that name stands for the event's position and time; \
                     rename it, and keep the stored name with `#[serde(rename = \"meta\")]`",
                );
            }
            let serde = serde_attrs::field(&field.attrs);
            if !serde.read_by_function && !serde.skipped {
                check::no_option_twice(&field.ty, errors);
            }
            let form = if serde.by_function || serde.skipped || serde.flattened {
                Form::Owned
            } else if is_string(&field.ty) {
                Form::Text
            } else if option_of(&field.ty).is_some_and(is_string) {
                Form::OptionalText
            } else {
                Form::Owned
            };
            // Of a field about which serde is told more, other things may be asked.
            let own = !serde.unusual && !is_stored(&field.ty);
            let named = own.then(|| format_ident!("__{}_{}", name, ident, span = field.ty.span()));
            let stored = serde_attrs::stored_name(&ident.unraw().to_string(), &serde, rename_all);
            Some(TwinField { field, ident, serde, stored, form, named })
        });
        let fields: Vec<_> = fields.collect();
        let stored = fields.iter().filter(|field| !field.serde.skipped && !field.serde.flattened);
        let stored = stored.map(|field| {
            let names = std::iter::once(&field.stored).chain(&field.serde.aliases);
            (field.ident, names.map(String::as_str).collect())
        });
        check::no_stored_name_twice(&stored.collect::<Vec<_>>(), errors);
        Self { name, fields, container: serde_attrs::to_copy(container).collect() }
    }

    fn borrows(&self) -> bool {
        self.fields.iter().any(|field| !matches!(field.form, Form::Owned))
    }

    pub(super) fn definition(&self) -> TokenStream {
        let name = &self.name;
        let doc = format!("The borrowed twin of an event, `{name}`.");
        let serde = serde_crate(&self.container);
        let container = &self.container;
        let fields = self.fields.iter().map(|field| {
            let copied = serde_attrs::to_copy(&field.field.attrs);
            let borrow = (!matches!(field.form, Form::Owned)).then(|| quote!(#[serde(borrow)]));
            let shown = field.shown(&field.ty());
            quote!(#(#copied)* #borrow #shown,)
        });
        let asked = self.fields.iter().filter_map(|TwinField { field, named, .. }| {
            let ty = &field.ty;
            Some(asked::named(named.as_ref()?, &quote!(#ty), &Ident::new("is_event_field", ty.span())))
        });
        let generics = self.generics();
        let plain = self.plain();
        quote! {
            #(#asked)*
            #[doc = #doc]
            #[derive(__cqrs::serde::Deserialize)]
            #serde
            #(#container)*
            #[allow(private_interfaces, dead_code, non_snake_case)]
            pub struct #name #generics {
                #(#fields)*
            }
            #plain
        }
    }

    /// The twin of an event with mistakes: it can be looked at, and is never made.
    pub(crate) fn inert(&self) -> TokenStream {
        let (name, generics) = (&self.name, self.generics());
        let fields = self.fields.iter().map(|field| field.shown(&field.field.ty.to_token_stream()));
        quote! {
            #[allow(private_interfaces, dead_code, non_snake_case)]
            pub struct #name #generics { #(#fields),* }
        }
    }

    /// Reads a `payload`, as an expression.
    pub(super) fn decode(&self) -> TokenStream {
        let name = &self.name;
        if !self.is_plain() {
            return quote!(__cqrs::decode(payload));
        }
        quote! {
            match #name::__plain(payload) {
                ::core::option::Option::Some(event) => ::core::result::Result::Ok(event),
                ::core::option::Option::None => __cqrs::decode::<#name>(payload),
            }
        }
    }

    /// Whether every field is of a type that is read without serde, and stored the usual way.
    fn is_plain(&self) -> bool {
        let plain = |field: &TwinField<'_>| {
            let ty =
                option_of(&field.field.ty).filter(|_| is_std(&field.field.ty)).unwrap_or(&field.field.ty);
            !field.serde.unusual && (!matches!(field.form, Form::Owned) || is_plain(ty))
        };
        self.fields.len() < 1 << 16 && self.fields.iter().all(plain)
    }

    /// The function that reads a payload field by field, where that can be done.
    fn plain(&self) -> Option<TokenStream> {
        self.is_plain().then_some(())?;
        let (name, generics) = (&self.name, self.generics());
        let lifetime = self.borrows().then(|| quote!('a));
        // MessagePack's header of a map, which the first field's name follows.
        let mut header = match self.fields.len() {
            few @ 0..16 => vec![0x80 | few as u8],
            many => [&[0xde][..], &(many as u16).to_be_bytes()].concat(),
        };
        let fields: Vec<_> = self
            .fields
            .iter()
            .map(|TwinField { ident, stored, .. }| {
                let mut before = std::mem::take(&mut header);
                match stored.len() {
                    short @ 0..32 => before.push(0xa0 | short as u8),
                    long @ 32..256 => before.extend([0xd9, long as u8]),
                    longer => before.extend([&[0xda][..], &(longer as u16).to_be_bytes()].concat()),
                }
                before.extend(stored.as_bytes());
                let before = proc_macro2::Literal::byte_string(&before);
                quote!(#ident: __fields.field(#before)?,)
            })
            .collect();
        let header = proc_macro2::Literal::byte_string(&header);
        Some(quote! {
            impl #generics #name #generics {
                #[inline]
                fn __plain(payload: & #lifetime [u8]) -> ::core::option::Option<Self> {
                    let mut __fields = __cqrs::PlainReader::new(payload);
                    __fields.pass(#header)?;
                    let event = Self { #(#fields)* };
                    __fields.end()?;
                    ::core::option::Option::Some(event)
                }
            }
        })
    }

    /// `<'a>`, if there is anything to borrow.
    pub(crate) fn generics(&self) -> Option<TokenStream> {
        self.borrows().then(|| quote!(<'a>))
    }

    /// `field: .., field: ..` of the twin, where `place` says what a field of the owned event is.
    pub(super) fn borrow(&self, place: impl Fn(&Ident) -> TokenStream) -> TokenStream {
        let fields = self.fields.iter().map(|twin| {
            let (ident, place) = (twin.ident, place(twin.ident));
            match twin.form {
                Form::Text => quote!(#ident: ::std::string::String::as_str(&#place),),
                Form::OptionalText => quote!(#ident: ::core::option::Option::as_deref(&#place),),
                Form::Owned => {
                    let ty = twin.ty();
                    let clone = quote_spanned!(twin.field.ty.span()=> <#ty as ::core::clone::Clone>::clone);
                    quote!(#ident: #clone(&#place),)
                }
            }
        });
        quote!(#(#fields)*)
    }

    /// `field, field, ..`
    pub(super) fn pattern(&self) -> TokenStream {
        let idents = self.fields.iter().map(|field| field.ident);
        quote!(#(#idents,)*)
    }

    /// `field: .., field: ..` of the owned event, out of what [`pattern`](Self::pattern) bound.
    pub(super) fn own(&self) -> TokenStream {
        let fields = self.fields.iter().map(|TwinField { ident, form, .. }| match form {
            Form::Text => quote!(#ident: <::std::string::String as ::core::convert::From<&str>>::from(#ident),),
            Form::OptionalText => quote!(#ident: ::core::option::Option::map(#ident, <::std::string::String as ::core::convert::From<&str>>::from),),
            Form::Owned => quote!(#ident,),
        });
        quote!(#(#fields)*)
    }

    /// The fields by reference, to be serialised: for a variant, which has no type of its own.
    pub(super) fn encoder(&self, name: &Ident) -> TokenStream {
        let serde = serde_crate(&self.container);
        let container = &self.container;
        let fields = self.fields.iter().map(|twin| {
            let copied = serde_attrs::to_copy(&twin.field.attrs);
            let (ident, ty) = (twin.ident, twin.ty());
            quote!(#(#copied)* #ident: &'a #ty,)
        });
        let lifetime = self
            .fields
            .is_empty()
            .then(|| quote!(#[serde(skip)] __lifetime: ::core::marker::PhantomData<&'a ()>,));
        quote! {
            #[derive(__cqrs::serde::Serialize)]
            #serde
            #(#container)*
            #[allow(private_interfaces)]
            struct #name<'a> {
                #(#fields)*
                #lifetime
            }
        }
    }

    pub(super) fn encoder_value(&self, name: &Ident) -> TokenStream {
        let idents = self.fields.iter().map(|field| field.ident);
        let lifetime = self.fields.is_empty().then(|| quote!(__lifetime: ::core::marker::PhantomData,));
        quote!(#name { #(#idents,)* #lifetime })
    }

    /// `{ field, field, .. }` of the user's variant, by reference.
    pub(super) fn idents(&self) -> impl Iterator<Item = &Ident> {
        self.fields.iter().map(|field| field.ident)
    }

    pub(super) fn schema(
        &self,
        options: &EventOptions,
        older: Option<&Older>,
        variant: &Ident,
        path: &TokenStream,
    ) -> TokenStream {
        let stored = options.name.clone().unwrap_or_else(|| variant.unraw().to_string());
        let (version, retired) = (options.version, options.retired);
        let called = variant.unraw().to_string();
        let upcast = match older.map(|older| &older.alias) {
            Some(alias) => quote!(Some(&<#alias as __cqrs::NamedEvent>::SCHEMA)),
            None => quote!(None),
        };
        let aliases = &options.aliases;
        let fields = self.fields.iter().map(|own| {
            let TwinField { field, ident, serde, stored: name, .. } = own;
            // What std's types are made of is said by their names.
            let shape = if is_stored(&field.ty) {
                quote!(0)
            } else {
                let ty = own.ty();
                quote!(<__cqrs::Shape<#ty>>::OF)
            };
            let rust = ident.unraw().to_string();
            let ty = field.ty.to_token_stream().to_string().replace(' ', "");
            // Where a function reads it, serde asks for it, though it is an `Option`.
            let required = !serde.has_default && (serde.read_by_function || option_of(&field.ty).is_none());
            let (aliases, read) = (&serde.aliases, &serde.read);
            quote! {
                __cqrs::Field {
                    rust: #rust, name: #name, ty: #ty, required: #required, aliases: &[#(#aliases),*], read: #read,
                    shape: #shape,
                },
            }
        });
        quote!({
            #[allow(unused_imports)]
            use __cqrs::Shapeless as _;
            __cqrs::Schema {
                name: #stored,
                version: #version,
                upcast: ::core::option::Option::#upcast,
                retired: #retired,
                aliases: &[#(#aliases),*],
                fields: &[#(#fields)*],
                variant: #called,
                rust: ::core::concat!(::core::module_path!(), "::", #path),
            }
        })
    }
}

/// The user's own container attributes may carry serde's `crate` already: the one that `#[event]` put there.
fn serde_crate(container: &[&syn::Attribute]) -> Option<TokenStream> {
    let has = container.iter().any(|attribute| {
        attribute.meta.require_list().is_ok_and(|list| {
            list.tokens
                .clone()
                .into_iter()
                .any(|t| matches!(t, proc_macro2::TokenTree::Ident(w) if w == "crate"))
        })
    });
    let path = format!("{}::__private::serde", core_path()).replace(' ', "");
    (!has).then(|| quote!(#[serde(crate = #path)]))
}
