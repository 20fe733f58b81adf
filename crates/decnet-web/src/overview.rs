//! The state of everything, in one sentence.

use crate::receiver::Receiver;
use crate::{Count, Span, Text};

/// The maximum number of receivers in trouble on the overview.
const MAX_SHOWN: usize = 20;

/// Which parts work.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the fields of the API's readiness")]
pub struct Parts {
    /// Whether the subscriptions can be read.
    pub catalog: bool,
    /// Whether the queue can be used.
    pub queue: bool,
    /// Whether a worker is running.
    pub worker: bool,
    /// Whether the bus answers.
    pub bus: bool,
    /// What does not work, and why.
    #[serde(default)]
    pub reasons: Vec<Text>,
}

/// The state of everything.
#[derive(Debug)]
pub struct Overview {
    /// The state in one sentence.
    pub sentence: String,
    /// `good`, `bad` or `idle`.
    pub tone: &'static str,
    /// Receivers in trouble, those with most waiting deliveries first.
    pub trouble: Vec<Receiver>,
    /// The number of receivers in trouble.
    pub in_trouble: Count,
    /// The number of subscriptions.
    pub receivers: Count,
    /// Deliveries that wait.
    pub waiting: Count,
    /// Delivered deliveries that are kept.
    pub delivered: Count,
    /// Dead deliveries that were not redelivered.
    pub failed: Count,
    /// The age of the oldest delivery that was not attempted yet.
    pub oldest: Option<Span>,
    /// Which parts work.
    pub parts: Parts,
}

impl Parts {
    /// Returns the parts with their names.
    #[must_use]
    pub fn named(&self) -> [(&'static str, bool); 4] {
        [("worker", self.worker), ("queue", self.queue), ("catalog", self.catalog), ("bus", self.bus)]
    }
}

impl Overview {
    /// Returns whether more receivers are in trouble than are listed.
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.in_trouble.0 > self.trouble.len() as u64
    }

    /// Summarizes the receivers. `failed` is the number of dead deliveries that were not redelivered.
    #[must_use]
    pub fn new(receivers: &[Receiver], failed: Count, parts: Parts) -> Self {
        let sum = |of: fn(&Receiver) -> Count| Count(receivers.iter().map(|receiver| of(receiver).0).sum());
        let mut trouble: Vec<_> =
            receivers.iter().filter(|receiver| receiver.is_in_trouble()).cloned().collect();
        let in_trouble = Count(trouble.len() as u64);
        trouble.sort_by(|a, b| b.waiting.cmp(&a.waiting).then_with(|| a.name.raw().cmp(b.name.raw())));
        trouble.truncate(MAX_SHOWN);
        let mut overview = Self {
            sentence: String::new(),
            tone: "good",
            trouble,
            in_trouble,
            receivers: Count(receivers.len() as u64),
            waiting: sum(|receiver| receiver.waiting),
            delivered: sum(|receiver| receiver.delivered),
            failed,
            oldest: receivers.iter().filter_map(|receiver| receiver.oldest).max(),
            parts,
        };
        (overview.sentence, overview.tone) = overview.headline();
        overview
    }

    fn headline(&self) -> (String, &'static str) {
        let waiting = (!self.waiting.is_zero()).then(|| self.backlog());
        let with_backlog = |sentence: String| match &waiting {
            Some(backlog) => format!("{sentence}; {backlog}"),
            None => sentence,
        };
        if !self.parts.worker {
            return (with_backlog("No worker is running, so nothing is sent".into()), "bad");
        }
        if !self.in_trouble.is_zero() {
            let who = self.in_trouble.of("receiver is", "receivers are");
            return (with_backlog(format!("{who} in trouble")), "bad");
        }
        if self.receivers.is_zero() {
            return ("There are no subscriptions yet".into(), "idle");
        }
        (with_backlog("Everything is being delivered".into()), "good")
    }

    fn backlog(&self) -> String {
        let waiting = self.waiting.of("delivery waits", "deliveries wait");
        self.oldest.map_or_else(|| waiting.clone(), |oldest| format!("{waiting}, the oldest for {oldest}"))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::chart::Sparkline;

    fn receiver(state: &'static str, failures: u64, waiting: u64) -> Receiver {
        Receiver {
            uuid: "u".into(),
            name: "n".into(),
            url: "https://a.example/…".into(),
            state,
            failures: Count(failures),
            error: None,
            waiting: Count(waiting),
            dead: Count(0),
            delivered: Count(0),
            oldest: (waiting > 0).then_some(Span(Duration::from_secs(waiting))),
            last_success: None,
            last_failure: None,
            activity: Sparkline::default(),
        }
    }

    fn sentence(receivers: &[Receiver], worker: bool) -> String {
        Overview::new(receivers, Count(0), Parts { worker, ..Parts::default() }).sentence
    }

    #[test]
    fn sentence_names_what_matters_most() {
        let (fine, paused) = (receiver("active", 0, 0), receiver("paused", 0, 5));
        assert_eq!(sentence(&[], true), "There are no subscriptions yet");
        assert_eq!(sentence(std::slice::from_ref(&fine), true), "Everything is being delivered");
        assert_eq!(
            sentence(&[fine.clone(), paused], true),
            "Everything is being delivered; 5 deliveries wait, the oldest for 5 s"
        );
        let troubled = [fine, receiver("tripped", 9, 4000), receiver("active", 1, 120)];
        assert_eq!(
            sentence(&troubled, true),
            "2 receivers are in trouble; 4,120 deliveries wait, the oldest for 1 h 6 min"
        );
        assert_eq!(
            sentence(&troubled, false),
            "No worker is running, so nothing is sent; 4,120 deliveries wait, the oldest for 1 h 6 min"
        );
    }

    #[test]
    fn receivers_with_most_waiting_deliveries_come_first() {
        let overview =
            Overview::new(&[receiver("gone", 0, 1), receiver("tripped", 9, 4)], Count(0), Parts::default());
        assert_eq!(overview.trouble.iter().map(|one| one.waiting.0).collect::<Vec<_>>(), [4, 1]);
    }
}
