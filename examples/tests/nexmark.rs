//! Every query of the example `nexmark` against SQLite, which runs the query's SQL over the same events: whole answers, sorted.

#[path = "../nexmark/events.rs"]
mod events;
#[path = "../nexmark/queries.rs"]
mod queries;

use std::cmp::Ordering;

use cqrs_core::prelude::*;
use rusqlite::Connection;
use rusqlite::types::ValueRef;

use crate::events::{BEFORE_EIGHT, BEFORE_MIDNIGHT, Nexmark, generate, side_input};
use crate::queries::Cell;

type Rows = Vec<Vec<Cell>>;

/// Each query in SQLite's SQL: windows are integer division and `lag`, `SPLIT_INDEX` and `DATE_FORMAT` are what SQLite has for them.
const SQL: [(&str, &str); 23] = [
    ("q0", "SELECT auction, bidder, price, date_time, extra FROM bid"),
    ("q1", "SELECT auction, bidder, 0.908 * price, date_time, extra FROM bid"),
    ("q2", "SELECT auction, price FROM bid WHERE auction % 123 = 0"),
    // As of the auction: see `NOT_SAYABLE`.
    (
        "q3",
        "SELECT p.name, p.city, p.state, a.id FROM auction a JOIN person p ON a.seller = p.id AND p.position < a.position
         WHERE a.category = 10 AND (p.state = 'or' OR p.state = 'id' OR p.state = 'ca')",
    ),
    (
        "q4",
        "SELECT category, avg(final) FROM (
           SELECT max(b.price) AS final, a.category FROM auction a, bid b
           WHERE a.id = b.auction AND b.date_time BETWEEN a.date_time AND a.expires GROUP BY a.id, a.category
         ) GROUP BY category",
    ),
    (
        "q5",
        "WITH hop(k) AS (VALUES (0), (1), (2), (3), (4)),
         auction_bids AS MATERIALIZED (
           SELECT auction, (date_time / 2000 - k) * 2000 AS start, count(*) AS num FROM bid, hop GROUP BY 1, 2
         ),
         max_bids AS MATERIALIZED (SELECT start, max(num) AS maxn FROM auction_bids GROUP BY start)
         SELECT auction, num, start FROM auction_bids JOIN max_bids USING (start) WHERE num >= maxn",
    ),
    (
        "q6",
        "WITH winning AS (
           SELECT * FROM (
             SELECT a.seller, b.price, b.date_time,
               row_number() OVER (PARTITION BY a.id ORDER BY b.price DESC, b.date_time) AS rownum
             FROM auction a, bid b WHERE a.id = b.auction AND b.date_time BETWEEN a.date_time AND a.expires
           ) WHERE rownum <= 1
         )
         SELECT seller, average FROM (
           SELECT seller, avg(price) OVER (PARTITION BY seller ORDER BY date_time ROWS BETWEEN 10 PRECEDING AND CURRENT ROW) AS average,
             row_number() OVER (PARTITION BY seller ORDER BY date_time DESC) AS age
           FROM winning
         ) WHERE age = 1",
    ),
    (
        "q7",
        "SELECT b.auction, b.bidder, b.price, b.date_time, b.extra FROM bid b
         JOIN (SELECT max(price) AS maxprice, date_time / 10000 AS w FROM bid GROUP BY 2) m
         ON b.price = m.maxprice AND b.date_time / 10000 = m.w",
    ),
    (
        "q8",
        "SELECT p.id, p.name, p.start FROM (SELECT id, name, date_time / 10000 * 10000 AS start FROM person GROUP BY 1, 2, 3) p
         JOIN (SELECT seller, date_time / 10000 * 10000 AS start FROM auction GROUP BY 1, 2) a
         ON p.id = a.seller AND p.start = a.start",
    ),
    (
        "q9",
        "SELECT id, item_name, description, initial_bid, reserve, date_time, expires, seller, category, extra, bidder, price,
           bid_date_time, bid_extra
         FROM (
           SELECT a.*, b.bidder, b.price, b.date_time AS bid_date_time, b.extra AS bid_extra,
             row_number() OVER (PARTITION BY a.id ORDER BY b.price DESC, b.date_time) AS rownum
           FROM auction a, bid b WHERE a.id = b.auction AND b.date_time BETWEEN a.date_time AND a.expires
         ) WHERE rownum <= 1",
    ),
    (
        "q10",
        "SELECT auction, bidder, price, date_time, extra, strftime('%Y-%m-%d', date_time / 1000, 'unixepoch'),
           strftime('%H:%M', date_time / 1000, 'unixepoch')
         FROM bid",
    ),
    (
        "q11",
        "WITH marked AS (
           SELECT bidder, date_time, position, date_time - lag(date_time) OVER one < 10000 AS goes_on
           FROM bid WINDOW one AS (PARTITION BY bidder ORDER BY date_time, position)
         ),
         numbered AS (
           SELECT *, sum(CASE WHEN goes_on THEN 0 ELSE 1 END) OVER (PARTITION BY bidder ORDER BY date_time, position) AS session
           FROM marked
         )
         SELECT bidder, count(*), min(date_time), max(date_time) + 10000 FROM numbered GROUP BY bidder, session",
    ),
    ("q12", "SELECT bidder, count(*), recorded_at / 10000000 * 10000000 AS start FROM bid GROUP BY bidder, start"),
    (
        "q13",
        "SELECT b.auction, b.bidder, b.price, b.date_time, s.value FROM bid b JOIN side_input s ON b.auction % 10000 = s.key",
    ),
    (
        "q14",
        "SELECT auction, bidder, 0.908 * price,
           CASE
             WHEN date_time / 3600000 % 24 >= 8 AND date_time / 3600000 % 24 <= 18 THEN 'dayTime'
             WHEN date_time / 3600000 % 24 <= 6 OR date_time / 3600000 % 24 >= 20 THEN 'nightTime'
             ELSE 'otherTime'
           END,
           date_time, extra, length(extra) - length(replace(extra, 'c', ''))
         FROM bid WHERE 0.908 * price > 1000000 AND 0.908 * price < 50000000",
    ),
    (
        "q15",
        "SELECT strftime('%Y-%m-%d', date_time / 1000, 'unixepoch') AS day, count(*), count(*) FILTER (WHERE price < 10000),
           count(*) FILTER (WHERE price >= 10000 AND price < 1000000), count(*) FILTER (WHERE price >= 1000000),
           count(DISTINCT bidder), count(DISTINCT bidder) FILTER (WHERE price < 10000),
           count(DISTINCT bidder) FILTER (WHERE price >= 10000 AND price < 1000000),
           count(DISTINCT bidder) FILTER (WHERE price >= 1000000),
           count(DISTINCT auction), count(DISTINCT auction) FILTER (WHERE price < 10000),
           count(DISTINCT auction) FILTER (WHERE price >= 10000 AND price < 1000000),
           count(DISTINCT auction) FILTER (WHERE price >= 1000000)
         FROM bid GROUP BY day",
    ),
    (
        "q16",
        "SELECT channel, strftime('%Y-%m-%d', date_time / 1000, 'unixepoch') AS day,
           max(strftime('%H:%M', date_time / 1000, 'unixepoch')), count(*), count(*) FILTER (WHERE price < 10000),
           count(*) FILTER (WHERE price >= 10000 AND price < 1000000), count(*) FILTER (WHERE price >= 1000000),
           count(DISTINCT bidder), count(DISTINCT bidder) FILTER (WHERE price < 10000),
           count(DISTINCT bidder) FILTER (WHERE price >= 10000 AND price < 1000000),
           count(DISTINCT bidder) FILTER (WHERE price >= 1000000),
           count(DISTINCT auction), count(DISTINCT auction) FILTER (WHERE price < 10000),
           count(DISTINCT auction) FILTER (WHERE price >= 10000 AND price < 1000000),
           count(DISTINCT auction) FILTER (WHERE price >= 1000000)
         FROM bid GROUP BY channel, day",
    ),
    (
        "q17",
        "SELECT auction, strftime('%Y-%m-%d', date_time / 1000, 'unixepoch') AS day, count(*), count(*) FILTER (WHERE price < 10000),
           count(*) FILTER (WHERE price >= 10000 AND price < 1000000), count(*) FILTER (WHERE price >= 1000000),
           min(price), max(price), avg(price), sum(price)
         FROM bid GROUP BY auction, day",
    ),
    (
        "q18",
        "SELECT auction, bidder, price, channel, url, date_time, extra
         FROM (SELECT *, row_number() OVER (PARTITION BY bidder, auction ORDER BY date_time DESC, position DESC) AS rank FROM bid)
         WHERE rank <= 1",
    ),
    (
        "q19",
        "SELECT auction, bidder, price, date_time, rank
         FROM (SELECT *, row_number() OVER (PARTITION BY auction ORDER BY price DESC, date_time) AS rank FROM bid) WHERE rank <= 10",
    ),
    // As of the bid: see `NOT_SAYABLE`.
    (
        "q20",
        "SELECT auction, bidder, price, channel, url, b.date_time, b.extra, item_name, description, initial_bid, reserve, a.date_time,
           expires, seller, category, a.extra
         FROM bid b JOIN auction a ON b.auction = a.id AND a.position < b.position WHERE category = 10",
    ),
    (
        "q21",
        "SELECT * FROM (
           SELECT auction, bidder, price, channel,
             CASE lower(channel)
               WHEN 'apple' THEN '0' WHEN 'google' THEN '1' WHEN 'facebook' THEN '2' WHEN 'baidu' THEN '3'
               ELSE CASE WHEN instr(url, '&channel_id=') > 0 THEN substr(url, instr(url, '&channel_id=') + 12) END
             END AS channel_id
           FROM bid
         ) WHERE channel_id IS NOT NULL",
    ),
    (
        "q22",
        "SELECT auction, bidder, price, channel, json_extract(parts, '$[3]'), json_extract(parts, '$[4]'), json_extract(parts, '$[5]')
         FROM (SELECT *, '[\"' || replace(url, '/', '\",\"') || '\"]' AS parts FROM bid)",
    ),
];

