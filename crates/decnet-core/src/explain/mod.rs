//! The reason why an event was, or was not, sent to a subscription: one step for each condition.

use serde::Serialize;

use crate::delivery::{DeliveryStatus, Reason};
use crate::severity::Severity;
use crate::subscription::Activity;
use crate::topic::matches;

/// The properties of a subscription that determine whether it receives an event.
#[derive(Debug, Clone)]
pub struct Subscription<'a> {
    /// The topic patterns as stored.
    pub patterns: &'a [String],
    /// Whether the subscription is enabled, tripped or disabled.
    pub activity: Activity,
    /// The reason why the row is not valid, if it is not.
    pub problem: Option<&'a str>,
    /// Whether the receiver has answered 410.
    pub gone: bool,
    /// Whether an operator has paused the subscription.
    pub paused: bool,
    /// The reason why the filter, the format or the template cannot be used, if it cannot.
    pub hold: Option<&'a str>,
    /// The severity floor, if there is one and the event's topic is known.
    pub floor: Option<SeverityFloor>,
    /// The filter, if there is one that compiles and the event's topic is known.
    pub filter: Option<FilterCheck<'a>>,
}

/// A severity floor, and the severity of the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeverityFloor {
    /// The lowest severity that is delivered.
    pub floor: Severity,
    /// The severity of the event, or the reason why it is unknown.
    pub severity: Result<Severity, String>,
}

/// A filter, and its result for the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterCheck<'a> {
    /// The source of the filter.
    pub source: &'a str,
    /// The result.
    pub result: FilterResult,
}

/// The result of a filter for an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilterResult {
    /// The filter is true.
    Accepted,
    /// The filter is false.
    Excluded,
    /// The filter cannot be evaluated for the event, for this reason.
    Failed(String),
    /// The result is unknown, for this reason.
    Unknown(String),
}

/// The event to be explained, and the place where it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// An event that does not exist: only its topic is given.
    Hypothetical,
    /// The event is in the queue.
    Admitted,
    /// The event was submitted, but no worker has admitted it yet.
    Submitted,
    /// The event was not found: it was never published where the worker listened, had no matching subscription, or was removed.
    Unknown {
        /// The requested id.
        id: &'a str,
    },
    /// The event is not among the newest events of the queue, after which the search stopped.
    NotAmongNewest {
        /// The requested id.
        id: &'a str,
        /// The number of events that were searched.
        scanned: u64,
    },
}

/// The newest delivery of the event to the subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The text form of the id.
    pub id: String,
    /// The current status.
    pub status: DeliveryStatus,
    /// The number of attempts so far.
    pub attempts: u32,
    /// The reason why the delivery is dead, if it is.
    pub reason: Option<Reason>,
}

/// One condition on the way to the receiver, and whether the event met it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplanationStep {
    /// The stable name of the step.
    pub step: &'static str,
    /// Whether the event passed the step; `None` if that is undecided or can no longer be determined.
    pub passed: Option<bool>,
    /// The reason, and what to do, as text for operators.
    pub detail: String,
}

/// Returns the steps in order.
///
/// All conditions of the row are included, even after a failed condition. The steps of the delivery end at its current
/// state.
#[must_use]
pub fn explain(
    topic: Option<&str>,
    event: Event<'_>,
    subscription: &Subscription<'_>,
    delivery: Option<&Delivery>,
) -> Vec<ExplanationStep> {
    let mut steps = vec![event_step(event)];
    steps.push(row_step(subscription));
    steps.extend(topic.map(|topic| pattern_step(topic, subscription)));
    steps.extend(subscription.floor.as_ref().map(severity_step));
    steps.extend(subscription.filter.as_ref().map(filter_step));
    steps.push(enabled_step(subscription));
    if subscription.paused {
        let detail = "the subscription is paused by an operator: events are kept and sent once it is resumed";
        steps.push(step("paused", false, detail));
    }
    if let Some(hold) = subscription.hold {
        let detail =
            format!("the subscription is held: {hold}; events are kept and sent once it is corrected");
        steps.push(step("held", false, detail));
    }
    match (event, delivery) {
        (Event::Hypothetical, _) => steps.push(hypothetical_delivery(&steps, subscription)),
        (_, Some(delivery)) => steps.extend(delivery_steps(delivery)),
        (Event::Submitted | Event::NotAmongNewest { .. }, None) => {}
        (_, None) => steps.push(missing_delivery(&steps)),
    }
    steps
}

fn step(step: &'static str, passed: impl Into<Option<bool>>, detail: impl Into<String>) -> ExplanationStep {
    ExplanationStep { step, passed: passed.into(), detail: detail.into() }
}

fn event_step(event: Event<'_>) -> ExplanationStep {
    match event {
        Event::Hypothetical => step("event", true, "an event with this topic, published now"),
        Event::Admitted => step("event", true, "the event is in the queue"),
        Event::Submitted => {
            let detail =
                "the event was submitted, but no worker has admitted it yet; check that a worker is running";
            step("event", false, detail)
        }
        Event::NotAmongNewest { id, scanned } => {
            let newest = format!("event {id} is not among the newest {scanned} events");
            step("event", None, newest + "; `decnet explain` searches all of them")
        }
        Event::Unknown { id } => {
            let detail = "it was not published where the worker listens, no subscription matched and accepted it when it \
                          arrived, or retention has removed it";
            step("event", false, format!("event {id} is not in the queue: {detail}"))
        }
    }
}

