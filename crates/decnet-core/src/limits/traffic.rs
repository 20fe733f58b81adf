//! Bounds of the recent traffic that the worker keeps in memory.

use std::time::Duration;

/// Maximum number of subscriptions whose recent activity the worker keeps, at about 400 bytes each.
pub const MAX_TRAFFIC_SUBSCRIPTIONS: usize = 10_000;
/// Number of intervals of a subscription's recent activity.
pub const TRAFFIC_SPARKLINE_INTERVALS: usize = 24;
/// Length of an interval of a subscription's recent activity: all intervals together are one hour.
pub const TRAFFIC_SPARKLINE_INTERVAL: Duration = Duration::from_secs(150);
/// Time between two samples of the worker's counters.
pub const TRAFFIC_SAMPLE_INTERVAL: Duration = Duration::from_secs(10);

const _: () = assert!(MAX_TRAFFIC_SUBSCRIPTIONS > super::MAX_SUBSCRIPTION_SERIES);
