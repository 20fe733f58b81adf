//! Failures by reason and receiver, and the redelivery of many deliveries.

use axum::extract::{Path, Query, State};
use axum::http::Method;
use axum::response::{IntoResponse as _, Redirect};
use decnet_web::encode;
use decnet_web::job::{Job, Jobs, Selection};
use decnet_web::page::{FailuresPage, JobPage, PreviewPage};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::SharedDashboard;
use super::reply::{self, PageReply};
use super::visitor::{Change, NoFields, Visitor};
use crate::problem::Problem;

pub(super) async fn page(State(dashboard): State<SharedDashboard>, visitor: Visitor) -> PageReply {
    let snapshot = dashboard.snapshots.get(&dashboard.state).await?;
    let Jobs { mut jobs } = dashboard.api.get(&visitor, "/redeliveries").await?;
    jobs.retain(|job| !job.dry_run);
    jobs.reverse();
    reply::page(&FailuresPage {
        frame: visitor.into_frame(),
        groups: snapshot.failures.clone(),
        open: snapshot.open_failures(),
        jobs,
        taken_at: snapshot.taken_at.into(),
    })
}

/// Counts what a redelivery would send. Counting many deliveries takes longer than a request.
pub(super) async fn count(
    State(dashboard): State<SharedDashboard>,
    Change { visitor, fields: selection }: Change<Selection>,
) -> PageReply {
    let request = json!({"filter": filter(&selection), "dry_run": true});
    let job: Job = dashboard.api.change(&visitor, Method::POST, "/redeliveries", Some(request)).await?;
    let preview = format!("/redeliveries/{}/preview?{}", job.id.url(), selection.query());
    Ok(Redirect::to(&preview).into_response())
}

/// Shows what a redelivery would send.
pub(super) async fn preview(
    State(dashboard): State<SharedDashboard>,
    visitor: Visitor,
    Path(id): Path<String>,
    Query(selection): Query<Selection>,
) -> PageReply {
    let job = dashboard.api.get(&visitor, &format!("/redeliveries/{}", encode(&id))).await?;
    let snapshot = dashboard.snapshots.get(&dashboard.state).await?;
    let receiver = snapshot.find(&selection.subscription).cloned();
    reply::page(&PreviewPage { frame: visitor.into_frame(), selection, receiver, job })
}

/// The fields of the form that starts a redelivery.
#[derive(Deserialize)]
pub(super) struct Start {
    #[serde(flatten)]
    selection: Selection,
    rate: String,
}

pub(super) async fn start(
    State(dashboard): State<SharedDashboard>,
    Change { visitor, fields: Start { selection, rate } }: Change<Start>,
) -> PageReply {
    let rate = rate.trim().parse::<u32>();
    let rate = rate.map_err(|_| Problem::invalid("rate: must be a whole number of deliveries per second"))?;
    let request = json!({"filter": filter(&selection), "rate": rate});
    let job: Job = dashboard.api.change(&visitor, Method::POST, "/redeliveries", Some(request)).await?;
    dashboard.snapshots.invalidate().await;
    Ok(visitor.done(&format!("/redeliveries/{}", job.id.url()), "The redelivery has started."))
}

/// Shows the progress of a redelivery.
pub(super) async fn job(
    State(dashboard): State<SharedDashboard>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> PageReply {
    let job = dashboard.api.get(&visitor, &format!("/redeliveries/{}", encode(&id))).await?;
    reply::page(&JobPage { frame: visitor.into_frame(), job })
}

pub(super) async fn cancel(
    State(dashboard): State<SharedDashboard>,
    Path(id): Path<String>,
    Change { visitor, .. }: Change<NoFields>,
) -> PageReply {
    let path = format!("/redeliveries/{}", encode(&id));
    let _: Job = dashboard.api.change(&visitor, Method::DELETE, &path, None).await?;
    Ok(visitor.done(&path, "The redelivery is cancelled; what it has sent is kept."))
}

/// Returns the API's filter: dead deliveries, of one subscription or with one reason.
fn filter(selection: &Selection) -> Value {
    let mut filter = Map::from_iter([("states".to_owned(), json!(["dead"]))]);
    for (name, value) in [("subscription", &selection.subscription), ("reason", &selection.reason)] {
        if !value.is_empty() {
            filter.insert(name.to_owned(), json!(value));
        }
    }
    filter.into()
}
