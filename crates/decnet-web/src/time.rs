//! Times of day.

use std::fmt;

use decnet_core::time::UnixMicros;
use serde::Deserialize;

use crate::Span;

/// A time in ISO 8601, as the API writes it. A script shows it in the reader's time zone; without scripts it is shown in UTC.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Time(String);

impl Time {
    /// Returns the value of the attribute `datetime`.
    #[must_use]
    pub fn iso(&self) -> &str {
        &self.0
    }

    /// Returns the time as a number; `None` if it is not a time.
    #[must_use]
    pub fn micros(&self) -> Option<UnixMicros> {
        UnixMicros::from_sqlite(&self.0)
    }

    /// Returns how long it is from `now` to the time: `in 4 min`, or `now` once the time has come.
    #[must_use]
    pub fn remaining(&self, now: UnixMicros) -> String {
        match self.micros() {
            Some(at) if at > now => format!("in {}", Span(at.since(now))),
            _ => "now".to_owned(),
        }
    }
}

impl From<UnixMicros> for Time {
    fn from(at: UnixMicros) -> Self {
        Self(at.to_iso8601())
    }
}

/// Writes the time in UTC, to the second.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.get(..19) {
            Some(seconds) => write!(f, "{} UTC", seconds.replacen('T', " ", 1)),
            None => f.write_str(&self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn time_is_shown_to_the_second() {
        let time = Time::from(UnixMicros(1_776_988_800_424_839));
        assert_eq!(time.to_string(), "2026-04-24 00:00:00 UTC");
        assert_eq!(time.iso(), "2026-04-24T00:00:00.424839+00:00");
        assert_eq!(Time("odd".into()).to_string(), "odd");
    }

    #[test]
    fn time_to_wait_is_shown_until_it_is_over() {
        let now = UnixMicros(1_776_988_800_000_000);
        let time = Time::from(now.after(Duration::from_secs(250)));
        assert_eq!(time.remaining(now), "in 4 min");
        assert_eq!(time.remaining(time.micros().unwrap()), "now");
        assert_eq!(Time("odd".into()).remaining(now), "now");
    }
}
