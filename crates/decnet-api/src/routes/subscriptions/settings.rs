//! Settings, described for the document; reading and showing them is the core's.

use serde::Serialize;
use utoipa::ToSchema;

/// What a subscription can ask for. What is not set is as it is for all; null resets it.
#[derive(Serialize, ToSchema)]
pub(super) struct SettingsChange {
    /// At most so many attempts a time.
    #[schema(example = "50/s")]
    rate: Option<String>,
    /// One at a time, in the order of admission.
    ordered: Option<bool>,
    /// Several events in one request.
    batch: Option<BatchChange>,
    /// When failed attempts are tried again, or `none`.
    #[schema(example = "1s,30s,10m")]
    retry_schedule: Option<String>,
    /// How long an attempt may take, 100ms to 5m.
    #[schema(example = "5s")]
    timeout: Option<String>,
    /// Most requests in flight.
    #[schema(minimum = 1, maximum = 256)]
    concurrency: Option<u16>,
    /// Each request carries a `traceparent` (W3C Trace Context).
    trace: Option<bool>,
    /// Headers of its own, by name; a null removes one. Their values are never shown again.
    #[schema(value_type = Option<std::collections::BTreeMap<String, Option<String>>>, example = json!({"x-tenant": "blue"}))]
    headers: Option<()>,
}

/// How events come together.
#[derive(Serialize, ToSchema)]
struct BatchChange {
    /// Most events of one request.
    #[schema(minimum = 1, maximum = 256)]
    max_events: Option<u32>,
    /// How long the first event waits for others, up to 1m.
    #[schema(example = "1s")]
    linger: Option<String>,
    /// `array` or `cloudevents`.
    #[schema(example = "array")]
    format: Option<String>,
}
