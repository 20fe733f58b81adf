//! Erasing what events held: a job that goes on by itself where it takes long.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State as FromState};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use decnet_store::queue::{Erase, Erased, Erasure as Steps, Error, Operator};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::Routes;
use crate::auth::Scope;
use crate::body::Body;
use crate::jobs::{End, Handle, Job, JobList};
use crate::problem::{Details, Problem};
use crate::state::{Shared, State, now};

/// How long the answer waits for the end.
const PATIENCE: Duration = Duration::from_secs(20);
const PATH: &str = "/api/v1/erasures";

/// What to erase: either all of a subscription, or an event.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Erasure {
    /// All that was, and is still to be, sent to the subscription with this UUID, which may be deleted already.
    subscription: Option<String>,
    /// The event with this id, to whomever it goes.
    event_id: Option<String>,
    /// Only count.
    #[serde(default)]
    dry_run: bool,
}

/// What was erased so far, or would be.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[schema(as = ErasureProgress)]
pub(crate) struct Progress {
    /// Deliveries whose replies went.
    deliveries: u64,
    /// Of those, how many were still to be sent, and are given up.
    given_up: u64,
    /// Events whose bodies went.
    events: u64,
    /// Events that stay, because others still get them.
    shared: u64,
    /// Submitted events that no worker had taken yet.
    submitted: u64,
    /// Is all of it done, and nothing of it left in the queue's files? Where somebody reads the queue meanwhile, its log may
    /// hold it for longer: where this is false at the end, erase again.
    gone_from_disk: bool,
}

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .guarded(Scope::Admin, routes!(erase))
        .guarded(Scope::Read, routes!(list))
        .guarded(Scope::Read, routes!(get))
        .guarded(Scope::Admin, routes!(cancel))
}

/// Erases the bodies of events, and what receivers answered, of a subscription or of one event. What is still to be sent is
/// given up. That deliveries were made stays known. The answer is a job; one that is not done within 20 s goes on by itself.
#[utoipa::path(post, path = "/api/v1/erasures", tag = "erasures", operation_id = "erase",
    request_body = Erasure,
    responses(
        (status = 200, body = Job<Progress>, description = "Done"),
        (status = 202, body = Job<Progress>, description = "It takes longer, and goes on",
            headers(("location" = String, description = "Where to ask how far it is"))),
        (status = 404, body = Details, content_type = "application/problem+json", description = "The queue knows no such subscription"),
    ))]
async fn erase(FromState(state): FromState<Shared>, Body(asked): Body<Erasure>) -> Result<Response, Problem> {
    let what = match (asked.subscription, asked.event_id) {
        (Some(uuid), None) => Erase::Subscription(uuid),
        (None, Some(id)) => Erase::Event(id),
        _ => return Err(Problem::invalid("give either `subscription` or `event_id`")),
    };
    let dry_run = asked.dry_run;
    let run = |handle| in_background(Arc::clone(&state), what, dry_run, handle);
    let (job, failure) = state.erasures.start(dry_run, PATIENCE, run).await?;
    match failure {
        Some(problem) => Err(problem),
        None if job.is_done() => Ok((StatusCode::OK, Json(job)).into_response()),
        None => Ok(job.accepted(PATH)),
    }
}

/// Lists erasures, oldest first: those that run, and the last ones that ended.
#[utoipa::path(get, path = "/api/v1/erasures", tag = "erasures", operation_id = "list_erasures",
    responses((status = 200, body = JobList<Progress>)))]
async fn list(FromState(state): FromState<Shared>) -> Json<JobList<Progress>> {
    Json(state.erasures.list())
}

/// How far is an erasure? The last ones that ended are remembered too, until the server stops.
#[utoipa::path(get, path = "/api/v1/erasures/{id}", tag = "erasures", operation_id = "get_erasure",
    params(("id" = String, Path)),
    responses((status = 200, body = Job<Progress>), (status = 404, body = Details, content_type = "application/problem+json")))]
async fn get(
    FromState(state): FromState<Shared>,
    Path(id): Path<String>,
) -> Result<Json<Job<Progress>>, Problem> {
    state.erasures.get(&id).map(Json)
}

/// Ends an erasure. What it has erased stays erased; start it again to erase the rest.
#[utoipa::path(delete, path = "/api/v1/erasures/{id}", tag = "erasures", operation_id = "cancel_erasure",
    params(("id" = String, Path)),
    responses((status = 200, body = Job<Progress>), (status = 404, body = Details, content_type = "application/problem+json")))]
async fn cancel(
    FromState(state): FromState<Shared>,
    Path(id): Path<String>,
) -> Result<Json<Job<Progress>>, Problem> {
    state.erasures.cancel(&id).map(Json)
}

/// On a thread and with a connection of its own: what it overwrites, it overwrites there.
async fn in_background(
    state: Shared,
    what: Erase,
    dry_run: bool,
    handle: Handle<Progress>,
) -> Result<End, Problem> {
    let erased = tokio::task::spawn_blocking(move || run(&state, what, dry_run, &handle));
    erased.await.unwrap_or_else(|error| Err(Problem::internal("an erasure broke off", &error)))
}

/// All of it, in short transactions, telling how far it is.
fn run(state: &State, what: Erase, dry_run: bool, handle: &Handle<Progress>) -> Result<End, Problem> {
    let mut operator = Operator::open(&state.data_dir)?;
    let erasure = Steps::begin(&operator, what, dry_run)?;
    let mut erasure = erasure.ok_or_else(|| Problem::not_found("the queue knows no such subscription"))?;
    let go_on = |done: &Erased, trouble: Option<&Error>| {
        handle.tell(|told| *told = (*done).into());
        if let Some(error) = trouble {
            handle.waits_for(&error.clone().into());
        }
        !handle.is_cancelled()
    };
    let is_complete = erasure.carry_out(&mut operator, now, go_on);
    if dry_run {
        return Ok(if is_complete? { End::Done } else { End::Cancelled });
    }
    // Of what was erased before it failed, too, the worker must know.
    state.signal.queue_changed();
    let is_complete = is_complete?;
    let is_gone = operator.clean_up(|| !handle.is_cancelled())?;
    handle.tell(|told| told.gone_from_disk = is_complete && is_gone);
    Ok(if is_complete { End::Done } else { End::Cancelled })
}

impl From<Erased> for Progress {
    fn from(Erased { deliveries, given_up, events, shared, submitted }: Erased) -> Self {
        Self { deliveries, given_up, events, shared, submitted, gone_from_disk: false }
    }
}
