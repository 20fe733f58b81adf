//! When to try again.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::duration;
use crate::limits::{MAX_RETRIES, MAX_RETRY_DELAY, MAX_RETRY_WAIT};

/// Share of a delay by which jitter moves it, either way.
const JITTER: f64 = 0.2;

/// The delays between the attempts of one delivery, one per retry. Text in JSON, as it is read and shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RetrySchedule(Box<[Duration]>);

/// Why a schedule is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// A text that is no duration.
    #[error("`{0}` is no duration; write 30s, 2m, 6h or 1d, separated by commas")]
    Syntax(Box<str>),
    /// A delay out of bounds.
    #[error("a delay is at most {} h", MAX_RETRY_DELAY.as_secs() / 3600)]
    TooLong,
    /// More delays than a delivery should live through.
    #[error("at most {MAX_RETRIES} retries")]
    TooMany,
}

impl RetrySchedule {
    /// Validates delays.
    ///
    /// # Errors
    /// More than [`MAX_RETRIES`] delays, or one above [`MAX_RETRY_DELAY`].
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

    /// How many retries there are.
    #[must_use]
    pub fn retries(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// The delay before the next attempt after `attempts` of them (at least 1), or `None` when all are used.
    ///
    /// `jitter` from -1 to 1 moves it by up to 20 %. What the receiver asked for is a lower bound.
    #[must_use]
    pub fn next_delay(&self, attempts: u32, asked: Option<Duration>, jitter: f64) -> Option<Duration> {
        let delay = self.0.get(usize::try_from(attempts).ok()?.checked_sub(1)?)?;
        let moved = delay.mul_f64(1.0 + JITTER * jitter.clamp(-1.0, 1.0));
        Some(moved.max(asked.unwrap_or_default()).min(MAX_RETRY_WAIT))
    }
}

/// 1, 2 and 4 s as DECNET, then 30 s, 2 min, 10 min, 1 h, 6 h and 24 h.
impl Default for RetrySchedule {
    fn default() -> Self {
        Self([1, 2, 4, 30, 120, 600, 3600, 21_600, 86_400].map(Duration::from_secs).into())
    }
}

/// Reads `1s,2s,4s,30s,2m,10m,1h,6h,1d`; an empty text, or `none`, means no retries.
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
    fn text_and_back() {
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
        fn jitter_stays_within_a_fifth_and_wishes_are_heard(
            attempts in 0u32..12, jitter in -2.0f64..2.0, asked in prop::option::of(0u64..200_000),
        ) {
            let schedule = RetrySchedule::default();
            let asked = asked.map(Duration::from_secs);
            let delay = schedule.next_delay(attempts, asked, jitter);
            prop_assert_eq!(delay.is_some(), (1..=schedule.retries()).contains(&attempts));
            if let Some(delay) = delay {
                let plain = schedule.0[attempts as usize - 1];
                prop_assert!(delay >= plain.mul_f64(0.8 - 1e-9));
                prop_assert!(delay <= plain.mul_f64(1.2 + 1e-9).max(asked.unwrap_or_default()));
                prop_assert!(delay >= asked.unwrap_or_default().min(MAX_RETRY_DELAY));
            }
        }
    }
}
