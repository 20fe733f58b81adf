//! What a subscription would do with recent events, as the API returns it.

use serde::Deserialize;

use crate::{Count, Text};

/// The result of a preview.
#[derive(Debug, Default, Deserialize)]
pub struct Preview {
    /// The topics of recent events, the most frequent first.
    pub topics: Vec<Topic>,
    /// The newest events.
    pub events: Vec<Event>,
}

/// A topic of recent events.
#[derive(Debug, Deserialize)]
pub struct Topic {
    /// The topic.
    pub topic: Text,
    /// The number of its events.
    pub events: Count,
    /// Whether a pattern matches it.
    pub matches: bool,
}

/// What a subscription would do with an event.
#[derive(Debug, Deserialize)]
pub struct Event {
    /// The id.
    pub event_id: Text,
    /// The topic.
    pub topic: Text,
    /// The severity.
    pub severity: Text,
    /// Whether the event would be delivered.
    pub delivered: bool,
    /// The reason of the decision.
    pub reason: Text,
    /// The request.
    pub request: Option<Request>,
}

/// A request without secrets.
#[derive(Debug, Deserialize)]
pub struct Request {
    /// The method.
    pub method: Text,
    /// The URL.
    pub url: Text,
    /// The headers.
    pub headers: Vec<(Text, Text)>,
    /// The body.
    pub body: Body,
    /// The body before compression.
    pub uncompressed: Option<Body>,
}

/// The beginning of a body.
#[derive(Debug, Deserialize)]
pub struct Body {
    text: Option<Text>,
    base64: Option<Text>,
    /// The size.
    pub bytes: Count,
    /// Whether the body is shown in full.
    pub is_complete: bool,
}

impl Preview {
    /// Returns the number of recent events that match, and the number of all.
    #[must_use]
    pub fn counts(&self) -> (Count, Count) {
        let sum = |all: bool| {
            Count(self.topics.iter().filter(|topic| all || topic.matches).map(|topic| topic.events.0).sum())
        };
        (sum(false), sum(true))
    }

    /// Returns the topics that match.
    pub fn matching(&self) -> impl Iterator<Item = &Topic> {
        self.topics.iter().filter(|topic| topic.matches)
    }

    /// Returns the topics that do not match.
    pub fn others(&self) -> impl Iterator<Item = &Topic> {
        self.topics.iter().filter(|topic| !topic.matches)
    }

    /// Returns how many of the shown events would be delivered: `3 of 20`.
    #[must_use]
    pub fn summary(&self) -> String {
        let delivered = self.events.iter().filter(|event| event.delivered).count();
        format!("{delivered} of {}", self.events.len())
    }
}

impl Body {
    /// Returns the text, with hidden characters escaped.
    #[must_use]
    pub fn lines(&self) -> String {
        let shown = self.text.as_ref().or(self.base64.as_ref());
        shown.map(Text::lines).unwrap_or_default()
    }

    /// Returns the size, and how the body is shown if not as it is.
    #[must_use]
    pub fn note(&self) -> String {
        let encoding = if self.base64.is_some() { ", not text: shown in base64" } else { "" };
        let rest = if self.is_complete { "" } else { "; this is the beginning" };
        format!("{}{encoding}{rest}", self.bytes.of("byte", "bytes"))
    }
}
