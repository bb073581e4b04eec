//! The log, read without the engine: what has to hold of it by itself, and where things are in it.

use std::collections::{BTreeMap, BTreeSet};

use cqrs_core::Timestamp;
use cqrs_core::prelude::Tick;
use cqrs_core::store::{LogEvent, chain};

use crate::disk::Disk;
use crate::language::{Billed, Fed, Followed, Paid, Reserved, Sensed, Stocked};

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Happened {
    Stocked(Stocked),
    Fed(Fed),
    Reserved(Reserved),
    Followed(Followed),
    Billed(Billed),
    Sensed(Sensed),
    Paid(Paid),
    Tick(i64),
}

#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    pub(crate) position: u64,
    pub(crate) recorded_at: Timestamp,
    pub(crate) id: Option<String>,
    pub(crate) event: Happened,
}

fn read(event: &LogEvent<'_>) -> Happened {
    fn of<T: for<'de> cqrs_core::__private::serde::Deserialize<'de>>(payload: &[u8]) -> T {
        rmp_serde::from_slice(payload).expect("a payload explains itself")
    }
    match event.name {
        "Stocked" => Happened::Stocked(of(event.payload)),
        "Fed" => Happened::Fed(of(event.payload)),
        "Reserved" => Happened::Reserved(of(event.payload)),
        "Followed" => Happened::Followed(of(event.payload)),
        "Billed" => Happened::Billed(of(event.payload)),
        "Sensed" => Happened::Sensed(of(event.payload)),
        "Paid" => Happened::Paid(of(event.payload)),
        "_tick" => Happened::Tick(of::<Tick>(event.payload).at),
        other => panic!("nobody appends {other}"),
    }
}

/// See the module. Whatever it finds wrong, it panics about.
#[derive(Default)]
pub(crate) struct History {
    pub(crate) events: Vec<Recorded>,
    pub(crate) checksum: u64,
    ids: BTreeSet<String>,
    /// Where the events with a tag are.
    tags: BTreeMap<u64, u64>,
    /// Where the first part of an order is.
    pub(crate) orders: BTreeMap<u64, u64>,
    pub(crate) followed: BTreeSet<u64>,
    pub(crate) billed: BTreeSet<u64>,
    free: BTreeMap<u8, i64>,
    fed: BTreeMap<u8, u64>,
}

impl History {
    pub(crate) fn head(&self) -> u64 {
        self.events.len() as u64
    }

    pub(crate) fn at(&self, position: u64) -> Option<&Recorded> {
        self.events.get(position.checked_sub(1)? as usize)
    }

    pub(crate) fn tagged(&self, tag: u64) -> Option<u64> {
        self.tags.get(&tag).copied()
    }

    /// Pieces of an item that were free when the log ended at a position.
    pub(crate) fn free(&self, item: u8, position: u64) -> i64 {
        let of = |it: &Recorded| match &it.event {
            Happened::Stocked(e) if e.item == item => e.qty,
            Happened::Fed(e) if e.item == item => e.qty,
            Happened::Reserved(e) if e.item == item => -e.qty,
            _ => 0,
        };
        self.events[..position as usize].iter().map(of).sum()
    }

    /// Reads what is new in the log.
    pub(crate) fn catch_up(&mut self, disk: &Disk) {
        let (mut new, mut checksum) = (Vec::new(), self.checksum);
        let mut visit = |event: LogEvent<'_>| {
            checksum = chain(checksum, &event);
            assert_eq!(checksum, event.checksum, "the chain holds at {}", event.position);
            new.push(Recorded {
                position: event.position,
                recorded_at: event.recorded_at,
                id: event.event_id.map(str::to_owned),
                event: read(&event),
            });
            true
        };
        disk.reader().read(self.head(), usize::MAX, &mut visit).unwrap();
        self.checksum = checksum;
        new.into_iter().for_each(|recorded| self.take(recorded, disk));
    }

    fn take(&mut self, recorded: Recorded, disk: &Disk) {
        let position = recorded.position;
        assert_eq!(position, self.head() + 1, "no gap");
        let before = self.events.last().map_or(Timestamp::from_micros(i64::MIN), |last| last.recorded_at);
        assert!(recorded.recorded_at >= before, "time goes back at {position}");
        if !disk.is_strange(position) {
            let now = Timestamp::from_micros(disk.now());
            assert_eq!(recorded.recorded_at, now.max(before), "the time at {position}");
        }
        if let Some(id) = &recorded.id {
            assert!(self.ids.insert(id.clone()), "the id {id} is there twice, at {position}");
        }
        let mut once = |tag: u64| {
            let before = self.tags.insert(tag, position);
            assert_eq!(before, None, "an event is there twice, at {position}: {:?}", recorded.event);
        };
        match &recorded.event {
            Happened::Stocked(e) => {
                once(e.tag);
                *self.free.entry(e.item).or_default() += e.qty;
            }
            Happened::Sensed(e) => once(e.tag),
            Happened::Paid(e) => once(e.tag),
            Happened::Fed(e) => {
                let last = self.fed.insert(e.source, e.offset).unwrap_or(0);
                let next = if (last + 1) % 7 == 3 { last + 2 } else { last + 1 };
                assert_eq!(e.offset, next, "the source {} is there once, in order", e.source);
                *self.free.entry(e.item).or_default() += e.qty;
            }
            Happened::Reserved(e) => {
                match e.part {
                    0 => {
                        let before = self.orders.insert(e.order, position);
                        assert_eq!(before, None, "the order {} is there twice", e.order);
                    }
                    _ => assert_eq!(self.orders[&e.order], position - 1, "an order is there whole"),
                }
                let free = self.free.entry(e.item).or_default();
                *free -= e.qty;
                assert!(*free >= 0, "more is promised than there is, at {position}: {free}");
            }
            Happened::Followed(e) => {
                let of = self.at(e.of).map(|it| &it.event);
                assert!(matches!(of, Some(Happened::Reserved(r)) if r.order == e.order), "{e:?}");
                assert!(self.followed.insert(e.of), "followed up twice, at {position}: {e:?}");
            }
            Happened::Billed(e) => {
                let of = self.at(e.of).map(|it| &it.event);
                assert!(matches!(of, Some(Happened::Followed(f)) if f.order == e.order), "{e:?}");
                assert!(self.billed.insert(e.of), "billed twice, at {position}: {e:?}");
            }
            Happened::Tick(_) => {}
        }
        self.events.push(recorded);
    }
}
