//! Event time: points in time as windows see them, in microseconds.

use crate::Timestamp;
use crate::value::KeyPart;

/// A point in time that an event bears and a window can go by: [`Timestamp`], and `jiff`'s and `chrono`'s behind the features of these names.
#[diagnostic::on_unimplemented(
    message = "a window cannot tell the unit of `{Self}`",
    label = "not a point in time",
    note = "a window goes by a `Timestamp`, a `jiff::Timestamp` or a `chrono::DateTime<Utc>`; for an integer, say its unit: `unit = \"ms\"`"
)]
pub trait EventTime {
    /// Microseconds since the Unix epoch.
    fn micros(&self) -> i64;
}

/// An integer that stands for a point in time, in the unit that the projection says.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no integer, and `unit` is for integers",
    label = "not an integer",
    note = "leave `unit` out: a `Timestamp`, a `jiff::Timestamp` and a `chrono::DateTime<Utc>` know theirs"
)]
pub trait IntegerTime {
    /// The same in microseconds, where one is so many of them.
    fn micros(&self, unit: i64) -> i64;
}

/// The type of a `window_start` or `window_end` column: a point in time, or an integer in the unit that the projection says.
#[diagnostic::on_unimplemented(
    message = "a window's bound cannot be `{Self}`",
    label = "not a point in time",
    note = "`window_start` and `window_end` are of the type of the event's time: an integer, a `Timestamp`, a `jiff::Timestamp` or a `chrono::DateTime<Utc>`"
)]
pub trait WindowBound: KeyPart {
    /// The bound; `unit` is how many microseconds an integer's one is.
    fn bound(micros: i64, unit: i64) -> Self;
}

impl EventTime for Timestamp {
    fn micros(&self) -> i64 {
        self.as_micros()
    }
}

impl WindowBound for Timestamp {
    fn bound(micros: i64, _: i64) -> Self {
        Self::from_micros(micros)
    }
}

macro_rules! integers {
    ($($ty:ident)*) => { $(
        impl IntegerTime for $ty {
            fn micros(&self, unit: i64) -> i64 {
                #[allow(unused_comparisons)] // Some have no numbers below.
                let beyond = if *self < 0 { i64::MIN } else { i64::MAX };
                i64::try_from(*self).unwrap_or(beyond).saturating_mul(unit)
            }
        }
        impl WindowBound for $ty {
            fn bound(micros: i64, unit: i64) -> Self {
                let bound = micros.div_euclid(unit);
                Self::try_from(bound).unwrap_or(if bound < 0 { Self::MIN } else { Self::MAX })
            }
        }
    )* };
}

integers! { i64 u64 i32 u32 i128 u128 }

#[cfg(feature = "jiff")]
mod of_jiff {
    use super::{EventTime, WindowBound};
    use jiff::Timestamp;
    impl EventTime for Timestamp {
        fn micros(&self) -> i64 {
            // Down, as for every other time: what is before a window's beginning is not in it.
            i64::try_from(self.as_nanosecond().div_euclid(1000)).unwrap_or(i64::MIN)
        }
    }
    impl WindowBound for Timestamp {
        fn bound(micros: i64, _: i64) -> Self {
            Self::from_microsecond(micros).unwrap_or(if micros < 0 { Self::MIN } else { Self::MAX })
        }
    }
}

#[cfg(feature = "chrono")]
mod of_chrono {
    use super::{EventTime, WindowBound};
    use chrono::{DateTime, Utc};
    impl EventTime for DateTime<Utc> {
        fn micros(&self) -> i64 {
            self.timestamp_micros()
        }
    }
    impl WindowBound for DateTime<Utc> {
        fn bound(micros: i64, _: i64) -> Self {
            let end = if micros < 0 { Self::MIN_UTC } else { Self::MAX_UTC };
            Self::from_timestamp_micros(micros).unwrap_or(end)
        }
    }
}
