//! What both programs need: the purchases, out of the CSV file that `ours csv` wrote, and what their sums have to be.

#[path = "../../src/measured.rs"]
pub mod measured;

use std::collections::HashMap;

use measured::Group;

/// A line of the CSV file.
#[derive(Debug, Clone)]
pub struct Purchase {
    pub customer: String,
    pub item: String,
    pub qty: i32,
}

impl Purchase {
    /// The aggregate that it belongs to: there is one for each row of the view.
    pub fn aggregate(&self) -> String {
        format!("{}/{}", self.customer, self.item)
    }
}

/// As many of the file's purchases as `PEERS_COMMANDS` says.
pub fn purchases(file: &str) -> Result<Vec<Purchase>, csv::Error> {
    let commands = std::env::var("PEERS_COMMANDS").map_or(5_000, |number| number.parse().expect("a number"));
    let purchase = |record: Result<(String, String, i32), csv::Error>| {
        record.map(|(customer, item, qty)| Purchase { customer, item, qty })
    };
    csv::Reader::from_path(file)?.into_deserialize().take(commands).map(purchase).collect()
}

/// What the sums of these purchases have to be.
pub fn sums(purchases: &[Purchase]) -> HashMap<Group, i64> {
    measured::sums(
        purchases.iter().map(|purchase| (purchase.customer.as_str(), purchase.item.as_str(), purchase.qty)),
    )
}

/// The group whose aggregate this is.
pub fn group(aggregate: &str) -> Group {
    let (customer, item) = aggregate.split_once('/').expect("a customer and an item");
    (customer.to_owned(), item.to_owned())
}
