//! Sums that lose nothing, so that values can be taken back: what remains is what a sum of those left would be.

use std::collections::BTreeMap;

use num_bigint::{BigInt, BigUint, Sign as Signum};

use super::Sign;
use crate::value::Value;

/// An integer of any width, on the heap only where an `i128` does not do.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wide {
    Small(i128),
    Big(Box<BigInt>),
}

impl Wide {
    fn of(big: BigInt) -> Self {
        i128::try_from(&big).map_or_else(|_| Self::Big(Box::new(big)), Self::Small)
    }
    fn big(&self) -> BigInt {
        match self {
            Self::Small(small) => (*small).into(),
            Self::Big(big) => (**big).clone(),
        }
    }
    fn shl(&self, by: u32) -> Self {
        match self {
            Self::Small(small) if by < 127 && (small << by) >> by == *small => Self::Small(small << by),
            _ => Self::of(self.big() << by),
        }
    }
    fn plus(&self, other: &Self) -> Self {
        if let (Self::Small(a), Self::Small(b)) = (self, other)
            && let Some(sum) = a.checked_add(*b)
        {
            return Self::Small(sum);
        }
        Self::of(self.big() + other.big())
    }
    fn times(&self, other: &Self) -> Self {
        if let (Self::Small(a), Self::Small(b)) = (self, other)
            && let Some(product) = a.checked_mul(*b)
        {
            return Self::Small(product);
        }
        Self::of(self.big() * other.big())
    }
    fn negated(&self) -> Self {
        match self {
            Self::Small(small) if *small != i128::MIN => Self::Small(-small),
            _ => Self::of(-self.big()),
        }
    }
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Small(small) => {
                out.push(0);
                small.write(out);
            }
            Self::Big(big) => {
                out.push(1);
                big.to_signed_bytes_be().write(out);
            }
        }
    }
    fn read(input: &mut &[u8]) -> Option<Self> {
        match u8::read(input)? {
            0 => i128::read(input).map(Self::Small),
            1 => Some(Self::of(BigInt::from_signed_bytes_be(&Vec::read(input)?))),
            _ => None,
        }
    }
}

/// `mantissa` x 2^`exponent`, in one form a number: the mantissa is odd, or all is zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Number {
    mantissa: Wide,
    exponent: i32,
}

impl Default for Number {
    fn default() -> Self {
        Self { mantissa: Wide::Small(0), exponent: 0 }
    }
}

impl From<i128> for Number {
    fn from(number: i128) -> Self {
        Self::new(Wide::Small(number), 0)
    }
}

impl Number {
    fn new(mantissa: Wide, exponent: i32) -> Self {
        match mantissa {
            Wide::Small(0) => Self::default(),
            Wide::Small(small) => {
                let zeros = small.trailing_zeros();
                Self { mantissa: Wide::Small(small >> zeros), exponent: exponent + zeros as i32 }
            }
            Wide::Big(big) => {
                // No sum of numbers that a column can have is longer than a few thousand bits.
                let zeros = big.trailing_zeros().unwrap_or(0) as u32;
                Self { mantissa: Wide::of(*big >> zeros), exponent: exponent + zeros as i32 }
            }
        }
    }

    /// A finite float.
    pub(super) fn float(float: f64) -> Self {
        let bits = float.to_bits();
        let (exponent, fraction) = ((bits >> 52 & 0x7ff) as i32, (bits & ((1 << 52) - 1)) as i128);
        let (mantissa, exponent) =
            if exponent == 0 { (fraction, -1074) } else { (fraction | 1 << 52, exponent - 1075) };
        Self::new(Wide::Small(if float < 0.0 { -mantissa } else { mantissa }), exponent)
    }

    fn is_zero(&self) -> bool {
        self.mantissa == Wide::Small(0)
    }

