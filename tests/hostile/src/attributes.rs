//! Token streams as the arguments and the item of `#[event]`, `#[projection]` and `#[value]`. Whatever they are: no panic, the item is there afterwards with
//! everything in it, and what is generated beside it is Rust.

mod seeds;
mod words;

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Attribute, Data, DeriveInput, Fields, Item};

use self::words::WORDS;
use crate::{expand, prepend};

pub(crate) use self::seeds::seeds;

/// What stands between the arguments and the item, in an input that is text.
const BETWEEN: &str = "\n---\n";

/// More tokens, or brackets in brackets, than this are no test of the macros: `syn`, and rustc before it, recurse as deep.
const MOST_TOKENS: usize = 1000;
const MOST_DEPTH: usize = 24;

/// The first byte chooses the attribute, and whether the others are text, or a word each.
pub fn run(bytes: &[u8]) {
    let Some((choice, rest)) = bytes.split_first() else { return };
    let text = if choice & 0x80 == 0 { spelled(rest) } else { String::from_utf8_lossy(rest).into_owned() };
    let Some((args, item)) = text.split_once(BETWEEN) else { return };
    let (Ok(args), Ok(item)) = (args.parse::<TokenStream>(), item.parse::<TokenStream>()) else { return };
    let mut left = MOST_TOKENS;
    if !(is_small(&args, &mut left, MOST_DEPTH) && is_small(&item, &mut left, MOST_DEPTH)) {
        return;
    }
    match choice & 0x7f {
        0 => apply(prepend::event, expand::event, args, item),
        1 => apply(prepend::value, expand::value, args, item),
        _ => apply(prepend::projection, expand::projection, args, item),
    }
}

/// A word a byte. A closing bracket closes what is open, and all is closed in the end, so that most inputs are token trees.
fn spelled(codes: &[u8]) -> String {
    let mut text = String::new();
    let mut open = Vec::new();
    let close = |open: &mut Vec<char>, text: &mut String| text.extend(open.pop());
    for code in codes {
        match WORDS.get(usize::from(*code)).copied() {
            None => continue,
            Some(BETWEEN) => {
                while !open.is_empty() {
                    close(&mut open, &mut text);
                }
                text += BETWEEN;
                continue;
            }
            Some(")" | "]" | "}") => close(&mut open, &mut text),
            Some(word) => {
                match word {
                    "(" => open.push(')'),
                    "[" => open.push(']'),
                    "{" => open.push('}'),
                    _ => {}
                }
                text += word;
            }
        }
        text.push(' ');
    }
    while !open.is_empty() {
        close(&mut open, &mut text);
    }
    text
}

fn is_small(tokens: &TokenStream, left: &mut usize, depth: usize) -> bool {
    tokens.clone().into_iter().all(|token| {
        *left = left.saturating_sub(1);
        let inside = match &token {
            TokenTree::Group(group) => depth > 0 && is_small(&group.stream(), left, depth - 1),
            _ => true,
        };
        *left > 0 && inside
    })
}

type Macro<A> = fn(A) -> TokenStream;

/// What rustc does with an attribute and the derive that it puts in front of the item.
fn apply(
    attribute: fn(TokenStream, TokenStream) -> TokenStream,
    derive: Macro<TokenStream>,
    args: TokenStream,
    item: TokenStream,
) {
    let output = attribute(args, item.clone());
    let Ok(before) = syn::parse2::<DeriveInput>(item.clone()) else {
        // Then rustc says what is wrong with it, and has to be shown all of it.
        let (item, output) = (item.to_string(), output.to_string());
        assert!(output.ends_with(&item), "`{item}` has become `{output}`");
        return;
    };
    let shown = output.to_string();
    let file: syn::File = syn::parse2(output).unwrap_or_else(|error| panic!("no items, {error}: {shown}"));
    let item = file.items.iter().rev().find_map(seen_by_a_derive).expect("the item is there");
    assert_eq!(names(&item), names(&before), "the item has become `{shown}`");
    let output = derive(item.into_token_stream());
    let derived = output.to_string();
    if let Err(error) = syn::parse2::<syn::File>(output) {
        panic!("what is derived are no items, {error}: {derived} of {shown}");
    }
}

/// A derive is given the item without the attributes that have been applied.
fn seen_by_a_derive(item: &Item) -> Option<DeriveInput> {
    let mut input: DeriveInput = match item {
        Item::Struct(item) => item.clone().into(),
        Item::Enum(item) => item.clone().into(),
        Item::Union(item) => item.clone().into(),
        _ => return None,
    };
    input.attrs.retain(|attribute: &Attribute| !attribute.path().is_ident("derive"));
    Some(input)
}

/// Everything in an item that bears a name, and in what order; a field of a tuple bears its type.
fn names(item: &DeriveInput) -> Vec<String> {
    fn of(fields: &Fields) -> impl Iterator<Item = String> {
        fields.iter().map(|field| {
            let name = field.ident.as_ref().map(ToString::to_string);
            format!("{}: {}", name.unwrap_or_default(), field.ty.to_token_stream())
        })
    }
    let mut names = vec![format!("{} {}", item.ident, item.generics.to_token_stream())];
    match &item.data {
        Data::Struct(data) => names.extend(of(&data.fields)),
        Data::Union(data) => names.extend(of(&Fields::Named(data.fields.clone()))),
        Data::Enum(data) => {
            for variant in &data.variants {
                names.push(variant.ident.to_string());
                names.extend(of(&variant.fields));
            }
        }
    }
    names
}
