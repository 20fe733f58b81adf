//! The text form of durations, such as `500ms` or `2m`.

use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

/// A duration that is text in JSON, as accepted by [`parse`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DurationText(pub Duration);

impl<'de> Deserialize<'de> for DurationText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let error =
            || D::Error::custom(format!("`{text}` is not a duration; write a value such as 500ms, 1s or 1m"));
        parse(&text).map(Self).ok_or_else(error)
    }
}

/// Parses `500ms`, `10s`, `2m` (or `2min`), `1h` or `7d`. A number without a unit is seconds; fractions are allowed.
///
/// Returns `None` for any other text, and for a value that does not fit into a [`Duration`].
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..unit_at].parse().ok()?;
    let seconds = match text[unit_at..].trim_start() {
        "ms" => number / 1000.0,
        "" | "s" => number,
        "m" | "min" => number * 60.0,
        "h" => number * 3600.0,
        "d" => number * 86_400.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(seconds).ok()
}

/// Serializes a duration as [`show`] does.
pub(crate) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&show(*duration))
}

/// Returns the shortest text that [`parse`] turns into the same number of whole milliseconds.
#[must_use]
pub fn show(duration: Duration) -> String {
    let millis = duration.as_millis();
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)];
    let fitting = units.into_iter().find(|(_, size)| millis > 0 && millis.is_multiple_of(*size));
    fitting.map_or_else(|| format!("{millis}ms"), |(unit, size)| format!("{}{unit}", millis / size))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parse_accepts_every_unit_and_rejects_other_texts() {
        for (text, millis) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("10", 10_000),
            ("1.5m", 90_000),
            ("2min", 120_000),
            ("1 h", 3_600_000),
            ("7d", 604_800_000),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for bad in ["", "s", "ten", "-1s", "1 fortnight", "1e9s", "..s", "99999999999999999999d"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn shown_durations_parse_to_the_same_value(millis in 0u64..1 << 31) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse(&show(duration)), Some(duration));
        }
    }
}
