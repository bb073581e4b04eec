//! What an engine has been told of: event types by stored name, and which of them go to which views.

use std::any::TypeId;
use std::collections::{HashMap, HashSet};

use super::cluster::{Cluster, Input, Member};
use super::route::{Reader, Route, TypedRoute, decode, upcast};
use super::slot::{TypedView, ViewType};
use crate::Tick;
use crate::codec::DecodeError;
use crate::describe::{DescribedEvent, DescribedView, Description, Edge, How};
use crate::error::{StartError, UnknownEvent, versions};
use crate::event::{Event, Meta, NamedEvent};
use crate::projection::{JoinSet, JoinVisitor, Projection, Reads, RowSource, SourceVisitor, Way};
use crate::schema::Schema;
use crate::store::StoredType;
use crate::table::Touches;

/// The number of a stored type in its catalog; [`PASSED_OVER`] for names that were allowed to be unknown.
pub(crate) type Kind = u32;

/// A stored type that no view is to see.
pub(crate) const PASSED_OVER: Kind = u32::MAX;

/// So many kinds are looked through one by one before their names are hashed.
const FEW: usize = 16;

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

/// Reads a payload, stored as some version of the type at an index, within a limit of bytes.
type Trial = (fn(usize, u32, &[u8], usize) -> Result<(), DecodeError>, usize);

fn read<E: Event>(type_index: usize, version: u32, payload: &[u8], limit: usize) -> Result<(), DecodeError> {
    if version == E::TYPES[type_index].version {
        decode::<E>(type_index, payload, limit).map(drop)
    } else {
        upcast::<E>(type_index, version, payload, limit).map(drop)
    }
}

/// Everything that is registered. Does not change once the engine runs.
pub(crate) struct Catalog {
    names: HashMap<&'static str, Kind>,
    pub(crate) kinds: Vec<StoredKind>,
    pub(crate) routes: Vec<Box<dyn Route>>,
    /// The routes of each course.
    pub(crate) courses: Vec<Vec<usize>>,
    pub(crate) views: Vec<Box<dyn ViewType>>,
    pub(crate) clusters: Vec<Cluster>,
    /// For each view, the one of the clusters that it belongs to.
    pub(crate) cluster_of: Vec<Option<usize>>,
    /// For each view, those whose rows it takes in, and those whose rows these take in.
    taken_in: Vec<Vec<usize>>,
    /// For each course, whether two of its routes go to one cluster.
    pub(crate) singly: Vec<bool>,
    allowed: Allowed,
    pub(crate) payload_limit: usize,
}

/// Which names may be in the log that no registered type claims.
#[derive(Default)]
pub(crate) struct Allowed {
    pub(crate) names: HashSet<String>,
    /// Any that is no type's at all.
    pub(crate) all: bool,
}

