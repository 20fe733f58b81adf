//! Times in microseconds: since the Unix epoch, with their text forms, and since the boot of the machine.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use serde::{Serialize, Serializer};

/// Microseconds since 1970-01-01 00:00 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixMicros(pub i64);

/// Microseconds since the machine started, including suspend (`CLOCK_BOOTTIME`). All waits in memory use this clock, since it
/// cannot be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BootMicros(pub i64);

/// Serializes as [`UnixMicros::to_iso8601`] formats the time.
impl Serialize for UnixMicros {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_iso8601())
    }
}

impl BootMicros {
    /// Returns this time plus a duration; saturates.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(micros(delay)))
    }

    /// Returns this time minus a duration; saturates.
    #[must_use]
    pub fn before(self, delay: Duration) -> Self {
        Self(self.0.saturating_sub(micros(delay)))
    }

    /// Returns the duration since `earlier`; zero if that is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl UnixMicros {
    /// Converts fractional seconds, rounding half to even as Python's `datetime.fromtimestamp` does.
    ///
    /// Returns `None` if the seconds are not finite or outside the years -9999 to 9999.
    #[must_use]
    pub fn from_seconds(seconds: f64) -> Option<Self> {
        if !seconds.is_finite() || seconds.abs() > 3e11 {
            return None;
        }
        let whole = seconds.trunc();
        #[expect(clippy::cast_possible_truncation, reason = "bounded above")]
        let micros = whole as i64 * 1_000_000 + ((seconds - whole) * 1e6).round_ties_even() as i64;
        Timestamp::from_microsecond(micros).ok().map(|_| Self(micros))
    }

    /// Returns whole seconds, rounded down.
    #[must_use]
    pub fn as_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Returns fractional seconds.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "exact to the microsecond for centuries")]
    pub fn as_seconds_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// Returns this time plus a duration; saturates.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(micros(delay)))
    }

    /// Returns this time minus a duration; saturates.
    #[must_use]
    pub fn before(self, delay: Duration) -> Self {
        Self(self.0.saturating_sub(micros(delay)))
    }

    /// Returns the duration since `earlier`; zero if that is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Returns `2026-04-24T00:00:00+00:00`, with a fraction of six digits unless it is zero (Python's `isoformat`).
    #[must_use]
    pub fn to_iso8601(self) -> String {
        self.format("T", "+00:00", false)
    }

    /// Returns `2026-11-23 14:25:00.424839`: UTC without a zone, as in DECNET's SQLite tables.
    #[must_use]
    pub fn to_sqlite(self) -> String {
        self.format(" ", "", true)
    }

    /// Parses the formats in DECNET's tables: with a space or `T`, with or without a fraction and a zone.
    #[must_use]
    pub fn from_sqlite(text: &str) -> Option<Self> {
        let zoned = || text.parse::<Timestamp>().ok();
        let civil = || Offset::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok();
        zoned().or_else(civil).map(|at| Self(at.as_microsecond()))
    }

    /// Formats digit by digit: the general formatting of dates would take a tenth of the time to create an event.
    fn format(self, between: &str, zone: &str, always_fraction: bool) -> String {
        let at = Offset::UTC.to_datetime(Timestamp::from_microsecond(self.0).unwrap_or_default());
        let micros = self.0.rem_euclid(1_000_000);
        let mut text = String::with_capacity(40);
        if at.year() < 0 {
            text.push('-');
        }
        push_digits(&mut text, at.year().unsigned_abs().into(), 4);
        for (before, number) in [("-", at.month()), ("-", at.day()), (between, at.hour()), (":", at.minute())]
        {
            text.push_str(before);
            push_digits(&mut text, number.unsigned_abs().into(), 2);
        }
        text.push(':');
        push_digits(&mut text, at.second().unsigned_abs().into(), 2);
        if always_fraction || micros != 0 {
            text.push('.');
            push_digits(&mut text, micros.unsigned_abs(), 6);
        }
        text.push_str(zone);
        text
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Appends the last `width` decimal digits.
fn push_digits(text: &mut String, number: u64, width: u32) {
    for place in (0..width).rev() {
        let digit = number / 10_u64.pow(place) % 10;
        text.extend(char::from_digit(u32::try_from(digit).unwrap_or_default(), 10));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_formatted_as_in_python() {
        let whole = UnixMicros(1_776_988_800_000_000);
        assert_eq!(whole.to_iso8601(), "2026-04-24T00:00:00+00:00");
        assert_eq!(whole.to_sqlite(), "2026-04-24 00:00:00.000000");
        assert_eq!(UnixMicros(-1).to_iso8601(), "1969-12-31T23:59:59.999999+00:00");
        assert_eq!(UnixMicros(946_684_799_000_010).to_iso8601(), "1999-12-31T23:59:59.000010+00:00");
    }

    #[test]
    fn all_time_formats_of_the_tables_are_parsed() {
        let at = Some(UnixMicros(1_776_988_800_250_000));
        assert_eq!(UnixMicros::from_sqlite("2026-04-24 00:00:00.250000"), at);
        assert_eq!(UnixMicros::from_sqlite("2026-04-24T00:00:00.25+00:00"), at);
        assert_eq!(UnixMicros::from_sqlite("2026-04-24T02:00:00.25+02:00"), at);
        assert_eq!(UnixMicros::from_sqlite("yesterday"), None);
    }

    #[test]
    fn seconds_round_half_to_even() {
        assert_eq!(UnixMicros::from_seconds(1.5), Some(UnixMicros(1_500_000)));
        assert_eq!(UnixMicros::from_seconds(f64::NAN), None);
        assert_eq!(UnixMicros::from_seconds(1e300), None);
    }
}
