use syn::DeriveInput;

use super::read::snake_case;
use super::*;
use crate::errors::Errors;

/// What is understood of a projection without mistakes.
#[track_caller]
fn understood<T>(item: &str, look: impl FnOnce(Projection<'_>) -> T) -> T {
    let item: DeriveInput = syn::parse_str(item).unwrap();
    let mut errors = Errors::default();
    let model = read(&item, &mut errors);
    assert!(errors.is_empty(), "{}", errors.into_tokens());
    look(model)
}

fn actions(model: &Projection<'_>) -> Vec<(String, Action, usize)> {
    let events = model.sources.iter().enumerate().flat_map(|(at, source)| {
        source.events.iter().map(move |event| (event.name.to_string(), event.action, at))
    });
    events.collect()
}

#[test]
fn one_enum_in_several_options_is_one_source() {
    let item = "
        #[__cqrs_projection(
            from(Cart { Added, .. }, Bought if qty > 0),
            remove(Cart { Dropped { item: what }, Cleared { customer: who, .. } if sure }, Gone { customer, item, .. }),
            by_hand(Cart { Noted }),
            group_by = (customer, item),
        )]
        struct Row {
            customer: String,
            item: String,
            #[sum(Added => qty)] qty: i64,
            #[last(note)] last: Option<String>,
            note: String,
        }";
    understood(item, |model| {
        let removes = |prefix| Action::Remove { prefix };
        assert_eq!(
            actions(&model),
            [
                ("Added".to_owned(), Action::Fold, 0),
                ("Dropped".to_owned(), removes(None), 0),
                ("Cleared".to_owned(), removes(Some(1)), 0),
                ("Noted".to_owned(), Action::ByHand, 0),
                ("Bought".to_owned(), Action::Fold, 1),
                // All of the key is no prefix.
                ("Gone".to_owned(), removes(None), 2),
            ]
        );
        assert_eq!(model.sources[0].open, Some(true));
        assert!(model.sources[0].events[2].guard.is_some());
        assert_eq!(model.sources[0].events[2].keys[0].name, "customer");
        let Column::Aggregate(qty) = &model.fields[2].column else { panic!() };
        let taken: Vec<Vec<_>> =
            qty.inputs.iter().map(|events| events.iter().map(Vec::len).collect()).collect();
        assert_eq!(taken, [vec![1, 0, 0, 0], vec![0], vec![0]]);
        let Column::Aggregate(last) = &model.fields[3].column else { panic!() };
        // The first event of a row may be one that is folded by hand.
        assert!(last.may_be_empty);
        assert!(matches!(model.fields[4].column, Column::Plain));
    });
}

