//! SIGTERM under load.

use crate::audit::audit;
use crate::chance::Chance;
use crate::host::{End, Host, eventually};
use crate::publisher::{Publisher, burst};
use crate::witness::{Mood, Witness};

/// Requests that a life must have made before it is ended.
const UNDER_LOAD: usize = 50;

#[test]
fn a_clean_end_loses_nothing_and_repeats_nothing() {
    let mut chance = Chance::new();
    let witness = Witness::new(Mood::Slow, chance.split());
    let mut host = Host::new(&[]);
    host.subscribe("one", &witness.url("one"), &[">"]);
    host.subscribe("two", &witness.url("two"), &["attacker.>", "decky.*.state"]);
    let publisher = Publisher::start(host.socket(), chance.split());
    for _ in 0..4 {
        let before = witness.count();
        host.start_worker();
        eventually("requests are made", || witness.count() >= before + UNDER_LOAD);
        host.terminate();
        assert_eq!(host.await_end(&witness, End::Clean).code(), Some(0), "{}", host.last_words());
    }
    publisher.stop();
    witness.set(Mood::Good);
    host.start_listening_worker();
    host.settle_up(&witness);
    let summary = audit(&host, &witness);
    assert_eq!((summary.unrecorded, summary.receipts), (0, summary.deliveries), "{summary:?}");
}

#[test]
fn a_second_signal_ends_at_once_and_loses_nothing() {
    let witness = Witness::new(Mood::Hung, Chance::new());
    let mut host = Host::new(&[("DECNET_WEBHOOK_TIMEOUT", "2m")]);
    host.subscribe("one", &witness.url("one"), &["a.b"]);
    host.start_listening_worker();
    burst(&host.socket(), "a.b", 100);
    eventually("a request hangs", || witness.count() > 0);
    host.terminate();
    host.await_word("stopping");
    host.terminate();
    // A worker that had waited for its requests would have ended with 0.
    let status = host.await_end(&witness, End::Killed);
    assert_eq!(status.code(), Some(143), "128 and SIGTERM: {}", host.last_words());
    witness.set(Mood::Good);
    host.start_listening_worker();
    host.settle_up(&witness);
    let summary = audit(&host, &witness);
    assert_eq!((summary.deliveries, summary.receipts), (100, 100 + summary.unrecorded), "{summary:?}");
    assert!(summary.unrecorded > 0, "what hung was sent again: {summary:?}");
}
