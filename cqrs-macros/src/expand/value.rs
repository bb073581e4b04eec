//! `#[value]`: a type of the user's as a field, a key or a column.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Fields, Member};

use crate::check;
use crate::errors::Errors;
use crate::prepend::core_path;
use crate::serde_attrs;
use crate::spelling::is_stored;

pub(super) fn expand(item: &DeriveInput, errors: &mut Errors) -> TokenStream {
    let core = core_path();
    if !item.generics.params.is_empty() {
        errors.at(&item.generics, "a value has no generics: its stored form has one shape");
        return TokenStream::new();
    }
    let mut stored: Vec<&syn::Type> = Vec::new();
    for field in fields(item) {
        let (serde, ty) = (serde_attrs::field(&field.attrs), &field.ty);
        if !serde.read_by_function && !serde.skipped {
            check::no_option_twice(ty, errors);
        }
        // Of a field about which serde is told more, other things may be asked.
        if !serde.unusual && !is_stored(ty) && !stored.contains(&ty) {
            stored.push(ty);
        }
    }
    let within_itself = is_within_itself(item);
    // Out here, there is no `Self`.
    let questions = stored
        .iter()
        .filter(|_| !within_itself)
        .map(|ty| quote_spanned!(ty.span()=> const _: () = __cqrs::is_event_field::<#ty>();));
    let field_only = item.attrs.iter().any(|attribute| attribute.path().is_ident("__cqrs_value"));
    let implementation = match &item.data {
        _ if field_only || within_itself => None,
        Data::Enum(data) if data.variants.is_empty() => None,
        Data::Enum(data) if data.variants.iter().all(|v| v.fields.is_empty()) => Some(unit_enum(item, data)),
        Data::Enum(data) => {
            let variants = data.variants.iter().enumerate();
            let variants = variants
                .map(|(number, variant)| Parts::new(Some((number as u32, &variant.ident)), &variant.fields));
            Some(composite(item, &variants.collect::<Vec<_>>()))
        }
        Data::Struct(data) => match &data.fields {
            Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
                Some(newtype(item, &fields.unnamed[0].ty))
            }
            fields if !fields.is_empty() => Some(composite(item, &[Parts::new(None, fields)])),
            // What says nothing can stand in an event, where serde is all it needs.
            _ => None,
        },
        Data::Union(_) => None,
    };
    let shaped = shaped(item, field_only || within_itself);
    let name = &item.ident;
    let clone = implementation
        .is_some()
        .then(|| quote_spanned!(name.span()=> const _: () = __cqrs::is_clone::<#name>();));
    quote! {
        #[automatically_derived]
        const _: () = {
            use #core::__private as __cqrs;
            #(#questions)*
            #clone
            #shaped
            #implementation
        };
    }
}

/// What it is made of, whether or not it can be a column: what an aggregate keeps of its values depends on that. Of a type that may be within itself, no more than how the types of its
/// fields are written.
fn shaped(item: &DeriveInput, alone: bool) -> TokenStream {
    let name = &item.ident;
    let mut parts = TokenStream::new();
    let variants = match &item.data {
        Data::Enum(data) => {
            data.variants.iter().map(|it| (it.ident.unraw().to_string(), &it.fields)).collect()
        }
        Data::Struct(data) => vec![(String::new(), &data.fields)],
        Data::Union(_) => Vec::new(),
    };
    for (variant, fields) in variants {
        parts.extend(quote!(let hash = __cqrs::mix_str(hash, #variant);));
        for (member, field) in fields.members().zip(fields) {
            let (member, ty) = (called(&member), &field.ty);
            let written = format!("{member}: {}", ty.to_token_stream().to_string().replace(' ', ""));
            parts.extend(quote!(let hash = __cqrs::mix_str(hash, #written);));
            if !alone && !is_stored(ty) {
                parts.extend(quote!(let hash = __cqrs::mix(hash, <__cqrs::Shape<#ty>>::OF);));
            }
        }
    }
    let told = told(item);
    quote! {
        impl __cqrs::Shaped for #name {
            const SHAPE: u128 = {
                #[allow(unused_imports)]
                use __cqrs::Shapeless as _;
                let hash = __cqrs::mix_str(0, "value");
                #parts
                #told
                hash
            };
        }
    }
}

/// What a field is called.
fn called(member: &Member) -> String {
    match member {
        Member::Named(name) => name.unraw().to_string(),
        Member::Unnamed(index) => index.index.to_string(),
    }
}

/// What serde is told about how the type is read, where it is told anything: what old events make of it, and so what rows have of it, depends on that.
fn told(item: &DeriveInput) -> Option<TokenStream> {
    let variants = match &item.data {
        Data::Enum(data) => data.variants.iter().map(|variant| &variant.attrs).collect(),
        _ => Vec::new(),
    };
    let attributes =
        std::iter::once(&item.attrs).chain(variants).chain(fields(item).map(|field| &field.attrs));
    let words: Vec<String> = attributes.map(|attributes| serde_attrs::words(attributes)).collect();
    let words = words.join(";");
    (!words.trim_matches(';').is_empty()).then(|| quote!(let hash = __cqrs::mix_str(hash, #words);))
}

/// Whether its own name stands in a field's type: whether such a type can be a column would depend on itself.
fn is_within_itself(item: &DeriveInput) -> bool {
    fn mentions(tokens: TokenStream, name: &Ident) -> bool {
        tokens.into_iter().any(|token| match token {
            TokenTree::Ident(word) => word == *name || word == "Self",
            TokenTree::Group(group) => mentions(group.stream(), name),
            _ => false,
        })
    }
    fields(item).any(|field| mentions(field.ty.to_token_stream(), &item.ident))
}

/// The fields of a struct, or of all variants.
fn fields(item: &DeriveInput) -> impl Iterator<Item = &syn::Field> {
    let fields = match &item.data {
        Data::Struct(data) => vec![&data.fields],
        Data::Enum(data) => data.variants.iter().map(|variant| &variant.fields).collect(),
        Data::Union(_) => Vec::new(),
    };
    fields.into_iter().flatten()
}

/// Stored as the variant's number: in the order of declaration, which is the order of `min` and `max`.
fn unit_enum(item: &DeriveInput, data: &syn::DataEnum) -> TokenStream {
    let name = &item.ident;
    let text = name.unraw().to_string();
    let variants: Vec<_> = data.variants.iter().map(|variant| &variant.ident).collect();
    let names: Vec<_> = variants.iter().map(|variant| variant.unraw().to_string()).collect();
    let numbers: Vec<_> = (0..variants.len()).map(|number| number as u32).collect();
    let told = told(item);
    quote! {
        impl __cqrs::Value for #name where for<'k> #name: ::core::clone::Clone {
            const SHAPE: u128 = {
                let hash = __cqrs::mix_str(0, #text);
                #( let hash = __cqrs::mix_str(hash, ::core::stringify!(#variants)); )*
                #told
                hash
            };
            const SQL: __cqrs::SqlType = __cqrs::SqlType::Text;
            fn write(&self, out: &mut ::std::vec::Vec<u8>) {
                let number: u32 = match self { #(Self::#variants {} => #numbers,)* };
                __cqrs::Value::write(&number, out);
            }
            fn read(input: &mut &[u8]) -> ::core::option::Option<Self> {
                match <u32 as __cqrs::Value>::read(input)? {
                    #(#numbers => ::core::option::Option::Some(Self::#variants {}),)*
                    _ => ::core::option::Option::None,
                }
            }
            fn sql(&self) -> __cqrs::SqlValue {
                let name = match self { #(Self::#variants {} => #names,)* };
                __cqrs::SqlValue::Text(::std::convert::From::from(name))
            }
        }
        impl __cqrs::Scalar for #name where for<'k> #name: ::core::clone::Clone {}
        impl __cqrs::Item for #name where for<'k> #name: ::core::clone::Clone {}
        impl __cqrs::KeyPart for #name where for<'k> #name: ::core::clone::Clone {
            type Ref<'a> = Self;
            fn write_ref(key: &Self, out: &mut ::std::vec::Vec<u8>) {
                __cqrs::Value::write_key(key, out);
            }
        }
    }
}

fn newtype(item: &DeriveInput, inner: &syn::Type) -> TokenStream {
    let name = &item.ident;
    let text = name.unraw().to_string();
    let told = told(item);
    // `for<'k>`: a float inside makes this no key, and no error before somebody groups by it.
    let key = quote_spanned!(inner.span()=> for<'k> #inner: __cqrs::KeyPart);
    let value = quote_spanned!(inner.span()=> <#inner as __cqrs::Value>);
    // And anything else that no row can hold makes it a mere field of events.
    let column =
        quote_spanned!(inner.span()=> for<'k> #inner: __cqrs::Value, for<'k> #name: ::core::clone::Clone);
    quote! {
        impl __cqrs::Value for #name where #column {
            const SHAPE: u128 = {
                let hash = __cqrs::mix(__cqrs::mix_str(0, #text), #value::SHAPE);
                #told
                hash
            };
            const SQL: __cqrs::SqlType = #value::SQL;
            fn write(&self, out: &mut ::std::vec::Vec<u8>) {
                #value::write(&self.0, out);
            }
            fn read(input: &mut &[u8]) -> ::core::option::Option<Self> {
                #value::read(input).map(Self)
            }
            fn write_key(&self, out: &mut ::std::vec::Vec<u8>) {
                #value::write_key(&self.0, out);
            }
            fn read_key(input: &mut &[u8]) -> ::core::option::Option<Self> {
                #value::read_key(input).map(Self)
            }
            fn order(&self, other: &Self) -> ::core::cmp::Ordering {
                #value::order(&self.0, &other.0)
            }
            fn same(&self, other: &Self) -> bool {
                #value::same(&self.0, &other.0)
            }
            fn sql(&self) -> __cqrs::SqlValue {
                #value::sql(&self.0)
            }
            fn write_json(&self, out: &mut ::std::string::String) {
                #value::write_json(&self.0, out);
            }
        }
        impl __cqrs::Scalar for #name where #column {}
        impl __cqrs::Item for #name where #column {}
        impl __cqrs::KeyPart for #name where #column, #key {
            type Ref<'a> = &'a Self;
            fn write_ref(key: &&Self, out: &mut ::std::vec::Vec<u8>) {
                __cqrs::Value::write_key(*key, out);
            }
        }
    }
}

/// The fields of a struct, or of a variant of this number.
struct Parts<'a> {
    variant: Option<(u32, &'a Ident)>,
    fields: &'a Fields,
    /// What each is called here.
    locals: Vec<Ident>,
}

impl<'a> Parts<'a> {
    fn new(variant: Option<(u32, &'a Ident)>, fields: &'a Fields) -> Self {
        let locals = (0..fields.len()).map(|at| format_ident!("__field_{at}")).collect();
        Self { variant, fields, locals }
    }

    /// `Self::Variant { field: __field_0, 0: __field_1 }`: what takes it apart, and what makes it.
    fn whole(&self) -> TokenStream {
        let path = match self.variant {
            Some((_, variant)) => quote!(Self::#variant),
            None => quote!(Self),
        };
        let (members, locals) = (self.fields.members(), &self.locals);
        quote!(#path { #(#members: #locals),* })
    }

    /// An arm that writes each field with this function, behind the variant's number.
    fn write(&self, one: &Ident) -> TokenStream {
        let (whole, locals) = (self.whole(), &self.locals);
        let number = self.variant.map(|(number, _)| quote!(__cqrs::Value::#one(&#number, out);));
        quote!(#whole => { #number #( __cqrs::Value::#one(#locals, out); )* })
    }

    /// Reads the fields one after the other.
    fn read(&self, one: &Ident) -> TokenStream {
        let (whole, locals) = (self.whole(), &self.locals);
        let types = self.fields.iter().map(|field| &field.ty);
        quote!({ #( let #locals = <#types as __cqrs::Value>::#one(input)?; )* ::core::option::Option::Some(#whole) })
    }

    /// An arm that shows it as JSON.
    fn json(&self) -> TokenStream {
        let (whole, locals) = (self.whole(), &self.locals);
        let inside = match self.fields {
            Fields::Named(fields) => {
                let names =
                    fields.named.iter().filter_map(|field| Some(field.ident.as_ref()?.unraw().to_string()));
                quote!(__cqrs::json::object([#( (#names, #locals as &dyn __cqrs::json::Json) ),*], out))
            }
            Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
                quote!( #(__cqrs::Value::write_json(#locals, out))* )
            }
            _ => quote!(__cqrs::json::array([#( #locals as &dyn __cqrs::json::Json ),*], out)),
        };
        match self.variant {
            None => quote!(#whole => #inside,),
            Some((_, variant)) => {
                let name = variant.unraw().to_string();
                let inside = if self.fields.is_empty() {
                    quote!(::core::option::Option::None)
                } else {
                    quote!(::core::option::Option::Some(&|out: &mut ::std::string::String| #inside))
                };
                quote!(#whole => __cqrs::json::variant(#name, #inside, out),)
            }
        }
    }

    /// What it adds to the shape: the names and shapes of the fields.
    fn shape(&self) -> TokenStream {
        let variant = self.variant.map(|(_, variant)| {
            let name = variant.unraw().to_string();
            quote!(let hash = __cqrs::mix_str(hash, #name);)
        });
        let names = self.fields.members().map(|member| called(&member));
        let types = self.fields.iter().map(|field| &field.ty);
        quote! {
            #variant
            #( let hash = __cqrs::mix(__cqrs::mix_str(hash, #names), <#types as __cqrs::Value>::SHAPE); )*
        }
    }
}

/// Several fields, one after the other: ordered by the first, then the next; of an enum, by the variants as they are declared first of all. In SQL it is JSON.
fn composite(item: &DeriveInput, variants: &[Parts<'_>]) -> TokenStream {
    let name = &item.ident;
    let text = name.unraw().to_string();
    let mut types: Vec<&syn::Type> = Vec::new();
    for field in variants.iter().flat_map(|parts| parts.fields) {
        if !types.contains(&&field.ty) {
            types.push(&field.ty);
        }
    }
    // As of a newtype: whatever no row can hold makes this a mere field of events, and a float no key.
    let column = types.iter().map(|ty| quote_spanned!(ty.span()=> for<'k> #ty: __cqrs::Value));
    let column = quote!(#(#column,)* for<'k> #name: ::core::clone::Clone);
    let key = types.iter().map(|ty| quote_spanned!(ty.span()=> for<'k> #ty: __cqrs::KeyPart));
    let (shapes, told) = (variants.iter().map(Parts::shape), told(item));
    let jsons = variants.iter().map(Parts::json);
    let writes = |one: &str| {
        let one = Ident::new(one, Span::call_site());
        let arms = variants.iter().map(|parts| parts.write(&one));
        quote!(match self { #(#arms)* })
    };
    let reads = |one: &str| {
        let one = Ident::new(one, Span::call_site());
        match variants {
            [parts] if parts.variant.is_none() => parts.read(&one),
            _ => {
                let arms = variants.iter().map(|parts| {
                    let (number, read) = (parts.variant.map(|(number, _)| number), parts.read(&one));
                    quote!(#number => #read)
                });
                quote! {
                    match <u32 as __cqrs::Value>::#one(input)? {
                        #(#arms)*
                        _ => ::core::option::Option::None,
                    }
                }
            }
        }
    };
    let (write, write_key) = (writes("write"), writes("write_key"));
    let (read, read_key) = (reads("read"), reads("read_key"));
    quote! {
        impl __cqrs::Value for #name where #column {
            const SHAPE: u128 = {
                let hash = __cqrs::mix_str(0, #text);
                #(#shapes)*
                #told
                hash
            };
            const SQL: __cqrs::SqlType = __cqrs::SqlType::Text;
            fn write(&self, out: &mut ::std::vec::Vec<u8>) {
                #write
            }
            fn read(input: &mut &[u8]) -> ::core::option::Option<Self> {
                #read
            }
            fn write_key(&self, out: &mut ::std::vec::Vec<u8>) {
                #write_key
            }
            fn read_key(input: &mut &[u8]) -> ::core::option::Option<Self> {
                #read_key
            }
            fn sql(&self) -> __cqrs::SqlValue {
                __cqrs::json::text(self)
            }
            fn write_json(&self, out: &mut ::std::string::String) {
                match self { #(#jsons)* }
            }
        }
        impl __cqrs::Scalar for #name where #column {}
        impl __cqrs::Item for #name where #column {}
        impl __cqrs::KeyPart for #name where #column, #(#key,)* {
            type Ref<'a> = &'a Self;
            fn write_ref(key: &&Self, out: &mut ::std::vec::Vec<u8>) {
                __cqrs::Value::write_key(*key, out);
            }
        }
    }
}
