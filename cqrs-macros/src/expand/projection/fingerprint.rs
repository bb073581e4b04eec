//! What the rows depend on, as one number.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt;

use super::reads::Reads;
use super::window_key;
use crate::expr::canonical;
use crate::model::{Action, Column, Kind, Projection};
use crate::spelling::option_of;

/// Everything that the rows depend on and a macro can see.
pub(super) fn fingerprint(model: &Projection<'_>, reads: &[Reads]) -> TokenStream {
    let mut parts = TokenStream::new();
    for (source, reads) in model.sources.iter().zip(reads) {
        let path = &source.path;
        for (event, (uses, words)) in source.events.iter().zip(&reads.events) {
            // All of its events, where none is named.
            let variant = source.open.map_or_else(String::new, |_| event.name.unraw().to_string());
            parts.extend(quote! {
                let types = <#path as __cqrs::Source>::TYPES;
                let hash = if <#path as __cqrs::Source>::FINGERPRINT == 0 { hash } else { __cqrs::mix(hash, <#path as __cqrs::Source>::FINGERPRINT) };
                let hash = __cqrs::mix(hash, __cqrs::source_shape(types, #variant));
                let hash = __cqrs::mix_str(hash, #words);
                #( let hash = __cqrs::mix(hash, __cqrs::field_shape(types, #variant, #uses)); )*
            });
            // What of it a fold by hand uses is in a function's body, so all of it is.
            if event.action == Action::ByHand {
                parts.extend(quote!(let hash = __cqrs::mix(hash, __cqrs::whole_shape(types, #variant));));
            }
        }
    }
    let mut words = String::new();
    for group in &model.groups {
        words.push_str(&format!("key {}; ", group.name.unraw()));
    }
    for field in &model.fields {
        let what = match &field.column {
            Column::Key(_) => "key".to_owned(),
            Column::WindowStart | Column::WindowEnd => {
                let which =
                    if matches!(field.column, Column::WindowStart) { "window start" } else { "window end" };
                // One of them is of the key, whose type is seen.
                let ty = canonical(field.ty.written);
                let alike = window_key(model).is_none_or(|(key, _)| canonical(key.ty.written) == ty);
                if alike { which.to_owned() } else { format!("{which} {ty}") }
            }
            Column::Plain => "by hand".to_owned(),
            Column::Aggregate(aggregate) => {
                let (limit, n) = (&aggregate.limit, &aggregate.n);
                let custom = aggregate.custom.as_ref().map_or("", |custom| &custom.written);
                // Of these, the state does not say of which type the column is.
                let stateless = matches!(aggregate.kind, Kind::Avg | Kind::Variance | Kind::Stddev);
                let maybe = if stateless && option_of(field.ty.written).is_some() { " maybe" } else { "" };
                format!("{} {}{custom}{maybe}", aggregate_word(aggregate.kind), canonical(&quote!(#limit #n)))
            }
            Column::Computed(expr) => format!("computed {}", canonical(expr)),
        };
        words.push_str(&format!("{} {what}; ", field.ident.unraw()));
    }
    if let Some(having) = &model.having {
        words.push_str(&format!("having {}", canonical(having)));
    }
    for field in &model.fields {
        if let Column::Computed(_) = field.column {
            let ty = &field.ty;
            parts.extend(quote!(let hash = __cqrs::mix(hash, <#ty as __cqrs::Value>::SHAPE);));
        }
    }
    for join in &model.joins {
        let path = &join.path;
        parts.extend(quote!(let hash = __cqrs::mix(hash, <#path as __cqrs::Projection>::FINGERPRINT);));
    }
    if let Some(window) = &model.window {
        words.push_str(&format!(
            "window {:?} {:?} {:?} {:?} {} {:?}",
            window.shape, window.lateness, window.max_ahead, window.keep, window.emit_final, window.unit
        ));
    }
    if model.parks.is_some() {
        words.push_str("; on fault park");
    }
    let version = model.version;
    quote! {{
        let hash: u128 = 1;
        #parts
        let hash = __cqrs::mix(hash, <<Self as __cqrs::Projection>::Key as __cqrs::Key>::SHAPE);
        let hash = __cqrs::mix(hash, <__State as __cqrs::State>::SHAPE);
        let hash = __cqrs::mix_str(hash, #words);
        __cqrs::mix(hash, #version as u128)
    }}
}

fn aggregate_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Count => "count",
        Kind::Sum => "sum",
        Kind::Avg => "avg",
        Kind::Min => "min",
        Kind::Max => "max",
        Kind::First => "first",
        Kind::FirstBy => "first by",
        Kind::Last => "last",
        Kind::LastBy => "last by",
        Kind::Variance => "variance",
        Kind::Stddev => "stddev",
        Kind::CountDistinct => "count_distinct",
        Kind::Collect => "collect",
        Kind::Top => "top",
        Kind::TopBy => "top by",
        Kind::Any => "any",
        Kind::All => "all",
        Kind::Fold => "fold",
    }
}
