//! What an engine tells of itself: as text, as a chart, and as data.

use cqrs_core::Builder;
use cqrs_core::describe::How;
use cqrs_core::prelude::*;

#[event(version = 1)]
#[derive(Debug)]
pub struct OrderedV1 {
    pub item: String,
    pub at: Timestamp,
}

#[event(name = "ordered", aliases("Bought"), version = 2, upcast = OrderedV1)]
#[derive(Debug)]
pub struct Ordered {
    pub customer: String,
    pub item: String,
    pub qty: i32,
    pub at: Timestamp,
}

impl From<OrderedV1> for Ordered {
    fn from(OrderedV1 { item, at }: OrderedV1) -> Self {
        Self { customer: String::new(), item, qty: 1, at }
    }
}

#[event]
#[derive(Debug)]
pub enum Catalogue {
    Priced {
        item: String,
        cents: i64,
    },
    #[event(name = "dropped \"for good\"")]
    Dropped {
        item: String,
    },
    Noted {
        item: String,
        text: String,
    },
}

#[event(retired)]
#[derive(Debug)]
pub struct Gifted {
    pub customer: String,
    pub item: String,
    pub qty: i32,
}

type CatalogueRef<'a> = <Catalogue as Event>::Ref<'a>;

#[projection(from = Catalogue { Priced }, remove = Catalogue { Dropped }, by_hand(Catalogue { Noted }), group_by = item)]
#[derive(Debug)]
pub struct Article {
    pub item: String,
    #[last(Priced => cents)]
    pub cents: Option<i64>,
    pub note: String,
}

impl Fold<Catalogue> for Article {
    fn fold(&mut self, event: &CatalogueRef<'_>, _: &Meta) -> Result<(), String> {
        if let CatalogueRef::Noted(noted) = event {
            self.note = noted.text.to_owned();
        }
        Ok(())
    }
}

#[projection(
    from(Ordered, Gifted), left_join(article = Article[item]), group_by = (customer, item),
    index(total, customer), index(customer), on_fault = park,
)]
#[derive(Debug)]
pub struct Bought {
    pub customer: String,
    pub item: String,
    #[sum(qty)]
    pub total: i64,
    #[sum(Ordered => article.map_or(0, |article| article.cents.unwrap_or(0)) * i64::from(qty), Gifted => 0)]
    pub cents: i64,
}

#[projection(from = Bought, group_by = ())]
#[derive(Debug)]
pub struct Totals {
    #[count]
    pub pairs: u64,
    #[sum(total)]
    pub total: i128,
}

#[projection(
    from = Ordered, group_by = item, window = hopping(at, "1h30m", every = "30m"),
    lateness = "5m", keep = "7d", emit = "final",
)]
#[derive(Debug)]
pub struct Trend {
    pub item: String,
    pub window_end: Timestamp,
    #[count]
    pub orders: u64,
}

fn shop() -> Builder {
    Engine::in_memory().view::<Totals>().view::<Trend>()
}

const TEXT: &str = r#"events
  Gifted v1, retired
  Noted v1
  Priced v1
  _tick v1
  dropped "for good" v1
  ordered v2, read from v1, also stored as Bought
views
  article (Article)
    folds Priced
    removes rows on dropped "for good"
    folds by hand Noted
    key item
    columns item TEXT, cents INTEGER, note TEXT
  bought (Bought)
    folds Gifted, ordered
    looks up rows of article
    key customer, item
    columns customer TEXT, item TEXT, total INTEGER, cents INTEGER
    index total, customer
    index customer
    parks events that fault
  totals (Totals)
    takes in rows of bought
    one row
    columns pairs, total TEXT
  trend (Trend)
    folds _tick, ordered
    key item, window_end
    columns item TEXT, window_end TEXT, orders
    window hopping 1h30m every 30m, lateness 5m, keep 7d, shown once closed"#;

const CHART: &str = r#"flowchart LR
    e0(["Gifted<br/>v1, retired"])
    e1(["Noted<br/>v1"])
    e2(["Priced<br/>v1"])
    e3(["_tick<br/>v1"])
    e4(["dropped #34;for good#34;<br/>v1"])
    e5(["ordered<br/>v2, read from v1"])
    v0[("article")]
    v1[("bought")]
    v2[("totals")]
    v3[("trend")]
    r0{{"audit"}}
    r1{{"mail #34;us#34; #60;now#62;"}}
    e1 -- "by hand" --> v0
    e2 --> v0
    e4 -- "removes" --> v0
    e0 --> v1
    e5 --> v1
    v0 -. "looked up" .-> v1
    v1 --> v2
    e3 --> v3
    e5 --> v3
    e5 --> r0
    e1 --> r1
    e2 --> r1
    e4 --> r1
"#;

#[test]
fn a_shop_is_described_in_words() {
    let engine = shop().start().unwrap();
    assert_eq!(shop().describe(), engine.describe());
    assert_eq!(engine.describe().to_string(), TEXT);
}

#[test]
fn a_shop_is_drawn() {
    let engine = shop().start().unwrap();
    let mail = engine.react::<Catalogue>("mail \"us\" <now>", Since::Now, |_| Ok(())).unwrap();
    let other = engine.react::<Ordered>("audit", Since::Now, |_| Ok(())).unwrap();
    assert_eq!(engine.describe().mermaid(), CHART);
    let reactions = "\nreactions\n  audit\n    handles ordered\n  mail \"us\" <now>\n    handles Noted, Priced, dropped \"for good\"";
    assert_eq!(engine.describe().to_string(), format!("{TEXT}{reactions}"));
    // One that has ended handles nothing.
    mail.stop().wait();
    other.stop().wait();
    assert_eq!(engine.describe(), shop().describe());
}

#[test]
fn an_event_reached_through_an_enum_is_the_one_it_is() {
    // `Priced` is read of an enum, and known besides; the tick is nobody's here.
    let described = Engine::in_memory().event::<Catalogue>().view::<Article>().describe();
    let names: Vec<_> = described.events.iter().map(|event| event.name).collect();
    assert_eq!(names, ["Noted", "Priced", "dropped \"for good\""]);
    let reads: Vec<_> = described.views[0].reads.iter().map(|edge| (edge.source, edge.how)).collect();
    let expected =
        [("Noted", How::FoldsByHand), ("Priced", How::Folds), ("dropped \"for good\"", How::Removes)];
    assert_eq!(reads, expected);
}
