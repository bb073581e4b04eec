//! Durations as they are written in options: `"90s"`, `"5m"`, `"1h30m"`.

use syn::LitStr;
use syn::parse::ParseStream;

/// The units, and how many microseconds each has.
const UNITS: [(&str, i64); 6] = [
    ("us", 1),
    ("ms", 1_000),
    ("s", 1_000_000),
    ("m", 60_000_000),
    ("h", 3_600_000_000),
    ("d", 86_400_000_000),
];

/// What people write instead of them.
const OTHER_WORDS: [(&str, &[&str]); 6] = [
    ("us", &["µs", "μs", "usec", "micros", "microseconds"]),
    ("ms", &["msec", "millis", "milliseconds"]),
    ("s", &["sec", "secs", "second", "seconds"]),
    ("m", &["min", "mins", "minute", "minutes"]),
    ("h", &["hr", "hrs", "hour", "hours"]),
    ("d", &["day", "days"]),
];

/// Parses a string literal that is a duration, in microseconds.
pub(crate) fn duration(input: ParseStream<'_>) -> syn::Result<i64> {
    if !input.peek(LitStr) {
        return Err(input.error("a duration is a string with its unit: `\"90s\"`, `\"5m\"`, `\"1h30m\"`"));
    }
    let literal: LitStr = input.parse()?;
    micros(&literal.value()).map_err(|message| syn::Error::new(literal.span(), message))
}

/// The microseconds of `"1h30m"`: whole numbers, each with a unit.
fn micros(text: &str) -> Result<i64, String> {
    const EXAMPLE: &str = "write whole numbers with their units, `\"90s\"`, `\"1h30m\"`";
    if text.is_empty() {
        return Err(format!("a duration is not empty: {EXAMPLE}"));
    }
    if text.starts_with('-') {
        return Err(format!("a duration is not negative: {EXAMPLE}"));
    }
    let too_long =
        || format!("`{text}` is too long: durations are counted in microseconds, up to 106751991 days");
    let (mut total, mut rest) = (0_i64, text);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let unit_end = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        if number.is_empty() || (unit.is_empty() && !after.is_empty()) {
            return Err(format!("`{text}` is no duration: {EXAMPLE}"));
        }
        if unit.is_empty() {
            return Err(format!(
                "`{number}` has no unit: write `{number}s` for seconds, or us, ms, m, h or d"
            ));
        }
        let Some((_, each)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            let lower = unit.to_lowercase();
            let near = OTHER_WORDS
                .iter()
                .find(|(name, others)| *name == lower || others.contains(&lower.as_str()))
                .map(|(name, _)| format!("; did you mean `{number}{name}`?"))
                .unwrap_or_default();
            return Err(format!(
                "unknown unit `{unit}`{near} (expected one of `us`, `ms`, `s`, `m`, `h` or `d`)"
            ));
        };
        let number: i64 = number.parse().map_err(|_| too_long())?;
        total = number.checked_mul(*each).and_then(|part| total.checked_add(part)).ok_or_else(too_long)?;
        rest = after;
    }
    if total == 0 {
        return Err(format!("a duration is longer than zero, and `{text}` is not"));
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::micros;

    #[test]
    fn durations_are_sums_of_whole_numbers_with_units() {
        assert_eq!(micros("250ms"), Ok(250_000));
        assert_eq!(micros("7us"), Ok(7));
        assert_eq!(micros("90s"), Ok(90_000_000));
        assert_eq!(micros("5m"), Ok(300_000_000));
        assert_eq!(micros("1h30m"), Ok(5_400_000_000));
        assert_eq!(micros("7d"), Ok(7 * 86_400_000_000));
        assert_eq!(micros("0h5m"), Ok(300_000_000));
        assert_eq!(micros("106751991d"), Ok(106_751_991 * 86_400_000_000));
    }

    #[track_caller]
    fn refused(text: &str, word: &str) {
        let message = micros(text).unwrap_err();
        assert!(message.contains(word), "{text}: {message}");
    }

    #[test]
    fn what_is_no_duration_is_refused_with_what_to_write() {
        refused("", "not empty");
        refused("-5m", "not negative");
        refused("0s", "longer than zero");
        refused("0h0m", "longer than zero");
        refused("90", "write `90s`");
        refused("1h30", "write `30s`");
        refused("h", "no duration");
        refused("1.5h", "no duration");
        refused("1h 30m", "no duration");
        refused(" 1h", "no duration");
        refused("1h-5m", "no duration");
        refused("5min", "did you mean `5m`?");
        refused("1H", "did you mean `1h`?");
        refused("3µs", "did you mean `3us`?");
        refused("2w", "unknown unit `w` (expected");
        refused("106751992d", "too long");
        refused("99999999999999999999s", "too long");
        refused("106751991d5h", "too long");
    }
}
