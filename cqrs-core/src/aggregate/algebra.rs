//! What holds of all aggregates: what remains after values went is what a fold of those left makes, and two rows that become one are
//! what a fold of both makes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::table::Elements;

/// Values that come; with some, one that is there goes.
type Ops<T> = Vec<(T, Option<Index>)>;

fn ops<T: Debug>(value: impl Strategy<Value = T>) -> impl Strategy<Value = Ops<T>> {
    prop::collection::vec((value, prop::option::of(any::<Index>())), 0..30)
}

fn bytes(state: &impl State) -> Vec<u8> {
    let mut out = Vec::new();
    state.write(&mut out);
    out
}

fn back<S: State>(state: &S) -> S {
    let out = bytes(state);
    let mut input = out.as_slice();
    let back = S::read(&mut input).unwrap();
    assert!(input.is_empty());
    assert_eq!(bytes(&back), out);
    back
}

fn assert_same<C: Value>(left: &C, right: &C) {
    assert!(left.same(right), "{:?} is not {:?}", left.sql(), right.sql());
}

/// One aggregate: its step, and its column.
struct Case<S, T, P, C> {
    step: fn(&S, Sign, &T) -> Result<P, ColumnFault>,
    commit: fn(&mut S, P, &mut Cell<'_>),
    get: fn(&S, &Shown<'_>) -> Option<C>,
}

impl<S: Merge, T: Clone, P, C: Value> Case<S, T, P, C> {
    fn one(&self, state: &mut S, elements: &mut Elements, row: u32, sign: Sign, value: &T) {
        let step = (self.step)(state, sign, value).unwrap();
        (self.commit)(state, step, &mut elements.cells(row).at(3));
    }

    fn get(&self, state: &S, elements: &Elements, row: u32) -> C {
        (self.get)(state, &elements.shown(row).at(3)).unwrap()
    }

    fn fold(&self, elements: &mut Elements, row: u32, values: &[T]) -> S {
        let mut state = S::default();
        values.iter().for_each(|value| self.one(&mut state, elements, row, Sign::Insert, value));
        back(&state)
    }

    /// Merging is folding both.
    fn merges(&self, values: &[T], at: usize, same: fn(&C, &C)) -> C {
        let mut elements = Elements::default();
        let whole = self.fold(&mut elements, 7, values);
        let (left, right) = values.split_at(at.min(values.len()));
        let mut state = self.fold(&mut elements, 8, left);
        let later = self.fold(&mut elements, 9, right);
        state.merge(&later, &mut elements.cells(8).at(3), 9).unwrap();
        assert!(elements.shown(9).at(3).first().is_none());
        let whole = self.get(&whole, &elements, 7);
        same(&whole, &self.get(&state, &elements, 8));
        // And it goes on as it would have.
        let mut state = back(&state);
        for value in values {
            self.one(&mut state, &mut elements, 8, Sign::Insert, value);
        }
        let twice = self.fold(&mut elements, 10, &[values, values].concat());
        same(&self.get(&twice, &elements, 10), &self.get(&state, &elements, 8));
        whole
    }

    /// Taking back is never having come. Returns what is left, and the column.
    fn retracts(&self, ops: &Ops<T>) -> (Vec<T>, C) {
        let (mut elements, mut state, mut left) = (Elements::default(), S::default(), Vec::new());
        for (value, goes) in ops {
            self.one(&mut state, &mut elements, 1, Sign::Insert, value);
            left.push(value.clone());
            if let Some(goes) = goes {
                let gone = left.remove(goes.index(left.len()));
                self.one(&mut state, &mut elements, 1, Sign::Remove, &gone);
                state = back(&state);
            }
        }
        let scratch = self.fold(&mut elements, 2, &left);
        let column = self.get(&state, &elements, 1);
        assert_same(&column, &self.get(&scratch, &elements, 2));
        assert!(elements.shown(1).at(3).iter().eq(elements.shown(2).at(3).iter()));
        assert_same(&column, &self.merges(&left, left.len() / 2, assert_same));
        // And all of it.
        for gone in &left {
            self.one(&mut state, &mut elements, 1, Sign::Remove, gone);
        }
        assert!(elements.shown(1).at(3).first().is_none());
        let empty = (self.get)(&S::default(), &elements.shown(0).at(3)).map(|c| c.sql());
        let now = (self.get)(&state, &elements.shown(1).at(3)).map(|c| c.sql());
        assert_eq!(format!("{now:?}"), format!("{empty:?}"));
        (left, column)
    }
}

macro_rules! case {
    ($state:ty, $value:ty => $column:ty: |$s:ident, $sign:ident, $v:ident| $step:expr) => {
        Case::<$state, $value, _, $column> {
            step: |$s, $sign, $v| {
                let _ = $sign;
                $step
            },
            commit: <$state>::commit,
            get: |s, shown| s.get(shown),
        }
    };
}

type Of<M> = <M as Mode>::CountDistinct;

fn floats() -> impl Strategy<Value = f64> {
    prop_oneof![
        prop::num::f64::ANY,
        -1e3..1e3,
        prop::sample::select(vec![
            1e300,
            -1e300,
            f64::MAX,
            f64::MIN,
            1.0,
            1e-300,
            -0.0,
            0.1,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::NAN
        ]),
    ]
}

fn near(left: &f64, right: &f64) {
    assert!((left - right).abs() <= 1e-9 * (1.0 + left.abs()), "{left} {right}");
}

fn near_option(left: &Option<f64>, right: &Option<f64>) {
    near(&left.unwrap_or(-1.0), &right.unwrap_or(-1.0));
}

proptest! {
    #[test]
    fn counts(ops in ops(Just(()))) {
        let (left, column) = case!(Count, () => u64: |s, sign, _v| s.step(sign)).retracts(&ops);
        prop_assert_eq!(column, left.len() as u64);
    }

    #[test]
    fn sums_of_integers(ops in ops(prop::option::of(-4_i8..4))) {
        let (left, column) =
            case!(<Changing as Mode>::Sum<i64>, Option<i8> => i64: |s, sign, v| s.step(sign, v)).retracts(&ops);
        prop_assert_eq!(column, left.iter().flatten().map(|n| i64::from(*n)).sum::<i64>());
        let (left, column) =
            case!(ExactSum<Option<i8>>, Option<i8> => Option<i8>: |s, sign, v| s.step(sign, v)).retracts(&ops);
        let any = left.iter().any(Option::is_some);
        prop_assert_eq!(column, any.then(|| left.iter().flatten().sum::<i8>()));
        case!(Sum<Option<i64>>, Option<i8> => Option<i64>: |s, _sign, v| s.step(Appends, v)).merges(&left, 3, assert_same);
    }

    #[test]
    fn sums_of_wide_integers(ops in ops(0..u128::MAX / 64)) {
        let (left, column) = case!(ExactSum<u128>, u128 => u128: |s, sign, v| s.step(sign, v)).retracts(&ops);
        prop_assert_eq!(column, left.iter().sum::<u128>());
    }

    #[test]
    fn sums_of_durations(ops in ops((0..u32::MAX, 0..1_000_000_000_u32).prop_map(|(s, n)| std::time::Duration::new(s.into(), n)))) {
        use std::time::Duration;
        let (left, column) = case!(ExactSum<Duration>, Duration => Duration: |s, sign, v| s.step(sign, v)).retracts(&ops);
        prop_assert_eq!(column, left.iter().sum::<Duration>());
    }

    #[test]
    fn sums_of_floats(ops in ops(floats())) {
        let (mut left, column) = case!(ExactSum<f64>, f64 => f64: |s, sign, v| s.step(sign, v)).retracts(&ops);
        left.retain(|n| n.is_finite());
        if column.is_finite() && left.len() == 2 {
            prop_assert_eq!(column, left[0] + left[1]);
        }
        case!(ExactSum<Option<f64>>, f64 => Option<f64>: |s, sign, v| s.step(sign, v)).retracts(&ops);
    }

    #[test]
    fn sums_of_single_floats(ops in ops(prop::num::f32::ANY)) {
        case!(ExactSum<f32>, f32 => f32: |s, sign, v| s.step(sign, v)).retracts(&ops);
    }

    #[test]
    fn averages(ops in ops(floats()), integers in ops(any::<i64>())) {
        case!(<Changing as Mode>::Avg, f64 => Option<f64>: |s, sign, v| s.step(sign, v)).retracts(&ops);
        let (left, column) = case!(ExactAvg, i64 => f64: |s, sign, v| s.step(sign, v)).retracts(&integers);
        if left.is_empty() {
            prop_assert!(column.is_nan());
        } else {
            let sum: i128 = left.iter().map(|n| i128::from(*n)).sum();
            near(&column, &(sum as f64 / left.len() as f64));
        }
    }

    #[test]
    fn spreads(ops in ops(floats()), integers in ops(-100_i32..100), near_ops in ops(1e3..1e3 + 1.0), at in 0_usize..30) {
        case!(<Changing as Mode>::Variance, f64 => Option<f64>: |s, sign, v| s.step(sign, v)).retracts(&ops);
        case!(<Changing as Mode>::Stddev, f64 => Option<f64>: |s, sign, v| s.step(sign, v)).retracts(&ops);
        let (left, column) = case!(ExactVariance, i32 => Option<f64>: |s, sign, v| s.step(sign, v)).retracts(&integers);
        let n = left.len() as f64;
        let mean = left.iter().map(|n| f64::from(*n)).sum::<f64>() / n;
        let plain = left.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / n;
        near_option(&column, &Some(plain).filter(|plain| plain.is_finite()));
        // Integers over events are exact too.
        let over_events = case!(Variance, i32 => Option<f64>: |s, _sign, v| s.step(Appends, v)).merges(&left, at, assert_same);
        prop_assert_eq!(over_events, column);
        let (left, column) = case!(ExactStddev, f64 => Option<f64>: |s, sign, v| s.step(sign, v)).retracts(&near_ops);
        let over_events = case!(Stddev, f64 => Option<f64>: |s, _sign, v| s.step(Appends, v)).merges(&left, at, near_option);
        near_option(&over_events, &column);
    }

    #[test]
    fn truths(ops in ops(prop::option::of(any::<bool>()))) {
        let (left, column) = case!(Any, Option<bool> => bool: |s, sign, v| s.step(sign, v)).retracts(&ops);
        prop_assert_eq!(column, left.iter().flatten().any(|b| *b));
        let (left, column) = case!(All, Option<bool> => bool: |s, sign, v| s.step(sign, v)).retracts(&ops);
        prop_assert_eq!(column, left.iter().flatten().all(|b| *b));
    }

    #[test]
    fn distinct(ops in ops(prop::option::of("[ab]{0,2}")), at in 0_usize..30) {
        let (left, column) =
            case!(Of<Changing>, Option<String> => u64: |s, sign, v| s.step(sign, &v.as_deref())).retracts(&ops);
        let plain = left.iter().flatten().collect::<BTreeSet<_>>().len() as u64;
        prop_assert_eq!(column, plain);
        let column = case!(Of<Appended>, Option<String> => u64: |s, _sign, v| s.step(Appends, v)).merges(&left, at, assert_same);
        prop_assert_eq!(column, plain);
    }

    #[test]
    fn extremes(ops in ops(prop::option::of(-3_i16..3)), at in 0_usize..30) {
        let (left, column) =
            case!(<Changing as Mode>::Extreme<Min, Option<i16>>, Option<i16> => Option<i16>: |s, sign, v| s.step(sign, v)).retracts(&ops);
        prop_assert_eq!(column, left.iter().flatten().min().copied());
        let (left, column) =
            case!(ExtremeOf<Max, Option<i16>>, Option<i16> => Option<i16>: |s, sign, v| s.step(sign, v)).retracts(&ops);
        prop_assert_eq!(column, left.iter().flatten().max().copied());
        case!(Extreme<Max, Option<i16>>, Option<i16> => Option<i16>: |s, _sign, v| s.step(Appends, v)).merges(&left, at, assert_same);
    }

    #[test]
    fn first_and_last_by(ops in ops((prop::option::of("[ab]{0,2}"), 0_u8..4)), at in 0_usize..30) {
        type Text = Option<String>;
        let (left, column) =
            case!(<Changing as Mode>::FirstBy<Text>, (Text, u8) => Text: |s, sign, v| s.step(sign, &v.0.as_deref(), &v.1)).retracts(&ops);
        prop_assert_eq!(column, left.iter().map(|(text, by)| (by, text)).min().and_then(|(_, text)| text.clone()));
        let (left, column) =
            case!(<Changing as Mode>::LastBy<Text>, (Text, u8) => Text: |s, sign, v| s.step(sign, &v.0, &v.1)).retracts(&ops);
        prop_assert_eq!(column, left.iter().map(|(text, by)| (by, text)).max().and_then(|(_, text)| text.clone()));
        case!(FirstBy<Text>, (Text, u8) => Text: |s, _sign, v| s.step(Appends, &v.0, &v.1)).merges(&left, at, assert_same);
        case!(LastBy<Text>, (Text, u8) => Text: |s, _sign, v| s.step(Appends, &v.0, &v.1)).merges(&left, at, assert_same);
    }

    #[test]
    fn lists(ops in ops(prop::option::of("[ab]{0,2}")), at in 0_usize..30) {
        type Back = <Changing as Mode>::Collect<Vec<String>>;
        type Log = <Appended as Mode>::Collect<Vec<String>>;
        let (left, column) = case!(Back, Option<String> => Vec<String>: |s, sign, v| s.step(sign, &v.as_deref())).retracts(&ops);
        let plain: Vec<_> = left.iter().flatten().cloned().collect();
        let mut sorted = plain.clone();
        sorted.sort();
        prop_assert_eq!(&column, &sorted);
        let column = case!(Log, Option<String> => Vec<String>: |s, _sign, v| s.step(Appends, v)).merges(&left, at, assert_same);
        prop_assert_eq!(&column, &plain);
        sorted.truncate(3);
        let (_, column) = case!(Back, Option<String> => Vec<String>: |s, sign, v| s.step_limited(sign, v, 3)).retracts(&ops);
        prop_assert_eq!(&column, &sorted);
        let column = case!(Log, Option<String> => Vec<String>: |s, _sign, v| s.step_limited(Appends, v, 3)).merges(&left, at, assert_same);
        prop_assert_eq!(&column[..], &plain[..plain.len().min(3)]);
    }

    #[test]
    fn sets(ops in ops(0_u8..8), at in 0_usize..30) {
        type Set = BTreeSet<u8>;
        type Back = <Changing as Mode>::Collect<Set>;
        type Log = <Appended as Mode>::Collect<Set>;
        let (left, column) = case!(Back, u8 => Set: |s, sign, v| s.step(sign, v)).retracts(&ops);
        let plain: Set = left.iter().copied().collect();
        prop_assert_eq!(&column, &plain);
        prop_assert_eq!(&case!(Log, u8 => Set: |s, _sign, v| s.step(Appends, v)).merges(&left, at, assert_same), &plain);
        let plain: Set = plain.into_iter().take(3).collect();
        prop_assert_eq!(&case!(Back, u8 => Set: |s, sign, v| s.step_limited(sign, v, 3)).retracts(&ops).1, &plain);
        prop_assert_eq!(&case!(Log, u8 => Set: |s, _sign, v| s.step_limited(Appends, v, 3)).merges(&left, at, assert_same), &plain);
    }

    #[test]
    fn maps(ops in ops(("[ab]{0,2}", 0_u8..4)), at in 0_usize..30) {
        type Pair = (String, u8);
        type Map = BTreeMap<String, u8>;
        type Back = <Changing as Mode>::Collect<Map>;
        type Log = <Appended as Mode>::Collect<Map>;
        let (left, column) = case!(Back, Pair => Map: |s, sign, v| s.step(sign, &(v.0.as_str(), v.1))).retracts(&ops);
        let mut sorted = left.clone();
        sorted.sort();
        let first = |map: Map| map.into_iter().take(2).collect::<Map>();
        let (greatest, latest): (Map, Map) = (sorted.into_iter().collect(), left.iter().cloned().collect());
        prop_assert_eq!(&column, &greatest);
        prop_assert_eq!(&case!(Log, Pair => Map: |s, _sign, v| s.step(Appends, v)).merges(&left, at, assert_same), &latest);
        prop_assert_eq!(case!(Back, Pair => Map: |s, sign, v| s.step_limited(sign, v, 2)).retracts(&ops).1, first(greatest));
        let limited = case!(Log, Pair => Map: |s, _sign, v| s.step_limited(Appends, &(v.0.as_str(), Some(v.1)), 2));
        prop_assert_eq!(limited.merges(&left, at, assert_same), first(latest));
    }

    #[test]
    fn tops(ops in ops((0_u16..9, "[ab]{0,2}")), at in 0_usize..30) {
        type Row = (u16, String);
        type Back<C> = <Changing as Mode>::Top<C>;
        type Log<C> = <Appended as Mode>::Top<C>;
        let (mut left, column) = case!(Back<Vec<u16>>, Row => Vec<u16>: |s, sign, v| s.step(sign, &v.0, 3)).retracts(&ops);
        let log = left.clone();
        left.sort_by(|a, b| b.cmp(a));
        left.truncate(3);
        let values: Vec<_> = left.iter().map(|(n, _)| *n).collect();
        prop_assert_eq!(&column, &values);
        prop_assert_eq!(&case!(Log<Vec<u16>>, Row => Vec<u16>: |s, _sign, v| s.step(Appends, &v.0, 3)).merges(&log, at, assert_same), &values);
        let by = case!(Back<Vec<String>>, Row => Vec<String>: |s, sign, v| s.step_by(sign, &v.1.as_str(), &v.0, 3));
        prop_assert_eq!(by.retracts(&ops).1, left.into_iter().map(|(_, text)| text).collect::<Vec<_>>());
        // Stable: the earliest first.
        let mut stable = log.clone();
        stable.sort_by_key(|(n, _)| std::cmp::Reverse(*n));
        let by = case!(Log<Vec<String>>, Row => Vec<String>: |s, _sign, v| s.step_by(Appends, &v.1, &v.0, 3));
        prop_assert_eq!(by.merges(&log, at, assert_same), stable.into_iter().take(3).map(|(_, text)| text).collect::<Vec<_>>());
    }

    #[test]
    fn users(ops in ops("[ab]{0,3}"), at in 0_usize..30) {
        let (left, column) = case!(<Changing as Mode>::Custom<Letters>, String => u64: |s, sign, v| s.step(sign, &v.as_str())).retracts(&ops);
        prop_assert_eq!(column, left.iter().map(|text| text.len() as u64).sum::<u64>());
        let over_events = case!(<Appended as Mode>::Custom<Letters>, String => u64: |s, _sign, v| s.step(Appends, v));
        prop_assert_eq!(over_events.merges(&left, at, assert_same), column);
    }
}

#[cfg(feature = "rust_decimal")]
proptest! {
    #[test]
    fn sums_of_decimals(ops in ops((any::<i64>(), 0_u32..28).prop_map(|(n, scale)| rust_decimal::Decimal::new(n, scale)))) {
        use rust_decimal::Decimal;
        let (left, column) = case!(ExactSum<Decimal>, Decimal => Decimal: |s, sign, v| s.step(sign, v)).retracts(&ops);
        if left.len() == 2 {
            prop_assert_eq!(column, left[0] + left[1]);
        }
        let (_, set) = case!(<Changing as Mode>::Collect<Vec<Decimal>>, Decimal => Vec<Decimal>: |s, sign, v| s.step(sign, v)).retracts(&ops);
        prop_assert_eq!(set.len(), left.len());
    }
}

/// How many letters.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
struct Letters {
    letters: u64,
}

impl Aggregate for Letters {
    type Input = String;
    type Output = u64;
    fn insert(&mut self, input: &String) -> Result<(), String> {
        if input.contains('!') {
            return Err("no shouting".into());
        }
        self.letters += input.len() as u64;
        Ok(())
    }
    fn output(&self) -> u64 {
        self.letters
    }
}

impl Retract for Letters {
    fn remove(&mut self, input: &String) -> Result<(), String> {
        self.letters -= input.len() as u64;
        Ok(())
    }
}

impl Combine for Letters {
    fn combine(&mut self, later: &Self) {
        self.letters += later.letters;
    }
}

#[test]
fn a_users_aggregate_turns_a_value_away() {
    let fault = Custom::<Letters>::default().step(Appends, &"oh!").unwrap_err();
    assert_eq!(fault.to_string(), "no shouting");
}

#[test]
fn an_exact_sum_does_not_lose_what_is_small() {
    let case = case!(ExactSum<f64>, f64 => f64: |s, sign, v| s.step(sign, v));
    let (mut elements, mut state) = (Elements::default(), ExactSum::default());
    for (sign, value) in [
        (Sign::Insert, 0.1),
        (Sign::Insert, 1e300),
        (Sign::Insert, f64::NAN),
        (Sign::Remove, 1e300),
        (Sign::Remove, f64::NAN),
    ] {
        case.one(&mut state, &mut elements, 0, sign, &value);
    }
    assert_eq!(case.get(&state, &elements, 0), 0.1);
    let sum = ExactSum::<i8>::default();
    assert_eq!(sum.step(Sign::Remove, &-128_i8).unwrap_err(), ColumnFault::Overflow);
}

#[test]
fn values_that_are_too_long_are_turned_away() {
    let long = "x".repeat(1 << 24);
    let distinct = CountDistinct::<Appended>::default();
    assert_eq!(distinct.step(Appends, &long.as_str()).unwrap_err(), ColumnFault::TooLong);
}

#[test]
fn over_events_only_the_best_are_kept() {
    let (mut elements, mut top) = (Elements::default(), Top::<Appended, Vec<u64>>::default());
    for n in 0..1000_u64 {
        let step = top.step(Appends, &(n * 7 % 1000), 3).unwrap();
        top.commit(step, &mut elements.cells(0).at(0));
    }
    assert_eq!(elements.shown(0).at(0).iter().count(), 3);
    assert_eq!(top.get(&elements.shown(0).at(0)), Some(vec![999, 998, 997]));
}

#[test]
fn over_events_no_more_is_kept_than_is_shown() {
    fn kept<C: Collected + CollectInto<T> + Value, T>(values: impl Iterator<Item = T>) -> (usize, C) {
        let (mut elements, mut collect) = (Elements::default(), Collect::<Appended, C>::default());
        for value in values {
            let step = collect.step_limited(Appends, &value, 3).unwrap();
            collect.commit(step, &mut elements.cells(0).at(0));
        }
        let shown = elements.shown(0);
        (shown.at(0).iter().count(), collect.get(&shown.at(0)).unwrap())
    }
    let numbers = || (0..100_u16).rev();
    assert_eq!(kept(numbers()), (3, vec![99_u16, 98, 97]));
    assert_eq!(kept(numbers().chain(numbers())), (3, BTreeSet::from([0_u16, 1, 2])));
    assert_eq!(kept(numbers().map(|n| (n / 2, n))), (3, BTreeMap::from([(0_u16, 0_u16), (1, 2), (2, 4)])));
}

/// What is one value as a key, and two to whoever looks at it.
#[cfg(feature = "rust_decimal")]
#[test]
fn what_is_collected_stays_as_it_came() {
    use rust_decimal::Decimal;
    fn shown<M: Mode, C: Collected + CollectInto<T>, T>(values: impl IntoIterator<Item = T>) -> C {
        let (mut elements, mut collect) = (Elements::default(), Collect::<M, C>::default());
        for value in values {
            let step = collect.step(Appends, &value).unwrap();
            collect.commit(step, &mut elements.cells(0).at(0));
        }
        collect.get(&elements.shown(0).at(0)).unwrap()
    }
    fn check<M: Mode>() {
        let decimals = || ["2.50", "-1.0", "2.5"].map(|text| text.parse::<Decimal>().unwrap());
        let map: BTreeMap<u8, Decimal> = shown::<M, _, _>((0..).zip(decimals()));
        assert_eq!(map.values().map(ToString::to_string).collect::<Vec<_>>(), ["2.50", "-1.0", "2.5"]);
        let list: Vec<Decimal> = shown::<M, _, _>(decimals());
        let mut list: Vec<_> = list.iter().map(ToString::to_string).collect();
        list.sort();
        assert_eq!(list, ["-1.0", "2.5", "2.50"]);
        let set: BTreeSet<Decimal> = shown::<M, _, _>(decimals().into_iter().take(2));
        assert_eq!(set.iter().map(ToString::to_string).collect::<Vec<_>>(), ["-1.0", "2.50"]);
    }
    check::<Appended>();
    check::<Changing>();
}

#[test]
fn no_more_is_taken_back_than_came() {
    assert!(matches!(Count::default().step(Sign::Remove), Err(ColumnFault::Refused(_))));
}

/// What one row lost in rounding is not lost with the other.
#[test]
fn two_averages_keep_what_is_small() {
    let mut elements = Elements::default();
    let mut of = |values: [f64; 3]| {
        let mut avg = Avg::default();
        for value in values {
            let step = avg.step(Appends, &Some(value)).unwrap();
            avg.commit(step, &mut elements.cells(0).at(0));
        }
        avg
    };
    let (mut left, right) = (of([1e16, 1.0, -1e16]), of([1e17, 3.0, -1e17]));
    left.merge(&right, &mut elements.cells(0).at(0), 1).unwrap();
    assert_eq!(left.get::<f64>(&elements.shown(0).at(0)), Some(4.0 / 6.0));
}

#[test]
fn an_average_passes_over_none() {
    let avg = Avg::default();
    let of = |step: Avg| step.get::<Option<f64>>(&Elements::default().shown(0).at(0)).unwrap();
    assert_eq!(of(avg.step(Appends, &None::<i64>).unwrap()), None);
    assert_eq!(of(avg.step(Appends, &Some(3)).unwrap()), Some(3.0));
}

#[cfg(feature = "rust_decimal")]
#[test]
fn an_average_of_decimals() {
    let (mut elements, mut avg) = (Elements::default(), Avg::default());
    for decimal in ["1.50", "2.25"] {
        let step = avg.step(Appends, &decimal.parse::<rust_decimal::Decimal>().unwrap()).unwrap();
        avg.commit(step, &mut elements.cells(0).at(0));
    }
    assert_eq!(avg.get::<f64>(&elements.shown(0).at(0)), Some(1.875));
}

/// A column that takes integers of one source and floats of another.
#[test]
fn a_variance_of_integers_and_floats() {
    let (mut elements, mut variance) = (Elements::default(), Variance::default());
    for step in 0..4 {
        let next = if step % 2 == 0 {
            variance.step(Appends, &(10 * step))
        } else {
            variance.step(Appends, &(f64::from(step) / 2.0))
        };
        variance.commit(next.unwrap(), &mut elements.cells(0).at(0));
    }
    // Of 0, 0.5, 20 and 1.5.
    let column: Option<f64> = variance.get(&elements.shown(0).at(0)).unwrap();
    near_option(&column, &Some(70.375));
}
