//! The topics of recent events.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use decnet_core::time::UnixMicros;
use decnet_core::topic::{Pattern, PatternTrie};
use decnet_store::catalog::Catalog;
use decnet_store::queue::{RecentTopic, RecentTopics};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::Routes;
use crate::auth::Scope;
use crate::problem::Problem;
use crate::state::{self, Shared};

/// The topics of the newest events.
#[derive(Default, Serialize, ToSchema)]
pub(crate) struct Topics {
    /// The topics, those with most events first; at most 100.
    topics: Vec<Topic>,
    /// Number of different topics.
    distinct: u64,
    /// Number of events that were counted: the newest, at most 10,000.
    events: u64,
    /// Time at which the oldest counted event was admitted; null without events.
    since: Option<String>,
}

/// A topic of recent events.
#[derive(Serialize, ToSchema)]
struct Topic {
    #[schema(example = "attacker.observed")]
    topic: Box<str>,
    /// Number of counted events with the topic.
    events: u64,
    /// Time at which the newest of them was admitted.
    newest_at: String,
    /// Number of subscriptions, in any state, with a pattern that matches the topic. Their severity floors and filters may exclude
    /// events.
    subscriptions: usize,
    /// The newest event whose body has at most 8 KiB; null if there is none.
    example: Option<Example>,
}

/// An event as an example of its topic.
#[derive(Serialize, ToSchema)]
struct Example {
    event_id: Box<str>,
    /// Body of the event, as it is sent outside batches, byte for byte.
    #[schema(value_type = Object)]
    body: Box<RawValue>,
}

pub(super) fn routes(routes: Routes) -> Routes {
    routes.guarded(Scope::Read, routes!(list))
}

/// Lists the topics of the newest events, with counts and an example of each. Only events that at least one subscription was to
/// get are stored, and therefore counted. The result may be one second old.
#[utoipa::path(get, path = "/api/v1/topics", tag = "events", operation_id = "list_topics",
    responses((status = 200, body = Topics)))]
async fn list(State(state): State<Shared>) -> Result<Response, Problem> {
    let topics = state.topics.get(async || read(&state).await.map(Arc::new)).await?;
    Ok(Json(&*topics).into_response())
}

async fn read(state: &state::State) -> Result<Topics, Problem> {
    let recent = state.queue.run(|reader| reader.recent_topics()).await?;
    let count = move |catalog: &mut Catalog| {
        let matching = Matching::new(catalog.rows()?.iter().map(|row| &*row.topic_patterns));
        Ok::<_, Problem>(Topics::new(recent, &matching))
    };
    state.catalog.run(count).await
}

/// The patterns of all subscriptions.
struct Matching(PatternTrie);

impl Matching {
    fn new<'a>(subscriptions: impl Iterator<Item = &'a [String]>) -> Self {
        let mut trie = PatternTrie::default();
        for (patterns, number) in subscriptions.zip(0..) {
            let valid = patterns.iter().filter_map(|pattern| Pattern::stored(pattern).ok());
            valid.for_each(|pattern| trie.insert(&pattern, number));
        }
        Self(trie)
    }

    /// Returns the number of subscriptions with a pattern that matches.
    fn count(&self, topic: &str) -> usize {
        let mut found = Vec::new();
        self.0.route(topic, &mut found);
        found.len()
    }
}

impl Topics {
    fn new(recent: RecentTopics, matching: &Matching) -> Self {
        let RecentTopics { topics, distinct, events, since } = recent;
        let topics = topics.into_iter().map(|topic| Topic::new(topic, matching)).collect();
        Self { topics, distinct, events, since: since.map(UnixMicros::to_iso8601) }
    }
}

impl Topic {
    fn new(recent: RecentTopic, matching: &Matching) -> Self {
        let RecentTopic { topic, events, newest_at, example } = recent;
        let example = example.and_then(|event| {
            let body = String::from_utf8(event.body.to_vec()).ok()?;
            Some(Example { event_id: event.id, body: RawValue::from_string(body).ok()? })
        });
        let subscriptions = matching.count(&topic);
        Self { topic, events, newest_at: newest_at.to_iso8601(), subscriptions, example }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_subscription_counts_once() {
        let patterns =
            [vec!["a.>".to_owned(), "a.b".into()], vec!["*.b".into(), "not valid".into()], vec!["b".into()]];
        let matching = Matching::new(patterns.iter().map(|patterns| &**patterns));
        assert_eq!(["a.b", "a.c", "b", "c"].map(|topic| matching.count(topic)), [2, 1, 1, 0]);
    }
}
