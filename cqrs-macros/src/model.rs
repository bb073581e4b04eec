//! A projection, as it was meant: sources, keys and columns, each found and checked.

use proc_macro2::{Ident, Span};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Expr, Fields, Path, Type};

use crate::check;
use crate::errors::{Errors, did_you_mean, one_of};
use crate::options::{ColumnArgs, KeyArg, ProjectionOptions, SourceArg};

/// The attributes that make a row's field a column.
pub(crate) const COLUMN_ATTRIBUTES: [&str; 8] =
    ["count", "sum", "avg", "min", "max", "first", "last", "computed"];

/// A projection without mistakes that a macro can see.
pub(crate) struct Projection<'a> {
    pub(crate) name: &'a Ident,
    /// The name it is stored under.
    pub(crate) stored: String,
    pub(crate) version: u32,
    pub(crate) sources: Vec<Source>,
    pub(crate) groups: Vec<Group<'a>>,
    /// The row's fields, in order.
    pub(crate) fields: Vec<RowField<'a>>,
    pub(crate) having: Option<Expr>,
    /// The names of all its fields, also of those that something is wrong with.
    pub(crate) names: Vec<String>,
}

/// An event type, or an enum of which some variants are taken.
pub(crate) struct Source {
    pub(crate) path: Path,
    /// For an enum, whether `..` passes over the variants that are not named.
    pub(crate) open: Option<bool>,
    pub(crate) events: Vec<SourceEvent>,
}

/// One event: the source itself, or a variant of it.
pub(crate) struct SourceEvent {
    /// What arms call it: the variant, or the end of the source's path.
    pub(crate) name: Ident,
    pub(crate) keys: Vec<KeyArg>,
    pub(crate) guard: Option<Expr>,
}

/// A column of the key.
pub(crate) struct Group<'a> {
    /// As `group_by` has it: rustc's words about it belong there.
    pub(crate) name: Ident,
    pub(crate) ty: &'a Type,
    pub(crate) expr: Option<Expr>,
}

/// A field of the row.
pub(crate) struct RowField<'a> {
    pub(crate) ident: &'a Ident,
    pub(crate) ty: &'a Type,
    pub(crate) column: Column,
}

pub(crate) enum Column {
    /// One of the groups, by number.
    Key(usize),
    Aggregate(Aggregate),
    Computed(Expr),
}

/// A column that is folded.
pub(crate) struct Aggregate {
    pub(crate) kind: Kind,
    /// Where the attribute's name stands.
    pub(crate) span: Span,
    /// By source and event: what it takes of that event, the first that its guard lets through.
    pub(crate) inputs: Vec<Vec<Vec<Input>>>,
    /// Whether a row can be there before it has a value.
    pub(crate) may_be_empty: bool,
}

/// What a column takes of one event.
#[derive(Clone)]
pub(crate) struct Input {
    pub(crate) guard: Option<Expr>,
    /// `None` for `count`, which looks at nothing.
    pub(crate) value: Option<Expr>,
    pub(crate) by: Option<Expr>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Count,
    Sum,
    Avg,
    Min,
    Max,
    First,
    FirstBy,
    Last,
    LastBy,
}

impl Kind {
    /// Whether it has a value before an event gave it one.
    fn is_neutral(self) -> bool {
        matches!(self, Self::Count | Self::Sum)
    }
}

