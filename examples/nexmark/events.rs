//! The events of Nexmark, an auction house, and where they come from: the generator of the `nexmark` crate, always the same ones.

use cqrs_core::prelude::*;
use nexmark::EventGenerator;
use nexmark::config::NexmarkConfig;

/// Times are milliseconds since 1970, prices are cents.
#[event]
#[derive(Debug, Clone)]
pub enum Nexmark {
    Person {
        id: u64,
        name: String,
        email_address: String,
        credit_card: String,
        city: String,
        state: String,
        date_time: i64,
        extra: String,
    },
    Auction {
        id: u64,
        item_name: String,
        description: String,
        initial_bid: i64,
        reserve: i64,
        date_time: i64,
        expires: i64,
        seller: u64,
        category: u64,
        extra: String,
    },
    Bid {
        auction: u64,
        bidder: u64,
        price: i64,
        channel: String,
        url: String,
        date_time: i64,
        extra: String,
    },
}

/// A line of the table that q13 joins with.
#[event]
#[derive(Debug, Clone)]
pub struct SideInput {
    pub key: u64,
    pub value: String,
}

impl From<nexmark::event::Event> for Nexmark {
    fn from(event: nexmark::event::Event) -> Self {
        use nexmark::event::Event;
        let id = |id: usize| id as u64;
        let signed = |number: u64| i64::try_from(number).expect("times and prices are small");
        match event {
            Event::Person(person) => Self::Person {
                id: id(person.id),
                name: person.name,
                email_address: person.email_address,
                credit_card: person.credit_card,
                city: person.city,
                state: person.state,
                date_time: signed(person.date_time),
                extra: person.extra,
            },
            Event::Auction(auction) => Self::Auction {
                id: id(auction.id),
                item_name: auction.item_name,
                description: auction.description,
                initial_bid: signed(auction.initial_bid as u64),
                reserve: signed(auction.reserve as u64),
                date_time: signed(auction.date_time),
                expires: signed(auction.expires),
                seller: id(auction.seller),
                category: id(auction.category),
                extra: auction.extra,
            },
            Event::Bid(bid) => Self::Bid {
                auction: id(bid.auction),
                bidder: id(bid.bidder),
                price: signed(bid.price as u64),
                channel: bid.channel,
                url: bid.url,
                date_time: signed(bid.date_time),
                extra: bid.extra,
            },
        }
    }
}

/// 2015-07-15 23:59:20 UTC: with an event a millisecond, midnight passes after 40,000 of them.
pub const BEFORE_MIDNIGHT: i64 = 1_437_004_760_000;

/// The first `n` events from `start` on, in the order of their times: the standard's proportions (1 person : 3 auctions : 46 bids), hot
/// items, hot sellers and sizes, at a thousand events a second. Some auctions precede their seller, and some bids their auction.
pub fn generate(n: usize, start: i64) -> impl Iterator<Item = Nexmark> {
    let config = NexmarkConfig {
        base_time: u64::try_from(start).expect("a time after 1970"),
        first_rate: 1_000,
        next_rate: 1_000,
        ..NexmarkConfig::default()
    };
    EventGenerator::new(config).take(n).map(Nexmark::from)
}

/// The whole side input.
pub fn side_input() -> impl Iterator<Item = SideInput> {
    (0..10_000).map(|key| SideInput { key, value: format!("value-{key}") })
}

/// 2015-07-15 07:59:50 UTC: after 10,000 events the hour is another.
#[allow(dead_code)] // only the tests begin there
pub const BEFORE_EIGHT: i64 = 1_436_947_190_000;
