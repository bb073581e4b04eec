//! Those who look: a subscriber who is slow, dies, and comes again; a reader of events who goes on from where it was; a look at a row.

use std::collections::BTreeMap;

use cqrs_core::prelude::*;
use cqrs_core::{ChangesError, Events, EventsError};

use crate::history::{Happened, History};
use crate::language::{Stock, Stocked};
use crate::model::Model;
use crate::waiting::look;
use crate::world::World;

/// A subscriber, and the rows as it has been told them.
#[derive(Default)]
pub(crate) struct Subscriber {
    changes: Option<Changes<Stock>>,
    rows: BTreeMap<u8, Stock>,
    /// The process that tells it.
    life: u64,
}

impl Subscriber {
    /// Takes what waits for it, or forgets what it was told; and subscribes, if it has not.
    pub(crate) fn step(&mut self, world: &mut World) {
        if world.random.one_in(8) {
            self.changes = None;
        }
        let backlog = *crate::world::pick(&mut world.random, &[1, 3, 1_000]);
        if self.changes.is_none() {
            self.rows.clear();
            self.life = world.disk.life();
            self.changes = Some(world.engine().view::<Stock>().subscribe().backlog(backlog));
        }
        self.take(world);
    }

    /// Takes what waits for it.
    pub(crate) fn take(&mut self, world: &World) {
        while let Some(changes) = &mut self.changes {
            let Some(change) = look(changes.next()) else { return };
            match change.expect("an error comes before the end") {
                Ok(change) => self.hear(change, &world.history),
                Err(ChangesError::Lagged { .. } | ChangesError::Closed) => self.changes = None,
                Err(ChangesError::Faulted(fault)) => {
                    // A process that has ended may have had reason to.
                    assert!(world.has_faulted() || world.disk.life() != self.life, "{fault}");
                    self.changes = None;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn hear(&mut self, change: Change<Stock>, history: &History) {
        match change {
            Change::Inserted { row } => assert_eq!(self.rows.insert(row.item, row), None, "it was not there"),
            Change::Updated { before, after } => {
                assert_eq!(self.rows.insert(after.item, after), Some(before), "what it was before");
            }
            Change::Deleted { row } => {
                let before = self.rows.remove(&row.item);
                assert_eq!(before, Some(row), "what it was before");
            }
            Change::Progress { position } => {
                let model = Model::of(&history.events[..position as usize]);
                assert_eq!(self.rows, model.stock(), "what a subscriber was told, at position {position}");
            }
        }
    }
}

/// A reader of one type of event.
#[derive(Default)]
pub(crate) struct Reader {
    events: Option<Events<Stocked>>,
    /// The last event that it has seen.
    at: u64,
}

impl Reader {
    /// Reads on, some way or to the end.
    pub(crate) fn step(&mut self, world: &mut World) {
        if world.random.one_in(8) {
            self.events = None;
            self.at = world.random.below(world.history.head() + 1);
        }
        let some = world.random.below(6);
        self.read(world, some);
    }

    /// Reads all there is.
    pub(crate) fn finish(&mut self, world: &World) {
        self.read(world, u64::MAX);
        let left = world.history.events[self.at as usize..].iter();
        let left: Vec<_> = left.filter(|it| matches!(it.event, Happened::Stocked(_))).collect();
        assert!(left.is_empty(), "not read: {left:?}");
    }

    fn read(&mut self, world: &World, mut some: u64) {
        let mut patience = 3;
        while some > 0 && patience > 0 {
            let engine = world.engine();
            let events = self.events.get_or_insert_with(|| engine.events::<Stocked>(self.at + 1));
            match look(events.next()) {
                // It may have looked through a page without any, and want to be asked again.
                None => patience -= 1,
                Some(Some(Ok(recorded))) => {
                    some -= 1;
                    let next = world.history.events[self.at as usize..].iter();
                    let next = next.filter(|it| matches!(it.event, Happened::Stocked(_)));
                    let next = next.map(|it| (it.position, it.recorded_at, &it.event)).next();
                    let event = Happened::Stocked(recorded.event);
                    assert_eq!(Some((recorded.position, recorded.recorded_at, &event)), next);
                    self.at = recorded.position;
                }
                Some(Some(Err(EventsError::Closed))) => self.events = None,
                Some(Some(Err(EventsError::Store(error)))) => {
                    assert!(world.disk.fired() || world.disk.is_dead(), "{error}");
                    self.events = None;
                    patience -= 1;
                }
                Some(other) => panic!("{other:?}"),
            }
        }
    }
}
