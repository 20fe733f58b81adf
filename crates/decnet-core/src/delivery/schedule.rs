//! The delays between the attempts of a delivery.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::duration;
use crate::limits::{MAX_RETRIES, MAX_RETRY_DELAY, MAX_RETRY_WAIT};

/// The largest share of a delay that jitter adds or subtracts.
const JITTER: f64 = 0.2;

/// The delays between the attempts of one delivery, one per retry. In JSON it is a text such as `1s,2s,4s`, or `none`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RetrySchedule(Box<[Duration]>);

/// The reason why a retry schedule is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// A part that is not a duration.
    #[error("`{0}` is not a duration; write durations such as 30s, 2m, 6h or 1d, separated by commas")]
    Syntax(Box<str>),
    /// A delay above [`MAX_RETRY_DELAY`].
    #[error("a delay must be at most {} h", MAX_RETRY_DELAY.as_secs() / 3600)]
    TooLong,
    /// More than [`MAX_RETRIES`] delays.
    #[error("at most {MAX_RETRIES} retries")]
    TooMany,
}

impl RetrySchedule {
    /// Creates a schedule from delays.
    ///
    /// # Errors
    /// There are more than [`MAX_RETRIES`] delays, or a delay is above [`MAX_RETRY_DELAY`].
    pub fn new(delays: impl Into<Box<[Duration]>>) -> Result<Self, ScheduleError> {
        let delays = delays.into();
        if delays.len() > MAX_RETRIES {
            return Err(ScheduleError::TooMany);
        }
        if delays.iter().any(|delay| *delay > MAX_RETRY_DELAY) {
            return Err(ScheduleError::TooLong);
        }
        Ok(Self(delays))
    }

    /// Returns the number of retries.
    #[must_use]
    pub fn retries(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// Returns the delay after `attempts` attempts (at least 1, not counting [free](super::Fate::is_free) attempts), or `None`
    /// when all retries are used.
    ///
    /// `jitter` from -1 to 1 changes the delay by up to 20 %. The wait that the receiver requested is a lower bound. The
    /// result is at most [`MAX_RETRY_WAIT`].
    #[must_use]
    pub fn next_delay(&self, attempts: u32, requested: Option<Duration>, jitter: f64) -> Option<Duration> {
        let delay = self.0.get(usize::try_from(attempts).ok()?.checked_sub(1)?)?;
        let jittered = delay.mul_f64(1.0 + JITTER * jitter.clamp(-1.0, 1.0));
        Some(jittered.max(requested.unwrap_or_default()).min(MAX_RETRY_WAIT))
    }
}

/// The default delays: 1, 2 and 4 s as in DECNET, then 30 s, 2 min, 10 min, 1 h, 6 h and 24 h.
impl Default for RetrySchedule {
    fn default() -> Self {
        Self([1, 2, 4, 30, 120, 600, 3600, 21_600, 86_400].map(Duration::from_secs).into())
    }
}

/// Parses `1s,2s,4s,30s,2m,10m,1h,6h,1d`. An empty text or `none` means no retries.
impl FromStr for RetrySchedule {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let text = if text.trim() == "none" { "" } else { text };
        let texts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let delay = |text: &str| duration::parse(text).ok_or_else(|| ScheduleError::Syntax(text.into()));
        Self::new(texts.map(delay).collect::<Result<Vec<_>, _>>()?)
    }
}

impl fmt::Display for RetrySchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, delay) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{}", duration::show(*delay))?;
        }
        Ok(())
    }
}

impl TryFrom<String> for RetrySchedule {
    type Error = ScheduleError;

    fn try_from(text: String) -> Result<Self, ScheduleError> {
        text.parse()
    }
}

impl From<RetrySchedule> for String {
    fn from(schedule: RetrySchedule) -> Self {
        if schedule.0.is_empty() { "none".into() } else { schedule.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn schedule_round_trips_as_text() {
        let default = RetrySchedule::default();
        assert_eq!(default.to_string(), "1s,2s,4s,30s,2m,10m,1h,6h,1d");
        assert_eq!(default.to_string().parse(), Ok(default));
        assert_eq!(
            "250ms, 1.5, 1d".parse::<RetrySchedule>().map(|s| s.to_string()),
            Ok("250ms,1500ms,1d".into())
        );
        assert_eq!("".parse::<RetrySchedule>().map(|s| s.retries()), Ok(0));
        assert!(matches!("soon".parse::<RetrySchedule>(), Err(ScheduleError::Syntax(_))));
        assert_eq!("25h".parse::<RetrySchedule>(), Err(ScheduleError::TooLong));
        assert_eq!("1,".repeat(65).parse::<RetrySchedule>(), Err(ScheduleError::TooMany));
    }

    proptest! {
        #[test]
        fn jitter_is_at_most_a_fifth_and_a_requested_wait_is_kept(
            attempts in 0u32..12, jitter in -2.0f64..2.0, requested in prop::option::of(0u64..200_000),
        ) {
            let schedule = RetrySchedule::default();
            let requested = requested.map(Duration::from_secs);
            let delay = schedule.next_delay(attempts, requested, jitter);
            prop_assert_eq!(delay.is_some(), (1..=schedule.retries()).contains(&attempts));
            if let Some(delay) = delay {
                let scheduled = schedule.0[attempts as usize - 1];
                let requested = requested.unwrap_or_default();
                prop_assert!(delay >= scheduled.mul_f64(0.8 - 1e-9));
                prop_assert!(delay <= scheduled.mul_f64(1.2 + 1e-9).max(requested));
                prop_assert!(delay >= requested.min(MAX_RETRY_DELAY));
            }
        }
    }
}