#[test]
fn every_query_answers_as_sqlite_does() {
    compare(100_000, BEFORE_MIDNIGHT);
}

#[test]
fn every_query_answers_as_sqlite_does_when_the_hour_changes() {
    compare(20_000, BEFORE_EIGHT);
}

/// Where `NOT_SAYABLE` says that a look-up is less than an inner join, and where it need not say so.
#[test]
fn look_ups_are_inner_joins_but_for_those_who_come_later() {
    let engine = Engine::in_memory().event::<Nexmark>().start().unwrap();
    engine.append_all(generate(100_000, BEFORE_MIDNIGHT)).wait().unwrap();
    let db = database(&engine, 100_000, BEFORE_MIDNIGHT);
    let count = |sql: &str| select(&db, sql).len();
    let sql = |name: &str| SQL.iter().find(|(of, _)| *of == name).unwrap().1;
    for (name, as_of, rows, missed) in
        [("q3", " AND p.position < a.position", 669, 2), ("q20", " AND a.position < b.position", 14_106, 787)]
    {
        assert!(sql(name).contains(as_of));
        let found = count(sql(name));
        assert_eq!((name, found, count(&sql(name).replace(as_of, "")) - found), (name, rows, missed));
    }
    // q4, q6 and q9 want a bid that is not older than its auction, and the generator's times are in the order of the log.
    let late = "SELECT 1 FROM auction a, bid b WHERE a.id = b.auction AND b.date_time >= a.date_time AND b.position < a.position";
    assert_eq!(count(late), 0);
    engine.close().wait().unwrap();
}

