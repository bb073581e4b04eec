//! The macros of `cqrs-core`: `#[event]`, `#[projection]` and `#[value]`. Use them through `cqrs_core`.
//!
//! Each attribute only prepends a derive and hands its arguments on in a helper attribute, so the user's item stays as it was
//! written, and is there even when something is wrong with it.

mod check;
mod duration;
mod errors;
mod expand;
mod expr;
mod fallback;
mod model;
mod options;
mod prepend;
mod serde_attrs;
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
/// | `version = N` | the version that is stored, from 1; a type reads its own version only | 1 |
/// | `aliases("..", ..)` | other stored names that this type reads | none |
///
/// On an enum, the options stand on the variant: `#[event(name = "item-added")] Added { .. }`.
///
/// The type is serialised by serde, which the attribute derives: the struct must not derive it too, and the crate needs no `serde` of its own. Serde's
/// attributes on fields (`rename`, `default`, `alias`, `skip`, `with`, ..) mean what they mean to serde; on the item, `rename_all` and `deny_unknown_fields` do.
/// Fields are of any type that serde takes and that is `Clone`; a type of your own becomes one by [`#[value]`](macro@value). `meta` is no field's name.
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
#[proc_macro_attribute]
pub fn event(args: TokenStream, item: TokenStream) -> TokenStream {
    prepend::event(args.into(), item.into()).into()
}

/// Makes a struct the row of a read model: the fold of events into one row a key.
///
/// # Options
///
/// | option | meaning |
/// | --- | --- |
/// | `from = Purchased` | one source |
/// | `from(Added, Removed)` | several; each has the fields of the key |
/// | `from = Cart { Added, Removed, .. }` | variants of an event enum. Without `..` every variant has to be named, so that a new one breaks each projection that has not decided about it |
/// | `from(Added if qty > 0)` | a guard: events that fail it are not seen, and make no row |
/// | `from(Placed, Paid { order_id: order_ref })` | in `Paid`, the key column `order_id` is the expression `order_ref` |
/// | `group_by = customer`, `group_by = (customer, item)` | the key: fields of the row, taken from the event's fields of these names and types |
/// | `group_by = (auction, day = at / DAY)` | a computed key column |
/// | `group_by = ()` | one row for everything |
/// | `having = total != 0` | rows that fail it are not shown to readers, nor in SQL, nor to subscribers |
/// | `name = ".."` | the stored name and the name in SQL; the struct's name in snake case otherwise |
/// | `version = N` | bump it to force a rebuild where something changed that the macro cannot see: the body of a called function, the value of a constant |
///
/// # Columns
///
/// Every field of the row is a key (it stands in `group_by`) or carries one of these:
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
/// A column that may have no value (a guard, or an event without an arm) is an `Option`, unless it is a `count` or a `sum`.
///
/// # Names in expressions
///
/// A lower-case single name in value position is a field of the event, unless a `let`, a pattern or a closure binds it; in `having` and `computed` it
/// is a column of the row. `meta.position` and `meta.recorded_at` are the event's. Called functions, paths with `::`, fields, methods and upper-case constants are
/// ordinary Rust; a lower-case constant or a function as a value is written `self::parse`. `matches!` is the only macro. `?`, `return`, `.await`, loops,
/// assignments and items are refused: call a function. A bare literal has the column's type. A panic in an expression is a fault of the view.
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

/// Makes a type of the user's usable in events, and a unit-only enum or a newtype as a key or a column too.
///
/// It derives serde, so that the crate needs no `serde` of its own. The type has to be `Clone`, and as a field that expressions compare, `PartialEq`.
///
/// | form | as a field of an event | as a column | as a key |
/// | --- | --- | --- | --- |
/// | `enum Status { Placed, Paid }` | yes | yes: ordered as declared, in SQL its name | yes |
/// | `struct Sku(String)` | yes | yes: as what is in it | yes, if what is in it can be one; looked up by reference |
/// | any other struct or enum | yes | no | no |
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
/// #[event]
/// pub struct Moved { pub sku: Sku, pub status: Status }
///
/// #[projection(from = Moved, group_by = sku)]
/// pub struct BySku {
///     pub sku: Sku,
///     #[max(status)]
///     pub furthest: Status,
///     #[count(if matches!(status, Status::Placed))]
///     pub placed: u64,
/// }
///
/// let mut table = Table::<BySku>::new();
/// table.apply(&Moved { sku: Sku("A-1".into()), status: Status::Paid })?;
/// table.apply(&Moved { sku: Sku("A-1".into()), status: Status::Placed })?;
/// assert_eq!(table.get(&Sku("A-1".into())).unwrap().furthest, Status::Paid);
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
#[proc_macro_derive(DeriveValue, attributes(serde))]
pub fn derive_value(item: TokenStream) -> TokenStream {
    expand::value(item.into()).into()
}
