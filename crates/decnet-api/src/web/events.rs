//! The topics of the stored events.

use axum::extract::State;
use axum::http::StatusCode;
use decnet_web::topics::{EventsPage, Topics};

use super::SharedDashboard;
use super::reply::{self, PageReply};
use super::visitor::Visitor;

pub(super) async fn page(State(dashboard): State<SharedDashboard>, visitor: Visitor) -> PageReply {
    let topics = match dashboard.api.get::<Topics>(&visitor, "/topics").await {
        // Before the worker first runs there is no queue; the overview says so.
        Err(problem) if problem.status() == StatusCode::SERVICE_UNAVAILABLE => Topics::default(),
        topics => topics?,
    };
    reply::page(&EventsPage { frame: visitor.into_frame(), topics })
}
