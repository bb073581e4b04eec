//! Every form of a projection at once, views over views among them: any events, cut into any batches, with restarts, lost checkpoints and
//! views that come and go; every view, and everything it tells, is what plain loops say. The loops know nothing of the library.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::Path;
use std::time::Duration;

use cqrs_core::health::{ViewHealth, ViewState};
use cqrs_core::prelude::*;
use cqrs_core::{Builder, ReadError, Tick};
use proptest::prelude::*;
use proptest::strategy::ValueTree;

#[value]
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    pub item: String,
    pub qty: i8,
    pub at: i64,
}

#[event]
#[derive(Debug, Clone, PartialEq)]
pub struct Bought {
    pub customer: String,
    pub item: String,
    pub qty: i64,
    pub at: i64,
    pub lines: Vec<Line>,
}

#[event]
#[derive(Debug, Clone, PartialEq)]
pub enum Shop {
    Dropped { customer: String, item: String, for_good: bool },
    Cleared { customer: String },
    Listed { item: String, category: String },
    Noted { customer: String, text: String },
}

/// `Bought` by another route.
#[event]
#[derive(Debug, Clone, PartialEq)]
pub enum Wide {
    Bought(Bought),
    Noise { text: String },
}

#[derive(Debug, Clone)]
enum Ev {
    Bought(Bought),
    Shop(Shop),
    Noise,
    Tick(i64),
}

impl From<Ev> for NewEvent {
    fn from(event: Ev) -> Self {
        match event {
            Ev::Bought(bought) => NewEvent::new(bought),
            Ev::Shop(shop) => NewEvent::new(shop),
            Ev::Noise => NewEvent::new(Wide::Noise { text: String::new() }),
            Ev::Tick(at) => NewEvent::new(Tick { at }),
        }
    }
}

// ---- the projections ----

#[projection(from = Bought, each(line in lines), group_by = (item = line.item))]
#[derive(Debug, Clone, PartialEq)]
pub struct Demand {
    pub item: String,
    #[sum(line.qty)]
    pub qty: i64,
    #[count]
    pub lines: u64,
    #[max(line.at)]
    pub latest: i64,
}

/// Overflows.
#[projection(from = Bought, each(line in lines), group_by = (item = line.item))]
#[derive(Debug, Clone, PartialEq)]
pub struct Tight {
    pub item: String,
    #[sum(line.qty)]
    pub qty: i8,
}

#[projection(from = Tight, group_by = qty)]
#[derive(Debug, Clone, PartialEq)]
pub struct OverTight {
    pub qty: i8,
    #[count]
    pub items: u64,
}

#[projection(from = Bought, left_join(tight = Tight[item]), group_by = (known = tight.is_some()))]
#[derive(Debug, Clone, PartialEq)]
pub struct JoinTight {
    pub known: bool,
    #[count]
    pub events: u64,
}

#[projection(
    from = Bought,
    remove = Shop { Dropped if for_good, Cleared { customer, .. }, .. },
    group_by = (customer, item),
    having = total != 0,
    index(item),
    index(item, total),
)]
#[derive(Debug, Clone, PartialEq)]
pub struct Basket {
    pub customer: String,
    pub item: String,
    #[sum(qty)]
    pub total: i64,
}

#[projection(from = Basket, group_by = (item, total))]
#[derive(Debug, Clone, PartialEq)]
pub struct Spread {
    pub item: String,
    pub total: i64,
    #[count]
    pub customers: u64,
}

#[projection(from = Basket if total > 0, group_by = customer, having = items > 1)]
#[derive(Debug, Clone, PartialEq)]
pub struct Holders {
    pub customer: String,
    #[count]
    pub items: u64,
}

/// Over a view over a view.
#[projection(from = Spread, group_by = total, index(items))]
#[derive(Debug, Clone, PartialEq)]
pub struct Levels {
    pub total: i64,
    #[count]
    pub items: u64,
}

/// Two views of one source, joined below.
#[projection(from(Spread, Holders { total: items as i64 }, Bought { total: qty }), group_by = total)]
#[derive(Debug, Clone, PartialEq)]
pub struct Diamond {
    pub total: i64,
    #[count(Spread)]
    pub spreads: u64,
    #[count(Holders)]
    pub holders: u64,
    #[count(Bought)]
    pub bought: u64,
}

fn thirteen(total: i64) -> bool {
    assert!(total != 13, "thirteen");
    total > 13
}

/// Panics, where what it reads goes on.
#[projection(from = Spread, group_by = (above = thirteen(total)))]
#[derive(Debug, Clone, PartialEq)]
pub struct Unlucky {
    pub above: bool,
    #[count]
    pub rows: u64,
}

#[projection(from = Unlucky, group_by = ())]
#[derive(Debug, Clone, PartialEq)]
pub struct UnderUnlucky {
    #[count]
    pub rows: u64,
}

#[projection(from = Shop { Listed, .. }, group_by = item, index(category))]
#[derive(Debug, Clone, PartialEq)]
pub struct Listing {
    pub item: String,
    #[last(category)]
    pub category: String,
}

#[projection(from = Bought, join(listing = Listing[item]), group_by = (category = listing.category))]
#[derive(Debug, Clone, PartialEq)]
pub struct Joined {
    pub category: String,
    #[count]
    pub events: u64,
    #[sum(qty)]
    pub qty: i64,
}

#[projection(
    from = Wide { Bought, .. },
    each(line in lines),
    left_join(listing = Listing[&line.item], basket = Basket[(customer, item)]),
    group_by = (listed = listing.is_some(), total = basket.map_or(0, |basket| basket.total)),
)]
#[derive(Debug, Clone, PartialEq)]
pub struct Looked {
    pub listed: bool,
    pub total: i64,
    #[count]
    pub lines: u64,
}

#[projection(
    from = Bought, group_by = item, window = tumbling(at, "10s"), unit = "s",
    lateness = "5s", max_ahead = "60s", keep = "80s", emit = "final", index(events),
)]
#[derive(Debug, Clone, PartialEq)]
pub struct Tumbling {
    pub item: String,
    pub window_start: i64,
    pub window_end: i64,
    #[count]
    pub events: u64,
}

#[projection(
    from = Bought, remove = Shop { Cleared { customer }, .. }, group_by = customer,
    window = hopping(at, "10s", every = "4s"), unit = "s", lateness = "3s", keep = "20s",
)]
#[derive(Debug, Clone, PartialEq)]
pub struct Hopping {
    pub customer: String,
    pub window_end: i64,
    #[sum(qty)]
    pub qty: i64,
}

