//! The rate limit of a subscription's attempts.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::time::BootMicros;

/// A number of attempts per second, minute or hour, evenly spaced, with bursts of up to a tenth of a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    count: u32,
    /// An element of [`PERIODS`].
    period: (&'static str, u64),
}

/// The periods, and their lengths in seconds.
const PERIODS: [(&str, u64); 3] = [("s", 1), ("m", 60), ("h", 3600)];

/// The text is not a rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a rate; write a value such as 50/s, 100/m or 1000/h")]
pub struct ParseRateError(Box<str>);

/// The state of a rate limit (generic cell rate algorithm, ITU-T I.371, annex A).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pacer {
    /// The time at which the next attempt would start if all attempts were evenly spaced.
    next_at: BootMicros,
}

impl Rate {
    /// Returns the time between two attempts, in whole microseconds, rounded up so that the rate is never exceeded.
    #[must_use]
    pub fn interval(self) -> Duration {
        Duration::from_micros((self.period.1 * 1_000_000).div_ceil(u64::from(self.count)))
    }

    /// Returns the time by which attempts may be ahead of an even spacing, so that a late timer does not lower the rate.
    fn tolerance(self) -> Duration {
        Duration::from_millis(100).max(self.interval()).saturating_sub(self.interval())
    }
}

impl Pacer {
    /// Returns the earliest time at which an attempt may start, which may be in the past.
    #[must_use]
    pub fn earliest(&self, rate: Rate) -> BootMicros {
        self.next_at.before(rate.tolerance())
    }

    /// Counts an attempt that starts now.
    pub fn count(&mut self, rate: Rate, now: BootMicros) {
        self.next_at = self.next_at.max(now).after(rate.interval());
    }
}

impl FromStr for Rate {
    type Err = ParseRateError;

    fn from_str(text: &str) -> Result<Self, ParseRateError> {
        let error = || ParseRateError(text.into());
        let (count, unit) = text.split_once('/').ok_or_else(error)?;
        let unit = if unit.trim() == "min" { "m" } else { unit.trim() };
        let period = PERIODS.into_iter().find(|(name, _)| *name == unit).ok_or_else(error)?;
        let count = count.trim().parse().ok().filter(|count| (1..=1_000_000).contains(count));
        Ok(Self { count: count.ok_or_else(error)?, period })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.period.0)
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_round_trips_and_invalid_rates_are_rejected() {
        for text in ["50/s", "1/m", "1000/h"] {
            assert_eq!(text.parse::<Rate>().map(|rate| rate.to_string()), Ok(text.into()));
        }
        for text in ["", "50", "0/s", "/s", "50/d", "-1/s", "1000001/s", "1.5/s"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn pacer_neither_exceeds_its_rate_nor_falls_behind(
            count in 1u32..2000, gaps in prop::collection::vec(0i64..50_000, 1..300),
        ) {
            let rate = Rate { count, period: PERIODS[0] };
            let (mut pacer, mut now, mut started) = (Pacer::default(), BootMicros(1_000_000_000), Vec::new());
            for gap in gaps {
                now.0 += gap;
                while pacer.earliest(rate) <= now {
                    pacer.count(rate, now);
                    started.push(now);
                    prop_assert!(started.len() < 200_000);
                }
                prop_assert!(pacer.earliest(rate).since(now) <= rate.interval());
            }
            let span = now.since(started[0]) + rate.tolerance() + rate.interval();
            prop_assert!(started.len() as u128 <= span.as_nanos() / rate.interval().as_nanos() + 1);
        }
    }
}
