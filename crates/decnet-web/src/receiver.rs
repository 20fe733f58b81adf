//! Subscriptions and their receivers.

use crate::chart::Sparkline;
use crate::{Count, Span, Text, Time};

/// The states of a subscription by which a list can be filtered, with their names.
pub const STATES: [(&str, &str); 8] = [
    ("trouble", "in trouble"),
    ("active", "active"),
    ("paused", "paused"),
    ("disabled", "disabled"),
    ("tripped", "tripped"),
    ("gone", "gone"),
    ("held", "held"),
    ("broken", "broken"),
];

/// A subscription in a list.
#[derive(Debug, Clone)]
pub struct Receiver {
    /// The UUID.
    pub uuid: Text,
    /// The name.
    pub name: Text,
    /// Scheme, host and port of the receiver; the rest may be secret.
    pub url: Text,
    /// The state, as the API names it.
    pub state: &'static str,
    /// The number of deliveries that failed in a row.
    pub failures: Count,
    /// The last error, or the problem of the row, in words.
    pub error: Option<Text>,
    /// Deliveries that wait.
    pub waiting: Count,
    /// Dead deliveries that are kept.
    pub dead: Count,
    /// Delivered deliveries that are kept.
    pub delivered: Count,
    /// The age of the oldest delivery that was not attempted yet.
    pub oldest: Option<Span>,
    /// The time of the last success.
    pub last_success: Option<Time>,
    /// The time of the last failure.
    pub last_failure: Option<Time>,
    /// The activity of the last hour.
    pub activity: Sparkline,
}

impl Receiver {
    /// Returns whether deliveries fail although they should not.
    #[must_use]
    pub fn is_in_trouble(&self) -> bool {
        match self.state {
            "tripped" | "gone" | "held" | "broken" => true,
            "active" => self.failures.0 > 0 || self.error.is_some(),
            _ => false,
        }
    }

    /// Returns whether the receiver is in one of [`STATES`].
    #[must_use]
    pub fn is(&self, state: &str) -> bool {
        if state == "trouble" { self.is_in_trouble() } else { self.state == state }
    }

    /// Returns the name of the state for people.
    #[must_use]
    pub fn label(&self) -> &'static str {
        if self.state == "active" && self.is_in_trouble() { "failing" } else { self.state }
    }

    /// Returns what the state means and what to do, in one sentence.
    #[must_use]
    pub fn meaning(&self) -> &'static str {
        match self.label() {
            "failing" if self.failures.is_zero() => {
                "The receiver rejected the last event, which is not retried."
            }
            "failing" => "Deliveries fail and are retried. After more failures the subscription trips.",
            "tripped" => {
                "Deliveries wait: too many failed in a row. The receiver is probed, and deliveries resume once it answers."
            }
            "gone" => {
                "Deliveries wait: the receiver answered 410. Enable the subscription once the receiver works again."
            }
            "held" => {
                "Deliveries wait until the filter, the format, the template or the credentials are corrected."
            }
            "broken" => "Nothing is sent until the subscription is corrected.",
            "paused" => "New events are accepted and wait until the subscription is resumed.",
            "disabled" => "New events skip this subscription, and waiting deliveries stay parked.",
            _ => "Events are delivered as they arrive.",
        }
    }
}

/// One subscription in full.
#[derive(Debug, Clone)]
pub struct Details {
    /// The row of the list.
    pub receiver: Receiver,
    /// The patterns of the topics.
    pub patterns: Vec<Text>,
    /// The settings that differ from the defaults, without secrets.
    pub settings: Vec<(Text, Text)>,
    /// Problems that do not prevent deliveries.
    pub warnings: Vec<Text>,
    /// The time until which the receiver wants no requests.
    pub deferred_until: Option<Time>,
    /// The time at which failures disabled the subscription.
    pub tripped_at: Option<Time>,
    /// About when the receiver is probed next, if the subscription is tripped.
    pub next_probe: Option<Time>,
    /// The times until which replaced secrets also sign.
    pub old_secrets_until: Vec<Time>,
    /// The time of creation.
    pub created_at: Option<Time>,
    /// The time of the last change.
    pub updated_at: Option<Time>,
    /// Whether an operator has paused the subscription.
    pub is_paused: bool,
    /// Whether the subscription is enabled.
    pub is_enabled: bool,
}
