//! A cycle through every kind of change, each followed by an event.

use decnet_store::catalog::Patch;
use serde_json::json;

use crate::ledger::{Ledger, Verdict};
use crate::scene::{Publisher, Scene};

/// The number of cycles after which the queue is checked and the subscriptions are deleted.
const ROUND: usize = 10;

/// The client that changes subscriptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Changer {
    /// Our routes.
    Api,
    /// DECNET's routes.
    Webhooks,
    /// `decnet subscription`.
    Cli,
}

/// A change.
#[derive(Debug, Clone, Copy)]
enum Change<'a> {
    Patterns(&'a str),
    Url(&'a str),
    Enabled(bool),
    Paused(bool),
    Delete,
}

/// Runs `number` cycles, or as many as `CHANGE_CYCLES` requests, and prints the result. Fails if an event was not routed by the
/// change before it.
#[track_caller]
pub(crate) fn cycles(scene: &Scene, changer: Changer, publisher: Publisher, number: usize) {
    let cycles = std::env::var("CHANGE_CYCLES").map_or(number, |cycles| cycles.parse().unwrap());
    let (mut verdict, mut done) = (Verdict::default(), 0);
    while done < cycles {
        let round = ROUND.min(cycles - done);
        let cycles: Vec<_> = (done..done + round)
            .map(|n| Cycle { scene, changer, publisher, name: format!("s{n}") })
            .collect();
        cycles.iter().for_each(Cycle::prepare);
        scene.create(&format!("s{done}-ready"), "/ready", "ready");
        scene.publish_anchor(publisher);
        let mut ledger = Ledger::new();
        cycles.iter().for_each(|cycle| cycle.run(&mut ledger));
        scene.publish_anchor(publisher);
        verdict += ledger.settle(scene);
        scene.clean_up();
        done += round;
    }
    let Verdict { events, missed, wrong } = verdict;
    println!(
        "{scene:?} {changer:?} {publisher:?}: {missed} missed, {wrong} wrong, of {events} events in {cycles} cycles"
    );
    assert_eq!((missed, wrong), (0, 0));
}

/// A change of each kind. Each kind has its own subscription, because a later change of the same subscription could also route
/// the event.
struct Cycle<'a> {
    scene: &'a Scene,
    changer: Changer,
    publisher: Publisher,
    name: String,
}

impl Cycle<'_> {
    /// Creates the subscriptions that are to be changed.
    fn prepare(&self) {
        for what in ["moved", "redirected", "disabled", "enabled", "paused", "resumed", "deleted"] {
            let patch = Patch {
                enabled: (what == "enabled").then_some(false),
                paused: (what == "resumed").then_some(true),
                ..Patch::default()
            };
            self.scene.prepare(&self.of(what), &self.of(what), &patch);
        }
    }

    fn run(&self, ledger: &mut Ledger) {
        let created = self.of("created");
        self.create(&created, &format!("{created}.>"));
        self.sent(ledger, "created.x", "/a");
        let new = self.of("new");
        self.change("moved", Change::Patterns(&new));
        self.nothing(ledger, "moved");
        self.sent(ledger, "new", "/a");
        self.change("redirected", Change::Url("/b"));
        self.sent(ledger, "redirected", "/b");
        self.change("disabled", Change::Enabled(false));
        self.nothing(ledger, "disabled");
        self.change("enabled", Change::Enabled(true));
        self.sent(ledger, "enabled", "/a");
        self.change("deleted", Change::Delete);
        self.nothing(ledger, "deleted");
        // DECNET's routes cannot pause a subscription.
        if self.changer != Changer::Webhooks {
            self.change("resumed", Change::Paused(false));
            self.sent(ledger, "resumed", "/a");
            self.change("paused", Change::Paused(true));
            self.publish("paused");
            ledger.expect_held(&self.of("paused"), &self.of("paused"));
        }
    }

    /// Returns a name, which is also a topic, of this cycle.
    fn of(&self, what: &str) -> String {
        format!("{}.{what}", self.name)
    }

    fn publish(&self, what: &str) -> String {
        let topic = self.of(what);
        self.scene.publish(self.publisher, &topic);
        topic
    }

    fn sent(&self, ledger: &mut Ledger, what: &str, path: &str) {
        ledger.expect_sent(&self.publish(what), path);
    }

    fn nothing(&self, ledger: &mut Ledger, what: &str) {
        self.publish(what);
        ledger.expect_nothing();
    }

    fn create(&self, name: &str, pattern: &str) {
        let (scene, url) = (self.scene, self.scene.receiver.url("/a"));
        let body = json!({"name": name, "url": url, "topic_patterns": [pattern]}).to_string();
        match self.changer {
            Changer::Api => drop(scene.ask("POST /subscriptions", &body)),
            // DECNET's routes accept 20 of these per minute and address; here each request has an address of its own.
            Changer::Webhooks => drop(scene.ask("POST /webhooks", &body)),
            Changer::Cli => {
                scene.run(&["subscription", "create", "--name", name, "--url", &url, "--pattern", pattern]);
            }
        }
    }

    fn change(&self, what: &str, change: Change<'_>) {
        let name = self.of(what);
        match self.changer {
            Changer::Api => self.change_over_http("subscriptions", &self.scene.uuid(&name), change),
            Changer::Webhooks => self.change_over_http("webhooks", &self.scene.uuid(&name), change),
            Changer::Cli => self.change_by_command(&name, change),
        }
    }

    fn change_over_http(&self, route: &str, id: &str, change: Change<'_>) {
        let patch = match change {
            Change::Patterns(pattern) => json!({ "topic_patterns": [pattern] }),
            Change::Url(path) => json!({ "url": self.scene.receiver.url(path) }),
            Change::Enabled(enabled) => json!({ "enabled": enabled }),
            Change::Paused(paused) => json!({ "paused": paused }),
            Change::Delete => return drop(self.scene.ask(&format!("DELETE /{route}/{id}"), "")),
        };
        self.scene.ask(&format!("PATCH /{route}/{id}"), &patch.to_string());
    }

    fn change_by_command(&self, id: &str, change: Change<'_>) {
        let url;
        let arguments: &[&str] = match change {
            Change::Patterns(pattern) => &["update", id, "--pattern", pattern],
            Change::Url(path) => {
                url = self.scene.receiver.url(path);
                &["update", id, "--url", &url]
            }
            Change::Enabled(true) => &["enable", id],
            Change::Enabled(false) => &["disable", id],
            Change::Paused(true) => &["pause", id],
            Change::Paused(false) => &["resume", id],
            Change::Delete => &["delete", id],
        };
        self.scene.run(&[&["subscription"], arguments].concat());
    }
}
