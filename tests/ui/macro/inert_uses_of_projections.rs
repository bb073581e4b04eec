use cqrs_core::prelude::*;

#[event]
pub struct Listed {
    pub auction: u64,
    pub category: String,
    pub price: i64,
    pub at: i64,
}

/// The one with a mistake.
#[projection(from = Listed, group_by = auction, index(category, price), hvaing = price > 0)]
#[derive(Debug, Clone, PartialEq)]
pub struct Auctions {
    pub auction: u64,
    #[last]
    pub category: String,
    #[sum(price, limit = 3)]
    pub price: i64,
}

/// And another: in a column, and under a window.
#[projection(from = Listed, group_by = (category, price), window = tumbling(at, "1h"))]
pub struct Hours {
    pub category: String,
    pub price: i64,
    pub window_start: i64,
    #[cuont]
    pub listed: u64,
}

#[event]
pub struct Bid {
    pub auction: u64,
    pub price: i64,
}

/// Over it.
#[projection(from = Auctions, group_by = category)]
pub struct Categories {
    pub category: String,
    #[sum(price)]
    pub total: i64,
}

/// Beside it.
#[projection(from = Bid, join(listing = Auctions[auction]), group_by = (category = listing.category))]
pub struct Bids {
    pub category: String,
    #[max(price)]
    pub price: i64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::in_memory().view::<Auctions>().view::<Categories>().view::<Bids>().view::<Hours>().start()?;
    let view = engine.view::<Auctions>();
    let _: Option<Auctions> = view.get(1)?;
    let _: Vec<u64> = view.by_category("hats")?.map(|row| row.auction).collect();
    let _: Vec<u64> = view.by_category_price_in("hats", 1..=5)?.map(|row| row.auction).collect();
    let _: Option<i64> = engine.view::<Categories>().get("hats")?.map(|row| row.total);
    let hours = engine.view::<Hours>();
    let _ = hours.get(("hats", 1, 0))?;
    let _ = hours.rows_of("hats")?.count() + hours.rows_of(("hats", 1))?.count();
    let _ = engine
        .decide(|tx: &mut Tx| {
            if tx.get::<Auctions>(1).is_none() {
                tx.emit(Listed { auction: 1, category: "hats".into(), price: 1, at: 0 });
            }
            Ok::<(), Refusal>(())
        })
        .wait();
    let mut table = Table::<Hours>::new();
    table.apply(&Listed { auction: 1, category: "hats".into(), price: 1, at: 0 })?;
    assert!(table.get(("hats", 1, 0)).is_none());
    Ok(())
}

#[derive(Debug)]
struct Refusal;
