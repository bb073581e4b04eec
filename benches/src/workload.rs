//! Workload W: purchases whose customers and items are Zipf-distributed.

use cqrs_core::prelude::*;

#[event]
#[derive(Debug, Clone)]
pub struct Purchased {
    pub customer: String,
    pub item: String,
    pub qty: i32,
}

/// `SELECT customer, item, SUM(qty) .. GROUP BY customer, item`
#[projection(from = Purchased, group_by = (customer, item))]
#[derive(Debug)]
pub struct CustomerPurchases {
    pub customer: String,
    pub item: String,
    #[sum(qty)]
    pub total_qty: i64,
}

/// splitmix64
pub struct Random(pub u64);

impl Random {
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.draw() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The cumulated weights of Zipf's law with exponent 1.
fn zipf(n: usize) -> Vec<f64> {
    let mut sum = 0.0;
    let mut weights: Vec<f64> = (1..=n)
        .map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        })
        .collect();
    weights.iter_mut().for_each(|weight| *weight /= sum);
    weights
}

pub fn events(n: usize) -> Vec<Purchased> {
    let mut random = Random(42);
    let (customers, items) = (zipf(100_000), zipf(1_000));
    let draw = |weights: &[f64], random: &mut Random| {
        let at = random.unit();
        weights.partition_point(|weight| *weight < at).min(weights.len() - 1)
    };
    let events: Vec<_> = (0..n)
        .map(|_| {
            let (customer, item) = (draw(&customers, &mut random), draw(&items, &mut random));
            let qty = (random.draw() % 8) as i32 - 2;
            Purchased { customer: format!("customer-{customer:06}"), item: format!("item-{item:04}"), qty }
        })
        .collect();
    if n == 1_000_000 {
        let total: i64 = events.iter().map(|event| i64::from(event.qty)).sum();
        assert_eq!(total, 1_500_597, "this is not workload W");
    }
    events
}
