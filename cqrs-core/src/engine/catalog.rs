//! What an engine has been told of: event types by stored name, and which of them go to which views.

use std::any::TypeId;
use std::collections::{HashMap, HashSet};

use super::route::{Route, TypedRoute, decode};
use super::slot::{TypedView, ViewType};
use crate::codec::DecodeError;
use crate::error::{StartError, UnknownEvent};
use crate::event::Event;
use crate::projection::{Projection, Reads, SourceVisitor};
use crate::schema::Schema;
use crate::store::StoredType;

/// The number of a stored type in its catalog; [`PASSED_OVER`] for names that were allowed to be unknown.
pub(crate) type Kind = u32;

/// A stored type that no view is to see.
pub(crate) const PASSED_OVER: Kind = u32::MAX;

/// A stored type, as one Rust type claims it.
pub(crate) struct StoredKind {
    pub(crate) schema: Schema,
    /// Routes that carry it, with its index there. Empty unless a view's source has it.
    pub(crate) claims: Vec<(usize, usize)>,
    /// Kinds that travel by the same routes have the same number; 0: by none.
    pub(crate) course: usize,
    /// Reads a payload, to see whether it can be.
    trial: Trial,
}

/// Reads a payload of the type at an index, within a limit of bytes.
type Trial = (fn(usize, &[u8], usize) -> Result<(), DecodeError>, usize);

fn read<E: Event>(type_index: usize, payload: &[u8], limit: usize) -> Result<(), DecodeError> {
    decode::<E>(type_index, payload, limit).map(drop)
}

/// Everything that is registered. Does not change once the engine runs.
pub(crate) struct Catalog {
    names: HashMap<&'static str, Kind>,
    pub(crate) kinds: Vec<StoredKind>,
    pub(crate) routes: Vec<Box<dyn Route>>,
    /// The routes of each course.
    pub(crate) courses: Vec<Vec<usize>>,
    pub(crate) views: Vec<Box<dyn ViewType>>,
    allowed: HashSet<String>,
    pub(crate) payload_limit: usize,
}

/// Gathers the registrations; the first that contradicts another is kept as an error.
#[derive(Default)]
pub(crate) struct Registry {
    names: HashMap<&'static str, Kind>,
    kinds: Vec<StoredKind>,
    routes: Vec<Box<dyn Route>>,
    route_of: HashMap<TypeId, usize>,
    views: Vec<Box<dyn ViewType>>,
    pub(crate) allowed: HashSet<String>,
    error: Option<StartError>,
}

impl Registry {
    fn refuse(&mut self, error: StartError) {
        self.error.get_or_insert(error);
    }

    /// Adds the stored types of `E`; its kinds, one for each of [`Event::TYPES`].
    pub(crate) fn event<E: Event>(&mut self) -> Vec<Kind> {
        E::TYPES.iter().enumerate().map(|(index, schema)| self.kind(schema, (read::<E>, index))).collect()
    }

    fn kind(&mut self, schema: &Schema, trial: Trial) -> Kind {
        let known = self.kinds.iter().position(|kind| kind.schema.rust == schema.rust);
        let kind = known.unwrap_or(self.kinds.len()) as Kind;
        if known.is_none() {
            self.kinds.push(StoredKind { schema: *schema, claims: Vec::new(), course: 0, trial });
        }
        for &name in std::iter::once(&schema.name).chain(schema.aliases) {
            let holder = *self.names.entry(name).or_insert(kind);
            if holder != kind {
                let first = self.kinds[holder as usize].schema.rust;
                self.refuse(StartError::SameEventName { name, first, second: schema.rust });
            }
        }
        kind
    }

    /// Adds a view and its sources.
    pub(crate) fn view<P: Projection>(&mut self) {
        if self.views.iter().any(|view| view.row_type() == TypeId::of::<P>()) {
            return;
        }
        if let Some(other) = self.views.iter().find(|view| view.name() == P::NAME) {
            let error =
                StartError::SameViewName { name: P::NAME, first: other.rust_name(), second: P::RUST_NAME };
            return self.refuse(error);
        }
        let view = self.views.len();
        self.views.push(Box::new(TypedView::<P>::default()));
        P::sources(&mut Sources { registry: self, view, seen: HashSet::new() });
    }

