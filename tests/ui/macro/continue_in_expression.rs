use cqrs_core::prelude::*;

#[event]
pub struct Purchased {
    pub customer: String,
    pub item: String,
    pub qty: i32,
}

#[projection(
    from = Purchased,
    group_by = (customer, kind = if qty > 0 { qty } else { continue }),
    window = tumbling(qty as i64, "1h"),
    unit = "s"
)]
pub struct Row {
    pub customer: String,
    pub kind: i32,
    pub window_start: i64,
    #[count]
    pub n: u64,
}

fn main() {}