/// Gathers the registrations; the first that contradicts another is kept as an error.
#[derive(Default)]
pub(crate) struct Registry {
    names: HashMap<&'static str, Kind>,
    kinds: Vec<StoredKind>,
    routes: Vec<Box<dyn Route>>,
    route_of: HashMap<TypeId, usize>,
    views: Vec<Box<dyn ViewType>>,
    /// What each view reads of others.
    members: Vec<Member>,
    /// The views that are folded an event at a time on their own account.
    turns: Vec<bool>,
    pub(crate) allowed: Allowed,
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
        let ty = Box::<TypedView<P>>::default();
        if !self.is_new(&*ty) {
            return;
        }
        // Those it reads come first, so that numbers are an order to fold in.
        P::sources(&mut Upstream(self));
        P::Joins::visit(self);
        let view = self.add(ty, P::Joins::types(), !P::SINGLE);
        P::sources(&mut Sources { registry: self, view, seen: HashSet::new() });
    }

    /// Whether a view is not registered yet, and may be.
    fn is_new(&mut self, ty: &dyn ViewType) -> bool {
        if self.number(ty.row_type()).is_some() {
            return false;
        }
        let Some(other) = self.views.iter().find(|view| view.name() == ty.name()) else { return true };
        let (first, second) = (other.rust_name(), ty.rust_name());
        self.refuse(StartError::SameViewName { name: ty.name(), first, second });
        false
    }

    /// Adds a view, without its sources; its number.
    fn add(&mut self, ty: Box<dyn ViewType>, joins: Vec<TypeId>, turns: bool) -> usize {
        let view = self.views.len();
        self.views.push(ty);
        let joins = joins.into_iter().filter_map(|ty| Some((ty, self.number(ty)?))).collect();
        self.members.push(Member { view, inputs: Vec::new(), joins });
        self.turns.push(turns);
        view
    }

    fn number(&self, row: TypeId) -> Option<usize> {
        self.views.iter().position(|view| view.row_type() == row)
    }

    /// Adds who takes the events of a source into a view. What the view has read so far is `seen`.
    fn reader<E: Event>(&mut self, reader: Reader<E>, seen: &mut HashSet<Kind>) {
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
            if reader.wants(type_index) && !seen.insert(*kind) {
                let event = self.kinds[*kind as usize].schema.name;
                let projection = self.views[reader.view()].rust_name();
                self.refuse(StartError::ReadTwice { projection, event });
            }
        }
        if let Some(route) = self.routes[route].as_any().downcast_mut::<TypedRoute<E>>() {
            route.add(reader);
        }
    }

    /// The graph of what has been registered so far.
    pub(crate) fn describe(&self) -> Description {
        let members: Vec<&Member> = self.members.iter().collect();
        describe(&self.kinds, &self.routes, &self.views, &members)
    }

    pub(crate) fn finish(mut self, payload_limit: usize) -> Result<Catalog, StartError> {
        // Whoever opens the log has to know them, also without a window.
        self.event::<Tick>();
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
        let inputs = |member: &Member| member.inputs.iter().map(|input| input.up).collect();
        let taken_in = reached(self.members.iter().map(inputs));
        let (clusters, cluster_of) = clusters(self.members, &self.turns);
        for member in clusters.iter().flat_map(|cluster| &cluster.members) {
            member.inputs.iter().for_each(|input| self.views[input.up].watch());
        }
        for route in &mut self.routes {
            route.gather(&cluster_of);
        }
        let shares = |course: &Vec<usize>| {
            let mut seen = HashSet::new();
            let clusters = course.iter().map(|route| self.routes[*route].clusters());
            clusters.flatten().any(|cluster| !seen.insert(cluster))
        };
        let singly = courses.iter().map(shares).collect();
        Ok(Catalog {
            clusters,
            cluster_of,
            taken_in,
            singly,
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

/// The graph of views and of the types that they read.
fn describe(
    kinds: &[StoredKind],
    routes: &[Box<dyn Route>],
    views: &[Box<dyn ViewType>],
    members: &[&Member],
) -> Description {
    let mut described: Vec<DescribedView> = views.iter().map(|view| view.describe()).collect();
    let mut events = Vec::new();
    let mut kinds: Vec<&StoredKind> = kinds.iter().collect();
    kinds.sort_by_key(|kind| kind.schema.name);
    for StoredKind { schema, claims, .. } in kinds {
        let ways = claims.iter().flat_map(|(route, type_index)| routes[*route].ways(*type_index));
        let mut ways: Vec<(usize, Way)> = ways.collect();
        ways.sort_by_key(|(view, _)| *view);
        // Every engine knows the tick; it is of interest where a window goes by it.
        if ways.is_empty() && schema.name == Tick::NAME {
            continue;
        }
        for (view, way) in ways {
            described[view].reads.push(Edge { source: schema.name, how: way.into() });
        }
        events.push(DescribedEvent::of(schema));
    }
    for member in members {
        let inputs = member.inputs.iter().map(|input| (input.up, How::TakesIn));
        let joins = member.joins.iter().map(|join| (join.1, How::Joins));
        for (up, how) in inputs.chain(joins) {
            described[member.view].reads.push(Edge { source: views[up].name(), how });
        }
    }
    Description { events, views: described, reactions: Vec::new() }
}

/// For each view, those that it reaches, directly or not, of those that it reaches directly: views before it.
fn reached(directly: impl Iterator<Item = Vec<usize>>) -> Vec<Vec<usize>> {
    let mut reached: Vec<Vec<usize>> = Vec::new();
    for ups in directly {
        let beyond = ups.iter().flat_map(|up| &reached[*up]);
        let mut all: Vec<usize> = beyond.chain(&ups).copied().collect();
        all.sort_unstable();
        all.dedup();
        reached.push(all);
    }
    reached
}

/// Views that are folded together: those that read each other, and each that is folded an event at a time.
fn clusters(members: Vec<Member>, turns: &[bool]) -> (Vec<Cluster>, Vec<Option<usize>>) {
    // The least number of those it is connected to.
    let mut root: Vec<usize> = (0..members.len()).collect();
    for _ in 0..members.len() {
        for member in &members {
            for up in member.upstream() {
                let least = root[up].min(root[member.view]);
                (root[up], root[member.view]) = (least, least);
            }
        }
    }
    let (mut clusters, mut cluster_of): (Vec<Cluster>, _) = (Vec::new(), vec![None; members.len()]);
    for member in members {
        let view = member.view;
        let alone = root.iter().filter(|other| **other == root[view]).count() == 1;
        if alone && !turns[view] {
            continue;
        }
        let number = cluster_of[root[view]].unwrap_or(clusters.len());
        if number == clusters.len() {
            clusters.push(Cluster { members: Vec::new() });
        }
        cluster_of[view] = Some(number);
        clusters[number].members.push(member);
    }
    (clusters, cluster_of)
}

/// Registers the projections that another reads.
struct Upstream<'a>(&'a mut Registry);

impl<P: Projection> SourceVisitor<P> for Upstream<'_> {
    fn event<E: Event>(&mut self)
    where
        P: Reads<E>,
    {
    }
    fn view<U: RowSource>(&mut self)
    where
        P: Reads<U>,
    {
        self.0.view::<U>();
    }
}

impl JoinVisitor for Registry {
    fn join<U: Projection>(&mut self) {
        self.view::<U>();
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
        self.registry.reader(Reader::<E>::of::<P>(self.view), &mut self.seen);
    }

    fn view<U: RowSource>(&mut self)
    where
        P: Reads<U>,
    {
        let Some(up) = self.registry.number(TypeId::of::<U>()) else {
            unreachable!("what it reads has been registered")
        };
        self.registry.members[self.view].inputs.push(Input::new::<U, P>(up));
    }
}

impl Catalog {
    /// The views that a view reads.
    pub(crate) fn upstream(&self, view: usize) -> Vec<usize> {
        let Some(cluster) = self.cluster_of[view] else { return Vec::new() };
        let member = self.clusters[cluster].members.iter().find(|member| member.view == view);
        member.map(|member| member.upstream().collect()).unwrap_or_default()
    }

    /// For each view, those that it reads, directly or not, and last itself.
    pub(crate) fn with_upstream(&self) -> Vec<Vec<usize>> {
        let mut all = reached((0..self.views.len()).map(|view| self.upstream(view)));
        all.iter_mut().enumerate().for_each(|(view, reads)| reads.push(view));
        all
    }

    /// The graph of what is registered.
    pub(crate) fn describe(&self) -> Description {
        let members: Vec<&Member> = self.clusters.iter().flat_map(|cluster| &cluster.members).collect();
        describe(&self.kinds, &self.routes, &self.views, &members)
    }

    /// The first of the views that a view is folded with.
    pub(crate) fn unit(&self, view: usize) -> usize {
        self.cluster_of[view].map_or(view, |cluster| self.clusters[cluster].members[0].view)
    }

    /// The views that a view is folded with, itself among them.
    pub(crate) fn members(&self, view: usize) -> Vec<usize> {
        (0..self.views.len()).filter(|other| self.unit(*other) == self.unit(view)).collect()
    }

    /// The kind of a stored event, or why nobody claims it.
    pub(crate) fn kind(&self, name: &str, version: u32) -> Result<Kind, String> {
        match self.names.get(name) {
            Some(kind) if self.kinds[*kind as usize].schema.reads(version) => Ok(*kind),
            _ if self.allowed.names.contains(name) => Ok(PASSED_OVER),
            None if self.allowed.all => Ok(PASSED_OVER),
            Some(kind) => {
                let reads = versions(&self.kinds[*kind as usize].schema.versions());
                Err(format!("it is stored as version {version}, and its type reads {reads} only"))
            }
            None => Err("no registered type claims its name".into()),
        }
    }

    /// The kind under which an event of this type is appended.
    pub(crate) fn appended(&self, schema: &Schema) -> Option<Kind> {
        // It is asked for each event, and hashing the name would take longer than most of what is done with one. (Where its text lies says nothing: each
        // piece of code that rustc compiles by itself may have a copy of its own.)
        let same = |kind: &StoredKind| kind.schema.name == schema.name && kind.schema.rust == schema.rust;
        if let Some(at) = self.kinds.iter().take(FEW).position(same) {
            return Some(at as Kind);
        }
        let kind = *self.names.get(schema.name)?;
        same(&self.kinds[kind as usize]).then_some(kind)
    }

    /// Whether a payload, stored as this version, can be read as its kind.
    pub(crate) fn read(&self, kind: Kind, version: u32, payload: &[u8]) -> Result<(), DecodeError> {
        let Some(StoredKind { trial: (read, type_index), .. }) = self.kinds.get(kind as usize) else {
            return Ok(());
        };
        read(*type_index, version, payload, self.payload_limit)
    }

    /// Whether events of this type may be in the log: under a name that is registered, or that may be unknown.
    pub(crate) fn has(&self, schema: &Schema) -> bool {
        let mut names = std::iter::once(&schema.name).chain(schema.aliases);
        names.any(|name| {
            self.names.contains_key(name) || self.allowed.all || self.allowed.names.contains(*name)
        })
    }

    /// Whether every unknown name is passed over.
    pub(crate) fn allows_all(&self) -> bool {
        self.allowed.all
    }

    /// Whether anything is registered at all.
    pub(crate) fn knows_any(&self) -> bool {
        self.kinds.len() > 1 || self.allowed.all || !self.allowed.names.is_empty()
    }

    /// Whether two events that follow each other may travel together.
    pub(crate) fn together(&self, a: Kind, b: Kind) -> bool {
        let course = self.course(a);
        // Where types share several routes, a view may read one type through one and another through the other: then a run is of one type, since
        // each route folds the whole run before the next; or of one event, where views that read each other use several.
        course == self.course(b) && (self.courses[course].len() < 2 || (a == b && !self.singly[course]))
    }

    pub(crate) fn course(&self, kind: Kind) -> usize {
        self.kinds.get(kind as usize).map_or(0, |kind| kind.course)
    }

    /// Adds what an event would touch of a view's rows.
    pub(crate) fn touches(&self, view: usize, kind: Kind, payload: &[u8], meta: &Meta, out: &mut Touches) {
        for route in &self.courses[self.course(kind)] {
            let route = &self.routes[*route];
            // What it changes of another view's rows, only those rows say.
            out.all |= self.taken_in[view].iter().any(|up| route.reaches(*up, kind));
            route.touches(view, kind, payload, meta, self.payload_limit, out);
        }
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
                    .map(|kind| self.kinds[*kind as usize].schema.versions()),
            })
            .collect();
        if unknown.is_empty() { Ok(()) } else { Err(StartError::UnknownEvents(unknown)) }
    }

    /// The number of the view whose rows are `P`.
    pub(crate) fn view_number(&self, row: TypeId) -> Option<usize> {
        self.views.iter().position(|view| view.row_type() == row)
    }
}
