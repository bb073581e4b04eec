//! `#[projection(..)]`

use proc_macro2::{Ident, Span, TokenStream};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Expr, LitStr, Pat, Path, Token, braced, bracketed, parenthesized, token};

use super::{after_comma, at_comma, each_option, guard, inside, version};
use crate::duration::duration;
use crate::errors::{Errors, did_you_mean, one_of};
use crate::window::{Unit, WindowArg, emit, unit, window};

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
    /// Whether it is the name alone: the event's field of that name.
    pub(crate) short: bool,
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
        let guard = guard(input)?;
        at_comma(input)?;
        Ok(Self { path, variants, keys, guard })
    }
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
            after_comma(input)?;
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
            after_comma(input)?;
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
            return Ok(Self { name, expr: syn::parse_quote!(#field), short: true });
        }
        input.parse::<Token![:]>()?;
        Ok(Self { name, expr: input.parse()?, short: false })
    }
}

fn groups(input: ParseStream<'_>) -> syn::Result<Vec<GroupArg>> {
    if !input.peek(Token![=]) {
        return Err(
            input.error("`group_by` is written `group_by = customer`, or `group_by = (customer, item)`")
        );
    }
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
