//! Batches: several events in one request.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::duration::{self, DurationText};
use crate::event::BatchFormat;
use crate::limits::{MAX_BATCH_BODY_BYTES, MAX_BATCH_EVENTS, MAX_BATCH_LINGER};

/// The number of bits by which each failed attempt shifts the maximum number of events to the right: a division by eight.
const SPLIT_SHIFT: u32 = 3;

/// The batch settings of a subscription. A batch is sent as soon as it is full, or when its oldest event has waited for
/// the linger time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BatchFields")]
pub struct Batch {
    max_events: usize,
    #[serde(serialize_with = "duration::serialize")]
    linger: Duration,
    format: BatchFormat,
}

/// The reason why batch settings are rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The maximum number of events is out of bounds.
    #[error("a batch must have 1 to {MAX_BATCH_EVENTS} events")]
    Events,
    /// The maximum number of events is missing, and the subscription has no batch settings yet.
    #[error("linger and format apply only to batches; also set the maximum number of events per batch")]
    Unsized,
    /// The linger time is too long.
    #[error("linger must be at most {}", duration::show(MAX_BATCH_LINGER))]
    Linger,
}

/// The fields before validation.
#[derive(Deserialize)]
struct BatchFields {
    max_events: usize,
    linger: DurationText,
    format: BatchFormat,
}

impl Batch {
    /// The default linger time.
    pub const DEFAULT_LINGER: Duration = Duration::from_secs(1);

    /// Validates batch settings; `linger` is truncated to whole milliseconds.
    ///
    /// # Errors
    /// `max_events` is 0 or more than [`MAX_BATCH_EVENTS`], or `linger` is more than [`MAX_BATCH_LINGER`].
    pub fn new(max_events: usize, linger: Duration, format: BatchFormat) -> Result<Self, BatchError> {
        if !(1..=MAX_BATCH_EVENTS).contains(&max_events) {
            return Err(BatchError::Events);
        }
        if linger > MAX_BATCH_LINGER {
            return Err(BatchError::Linger);
        }
        let whole = Duration::new(linger.as_secs(), linger.subsec_millis() * 1_000_000);
        Ok(Self { max_events, linger: whole, format })
    }

    /// Returns the maximum number of events of a batch.
    #[must_use]
    pub fn max_events(self) -> usize {
        self.max_events
    }

    /// Returns the maximum number of events of a batch whose first event has this many failed attempts. Each attempt divides
    /// the number by eight, and after three attempts it is 1. A rejected event therefore does not make others fail, and the
    /// members of earlier batches need not be stored.
    #[must_use]
    pub fn max_events_after(self, attempts: u32) -> usize {
        let shift = attempts.saturating_mul(SPLIT_SHIFT);
        self.max_events.checked_shr(shift).unwrap_or(0).max(1)
    }

    /// Returns the time for which the first event of a batch waits for other events.
    #[must_use]
    pub fn linger(self) -> Duration {
        self.linger
    }

    /// Returns the format of the body.
    #[must_use]
    pub fn format(self) -> BatchFormat {
        self.format
    }

    /// Returns whether a batch is sent now. `events` and `bytes` are the number and the body size of the waiting events;
    /// `attempts` and `waited` describe the first event. Full batches and retries do not wait.
    #[must_use]
    pub fn is_due(self, attempts: u32, events: usize, bytes: usize, waited: Duration) -> bool {
        let is_full = events >= self.max_events || bytes >= MAX_BATCH_BODY_BYTES;
        events > 0 && (is_full || attempts > 0 || waited >= self.linger)
    }

    /// Returns whether an event of `more_bytes` fits into a batch of `events` events and `bytes` bytes, whose first event has
    /// this many failed `attempts`. The first event always fits, whatever its size.
    #[must_use]
    pub fn has_room(self, attempts: u32, events: usize, bytes: usize, more_bytes: usize) -> bool {
        let all = BatchFormat::FRAME_BYTES.saturating_add(bytes).saturating_add(more_bytes);
        events == 0 || events < self.max_events_after(attempts) && all <= MAX_BATCH_BODY_BYTES
    }
}

