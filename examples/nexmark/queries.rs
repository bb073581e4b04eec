//! The queries of Nexmark, as nexmark-flink has them in SQL: the SQL, and below it the projection. A view is always kept, so `SELECT`
//! without `GROUP BY` is a row for each event, found by its position in the log.

use cqrs_core::Builder;
use cqrs_core::prelude::*;

use crate::events::{Nexmark, SideInput};

/// What a query is to those who run it.
pub struct Query {
    pub name: &'static str,
    /// Registers the query's views.
    pub views: fn(Builder) -> Builder,
    /// The rows of its answer, as they would be in SQL.
    pub rows: fn(&Engine) -> Result<Vec<Vec<Cell>>, ReadError>,
}

/// A value of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
}

impl From<i64> for Cell {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<u64> for Cell {
    fn from(value: u64) -> Self {
        Self::Integer(i64::try_from(value).expect("counts and ids are small"))
    }
}

impl From<f64> for Cell {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl From<String> for Cell {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, T::into)
    }
}

/// A query: its name, its view with the columns that it selects, and the views beneath.
macro_rules! query {
    ($name:literal, $row:ident { $($column:ident),* $(,)? } $(over $beneath:ident)*) => {
        Query {
            name: $name,
            views: |builder| builder$(.view::<$beneath>())*.view::<$row>(),
            rows: |engine| {
                let rows = engine.view::<$row>().rows()?;
                Ok(rows.map(|row| vec![$(Cell::from(row.$column.clone())),*]).collect())
            },
        }
    };
}

/// What cannot be said, or is said as something else, and why.
pub const NOT_SAYABLE: [(&str, &str); 5] = [
    (
        "q3",
        "said as a look-up of the seller at the time of the auction: an inner join of two sides that both change is none, it would also \
         find a seller who comes after the auction",
    ),
    (
        "q6",
        "said as it is after a seller's last auction: AVG(..) OVER (ROWS ..) would be a row for each auction, as it was after that one",
    ),
    ("q10", "the rows, by partition; a view is no writer of files"),
    (
        "q12",
        "said over the time at which a bid was recorded, which is the same in each replay: PROCTIME() is the time at which an operator \
         happens to see it",
    ),
    ("q20", "said as a look-up of the auction at the time of the bid, as q3"),
];

macro_rules! queries {
    ($($name:ident,)*) => {
        /// Every query, in order.
        pub fn all() -> Vec<Query> {
            Vec::from([$($name::QUERY,)*])
        }
    };
}

queries! {
    q0,
    q1,
    q2,
    q3,
    q4,
    q5,
    q6,
    q7,
    q8,
    q9,
    q10,
    q11,
    q12,
    q13,
    q14,
    q15,
    q16,
    q17,
    q18,
    q19,
    q20,
    q21,
    q22,
}

/// The views that several queries look into.
pub fn shared(builder: Builder) -> Builder {
    builder.event::<SideInput>().view::<Persons>().view::<Auctions>()
}

/// `SELECT * FROM person`
#[projection(from = Nexmark { Person, .. }, group_by = id)]
#[derive(Debug, Clone)]
pub struct Persons {
    pub id: u64,
    #[last]
    pub name: String,
    #[last]
    pub city: String,
    #[last]
    pub state: String,
}

/// `SELECT * FROM auction`
#[projection(from = Nexmark { Auction, .. }, group_by = id)]
#[derive(Debug, Clone)]
pub struct Auctions {
    pub id: u64,
    #[last]
    pub item_name: String,
    #[last]
    pub description: String,
    #[last]
    pub initial_bid: i64,
    #[last]
    pub reserve: i64,
    #[last]
    pub date_time: i64,
    #[last]
    pub expires: i64,
    #[last]
    pub seller: u64,
    #[last]
    pub category: u64,
    #[last]
    pub extra: String,
}

/// Pass through.
///
/// ```sql
/// SELECT auction, bidder, price, dateTime, extra FROM bid
/// ```
pub mod q0 {
    use super::*;

    #[projection(from = Nexmark { Bid, .. }, group_by = (position = meta.position))]
    pub struct PassThrough {
        pub position: u64,
        #[last]
        pub auction: u64,
        #[last]
        pub bidder: u64,
        #[last]
        pub price: i64,
        #[last]
        pub date_time: i64,
        #[last]
        pub extra: String,
    }

    pub const QUERY: Query = query!("q0", PassThrough { auction, bidder, price, date_time, extra });
}

/// Currency conversion.
///
/// ```sql
/// SELECT auction, bidder, 0.908 * price as price, dateTime, extra FROM bid
/// ```
pub mod q1 {
    use super::*;

