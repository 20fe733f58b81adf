//! Indexer acknowledgement. A reply to events only says that they look valid; a later poll says whether they are indexed
//! (<https://help.splunk.com/splunk-enterprise/get-data-in/collect-http-event-data/about-http-event-collector-indexer-acknowledgment>).
//!
//! Splunk reports each receipt as indexed only once. A receipt is `false` until then, and also if Splunk does not know it, for
//! instance after its restart.

use std::collections::HashMap;

use decnet_core::delivery::Verdict;
use serde::Deserialize;

use super::ACK;
use super::judge::{HecReply, judge};
use crate::reply::Reply;
use crate::request::{Acknowledged, Acknowledgement};
use crate::spec::Options;

/// The path of HEC, to which the path of its endpoints is added.
const COLLECTOR: &str = "/services/collector";

pub(super) const ACKNOWLEDGEMENT: Acknowledgement = Acknowledgement {
    is_on: |options| options.is_on(ACK),
    channel_header: "x-splunk-request-channel",
    target,
    content_type: "application/json",
    receipt: |reply| HecReply::parse(reply).and_then(|hec| hec.ack_id),
    write: |receipt| format!(r#"{{"acks":[{receipt}]}}"#).into(),
    judge: judge_poll,
};

/// Returns the path and query of polls. What precedes the path of HEC and the query are those of the requests with events.
fn target(events: &str, channel: &str) -> String {
    let (path, query) = events.split_once('?').unwrap_or((events, ""));
    let prefix = path.find(COLLECTOR).map_or("", |at| &path[..at]);
    let separator = if query.is_empty() { "" } else { "&" };
    format!("{prefix}{COLLECTOR}/ack?channel={channel}{separator}{query}")
}

/// Reads `{"acks":{"1":true}}`.
fn judge_poll(reply: &Reply<'_>, receipt: u64) -> Acknowledged {
    #[derive(Deserialize)]
    struct States {
        acks: HashMap<u64, bool>,
    }
    if let Ok(States { acks }) = serde_json::from_slice(reply.body) {
        return if acks.get(&receipt) == Some(&true) {
            Acknowledged::Yes
        } else {
            Acknowledged::NotYet(None)
        };
    }
    let judgement = judge(&Options::default(), reply, 1);
    match judgement.whole {
        Verdict::Hold => Acknowledged::Never,
        Verdict::Delivered => {
            Acknowledged::NotYet(Some("the reply does not contain acknowledgements".into()))
        }
        _ => Acknowledged::NotYet(judgement.detail),
    }
}
