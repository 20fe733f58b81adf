//! The values of `--since` and `--until`: a duration before now, or a point in time.

use decnet_core::time::UnixMicros;

use crate::config::read_duration;
use crate::receiver::now;

/// Parses `2h` as two hours ago, and `2026-11-23T10:00` as that time, in UTC unless it has an offset.
///
/// # Errors
/// The text is neither. The error gives the accepted forms.
pub(super) fn since(text: &str) -> Result<UnixMicros, String> {
    before(text, now())
}

fn before(text: &str, now: UnixMicros) -> Result<UnixMicros, String> {
    if let Ok(ago) = read_duration(text) {
        let ago = i64::try_from(ago.as_micros()).unwrap_or(i64::MAX);
        return Ok(UnixMicros(now.0.saturating_sub(ago)));
    }
    let wrong = || format!("`{text}` is not a time; write 2h, 7d or a time such as 2026-11-23T10:00 (UTC)");
    UnixMicros::from_sqlite(text).ok_or_else(wrong)
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
}