    #[projection(from = Nexmark { Bid, .. }, group_by = (position = meta.position))]
    pub struct CurrencyConversion {
        pub position: u64,
        #[last]
        pub auction: u64,
        #[last]
        pub bidder: u64,
        #[last(euros(price))]
        pub price: f64,
        #[last]
        pub date_time: i64,
        #[last]
        pub extra: String,
    }

    pub const QUERY: Query = query!("q1", CurrencyConversion { auction, bidder, price, date_time, extra });
}

fn euros(dollars: i64) -> f64 {
    0.908 * dollars as f64
}

/// Selection.
///
/// ```sql
/// SELECT auction, price FROM bid WHERE MOD(auction, 123) = 0
/// ```
pub mod q2 {
    use super::*;

    #[projection(from = Nexmark { Bid if auction % 123 == 0, .. }, group_by = (position = meta.position))]
    pub struct Selection {
        pub position: u64,
        #[last]
        pub auction: u64,
        #[last]
        pub price: i64,
    }

    pub const QUERY: Query = query!("q2", Selection { auction, price });
}

/// Local item suggestion. The generator writes states in lower case.
///
/// ```sql
/// SELECT P.name, P.city, P.state, A.id
/// FROM auction AS A INNER JOIN person AS P ON A.seller = P.id
/// WHERE A.category = 10 AND (P.state = 'OR' OR P.state = 'ID' OR P.state = 'CA')
/// ```
pub mod q3 {
    use super::*;

    #[projection(
        from = Nexmark { Auction if category == 10 && matches!(person.state.as_str(), "or" | "id" | "ca"), .. },
        join(person = Persons[seller]),
        group_by = id,
    )]
    pub struct LocalItem {
        pub id: u64,
        #[last(person.name.as_str())]
        pub name: String,
        #[last(person.city.as_str())]
        pub city: String,
        #[last(person.state.as_str())]
        pub state: String,
    }

    pub const QUERY: Query = query!("q3", LocalItem { name, city, state, id });
}

/// Average price for a category.
///
/// ```sql
/// SELECT Q.category, AVG(Q.final)
/// FROM (
///   SELECT MAX(B.price) AS final, A.category
///   FROM auction A, bid B
///   WHERE A.id = B.auction AND B.dateTime BETWEEN A.dateTime AND A.expires
///   GROUP BY A.id, A.category
/// ) Q
/// GROUP BY Q.category
/// ```
pub mod q4 {
    use super::*;

    #[projection(
        from = Nexmark { Bid if listing.date_time <= date_time && date_time <= listing.expires, .. },
        join(listing = Auctions[auction]),
        group_by = auction,
    )]
    pub struct FinalPrice {
        pub auction: u64,
        #[last(listing.category)]
        pub category: u64,
        #[max(price)]
        pub final_price: i64,
    }

    #[projection(from = FinalPrice, group_by = category)]
    pub struct CategoryPrice {
        pub category: u64,
        #[avg(final_price)]
        pub average: f64,
    }

    pub const QUERY: Query = query!("q4", CategoryPrice { category, average } over FinalPrice);
}

/// Hot items: of each window, the auctions with the most bids.
///
/// ```sql
/// SELECT AuctionBids.auction, AuctionBids.num
/// FROM (
///   SELECT auction, count(*) AS num, window_start AS starttime, window_end AS endtime
///   FROM TABLE(HOP(TABLE bid, DESCRIPTOR(dateTime), INTERVAL '2' SECOND, INTERVAL '10' SECOND))
///   GROUP BY auction, window_start, window_end
/// ) AS AuctionBids
/// JOIN (
///   SELECT max(CountBids.num) AS maxn, CountBids.starttime, CountBids.endtime
///   FROM (
///     SELECT count(*) AS num, window_start AS starttime, window_end AS endtime
///     FROM TABLE(HOP(TABLE bid, DESCRIPTOR(dateTime), INTERVAL '2' SECOND, INTERVAL '10' SECOND))
///     GROUP BY auction, window_start, window_end
///   ) AS CountBids
///   GROUP BY CountBids.starttime, CountBids.endtime
/// ) AS MaxBids
/// ON AuctionBids.starttime = MaxBids.starttime AND AuctionBids.endtime = MaxBids.endtime AND AuctionBids.num >= MaxBids.maxn
/// ```
pub mod q5 {
    use std::collections::BTreeMap;

    use super::*;

