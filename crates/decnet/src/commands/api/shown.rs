//! Requests and replies as the API shows them.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use decnet_api::{Exchange, PreviewedEvent, ShownBody, ShownReply, ShownRequest, ShownTimings, TestReport};
use decnet_core::delivery::Outcome;
use decnet_core::event::Event;
use decnet_core::limits::MAX_SHOWN_BODY_BYTES;
use decnet_sender::{AttemptResult, Preview};

use crate::commands::shared::test_event::{SentTest, tested};
use crate::commands::shared::trial::{Trial, TrialRequest};

/// Returns the result of a test with the exchange.
pub(super) fn report(sent: &SentTest) -> TestReport {
    let SentTest { head, body, attempted, verdict } = sent;
    let request = request(head, body, None);
    let AttemptResult { duration, timings, repeats, .. } = attempted;
    let timings = ShownTimings {
        resolve_ms: timings.resolve.map(millis),
        connect_ms: timings.connect.map(millis),
        tls_ms: timings.tls.map(millis),
        first_byte_ms: timings.first_byte.map(millis),
    };
    let (reply, duration_ms, repeats) = (reply(attempted), millis(*duration), *repeats);
    let exchange = Exchange { request, reply, duration_ms, timings, repeats };
    TestReport { tested: tested(attempted, verdict), exchange: Some(exchange) }
}

/// Returns what a subscription would do with an event.
pub(super) fn previewed(event: &Event, trial: Trial) -> PreviewedEvent {
    let shown = |TrialRequest { head, body, uncompressed }: TrialRequest| {
        request(&head, &body, uncompressed.as_deref())
    };
    PreviewedEvent {
        event_id: event.id.to_string(),
        topic: event.topic.to_string(),
        severity: trial.severity.as_str(),
        delivered: trial.is_delivered,
        reason: trial.reason,
        request: trial.request.map(shown),
    }
}

fn request(head: &Preview, sent: &[u8], uncompressed: Option<&[u8]>) -> ShownRequest {
    ShownRequest {
        method: head.method,
        url: head.url.clone(),
        headers: pairs(&head.headers),
        body: body(sent, true),
        uncompressed: uncompressed.map(|plain| body(plain, true)),
    }
}

fn reply(attempted: &AttemptResult) -> Option<ShownReply> {
    let Outcome::Replied { status, .. } = attempted.outcome else { return None };
    let body = body(&attempted.reply, attempted.is_reply_complete);
    Some(ShownReply { status, headers: pairs(&attempted.reply_headers), body })
}

fn pairs(headers: &[(String, String)]) -> Vec<[String; 2]> {
    headers.iter().map(|(name, value)| [name.clone(), value.clone()]).collect()
}

fn body(bytes: &[u8], is_complete: bool) -> ShownBody {
    let text = std::str::from_utf8(bytes).ok();
    let beginning = |text: &str| text[..text.floor_char_boundary(MAX_SHOWN_BODY_BYTES)].to_owned();
    let encoded = || STANDARD.encode(&bytes[..bytes.len().min(MAX_SHOWN_BODY_BYTES)]);
    ShownBody {
        base64: text.is_none().then(encoded),
        text: text.map(beginning),
        bytes: bytes.len(),
        is_complete: is_complete && bytes.len() <= MAX_SHOWN_BODY_BYTES,
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_is_text_or_base64_and_bounded() {
        let shown = body(b"a\xff", true);
        assert_eq!(
            (shown.text, shown.base64, shown.bytes, shown.is_complete),
            (None, Some("Yf8=".into()), 2, true)
        );
        let long = "é".repeat(MAX_SHOWN_BODY_BYTES);
        let shown = body(&long.as_bytes()[..long.len()], true);
        assert!(!shown.is_complete && shown.bytes == long.len());
        assert_eq!(shown.text.unwrap().len(), MAX_SHOWN_BODY_BYTES);
    }
}