#[projection(
    from = Bought, each(line in lines), group_by = (item = line.item),
    window = session(line.at, gap = "6s"), unit = "s", lateness = "10s", keep = "30s", max_ahead = "30s",
)]
#[derive(Debug, Clone, PartialEq)]
pub struct Sessions {
    pub item: String,
    pub window_start: i64,
    pub window_end: i64,
    #[count]
    pub lines: u64,
    #[count(if line.qty > 3)]
    pub big: u64,
}

#[projection(
    from = Bought, group_by = (), window = session(at, gap = "3s"), unit = "s", lateness = "8s", emit = "final",
)]
#[derive(Debug, Clone, PartialEq)]
pub struct Visits {
    pub window_start: i64,
    pub window_end: i64,
    #[count]
    pub events: u64,
}

/// Sessions that go, also before they have closed.
#[projection(
    from = Bought, remove = Shop { Cleared { customer }, Dropped if for_good, .. }, group_by = customer, index(events),
    window = session(at, gap = "4s"), unit = "s", lateness = "6s", keep = "9s", emit = "final",
)]
#[derive(Debug, Clone, PartialEq)]
pub struct Stays {
    pub customer: String,
    pub window_start: i64,
    pub window_end: i64,
    #[count]
    pub events: u64,
}

#[projection(from = Stays, group_by = customer)]
#[derive(Debug, Clone, PartialEq)]
pub struct OverStays {
    pub customer: String,
    #[count]
    pub stays: u64,
}

#[projection(from = Tumbling, group_by = events)]
#[derive(Debug, Clone, PartialEq)]
pub struct OverFinal {
    pub events: u64,
    #[count]
    pub windows: u64,
}

#[projection(from(Sessions, Visits { lines: events }), group_by = lines)]
#[derive(Debug, Clone, PartialEq)]
pub struct OverSessions {
    pub lines: u64,
    #[count]
    pub windows: u64,
}

#[projection(from = Bought, by_hand(Shop { Noted, .. }), group_by = customer)]
#[derive(Debug, Clone, PartialEq)]
pub struct Notes {
    pub customer: String,
    pub longest: String,
    #[count(Bought)]
    pub bought: u64,
}

type ShopRef<'a> = <Shop as Event>::Ref<'a>;

impl Fold<Shop> for Notes {
    fn fold(&mut self, event: &<Shop as Event>::Ref<'_>, _: &Meta) -> Result<(), String> {
        if let ShopRef::Noted(noted) = event
            && noted.text.len() > self.longest.len()
        {
            self.longest = noted.text.to_owned();
        }
        Ok(())
    }
}

// ---- the loops ----

#[derive(Debug, Clone, Default)]
struct Clocked {
    time: Option<i64>,
    late: u64,
}

impl Clocked {
    fn pass(&mut self, time: i64, ahead: Option<i64>) {
        let reached = match (self.time, ahead) {
            (Some(now), Some(ahead)) => time.min(now + ahead),
            _ => time,
        };
        self.time = Some(self.time.unwrap_or(i64::MIN).max(reached));
    }
    fn tick(&mut self, time: i64) {
        self.time = Some(self.time.unwrap_or(i64::MIN).max(time));
    }
    fn closed(&self, end: i64, lateness: i64) -> bool {
        self.time.is_some_and(|time| end <= time - lateness)
    }
}

/// A session: from, to, how many, how many big ones.
#[derive(Debug, Clone, PartialEq)]
struct Session(i64, i64, u64, u64);

fn into_session(
    sessions: &mut Vec<Session>,
    clock: &mut Clocked,
    (gap, lateness, ahead): (i64, i64, Option<i64>),
    at: i64,
    big: u64,
) {
    clock.pass(at, ahead);
    let mut merged = Session(at, at + gap, 1, big);
    let meets =
        |session: &Session| session.0 < at + gap && at < session.1 && !clock.closed(session.1, lateness);
    if clock.closed(at + gap, lateness) {
        clock.late += 1;
        return;
    }
    let met: Vec<Session> = sessions.iter().filter(|session| meets(session)).cloned().collect();
    sessions.retain(|session| !met.contains(session));
    for Session(start, end, count, big) in met {
        merged = Session(merged.0.min(start), merged.1.max(end), merged.2 + count, merged.3 + big);
    }
    sessions.push(merged);
}

/// Everything there is to know after some events.
#[derive(Debug, Clone, Default)]
struct World {
    position: u64,
    demand: BTreeMap<String, (i64, u64, i64)>,
    tight: BTreeMap<String, i8>,
    tight_fault: Option<u64>,
    join_tight: BTreeMap<bool, u64>,
    basket: BTreeMap<(String, String), i64>,
    bought: BTreeMap<i64, u64>,
    unlucky: Option<u64>,
    listing: BTreeMap<String, String>,
    joined: BTreeMap<String, (u64, i64)>,
    looked: BTreeMap<(bool, i64), u64>,
    tumbling: BTreeMap<(String, i64), u64>,
    tumbling_clock: Clocked,
    hopping: BTreeMap<(String, i64), i64>,
    hopping_clock: Clocked,
    sessions: BTreeMap<String, Vec<Session>>,
    sessions_clock: Clocked,
    visits: Vec<Session>,
    visits_clock: Clocked,
    stays: BTreeMap<String, Vec<Session>>,
    stays_clock: Clocked,
    notes: BTreeMap<String, (String, u64)>,
}

impl World {
    fn step(&mut self, event: &Ev) {
        self.position += 1;
        match event {
            Ev::Bought(bought) => self.bought(bought),
            Ev::Shop(Shop::Dropped { customer, item, for_good: true }) => {
                self.stays.remove(customer);
                self.basket.remove(&(customer.clone(), item.clone()));
            }
            Ev::Shop(Shop::Dropped { .. }) | Ev::Noise => {}
            Ev::Shop(Shop::Cleared { customer }) => {
                self.basket.retain(|key, _| key.0 != *customer);
                self.stays.remove(customer);
                self.hopping.retain(|key, _| key.0 != *customer);
            }
            Ev::Shop(Shop::Listed { item, category }) => {
                self.listing.insert(item.clone(), category.clone());
            }
            Ev::Shop(Shop::Noted { customer, text }) => {
                let note = self.notes.entry(customer.clone()).or_default();
                if text.len() > note.0.len() {
                    note.0.clone_from(text);
                }
            }
            Ev::Tick(at) => {
                let clocks = [
                    &mut self.tumbling_clock,
                    &mut self.hopping_clock,
                    &mut self.sessions_clock,
                    &mut self.visits_clock,
                    &mut self.stays_clock,
                ];
                clocks.into_iter().for_each(|clock| clock.tick(*at / 1_000_000));
            }
        }
        let gone = |clock: &Clocked, end: i64, lateness: i64, keep: i64| clock.closed(end + keep, lateness);
        self.tumbling.retain(|key, _| !gone(&self.tumbling_clock, key.1 + 10, 5, 80));
        self.hopping.retain(|key, _| !gone(&self.hopping_clock, key.1, 3, 20));
        for sessions in self.sessions.values_mut() {
            sessions.retain(|session| !gone(&self.sessions_clock, session.1, 10, 30));
        }
        for sessions in self.stays.values_mut() {
            sessions.retain(|session| !gone(&self.stays_clock, session.1, 6, 9));
        }
        if self.unlucky.is_none() && self.spread().iter().any(|row| row.total == 13) {
            self.unlucky = Some(self.position);
        }
    }