    #[projection(
        from = Nexmark { Bid, .. },
        window = hopping(date_time, "10s", every = "2s"),
        unit = "ms",
        group_by = auction,
    )]
    pub struct AuctionBids {
        pub auction: u64,
        pub window_start: i64,
        #[count]
        pub num: u64,
    }

    #[projection(from = AuctionBids, group_by = window_start)]
    pub struct HotItems {
        pub window_start: i64,
        #[max(num)]
        pub num: u64,
        #[collect((auction, num))]
        pub bids: BTreeMap<u64, u64>,
    }

    pub const QUERY: Query = Query {
        name: "q5",
        views: |builder| builder.view::<AuctionBids>().view::<HotItems>(),
        rows: |engine| {
            let mut rows = Vec::new();
            for window in engine.view::<HotItems>().rows()? {
                let hottest = window.bids.iter().filter(|(_, num)| **num == window.num);
                rows.extend(hottest.map(|(auction, num)| {
                    vec![Cell::from(*auction), Cell::from(*num), Cell::from(window.window_start)]
                }));
            }
            Ok(rows)
        },
    };
}

/// Average selling price by seller.
///
/// ```sql
/// SELECT Q.seller, AVG(Q.price) OVER (PARTITION BY Q.seller ORDER BY Q.dateTime ROWS BETWEEN 10 PRECEDING AND CURRENT ROW)
/// FROM (
///   SELECT *, ROW_NUMBER() OVER (PARTITION BY A.id, A.seller ORDER BY B.price DESC) AS rownum
///   FROM (
///     SELECT A.id, A.seller, B.price, B.dateTime
///     FROM auction AS A, bid AS B
///     WHERE A.id = B.auction AND B.dateTime BETWEEN A.dateTime AND A.expires
///   )
///   WHERE rownum <= 1
/// ) AS Q
/// ```
///
/// Here: what that is after the seller's last auction, one row a seller. `10 PRECEDING AND CURRENT ROW` are eleven.
pub mod q6 {
    use super::q9::WinningBid;
    use super::*;

    #[projection(from = WinningBid, group_by = seller)]
    pub struct SellerPrice {
        pub seller: u64,
        #[top(11, price, by = bid_date_time)]
        pub last: Vec<i64>,
        #[computed(mean(last.as_slice()))]
        pub average: f64,
    }

    fn mean(prices: &[i64]) -> f64 {
        prices.iter().sum::<i64>() as f64 / prices.len() as f64
    }

    pub const QUERY: Query = query!("q6", SellerPrice { seller, average });
}

/// Highest bid of each window.
///
/// ```sql
/// SELECT B.auction, B.bidder, B.price, B.dateTime, B.extra
/// FROM bid B JOIN (
///   SELECT MAX(price) AS maxprice, window_end AS dateTime
///   FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(dateTime), INTERVAL '10' SECOND))
///   GROUP BY window_start, window_end
/// ) B1
/// ON B.price = B1.maxprice
/// WHERE B.dateTime BETWEEN B1.dateTime - INTERVAL '10' SECOND AND B1.dateTime
/// ```
pub mod q7 {
    use super::*;

    #[projection(
        from = Nexmark { Bid, .. },
        window = tumbling(date_time, "10s"),
        unit = "ms",
        group_by = (),
    )]
    pub struct HighestBid {
        pub window_end: i64,
        #[first(auction, by = -price)]
        pub auction: u64,
        #[first(bidder, by = -price)]
        pub bidder: u64,
        #[max]
        pub price: i64,
        #[first(date_time, by = -price)]
        pub date_time: i64,
        #[first(extra, by = -price)]
        pub extra: String,
    }

    pub const QUERY: Query = query!("q7", HighestBid { auction, bidder, price, date_time, extra });
}

/// Monitor new users: those who came and sold in the same window. A join on the whole of both keys is one view over two events.
///
/// ```sql
/// SELECT P.id, P.name, P.starttime
/// FROM (
///   SELECT id, name, window_start AS starttime, window_end AS endtime
///   FROM TABLE(TUMBLE(TABLE person, DESCRIPTOR(dateTime), INTERVAL '10' SECOND))
///   GROUP BY id, name, window_start, window_end
/// ) P
/// JOIN (
///   SELECT seller, window_start AS starttime, window_end AS endtime
///   FROM TABLE(TUMBLE(TABLE auction, DESCRIPTOR(dateTime), INTERVAL '10' SECOND))
///   GROUP BY seller, window_start, window_end
/// ) A
/// ON P.id = A.seller AND P.starttime = A.starttime AND P.endtime = A.endtime
/// ```
pub mod q8 {
    use super::*;