    pub(super) fn plus(&self, other: &Self) -> Self {
        if other.is_zero() {
            return self.clone();
        }
        if self.is_zero() {
            return other.clone();
        }
        let exponent = self.exponent.min(other.exponent);
        let at = |number: &Self| number.mantissa.shl((number.exponent - exponent) as u32);
        Self::new(at(self).plus(&at(other)), exponent)
    }

    pub(super) fn signed(self, sign: Sign) -> Self {
        match sign {
            Sign::Insert => self,
            Sign::Remove => Self { mantissa: self.mantissa.negated(), ..self },
        }
    }

    pub(super) fn times(&self, other: &Self) -> Self {
        Self::new(self.mantissa.times(&other.mantissa), self.exponent + other.exponent)
    }

    /// The number as an integer; `None` if it is none.
    fn whole(&self) -> Option<Wide> {
        u32::try_from(self.exponent).ok().map(|exponent| self.mantissa.shl(exponent))
    }

    /// The nearest float of this format.
    fn rounded(&self, format: Format) -> f64 {
        let (size, negative) = match &self.mantissa {
            Wide::Small(small) => {
                (round(small.unsigned_abs(), i64::from(self.exponent), false, format), *small < 0)
            }
            Wide::Big(big) => (
                round_big(big.magnitude(), i64::from(self.exponent), false, format),
                big.sign() == Signum::Minus,
            ),
        };
        if negative { -size } else { size }
    }

    /// The float that is nearest to a fraction of this.
    pub(super) fn over(&self, divisor: &BigUint) -> f64 {
        let numerator = self.mantissa.big();
        // Enough bits for a float, and one that tells whether it was exact.
        let shift = (divisor.bits() + 66).saturating_sub(numerator.bits());
        let shifted = numerator.magnitude() << shift;
        let quotient = &shifted / divisor;
        let inexact = &quotient * divisor != shifted;
        let size = round_big(&quotient, i64::from(self.exponent) - shift as i64, inexact, DOUBLE);
        if numerator.sign() == Signum::Minus { -size } else { size }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.mantissa.write(out);
        self.exponent.write(out);
    }
    pub(super) fn read(input: &mut &[u8]) -> Option<Self> {
        let (mantissa, exponent) = (Wide::read(input)?, i32::read(input)?);
        // Beyond what any number has: a shift of it would not end.
        (exponent.unsigned_abs() < 1 << 16).then(|| Self::new(mantissa, exponent))
    }
}

/// A format of floats: how many bits a mantissa has, and the exponent of the least number.
type Format = (i64, i64);
const DOUBLE: Format = (53, -1074);
const SINGLE: Format = (24, -149);

/// The nearest float, of two the even one. If `more` is set, the true number is a little greater.
fn round(mantissa: u128, exponent: i64, more: bool, (precision, lowest): Format) -> f64 {
    let bits = i64::from(128 - mantissa.leading_zeros());
    let lost = (bits - precision).max(lowest - exponent);
    if lost <= 0 {
        return assemble(mantissa as u64, exponent);
    }
    if lost > bits {
        return 0.0;
    }
    let kept = if lost == 128 { 0 } else { mantissa >> lost };
    let half = 1_u128 << (lost - 1);
    let rest = mantissa & (half - 1 + half);
    let up = rest > half || (rest == half && (more || kept & 1 == 1));
    assemble((kept + u128::from(up)) as u64, exponent + lost)
}

fn round_big(mantissa: &BigUint, exponent: i64, more: bool, format: Format) -> f64 {
    let lost = mantissa.bits().saturating_sub(120);
    let more = more || mantissa.trailing_zeros().is_some_and(|zeros| zeros < lost);
    let kept = u128::try_from(mantissa >> lost).unwrap_or(u128::MAX);
    round(kept, exponent + lost as i64, more, format)
}

