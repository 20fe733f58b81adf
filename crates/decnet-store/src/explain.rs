//! Why an event did, or did not, go to a subscription: the facts, from catalog and queue, for
//! [`decnet_core::explain`].

use decnet_core::delivery::{Standing, State};
use decnet_core::explain::{self, Step};
use decnet_core::subscription::Activity;

use crate::catalog::Row;
use crate::queue::{DeliveryId, Error, Listed, Reader, Search};

/// What is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked<'a> {
    /// The newest event with this id.
    Event(&'a str),
    /// An event of this topic, as if it came now.
    Topic(&'a str),
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// The event's topic, if it is known.
    pub topic: Option<Box<str>>,
    /// The newest delivery of the event to the subscription.
    pub delivery: Option<DeliveryId>,
    /// The way of the event, step by step.
    pub steps: Vec<Step>,
}

/// Explains; without a `reader` there is no queue yet. By id, all events may have to be looked at, in short reads: before
/// each of them `go_on` is asked, and where it says no, the answer is of those that were.
///
/// # Errors
/// The queue cannot be read.
pub fn explain(
    reader: Option<&Reader>,
    row: &Row,
    asked: Asked<'_>,
    go_on: impl Fn() -> bool,
) -> Result<Explained, Error> {
    match asked {
        Asked::Topic(topic) => Ok(finish(row, Some(topic.into()), explain::Event::Imagined, None)),
        Asked::Event(id) => of_event(reader, row, id, go_on),
    }
}

fn of_event(
    reader: Option<&Reader>,
    row: &Row,
    id: &str,
    go_on: impl Fn() -> bool,
) -> Result<Explained, Error> {
    let mut unknown = explain::Event::Unknown { id };
    let Some(reader) = reader else { return Ok(finish(row, None, unknown, None)) };
    match reader.find_event(id, go_on)? {
        Search::Found(seq) => {
            if let Some(found) = reader.event(seq, &row.uuid)? {
                return Ok(finish(row, Some(found.topic), explain::Event::Admitted, found.newest.as_ref()));
            }
        }
        Search::Absent => {}
        Search::Unfinished { looked_at } => unknown = explain::Event::NotAmongNewest { id, looked_at },
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
) -> Explained {
    let subscription = explain::Subscription {
        name: &row.name,
        patterns: &row.topic_patterns,
        activity: row.activity,
        problem: row.problem.as_deref(),
        gone: row.gone,
        paused: row.paused,
    };
    let is_active = row.activity == Activity::Active && row.problem.is_none() && !row.paused;
    let delivery = newest.map(|listed| explain::Delivery {
        id: listed.id.to_string(),
        standing: Standing::new(listed.state, is_active),
        attempts: listed.attempts,
        reason: if let State::Dead { reason } = listed.state { Some(reason) } else { None },
    });
    let steps = explain::explain(topic.as_deref(), event, &subscription, delivery.as_ref());
    Explained { topic, delivery: newest.map(|listed| listed.id), steps }
}
