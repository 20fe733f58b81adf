//! Previews: which recent events a subscription with some settings would get, and the requests for them.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use decnet_core::event::Event;
use decnet_core::limits::{MAX_PREVIEW_BYTES, MAX_PREVIEW_EVENTS};
use decnet_core::redact::EndpointUrl;
use decnet_core::settings::SettingsPatch;
use decnet_core::subscription::Problem as InvalidSubscription;
use decnet_core::topic::{Pattern, matches};
use decnet_store::catalog::{Patch, StoredSubscription};
use decnet_store::queue::{self, Reader};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::settings::SettingsChange;
use super::{Reply, found};
use crate::body::{Body, Object};
use crate::outbound::PreviewedEvent;
use crate::problem::Problem;
use crate::state::Shared;

/// A subscription to preview.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PreviewRequest {
    /// UUID of an existing subscription, whose values apply where this request has none.
    uuid: Option<String>,
    /// Receiver of the events; by default one that does not exist.
    #[schema(format = "uri", max_length = 2083)]
    url: Option<String>,
    /// Patterns of the topics; they may be empty.
    #[schema(max_items = 1024)]
    topic_patterns: Option<Vec<String>>,
    /// Settings to change, as in a change of the subscription.
    #[schema(value_type = Option<SettingsChange>)]
    settings: Option<Object<SettingsPatch>>,
}

/// What a subscription would do with the newest events of the queue.
#[derive(Serialize, ToSchema)]
pub(super) struct Preview {
    /// Topics of the newest 10,000 events of the queue, at most 200, the most frequent first.
    topics: Vec<RecentTopic>,
    /// The newest 20 events of the queue, newest first.
    events: Vec<PreviewedEvent>,
}

/// A topic of recent events.
#[derive(Serialize, ToSchema)]
struct RecentTopic {
    topic: Box<str>,
    /// Number of events with the topic among the newest.
    events: u64,
    /// Whether a pattern matches the topic.
    matches: bool,
}

/// What the queue contains.
#[derive(Default)]
struct Recent {
    topics: Vec<queue::RecentTopic>,
    events: Vec<Event>,
}

/// Shows what a subscription with these values would do with the newest events of the queue: whether each would be delivered and
/// why, and the request, byte for byte. Nothing is changed or sent. The queue contains the events that a subscription matched.
/// Each event is rendered alone, also if the settings combine several in one request.
#[utoipa::path(post, path = "/api/v1/subscriptions/preview", tag = "subscriptions", operation_id = "preview_subscription",
    request_body = PreviewRequest, responses(
        (status = 200, body = Preview),
        (status = 404, description = "The subscription does not exist"),
    ))]
pub(super) async fn preview(
    State(state): State<Shared>,
    Body(request): Body<PreviewRequest>,
) -> Reply<Preview> {
    let base = match request.uuid.clone() {
        Some(uuid) => state.catalog.run(move |catalog| found(catalog, &uuid)).await?.1,
        None => None,
    };
    let stored = base.unwrap_or_else(StoredSubscription::draft).with(&request.read()?)?;
    let Recent { topics, events } = match state.queue.run(|reader| recent(reader)).await {
        // Before the worker first runs there is no queue.
        Err(problem) if problem.status() == StatusCode::SERVICE_UNAVAILABLE => Recent::default(),
        read => read?,
    };
    let patterns = stored.subscription.patterns.clone();
    let is_match = |topic: &str| patterns.iter().any(|pattern| matches(pattern.as_str(), topic));
    let topics = topics.into_iter().map(|seen| RecentTopic {
        matches: is_match(&seen.topic),
        topic: seen.topic,
        events: seen.events,
    });
    let topics = topics.collect();
    let events = state.outbound.preview(Box::new(stored), events).await;
    let events = events.map_err(|refused| Problem::invalid(refused.to_string()))?;
    Ok(Json(Preview { topics, events }))
}

impl PreviewRequest {
    fn read(self) -> Result<Patch, Problem> {
        let url = self.url.map(|url| EndpointUrl::new(&url)).transpose();
        let pattern = |(index, text): (usize, &String)| {
            Pattern::new(text).map_err(|error| InvalidSubscription::Pattern { index, error })
        };
        let patterns =
            self.topic_patterns.map(|list| list.iter().enumerate().map(pattern).collect::<Result<_, _>>());
        Ok(Patch {
            url: url.map_err(|error| Problem::invalid(format!("url: {error}")))?,
            patterns: patterns.transpose()?,
            settings: self.settings.map(|Object(settings)| settings).unwrap_or_default(),
            ..Patch::default()
        })
    }
}

fn recent(reader: &Reader) -> Result<Recent, queue::Error> {
    Ok(Recent {
        topics: reader.recent_topics()?.topics,
        events: reader.recent_events(MAX_PREVIEW_EVENTS, MAX_PREVIEW_BYTES)?,
    })
}
