//! Attempts as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use decnet_core::delivery::Reason;
use decnet_core::trace;
use decnet_store::catalog::Row;
use decnet_store::queue::{self, Detail};
use serde::Serialize;
use utoipa::ToSchema;

/// The replacement for a value that is secret or derived from a secret.
const REDACTED: &str = "[secret]";

/// One POST and its outcome.
#[derive(Serialize, ToSchema)]
pub(super) struct Attempt {
    /// Number of the attempt, from 1.
    number: u32,
    started_at: String,
    /// Time from resolving the host to the end of the reply, in milliseconds.
    duration_ms: f64,
    /// Status of the reply, if one arrived.
    status: Option<u16>,
    /// Reason why the attempt did not deliver, such as `timeout`. With `filter` and `template`, no request was sent. With
    /// `unauthorized`, the destination refused the credentials, and deliveries wait.
    reason: Option<&'static str>,
    /// Description of the failure. A successful attempt has a description if the reply's body did not end properly.
    detail: Option<Box<str>>,
    /// Number of times the request was repeated within this attempt because a kept-alive connection ended before a reply or the
    /// receiver refused the request without processing it. Usually 0.
    repeats: u32,
    /// Beginning of the reply's body, up to 4 KiB; invalid UTF-8 is replaced.
    reply: String,
    timings: Timings,
    request: Request,
}

/// Duration of each step in milliseconds; null for a step that was not needed, not finished or not recorded.
#[derive(Serialize, ToSchema)]
struct Timings {
    resolve_ms: Option<f64>,
    connect_ms: Option<f64>,
    tls_ms: Option<f64>,
    /// Time from passing the request to a connection until the reply's headers.
    first_byte_ms: Option<f64>,
}

/// The request, reconstructed from the event, the attempt's time and the subscription as it is now. After a change of its URL,
/// headers or batches, the request is shown with the new values.
#[derive(Serialize, ToSchema)]
struct Request {
    #[schema(example = "POST")]
    method: &'static str,
    /// Scheme, host and port, since the rest may be secret; null once the subscription is deleted.
    #[schema(example = "https://siem.example/…")]
    url: Option<String>,
    /// Signatures and the values of the subscription's own headers are replaced by `[secret]`.
    headers: BTreeMap<String, String>,
}

impl Attempt {
    pub(super) fn new(attempt: &queue::Attempt, detail: &Detail, row: Option<&Row>) -> Self {
        let timings = attempt.timings;
        Self {
            number: attempt.number,
            started_at: attempt.started_at.to_iso8601(),
            duration_ms: millis(attempt.duration),
            status: attempt.status,
            reason: attempt.reason.map(Reason::as_str),
            detail: attempt.detail.clone(),
            repeats: attempt.repeats,
            reply: String::from_utf8_lossy(&attempt.reply).into_owned(),
            timings: Timings {
                resolve_ms: timings.resolve.map(millis),
                connect_ms: timings.connect.map(millis),
                tls_ms: timings.tls.map(millis),
                first_byte_ms: timings.first_byte.map(millis),
            },
            request: Request {
                method: "POST",
                url: row.map(Row::redacted_url),
                headers: headers(attempt, detail, row),
            },
        }
    }
}

fn headers(attempt: &queue::Attempt, detail: &Detail, row: Option<&Row>) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::new();
    let mut set = |name: &str, value: &str| headers.insert(name.to_owned(), value.to_owned());
    let (seconds, listed) = (attempt.started_at.as_seconds().to_string(), &detail.listed);
    let batch = row.and_then(|row| row.settings.batch);
    set("content-type", batch.map_or("application/json", |batch| batch.format().content_type()));
    set("user-agent", concat!("decnet-webhook/", env!("CARGO_PKG_VERSION")));
    set("x-decnet-signature", REDACTED);
    set("x-decnet-timestamp", &seconds);
    set("webhook-timestamp", &seconds);
    set("webhook-signature", REDACTED);
    for name in row.into_iter().flat_map(|row| row.settings.headers.names()) {
        set(name, REDACTED);
    }
    if batch.is_none() {
        set("x-decnet-event-id", &listed.event_id);
        set("webhook-id", &listed.event_id);
        set("x-decnet-event-topic", &listed.topic);
        if !detail.body.is_empty() {
            set("content-length", &detail.body.len().to_string());
        }
        if let Some(row) = row.filter(|row| row.settings.trace) {
            set("traceparent", &traceparent(attempt, detail, row));
        }
    }
    headers
}

/// Derives the `traceparent` from the attempt's identity, so that it is the same at any time.
fn traceparent(attempt: &queue::Attempt, detail: &Detail, row: &Row) -> String {
    let (event_id, delivery) = (&detail.listed.event_id, detail.listed.id.number());
    let span = trace::attempt_span(event_id, &row.uuid, delivery, attempt.number);
    trace::traceparent(trace::trace_id(event_id), span)
}

fn millis(duration: Duration) -> f64 {
    // Durations are stored in microseconds; further digits would be noise.
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
