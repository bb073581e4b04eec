//! The rules of a projection that a macro can see: a function a rule.

use std::collections::BTreeMap;

use syn::LitStr;
use syn::ext::IdentExt;

use crate::errors::{Errors, did_you_mean, one_of};
use crate::expr::{Names, resolve};
use crate::model::{Column, Group, RowField, Source};

/// A key column stands in `group_by` once.
pub(crate) fn no_key_twice(groups: &[Group<'_>], errors: &mut Errors) {
    for (at, group) in groups.iter().enumerate() {
        if groups[..at].iter().any(|earlier| earlier.name == group.name) {
            errors.at(&group.name, format!("`{}` stands in `group_by` twice: keep one", group.name));
        }
    }
}

/// An event is a source once, and two sources do not share the name that arms would call them by.
pub(crate) fn no_source_twice(sources: &[Source], errors: &mut Errors) {
    let mut seen = Vec::new();
    for (at, source) in sources.iter().enumerate() {
        if sources[..at].iter().any(|earlier| earlier.path == source.path) {
            errors.at(&source.path, "this source stands in `from` twice: keep one");
            continue;
        }
        for event in &source.events {
            if seen.contains(&event.name) {
                errors.at(&event.name, "two sources of this name: arms could not tell them apart; keep one");
            }
            seen.push(event.name.clone());
        }
    }
}

/// Of an enum, at least one variant is taken.
pub(crate) fn variants_are_named(sources: &[Source], errors: &mut Errors) {
    for source in sources.iter().filter(|source| source.events.is_empty()) {
        errors
            .at(&source.path, "no variant of it is named: write which are folded, `Cart { ItemAdded, .. }`");
    }
}

/// What a source renames is a key column.
pub(crate) fn renames_are_keys(sources: &[Source], groups: &[Group<'_>], errors: &mut Errors) {
    let names: Vec<_> = groups.iter().map(|group| group.name.unraw().to_string()).collect();
    for key in sources.iter().flat_map(|source| &source.events).flat_map(|event| &event.keys) {
        let name = key.name.unraw().to_string();
        if !names.contains(&name) {
            let near = did_you_mean(&name, &names);
            let keys = if names.is_empty() { "none".to_owned() } else { one_of(&names) };
            errors.at(&key.name, format!("`{name}` is no key column{near} (`group_by` has {keys})"));
        }
    }
}

/// Keys are tuples, and tuples end somewhere.
pub(crate) fn key_has_room(groups: &[Group<'_>], errors: &mut Errors) {
    if let Some(ninth) = groups.get(8) {
        errors.at(
            &ninth.name,
            "a key has at most 8 columns: make several of them one `#[value]` type or one computed column",
        );
    }
}

/// A stored name is also the name of a SQL view.
pub(crate) fn stored_name(name: &LitStr, errors: &mut Errors) {
    let value = name.value();
    let good = value.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    let starts_well = value.starts_with(|c: char| c.is_ascii_lowercase());
    if !good || !starts_well {
        errors.at(name, "a projection's name is lower-case ASCII letters, digits and `_`, and starts with a letter: it names a SQL view");
    }
}

/// SQLite keeps some names for itself.
pub(crate) fn name_is_free(stored: &str, at: &impl quote::ToTokens, errors: &mut Errors) {
    if stored.starts_with("sqlite_") {
        errors.at(at, format!("`{stored}` would name a SQL view, and SQLite keeps names that begin with `sqlite_` for itself: give it another with `name = \"..\"`"));
    }
}

/// Computed columns can be put in an order in which each comes after those it uses.
pub(crate) fn computed_has_no_cycle(fields: &[RowField<'_>], names: &[String], errors: &mut Errors) {
    if computed_order(fields, names).is_none() {
        let uses = computed_uses(fields, names);
        // The first that can reach itself.
        let reaches = |start: &String| {
            let (mut seen, mut next) = (Vec::new(), vec![start.clone()]);
            while let Some(name) = next.pop() {
                for used in uses.get(&name).into_iter().flatten() {
                    if used == start {
                        return true;
                    }
                    if !seen.contains(used) {
                        seen.push(used.clone());
                        next.push(used.clone());
                    }
                }
            }
            false
        };
        let field = fields.iter().find(|field| reaches(&field.ident.unraw().to_string()));
        if let Some(field) = field {
            errors.at(field.ident, format!("the computed column `{}` depends on itself", field.ident));
        }
    }
}

/// The numbers of the computed fields, each after those it uses; `None` if there is a cycle.
pub(crate) fn computed_order(fields: &[RowField<'_>], names: &[String]) -> Option<Vec<usize>> {
    let uses = computed_uses(fields, names);
    let mut order: Vec<usize> = Vec::new();
    while order.len() < uses.len() {
        let done = |name: &String| {
            !uses.contains_key(name) || order.iter().any(|at| fields[*at].ident.unraw() == name.as_str())
        };
        let next = (0..fields.len()).find(|at| {
            let name = fields[*at].ident.unraw().to_string();
            !order.contains(at) && uses.get(&name).is_some_and(|uses| uses.iter().all(&done))
        })?;
        order.push(next);
    }
    Some(order)
}

/// By computed column: the columns it uses.
fn computed_uses(fields: &[RowField<'_>], names: &[String]) -> BTreeMap<String, Vec<String>> {
    let computed = fields.iter().filter_map(|field| match &field.column {
        Column::Computed(expr) => {
            // Its mistakes are reported where it is expanded.
            let uses = resolve(expr, &Names::Row(names), &mut Errors::default()).uses;
            Some((field.ident.unraw().to_string(), uses.into_iter().collect()))
        }
        _ => None,
    });
    computed.collect()
}
