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
    /// Filter: a CEL expression that is true for the events that are delivered. `docs/filters.md` describes it.
    #[schema(example = "payload.port == 22", max_length = 2048)]
    filter: Option<String>,
    /// Lowest severity of the events that are delivered: `info`, `low`, `medium`, `high` or `critical`.
    #[schema(example = "high")]
    min_severity: Option<String>,
    /// Format of requests: a name such as `slack`, or an object with `name` and `options`. Without it, requests carry the events
    /// themselves.
    #[schema(value_type = Option<Object>, example = json!({"name": "elastic", "options": {"index": "logs-decnet-default"}}))]
    format: Option<()>,
    /// Template of the format, in the syntax of Jinja.
    #[schema(example = "{{ title }}", max_length = 16384)]
    template: Option<String>,
    /// Method of requests: `POST` or `PUT`.
    #[schema(example = "POST")]
    method: Option<String>,
    /// Whether bodies are compressed (`content-encoding: gzip`).
    gzip: Option<bool>,
    /// Digest: the events of a time window in one message for people.
    digest: Option<DigestChange>,
    /// Additional headers, by name; null removes a header. Their values are never shown again.
    #[schema(value_type = Option<std::collections::BTreeMap<String, Option<String>>>, example = json!({"x-tenant": "blue"}))]
    headers: Option<()>,
    /// Credentials in the header `authorization`: `basic` with `user` and `password`, `bearer` with `token`, or `oauth2` with
    /// `token_url`, `client_id`, `client_secret` and optionally `scope`, `audience` and `in_body`. Secrets are never shown again.
    #[schema(value_type = Option<Object>, example = json!({"type": "bearer", "token": "…"}))]
    auth: Option<()>,
    /// Client certificate of TLS: an object with `certificates`, leaf first, and `key`, both PEM.
    #[schema(value_type = Option<Object>, example = json!({"certificates": "-----BEGIN CERTIFICATE-----…", "key": "-----BEGIN PRIVATE KEY-----…"}))]
    client_certificate: Option<()>,
    /// The only root certificates that are trusted, in PEM, instead of those of the system.
    #[schema(example = "-----BEGIN CERTIFICATE-----…", max_length = 65536)]
    trust_roots: Option<String>,
    /// Ed25519 key whose signature (`v1a`) is added to `webhook-signature`: `whsk_` and 32 bytes in base64.
    #[schema(example = "whsk_…")]
    private_key: Option<String>,
}

/// Digest of events.
#[derive(Serialize, ToSchema)]
struct DigestChange {
    /// Time for which events are collected, 1s to 1m. Events of critical severity are sent at once.
    #[schema(example = "1m")]
    window: String,
    /// Maximum number of events that a message lists by themselves.
    #[schema(minimum = 1, maximum = 256, default = 20)]
    max: Option<u32>,
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
