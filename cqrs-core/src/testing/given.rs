//! Given these events, then these rows.

use std::fmt::Debug;
use std::marker::PhantomData;

use super::diff::{self, RowText, indented};
use super::log::{self, Stored};
use super::when::When;
use crate::event::Event;
use crate::key::Key;
use crate::projection::Projection;
use crate::store::MemoryStore;
use crate::{Builder, Command, Engine, NewEvent, Timestamp, Tx};

/// How many rows are named where one is looked for that is not there.
const NAMED: usize = 10;

/// Begins a test of a view with the events that have happened.
///
/// ```
/// use cqrs_core::prelude::*;
/// use cqrs_core::testing::given;
///
/// #[event]
/// pub struct Purchased { pub customer: String, pub qty: i64 }
///
/// #[projection(from = Purchased, group_by = customer)]
/// #[derive(Debug, PartialEq)]
/// pub struct Purchases { pub customer: String, #[sum(qty)] pub qty: i64 }
///
/// let bought = |customer: &str, qty| Purchased { customer: customer.into(), qty };
/// given([bought("ann", 1), bought("bob", 2), bought("ann", 3)])
///     .view::<Purchases>()
///     .then_row("ann", Purchases { customer: "ann".into(), qty: 4 })
///     .then_no_row("carl");
/// ```
///
/// # Panics
///
/// If an event cannot be encoded.
#[must_use = "look at a view of it: `.view::<V>()`"]
#[track_caller]
pub fn given<E: Into<NewEvent>>(events: impl IntoIterator<Item = E>) -> Given {
    nothing().and(events)
}

/// Begins a test of a view with nothing having happened.
///
/// ```
/// # use cqrs_core::prelude::*;
/// # #[event]
/// # pub struct Purchased { pub customer: String, pub qty: i64 }
/// # #[projection(from = Purchased, group_by = customer)]
/// # #[derive(Debug, PartialEq)]
/// # pub struct Purchases { pub customer: String, #[sum(qty)] pub qty: i64 }
/// cqrs_core::testing::nothing().view::<Purchases>().then_rows([]);
/// ```
#[must_use = "look at a view of it: `.view::<V>()`"]
pub fn nothing() -> Given {
    Given { events: Vec::new(), at: Timestamp::UNIX_EPOCH, known: Vec::new() }
}

/// The events that a test begins with: see [`given`].
#[derive(Clone, Debug)]
pub struct Given {
    pub(super) events: Vec<Stored>,
    pub(super) at: Timestamp,
    pub(super) known: Vec<fn(Builder) -> Builder>,
}

impl Given {
    /// More events, after those before: also of another type.
    ///
    /// # Panics
    ///
    /// If an event cannot be encoded.
    #[must_use = "look at a view of it: `.view::<V>()`"]
    #[track_caller]
    pub fn and<E: Into<NewEvent>>(mut self, events: impl IntoIterator<Item = E>) -> Self {
        for event in events {
            match Stored::of(&event.into(), self.at) {
                Ok(stored) => self.events.push(stored),
                Err(error) => panic!("{error}"),
            }
        }
        self
    }

    /// The time at which the events that follow are recorded, `meta.recorded_at`. Before it is given, the Unix epoch.
    ///
    /// ```
    /// use cqrs_core::prelude::*;
    /// use cqrs_core::testing::nothing;
    ///
    /// #[event]
    /// pub struct Seen { pub who: String }
    ///
    /// #[projection(from = Seen, group_by = who)]
    /// #[derive(Debug, PartialEq)]
    /// pub struct LastSeen { pub who: String, #[last(meta.recorded_at)] pub at: Timestamp }
    ///
    /// let at = Timestamp::from_micros(7);
    /// nothing()
    ///     .at(at)
    ///     .and([Seen { who: "ann".into() }])
    ///     .view::<LastSeen>()
    ///     .then_row("ann", LastSeen { who: "ann".into(), at });
    /// ```
    #[must_use = "look at a view of it: `.view::<V>()`"]
    pub fn at(mut self, recorded_at: Timestamp) -> Self {
        self.at = recorded_at;
        self
    }

