//! Erasure of event contents, as a job that may continue after the response.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State as FromState};
use axum::response::{IntoResponse as _, Response};
use decnet_store::queue::{Erased, Erasure as Steps, ErasureTarget, Error, ExternalWriter};
use futures_util::FutureExt as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{Reply, Routes};
use crate::auth::Scope;
use crate::body::Body;
use crate::jobs::{End, Handle, Job, JobList};
use crate::problem::Problem;
use crate::state::{Shared, State, now};

/// The maximum time that the response waits for the end of the job.
const MAX_WAIT: Duration = Duration::from_secs(20);
const PATH: &str = "/api/v1/erasures";

/// Target of an erasure: either `subscription` or `event_id`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Erasure {
    /// UUID of a subscription, which may be deleted already. All events that were sent or will be sent to it are erased.
    subscription: Option<String>,
    /// Id of an event. It is erased for all subscriptions.
    event_id: Option<String>,
    /// Whether to count without erasing.
    #[serde(default)]
    dry_run: bool,
}

/// Numbers of rows erased so far, or counted by a dry run.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[schema(as = ErasureProgress)]
pub(crate) struct Progress {
    /// Number of deliveries whose replies were erased.
    deliveries: u64,
    /// Number of erased deliveries that were not yet final and are abandoned.
    given_up: u64,
    /// Number of events whose bodies were erased.
    events: u64,
    /// Number of events that are kept because other subscriptions still receive them.
    shared: u64,
    /// Number of erased events that were submitted and not yet admitted by a worker.
    submitted: u64,
    /// Whether everything was erased and the queue's files no longer contain it. A concurrent reader can keep data in the
    /// write-ahead log for longer: if this is false when the job has ended, start the erasure again.
    gone_from_disk: bool,
}

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .guarded(Scope::Admin, routes!(erase))
        .guarded(Scope::Read, routes!(list))
        .guarded(Scope::Read, routes!(get))
        .guarded(Scope::Admin, routes!(cancel))
}

/// Erases event bodies and receivers' replies of a subscription or an event. Deliveries that are not yet final are abandoned;
/// the records of all deliveries are kept. The response is a job, which continues in the background if it takes more than 20 s.
#[utoipa::path(post, path = "/api/v1/erasures", tag = "erasures", operation_id = "erase",
    request_body = Erasure,
    responses(
        (status = 200, body = Job<Progress>, description = "Done"),
        (status = 202, body = Job<Progress>, description = "Accepted; the job continues in the background",
            headers(("location" = String, description = "Path of the job"))),
        (status = 404, description = "The queue has no such subscription"),
    ))]
async fn erase(FromState(state): FromState<Shared>, Body(asked): Body<Erasure>) -> Result<Response, Problem> {
    let what = match (asked.subscription, asked.event_id) {
        (Some(uuid), None) => ErasureTarget::Subscription(uuid),
        (None, Some(id)) => ErasureTarget::Event(id),
        _ => return Err(Problem::invalid("specify either `subscription` or `event_id`")),
    };
    let dry_run = asked.dry_run;
    let shared = Arc::clone(&state);
    // An erasure has a blocking thread of its own.
    let run = |handle| {
        let erased = tokio::task::spawn_blocking(move || run(&shared, what, dry_run, &handle));
        erased.map(|ended| {
            ended.unwrap_or_else(|error| Err(Problem::internal("the erasure was aborted", &error)))
        })
    };
    let job = state.erasures.start(dry_run, MAX_WAIT, run).await?;
    Ok(if job.is_done() { Json(job).into_response() } else { job.accepted(PATH) })
}

/// Lists erasures, oldest first: the running erasures and those that ended last.
#[utoipa::path(get, path = "/api/v1/erasures", tag = "erasures", operation_id = "list_erasures",
    responses((status = 200, body = JobList<Progress>)))]
async fn list(FromState(state): FromState<Shared>) -> Json<JobList<Progress>> {
    Json(state.erasures.list())
}

/// Returns an erasure and its progress. The erasures that ended last are kept until the server stops.
#[utoipa::path(get, path = "/api/v1/erasures/{id}", tag = "erasures", operation_id = "get_erasure",
    params(("id" = String, Path)), responses((status = 200, body = Job<Progress>)))]
async fn get(FromState(state): FromState<Shared>, Path(id): Path<String>) -> Reply<Job<Progress>> {
    state.erasures.get(&id).map(Json)
}

/// Cancels an erasure. Erased data is not restored; start the erasure again to erase the rest.
#[utoipa::path(delete, path = "/api/v1/erasures/{id}", tag = "erasures", operation_id = "cancel_erasure",
    params(("id" = String, Path)), responses((status = 200, body = Job<Progress>)))]
async fn cancel(FromState(state): FromState<Shared>, Path(id): Path<String>) -> Reply<Job<Progress>> {
    state.erasures.cancel(&id).map(Json)
}

/// Erases the data of the target `what` in short transactions, and reports the progress. With `dry_run`, changes nothing.
fn run(state: &State, what: ErasureTarget, dry_run: bool, handle: &Handle<Progress>) -> Result<End, Problem> {
    let mut writer = ExternalWriter::open(&state.data_dir)?;
    let erasure = Steps::begin(&writer, what, dry_run)?;
    let mut erasure = erasure.ok_or_else(|| Problem::not_found("the queue has no such subscription"))?;
    let go_on = |done: &Erased, failure: Option<&Error>| {
        let Erased { deliveries, given_up, events, shared, submitted } = *done;
        handle.report(|progress| {
            *progress = Progress { deliveries, given_up, events, shared, submitted, gone_from_disk: false };
        });
        if let Some(error) = failure {
            handle.report_wait(&error.clone().into());
        }
        !handle.cancel.is_cancelled()
    };
    let is_complete = erasure.run(&mut writer, now, go_on);
    if dry_run {
        return Ok(if is_complete? { End::Done } else { End::Cancelled });
    }
    // Even after a failure, the worker must be notified of what was erased.
    state.notifier.queue_changed();
    let is_complete = is_complete?;
    let is_gone = writer.clean_up(|| !handle.cancel.is_cancelled())?;
    handle.report(|progress| progress.gone_from_disk = is_complete && is_gone);
    Ok(if is_complete { End::Done } else { End::Cancelled })
}
