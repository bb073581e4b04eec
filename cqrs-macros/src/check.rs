//! The rules of a projection that a macro can see: a function a rule.

use std::collections::BTreeMap;

use proc_macro2::Ident;
use syn::ext::IdentExt;
use syn::{Attribute, LitStr};

use crate::errors::{Errors, did_you_mean, one_of};
use crate::expr::{Names, bindings, resolve};
use crate::model::{Action, Column, Each, Group, RowField, Source};
use crate::options::{Index, Join, KeyArgs, SourceArg};
use crate::spelling::{option_of, ungrouped};
use crate::window::{Shape, Unit};

/// A key column stands in `group_by` once.
pub(crate) fn no_key_twice(groups: &[Group<'_>], errors: &mut Errors) {
    for (at, group) in groups.iter().enumerate() {
        if groups[..at].iter().any(|earlier| earlier.name == group.name) {
            errors.at(&group.name, format!("`{}` stands in `group_by` twice: keep one", group.name));
        }
    }
}

/// Whether a field of this name is the bound of a window, where there is one.
pub(crate) fn is_window_bound(name: &str) -> bool {
    name == "window_start" || name == "window_end"
}

/// The bounds of a window are no groups.
pub(crate) fn no_key_is_a_window(groups: &[Group<'_>], windowed: bool, errors: &mut Errors) {
    for group in groups.iter().filter(|_| windowed) {
        let name = group.name.unraw().to_string();
        if is_window_bound(&name) {
            errors.at(
                &group.name,
                format!(
                    "`{name}` is a key column without being named: the window puts it there; take it out"
                ),
            );
        }
    }
}

/// An event stands in an option once, and two sources do not share the name that arms would call them by.
pub(crate) fn no_source_twice(option: &str, sources: &[Source], errors: &mut Errors) {
    let mut seen = Vec::new();
    for (at, source) in sources.iter().enumerate() {
        if sources[..at].iter().any(|earlier| earlier.path == source.path) {
            errors.at(&source.path, format!("this source stands in `{option}` twice: keep one"));
            continue;
        }
        // Arms do not name what removes or is folded by hand.
        if option != "from" {
            seen.clear();
        }
        for event in &source.events {
            if seen.contains(&event.name) {
                let message = match option {
                    "from" => "two sources of this name: arms could not tell them apart; fold one of them in a view of its own, and read that, or rename the variant (its stored name stays, \
                         with `#[event(name = \"..\")]`)"
                            .to_owned(),
                    _ => format!("`{option}` has this name twice: keep one"),
                };
                errors.at(&event.name, message);
            }
            seen.push(event.name.clone());
        }
    }
}

/// An event is folded, or removes, or is folded by hand.
pub(crate) fn does_one_thing(earlier: &Source, source: &Source, errors: &mut Errors) {
    let option = |action: Action| match action {
        Action::Fold => "from",
        Action::Remove { .. } => "remove",
        Action::ByHand => "by_hand",
    };
    if earlier.open.is_some() != source.open.is_some() {
        errors.at(
            &source.path,
            "this enum stands in two options, and one of them does not name its variants: write them there too, `Cart { ItemAdded, .. }`",
        );
        return;
    }
    for event in &source.events {
        if let Some(first) = earlier.events.iter().find(|first| first.name == event.name) {
            errors.at(
                &event.name,
                format!(
                    "`{}` stands in `{}` and in `{}`: an event does one of the two; keep one",
                    event.name,
                    option(first.action),
                    option(event.action)
                ),
            );
        }
    }
}

/// A fold by hand is of a key's one row, and a window makes many of it.
pub(crate) fn no_window_by_hand(sources: &[Source], windowed: bool, errors: &mut Errors) {
    let events = sources.iter().flat_map(|source| &source.events);
    for event in events.filter(|event| windowed && event.action == Action::ByHand) {
        errors.at(
            &event.name,
            format!(
                "`{}` is folded by hand, and a window has many rows of one key: take it out of `by_hand`, or take the window off",
                event.name
            ),
        );
    }
}

/// Of an enum, at least one variant is taken.
pub(crate) fn variants_are_named(option: &str, sources: &[Source], errors: &mut Errors) {
    for source in sources.iter().filter(|source| source.events.is_empty()) {
        let message = match option {
            "remove" => {
                "neither a variant nor a key of it is named: write which variants remove, `Cart { Cleared, .. }`, or of which key \
                 every row is removed, `CartCleared { customer, .. }`"
            }
            "by_hand" => "no variant of it is named: write which are folded by hand, `Cart { Noted, .. }`",
            _ => "no variant of it is named: write which are folded, `Cart { ItemAdded, .. }`",
        };
        errors.at(&source.path, message);
    }
}

/// `..` behind keys stands in `remove`, and behind the first columns of the key.
pub(crate) fn prefixes(option: &str, args: &[SourceArg], groups: &[Group<'_>], errors: &mut Errors) {
    let of_variants = args.iter().flat_map(|arg| arg.variants.iter().flat_map(|variants| &variants.variants));
    let keys = args.iter().map(|arg| &arg.keys).chain(of_variants.map(|variant| &variant.keys));
    let names: Vec<_> = groups.iter().map(|group| group.name.unraw().to_string()).collect();
    for KeyArgs { keys, rest } in keys {
        let Some(rest) = rest else { continue };
        if option != "remove" {
            errors.at(
                rest,
                format!("`..` says every row under these keys, and stands in `remove` only: an event in `{option}` is of one row; take it off"),
            );
            continue;
        }
        if keys.is_empty() {
            let message = match names.first() {
                Some(first) => format!(
                    "`..` says every row under the keys that stand before it: name at least the first, `{first}`"
                ),
                None => "`..` says every row under these keys, and this key has no columns: take it off"
                    .to_owned(),
            };
            errors.at(rest, message);
            continue;
        }
        // What is no key at all is reported as that.
        let wrong = keys.iter().enumerate().find(|(at, key)| {
            let name = key.name.unraw().to_string();
            names.contains(&name) && names.get(*at) != Some(&name)
        });
        if let Some((_, key)) = wrong {
            errors.at(
                &key.name,
                format!(
                    "`..` takes every row under the first columns of the key, in its order: the key is `{}`, so `{}` cannot stand here",
                    names.join(", "),
                    key.name
                ),
            );
        }
    }
}

/// Names that `each` and the joins bind.
pub(crate) fn bound_names(each: Option<&Each>, joins: &[Join], errors: &mut Errors) {
    let of_each = each.iter().flat_map(|each| bindings(&each.pat)).collect::<Vec<_>>();
    let mut seen: Vec<&Ident> = Vec::new();
    for name in of_each.iter().chain(joins.iter().map(|join| &join.name)) {
        let word = name.unraw().to_string();
        if word == "meta" {
            errors.at(name, "`meta` is the event's own (`meta.position`): give this another name");
        } else if seen.contains(&name) {
            errors.at(name, format!("`{word}` is bound twice: give one of them another name"));
        }
        seen.push(name);
    }
    for join in joins {
        let word = join.name.unraw().to_string();
        if !word.starts_with(|c: char| c.is_lowercase() || c == '_') {
            errors.at(
                &join.name,
                format!("a joined row has a lower-case name, as a variable has: `{}`", word.to_lowercase()),
            );
        }
    }
}

/// What is said of a window needs one.
pub(crate) fn of_a_window(options: &[Ident], windowed: bool, errors: &mut Errors) {
    for option in options.iter().filter(|_| !windowed) {
        errors.at(
            option,
            format!(
                "`{option}` says more about a window, and there is none: add `window = tumbling(at, \"1h\")`"
            ),
        );
    }
}

/// The bounds of a window are whole numbers of the unit: else two windows would have one row.
pub(crate) fn window_is_of_whole_units(
    window: &Ident,
    shape: Shape,
    unit: Option<Unit>,
    errors: &mut Errors,
) {
    let Some(unit) = unit else { return };
    let name = match unit {
        Unit::Seconds => "seconds",
        Unit::Millis => "milliseconds",
        Unit::Micros => return,
    };
    let unit = unit.micros();
    let (length, every) = match shape {
        Shape::Tumbling { size } => (size, size),
        Shape::Hopping { size, every } => (size, every),
        Shape::Session { gap } => (gap, gap),
    };
    if length % unit != 0 || every % unit != 0 {
        errors.at(
            window,
            format!(
                "by `unit`, the times of this window are whole {name}, and its bounds would not be: make its durations whole \
                 {name}, or the unit finer"
            ),
        );
    }
}

/// The row of a window says of which it is.
pub(crate) fn window_is_in_the_row(window: &Ident, shape: Shape, names: &[String], errors: &mut Errors) {
    let has = |name: &str| names.iter().any(|field| field == name);
    if matches!(shape, Shape::Session { .. }) {
        if !has("window_start") {
            errors.at(window, "a session is found by its start: add a field `window_start` to the row, of the type of the time");
        }
    } else if !has("window_start") && !has("window_end") {
        errors.at(
            window,
            "the row does not say of which window it is: add a field `window_start` or `window_end`, of the type of the time",
        );
    }
}

/// Indexes are over columns, and each is there once.
pub(crate) fn indexes(indexes: &[Index], names: &[String], errors: &mut Errors) {
    let words = |index: &Index| index.columns.iter().map(|c| c.unraw().to_string()).collect::<Vec<_>>();
    for (at, index) in indexes.iter().enumerate() {
        let columns = words(index);
        for (number, (column, name)) in index.columns.iter().zip(&columns).enumerate() {
            if !names.contains(name) {
                let near = did_you_mean(name, names);
                errors.at(
                    column,
                    format!("the row has no field `{name}`{near} (an index is over fields of the row)"),
                );
            } else if columns[..number].contains(name) {
                errors.at(column, format!("`{name}` stands in this index twice: keep one"));
            }
        }
        if indexes[..at].iter().any(|earlier| words(earlier) == columns) {
            errors.at(
                &index.word,
                format!("this index is there twice: keep one `index({})`", columns.join(", ")),
            );
            continue;
        }
        // Each beginning of an index has a look-up by it, and one by a range of its last column.
        for length in 1..=columns.len() {
            let own = &columns[..length];
            let by = |columns: &[String]| {
                [format!("by_{}", columns.join("_")), format!("by_{}_in", columns.join("_"))]
            };
            let earlier = indexes[..at].iter().map(words);
            let others = earlier
                .flat_map(|all| (1..=all.len()).map(|length| all[..length].to_vec()).collect::<Vec<_>>());
            let alike = others.filter(|other| other != own).find_map(|other| {
                let name = by(own).into_iter().find(|name| by(&other).contains(name))?;
                Some((name, other))
            });
            if let Some((name, other)) = alike {
                errors.at(
                    &index.columns[length - 1],
                    format!("a look-up by this would be called `{name}`, as is one by `{}`: give a column another name", other.join("`, `")),
                );
                break;
            }
        }
    }
}

/// Whether nothing may be stored for it.
fn is_or_boxes_an_option(ty: &syn::Type) -> bool {
    match ungrouped(ty) {
        syn::Type::Tuple(tuple) => tuple.elems.is_empty(),
        syn::Type::Path(path) => path.path.segments.last().is_some_and(|last| {
            let inside = match &last.arguments {
                syn::PathArguments::AngleBracketed(arguments) => arguments.args.first(),
                _ => None,
            };
            let boxed = ["Box", "Rc", "Arc"].iter().any(|name| last.ident == name);
            last.ident == "Option"
                || boxed
                    && matches!(inside, Some(syn::GenericArgument::Type(ty)) if is_or_boxes_an_option(ty))
        }),
        _ => false,
    }
}

/// A value that is `Some(None)` is stored as one that is `None` is: it would come back as another.
pub(crate) fn no_option_twice(ty: &syn::Type, errors: &mut Errors) {
    struct Options<'e>(&'e mut Errors);
    impl<'ast> syn::visit::Visit<'ast> for Options<'_> {
        fn visit_path_segment(&mut self, segment: &'ast syn::PathSegment) {
            if segment.ident == "Option"
                && let syn::PathArguments::AngleBracketed(arguments) = &segment.arguments
                && let Some(syn::GenericArgument::Type(inner)) = arguments.args.first()
                && is_or_boxes_an_option(inner)
            {
                self.0.at(
                    inner,
                    "what is `Some(None)` or `Some(())` would be stored, and come back, as `None`: say what it means by an enum under `#[value]` (events that are stored so \
                     are read by a plain `Option`)",
                );
                return;
            }
            syn::visit::visit_path_segment(self, segment);
        }
    }
    syn::visit::Visit::visit_type(&mut Options(errors), ty);
}

/// What a view is folded from comes before it.
pub(crate) fn is_not_of_itself<'p>(
    name: &Ident,
    paths: impl IntoIterator<Item = &'p syn::Path>,
    errors: &mut Errors,
) {
    for path in paths.into_iter().filter(|path| path.is_ident(name)) {
        errors.at(
            path,
            format!("`{name}` is what is being folded: a view neither reads itself, nor looks itself up"),
        );
    }
}

