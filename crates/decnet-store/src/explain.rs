//! The reasons why an event was or was not routed to a subscription: reads catalog and queue for [`decnet_core::explain`].

use decnet_core::delivery::{DeliveryStatus, State};
use decnet_core::explain::{self, ExplanationStep};
use decnet_core::subscription::Activity;

use crate::catalog::Row;
use crate::queue::{DeliveryId, Error, Listed, Reader, Search};

/// The event to be explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventQuery<'a> {
    /// The newest event with this id.
    Id(&'a str),
    /// A hypothetical event of this topic.
    Topic(&'a str),
}

/// The explanation of one event for one subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplainedEvent {
    /// The event's topic, if the event was found.
    pub topic: Option<Box<str>>,
    /// The newest delivery of the event to the subscription.
    pub delivery: Option<DeliveryId>,
    /// The steps from the event to its delivery.
    pub steps: Vec<ExplanationStep>,
}

/// Explains an event; `reader` is `None` if there is no queue yet.
///
/// The search for an id may read all events, in short reads. The search calls `should_continue` before each read and stops if it
/// returns `false`; the explanation then covers the events read so far.
///
/// # Errors
/// The queue cannot be read.
pub fn explain(
    reader: Option<&Reader>,
    row: &Row,
    event: EventQuery<'_>,
    should_continue: impl Fn() -> bool,
) -> Result<ExplainedEvent, Error> {
    match event {
        EventQuery::Topic(topic) => Ok(finish(row, Some(topic.into()), explain::Event::Hypothetical, None)),
        EventQuery::Id(id) => explain_id(reader, row, id, should_continue),
    }
}

fn explain_id(
    reader: Option<&Reader>,
    row: &Row,
    id: &str,
    should_continue: impl Fn() -> bool,
) -> Result<ExplainedEvent, Error> {
    let mut unknown = explain::Event::Unknown { id };
    let Some(reader) = reader else { return Ok(finish(row, None, unknown, None)) };
    match reader.find_event(id, should_continue)? {
        Search::Found(seq) => {
            if let Some(found) = reader.event(seq, &row.uuid)? {
                return Ok(finish(row, Some(found.topic), explain::Event::Admitted, found.newest.as_ref()));
            }
        }
        Search::Absent => {}
        Search::Unfinished { scanned } => unknown = explain::Event::NotAmongNewest { id, scanned },
    }
    match reader.submitted_topic(id)? {
        Some(topic) => Ok(finish(row, Some(topic), explain::Event::Submitted, None)),
        None => Ok(finish(row, None, unknown, None)),
    }
}

fn finish(
    row: &Row,
    topic: Option<Box<str>>,
    event: explain::Event<'_>,
    newest: Option<&Listed>,
) -> ExplainedEvent {
    let subscription = explain::Subscription {
        patterns: &row.topic_patterns,
        activity: row.activity,
        problem: row.problem.as_deref(),
        gone: row.gone,
        paused: row.paused,
    };
    let is_active = row.activity == Activity::Active && row.problem.is_none() && !row.paused;
    let delivery = newest.map(|listed| explain::Delivery {
        id: listed.id.to_string(),
        status: DeliveryStatus::new(listed.state, is_active),
        attempts: listed.attempts,
        reason: if let State::Dead { reason } = listed.state { Some(reason) } else { None },
    });
    let steps = explain::explain(topic.as_deref(), event, &subscription, delivery.as_ref());
    ExplainedEvent { topic, delivery: newest.map(|listed| listed.id), steps }
}
