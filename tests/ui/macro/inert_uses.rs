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

#[projection(from = Purchased, group_by = customer)]
pub struct Row {
    pub customer: String,
    pub n: u64,
}

fn main() {
    // What uses the item is not a mistake too.
    let mut table = Table::<Row>::new();
    let event = Purchased {
        customer: String::new(),
        item: String::new(),
        qty: 1,
        price: 1.0,
        note: None,
        tags: Vec::new(),
    };
    table.apply(&event).unwrap();
    let _ = table.rows().count();
}