    fn source<E: Event, P: Reads<E>>(&mut self, view: usize, seen: &mut HashSet<Kind>) {
        let kinds = self.event::<E>();
        let next = self.routes.len();
        let route = *self.route_of.entry(TypeId::of::<E>()).or_insert(next);
        if route == next {
            self.routes.push(Box::new(TypedRoute::<E>::default()));
            for (type_index, kind) in kinds.iter().enumerate() {
                self.kinds[*kind as usize].claims.push((route, type_index));
            }
        }
        for (type_index, kind) in kinds.iter().enumerate() {
            if P::wants(type_index) && !seen.insert(*kind) {
                let event = self.kinds[*kind as usize].schema.name;
                self.refuse(StartError::ReadTwice { projection: P::RUST_NAME, event });
            }
        }
        if let Some(route) = self.routes[route].as_any().downcast_mut::<TypedRoute<E>>() {
            route.reader::<P>(view);
        }
    }

    pub(crate) fn finish(mut self, payload_limit: usize) -> Result<Catalog, StartError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        // Course 0 carries nothing; a kind that no view wants takes it, and is never decoded.
        let mut courses: Vec<Vec<usize>> = vec![Vec::new()];
        for kind in &mut self.kinds {
            let routes = &self.routes;
            let wanted = kind.claims.iter().filter(|(route, type_index)| routes[*route].wanted(*type_index));
            let course: Vec<usize> = wanted.map(|(route, _)| *route).collect();
            kind.course = courses.iter().position(|known| *known == course).unwrap_or_else(|| {
                courses.push(course);
                courses.len() - 1
            });
        }
        for (number, route) in self.routes.iter_mut().enumerate() {
            let index_in = |kind: &StoredKind| {
                kind.claims.iter().find(|(route, _)| *route == number).map_or(usize::MAX, |(_, index)| *index)
            };
            route.learn(self.kinds.iter().map(index_in).collect());
        }
        Ok(Catalog {
            names: self.names,
            kinds: self.kinds,
            routes: self.routes,
            courses,
            views: self.views,
            allowed: self.allowed,
            payload_limit,
        })
    }
}

struct Sources<'a> {
    registry: &'a mut Registry,
    view: usize,
    seen: HashSet<Kind>,
}

impl<P: Projection> SourceVisitor<P> for Sources<'_> {
    fn event<E: Event>(&mut self)
    where
        P: Reads<E>,
    {
        self.registry.source::<E, P>(self.view, &mut self.seen);
    }
}

impl Catalog {
    /// The kind of a stored event, or why nobody claims it.
    pub(crate) fn kind(&self, name: &str, version: u32) -> Result<Kind, String> {
        match self.names.get(name) {
            Some(kind) if self.kinds[*kind as usize].schema.version == version => Ok(*kind),
            _ if self.allowed.contains(name) => Ok(PASSED_OVER),
            Some(kind) => {
                let reads = self.kinds[*kind as usize].schema.version;
                Err(format!("it is stored as version {version}, and its type reads version {reads} only"))
            }
            None => Err("no registered type claims its name".into()),
        }
    }

    /// The kind under which an event of this type is appended.
    pub(crate) fn appended(&self, schema: &Schema) -> Option<Kind> {
        let kind = *self.names.get(schema.name)?;
        let known = &self.kinds[kind as usize].schema;
        (known.rust == schema.rust && known.name == schema.name).then_some(kind)
    }

    /// Whether a payload can be read as its kind.
    pub(crate) fn read(&self, kind: Kind, payload: &[u8]) -> Result<(), DecodeError> {
        let Some(StoredKind { trial: (read, type_index), .. }) = self.kinds.get(kind as usize) else {
            return Ok(());
        };
        read(*type_index, payload, self.payload_limit)
    }

    /// Whether anything is registered at all.
    pub(crate) fn knows_any(&self) -> bool {
        !self.kinds.is_empty() || !self.allowed.is_empty()
    }

    pub(crate) fn course(&self, kind: Kind) -> usize {
        self.kinds.get(kind as usize).map_or(0, |kind| kind.course)
    }

    /// Refuses history that nobody claims.
    pub(crate) fn claim(&self, stored: &[StoredType]) -> Result<(), StartError> {
        let unknown: Vec<UnknownEvent> = stored
            .iter()
            .filter(|stored| self.kind(&stored.name, stored.version).is_err())
            .map(|stored| UnknownEvent {
                name: stored.name.clone(),
                version: stored.version,
                count: stored.count,
                reads: self
                    .names
                    .get(stored.name.as_str())
                    .map(|kind| self.kinds[*kind as usize].schema.version),
            })
            .collect();
        if unknown.is_empty() { Ok(()) } else { Err(StartError::UnknownEvents(unknown)) }
    }

    /// The number of the view whose rows are `P`.
    pub(crate) fn view_number(&self, row: TypeId) -> Option<usize> {
        self.views.iter().position(|view| view.row_type() == row)
    }
}