    #[projection(
        from = Nexmark { Person, Auction { id: seller }, .. },
        window = tumbling(date_time, "10s"),
        unit = "ms",
        group_by = id,
        having = name.is_some() && auctions > 0,
    )]
    pub struct NewUser {
        pub id: u64,
        pub window_start: i64,
        #[last(Person => name)]
        pub name: Option<String>,
        #[count(Auction)]
        pub auctions: u64,
    }

    pub const QUERY: Query = query!("q8", NewUser { id, name, window_start });
}

/// Winning bids: of those with the highest price, the first one.
///
/// ```sql
/// SELECT id, itemName, description, initialBid, reserve, dateTime, expires, seller, category, extra,
///   auction, bidder, price, bid_dateTime, bid_extra
/// FROM (
///   SELECT A.*, B.auction, B.bidder, B.price, B.dateTime AS bid_dateTime, B.extra AS bid_extra,
///     ROW_NUMBER() OVER (PARTITION BY A.id ORDER BY B.price DESC, B.dateTime ASC) AS rownum
///   FROM auction A, bid B
///   WHERE A.id = B.auction AND B.dateTime BETWEEN A.dateTime AND A.expires
/// )
/// WHERE rownum <= 1
/// ```
pub mod q9 {
    use super::*;

    #[projection(
        from = Nexmark { Bid if listing.date_time <= date_time && date_time <= listing.expires, .. },
        join(listing = Auctions[auction]),
        group_by = auction,
    )]
    pub struct WinningBid {
        pub auction: u64,
        #[last(listing.item_name.as_str())]
        pub item_name: String,
        #[last(listing.description.as_str())]
        pub description: String,
        #[last(listing.initial_bid)]
        pub initial_bid: i64,
        #[last(listing.reserve)]
        pub reserve: i64,
        #[last(listing.date_time)]
        pub date_time: i64,
        #[last(listing.expires)]
        pub expires: i64,
        #[last(listing.seller)]
        pub seller: u64,
        #[last(listing.category)]
        pub category: u64,
        #[last(listing.extra.as_str())]
        pub extra: String,
        #[first(bidder, by = -price)]
        pub bidder: u64,
        #[max(price)]
        pub price: i64,
        #[first(date_time, by = -price)]
        pub bid_date_time: i64,
        #[first(extra, by = -price)]
        pub bid_extra: String,
    }

    pub const QUERY: Query = query!(
        "q9",
        WinningBid {
            auction,
            item_name,
            description,
            initial_bid,
            reserve,
            date_time,
            expires,
            seller,
            category,
            extra,
            bidder,
            price,
            bid_date_time,
            bid_extra,
        }
    );
}

/// Log to file system: the partition stands first in the key, so that `rows_of("2015-07-15/23:59")` are what would be in its file.
///
/// ```sql
/// SELECT auction, bidder, price, dateTime, extra, DATE_FORMAT(dateTime, 'yyyy-MM-dd'), DATE_FORMAT(dateTime, 'HH:mm')
/// FROM bid -- PARTITIONED BY (dt, hm)
/// ```
pub mod q10 {
    use super::*;

    #[projection(
        from = Nexmark { Bid, .. },
        group_by = (file = format(date_time, "%Y-%m-%d/%H:%M"), position = meta.position),
    )]
    pub struct LogLine {
        pub file: String,
        pub position: u64,
        #[last]
        pub auction: u64,
        #[last]
        pub bidder: u64,
        #[last]
        pub price: i64,
        #[last]
        pub date_time: i64,
        #[last]
        pub extra: String,
        #[last(day(date_time))]
        pub dt: String,
        #[last(minute(date_time))]
        pub hm: String,
    }

    pub const QUERY: Query = query!("q10", LogLine { auction, bidder, price, date_time, extra, dt, hm });
}

fn day(millis: i64) -> String {
    format(millis, "%Y-%m-%d")
}

fn minute(millis: i64) -> String {
    format(millis, "%H:%M")
}

fn format(millis: i64, form: &str) -> String {
    jiff::Timestamp::from_millisecond(millis).expect("a time of this millennium").strftime(form).to_string()
}

/// User sessions. (For Flink a gap of exactly ten seconds still joins two sessions, here it parts them.)
///
/// ```sql
/// SELECT B.bidder, count(*) AS bid_count,
///   SESSION_START(B.dateTime, INTERVAL '10' SECOND) AS starttime, SESSION_END(B.dateTime, INTERVAL '10' SECOND) AS endtime
/// FROM bid B
/// GROUP BY B.bidder, SESSION(B.dateTime, INTERVAL '10' SECOND)
/// ```
pub mod q11 {
    use super::*;

