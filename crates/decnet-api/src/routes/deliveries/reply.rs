//! Deliveries as they are shown.

use decnet_core::delivery::{Reason, State};
use decnet_core::time::UnixMicros;
use decnet_store::catalog::Row;
use decnet_store::queue::{Active, Detail, Listed};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::attempt::Attempt;
use crate::state::now;

/// A page of deliveries, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct Deliveries {
    pub(super) deliveries: Vec<Delivery>,
    /// What the next page takes as `cursor`; null where there is none.
    pub(super) next: Option<String>,
}

/// A debt: one event owed to one subscription.
#[derive(Serialize, ToSchema)]
pub(super) struct Delivery {
    #[schema(example = "1042.0")]
    id: String,
    /// `pending`, `retrying`, `parked`, `delivered` or `dead`.
    #[schema(example = "delivered")]
    state: &'static str,
    /// Why it is dead.
    reason: Option<&'static str>,
    /// When a retry is due.
    due_at: Option<String>,
    /// Before then its receiver has asked to be sent nothing (`Retry-After`), so that it waits whenever it is due.
    deferred_until: Option<String>,
    /// Attempts so far.
    attempt_count: u32,
    event_id: Box<str>,
    topic: Box<str>,
    subscription: SubscriptionName,
    /// When its event became durable.
    admitted_at: String,
    /// When it became final.
    settled_at: Option<String>,
}

/// Whose delivery it is.
#[derive(Serialize, ToSchema)]
struct SubscriptionName {
    uuid: Box<str>,
    name: Box<str>,
}

/// A delivery with everything that is known of it.
#[derive(Serialize, ToSchema)]
pub(super) struct DeliveryDetail {
    #[serde(flatten)]
    delivery: Delivery,
    /// What is sent, byte for byte, unless it goes in a batch; null once it was erased.
    #[schema(value_type = Option<Object>)]
    body: Option<Box<RawValue>>,
    /// In their order.
    attempts: Vec<Attempt>,
}

/// A new delivery of an old event.
#[derive(Serialize, ToSchema)]
pub(super) struct Redelivered {
    /// The new delivery's id.
    #[schema(example = "1042.1")]
    pub(super) id: String,
}

impl Delivery {
    pub(super) fn new(listed: &Listed, active: &Active) -> Self {
        let (reason, due_at) = match listed.state {
            State::Dead { reason } => (Some(reason), None),
            State::Retrying { due_at } => (None, Some(due_at)),
            State::Pending | State::Delivered => (None, None),
        };
        Self {
            id: listed.id.to_string(),
            state: active.standing(listed).as_str(),
            reason: reason.map(Reason::as_str),
            due_at: due_at.map(UnixMicros::to_iso8601),
            deferred_until: active.deferred_until(listed, now()).map(UnixMicros::to_iso8601),
            attempt_count: listed.attempts,
            event_id: listed.event_id.clone(),
            topic: listed.topic.clone(),
            subscription: SubscriptionName {
                uuid: listed.subscription_uuid.clone(),
                name: listed.subscription_name.clone(),
            },
            admitted_at: listed.admitted_at.to_iso8601(),
            settled_at: listed.settled_at.map(UnixMicros::to_iso8601),
        }
    }
}

impl DeliveryDetail {
    pub(super) fn new(detail: &Detail, row: Option<&Row>, active: &Active) -> Self {
        let body = std::str::from_utf8(&detail.body).ok().map(str::to_owned);
        Self {
            delivery: Delivery::new(&detail.listed, active),
            body: body.and_then(|body| RawValue::from_string(body).ok()),
            attempts: detail.attempts.iter().map(|attempt| Attempt::new(attempt, detail, row)).collect(),
        }
    }
}
