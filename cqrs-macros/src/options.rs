//! The arguments of the attributes, as they are written.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, LitInt, LitStr, Pat, Path, Token, braced, bracketed, parenthesized, token};

use crate::duration::duration;
use crate::errors::{Errors, closest, did_you_mean, one_of};
use crate::window::{Unit, WindowArg, emit, unit, window};

/// The arguments of `#[event(..)]`.
pub(crate) struct EventOptions {
    pub(crate) name: Option<String>,
    pub(crate) version: u32,
    /// The type that the version before is read as.
    pub(crate) upcast: Option<Path>,
    pub(crate) retired: bool,
    pub(crate) aliases: Vec<String>,
    /// Where the first option stands, if there is one.
    pub(crate) given: Option<Span>,
}

const EVENT_OPTIONS: [&str; 5] = ["name", "version", "upcast", "retired", "aliases"];

impl EventOptions {
    /// Those of the item, which `#[event]` has put in `#[__cqrs_event(..)]`.
    pub(crate) fn of_item(attributes: &[Attribute], errors: &mut Errors) -> Self {
        Self::of(attributes, "__cqrs_event", errors)
    }

    /// Those of a variant.
    pub(crate) fn of_variant(attributes: &[Attribute], errors: &mut Errors) -> Self {
        Self::of(attributes, "event", errors)
    }

    fn of(attributes: &[Attribute], attribute: &str, errors: &mut Errors) -> Self {
        let mut options =
            Self { name: None, version: 1, upcast: None, retired: false, aliases: Vec::new(), given: None };
        let mut upcast = None;
        for attribute in attributes.iter().filter(|a| a.path().is_ident(attribute)) {
            let Ok(list) = attribute.meta.require_list() else { continue };
            each_option(&list.tokens, &EVENT_OPTIONS, errors, |option, input, errors| {
                options.given = options.given.or(Some(option.span()));
                match option.to_string().as_str() {
                    "name" => {
                        input.parse::<Token![=]>()?;
                        let name: LitStr = input.parse()?;
                        if name.value().is_empty() {
                            errors.at(&name, "a stored name is not empty");
                        }
                        options.name = Some(name.value());
                    }
                    "version" => options.version = version(input)?,
                    "upcast" => {
                        if !input.peek(Token![=]) {
                            return Err(syn::Error::new(
                                option.span(),
                                "`upcast` names the type that the version before is read as: `upcast = PurchasedV1`",
                            ));
                        }
                        input.parse::<Token![=]>()?;
                        options.upcast = Some(input.parse()?);
                        upcast = Some(option.clone());
                    }
                    "retired" => {
                        if !input.is_empty() && !input.peek(Token![,]) {
                            return Err(syn::Error::new(
                                option.span(),
                                "`retired` stands by itself: `#[event(retired)]`",
                            ));
                        }
                        options.retired = true;
                    }
                    _ => {
                        if !input.peek(token::Paren) {
                            return Err(
                                input.error("aliases stand in parentheses: `aliases(\"Old\", \"Older\")`")
                            );
                        }
                        let content;
                        parenthesized!(content in input);
                        let aliases: Punctuated<LitStr, Token![,]> =
                            inside(&content, Punctuated::parse_terminated)?;
                        options.aliases = aliases.iter().map(LitStr::value).collect();
                    }
                }
                Ok(())
            });
        }
        if let Some(upcast) = upcast.filter(|_| options.version == 1) {
            errors.at(
                &upcast,
                "version 1 has none before it to upcast from: give the type the `version` that comes after that of the other",
            );
        }
        options
    }
}

fn version(input: ParseStream<'_>) -> syn::Result<u32> {
    input.parse::<Token![=]>()?;
    let number: LitInt = input.parse()?;
    match number.base10_parse::<u32>() {
        Ok(version) if version > 0 => Ok(version),
        _ => Err(syn::Error::new(number.span(), "a version is a whole number from 1")),
    }
}

