use cqrs_core::prelude::*;

#[event]
pub struct Bid {
    pub auction: u64,
    pub at: i64,
}

#[event]
pub struct Noted {
    pub auction: u64,
    pub at: i64,
}

#[projection(
    from = Bid,
    by_hand(Noted),
    group_by = auction,
    window = tumbling(at, "1h"),
    unit = "s",
)]
pub struct Row {
    pub auction: u64,
    pub window_start: i64,
    #[count]
    pub n: u64,
}

impl Fold<Noted> for Row {
    fn fold(&mut self, _: &<Noted as Event>::Ref<'_>, _: &Meta) -> Result<(), String> {
        Ok(())
    }
}

fn main() {}
