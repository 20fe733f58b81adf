//! Tests of a subscription, with the whole exchange.

use axum::extract::{Path, Query, State};
use axum::http::{Method, StatusCode};
use decnet_core::sample::FAMILIES;
use decnet_web::delivery::Deliveries;
use decnet_web::exchange::Report;
use decnet_web::forms::TestPage;
use decnet_web::{Text, encode};
use serde::Deserialize;
use serde_json::json;

use super::SharedDashboard;
use super::reply::{self, PageReply, capitalized};
use super::visitor::{Change, Visitor};
use crate::problem::Problem;
use crate::routes::found;

/// The number of recent deliveries whose events are offered.
const RECENT: usize = 50;

/// The event to send: empty for a ping, a family of samples, or `event` for the one with the id.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct What {
    what: String,
    event_id: String,
}

/// Shows the form of a test.
pub(super) async fn page(
    State(dashboard): State<SharedDashboard>,
    visitor: Visitor,
    Path(uuid): Path<String>,
    Query(mut what): Query<What>,
) -> PageReply {
    if !what.event_id.is_empty() {
        what.what = "event".into();
    }
    reply::page(&form(&dashboard, visitor, uuid, what).await?)
}

/// Sends the event, and shows the exchange.
pub(super) async fn send(
    State(dashboard): State<SharedDashboard>,
    Path(uuid): Path<String>,
    Change { visitor, fields: what }: Change<What>,
) -> PageReply {
    let path = format!("/subscriptions/{}/test", encode(&uuid));
    let request = match &*what.what {
        "" => json!({}),
        "event" => json!({"event_id": what.event_id.trim()}),
        family => json!({"sample": family}),
    };
    let tested = dashboard.api.change::<Report>(&visitor, Method::POST, &path, Some(request)).await;
    let (report, error) = match tested {
        Ok(report) => (Some(report), None),
        Err(problem) if is_of_the_form(&problem) => {
            let detail = problem.detail();
            let text = detail.split_once(": ").map_or(detail, |(_, text)| text);
            (None, Some(Text::from(capitalized(text))))
        }
        Err(problem) => return Err(problem),
    };
    reply::page(&TestPage { report, error, ..form(&dashboard, visitor, uuid, what).await? })
}

fn is_of_the_form(problem: &Problem) -> bool {
    matches!(
        problem.status(),
        StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY | StatusCode::SERVICE_UNAVAILABLE
    )
}

async fn form(
    dashboard: &SharedDashboard,
    visitor: Visitor,
    uuid: String,
    What { what, event_id }: What,
) -> Result<TestPage, Problem> {
    let (row, _) = dashboard.state.catalog.run(move |catalog| found(catalog, &uuid)).await?;
    let recent = dashboard.api.get::<Deliveries>(&visitor, &format!("/deliveries?limit={RECENT}")).await;
    let recent = recent.map(|page| page.deliveries).unwrap_or_default();
    let mut events: Vec<(Text, Text)> = Vec::new();
    for delivery in recent {
        if !events.iter().any(|(id, _)| *id == delivery.event_id) {
            events.push((delivery.event_id, delivery.topic));
        }
    }
    let (frame, families) = (visitor.into_frame(), FAMILIES.to_vec());
    let (uuid, name) = (row.uuid.into(), row.name.into());
    Ok(TestPage { frame, uuid, name, families, events, what, event_id, error: None, report: None })
}
