//! How a handler fails, and what is done about it.

use std::error::Error;

use crate::error::ReadError;
use crate::react::Park;
use crate::table::brief;

/// How a handler failed.
pub(super) struct Failure {
    pub(super) reason: String,
    pub(super) then: Then,
}

/// What is done about it.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Then {
    /// It is tried again, so often.
    Again,
    /// The handler says that it is no use.
    Park,
    /// A view that it reads is being rebuilt: that is nobody's fault, and passes.
    Later,
}

impl Failure {
    pub(super) fn of(error: &(dyn Error + 'static)) -> Self {
        let mut then = Then::Again;
        let mut next = Some(error);
        while let Some(error) = next {
            if error.is::<Park>() {
                then = Then::Park;
            } else if let Some(ReadError::Rebuilding { .. }) = error.downcast_ref() {
                then = Then::Later;
            }
            next = error.source();
        }
        Self { reason: brief(in_full(error)), then }
    }

    pub(super) fn again(reason: String) -> Self {
        Self { reason, then: Then::Again }
    }
}

/// What an error says, and what is behind it.
fn in_full(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let more = source.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        next = source.source();
    }
    text
}
