//! The expected and the actual deliveries.

use std::collections::BTreeSet;

use decnet_core::time::UnixMicros;
use decnet_runtime::clock;
use decnet_store::queue::{Filter, Reader};

use crate::scene::Scene;
use crate::support::eventually;

/// A delivery: a unique topic, and the recipient.
type Delivery = (String, String);

/// The deliveries that the changes require, since the ledger was created.
pub(crate) struct Ledger {
    since: UnixMicros,
    /// Expected requests, by topic and path.
    sent: BTreeSet<Delivery>,
    /// Expected waiting deliveries, by topic and subscription.
    held: BTreeSet<Delivery>,
    /// The number of published events.
    published: u64,
}

/// The result of a comparison.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) events: u64,
    /// The number of missing deliveries.
    pub(crate) missed: usize,
    /// The number of deliveries that were not expected.
    pub(crate) wrong: usize,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self { since: clock::now(), sent: BTreeSet::new(), held: BTreeSet::new(), published: 0 }
    }

    pub(crate) fn expect_sent(&mut self, topic: &str, path: &str) {
        self.sent.insert((topic.into(), path.into()));
        self.published += 1;
    }

    pub(crate) fn expect_held(&mut self, topic: &str, name: &str) {
        self.held.insert((topic.into(), name.into()));
        self.published += 1;
    }

    pub(crate) fn expect_nothing(&mut self) {
        self.published += 1;
    }

    /// Compares the ledger with the queue and the received requests, once all published events are admitted.
    pub(crate) fn settle(self, scene: &Scene) -> Verdict {
        let reader = Reader::open(&scene.data_dir()).unwrap();
        let listed = reader.list(&Filter { since: Some(self.since), ..Filter::default() }).unwrap();
        let topics: BTreeSet<&str> = listed
            .iter()
            .map(|listed| &*listed.topic)
            .filter(|topic| !topic.starts_with("anchor."))
            .collect();
        let wanted: BTreeSet<&str> = self.sent.iter().chain(&self.held).map(|(topic, _)| &**topic).collect();
        let missed: Vec<_> = wanted.difference(&topics).collect();
        let unasked: Vec<_> = topics.difference(&wanted).collect();
        let owed = self.sent.iter().filter(|(topic, _)| topics.contains(&**topic)).count();
        let received = || scene.received();
        eventually("what is admitted is sent", || received().len() >= owed);
        let received = received();
        let strays: Vec<_> = received.difference(&self.sent).collect();
        if !missed.is_empty() || !unasked.is_empty() || !strays.is_empty() {
            println!("missed {missed:?}; not asked for {unasked:?}; sent elsewhere {strays:?}");
        }
        Verdict { events: self.published, missed: missed.len(), wrong: unasked.len() + strays.len() }
    }
}

impl std::ops::AddAssign for Verdict {
    fn add_assign(&mut self, other: Self) {
        self.events += other.events;
        self.missed += other.missed;
        self.wrong += other.wrong;
    }
}
