//! Going through a view in an order: pages forwards and backwards, by key and by index, at one position.

use std::ops::Bound;

use cqrs_core::prelude::*;
use cqrs_core::{Cursor, CursorError, ReadError, ViewRows};
use proptest::prelude::*;

#[event]
#[derive(Debug)]
pub struct Listed {
    shop: String,
    number: u32,
    price: i64,
}

#[event]
#[derive(Debug)]
pub struct Delisted {
    shop: String,
    number: u32,
}

/// What costs nothing is not shown.
#[projection(from = Listed, remove(Delisted), group_by = (shop, number), having = price != 0, index(price), index(shop, price))]
#[derive(Debug, Clone, PartialEq)]
pub struct Article {
    shop: String,
    number: u32,
    #[last]
    price: i64,
}

fn listed(shop: &str, number: u32, price: i64) -> Listed {
    Listed { shop: shop.into(), number, price }
}

fn shop() -> Engine {
    Engine::in_memory().view::<Article>().start().unwrap()
}

fn keys(rows: impl Iterator<Item = Article>) -> Vec<(String, u32)> {
    rows.map(|row| (row.shop, row.number)).collect()
}

/// Takes rows from both ends, as told, until there are none.
fn from_both_ends(mut rows: ViewRows<Article>, front: &[bool]) -> (Vec<Article>, Vec<Article>) {
    let (mut first, mut last) = (Vec::new(), Vec::new());
    for front in front.iter().cycle() {
        let (row, taken) = if *front { (rows.next(), &mut first) } else { (rows.next_back(), &mut last) };
        let Some(row) = row else { break };
        taken.push(row);
    }
    assert!(rows.next().is_none() && rows.next_back().is_none());
    last.reverse();
    (first, last)
}

#[test]
fn pages_go_forwards_and_backwards() {
    let engine = shop();
    let articles = (0..1_000).map(|n| listed(["a", "b"][n as usize % 2], n, i64::from(n % 10)));
    engine.append_all(articles).wait().unwrap();
    let view = engine.view::<Article>();

    let all = keys(view.rows_by_key().unwrap());
    assert_eq!(all.len(), 900, "those without a price are hidden");
    assert_eq!((view.len().unwrap(), view.is_empty().unwrap()), (1_000, false), "and counted");
    let (all_rows, by_key) = (view.rows().unwrap(), view.rows_by_key().unwrap());
    assert_eq!((all_rows.size_hint(), by_key.size_hint()), ((0, Some(1_000)), (0, Some(1_000))));
    let mut back = keys(view.rows_by_key().unwrap().rev());
    back.reverse();
    assert_eq!(back, all);

    // Page by page, as a service does, whose next request has the last key only.
    let (mut paged, mut last) = (Vec::new(), None::<(String, u32)>);
    loop {
        let page = match &last {
            None => keys(view.rows_by_key().unwrap().take(70)),
            Some((shop, number)) => keys(view.rows_after((shop, *number)).unwrap().take(70)),
        };
        let Some(end) = page.last() else { break };
        last = Some(end.clone());
        paged.extend(page);
    }
    assert_eq!(paged, all);
    let (mut paged, mut first) = (Vec::new(), None::<(String, u32)>);
    loop {
        let page = match &first {
            None => keys(view.rows_by_key().unwrap().rev().take(70)),
            Some((shop, number)) => keys(view.rows_before((shop, *number)).unwrap().rev().take(70)),
        };
        let Some(end) = page.last() else { break };
        first = Some(end.clone());
        paged.extend(page);
    }
    paged.reverse();
    assert_eq!(paged, all);

    // Of a prefix: the last of a shop.
    let newest = keys(view.rows_of("a").unwrap().rev().take(2));
    assert_eq!(newest, [("a".to_owned(), 998), ("a".to_owned(), 996)]);
    // Of an index: the dearest.
    let dearest: Vec<i64> = view.by_price_in(..).unwrap().rev().take(101).map(|row| row.price).collect();
    assert_eq!((dearest.iter().filter(|price| **price == 9).count(), dearest[100]), (100, 8));
    let dearest: Vec<i64> =
        view.by_shop_price_in("a", ..7).unwrap().rev().take(101).map(|row| row.price).collect();
    assert_eq!((dearest[0], dearest[99], dearest[100]), (6, 6, 4), "`a` has the even ones");
}

#[test]
fn a_snapshot_goes_through_views_at_one_position() {
    let engine = shop();
    engine.append_all((1..=600).map(|n| listed("a", n, i64::from(n)))).wait().unwrap();
    engine.snapshot(|views| {
        let rows = views.rows_by_key::<Article>().unwrap();
        let index = views.view::<Article>().unwrap();
        engine.append_all((1..=600).map(|n| listed("a", n, -1))).wait().unwrap();
        engine.append(listed("b", 1, 700)).wait().unwrap();
        assert_eq!(rows.position(), 600);
        assert_eq!(rows.map(|row| row.price).sum::<i64>(), 600 * 601 / 2);
        let dearest: Vec<i64> = index.by_price_in(..).rev().take(300).map(|row| row.price).collect();
        assert!(dearest.iter().copied().eq((301..=600).rev()));
        assert_eq!(index.by_shop("a").count(), 600);
        assert_eq!(keys(views.rows_after(("a", 598)).unwrap()).len(), 2);
        assert_eq!(keys(views.rows_before(("a", 3)).unwrap()).len(), 2);
    });
    let now = engine.view::<Article>().by_price_in(..).unwrap().next_back().unwrap();
    assert_eq!((&*now.shop, now.price), ("b", 700));
}

