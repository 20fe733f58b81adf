//! Submission of events over HTTP.

mod request;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::HeaderMap;
use axum::{Extension, Json};
use decnet_core::limits::MAX_API_EVENTS_BYTES;
use decnet_store::queue::Submitted;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use self::request::Events;
use super::Routes;
use crate::auth::{Principal, Scope};
use crate::body::RawBody;
use crate::problem::Problem;
use crate::state::Shared;

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Accepted events.
#[derive(Debug, Serialize, ToSchema)]
struct Accepted {
    /// Accepted events, in the order of the request.
    events: Vec<AcceptedEvent>,
}

/// An accepted event.
#[derive(Debug, Serialize, ToSchema)]
struct AcceptedEvent {
    /// Id of the event: the submitted id, else a new id. Receivers get it as `id` and `webhook-id`.
    id: Box<str>,
    /// Whether the event was already accepted within the last 24 hours; the repetition is ignored.
    duplicate: bool,
}

pub(super) fn routes(routes: Routes) -> Routes {
    routes.guarded(Scope::Publish, routes!(publish))
}

/// Submits one event, or up to 1,000 events in an array or under `events`. Either all events are accepted or none. They are
/// durable when the response arrives, and are sent to every subscription with a matching pattern.
///
/// An event with an `id` is accepted once in 24 hours, whoever sends it; the same `id` with another topic, type or payload is
/// rejected. With the header `Idempotency-Key` the whole request is accepted once: it can be repeated until a response arrives.
/// At high rates, ids and keys are forgotten earlier; see the documentation for the limits.
///
/// Topics below `system.webhook.` and `system.bus.` are reserved for the worker and the bus, and are rejected.
#[utoipa::path(post, path = "/api/v1/events", tag = "events",
    params(("Idempotency-Key" = Option<String>, Header, description = "Key that identifies repetitions of this request; 1 to 255 printable ASCII characters", min_length = 1, max_length = 255)),
    request_body = Events,
    responses(
        (status = 202, body = Accepted, description = "Accepted and durable"),
        (status = 403, description = "The token lacks the scope `publish`, or a topic is below `system.webhook.` or `system.bus.`, on which only the worker and the bus publish"),
        (status = 409, description = "The idempotency key was used with another request, or the id of an event with another event"),
    ))]
async fn publish(
    State(state): State<Shared>,
    Extension(Principal { id: sender, .. }): Extension<Principal>,
    request: Request,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    let key = key(request.headers())?.map(|key| (sender.to_string(), key));
    let mut reservation = state.group_commit.budget.reserve(sender);
    let take = |bytes| reservation.grow(bytes);
    let RawBody(bytes) = RawBody::within(MAX_API_EVENTS_BYTES, request, take).await?;
    let events = request::read(&bytes)?;
    drop(bytes);
    let submitted = state.group_commit.submit(events, key, reservation).await?;
    let accepted = |Submitted { id, duplicate }| AcceptedEvent { id, duplicate };
    let events = submitted.into_iter().map(accepted).collect();
    Ok((StatusCode::ACCEPTED, Json(Accepted { events })))
}

fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::invalid("the request has several Idempotency-Key headers; send only one"));
    }
    let key = value.to_str().ok().filter(|key| !key.is_empty());
    let key = key.ok_or_else(|| {
        Problem::invalid("an Idempotency-Key must have 1 to 255 printable ASCII characters")
    })?;
    Ok(Some(key.to_owned()))
}