    fn bought(&mut self, Bought { customer, item, qty, at, lines }: &Bought) {
        for line in lines {
            let row = self.demand.entry(line.item.clone()).or_insert((0, 0, i64::MIN));
            *row = (row.0 + i64::from(line.qty), row.1 + 1, row.2.max(line.at));
        }
        if self.tight_fault.is_none() {
            let mut tight = self.tight.clone();
            let fits = lines.iter().all(|line| {
                let row = tight.entry(line.item.clone()).or_default();
                row.checked_add(line.qty).map(|sum| *row = sum).is_some()
            });
            if fits {
                self.tight = tight;
                *self.join_tight.entry(self.tight.contains_key(item)).or_default() += 1;
            } else {
                self.tight_fault = Some(self.position);
            }
        }
        let total = self.basket.entry((customer.clone(), item.clone())).or_default();
        *total += qty;
        let total = *total;
        *self.bought.entry(*qty).or_default() += 1;
        if let Some(category) = self.listing.get(item) {
            let row = self.joined.entry(category.clone()).or_default();
            *row = (row.0 + 1, row.1 + qty);
        }
        for line in lines {
            // What `having` hides and what is not there are both nought.
            *self.looked.entry((self.listing.contains_key(&line.item), total)).or_default() += 1;
        }
        let clock = &mut self.tumbling_clock;
        clock.pass(*at, Some(60));
        let start = at.div_euclid(10) * 10;
        if clock.closed(start + 10, 5) {
            clock.late += 1;
        } else {
            *self.tumbling.entry((item.clone(), start)).or_default() += 1;
        }
        let clock = &mut self.hopping_clock;
        clock.pass(*at, None);
        for start in (at - 9..=*at).filter(|start| start.rem_euclid(4) == 0) {
            if clock.closed(start + 10, 3) {
                clock.late += 1;
            } else {
                *self.hopping.entry((customer.clone(), start + 10)).or_default() += qty;
            }
        }
        for line in lines {
            let sessions = self.sessions.entry(line.item.clone()).or_default();
            into_session(
                sessions,
                &mut self.sessions_clock,
                (6, 10, Some(30)),
                line.at,
                u64::from(line.qty > 3),
            );
        }
        into_session(&mut self.visits, &mut self.visits_clock, (3, 8, None), *at, 0);
        let stays = self.stays.entry(customer.clone()).or_default();
        into_session(stays, &mut self.stays_clock, (4, 6, None), *at, 0);
        self.notes.entry(customer.clone()).or_default().1 += 1;
    }
}

/// Counts rows by something.
fn counts<R, K: Ord>(rows: Vec<R>, key: impl Fn(&R) -> K) -> Vec<(K, u64)> {
    let mut counts = BTreeMap::new();
    rows.iter().for_each(|row| *counts.entry(key(row)).or_default() += 1);
    counts.into_iter().collect()
}