fn row_step(subscription: &Subscription<'_>) -> ExplanationStep {
    match subscription.problem {
        None => step("row", true, "the row of the subscription is valid"),
        Some(problem) => {
            let detail = format!("the row of the subscription is not valid: {problem}");
            step("row", false, detail + "; correct it and the worker reloads it")
        }
    }
}

fn pattern_step(topic: &str, subscription: &Subscription<'_>) -> ExplanationStep {
    let patterns = subscription.patterns;
    match patterns.iter().find(|pattern| matches(pattern, topic)) {
        Some(pattern) => step("pattern", true, format!("`{pattern}` matches the topic `{topic}`")),
        None => {
            let all: Vec<String> = patterns.iter().map(|pattern| format!("`{pattern}`")).collect();
            let all = if all.is_empty() { "the subscription has none".to_owned() } else { all.join(", ") };
            step("pattern", false, format!("no pattern matches the topic `{topic}`: {all}"))
        }
    }
}

fn severity_step(SeverityFloor { floor, severity }: &SeverityFloor) -> ExplanationStep {
    match severity {
        Ok(severity) if severity < floor => step(
            "severity",
            false,
            format!("the severity {severity} is below the minimum {floor}: the event is excluded"),
        ),
        Ok(severity) => {
            step("severity", true, format!("the severity {severity} is not below the minimum {floor}"))
        }
        Err(why) => {
            step("severity", None, format!("the minimum is {floor}, but the severity is unknown: {why}"))
        }
    }
}

fn filter_step(FilterCheck { source, result }: &FilterCheck<'_>) -> ExplanationStep {
    match result {
        FilterResult::Accepted => step("filter", true, format!("the filter accepts the event: `{source}`")),
        FilterResult::Excluded => step("filter", false, format!("the filter excludes the event: `{source}`")),
        FilterResult::Failed(error) => {
            let detail = format!("the filter cannot be evaluated for the event: {error}: `{source}`");
            step("filter", false, detail)
        }
        FilterResult::Unknown(why) => {
            step("filter", None, format!("the filter is undecided: {why}: `{source}`"))
        }
    }
}

fn enabled_step(subscription: &Subscription<'_>) -> ExplanationStep {
    let detail = match (subscription.activity, subscription.gone) {
        (Activity::Active, _) => "the subscription is enabled",
        (Activity::Tripped, true) => {
            "the receiver is gone: events are kept and sent once the subscription is enabled"
        }
        (Activity::Tripped, false) => {
            "the subscription is tripped after consecutive failures: events are kept and sent when a probe succeeds or \
             it is enabled"
        }
        (Activity::Disabled, _) => {
            "the subscription is disabled: new events are not kept for it; earlier deliveries are sent once it is enabled"
        }
    };
    step("enabled", subscription.activity == Activity::Active, detail)
}

/// Returns what would happen to an event, given the steps so far.
fn hypothetical_delivery(before: &[ExplanationStep], subscription: &Subscription<'_>) -> ExplanationStep {
    let only_delays = |step: &ExplanationStep| ["enabled", "paused", "held"].contains(&step.step);
    let is_excluded = before.iter().any(|step| step.passed == Some(false) && !only_delays(step));
    let is_undecided = before.iter().any(|step| step.passed.is_none());
    let waits = subscription.paused || subscription.hold.is_some();
    match subscription.activity {
        _ if is_excluded => step("delivery", false, "the event would not be sent"),
        Activity::Disabled => step("delivery", false, "the event would be neither kept nor sent"),
        _ if is_undecided => {
            step("delivery", None, "whether the event would be sent depends on the undecided steps above")
        }
        Activity::Active if !waits => step("delivery", true, "the event would be sent"),
        Activity::Active | Activity::Tripped => {
            step("delivery", false, "the event would be kept and sent later")
        }
    }
}

/// Explains why the event has no delivery. The row may have changed since the event arrived.
fn missing_delivery(before: &[ExplanationStep]) -> ExplanationStep {
    let detail = if before.iter().any(|step| step.passed == Some(false)) {
        "the event has no delivery to this subscription, because of the failed steps above"
    } else {
        "the event has no delivery to this subscription, although the row matches now: the row has changed since the event \
         arrived, or retention has removed the delivery"
    };
    step("delivery", false, detail)
}

fn delivery_steps(delivery: &Delivery) -> [ExplanationStep; 2] {
    let Delivery { id, status, attempts, reason } = delivery;
    let reason = reason.map_or("unknown reason", Reason::as_str);
    let made = if *attempts == 1 { "1 attempt".to_owned() } else { format!("{attempts} attempts") };
    let (passed, detail) = match status {
        DeliveryStatus::Delivered => (Some(true), format!("accepted by the receiver after {made}")),
        DeliveryStatus::Pending => (None, format!("waiting to be sent, after {made}")),
        DeliveryStatus::Retrying => (
            None,
            format!("waiting for a retry, after {made}; `decnet delivery show {id}` shows when it is due"),
        ),
        DeliveryStatus::Parked => {
            (Some(false), format!("parked, after {made}: sent once the subscription receives events again"))
        }
        DeliveryStatus::Dead if *attempts == 0 => (Some(false), format!("dead without an attempt: {reason}")),
        DeliveryStatus::Dead => (
            Some(false),
            format!(
                "dead after {made}: {reason}; `decnet delivery show {id}` shows the attempts, `decnet delivery redeliver {id}` \
                 sends it again"
            ),
        ),
    };
    [step("delivery", true, format!("delivery {id} was created")), step("attempts", passed, detail)]
}

#[cfg(test)]
mod tests;
