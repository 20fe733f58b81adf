//! What is owed, what was tried, and sending one again.

mod attempt;
mod cursor;
mod filter;
mod reply;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use decnet_store::catalog::Row;
use decnet_store::queue::{Active, DeliveryId, Detail};
use utoipa_axum::routes;

pub(super) use self::filter::Chosen;
use self::filter::ListParams;
use self::reply::{Deliveries, Delivery, DeliveryDetail, Redelivered};
use super::Routes;
use crate::auth::Scope;
use crate::problem::{Details, Problem};
use crate::query::Params;
use crate::state::Shared;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .guarded(Scope::Read, routes!(list))
        .guarded(Scope::Read, routes!(get))
        .guarded(Scope::Admin, routes!(redeliver))
}

/// Lists deliveries, newest first, in pages. A page of something rare may be short, or empty, and yet name a `next`.
#[utoipa::path(get, path = "/api/v1/deliveries", tag = "deliveries", operation_id = "list_deliveries",
    params(ListParams), responses((status = 200, body = Deliveries)))]
async fn list(
    State(state): State<Shared>,
    Params(params): Params<ListParams>,
) -> Result<Json<Deliveries>, Problem> {
    let active = active(&state).await?;
    let filter = params.filter(active.clone())?;
    let page = state.queue.run(move |queue| queue.page(&filter)).await?;
    Ok(Json(Deliveries {
        deliveries: page.deliveries.iter().map(|listed| Delivery::new(listed, &active)).collect(),
        next: page.next.map(cursor::write),
    }))
}

/// Shows a delivery: its event's body, every attempt, and what came back.
#[utoipa::path(get, path = "/api/v1/deliveries/{id}", tag = "deliveries", operation_id = "get_delivery",
    params(("id" = String, Path, example = "1042.0")),
    responses((status = 200, body = DeliveryDetail), (status = 404, body = Details, content_type = "application/problem+json")))]
async fn get(State(state): State<Shared>, Path(id): Path<String>) -> Result<Json<DeliveryDetail>, Problem> {
    let id = parse(&id)?;
    let detail = state.queue.run(move |queue| queue.get(id)).await?.ok_or_else(|| unknown(id))?;
    let row = subscription(&state, &detail).await?;
    let active = Active::of(row.clone().into_iter().collect());
    Ok(Json(DeliveryDetail::new(&detail, row.as_ref(), &active)))
}

/// Sends the event of a delivery that is final again: a new delivery of it, behind live traffic.
#[utoipa::path(post, path = "/api/v1/deliveries/{id}/redeliver", tag = "deliveries", operation_id = "redeliver",
    params(("id" = String, Path, example = "1042.0")),
    responses(
        (status = 202, body = Redelivered),
        (status = 404, body = Details, content_type = "application/problem+json"),
        (status = 409, body = Details, content_type = "application/problem+json", description = "It is not final and goes out by itself, its subscription is deleted, its event was erased, or can have no more deliveries"),
    ))]
async fn redeliver(
    State(state): State<Shared>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Redelivered>), Problem> {
    let id = parse(&id)?;
    let (active, signal) = (active(&state).await?, state.signal.clone());
    let redelivered = state
        .operators
        .change(move |operator| operator.redeliver(&[id], &active), move || signal.queue_changed());
    let made = redelivered.await?;
    let id = made.first().map(ToString::to_string).unwrap_or_default();
    Ok((StatusCode::ACCEPTED, Json(Redelivered { id })))
}

/// Which subscriptions get events now: what waits for the others is parked. To tell it every row is judged, which is done for
/// all who ask at the same time, and again at once after a change that was made here.
pub(super) async fn active(state: &Shared) -> Result<Active, Problem> {
    let look = async || Ok(Active::of(state.catalog.run(|catalog| catalog.rows()).await?));
    state.active.get(look).await
}

async fn subscription(state: &Shared, detail: &Detail) -> Result<Option<Row>, Problem> {
    let uuid = detail.listed.subscription_uuid.clone();
    let found = state.catalog.run(move |catalog| catalog.get(&uuid)).await?;
    Ok(found.map(|(row, _)| row))
}

/// An id that is none is one that is not there.
pub(super) fn parse(id: &str) -> Result<DeliveryId, Problem> {
    id.parse().map_err(|_| Problem::not_found("there is no such delivery; they are named like 1042.0"))
}

fn unknown(id: DeliveryId) -> Problem {
    Problem::not_found(format!("there is no delivery {id}; retention may have removed it"))
}