/// What each view's rows are to be.
impl World {
    fn demand(&self) -> Vec<Demand> {
        let row = |(item, (qty, lines, latest)): (&String, &(i64, u64, i64))| Demand {
            item: item.clone(),
            qty: *qty,
            lines: *lines,
            latest: *latest,
        };
        self.demand.iter().map(row).collect()
    }
    fn tight(&self) -> Vec<Tight> {
        self.tight.iter().map(|(item, qty)| Tight { item: item.clone(), qty: *qty }).collect()
    }
    fn over_tight(&self) -> Vec<OverTight> {
        counts(self.tight(), |row| row.qty).into_iter().map(|(qty, items)| OverTight { qty, items }).collect()
    }
    fn join_tight(&self) -> Vec<JoinTight> {
        self.join_tight.iter().map(|(known, events)| JoinTight { known: *known, events: *events }).collect()
    }
    fn basket(&self) -> Vec<Basket> {
        let row = |((customer, item), total): (&(String, String), &i64)| Basket {
            customer: customer.clone(),
            item: item.clone(),
            total: *total,
        };
        self.basket.iter().map(row).filter(|row| row.total != 0).collect()
    }
    fn spread(&self) -> Vec<Spread> {
        let row = |((item, total), customers)| Spread { item, total, customers };
        counts(self.basket(), |row| (row.item.clone(), row.total)).into_iter().map(row).collect()
    }
    fn holders(&self) -> Vec<Holders> {
        let baskets = self.basket().into_iter().filter(|row| row.total > 0).collect();
        let rows = counts(baskets, |row: &Basket| row.customer.clone()).into_iter();
        rows.map(|(customer, items)| Holders { customer, items }).filter(|row| row.items > 1).collect()
    }
    fn levels(&self) -> Vec<Levels> {
        counts(self.spread(), |row| row.total)
            .into_iter()
            .map(|(total, items)| Levels { total, items })
            .collect()
    }
    fn diamond(&self) -> Vec<Diamond> {
        let mut rows: BTreeMap<i64, [u64; 3]> = BTreeMap::new();
        self.spread().iter().for_each(|row| rows.entry(row.total).or_default()[0] += 1);
        self.holders().iter().for_each(|row| rows.entry(row.items as i64).or_default()[1] += 1);
        self.bought.iter().for_each(|(qty, count)| rows.entry(*qty).or_default()[2] += count);
        let row = |(total, [spreads, holders, bought]): (i64, [u64; 3])| Diamond {
            total,
            spreads,
            holders,
            bought,
        };
        rows.into_iter().map(row).collect()
    }
    fn unlucky(&self) -> Vec<Unlucky> {
        let rows = counts(self.spread(), |row| row.total > 13).into_iter();
        rows.map(|(above, rows)| Unlucky { above, rows }).collect()
    }
    fn under_unlucky(&self) -> Vec<UnderUnlucky> {
        counts(self.unlucky(), |_| ()).into_iter().map(|((), rows)| UnderUnlucky { rows }).collect()
    }
    fn listing(&self) -> Vec<Listing> {
        let row =
            |(item, category): (&String, &String)| Listing { item: item.clone(), category: category.clone() };
        self.listing.iter().map(row).collect()
    }
    fn joined(&self) -> Vec<Joined> {
        let row = |(category, (events, qty)): (&String, &(u64, i64))| Joined {
            category: category.clone(),
            events: *events,
            qty: *qty,
        };
        self.joined.iter().map(row).collect()
    }
    fn looked(&self) -> Vec<Looked> {
        let row = |((listed, total), lines): (&(bool, i64), &u64)| Looked {
            listed: *listed,
            total: *total,
            lines: *lines,
        };
        self.looked.iter().map(row).collect()
    }
    fn tumbling(&self) -> Vec<Tumbling> {
        let row = |((item, start), events): (&(String, i64), &u64)| Tumbling {
            item: item.clone(),
            window_start: *start,
            window_end: *start + 10,
            events: *events,
        };
        self.tumbling.iter().map(row).filter(|row| self.tumbling_clock.closed(row.window_end, 5)).collect()
    }
    fn hopping(&self) -> Vec<Hopping> {
        let row = |((customer, end), qty): (&(String, i64), &i64)| Hopping {
            customer: customer.clone(),
            window_end: *end,
            qty: *qty,
        };
        self.hopping.iter().map(row).collect()
    }
    fn sessions(&self) -> Vec<Sessions> {
        let row = |item: &String, Session(start, end, lines, big): &Session| Sessions {
            item: item.clone(),
            window_start: *start,
            window_end: *end,
            lines: *lines,
            big: *big,
        };
        self.sessions
            .iter()
            .flat_map(|(item, list)| list.iter().map(move |session| row(item, session)))
            .collect()
    }
    fn visits(&self) -> Vec<Visits> {
        let row = |Session(start, end, events, _): &Session| Visits {
            window_start: *start,
            window_end: *end,
            events: *events,
        };
        self.visits.iter().map(row).filter(|row| self.visits_clock.closed(row.window_end, 8)).collect()
    }
    fn stays(&self) -> Vec<Stays> {
        let row = |customer: &String, Session(start, end, events, _): &Session| Stays {
            customer: customer.clone(),
            window_start: *start,
            window_end: *end,
            events: *events,
        };
        let rows = self.stays.iter().flat_map(|(of, list)| list.iter().map(move |session| row(of, session)));
        rows.filter(|row| self.stays_clock.closed(row.window_end, 6)).collect()
    }
    fn over_stays(&self) -> Vec<OverStays> {
        let rows = counts(self.stays(), |row| row.customer.clone()).into_iter();
        rows.map(|(customer, stays)| OverStays { customer, stays }).collect()
    }
    fn over_final(&self) -> Vec<OverFinal> {
        let rows = counts(self.tumbling(), |row| row.events).into_iter();
        rows.map(|(events, windows)| OverFinal { events, windows }).collect()
    }
    fn over_sessions(&self) -> Vec<OverSessions> {
        let mut lines: Vec<u64> = self.sessions().iter().map(|row| row.lines).collect();
        lines.extend(self.visits().iter().map(|row| row.events));
        counts(lines, |lines| *lines)
            .into_iter()
            .map(|(lines, windows)| OverSessions { lines, windows })
            .collect()
    }
    fn notes(&self) -> Vec<Notes> {
        let row = |(customer, (longest, bought)): (&String, &(String, u64))| Notes {
            customer: customer.clone(),
            longest: longest.clone(),
            bought: *bought,
        };
        self.notes.iter().map(row).collect()
    }
}

// ---- what is done ----

#[derive(Debug, Clone)]
enum Step {
    /// One append, all or none.
    Append(Vec<Ev>),
    /// One append an event.
    Singly(Vec<Ev>),
    Checkpoint,
    /// Closed, and opened with these views.
    Close(Set),
    Drop(Set),
    /// Closed, and its checkpoints deleted.
    Forget(Set),
    /// Closed, and its checkpoints put back to what they were after an earlier `Close`: what came since is folded out of the log.
    Rewind(Set),
}

/// Which views are registered.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Set {
    /// Those that others read.
    Few,
    /// Those, and some that read them.
    More,
    All,
}

fn event() -> impl Strategy<Value = Ev> {
    let name = || prop::sample::select(vec!["ann", "bob", "b\u{0}b"]).prop_map(str::to_owned);
    let item = || prop::sample::select(vec!["hats", "pants", "socks"]).prop_map(str::to_owned);
    // From where time has come to.
    let time = || prop_oneof![40 => -12..6_i64, 1 => 6..100_i64, 1 => -40..-12_i64];
    let line = (item(), -6..30_i8, time()).prop_map(|(item, qty, at)| Line { item, qty, at });
    let bought = (name(), item(), -4..6_i64, time(), prop::collection::vec(line, 0..5));
    prop_oneof![
        10 => bought.prop_map(|(customer, item, qty, at, lines)| {
            Ev::Bought(Bought { customer, item, qty, at, lines })
        }),
        2 => (name(), item(), any::<bool>())
            .prop_map(|(customer, item, for_good)| Ev::Shop(Shop::Dropped { customer, item, for_good })),
        1 => name().prop_map(|customer| Ev::Shop(Shop::Cleared { customer })),
        2 => (item(), name()).prop_map(|(item, category)| Ev::Shop(Shop::Listed { item, category })),
        2 => (name(), item()).prop_map(|(customer, text)| Ev::Shop(Shop::Noted { customer, text })),
        1 => Just(Ev::Noise),
        1 => (-10..10_i64).prop_map(|at| Ev::Tick(at * 1_000_000)),
    ]
}

