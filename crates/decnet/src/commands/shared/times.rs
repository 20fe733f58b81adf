//! Times and ages, as arguments and in texts for people.

use std::time::Duration;

use decnet_core::time::UnixMicros;

use crate::config::read_duration;
use crate::receiver::now;

/// Parses a value of `--since` or `--until`: `2h` as two hours ago, and `2026-11-23T10:00` as that time, in UTC unless it has
/// an offset.
///
/// # Errors
/// The text is neither. The error gives the accepted forms.
pub(crate) fn since(text: &str) -> Result<UnixMicros, String> {
    before(text, now())
}

fn before(text: &str, now: UnixMicros) -> Result<UnixMicros, String> {
    if let Ok(ago) = read_duration(text) {
        let ago = i64::try_from(ago.as_micros()).unwrap_or(i64::MAX);
        return Ok(UnixMicros(now.0.saturating_sub(ago)));
    }
    let wrong = || {
        format!(
            "`{text}` is not a time; write an age such as 2h or 7d, or a time such as 2026-11-23T10:00 (UTC)"
        )
    };
    UnixMicros::from_sqlite(text).ok_or_else(wrong)
}

/// Formats a time in UTC, to the second; `-` for none.
pub(crate) fn when(at: impl Into<Option<UnixMicros>>) -> String {
    at.into().map_or_else(|| "-".into(), |at| at.to_sqlite().chars().take(19).collect())
}

/// Formats a duration, rounded down to its largest unit.
pub(crate) fn show_age(seconds: f64) -> String {
    let duration = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX);
    match duration.as_secs() {
        0 => format!("{}ms", duration.as_millis()),
        secs @ 1..120 => format!("{secs}s"),
        secs @ 120..7_200 => format!("{}m", secs / 60),
        secs @ 7_200..172_800 => format!("{}h", secs / 3_600),
        secs => format!("{}d", secs / 86_400),
    }
}

/// Describes a system clock that is ahead of the expected time, or behind it if the seconds are negative.
pub(crate) fn show_clock(ahead_seconds: f64) -> String {
    let by = show_age(ahead_seconds.abs().round());
    let how = if ahead_seconds > 0.0 { "ahead of" } else { "behind" };
    format!("the system clock is {by} {how} the expected time")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_times_are_parsed() {
        let now = UnixMicros(1_776_988_800_000_000);
        assert_eq!(before("2h", now), Ok(UnixMicros(now.0 - 7_200_000_000)));
        for text in ["2026-04-24T00:00", "2026-04-24", "2026-04-24 00:00:00", "2026-04-24T02:00+02:00"] {
            assert_eq!(before(text, UnixMicros(0)), Ok(now), "{text}");
        }
        assert!(before("yesterday", now).is_err());
    }

    #[test]
    fn ages_are_rounded_to_their_largest_unit() {
        assert_eq!([0.25, 61.0, 7_300.0, 200_000.0].map(show_age), ["250ms", "61s", "2h", "2d"]);
    }
}