proptest! {
    #[test]
    fn both_ends_meet(
        articles in prop::collection::vec(("[ab]{0,2}", 0_u32..400, -2_i64..3), 0..700),
        ends in prop::collection::vec(any::<bool>(), 1..20),
        (shop, number) in ("[ab]{0,2}", 0_u32..400),
        (low, high) in (-3_i64..4, -3_i64..4),
    ) {
        let engine = self::shop();
        let view = engine.view::<Article>();
        engine.append_all(articles.iter().map(|(shop, number, price)| listed(shop, *number, *price))).wait().unwrap();
        let mut all: Vec<Article> = view.rows().unwrap().collect();
        all.sort_by(|a, b| (&a.shop, a.number).cmp(&(&b.shop, b.number)));
        let key = (&*shop, number);
        let of = |holds: &dyn Fn(&Article) -> bool| all.iter().filter(|row| holds(row)).cloned().collect::<Vec<_>>();
        let found = [
            (view.rows_by_key().unwrap(), of(&|_| true)),
            (view.rows_after(key).unwrap(), of(&|row| (&*row.shop, row.number) > key)),
            (view.rows_before(key).unwrap(), of(&|row| (&*row.shop, row.number) < key)),
            (view.rows_of(&*shop).unwrap(), of(&|row| row.shop == shop)),
        ];
        for (rows, expected) in found {
            let (first, last) = from_both_ends(rows, &ends);
            prop_assert_eq!([first, last].concat(), expected);
        }
        let bounds = (Bound::Excluded(low), Bound::Included(high));
        let within = |price: i64| low < price && price <= high;
        let found = [
            (view.by_price_in(bounds).unwrap(), of(&|row| within(row.price))),
            (view.by_price(low).unwrap(), of(&|row| row.price == low)),
            (view.by_shop_price_in(&shop, bounds).unwrap(), of(&|row| row.shop == shop && within(row.price))),
            (view.by_shop_in(..=&*shop).unwrap(), of(&|row| row.shop <= shop)),
            (view.by_shop_in(&*shop..).unwrap(), of(&|row| row.shop >= shop)),
        ];
        for (rows, expected) in found {
            let (mut first, last) = from_both_ends(rows, &ends);
            first.extend(last);
            // What is alike in the columns comes by its key.
            prop_assert!(
                first.is_sorted_by_key(|row| (row.price, row.shop.clone(), row.number))
                    || first.is_sorted_by_key(|row| (row.shop.clone(), row.price, row.number))
            );
            first.sort_by(|a, b| (&a.shop, a.number).cmp(&(&b.shop, b.number)));
            prop_assert_eq!(first, expected);
        }
    }

    #[test]
    fn cursors_lead_on_whatever_has_happened(
        articles in prop::collection::vec(("(a|ab|b)", 0_u32..3, prop::option::weighted(0.6, -1_i64..3)), 1..90),
        more in prop::collection::vec(("(a|ab|b)", 0_u32..3, prop::option::weighted(0.6, -1_i64..3)), 0..20),
        cut in 1_usize..9,
        low in -3_i64..3,
    ) {
        let event = |(shop, number, price): &(String, u32, Option<i64>)| match price {
            Some(price) => NewEvent::new(listed(shop, *number, *price)),
            None => NewEvent::new(Delisted { shop: shop.clone(), number: *number }),
        };
        let (engine, at_once) = (shop(), shop());
        let view = engine.view::<Article>();
        // Indexes are made before and followed, and made of what is there.
        prop_assert_eq!((view.by_price_in(..).unwrap().count(), view.by_shop_in(..).unwrap().count()), (0, 0));
        for batch in articles.chunks(cut) {
            engine.append_all(batch.iter().map(event)).wait().unwrap();
        }
        at_once.append_all(articles.iter().map(event)).wait().unwrap();
        type Order<'a> = &'a dyn Fn(&View<Article>) -> Result<ViewRows<Article>, ReadError>;
        let orders: [Order<'_>; 5] = [
            &|view| view.rows_by_key(),
            &|view| view.rows_of("a"),
            &|view| view.by_price_in(low..),
            &|view| view.by_shop("ab"),
            &|view| view.by_shop_price_in("b", low..),
        ];
        let all = |order: Order<'_>| order(&view).unwrap().collect::<Vec<_>>();
        let mut cursors = Vec::new();
        for order in orders {
            let rows = all(order);
            prop_assert_eq!(&order(&at_once.view()).unwrap().collect::<Vec<_>>(), &rows, "however the log was cut");
            prop_assert_eq!(order(&view).unwrap().cursor(), None);
            for taken in 1..=rows.len() {
                let mut page = order(&view).unwrap();
                prop_assert_eq!(page.by_ref().take(taken).count(), taken);
                let cursor: Cursor = page.cursor().unwrap().to_string().parse().unwrap();
                let after = |rows: ViewRows<Article>| rows.after(&cursor).unwrap().collect::<Vec<_>>();
                prop_assert_eq!(&after(order(&view).unwrap())[..], &rows[taken..]);
                prop_assert_eq!(&after(page)[..], &rows[taken..], "also of what is left");
                prop_assert_eq!(&order(&view).unwrap().before(&cursor).unwrap().collect::<Vec<_>>()[..], &rows[..taken - 1]);
                let mut back = order(&view).unwrap();
                prop_assert_eq!(back.by_ref().rev().take(rows.len() - taken + 1).count(), rows.len() - taken + 1);
                prop_assert_eq!(back.cursor_back(), Some(cursor.clone()));
                prop_assert_eq!(&back.before(&cursor).unwrap().collect::<Vec<_>>()[..], &rows[..taken - 1]);
                cursors.push((order, cursor, rows[taken - 1].clone()));
            }
        }
        // Of rows that change, go and come: what is after the place is what is after it.
        engine.append_all(more.iter().map(event)).wait().unwrap();
        for (order, cursor, row) in cursors {
            let rows = all(order);
            let (before, after) = (order(&view).unwrap().before(&cursor).unwrap(), order(&view).unwrap().after(&cursor).unwrap());
            let split: (Vec<_>, Vec<_>) = (before.collect(), after.collect());
            let at = rows.len() - split.0.len() - split.1.len();
            prop_assert!(at <= 1);
            prop_assert!(at == 1 || !rows.contains(&row), "it is neither before nor after itself");
            prop_assert_eq!(&rows[..split.0.len()], &split.0[..]);
            prop_assert_eq!(&rows[split.0.len() + at..], &split.1[..]);
        }
    }
}

