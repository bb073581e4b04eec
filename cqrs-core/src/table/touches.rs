//! What an event touches in a view, computed from the event alone, before it is folded.

/// Rows of a view, by their keys.
#[derive(Debug, Default)]
pub(crate) struct Touches {
    /// Canonical bytes of keys.
    pub(crate) keys: Vec<Vec<u8>>,
    /// All rows whose keys begin so.
    pub(crate) prefixes: Vec<Vec<u8>>,
    /// Every row, as far as can be told.
    pub(crate) all: bool,
}

impl Touches {
    /// Starts anew.
    pub(crate) fn clear(&mut self) {
        self.keys.clear();
        self.prefixes.clear();
        self.all = false;
    }
}
