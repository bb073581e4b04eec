//! How a handler fails, and what is done about it.

use std::error::Error;

use crate::error::{ReadError, Refusal};
use crate::projection::Fault;
use crate::react::{Park, Said};
use crate::table::brief;

/// How a handler failed.
pub(super) struct Failure {
    pub(super) reason: String,
    pub(super) then: Then,
}

/// What is done about it.
pub(super) enum Then {
    /// It is tried again, so often.
    Again,
    /// The handler says that it is no use.
    Park,
    /// A view that it reads is being rebuilt: that is not the event's fault, and passes.
    Later,
    /// A store takes nothing: if it is this engine's, the same.
    Stored,
    /// A view that it reads has stopped, by this: that is not the event's fault either, and lasts until somebody mends it.
    Mended(Box<Fault>),
}

impl Then {
    fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        if error.is::<Park>() {
            return Some(Self::Park);
        }
        if let Some(Refusal::Store(_)) = error.downcast_ref() {
            return Some(Self::Stored);
        }
        Self::of_read(error.downcast_ref()?)
    }

    fn of_read(error: &ReadError) -> Option<Self> {
        match error {
            ReadError::Rebuilding { .. } => Some(Self::Later),
            ReadError::Faulted(fault) => Some(Self::Mended(Box::new(fault.clone()))),
            ReadError::Closed => None,
        }
    }
}

impl Failure {
    /// What the handler's error comes to, and what it was `said` while it ran: an error may have been made into another that has its words, and nothing else of it
    /// (`#[error(transparent)]`, `anyhow`, a text).
    pub(super) fn of(error: &(dyn Error + 'static), said: &[Said]) -> Self {
        let (mut known, mut next, mut texts) = (None, Some(error), Vec::new());
        while let Some(error) = next {
            known = Then::of(error).or(known);
            texts.push(error.to_string());
            next = error.source();
        }
        // All that an error says, or what comes last of it: a word of another error is none.
        let says =
            |text: &str| texts.iter().any(|error| error == text || error.ends_with(&format!(": {text}")));
        let then = known.or_else(|| {
            said.iter().rev().find_map(|said| match said {
                Said::Park(park) => says(park).then_some(Then::Park),
                Said::Unread(error) => Then::of_read(error).filter(|_| says(&error.to_string())),
            })
        });
        Self { reason: brief(in_full(&texts)), then: then.unwrap_or(Then::Again) }
    }

    pub(super) fn again(reason: String) -> Self {
        Self { reason, then: Then::Again }
    }
}

/// What an error says, and what is behind it.
fn in_full(texts: &[String]) -> String {
    let mut texts = texts.iter();
    let first = texts.next().cloned().unwrap_or_default();
    texts.fold(first, |text, more| if text.contains(more) { text } else { format!("{text}: {more}") })
}
