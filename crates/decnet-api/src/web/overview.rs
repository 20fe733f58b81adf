//! The overview: one sentence, the receivers in trouble, and the counts.

use axum::extract::{Query, State};
use axum::http::StatusCode;
use decnet_web::page::OverviewPage;
use decnet_web::traffic::{Range, TrafficView};
use decnet_web::{Overview, Parts};
use serde::Deserialize;

use super::SharedDashboard;
use super::reply::{self, PageReply};
use super::visitor::Visitor;

/// The span of time of the charts.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Shown {
    range: Range,
}

pub(super) async fn page(
    State(dashboard): State<SharedDashboard>,
    visitor: Visitor,
    Query(Shown { range }): Query<Shown>,
) -> PageReply {
    let parts: Parts = dashboard.api.get(&visitor, "/ready").await?;
    let snapshot = dashboard.snapshots.get(&dashboard.state).await?;
    let overview = Overview::new(&snapshot.receivers, snapshot.open_failures(), parts);
    let traffic = match dashboard.api.get(&visitor, "/traffic").await {
        Err(problem) if problem.status() == StatusCode::SERVICE_UNAVAILABLE => None,
        read => Some(read?),
    };
    let view = TrafficView { range, traffic };
    let taken_at = snapshot.taken_at.into();
    reply::page(&OverviewPage { frame: visitor.into_frame(), overview, view, taken_at })
}
