//! From stored bytes to the views that want them: one route an event type, which decodes each event once for all.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::batch::StoredEvent;
use super::catalog::{Catalog, Kind};
use super::cluster::{Arriving, Find};
use super::slot::{Slot, ViewRows};
use crate::aggregate::Appends;
use crate::codec::DecodeError;
use crate::event::{Event, Meta, Recorded};
use crate::projection::{FoldError, JoinSet, Projection, Reads, Way};
use crate::table::{Touches, fold_run, said, touches};

/// How many events are decoded before they are folded.
const RUN: usize = 1024;

/// A route with the type of its events forgotten.
pub(crate) trait Route: Send + Sync {
    /// Whether a view reads the type at this index.
    fn wanted(&self, type_index: usize) -> bool;

    /// The views that read it, each with what it does with it.
    fn ways(&self, type_index: usize) -> Vec<(usize, Way)>;

    /// Is told, once, the type index of every kind.
    fn learn(&mut self, type_of_kind: Vec<usize>);

    /// Folds a run of events of this route's kinds into every view that wants them and has not stopped.
    fn fold(&self, run: &[StoredEvent<'_>], catalog: &Catalog, slots: &mut [Slot]);

    /// Folds one event of this route's kinds into every view that wants it and is folded by itself. `then` gets it on its way to those that are folded
    /// together; nothing, where it cannot be read.
    fn arrive(&self, stored: &StoredEvent<'_>, catalog: &Catalog, slots: &mut [Slot], then: Then<'_>);

    /// Is told, once, which views are folded together.
    fn gather(&mut self, cluster_of: &[Option<usize>]);

    /// The clusters that it goes to.
    fn clusters(&self) -> &[usize];

    /// Whether an event of this kind goes to a view.
    fn reaches(&self, view: usize, kind: Kind) -> bool;

    /// Adds what an event would touch of a view's rows, if it goes there.
    fn touches(&self, view: usize, kind: Kind, payload: &[u8], meta: &Meta, limit: usize, out: &mut Touches);

    fn as_any(&mut self) -> &mut dyn Any;
}

/// What goes on with an event that has arrived.
pub(crate) type Then<'t> = &'t mut dyn FnMut(&mut [Slot], Option<&dyn Arriving>);

pub(crate) struct TypedRoute<E: Event> {
    readers: Vec<Reader<E>>,
    /// Those that its readers belong to, each once.
    clusters: Vec<usize>,
    type_of_kind: Vec<usize>,
}

/// Folds a run into a [`ViewRows`]; an error comes with the number of events before it.
type FoldInto<E> = fn(&mut dyn Any, &[Recorded<'_, E>]) -> Result<(), (usize, FoldError)>;

/// Takes one event into a [`ViewRows`], in its turn.
type RunInto<E> = fn(&mut dyn Any, &Recorded<'_, E>, Find<'_>) -> Result<(), FoldError>;

/// Notes what an event would touch.
type Note<E> = fn(&<E as Event>::Ref<'_>, &Meta, &mut Touches);

/// A view that reads `E`. The view's type is behind the function.
pub(crate) struct Reader<E: Event> {
    view: usize,
    wants: Vec<bool>,
    way: fn(usize) -> Way,
    fold: FoldInto<E>,
    run: RunInto<E>,
    touches: Note<E>,
    /// Where it is folded with others, or an event at a time.
    cluster: Option<usize>,
}

impl<E: Event> Reader<E> {
    /// The view of this number, whose rows are `P`.
    pub(crate) fn of<P: Projection + Reads<E>>(view: usize) -> Self {
        let (wants, way) = (wanted::<E>(P::wants), P::way);
        let (fold, run, touches) = (fold_into::<E, P>, run_into::<E, P>, touches::<E, P>);
        Self { view, wants, way, fold, run, touches, cluster: None }
    }

    pub(crate) fn view(&self) -> usize {
        self.view
    }

    pub(crate) fn wants(&self, type_index: usize) -> bool {
        self.wants.get(type_index).copied().unwrap_or(false)
    }
}

/// Whether each of the types of `E` is wanted.
fn wanted<E: Event>(wants: fn(usize) -> bool) -> Vec<bool> {
    (0..E::TYPES.len()).map(wants).collect()
}

impl<E: Event> Default for TypedRoute<E> {
    fn default() -> Self {
        Self { readers: Vec::new(), clusters: Vec::new(), type_of_kind: Vec::new() }
    }
}

fn fold_into<E: Event, P: Reads<E>>(
    view: &mut dyn Any,
    run: &[Recorded<'_, E>],
) -> Result<(), (usize, FoldError)> {
    let Some(view) = view.downcast_mut::<ViewRows<P>>() else {
        unreachable!("a slot holds the view that was registered under its number")
    };
    let (folder, rows) = view.writable();
    fold_run(folder, rows, run)
}

fn run_into<E: Event, P: Reads<E>>(
    view: &mut dyn Any,
    recorded: &Recorded<'_, E>,
    find: Find<'_>,
) -> Result<(), FoldError> {
    let Some(view) = view.downcast_mut::<ViewRows<P>>() else {
        unreachable!("a slot holds the view that was registered under its number")
    };
    let Some(joined) = P::Joins::find(find) else {
        unreachable!("what is looked up is there, or the view has stopped")
    };
    view.run::<E>(&recorded.event, &recorded.meta, Appends, &joined)
}

impl<E: Event> TypedRoute<E> {
    pub(crate) fn add(&mut self, reader: Reader<E>) {
        self.readers.push(reader);
    }

    /// Who takes the events of a type into a view.
    fn reader_of(&self, view: usize, type_index: usize) -> Option<&Reader<E>> {
        self.readers.iter().find(|reader| reader.view == view && reader.wants(type_index))
    }

    /// Whether any of its types has older versions: where none has, no event is asked for its own.
    const UPCASTS: bool = {
        let (mut any, mut at) = (false, 0);
        while at < E::TYPES.len() {
            any |= E::TYPES[at].upcast.is_some();
            at += 1;
        }
        any
    };

    /// Whether an event is stored as an older version of its type.
    fn is_old(stored: &StoredEvent<'_>, type_index: usize) -> bool {
        Self::UPCASTS && stored.version != E::TYPES[type_index].version
    }

    /// The wanted events of a run that are stored as older versions, as events of today, in the run's order.
    fn upcast(&self, run: &[StoredEvent<'_>], limit: usize) -> Vec<Result<E, DecodeError>> {
        if !Self::UPCASTS {
            return Vec::new();
        }
        let old = run.iter().filter_map(|stored| {
            let type_index = self.type_of_kind[stored.kind as usize];
            let old = self.wanted(type_index) && Self::is_old(stored, type_index);
            old.then(|| upcast(type_index, stored.version, stored.payload, limit))
        });
        old.collect()
    }

    /// Reads an event as of today; of one that is stored as an older version, `old` is that.
    fn read<'a>(
        stored: &StoredEvent<'a>,
        type_index: usize,
        old: Option<&'a Result<E, DecodeError>>,
        limit: usize,
    ) -> Result<Recorded<'a, E>, DecodeError> {
        let event = match old {
            Some(old) => {
                old.as_ref().map_err(Clone::clone).and_then(|event| caught(|| Ok(E::borrowed(event))))
            }
            None => decode::<E>(type_index, stored.payload, limit),
        };
        let meta = Meta { position: stored.position, recorded_at: stored.recorded_at };
        event.map(|event| Recorded { meta, event })
    }

    /// An event that cannot be read stops, or is parked by, every view that wants it.
    fn fail(&self, stored: &StoredEvent<'_>, error: &DecodeError, catalog: &Catalog, slots: &mut [Slot]) {
        let type_index = self.type_of_kind[stored.kind as usize];
        for reader in self.readers.iter().filter(|reader| reader.wants[type_index]) {
            let slot = &mut slots[reader.view];
            if slot.folds() && slot.at.position < stored.position {
                let error = FoldError { column: "", reason: error.reason.clone() };
                slot.fail(stored.position, E::TYPES[type_index].name, error);
            }
        }
        for cluster in &self.clusters {
            catalog.clusters[*cluster].spread(slots);
        }
    }

    /// Folds what has been decoded, and forgets it.
    fn flush(&self, decoded: &mut Decoded<'_, E>, catalog: &Catalog, slots: &mut [Slot]) {
        for cluster in &self.clusters {
            for (recorded, ty) in decoded.events.iter().zip(&decoded.types) {
                catalog.clusters[*cluster].turn(slots, &Arrival { route: self, recorded, ty: *ty });
            }
        }
        self.fold_alone(decoded, slots);
        decoded.events.clear();
        decoded.types.clear();
    }

    /// Folds what has been decoded into the views that are folded by themselves.
    fn fold_alone(&self, decoded: &Decoded<'_, E>, slots: &mut [Slot]) {
        for reader in self.readers.iter().filter(|reader| reader.cluster.is_none()) {
            let slot = &mut slots[reader.view];
            // A view that was ahead of the others when the batch was cut has folded its beginning already.
            let skip = decoded.events.partition_point(|event| event.meta.position <= slot.at.position);
            let mut start = skip;
            while start < decoded.events.len() && slot.folds() {
                let wanted = reader.wants[decoded.types[start]];
                let same = decoded.types[start..].iter().take_while(|ty| reader.wants[**ty] == wanted);
                let mut end = start + same.count();
                if wanted {
                    let run = &decoded.events[start..end];
                    if let Some(Err((done, error))) = slot.view_mut().map(|view| (reader.fold)(view, run)) {
                        let event = E::TYPES[decoded.types[start + done]].name;
                        slot.fail(run[done].meta.position, event, error);
                        // Where it was parked, the view goes on behind it.
                        end = start + done + 1;
                    }
                }
                start = end;
            }
        }
    }
}

/// One event of a route, with its type's index.
struct Arrival<'a, 'e, E: Event> {
    route: &'a TypedRoute<E>,
    recorded: &'a Recorded<'e, E>,
    ty: usize,
}

impl<E: Event> Arriving for Arrival<'_, '_, E> {
    fn position(&self) -> u64 {
        self.recorded.meta.position
    }
    fn name(&self) -> &'static str {
        E::TYPES[self.ty].name
    }
    fn reader(&self, view: usize) -> Option<usize> {
        self.route.readers.iter().position(|reader| reader.view == view && reader.wants[self.ty])
    }
    fn take(&self, reader: usize, view: &mut dyn Any, find: Find<'_>) -> Result<(), FoldError> {
        (self.route.readers[reader].run)(view, self.recorded, find)
    }
}

/// One event that views which are folded together read by several routes: one turn for all of them.
struct Arrived<'a> {
    this: &'a dyn Arriving,
    before: Option<&'a Arrived<'a>>,
}

impl<'a> Arrived<'a> {
    fn ways(&'a self) -> impl Iterator<Item = &'a dyn Arriving> {
        std::iter::successors(Some(self), |arrived| arrived.before).map(|arrived| arrived.this)
    }
}

impl Arriving for Arrived<'_> {
    fn position(&self) -> u64 {
        self.this.position()
    }
    fn name(&self) -> &'static str {
        self.this.name()
    }
    fn reader(&self, view: usize) -> Option<usize> {
        let ways = self.ways().count();
        // No view has it by two: that is refused at the start.
        self.ways().enumerate().find_map(|(way, it)| Some(it.reader(view)? * ways + way))
    }
    fn take(&self, reader: usize, view: &mut dyn Any, find: Find<'_>) -> Result<(), FoldError> {
        let ways = self.ways().count();
        let way = self.ways().nth(reader % ways);
        way.map_or(Ok(()), |way| way.take(reader / ways, view, find))
    }
}

/// Folds one event by several routes, which go to views that are folded together: each of those has one turn, whatever the routes.
pub(crate) fn fold_by_all(routes: &[usize], stored: &StoredEvent<'_>, catalog: &Catalog, slots: &mut [Slot]) {
    fn arrive(
        left: &[usize],
        before: Option<&Arrived<'_>>,
        at: (&[usize], &StoredEvent<'_>, &Catalog),
        slots: &mut [Slot],
    ) {
        let (routes, stored, catalog) = at;
        if let [route, left @ ..] = left {
            catalog.routes[*route].arrive(stored, catalog, slots, &mut |slots, this| {
                let arrived = this.map(|this| Arrived { this, before });
                arrive(left, arrived.as_ref().or(before), at, slots);
            });
        } else if let Some(arrived) = before {
            let mut clusters: Vec<usize> =
                routes.iter().flat_map(|route| catalog.routes[*route].clusters()).copied().collect();
            clusters.sort_unstable();
            clusters.dedup();
            clusters.iter().for_each(|cluster| catalog.clusters[*cluster].turn(slots, arrived));
        }
    }
    arrive(routes, None, (routes, stored, catalog), slots);
}

struct Decoded<'a, E: Event> {
    events: Vec<Recorded<'a, E>>,
    types: Vec<usize>,
}

impl<E: Event> Route for TypedRoute<E> {
    fn wanted(&self, type_index: usize) -> bool {
        self.readers.iter().any(|reader| reader.wants[type_index])
    }

    fn ways(&self, type_index: usize) -> Vec<(usize, Way)> {
        let readers = self.readers.iter().filter(|reader| reader.wants[type_index]);
        readers.map(|reader| (reader.view, (reader.way)(type_index))).collect()
    }

    fn learn(&mut self, type_of_kind: Vec<usize>) {
        self.type_of_kind = type_of_kind;
    }

    fn gather(&mut self, cluster_of: &[Option<usize>]) {
        for reader in &mut self.readers {
            reader.cluster = cluster_of[reader.view];
        }
        self.clusters = self.readers.iter().filter_map(|reader| reader.cluster).collect();
        self.clusters.sort_unstable();
        self.clusters.dedup();
    }

    fn clusters(&self) -> &[usize] {
        &self.clusters
    }

    fn reaches(&self, view: usize, kind: Kind) -> bool {
        self.reader_of(view, self.type_of_kind[kind as usize]).is_some()
    }

    fn touches(&self, view: usize, kind: Kind, payload: &[u8], meta: &Meta, limit: usize, out: &mut Touches) {
        let type_index = self.type_of_kind[kind as usize];
        let Some(reader) = self.reader_of(view, type_index) else { return };
        match decode::<E>(type_index, payload, limit) {
            Ok(event) => (reader.touches)(&event, meta, out),
            Err(_) => out.all = true,
        }
    }

    fn fold(&self, run: &[StoredEvent<'_>], catalog: &Catalog, slots: &mut [Slot]) {
        if !self.readers.iter().any(|reader| slots[reader.view].folds()) {
            return;
        }
        let room = run.len().min(RUN);
        // They outlive what is folded, which borrows from them.
        let upcast = self.upcast(run, catalog.payload_limit);
        let mut upcast = upcast.iter();
        let mut decoded = Decoded { events: Vec::with_capacity(room), types: Vec::with_capacity(room) };
        for stored in run {
            let type_index = self.type_of_kind[stored.kind as usize];
            if !self.wanted(type_index) {
                continue;
            }
            let old = Self::is_old(stored, type_index).then(|| upcast.next()).flatten();
            match Self::read(stored, type_index, old, catalog.payload_limit) {
                Ok(recorded) => {
                    decoded.events.push(recorded);
                    decoded.types.push(type_index);
                    if decoded.events.len() == RUN {
                        self.flush(&mut decoded, catalog, slots);
                    }
                }
                Err(error) => {
                    self.flush(&mut decoded, catalog, slots);
                    self.fail(stored, &error, catalog, slots);
                }
            }
        }
        self.flush(&mut decoded, catalog, slots);
    }

    fn arrive(&self, stored: &StoredEvent<'_>, catalog: &Catalog, slots: &mut [Slot], then: Then<'_>) {
        if !self.readers.iter().any(|reader| slots[reader.view].folds()) {
            return then(slots, None);
        }
        let type_index = self.type_of_kind[stored.kind as usize];
        let old = self.upcast(std::slice::from_ref(stored), catalog.payload_limit);
        match Self::read(stored, type_index, old.first(), catalog.payload_limit) {
            Ok(recorded) => {
                let decoded = Decoded { events: vec![recorded], types: vec![type_index] };
                self.fold_alone(&decoded, slots);
                let recorded = &decoded.events[0];
                then(slots, Some(&Arrival { route: self, recorded, ty: type_index }));
            }
            Err(error) => {
                self.fail(stored, &error, catalog, slots);
                then(slots, None);
            }
        }
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

/// Reads a payload of the version that is written today.
pub(crate) fn decode<E: Event>(
    type_index: usize,
    payload: &[u8],
    limit: usize,
) -> Result<E::Ref<'_>, DecodeError> {
    within(payload, limit)?;
    caught(|| E::decode(type_index, payload))
}

/// Reads a payload of any version that its type reads.
pub(crate) fn upcast<E: Event>(
    type_index: usize,
    version: u32,
    payload: &[u8],
    limit: usize,
) -> Result<E, DecodeError> {
    within(payload, limit)?;
    caught(|| E::upcast(type_index, version, payload))
}

fn within(payload: &[u8], limit: usize) -> Result<(), DecodeError> {
    if payload.len() > limit {
        let reason = format!(
            "its payload of {} bytes is over the limit of {limit}: raise `.payload_limit(..)`",
            payload.len()
        );
        return Err(DecodeError { reason });
    }
    Ok(())
}

/// What the user's `Deserialize`, `From` or `Clone` does wrong is an error like any other.
fn caught<T>(read: impl FnOnce() -> Result<T, DecodeError>) -> Result<T, DecodeError> {
    let read = catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|panic| {
        Err(DecodeError { reason: format!("reading it panicked: {}", said(&*panic)) })
    });
    read.map_err(remedied)
}

/// What serde says where a type has changed, and what to do then.
const REMEDIES: [(&str, &str); 5] = [
    (
        "missing field `",
        "It is stored without it: give the field `#[serde(default)]`; if it was renamed, `#[serde(alias = \"..\")]` with its name of before",
    ),
    (
        "unknown variant `",
        "It is stored with it: keep the variant, or put its name into another's `#[serde(alias = \"..\")]`; if a newer version of this program \
         wrote it, run that",
    ),
    ("unknown field `", "It is stored with it: keep the field, or take `deny_unknown_fields` away"),
    ("invalid type: ", OTHER_TYPE),
    ("invalid value: ", OTHER_TYPE),
];

const OTHER_TYPE: &str = "It is stored as it was: keep the field's type; or raise the event's `version`, and read the old one with `upcast`";

fn remedied(mut error: DecodeError) -> DecodeError {
    if let Some((_, remedy)) = REMEDIES.iter().find(|(words, _)| error.reason.starts_with(words)) {
        error.reason = format!("{}. {remedy}", error.reason);
    }
    error
}
