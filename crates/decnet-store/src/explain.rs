//! The reasons why an event was or was not routed to a subscription: reads catalog and queue, and evaluates the filter, for
//! [`decnet_core::explain`].

use decnet_core::delivery::{DeliveryStatus, State};
use decnet_core::event::Event;
use decnet_core::explain::{self, ExplanationStep, FilterCheck, FilterResult, SeverityFloor};
use decnet_core::severity::{Severity, SeverityTable};
use decnet_core::subscription::Activity;
use decnet_filter::{Budget, Filter, FilterInput};

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

/// The worker's table of severities, or the reason why it cannot be used.
pub type Severities = Result<SeverityTable, String>;

/// An event to be explained, as it was found.
enum Found<'a> {
    /// A hypothetical event with this topic.
    Hypothetical(&'a str),
    Event(Event),
}

/// Explains an event; `reader` is `None` if there is no queue yet. Severity floor and filter are those of the row as it is now.
///
/// The search for an id may read all events, in short reads. The search calls `should_continue` before each read and stops if it
/// returns `false`; the explanation then covers the events read so far.
///
/// # Errors
/// The queue cannot be read.
pub fn explain(
    reader: Option<&Reader>,
    row: &Row,
    severities: &Severities,
    event: EventQuery<'_>,
    should_continue: impl Fn() -> bool,
) -> Result<ExplainedEvent, Error> {
    let finish = |found, event, newest| Ok(finish(row, severities, found, event, newest));
    let id = match event {
        EventQuery::Topic(topic) => {
            return finish(Some(&Found::Hypothetical(topic)), explain::Event::Hypothetical, None);
        }
        EventQuery::Id(id) => id,
    };
    let mut unknown = explain::Event::Unknown { id };
    let Some(reader) = reader else { return finish(None, unknown, None) };
    match reader.find_event(id, should_continue)? {
        Search::Found(seq) => {
            if let Some(found) = reader.event(seq, &row.uuid)? {
                let newest = found.newest.as_ref();
                return finish(Some(&Found::Event(found.event)), explain::Event::Admitted, newest);
            }
        }
        Search::Absent => {}
        Search::Unfinished { scanned } => unknown = explain::Event::NotAmongNewest { id, scanned },
    }
    match reader.submitted(id)? {
        Some(event) => finish(Some(&Found::Event(event)), explain::Event::Submitted, None),
        None => finish(None, unknown, None),
    }
}

fn finish(
    row: &Row,
    severities: &Severities,
    found: Option<&Found<'_>>,
    event: explain::Event<'_>,
    newest: Option<&Listed>,
) -> ExplainedEvent {
    let problem = row.problem.as_deref();
    let (problem, hold) = if row.is_held { (None, problem) } else { (problem, None) };
    let subscription = explain::Subscription {
        patterns: &row.topic_patterns,
        activity: row.activity,
        problem,
        gone: row.gone,
        paused: row.paused,
        hold,
        floor: found.and_then(|found| floor(row, severities, found)),
        filter: found.and_then(|found| filter(row, severities, found)),
    };
    let is_active = row.activity == Activity::Active && row.problem.is_none() && !row.paused;
    let delivery = newest.map(|listed| explain::Delivery {
        id: listed.id.to_string(),
        status: DeliveryStatus::new(listed.state, is_active),
        attempts: listed.attempts,
        reason: if let State::Dead { reason } = listed.state { Some(reason) } else { None },
    });
    let topic = found.map(Found::topic);
    let steps = explain::explain(topic, event, &subscription, delivery.as_ref());
    ExplainedEvent { topic: topic.map(Into::into), delivery: newest.map(|listed| listed.id), steps }
}

/// Returns the severity floor of a subscription, if it has one, and the severity of the event.
fn floor(row: &Row, severities: &Severities, found: &Found<'_>) -> Option<SeverityFloor> {
    let floor = row.settings.min_severity?;
    Some(SeverityFloor { floor, severity: found.severity(severities) })
}

/// Returns the filter of a subscription, if it has one that compiles, and its result for the event.
fn filter<'r>(row: &'r Row, severities: &Severities, found: &Found<'_>) -> Option<FilterCheck<'r>> {
    let source = row.settings.filter.as_ref()?.as_str();
    let filter = Filter::compile(source).ok()?;
    let result = match (found, found.severity(severities)) {
        (Found::Hypothetical(_), _) => FilterResult::Unknown("it depends on the event".into()),
        (Found::Event(_), Err(why)) => FilterResult::Unknown(why),
        (Found::Event(event), Ok(severity)) => {
            match filter.evaluate(&FilterInput::new(event, severity), &mut Budget::default()) {
                Ok(true) => FilterResult::Accepted,
                Ok(false) => FilterResult::Excluded,
                Err(error) => FilterResult::Failed(error.to_string()),
            }
        }
    };
    Some(FilterCheck { source, result })
}

impl Found<'_> {
    fn topic(&self) -> &str {
        match self {
            Self::Hypothetical(topic) => topic,
            Self::Event(event) => &event.topic,
        }
    }

    fn severity(&self, severities: &Severities) -> Result<Severity, String> {
        severities.as_ref().map(|table| table.of(self.topic())).map_err(Clone::clone)
    }
}
