//! The question why an event did or did not reach a subscription.

use axum::extract::{Query, State};
use axum::http::StatusCode;
use decnet_web::encode;
use decnet_web::explanation::{Explanation, Question};
use decnet_web::page::ExplainPage;

use super::SharedDashboard;
use super::reply::{self, PageReply, capitalized};
use super::subscriptions;
use super::visitor::Visitor;

pub(super) async fn page(
    State(dashboard): State<SharedDashboard>,
    visitor: Visitor,
    Query(question): Query<Question>,
) -> PageReply {
    let (mut answer, mut error) = (None, None);
    if let Some(path) = path(&question) {
        match dashboard.api.get::<Explanation>(&visitor, &path).await {
            Ok(explanation) => answer = Some(explanation),
            Err(problem) if is_of_the_question(problem.status()) => {
                error = Some(capitalized(problem.detail()));
            }
            Err(problem) => return Err(problem),
        }
    }
    let snapshot = dashboard.snapshots.get(&dashboard.state).await?;
    let names = subscriptions::names(&snapshot.receivers, "");
    reply::page(&ExplainPage { frame: visitor.into_frame(), question, names, answer, error })
}

/// Returns the path of the API's answer; `None` if the question is not complete yet.
fn path(question: &Question) -> Option<String> {
    let Question { subscription, event_id, topic } = question;
    let parameters = [("event_id", event_id.trim()), ("topic", topic.trim())];
    let given = parameters.into_iter().filter(|(_, value)| !value.is_empty());
    let given: String = given.map(|(name, value)| format!("&{name}={}", encode(value))).collect();
    let is_complete = !given.is_empty() && !subscription.trim().is_empty();
    is_complete.then(|| format!("/explain?subscription={}{given}", encode(subscription.trim())))
}

fn is_of_the_question(status: StatusCode) -> bool {
    matches!(status, StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY | StatusCode::TOO_MANY_REQUESTS)
}
