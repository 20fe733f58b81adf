//! SIGTERM under load.

use crate::audit::audit;
use crate::host::{End, Host, eventually};
use crate::publisher::{Publisher, burst};
use crate::random::Random;
use crate::witness::{Behaviour, Witness};

/// The number of requests that a worker must have sent before it is stopped.
const UNDER_LOAD: usize = 50;

#[test]
fn clean_shutdown_loses_and_repeats_nothing() {
    let mut random = Random::new();
    let witness = Witness::new(Behaviour::Slow, random.split());
    let mut host = Host::new(&[]);
    host.subscribe("one", &witness.url("one"), &[">"]);
    host.subscribe("two", &witness.url("two"), &["attacker.>", "decky.*.state"]);
    let publisher = Publisher::start(host.socket(), random.split());
    for _ in 0..4 {
        let before = witness.count();
        host.start_worker();
        eventually("requests are made", || witness.count() >= before + UNDER_LOAD);
        host.terminate();
        assert_eq!(host.await_end(&witness, End::Clean).code(), Some(0), "{}", host.log_tail());
    }
    publisher.stop();
    witness.set(Behaviour::Good);
    host.start_listening_worker();
    host.drain_and_stop(&witness);
    let summary = audit(&host, &witness);
    assert_eq!((summary.unrecorded, summary.receipts), (0, summary.deliveries), "{summary:?}");
}

#[test]
fn second_signal_stops_at_once_and_loses_nothing() {
    let witness = Witness::new(Behaviour::Hung, Random::new());
    let mut host = Host::new(&[("DECNET_WEBHOOK_TIMEOUT", "2m")]);
    host.subscribe("one", &witness.url("one"), &["a.b"]);
    host.start_listening_worker();
    burst(&host.socket(), "a.b", 100);
    eventually("a request hangs", || witness.count() > 0);
    host.terminate();
    host.await_log("stopping");
    host.terminate();
    // A worker that had waited for its requests would have exited with 0.
    let status = host.await_end(&witness, End::Killed);
    assert_eq!(status.code(), Some(143), "128 and SIGTERM: {}", host.log_tail());
    witness.set(Behaviour::Good);
    host.start_listening_worker();
    host.drain_and_stop(&witness);
    let summary = audit(&host, &witness);
    assert_eq!((summary.deliveries, summary.receipts), (100, 100 + summary.unrecorded), "{summary:?}");
    assert!(summary.unrecorded > 0, "the hanging requests were sent again: {summary:?}");
}
