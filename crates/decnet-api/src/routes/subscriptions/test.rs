//! Test events: a ping, a sample, or an event of the queue.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use decnet_core::sample;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Reply, found, receiver};
use crate::auth::{Principal, PrincipalId};
use crate::body::OptionalBody;
use crate::outbound::{TestEvent, TestReport};
use crate::problem::Problem;
use crate::state::Shared;

/// The event to send; by default one with the topic `test.ping`.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TestRequest {
    /// Family of a sample event: `attacker.observed`, `attacker.session.started`, `attacker.session.ended`, `attacker.scored`,
    /// `credential.captured`, `decky.traffic` or `canary.triggered`.
    #[schema(example = "credential.captured")]
    sample: Option<String>,
    /// Id of an event of the queue, which is sent regardless of patterns, severity and filter.
    event_id: Option<String>,
}

/// Sends one event, by default with the topic `test.ping`, and returns the result with the whole exchange within 25 s. The
/// subscription's health is unaffected, and nothing is stored. The search for an event of the queue ends after 5 s; each token or
/// user can run one search at a time.
#[utoipa::path(post, path = "/api/v1/subscriptions/{uuid}/test", tag = "subscriptions", operation_id = "test_subscription",
    params(("uuid" = String, Path)), request_body = Option<TestRequest>,
    responses(
        (status = 200, body = TestReport),
        (status = 409, description = "The event was erased"),
    ))]
pub(super) async fn test(
    State(state): State<Shared>,
    Extension(requester): Extension<Principal>,
    Path(uuid): Path<String>,
    OptionalBody(request): OptionalBody<TestRequest>,
) -> Reply<TestReport> {
    let found = state.catalog.run(move |catalog| found(catalog, &uuid)).await?;
    let event = match (request.sample, request.event_id) {
        (None, None) => TestEvent::Ping(Arc::clone(&requester.name)),
        (Some(family), None) => TestEvent::Sample(sample::of_family(&family).ok_or_else(unknown_family)?),
        (None, Some(id)) => stored(&state, requester.id, id).await?,
        (Some(_), Some(_)) => {
            return Err(Problem::invalid("sample: must be absent if `event_id` is given"));
        }
    };
    Ok(Json(receiver::test(&state, found, event).await))
}

fn unknown_family() -> Problem {
    Problem::invalid(format!("sample: must be one of {}", sample::FAMILIES.join(", ")))
}

/// Returns the newest event with this id.
async fn stored(state: &Shared, requester: PrincipalId, id: String) -> Result<TestEvent, Problem> {
    let searched = state.searches.run(requester, move |reader, go_on| reader.event_by_id(&id, go_on)).await?;
    let missing = "event_id: no such event was found: no subscription got it, retention has removed it, or the search took \
                   too long";
    let event = searched.ok_or_else(|| Problem::invalid(missing))?;
    if event.body.is_empty() {
        return Err(Problem::new(StatusCode::CONFLICT, "event_id: the content of the event was erased"));
    }
    Ok(TestEvent::Stored(event))
}
