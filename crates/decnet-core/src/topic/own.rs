//! The topics on which the worker itself is spoken to and speaks, as DECNET names them.

/// The subscriptions, or the queue, have changed: whoever reads them, reads again.
pub const CHANGED_TOPIC: &str = "system.webhook.subscriptions_changed";
/// What an operator asks of the worker.
pub const CONTROL_TOPIC: &str = "system.webhook.control";
/// The worker's heartbeat; the first means that it misses no event from now on.
pub const HEALTH_TOPIC: &str = "system.webhook.health";
/// Events were submitted to the queue by another process: the worker takes them at once, rather than within a second.
pub const SUBMITTED_TOPIC: &str = "system.webhook.events_submitted";
