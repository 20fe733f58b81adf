//! What of a subscription's trouble has been told, and what is kept back. Pure.

use std::time::Instant;

use decnet_core::delivery::Reason;
use decnet_core::limits::DEAD_EVENT_INTERVAL;

/// What was told of one subscription.
#[derive(Debug, Default)]
pub(crate) struct Told {
    dead_at: Option<Instant>,
    untold: Option<Deaths>,
    level: Level,
    /// It was paused by trouble with the worker's own events, of which nothing is told.
    pub(crate) keeps_trip: bool,
}

/// Deliveries that were given up since that was last told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Deaths {
    pub(crate) count: u64,
    /// Of the last one.
    pub(crate) reason: Reason,
    pub(crate) event_id: Box<str>,
    pub(crate) topic: Box<str>,
}

/// How much waits, against the operator's threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Level {
    #[default]
    Low,
    /// Half of it.
    Half,
    /// All of it.
    Full,
}

impl Level {
    fn of(waiting: u64, threshold: u64) -> Self {
        match waiting {
            waiting if waiting >= threshold => Self::Full,
            waiting if waiting >= threshold.div_ceil(2) => Self::Half,
            _ => Self::Low,
        }
    }

    /// As it is told.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Half => "half",
            Self::Full => "full",
        }
    }
}

impl Told {
    /// A delivery was given up. What is to be told now: the first at once, then what came together in a minute.
    pub(crate) fn died(&mut self, death: Deaths, now: Instant) -> Option<Deaths> {
        let before = self.untold.take().map_or(0, |before| before.count);
        self.untold = Some(Deaths { count: before + death.count, ..death });
        self.due(now)
    }

    /// What was kept back, once it is time to tell it.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Deaths> {
        if self.dead_at.is_some_and(|at| now.duration_since(at) < DEAD_EVENT_INTERVAL) {
            return None;
        }
        let untold = self.untold.take();
        if untold.is_some() {
            self.dead_at = Some(now);
        }
        untold
    }

    /// What is kept back, whether it is time or not.
    pub(crate) fn rest(&mut self) -> Option<Deaths> {
        self.untold.take()
    }

    /// Is something kept back?
    pub(crate) fn keeps_deaths(&self) -> bool {
        self.untold.is_some()
    }

    /// So much waits now. A level that is reached, once: it must fall by a fifth before it is told again. A threshold of
    /// 0 is never reached.
    pub(crate) fn waits(&mut self, waiting: u64, threshold: u64) -> Option<Level> {
        if threshold == 0 {
            return None;
        }
        let level = Level::of(waiting, threshold);
        if level > self.level {
            self.level = level;
            return Some(level);
        }
        if level < self.level {
            // What it would be with a quarter more decides, so that a number that trembles says nothing.
            self.level = Level::of(waiting.saturating_add(waiting / 4), threshold).min(self.level);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn death(count: u64) -> Deaths {
        Deaths { count, reason: Reason::Refused, event_id: "e".into(), topic: "t".into() }
    }

    #[test]
    fn the_first_death_is_told_at_once_and_the_others_once_a_minute() {
        let (mut told, begun) = (Told::default(), Instant::now());
        let second = |n| begun + Duration::from_secs(n);
        assert_eq!(told.died(death(1), second(0)), Some(death(1)));
        assert_eq!(told.died(death(1), second(1)), None);
        assert_eq!(told.died(death(1), second(30)), None);
        assert!(told.keeps_deaths() && told.due(second(59)).is_none());
        assert_eq!(told.due(second(60)), Some(death(2)));
        assert_eq!((told.due(second(200)), told.keeps_deaths()), (None, false));
        assert_eq!(told.died(death(1), second(61)), None);
        assert_eq!((told.rest(), told.keeps_deaths(), told.rest()), (Some(death(1)), false, None));
    }

    #[test]
    fn a_level_is_told_when_it_is_reached_and_again_only_after_it_was_left() {
        let mut told = Told::default();
        let told_at: Vec<Option<Level>> = [10, 49, 50, 49, 51, 99, 100, 99, 101, 70, 100, 0, 200]
            .map(|waiting| told.waits(waiting, 100))
            .into();
        let (half, full) = (Some(Level::Half), Some(Level::Full));
        assert_eq!(told_at, [None, None, half, None, None, None, full, None, None, None, full, None, full]);
        assert_eq!(told.waits(u64::MAX, 0), None, "switched off");
    }
}
