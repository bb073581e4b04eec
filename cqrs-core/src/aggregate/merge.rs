//! Two rows that become one.

use super::{Cell, ColumnFault, State};

/// States of which two can become one: those of a session that is bridged.
#[diagnostic::on_unimplemented(
    message = "`first` and `last` in log order cannot merge, and an event between two sessions makes them one",
    label = "kept as `{Self}`, of which two cannot become one",
    note = "the two lie mixed in the log, so its order says nothing: write `first(.., by = ..)` or `last(.., by = ..)`"
)]
pub trait Merge: State {
    /// Takes in the state of the row that comes after this one, and its elements, which are then gone. An `Err` has changed nothing.
    ///
    /// # Errors
    ///
    /// What both are together does not fit the column.
    fn merge(&mut self, later: &Self, cell: &mut Cell<'_>, later_row: u32) -> Result<(), ColumnFault>;
}
