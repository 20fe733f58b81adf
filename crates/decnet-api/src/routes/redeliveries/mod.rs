//! Redelivery of many deliveries, as a background job.

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
use self::job::{Run, What};
use super::deliveries::{self, DeliveryFilter};
use super::{Reply, Routes};
use crate::auth::Scope;
use crate::body::{Body, Object};
use crate::jobs::{Job, JobList};
use crate::problem::Problem;
use crate::state::Shared;

/// The default rate, in deliveries per second.
const RATE: u32 = 1000;
/// The maximum time that the response waits for the end of the job. A small or rejected job ends within this time.
const MAX_WAIT: Duration = Duration::from_millis(500);
const PATH: &str = "/api/v1/redeliveries";

/// The deliveries to redeliver: either `ids` or `filter`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Redelivery {
    /// Ids of final deliveries to existing subscriptions.
    #[schema(max_items = 10000, example = json!(["1042.0"]))]
    ids: Option<Vec<String>>,
    /// Filter of final deliveries. Each event is sent once to a subscription: deliveries that are not final, that a later
    /// delivery supersedes, or whose subscription is deleted are skipped and counted.
    #[schema(value_type = Option<DeliveryFilter>)]
    filter: Option<Object<DeliveryFilter>>,
    /// Whether to count without redelivering.
    #[serde(default)]
    dry_run: bool,
    /// Maximum number of deliveries per second.
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

/// Redelivers many deliveries, selected by ids or by a filter. The response is a job that continues in the background, unless it
/// fails at once. With `dry_run`, the job only counts.
#[utoipa::path(post, path = "/api/v1/redeliveries", tag = "deliveries", operation_id = "start_redelivery",
    request_body = Redelivery,
    responses(
        (status = 202, body = Job<Progress>, headers(("location" = String, description = "Path of the job"))),
        (status = 404, description = "One of `ids` was not found"),
        (status = 409, description = "A delivery in `ids` is not final, so it is still being sent; its subscription is deleted; its event is erased or has the maximum number of deliveries; or too many deliveries match the filter"),
    ))]
async fn start(State(state): State<Shared>, Body(request): Body<Redelivery>) -> Result<Response, Problem> {
    let rate = rate(request.rate.unwrap_or(RATE))?;
    let what = match (request.ids, request.filter) {
        (Some(ids), None) => What::Ids(ids_of(&ids)?, deliveries::active(&state).await?),
        (None, Some(Object(filter))) => {
            What::Filter(Box::new(filter.filter(deliveries::active(&state).await?)?))
        }
        _ => {
            return Err(Problem::invalid(
                "specify either `ids` or `filter`; an empty filter selects everything final",
            ));
        }
    };
    let dry_run = request.dry_run;
    let run = |handle| Run { state: Arc::clone(&state), handle }.run(what, rate, dry_run);
    Ok(state.redeliveries.start(dry_run, MAX_WAIT, run).await?.accepted(PATH))
}

/// Lists redeliveries, oldest first: the running redeliveries and those that ended last.
#[utoipa::path(get, path = "/api/v1/redeliveries", tag = "deliveries", operation_id = "list_redeliveries",
    responses((status = 200, body = JobList<Progress>)))]
async fn list(State(state): State<Shared>) -> Json<JobList<Progress>> {
    Json(state.redeliveries.list())
}

/// Returns a redelivery and its progress. The redeliveries that ended last are kept until the server stops.
#[utoipa::path(get, path = "/api/v1/redeliveries/{id}", tag = "deliveries", operation_id = "get_redelivery",
    params(("id" = String, Path)), responses((status = 200, body = Job<Progress>)))]
async fn get(State(state): State<Shared>, Path(id): Path<String>) -> Reply<Job<Progress>> {
    state.redeliveries.get(&id).map(Json)
}

/// Cancels a redelivery. The deliveries that it has created are kept.
#[utoipa::path(delete, path = "/api/v1/redeliveries/{id}", tag = "deliveries", operation_id = "cancel_redelivery",
    params(("id" = String, Path)), responses((status = 200, body = Job<Progress>)))]
async fn cancel(State(state): State<Shared>, Path(id): Path<String>) -> Reply<Job<Progress>> {
    state.redeliveries.cancel(&id).map(Json)
}

fn rate(request: u32) -> Result<NonZeroU32, Problem> {
    let rate = NonZeroU32::new(request).filter(|rate| rate.get() <= MAX_REDELIVERY_RATE);
    rate.ok_or_else(|| Problem::invalid(format!("rate: must be from 1 to {MAX_REDELIVERY_RATE} per second")))
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
