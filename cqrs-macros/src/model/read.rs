//! Out of the arguments, as they are written, what was meant.

use proc_macro2::{Ident, Span, TokenStream};
use quote::format_ident;
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Expr, Fields};

use super::{
    Action, Aggregate, COLUMN_ATTRIBUTES, Column, Custom, Each, Group, Input, Kind, Projection, RowField,
    RowType, Source, SourceEvent, Window,
};
use crate::check;
use crate::errors::{Errors, did_you_mean, one_of};
use crate::expr::{beside, bindings, canonical};
use crate::options::{ColumnArgs, EachArg, GroupArg, KeyArgs, ProjectionOptions, SourceArg};

/// Reads the item, as much of it as can be understood.
pub(crate) fn read<'a>(item: &'a DeriveInput, errors: &mut Errors) -> Projection<'a> {
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
                return bare(item);
            }
        },
        _ => {
            errors.at(&item.ident, "a projection is a struct with named fields, the row that readers get");
            return bare(item);
        }
    };
    let args = |attribute: &&Attribute| attribute.path().is_ident("__cqrs_projection");
    let attributes: Vec<_> = item.attrs.iter().filter(args).collect();
    let Some(arguments) = attributes.first() else { return bare(item) };
    let tokens = arguments.meta.require_list().map(|list| list.tokens.clone()).unwrap_or_default();
    // The attribute tells of what is misspelt before it is handed on, and does so by standing here twice.
    let misspelt = attributes.len() > 1;

    let options = ProjectionOptions::read(&tokens, errors);
    let said = |word: &str| options.said.iter().any(|said| said == word);
    if !said("from") && !said("by_hand") {
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
    let knows_sources = options.from.is_some() || (!said("from") && said("by_hand"));
    let names: Vec<_> =
        fields.iter().filter_map(|field| field.ident.as_ref().map(|i| i.unraw().to_string())).collect();
    let windowed = said("window");
    // Where a key could not be read, a field without an attribute may be one.
    let mut read_keys = options.group_by.is_some();
    let groups = groups(options.group_by, fields, &names, &mut read_keys, errors);
    check::no_key_twice(&groups, errors);
    check::no_key_is_a_window(&groups, windowed, errors);

    let mut sources = Vec::new();
    let args = [
        ("from", options.from, Action::Fold),
        ("remove", options.remove, Action::Remove { prefix: None }),
        ("by_hand", options.by_hand, Action::ByHand),
    ];
    for (option, args, action) in args {
        let args = args.unwrap_or_default();
        check::prefixes(option, &args, &groups, errors);
        let own: Vec<_> = args.into_iter().map(|arg| source(arg, action, groups.len(), windowed)).collect();
        check::no_source_twice(option, &own, errors);
        check::variants_are_named(option, &own, errors);
        merge(&mut sources, own, errors);
    }
    check::renames_are_keys(&sources, &groups, errors);
    check::no_window_by_hand(&sources, windowed, errors);
    check::key_has_room(&groups, &names, windowed, errors);
    let each = options.each.map(each);
    check::bound_names(each.as_ref(), &options.joins, errors);
    check::joins_are_few(&options.joins, errors);
    let read = sources.iter().map(|source| &source.path).chain(options.joins.iter().map(|join| &join.path));
    check::is_not_of_itself(&item.ident, read, errors);
    check::of_a_window(&options.of_windows, windowed, errors);
    if let Some(window) = &options.window {
        check::window_is_in_the_row(&window.word, window.shape, &names, errors);
    }
    let mut of_indexes = Errors::default();
    check::indexes(&options.indexes, &names, &mut of_indexes);
    let knows_indexes = of_indexes.is_empty() && said("index") != options.indexes.is_empty();
    errors.append(of_indexes);
    let bounded = names.iter().any(|name| check::is_window_bound(name));
    let knows_key = read_keys
        && (!windowed
            || bounded
                && !groups.iter().any(|group| check::is_window_bound(&group.name.unraw().to_string())));

    let context = Context {
        groups: &groups,
        sources: &sources,
        knows_keys: read_keys && !misspelt,
        knows_sources,
        windowed,
        by_hand: said("by_hand"),
    };
    let mut row = Vec::new();
    for field in fields {
        let Some(ident) = &field.ident else { continue };
        check::no_column_option_twice(&field.ty, errors);
        if let Some(column) = column(field, ident, &context, errors) {
            row.push(RowField { ident, ty: RowType::new(&field.ty), column });
        }
    }
    check::computed_has_no_cycle(&row, &names, errors);
    check::columns_are_few(&row, errors);
    let stored = match &options.name {
        Some(name) => {
            check::stored_name(name, errors);
            name.value()
        }
        None => snake_case(&item.ident.unraw().to_string()),
    };
    check::name_is_free(&stored, &item.ident, errors);
    let (lateness, max_ahead, keep) = (options.lateness, options.max_ahead, options.keep);
    let (emit_final, unit) = (options.emit_final, options.unit);
    if let Some(window) = &options.window {
        check::window_is_of_whole_units(&window.word, window.shape, unit, errors);
    }
    let window = options.window.map(|window| Window {
        span: window.word.span(),
        at: window.at,
        shape: window.shape,
        lateness,
        max_ahead,
        keep,
        emit_final,
        unit,
    });
    Projection {
        is_understood: !misspelt,
        stored,
        version: options.version,
        sources,
        each,
        joins: options.joins,
        groups,
        window,
        fields: row,
        having: options.having,
        parks: options.parks,
        indexes: options.indexes,
        names,
        knows_key,
        knows_indexes,
        ..bare(item)
    }
}

