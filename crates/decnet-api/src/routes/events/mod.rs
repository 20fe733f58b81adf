//! Handing events in over HTTP.

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
use crate::problem::{Details, Problem};
use crate::state::Shared;

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Events that were taken.
#[derive(Debug, Serialize, ToSchema)]
struct Accepted {
    /// In the order in which they came.
    events: Vec<AcceptedEvent>,
}

/// An event that was taken.
#[derive(Debug, Serialize, ToSchema)]
struct AcceptedEvent {
    /// Its id: the one that it came with, else a fresh one. Receivers find it under `id` and `webhook-id`.
    id: Box<str>,
    /// It was taken before, within 24 hours; this time nothing was done.
    duplicate: bool,
}

pub(super) fn routes(routes: Routes) -> Routes {
    routes.guarded(Scope::Publish, routes!(publish))
}

/// Hands events in: one, or up to 1,000 in an array or under `events`. All are taken, or none. When the answer comes they
/// are on the disk, and will be sent to every subscription whose patterns match.
///
/// An event with an `id` is taken once in 24 hours, whoever sends it; the same `id` with another topic, type or payload is
/// refused. With the header `Idempotency-Key` the whole request is taken once: it can be repeated until an answer comes.
/// Ids and keys are forgotten sooner where very many come; the documentation says how many.
///
/// Topics below `system.webhook.` and `system.bus.` are those of the worker and of the bus, and are refused.
#[utoipa::path(post, path = "/api/v1/events", tag = "events",
    params(("Idempotency-Key" = Option<String>, Header, description = "What makes this request known when it is repeated; 1 to 255 printable ASCII characters", min_length = 1, max_length = 255)),
    request_body = Events,
    responses(
        (status = 202, body = Accepted, description = "Taken, and on the disk"),
        (status = 403, body = Details, content_type = "application/problem+json", description = "The token may not publish, or a topic below `system.webhook.` or `system.bus.`, on which only the worker and the bus publish"),
        (status = 409, body = Details, content_type = "application/problem+json", description = "The idempotency key was used with another request, or the id of an event with another event"),
    ))]
async fn publish(
    State(state): State<Shared>,
    Extension(Principal { id: sender, .. }): Extension<Principal>,
    request: Request,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    let key = key(request.headers())?.map(|key| (sender.to_string(), key));
    let mut room = state.submitter.room(sender);
    let take = |bytes| Ok(room.take(bytes)?);
    let RawBody(bytes) = RawBody::within(MAX_API_EVENTS_BYTES, request, take).await?;
    let events = request::read(&bytes)?;
    drop(bytes);
    let submitted = state.submitter.submit(events, key, room).await?;
    Ok((StatusCode::ACCEPTED, Json(submitted.into())))
}

fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::invalid("send one Idempotency-Key: which of two counts would be a guess"));
    }
    let key = value.to_str().ok().filter(|key| !key.is_empty());
    let key =
        key.ok_or_else(|| Problem::invalid("an Idempotency-Key has 1 to 255 printable ASCII characters"))?;
    Ok(Some(key.to_owned()))
}

impl From<Vec<Submitted>> for Accepted {
    fn from(submitted: Vec<Submitted>) -> Self {
        let event = |Submitted { id, duplicate }| AcceptedEvent { id, duplicate };
        Self { events: submitted.into_iter().map(event).collect() }
    }
}