/// Options that may be given more than once.
const REPEATED: [&str; 3] = ["join", "left_join", "index"];

/// Parses `word ..., word ...`: unknown and repeated words are errors, and an option that does not parse costs only itself.
fn each_option(
    tokens: &TokenStream,
    known: &[&str],
    errors: &mut Errors,
    mut parse: impl FnMut(&Ident, ParseStream<'_>, &mut Errors) -> syn::Result<()>,
) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    let options = |input: ParseStream<'_>| {
        while !input.is_empty() {
            let Ok(option) = input.call(Ident::parse_any) else {
                errors.at_span(input.span(), format!("expected an option, one of {}", one_of(known)));
                skip_to_comma(input);
                continue;
            };
            let word = option.to_string();
            if !known.contains(&word.as_str()) {
                let near = did_you_mean(&word, known);
                errors.at(
                    &option,
                    format!("unknown option `{word}`{near} (expected one of {})", one_of(known)),
                );
                // What was probably meant is not missing too.
                seen.extend(closest(&word, known).map(str::to_owned));
                skip_to_comma(input);
                continue;
            }
            if seen.contains(&word) && !REPEATED.contains(&word.as_str()) {
                errors.at(&option, format!("`{word}` is given twice: keep one"));
                skip_to_comma(input);
                continue;
            }
            seen.push(word);
            if let Err(error) = parse(&option, input, errors) {
                errors.add(error);
                skip_to_comma(input);
            } else if !input.is_empty() && !input.peek(Token![,]) {
                errors.at_span(input.span(), "expected a `,` before the next option");
                skip_to_comma(input);
            }
            let _ = input.parse::<Option<Token![,]>>();
        }
        Ok(())
    };
    let parsed = options.parse2(tokens.clone());
    if let Err(error) = parsed {
        errors.add(error);
    }
    seen
}

fn skip_to_comma(input: ParseStream<'_>) {
    while !input.is_empty() {
        if input.peek(Token![,]) {
            let _ = input.parse::<Token![,]>();
            return;
        }
        let _ = input.parse::<TokenTree>();
    }
}

