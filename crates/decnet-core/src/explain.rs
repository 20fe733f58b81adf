//! Why an event did, or did not, go to a subscription: the way it takes, step by step.

use serde::Serialize;

use crate::delivery::{Reason, Standing};
use crate::subscription::Activity;
use crate::topic::matches;

/// What is known of a subscription, as far as it decides.
#[derive(Debug, Clone)]
pub struct Subscription<'a> {
    /// Its name, for people.
    pub name: &'a str,
    /// Its patterns, as they are stored.
    pub patterns: &'a [String],
    /// Does it get events now?
    pub activity: Activity,
    /// Why its row cannot be used, if so.
    pub problem: Option<&'a str>,
    /// Its receiver answered 410.
    pub gone: bool,
    /// An operator has paused it.
    pub paused: bool,
}

/// What is known of the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// Only a topic: what would become of such an event.
    Imagined,
    /// The queue has it.
    Admitted,
    /// It was submitted, and no worker has taken it yet.
    Submitted,
    /// Nobody knows it: never published where the worker listened, to nobody's interest, or removed.
    Unknown {
        /// The id that was asked for.
        id: &'a str,
    },
    /// It is not among the newest events of the queue; older ones were not looked at.
    NotAmongNewest {
        /// The id that was asked for.
        id: &'a str,
        /// How many were looked at.
        looked_at: u64,
    },
}

/// The newest delivery of the event to the subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its id, for people.
    pub id: String,
    /// Where it stands.
    pub standing: Standing,
    /// Attempts so far.
    pub attempts: u32,
    /// Why it is dead, if it is.
    pub reason: Option<Reason>,
}

/// One question on the way, and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Which one; stable.
    pub step: &'static str,
    /// Does the event get past it? None where that cannot be told any more.
    pub passed: Option<bool>,
    /// For people: why, and what to do.
    pub detail: String,
}

/// The steps in their order. All that the row decides are told, whatever the ones before said; those of the delivery are
/// told as far as it came.
#[must_use]
pub fn explain(
    topic: Option<&str>,
    event: Event<'_>,
    subscription: &Subscription<'_>,
    delivery: Option<&Delivery>,
) -> Vec<Step> {
    let mut steps = vec![known(event)];
    steps.push(usable(subscription));
    steps.extend(topic.map(|topic| pattern(topic, subscription)));
    steps.push(enabled(subscription));
    if subscription.paused {
        steps.push(step(
            "paused",
            false,
            "it is paused by an operator: events are kept, and sent once it is resumed",
        ));
    }
    match (event, delivery) {
        (Event::Imagined, _) => steps.push(imagined(&steps, subscription)),
        (_, Some(delivery)) => steps.extend(followed(delivery)),
        (Event::Submitted | Event::NotAmongNewest { .. }, None) => {}
        (_, None) => steps.push(not_admitted(&steps)),
    }
    steps
}

fn step(step: &'static str, passed: impl Into<Option<bool>>, detail: impl Into<String>) -> Step {
    Step { step, passed: passed.into(), detail: detail.into() }
}

fn known(event: Event<'_>) -> Step {
    match event {
        Event::Imagined => step("event", true, "an event of this topic, as if it came now"),
        Event::Admitted => step("event", true, "the queue has it"),
        Event::Submitted => {
            step("event", false, "it was submitted and waits for a worker to take it; see that one runs")
        }
        Event::NotAmongNewest { id, looked_at } => step(
            "event",
            None,
            format!(
                "no event {id} is among the newest {looked_at}; older ones were not looked at, which `decnet explain` does"
            ),
        ),
        Event::Unknown { id } => step(
            "event",
            false,
            format!(
                "no event {id} is in the queue: it was not published where the worker listens, no subscription wanted it \
                 when it came, or retention has removed it"
            ),
        ),
    }
}

