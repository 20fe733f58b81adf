//! The worker: takes events from the bus and the queue, and delivers them to the receivers of the subscriptions.
//!
//! ```text
//! bus ──► intake ──► route ──► admit ──► lanes ──► send ──► settle
//! ```
//!
//! - `worker`, `options`: starts and stops everything, by its settings;
//! - `intake`: drains the bus on a thread of its own and parses events;
//! - `dispatcher`: the event loop that owns all lanes: routes, admits, starts attempts, and settles them;
//! - `lanes`, `lane`, `lane_state`: one lane per subscription, which decides what may be sent;
//! - `backlog`, `claimed_set`, `hold`, `request_batch`: a lane's waiting deliveries, the deliveries that it has claimed from the
//!   queue, its pauses after `Retry-After` or local faults, and the deliveries of one request;
//! - `concurrency_limiter`, `memory_budget`: the shares of all lanes in the requests in flight and the memory;
//! - `timers`: the times at which lanes are due;
//! - `failure_log`, `notice_throttle`, `pending_health`: the limits on logs and operational events, and the health updates that
//!   are not written yet;
//! - `stats`, `subscription_metrics`, `metrics_handle`, `spans`: metrics of the worker and of each subscription, and tracing;
//! - [`decnet_sender`]: one attempt.

mod backlog;
mod claimed_set;
mod concurrency_limiter;
mod dispatcher;
mod failure_log;
mod hold;
mod intake;
mod lane;
mod lane_state;
mod lanes;
mod memory_budget;
mod metrics_handle;
mod notice_throttle;
mod options;
mod pending_health;
mod request_batch;
mod spans;
mod stats;
mod subscription_metrics;
mod timers;
mod worker;

pub use dispatcher::Error;
pub use options::Options;
pub use spans::{Span, SpanKind, SpanSink};
pub use stats::{Counter, Stats, Times};
pub use subscription_metrics::{
    SubscriptionActivity, SubscriptionLabels, SubscriptionMetrics, SubscriptionRegistry, SubscriptionState,
};
pub use worker::Worker;