#[test]
fn an_event_that_removes_leaves_no_column_empty() {
    let item = "
        #[__cqrs_projection(from = Added, remove = Dropped, group_by = item)]
        struct Row { item: String, #[last(at)] at: i64 }";
    understood(item, |model| {
        let Column::Aggregate(at) = &model.fields[1].column else { panic!() };
        assert!(!at.may_be_empty);
    });
}

#[test]
fn all_groups_are_a_prefix_of_the_windows() {
    let item = "
        #[__cqrs_projection(
            from = Added, remove(a::Gone { item, .. }, b::Gone), group_by = item, window = tumbling(at, \"1h\")
        )]
        struct Row { item: String, window_end: i64, #[count] n: u64 }";
    understood(item, |model| {
        let actions: Vec<_> = actions(&model).into_iter().map(|(_, action, _)| action).collect();
        let removes = |prefix| Action::Remove { prefix };
        assert_eq!(actions, [Action::Fold, removes(Some(1)), removes(None)]);
    });
}

#[test]
fn windows_are_understood() {
    let shape = |window: &str| {
        let item = format!(
            "#[__cqrs_projection(from = Bid, group_by = auction, window = {window})]
            struct Row {{ auction: u64, window_start: i64, window_end: i64, #[count] bids: u64 }}"
        );
        understood(&item, |model| {
            assert!(matches!(model.fields[1].column, Column::WindowStart));
            assert!(matches!(model.fields[2].column, Column::WindowEnd));
            assert_eq!(model.groups.len(), 1);
            let window = model.window.unwrap();
            (window.shape, window.lateness, window.keep, window.max_ahead, window.emit_final, window.unit)
        })
    };
    assert_eq!(
        shape("tumbling(at, \"1s\"), lateness = \"2s\", keep = \"3s\", emit = \"final\", unit = \"ms\""),
        (
            Shape::Tumbling { size: 1_000_000 },
            Some(2_000_000),
            Some(3_000_000),
            None,
            true,
            Some(Unit::Millis)
        )
    );
    assert_eq!(
        shape("hopping(meta.recorded_at, \"1s\", every = \"1ms\",), max_ahead = \"1us\""),
        (Shape::Hopping { size: 1_000_000, every: 1_000 }, None, None, Some(1), false, None)
    );
    assert_eq!(
        shape("session(at * 1000, gap = \"5us\")"),
        (Shape::Session { gap: 5 }, None, None, None, false, None)
    );
}

#[test]
fn each_joins_and_indexes_are_understood() {
    let item = "
        #[__cqrs_projection(
            from = Ordered,
            each(Line { item, qty: n, .. } in lines.iter()),
            join(listing = shop::Listings[item], seller = Sellers[(listing.country, listing.seller)]),
            left_join(tax = Taxes[()]),
            group_by = (item, kind = listing.kind),
            index(kind),
            index(kind, total),
        )]
        struct Row { item: String, kind: String, #[sum(n if n > 0)] total: u64 }";
    understood(item, |model| {
        assert_eq!(model.each.unwrap().names, ["item", "n"]);
        let joins: Vec<_> = model.joins.iter().map(|join| (join.name.to_string(), join.left)).collect();
        assert_eq!(
            joins,
            [("listing".to_owned(), false), ("seller".to_owned(), false), ("tax".to_owned(), true)]
        );
        let indexes: Vec<Vec<_>> = model
            .indexes
            .iter()
            .map(|index| index.columns.iter().map(ToString::to_string).collect())
            .collect();
        assert_eq!(indexes, [vec!["kind"], vec!["kind", "total"]]);
    });
}

#[test]
fn the_aggregates_are_understood() {
    let item = "
        #[__cqrs_projection(from(A, B), group_by = ())]
        struct Row {
            #[variance] variance: f64,
            #[stddev(A => x)] stddev: Option<f64>,
            #[count_distinct(x if x > 0)] distinct: u64,
            #[collect(x, limit = 2 * LIMIT)] collect: Vec<u8>,
            #[top(3)] top: Vec<u8>,
            #[top(2, A => x, B if y => z, by = at)] top_by: Vec<u8>,
            #[any(x > 0)] any: bool,
            #[all] all: bool,
            #[fold(my::Quantile<95>, A => x)] fold: f64,
            #[fold(my::Median)] median: f64,
        }";
    understood(item, |model| {
        let all = model.fields.iter().map(|field| match &field.column {
            Column::Aggregate(aggregate) => {
                let taken: Vec<_> = aggregate.inputs.iter().map(|events| events[0].len()).collect();
                (aggregate.kind, aggregate.may_be_empty, taken)
            }
            _ => panic!(),
        });
        use Kind::*;
        assert_eq!(
            all.collect::<Vec<_>>(),
            [
                (Variance, false, vec![1, 1]),
                (Stddev, true, vec![1, 0]),
                (CountDistinct, false, vec![1, 1]),
                (Collect, false, vec![1, 1]),
                (Top, false, vec![1, 1]),
                (TopBy, false, vec![1, 1]),
                (Any, false, vec![1, 1]),
                (All, false, vec![1, 1]),
                (Fold, false, vec![1, 0]),
                (Fold, false, vec![1, 1]),
            ]
        );
    });
}

#[test]
fn stored_names_are_snake_case() {
    assert_eq!(snake_case("CustomerPurchases"), "customer_purchases");
    assert_eq!(snake_case("HTTPRequests2xx"), "http_requests2xx");
    assert_eq!(snake_case("A"), "a");
}