/// Parses all of what stands in delimiters. After a mistake the rest is taken out: it would be one more.
pub(crate) fn inside<T>(
    content: ParseStream<'_>,
    parse: impl FnOnce(ParseStream<'_>) -> syn::Result<T>,
) -> syn::Result<T> {
    let parsed = parse(content).and_then(|parsed| match content.is_empty() {
        true => Ok(parsed),
        false => Err(content.error("expected a `,`")),
    });
    if parsed.is_err() {
        drained(content);
    }
    parsed
}

/// The arguments of `#[projection(..)]`.
#[derive(Default)]
pub(crate) struct ProjectionOptions {
    pub(crate) from: Option<Vec<SourceArg>>,
    pub(crate) remove: Option<Vec<SourceArg>>,
    pub(crate) by_hand: Option<Vec<SourceArg>>,
    pub(crate) each: Option<EachArg>,
    pub(crate) joins: Vec<Join>,
    pub(crate) group_by: Option<Vec<GroupArg>>,
    pub(crate) window: Option<WindowArg>,
    /// In microseconds, as the two that follow.
    pub(crate) lateness: Option<i64>,
    pub(crate) max_ahead: Option<i64>,
    pub(crate) keep: Option<i64>,
    pub(crate) emit_final: bool,
    pub(crate) unit: Option<Unit>,
    pub(crate) having: Option<Expr>,
    /// Where the word `park` stands, if events that fault are to be parked.
    pub(crate) parks: Option<Span>,
    pub(crate) indexes: Vec<Index>,
    pub(crate) name: Option<LitStr>,
    pub(crate) version: u32,
    /// Options that were there, also if they did not parse or were misspelt.
    pub(crate) said: Vec<String>,
    /// Where those stand that go with a window.
    pub(crate) of_windows: Vec<Ident>,
}

const PROJECTION_OPTIONS: [&str; 18] = [
    "from",
    "group_by",
    "each",
    "join",
    "left_join",
    "remove",
    "by_hand",
    "window",
    "lateness",
    "max_ahead",
    "keep",
    "emit",
    "unit",
    "having",
    "on_fault",
    "index",
    "name",
    "version",
];

/// Options that say more about a window.
const OF_WINDOWS: [&str; 5] = ["lateness", "max_ahead", "keep", "emit", "unit"];

/// `each(line in lines)`
pub(crate) struct EachArg {
    pub(crate) pat: Pat,
    pub(crate) over: Expr,
}

/// `listing = Auctions[auction]`
pub(crate) struct Join {
    /// What expressions call the row.
    pub(crate) name: Ident,
    /// The projection whose row it is.
    pub(crate) path: Path,
    /// Its key: over the event, what `each` binds, and the joins before this one. A tuple where the key has several columns.
    pub(crate) key: Expr,
    /// Whether a missing row is `None`; otherwise the event is passed over.
    pub(crate) left: bool,
}

/// `index(status, created_at)`
pub(crate) struct Index {
    /// The word `index` itself.
    pub(crate) word: Ident,
    /// As written; each is a field of the row.
    pub(crate) columns: Vec<Ident>,
}

/// One item of `from`, `remove` or `by_hand`: an event, or an enum of which some variants are taken.
pub(crate) struct SourceArg {
    pub(crate) path: Path,
    pub(crate) variants: Option<VariantArgs>,
    pub(crate) keys: KeyArgs,
    pub(crate) guard: Option<Expr>,
}

/// `{ ItemAdded, ItemRemoved if sold, .. }`
pub(crate) struct VariantArgs {
    pub(crate) variants: Vec<VariantArg>,
    /// Whether `..` says that the others are passed over.
    pub(crate) open: bool,
}

/// `ItemAdded { customer: buyer } if sold`
pub(crate) struct VariantArg {
    pub(crate) name: Ident,
    pub(crate) keys: KeyArgs,
    pub(crate) guard: Option<Expr>,
}

/// `{ order_id: order_ref, .. }`
#[derive(Default)]
pub(crate) struct KeyArgs {
    pub(crate) keys: Vec<KeyArg>,
    /// `..`: every row under these.
    pub(crate) rest: Option<Token![..]>,
}

/// `order_id: order_ref`
pub(crate) struct KeyArg {
    pub(crate) name: Ident,
    pub(crate) expr: Expr,
}

/// `customer`, or `day = at / DAY`
pub(crate) struct GroupArg {
    pub(crate) name: Ident,
    pub(crate) expr: Option<Expr>,
}

impl ProjectionOptions {
    pub(crate) fn read(tokens: &TokenStream, errors: &mut Errors) -> Self {
        let mut options = Self::default();
        let said = each_option(tokens, &PROJECTION_OPTIONS, errors, |option, input, errors| {
            if OF_WINDOWS.iter().any(|word| option == word) {
                options.of_windows.push(option.clone());
            }
            match option.to_string().as_str() {
                "from" => options.from = Some(sources(option, input, errors)?),
                "remove" => options.remove = Some(sources(option, input, errors)?),
                "by_hand" => options.by_hand = Some(sources(option, input, errors)?),
                "each" => options.each = Some(each(option, input)?),
                word @ ("join" | "left_join") => options.joins.extend(joins(option, word != "join", input)?),
                "group_by" => options.group_by = Some(groups(input)?),
                "window" => options.window = Some(window(option, input)?),
                "lateness" => options.lateness = Some(named_duration(input)?),
                "max_ahead" => options.max_ahead = Some(named_duration(input)?),
                "keep" => options.keep = Some(named_duration(input)?),
                "emit" => options.emit_final = emit(input)?,
                "unit" => options.unit = Some(unit(input)?),
                "index" => options.indexes.push(index(option, input)?),
                "having" => {
                    input.parse::<Token![=]>()?;
                    options.having = Some(input.parse()?);
                }
                "on_fault" => options.parks = on_fault(input)?,
                "name" => {
                    input.parse::<Token![=]>()?;
                    options.name = Some(input.parse()?);
                }
                _ => options.version = version(input)?,
            }
            Ok(())
        });
        options.said = said;
        options
    }
}

/// `stop` or `park`: where the latter stands.
fn on_fault(input: ParseStream<'_>) -> syn::Result<Option<Span>> {
    const WORDS: [&str; 2] = ["stop", "park"];
    input.parse::<Token![=]>()?;
    if !input.peek(syn::Ident) {
        return Err(input.error(
            "`on_fault` is `park`, to set an event aside that cannot be folded, or `stop`, as without it",
        ));
    }
    let word: Ident = input.parse()?;
    match word.to_string().as_str() {
        "stop" => Ok(None),
        "park" => Ok(Some(word.span())),
        other => {
            let near = did_you_mean(other, &WORDS);
            let message = format!("unknown `on_fault`, `{other}`{near} (expected {})", one_of(&WORDS));
            Err(syn::Error::new(word.span(), message))
        }
    }
}

fn sources(option: &Ident, input: ParseStream<'_>, errors: &mut Errors) -> syn::Result<Vec<SourceArg>> {
    let (one, several) = match option.to_string().as_str() {
        "remove" => ("`remove = ItemDropped`", "`remove(ItemDropped, CartCleared { customer, .. })`"),
        "by_hand" => ("`by_hand = Noted`", "`by_hand(Noted, Corrected)`"),
        _ => ("`from = Purchased`", "`from(ItemAdded, ItemRemoved)`"),
    };
    if input.peek(token::Paren) {
        let content;
        parenthesized!(content in input);
        if content.is_empty() {
            errors.at(option, format!("`{option}` names at least one event: {one} or {several}"));
        }
        let sources = inside(&content, Punctuated::<SourceArg, Token![,]>::parse_terminated)?;
        return Ok(sources.into_iter().collect());
    }
    if !input.peek(Token![=]) {
        return Err(syn::Error::new(
            option.span(),
            format!("`{option}` is written {one}, or {several} for several"),
        ));
    }
    input.parse::<Token![=]>()?;
    if input.peek(token::Paren) {
        return Err(syn::Error::new(
            input.span(),
            format!("several sources are written without the `=`: {several}"),
        ));
    }
    Ok(vec![input.parse()?])
}

fn each(option: &Ident, input: ParseStream<'_>) -> syn::Result<EachArg> {
    const FORM: &str = "`each` is written `each(line in lines)`: a name, and the event's collection";
    if !input.peek(token::Paren) {
        return Err(syn::Error::new(option.span(), FORM));
    }
    let content;
    parenthesized!(content in input);
    if content.is_empty() {
        return Err(syn::Error::new(option.span(), FORM));
    }
    inside(&content, |input| {
        let pat = Pat::parse_single(input)?;
        if !input.peek(Token![in]) {
            let span = if input.is_empty() { option.span() } else { input.span() };
            return Err(syn::Error::new(span, FORM));
        }
        input.parse::<Token![in]>()?;
        if input.is_empty() {
            return Err(syn::Error::new(option.span(), FORM));
        }
        let over = input.parse()?;
        if !input.is_empty() {
            return Err(input.error("`each` takes one collection: `each(line in lines)`"));
        }
        Ok(EachArg { pat, over })
    })
}

fn joins(option: &Ident, left: bool, input: ParseStream<'_>) -> syn::Result<Vec<Join>> {
    let form = || {
        syn::Error::new(
            option.span(),
            format!(
                "`{option}` is written `{option}(listing = Auctions[auction])`: a name, a projection, and the key of its row"
            ),
        )
    };
    if !input.peek(token::Paren) {
        return Err(form());
    }
    let content;
    parenthesized!(content in input);
    if content.is_empty() {
        return Err(form());
    }
    inside(&content, |input| {
        let mut joins = Vec::new();
        while !input.is_empty() {
            joins.push(join(option, left, input)?);
            after_comma(input)?;
        }
        Ok(joins)
    })
}

fn join(option: &Ident, left: bool, input: ParseStream<'_>) -> syn::Result<Join> {
    if !input.peek(syn::Ident) || !input.peek2(Token![=]) {
        return Err(
            input.error(format!("a joined row is given a name: `{option}(listing = Auctions[auction])`"))
        );
    }
    let name: Ident = input.parse()?;
    input.parse::<Token![=]>()?;
    let path = input.call(Path::parse_mod_style)?;
    if !input.peek(token::Bracket) {
        let end = path.segments.last().map_or_else(|| name.clone(), |last| last.ident.clone());
        return Err(syn::Error::new_spanned(
            &path,
            format!("the key of the joined row stands behind its projection: `{name} = {end}[key]`"),
        ));
    }
    let content;
    bracketed!(content in input);
    if content.is_empty() {
        return Err(syn::Error::new_spanned(
            &path,
            format!("the key of the joined row stands in the brackets: `{name} = Auctions[auction]`"),
        ));
    }
    let key = inside(&content, |input| {
        let key = input.parse()?;
        if !input.is_empty() {
            return Err(
                input.error("a key of several columns stands in parentheses: `Auctions[(seller, auction)]`")
            );
        }
        Ok(key)
    })?;
    Ok(Join { name, path, key, left })
}

fn index(option: &Ident, input: ParseStream<'_>) -> syn::Result<Index> {
    const FORM: &str =
        "`index` is written `index(item)`, or `index(status, created_at)` for one over several columns";
    if !input.peek(token::Paren) {
        return Err(syn::Error::new(option.span(), FORM));
    }
    let content;
    parenthesized!(content in input);
    if content.is_empty() {
        return Err(syn::Error::new(option.span(), FORM));
    }
    let columns = inside(&content, |input| {
        let column = |input: ParseStream<'_>| {
            if input.peek(syn::Ident) {
                return input.parse::<Ident>();
            }
            Err(input.error("an index takes columns by name: `index(status, created_at)`"))
        };
        let columns = Punctuated::<Ident, Token![,]>::parse_separated_nonempty_with(input, column);
        columns.and_then(|columns| match input.is_empty() {
            true => Ok(columns),
            false => Err(input.error("an index takes columns by name: `index(status, created_at)`")),
        })
    })?;
    Ok(Index { word: option.clone(), columns: columns.into_iter().collect() })
}