impl Ev {
    fn shifted(mut self, now: i64) -> Self {
        match &mut self {
            Ev::Bought(bought) => {
                bought.at += now;
                bought.lines.iter_mut().for_each(|line| line.at += now);
            }
            Ev::Tick(at) => *at += now * 1_000_000,
            _ => {}
        }
        self
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let events = |most| prop::collection::vec(event(), 0..most);
    let set = || prop_oneof![Just(Set::Few), Just(Set::More), Just(Set::All)];
    let step = prop_oneof![
        6 => events(30).prop_map(Step::Append),
        3 => events(8).prop_map(Step::Singly),
        1 => Just(Step::Checkpoint),
        2 => set().prop_map(Step::Close),
        1 => set().prop_map(Step::Drop),
        1 => set().prop_map(Step::Forget),
        2 => set().prop_map(Step::Rewind),
    ];
    prop::collection::vec(step, 1..12)
}

fn few(builder: Builder) -> Builder {
    builder
        .view::<Tight>()
        .view::<Basket>()
        .view::<Listing>()
        .view::<Tumbling>()
        .view::<Sessions>()
        .view::<Stays>()
        .event::<Shop>()
        .event::<Wide>()
}

fn more(builder: Builder) -> Builder {
    few(builder)
        .view::<Demand>()
        .view::<Spread>()
        .view::<Amounts>()
        .view::<Levels>()
        .view::<Looked>()
        .view::<OverFinal>()
        .view::<Notes>()
        .view::<OverStays>()
}

fn all(builder: Builder) -> Builder {
    // In another order.
    let builder = builder.view::<UnderUnlucky>().view::<OverSessions>().view::<Diamond>().view::<JoinTight>();
    more(builder).view::<Hopping>().view::<Joined>().view::<OverTight>()
}

fn with(builder: Builder, set: Set) -> Builder {
    match set {
        Set::Few => few(builder),
        Set::More => more(builder),
        Set::All => all(builder),
    }
}

fn open(folder: &Path, set: Set, threads: usize) -> Engine {
    let engine = with(Engine::open(folder).unwrap().threads(threads), set).start().unwrap();
    match engine.wait_ready().wait() {
        Ok(()) | Err(cqrs_core::NotReady::Faulted(..)) => {}
        Err(error) => panic!("{error}"),
    }
    engine
}

fn sorted<R: Debug>(rows: impl IntoIterator<Item = R>) -> Vec<String> {
    let mut rows: Vec<_> = rows.into_iter().map(|row| format!("{row:?}")).collect();
    rows.sort();
    rows
}

/// A view, if it is registered, is what the loops say; or has stopped where they say.
fn same<P: Projection + Debug>(engine: &Engine, rows: Vec<P>, fault: Option<u64>) {
    let Ok(view) = engine.try_view::<P>() else { return };
    match (view.rows(), fault) {
        (Ok(found), None) => {
            assert_eq!(sorted(found), sorted(rows), "{}", P::RUST_NAME);
            let by_key: Vec<_> = view.rows_by_key().unwrap().map(|row| format!("{row:?}")).collect();
            assert_eq!(
                sorted(view.rows().unwrap()),
                {
                    let mut rows = by_key;
                    rows.sort();
                    rows
                },
                "{}",
                P::RUST_NAME
            );
        }
        (Err(ReadError::Faulted(found)), Some(position)) => {
            assert_eq!(found.position, position, "{}: {found}", P::RUST_NAME);
        }
        (found, fault) => panic!("`{}`: {:?}, expected {fault:?}", P::RUST_NAME, found.map(sorted)),
    }
}

fn check(engine: &Engine, world: &World) {
    same(engine, world.demand(), None);
    same(engine, world.tight(), world.tight_fault);
    same(engine, world.over_tight(), world.tight_fault);
    same(engine, world.join_tight(), world.tight_fault);
    same(engine, world.basket(), None);
    same(engine, world.spread(), None);
    same(engine, world.holders(), None);
    same(engine, world.amounts(), None);
    same(engine, world.levels(), None);
    same(engine, world.diamond(), None);
    same(engine, world.unlucky(), world.unlucky);
    same(engine, world.under_unlucky(), world.unlucky);
    same(engine, world.listing(), None);
    same(engine, world.joined(), None);
    same(engine, world.looked(), None);
    same(engine, world.tumbling(), None);
    same(engine, world.hopping(), None);
    same(engine, world.sessions(), None);
    same(engine, world.visits(), None);
    same(engine, world.over_final(), None);
    same(engine, world.stays(), None);
    same(engine, world.over_stays(), None);
    same(engine, world.over_sessions(), None);
    same(engine, world.notes(), None);
    let late = |found: Result<u64, ReadError>, clock: &Clocked| assert_eq!(found.unwrap(), clock.late);
    late(engine.view::<Tumbling>().late(), &world.tumbling_clock);
    late(engine.view::<Sessions>().late(), &world.sessions_clock);
    if let Ok(view) = engine.try_view::<Hopping>() {
        late(view.late(), &world.hopping_clock);
    }
    if let Ok(view) = engine.try_view::<Visits>() {
        late(view.late(), &world.visits_clock);
    }
    look_up(engine, world);
}

/// Look-ups and pages are what a scan finds.
fn look_up(engine: &Engine, world: &World) {
    let view = engine.view::<Basket>();
    let rows = world.basket();
    let of = |wanted: &dyn Fn(&&Basket) -> bool| sorted(rows.iter().filter(wanted));
    for item in ["hats", "pants", "none"] {
        assert_eq!(sorted(view.by_item(item).unwrap()), of(&|row| row.item == item));
        assert_eq!(
            sorted(view.by_item_total(item, 2).unwrap()),
            of(&|row| row.item == item && row.total == 2)
        );
        let found: Vec<i64> = view.by_item_total_in(item, -1..=4).unwrap().map(|row| row.total).collect();
        assert!(found.is_sorted(), "{found:?}");
        let found = view.by_item_total_in(item, -1..=4).unwrap();
        assert_eq!(sorted(found), of(&|row| row.item == item && (-1..=4).contains(&row.total)));
        let found = view.by_item_total_in(item, ..2).unwrap();
        assert_eq!(sorted(found), of(&|row| row.item == item && row.total < 2));
    }
    assert_eq!(sorted(view.by_item_in("i"..).unwrap()), of(&|row| *row.item >= *"i"));
    let category = |row: &Listing| row.category == "bob";
    let found = engine.view::<Listing>().by_category("bob").unwrap();
    assert_eq!(sorted(found), sorted(world.listing().into_iter().filter(category)));
    if let Ok(view) = engine.try_view::<Levels>() {
        for items in 1..4 {
            let wanted = world.levels().into_iter().filter(|row| row.items == items);
            assert_eq!(sorted(view.by_items(items).unwrap()), sorted(wanted));
        }
    }
    // Of windows, too: no one that is open is found under `emit = "final"`.
    for events in 1..4 {
        let wanted = world.tumbling().into_iter().filter(|row| row.events == events);
        assert_eq!(sorted(engine.view::<Tumbling>().by_events(events).unwrap()), sorted(wanted));
    }
    for events in 1..4 {
        let wanted = world.stays().into_iter().filter(|row| row.events == events);
        assert_eq!(sorted(engine.view::<Stays>().by_events(events).unwrap()), sorted(wanted));
    }
    // By pages of two.
    let mut paged: Vec<Basket> = Vec::new();
    let mut last = (String::new(), String::new());
    loop {
        let page: Vec<_> = view.rows_after((&last.0, &last.1)).unwrap().take(2).collect();
        let Some(row) = page.last() else { break };
        last = (row.customer.clone(), row.item.clone());
        paged.extend(page);
    }
    let expected: Vec<_> = view.rows_by_key().unwrap().collect();
    assert_eq!(paged, expected);
    for row in &rows {
        assert_eq!(view.get((&row.customer, &row.item)).unwrap().as_ref(), Some(row));
    }
    for customer in ["ann", "b\u{0}b"] {
        assert_eq!(sorted(view.rows_of(customer).unwrap()), of(&|row| row.customer == customer));
        let tumbling = engine.view::<Sessions>();
        let wanted = world.sessions().into_iter().filter(|row| row.item == "hats");
        assert_eq!(sorted(tumbling.rows_of("hats").unwrap()), sorted(wanted));
    }
}

/// A view's rows as its changes tell them.
struct Follower<P: Projection> {
    changes: Changes<P>,
    rows: Vec<P>,
    expected: fn(&World) -> Vec<P>,
    last: Vec<Change<P>>,
    told: Option<u64>,
}

trait Follow {
    /// Takes in what is told up to this position; at each position that is told whole, the rows are what the loops say.
    fn follow(&mut self, worlds: &[World]);
}

impl<P: Projection + Debug + PartialEq + Clone> Follow for Follower<P> {
    fn follow(&mut self, worlds: &[World]) {
        let to = worlds.last().unwrap().position;
        while self.told != Some(to) {
            let change =
                self.changes.next_timeout(Duration::from_secs(20)).wait().expect("it is told").unwrap();
            let mut take = |row: &P| {
                let at = self.rows.iter().position(|known| known == row);
                self.rows.swap_remove(at.unwrap_or_else(|| panic!("not there: {row:?}, {:?}", self.last)));
            };
            match &change {
                Change::Inserted { row } => {
                    assert!(!self.rows.contains(row), "twice: {row:?}");
                    self.rows.push(row.clone());
                }
                Change::Updated { before, after } => {
                    assert_ne!(before, after, "nothing has changed");
                    take(before);
                    self.rows.push(after.clone());
                }
                Change::Deleted { row } => take(row),
                Change::Progress { position } => {
                    let expected = (self.expected)(&worlds[*position as usize]);
                    assert_eq!(
                        sorted(&self.rows),
                        sorted(expected),
                        "{} at {position}: {:?}",
                        P::RUST_NAME,
                        self.last
                    );
                    self.last.clear();
                    self.told = Some(*position);
                    continue;
                }
            }
            self.last.push(change);
        }
    }
}

fn followers(engine: &Engine) -> Vec<Box<dyn Follow>> {
    let mut followers: Vec<Box<dyn Follow>> = Vec::new();
    macro_rules! follow {
        ($($view:ident $expected:ident),*) => { $(
            if let Ok(view) = engine.try_view::<$view>() {
                let (changes, rows, last) = (view.subscribe(), Vec::new(), Vec::new());
                followers.push(Box::new(Follower { changes, rows, expected: World::$expected, last, told: None }));
            }
        )* };
    }
    follow!(
           Demand demand, Basket basket, Spread spread, Holders holders,
    Amounts amounts, Levels levels, Diamond diamond, Tumbling tumbling,
           Sessions sessions, Visits visits, Hopping hopping, OverFinal over_final, OverSessions over_sessions, Notes notes,
           Stays stays, OverStays over_stays
       );
    followers
}

/// The same history, in other ways, gives the same.
fn otherwise(history: &[Ev], worlds: &[World]) {
    let world = worlds.last().unwrap();
    let at_once = all(Engine::in_memory()).start().unwrap();
    let mut follow = followers(&at_once);
    at_once.append_all(history.to_vec()).wait().unwrap();
    check(&at_once, world);
    follow.iter_mut().for_each(|follower| follower.follow(worlds));
    tables(history, world);
    // A table below a view, and one below that.
    let singly = few(Engine::in_memory()).view::<Spread>().start().unwrap();
    let mut changes = singly.view::<Basket>().subscribe();
    let (mut spread, mut holders) = (Table::<Spread>::new(), Table::<Holders>::new());
    for event in history {
        singly.append(event.clone()).wait().unwrap();
    }
    check(&singly, world);
    let end = Change::Progress { position: world.position };
    let mut reached = world.position == 0;
    while !reached {
        let change = changes.next_timeout(Duration::from_secs(20)).wait().unwrap().unwrap();
        spread.apply_change(&change).unwrap();
        holders.apply_change(&change).unwrap();
        reached = change == end;
    }
    assert_eq!(sorted(spread.rows()), sorted(world.spread()));
    assert_eq!(sorted(holders.rows()), sorted(world.holders()));
}

fn tables(history: &[Ev], world: &World) {
    let mut demand = Table::<Demand>::new();
    let mut tight = Table::<Tight>::new();
    let mut basket = Table::<Basket>::new();
    let mut tumbling = Table::<Tumbling>::new();
    let mut hopping = Table::<Hopping>::new();
    let mut sessions = Table::<Sessions>::new();
    let mut visits = Table::<Visits>::new();
    let mut notes = Table::<Notes>::new();
    let (mut stopped, mut position) = (None, 0);
    for event in history {
        position += 1;
        match event {
            Ev::Bought(bought) => {
                demand.apply(bought).unwrap();
                if stopped.is_none() {
                    let before = sorted(tight.rows());
                    if tight.apply(bought).is_err() {
                        assert_eq!(before, sorted(tight.rows()), "half of it was done");
                        stopped = Some(position);
                    }
                }
                basket.apply(bought).unwrap();
                tumbling.apply(bought).unwrap();
                hopping.apply(bought).unwrap();
                sessions.apply(bought).unwrap();
                visits.apply(bought).unwrap();
                notes.apply(bought).unwrap();
            }
            Ev::Shop(shop) => {
                basket.apply(shop).unwrap();
                hopping.apply(shop).unwrap();
                notes.apply(shop).unwrap();
            }
            Ev::Noise => {}
            Ev::Tick(at) => {
                let tick = Tick { at: *at };
                tumbling.apply(&tick).unwrap();
                hopping.apply(&tick).unwrap();
                sessions.apply(&tick).unwrap();
                visits.apply(&tick).unwrap();
            }
        }
    }
    assert_eq!(stopped, world.tight_fault);
    assert_eq!(sorted(demand.rows()), sorted(world.demand()));
    assert_eq!(sorted(tight.rows()), sorted(world.tight()));
    assert_eq!(sorted(basket.rows()), sorted(world.basket()));
    assert_eq!(sorted(tumbling.rows()), sorted(world.tumbling()));
    assert_eq!(sorted(hopping.rows()), sorted(world.hopping()));
    assert_eq!(sorted(sessions.rows()), sorted(world.sessions()));
    assert_eq!(sorted(visits.rows()), sorted(world.visits()));
    assert_eq!(sorted(notes.rows()), sorted(world.notes()));
    assert_eq!(hopping.late(), world.hopping_clock.late);
}

fn forget(folder: &Path) {
    for file in ["views.db", "views.db-wal", "views.db-shm"] {
        let _ = std::fs::remove_file(folder.join(file));
    }
}

/// `PROPTEST_CASES`, which `tests/long.sh` raises, or as many as this.
fn cases(otherwise: u32) -> u32 {
    std::env::var("PROPTEST_CASES").map_or(otherwise, |text| text.parse().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(48), ..ProptestConfig::default() })]

    #[test]
    fn everything_is_what_plain_loops_say(steps in steps(), threads in 1..3_usize) {
        let parent = tempfile::tempdir().unwrap();
        let (folder, kept) = (parent.path().join("store"), parent.path().join("kept.db"));
        let mut engine = open(&folder, Set::Few, threads);
        let mut following = followers(&engine);
        let mut history: Vec<Ev> = Vec::new();
        let mut worlds = vec![World::default()];
        for step in steps {
            let reopen = match step {
                Step::Append(events) => {
                    let shift = |(n, event): (usize, Ev)| event.shifted(((history.len() + n) / 2) as i64);
                    let events: Vec<Ev> = events.into_iter().enumerate().map(shift).collect();
                    engine.append_all(events.clone()).wait().unwrap();
                    history.extend(events);
                    None
                }
                Step::Singly(events) => {
                    for event in events {
                        let event = event.shifted((history.len() / 2) as i64);
                        engine.append(event.clone()).wait().unwrap();
                        history.push(event);
                    }
                    None
                }
                Step::Checkpoint => {
                    engine.checkpoint().wait().unwrap();
                    None
                }
                Step::Close(set) => {
                    engine.close().wait().unwrap();
                    std::fs::copy(folder.join("views.db"), &kept).unwrap();
                    Some(set)
                }
                Step::Drop(set) => Some(set),
                Step::Forget(set) => {
                    engine.close().wait().unwrap();
                    forget(&folder);
                    Some(set)
                }
                Step::Rewind(set) => {
                    engine.close().wait().unwrap();
                    if kept.exists() {
                        forget(&folder);
                        std::fs::copy(&kept, folder.join("views.db")).unwrap();
                    }
                    Some(set)
                }
            };
            for event in &history[worlds.len() - 1..] {
                let mut world = worlds.last().unwrap().clone();
                world.step(event);
                worlds.push(world);
            }
            if let Some(set) = reopen {
                drop(engine);
                engine = open(&folder, set, threads);
                following = followers(&engine);
            }
            check(&engine, worlds.last().unwrap());
            following.iter_mut().for_each(|follower| follower.follow(&worlds));
        }
        engine.close().wait().unwrap();
        drop(engine);
        let verified = all(Engine::open(&folder).unwrap()).verify().unwrap();
        prop_assert!(verified.is_whole(), "{}", verified);
        otherwise(&history, &worlds);
    }
}