fn usable(subscription: &Subscription<'_>) -> Step {
    match subscription.problem {
        None => step("row", true, "the subscription's row can be used"),
        Some(problem) => step(
            "row",
            false,
            format!(
                "the subscription's row cannot be used: {problem}; mend it and the worker reads it again"
            ),
        ),
    }
}

fn pattern(topic: &str, subscription: &Subscription<'_>) -> Step {
    let found = subscription.patterns.iter().find(|pattern| matches(pattern, topic));
    match found {
        Some(pattern) => step("pattern", true, format!("`{pattern}` matches the topic `{topic}`")),
        None => {
            let all: Vec<String> =
                subscription.patterns.iter().map(|pattern| format!("`{pattern}`")).collect();
            let all = if all.is_empty() { "there is none".to_owned() } else { all.join(", ") };
            step("pattern", false, format!("no pattern matches the topic `{topic}`: {all}"))
        }
    }
}

fn enabled(subscription: &Subscription<'_>) -> Step {
    match (subscription.activity, subscription.gone) {
        (Activity::Active, _) => step("enabled", true, "the subscription gets events now"),
        (Activity::Tripped, true) => step(
            "enabled",
            false,
            "the receiver answered 410 and wants no more: events are kept, and sent once the subscription is enabled",
        ),
        (Activity::Tripped, false) => step(
            "enabled",
            false,
            "it has tripped, after failures in a row: events are kept, and sent when a probe gets through or it is enabled",
        ),
        (Activity::Disabled, _) => step(
            "enabled",
            false,
            "it is disabled: new events are not kept for it; what waited before is sent once it is enabled",
        ),
    }
}

/// What would become of an event, by what was said so far.
fn imagined(before: &[Step], subscription: &Subscription<'_>) -> Step {
    let only_puts_off = |step: &Step| step.passed == Some(true) || ["enabled", "paused"].contains(&step.step);
    let is_wanted = before.iter().all(only_puts_off);
    match subscription.activity {
        _ if !is_wanted => step("delivery", false, "nothing would be sent"),
        Activity::Disabled => step("delivery", false, "nothing would be kept or sent"),
        Activity::Active if !subscription.paused => step("delivery", true, "it would be sent"),
        Activity::Active | Activity::Tripped => step("delivery", false, "it would be kept and sent later"),
    }
}

/// There is no delivery: what the row says now may have changed since.
fn not_admitted(before: &[Step]) -> Step {
    let detail = match before.iter().find(|step| step.passed == Some(false)) {
        Some(_) => "there is no delivery of it to this subscription, for what was said before",
        None => {
            "there is no delivery of it to this subscription, though its row would have it now: the row was other when \
             the event came, or the delivery was removed by retention"
        }
    };
    step("delivery", false, detail)
}

