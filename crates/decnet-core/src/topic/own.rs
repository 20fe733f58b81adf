//! The topics on which the worker itself is spoken to and speaks, as DECNET names them.

/// The subscriptions, or the queue, have changed: whoever reads them, reads again.
pub const CHANGED_TOPIC: &str = "system.webhook.subscriptions_changed";
/// The worker has applied every change of the subscriptions that it had received; see `decnet_bus::Applied`. A bus of
/// ours reads it and passes it on to nobody.
pub const APPLIED_TOPIC: &str = "system.webhook.subscriptions_applied";
/// A subscription has been paused, since its receiver fails.
pub const TRIPPED_TOPIC: &str = "system.webhook.tripped";
/// Its receiver is back.
pub const RECOVERED_TOPIC: &str = "system.webhook.recovered";
/// Deliveries were given up.
pub const DEAD_TOPIC: &str = "system.webhook.dead";
/// Much waits for one subscription.
pub const BACKLOG_TOPIC: &str = "system.webhook.backlog";
/// The topics of the worker's operational events. Others can publish on them too: whether an event is the worker's own is
/// recorded with the event and never concluded from its topic.
pub const TOLD_TOPICS: [&str; 4] = [TRIPPED_TOPIC, RECOVERED_TOPIC, DEAD_TOPIC, BACKLOG_TOPIC];
/// What an operator asks of the worker.
pub const CONTROL_TOPIC: &str = "system.webhook.control";
/// The topics of messages to the worker itself. They are events as well, for whoever subscribes to them.
pub const SIGNAL_TOPICS: [&str; 2] = [CHANGED_TOPIC, CONTROL_TOPIC];
/// The worker's heartbeat; the first means that it misses no event from now on.
pub const HEALTH_TOPIC: &str = "system.webhook.health";
/// Events were submitted to the queue by another process: the worker takes them at once, rather than within a second.
pub const SUBMITTED_TOPIC: &str = "system.webhook.events_submitted";
/// The heartbeat of the bus itself; one of ours tells in it what it has lost.
pub const BUS_HEALTH_TOPIC: &str = "system.bus.health";

/// The families that the worker and the bus publish on. What others may do with them depends on the way in: over HTTP they
/// are refused.
const RESERVED: [&str; 2] = ["system.webhook.", "system.bus."];

/// Returns whether a topic belongs to the worker or to the bus.
#[must_use]
pub fn is_reserved(topic: &str) -> bool {
    RESERVED.iter().any(|family| topic.starts_with(family))
}
