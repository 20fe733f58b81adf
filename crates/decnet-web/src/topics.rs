//! The topics of recent events, as the API returns them.

use askama::Template;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::indent;
use crate::{Count, Frame, Text, Time};

/// The topics of the newest events.
#[derive(Debug, Default, Deserialize)]
pub struct Topics {
    /// The topics, those with most events first.
    pub topics: Vec<Topic>,
    /// The number of different topics.
    pub distinct: Count,
    /// The number of events that were counted.
    pub events: Count,
    /// When the oldest of them was admitted.
    pub since: Option<Time>,
}

/// A topic of recent events.
#[derive(Debug, Deserialize)]
pub struct Topic {
    /// The topic.
    pub topic: Text,
    /// The number of events.
    pub events: Count,
    /// When the newest of them was admitted.
    pub newest_at: Time,
    /// The number of subscriptions with a pattern that matches.
    pub subscriptions: Count,
    /// An event that is not too large to be shown.
    pub example: Option<Example>,
}

/// An event as an example of its topic.
#[derive(Debug, Deserialize)]
pub struct Example {
    /// The id of the event.
    pub event_id: Text,
    /// The body of the event.
    pub body: Box<RawValue>,
}

impl Topics {
    /// Returns the number of topics that are not listed.
    #[must_use]
    pub fn unlisted(&self) -> Count {
        Count(self.distinct.0.saturating_sub(self.topics.len() as u64))
    }
}

impl Example {
    /// Returns the indented body.
    #[must_use]
    pub fn shown_body(&self) -> String {
        Text::from(indent(self.body.get())).lines()
    }
}

/// The topics of recent events.
#[derive(Template)]
#[template(path = "events.html")]
#[expect(missing_docs, reason = "the fields are those of the template")]
pub struct EventsPage {
    pub frame: Frame,
    pub topics: Topics,
}