fn lines(at: &[i64]) -> Bought {
    let lines = at.iter().map(|at| Line { item: "hats".into(), qty: 1, at: *at }).collect();
    Bought { customer: "ann".into(), item: "hats".into(), qty: 1, at: 0, lines }
}

/// The second line bridges the first one's session, the third comes into what is left.
#[test]
fn sessions_that_one_event_bridges_are_passed_over() {
    let mut table = Table::<Sessions>::new();
    table.apply(&lines(&[-1, -2, -2])).unwrap();
    let rows: Vec<_> = table.rows().map(|row| (row.window_start, row.window_end, row.lines)).collect();
    assert_eq!(rows, [(-2, 5, 3)]);
}

/// One that is late does not draw a session over another that has closed; what comes then still finds the open one.
#[test]
fn an_open_session_begins_after_those_that_have_closed() {
    let mut table = Table::<Sessions>::new();
    for at in [0, 16, 4, -1, 9] {
        table.apply(&lines(&[at])).unwrap();
    }
    let mut rows: Vec<_> = table.rows().map(|row| (row.window_start, row.window_end, row.lines)).collect();
    rows.sort_unstable();
    assert_eq!(rows, [(0, 6, 1), (4, 15, 2), (16, 22, 1)]);
    assert_eq!(table.late(), 1);
}