#[test]
fn a_cursor_of_another_order_is_refused() {
    let engine = shop();
    engine.append_all((1..=9).map(|n| listed("a", n, i64::from(n)))).wait().unwrap();
    let view = engine.view::<Article>();
    let mut rows = view.by_price_in(..).unwrap();
    rows.next();
    let cursor = rows.cursor().unwrap();
    assert_eq!(view.by_price_in(..3).unwrap().after(&cursor).unwrap().count(), 1);
    assert_eq!(view.by_shop("a").unwrap().after(&cursor).err(), Some(CursorError::OtherOrder));
    assert_eq!(view.rows_by_key().unwrap().before(&cursor).err(), Some(CursorError::OtherOrder));
    let mut rows = view.rows().unwrap();
    rows.next();
    assert_eq!(rows.cursor(), None);
    assert_eq!(rows.after(&cursor).err(), Some(CursorError::Unordered));
    // What a client has made up leads somewhere.
    let text = cursor.to_string();
    for forged in [&text[..16], &text[..18], &format!("{text}ffff")] {
        let forged: Cursor = forged.parse().unwrap();
        let (before, after) =
            (view.by_price_in(..).unwrap().before(&forged), view.by_price_in(..).unwrap().after(&forged));
        assert_eq!(before.unwrap().count() + after.unwrap().count(), 9);
    }
    // In a snapshot as well.
    engine.snapshot(|views| {
        let mut rows = views.view::<Article>().unwrap().by_price_in(..);
        assert_eq!(rows.by_ref().take(4).count(), 4);
        assert_eq!(rows.cursor().map(|cursor| rows.after(&cursor).unwrap().count()), Some(5));
    });
}

#[test]
fn keys_that_change_their_numbers_stay_in_an_index() {
    let engine = shop();
    let view = engine.view::<Article>();
    let two = || [1, 2].map(|number| NewEvent::new(listed("a", number, 5)));
    let neither = [1, 2].map(|number| NewEvent::new(Delisted { shop: "a".into(), number }));
    engine.append_all(two()).wait().unwrap();
    assert_eq!(keys(view.by_price(5).unwrap()), [("a".into(), 1), ("a".into(), 2)]);
    // Each comes back under the number of the other; in between, something else happens, so that both copies of the view have followed.
    for number in 0..6 {
        engine.append(listed("b", number, 1)).wait().unwrap();
        assert_eq!(view.by_price(5).unwrap().count() + view.by_shop("a").unwrap().count(), 4);
        engine.append_all(neither.clone().into_iter().chain(two())).wait().unwrap();
        assert_eq!(keys(view.by_price(5).unwrap()), [("a".into(), 1), ("a".into(), 2)]);
        assert_eq!(keys(view.by_shop("a").unwrap()), [("a".into(), 1), ("a".into(), 2)]);
    }
    engine.append_all(neither).wait().unwrap();
    assert_eq!(view.by_price_in(..).unwrap().count(), 6);
}
