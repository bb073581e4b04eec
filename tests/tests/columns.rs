//! Columns that have more than one value of a row in mind, over events and over rows that come and go: held against a computation from scratch.
use std::collections::{BTreeMap, BTreeSet};

use cqrs_core::aggregate::{Aggregate, Retract};
use cqrs_core::health::ViewState;
use cqrs_core::prelude::*;
use proptest::prelude::*;

#[event]
#[derive(Debug, Clone)]
pub struct Paid {
    pub customer: u32,
    pub item: String,
    pub cents: i64,
    pub weight: f64,
}

/// What came, less what went.
#[value]
#[derive(Debug, Clone, Default)]
pub struct Total {
    pub cents: i64,
}

impl Aggregate for Total {
    type Input = i64;
    type Output = i64;
    fn insert(&mut self, input: &i64) -> Result<(), String> {
        self.cents = self.cents.checked_add(*input).ok_or("too much")?;
        Ok(())
    }
    fn output(&self) -> i64 {
        self.cents
    }
}

impl Retract for Total {
    fn remove(&mut self, input: &i64) -> Result<(), String> {
        self.cents -= input;
        Ok(())
    }
}

#[projection(from = Paid, group_by = item)]
#[derive(Debug, Clone, PartialEq)]
pub struct OfEvents {
    pub item: String,
    #[variance(cents)]
    pub variance: f64,
    #[stddev(weight)]
    pub stddev: f64,
    #[count_distinct(customer)]
    pub customers: u64,
    #[count_distinct(customer if cents > 0)]
    pub paying: u64,
    #[collect(cents)]
    pub all: Vec<i64>,
    #[collect(cents, limit = 2)]
    pub first_two: Vec<i64>,
    #[collect(customer)]
    pub set: BTreeSet<u32>,
    #[collect((customer, cents))]
    pub last_of_each: BTreeMap<u32, i64>,
    #[top(2, cents)]
    pub greatest: Vec<i64>,
    #[top(2, customer, by = cents)]
    pub by_whom: Vec<u32>,
    #[any(cents > 5)]
    pub any: bool,
    #[all(cents > 0)]
    pub every: bool,
    #[fold(Total, cents)]
    pub total: i64,
}

/// What a customer has now of an item, if anything.
#[projection(from = Paid, group_by = (customer, item), having = cents != 0)]
#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    pub customer: u32,
    pub item: String,
    #[sum(cents)]
    pub cents: i64,
    #[last(weight)]
    pub weight: f64,
}

#[projection(from = Account, group_by = item)]
#[derive(Debug, Clone, PartialEq)]
pub struct OfRows {
    pub item: String,
    #[count]
    pub accounts: u64,
    #[sum(cents)]
    pub cents: i64,
    #[sum(weight)]
    pub weight: f64,
    #[sum(cents if cents > 3)]
    pub large: Option<i64>,
    #[avg(cents)]
    pub avg: f64,
    #[variance(cents)]
    pub variance: f64,
    #[min(cents)]
    pub min: i64,
    #[max(weight if cents > 0)]
    pub max: Option<f64>,
    #[first(customer, by = cents)]
    pub poorest: u32,
    #[last(customer, by = cents)]
    pub richest: u32,
    #[count_distinct(cents)]
    pub distinct: u64,
    #[collect(customer)]
    pub customers: BTreeSet<u32>,
    #[collect(cents)]
    pub bag: Vec<i64>,
    #[collect((customer, cents))]
    pub map: BTreeMap<u32, i64>,
    #[top(2, cents)]
    pub top: Vec<i64>,
    #[any(cents > 5)]
    pub any: bool,
    #[all(cents > 0)]
    pub all: bool,
    #[fold(Total, cents)]
    pub total: i64,
}

fn variance(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64
}

#[track_caller]
fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{found} is not {expected}");
}

fn check_events(engine: &Engine, paid: &[Paid]) {
    let view = engine.view::<OfEvents>();
    let items: BTreeSet<&str> = paid.iter().map(|paid| &*paid.item).collect();
    assert_eq!(view.len().unwrap(), items.len());
    for item in items {
        let of: Vec<&Paid> = paid.iter().filter(|paid| paid.item == item).collect();
        let row = view.get(item).unwrap().unwrap();
        let cents: Vec<i64> = of.iter().map(|paid| paid.cents).collect();
        near(row.variance, variance(&cents.iter().map(|cents| *cents as f64).collect::<Vec<_>>()));
        near(row.stddev, variance(&of.iter().map(|paid| paid.weight).collect::<Vec<_>>()).sqrt());
        let set: BTreeSet<u32> = of.iter().map(|paid| paid.customer).collect();
        let paying: BTreeSet<u32> =
            of.iter().filter(|paid| paid.cents > 0).map(|paid| paid.customer).collect();
        assert_eq!((row.customers, row.paying), (set.len() as u64, paying.len() as u64));
        assert_eq!(row.set, set);
        assert_eq!(row.first_two, cents.iter().copied().take(2).collect::<Vec<_>>());
        assert_eq!(row.last_of_each, of.iter().map(|paid| (paid.customer, paid.cents)).collect());
        let mut ranked: Vec<(i64, u32)> = of.iter().map(|paid| (paid.cents, paid.customer)).collect();
        ranked.sort_by_key(|(cents, _)| std::cmp::Reverse(*cents));
        assert_eq!(row.greatest, ranked.iter().map(|(cents, _)| *cents).take(2).collect::<Vec<_>>());
        assert_eq!(row.by_whom, ranked.iter().map(|(_, customer)| *customer).take(2).collect::<Vec<_>>());
        assert_eq!((row.any, row.every), (cents.iter().any(|c| *c > 5), cents.iter().all(|c| *c > 0)));
        assert_eq!(row.total, cents.iter().sum::<i64>());
        assert_eq!(row.all, cents);
    }
}

