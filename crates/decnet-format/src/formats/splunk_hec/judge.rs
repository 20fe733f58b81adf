//! The replies of HEC: a JSON object with a code of its own, which says more than the status.

use decnet_core::delivery::{Reason, Verdict};
use serde::Deserialize;

use super::ACK;
use crate::reply::{Judgement, Reply};
use crate::spec::Options;

/// A reply of HEC: `{"text":"Success","code":0,"ackId":1}`.
#[derive(Debug, Default, Deserialize)]
pub(super) struct HecReply {
    pub(super) code: u16,
    #[serde(default)]
    pub(super) text: String,
    /// The receipt of the events, if the token has indexer acknowledgement.
    #[serde(rename = "ackId")]
    pub(super) ack_id: Option<u64>,
    /// The first event that is not valid, from 0. Splunk has indexed the events before it.
    #[serde(rename = "invalid-event-number")]
    pub(super) invalid_event: Option<u64>,
}

impl HecReply {
    pub(super) fn parse(reply: &Reply<'_>) -> Option<Self> {
        serde_json::from_slice(reply.body).ok()
    }
}

pub(super) fn judge(options: &Options, reply: &Reply<'_>, _: usize) -> Judgement {
    let Some(hec) = HecReply::parse(reply) else { return without_code(reply) };
    let verdict = verdict(&hec, reply);
    match verdict {
        // Splunk has accepted the events, but nothing would ever show that they are indexed.
        Verdict::Delivered if options.is_on(ACK) && hec.ack_id.is_none() => Judgement::whole(Verdict::Hold)
            .because(
                "the token has no indexer acknowledgement: turn it on in Splunk, or set the option ack=false",
            ),
        Verdict::Delivered => Judgement::whole(verdict),
        _ => Judgement::whole(verdict).because(detail(&hec)),
    }
}

/// Judges a reply that is not from HEC. A page with status 200, for instance from a login in front of Splunk, is not a delivery.
fn without_code(reply: &Reply<'_>) -> Judgement {
    let by_status = Judgement::for_credentials(reply);
    match by_status.whole {
        Verdict::Delivered if !reply.body.trim_ascii().is_empty() => {
            Judgement::whole(Verdict::Retry { reason: Reason::ServerError, after: None })
                .because("the reply is not from an HTTP Event Collector; check the URL")
        }
        _ => by_status,
    }
}

fn verdict(hec: &HecReply, reply: &Reply<'_>) -> Verdict {
    let retry = |reason| Verdict::Retry { reason, after: reply.retry_after };
    match hec.code {
        // Token disabled, required, invalid; authorization not valid; tokens in the query not enabled.
        1..=4 | 16 | 21 | 22 => Verdict::Hold,
        // The token may not write to the index; the channel is missing or not valid; no acknowledgement for the token. Every
        // other request would fail in the same way.
        7 | 10 | 11 | 14 => Verdict::Hold,
        // No data; not valid; event field required or blank; error in the indexed fields.
        5 | 6 | 12 | 13 | 15 => Verdict::Reject(Reason::BodyRefused),
        8 => Verdict::Retry { reason: Reason::ServerError, after: None },
        // Busy; queues full; acknowledgement not available; shutting down.
        9 | 18..=20 | 23 => retry(Reason::ServerError),
        // Queue or channel at capacity. 24 and 25 are warnings of a success.
        26 | 27 => retry(Reason::Throttled),
        _ => Judgement::for_credentials(reply).whole,
    }
}

fn detail(hec: &HecReply) -> String {
    let event =
        hec.invalid_event.map(|number| format!(", event {number} of the request")).unwrap_or_default();
    format!("{} (code {}{event})", hec.text, hec.code)
}
