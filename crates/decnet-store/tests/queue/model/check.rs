//! Comparison of a queue with the model.

use decnet_core::delivery::State;
use decnet_store::queue::{Reader, SubscriptionBacklog};

use super::{Expected, Model, SUBS};
use crate::support::*;

impl Model {
    /// Asserts that a reader returns the deliveries of the model.
    pub(super) fn check(&self) {
        let found = list(self.dir.path());
        assert!(found.is_sorted_by(|newer, older| newer.id > older.id));
        assert_eq!(
            found.iter().rev().map(|listed| listed.id).collect::<Vec<_>>(),
            self.deliveries.keys().copied().collect::<Vec<_>>(),
            "the same deliveries"
        );
        for listed in &found {
            let delivery = &self.deliveries[&listed.id];
            assert_eq!((listed.state, listed.attempts), (delivery.state, delivery.attempts), "{}", listed.id);
            assert_eq!(listed.settled_at, delivery.settled_at);
            assert_eq!(*listed.subscription_uuid, *format!("uuid-{}", delivery.sub));
            assert_eq!(listed.event_id, event(delivery.event).id);
        }
    }

    /// Asserts that the backlogs of all subscriptions match the model.
    pub(super) async fn check_backlogs(&self) {
        let mut expected = Vec::new();
        for sub in 0..SUBS {
            let mine = || self.deliveries.values().filter(|delivery| delivery.sub == sub && !delivery.held);
            let queued = mine().any(|delivery| delivery.state == State::Pending);
            let due = |delivery: &Expected| {
                if let State::Retrying { due_at } = delivery.state { Some(due_at) } else { None }
            };
            let next_due = mine().filter_map(due).min();
            if queued || next_due.is_some() {
                let uuid = format!("uuid-{sub}").into();
                expected.push(SubscriptionBacklog { sub: self.keys[sub], uuid, queued, next_due });
            }
        }
        assert_eq!(self.queue().backlogs().await.unwrap(), expected);
    }

    /// Asserts that exactly the applied attempts are stored.
    pub(super) fn check_attempts(&self) {
        let reader = Reader::open(self.dir.path()).unwrap();
        for (id, delivery) in &self.deliveries {
            let attempts = reader.get(*id).unwrap().unwrap().attempts;
            let numbers: Vec<u32> = attempts.iter().map(|attempt| attempt.number).collect();
            assert_eq!(numbers, (1..=delivery.attempts).collect::<Vec<_>>(), "{id}");
        }
    }
}
