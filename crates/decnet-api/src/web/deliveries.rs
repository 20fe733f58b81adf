//! The list of deliveries, one delivery, and its redelivery.

use std::fmt::Write as _;

use axum::extract::{Path, Query, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Redirect};
use decnet_core::limits::DASHBOARD_PAGE_ROWS;
use decnet_store::queue::DeliveryId;
use decnet_web::delivery::{Deliveries, Details};
use decnet_web::encode;
use decnet_web::filter::DeliveryFilter;
use decnet_web::page::{DeliveriesPage, DeliveryPage};
use serde::Deserialize;

use super::api::unreadable;
use super::reply::{self, PageReply, capitalized};
use super::visitor::{Change, NoFields, Visitor};
use super::{SharedDashboard, subscriptions};
use crate::state::now;

/// Shows the deliveries that match the filter in the URL. The id of a delivery leads to that delivery.
pub(super) async fn list(
    State(dashboard): State<SharedDashboard>,
    visitor: Visitor,
    Query(filter): Query<DeliveryFilter>,
) -> PageReply {
    if let Ok(id) = filter.search.trim().parse::<DeliveryId>() {
        return Ok(Redirect::to(&format!("/deliveries/{id}")).into_response());
    }
    let mut path =
        format!("/deliveries?limit={DASHBOARD_PAGE_ROWS}{}", parameters(&filter.api_parameters(now())));
    if !filter.cursor.is_empty() {
        let _ = write!(path, "&cursor={}", encode(&filter.cursor));
    }
    let (page, error) = match dashboard.api.get::<Deliveries>(&visitor, &path).await {
        Ok(page) => (page, None),
        Err(problem) if problem.status() == StatusCode::UNPROCESSABLE_ENTITY => {
            (Deliveries::default(), Some(capitalized(problem.detail())))
        }
        Err(problem) => return Err(problem),
    };
    let link = |cursor: &String| {
        format!("/deliveries?cursor={}{}", encode(cursor), parameters(&filter.parameters()))
    };
    let next = page.next.as_ref().map(link);
    let snapshot = dashboard.snapshots.get(&dashboard.state).await?;
    let receiver = snapshot.find(&filter.subscription).cloned();
    let names = subscriptions::names(&snapshot.receivers, "");
    reply::page(&DeliveriesPage { frame: visitor.into_frame(), filter, receiver, names, page, error, next })
}

/// Shows one delivery with all of its attempts.
pub(super) async fn page(
    State(dashboard): State<SharedDashboard>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> PageReply {
    let json = dashboard.api.read(&visitor, &format!("/deliveries/{}", encode(&id))).await?;
    let details = Details::parse(&json).map_err(|error| unreadable(&error))?;
    reply::page(&DeliveryPage { frame: visitor.into_frame(), details, now: now() })
}

#[derive(Deserialize)]
struct Redelivered {
    id: String,
}

/// Sends the event of a final delivery again.
pub(super) async fn redeliver(
    State(dashboard): State<SharedDashboard>,
    Path(id): Path<String>,
    Change { visitor, .. }: Change<NoFields>,
) -> PageReply {
    let page = format!("/deliveries/{}", encode(&id));
    let path = format!("{page}/redeliver");
    let made = dashboard.api.change::<Redelivered>(&visitor, Method::POST, &path, None).await;
    Ok(match made {
        Ok(Redelivered { id }) => {
            dashboard.snapshots.invalidate().await;
            visitor.done(
                &format!("/deliveries/{}", encode(&id)),
                "The event is sent again as this new delivery.",
            )
        }
        Err(problem) if problem.status() == StatusCode::CONFLICT => {
            visitor.failed(&page, capitalized(problem.detail()))
        }
        Err(problem) => return Err(problem),
    })
}

fn parameters(given: &[(&str, String)]) -> String {
    given.iter().map(|(name, value)| format!("&{name}={}", encode(value))).collect()
}
