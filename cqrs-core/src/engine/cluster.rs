//! Views that read each other's rows, and those whose events go to more than one row: folded an event at a time, each after those it reads.

use std::any::{Any, TypeId};

use super::slot::{Slot, ViewRows};
use crate::aggregate::Sign;
use crate::event::Meta;
use crate::projection::{FoldError, JoinSet, Projection, Reads, RowSource};

/// Views that are to be folded together, by number: each after those it reads.
pub(crate) struct Cluster {
    pub(crate) members: Vec<Member>,
}

pub(crate) struct Member {
    pub(crate) view: usize,
    pub(crate) inputs: Vec<Input>,
    /// The views whose rows it looks up, by the type of their rows.
    pub(crate) joins: Vec<(TypeId, usize)>,
}

/// A view whose rows another takes in.
#[derive(Clone, Copy)]
pub(crate) struct Input {
    pub(crate) up: usize,
    take: Take,
}

/// Finds the rows of a view by the type of a row.
pub(crate) type Find<'a> = &'a dyn Fn(TypeId) -> Option<&'a dyn Any>;

/// Takes the changes of one view into another: what it takes back, or what it gives.
type Take = fn(&mut dyn Any, &dyn Any, Sign, Find<'_>) -> Result<(), FoldError>;

/// What happened to an event.
pub(crate) struct Happened<'a> {
    pub(crate) position: u64,
    pub(crate) event: &'a str,
}

/// The own fold of a view, with the event in it.
pub(crate) type Own<'a> = dyn Fn(usize, &mut dyn Any, Find<'_>) -> Option<Result<(), FoldError>> + 'a;

impl Input {
    pub(crate) fn new<U: RowSource, P: Reads<U>>(up: usize) -> Self {
        Self { up, take: take::<U, P> }
    }
}

fn take<U: RowSource, P: Reads<U>>(
    down: &mut dyn Any,
    up: &dyn Any,
    sign: Sign,
    find: Find<'_>,
) -> Result<(), FoldError> {
    let (Some(down), Some(up)) = (down.downcast_mut::<ViewRows<P>>(), up.downcast_ref::<ViewRows<U>>())
    else {
        unreachable!("a slot holds the view that was registered under its number")
    };
    let Some(joined) = P::Joins::find(find) else {
        unreachable!("what is looked up is there, or the view has stopped")
    };
    for (before, after) in up.changes_of_turn() {
        let row = match sign {
            Sign::Remove => before,
            Sign::Insert => after,
        };
        if let Some(row) = row {
            down.run::<U>(&row.borrowed(), &Meta::default(), U::sign(sign), &joined)?;
        }
    }
    Ok(())
}

impl Cluster {
    /// Folds one event into all that want it, and what that changes into those that read them.
    pub(crate) fn turn(&self, slots: &mut [Slot], happened: &Happened<'_>, own: &Own<'_>) {
        for member in &self.members {
            let slot = &slots[member.view];
            if !slot.folds() || slot.at.position >= happened.position {
                continue;
            }
            let Some(mut view) = slots[member.view].view.take() else { continue };
            view.begin_turn();
            let folded = member.fold(&mut *view, slots, own);
            let folded = folded.and_then(|any| if any { view.end_turn() } else { Ok(()) });
            if folded.is_err() {
                view.undo_turn();
            }
            slots[member.view].view = Some(view);
            if let Err(error) = folded {
                slots[member.view].fault(happened.position, happened.event, error);
                self.spread(slots);
            }
        }
    }

    /// Stops the views that read one that has stopped, before the same event.
    pub(crate) fn spread(&self, slots: &mut [Slot]) {
        for member in &self.members {
            let stopped = member.upstream().filter_map(|up| Some((up, slots[up].fault.clone()?))).next();
            let Some((up, fault)) = stopped.filter(|_| slots[member.view].folds()) else { continue };
            let reason =
                format!("`{}`, whose rows it reads, has stopped: {}", slots[up].rust_name, fault.reason);
            slots[member.view].fault(fault.position, &fault.event, FoldError { column: "", reason });
        }
    }
}

impl Member {
    /// The views that it reads.
    pub(crate) fn upstream(&self) -> impl Iterator<Item = usize> {
        self.inputs.iter().map(|input| input.up).chain(self.joins.iter().map(|join| join.1))
    }

    /// Whether there was anything to fold.
    fn fold(
        &self,
        view: &mut dyn super::slot::AnyView,
        slots: &[Slot],
        own: &Own<'_>,
    ) -> Result<bool, FoldError> {
        let rows = |number: usize| slots[number].view.as_deref().map(|view| view.as_any_ref());
        let find = |row: TypeId| {
            let (_, number) = self.joins.iter().find(|(ty, _)| *ty == row)?;
            slots[*number].view.as_deref().map(|view| view.rows_ref())
        };
        let changed = |input: &&Input| {
            slots[input.up].folds() && slots[input.up].view.as_deref().is_some_and(|up| up.has_changed())
        };
        let mut any = false;
        for sign in [Sign::Remove, Sign::Insert] {
            for input in self.inputs.iter().filter(changed) {
                let Some(up) = rows(input.up) else { continue };
                any = true;
                (input.take)(view.as_any(), up, sign, &find)?;
            }
            if sign == Sign::Remove
                && let Some(folded) = own(self.view, view.as_any(), &find)
            {
                any = true;
                folded?;
            }
        }
        Ok(any)
    }
}

/// Whether a projection is folded an event at a time, whoever reads it.
pub(crate) fn needs_turns<P: Projection>() -> bool {
    !P::SINGLE
}
