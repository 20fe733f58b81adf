//! Settings as described in the OpenAPI document; the core parses and shows them.

use serde::Serialize;
use utoipa::ToSchema;

/// Settings of a subscription. An absent setting has its default; null resets a setting.
#[derive(Serialize, ToSchema)]
pub(super) struct SettingsChange {
    /// Maximum rate of attempts.
    #[schema(example = "50/s")]
    rate: Option<String>,
    /// Whether deliveries are sent one at a time, in the order of admission.
    ordered: Option<bool>,
    /// Batching: several events are sent in one request.
    batch: Option<BatchChange>,
    /// Delays between the attempts of a delivery; `none` for no retries.
    #[schema(example = "1s,30s,10m")]
    retry_schedule: Option<String>,
    /// Time limit of an attempt, 100ms to 5m.
    #[schema(example = "5s")]
    timeout: Option<String>,
    /// Maximum number of requests in flight.
    #[schema(minimum = 1, maximum = 256)]
    concurrency: Option<u16>,
    /// Whether each request carries a `traceparent` (W3C Trace Context).
    trace: Option<bool>,
    /// Additional headers, by name; null removes a header. Their values are never shown again.
    #[schema(value_type = Option<std::collections::BTreeMap<String, Option<String>>>, example = json!({"x-tenant": "blue"}))]
    headers: Option<()>,
}

/// Batching of events.
#[derive(Serialize, ToSchema)]
struct BatchChange {
    /// Maximum number of events in one request.
    #[schema(minimum = 1, maximum = 256)]
    max_events: Option<u32>,
    /// Time for which the first event waits for further events, up to 1m.
    #[schema(example = "1s")]
    linger: Option<String>,
    /// Format of the body: `array` or `cloudevents`.
    #[schema(example = "array")]
    format: Option<String>,
}