impl TryFrom<BatchFields> for Batch {
    type Error = BatchError;

    fn try_from(fields: BatchFields) -> Result<Self, BatchError> {
        Self::new(fields.max_events, fields.linger.0, fields.format)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn batch(max_events: usize) -> Batch {
        Batch::new(max_events, Batch::DEFAULT_LINGER, BatchFormat::Array).unwrap()
    }

    #[test]
    fn values_out_of_bounds_are_rejected() {
        let new = |events, linger| Batch::new(events, linger, BatchFormat::Array);
        assert_eq!(new(0, Duration::ZERO), Err(BatchError::Events));
        assert_eq!(new(MAX_BATCH_EVENTS + 1, Duration::ZERO), Err(BatchError::Events));
        assert_eq!(new(1, MAX_BATCH_LINGER + Duration::from_millis(1)), Err(BatchError::Linger));
        assert!(new(1, Duration::ZERO).is_ok() && new(MAX_BATCH_EVENTS, MAX_BATCH_LINGER).is_ok());
        for bad in [
            "{}",
            r#"{"max_events":0,"linger":"1s","format":"array"}"#,
            r#"{"max_events":9,"linger":"soon","format":"array"}"#,
            r#"{"max_events":9,"linger":"1s","format":"xml"}"#,
        ] {
            assert!(serde_json::from_str::<Batch>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn batches_of_retries_shrink_to_one_event() {
        let sizes = |max| (0..4).map(|attempts| batch(max).max_events_after(attempts)).collect::<Vec<_>>();
        assert_eq!(sizes(MAX_BATCH_EVENTS), [256, 32, 4, 1]);
        assert_eq!(sizes(100), [100, 12, 1, 1]);
        assert_eq!(sizes(1), [1, 1, 1, 1]);
        assert_eq!(batch(100).max_events_after(u32::MAX), 1);
    }

    #[test]
    fn batch_size_is_bounded_except_for_the_first_event() {
        let batch = batch(3);
        assert!(batch.has_room(0, 0, 0, usize::MAX));
        assert!(batch.has_room(0, 1, MAX_BATCH_BODY_BYTES - 12, 10));
        assert!(!batch.has_room(0, 1, MAX_BATCH_BODY_BYTES - 12, 11));
        assert!(batch.has_room(0, 2, 10, 10) && !batch.has_room(0, 3, 10, 10));
        assert!(!batch.has_room(1, 1, 10, 10), "a retry of a batch of three is sent alone");
    }

    #[test]
    fn full_lingered_and_retried_batches_are_due() {
        let (batch, no_time) = (batch(3), Duration::ZERO);
        assert!(!batch.is_due(0, 2, 999, no_time) && batch.is_due(0, 2, 999, Batch::DEFAULT_LINGER));
        assert!(batch.is_due(0, 3, 999, no_time) && batch.is_due(0, 1, MAX_BATCH_BODY_BYTES, no_time));
        assert!(batch.is_due(1, 1, 999, no_time) && !batch.is_due(1, 0, 0, Batch::DEFAULT_LINGER));
        let at_once = Batch::new(3, no_time, BatchFormat::Array).unwrap();
        assert!(at_once.is_due(0, 1, 999, no_time));
    }

    proptest! {
        #[test]
        fn settings_round_trip_through_json(events in 1..=MAX_BATCH_EVENTS, millis in 0u64..60_000, cloud: bool) {
            let format = if cloud { BatchFormat::CloudEvents } else { BatchFormat::Array };
            let batch = Batch::new(events, Duration::from_millis(millis), format).unwrap();
            let json = serde_json::to_string(&batch).unwrap();
            prop_assert_eq!(serde_json::from_str::<Batch>(&json).unwrap(), batch);
        }
    }
}
