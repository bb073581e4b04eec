//! The macros of `cqrs-core`: `#[event]`, `#[projection]` and `#[value]`. Use them through `cqrs_core`.
//!
//! Each attribute only prepends a derive and hands its arguments on in a helper attribute, so the user's item stays as it was
//! written, and is there even when something is wrong with it.

mod check;
mod duration;
mod errors;
mod expand;
mod expr;
mod model;
mod options;
mod prepend;
mod serde_attrs;
mod spelling;
mod window;

use proc_macro::TokenStream;

/// Makes a struct, or each variant of an enum, an event that can be appended to a log.
///
/// | form | meaning |
/// | --- | --- |
/// | `#[event] struct Purchased { .. }` | one event type |
/// | `#[event] enum Cart { Added { .. }, Removed { .. } }` | each variant with fields is an event type of its own, stored under the variant's name |
/// | `#[event] enum Shop { Purchased(Purchased), .. }` | a variant around an event type is that type; with `From` and `TryFrom` both ways |
///
/// | option | meaning | default |
/// | --- | --- | --- |
/// | `name = ".."` | the stored name | the type's or variant's name |
/// | `version = N` | the version that is stored, from 1; without `upcast`, the type reads no other | 1 |
/// | `upcast = PurchasedV1` | the version before this one is read as that type, and turned into this one: [older versions](#older-versions) | none |
/// | `retired` | it is still read, and can no longer be appended: [retired events](#retired-events) | |
/// | `aliases("..", ..)` | other stored names that this type reads | none |
///
/// On an enum, the options stand on the variant: `#[event(name = "item-added")] Added { .. }`.
///
/// The type is serialised by serde, which the attribute derives: the struct must not derive it too, and the crate needs no `serde` of its own. Serde's
/// attributes on fields (`rename`, `default`, `alias`, `skip`, `with`, ..) mean what they mean to serde; on the item, `rename_all` and `deny_unknown_fields` do.
/// Fields are of any type that serde takes and that is `Clone`, but no `Option` of an `Option` or of `()`; a type of your own becomes one by [`#[value]`](macro@value). `meta` is no field's name.
///
/// A fold sees an event through its borrowed twin, `<Purchased as Event>::Ref<'_>`: the same fields, with `&str` for `String` and `Option<&str>` for
/// `Option<String>`.
///
/// ```
/// use cqrs_core::prelude::*;
///
/// #[event]
/// #[derive(Debug, PartialEq)]
/// pub struct Refunded {
///     pub customer: String,
///     pub cents: i64,
/// }
///
/// #[event]
/// pub enum Shop {
///     #[event(name = "item-added", aliases("Added"))]
///     ItemAdded {
///         customer: String,
///         item: String,
///         #[serde(default)] // a field that was added later
///         note: Option<String>,
///     },
///     Refunded(Refunded),
/// }
///
/// assert_eq!(Refunded::NAME, "Refunded");
/// assert_eq!(Shop::TYPES[0].name, "item-added");
/// let event = Shop::from(Refunded { customer: "ann".into(), cents: 5 });
/// assert_eq!(Refunded::try_from(event).ok().map(|refund| refund.cents), Some(5));
/// ```
///
/// # Older versions
///
/// What is stored is never rewritten. A field that is added, renamed or left out needs no new version: serde's `default`, `alias` and `rename` say how older payloads are read. Where that
/// does not do, the event gets the next `version`, and its type of before stays in the program as the one that the version before is read as. A `From` of the user's turns that one into this
/// one, in a chain of any length: each type names the one before it, and a gap does not compile. The stored name and aliases are those of the newest type; what the older ones are called does not matter.
///
/// Views, [`Engine::events`](../cqrs_core/struct.Engine.html#method.events) and `verify` see events of today only. A `From` that panics is a fault at that event, as a payload is that cannot be read. A view is
/// rebuilt when the types of the chain change; a change in the body of a `From` needs a new `version` of the projection.
///
/// A variant with fields has its older versions turned into the enum, as that variant. One around an event type reads what that type reads.
///
/// ```
/// use cqrs_core::prelude::*;
///
/// #[event(version = 1)]
/// pub struct PurchasedV1 { pub item: String }
///
/// #[event(version = 2, upcast = PurchasedV1)]
/// pub struct Purchased { pub item: String, pub qty: i32 }
///
/// impl From<PurchasedV1> for Purchased {
///     fn from(old: PurchasedV1) -> Self {
///         Self { item: old.item, qty: 1 }
///     }
/// }
///
/// #[event(version = 1)]
/// pub struct AddedV1 { pub item: String }
///
/// #[event]
/// pub enum Cart {
///     #[event(version = 2, upcast = AddedV1)]
///     Added { item: String, qty: i32 },
///     Purchased(Purchased),
/// }
///
/// impl From<AddedV1> for Cart {
///     fn from(old: AddedV1) -> Self {
///         Self::Added { item: old.item, qty: 1 }
///     }
/// }
///
/// let mut stored = Vec::new(); // by the program of before
/// PurchasedV1 { item: "hats".into() }.encode(&mut stored)?;
/// assert_eq!(Purchased::upcast(0, 1, &stored)?.qty, 1);
/// assert!(matches!(Cart::upcast(1, 1, &stored)?, Cart::Purchased(Purchased { qty: 1, .. })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Retired events
///
/// An event that is `retired` is read, folded and registered as before. To append it does not compile; as a variant of an enum, of which other variants can be appended, it is refused with
/// [`Refusal::Retired`](../cqrs_core/enum.Refusal.html#variant.Retired). A function that appends events of any type asks for [`Appendable`](../cqrs_core/event/trait.Appendable.html).
///
/// ```compile_fail
/// use cqrs_core::prelude::*;
///
/// #[event(retired)]
/// pub struct Faxed { pub number: String }
///
/// # let engine = Engine::in_memory().event::<Faxed>().start()?;
/// engine.append(Faxed { number: "555-0100".into() }).wait()?; // `Faxed` is retired
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// ```
/// use cqrs_core::prelude::*;
/// use cqrs_core::Refusal;
///
/// #[event]
/// pub enum Sent {
///     #[event(retired)]
///     Faxed { number: String },
///     Mailed { address: String },
/// }
///
/// # let engine = Engine::in_memory().event::<Sent>().start()?;
/// engine.append(Sent::Mailed { address: "ann@example.org".into() }).wait()?;
/// let refused = engine.append(Sent::Faxed { number: "555-0100".into() }).wait();
/// assert!(matches!(refused, Err(AppendError::NotAppended(Refusal::Retired { name: "Faxed" }))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[proc_macro_attribute]
pub fn event(args: TokenStream, item: TokenStream) -> TokenStream {
    prepend::event(args.into(), item.into()).into()
}

