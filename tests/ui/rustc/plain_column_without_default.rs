use cqrs_core::prelude::*;

#[value]
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Status {
    Open,
    Closed,
}

#[event]
pub struct Bid {
    pub auction: u64,
    pub price: i64,
    pub score: f64,
    pub at: i64,
    pub time: Timestamp,
}

#[projection(by_hand(Bid), group_by = auction)]
pub struct Row {
    pub auction: u64,
    pub status: Status,
}

impl Fold<Bid> for Row {
    fn fold(&mut self, _: &<Bid as Event>::Ref<'_>, _: &Meta) -> Result<(), String> {
        self.status = Status::Closed;
        Ok(())
    }
}

fn main() {}