    /// Knows an event type that the view does not read.
    #[must_use = "look at a view of it: `.view::<V>()`"]
    pub fn event<E: Event>(mut self) -> Self {
        self.known.push(|builder| builder.event::<E>());
        self
    }

    /// Knows what your program registers, by the function that does it there: event types, other views.
    ///
    /// ```
    /// use cqrs_core::prelude::*;
    /// use cqrs_core::{Builder, testing::given};
    ///
    /// # #[event]
    /// # pub struct Bought { pub customer: String }
    /// # #[event]
    /// # pub struct Refunded { pub customer: String }
    /// # #[projection(from = Bought, group_by = customer)]
    /// # #[derive(Debug, PartialEq)]
    /// # pub struct Customer { pub customer: String, #[count] pub times: u64 }
    /// fn registered(builder: Builder) -> Builder {
    ///     builder.event::<Refunded>().view::<Customer>()
    /// }
    ///
    /// // `Engine::open("shop")?` goes through it, too.
    /// given([Bought { customer: "ann".into() }])
    ///     .and([Refunded { customer: "ann".into() }])
    ///     .with(registered)
    ///     .view::<Customer>()
    ///     .then_row("ann", Customer { customer: "ann".into(), times: 1 });
    /// ```
    #[must_use = "look at a view of it: `.view::<V>()`"]
    pub fn with(mut self, register: fn(Builder) -> Builder) -> Self {
        self.known.push(register);
        self
    }

    /// Folds the events into a view, with those it reads.
    pub fn view<V: Projection>(self) -> Then<V> {
        let store = MemoryStore::new();
        let engine =
            log::append(&store, &self.events).and_then(|()| log::open::<V>(&store, &self.known, self.at));
        Then { given: self, store, engine, row: PhantomData }
    }
}

/// What is to be in a view, once the events are folded: see [`given`].
#[derive(Debug)]
pub struct Then<V: Projection> {
    pub(super) given: Given,
    store: MemoryStore,
    /// Or why the events could not be folded.
    engine: Result<Engine, String>,
    row: PhantomData<fn() -> V>,
}