    #[projection(
        from = Nexmark { Bid, .. },
        window = session(date_time, gap = "10s"),
        unit = "ms",
        group_by = bidder,
    )]
    pub struct UserSession {
        pub bidder: u64,
        pub window_start: i64,
        pub window_end: i64,
        #[count]
        pub bid_count: u64,
    }

    pub const QUERY: Query = query!("q11", UserSession { bidder, bid_count, window_start, window_end });
}

/// Processing time windows, over the time at which a bid was recorded.
///
/// ```sql
/// SELECT B.bidder, count(*) AS bid_count, window_start AS starttime, window_end AS endtime
/// FROM TABLE(TUMBLE(TABLE (SELECT *, PROCTIME() AS p_time FROM bid), DESCRIPTOR(p_time), INTERVAL '10' SECOND)) B
/// GROUP BY B.bidder, window_start, window_end
/// ```
pub mod q12 {
    use super::*;

    #[projection(
        from = Nexmark { Bid, .. },
        window = tumbling(meta.recorded_at, "10s"),
        group_by = bidder,
    )]
    pub struct RecordedBids {
        pub bidder: u64,
        pub window_start: Timestamp,
        #[count]
        pub bid_count: u64,
    }

    pub const QUERY: Query = Query {
        name: "q12",
        views: |builder| builder.view::<RecordedBids>(),
        rows: |engine| {
            let rows = engine.view::<RecordedBids>().rows()?;
            Ok(rows
                .map(|row| {
                    vec![row.bidder.into(), row.bid_count.into(), Cell::from(row.window_start.as_micros())]
                })
                .collect())
        },
    };
}

/// Bounded side input join.
///
/// ```sql
/// SELECT B.auction, B.bidder, B.price, B.dateTime, S.value
/// FROM (SELECT *, PROCTIME() AS p_time FROM bid) B
/// JOIN side_input FOR SYSTEM_TIME AS OF B.p_time AS S
/// ON MOD(B.auction, 10000) = S.key
/// ```
pub mod q13 {
    use super::*;

    #[projection(from = SideInput, group_by = key)]
    pub struct Side {
        pub key: u64,
        #[last]
        pub value: String,
    }

    #[projection(
        from = Nexmark { Bid, .. },
        join(side = Side[auction % 10_000]),
        group_by = (position = meta.position),
    )]
    pub struct BidWithSide {
        pub position: u64,
        #[last]
        pub auction: u64,
        #[last]
        pub bidder: u64,
        #[last]
        pub price: i64,
        #[last]
        pub date_time: i64,
        #[last(side.value.as_str())]
        pub value: String,
    }

    pub const QUERY: Query =
        query!("q13", BidWithSide { auction, bidder, price, date_time, value } over Side);
}

/// Calculation.
///
/// ```sql
/// SELECT auction, bidder, 0.908 * price AS price,
///   CASE
///     WHEN HOUR(dateTime) >= 8 AND HOUR(dateTime) <= 18 THEN 'dayTime'
///     WHEN HOUR(dateTime) <= 6 OR HOUR(dateTime) >= 20 THEN 'nightTime'
///     ELSE 'otherTime'
///   END AS bidTimeType,
///   dateTime, extra, count_char(extra, 'c') AS c_counts
/// FROM bid
/// WHERE 0.908 * price > 1000000 AND 0.908 * price < 50000000
/// ```
pub mod q14 {
    use super::*;

    #[projection(
        from = Nexmark { Bid if euros(price) > 1_000_000.0 && euros(price) < 50_000_000.0, .. },
        group_by = (position = meta.position),
    )]
    pub struct Calculation {
        pub position: u64,
        #[last]
        pub auction: u64,
        #[last]
        pub bidder: u64,
        #[last(euros(price))]
        pub price: f64,
        #[last(time_type(date_time))]
        pub bid_time_type: String,
        #[last]
        pub date_time: i64,
        #[last]
        pub extra: String,
        #[last(count_char(extra, 'c'))]
        pub c_counts: u64,
    }

    fn time_type(millis: i64) -> &'static str {
        match millis / 3_600_000 % 24 {
            8..=18 => "dayTime",
            ..=6 | 20.. => "nightTime",
            _ => "otherTime",
        }
    }

    fn count_char(text: &str, character: char) -> u64 {
        text.chars().filter(|c| *c == character).count() as u64
    }

    pub const QUERY: Query =
        query!("q14", Calculation { auction, bidder, price, bid_time_type, date_time, extra, c_counts });
}

