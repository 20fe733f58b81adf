//! Explanations why an event did or did not reach a subscription, as the API returns them.

use serde::Deserialize;

use crate::Text;
use crate::delivery::Name;

/// The question of the form.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Question {
    /// The name or the UUID of the subscription.
    #[serde(default)]
    pub subscription: String,
    /// The id of a past event.
    #[serde(default)]
    pub event_id: String,
    /// The topic of a future event.
    #[serde(default)]
    pub topic: String,
}

/// The path of an event to a subscription, step by step.
#[derive(Debug, Deserialize)]
pub struct Explanation {
    /// The subscription.
    pub subscription: Name,
    /// The topic of the event.
    pub topic: Option<Text>,
    /// The newest delivery of the event to the subscription.
    pub delivery_id: Option<Text>,
    /// The conditions in order.
    pub steps: Vec<Step>,
}

/// One condition on the path.
#[derive(Debug, Deserialize)]
pub struct Step {
    /// The name of the step.
    pub step: Text,
    /// Whether the event passed; `None` if that is undecided.
    pub passed: Option<bool>,
    /// The reason, and what to do.
    pub detail: Text,
}

impl Explanation {
    /// Returns the first step that the event did not pass.
    #[must_use]
    pub fn obstacle(&self) -> Option<&Step> {
        self.steps.iter().find(|step| step.passed == Some(false))
    }
}

impl Step {
    /// Returns the name of the step for people.
    #[must_use]
    pub fn label(&self) -> String {
        let label = match self.step.raw() {
            "event" => "Event",
            "row" => "Subscription",
            "pattern" => "Topic pattern",
            "severity" => "Minimum severity",
            "filter" => "Filter",
            "enabled" => "Enabled",
            "paused" => "Not paused",
            "held" => "Not held",
            "delivery" => "Delivery",
            "attempts" => "Receiver",
            _ => return self.step.to_string(),
        };
        label.to_owned()
    }

    /// Returns the detail as a sentence, in parts: whether a part was between backquotes, and its text.
    #[must_use]
    pub fn parts(&self) -> Vec<(bool, String)> {
        let detail = self.detail.to_string();
        let mut chars = detail.chars();
        let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
        let sentence = format!("{first}{}.", chars.as_str());
        sentence.split('`').map(str::to_owned).enumerate().map(|(at, text)| (at % 2 == 1, text)).collect()
    }

    /// Returns what to do if the event did not pass the step.
    #[must_use]
    pub fn remedy(&self) -> Option<Remedy> {
        if self.passed != Some(false) {
            return None;
        }
        Some(match self.step.raw() {
            "event" => Remedy::new(
                "Check that the id is right and that a worker is running; the topics of stored events are listed.",
                "Events",
                Target::Events,
            ),
            "row" | "held" => Remedy::new("Correct the subscription.", OPEN, Target::Subscription),
            "pattern" => Remedy::new(
                "Add a pattern that matches the topic, if the receiver is to get such events.",
                OPEN,
                Target::Subscription,
            ),
            "severity" => Remedy::new(
                "Lower the minimum severity, or raise the severity of the topic.",
                OPEN,
                Target::Subscription,
            ),
            "filter" => {
                Remedy::new("Change the filter, if it is to accept the event.", OPEN, Target::Subscription)
            }
            "enabled" => {
                Remedy::new("Fix the receiver, then enable the subscription.", OPEN, Target::Subscription)
            }
            "paused" => Remedy::new("Resume the subscription.", OPEN, Target::Subscription),
            "attempts" => Remedy::new(
                "Read the replies, fix the cause, then redeliver.",
                "Open the delivery",
                Target::Delivery,
            ),
            _ => return None,
        })
    }
}

const OPEN: &str = "Open the subscription";

/// What to do about a step, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remedy {
    /// What to do.
    pub text: &'static str,
    /// The text of the link.
    pub label: &'static str,
    target: Target,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Events,
    Subscription,
    Delivery,
}

impl Remedy {
    const fn new(text: &'static str, label: &'static str, target: Target) -> Self {
        Self { text, label, target }
    }

    /// Returns the path of the page where the cause can be removed.
    #[must_use]
    pub fn path(&self, explanation: &Explanation) -> String {
        match (self.target, &explanation.delivery_id) {
            (Target::Events, _) => "/events".to_owned(),
            (Target::Delivery, Some(id)) => format!("/deliveries/{}", id.url()),
            _ => format!("/subscriptions/{}", explanation.subscription.uuid.url()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &str, passed: Option<bool>) -> Step {
        Step { step: name.into(), passed, detail: "no pattern matches `a.b`".into() }
    }

    #[test]
    fn failed_step_leads_to_the_page_that_repairs_it() {
        let subscription = Name { uuid: "u 1".into(), name: "a".into() };
        let mut explanation =
            Explanation { subscription, topic: None, delivery_id: Some("1.0".into()), steps: Vec::new() };
        let path = |step: Step, explanation: &Explanation| step.remedy().map(|found| found.path(explanation));
        let failed = Some(false);
        assert_eq!(path(step("pattern", failed), &explanation).unwrap(), "/subscriptions/u%201");
        assert_eq!(path(step("attempts", failed), &explanation).unwrap(), "/deliveries/1.0");
        assert_eq!(path(step("event", failed), &explanation).unwrap(), "/events");
        assert_eq!(path(step("pattern", Some(true)), &explanation), None);
        assert_eq!(path(step("delivery", failed), &explanation), None, "the steps before it explain it");
        explanation.delivery_id = None;
        assert_eq!(path(step("attempts", failed), &explanation).unwrap(), "/subscriptions/u%201");
        let parts = [(false, "No pattern matches ".to_owned()), (true, "a.b".into()), (false, ".".into())];
        assert_eq!(step("pattern", failed).parts(), parts);
    }
}
