//! Going through a view in an order: pages forwards and backwards, by key and by index, at one position.

use std::ops::Bound;

use cqrs_core::ViewRows;
use cqrs_core::prelude::*;
use proptest::prelude::*;

#[event]
#[derive(Debug)]
pub struct Listed {
    shop: String,
    number: u32,
    price: i64,
}

/// What costs nothing is not shown.
#[projection(from = Listed, group_by = (shop, number), having = price != 0, index(price), index(shop, price))]
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
            prop_assert!(first.is_sorted_by_key(|row| row.price) || first.is_sorted_by_key(|row| (row.shop.clone(), row.price)));
            first.sort_by(|a, b| (&a.shop, a.number).cmp(&(&b.shop, b.number)));
            prop_assert_eq!(first, expected);
        }
    }
}
