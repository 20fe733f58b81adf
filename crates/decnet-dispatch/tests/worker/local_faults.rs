//! What this host lacks is held against nobody: deliveries wait, and keep their retries.

use std::time::Duration;

use decnet_core::delivery::Reason;
use decnet_store::catalog::Patch;
use decnet_store::queue::{Filter, Reader};
use decnet_testkit::{Receiver, Step, reply};

use crate::rig::{PATIENCE, Rig, arrive, eventually, numbers};

/// A rig whose only socket a first receiver holds for a while; the name of the second subscription is `starved`.
fn starved(first: &Receiver, second: &Receiver) -> Rig {
    let mut rig = Rig::new();
    rig.options.sender.max_sockets = 1;
    rig.options.sender.deadline = PATIENCE;
    rig.options.shutdown_grace = Duration::from_secs(1);
    rig.options.concurrency = 1;
    rig.options.schedule = "none".parse().unwrap();
    rig.options.circuit_threshold = 1;
    rig.subscribe("holder", &first.url("/"), &["first.>"]);
    rig.subscribe("starved", &second.url("/"), &["second.>"]);
    rig.start_bus();
    rig.start_worker();
    rig.publish_numbered("first.a", 1);
    arrive(first, 1);
    rig
}

fn postponed(rig: &Rig) -> u64 {
    rig.stats.attempts(Some(Reason::Internal)).get()
}

#[test]
fn deliveries_wait_for_a_socket_and_use_up_no_retry() {
    let first = Receiver::start(reply(200).delay(Duration::from_secs(1)));
    let second = Receiver::start(reply(200));
    let mut rig = starved(&first, &second);
    rig.publish_numbered("second.a", 20);
    eventually("they find no socket", || postponed(&rig) > 0);
    eventually("all are delivered", || rig.counts("starved").delivered == 20);
    let mut sent = numbers(&second);
    sent.sort_unstable();
    assert_eq!(sent, (0..20).collect::<Vec<_>>(), "each once");
    let row = rig.row("starved");
    assert!(row.enabled && row.consecutive_failures == 0 && row.last_error.is_none(), "{row:?}");
    rig.stop_worker();
    let listed = Reader::open(rig.dir.path()).unwrap().list(&Filter::default()).unwrap();
    assert_eq!(listed.len(), 21);
    assert!(listed.iter().all(|listed| listed.attempts == 1), "{listed:?}");
}

#[test]
fn order_is_kept_by_what_is_put_back() {
    let first = Receiver::start(reply(200).delay(Duration::from_secs(1)));
    let second = Receiver::start(reply(200));
    let mut rig = starved(&first, &second);
    let ordered = serde_json::from_str(r#"{"ordered": true}"#).unwrap();
    rig.patch("starved", &Patch { settings: ordered, ..Patch::default() });
    rig.reload();
    rig.publish_numbered("second.a", 20);
    eventually("they find no socket", || postponed(&rig) > 0);
    eventually("all are delivered", || rig.counts("starved").delivered == 20);
    assert_eq!(numbers(&second), (0..20).collect::<Vec<_>>());
    rig.stop_worker();
}

/// What waits for a socket when its subscription is paused goes back to the queue, and is there after a restart.
#[test]
fn what_is_put_back_survives_a_pause_and_a_restart() {
    let (first, second) = (Receiver::start(Step::Hang), Receiver::start(reply(200)));
    let mut rig = starved(&first, &second);
    rig.publish_numbered("second.a", 5);
    eventually("they find no socket", || postponed(&rig) > 0);
    rig.patch("starved", &Patch { paused: Some(true), ..Patch::default() });
    rig.reload();
    eventually("they are in the queue", || rig.counts("starved").pending == 5);
    first.set(reply(200));
    rig.stop_worker();
    rig.patch("starved", &Patch { paused: Some(false), ..Patch::default() });
    rig.start_worker();
    eventually("all are delivered", || rig.counts("starved").delivered == 5);
    assert_eq!(second.count(), 5);
    rig.stop_worker();
}
