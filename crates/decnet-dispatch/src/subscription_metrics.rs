//! Metrics by subscription. The first `MAX_SUBSCRIPTION_SERIES` subscriptions have metrics of their own; the other subscriptions
//! share one set.
//!
//! Each lane holds a [`MetricsHandle`] to its metrics, so that counting needs no lookup.

use std::sync::{Arc, Mutex, Weak};

use decnet_core::limits::MAX_SUBSCRIPTION_SERIES;
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

/// The metrics of all subscriptions.
#[derive(Debug, Default)]
pub struct SubscriptionRegistry {
    individual: Mutex<Vec<Weak<SubscriptionMetrics>>>,
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
        MetricsHandle::new(metrics, is_individual, state)
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
}
