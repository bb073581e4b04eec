//! The values of other crates, each behind the feature of its name.

#![allow(unused_imports)] // Which are used depends on the features.

use super::scalar::{take, text, through};
use super::{Scalar, Value, key_parts};
use crate::schema::mix_str;
use crate::sql::{SqlType, SqlValue};

#[cfg(feature = "uuid")]
through! {
    uuid::Uuid, "Uuid" as u128: |id| id.as_u128(), |n| Some(uuid::Uuid::from_u128(n)), text, Text;
}

#[cfg(feature = "jiff")]
through! {
    jiff::Timestamp, "jiff::Timestamp" as i128: |t| t.as_nanosecond(),
        |n| jiff::Timestamp::from_nanosecond(n).ok(), text, Text;
    jiff::civil::Date, "jiff::civil::Date" as i32:
        |d| i32::from(d.year()) * 512 + i32::from(d.month()) * 32 + i32::from(d.day()),
        |n| jiff::civil::Date::new(n.div_euclid(512) as i16, (n.rem_euclid(512) / 32) as i8, (n.rem_euclid(32)) as i8).ok(),
        text, Text;
    jiff::civil::Time, "jiff::civil::Time" as u64: |t| {
        let seconds = (i64::from(t.hour()) * 60 + i64::from(t.minute())) * 60 + i64::from(t.second());
        (seconds * 1_000_000_000 + i64::from(t.subsec_nanosecond())) as u64
    }, |n| {
        let (seconds, nanos) = (n / 1_000_000_000, n % 1_000_000_000);
        jiff::civil::Time::new(
            i8::try_from(seconds / 3600).ok()?, (seconds / 60 % 60) as i8, (seconds % 60) as i8, nanos as i32,
        ).ok()
    }, text, Text;
    jiff::civil::DateTime, "jiff::civil::DateTime" as i128: |t| {
        let (date, time) = (t.date(), t.time());
        let days = i128::from(date.year()) * 512 + i128::from(date.month()) * 32 + i128::from(date.day());
        let seconds = (i128::from(time.hour()) * 60 + i128::from(time.minute())) * 60 + i128::from(time.second());
        days * (1 << 64) + seconds * 1_000_000_000 + i128::from(time.subsec_nanosecond())
    }, |n| {
        let (days, nanos) = (n >> 64, n & ((1 << 64) - 1));
        let (seconds, nanos) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
        jiff::civil::DateTime::new(
            i16::try_from(days.div_euclid(512)).ok()?, (days.rem_euclid(512) / 32) as i8, days.rem_euclid(32) as i8,
            i8::try_from(seconds / 3600).ok()?, (seconds / 60 % 60) as i8, (seconds % 60) as i8, nanos as i32,
        ).ok()
    }, text, Text;
    jiff::SignedDuration, "jiff::SignedDuration" as i128: |d| d.as_nanos(), |n| {
        Some(jiff::SignedDuration::new(
            i64::try_from(n / 1_000_000_000).ok()?, (n % 1_000_000_000) as i32,
        ))
    }, |d| SqlValue::Real(d.as_secs_f64()), Real, jiff::SignedDuration::ZERO;
}

#[cfg(feature = "chrono")]
through! {
    chrono::DateTime<chrono::Utc>, "chrono::DateTime<Utc>" as i128: |t| {
        i128::from(t.timestamp()) * (1 << 32) + i128::from(t.timestamp_subsec_nanos())
    }, |n| {
        chrono::DateTime::from_timestamp(i64::try_from(n >> 32).ok()?, (n & 0xffff_ffff) as u32)
    }, |t| SqlValue::Text(t.to_rfc3339().into()), Text;
    chrono::NaiveDate, "chrono::NaiveDate" as i32: |d| chrono::Datelike::num_days_from_ce(d),
        chrono::NaiveDate::from_num_days_from_ce_opt, text, Text;
    chrono::NaiveTime, "chrono::NaiveTime" as u64: |t| {
        u64::from(chrono::Timelike::num_seconds_from_midnight(t)) << 32 | u64::from(chrono::Timelike::nanosecond(t))
    }, |n| chrono::NaiveTime::from_num_seconds_from_midnight_opt((n >> 32) as u32, n as u32), text, Text;
    chrono::NaiveDateTime, "chrono::NaiveDateTime" as i128: |t| {
        let t = t.and_utc();
        i128::from(t.timestamp()) * (1 << 32) + i128::from(t.timestamp_subsec_nanos())
    }, |n| {
        Some(chrono::DateTime::from_timestamp(i64::try_from(n >> 32).ok()?, (n & 0xffff_ffff) as u32)?.naive_utc())
    }, text, Text;
    chrono::TimeDelta, "chrono::TimeDelta" as i128: |d| {
        i128::from(d.num_seconds()) * 1_000_000_000 + i128::from(d.subsec_nanos())
    }, |n| {
        chrono::TimeDelta::new(i64::try_from(n.div_euclid(1_000_000_000)).ok()?, n.rem_euclid(1_000_000_000) as u32)
    }, |d| SqlValue::Real(d.num_seconds() as f64 + f64::from(d.subsec_nanos()) / 1e9), Real, chrono::TimeDelta::zero();
}

/// A decimal's state keeps its scale (2.50 stays 2.50). As a key, 2.5 and 2.50 are one: the normalised number is written,
/// behind a fixed-point form of 192 bits that puts the bytes in numeric order.
#[cfg(feature = "rust_decimal")]
impl Value for rust_decimal::Decimal {
    const SHAPE: u128 = mix_str(0, "Decimal");
    const SQL: SqlType = SqlType::Text;

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.serialize());
    }

    fn read(input: &mut &[u8]) -> Option<Self> {
        let bytes = take::<16>(input)?;
        let number = Self::deserialize(bytes);
        (number.scale() <= 28).then_some(number)
    }

    fn write_key(&self, out: &mut Vec<u8>) {
        let number = self.normalize();
        // mantissa x 10^(28 - scale), in three 64-bit digits: below 2^96 x 10^28 < 2^190.
        let mut digits = {
            let m = number.mantissa().unsigned_abs();
            [m as u64, (m >> 64) as u64, 0]
        };
        for _ in number.scale()..28 {
            let mut carry = 0_u128;
            for digit in &mut digits {
                let product = u128::from(*digit) * 10 + carry;
                *digit = product as u64;
                carry = product >> 64;
            }
        }
        let negative = number.mantissa() < 0;
        out.push(u8::from(!negative));
        for digit in digits.iter().rev() {
            out.extend_from_slice(&(if negative { !digit } else { *digit }).to_be_bytes());
        }
        Value::write(&number, out);
    }

    fn read_key(input: &mut &[u8]) -> Option<Self> {
        take::<25>(input)?;
        Self::read(input)
    }

    fn order(&self, other: &Self) -> std::cmp::Ordering {
        self.cmp(other)
    }

    fn same(&self, other: &Self) -> bool {
        self.serialize() == other.serialize()
    }

    fn empty() -> Option<Self> {
        Some(Self::ZERO)
    }

    fn sql(&self) -> SqlValue {
        text(self)
    }
}

#[cfg(feature = "rust_decimal")]
impl Scalar for rust_decimal::Decimal {}
#[cfg(feature = "rust_decimal")]
key_parts! { rust_decimal::Decimal => rust_decimal::Decimal; }
