//! Many deliveries again: a job that goes on by itself, and can be watched and ended.

mod job;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use decnet_core::limits::{MAX_API_REDELIVERY_IDS, MAX_REDELIVERY_RATE};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

pub(crate) use self::job::Progress;
use self::job::{Plan, Run, What};
use super::Routes;
use super::deliveries::{self, Chosen};
use crate::auth::Scope;
use crate::body::{self, Body};
use crate::jobs::{Job, JobList};
use crate::problem::{Details, Problem};
use crate::state::Shared;

/// Deliveries a second where nobody says.
const RATE: u32 = 1000;
/// How long the answer to a new one waits for it: a small one is over by then, or one that is refused.
const HEAD_START: Duration = Duration::from_millis(500);
const PATH: &str = "/api/v1/redeliveries";

/// What to send again: either `ids` or `filter`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Redelivery {
    /// These deliveries, all of which must be final and to subscriptions that exist.
    #[schema(max_items = 10000, example = json!(["1042.0"]))]
    ids: Option<Vec<String>>,
    /// All that match and are final, each event once to a subscription. What is not final goes out by itself, and of what
    /// was sent again only the latest delivery counts: the others are skipped, and counted, as are those to deleted
    /// subscriptions.
    #[serde(default, deserialize_with = "body::nullable_object")]
    filter: Option<Chosen>,
    /// Only count them.
    #[serde(default)]
    dry_run: bool,
    /// At most so many a second, from the first on.
    #[schema(minimum = 1, maximum = 100000, default = 1000)]
    rate: Option<u32>,
}

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .guarded(Scope::Admin, routes!(start))
        .guarded(Scope::Read, routes!(list))
        .guarded(Scope::Read, routes!(get))
        .guarded(Scope::Admin, routes!(cancel))
}

/// Sends many deliveries again, given by their ids or by a filter. The answer is a job, which goes on by itself, unless it fails
/// at once; with `dry_run` it counts what it would send, and does nothing.
#[utoipa::path(post, path = "/api/v1/redeliveries", tag = "deliveries", operation_id = "start_redelivery",
    request_body = Redelivery,
    responses(
        (status = 202, body = Job<Progress>, headers(("location" = String, description = "Where to ask how far it is"))),
        (status = 404, body = Details, content_type = "application/problem+json", description = "One of `ids` is no delivery"),
        (status = 409, body = Details, content_type = "application/problem+json", description = "One of `ids` is not final and goes out by itself, its subscription is deleted, its event was erased, an event can have no more deliveries, or too many match"),
    ))]
async fn start(State(state): State<Shared>, Body(asked): Body<Redelivery>) -> Result<Response, Problem> {
    let rate = rate(asked.rate.unwrap_or(RATE))?;
    let what = match (asked.ids, asked.filter) {
        (Some(ids), None) => What::Ids(ids_of(&ids)?, deliveries::active(&state).await?),
        (None, Some(filter)) => What::Filter(Box::new(filter.filter(deliveries::active(&state).await?)?)),
        _ => {
            return Err(Problem::invalid(
                "give either `ids` or `filter`; an empty filter means everything final",
            ));
        }
    };
    let plan = Plan { what, rate, dry_run: asked.dry_run };
    let dry_run = asked.dry_run;
    let run = |handle| Run { state: Arc::clone(&state), handle }.run(plan);
    match state.redeliveries.start(dry_run, HEAD_START, run).await? {
        (_, Some(problem)) => Err(problem),
        (job, None) => Ok(job.accepted(PATH)),
    }
}

/// Lists redeliveries, oldest first: those that run, and the last ones that ended.
#[utoipa::path(get, path = "/api/v1/redeliveries", tag = "deliveries", operation_id = "list_redeliveries",
    responses((status = 200, body = JobList<Progress>)))]
async fn list(State(state): State<Shared>) -> Json<JobList<Progress>> {
    Json(state.redeliveries.list())
}

/// How far is a redelivery? The last ones that ended are remembered too, until the server stops.
#[utoipa::path(get, path = "/api/v1/redeliveries/{id}", tag = "deliveries", operation_id = "get_redelivery",
    params(("id" = String, Path)),
    responses((status = 200, body = Job<Progress>), (status = 404, body = Details, content_type = "application/problem+json")))]
async fn get(State(state): State<Shared>, Path(id): Path<String>) -> Result<Json<Job<Progress>>, Problem> {
    state.redeliveries.get(&id).map(Json)
}

/// Ends a redelivery. What it has made stays.
#[utoipa::path(delete, path = "/api/v1/redeliveries/{id}", tag = "deliveries", operation_id = "cancel_redelivery",
    params(("id" = String, Path)),
    responses((status = 200, body = Job<Progress>), (status = 404, body = Details, content_type = "application/problem+json")))]
async fn cancel(State(state): State<Shared>, Path(id): Path<String>) -> Result<Json<Job<Progress>>, Problem> {
    state.redeliveries.cancel(&id).map(Json)
}

fn rate(asked: u32) -> Result<NonZeroU32, Problem> {
    let rate = NonZeroU32::new(asked).filter(|rate| rate.get() <= MAX_REDELIVERY_RATE);
    rate.ok_or_else(|| Problem::invalid(format!("rate: is from 1 to {MAX_REDELIVERY_RATE} a second")))
}

fn ids_of(ids: &[String]) -> Result<Vec<decnet_store::queue::DeliveryId>, Problem> {
    if ids.len() > MAX_API_REDELIVERY_IDS {
        return Err(Problem::invalid(format!(
            "ids: at most {MAX_API_REDELIVERY_IDS}; use a filter for more"
        )));
    }
    let parse = |id: &String| id.parse().map_err(|error| Problem::invalid(format!("ids: {error}")));
    ids.iter().map(parse).collect()
}
