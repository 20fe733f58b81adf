//! Explanations why an event did or did not reach a subscription.

mod question;
mod searches;

use axum::extract::State;
use axum::{Extension, Json};
use decnet_core::explain::ExplanationStep;
use decnet_store::catalog::Catalog;
use decnet_store::explain::{EventQuery, ExplainedEvent, explain};
use decnet_store::queue::Reader;
use decnet_store::severity_file;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use self::question::Question;
pub(crate) use self::searches::Searches;
use super::{Reply, Routes, check_topic};
use crate::auth::{Principal, Scope};
use crate::problem::Problem;
use crate::query::Params;
use crate::state::Shared;

/// The path of an event to a subscription, step by step.
#[derive(Serialize, ToSchema)]
struct Explanation {
    subscription: ExplainedSubscription,
    event_id: Option<String>,
    /// Topic of the event, if known.
    topic: Option<Box<str>>,
    /// The newest delivery of the event to the subscription.
    delivery_id: Option<String>,
    #[schema(value_type = Vec<ExplainedStep>)]
    steps: Vec<ExplanationStep>,
}

/// The subscription in question.
#[derive(Serialize, ToSchema)]
struct ExplainedSubscription {
    uuid: String,
    name: String,
}

/// One condition on the path, and whether the event met it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "described here; the core writes it")]
struct ExplainedStep {
    /// Name of the step; stable.
    step: &'static str,
    /// Whether the event passed the step; null if this is undecided or can no longer be determined.
    passed: Option<bool>,
    /// The reason, and what to do.
    detail: String,
}

pub(super) fn routes(routes: Routes) -> Routes {
    routes.guarded(Scope::Read, routes!(answer))
}

/// Explains step by step why an event did or did not reach a subscription. Specify either `event_id` or `topic`. Severity floor and
/// filter are evaluated as they are now; the filter of a hypothetical event is undecided. The search for an event begins with the
/// newest event and ends after 5 s. Each token or user can run one search at a time.
#[utoipa::path(get, path = "/api/v1/explain", tag = "events", operation_id = "explain", params(Question),
    responses(
        (status = 200, body = Explanation),
        (status = 404, description = "The subscription was not found"),
    ))]
async fn answer(
    State(state): State<Shared>,
    Extension(requester): Extension<Principal>,
    Params(question): Params<Question>,
) -> Reply<Explanation> {
    let Question { subscription, event_id, topic } = question;
    let file = state.severity_file.clone();
    let read = move |catalog: &mut Catalog| {
        Ok::<_, Problem>((catalog.find_exact(&subscription)?, severity_file::load(file.as_deref())))
    };
    let (row, severities) = state.catalog.run(read).await?;
    let row = row.ok_or_else(|| Problem::not_found("subscription not found"))?;
    let name = ExplainedSubscription { uuid: row.uuid.clone(), name: row.name.clone() };
    let explained = match (event_id.clone(), topic) {
        (Some(id), None) => {
            let search = move |reader: &Reader, go_on: &dyn Fn() -> bool| {
                explain(Some(reader), &row, &severities, EventQuery::Id(&id), go_on)
            };
            state.searches.run(requester.id, search).await?
        }
        (None, Some(topic)) => {
            check_topic(&topic).map_err(Problem::invalid)?;
            explain(None, &row, &severities, EventQuery::Topic(&topic), || true)?
        }
        _ => return Err(Problem::invalid("specify either `event_id` or `topic`")),
    };
    let ExplainedEvent { topic, delivery, steps } = explained;
    let delivery_id = delivery.map(|id| id.to_string());
    Ok(Json(Explanation { subscription: name, event_id, topic, delivery_id, steps }))
}
