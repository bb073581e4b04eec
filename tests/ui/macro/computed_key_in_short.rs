use cqrs_core::prelude::*;

#[event]
pub enum Cart {
    Added { customer: String, item: String },
    Cleared { customer: String },
}

#[projection(
    from = Cart { Added },
    remove = Cart { Cleared { customer, .. } },
    group_by = (customer = customer.to_lowercase(), item)
)]
pub struct InCart {
    pub customer: String,
    pub item: String,
    #[count]
    pub times: u64,
}

fn main() {}
