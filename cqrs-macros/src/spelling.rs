//! What a type is, by how it is written: all that a macro can see of one.

use syn::Type;

/// The type without the invisible group that a `$ty:ty` of a `macro_rules` stands in.
pub(crate) fn ungrouped(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => ungrouped(&group.elem),
        Type::Paren(paren) => ungrouped(&paren.elem),
        other => other,
    }
}

pub(crate) fn is_string(ty: &Type) -> bool {
    let Type::Path(path) = ungrouped(ty) else { return false };
    path.qself.is_none()
        && path.path.segments.last().is_some_and(|last| last.ident == "String" && last.arguments.is_none())
}

/// Whether a path is a single name, or one of std's: another crate's `Option` is another type.
pub(crate) fn is_std(ty: &Type) -> bool {
    let Type::Path(path) = ungrouped(ty) else { return false };
    let first = path.path.segments.first();
    path.path.segments.len() == 1
        || first.is_some_and(|first| ["std", "core"].iter().any(|std| first.ident == std))
}

/// A number or `bool`, by its spelling.
pub(crate) fn is_plain(ty: &Type) -> bool {
    const PLAIN: [&str; 11] = ["bool", "u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64", "f32", "f64"];
    let Type::Path(path) = ungrouped(ty) else { return false };
    path.qself.is_none()
        && path.path.get_ident().is_some_and(|ident| PLAIN.iter().any(|plain| ident == plain))
}

/// Whether it can be a field of an event, by its spelling alone: text, a number or `bool`, or an `Option` of one.
pub(crate) fn is_stored(ty: &Type) -> bool {
    let inside = option_of(ty).unwrap_or(ty);
    is_plain(inside) || is_string(inside)
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

/// A collection, by its spelling: not copied to be looked at.
pub(crate) fn is_collection(ty: &Type) -> bool {
    let Type::Path(path) = ungrouped(ty) else { return false };
    path.path
        .segments
        .last()
        .is_some_and(|last| ["Vec", "BTreeSet", "BTreeMap"].iter().any(|known| last.ident == known))
}