/// Fields are stored, and found again, by their names: each of these has its own, and its aliases.
pub(crate) fn no_stored_name_twice(fields: &[(&Ident, Vec<&str>)], errors: &mut Errors) {
    for (at, (field, names)) in fields.iter().enumerate() {
        let taken = fields[..at].iter().find_map(|(other, theirs)| {
            let name = names.iter().find(|name| theirs.contains(name))?;
            Some((other, name))
        });
        if let Some((other, name)) = taken {
            errors.at(
                field,
                format!("`{field}` and `{other}` are both stored, or read, as `{name}`: what is in one of them could not be told from the other"),
            );
        }
    }
}

/// A column that may have no value is an `Option`, and not of one that is.
pub(crate) fn no_column_option_twice(ty: &syn::Type, errors: &mut Errors) {
    if let Some(inside) = option_of(ty).filter(|inside| option_of(inside).is_some()) {
        errors.at(inside, "a column that may have no value is an `Option` once: what is nothing in an event is nothing here, too");
    }
}

/// A limit is cast to a number of values: one below nought would be as good as none.
pub(crate) fn limit_is_a_number(limit: &syn::Expr, errors: &mut Errors) {
    let wrong = match limit {
        syn::Expr::Unary(unary) => matches!(unary.op, syn::UnOp::Neg(_)),
        syn::Expr::Lit(literal) => !matches!(literal.lit, syn::Lit::Int(_)),
        _ => false,
    };
    if wrong {
        errors.at(limit, "a limit says how many values are kept: a whole number, `limit = 100`");
    }
}