/// Any events, but always the same.
fn many(count: usize) -> (Vec<Ev>, World) {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let events = prop::collection::vec(event(), count).new_tree(&mut runner).unwrap().current();
    let events: Vec<Ev> =
        events.into_iter().enumerate().map(|(n, event)| event.shifted(n as i64 / 2)).collect();
    let mut world = World::default();
    events.iter().for_each(|event| world.step(event));
    (events, world)
}

#[test]
fn abreast_and_one_after_the_other() {
    let (events, world) = many(9000);
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("store");
    let engine = open(&folder, Set::All, 2);
    engine.append_all(events).wait().unwrap();
    check(&engine, &world);
    engine.close().wait().unwrap();
    drop(engine);
    for threads in [1, 2, 4] {
        forget(&folder);
        let engine = open(&folder, Set::All, threads);
        check(&engine, &world);
        engine.close().wait().unwrap();
    }
    let verified = all(Engine::open(&folder).unwrap()).verify().unwrap();
    assert!(verified.is_whole(), "{verified}");
}

/// A checkpoint that could not be read back would not show in the rows: the log is folded anew then.
#[test]
fn every_form_starts_from_its_checkpoint() {
    let (events, world) = many(3000);
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("store");
    let engine = open(&folder, Set::All, 2);
    let head = engine.append_all(events).wait().unwrap().last;
    let whole = |views: Vec<ViewHealth>| {
        views.into_iter().filter(|view| view.state == ViewState::Live).map(|view| view.name)
    };
    let before: Vec<_> = whole(engine.health().views).collect();
    assert!(before.len() > 15, "{before:?}");
    engine.close().wait().unwrap();
    drop(engine);

    let engine = with(Engine::open(&folder).unwrap(), Set::All).start().unwrap();
    for view in engine.health().views.iter().filter(|view| before.contains(&view.name)) {
        assert_eq!(
            (&view.state, view.checkpoint.map(|it| it.position)),
            (&ViewState::Live, Some(head)),
            "{}",
            view.name
        );
    }
    // One that has stopped is tried again, out of the log.
    let _ = engine.wait_ready().wait();
    check(&engine, &world);
}

