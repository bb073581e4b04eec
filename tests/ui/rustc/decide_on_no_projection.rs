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

pub fn decided(engine: &Engine) {
    let _ = engine.decide(|tx| {
        if tx.get::<Delivered>("hats").is_none() {
            return Err(OutOfStock);
        }
        Ok(())
    });
}

fn main() {}
