//! Limits the rate of operational events about one subscription. This module does no I/O and reads no clock.

use std::time::Instant;

use decnet_core::delivery::Reason;
use decnet_core::limits::DEAD_EVENT_INTERVAL;

/// The last and the delayed operational events about one subscription.
#[derive(Debug, Default)]
pub(crate) struct NoticeThrottle {
    /// The time at which dead letters were last reported.
    dead_at: Option<Instant>,
    delayed: Option<DeadLetterSummary>,
    level: BacklogLevel,
    /// Whether the subscription was tripped by deliveries of operational events. In that case neither the trip nor the recovery
    /// is reported, so that no operational event is about the delivery of operational events.
    pub(crate) is_trip_silent: bool,
}

/// The dead letters of one subscription since the last report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeadLetterSummary {
    pub(crate) count: u64,
    /// The reason for the last dead letter.
    pub(crate) reason: Reason,
    /// The id of the event of the last dead letter.
    pub(crate) event_id: Box<str>,
    /// The topic of the event of the last dead letter.
    pub(crate) topic: Box<str>,
}

/// The size of a backlog, relative to the operator's threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BacklogLevel {
    /// Less than half of the threshold.
    #[default]
    Low,
    /// At least half of the threshold.
    Half,
    /// At least the threshold.
    Full,
}

impl BacklogLevel {
    fn of(waiting: u64, threshold: u64) -> Self {
        match waiting {
            waiting if waiting >= threshold => Self::Full,
            waiting if waiting >= threshold.div_ceil(2) => Self::Half,
            _ => Self::Low,
        }
    }
}

impl NoticeThrottle {
    /// Records dead letters. Returns the dead letters to report now: the first at once, later dead letters together after
    /// [`DEAD_EVENT_INTERVAL`].
    pub(crate) fn record_dead(&mut self, dead: DeadLetterSummary, now: Instant) -> Option<DeadLetterSummary> {
        let earlier = self.delayed.take().map_or(0, |earlier| earlier.count);
        self.delayed = Some(DeadLetterSummary { count: earlier + dead.count, ..dead });
        self.take_due(now)
    }

    /// Returns the delayed dead letters, once they are due.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<DeadLetterSummary> {
        if self.dead_at.is_some_and(|at| now.duration_since(at) < DEAD_EVENT_INTERVAL) {
            return None;
        }
        let due = self.delayed.take();
        if due.is_some() {
            self.dead_at = Some(now);
        }
        due
    }

    /// Returns the delayed dead letters, due or not.
    pub(crate) fn take_delayed(&mut self) -> Option<DeadLetterSummary> {
        self.delayed.take()
    }

    /// Returns whether dead letters are delayed.
    pub(crate) fn has_delayed(&self) -> bool {
        self.delayed.is_some()
    }

    /// Records the size of the backlog. Returns the level if it is to be reported: once when it is reached, and again only
    /// after the backlog has fallen to 80 % of it. A `threshold` of 0 turns reports off.
    pub(crate) fn record_backlog(&mut self, waiting: u64, threshold: u64) -> Option<BacklogLevel> {
        if threshold == 0 {
            return None;
        }
        let level = BacklogLevel::of(waiting, threshold);
        if level > self.level {
            self.level = level;
            return Some(level);
        }
        if level < self.level {
            // Hysteresis: a backlog that fluctuates around the threshold is not reported repeatedly.
            self.level = BacklogLevel::of(waiting.saturating_add(waiting / 4), threshold).min(self.level);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn dead(count: u64) -> DeadLetterSummary {
        DeadLetterSummary { count, reason: Reason::Refused, event_id: "e".into(), topic: "t".into() }
    }

    #[test]
    fn dead_letters_are_reported_at_once_then_once_a_minute() {
        let (mut throttle, start) = (NoticeThrottle::default(), Instant::now());
        let second = |n| start + Duration::from_secs(n);
        assert_eq!(throttle.record_dead(dead(1), second(0)), Some(dead(1)));
        assert_eq!(throttle.record_dead(dead(1), second(1)), None);
        assert_eq!(throttle.record_dead(dead(1), second(30)), None);
        assert!(throttle.has_delayed() && throttle.take_due(second(59)).is_none());
        assert_eq!(throttle.take_due(second(60)), Some(dead(2)));
        assert_eq!((throttle.take_due(second(200)), throttle.has_delayed()), (None, false));
        assert_eq!(throttle.record_dead(dead(1), second(61)), None);
        assert_eq!(throttle.take_delayed(), Some(dead(1)));
        assert_eq!((throttle.has_delayed(), throttle.take_delayed()), (false, None));
    }

    #[test]
    fn backlog_level_is_reported_once_until_it_has_fallen() {
        let mut throttle = NoticeThrottle::default();
        let reported: Vec<Option<BacklogLevel>> = [10, 49, 50, 49, 51, 99, 100, 99, 101, 70, 100, 0, 200]
            .map(|waiting| throttle.record_backlog(waiting, 100))
            .into();
        let (half, full) = (Some(BacklogLevel::Half), Some(BacklogLevel::Full));
        assert_eq!(reported, [None, None, half, None, None, None, full, None, None, None, full, None, full]);
        assert_eq!(throttle.record_backlog(u64::MAX, 0), None, "turned off");
    }
}
