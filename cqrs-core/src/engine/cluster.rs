//! Views that read each other's rows, and those whose events go to more than one row: folded an event at a time, each after those it reads.

use std::any::{Any, TypeId};

use super::slot::{AnyView, Slot, ViewRows};
use crate::aggregate::Sign;
use crate::event::Meta;
use crate::projection::{FoldError, JoinSet, Reads, RowSource};

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

/// An event on its way into the views of a cluster.
pub(crate) trait Arriving {
    fn position(&self) -> u64;
    fn name(&self) -> &'static str;
    /// Who reads it for a view; `None` if that does not want it.
    fn reader(&self, view: usize) -> Option<usize>;
    /// Takes it into the reader's view.
    fn take(&self, reader: usize, view: &mut dyn Any, find: Find<'_>) -> Result<(), FoldError>;
}

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
    pub(crate) fn turn(&self, slots: &mut [Slot], event: &dyn Arriving) {
        for member in &self.members {
            let slot = &slots[member.view];
            if !slot.folds() || slot.at.position >= event.position() {
                continue;
            }
            let reader = event.reader(member.view);
            let idle = reader.is_none() && member.changed(slots).next().is_none();
            let Some(mut view) = slots[member.view].view.take() else { continue };
            let folded = if idle {
                view.pass_turn();
                Ok(())
            } else {
                view.begin_turn();
                let folded = member.fold(&mut *view, slots, event, reader).and_then(|()| view.end_turn());
                folded.inspect_err(|_| view.undo_turn())
            };
            slots[member.view].view = Some(view);
            if let Err(error) = folded {
                slots[member.view].fail(event.position(), event.name(), error);
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

    /// Those it takes in that the event has changed.
    fn changed<'m>(&'m self, slots: &'m [Slot]) -> impl Iterator<Item = (&'m Input, &'m dyn AnyView)> {
        let inputs = self.inputs.iter().filter(|input| slots[input.up].folds());
        let views = inputs.filter_map(|input| Some((input, slots[input.up].view.as_deref()?)));
        views.filter(|(_, view)| view.has_changed())
    }

    fn fold(
        &self,
        view: &mut dyn AnyView,
        slots: &[Slot],
        event: &dyn Arriving,
        reader: Option<usize>,
    ) -> Result<(), FoldError> {
        let find = |row: TypeId| {
            let (_, number) = self.joins.iter().find(|(ty, _)| *ty == row)?;
            slots[*number].view.as_deref().map(|view| view.rows_ref())
        };
        let take_in = |view: &mut dyn AnyView, sign: Sign| {
            self.changed(slots)
                .try_for_each(|(input, up)| (input.take)(view.as_any(), up.as_any_ref(), sign, &find))
        };
        take_in(view, Sign::Remove)?;
        if let Some(reader) = reader {
            event.take(reader, view.as_any(), &find)?;
        }
        take_in(view, Sign::Insert)
    }
}
