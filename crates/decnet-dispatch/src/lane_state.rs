//! The state of a lane, which determines whether it may send, and the state that is reported.

use decnet_core::subscription::Activity;
use decnet_core::time::BootMicros;
use decnet_store::catalog::StoredSubscription;

use crate::subscription_metrics::SubscriptionState;

/// The state of a lane, which determines whether it may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LaneState {
    /// Deliveries are sent.
    Open,
    /// The circuit breaker has tripped; only half-open probes are sent.
    Tripped {
        /// The number of failed probes.
        probes: u32,
        /// The earliest time of the next probe.
        next_at: BootMicros,
        /// Whether a probe is under way.
        probing: bool,
    },
    /// The receiver answered 410; only an operator can re-enable the subscription.
    Gone,
    /// An operator has disabled the subscription, or its row is invalid.
    Disabled,
    /// The row was deleted. The lane is removed as soon as none of its work is under way.
    Deleted,
}

impl LaneState {
    /// Returns the state that a row requires. A tripped subscription is probed from `probe_at`.
    pub(crate) fn of_row(stored: &StoredSubscription, probe_at: BootMicros) -> Self {
        match stored.subscription.activity {
            Activity::Active => Self::Open,
            Activity::Disabled => Self::Disabled,
            Activity::Tripped if stored.gone => Self::Gone,
            Activity::Tripped => Self::Tripped { probes: 0, next_at: probe_at, probing: false },
        }
    }

    /// Returns the state to report for a row that may also be held or paused.
    pub(crate) fn reported(self, stored: &StoredSubscription) -> SubscriptionState {
        match self {
            Self::Open if stored.hold.is_some() => SubscriptionState::Held,
            Self::Open if stored.paused => SubscriptionState::Paused,
            Self::Open => SubscriptionState::Open,
            Self::Tripped { .. } => SubscriptionState::Tripped,
            Self::Gone => SubscriptionState::Gone,
            Self::Disabled | Self::Deleted => SubscriptionState::Disabled,
        }
    }

    /// Returns whether both states are the same variant.
    pub(crate) fn is_like(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }
}
