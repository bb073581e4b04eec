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

#[event(retired)]
pub struct Reserved {
    pub item: String,
}

pub fn decided(engine: &Engine) {
    let _ = engine.decide(|tx| {
        tx.emit(Reserved { item: "hats".into() });
        Ok::<(), OutOfStock>(())
    });
}

fn main() {}