/// `mantissa` x 2^`exponent`, which a float can be but for its size.
fn assemble(mantissa: u64, exponent: i64) -> f64 {
    if mantissa == 0 {
        return 0.0;
    }
    let bits = i64::from(64 - mantissa.leading_zeros());
    let top = exponent + bits - 1;
    if top > 1023 {
        f64::INFINITY
    } else if top >= -1022 {
        let mantissa = if bits > 53 { mantissa >> (bits - 53) } else { mantissa << (53 - bits) };
        f64::from_bits(((top + 1023) as u64) << 52 | (mantissa & ((1 << 52) - 1)))
    } else {
        // Nothing is shifted out: it is a multiple of the least number.
        f64::from_bits(mantissa << (exponent + 1074))
    }
}

/// One addend, in a form that can be taken back.
#[derive(Clone, Copy, Debug)]
#[doc(hidden)]
pub enum Term {
    /// An integer.
    Whole(i128),
    /// An integer that may be too great for the other.
    Great(u128),
    /// A float.
    Float(f64),
    /// So many of 10^-scale.
    Decimal(i128, u32),
}

/// The exact sum of what is there now.
#[derive(Clone, Debug, Default)]
#[doc(hidden)]
pub struct Total {
    count: u64,
    /// Of decimals, in units of 10^-28.
    sum: Number,
    odd: Option<Box<Odd>>,
}

/// What a number does not say.
#[derive(Clone, Debug, Default, PartialEq)]
struct Odd {
    nans: u64,
    /// Infinities above and below.
    ends: [u64; 2],
    /// How many decimals have which scale: the sum has the greatest, as it would have without those that went.
    scales: BTreeMap<u8, u64>,
}

const DECIMAL_SCALE: u32 = 28;

fn power_of_ten(power: u32) -> BigInt {
    BigInt::from(10_u8).pow(power)
}

fn counted(count: u64, sign: Sign) -> u64 {
    match sign {
        Sign::Insert => count.saturating_add(1),
        Sign::Remove => count.saturating_sub(1),
    }
}

impl Total {
    /// The sum with one more term, or one less.
    pub(super) fn with(&self, sign: Sign, term: Term) -> Self {
        let mut next = self.clone();
        next.count = counted(self.count, sign);
        let number = match term {
            Term::Whole(number) => number.into(),
            Term::Great(number) => Number::new(Wide::of(number.into()), 0),
            Term::Float(float) if float.is_finite() => Number::float(float),
            Term::Float(float) => {
                next.odd(|odd| {
                    let of =
                        if float.is_nan() { &mut odd.nans } else { &mut odd.ends[usize::from(float < 0.0)] };
                    *of = counted(*of, sign);
                });
                return next;
            }
            Term::Decimal(mantissa, scale) => {
                next.odd(|odd| {
                    let of = odd.scales.entry(scale as u8).or_default();
                    *of = counted(*of, sign);
                });
                let units = power_of_ten(DECIMAL_SCALE.saturating_sub(scale));
                Number::new(Wide::of(units).times(&Wide::Small(mantissa)), 0)
            }
        };
        next.sum = self.sum.plus(&number.signed(sign));
        next
    }

    fn odd(&mut self, change: impl FnOnce(&mut Odd)) {
        let mut odd = self.odd.take().unwrap_or_default();
        change(&mut odd);
        odd.scales.retain(|_, count| *count > 0);
        self.odd = (*odd != Odd::default()).then_some(odd);
    }

    /// Both together.
    pub(super) fn plus(&self, other: &Self) -> Self {
        let mut both = Self {
            count: self.count.saturating_add(other.count),
            sum: self.sum.plus(&other.sum),
            odd: self.odd.clone(),
        };
        if let Some(other) = &other.odd {
            both.odd(|odd| {
                odd.nans += other.nans;
                odd.ends[0] += other.ends[0];
                odd.ends[1] += other.ends[1];
                other
                    .scales
                    .iter()
                    .for_each(|(scale, count)| *odd.scales.entry(*scale).or_default() += count);
            });
        }
        both
    }

