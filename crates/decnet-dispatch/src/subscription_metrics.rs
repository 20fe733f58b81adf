//! Metrics by subscription. The first `MAX_SUBSCRIPTION_SERIES` subscriptions have metrics of their own; the other subscriptions
//! share one set. The attempts of those are also counted separately, up to `MAX_TRAFFIC_SUBSCRIPTIONS`, for the charts.
//!
//! Each lane holds a [`MetricsHandle`] to its metrics, so that counting needs no lookup.

use std::sync::{Arc, Mutex, Weak};

use decnet_core::limits::{MAX_SUBSCRIPTION_SERIES, MAX_TRAFFIC_SUBSCRIPTIONS};
use decnet_core::time::BootMicros;
use decnet_runtime::metrics::{Counter, Gauge};
use decnet_runtime::sync::lock;

use crate::metrics_handle::MetricsHandle;

/// The state of a subscription, as it is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubscriptionState {
    /// Deliveries are sent.
    Open,
    /// The circuit breaker has tripped; deliveries wait until a probe succeeds.
    Tripped,
    /// The receiver answered 410.
    Gone,
    /// An operator has paused the subscription: its deliveries wait.
    Paused,
    /// The filter, the format or the template of the subscription cannot be used: its deliveries wait.
    Held,
    /// An operator has disabled the subscription, or its row is invalid.
    Disabled,
}

/// The metrics of one subscription, or of all that share a set.
#[derive(Debug, Default)]
pub struct SubscriptionMetrics {
    labels: Mutex<SubscriptionLabels>,
    /// Deliveries that the receiver accepted.
    pub delivered: Counter,
    /// Attempts that did not deliver.
    pub failed_attempts: Counter,
    /// Deliveries that became dead letters.
    pub dead_lettered: Counter,
    /// Events that match the patterns, but that the severity floor or the filter excluded.
    pub excluded: Counter,
    /// Requests in flight.
    pub in_flight: Gauge,
    /// Deliveries that wait, in memory or in the queue, for an open subscription.
    pub pending: Gauge,
    /// Deliveries that wait for a subscription that is not open.
    pub parked: Gauge,
    /// Dead letters that are kept.
    pub dead: Gauge,
    /// The time at which the event of the oldest waiting delivery was admitted, in microseconds; 0 if none waits.
    pub oldest_at: Gauge,
    pub(crate) by_state: [Gauge; SubscriptionState::ALL.len()],
}

/// The subscription that metrics belong to, and its latest problems.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubscriptionLabels {
    /// The uuid; empty for the shared set.
    pub uuid: Box<str>,
    /// The current name.
    pub name: Box<str>,
    /// The time and the text of the last error.
    pub last_error: Option<(BootMicros, Box<str>)>,
    /// The time until which the receiver has asked for a pause, if it has. It may have passed.
    pub deferred_until: Option<BootMicros>,
    /// The reason why the filter, the format or the template cannot be used, if it cannot.
    pub hold: Option<Box<str>>,
}

/// The attempts of one subscription that shares its metrics with others.
#[derive(Debug)]
pub(crate) struct SharingActivity {
    uuid: Box<str>,
    pub(crate) delivered: Counter,
    pub(crate) failed_attempts: Counter,
}

/// The attempts of one subscription since its registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionActivity {
    /// The UUID.
    pub uuid: Box<str>,
    /// Deliveries that the receiver accepted.
    pub delivered: u64,
    /// Attempts that did not deliver.
    pub failed_attempts: u64,
}

/// The metrics of all subscriptions.
#[derive(Debug, Default)]
pub struct SubscriptionRegistry {
    individual: Mutex<Vec<Weak<SubscriptionMetrics>>>,
    /// The activities of those that share their metrics.
    sharing: Mutex<Vec<Weak<SharingActivity>>>,
    others: Arc<SubscriptionMetrics>,
}

impl SubscriptionState {
    /// All states.
    pub const ALL: [Self; 6] =
        [Self::Open, Self::Tripped, Self::Gone, Self::Paused, Self::Held, Self::Disabled];

    /// Returns the name under which the state is reported.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Tripped => "tripped",
            Self::Gone => "gone",
            Self::Paused => "paused",
            Self::Held => "held",
            Self::Disabled => "disabled",
        }
    }
}

impl SubscriptionMetrics {
    /// Returns a copy of the labels.
    #[must_use]
    pub fn labels(&self) -> SubscriptionLabels {
        lock(&self.labels).clone()
    }

    /// Returns the number of subscriptions in this state: 0 or 1 if the metrics belong to one subscription.
    #[must_use]
    pub fn in_state(&self, state: SubscriptionState) -> u64 {
        self.by_state[state as usize].get()
    }

    pub(crate) fn update_labels(&self, change: impl FnOnce(&mut SubscriptionLabels)) {
        change(&mut lock(&self.labels));
    }
}

