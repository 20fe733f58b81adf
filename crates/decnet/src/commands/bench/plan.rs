//! How much is measured.

use std::time::Duration;

/// Time of a whole run, unless it was asked for otherwise.
const DEFAULT_TOTAL: Duration = Duration::from_secs(10);
/// Events to a receiver of somebody's, unless it was asked for otherwise.
const DEFAULT_REAL_EVENTS: u64 = 1000;
/// Subscriptions of the second throughput.
const MANY: u32 = 10;

/// How much of everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Events that make connections before anything is measured.
    pub(crate) warm_up: u32,
    /// Events at fixed times, for the latency.
    pub(crate) paced: u32,
    /// How many of those a second.
    pub(crate) per_second: u32,
    /// Events of one throughput at most.
    pub(crate) events: u64,
    /// Time of one throughput at most.
    pub(crate) time: Duration,
    /// Subscriptions of a second throughput, if there is one.
    pub(crate) many: Option<u32>,
}

impl Plan {
    pub(crate) fn new(is_real: bool, events: Option<u64>, total: Option<Duration>) -> Self {
        let by_count = events.is_some() || (is_real && total.is_none());
        let total = total.unwrap_or(DEFAULT_TOTAL);
        let (per_second, warm_up) = if is_real { (20, 2) } else { (100, 20) };
        // Three tenths for the latency, the rest for what is flat out: once, or twice.
        let paced =
            u32::try_from(total.as_millis() * u128::from(per_second) * 3 / 10_000).unwrap_or(u32::MAX);
        let flat_out = total.mul_f64(0.7) / if is_real { 1 } else { 2 };
        let most = if is_real { DEFAULT_REAL_EVENTS } else { u64::MAX };
        Self {
            warm_up,
            paced: events.map_or(paced, |events| paced.min(u32::try_from(events).unwrap_or(u32::MAX))),
            per_second,
            events: events.unwrap_or(most),
            time: if by_count { Duration::MAX } else { flat_out },
            many: (!is_real).then_some(MANY),
        }
    }

    /// Requests that a receiver of somebody's gets at most, the one that looks whether it answers included.
    pub(crate) fn requests(&self) -> u64 {
        1 + u64::from(self.warm_up) + u64::from(self.paced) + self.events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_seconds_are_shared_out() {
        let plan = Plan::new(false, None, None);
        assert_eq!((plan.paced, plan.per_second, plan.many), (300, 100, Some(10)));
        assert_eq!(plan.time, Duration::from_millis(3500));
    }

    #[test]
    fn a_receiver_of_somebodys_gets_a_bounded_number_whatever_was_asked_for() {
        assert_eq!(Plan::new(true, None, None).requests(), 1 + 2 + 60 + 1000);
        assert_eq!(Plan::new(true, Some(50), None).requests(), 1 + 2 + 50 + 50);
        let long = Plan::new(true, None, Some(Duration::from_secs(600)));
        assert_eq!(long.requests(), 1 + 2 + 3600 + 1000);
        assert_eq!(long.many, None);
    }
}
