//! Deliveries as JSON.

use decnet_core::delivery::{Reason, State};
use decnet_core::time::UnixMicros;
use decnet_store::catalog::Row;
use decnet_store::queue::{ActiveSubscriptions, Detail, Listed};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::attempt::Attempt;
use crate::state::now;

/// A page of deliveries, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct Deliveries {
    pub(super) deliveries: Vec<Delivery>,
    /// The `cursor` of the next page; null on the last page.
    pub(super) next: Option<String>,
}

/// One event for one subscription.
#[derive(Serialize, ToSchema)]
pub(super) struct Delivery {
    #[schema(example = "1042.0")]
    id: String,
    /// `pending`, `retrying`, `parked`, `delivered` or `dead`.
    #[schema(example = "delivered")]
    state: &'static str,
    /// Reason why the delivery is dead, such as `timeout`. `filter`: the subscription's filter could not be evaluated for the event;
    /// `template`: its format or template could not render the event. Correct the subscription, then redeliver.
    reason: Option<&'static str>,
    /// Time at which a retry is due.
    due_at: Option<String>,
    /// Time until which the receiver has asked not to be sent requests (`Retry-After`). The delivery waits even if it is due.
    deferred_until: Option<String>,
    /// Number of attempts so far.
    attempt_count: u32,
    event_id: Box<str>,
    topic: Box<str>,
    subscription: SubscriptionName,
    /// Time at which the event became durable.
    admitted_at: String,
    /// Time at which the delivery became final.
    settled_at: Option<String>,
}

/// The subscription of a delivery.
#[derive(Serialize, ToSchema)]
struct SubscriptionName {
    uuid: Box<str>,
    name: Box<str>,
}

/// A delivery with its event's body and its attempts.
#[derive(Serialize, ToSchema)]
pub(super) struct DeliveryDetail {
    #[serde(flatten)]
    delivery: Delivery,
    /// Body of the event, as it is sent outside batches, byte for byte; null once it is erased.
    #[schema(value_type = Option<Object>)]
    body: Option<Box<RawValue>>,
    /// Attempts in order.
    attempts: Vec<Attempt>,
}

/// A new delivery of an old event.
#[derive(Serialize, ToSchema)]
pub(super) struct Redelivered {
    /// Id of the new delivery.
    #[schema(example = "1042.1")]
    pub(super) id: String,
}

impl Delivery {
    pub(super) fn new(listed: &Listed, active: &ActiveSubscriptions) -> Self {
        let (reason, due_at) = match listed.state {
            State::Dead { reason } => (Some(reason), None),
            State::Retrying { due_at } => (None, Some(due_at)),
            State::Pending | State::Delivered => (None, None),
        };
        Self {
            id: listed.id.to_string(),
            state: active.status(listed).as_str(),
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
    pub(super) fn new(detail: &Detail, row: Option<&Row>, active: &ActiveSubscriptions) -> Self {
        let body = std::str::from_utf8(&detail.body).ok().map(str::to_owned);
        Self {
            delivery: Delivery::new(&detail.listed, active),
            body: body.and_then(|body| RawValue::from_string(body).ok()),
            attempts: detail.attempts.iter().map(|attempt| Attempt::new(attempt, detail, row)).collect(),
        }
    }
}