/// `lateness = "5m"`
fn named_duration(input: ParseStream<'_>) -> syn::Result<i64> {
    input.parse::<Token![=]>()?;
    duration(input)
}

impl Parse for SourceArg {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let path = input.call(Path::parse_mod_style)?;
        let (mut variants, mut keys) = (None, KeyArgs::default());
        if input.peek(token::Brace) {
            let content;
            braced!(content in input);
            match inside(&content, BraceArgs::parse)? {
                BraceArgs::Variants(args) => variants = Some(args),
                BraceArgs::Keys(args) => keys = args,
            }
        }
        Ok(Self { path, variants, keys, guard: guard(input)? })
    }
}

fn guard(input: ParseStream<'_>) -> syn::Result<Option<Expr>> {
    if !input.peek(Token![if]) {
        return Ok(None);
    }
    input.parse::<Token![if]>()?;
    input.parse().map(Some)
}

/// What stands in the braces after a source: keys of an event (`order_id: order_ref`), or variants of an enum.
enum BraceArgs {
    Variants(VariantArgs),
    Keys(KeyArgs),
}

impl BraceArgs {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let lower =
            |ident: &Ident| ident.unraw().to_string().starts_with(|c: char| c.is_lowercase() || c == '_');
        let keys = input.fork().parse::<Ident>().is_ok_and(|first| lower(&first));
        if keys {
            return input.parse().map(Self::Keys);
        }
        let mut args = VariantArgs { variants: Vec::new(), open: false };
        while !input.is_empty() {
            if input.peek(Token![..]) {
                input.parse::<Token![..]>()?;
                args.open = true;
                if !input.is_empty() {
                    return Err(
                        input.error("`..` comes last: it passes over the variants that are not named")
                    );
                }
                break;
            }
            let name: Ident = input.parse()?;
            let mut keys = KeyArgs::default();
            if input.peek(token::Brace) {
                let content;
                braced!(content in input);
                keys = inside(&content, KeyArgs::parse)?;
            }
            args.variants.push(VariantArg { name, keys, guard: guard(input)? });
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(Self::Variants(args))
    }
}

