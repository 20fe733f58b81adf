//! The replies of the bulk API: a 200 has a status for each action, in the order of the request.

use std::collections::HashMap;

use decnet_core::delivery::{Reason, Verdict};
use serde::Deserialize;

use crate::reply::{Judgement, Reply};
use crate::spec::Options;

/// The error type of an index or cluster that is read-only for now, for instance because its disk is full. Its status is 403 or
/// 429.
const BLOCKED: &str = "cluster_block_exception";

/// A reply with status 200. `filter_path` leaves out `items` if it contains nothing.
#[derive(Deserialize)]
struct BulkReply {
    errors: bool,
    #[serde(default)]
    items: Vec<HashMap<String, Item>>,
}

/// The result of an action.
#[derive(Deserialize)]
struct Item {
    status: u16,
    error: Option<ItemError>,
}

#[derive(Deserialize)]
struct ItemError {
    r#type: String,
}

/// A reply with another status: `{"error":{"type":"…","reason":"…"},"status":400}`.
#[derive(Deserialize)]
struct ErrorReply {
    error: WholeError,
}

#[derive(Deserialize)]
struct WholeError {
    r#type: String,
    #[serde(default)]
    reason: Option<String>,
}

pub(super) fn judge(_: &Options, reply: &Reply<'_>, events: usize) -> Judgement {
    if !(200..=299).contains(&reply.status) {
        return judge_error(reply);
    }
    let parsed: Option<BulkReply> = serde_json::from_slice(reply.body).ok();
    match parsed {
        Some(bulk) if !bulk.errors => Judgement::whole(Verdict::Delivered),
        Some(bulk) => match results(&bulk, events) {
            Some(results) => judge_items(&results),
            None => unreadable(events),
        },
        None if reply.is_complete => retry("the reply is not from the bulk API; check the URL"),
        None => unreadable(events),
    }
}

/// Returns the results of the actions if there is one for each event.
fn results(bulk: &BulkReply, events: usize) -> Option<Vec<&Item>> {
    let results: Option<Vec<&Item>> = bulk.items.iter().map(|item| item.values().next()).collect();
    results.filter(|results| results.len() == events)
}

/// Some events of the request failed, but not which. Smaller batches have replies that can be read, and the events that are
/// stored already are not stored again.
fn unreadable(events: usize) -> Judgement {
    let detail = "the reply does not contain the result of each event";
    if events > 1 {
        Judgement::whole(Verdict::Reject(Reason::BodyRefused)).because(detail)
    } else {
        retry(detail)
    }
}

fn retry(detail: &str) -> Judgement {
    Judgement::whole(Verdict::Retry { reason: Reason::ServerError, after: None }).because(detail)
}

fn judge_items(results: &[&Item]) -> Judgement {
    let members: Vec<Verdict> = results.iter().map(|item| item_verdict(item)).collect();
    let mut judgement = Judgement::whole(whole(&members));
    let failed: Vec<_> =
        results.iter().zip(&members).filter(|(_, verdict)| **verdict != Verdict::Delivered).collect();
    if let Some((first, _)) = failed.first() {
        let kind = first.error.as_ref().map_or("no error type", |error| &error.r#type);
        let (count, all) = (failed.len(), members.len());
        judgement = judgement
            .because(format!("{count} of {all} events not stored, the first with {}: {kind}", first.status));
        judgement.members = members;
    }
    judgement
}

/// Returns the verdict on the request: it succeeded if any event was stored. Otherwise, what affects later requests comes first.
fn whole(members: &[Verdict]) -> Verdict {
    let rank = |verdict: &Verdict| match verdict {
        Verdict::Delivered => 0,
        Verdict::Hold | Verdict::Gone => 1,
        Verdict::Retry { .. } | Verdict::NotSent => 2,
        Verdict::Reject(_) => 3,
    };
    members.iter().min_by_key(|verdict| rank(verdict)).cloned().unwrap_or(Verdict::Delivered)
}

/// 409 means that a document with this id exists already: the event is stored.
fn item_verdict(item: &Item) -> Verdict {
    let is_blocked = item.error.as_ref().is_some_and(|error| error.r#type == BLOCKED);
    match item.status {
        200..=299 | 409 => Verdict::Delivered,
        429 => Verdict::Retry { reason: Reason::Throttled, after: None },
        _ if is_blocked => Verdict::Retry { reason: Reason::ServerError, after: None },
        401 | 403 => Verdict::Hold,
        400 | 413 => Verdict::Reject(Reason::BodyRefused),
        408 | 500..=599 => Verdict::Retry { reason: Reason::ServerError, after: None },
        _ => Verdict::Reject(Reason::Refused),
    }
}

fn judge_error(reply: &Reply<'_>) -> Judgement {
    let by_status = Judgement::for_credentials(reply);
    let Ok(ErrorReply { error }) = serde_json::from_slice(reply.body) else { return by_status };
    let detail = format!("{}: {}", error.r#type, error.reason.unwrap_or_default());
    let is_blocked = error.r#type == BLOCKED && reply.status == 403;
    if is_blocked { retry(&detail) } else { by_status.because(detail) }
}
