//! Projections over events and views of another crate.

use cqrs_core::prelude::*;
use integration_tests::foreign::{Arrivals, Arrived, Departures, Left, Weather};

#[event]
#[derive(Debug)]
pub struct Counted {
    pub place: String,
    pub count: u32,
}

#[projection(from(Arrived, Left, Counted), group_by = place)]
#[derive(Debug, PartialEq)]
pub struct There {
    pub place: String,
    #[sum(Arrived => i64::from(count), Left => -i64::from(count), Counted => 0)]
    pub count: i64,
}

#[projection(from = Arrived, remove(Left), group_by = place)]
#[derive(Debug, PartialEq)]
pub struct Since {
    pub place: String,
    #[sum]
    pub count: u32,
}

#[projection(from(Arrivals, Departures), group_by = place)]
#[derive(Debug, PartialEq)]
pub struct Moves {
    pub place: String,
    #[sum]
    pub count: u64,
}

#[projection(from(Weather { Rained, Shone }, Arrived), join(there = There[place]), group_by = place)]
#[derive(Debug, PartialEq)]
pub struct Days {
    pub place: String,
    #[count(Rained)]
    pub rainy: u64,
    #[last(there.count)]
    pub people: i64,
}

fn arrived(count: u32) -> Arrived {
    Arrived { place: "here".into(), count }
}

#[test]
fn several_sources_of_another_crate_make_one_view() {
    let engine =
        Engine::in_memory().view::<There>().view::<Since>().view::<Moves>().view::<Days>().start().unwrap();
    engine.append(arrived(3)).wait().unwrap();
    engine.append(Left { place: "here".into(), count: 1 }).wait().unwrap();
    engine.append(arrived(5)).wait().unwrap();
    engine.append(Weather::Rained { place: "here".into() }).wait().unwrap();
    engine.append(Counted { place: "here".into(), count: 1 }).wait().unwrap();
    let place = || "here".to_owned();
    assert_eq!(engine.view::<There>().get("here").unwrap(), Some(There { place: place(), count: 7 }));
    assert_eq!(engine.view::<Since>().get("here").unwrap(), Some(Since { place: place(), count: 5 }));
    assert_eq!(engine.view::<Moves>().get("here").unwrap(), Some(Moves { place: place(), count: 9 }));
    let days = Days { place: place(), rainy: 1, people: 7 };
    assert_eq!(engine.view::<Days>().get("here").unwrap(), Some(days));
}
