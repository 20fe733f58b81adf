//! Many deliveries again: a job that goes on by itself, and can be watched and ended.

mod job;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use decnet_core::limits::{MAX_API_REDELIVERY_IDS, MAX_API_REDELIVERY_RATE};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

pub(crate) use self::job::Jobs;
use self::job::{Job, Plan, What};
use super::Routes;
use super::deliveries::{self, Chosen};
use crate::auth::Scope;
use crate::body::{self, Body};
use crate::problem::{Details, Problem};
use crate::state::Shared;

/// Deliveries a second where nobody says.
const RATE: u32 = 1000;

/// What to send again: either `ids` or `filter`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Redelivery {
    /// These deliveries.
    #[schema(max_items = 10000, example = json!(["1042.0"]))]
    ids: Option<Vec<String>>,
    /// All that are final and match.
    #[serde(default, deserialize_with = "body::nullable_object")]
    filter: Option<Chosen>,
    /// Only count them.
    #[serde(default)]
    dry_run: bool,
    /// At most so many a second.
    #[schema(minimum = 1, maximum = 100000, default = 1000)]
    rate: Option<u32>,
}

pub(super) fn routes(routes: Routes) -> Routes {
    routes.guarded(Scope::Admin, routes!(start)).guarded(Scope::Admin, routes!(get, cancel))
}

/// Sends many deliveries again, given by their ids or by a filter. The answer is a job, which goes on by itself; with
/// `dry_run` it counts what it would send, and does nothing.
#[utoipa::path(post, path = "/api/v1/redeliveries", tag = "deliveries", operation_id = "start_redelivery",
    request_body = Redelivery, responses((status = 202, body = Job)))]
async fn start(
    State(state): State<Shared>,
    Body(asked): Body<Redelivery>,
) -> Result<(StatusCode, Json<Job>), Problem> {
    let rate = asked.rate.unwrap_or(RATE);
    if !(1..=MAX_API_REDELIVERY_RATE).contains(&rate) {
        return Err(Problem::invalid(format!("rate: is from 1 to {MAX_API_REDELIVERY_RATE} a second")));
    }
    let what = match (asked.ids, asked.filter) {
        (Some(ids), None) => What::Ids(ids_of(&ids)?),
        (None, Some(filter)) => What::Filter(Box::new(filter.filter(deliveries::active(&state).await?)?)),
        _ => {
            return Err(Problem::invalid(
                "give either `ids` or `filter`; an empty filter means everything final",
            ));
        }
    };
    let plan = Plan { what, rate, dry_run: asked.dry_run };
    Ok((StatusCode::ACCEPTED, Json(state.jobs.start(plan, &state).await?)))
}

/// How far is a redelivery? The last ones that ended are remembered too, until the server stops.
#[utoipa::path(get, path = "/api/v1/redeliveries/{id}", tag = "deliveries", operation_id = "get_redelivery",
    params(("id" = String, Path)),
    responses((status = 200, body = Job), (status = 404, body = Details, content_type = "application/problem+json")))]
async fn get(State(state): State<Shared>, Path(id): Path<String>) -> Result<Json<Job>, Problem> {
    state.jobs.get(&id).map(Json).ok_or_else(unknown)
}

/// Ends a redelivery. What it has made stays.
#[utoipa::path(delete, path = "/api/v1/redeliveries/{id}", tag = "deliveries", operation_id = "cancel_redelivery",
    params(("id" = String, Path)),
    responses((status = 200, body = Job), (status = 404, body = Details, content_type = "application/problem+json")))]
async fn cancel(State(state): State<Shared>, Path(id): Path<String>) -> Result<Json<Job>, Problem> {
    state.jobs.cancel(&id).map(Json).ok_or_else(unknown)
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

fn unknown() -> Problem {
    Problem::not_found("there is no such redelivery; the last ones are remembered until the server stops")
}