/// Makes a struct the row of a read model: the fold of events into one row a key.
///
/// Every option with an example: [sources and keys](#sources-and-keys), [elements of a collection](#elements-of-a-collection),
/// [rows that go](#rows-that-go), [windows](#windows), [look-ups](#look-ups-in-other-views), [views over views](#views-over-views),
/// [folds by hand](#folds-by-hand), [indexes](#indexes), [what is shown, and under which name](#what-is-shown-and-under-which-name). Then the
/// [columns](#columns) and what [names](#names-in-expressions) mean in expressions.
///
/// An event that goes to several rows counts whole or not at all: where one of its elements, windows or removals faults, it has changed nothing.
///
/// # Sources and keys
///
/// | option | meaning |
/// | --- | --- |
/// | `from = Purchased` | one source |
/// | `from(Added, Removed)` | several; each has the fields of the key |
/// | `from = Cart { Added, Removed, .. }` | variants of an event enum. Without `..` every variant has to be named, here or in `remove` or `by_hand`, so that a new one breaks each projection that has not decided about it |
/// | `from(Added if qty > 0)` | a guard: events that fail it are not seen, and make no row |
/// | `from(Placed, Paid { order_id: order_ref })` | in `Paid`, the key column `order_id` is the expression `order_ref` |
/// | `from = PerCustomer` | a projection: [a view over a view](#views-over-views) |
/// | `group_by = customer`, `group_by = (customer, item)` | the key: fields of the row, taken from the event's fields of these names and types |
/// | `group_by = (auction, day = at / DAY)` | a computed key column |
/// | `group_by = ()` | one row for everything |
///
/// ```
/// use cqrs_core::prelude::*;
///
/// #[event]
/// pub struct Placed { pub order_id: u64, pub cents: i64 }
///
/// #[event]
/// pub struct Paid { pub order_ref: u64, pub cents: i64 }
///
/// #[projection(from(Placed, Paid { order_id: order_ref } if cents > 0), group_by = order_id)]
/// pub struct Due {
///     pub order_id: u64,
///     #[sum(Placed => cents, Paid => -cents)]
///     pub cents: i64,
/// }
///
/// let mut table = Table::<Due>::new();
/// table.apply(&Placed { order_id: 7, cents: 50 })?;
/// table.apply(&Paid { order_ref: 7, cents: 20 })?;
/// table.apply(&Paid { order_ref: 8, cents: 0 })?; // the guard: no row
/// assert_eq!(table.get(7).unwrap().cents, 30);
/// assert_eq!(table.len(), 1);
/// # Ok::<(), Fault>(())
/// ```
///
/// # Elements of a collection
///
/// | option | meaning |
/// | --- | --- |
/// | `each(line in lines)` | the event counts once for each element of its collection `lines`; `line` is usable in guards, keys and columns. An event without elements makes no row |
/// | `each((item, qty) in lines)` | any pattern that always matches |
///
/// ```
/// use cqrs_core::prelude::*;
///
/// #[value]
/// #[derive(Clone)]
/// pub struct Line { pub item: String, pub qty: i32 }
///
/// #[event]
/// pub struct Ordered { pub customer: String, pub lines: Vec<Line> }
///
/// #[projection(from = Ordered, each(line in lines), group_by = (item = line.item))]
/// pub struct Demand {
///     pub item: String,
///     #[sum(line.qty)]
///     pub qty: i32,
/// }
///
/// let line = |item: &str, qty| Line { item: item.into(), qty };
/// let order = |lines| Ordered { customer: "ann".into(), lines };
/// let mut table = Table::<Demand>::new();
/// table.apply(&order(vec![line("hats", 1), line("pants", 2), line("hats", 3)]))?;
/// assert_eq!(table.get("hats").unwrap().qty, 4);
/// // Its last element overflows, so its first does not count either.
/// assert!(table.apply(&order(vec![line("socks", 1), line("hats", i32::MAX)])).is_err());
/// assert!(table.get("socks").is_none());
/// # Ok::<(), Fault>(())
/// ```
///
/// # Rows that go
///
/// | option | meaning |
/// | --- | --- |
/// | `remove = Dropped`, `remove(Dropped, Ended)` | the event removes the row of its key, if there is one; a later event makes it anew. It is a source by this, and does not stand in `from` too |
/// | `remove(Dropped if for_good)`, `remove(Dropped { item: sku })` | guards and renamed keys, as in `from` |
/// | `remove = Cart { Dropped, Cleared, .. }` | variants of an event enum, as in `from` |
/// | `remove(Cleared { customer, .. })` | the event removes every row whose key begins with these columns: the first of the key, in its order. The `..` is never inferred: a field that was renamed must not become the removal of many |
///
/// Under a window, a removal takes the rows of all windows of its key. `each` and joins do not apply to removals. A row over a projection goes by itself, so
/// `remove` goes with events only.
///
/// ```
/// use cqrs_core::prelude::*;
///
/// #[event]
/// pub enum Cart {
///     Added { customer: String, item: String, qty: i64 },
///     Dropped { customer: String, item: String },
///     Cleared { customer: String },
/// }
///
/// #[projection(
///     from = Cart { Added },
///     remove = Cart { Dropped, Cleared { customer, .. } },
///     group_by = (customer, item),
/// )]
/// pub struct InCart {
///     pub customer: String,
///     pub item: String,
///     #[sum(qty)]
///     pub qty: i64,
/// }
///
/// let ann = || "ann".to_owned();
/// let mut table = Table::<InCart>::new();
/// for item in ["hats", "pants", "socks"] {
///     table.apply(&Cart::Added { customer: ann(), item: item.into(), qty: 1 })?;
/// }
/// table.apply(&Cart::Dropped { customer: ann(), item: "hats".into() })?;
/// assert!(table.get(("ann", "hats")).is_none());
/// table.apply(&Cart::Cleared { customer: ann() })?;
/// assert_eq!(table.len(), 0);
/// # Ok::<(), Fault>(())
/// ```
///
/// # Windows
///
/// | option | meaning |
/// | --- | --- |
/// | `window = tumbling(at, "1h")` | one row for each hour of the event time `at`, an expression over the event |
/// | `window = hopping(at, "1h", every = "5m")` | windows of an hour, one beginning every five minutes: an event counts in each that has its time in it |
/// | `window = session(at, gap = "30m")` | events less than the gap apart are one session: it ends a gap after its last event. An event between two makes one row of them; every column has to be able to merge |
/// | `unit = "ms"` | what an integer time counts, since the Unix epoch: `"s"`, `"ms"` or `"us"`. A `Timestamp`, a `jiff::Timestamp` and a `chrono::DateTime<Utc>` know theirs, and take no `unit` |
/// | `lateness = "5m"` | how long after its end a window still takes events; otherwise not at all |
/// | `max_ahead = "1d"` | how far one event may move the clock, so that one that is dated wrong does not close every window; otherwise as far as it likes. The first event sets it |
/// | `keep = "7d"` | how long after its end a window's row is kept, by the same clock as the rest (less the `lateness`); otherwise for ever |
/// | `emit = "final"` | only windows that have closed are shown; otherwise open ones are, too |
///
/// The row has the fields `window_start`, `window_end` or both, integers (in the `unit` of the event's time; in microseconds, where that is a point in time) or points in time; a session has `window_start`. They stand in no `group_by` and bear no attribute: the
/// last column of the key is `window_start` if the row has it, and `window_end` otherwise. A window has its start in it, and not its end. Windows begin at whole multiples of their length (of `every`) since the
/// epoch. Durations are whole numbers with units, `us`, `ms`, `s`, `m`, `h` or `d`: `"90s"`, `"1h30m"`.
///
/// **The clock** of a view is the greatest event time that it has seen; nothing else moves it, save [`Engine::tick`](../cqrs_core/struct.Engine.html#method.tick), which moves those of all views, to
/// where it says, whatever `max_ahead` is. A window is closed once its end is no later than the clock less the `lateness`. An event that falls into a closed window is late: it is not folded there, and
/// [`view.late()`](../cqrs_core/struct.View.html#method.late) counts it, once for each such window. Events that a guard turns away, and those that remove rows, do not move the clock.
///
/// ```
/// use cqrs_core::prelude::*;
///
/// #[event]
/// pub struct Bid { pub auction: u64, pub at: i64 }
///
/// #[projection(from = Bid, group_by = auction, window = tumbling(at, "10s"), unit = "s", lateness = "5s", keep = "1h", emit = "final")]
/// pub struct PerTenSeconds {
///     pub auction: u64,
///     pub window_start: i64,
///     pub window_end: i64,
///     #[count]
///     pub bids: u64,
/// }
///
/// #[projection(from = Bid, group_by = auction, window = hopping(at, "10s", every = "5s"), unit = "s", max_ahead = "1m")]
/// pub struct Overlapping {
///     pub auction: u64,
///     pub window_end: i64,
///     #[count]
///     pub bids: u64,
/// }
///
/// #[projection(from = Bid, group_by = auction, window = session(at, gap = "10s"), unit = "s", lateness = "1m")]
/// pub struct Sessions {
///     pub auction: u64,
///     pub window_start: i64,
///     pub window_end: i64,
///     #[count]
///     pub bids: u64,
/// }
///
/// let bid = |at| Bid { auction: 1, at };
/// let mut table = Table::<PerTenSeconds>::new();
/// table.apply_all(&[bid(1), bid(9), bid(14)])?;
/// assert!(table.get((1, 0)).is_none()); // its end, 10, is later than 14 - 5: it is open
/// table.apply_all(&[bid(3), bid(15), bid(4)])?;
/// let row = table.get((1, 0)).unwrap();
/// assert_eq!((row.window_start, row.window_end, row.bids), (0, 10, 3));
/// assert_eq!(table.late(), 1); // the bid at 4
/// table.apply(&Tick { at: 3_615_000_000 })?; // in microseconds
/// assert!(table.get((1, 0)).is_none()); // `keep`
///
/// let mut table = Table::<Overlapping>::new();
/// table.apply_all(&[bid(7), bid(i64::MAX)])?; // the second moves the clock to 67, and counts in its own windows only
/// assert_eq!((table.get((1, 10)).unwrap().bids, table.get((1, 15)).unwrap().bids), (1, 1));
///
/// let mut table = Table::<Sessions>::new();
/// table.apply_all(&[bid(100), bid(105), bid(120)])?;
/// assert_eq!(table.rows_of(1).count(), 2); // from 100 to 115, and from 120 to 130
/// table.apply(&bid(112))?;
/// let row = table.get((1, 100)).unwrap();
/// assert_eq!((row.window_end, row.bids, table.len()), (130, 4, 1));
/// # Ok::<(), Fault>(())
/// ```
///
/// # Look-ups in other views
///
/// | option | meaning |
/// | --- | --- |
/// | `join(listing = Auctions[auction])` | `listing` is the row of the view `Auctions` under this key, usable in guards, keys and columns; an event without one is passed over |
/// | `left_join(listing = Auctions[auction])` | the same as an `Option` |
/// | `join(a = As[x], b = Bs[(a.y, z)])` | several, four at most; a key may use the rows before it, and is a tuple where it has several columns |
///
/// The row is as of the event's own position, whenever the event is folded: what becomes of it later changes nothing. Where the view that is looked up folds the same event, it has done so. A row that `having` hides is missing. The view that is looked
/// up runs in the same engine, which adds it where it was not named.
///
/// ```
/// use cqrs_core::prelude::*;
///
/// #[event]
/// pub struct Listed { pub auction: u64, pub category: String }
///
/// #[event]
/// pub struct Bid { pub auction: u64, pub price: i64 }
///
/// #[projection(from = Listed, group_by = auction)]
/// pub struct Auctions {
///     pub auction: u64,
///     #[last]
///     pub category: String,
/// }
///
/// #[projection(from = Bid, join(listing = Auctions[auction]), group_by = (category = listing.category))]
/// pub struct Bids {
///     pub category: String,
///     #[count]
///     pub bids: u64,
/// }
///
/// #[projection(from = Bid, left_join(listing = Auctions[auction]), group_by = (listed = listing.is_some()))]
/// pub struct Strays {
///     pub listed: bool,
///     #[count]
///     pub bids: u64,
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let engine = Engine::in_memory().view::<Bids>().view::<Strays>().start()?;
/// let bid = || NewEvent::from(Bid { auction: 1, price: 5 });
/// let listed = |category: &str| NewEvent::from(Listed { auction: 1, category: category.into() });
/// engine.append_all([bid(), listed("old"), bid(), listed("new"), bid()]).wait()?;
/// let bids = engine.view::<Bids>();
/// assert_eq!((bids.get("old")?.unwrap().bids, bids.get("new")?.unwrap().bids), (1, 1));
/// assert_eq!(engine.view::<Strays>().get(false)?.unwrap().bids, 1); // the first
/// # Ok(())
/// # }
/// ```
///
/// # Views over views
///
/// | option | meaning |
/// | --- | --- |
/// | `from = PerCustomer` | the source is another projection; names in expressions are its columns. Guards, computed keys and `having` are as over events |
/// | `from(PerCustomer, Noted)` | beside events, or other projections |
///
/// What is above sees the rows that readers see: one that `having` hides, or `emit = "final"` does not show yet, is not there. Where a row changes, what it gave is taken back and given anew, so a row is always
/// what a fold of the current rows would give; one whose last contribution is taken back is gone. `meta` is of no event there: `meta.position` is 0. Windows, `remove` and `by_hand` go with events, and
/// projections that are each other's sources do not compile.
///
/// ```
/// use cqrs_core::prelude::*;
///
/// #[event]
/// pub struct Purchased { pub customer: String, pub qty: i64 }
///
/// #[projection(from = Purchased, group_by = customer, having = total != 0)]
/// pub struct PerCustomer {
///     pub customer: String,
///     #[sum(qty)]
///     pub total: i64,
/// }
///
/// /// How many customers have bought how much.
/// #[projection(from = PerCustomer, group_by = total)]
/// pub struct Spread {
///     pub total: i64,
///     #[count]
///     pub customers: u64,
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let engine = Engine::in_memory().view::<Spread>().start()?;
/// let buy = |customer: &str, qty| engine.append(Purchased { customer: customer.into(), qty }).wait();
/// buy("ann", 2)?;
/// buy("bob", 2)?;
/// let spread = engine.view::<Spread>();
/// assert_eq!(spread.get(2)?.unwrap().customers, 2);
/// buy("bob", 1)?;
/// assert_eq!((spread.get(2)?.unwrap().customers, spread.get(3)?.unwrap().customers), (1, 1));
/// buy("ann", -2)?; // `having` hides what she has
/// assert!(spread.get(2)?.is_none());
/// # Ok(())
/// # }
/// ```
///
/// # Folds by hand
///
/// | option | meaning |
/// | --- | --- |
/// | `by_hand(Noted)`, `by_hand = Cart { Noted, .. }` | this event is a source, and folded by `impl Fold<Noted> for Row`; fields without an attribute are then allowed, and are the fold's own. They begin as their type's `Default` |
///
/// The fold is given the row of the event's key, made if it was not there; under a window there is no such row, and it does not compile. What it does to other columns is forgotten. An `Err` is a fault, and the row is as it was. Its body is not seen by the macro: bump
/// `version` when it changes.
///
/// ```
/// use cqrs_core::prelude::*;
///
/// #[event]
/// pub struct Noted { pub customer: String, pub text: String }
///
/// #[event]
/// pub struct Visited { pub customer: String }
///
/// #[projection(from = Visited, by_hand(Noted), group_by = customer)]
/// pub struct Customer {
///     pub customer: String,
///     pub longest: String,
///     #[count]
///     pub visits: u64,
/// }
///
/// impl Fold<Noted> for Customer {
///     fn fold(&mut self, event: &<Noted as Event>::Ref<'_>, _meta: &Meta) -> Result<(), String> {
///         if event.text.is_empty() {
///             return Err("an empty note".into());
///         }
///         if event.text.len() > self.longest.len() {
///             self.longest = event.text.to_owned();
///         }
///         self.visits = 99; // not the fold's own: forgotten
///         Ok(())
///     }
/// }
///
/// let note = |text: &str| Noted { customer: "ann".into(), text: text.into() };
/// let mut table = Table::<Customer>::new();
/// table.apply_all(&[note("likes hats"), note("pays")])?;
/// table.apply(&Visited { customer: "ann".into() })?;
/// assert_eq!(table.apply(&note("")).unwrap_err().reason, "an empty note");
/// let ann = table.get("ann").unwrap();
/// assert_eq!((ann.longest.as_str(), ann.visits), ("likes hats", 1));
/// # Ok::<(), Fault>(())
/// ```
///
/// # Indexes
///
/// | option | meaning |
/// | --- | --- |
/// | `index(category)` | rows are found by this column, of a type that could be a key: `view.by_category("hats")`, and in a range `view.by_category_in("a".."c")`, in its order |
/// | `index(category, price)` | the two together: `view.by_category_price("hats", 5)`, `view.by_category_price_in("hats", 1..)`; and by the first of them, `view.by_category` |
///
/// The option may stand several times. The look-ups are methods of the view, kept in step with it; keys are borrowed as in `get`, and rows that `having` hides are not found. An index is
/// made when it is first asked, and kept up from then on.
///
/// ```
/// use cqrs_core::prelude::*;
///
/// #[event]
/// pub struct Listed { pub auction: u64, pub category: String, pub price: i64 }
///
/// #[projection(from = Listed, group_by = auction, index(category, price), index(price))]
/// pub struct Auctions {
///     pub auction: u64,
///     #[last]
///     pub category: String,
///     #[last]
///     pub price: i64,
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let engine = Engine::in_memory().view::<Auctions>().start()?;
/// let listed = |auction, category: &str, price| Listed { auction, category: category.into(), price };
/// engine.append_all([listed(1, "hats", 7), listed(2, "hats", 5), listed(3, "pants", 6)]).wait()?;
/// let view = engine.view::<Auctions>();
/// let numbers = |rows: Result<_, ReadError>| Ok::<_, ReadError>(Iterator::map(rows?, |row: Auctions| row.auction).collect::<Vec<_>>());
/// assert_eq!(numbers(view.by_category("hats"))?, [2, 1]); // in the order of the index
/// assert_eq!(numbers(view.by_category_price("hats", 7))?, [1]);
/// assert_eq!(numbers(view.by_price_in(6..))?, [3, 1]);
/// # Ok(())
/// # }
/// ```
///
/// # What is shown, and under which name
///
/// | option | meaning |
/// | --- | --- |
/// | `having = total != 0` | rows that fail it are not shown to readers, nor in SQL, nor to subscribers, nor to views over this one |
/// | `name = ".."` | the stored name and the name in SQL; the struct's name in snake case otherwise |
/// | `version = N` | bump it to force a rebuild where something changed that the macro cannot see: the body of a called function or of a fold by hand, the value of a constant. (For an `impl Aggregate` of yours, count up its `const VERSION`.) |
///
/// ```
/// use cqrs_core::prelude::*;
///
/// #[event]
/// pub struct Moved { pub item: String, pub qty: i64 }
///
/// #[projection(from = Moved, group_by = item, having = qty != 0, name = "in_stock", version = 2)]
/// pub struct Stock {
///     pub item: String,
///     #[sum]
///     pub qty: i64,
/// }
///
/// let mut table = Table::<Stock>::new();
/// table.apply_all(&[Moved { item: "hats".into(), qty: 3 }, Moved { item: "hats".into(), qty: -3 }])?;
/// assert!(table.get("hats").is_none());
/// assert_eq!(Stock::NAME, "in_stock");
/// # Ok::<(), Fault>(())
/// ```
///
/// # Events that cannot be folded
///
/// An expression of what is folded (keys, guards, columns) that panics, a sum that overflows, a fold by hand that answers with an error, a payload that cannot be read: the event is at fault, and changes nothing of the view.
///
/// `computed` and `having` are not folded. They are worked out when a row is read, and a panic there is the reader's: `view.get` panics, SQL leaves the row out, an index does so where it is `computed` that panics, a subscription ends. Where a view over this
/// one, a look-up or a fold by hand reads the row, it does so for an event, which is at fault then.
///
/// | option | meaning |
/// | --- | --- |
/// | `on_fault = stop` | the view stops before it, and its reads answer with the fault; the default |
/// | `on_fault = park` | it is set aside, and the view goes on with the next one |
///
/// What is parked is a part of the view: `view.parked()` lists it, as of the same position as the rows; `health` counts it; checkpoints keep it, and a rebuild makes the list anew. A view parks at most 10,000 events, and
/// stops at the one after them. It stops, too, where the log itself is damaged: nothing can be folded past that.
///
/// A view over other views cannot park: a change of their rows that was set aside could never be taken back. What it reads can. Where one parks an event, nothing of it comes to those that read its rows.
///
/// Once the cause is mended, parked events are taken in by a fold of the log from its beginning, since what came after them has been folded without them. A mend that changes the projection itself brings it about by itself, as any change does;
/// one that the macro cannot see (the body of a called function) asks for `engine.retry_parked::<Revenue>()`, or a higher `version`.
///
/// ```
/// use cqrs_core::prelude::*;
///
/// #[event]
/// pub struct Paid { pub customer: String, pub cents: i64 }
///
/// #[projection(from = Paid, group_by = customer, on_fault = park)]
/// pub struct Revenue {
///     pub customer: String,
///     #[sum(i32::try_from(cents).expect("a sane amount"))]
///     pub cents: i64,
/// }
///
/// let engine = Engine::in_memory().view::<Revenue>().start()?;
/// let paid = |cents| Paid { customer: "ann".into(), cents };
/// engine.append_all([paid(5), paid(1 << 40), paid(7)]).wait()?;
/// let view = engine.view::<Revenue>();
/// assert_eq!(view.get("ann")?.unwrap().cents, 12);
/// let parked = view.parked()?;
/// assert_eq!((parked.len(), parked[0].position, parked[0].event.as_str()), (1, 2, "Paid"));
/// assert!(parked[0].reason.contains("a sane amount"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Columns
///
/// Every field of the row is a key (it stands in `group_by`), a window's bound, a fold by hand's own, or carries one of these:
///
/// | attribute | column type | meaning |
/// | --- | --- | --- |
/// | `#[count]` | `u64` | how many events; `#[count(Added, Removed if damaged)]`, `#[count(if qty > 1)]` |
/// | `#[sum(qty)]` | a number at least as wide, a decimal, a duration, or `Option` of these | the sum. Overflow is a fault. `None` values add nothing; an `Option` column is `None` until something was added |
/// | `#[avg(price)]` | `f64`, `Option<f64>` | the mean. `None` values are passed over; where all are `None`, an `f64` column shows NaN |
/// | `#[min(price)]`, `#[max(price)]` | `T`, `Option<T>` | the extreme value; floats by total order; `None` values are passed over |
/// | `#[first(at)]`, `#[last(status)]` | `T`, `Option<T>` | the value of the first or last event, in log order |
/// | `#[first(status, by = at)]`, `#[last(status, by = at)]` | `T`, `Option<T>` | the same in the order of an expression; of equals, the earliest or the latest in the log |
/// | `#[computed(revenue / orders as f64)]` | any column type | from the row's other columns, after folding |
/// | `#[variance(x)]`, `#[stddev(x)]` | `f64`, `Option<f64>` | of all values (the population's, SQL's `var_pop` and `stddev_pop`), numerically stable |
/// | `#[count_distinct(item)]` | `u64` | how many different values, exactly; `None` values are passed over |
/// | `#[collect(item)]` | `Vec<T>`, `BTreeSet<T>` | the values: all of them in log order, or each once |
/// | `#[collect((item, qty))]` | `BTreeMap<K, V>` | the last value of each key |
/// | `#[collect(item, limit = 100)]` | as above | the first so many, or the least. Without a limit there is none |
/// | `#[top(3, price)]` | `Vec<T>` | the greatest values, the greatest first; of equals, the earlier first |
/// | `#[top(3, bidder, by = price)]` | `Vec<T>` | the values with the greatest `by` |
/// | `#[any(qty > 5)]`, `#[all(paid)]` | `bool` | whether one of the values is true, or every one; of none, `false` and `true` |
/// | `#[fold(my::Median, price)]` | the aggregate's output | an aggregate of your own: `cqrs_core::aggregate::Aggregate` |
///
/// Over another projection, whose rows come and go, each of these is always what it would be of the rows that there are now: sums and averages of floats are exact, `min`
/// and `max` keep every value, a `Vec` is in the order of its values, and of values with an equal `by`, `first` takes the least, `last` the greatest, and `top` the greatest first. `first` and `last` without a `by` go by the
/// log, and do not compile there; an aggregate of your own has to be able to take a value back (`Retract`). In a session, whose rows can become one, each has to merge:
/// `first` and `last` need a `by` there too, and an aggregate of your own a `Combine`. The sum of a projection is checked at each step, also in the middle of an event.
///
/// What a column keeps of many values is stored by element: a checkpoint writes those that changed, however many a row has.
///
/// ```
/// use std::collections::{BTreeMap, BTreeSet};
/// use cqrs_core::aggregate::Aggregate;
/// use cqrs_core::prelude::*;
///
/// #[event]
/// pub struct Bid { pub auction: u64, pub bidder: String, pub price: i64 }
///
/// /// The difference of the last two prices.
/// #[value]
/// #[derive(Clone, Default)]
/// pub struct Step { last: i64, step: i64 }
///
/// impl Aggregate for Step {
///     type Input = i64;
///     type Output = i64;
///     fn insert(&mut self, price: &i64) -> Result<(), String> {
///         *self = Self { last: *price, step: price - self.last };
///         Ok(())
///     }
///     fn output(&self) -> i64 {
///         self.step
///     }
/// }
///
/// #[projection(from = Bid, group_by = auction)]
/// #[derive(Debug, PartialEq)]
/// pub struct Auction {
///     pub auction: u64,
///     #[variance(price)]
///     pub variance: f64,
///     #[count_distinct(bidder)]
///     pub bidders: u64,
///     #[collect(bidder)]
///     pub who: BTreeSet<String>,
///     #[collect((bidder, price))]
///     pub last_of_each: BTreeMap<String, i64>,
///     #[collect(price, limit = 2)]
///     pub opening: Vec<i64>,
///     #[top(2, bidder, by = price)]
///     pub leading: Vec<String>,
///     #[any(price > 100)]
///     pub dear: bool,
///     #[all(price % 5 == 0)]
///     pub round: bool,
///     #[fold(Step, price)]
///     pub step: i64,
/// }
///
/// let mut table = Table::<Auction>::new();
/// for (bidder, price) in [("ann", 10), ("bob", 20), ("ann", 30)] {
///     table.apply(&Bid { auction: 1, bidder: bidder.into(), price })?;
/// }
/// assert_eq!(
///     table.get(1),
///     Some(Auction {
///         auction: 1,
///         variance: 200.0 / 3.0,
///         bidders: 2,
///         who: ["ann".into(), "bob".into()].into(),
///         last_of_each: [("ann".into(), 30), ("bob".into(), 20)].into(),
///         opening: vec![10, 20],
///         leading: vec!["ann".into(), "bob".into()],
///         dear: false,
///         round: true,
///         step: 10,
///     })
/// );
/// # Ok::<(), Fault>(())
/// ```
///
/// Every aggregate takes the same shapes of argument:
///
/// | shape | example |
/// | --- | --- |
/// | nothing: the event's field of the column's name | `#[sum] qty: i64` |
/// | an expression | `#[sum(qty * 2)]` |
/// | an expression with a guard | `#[sum(qty if qty > 0)]` |
/// | arms by event, each with or without a guard | `#[sum(Added => qty, Removed if !damaged => -qty)]` |
///
/// A column that may have no value (a guard, or an event without an arm) is an `Option`, unless it has a value without one: `count`, `sum`, `count_distinct`, `collect`, `top`, `any`, `all`, `fold`.
///
/// # Names in expressions
///
/// A lower-case single name in value position is a field of the event, unless a `let`, a pattern, a closure, `each` or a join binds it; in `having` and `computed` it
/// is a column of the row. `meta.position` and `meta.recorded_at` are the event's. Called functions, paths with `::`, fields, methods and upper-case constants are
/// ordinary Rust; a lower-case constant or a function as a value is written `self::parse`. `matches!` is the only macro. `?`, `return`, `break`, `continue`, `.await`, loops,
/// assignments and items are refused: call a function. A bare literal has the column's type. A panic in what is folded is a fault of the view; one in `having` or `computed` is the [reader's](#events-that-cannot-be-folded).
///
/// ```
/// use cqrs_core::prelude::*;
///
/// const DAY: i64 = 86_400;
///
/// #[event]
/// pub enum Cart {
///     Added { customer: String, item: String, qty: u32, at: i64 },
///     Removed { customer: String, item: String, qty: u32, at: i64, damaged: bool },
///     Cleared { customer: String },
/// }
///
/// #[projection(
///     from = Cart { Added if qty > 0, Removed, .. },
///     group_by = (customer, day = at / DAY),
///     having = events > 1,
/// )]
/// #[derive(Debug, PartialEq)]
/// pub struct CartDay {
///     pub customer: String,
///     pub day: i64,
///     #[count]
///     pub events: u64,
///     #[sum(Added => i64::from(qty), Removed if !damaged => -i64::from(qty))]
///     pub net: i64,
///     #[avg(Added => qty)]
///     pub average: Option<f64>,
///     #[max(qty)]
///     pub largest: u32,
///     #[first(item)]
///     pub first_item: String,
///     #[last(item, by = at)]
///     pub latest_item: String,
///     #[last(Removed if damaged => item)]
///     pub damaged_item: Option<String>,
///     #[last(meta.position)]
///     pub position: u64,
///     #[computed(net as f64 / events as f64)]
///     pub net_each: f64,
/// }
///
/// let mut table = Table::<CartDay>::new();
/// let ann = || "ann".to_owned();
/// table.apply(&Cart::Added { customer: ann(), item: "hats".into(), qty: 4, at: 90_000 })?;
/// table.apply(&Cart::Added { customer: ann(), item: "none".into(), qty: 0, at: 90_000 })?; // the guard
/// assert_eq!(table.get(("ann", 1)), None); // `having`
/// table.apply(&Cart::Removed { customer: ann(), item: "pants".into(), qty: 1, at: 89_000, damaged: true })?;
/// table.apply(&Cart::Cleared { customer: ann() })?; // passed over
/// assert_eq!(
///     table.get(("ann", 1)),
///     Some(CartDay {
///         customer: ann(),
///         day: 1,
///         events: 2,
///         net: 4,
///         average: Some(4.0),
///         largest: 4,
///         first_item: "hats".into(),
///         latest_item: "hats".into(),
///         damaged_item: Some("pants".into()),
///         position: 3,
///         net_each: 2.0,
///     })
/// );
/// # Ok::<(), Fault>(())
/// ```
#[proc_macro_attribute]
pub fn projection(args: TokenStream, item: TokenStream) -> TokenStream {
    prepend::projection(args.into(), item.into()).into()
}