impl Parse for KeyArgs {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut args = Self::default();
        while !input.is_empty() {
            if input.peek(Token![..]) {
                args.rest = Some(input.parse()?);
                if !input.is_empty() {
                    return Err(input.error("`..` comes last: it stands for the rest of the key"));
                }
                break;
            }
            args.keys.push(input.parse()?);
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(args)
    }
}

impl Parse for KeyArg {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let name: Ident = input.parse()?;
        if input.peek(Token![=]) {
            return Err(input.error(format!("a renamed key is written with a colon: `{name}: field`")));
        }
        if !input.peek(Token![:]) {
            let field = name.clone();
            return Ok(Self { name, expr: syn::parse_quote!(#field) });
        }
        input.parse::<Token![:]>()?;
        Ok(Self { name, expr: input.parse()? })
    }
}

fn groups(input: ParseStream<'_>) -> syn::Result<Vec<GroupArg>> {
    input.parse::<Token![=]>()?;
    if !input.peek(token::Paren) {
        if input.peek2(Token![=]) {
            return Err(input.error("a computed key stands in parentheses: `group_by = (day = at / DAY)`"));
        }
        let group = vec![input.parse()?];
        if !input.is_empty() && !input.peek(Token![,]) {
            return Err(input.error("a computed key is named, in parentheses: `group_by = (day = at / DAY)`"));
        }
        return Ok(group);
    }
    let content;
    parenthesized!(content in input);
    let groups: Punctuated<GroupArg, Token![,]> = inside(&content, Punctuated::parse_terminated)?;
    Ok(groups.into_iter().collect())
}

impl Parse for GroupArg {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if !input.peek(syn::Ident) {
            return Err(input.error(
                "`group_by` takes fields by name: `group_by = customer`, or `group_by = (customer, item)`",
            ));
        }
        let name: Ident = input.parse()?;
        let expr = if input.peek(Token![=]) {
            input.parse::<Token![=]>()?;
            Some(input.parse()?)
        } else {
            None
        };
        Ok(Self { name, expr })
    }
}

/// The arguments of a column's attribute.
#[derive(Default)]
pub(crate) struct ColumnArgs {
    /// What stands in it, in order.
    pub(crate) items: Vec<ColumnItem>,
    /// `if ..` alone.
    pub(crate) guard: Option<Expr>,
    /// `by = ..`
    pub(crate) by: Option<(Ident, Expr)>,
    /// `limit = ..`
    pub(crate) limit: Option<(Ident, Expr)>,
    /// What stands first in `top`: how many.
    pub(crate) n: Option<LitInt>,
    /// What stands first in `fold`: the aggregate.
    pub(crate) custom: Option<Path>,
}

/// `qty`, `qty if qty > 0`, `ItemAdded => qty`, `ItemAdded if sold => qty`
pub(crate) struct ColumnItem {
    /// What stands first: the expression, or in an arm the source.
    pub(crate) head: Expr,
    pub(crate) guard: Option<Expr>,
    /// What stands behind `=>`.
    pub(crate) value: Option<Expr>,
}

impl ColumnArgs {
    /// Those of the attribute of this name.
    pub(crate) fn read(word: &Ident, tokens: TokenStream) -> syn::Result<Self> {
        let of_word = |input: ParseStream<'_>| match word.to_string().as_str() {
            "top" => Self::of_top(word, input),
            "fold" => Self::of_fold(word, input),
            _ => input.parse(),
        };
        of_word.parse2(tokens)
    }

