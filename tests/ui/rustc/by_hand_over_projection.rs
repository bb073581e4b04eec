use cqrs_core::prelude::*;

#[event]
pub struct Bid {
    pub auction: u64,
    pub price: i64,
    pub score: f64,
    pub at: i64,
    pub time: Timestamp,
}

#[projection(from = Bid, group_by = auction)]
pub struct PerAuction {
    pub auction: u64,
    #[count]
    pub bids: u64,
    #[sum(price)]
    pub total: i64,
}

#[projection(from = PerAuction, by_hand(Bid), group_by = auction)]
pub struct Row {
    pub auction: u64,
    pub note: u64,
    #[count]
    pub n: u64,
}

impl Fold<Bid> for Row {
    fn fold(&mut self, event: &<Bid as Event>::Ref<'_>, _: &Meta) -> Result<(), String> {
        self.note = event.auction;
        Ok(())
    }
}

fn main() {}