/// Reads the item. `None` if what is wrong leaves no projection to speak of.
pub(crate) fn read<'a>(item: &'a DeriveInput, errors: &mut Errors) -> Option<Projection<'a>> {
    if !item.generics.params.is_empty() {
        errors.at(
            &item.generics,
            "the row of a projection has no generics: each projection is one view with one name",
        );
    }
    let fields = match &item.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => &fields.named,
            _ => {
                errors.at(
                    &item.ident,
                    "a projection is a struct with named fields: they are the columns of its row",
                );
                return None;
            }
        },
        _ => {
            errors.at(&item.ident, "a projection is a struct with named fields, the row that readers get");
            return None;
        }
    };
    let args = |attribute: &&Attribute| attribute.path().is_ident("__cqrs_projection");
    let attributes: Vec<_> = item.attrs.iter().filter(args).collect();
    let tokens = attributes.first()?.meta.require_list().map(|list| list.tokens.clone()).unwrap_or_default();
    let misspelt = attributes.len() > 1;

    let options = ProjectionOptions::read(&tokens, errors);
    let said = |word: &str| options.said.iter().any(|said| said == word);
    if !said("from") {
        errors.at_span(
            Span::call_site(),
            "a projection needs `from`: the event it is folded from, `from = Purchased`",
        );
    }
    if !said("group_by") {
        errors.at_span(
            Span::call_site(),
            "a projection needs `group_by`: the fields its rows are found by, `group_by = customer`, or `group_by = ()` for one \
             row",
        );
    }
    let sources: Vec<_> = options.from.into_iter().flatten().map(source).collect();
    let names: Vec<_> =
        fields.iter().filter_map(|field| field.ident.as_ref().map(|i| i.unraw().to_string())).collect();
    // Where a key could not be read, a field without an attribute may be one.
    let mut read_keys = options.group_by.is_some();
    let mut groups = Vec::new();
    for group in options.group_by.into_iter().flatten() {
        let name = group.name.unraw().to_string();
        let Some(field) = fields.iter().find(|field| field.ident.as_ref().is_some_and(|i| i.unraw() == name))
        else {
            let near = did_you_mean(&name, &names);
            errors.at(
                &group.name,
                format!("the row has no field `{name}`{near} (a key column is a field of the row: add `{name}: Type`)"),
            );
            read_keys = false;
            continue;
        };
        groups.push(Group { name: group.name, ty: &field.ty, expr: group.expr });
    }
    check::no_key_twice(&groups, errors);
    check::no_source_twice(&sources, errors);
    check::variants_are_named(&sources, errors);
    check::renames_are_keys(&sources, &groups, errors);
    check::key_has_room(&groups, errors);

    let knows_keys = read_keys && !misspelt;
    let mut row = Vec::new();
    for field in fields {
        let Some(ident) = &field.ident else { continue };
        let group = groups.iter().position(|group| group.name.unraw() == ident.unraw());
        if let Some(column) = column(field, ident, group, &sources, knows_keys, errors) {
            row.push(RowField { ident, ty: &field.ty, column });
        }
    }
    check::computed_has_no_cycle(&row, &names, errors);
    if misspelt {
        return None;
    }
    let stored = match &options.name {
        Some(name) => {
            check::stored_name(name, errors);
            name.value()
        }
        None => snake_case(&item.ident.unraw().to_string()),
    };
    check::name_is_free(&stored, &item.ident, errors);
    Some(Projection {
        name: &item.ident,
        stored,
        version: options.version,
        sources,
        groups,
        fields: row,
        having: options.having,
        names,
    })
}

