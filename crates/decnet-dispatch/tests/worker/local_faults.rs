//! Faults of this host: deliveries wait and keep their retries.

use std::time::Duration;

use decnet_core::delivery::Reason;
use decnet_testkit::{Receiver, Step, reply};

use crate::rig::{PATIENCE, Rig, arrive, eventually, numbers};

/// Returns a rig whose only socket is used by the subscription `holder`; `starved` waits for it.
fn starved(first: &Receiver, second: &Receiver) -> Rig {
    let mut rig = Rig::running_with(
        &[("holder", &first.url("/"), "first.>"), ("starved", &second.url("/"), "second.>")],
        |options| {
            options.sender.max_sockets = 1;
            options.sender.deadline = PATIENCE;
            options.shutdown_grace = Duration::from_secs(1);
            options.concurrency = 1;
            options.schedule = "none".parse().unwrap();
            options.circuit_threshold = 1;
        },
    );
    rig.publish_numbered("first.a", 1);
    arrive(first, 1);
    rig
}

pub(crate) fn postponed(rig: &Rig) -> u64 {
    rig.stats.attempts(Some(Reason::Internal)).get()
}

#[test]
fn deliveries_wait_for_a_socket_without_using_a_retry() {
    let first = Receiver::start(reply(200).delay(Duration::from_secs(1)));
    let second = Receiver::start(reply(200));
    let mut rig = starved(&first, &second);
    rig.publish_numbered("second.a", 20);
    eventually("the deliveries wait for a socket", || postponed(&rig) > 0);
    eventually("all are delivered", || rig.counts("starved").delivered == 20);
    let mut received = numbers(&second);
    received.sort_unstable();
    assert_eq!(received, (0..20).collect::<Vec<_>>(), "each event once");
    let row = rig.row("starved");
    assert!(row.enabled && row.consecutive_failures == 0 && row.last_error.is_none(), "{row:?}");
    rig.stop_worker();
    let listed = rig.deliveries();
    assert_eq!(listed.len(), 21);
    assert!(listed.iter().all(|listed| listed.attempts == 1), "{listed:?}");
}

#[test]
fn ordered_deliveries_keep_order_while_waiting_for_a_socket() {
    let first = Receiver::start(reply(200).delay(Duration::from_secs(1)));
    let second = Receiver::start(reply(200));
    let mut rig = starved(&first, &second);
    rig.set("starved", r#"{"ordered": true}"#);
    rig.reload();
    rig.publish_numbered("second.a", 20);
    eventually("the deliveries wait for a socket", || postponed(&rig) > 0);
    eventually("all are delivered", || rig.counts("starved").delivered == 20);
    assert_eq!(numbers(&second), (0..20).collect::<Vec<_>>());
}

/// A pause returns deliveries that wait for a socket to the queue.
#[test]
fn deliveries_without_socket_survive_pause_and_restart() {
    let (first, second) = (Receiver::start(Step::Hang), Receiver::start(reply(200)));
    let mut rig = starved(&first, &second);
    rig.publish_numbered("second.a", 5);
    eventually("the deliveries wait for a socket", || postponed(&rig) > 0);
    rig.set_paused("starved", true);
    rig.reload();
    eventually("the deliveries are in the queue", || rig.counts("starved").pending == 5);
    first.set(reply(200));
    rig.stop_worker();
    rig.set_paused("starved", false);
    rig.start_worker();
    eventually("all are delivered", || rig.counts("starved").delivered == 5);
    assert_eq!(second.count(), 5);
}
