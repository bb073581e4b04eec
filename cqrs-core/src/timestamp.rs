//! A point in time, as the log records it.

use std::ops::{Add, Sub};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Microseconds since the Unix epoch, UTC; what `recorded_at` is counted in.
///
/// Usable as an event field, a key or a column. Converts to and from [`SystemTime`] and, behind the features
/// `jiff` and `chrono`, to their timestamps.
///
/// ```
/// use cqrs_core::Timestamp;
///
/// let noon = Timestamp::from_micros(43_200_000_000);
/// assert_eq!(noon.to_string(), "1970-01-01T12:00:00.000000Z");
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(crate = "serde", transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The Unix epoch.
    pub const UNIX_EPOCH: Self = Self(0);

    /// This many microseconds after the epoch (before it, when negative).
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// How long it is after an earlier time; `None` where that is later.
    ///
    /// ```
    /// use cqrs_core::Timestamp;
    /// use std::time::Duration;
    ///
    /// let entered = Timestamp::from_micros(0);
    /// let left = entered + Duration::from_secs(90);
    /// assert_eq!(left.since(entered), Some(Duration::from_secs(90)));
    /// assert_eq!(entered.since(left), None);
    /// ```
    #[must_use]
    pub fn since(self, earlier: Self) -> Option<Duration> {
        let micros = i128::from(self.0) - i128::from(earlier.0);
        u64::try_from(micros).ok().map(Duration::from_micros)
    }

    /// The system clock's time.
    #[must_use]
    pub fn now() -> Self {
        SystemTime::now().into()
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    /// What is less than a microsecond is left out; what is beyond the last time there is, is that.
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add_unsigned(micros(span)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;
    /// As [`add`](Self::add) does.
    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub_unsigned(micros(span)))
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

impl std::fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Timestamp({self})")
    }
}

impl From<SystemTime> for Timestamp {
    /// Saturates at the ends of what 64 bits of microseconds hold (some 292,000 years either way).
    fn from(time: SystemTime) -> Self {
        let clamp = |d: Duration| i64::try_from(d.as_micros()).unwrap_or(i64::MAX);
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self(clamp(after)),
            Err(before) => Self(-clamp(before.duration())),
        }
    }
}

impl From<Timestamp> for SystemTime {
    fn from(time: Timestamp) -> Self {
        let span = Duration::from_micros(time.0.unsigned_abs());
        if time.0 >= 0 { UNIX_EPOCH + span } else { UNIX_EPOCH - span }
    }
}

#[cfg(feature = "jiff")]
impl TryFrom<Timestamp> for jiff::Timestamp {
    type Error = jiff::Error;
    fn try_from(time: Timestamp) -> Result<Self, jiff::Error> {
        Self::from_microsecond(time.0)
    }
}

#[cfg(feature = "jiff")]
impl From<jiff::Timestamp> for Timestamp {
    fn from(time: jiff::Timestamp) -> Self {
        Self(time.as_microsecond())
    }
}

#[cfg(feature = "chrono")]
impl From<chrono::DateTime<chrono::Utc>> for Timestamp {
    fn from(time: chrono::DateTime<chrono::Utc>) -> Self {
        Self(time.timestamp_micros())
    }
}

/// A time of more than some 262,000 years before or after the epoch: `chrono` has none such.
#[cfg(feature = "chrono")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} microseconds since 1970 are beyond the years that `chrono` counts", .0.as_micros())]
pub struct OutOfChrono(pub Timestamp);

#[cfg(feature = "chrono")]
impl TryFrom<Timestamp> for chrono::DateTime<chrono::Utc> {
    type Error = OutOfChrono;
    fn try_from(time: Timestamp) -> Result<Self, OutOfChrono> {
        Self::from_timestamp_micros(time.0).ok_or(OutOfChrono(time))
    }
}

impl std::fmt::Display for Timestamp {
    /// RFC 3339, UTC, six decimals.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (days, within) = (self.0.div_euclid(86_400_000_000), self.0.rem_euclid(86_400_000_000));
        let (year, month, day) = civil_from_days(days);
        let (seconds, micros) = (within / 1_000_000, within % 1_000_000);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{micros:06}Z",
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60
        )
    }
}

/// The proleptic Gregorian date this many days after 1970-01-01, counted in 400-year eras that start in March.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_dates_around_the_leap_days() {
        let at = |days: i64| Timestamp(days * 86_400_000_000).to_string();
        assert_eq!(at(-1), "1969-12-31T00:00:00.000000Z");
        assert_eq!(at(11_016), "2000-02-29T00:00:00.000000Z");
        assert_eq!(at(11_017), "2000-03-01T00:00:00.000000Z");
        assert_eq!(at(19_782), "2024-02-29T00:00:00.000000Z");
        assert_eq!(at(19_783), "2024-03-01T00:00:00.000000Z");
    }

    #[test]
    #[cfg(feature = "chrono")]
    fn times_of_chrono_go_there_and_back() {
        for micros in [-1_500_000, 0, 1, 1_700_000_000_123_456] {
            let there = chrono::DateTime::<chrono::Utc>::try_from(Timestamp(micros)).unwrap();
            assert_eq!(Timestamp::from(there), Timestamp(micros));
        }
        let beyond = Timestamp(i64::MAX);
        assert_eq!(chrono::DateTime::<chrono::Utc>::try_from(beyond), Err(OutOfChrono(beyond)));
    }

    #[test]
    fn times_and_spans_add_up() {
        let (at, hour) = (Timestamp(-5), Duration::from_secs(3600));
        assert_eq!((at + hour, at + hour - hour), (Timestamp(3_599_999_995), at));
        assert_eq!((at + hour).since(at), Some(hour));
        assert_eq!((at.since(at), at.since(at + hour)), (Some(Duration::ZERO), None));
        let (first, last) = (Timestamp(i64::MIN), Timestamp(i64::MAX));
        assert_eq!((last + Duration::MAX, first - Duration::MAX), (last, first));
        assert_eq!(last.since(first), Some(Duration::from_micros(u64::MAX)));
        assert_eq!(format!("{:?}", Timestamp(0)), "Timestamp(1970-01-01T00:00:00.000000Z)");
    }

    #[test]
    fn system_time_goes_there_and_back() {
        for micros in [-1_500_000, 0, 1, 1_700_000_000_123_456] {
            assert_eq!(Timestamp::from(SystemTime::from(Timestamp(micros))), Timestamp(micros));
        }
    }
}