    /// `3, price`
    fn of_top(word: &Ident, input: ParseStream<'_>) -> syn::Result<Self> {
        const FORM: &str = "`top` says first how many values it keeps, from 1: `#[top(3, price)]`";
        if !input.peek(LitInt) {
            let span = if input.is_empty() { word.span() } else { input.span() };
            drained(input);
            return Err(syn::Error::new(span, FORM));
        }
        let n: LitInt = input.parse()?;
        if !n.base10_parse::<usize>().is_ok_and(|n| n > 0) {
            drained(input);
            return Err(syn::Error::new(n.span(), FORM));
        }
        after_comma(input)?;
        Ok(Self { n: Some(n), ..input.parse()? })
    }

    /// `my::Median, price`
    fn of_fold(word: &Ident, input: ParseStream<'_>) -> syn::Result<Self> {
        const FORM: &str = "`fold` names its aggregate first: `#[fold(my::Median, price)]`";
        let path = input.parse::<Path>();
        let is_type = |path: &Path| {
            let last = path.segments.last().map(|last| last.ident.unraw().to_string());
            last.is_some_and(|last| last.starts_with(char::is_uppercase))
        };
        match path {
            Ok(path) if is_type(&path) && (input.is_empty() || input.peek(Token![,])) => {
                after_comma(input)?;
                Ok(Self { custom: Some(path), ..input.parse()? })
            }
            Ok(path) => {
                drained(input);
                Err(syn::Error::new_spanned(&path, FORM))
            }
            Err(error) => {
                let span = if input.is_empty() { word.span() } else { error.span() };
                drained(input);
                Err(syn::Error::new(span, FORM))
            }
        }
    }
}

