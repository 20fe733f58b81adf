//! Several events in one request: how many, how long the first of them waits, and in what form.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::duration;
use crate::event::BatchFormat;
use crate::limits::{MAX_BATCH_BODY_BYTES, MAX_BATCH_EVENTS, MAX_BATCH_LINGER};

/// By how much fewer events a batch may hold with each failed attempt of its members, as a shift: an eighth.
const SPLIT_SHIFT: u32 = 3;

/// How a subscription's events are gathered. A batch is sent as soon as it is full, or when its oldest event has
/// waited for as long as the subscription lets it linger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Batch {
    max_events: usize,
    linger: Duration,
    format: BatchFormat,
}

/// Why a batch is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// None, or more than a lane has in memory.
    #[error("a batch has 1 to {MAX_BATCH_EVENTS} events")]
    Events,
    /// The first batch of a subscription, and nobody said how large.
    #[error("linger and format are for batches: say how many events one has at most")]
    Unsized,
    /// Longer than an event should be held back.
    #[error("a batch lingers for at most {}", duration::show(MAX_BATCH_LINGER))]
    Linger,
    /// A text that is no duration.
    #[error("`{0}` is no duration; write 500ms, 1s or 1m")]
    Syntax(Box<str>),
}

/// As it rests in the catalog and is shown in JSON.
#[derive(Serialize, Deserialize)]
struct Stored {
    max_events: usize,
    linger: String,
    format: BatchFormat,
}

impl Batch {
    /// How long events linger unless something else is asked for.
    pub const DEFAULT_LINGER: Duration = Duration::from_secs(1);

    /// Validates what is asked for; `linger` is cut to whole milliseconds.
    ///
    /// # Errors
    /// No events or more than [`MAX_BATCH_EVENTS`], or a linger above [`MAX_BATCH_LINGER`].
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

    /// Most events of one batch.
    #[must_use]
    pub fn max_events(self) -> usize {
        self.max_events
    }

    /// Most events of a batch that one with so many failed attempts is part of: an eighth with each of them, and after
    /// three it goes alone. So an event that a receiver refuses does not take others with it, and nothing need be
    /// remembered about who was sent beside whom.
    #[must_use]
    pub fn max_events_after(self, attempts: u32) -> usize {
        let shift = attempts.saturating_mul(SPLIT_SHIFT);
        self.max_events.checked_shr(shift).unwrap_or(0).max(1)
    }

    /// How long the first event of a batch waits for others.
    #[must_use]
    pub fn linger(self) -> Duration {
        self.linger
    }

    /// What its body looks like.
    #[must_use]
    pub fn format(self) -> BatchFormat {
        self.format
    }

    /// Does a batch go now, where so many events with so many body bytes wait, the first of them for so long and
    /// after so many failed attempts? A retry has waited enough, and a full batch gains nothing by it.
    #[must_use]
    pub fn is_due(self, attempts: u32, events: usize, bytes: usize, waited: Duration) -> bool {
        let is_full = events >= self.max_events || bytes >= MAX_BATCH_BODY_BYTES;
        events > 0 && (is_full || attempts > 0 || waited >= self.linger)
    }

    /// Is there room for one more, where so many events with so many failed attempts take so many bytes? The first
    /// event always has room, however large.
    #[must_use]
    pub fn has_room(self, attempts: u32, events: usize, bytes: usize, more_bytes: usize) -> bool {
        let all = BatchFormat::FRAME_BYTES.saturating_add(bytes).saturating_add(more_bytes);
        events == 0 || events < self.max_events_after(attempts) && all <= MAX_BATCH_BODY_BYTES
    }
}

impl TryFrom<Stored> for Batch {
    type Error = BatchError;

    fn try_from(stored: Stored) -> Result<Self, BatchError> {
        let linger = duration::parse(&stored.linger);
        let linger = linger.ok_or_else(|| BatchError::Syntax(stored.linger.as_str().into()))?;
        Self::new(stored.max_events, linger, stored.format)
    }
}

impl From<Batch> for Stored {
    fn from(batch: Batch) -> Self {
        Self { max_events: batch.max_events, linger: duration::show(batch.linger), format: batch.format }
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
    fn what_is_out_of_bounds_is_refused() {
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
    fn retries_go_in_smaller_company_until_they_go_alone() {
        let sizes = |max| (0..4).map(|attempts| batch(max).max_events_after(attempts)).collect::<Vec<_>>();
        assert_eq!(sizes(MAX_BATCH_EVENTS), [256, 32, 4, 1]);
        assert_eq!(sizes(100), [100, 12, 1, 1]);
        assert_eq!(sizes(1), [1, 1, 1, 1]);
        assert_eq!(batch(100).max_events_after(u32::MAX), 1);
    }

    #[test]
    fn a_batch_ends_before_it_is_too_large_but_its_first_event_always_goes() {
        let batch = batch(3);
        assert!(batch.has_room(0, 0, 0, usize::MAX));
        assert!(batch.has_room(0, 1, MAX_BATCH_BODY_BYTES - 12, 10));
        assert!(!batch.has_room(0, 1, MAX_BATCH_BODY_BYTES - 12, 11));
        assert!(batch.has_room(0, 2, 10, 10) && !batch.has_room(0, 3, 10, 10));
        assert!(!batch.has_room(1, 1, 10, 10), "a retry of three goes alone");
    }

    #[test]
    fn a_batch_goes_when_it_is_full_or_has_lingered_or_is_a_retry() {
        let (batch, no_time) = (batch(3), Duration::ZERO);
        assert!(!batch.is_due(0, 2, 999, no_time) && batch.is_due(0, 2, 999, Batch::DEFAULT_LINGER));
        assert!(batch.is_due(0, 3, 999, no_time) && batch.is_due(0, 1, MAX_BATCH_BODY_BYTES, no_time));
        assert!(batch.is_due(1, 1, 999, no_time) && !batch.is_due(1, 0, 0, Batch::DEFAULT_LINGER));
        let at_once = Batch::new(3, no_time, BatchFormat::Array).unwrap();
        assert!(at_once.is_due(0, 1, 999, no_time));
    }

    proptest! {
        #[test]
        fn text_and_back(events in 1..=MAX_BATCH_EVENTS, millis in 0u64..60_000, cloud: bool) {
            let format = if cloud { BatchFormat::CloudEvents } else { BatchFormat::Array };
            let batch = Batch::new(events, Duration::from_millis(millis), format).unwrap();
            let json = serde_json::to_string(&batch).unwrap();
            prop_assert_eq!(serde_json::from_str::<Batch>(&json).unwrap(), batch);
        }
    }
}