impl<V: Projection> Then<V> {
    /// The key has this row.
    ///
    /// # Panics
    ///
    /// If it has another or none, or the view has stopped.
    #[track_caller]
    pub fn then_row(self, key: <V::Key as Key>::Ref<'_>, row: V) -> Self
    where
        V: Debug + PartialEq,
    {
        let expected = RowText::of(&row);
        match self.get(key) {
            Some(found) if found == row => self,
            Some(found) => panic!(
                "`{}`: {}    (- expected, + found)\n",
                V::RUST_NAME,
                diff::differing(&expected, &RowText::of(&found))
            ),
            None => panic!(
                "`{}` has no row of this key. Expected was:\n{}{}",
                V::RUST_NAME,
                indented(&expected.text, ""),
                self.named()
            ),
        }
    }

    /// The key has no row: it never had one, or it was removed, or `having` hides it.
    ///
    /// # Panics
    ///
    /// If it has one, or the view has stopped.
    #[track_caller]
    pub fn then_no_row(self, key: <V::Key as Key>::Ref<'_>) -> Self
    where
        V: Debug,
    {
        if let Some(found) = self.get(key) {
            let found = RowText::of(&found);
            panic!(
                "`{}` has a row {}, where none was expected:\n{}",
                V::RUST_NAME,
                found.key,
                indented(&found.text, "")
            );
        }
        self
    }

    /// These are all rows that readers see. They are matched by their keys, so their order is yours.
    ///
    /// ```
    /// # use cqrs_core::prelude::*;
    /// # #[event]
    /// # pub struct Purchased { pub customer: String, pub qty: i64 }
    /// # #[projection(from = Purchased, group_by = customer)]
    /// # #[derive(Debug, PartialEq)]
    /// # pub struct Purchases { pub customer: String, #[sum(qty)] pub qty: i64 }
    /// # let bought = |customer: &str, qty| Purchased { customer: customer.into(), qty };
    /// cqrs_core::testing::given([bought("ann", 1), bought("bob", 2)]).view::<Purchases>().then_rows([
    ///     Purchases { customer: "ann".into(), qty: 1 },
    ///     Purchases { customer: "bob".into(), qty: 2 },
    /// ]);
    /// ```
    ///
    /// # Panics
    ///
    /// If a row is missing, is unexpected, or differs, each of which is shown; or the view has stopped.
    #[track_caller]
    pub fn then_rows(self, rows: impl IntoIterator<Item = V>) -> Self
    where
        V: Debug + PartialEq,
    {
        let (expected, found) = (rows.into_iter().collect::<Vec<_>>(), self.rows());
        let texts = |rows: &[V]| rows.iter().map(RowText::of).collect::<Vec<_>>();
        let same = |e: usize, f: usize| expected[e] == found[f];
        let differences = diff::rows(["expected", "found"], &texts(&expected), &texts(&found), same);
        if let Some(differences) = differences {
            panic!("the rows of `{}` are not as expected: {differences}", V::RUST_NAME);
        }
        self
    }

    /// The view has stopped before an event that it could not fold, for a reason with these words in it.
    ///
    /// ```
    /// # use cqrs_core::prelude::*;
    /// # #[event]
    /// # pub struct Purchased { pub customer: String, pub qty: i64 }
    /// # #[projection(from = Purchased, group_by = customer)]
    /// # #[derive(Debug, PartialEq)]
    /// # pub struct Purchases { pub customer: String, #[sum(qty)] pub qty: i64 }
    /// # let bought = |customer: &str, qty| Purchased { customer: customer.into(), qty };
    /// cqrs_core::testing::given([bought("ann", i64::MAX), bought("ann", 1)])
    ///     .view::<Purchases>()
    ///     .then_stopped("before the event at position 2");
    /// ```
    ///
    /// # Panics
    ///
    /// If it has not, or for another reason.
    #[track_caller]
    pub fn then_stopped(self, reason: &str) -> Self {
        match &self.engine {
            Ok(_) => panic!("`{}` has folded every event, and was expected to stop: {reason}", V::RUST_NAME),
            Err(why) if !why.contains(reason) => panic!(
                "`{}` was expected to stop for another reason:\n    - {reason}\n    + {why}\n",
                V::RUST_NAME
            ),
            Err(_) => self,
        }
    }

    /// Another view of the same events, beside those before: a decision may read them all.
    pub fn view<W: Projection>(mut self) -> Then<W> {
        self.given.known.push(|builder| builder.view::<V>());
        self.given.view()
    }

    /// Makes a decision on these events: see [`When`].
    pub fn when<R: Send + 'static>(
        self,
        decide: impl FnMut(&mut Tx) -> Result<(), R> + Send + 'static,
    ) -> When<R> {
        When::new(self.given, self.engine, &self.store, |engine| engine.decide(decide))
    }

    /// Decides a command on these events: see [`When`].
    pub fn when_executed<C: Command>(self, command: C) -> When<C::Refusal> {
        When::new(self.given, self.engine, &self.store, |engine| engine.execute(command))
    }

    #[track_caller]
    fn engine(&self) -> &Engine {
        match &self.engine {
            Ok(engine) => engine,
            Err(why) => {
                panic!("{why}\n\nthe events were:\n{}", indented(&log::texts(&self.given.events), ""))
            }
        }
    }

    #[track_caller]
    fn get(&self, key: <V::Key as Key>::Ref<'_>) -> Option<V> {
        match self.engine().view::<V>().get(key) {
            Ok(row) => row,
            Err(error) => panic!("{error}"),
        }
    }

    #[track_caller]
    fn rows(&self) -> Vec<V> {
        match log::rows(self.engine()) {
            Ok(rows) => rows,
            Err(error) => panic!("{error}"),
        }
    }

    /// The keys of the rows that there are, as far as they can be shown.
    fn named(&self) -> String
    where
        V: Debug,
    {
        let rows = self.rows();
        if rows.is_empty() {
            return "There are no rows.\n".into();
        }
        let keys: String =
            rows.iter().take(NAMED).map(|row| format!("    {}\n", RowText::of(row).key)).collect();
        let more = rows.len().saturating_sub(NAMED);
        let more = if more == 0 { String::new() } else { format!("    .. and {more} more\n") };
        format!("There are rows of:\n{keys}{more}")
    }
}

#[cfg(test)]
mod tests;