    /// How many terms.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn sum(&self) -> &Number {
        &self.sum
    }

    /// The sum, where a term that is not finite decides it.
    pub(super) fn not_finite(&self) -> Option<f64> {
        let Odd { nans, ends, .. } = self.odd.as_deref()?;
        match (nans, ends) {
            (0, [0, 0]) => None,
            (0, [_, 0]) => Some(f64::INFINITY),
            (0, [0, _]) => Some(f64::NEG_INFINITY),
            _ => Some(f64::NAN),
        }
    }

    /// The mean, rounded once.
    pub(super) fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.not_finite().unwrap_or_else(|| self.sum.over(&self.count.into())))
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.count.write(out);
        self.sum.write(out);
        self.odd.is_some().write(out);
        if let Some(Odd { nans, ends, scales }) = self.odd.as_deref() {
            for count in [nans, &ends[0], &ends[1]] {
                count.write(out);
            }
            (scales.len() as u8).write(out);
            for (scale, count) in scales {
                scale.write(out);
                count.write(out);
            }
        }
    }

    pub(super) fn read(input: &mut &[u8]) -> Option<Self> {
        let mut total = Self { count: u64::read(input)?, sum: Number::read(input)?, odd: None };
        if bool::read(input)? {
            let (nans, ends) = (u64::read(input)?, [u64::read(input)?, u64::read(input)?]);
            let scales = (0..u8::read(input)?).map(|_| Some((u8::read(input)?, u64::read(input)?)));
            total.odd = Some(Box::new(Odd { nans, ends, scales: scales.collect::<Option<_>>()? }));
        }
        Some(total)
    }
}

/// The types that an exact sum can be of.
pub(super) trait Sums: Sized {
    fn term(self) -> Term;
    /// The sum; `None` if it does not fit.
    fn of(total: &Total) -> Option<Self>;
}

macro_rules! sums {
    ($($ty:ty: |$value:ident| $term:expr, |$total:ident| $of:expr;)*) => { $(
        impl Sums for $ty {
            fn term(self) -> Term {
                let $value = self;
                $term
            }
            fn of($total: &Total) -> Option<Self> {
                $of
            }
        }
    )* };
}
macro_rules! integers {
    ($($ty:ident)*) => { sums! { $(
        $ty: |n| Term::Whole(n as i128), |total| match total.sum.whole()? {
            Wide::Small(small) => small.try_into().ok(),
            Wide::Big(_) => None,
        };
    )* } };
}

integers! { u8 u16 u32 u64 usize i8 i16 i32 i64 i128 isize }
sums! {
    u128: |n| Term::Great(n), |total| total.sum.whole()?.big().try_into().ok();
    f64: |n| Term::Float(n), |total| Some(total.not_finite().unwrap_or_else(|| total.sum.rounded(DOUBLE)));
    // What is rounded to its precision already is not rounded again.
    f32: |n| Term::Float(f64::from(n)), |total| {
        Some(total.not_finite().unwrap_or_else(|| total.sum.rounded(SINGLE)) as Self)
    };
    std::time::Duration: |d| Term::Great(d.as_nanos()), |total| {
        let nanos = u128::of(total)?;
        Some(Self::new(u64::try_from(nanos / 1_000_000_000).ok()?, (nanos % 1_000_000_000) as u32))
    };
}
#[cfg(feature = "jiff")]
sums! {
    jiff::SignedDuration: |d| Term::Whole(d.as_nanos()), |total| {
        let nanos = i128::of(total)?;
        Some(Self::new(i64::try_from(nanos / 1_000_000_000).ok()?, (nanos % 1_000_000_000) as i32))
    };
}
#[cfg(feature = "chrono")]
sums! {
    chrono::TimeDelta: |d| Term::Whole(i128::from(d.num_seconds()) * 1_000_000_000 + i128::from(d.subsec_nanos())), |total| {
        let nanos = i128::of(total)?;
        Self::new(i64::try_from(nanos.div_euclid(1_000_000_000)).ok()?, nanos.rem_euclid(1_000_000_000) as u32)
    };
}
#[cfg(feature = "rust_decimal")]
sums! {
    rust_decimal::Decimal: |d| Term::Decimal(d.mantissa(), d.scale()), |total| decimal(total);
}

