//! What each program does with what it has measured: it checks the rows, and says how long they took.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::time::Duration;

/// A customer and an item.
pub type Group = (String, String);

/// What the sums have to be, by the loop that anyone would write.
pub fn sums<'e>(purchases: impl IntoIterator<Item = (&'e str, &'e str, i32)>) -> HashMap<Group, i64> {
    let mut sums = HashMap::new();
    for (customer, item, qty) in purchases {
        *sums.entry((customer.to_owned(), item.to_owned())).or_default() += i64::from(qty);
    }
    sums
}

/// Ends the program with an error, unless the rows are the wanted ones, each once.
pub fn check(who: &str, rows: impl IntoIterator<Item = (Group, i64)>, wanted: &HashMap<Group, i64>) {
    let mut left = wanted.clone();
    for (group, sum) in rows {
        assert_eq!(Some(sum), left.remove(&group), "{who}: the sum of {group:?} is wrong, or there twice");
    }
    assert!(left.is_empty(), "{who}: {} groups are missing", left.len());
}

/// A line for the report: who did which job over how many events, in how many seconds. It goes to the file `PEERS_MEASURED`, if there is one: some
/// of the systems print lines of their own.
#[allow(clippy::print_stdout)]
pub fn say(who: &str, job: &str, events: usize, time: Duration) {
    let line = format!("{who}\t{job}\t{events}\t{}", time.as_secs_f64());
    match std::env::var_os("PEERS_MEASURED") {
        None => println!("{line}"),
        Some(file) => {
            let mut file = OpenOptions::new().append(true).open(file).expect("it opens");
            writeln!(file, "{line}").expect("it writes");
        }
    }
}