fn source(arg: SourceArg) -> Source {
    let SourceArg { path, variants, keys, guard } = arg;
    let end = path
        .segments
        .last()
        .map(|last| last.ident.clone())
        .unwrap_or_else(|| Ident::new("_", Span::call_site()));
    match variants {
        None => Source { path, open: None, events: vec![SourceEvent { name: end, keys, guard }] },
        Some(variants) => Source {
            path,
            open: Some(variants.open),
            events: variants
                .variants
                .into_iter()
                .map(|variant| SourceEvent {
                    name: variant.name,
                    keys: variant.keys,
                    // A guard behind the braces is every variant's.
                    guard: match (variant.guard, &guard) {
                        (Some(own), Some(all)) => Some(syn::parse_quote!((#own) && (#all))),
                        (own, all) => own.or_else(|| all.clone()),
                    },
                })
                .collect(),
        },
    }
}

/// What a field of the row is. `None`, with an error, where that cannot be said.
fn column(
    field: &syn::Field,
    ident: &Ident,
    group: Option<usize>,
    sources: &[Source],
    knows_keys: bool,
    errors: &mut Errors,
) -> Option<Column> {
    let is_column =
        |attribute: &&Attribute| COLUMN_ATTRIBUTES.iter().any(|name| attribute.path().is_ident(name));
    let mut attributes = field.attrs.iter().filter(is_column);
    let attribute = match (attributes.next(), group) {
        (None, Some(group)) => return Some(Column::Key(group)),
        (Some(attribute), Some(_)) => {
            errors.at(
                attribute.path(),
                format!("`{ident}` is a key column (it stands in `group_by`): a key is not folded; remove one of the two"),
            );
            return None;
        }
        (None, None) => {
            // Without its `group_by`, or with an attribute taken off, a column that has none may be right.
            if knows_keys {
                errors.at(
                    ident,
                    format!(
                        "`{ident}` is neither a key nor folded: name it in `group_by`, or say how it is folded, with one of {}",
                        one_of(&COLUMN_ATTRIBUTES.map(|name| format!("#[{name}]")))
                    ),
                );
            }
            return None;
        }
        (Some(attribute), None) => attribute,
    };
    if let Some(second) = attributes.next() {
        errors.at(
            second.path(),
            format!("`{ident}` has two column attributes: a column is folded in one way; keep one"),
        );
        return None;
    }
    let word = attribute.path().get_ident()?.to_string();
    let args = match &attribute.meta {
        syn::Meta::Path(_) => ColumnArgs::default(),
        syn::Meta::List(list) if word == "computed" => return computed(list, errors),
        syn::Meta::List(list) => match syn::parse2::<ColumnArgs>(list.tokens.clone()) {
            Ok(args) => args,
            Err(error) => {
                errors.add(error);
                return None;
            }
        },
        syn::Meta::NameValue(_) => {
            errors.at(attribute, format!("write `#[{word}(..)]`"));
            return None;
        }
    };
    if word == "computed" {
        errors.at(
            attribute,
            "`computed` needs an expression over the row's columns: `#[computed(revenue / orders)]`",
        );
        return None;
    }
    let kind = match (word.as_str(), &args.by) {
        ("count", None) => Kind::Count,
        ("sum", None) => Kind::Sum,
        ("avg", None) => Kind::Avg,
        ("min", None) => Kind::Min,
        ("max", None) => Kind::Max,
        ("first", None) => Kind::First,
        ("first", Some(_)) => Kind::FirstBy,
        ("last", None) => Kind::Last,
        ("last", Some(_)) => Kind::LastBy,
        (word, Some((by, _))) => {
            errors.at(by, format!("`{word}` has no order: `by` goes with `first` and `last`"));
            return None;
        }
        (_, None) => return None,
    };
    let inputs = inputs(kind, ident, args, sources, errors)?;
    let never = |inputs: &Vec<Input>| inputs.iter().all(|input| input.guard.is_some());
    let may_be_empty = !kind.is_neutral() && inputs.iter().flatten().any(never);
    Some(Column::Aggregate(Aggregate { kind, span: attribute.path().span(), inputs, may_be_empty }))
}

fn computed(list: &syn::MetaList, errors: &mut Errors) -> Option<Column> {
    match syn::parse2(list.tokens.clone()) {
        Ok(expr) => Some(Column::Computed(expr)),
        Err(error) => {
            errors.add(error);
            None
        }
    }
}

/// What a column takes of each event, in one of three shapes: an expression, one with a guard, or arms by event.
fn inputs(
    kind: Kind,
    ident: &Ident,
    args: ColumnArgs,
    sources: &[Source],
    errors: &mut Errors,
) -> Option<Vec<Vec<Vec<Input>>>> {
    let by = args.by.map(|(_, expr)| expr);
    let everywhere = |input: Input| -> Vec<Vec<Vec<Input>>> {
        sources.iter().map(|source| vec![vec![input.clone()]; source.events.len()]).collect()
    };
    let arms = kind == Kind::Count || args.items.iter().any(|item| item.value.is_some());
    if args.items.is_empty() {
        let own = || syn::parse_quote!(#ident);
        let value = (kind != Kind::Count).then(own);
        return Some(everywhere(Input { guard: args.guard, value, by }));
    }
    if let Some(guard) = &args.guard {
        errors.at(guard, "this guard stands alone: put it behind what it guards, `qty if qty > 0`");
        return None;
    }
    if !arms {
        let mut items = args.items.into_iter();
        let item = items.next()?;
        if let Some(second) = items.next() {
            errors.at(
                &second.head,
                "one expression, or arms by event: `ItemAdded => qty, ItemRemoved => -qty`",
            );
            return None;
        }
        return Some(everywhere(Input { guard: item.guard, value: Some(item.head), by }));
    }
    let mut inputs: Vec<Vec<Vec<Input>>> =
        sources.iter().map(|source| vec![Vec::new(); source.events.len()]).collect();
    let mut whole = true;
    for item in args.items {
        let Some((source, event)) = find_source(&item.head, sources, errors) else {
            whole = false;
            continue;
        };
        let value = match (kind, item.value) {
            (Kind::Count, Some(value)) => {
                errors.at(&value, "`count` counts events, it takes no value: `#[count(ItemAdded)]`");
                None
            }
            (Kind::Count, None) => None,
            (_, Some(value)) => Some(value),
            (_, None) => {
                errors.at(&item.head, "this arm has no value: write `Event => expression`");
                whole = false;
                continue;
            }
        };
        let of_event = &mut inputs[source][event];
        if of_event.iter().any(|input| input.guard.is_none()) {
            errors.at(
                &item.head,
                "this arm is never reached: an arm without a guard for the same event stands before it",
            );
        }
        of_event.push(Input { guard: item.guard, value, by: by.clone() });
    }
    whole.then_some(inputs)
}

/// The source that an arm names by the end of its path.
fn find_source(head: &Expr, sources: &[Source], errors: &mut Errors) -> Option<(usize, usize)> {
    let names: Vec<_> = sources.iter().flat_map(|s| &s.events).map(|event| event.name.to_string()).collect();
    let wanted = match head {
        Expr::Path(path) if path.qself.is_none() => {
            path.path.segments.last().map(|last| last.ident.to_string())
        }
        _ => None,
    };
    let found = wanted.as_ref().and_then(|wanted| {
        sources.iter().enumerate().find_map(|(at, source)| {
            source.events.iter().position(|event| event.name == wanted.as_str()).map(|event| (at, event))
        })
    });
    if wanted.is_none() && !names.is_empty() {
        errors.at(
            head,
            format!("expected a source, one of {}; a condition is written `if ..`", one_of(&names)),
        );
        return None;
    }
    if found.is_none() && !names.is_empty() {
        let near = wanted.as_ref().map(|wanted| did_you_mean(wanted, &names)).unwrap_or_default();
        errors.at(head, format!("this is no source of the projection{near} (`from` has {})", one_of(&names)));
    }
    found
}

/// `CustomerPurchases` as `customer_purchases`.
fn snake_case(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut snake = String::new();
    for (at, &c) in chars.iter().enumerate() {
        let after_lower = at > 0 && (chars[at - 1].is_lowercase() || chars[at - 1].is_numeric());
        let before_lower =
            at > 0 && chars[at - 1].is_uppercase() && chars.get(at + 1).is_some_and(|c| c.is_lowercase());
        if c.is_uppercase() && (after_lower || before_lower) {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::snake_case;

    #[test]
    fn stored_names_are_snake_case() {
        assert_eq!(snake_case("CustomerPurchases"), "customer_purchases");
        assert_eq!(snake_case("HTTPRequests2xx"), "http_requests2xx");
        assert_eq!(snake_case("A"), "a");
    }
}
