//! Runs each example as its user would, and reads what it prints.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Cargo builds the examples of a package before it runs the package's tests, next to where the tests are.
fn example(name: &str) -> Command {
    let mut folder = std::env::current_exe().unwrap();
    folder.pop();
    folder.pop();
    Command::new(folder.join("examples").join(name))
}

#[track_caller]
fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The cells of the printed line that begins with these.
#[track_caller]
fn cells(text: &str, first: &[&str]) -> Vec<String> {
    let split = |line: &str| {
        line.split(['|', ' ']).filter(|cell| !cell.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let found = text
        .lines()
        .map(split)
        .find(|cells| cells.len() > first.len() && cells.iter().zip(first).all(|(a, b)| a == b));
    found.unwrap_or_else(|| panic!("no line {first:?} in\n{text}")).split_off(first.len())
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("shop");
    (parent, path)
}

#[test]
fn purchases_counts_and_goes_on_counting() {
    let (_parent, folder) = folder();
    let first = stdout(&example("purchases").arg(&folder).output().unwrap());
    assert!(first.contains("A new store"), "{first}");
    assert!(first.contains("A live change at position 6: pants 2 -> 1"), "{first}");
    for (item, total) in [("hats", "2"), ("pants", "1"), ("sweaters", "1")] {
        assert_eq!(cells(&first, &["jsmith", item]), [total]);
    }
    let second = stdout(&example("purchases").arg(&folder).output().unwrap());
    assert!(second.contains("Resumed at position 6"), "{second}");
    assert!(second.contains("A live change at position 12: pants 3 -> 2"), "{second}");
    for (item, total) in [("hats", "4"), ("pants", "2"), ("sweaters", "2")] {
        assert_eq!(cells(&second, &["jsmith", item]), [total]);
    }
    // The line that it ends with, by the SQLite that is linked in rather than by the program of that name.
    let line = second.lines().last().unwrap();
    assert!(line.contains("sqlite3 -readonly") && line.contains("customer_purchases"), "{line}");
    assert_eq!(sql(&folder), ["jsmith|hats|4", "jsmith|pants|2", "jsmith|sweaters|2"]);
}

fn sql(folder: &Path) -> Vec<String> {
    let db = rusqlite::Connection::open_with_flags(
        folder.join("views.db"),
        rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY,
    )
    .unwrap();
    let mut query =
        db.prepare("SELECT customer, item, total_qty FROM customer_purchases ORDER BY item").unwrap();
    let rows = query.query_map([], |row| {
        Ok(format!("{}|{}|{}", row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

#[test]
fn cart_summarises_what_is_in_each_cart() {
    let text = stdout(&example("cart").output().unwrap());
    assert_eq!(
        text,
        "ann: 3 items worth 89.48, CheckedOut\n  2 x hats = 39.98\n  1 x pants = 49.50\nbob: 0 items worth 0.00, Filling\n"
    );
}

#[test]
fn bank_never_changes_the_sum() {
    let (_parent, folder) = folder();
    for _ in 0..2 {
        let text = stdout(&example("bank").arg(&folder).arg("800").output().unwrap());
        let word = |line: &str, at: usize| line.split(' ').nth(at).unwrap().parse::<u64>().unwrap();
        let first = text.lines().next().unwrap();
        assert_eq!(word(first, 0) + word(first, 3), 800, "{text}");
        assert!(text.contains("The sum of all balances: 10000, at each of "), "{text}");
        let lowest = text.lines().last().unwrap().strip_prefix("The lowest balance: ").unwrap();
        assert!(lowest.parse::<i64>().unwrap() >= 0, "{text}");
    }
}

#[test]
fn shop_reads_what_its_older_programs_wrote_and_sends_each_mail_once() {
    let (_parent, folder) = folder();
    let run = || stdout(&example("shop").arg(&folder).output().unwrap());
    let (first, second) = (run(), run());
    let decided = |text: &str| {
        let said = text.lines().filter(|line| line.contains(": yes") || line.contains(": no, "));
        said.map(|line| line.trim().to_owned()).collect::<Vec<_>>()
    };
    let expected = |order: u32| {
        vec![
            "carl orders 2 hats: yes".to_owned(),
            "ann orders 9 hats: no, OutOfStock { item: \"hats\", free: 1 }".into(),
            format!("ann takes carl's number: no, Taken({order})"),
            "carl cancels: yes".into(),
            "ann orders 3 hats: yes".into(),
            "ann cancels: no, Is(Some(Shipped))".into(),
        ]
    };
    assert_eq!(decided(&first), expected(3));
    assert_eq!(decided(&second), expected(5));
    // Mails come when they come; of the past, too, and never again.
    let mails = |text: &str| {
        let mut mails: Vec<_> =
            text.lines().filter_map(|line| line.trim().strip_prefix("mail to ")).map(str::to_owned).collect();
        mails.sort();
        mails
    };
    let thanks =
        |who: &str, order: u32, pieces: u32| format!("{who}: thank you for order {order}, {pieces} pieces");
    assert_eq!(
        mails(&first),
        [thanks("ann", 1, 1), thanks("ann", 4, 3), thanks("bob", 2, 4), thanks("carl", 3, 2)]
    );
    assert_eq!(mails(&second), [thanks("ann", 6, 3), thanks("carl", 5, 2)]);
    assert!(first.contains("A mail was not sent: carl has no mailbox, after 2 attempts"), "{first}");
    assert!(second.contains("The log has 16 events"), "{second}");
    assert!(second.ends_with("  0 hats are free\n"), "{second}");
}

#[test]
fn cdnow_adds_up_and_answers_from_the_checkpoint() {
    let (_parent, folder) = folder();
    let totals = "69659 purchases by 23570 customers: 167881 CDs for 2500315.63 dollars.";
    let first = stdout(&example("cdnow").arg(&folder).output().unwrap());
    assert!(first.contains("Imported 69659 purchases.") && first.contains(totals), "{first}");
    assert_eq!(cells(&first, &["7592"]), ["1998-06-29", "201", "4.56", "13990.93"]);
    assert_eq!(cells(&first, &["1997-01"]), ["299060.17"]);
    let second = stdout(&example("cdnow").arg(&folder).output().unwrap());
    assert!(
        second.contains("Answered from the checkpoint at position 69659: 0 events replayed."),
        "{second}"
    );
    assert!(second.contains(totals), "{second}");
}

#[test]
fn cdnow_reports_malformed_lines_and_skips_them_only_on_request() {
    let (parent, folder) = folder();
    let file = parent.path().join("history.txt");
    std::fs::write(
        &file,
        "header\r\n 00001 19970101 1 11.77\r\n 00002 19971301 1 12.00\r\n 00003 19970102 x\r\n",
    )
    .unwrap();
    let run = |skip: bool| {
        let mut command = example("cdnow");
        command.arg(&folder).arg("--file").arg(&file);
        if skip {
            command.arg("--skip-malformed");
        }
        command.output().unwrap()
    };
    let refused = run(false);
    assert!(!refused.status.success());
    let errors = String::from_utf8(refused.stderr).unwrap();
    assert!(errors.contains("history.txt:3: date `19971301`"), "{errors}");
    assert!(errors.contains("history.txt:4: expected 4 columns, found 3"), "{errors}");
    assert!(errors.contains("--skip-malformed"), "{errors}");
    assert!(stdout(&run(true)).contains("1 purchases by 1 customers: 1 CDs for 11.77 dollars."));
}
