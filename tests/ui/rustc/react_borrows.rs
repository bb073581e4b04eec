use cqrs_core::prelude::*;

#[event]
pub struct Delivered {
    pub item: String,
    pub qty: i64,
}

#[projection(from = Delivered, group_by = item)]
pub struct Stock {
    pub item: String,
    #[sum(qty)]
    pub free: i64,
}

pub struct OutOfStock;

pub fn react(engine: &Engine) {
    let mut sent = Vec::new();
    let _ = engine.react::<Delivered>("mails", Since::Now, |event| {
        sent.push(event.item.clone());
        Ok(())
    });
}

fn main() {}