/// The sum with as many digits as its terms have; with fewer, rounded, where these are too many for a decimal.
#[cfg(feature = "rust_decimal")]
fn decimal(total: &Total) -> Option<rust_decimal::Decimal> {
    let units = total.sum.whole()?.big();
    let scale = total.odd.as_ref().and_then(|odd| odd.scales.keys().next_back()).map_or(0, |scale| *scale);
    for scale in (0..=u32::from(scale)).rev() {
        let unit = power_of_ten(DECIMAL_SCALE.saturating_sub(scale));
        let (whole, rest) = (&units / &unit, &units % &unit);
        let twice = rest.magnitude() * 2_u8;
        let up = twice > *unit.magnitude() || (twice == *unit.magnitude() && whole.bit(0));
        let away = if units.sign() == Signum::Minus { -1 } else { 1 };
        let rounded = if up { whole + away } else { whole };
        if rounded.bits() <= 96
            && let Ok(mantissa) = i128::try_from(&rounded)
        {
            return rust_decimal::Decimal::try_from_i128_with_scale(mantissa, scale).ok();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn exponents_that_no_number_has_are_not_read() {
        for (exponent, reads) in
            [(1074, true), (-65_535, true), (65_536, false), (i32::MAX, false), (i32::MIN, false)]
        {
            let mut bytes = Vec::new();
            Wide::Small(1).write(&mut bytes);
            exponent.write(&mut bytes);
            assert_eq!(Number::read(&mut &*bytes).is_some(), reads, "{exponent}");
        }
    }

    #[test]
    fn the_ends_of_what_floats_can_be() {
        for float in [f64::MAX, f64::MIN_POSITIVE, f64::from_bits(1), f64::from_bits((1 << 52) - 1), 1.0] {
            assert_eq!(Number::float(float).rounded(DOUBLE), float);
            assert_eq!(Number::float(-float).rounded(DOUBLE), -float);
        }
        for float in [f32::MAX, f32::MIN_POSITIVE, f32::from_bits(1)] {
            assert_eq!(Number::float(f64::from(float)).rounded(SINGLE) as f32, float);
        }
        let least = f64::from_bits(1);
        for (mantissa, exponent, float) in [
            (1, -1075, 0.0),
            (3, -1076, least),
            (1, -1076, 0.0),
            (3, -1075, 2.0 * least),
            (1, 1024, f64::INFINITY),
        ] {
            assert_eq!(
                Number::new(Wide::Small(mantissa), exponent).rounded(DOUBLE),
                float,
                "{mantissa} {exponent}"
            );
        }
    }

    /// Half way between two floats but for a bit far below.
    #[test]
    fn what_is_far_below_decides_a_tie() {
        let two = |power: u32| BigInt::from(1) << power;
        let tie = two(200) + two(147);
        let rounded = |number: BigInt| Number::new(Wide::of(number), 0).rounded(DOUBLE);
        let (down, up) = (2_f64.powi(200), 2_f64.powi(200) + 2_f64.powi(148));
        assert_eq!([rounded(tie.clone()), rounded(&tie + 1), rounded(&tie - 1)], [down, up, down]);

        // The rest of a division, too.
        let tie = (two(53) + 1_u8) << 40_u8;
        let third = |number: BigInt| Number::new(Wide::of(number), 0).over(&3_u8.into());
        let (down, up) = (2_f64.powi(93), 2_f64.powi(93) + 2_f64.powi(41));
        assert_eq!([third(&tie * 3), third(&tie * 3 + 1), third(&tie * 3 - 1)], [down, up, down]);
    }

    #[cfg(feature = "rust_decimal")]
    #[test]
    fn a_sum_of_decimals_has_as_many_digits_as_fit() {
        use rust_decimal::Decimal;
        for (terms, sum) in [
            (["0.10", "0.2", "0"], Some("0.30")),
            // One digit more than fits.
            (
                ["7922816251426433759354395033.5", "792281625142643375935439503.3", "0"],
                Some("8715097876569077135289834537"),
            ),
            (
                ["7922816251426433759354395033.5", "792281625142643375935439503.1", "0"],
                Some("8715097876569077135289834537"),
            ),
            (
                ["7922816251426433759354395033.5", "792281625142643375935439502.9", "0"],
                Some("8715097876569077135289834536"),
            ),
            (
                ["7922816251426433759354395033.5", "792281625142643375935439504.0", "0"],
                Some("8715097876569077135289834538"),
            ),
            (
                ["7922816251426433759354395033.5", "792281625142643375935439503.0", "0"],
                Some("8715097876569077135289834536"),
            ),
            (
                ["-7922816251426433759354395033.5", "-792281625142643375935439503.3", "0"],
                Some("-8715097876569077135289834537"),
            ),
            (
                ["-7922816251426433759354395033.5", "-792281625142643375935439502.9", "0"],
                Some("-8715097876569077135289834536"),
            ),
            (["79228162514264337593543950335", "1", "0"], None),
            (["79228162514264337593543950335", "1", "-1"], Some("79228162514264337593543950335")),
        ] {
            let add =
                |total: Total, term: &str| total.with(Sign::Insert, term.parse::<Decimal>().unwrap().term());
            let total = terms.into_iter().fold(Total::default(), add);
            assert_eq!(decimal(&total).map(|sum| sum.to_string()).as_deref(), sum, "{terms:?}");
        }
    }

    proptest! {
        #[test]
        fn a_float_is_itself(float in prop::num::f64::ANY, small in prop::num::f32::ANY) {
            prop_assume!(float.is_finite() && small.is_finite());
            prop_assert_eq!(Number::float(float).rounded(DOUBLE), float);
            prop_assert_eq!(Number::float(f64::from(small)).rounded(SINGLE) as f32, small);
            prop_assert_eq!(Number::float(float).rounded(SINGLE) as f32, float as f32);
        }

        #[test]
        fn operations_round_as_floats_do(a in prop::num::f64::ANY, b in prop::num::f64::ANY, n in 1_u32..) {
            prop_assume!(a.is_finite() && b.is_finite());
            let (x, y) = (Number::float(a), Number::float(b));
            prop_assert_eq!(x.plus(&y).rounded(DOUBLE), a + b);
            prop_assert_eq!(x.times(&y).rounded(DOUBLE), a * b);
            prop_assert_eq!(x.over(&n.into()), a / f64::from(n));
        }

        #[test]
        fn near_floats_too(a in -1e3..1e3, b in -1e3..1e3, n in 1_u32..1000) {
            let (x, y) = (Number::float(a), Number::float(b));
            prop_assert_eq!(x.plus(&y).rounded(DOUBLE), a + b);
            prop_assert_eq!(x.times(&y).rounded(DOUBLE), a * b);
            prop_assert_eq!(x.over(&n.into()), a / f64::from(n));
        }

        #[test]
        fn integers_round_as_casts_do(a: i128, b: i128) {
            prop_assert_eq!(Number::from(a).rounded(DOUBLE), a as f64);
            prop_assert_eq!(Number::from(a).rounded(SINGLE) as f32, a as f32);
            let sum = Number::from(a).plus(&b.into());
            prop_assert_eq!(sum.whole().unwrap().big(), BigInt::from(a) + BigInt::from(b));
            prop_assert_eq!(sum.plus(&Number::from(b).signed(Sign::Remove)), Number::from(a));
        }
    }
}
