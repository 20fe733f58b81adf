//! `--since`: a while ago, or a moment.

use decnet_core::time::UnixMicros;

use crate::config::read_duration;
use crate::receiver::now;

/// Reads `2h` as two hours ago, and `2026-11-23T10:00` as that moment, UTC unless it says otherwise.
///
/// # Errors
/// What to write instead.
pub(super) fn since(text: &str) -> Result<UnixMicros, String> {
    before(text, now())
}

fn before(text: &str, now: UnixMicros) -> Result<UnixMicros, String> {
    if let Ok(ago) = read_duration(text) {
        let ago = i64::try_from(ago.as_micros()).unwrap_or(i64::MAX);
        return Ok(UnixMicros(now.0.saturating_sub(ago)));
    }
    let wrong = || format!("is 2h, 7d or a moment such as 2026-11-23T10:00 (UTC), not `{text}`");
    UnixMicros::from_sqlite(text).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_while_ago_or_a_moment() {
        let now = UnixMicros(1_776_988_800_000_000);
        assert_eq!(before("2h", now), Ok(UnixMicros(now.0 - 7_200_000_000)));
        for text in ["2026-04-24T00:00", "2026-04-24", "2026-04-24 00:00:00", "2026-04-24T02:00+02:00"] {
            assert_eq!(before(text, UnixMicros(0)), Ok(now), "{text}");
        }
        assert!(before("yesterday", now).is_err());
    }
}