fn followed(delivery: &Delivery) -> Vec<Step> {
    let Delivery { id, standing, attempts, reason } = delivery;
    let tries = if *attempts == 1 { "1 attempt".to_owned() } else { format!("{attempts} attempts") };
    let mut steps = vec![step("delivery", true, format!("delivery {id} was made of it"))];
    let reason = reason.map_or("reason unknown", Reason::as_str);
    let again =
        format!("`decnet delivery show {id}` shows them, `decnet delivery redeliver {id}` sends it again");
    let (passed, detail) = match standing {
        Standing::Delivered => (Some(true), format!("the receiver took it, after {tries}")),
        Standing::Pending if *attempts == 0 => {
            (None, "it waits for its turn; no attempt was made yet".to_owned())
        }
        Standing::Pending => (None, format!("it waits for its turn, after {tries}")),
        Standing::Retrying => {
            (None, format!("{tries} failed; it is tried again: `decnet delivery show {id}` says when"))
        }
        Standing::Parked => (
            Some(false),
            format!("it is parked, after {tries}: it is sent once its subscription gets events again"),
        ),
        Standing::Dead if *attempts == 0 => (Some(false), format!("it was given up unsent: {reason}")),
        Standing::Dead => (Some(false), format!("it was given up after {tries}: {reason}; {again}")),
    };
    steps.push(step("attempts", passed, detail));
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscription(activity: Activity, patterns: &[String]) -> Subscription<'_> {
        Subscription { name: "siem", patterns, activity, problem: None, gone: false, paused: false }
    }

    fn told(steps: &[Step]) -> Vec<(&str, Option<bool>)> {
        steps.iter().map(|step| (step.step, step.passed)).collect()
    }

    #[test]
    fn an_event_that_would_go_passes_every_step() {
        let patterns = ["x.y".to_owned(), "a.>".to_owned()];
        let steps = explain(Some("a.b"), Event::Imagined, &subscription(Activity::Active, &patterns), None);
        assert!(steps.iter().all(|step| step.passed == Some(true)), "{steps:?}");
        assert!(steps[2].detail.contains("`a.>`"));
    }

    #[test]
    fn the_step_that_stops_it_is_named() {
        let patterns = ["a.>".to_owned()];
        let wanted = |activity| {
            let steps = explain(Some("a.b"), Event::Imagined, &subscription(activity, &patterns), None);
            (steps[3].passed, steps[4].detail.clone())
        };
        assert_eq!(wanted(Activity::Tripped), (Some(false), "it would be kept and sent later".into()));
        assert_eq!(wanted(Activity::Disabled), (Some(false), "nothing would be kept or sent".into()));
        let paused = Subscription { paused: true, ..subscription(Activity::Active, &patterns) };
        let paused = explain(Some("a.b"), Event::Imagined, &paused, None);
        assert_eq!(told(&paused)[4..], [("paused", Some(false)), ("delivery", Some(false))]);
        let other = explain(Some("b.c"), Event::Imagined, &subscription(Activity::Active, &patterns), None);
        assert_eq!(
            told(&other)[2..],
            [("pattern", Some(false)), ("enabled", Some(true)), ("delivery", Some(false))]
        );
        let broken =
            Subscription { problem: Some("no usable pattern"), ..subscription(Activity::Active, &[]) };
        let broken = explain(Some("a.b"), Event::Admitted, &broken, None);
        assert_eq!(told(&broken)[1], ("row", Some(false)));
        assert_eq!(broken.last().map(|step| step.passed), Some(Some(false)));
    }

    #[test]
    fn a_delivery_is_followed_to_where_it_stands() {
        let patterns = ["a.>".to_owned()];
        let last = |standing, attempts, reason| {
            let delivery = Delivery { id: "7.0".into(), standing, attempts, reason };
            let row = subscription(Activity::Active, &patterns);
            let steps = explain(Some("a.b"), Event::Admitted, &row, Some(&delivery));
            assert_eq!(steps[4].step, "delivery");
            steps.last().unwrap().clone()
        };
        assert_eq!(last(Standing::Delivered, 1, None).passed, Some(true));
        assert_eq!(last(Standing::Retrying, 2, None).passed, None);
        assert_eq!(last(Standing::Parked, 0, None).passed, Some(false));
        let dead = last(Standing::Dead, 17, Some(Reason::Timeout));
        assert!(dead.detail.contains("17 attempts: timeout"), "{dead:?}");
    }

    #[test]
    fn what_nobody_knows_is_said_to_be_unknown() {
        let patterns = ["a.>".to_owned()];
        let row = subscription(Activity::Active, &patterns);
        let steps = explain(None, Event::Unknown { id: "e1" }, &row, None);
        assert_eq!(
            told(&steps),
            [("event", Some(false)), ("row", Some(true)), ("enabled", Some(true)), ("delivery", Some(false))]
        );
        assert_eq!(explain(Some("a.b"), Event::Submitted, &row, None)[0].passed, Some(false));
        let unfinished = explain(None, Event::NotAmongNewest { id: "e1", looked_at: 20_000 }, &row, None);
        assert_eq!(told(&unfinished), [("event", None), ("row", Some(true)), ("enabled", Some(true))]);
        assert!(unfinished[0].detail.contains("newest 20000"), "{unfinished:?}");
    }
}
