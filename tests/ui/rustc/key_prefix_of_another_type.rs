use cqrs_core::prelude::*;

#[event]
pub struct Purchased {
    pub customer: String,
    pub item: String,
    pub qty: i32,
    pub price: f64,
    pub note: Option<String>,
    pub tags: Vec<String>,
}

#[projection(from = Purchased, group_by = (customer, item))]
pub struct Row {
    pub customer: String,
    pub item: String,
    #[count]
    pub n: u64,
}

fn main() {
    let table = Table::<Row>::new();
    let _rows = table.rows_of(5);
}
