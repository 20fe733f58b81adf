//! Deliveries: lists, details, and redelivery of a single delivery.

mod attempt;
mod filter;
mod reply;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use decnet_store::queue::{ActiveSubscriptions, DeliveryId, ExternalWriter};
use utoipa_axum::routes;

use self::filter::ListParams;
pub(super) use self::filter::{DeliveryFilter, time};
use self::reply::{Deliveries, Delivery, DeliveryDetail, Redelivered};
use super::{Reply, Routes};
use crate::auth::Scope;
use crate::problem::Problem;
use crate::query::Params;
use crate::state::Shared;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .guarded(Scope::Read, routes!(list))
        .guarded(Scope::Read, routes!(get))
        .guarded(Scope::Admin, routes!(redeliver))
}

/// Lists deliveries, newest first, in pages. If few deliveries match, a page may be short or empty and still have a `next`.
#[utoipa::path(get, path = "/api/v1/deliveries", tag = "deliveries", operation_id = "list_deliveries",
    params(ListParams), responses((status = 200, body = Deliveries)))]
async fn list(State(state): State<Shared>, Params(params): Params<ListParams>) -> Reply<Deliveries> {
    let active = active(&state).await?;
    let filter = params.filter(active.clone())?;
    let page = state.queue.run(move |queue| queue.page(&filter)).await?;
    Ok(Json(Deliveries {
        deliveries: page.deliveries.iter().map(|listed| Delivery::new(listed, &active)).collect(),
        next: page.next.map(|id| format!("d{id}")),
    }))
}

/// Returns a delivery with its event's body and all attempts.
#[utoipa::path(get, path = "/api/v1/deliveries/{id}", tag = "deliveries", operation_id = "get_delivery",
    params(("id" = String, Path, example = "1042.0")), responses((status = 200, body = DeliveryDetail)))]
async fn get(State(state): State<Shared>, Path(id): Path<String>) -> Reply<DeliveryDetail> {
    let id = parse(&id)?;
    let unknown = || Problem::not_found(format!("there is no delivery {id}; retention may have removed it"));
    let detail = state.queue.run(move |queue| queue.get(id)).await?.ok_or_else(unknown)?;
    let uuid = detail.listed.subscription_uuid.clone();
    let found = state.catalog.run(move |catalog| catalog.get(&uuid)).await?;
    let row = found.map(|(row, _)| row);
    let active = ActiveSubscriptions::of(row.clone().into_iter().collect());
    Ok(Json(DeliveryDetail::new(&detail, row.as_ref(), &active)))
}

/// Redelivers the event of a final delivery as a new delivery, with lower priority than live traffic.
#[utoipa::path(post, path = "/api/v1/deliveries/{id}/redeliver", tag = "deliveries", operation_id = "redeliver",
    params(("id" = String, Path, example = "1042.0")),
    responses(
        (status = 202, body = Redelivered),
        (status = 409, description = "The delivery is not final, so it is still being sent; its subscription is deleted; or its event is erased or has the maximum number of deliveries"),
    ))]
async fn redeliver(
    State(state): State<Shared>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Redelivered>), Problem> {
    let id = parse(&id)?;
    let (active, notifier) = (active(&state).await?, state.notifier.clone());
    let redeliver = move |writer: &mut ExternalWriter| {
        // The worker is notified even if the caller is gone.
        writer.redeliver(&[id], &active).inspect(|_| notifier.queue_changed())
    };
    let created = state.queue_writers.run(redeliver).await?;
    let id = created.first().map(ToString::to_string).unwrap_or_default();
    Ok((StatusCode::ACCEPTED, Json(Redelivered { id })))
}

/// Returns the active subscriptions; all other deliveries are parked. Every row is validated, so concurrent requests
/// share the result. A change through this API invalidates it.
pub(super) async fn active(state: &Shared) -> Result<ActiveSubscriptions, Problem> {
    let rows = async || Ok(ActiveSubscriptions::of(state.catalog.run(|catalog| catalog.rows()).await?));
    state.active.get(rows).await
}

/// Parses an id. A malformed id is reported as not found.
pub(super) fn parse(id: &str) -> Result<DeliveryId, Problem> {
    id.parse().map_err(|_| Problem::not_found("delivery not found; an id looks like 1042.0"))
}
