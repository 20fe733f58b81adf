//! The extent of each measurement.

use std::time::Duration;

/// The default duration of a run.
const DEFAULT_TOTAL: Duration = Duration::from_secs(10);
/// The default number of events to an external receiver.
const DEFAULT_REAL_EVENTS: u64 = 1000;
/// The number of subscriptions of the second throughput measurement.
const MANY: u32 = 10;

/// The extent of each measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The number of events that open connections before the measurements.
    pub(crate) warm_up: u32,
    /// The number of events of the latency measurement.
    pub(crate) paced: u32,
    /// The rate of the latency measurement, in events per second.
    pub(crate) per_second: u32,
    /// The maximum number of events of a throughput measurement.
    pub(crate) events: u64,
    /// The maximum duration of a throughput measurement.
    pub(crate) time: Duration,
    /// The number of subscriptions of a second throughput measurement, if there is one.
    pub(crate) many: Option<u32>,
}

impl Plan {
    pub(crate) fn new(is_real: bool, events: Option<u64>, total: Option<Duration>) -> Self {
        let by_count = events.is_some() || (is_real && total.is_none());
        let total = total.unwrap_or(DEFAULT_TOTAL);
        let (per_second, warm_up) = if is_real { (20, 2) } else { (100, 20) };
        // Three tenths of the time for the latency, the rest for one or two throughput measurements.
        let paced =
            u32::try_from(total.as_millis() * u128::from(per_second) * 3 / 10_000).unwrap_or(u32::MAX);
        let full_speed = total.mul_f64(0.7) / if is_real { 1 } else { 2 };
        let max_events = if is_real { DEFAULT_REAL_EVENTS } else { u64::MAX };
        Self {
            warm_up,
            paced: events.map_or(paced, |events| paced.min(u32::try_from(events).unwrap_or(u32::MAX))),
            per_second,
            events: events.unwrap_or(max_events),
            time: if by_count { Duration::MAX } else { full_speed },
            many: (!is_real).then_some(MANY),
        }
    }

    /// Returns the maximum number of requests to an external receiver, including the first request, which checks it.
    pub(crate) fn requests(&self) -> u64 {
        1 + u64::from(self.warm_up) + u64::from(self.paced) + self.events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_duration_is_divided_among_measurements() {
        let plan = Plan::new(false, None, None);
        assert_eq!((plan.paced, plan.per_second, plan.many), (300, 100, Some(10)));
        assert_eq!(plan.time, Duration::from_millis(3500));
    }

    #[test]
    fn requests_to_an_external_receiver_are_bounded() {
        assert_eq!(Plan::new(true, None, None).requests(), 1 + 2 + 60 + 1000);
        assert_eq!(Plan::new(true, Some(50), None).requests(), 1 + 2 + 50 + 50);
        let long = Plan::new(true, None, Some(Duration::from_secs(600)));
        assert_eq!(long.requests(), 1 + 2 + 3600 + 1000);
        assert_eq!(long.many, None);
    }
}
