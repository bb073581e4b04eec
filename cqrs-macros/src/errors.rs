//! Gathers every mistake of an item, so that all are shown at once, and words the suggestions.

use std::fmt::Display;

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;

/// What is wrong with an item so far. Everything that checks takes one, adds to it, and goes on.
#[derive(Default)]
pub(crate) struct Errors(Option<syn::Error>);

impl Errors {
    /// A mistake under these tokens of the user's.
    pub(crate) fn at(&mut self, tokens: &impl ToTokens, message: impl Display) {
        self.add(syn::Error::new_spanned(tokens, message));
    }

    /// A mistake under this span.
    pub(crate) fn at_span(&mut self, span: Span, message: impl Display) {
        self.add(syn::Error::new(span, message));
    }

    pub(crate) fn add(&mut self, error: syn::Error) {
        match &mut self.0 {
            Some(first) => first.combine(error),
            none => *none = Some(error),
        }
    }

    /// Those of another, too.
    pub(crate) fn append(&mut self, other: Self) {
        if let Some(error) = other.0 {
            self.add(error);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The `compile_error!`s; nothing if all is well.
    pub(crate) fn into_tokens(self) -> TokenStream {
        self.0.map(|error| error.to_compile_error()).unwrap_or_default()
    }
}

/// "`a`, `b` or `c`"
pub(crate) fn one_of(words: &[impl AsRef<str>]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("`{}`", word.as_ref())).collect();
    match quoted.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

/// "; did you mean `b`?" for a word that is nearly one of these.
pub(crate) fn did_you_mean(word: &str, words: &[impl AsRef<str>]) -> String {
    closest(word, words).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}

/// The word of these that is nearest, if one is near: a third of its letters may be wrong.
pub(crate) fn closest<'w>(word: &str, words: &'w [impl AsRef<str>]) -> Option<&'w str> {
    let near = |candidate: &&str| distance(word, candidate) <= candidate.len().max(word.len()).div_ceil(3);
    words.iter().map(AsRef::as_ref).filter(near).min_by_key(|candidate| distance(word, candidate))
}

/// Edits from one word to the other, a swap of neighbours counting as one.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<_>, Vec<_>) = (from.chars().collect(), to.chars().collect());
    let mut rows = vec![(0..=to.len()).collect::<Vec<_>>()];
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let changed = usize::from(from[i - 1] != to[j - 1]);
            let mut least = (rows[i - 1][j - 1] + changed).min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_what_is_near_and_nothing_else() {
        assert_eq!(closest("gruop_by", &["from", "group_by", "having"]), Some("group_by"));
        assert_eq!(closest("sumn", &["count", "sum", "avg"]), Some("sum"));
        assert_eq!(closest("itme", &["customer", "item"]), Some("item"));
        assert_eq!(closest("colour", &["from", "group_by"]), None);
        assert_eq!(one_of(&["a", "b", "c"]), "`a`, `b` or `c`");
    }
}
