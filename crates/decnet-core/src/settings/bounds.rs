//! The timeout and the maximum concurrency of a subscription's requests.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::duration;
use crate::limits::{MAX_CONCURRENCY, MAX_DEADLINE, MIN_DEADLINE};

/// The timeout of an attempt (resolving, connecting, sending and reading the reply), in whole milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Timeout(#[serde(serialize_with = "duration::serialize")] Duration);

/// The maximum number of requests in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u64")]
pub struct Concurrency(usize);

/// The reason why a timeout is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeoutError {
    /// The duration is too short for any receiver, or so long that requests pile up.
    #[error("a timeout must be from {} to {}", duration::show(MIN_DEADLINE), duration::show(MAX_DEADLINE))]
    Bounds,
    /// The text is not a duration.
    #[error("`{0}` is not a duration; write a value such as 500ms, 5s or 1m")]
    Syntax(Box<str>),
}

/// The number of requests is out of bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("concurrency must be a whole number from 1 to {MAX_CONCURRENCY}")]
pub struct ConcurrencyError;

impl Timeout {
    /// Validates a duration and truncates it to whole milliseconds.
    ///
    /// # Errors
    /// The duration is less than [`MIN_DEADLINE`] or more than [`MAX_DEADLINE`].
    pub fn new(duration: Duration) -> Result<Self, TimeoutError> {
        if !(MIN_DEADLINE..=MAX_DEADLINE).contains(&duration) {
            return Err(TimeoutError::Bounds);
        }
        Ok(Self(Duration::new(duration.as_secs(), duration.subsec_millis() * 1_000_000)))
    }

    /// Returns the duration.
    #[must_use]
    pub fn get(self) -> Duration {
        self.0
    }
}

impl Concurrency {
    /// Validates a number of requests.
    ///
    /// # Errors
    /// The number is 0 or more than [`MAX_CONCURRENCY`].
    pub fn new(requests: usize) -> Result<Self, ConcurrencyError> {
        if (1..=MAX_CONCURRENCY).contains(&requests) { Ok(Self(requests)) } else { Err(ConcurrencyError) }
    }

    /// Returns the number, at least 1.
    #[must_use]
    pub fn get(self) -> usize {
        self.0
    }
}

impl FromStr for Timeout {
    type Err = TimeoutError;

    fn from_str(text: &str) -> Result<Self, TimeoutError> {
        Self::new(duration::parse(text).ok_or_else(|| TimeoutError::Syntax(text.into()))?)
    }
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&duration::show(self.0))
    }
}

impl TryFrom<String> for Timeout {
    type Error = TimeoutError;

    fn try_from(text: String) -> Result<Self, TimeoutError> {
        text.parse()
    }
}

impl TryFrom<u64> for Concurrency {
    type Error = ConcurrencyError;

    fn try_from(requests: u64) -> Result<Self, ConcurrencyError> {
        Self::new(usize::try_from(requests).map_err(|_| ConcurrencyError)?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_out_of_bounds_are_rejected() {
        for bad in ["99ms", "301s", "0", "soon", ""] {
            assert!(bad.parse::<Timeout>().is_err(), "{bad}");
            assert!(serde_json::from_value::<Timeout>(bad.into()).is_err(), "{bad}");
        }
        for bad in ["0", "257", "65537", "-1", "1.5", "\"4\""] {
            assert!(serde_json::from_str::<Concurrency>(bad).is_err(), "{bad}");
        }
        assert!(Concurrency::new(1).is_ok() && Concurrency::new(MAX_CONCURRENCY).is_ok());
    }

    proptest! {
        #[test]
        fn settings_round_trip_through_json(millis in 100u64..=300_000, requests in 1..=MAX_CONCURRENCY) {
            let timeout = Timeout::new(Duration::from_millis(millis)).unwrap();
            let json = serde_json::to_string(&timeout).unwrap();
            prop_assert_eq!(serde_json::from_str::<Timeout>(&json).unwrap(), timeout);
            let concurrency = Concurrency::new(requests).unwrap();
            let json = serde_json::to_string(&concurrency).unwrap();
            prop_assert_eq!(&json, &requests.to_string());
            prop_assert_eq!(serde_json::from_str::<Concurrency>(&json).unwrap(), concurrency);
        }
    }
}
