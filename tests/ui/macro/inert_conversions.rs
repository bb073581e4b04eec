use cqrs_core::prelude::*;
#[event]
#[derive(Debug)]
pub struct Paid {
    pub id: u64,
}
#[event]
#[derive(Debug)]
pub enum Order {
    Placed {
        id: u64,
    },
    #[event(nmae = "x")]
    Shipped {
        id: u64,
    },
    Paid(Paid),
    r#try {
        id: u64,
    },
}
fn main() {
    let o = Order::from(Paid { id: 1 });
    let _: Result<Paid, Order> = o.try_into();
    let _ = Paid::try_from(Order::Placed { id: 1 });
}