#[test]
fn a_view_that_comes_later_is_built_while_what_it_reads_goes_on() {
    let (events, _) = many(6000);
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("store");
    let (mut world, mut rest) = (World::default(), events.chunks(1000));
    let mut append = |engine: &Engine, world: &mut World| {
        let events = rest.next().unwrap();
        engine.append_all(events.to_vec()).wait().unwrap();
        events.iter().for_each(|event| world.step(event));
    };
    let engine = open(&folder, Set::Few, 1);
    append(&engine, &mut world);
    append(&engine, &mut world);
    engine.close().wait().unwrap();
    drop(engine);
    let engine = all(Engine::open(&folder).unwrap()).start().unwrap();
    let reader = all(Engine::open_read_only(&folder).unwrap()).start().unwrap();
    let mut changes = engine.view::<Basket>().subscribe();
    assert_eq!(sorted(engine.view::<Basket>().rows().unwrap()), sorted(world.basket()));
    append(&engine, &mut world);
    assert_eq!(sorted(engine.view::<Basket>().rows().unwrap()), sorted(world.basket()));
    append(&engine, &mut world);
    let _ = engine.wait_ready().wait();
    check(&engine, &world);
    append(&engine, &mut world);
    check(&engine, &world);
    let progress = Change::Progress { position: world.position };
    while changes.next_timeout(Duration::from_secs(20)).wait().unwrap().unwrap() != progress {}
    let _ = reader.wait_ready().wait();
    while reader.view::<Basket>().position().unwrap() < world.position {
        std::thread::sleep(Duration::from_millis(5));
    }
    check(&reader, &world);
    drop((engine, reader));
    check(&open(&folder, Set::All, 2), &world);
}

static FICKLE: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(0);

fn fickle(total: i64) -> i64 {
    total + FICKLE.load(std::sync::atomic::Ordering::Relaxed)
}

#[projection(from = Basket, group_by = (total = fickle(total)))]
#[derive(Debug, Clone, PartialEq)]
pub struct Fickle {
    pub total: i64,
    #[count]
    pub rows: u64,
}

/// A key that is another each time is a fault, and not a count below nought.
#[test]
fn what_was_never_given_is_not_taken_back() {
    let engine = Engine::in_memory().view::<Fickle>().start().unwrap();
    engine.append(lines(&[])).wait().unwrap();
    assert_eq!(engine.view::<Fickle>().len(), Ok(1));
    FICKLE.store(7, std::sync::atomic::Ordering::Relaxed);
    engine.append(lines(&[])).wait().unwrap();
    let Err(ReadError::Faulted(fault)) = engine.view::<Fickle>().rows() else { panic!("it goes on") };
    assert!(fault.position == 2 && fault.reason.contains("never given"), "{fault}");
    assert_eq!(engine.view::<Basket>().len(), Ok(1));
}

#[projection(from = Bought, group_by = customer, window = tumbling(at, "10s"), unit = "s", lateness = "1h")]
#[derive(Debug, Clone, PartialEq)]
pub struct Unsigned {
    pub customer: String,
    pub window_start: u32,
    #[count]
    pub events: u64,
}

#[projection(from = Bought, group_by = customer, window = session(at, gap = "10s"), unit = "s", lateness = "1h")]
#[derive(Debug, Clone, PartialEq)]
pub struct UnsignedSession {
    pub customer: String,
    pub window_start: u32,
    #[count]
    pub events: u64,
}

/// What cannot be said in the row is a fault, and not two windows in one.
#[test]
fn two_windows_do_not_come_to_one_row() {
    let (mut table, mut sessions) = (Table::<Unsigned>::new(), Table::<UnsignedSession>::new());
    let bought = |at| Bought { at, ..lines(&[]) };
    for at in [-5, -7, 5] {
        let _ = table.apply(&bought(at));
        let _ = sessions.apply(&bought(at));
    }
    assert!(table.apply(&bought(-25)).is_err());
    assert!(sessions.apply(&bought(-25)).is_err());
    assert!(table.apply(&bought(25)).is_ok());
    assert!(sessions.apply(&bought(25)).is_ok());
    assert_eq!((table.len(), sessions.len()), (2, 3));
}

use retracting::Amounts;

/// Columns that take values back.
mod retracting {
    use super::*;

    #[projection(from(Basket, Spread), group_by = item)]
    #[derive(Debug, Clone, PartialEq)]
    pub(crate) struct Amounts {
        pub item: String,
        #[count]
        pub rows: u64,
        #[sum(total)]
        pub sum: i64,
        #[min(total)]
        pub least: i64,
        #[max(total)]
        pub most: i64,
        #[max(Basket => customer)]
        pub last_name: Option<String>,
        #[min(Spread if customers > 1 => total)]
        pub least_shared: Option<i64>,
    }

    impl World {
        pub(crate) fn amounts(&self) -> Vec<Amounts> {
            let mut rows: BTreeMap<String, Vec<(i64, Option<String>, u64)>> = BTreeMap::new();
            for Basket { customer, item, total } in self.basket() {
                rows.entry(item).or_default().push((total, Some(customer), 0));
            }
            for Spread { item, total, customers } in self.spread() {
                rows.entry(item).or_default().push((total, None, customers));
            }
            let row = |(item, of): (String, Vec<(i64, Option<String>, u64)>)| Amounts {
                item,
                rows: of.len() as u64,
                sum: of.iter().map(|row| row.0).sum(),
                least: of.iter().map(|row| row.0).min().unwrap(),
                most: of.iter().map(|row| row.0).max().unwrap(),
                last_name: of.iter().filter_map(|row| row.1.clone()).max(),
                least_shared: of.iter().filter(|row| row.2 > 1).map(|row| row.0).min(),
            };
            rows.into_iter().map(row).collect()
        }
    }
}
