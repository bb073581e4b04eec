//! What the views have to say, by plain loops over the log. They know nothing of the library.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Happened, Recorded};
use crate::language::{Account, Depth, Minute, Order, RIDDLE, Stock};

#[derive(Default)]
pub(crate) struct Model {
    stock: BTreeMap<u8, Stock>,
    orders: BTreeMap<u64, Order>,
    minutes: BTreeMap<(u8, i64), Minute>,
    /// How late it is for windows, in seconds.
    clock: Option<i64>,
    pub(crate) late: u64,
}

impl Model {
    pub(crate) fn of(events: &[Recorded]) -> Self {
        let mut model = Self::default();
        events.iter().for_each(|event| model.fold(event));
        model
    }

    fn fold(&mut self, recorded: &Recorded) {
        match &recorded.event {
            Happened::Stocked(e) => self.move_stock(recorded, e.item, e.qty),
            Happened::Fed(e) => self.move_stock(recorded, e.item, e.qty),
            Happened::Reserved(e) => {
                self.move_stock(recorded, e.item, -e.qty);
                self.order(e.order).parts += 1;
            }
            Happened::Followed(e) => self.order(e.order).followed += 1,
            Happened::Billed(e) => self.order(e.order).billed += 1,
            Happened::Sensed(e) => {
                self.pass(e.at);
                let window_start = e.at.div_euclid(10) * 10;
                if window_start + 10 <= self.closed_until() {
                    self.late += 1;
                    return;
                }
                let new = Minute { sensor: e.sensor, window_start, readings: 0, value: 0 };
                let row = self.minutes.entry((e.sensor, window_start)).or_insert(new);
                row.readings += 1;
                row.value += e.value;
            }
            Happened::Tick(micros) => self.pass(micros / 1_000_000),
            Happened::Paid(_) => {}
        }
    }

    fn move_stock(&mut self, recorded: &Recorded, item: u8, qty: i64) {
        let (position, at) = (recorded.position, recorded.recorded_at);
        let row = self.stock.entry(item).or_insert(Stock { item, free: 0, events: 0, position, at });
        row.free += qty;
        row.events += 1;
        (row.position, row.at) = (position, at);
    }

    fn order(&mut self, order: u64) -> &mut Order {
        self.orders.entry(order).or_insert(Order { order, parts: 0, followed: 0, billed: 0 })
    }

    fn closed_until(&self) -> i64 {
        self.clock.map_or(i64::MIN, |clock| clock - 5)
    }

    fn pass(&mut self, to: i64) {
        self.clock = Some(self.clock.map_or(to, |now| now.max(to)));
        let until = self.closed_until();
        self.minutes.retain(|(_, start), _| start + 10 + 40 > until);
    }

    pub(crate) fn stock(&self) -> BTreeMap<u8, Stock> {
        self.stock.iter().filter(|(_, row)| row.free != 0).map(|(item, row)| (*item, row.clone())).collect()
    }

    pub(crate) fn depth(&self) -> BTreeMap<bool, Depth> {
        let mut rows = BTreeMap::new();
        for stock in self.stock().values() {
            let deep = stock.free >= 10;
            let row = rows.entry(deep).or_insert(Depth { deep, items: 0, free: 0 });
            row.items += 1;
            row.free += stock.free;
        }
        rows
    }

    pub(crate) fn orders(&self) -> BTreeMap<u64, Order> {
        self.orders.clone()
    }

    pub(crate) fn minutes(&self) -> BTreeMap<(u8, i64), Minute> {
        self.minutes.clone()
    }
}

/// Accounts, with some payments passed over.
pub(crate) fn accounts(events: &[Recorded], parked: &BTreeSet<u64>) -> BTreeMap<u8, Account> {
    let mut rows = BTreeMap::new();
    for recorded in events.iter().filter(|recorded| !parked.contains(&recorded.position)) {
        let Happened::Paid(e) = &recorded.event else { continue };
        let new = Account { customer: e.customer, balance: 0, payments: 0 };
        let row = rows.entry(e.customer).or_insert(new);
        row.balance += e.amount;
        row.payments += 1;
    }
    rows
}

/// Payments that are not understood by themselves.
pub(crate) fn riddles(events: &[Recorded]) -> BTreeSet<u64> {
    let riddle = |it: &&Recorded| matches!(&it.event, Happened::Paid(e) if e.amount == RIDDLE);
    events.iter().filter(riddle).map(|it| it.position).collect()
}