/// Makes a type of the user's usable in events, and as a column or a key too.
///
/// It derives serde, so that the crate needs no `serde` of its own. The type has to be `Clone`, and as a field that expressions compare, `PartialEq`.
///
/// | form | as a field of an event | as a column | as a key |
/// | --- | --- | --- | --- |
/// | `enum Status { Placed, Paid }` | yes | yes: ordered as declared, in SQL its name | yes |
/// | `struct Sku(String)` | yes | yes: as what is in it | yes, if what is in it can be one; looked up by reference |
/// | `struct Address { city: String, .. }`, `struct Range(i32, i32)` | yes | yes, if each field can be one: ordered by the first, then the next; in SQL JSON | yes, if each field can be one; by reference |
/// | `enum Payment { Cash, Card { last: u16 } }` | yes | the same, ordered by the variants first, as they are declared | the same |
///
/// A field of a type that no row can hold (a `HashMap`, a `Box`) makes it a mere field of events, and no error before it is to be a column. So does a type that is within
/// itself; of types that are within each other, each says so: `#[value(field)]`.
///
/// ```
/// use cqrs_core::prelude::*;
///
/// #[value]
/// #[derive(Debug, Clone, PartialEq)]
/// pub struct Sku(pub String);
///
/// #[value]
/// #[derive(Debug, Clone, Copy, PartialEq)]
/// pub enum Status { Placed, Paid }
///
/// #[value]
/// #[derive(Debug, Clone, PartialEq)]
/// pub struct Shelf { pub hall: u8, pub row: String }
///
/// #[event]
/// pub struct Moved { pub sku: Sku, pub status: Status, pub to: Shelf }
///
/// #[projection(from = Moved, group_by = sku)]
/// pub struct BySku {
///     pub sku: Sku,
///     #[max(status)]
///     pub furthest: Status,
///     #[count(if matches!(status, Status::Placed))]
///     pub placed: u64,
///     #[last(to)]
///     pub at: Shelf,
/// }
///
/// let shelf = |hall| Shelf { hall, row: "B".into() };
/// let mut table = Table::<BySku>::new();
/// table.apply(&Moved { sku: Sku("A-1".into()), status: Status::Paid, to: shelf(1) })?;
/// table.apply(&Moved { sku: Sku("A-1".into()), status: Status::Placed, to: shelf(2) })?;
/// let row = table.get(&Sku("A-1".into())).unwrap();
/// assert_eq!((row.furthest, row.at), (Status::Paid, shelf(2)));
/// # Ok::<(), Fault>(())
/// ```
#[proc_macro_attribute]
pub fn value(args: TokenStream, item: TokenStream) -> TokenStream {
    prepend::value(args.into(), item.into()).into()
}

#[doc(hidden)]
#[proc_macro_derive(DeriveEvent, attributes(__cqrs_event, event, serde))]
pub fn derive_event(item: TokenStream) -> TokenStream {
    expand::event(item.into()).into()
}

#[doc(hidden)]
#[proc_macro_derive(
    DeriveProjection,
    attributes(
        __cqrs_projection,
        count,
        sum,
        avg,
        variance,
        stddev,
        min,
        max,
        first,
        last,
        count_distinct,
        collect,
        top,
        any,
        all,
        fold,
        computed
    )
)]
pub fn derive_projection(item: TokenStream) -> TokenStream {
    expand::projection(item.into()).into()
}

#[doc(hidden)]
#[proc_macro_derive(DeriveValue, attributes(__cqrs_value, serde))]
pub fn derive_value(item: TokenStream) -> TokenStream {
    expand::value(item.into()).into()
}
