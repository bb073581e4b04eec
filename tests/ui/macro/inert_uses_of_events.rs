use cqrs_core::prelude::*;

#[event]
#[derive(Debug)]
pub struct Paid {
    pub order_ref: u64,
    pub cents: i64,
}

#[event]
#[derive(Debug)]
pub enum Order {
    Placed { order_id: u64, customer: String, note: Option<String> },
    #[event(nmae = "shipped")]
    Shipped { order_id: u64 },
    Paid(Paid),
    Closed,
}

/// What is folded from it is right.
#[projection(from = Order { Placed, Shipped, Paid { order_id: order_ref }, .. }, group_by = order_id)]
pub struct Orders {
    pub order_id: u64,
    #[last(Placed => customer)]
    pub customer: Option<String>,
    #[sum(Paid => cents)]
    pub cents: i64,
    #[count(Shipped)]
    pub shipped: u64,
}

#[event(verion = 2, upcast = PricedV1)]
pub struct Priced {
    pub item: String,
    pub price: i64,
    pub meta: u8,
}

#[event]
pub struct PricedV1 {
    pub item: String,
}

impl From<PricedV1> for Priced {
    fn from(old: PricedV1) -> Self {
        Self { item: old.item, price: 0, meta: 0 }
    }
}

#[projection(from = Priced, group_by = item)]
pub struct Prices {
    pub item: String,
    #[last]
    pub price: i64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::in_memory().view::<Orders>().view::<Prices>().start()?;
    engine.append(Order::Placed { order_id: 1, customer: "ann".into(), note: None }).wait()?;
    engine.append(Order::from(Paid { order_ref: 1, cents: 5 })).wait()?;
    engine.append(Priced { item: "hats".into(), price: 5, meta: 0 }).wait()?;
    let _: Option<i64> = engine.view::<Orders>().get(1)?.map(|row| row.cents);
    let mut log = engine.events::<Order>(1).until_head();
    while let Some(recorded) = log.next().wait() {
        match recorded?.event {
            Order::Placed { customer, .. } => println!("{customer}"),
            other => println!("{other:?}"),
        }
    }
    engine.react::<Priced>("prices", Since::Beginning, |priced| {
        println!("{}", priced.event().item);
        Ok(())
    })?;
    Ok(())
}
