use cqrs_core::prelude::*;

#[event]
pub struct Purchased {
    pub customer: String,
    pub item: String,
}

#[event]
pub struct Listed {
    pub item: String,
    pub category: String,
}

#[projection(from = Listed, group_by = item)]
pub struct Listing {
    pub item: String,
    #[last(category)]
    pub category: String,
}

#[projection(from = Purchased, group_by = (customer, item))]
pub struct Bought {
    pub customer: String,
    pub item: String,
    #[count]
    pub times: u64,
}

#[projection(from = Bought, join(listing = Listing[item]), group_by = (category = listing.category))]
pub struct Categories {
    pub category: String,
    #[count]
    pub bought: u64,
}

fn main() {}