/// Bidding statistics.
///
/// ```sql
/// SELECT DATE_FORMAT(dateTime, 'yyyy-MM-dd') AS day,
///   count(*) AS total_bids,
///   count(*) filter (where price < 10000) AS rank1_bids,
///   count(*) filter (where price >= 10000 and price < 1000000) AS rank2_bids,
///   count(*) filter (where price >= 1000000) AS rank3_bids,
///   count(distinct bidder) AS total_bidders,
///   count(distinct bidder) filter (where price < 10000) AS rank1_bidders,
///   count(distinct bidder) filter (where price >= 10000 and price < 1000000) AS rank2_bidders,
///   count(distinct bidder) filter (where price >= 1000000) AS rank3_bidders,
///   count(distinct auction) AS total_auctions,
///   count(distinct auction) filter (where price < 10000) AS rank1_auctions,
///   count(distinct auction) filter (where price >= 10000 and price < 1000000) AS rank2_auctions,
///   count(distinct auction) filter (where price >= 1000000) AS rank3_auctions
/// FROM bid
/// GROUP BY DATE_FORMAT(dateTime, 'yyyy-MM-dd')
/// ```
pub mod q15 {
    use super::*;

    #[projection(from = Nexmark { Bid, .. }, group_by = (day = day(date_time)))]
    pub struct BiddingStatistics {
        pub day: String,
        #[count]
        pub total_bids: u64,
        #[count(if price < 10_000)]
        pub rank1_bids: u64,
        #[count(if price >= 10_000 && price < 1_000_000)]
        pub rank2_bids: u64,
        #[count(if price >= 1_000_000)]
        pub rank3_bids: u64,
        #[count_distinct(bidder)]
        pub total_bidders: u64,
        #[count_distinct(bidder if price < 10_000)]
        pub rank1_bidders: u64,
        #[count_distinct(bidder if price >= 10_000 && price < 1_000_000)]
        pub rank2_bidders: u64,
        #[count_distinct(bidder if price >= 1_000_000)]
        pub rank3_bidders: u64,
        #[count_distinct(auction)]
        pub total_auctions: u64,
        #[count_distinct(auction if price < 10_000)]
        pub rank1_auctions: u64,
        #[count_distinct(auction if price >= 10_000 && price < 1_000_000)]
        pub rank2_auctions: u64,
        #[count_distinct(auction if price >= 1_000_000)]
        pub rank3_auctions: u64,
    }

    pub const QUERY: Query = query!(
        "q15",
        BiddingStatistics {
            day,
            total_bids,
            rank1_bids,
            rank2_bids,
            rank3_bids,
            total_bidders,
            rank1_bidders,
            rank2_bidders,
            rank3_bidders,
            total_auctions,
            rank1_auctions,
            rank2_auctions,
            rank3_auctions,
        }
    );
}

/// Channel statistics report.
///
/// ```sql
/// SELECT channel, DATE_FORMAT(dateTime, 'yyyy-MM-dd') AS day, max(DATE_FORMAT(dateTime, 'HH:mm')) AS minute,
///   count(*) AS total_bids, .. -- and the eleven other columns of q15
/// FROM bid
/// GROUP BY channel, DATE_FORMAT(dateTime, 'yyyy-MM-dd')
/// ```
pub mod q16 {
    use super::*;

    #[projection(from = Nexmark { Bid, .. }, group_by = (channel, day = day(date_time)))]
    pub struct ChannelStatistics {
        pub channel: String,
        pub day: String,
        #[max(minute(date_time))]
        pub minute: String,
        #[count]
        pub total_bids: u64,
        #[count(if price < 10_000)]
        pub rank1_bids: u64,
        #[count(if price >= 10_000 && price < 1_000_000)]
        pub rank2_bids: u64,
        #[count(if price >= 1_000_000)]
        pub rank3_bids: u64,
        #[count_distinct(bidder)]
        pub total_bidders: u64,
        #[count_distinct(bidder if price < 10_000)]
        pub rank1_bidders: u64,
        #[count_distinct(bidder if price >= 10_000 && price < 1_000_000)]
        pub rank2_bidders: u64,
        #[count_distinct(bidder if price >= 1_000_000)]
        pub rank3_bidders: u64,
        #[count_distinct(auction)]
        pub total_auctions: u64,
        #[count_distinct(auction if price < 10_000)]
        pub rank1_auctions: u64,
        #[count_distinct(auction if price >= 10_000 && price < 1_000_000)]
        pub rank2_auctions: u64,
        #[count_distinct(auction if price >= 1_000_000)]
        pub rank3_auctions: u64,
    }

