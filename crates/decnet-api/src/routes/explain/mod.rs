//! Why an event did, or did not, go to a subscription.

mod question;
mod searches;

use axum::extract::State;
use axum::{Extension, Json};
use decnet_core::topic::Pattern;
use decnet_store::catalog::Row;
use decnet_store::explain::{Asked, Explained, explain};
use decnet_store::queue::Reader;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use self::question::Question;
pub(crate) use self::searches::Searches;
use super::Routes;
use crate::auth::{Principal, Scope};
use crate::problem::{Details, Problem};
use crate::query::Params;
use crate::state::Shared;

/// The way of an event to a subscription, step by step.
#[derive(Serialize, ToSchema)]
struct Explanation {
    subscription: ExplainedSubscription,
    event_id: Option<String>,
    /// The event's topic, if it is known.
    topic: Option<Box<str>>,
    /// The newest delivery of the event to the subscription.
    delivery_id: Option<String>,
    steps: Vec<ExplainedStep>,
}

/// Which subscription was meant.
#[derive(Serialize, ToSchema)]
struct ExplainedSubscription {
    uuid: String,
    name: String,
}

/// One question on the way, and its answer.
#[derive(Serialize, ToSchema)]
struct ExplainedStep {
    /// Which one; stable.
    step: &'static str,
    /// Does the event get past it? Null where that cannot be told any more.
    passed: Option<bool>,
    /// Why, and what to do.
    detail: String,
}

pub(super) fn routes(routes: Routes) -> Routes {
    routes.guarded(Scope::Read, routes!(answer))
}

/// Tells why an event did, or did not, go to a subscription, step by step. Give either `event_id` or `topic`. An event is
/// looked for among the newest first, for some seconds; one token or user looks for one at a time.
#[utoipa::path(get, path = "/api/v1/explain", tag = "events", operation_id = "explain", params(Question),
    responses(
        (status = 200, body = Explanation),
        (status = 404, body = Details, content_type = "application/problem+json", description = "There is no such subscription"),
    ))]
async fn answer(
    State(state): State<Shared>,
    Extension(asking): Extension<Principal>,
    Params(question): Params<Question>,
) -> Result<Json<Explanation>, Problem> {
    let Question { subscription, event_id, topic } = question;
    let row = state.catalog.run(move |catalog| catalog.called(&subscription)).await?;
    let row = row.ok_or_else(|| Problem::not_found("there is no such subscription"))?;
    let name = ExplainedSubscription { uuid: row.uuid.clone(), name: row.name.clone() };
    let explained = match (event_id.clone(), topic) {
        (Some(id), None) => {
            let search = move |reader: &Reader, go_on: &dyn Fn() -> bool| {
                explain(Some(reader), &row, Asked::Event(&id), go_on)
            };
            state.searches.run(asking.id, search).await?
        }
        (None, Some(topic)) => of_topic(&row, &topic)?,
        _ => return Err(Problem::invalid("give either `event_id` or `topic`")),
    };
    let Explained { topic, delivery, steps } = explained;
    let steps = steps.into_iter();
    Ok(Json(Explanation {
        subscription: name,
        event_id,
        topic,
        delivery_id: delivery.map(|id| id.to_string()),
        steps: steps
            .map(|step| ExplainedStep { step: step.step, passed: step.passed, detail: step.detail })
            .collect(),
    }))
}

fn of_topic(row: &Row, topic: &str) -> Result<Explained, Problem> {
    let pattern = Pattern::new(topic).map_err(|error| Problem::invalid(format!("topic: {error}")))?;
    if pattern.has_wildcard() {
        return Err(Problem::invalid("topic: an event has one topic; `*` and `>` are for patterns"));
    }
    Ok(explain(None, row, Asked::Topic(topic), || true)?)
}
