//! What has to hold of an engine, whatever came before: its views are what plain loops say of the log up to where they stand.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use cqrs_core::prelude::*;
use cqrs_core::{Snapshot, ViewRows};

use crate::history::History;
use crate::language::{Account, Depth, Minute, Order, Stock};
use crate::model::{Model, accounts, riddles};

fn same<K: Ord + Debug, P: Debug + PartialEq>(
    name: &str,
    position: u64,
    rows: Result<BTreeMap<K, P>, ReadError>,
    expected: &BTreeMap<K, P>,
) {
    let rows = rows.unwrap_or_else(|error| panic!("{name} does not answer: {error}"));
    assert_eq!(&rows, expected, "{name} at position {position}");
}

fn keyed<P: Projection, K: Ord>(
    rows: Result<ViewRows<P>, ReadError>,
    key: impl Fn(&P) -> K,
) -> Result<BTreeMap<K, P>, ReadError> {
    Ok(rows?.map(|row| (key(&row), row)).collect())
}

/// Holds all views, at one position, against the log; which is that position.
pub(crate) fn check_views(engine: &Engine, history: &History, explained: bool) -> u64 {
    let position = engine.snapshot(|views| {
        let late = engine.view::<Minute>().late().unwrap();
        check_snapshot(views, history, late);
        views.position()
    });
    check_accounts(engine, history, explained);
    position
}

fn check_snapshot(views: &Snapshot<'_>, history: &History, late: u64) {
    let position = views.position();
    assert!(position <= history.head(), "views are ahead of the log");
    let model = Model::of(&history.events[..position as usize]);
    let stock = model.stock();
    same("Stock", position, keyed(views.rows::<Stock>(), |row| row.item), &stock);
    same("Depth", position, keyed(views.rows::<Depth>(), |row| row.deep), &model.depth());
    same("Order", position, keyed(views.rows::<Order>(), |row| row.order), &model.orders());
    let minutes = keyed(views.rows::<Minute>(), |row| (row.sensor, row.window_start));
    same("Minute", position, minutes, &model.minutes());
    assert_eq!(late, model.late, "events that came too late, at position {position}");
    for item in 0..4 {
        assert_eq!(views.get::<Stock>(item).unwrap().as_ref(), stock.get(&item), "the item {item}");
    }
    let of_sensor = keyed(views.rows_of::<Minute, _>(1_u8), |row| row.window_start);
    let expected = model.minutes().into_iter().filter(|((sensor, _), _)| *sensor == 1);
    same("a sensor", position, of_sensor, &expected.map(|((_, start), row)| (start, row)).collect());
}

/// What is parked, and the rows without it: nothing else may be left out.
fn check_accounts(engine: &Engine, history: &History, explained: bool) {
    let view = engine.view::<Account>();
    let parked: BTreeSet<u64> = view.parked().unwrap().iter().map(|it| it.position).collect();
    let position = view.position().unwrap();
    let events = &history.events[..position as usize];
    let riddles = riddles(events);
    assert!(parked.is_subset(&riddles), "{parked:?} are parked, and only {riddles:?} may be");
    assert!(explained || parked == riddles, "of {riddles:?}, {parked:?} are parked");
    same("Account", position, keyed(view.rows(), |row| row.customer), &accounts(events, &parked));
}

/// All that can be told of rows, to be compared after a restart.
pub(crate) fn rows(engine: &Engine) -> Vec<String> {
    engine.snapshot(|views| {
        let mut all = Vec::new();
        all.extend(views.rows::<Stock>().unwrap().map(|row| format!("{row:?}")));
        all.extend(views.rows::<Depth>().unwrap().map(|row| format!("{row:?}")));
        all.extend(views.rows::<Order>().unwrap().map(|row| format!("{row:?}")));
        all.extend(views.rows::<Minute>().unwrap().map(|row| format!("{row:?}")));
        all.extend(views.rows::<Account>().unwrap().map(|row| format!("{row:?}")));
        all.sort();
        all
    })
}
