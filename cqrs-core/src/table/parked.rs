//! Events that could not be folded, and were set aside.

use crate::projection::FoldError;

/// How many a view parks before it stops after all.
pub(crate) const MOST_PARKED: usize = 10_000;

/// How many bytes of a reason are kept: a panic may say a lot.
const MOST_WORDS: usize = 1000;

/// A reason as it is kept: cut where it is long.
pub(crate) fn brief(mut reason: String) -> String {
    if reason.len() > MOST_WORDS {
        reason.truncate(reason.floor_char_boundary(MOST_WORDS));
        reason.push_str("..");
    }
    reason
}

/// An event that a view has set aside, since it could not be folded (`on_fault = park`). It has changed nothing of the view, which has gone on
/// without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// The event's position in the log.
    pub position: u64,
    /// The event's stored name.
    pub event: String,
    /// The column, where it was a column that refused it.
    pub column: Option<String>,
    /// Why; a long reason is cut.
    pub reason: String,
}

impl Parked {
    pub(crate) fn new(position: u64, event: &str, error: FoldError) -> Self {
        let column = (!error.column.is_empty()).then(|| error.column.to_owned());
        Self { position, event: event.to_owned(), column, reason: brief(error.reason) }
    }

    /// Its key in a checkpoint.
    pub(crate) fn key(&self) -> [u8; 8] {
        self.position.to_be_bytes()
    }

    /// Appends what a checkpoint has of it behind its key.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        for text in [&self.event, self.column.as_deref().unwrap_or_default(), &self.reason] {
            out.extend_from_slice(&(text.len() as u32).to_be_bytes());
            out.extend_from_slice(text.as_bytes());
        }
    }

    /// Reads what a checkpoint has of it; `None` if that is not what was written.
    pub(crate) fn read(key: &[u8], mut state: &[u8]) -> Option<Self> {
        let position = u64::from_be_bytes(key.try_into().ok()?);
        let mut text = || {
            let (length, rest) = state.split_first_chunk()?;
            let (text, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
            state = rest;
            String::from_utf8(text.to_vec()).ok()
        };
        let (event, column, reason) = (text()?, text()?, text()?);
        let column = (!column.is_empty()).then_some(column);
        state.is_empty().then_some(Self { position, event, column, reason })
    }

    /// Whether both are one event and one refusal. The words are not compared: the library's may be others in its next version.
    pub(crate) fn is(&self, other: &Self) -> bool {
        (self.position, &self.event, &self.column) == (other.position, &other.event, &other.column)
    }
}

impl std::fmt::Display for Parked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { position, event, column, reason } = self;
        write!(f, "the event at position {position}, `{event}`, is parked")?;
        if let Some(column) = column {
            write!(f, ", column `{column}`")?;
        }
        write!(f, ": {reason}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for (column, reason) in [("", "no"), ("total", ""), ("größe", "ä \u{0} ✓"), ("n", &"é".repeat(4000))]
        {
            let parked = Parked::new(7, "Paid", FoldError { column, reason: reason.into() });
            assert!(
                parked.reason.len() <= MOST_WORDS + 2
                    && reason.starts_with(parked.reason.trim_end_matches(".."))
            );
            let mut state = Vec::new();
            parked.write(&mut state);
            assert_eq!(Parked::read(&parked.key(), &state).as_ref(), Some(&parked));
            assert_eq!(Parked::read(&parked.key()[1..], &state), None);
            for cut in 0..state.len() {
                assert_eq!(Parked::read(&parked.key(), &state[..cut]), None);
            }
            state.push(0);
            assert_eq!(Parked::read(&parked.key(), &state), None);
        }
    }
}
