//! The topics of the worker and of the bus, as in DECNET.

/// Signals that the subscriptions or the queue have changed, so that readers reload them.
pub const CHANGED_TOPIC: &str = "system.webhook.subscriptions_changed";
/// Reports an entry of the audit list: who changed which subscription or token.
pub const AUDIT_TOPIC: &str = "system.webhook.changed";
/// Reports that the worker has applied all received changes of the subscriptions; see `decnet_bus::Applied`. This project's bus
/// handles it and does not relay it.
pub const APPLIED_TOPIC: &str = "system.webhook.subscriptions_applied";
/// Reports that a subscription has tripped because its receiver fails.
pub const TRIPPED_TOPIC: &str = "system.webhook.tripped";
/// Reports that the receiver of a tripped subscription has recovered.
pub const RECOVERED_TOPIC: &str = "system.webhook.recovered";
/// Reports deliveries that became dead.
pub const DEAD_TOPIC: &str = "system.webhook.dead";
/// Reports that the backlog of a subscription has crossed the threshold.
pub const BACKLOG_TOPIC: &str = "system.webhook.backlog";
/// The topics of the worker's operational events. Other programs can publish on them too, so whether an event is the worker's own
/// is recorded with the event and never inferred from its topic.
pub const OPERATIONAL_TOPICS: [&str; 4] = [TRIPPED_TOPIC, RECOVERED_TOPIC, DEAD_TOPIC, BACKLOG_TOPIC];
/// Commands of an operator to the worker.
pub const CONTROL_TOPIC: &str = "system.webhook.control";
/// The topics of messages that the worker reads whether or not somebody subscribes to them: those to the worker, and the entries
/// that follow the signal of their change. They are also events for their subscribers.
pub const SIGNAL_TOPICS: [&str; 3] = [CHANGED_TOPIC, AUDIT_TOPIC, CONTROL_TOPIC];
/// The worker's heartbeat. The first heartbeat means that the worker misses no events from now on.
pub const HEALTH_TOPIC: &str = "system.webhook.health";
/// Signals that another process has submitted events to the queue: the worker takes them at once instead of within a second.
pub const SUBMITTED_TOPIC: &str = "system.webhook.events_submitted";
/// The heartbeat of the bus. The heartbeat of this project's bus reports the lost events.
pub const BUS_HEALTH_TOPIC: &str = "system.bus.health";

/// The prefixes of the topics of the worker and the bus. The HTTP API rejects events of clients on them.
const RESERVED_PREFIXES: [&str; 2] = ["system.webhook.", "system.bus."];

/// Returns whether a topic belongs to the worker or to the bus.
#[must_use]
pub fn is_reserved(topic: &str) -> bool {
    RESERVED_PREFIXES.iter().any(|prefix| topic.starts_with(prefix))
}