/// As many views as the core looks up at once.
pub(crate) fn joins_are_few(joins: &[Join], errors: &mut Errors) {
    if let Some(fifth) = joins.get(4) {
        errors.at(&fifth.name, "a projection looks up at most 4 views: have one of them look up another");
    }
}

/// A column that is folded has a number that fits a byte.
pub(crate) fn columns_are_few(row: &[RowField<'_>], errors: &mut Errors) {
    let mut folded = row.iter().filter(|field| matches!(field.column, Column::Aggregate(_)));
    if let Some(field) = folded.nth(255) {
        errors.at(field.ident, "a row has at most 255 columns that are folded: make two projections of it");
    }
}

/// A folded column needs an event that is folded.
pub(crate) fn is_folded_from_something(
    attribute: &Attribute,
    column: &Ident,
    sources: &[Source],
    errors: &mut Errors,
) -> bool {
    let mut events = sources.iter().flat_map(|source| &source.events).peekable();
    if events.peek().is_none() || events.any(|event| event.action == Action::Fold) {
        return true;
    }
    errors.at(
        attribute.path(),
        format!("`{column}` is folded from nothing, for no event stands in `from`: take the attribute off, and set it by hand"),
    );
    false
}

/// What a source renames is a key column, once.
pub(crate) fn renames_are_keys(sources: &[Source], groups: &[Group<'_>], errors: &mut Errors) {
    let names: Vec<_> = groups.iter().map(|group| group.name.unraw().to_string()).collect();
    let keys = sources
        .iter()
        .flat_map(|source| &source.events)
        .flat_map(|event| event.keys.iter().enumerate().map(|(at, key)| (key, &event.keys[..at])));
    for (key, before) in keys {
        let name = key.name.unraw().to_string();
        if before.iter().any(|other| other.name == key.name) {
            errors.at(&key.name, format!("what `{name}` is for this event is said twice: keep one"));
        }
        // The field may be something else than what is computed of it.
        if key.short && groups.iter().any(|group| group.name.unraw() == name && group.expr.is_some()) {
            errors.at(
                &key.name,
                format!(
                    "`{name}` is computed in `group_by`: say what it is for this event, `{name}: ..` (`{name}: {name}` is the event's field as it is)"
                ),
            );
        }
        if !names.contains(&name) {
            let near = did_you_mean(&name, &names);
            let keys = if names.is_empty() { "none".to_owned() } else { one_of(&names) };
            errors.at(&key.name, format!("`{name}` is no key column{near} (`group_by` has {keys})"));
        }
    }
}

/// How many columns a key has at most.
pub(crate) const KEY_COLUMNS: usize = 8;

/// Keys are tuples, and tuples end somewhere.
pub(crate) fn key_has_room(groups: &[Group<'_>], names: &[String], windowed: bool, errors: &mut Errors) {
    // One bound of the window tells the windows of a key apart.
    let bounds = usize::from(windowed && names.iter().any(|name| is_window_bound(name)));
    if let Some(ninth) = groups.get(KEY_COLUMNS - bounds) {
        let with = if bounds > 0 { ", that of the window among them" } else { "" };
        errors.at(
            &ninth.name,
            format!(
                "a key has at most {KEY_COLUMNS} columns{with}: make several of them one `#[value]` type or one computed column"
            ),
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