fn check_rows(engine: &Engine) {
    let mut by_item: BTreeMap<String, Vec<Account>> = BTreeMap::new();
    for row in engine.view::<Account>().rows().unwrap() {
        by_item.entry(row.item.clone()).or_default().push(row);
    }
    let view = engine.view::<OfRows>();
    assert_eq!(view.len().unwrap(), by_item.len());
    for (item, mut rows) in by_item {
        rows.sort_by_key(|row| row.customer);
        let found = view.get(&*item).unwrap().unwrap();
        let mut cents: Vec<i64> = rows.iter().map(|row| row.cents).collect();
        let floats: Vec<f64> = cents.iter().map(|cents| *cents as f64).collect();
        near(found.variance, variance(&floats));
        near(found.avg, floats.iter().sum::<f64>() / floats.len() as f64);
        let weights: Vec<f64> = rows.iter().map(|row| row.weight).collect();
        near(found.weight, weights.iter().sum());
        let large: Vec<i64> = cents.iter().copied().filter(|cents| *cents > 3).collect();
        assert_eq!(found.large, (!large.is_empty()).then(|| large.iter().sum()));
        assert_eq!((found.accounts, found.cents), (rows.len() as u64, cents.iter().sum()));
        assert_eq!(Some(found.min), cents.iter().copied().min());
        let positive = rows.iter().filter(|row| row.cents > 0).map(|row| row.weight);
        assert_eq!(found.max, positive.max_by(f64::total_cmp));
        let least = rows.iter().min_by_key(|row| (row.cents, row.customer)).unwrap();
        let most = rows.iter().max_by_key(|row| (row.cents, row.customer)).unwrap();
        assert_eq!(found.poorest, least.customer);
        assert_eq!(found.richest, most.customer);
        assert_eq!(found.distinct, cents.iter().collect::<BTreeSet<_>>().len() as u64);
        assert_eq!(found.customers, rows.iter().map(|row| row.customer).collect());
        assert_eq!(found.map, rows.iter().map(|row| (row.customer, row.cents)).collect());
        assert_eq!((found.any, found.all), (cents.iter().any(|c| *c > 5), cents.iter().all(|c| *c > 0)));
        assert_eq!(found.total, found.cents);
        cents.sort_unstable();
        assert_eq!(found.bag, cents);
        cents.reverse();
        cents.truncate(2);
        assert_eq!(found.top, cents);
    }
}

fn batches() -> impl Strategy<Value = Vec<Vec<Paid>>> {
    let paid = (0_u32..4, prop::sample::select(vec!["hats", "pants"]), -4_i64..8, -100_i32..100).prop_map(
        |(customer, item, cents, weight)| Paid {
            customer,
            item: item.into(),
            cents,
            weight: f64::from(weight) / 7.0,
        },
    );
    prop::collection::vec(prop::collection::vec(paid, 1..12), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn columns_are_what_a_computation_from_scratch_gives(batches in batches(), restart in 0_usize..8) {
        let folder = tempfile::tempdir().unwrap();
        let open = || {
            let engine = Engine::open(folder.path().join("shop")).unwrap();
            engine.view::<OfEvents>().view::<OfRows>().view::<Account>().start().unwrap()
        };
        let mut engine = open();
        let mut paid: Vec<Paid> = Vec::new();
        for (at, batch) in batches.into_iter().enumerate() {
            paid.extend(batch.iter().cloned());
            engine.append_all(batch).wait().unwrap();
            if at == restart {
                engine.close().wait().unwrap();
                engine = open();
                // Not folded anew: every column was read back.
                for view in engine.health().views {
                    let checkpoint = view.checkpoint.map(|it| it.position);
                    prop_assert_eq!((view.state, checkpoint), (ViewState::Live, Some(paid.len() as u64)), "{}", view.name);
                }
            }
            check_events(&engine, &paid);
            check_rows(&engine);
        }
        engine.close().wait().unwrap();
        let verified = Engine::open(folder.path().join("shop")).unwrap().view::<OfEvents>().view::<OfRows>().verify().unwrap();
        prop_assert!(verified.is_whole(), "{verified}");
    }
}
