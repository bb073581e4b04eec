//! An event struct, and what it has in common with a variant of an event enum: its borrowed twin.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Fields, FieldsNamed, Type};

use crate::check;
use crate::errors::Errors;
use crate::expr::beside;
use crate::options::EventOptions;
use crate::prepend::core_path;
use crate::serde_attrs::{self, FieldSerde, RenameAll};

pub(super) fn expand(item: &DeriveInput, errors: &mut Errors) -> TokenStream {
    let core = core_path();
    let options = EventOptions::of_item(&item.attrs, errors);
    refuse_generics(item, errors);
    let rename_all = serde_attrs::container(&item.attrs, errors);
    let Data::Struct(data) = &item.data else {
        errors.at(
            &item.ident,
            "an event is a struct with named fields, or an enum of such: a union cannot be one",
        );
        return TokenStream::new();
    };
    let Fields::Named(fields) = &data.fields else {
        errors.at(
            &item.ident,
            "an event has named fields, since they are stored under their names: write `struct .. { field: Type }`",
        );
        return TokenStream::new();
    };
    let name = &item.ident;
    let twin = Twin::new(beside(format_ident!("{name}Ref"), item), fields, rename_all, &item.attrs, errors);
    if let Some(path) = options.upcast.as_ref().filter(|path| path.is_ident(name)) {
        errors
            .at(path, "a type does not upcast from itself: name the type that the version before is read as");
    }
    let older = Older::new(&options, name, name);
    let (asked, upcasts) = (older.as_ref().map(|older| &older.asked), older.as_ref().map(Older::upcasts));
    let standing = if options.retired { quote!(Retired) } else { quote!(Current) };
    let (definition, twin_name, generics) = (twin.definition(), &twin.name, twin.generics());
    let schema = twin.schema(&options, older.as_ref(), name, &quote!(::core::stringify!(#name)));
    let borrowed = twin.borrow(|field| quote!(self.#field));
    let (bindings, owned) = (twin.pattern(), twin.own());
    let decode = twin.decode();
    quote! {
        #[automatically_derived]
        const _: () = {
            use #core::__private as __cqrs;
            #definition
            #asked
            impl __cqrs::Event for #name {
                type Ref<'a> = #twin_name #generics;
                type Standing = __cqrs::#standing;
                const TYPES: &'static [__cqrs::Schema] = &[<Self as __cqrs::NamedEvent>::SCHEMA];
                fn type_index(&self) -> usize {
                    0
                }
                fn encode(
                    &self, out: &mut ::std::vec::Vec<u8>,
                ) -> ::core::result::Result<(), __cqrs::EncodeError> {
                    __cqrs::encode(<Self as __cqrs::NamedEvent>::NAME, self, out)
                }
                fn decode(
                    _: usize, payload: &[u8],
                ) -> ::core::result::Result<Self::Ref<'_>, __cqrs::DecodeError> {
                    #decode
                }
                #upcasts
                fn borrowed(&self) -> Self::Ref<'_> {
                    #twin_name { #borrowed }
                }
                fn owned(event: Self::Ref<'_>) -> Self {
                    let #twin_name { #bindings } = event;
                    Self { #owned }
                }
            }
            impl __cqrs::NamedEvent for #name {
                const SCHEMA: __cqrs::Schema = #schema;
            }
        };
    }
}

/// The type that the version before is read as.
pub(super) struct Older {
    /// What generated code calls it.
    pub(super) alias: Ident,
    /// What it is called by, with the questions whether it can be.
    pub(super) asked: TokenStream,
    version: u32,
}

impl Older {
    /// `name` makes its alias one of its own; `event` is the event that it is turned into.
    pub(super) fn new(options: &EventOptions, name: &Ident, event: &Ident) -> Option<Self> {
        let path = options.upcast.as_ref()?;
        let (span, version) = (path.span(), options.version);
        let [written, alias] = ["Written", "Older"].map(|word| format_ident!("__{name}{word}", span = span));
        let mut event = event.clone();
        event.set_span(span);
        let question = quote_spanned!(span=> { __cqrs::is_upcast::<#written, #event>() });
        let gap = format!(
            "version {version} is made from version {}, and this type is of another: name the type of the version before here",
            version - 1
        );
        // Written once: a name that is not known is one mistake.
        let mut asked = quote! {
            type #written = #path;
            type #alias = <#written as __cqrs::Asked<#question>>::Itself;
        };
        let follows = quote!(__cqrs::follows(#version, &<#alias as __cqrs::NamedEvent>::SCHEMA));
        asked.extend(quote_spanned!(span=> const _: () = ::core::assert!(#follows, #gap);));
        Some(Self { alias, asked, version })
    }

    /// Reads what is stored as version `version`, as an expression.
    pub(super) fn read(&self, index: usize) -> TokenStream {
        let alias = &self.alias;
        quote!(__cqrs::upcast::<Self, #alias>(#index, version, payload))
    }

    /// Whether a `version` is to be read so.
    pub(super) fn guard(&self) -> TokenStream {
        let version = self.version;
        quote!(version < #version)
    }

    /// `Event::upcast` of a struct.
    fn upcasts(&self) -> TokenStream {
        let (guard, read) = (self.guard(), self.read(0));
        quote! {
            fn upcast(
                type_index: usize, version: u32, payload: &[u8],
            ) -> ::core::result::Result<Self, __cqrs::DecodeError> {
                if #guard {
                    return #read;
                }
                <Self as __cqrs::Event>::decode(type_index, payload).map(<Self as __cqrs::Event>::owned)
            }
        }
    }
}

/// An event's generics would make it many events under one stored name.
pub(super) fn refuse_generics(item: &DeriveInput, errors: &mut Errors) {
    if !item.generics.params.is_empty() {
        errors.at(
            &item.generics,
            "an event has no generics: each stored type has one name and one set of fields",
        );
    }
}

/// The borrowed twin of a set of named fields.
pub(super) struct Twin<'a> {
    pub(super) name: Ident,
    fields: Vec<TwinField<'a>>,
    container: Vec<&'a syn::Attribute>,
    rename_all: Option<RenameAll>,
}

struct TwinField<'a> {
    field: &'a syn::Field,
    ident: &'a Ident,
    serde: FieldSerde,
    form: Form,
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

impl<'a> Twin<'a> {
    pub(super) fn new(
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
            Some(TwinField { field, ident, serde, form })
        });
        Self {
            name,
            fields: fields.collect(),
            container: serde_attrs::to_copy(container).collect(),
            rename_all,
        }
    }

    fn borrows(&self) -> bool {
        self.fields.iter().any(|field| !matches!(field.form, Form::Owned))
    }

    pub(super) fn definition(&self) -> TokenStream {
        let name = &self.name;
        let doc = format!("The borrowed twin of an event, `{name}`.");
        let serde = serde_crate(&self.container);
        let container = &self.container;
        let fields = self.fields.iter().map(|TwinField { field, ident, form, .. }| {
            let copied = serde_attrs::to_copy(&field.attrs);
            let ty = &field.ty;
            match form {
                Form::Text => quote!(#(#copied)* #[serde(borrow)] pub #ident: &'a str,),
                Form::OptionalText => {
                    quote!(#(#copied)* #[serde(borrow)] pub #ident: ::core::option::Option<&'a str>,)
                }
                Form::Owned => quote!(#(#copied)* pub #ident: #ty,),
            }
        });
        let generics = self.generics();
        let plain = self.plain();
        quote! {
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
            .map(|TwinField { ident, serde, .. }| {
                let rust = syn::ext::IdentExt::unraw(*ident).to_string();
                let stored = serde_attrs::stored_name(&rust, serde, self.rename_all);
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
    pub(super) fn generics(&self) -> Option<TokenStream> {
        self.borrows().then(|| quote!(<'a>))
    }

    /// `field: .., field: ..` of the twin, where `place` says what a field of the owned event is.
    pub(super) fn borrow(&self, place: impl Fn(&Ident) -> TokenStream) -> TokenStream {
        let fields = self.fields.iter().map(|TwinField { field, ident, form, .. }| {
            let place = place(ident);
            match form {
                Form::Text => quote!(#ident: ::std::string::String::as_str(&#place),),
                Form::OptionalText => quote!(#ident: ::core::option::Option::as_deref(&#place),),
                Form::Owned => {
                    let clone = quote_spanned!(field.ty.span()=> ::core::clone::Clone::clone);
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
        let fields = self.fields.iter().map(|TwinField { field, ident, .. }| {
            let copied = serde_attrs::to_copy(&field.attrs);
            let ty = &field.ty;
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
        let stored = options.name.clone().unwrap_or_else(|| syn::ext::IdentExt::unraw(variant).to_string());
        let (version, retired) = (options.version, options.retired);
        let upcast = match older.map(|older| &older.alias) {
            Some(alias) => quote!(Some(&<#alias as __cqrs::NamedEvent>::SCHEMA)),
            None => quote!(None),
        };
        let aliases = &options.aliases;
        let fields = self.fields.iter().map(|TwinField { field, ident, serde, .. }| {
            let rust = syn::ext::IdentExt::unraw(*ident).to_string();
            let name = serde_attrs::stored_name(&rust, serde, self.rename_all);
            let ty = field.ty.to_token_stream().to_string().replace(' ', "");
            // Where a function reads it, serde asks for it, though it is an `Option`.
            let required = !serde.has_default && (serde.read_by_function || option_of(&field.ty).is_none());
            let (aliases, read) = (&serde.aliases, &serde.read);
            quote! {
                __cqrs::Field {
                    rust: #rust, name: #name, ty: #ty, required: #required, aliases: &[#(#aliases),*], read: #read,
                },
            }
        });
        quote! {
            __cqrs::Schema {
                name: #stored,
                version: #version,
                upcast: ::core::option::Option::#upcast,
                retired: #retired,
                aliases: &[#(#aliases),*],
                fields: &[#(#fields)*],
                variant: ::core::stringify!(#variant),
                rust: ::core::concat!(::core::module_path!(), "::", #path),
            }
        }
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

/// The type without the invisible group that a `$ty:ty` of a `macro_rules` stands in.
pub(super) fn ungrouped(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => ungrouped(&group.elem),
        Type::Paren(paren) => ungrouped(&paren.elem),
        other => other,
    }
}

pub(super) fn is_string(ty: &Type) -> bool {
    let Type::Path(path) = ungrouped(ty) else { return false };
    path.qself.is_none()
        && path.path.segments.last().is_some_and(|last| last.ident == "String" && last.arguments.is_none())
}

/// Whether a path is a single name, or one of std's: another crate's `Option` is another type.
fn is_std(ty: &Type) -> bool {
    let Type::Path(path) = ungrouped(ty) else { return false };
    let first = path.path.segments.first();
    path.path.segments.len() == 1
        || first.is_some_and(|first| ["std", "core"].iter().any(|std| first.ident == std))
}

/// A number or `bool`, by its spelling.
fn is_plain(ty: &Type) -> bool {
    const PLAIN: [&str; 11] = ["bool", "u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64", "f32", "f64"];
    let Type::Path(path) = ungrouped(ty) else { return false };
    path.qself.is_none()
        && path.path.get_ident().is_some_and(|ident| PLAIN.iter().any(|plain| ident == plain))
}

/// The `T` of an `Option<T>`, by its spelling.
pub(crate) fn option_of(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = ungrouped(ty) else { return None };
    let last = path.path.segments.last().filter(|last| path.qself.is_none() && last.ident == "Option")?;
    match &last.arguments {
        syn::PathArguments::AngleBracketed(arguments) => match arguments.args.first() {
            Some(syn::GenericArgument::Type(inner)) => Some(inner),
            _ => None,
        },
        _ => None,
    }
}
