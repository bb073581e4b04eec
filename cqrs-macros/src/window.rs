//! Event-time windows, as they are written: `tumbling(at, "1h")`.

use proc_macro2::Ident;
use syn::parse::ParseStream;
use syn::{Expr, LitStr, Token, parenthesized, token};

use crate::duration::duration;
use crate::errors::{did_you_mean, one_of};
use crate::options::inside;

/// `tumbling(at, "1h")`
pub(crate) struct WindowArg {
    /// The word that says which shape it is.
    pub(crate) word: Ident,
    /// The event's time.
    pub(crate) at: Expr,
    pub(crate) shape: Shape,
}

/// The shape of the windows; durations are in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One after the other.
    Tumbling { size: i64 },
    /// A new one at every step, overlapping: `every <= size`.
    Hopping { size: i64, every: i64 },
    /// As long as no gap between two events is as long as this.
    Session { gap: i64 },
}

/// What an integer time counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Seconds,
    Millis,
    Micros,
}

impl Unit {
    /// How many microseconds one is.
    pub(crate) fn micros(self) -> i64 {
        match self {
            Self::Seconds => 1_000_000,
            Self::Millis => 1_000,
            Self::Micros => 1,
        }
    }
}

const SHAPES: [&str; 3] = ["tumbling", "hopping", "session"];

fn example(shape: &str) -> &'static str {
    match shape {
        "hopping" => "`hopping(at, \"1h\", every = \"5m\")`",
        "session" => "`session(at, gap = \"30m\")`",
        _ => "`tumbling(at, \"1h\")`",
    }
}

/// What stands behind `window`.
pub(crate) fn window(option: &Ident, input: ParseStream<'_>) -> syn::Result<WindowArg> {
    if !input.peek(Token![=]) {
        return Err(syn::Error::new(option.span(), "`window` is written `window = tumbling(at, \"1h\")`"));
    }
    input.parse::<Token![=]>()?;
    if !input.peek(syn::Ident) {
        return Err(input.error(format!(
            "expected a window, one of {}, {} or {}",
            example("tumbling"),
            example("hopping"),
            example("session")
        )));
    }
    let word: Ident = input.parse()?;
    let shape = word.to_string();
    if !SHAPES.contains(&shape.as_str()) {
        let near = did_you_mean(&shape, &SHAPES);
        return Err(syn::Error::new(
            word.span(),
            format!("unknown window `{shape}`{near} (expected one of {})", one_of(&SHAPES)),
        ));
    }
    if !input.peek(token::Paren) {
        return Err(syn::Error::new(
            word.span(),
            format!("this window needs its time and its length: {}", example(&shape)),
        ));
    }
    let content;
    parenthesized!(content in input);
    inside(&content, |input| {
        let named = input.peek(syn::Ident) && input.peek2(Token![=]) && !input.peek2(Token![==]);
        if input.is_empty() || named || (input.peek(LitStr) && !input.peek2(Token![.])) {
            return Err(syn::Error::new(
                word.span(),
                format!("a window needs the event's time, before all else: {}", example(&shape)),
            ));
        }
        let at = input.parse()?;
        input.parse::<Option<Token![,]>>()?;
        let length = |input: ParseStream<'_>| {
            if input.peek(syn::Ident) || input.is_empty() {
                let message = format!("this window needs its length behind its time: {}", example(&shape));
                return Err(syn::Error::new(word.span(), message));
            }
            let length = duration(input)?;
            input.parse::<Option<Token![,]>>()?;
            Ok(length)
        };
        let shape = match shape.as_str() {
            "tumbling" => Shape::Tumbling { size: length(input)? },
            "hopping" => {
                let size = length(input)?;
                let span = input.span();
                let every = named_duration(&word, "every", input)?;
                if every > size {
                    return Err(syn::Error::new(
                        span,
                        "`every` is longer than the window, so that events between two windows would be lost: make it at most \
                         as long",
                    ));
                }
                Shape::Hopping { size, every }
            }
            _ => Shape::Session { gap: named_duration(&word, "gap", input)? },
        };
        input.parse::<Option<Token![,]>>()?;
        if input.is_empty() {
            return Ok(WindowArg { word: word.clone(), at, shape });
        }
        let hint = match shape {
            Shape::Tumbling { .. } if input.peek(syn::Ident) => {
                "; windows with a step are `hopping(at, \"1h\", every = \"5m\")`"
            }
            _ => "",
        };
        Err(input.error(format!("`{word}` takes no more than {}{hint}", example(&word.to_string()))))
    })
}

/// `every = "5m"`
fn named_duration(window: &Ident, name: &str, input: ParseStream<'_>) -> syn::Result<i64> {
    let wrong = |input: ParseStream<'_>| {
        let message = format!("`{window}` needs `{name} = ..`: {}", example(&window.to_string()));
        if input.is_empty() { syn::Error::new(window.span(), message) } else { input.error(message) }
    };
    let option = input.fork().parse::<Ident>();
    if !option.is_ok_and(|option| option == name) || !input.peek2(Token![=]) {
        return Err(wrong(input));
    }
    input.parse::<Ident>()?;
    input.parse::<Token![=]>()?;
    duration(input)
}

/// `unit = "ms"`
pub(crate) fn unit(input: ParseStream<'_>) -> syn::Result<Unit> {
    input.parse::<Token![=]>()?;
    let literal = match input.peek(LitStr) {
        true => input.parse::<LitStr>()?,
        false => return Err(input.error("a unit is a string: `unit = \"ms\"`")),
    };
    match literal.value().as_str() {
        "s" => Ok(Unit::Seconds),
        "ms" => Ok(Unit::Millis),
        "us" => Ok(Unit::Micros),
        other => Err(syn::Error::new(
            literal.span(),
            format!(
                "unknown unit `{other}` (expected one of `s`, `ms` or `us`: what the event's integer time counts)"
            ),
        )),
    }
}

/// `emit = "final"`
pub(crate) fn emit(input: ParseStream<'_>) -> syn::Result<bool> {
    input.parse::<Token![=]>()?;
    let wrong = "`emit` is `\"final\"`, to show only closed windows; without it, open ones are shown too";
    let literal = match input.peek(LitStr) {
        true => input.parse::<LitStr>()?,
        false => return Err(input.error(wrong)),
    };
    match literal.value().as_str() {
        "final" => Ok(true),
        _ => Err(syn::Error::new(literal.span(), wrong)),
    }
}
