// The world of `abreast.rs`: a log of numbers, two to a stretch, read one or two at a time.
use crate::store::Head;
use crate::threads::{chance, thread};

pub(crate) mod batch {
    use super::*;
    #[derive(Clone, Debug, PartialEq)]
    pub(crate) struct Flaw(pub(crate) u64);
    impl Flaw {
        pub(crate) fn ends(after: u64, _: u64) -> Self {
            Self(after + 1)
        }
    }
    pub(crate) struct StoredEvent<'a>(pub(crate) u64, std::marker::PhantomData<&'a ()>);
    #[derive(Default)]
    pub(crate) struct Page {
        after: Head,
        events: Vec<u64>,
        pub(crate) flaw: Option<Flaw>,
    }
    impl Page {
        pub(crate) const EVENTS: usize = 2;
        pub(crate) fn begin(&mut self, after: Head) {
            *self = Self { after, ..Self::default() };
        }
        pub(crate) fn push(&mut self, catalog: &catalog::Catalog, event: &u64) -> bool {
            if catalog.flaw == Some(*event) {
                self.flaw = Some(Flaw(*event));
                return false;
            }
            self.events.push(*event);
            // Large payloads: the stretch takes several pages.
            !chance()
        }
        pub(crate) fn head(&self) -> Head {
            Head { position: self.after.position + self.events.len() as u64, checksum: 0 }
        }
        pub(crate) fn stored(&self) -> Vec<StoredEvent<'_>> {
            self.events.iter().map(|event| StoredEvent(*event, std::marker::PhantomData)).collect()
        }
    }
}

pub(crate) mod catalog {
    pub(crate) struct Catalog {
        pub(crate) views: Vec<Box<()>>,
        pub(crate) flaw: Option<u64>,
        /// The event that stops every view.
        pub(crate) fault: Option<u64>,
    }

    impl Catalog {
        /// Each view is folded for itself.
        pub(crate) fn unit(&self, view: usize) -> usize {
            view
        }
    }
}

pub(crate) mod replay {
    use super::*;
    #[derive(Debug)]
    pub(crate) enum Halt {
        Store(crate::store::StoreError),
        Flaw(batch::Flaw),
        Stopped,
    }
    pub(crate) fn fold(catalog: &catalog::Catalog, events: &[batch::StoredEvent<'_>], slots: &mut [slot::Slot]) {
        for event in events {
            for slot in slots.iter_mut().filter(|slot| slot.folds()) {
                thread::yield_now();
                if catalog.fault == Some(event.0) {
                    slot.stopped = true;
                    continue;
                }
                let Some(view) = &mut slot.view else { continue };
                assert_eq!(event.0, view.0.len() as u64 + 1, "folded out of its turn");
                view.0.push(event.0);
            }
        }
    }
    pub(crate) fn fold_page(
        catalog: &catalog::Catalog,
        page: &batch::Page,
        _: Head,
        slots: &mut [slot::Slot],
    ) {
        fold(catalog, &page.stored(), slots);
        slots.iter_mut().for_each(|slot| slot.advance(page.head(), |_| None));
    }
}

pub(crate) mod slot {
    use super::*;
    #[derive(Default)]
    pub(crate) struct View(pub(crate) Vec<u64>);
    #[derive(Default)]
    pub(crate) struct Slot {
        pub(crate) view: Option<View>,
        pub(crate) at: Head,
        pub(crate) stopped: bool,
    }
    impl Slot {
        pub(crate) fn absent(_: &()) -> Self {
            Self::default()
        }
        pub(crate) fn folds(&self) -> bool {
            self.view.is_some() && !self.stopped
        }
        pub(crate) fn advance(&mut self, end: Head, _: impl Fn(u64) -> Option<u64>) {
            match &self.view {
                Some(view) if self.stopped => self.at.position = view.0.len() as u64,
                Some(_) => self.at = end,
                None => {}
            }
        }
    }
}

struct Reader {
    fails_at: Option<u64>,
}

impl crate::store::LogReader for Reader {
    fn checksum_at(&mut self, position: u64) -> Result<Option<u64>, crate::store::StoreError> {
        thread::yield_now();
        if self.fails_at == Some(position) { Err(crate::store::StoreError) } else { Ok(Some(0)) }
    }
    fn read(&mut self, after: u64, limit: usize, push: &mut dyn FnMut(u64) -> bool) -> Result<usize, crate::store::StoreError> {
        thread::yield_now();
        for position in after + 1..=after + limit as u64 {
            if !push(position) {
                break;
            }
        }
        Ok(0)
    }
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum End {
    Whole,
    /// Every view stops, before the third event.
    Faulted,
    Flaw,
    Store,
    Stopped,
}

pub(crate) fn scenario(threads: usize, views: usize, to: u64, end: End) {
    let at_four = |is: End| (end == is).then_some(4);
    let catalog =
        catalog::Catalog { views: vec![Box::new(()); views], flaw: at_four(End::Flaw), fault: (end == End::Faulted).then_some(3) };
    let mut slots: Vec<_> = (0..views).map(|_| slot::Slot { view: Some(Default::default()), ..Default::default() }).collect();
    let reader = || Box::new(Reader { fails_at: (end == End::Store).then_some(4) }) as Box<dyn crate::store::LogReader>;
    let mut readers: Vec<_> = (0..threads).map(|_| reader()).collect();
    let on_page = |position: u64| end != End::Stopped || position < 4;
    let outcome = abreast::replay_abreast(&mut readers, &catalog, &mut slots, to, &on_page);
    let reached: Vec<u64> = slots.iter().map(|slot| slot.at.position).collect();
    for slot in &slots {
        assert_eq!(slot.view.as_ref().unwrap().0, (1..=slot.at.position).collect::<Vec<_>>());
    }
    use replay::Halt;
    match (end, outcome) {
        (End::Faulted, Ok(())) => assert!(reached.iter().all(|at| *at == 2)),
        (End::Whole, Ok(())) => assert!(reached.iter().all(|at| *at == to)),
        (End::Flaw, Err(Halt::Flaw(flaw))) => assert!(flaw.0 == 4 && reached.iter().all(|at| *at == 3)),
        (End::Store, Err(Halt::Store(_))) => assert!(reached.iter().all(|at| *at <= 4)),
        (End::Stopped, Err(Halt::Stopped)) => {}
        (_, outcome) => panic!("it ended with {outcome:?}"),
    }
}