    pub const QUERY: Query = query!(
        "q16",
        ChannelStatistics {
            channel,
            day,
            minute,
            total_bids,
            rank1_bids,
            rank2_bids,
            rank3_bids,
            total_bidders,
            rank1_bidders,
            rank2_bidders,
            rank3_bidders,
            total_auctions,
            rank1_auctions,
            rank2_auctions,
            rank3_auctions,
        }
    );
}

/// Auction statistics report.
///
/// ```sql
/// SELECT auction, DATE_FORMAT(dateTime, 'yyyy-MM-dd') AS day,
///   count(*) AS total_bids,
///   count(*) filter (where price < 10000) AS rank1_bids,
///   count(*) filter (where price >= 10000 and price < 1000000) AS rank2_bids,
///   count(*) filter (where price >= 1000000) AS rank3_bids,
///   min(price) AS min_price, max(price) AS max_price, avg(price) AS avg_price, sum(price) AS sum_price
/// FROM bid
/// GROUP BY auction, DATE_FORMAT(dateTime, 'yyyy-MM-dd')
/// ```
pub mod q17 {
    use super::*;

    #[projection(from = Nexmark { Bid, .. }, group_by = (auction, day = day(date_time)))]
    pub struct AuctionStatistics {
        pub auction: u64,
        pub day: String,
        #[count]
        pub total_bids: u64,
        #[count(if price < 10_000)]
        pub rank1_bids: u64,
        #[count(if price >= 10_000 && price < 1_000_000)]
        pub rank2_bids: u64,
        #[count(if price >= 1_000_000)]
        pub rank3_bids: u64,
        #[min(price)]
        pub min_price: i64,
        #[max(price)]
        pub max_price: i64,
        #[avg(price)]
        pub avg_price: f64,
        #[sum(price)]
        pub sum_price: i64,
    }

    pub const QUERY: Query = query!(
        "q17",
        AuctionStatistics {
            auction,
            day,
            total_bids,
            rank1_bids,
            rank2_bids,
            rank3_bids,
            min_price,
            max_price,
            avg_price,
            sum_price,
        }
    );
}

/// Find the last bid of a bidder to an auction.
///
/// ```sql
/// SELECT auction, bidder, price, channel, url, dateTime, extra
/// FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY bidder, auction ORDER BY dateTime DESC) AS rank_number FROM bid)
/// WHERE rank_number <= 1
/// ```
pub mod q18 {
    use super::*;

    #[projection(from = Nexmark { Bid, .. }, group_by = (bidder, auction))]
    pub struct LastBid {
        pub bidder: u64,
        pub auction: u64,
        #[last(price, by = date_time)]
        pub price: i64,
        #[last(channel, by = date_time)]
        pub channel: String,
        #[last(url, by = date_time)]
        pub url: String,
        #[max]
        pub date_time: i64,
        #[last(extra, by = date_time)]
        pub extra: String,
    }

    pub const QUERY: Query =
        query!("q18", LastBid { auction, bidder, price, channel, url, date_time, extra });
}

/// Auction's ten highest bids.
///
/// ```sql
/// SELECT * FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY auction ORDER BY price DESC) AS rank_number FROM bid)
/// WHERE rank_number <= 10
/// ```
pub mod q19 {
    use super::*;

    /// Of bids at the same price, the earlier one is to be first.
    #[projection(from = Nexmark { Bid, .. }, group_by = auction)]
    pub struct TopBids {
        pub auction: u64,
        #[top(10, price, by = price)]
        pub prices: Vec<i64>,
        #[top(10, bidder, by = price)]
        pub bidders: Vec<u64>,
        #[top(10, date_time, by = price)]
        pub date_times: Vec<i64>,
    }

    pub const QUERY: Query = Query {
        name: "q19",
        views: |builder| builder.view::<TopBids>(),
        rows: |engine| {
            let mut rows = Vec::new();
            for row in engine.view::<TopBids>().rows()? {
                for (rank, ((price, bidder), date_time)) in
                    (1_i64..).zip(row.prices.iter().zip(&row.bidders).zip(&row.date_times))
                {
                    rows.push(vec![
                        row.auction.into(),
                        Cell::from(*bidder),
                        Cell::from(*price),
                        Cell::from(*date_time),
                        rank.into(),
                    ]);
                }
            }
            Ok(rows)
        },
    };
}