/// A projection of which nothing is known but its name.
fn bare(item: &DeriveInput) -> Projection<'_> {
    let name = &item.ident;
    Projection {
        is_understood: false,
        name,
        twin: beside(format_ident!("{name}Ref", span = name.span()), item),
        lookups: beside(format_ident!("{}Lookups", name.unraw(), span = Span::call_site()), item),
        stored: String::new(),
        version: 1,
        sources: Vec::new(),
        each: None,
        joins: Vec::new(),
        groups: Vec::new(),
        window: None,
        fields: Vec::new(),
        having: None,
        parks: None,
        indexes: Vec::new(),
        names: Vec::new(),
        knows_key: false,
        knows_indexes: false,
    }
}

/// The fields of the row that `group_by` names.
fn groups<'a>(
    args: Option<Vec<GroupArg>>,
    fields: impl IntoIterator<Item = &'a syn::Field> + Copy,
    names: &[String],
    all_read: &mut bool,
    errors: &mut Errors,
) -> Vec<Group<'a>> {
    let mut groups = Vec::new();
    for group in args.into_iter().flatten() {
        let name = group.name.unraw().to_string();
        let named = |field: &&syn::Field| field.ident.as_ref().is_some_and(|i| i.unraw() == name);
        let Some(field) = fields.into_iter().find(named) else {
            let near = did_you_mean(&name, names);
            errors.at(
                &group.name,
                format!("the row has no field `{name}`{near} (a key column is a field of the row: add `{name}: Type`)"),
            );
            *all_read = false;
            continue;
        };
        groups.push(Group { name: group.name, ty: RowType::new(&field.ty), expr: group.expr });
    }
    groups
}

fn each(arg: EachArg) -> Each {
    let names = bindings(&arg.pat).iter().map(ToString::to_string).collect();
    Each { pat: arg.pat, over: arg.over, names }
}

