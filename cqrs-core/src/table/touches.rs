//! Which rows an event would touch: known from the event alone, before it is folded.

use super::rows::Rows;
use super::sink::{Sink, Turn};
use super::unwinding;
use crate::aggregate::Appends;
use crate::event::{Event, Meta};
use crate::key::KeyWriter;
use crate::projection::{JoinSet, Reads};

/// The rows of a view that an event would touch: none that is left out changes, in nothing; one that is in it may stay as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Touches {
    /// Canonical bytes of keys.
    pub(crate) keys: Vec<Vec<u8>>,
    /// What the keys of all rows begin with that are removed together.
    pub(crate) prefixes: Vec<Vec<u8>>,
    /// Whether it may be any row.
    pub(crate) all: bool,
}

impl Touches {
    /// Starts anew.
    pub(crate) fn clear(&mut self) {
        self.keys.clear();
        self.prefixes.clear();
        self.all = false;
    }

    /// Whether the row of a key may be touched.
    #[cfg(test)]
    pub(crate) fn has(&self, key: &[u8]) -> bool {
        self.all
            || self.keys.iter().any(|touched| touched == key)
            || self.prefixes.iter().any(|prefix| key.starts_with(prefix))
    }

    pub(super) fn key(&mut self, key: &[u8]) {
        self.keys.push(key.to_vec());
    }

    pub(super) fn under(&mut self, prefix: &[u8]) {
        self.prefixes.push(prefix.to_vec());
    }
}

/// Adds what an event would touch. Where that goes by what rows there are, or by the user's code and that does not say it, it may be any row.
pub(crate) fn touches<E: Event, P: Reads<E>>(event: &E::Ref<'_>, meta: &Meta, out: &mut Touches) {
    let known = unwinding(&mut || note::<E, P>(event, meta, out));
    out.all |= !known.unwrap_or(false);
}

/// Whether the event alone says it.
fn note<E: Event, P: Reads<E>>(event: &E::Ref<'_>, meta: &Meta, out: &mut Touches) -> bool {
    if P::SINGLE {
        let mut key = Vec::with_capacity(32);
        if P::key(event, meta, Appends, &mut KeyWriter(&mut key)) {
            out.keys.push(key);
        }
        return true;
    }
    // An event closes windows that it does not fall into.
    if P::WINDOW.is_some() {
        return false;
    }
    // Nothing can be looked up here.
    let Some(joined) = P::Joins::find(&|_| None) else { return false };
    let (mut rows, mut turn) = (Rows::default(), Turn::default());
    let mut sink = Sink::noting(&mut rows, &mut turn, out);
    P::run(event, meta, Appends, &joined, &mut sink).is_ok()
}

#[cfg(test)]
mod tests;