/// Expand bid with auction.
///
/// ```sql
/// SELECT auction, bidder, price, channel, url, B.dateTime, B.extra, itemName, description, initialBid, reserve, A.dateTime, expires,
///   seller, category, A.extra
/// FROM bid AS B INNER JOIN auction AS A ON B.auction = A.id
/// WHERE A.category = 10
/// ```
pub mod q20 {
    use super::*;

    #[projection(
        from = Nexmark { Bid if listing.category == 10, .. },
        join(listing = Auctions[auction]),
        group_by = (position = meta.position),
    )]
    pub struct ExpandedBid {
        pub position: u64,
        #[last]
        pub auction: u64,
        #[last]
        pub bidder: u64,
        #[last]
        pub price: i64,
        #[last]
        pub channel: String,
        #[last]
        pub url: String,
        #[last(date_time)]
        pub bid_date_time: i64,
        #[last(extra)]
        pub bid_extra: String,
        #[last(listing.item_name.as_str())]
        pub item_name: String,
        #[last(listing.description.as_str())]
        pub description: String,
        #[last(listing.initial_bid)]
        pub initial_bid: i64,
        #[last(listing.reserve)]
        pub reserve: i64,
        #[last(listing.date_time)]
        pub date_time: i64,
        #[last(listing.expires)]
        pub expires: i64,
        #[last(listing.seller)]
        pub seller: u64,
        #[last(listing.category)]
        pub category: u64,
        #[last(listing.extra.as_str())]
        pub extra: String,
    }

    pub const QUERY: Query = query!(
        "q20",
        ExpandedBid {
            auction,
            bidder,
            price,
            channel,
            url,
            bid_date_time,
            bid_extra,
            item_name,
            description,
            initial_bid,
            reserve,
            date_time,
            expires,
            seller,
            category,
            extra,
        }
    );
}

/// Add channel id.
///
/// ```sql
/// SELECT auction, bidder, price, channel,
///   CASE
///     WHEN lower(channel) = 'apple' THEN '0'
///     WHEN lower(channel) = 'google' THEN '1'
///     WHEN lower(channel) = 'facebook' THEN '2'
///     WHEN lower(channel) = 'baidu' THEN '3'
///     ELSE REGEXP_EXTRACT(url, '(&|^)channel_id=([^&]*)', 2)
///   END AS channel_id
/// FROM bid
/// WHERE REGEXP_EXTRACT(url, '(&|^)channel_id=([^&]*)', 2) IS NOT NULL OR lower(channel) IN ('apple', 'google', 'facebook', 'baidu')
/// ```
pub mod q21 {
    use super::*;

    #[projection(
        from = Nexmark { Bid if channel_id(channel, url).is_some(), .. },
        group_by = (position = meta.position),
    )]
    pub struct BidWithChannel {
        pub position: u64,
        #[last]
        pub auction: u64,
        #[last]
        pub bidder: u64,
        #[last]
        pub price: i64,
        #[last]
        pub channel: String,
        #[last(channel_id(channel, url))]
        pub channel_id: Option<String>,
    }

    fn channel_id<'a>(channel: &str, url: &'a str) -> Option<&'a str> {
        match channel.to_lowercase().as_str() {
            "apple" => Some("0"),
            "google" => Some("1"),
            "facebook" => Some("2"),
            "baidu" => Some("3"),
            _ => url.split('&').find_map(|parameter| parameter.strip_prefix("channel_id=")),
        }
    }

    pub const QUERY: Query = query!("q21", BidWithChannel { auction, bidder, price, channel, channel_id });
}

/// Get URL directories.
///
/// ```sql
/// SELECT auction, bidder, price, channel,
///   SPLIT_INDEX(url, '/', 3) AS dir1, SPLIT_INDEX(url, '/', 4) AS dir2, SPLIT_INDEX(url, '/', 5) AS dir3
/// FROM bid
/// ```
pub mod q22 {
    use super::*;

    #[projection(from = Nexmark { Bid, .. }, group_by = (position = meta.position))]
    pub struct BidDirectories {
        pub position: u64,
        #[last]
        pub auction: u64,
        #[last]
        pub bidder: u64,
        #[last]
        pub price: i64,
        #[last]
        pub channel: String,
        #[last(split_index(url, '/', 3))]
        pub dir1: Option<String>,
        #[last(split_index(url, '/', 4))]
        pub dir2: Option<String>,
        #[last(split_index(url, '/', 5))]
        pub dir3: Option<String>,
    }

    fn split_index(text: &str, separator: char, index: usize) -> Option<&str> {
        text.split(separator).nth(index)
    }

    pub const QUERY: Query =
        query!("q22", BidDirectories { auction, bidder, price, channel, dir1, dir2, dir3 });
}