fn source(arg: SourceArg, action: Action, groups: usize, windowed: bool) -> Source {
    let SourceArg { path, variants, keys, guard } = arg;
    let end = path
        .segments
        .last()
        .map(|last| last.ident.clone())
        .unwrap_or_else(|| Ident::new("_", Span::call_site()));
    let event = |name, keys: KeyArgs, guard| {
        // A prefix that is the whole key is the key.
        let is_prefix = keys.rest.is_some() && (keys.keys.len() < groups || windowed);
        let action = match action {
            Action::Remove { .. } => Action::Remove { prefix: is_prefix.then_some(keys.keys.len()) },
            action => action,
        };
        SourceEvent { name, keys: keys.keys, guard, action }
    };
    match variants {
        None => Source { path, open: None, events: vec![event(end, keys, guard)] },
        Some(variants) => Source {
            path,
            open: Some(variants.open),
            events: variants
                .variants
                .into_iter()
                .map(|variant| {
                    // A guard behind the braces is every variant's.
                    let guard = match (variant.guard, &guard) {
                        (Some(own), Some(all)) => Some(syn::parse_quote!((#own) && (#all))),
                        (own, all) => own.or_else(|| all.clone()),
                    };
                    event(variant.name, variant.keys, guard)
                })
                .collect(),
        },
    }
}

/// Puts what one option takes to what the options before it took: an enum that stands in several is one source.
fn merge(sources: &mut Vec<Source>, more: Vec<Source>, errors: &mut Errors) {
    let before = sources.len();
    for source in more {
        let Some(earlier) = sources[..before].iter_mut().find(|earlier| earlier.path == source.path) else {
            sources.push(source);
            continue;
        };
        check::does_one_thing(earlier, &source, errors);
        if let (Some(open), Some(also)) = (&mut earlier.open, source.open) {
            *open |= also;
            earlier.events.extend(source.events);
        }
    }
}

/// What is known where a column is read.
struct Context<'c> {
    groups: &'c [Group<'c>],
    sources: &'c [Source],
    /// Whether every key was understood.
    knows_keys: bool,
    /// Whether all that is folded was.
    knows_sources: bool,
    windowed: bool,
    by_hand: bool,
}

/// What a field of the row is. `None`, with an error, where that cannot be said.
fn column(field: &syn::Field, ident: &Ident, context: &Context<'_>, errors: &mut Errors) -> Option<Column> {
    let key = match ident.unraw().to_string().as_str() {
        "window_start" if context.windowed => Some((Column::WindowStart, "the window puts it there")),
        "window_end" if context.windowed => Some((Column::WindowEnd, "the window puts it there")),
        name => {
            let group = context.groups.iter().position(|group| group.name.unraw() == name);
            group.map(|group| (Column::Key(group), "it stands in `group_by`"))
        }
    };
    let is_column =
        |attribute: &&Attribute| COLUMN_ATTRIBUTES.iter().any(|name| attribute.path().is_ident(name));
    let mut attributes = field.attrs.iter().filter(is_column);
    let attribute = match (attributes.next(), key) {
        (None, Some((key, _))) => return Some(key),
        (Some(attribute), Some((_, why))) => {
            errors.at(
                attribute.path(),
                format!("`{ident}` is a key column ({why}): a key is not folded; remove one of the two"),
            );
            return None;
        }
        (None, None) if context.by_hand => return Some(Column::Plain),
        (None, None) => {
            // Without its `group_by`, or with an attribute taken off, a column that has none may be right.
            if context.knows_keys {
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
    let word_ident = attribute.path().get_ident()?;
    let word = word_ident.to_string();
    let args = match &attribute.meta {
        syn::Meta::Path(_) if word == "top" || word == "fold" => {
            // Says what stands first in it.
            errors.add(ColumnArgs::read(word_ident, TokenStream::new()).err()?);
            return None;
        }
        syn::Meta::Path(_) => ColumnArgs::default(),
        syn::Meta::List(list) if word == "computed" => return computed(list, errors),
        syn::Meta::List(list) => match ColumnArgs::read(word_ident, list.tokens.clone()) {
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
    if let (Some((limit, _)), false) = (&args.limit, word == "collect") {
        let hint = if word == "top" { "; `top` says how many first, `#[top(3, price)]`" } else { "" };
        errors.at(limit, format!("`{word}` has no limit: `limit` goes with `collect`{hint}"));
        return None;
    }
    let kind = match (word.as_str(), &args.by) {
        ("count", None) => Kind::Count,
        ("sum", None) => Kind::Sum,
        ("avg", None) => Kind::Avg,
        ("variance", None) => Kind::Variance,
        ("stddev", None) => Kind::Stddev,
        ("min", None) => Kind::Min,
        ("max", None) => Kind::Max,
        ("first", None) => Kind::First,
        ("first", Some(_)) => Kind::FirstBy,
        ("last", None) => Kind::Last,
        ("last", Some(_)) => Kind::LastBy,
        ("count_distinct", None) => Kind::CountDistinct,
        ("collect", None) => Kind::Collect,
        ("top", None) => Kind::Top,
        ("top", Some(_)) => Kind::TopBy,
        ("any", None) => Kind::Any,
        ("all", None) => Kind::All,
        ("fold", None) => Kind::Fold,
        (word, Some((by, _))) => {
            errors.at(by, format!("`{word}` has no order: `by` goes with `first`, `last` and `top`"));
            return None;
        }
        (_, None) => return None,
    };
    let sources = context.sources;
    if context.knows_sources && !check::is_folded_from_something(attribute, ident, sources, errors) {
        return None;
    }
    if let Some((_, limit)) = &args.limit {
        check::limit_is_a_number(limit, errors);
    }
    let (limit, n, custom) =
        (args.limit.as_ref().map(|(_, limit)| limit.clone()), args.n.clone(), args.custom.clone());
    let inputs = inputs(kind, ident, args, sources, errors)?;
    let events = sources.iter().flat_map(|source| &source.events).zip(inputs.iter().flatten());
    let may_be_empty = !kind.is_neutral()
        && events
            .filter(|(event, _)| !matches!(event.action, Action::Remove { .. }))
            .any(|(_, inputs)| inputs.iter().all(|input| input.guard.is_some()));
    let span = attribute.path().span();
    let custom = custom.map(|path| Custom { written: canonical(&path), path });
    Some(Column::Aggregate(Aggregate { kind, span, inputs, may_be_empty, limit, n, custom }))
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
        let of_event = |event: &SourceEvent| match event.action {
            Action::Fold => vec![input.clone()],
            _ => Vec::new(),
        };
        sources.iter().map(|source| source.events.iter().map(of_event).collect()).collect()
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

/// The source that an arm names by the end of its path: of those that are folded.
fn find_source(head: &Expr, sources: &[Source], errors: &mut Errors) -> Option<(usize, usize)> {
    let folded = |event: &&SourceEvent| event.action == Action::Fold;
    let events = || sources.iter().flat_map(|source| &source.events);
    let names: Vec<_> = events().filter(folded).map(|event| event.name.to_string()).collect();
    let wanted = match head {
        Expr::Path(path) if path.qself.is_none() => {
            path.path.segments.last().map(|last| last.ident.to_string())
        }
        _ => None,
    };
    let found = wanted.as_ref().and_then(|wanted| {
        let is_it = |event: &SourceEvent| folded(&event) && event.name == wanted.as_str();
        sources
            .iter()
            .enumerate()
            .find_map(|(at, source)| source.events.iter().position(is_it).map(|event| (at, event)))
    });
    if wanted.is_none() && !names.is_empty() {
        errors.at(
            head,
            format!("expected a source, one of {}; a condition is written `if ..`", one_of(&names)),
        );
        return None;
    }
    if found.is_none() && !names.is_empty() {
        let other =
            events().find(|event| wanted.as_ref().is_some_and(|wanted| event.name == wanted.as_str()));
        let why = match other.map(|event| event.action) {
            Some(Action::Remove { .. }) => Some("removes rows: no column is folded from it"),
            Some(_) => Some("is folded by hand: its own `fn fold` sets the columns"),
            None => None,
        };
        if let (Some(why), Some(wanted)) = (why, &wanted) {
            errors.at(head, format!("`{wanted}` {why} (`from` has {})", one_of(&names)));
            return None;
        }
        let near = wanted.as_ref().map(|wanted| did_you_mean(wanted, &names)).unwrap_or_default();
        errors.at(head, format!("this is no source of the projection{near} (`from` has {})", one_of(&names)));
    }
    found
}

/// `CustomerPurchases` as `customer_purchases`.
pub(super) fn snake_case(name: &str) -> String {
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