impl SubscriptionRegistry {
    /// Returns the metrics of the subscriptions that have their own, in the order of registration.
    #[must_use]
    pub fn individual(&self) -> Vec<Arc<SubscriptionMetrics>> {
        let individual = lock(&self.individual);
        individual.iter().filter_map(Weak::upgrade).collect()
    }

    /// Returns the shared metrics of all other subscriptions.
    #[must_use]
    pub fn others(&self) -> &SubscriptionMetrics {
        &self.others
    }

    /// Returns the activity of each of the first [`MAX_TRAFFIC_SUBSCRIPTIONS`] subscriptions. Forgets dropped subscriptions.
    #[must_use]
    pub fn activities(&self) -> Vec<SubscriptionActivity> {
        let individual = self.individual().into_iter().map(|metrics| SubscriptionActivity {
            uuid: metrics.labels().uuid,
            delivered: metrics.delivered.get(),
            failed_attempts: metrics.failed_attempts.get(),
        });
        let mut sharing = lock(&self.sharing);
        sharing.retain(|activity| activity.strong_count() > 0);
        let shared = sharing.iter().filter_map(Weak::upgrade).map(|activity| SubscriptionActivity {
            uuid: activity.uuid.clone(),
            delivered: activity.delivered.get(),
            failed_attempts: activity.failed_attempts.get(),
        });
        individual.chain(shared).collect()
    }

    /// Registers the activity of a subscription that shares its metrics, unless the maximum is reached.
    fn register_sharing(&self, uuid: &str) -> Option<Arc<SharingActivity>> {
        let mut sharing = lock(&self.sharing);
        if sharing.len() >= MAX_TRAFFIC_SUBSCRIPTIONS - MAX_SUBSCRIPTION_SERIES {
            return None;
        }
        let (delivered, failed_attempts) = Default::default();
        let activity = Arc::new(SharingActivity { uuid: uuid.into(), delivered, failed_attempts });
        sharing.push(Arc::downgrade(&activity));
        Some(activity)
    }

    /// Registers a subscription. It shares the metrics of the others if the maximum is reached.
    pub(crate) fn register(&self, uuid: &str, name: &str, state: SubscriptionState) -> MetricsHandle {
        let mut individual = lock(&self.individual);
        if individual.len() >= MAX_SUBSCRIPTION_SERIES {
            individual.retain(|metrics| metrics.strong_count() > 0);
        }
        let is_individual = individual.len() < MAX_SUBSCRIPTION_SERIES;
        let metrics = if is_individual { Arc::default() } else { Arc::clone(&self.others) };
        if is_individual {
            metrics.update_labels(|labels| (labels.uuid, labels.name) = (uuid.into(), name.into()));
            individual.push(Arc::downgrade(&metrics));
        }
        let activity = if is_individual { None } else { self.register_sharing(uuid) };
        MetricsHandle::new(metrics, activity, is_individual, state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excess_subscriptions_share_metrics_until_one_is_dropped() {
        let registry = SubscriptionRegistry::default();
        let mut individual: Vec<MetricsHandle> = (0..MAX_SUBSCRIPTION_SERIES)
            .map(|n| registry.register(&n.to_string(), "own", SubscriptionState::Open))
            .collect();
        let mut shared =
            [0, 1].map(|n| registry.register(&format!("shared-{n}"), "shared", SubscriptionState::Open));
        shared.iter_mut().for_each(|handle| handle.count_admitted(false));
        assert_eq!(registry.individual().len(), MAX_SUBSCRIPTION_SERIES);
        let others =
            || (registry.others().pending.get(), registry.others().in_state(SubscriptionState::Open));
        assert_eq!(others(), (2, 2));
        individual.pop();
        let late = registry.register("late", "late", SubscriptionState::Tripped);
        assert!(late.is_individual);
        assert!(registry.individual().iter().any(|metrics| &*metrics.labels().name == "late"));
        drop(shared);
        assert_eq!(others(), (0, 0));
    }

    #[test]
    fn activity_is_counted_for_subscriptions_that_share_metrics() {
        let registry = SubscriptionRegistry::default();
        let mut handles: Vec<MetricsHandle> = (0..=MAX_TRAFFIC_SUBSCRIPTIONS)
            .map(|n| registry.register(&n.to_string(), "any", SubscriptionState::Open))
            .collect();
        let last = MAX_TRAFFIC_SUBSCRIPTIONS - 1;
        handles[0].finish_request(true);
        handles[last].finish_request(true);
        handles[last].finish_request(true);
        let activities = registry.activities();
        assert_eq!(activities.len(), MAX_TRAFFIC_SUBSCRIPTIONS);
        let failed = |number: usize| {
            (*activities[number].uuid == *number.to_string()).then_some(activities[number].failed_attempts)
        };
        assert_eq!([0, 1, last].map(failed), [Some(1), Some(0), Some(2)]);
        drop(handles);
        assert!(registry.activities().is_empty());
    }
}