#[test]
fn a_difference_is_found() {
    let row = |number: i64, text: &str| vec![Cell::from(number), Cell::from(text.to_owned())];
    let rows = || vec![row(1, "a"), row(2, "b"), row(2, "b")];
    assert_eq!(
        difference(rows(), vec![row(2, "b"), row(1, "a"), row(2, "b")]),
        None,
        "the order does not count"
    );
    for other in [
        vec![row(1, "a"), row(2, "b")],
        vec![row(1, "a"), row(1, "a"), row(2, "b")],
        vec![row(1, "a"), row(2, "b"), row(2, "c")],
        vec![row(1, "a"), row(2, "b"), row(2, "b"), row(2, "b")],
        vec![],
    ] {
        assert!(difference(rows(), other).is_some());
    }
}

/// As its user runs it. Cargo builds the examples of a package before it runs the package's tests, next to where the tests are.
#[test]
fn the_example_tells_the_size_of_each_answer_and_what_cannot_be_said() {
    let mut folder = std::env::current_exe().unwrap();
    folder.pop();
    folder.pop();
    let parent = tempfile::tempdir().unwrap();
    let run = || {
        let mut command = std::process::Command::new(folder.join("examples").join("nexmark"));
        let output = command.arg("5000").arg(parent.path().join("house")).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let (first, second) = (run(), run());
    assert!(first.contains("5000 events through") && second.contains("The events of an earlier run."));
    let answers = |text: &str| text.lines().skip(2).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(answers(&first), answers(&second));
    let has = |name: &str, end: &str| first.lines().any(|line| line.starts_with(name) && line.ends_with(end));
    for query in queries::all() {
        assert!(has(query.name, " rows"), "{first}");
    }
    assert!(has("q0 ", " 4600 rows"), "46 of 50 events are bids: {first}");
    for (name, why) in queries::NOT_SAYABLE {
        assert!(has(name, why), "{first}");
    }
}

#[track_caller]
fn compare(n: usize, start: i64) {
    let queries = queries::all();
    let engine = queries
        .iter()
        .fold(queries::shared(Engine::in_memory()), |builder, query| (query.views)(builder))
        .start()
        .unwrap();
    engine.append_all(side_input()).wait().unwrap();
    let mut events = generate(n, start).peekable();
    while events.peek().is_some() {
        engine.append_all(events.by_ref().take(1_000)).wait().unwrap();
    }
    let db = database(&engine, n, start);

    let mut different = Vec::new();
    for query in &queries {
        let sql = SQL.iter().find(|(name, _)| *name == query.name).expect("an SQL for each query").1;
        if let Some(difference) = difference((query.rows)(&engine).unwrap(), select(&db, sql)) {
            different.push(format!("{}: {difference}", query.name));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));

    for (name, sql) in SQL {
        assert!(!select(&db, sql).is_empty(), "{name} has no rows, so that nothing is compared");
    }
    engine.close().wait().unwrap();
}

/// What the two have not in common, if anything: sorted, so that rows which are there twice count twice.
fn difference(mut view: Rows, mut sqlite: Rows) -> Option<String> {
    view.sort_by(|a, b| compare_rows(a, b));
    sqlite.sort_by(|a, b| compare_rows(a, b));
    if view == sqlite {
        return None;
    }
    let at = view.iter().zip(&sqlite).take_while(|(a, b)| a == b).count();
    Some(format!(
        "the view has {} rows, SQLite has {}; sorted, row {at} is\n  {:?} and\n  {:?}",
        view.len(),
        sqlite.len(),
        view.get(at),
        sqlite.get(at)
    ))
}

fn compare_rows(a: &[Cell], b: &[Cell]) -> Ordering {
    let rank = |cell: &Cell| match cell {
        Cell::Null => 0,
        Cell::Integer(_) => 1,
        Cell::Real(_) => 2,
        Cell::Text(_) => 3,
    };
    let cells = a.iter().zip(b).map(|(a, b)| match (a, b) {
        (Cell::Integer(a), Cell::Integer(b)) => a.cmp(b),
        (Cell::Real(a), Cell::Real(b)) => a.total_cmp(b),
        (Cell::Text(a), Cell::Text(b)) => a.cmp(b),
        _ => rank(a).cmp(&rank(b)),
    });
    cells.fold(Ordering::Equal, Ordering::then).then(a.len().cmp(&b.len()))
}

fn select(db: &Connection, sql: &str) -> Rows {
    let mut statement = db.prepare(sql).unwrap_or_else(|error| panic!("{error} in\n{sql}"));
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        let cell = |at| {
            Ok(match row.get_ref(at)? {
                ValueRef::Null => Cell::Null,
                ValueRef::Integer(value) => value.into(),
                ValueRef::Real(value) => value.into(),
                ValueRef::Text(value) => String::from_utf8_lossy(value).into_owned().into(),
                ValueRef::Blob(_) => panic!("no query has bytes"),
            })
        };
        (0..columns).map(cell).collect()
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// The generator's events as tables. Only where and when an event was recorded comes from the log.
fn database(engine: &Engine, n: usize, start: i64) -> Connection {
    let db = Connection::open_in_memory().unwrap();
    db.execute_batch(
        "CREATE TABLE person (id INTEGER PRIMARY KEY, name, city, state, date_time, position);
         CREATE TABLE auction (id INTEGER PRIMARY KEY, item_name, description, initial_bid, reserve, date_time, expires, seller,
           category, extra, position);
         CREATE TABLE bid (auction, bidder, price, channel, url, date_time, extra, position INTEGER PRIMARY KEY, recorded_at);
         CREATE TABLE side_input (key INTEGER PRIMARY KEY, value);
         BEGIN",
    )
    .unwrap();
    let id = |id: u64| i64::try_from(id).unwrap();
    {
        let mut side = db.prepare("INSERT INTO side_input VALUES (?, ?)").unwrap();
        for line in side_input() {
            side.execute((id(line.key), line.value)).unwrap();
        }
        let mut person = db.prepare("INSERT INTO person VALUES (?, ?, ?, ?, ?, ?)").unwrap();
        let mut auction = db.prepare("INSERT INTO auction VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)").unwrap();
        let mut bid = db.prepare("INSERT INTO bid VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)").unwrap();
        let mut recorded = engine.events::<Nexmark>(1).until_head();
        for event in generate(n, start) {
            let recorded = recorded.next().wait().expect("every event is in the log").unwrap();
            let position = id(recorded.position);
            match event {
                Nexmark::Person { id: person_id, name, city, state, date_time, .. } => {
                    person.execute((id(person_id), name, city, state, date_time, position)).unwrap()
                }
                Nexmark::Auction {
                    id: auction_id,
                    item_name,
                    description,
                    initial_bid,
                    reserve,
                    date_time,
                    expires,
                    seller,
                    category,
                    extra,
                } => auction
                    .execute((
                        id(auction_id),
                        item_name,
                        description,
                        initial_bid,
                        reserve,
                        date_time,
                        expires,
                        id(seller),
                        id(category),
                        extra,
                        position,
                    ))
                    .unwrap(),
                Nexmark::Bid { auction, bidder, price, channel, url, date_time, extra } => {
                    let recorded_at = recorded.recorded_at.as_micros();
                    bid.execute((
                        id(auction),
                        id(bidder),
                        price,
                        channel,
                        url,
                        date_time,
                        extra,
                        position,
                        recorded_at,
                    ))
                    .unwrap()
                }
            };
        }
        assert!(recorded.next().wait().is_none());
    }
    db.execute_batch("COMMIT; CREATE INDEX bids_of ON bid (auction); ANALYZE").unwrap();
    db
}