/// Takes out what is left.
fn drained(input: ParseStream<'_>) {
    let _ = input.parse::<TokenStream>();
}

/// The comma before what follows, if something does.
fn after_comma(input: ParseStream<'_>) -> syn::Result<()> {
    if !input.is_empty() {
        input.parse::<Token![,]>()?;
    }
    Ok(())
}

impl Parse for ColumnArgs {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut args = Self::default();
        while !input.is_empty() {
            let is_option = input.peek(syn::Ident)
                && input.peek2(Token![=])
                && !input.peek2(Token![==])
                && !input.peek2(Token![=>]);
            if is_option {
                let option: Ident = input.parse()?;
                let word = option.to_string();
                let place = match word.as_str() {
                    "by" => &mut args.by,
                    "limit" => &mut args.limit,
                    _ => {
                        let near = did_you_mean(&word, &["by", "limit"]);
                        return Err(syn::Error::new(
                            option.span(),
                            format!("unknown option `{word}`{near} (expected `by` or `limit`)"),
                        ));
                    }
                };
                if place.is_some() {
                    return Err(syn::Error::new(option.span(), format!("`{word}` is given twice: keep one")));
                }
                input.parse::<Token![=]>()?;
                *place = Some((option, input.parse()?));
            } else if let Some((option, _)) = args.by.as_ref().or(args.limit.as_ref()) {
                return Err(syn::Error::new(option.span(), format!("`{option} = ..` comes last")));
            } else if input.peek(Token![if]) && input.fork().parse::<syn::ExprIf>().is_err() {
                args.guard = guard(input)?;
            } else {
                let head = input.parse()?;
                let guard = guard(input)?;
                let value = if input.peek(Token![=>]) {
                    input.parse::<Token![=>]>()?;
                    Some(input.parse()?)
                } else {
                    None
                };
                args.items.push(ColumnItem { head, guard, value });
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(args)
    }
}
