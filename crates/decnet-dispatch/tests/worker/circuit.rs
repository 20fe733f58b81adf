//! A failing receiver is parked, probed and resumed, and its row records that.

use std::time::Duration;

use decnet_core::topic::Pattern;
use decnet_store::catalog::Patch;
use decnet_testkit::{Receiver, Script, Step, reply};
use serde_json::json;

use crate::rig::{PATIENCE, Rig, arrive, eventually, is_recent};

#[test]
fn lane_trips_after_five_failures_and_recovers() {
    let receiver = Receiver::start(reply(500));
    let mut rig = Rig::running(&[("siem", &receiver.url("/"), "a.>")]);
    rig.publish_numbered("a.b", 20);
    eventually("the row is tripped", || !rig.row("siem").enabled);
    let row = rig.row("siem");
    assert!(row.auto_disabled_at.is_some() && row.consecutive_failures >= 5);
    assert_eq!(row.last_error.as_deref(), Some("HTTP 500 Internal Server Error"));
    rig.publish_numbered("a.c", 20);
    eventually("new events also wait", || rig.counts("siem").pending + rig.counts("siem").retrying == 40);

    receiver.set(reply(200));
    eventually("all are delivered", || rig.counts("siem").delivered == 40);
    eventually("the row is enabled again", || rig.row("siem").enabled);
    let row = rig.row("siem");
    assert_eq!((row.consecutive_failures, row.auto_disabled_at, row.last_error), (0, None, None));
}

/// The enable also counts if it leaves the row as it was before the trip.
#[test]
fn enabling_resumes_a_tripped_lane_at_once() {
    let receiver = Receiver::start(reply(500));
    let mut rig = Rig::running_with(&[("siem", &receiver.url("/"), "a.>")], |options| {
        options.probe_delay = (PATIENCE * 10, PATIENCE * 10);
    });
    rig.publish_numbered("a.b", 10);
    eventually("the row is tripped", || !rig.row("siem").enabled);
    receiver.set(reply(200));
    rig.set_enabled("siem", true);
    rig.reload();
    eventually("all are delivered", || rig.counts("siem").delivered == 10);
}

#[test]
fn rejected_bodies_are_recorded_without_a_trip() {
    for (status, text) in [
        (400, "HTTP 400 Bad Request"),
        (413, "HTTP 413 Payload Too Large"),
        (415, "HTTP 415 Unsupported Media Type"),
        (422, "HTTP 422 Unprocessable Entity"),
    ] {
        let receiver = Receiver::start(reply(status));
        let mut rig = Rig::running(&[("siem", &receiver.url("/"), "a.>")]);
        rig.publish_numbered("a.b", 20);
        eventually("all are rejected", || rig.counts("siem").dead == 20);
        eventually("the row has the rejection", || rig.row("siem").last_error.as_deref() == Some(text));
        let row = rig.row("siem");
        assert!(row.enabled && is_recent(row.last_failure_at) && row.last_success_at.is_none());
        assert_eq!(row.consecutive_failures, 0);
    }
}

#[test]
fn rejected_body_keeps_the_failure_count() {
    let receiver = Receiver::start(Script::steps([404, 404, 422].map(|status| reply(status).into())));
    let mut rig =
        Rig::running_with(&[("siem", &receiver.url("/"), "a.>")], |options| options.concurrency = 1);
    rig.publish_numbered("a.b", 3);
    let error = "HTTP 422 Unprocessable Entity";
    eventually("the row has the rejection", || rig.row("siem").last_error.as_deref() == Some(error));
    assert_eq!(rig.row("siem").consecutive_failures, 2);
}

#[test]
fn gone_receiver_is_parked_until_enabled() {
    let receiver = Receiver::start(Script::steps([reply(410).into(), reply(200).into()]));
    let mut rig =
        Rig::running_with(&[("siem", &receiver.url("/"), "a.>")], |options| options.concurrency = 1);
    rig.publish_numbered("a.b", 3);
    eventually("the row is gone", || rig.row("siem").gone && !rig.row("siem").enabled);
    assert_eq!(receiver.count(), 1);
    rig.restart_worker();
    assert_eq!(receiver.count(), 1, "a gone receiver is not probed, not even after a restart");
    rig.set_enabled("siem", true);
    rig.reload();
    eventually("all are delivered", || rig.counts("siem").delivered == 3);
}

#[test]
fn late_result_of_old_url_does_not_affect_new_url() {
    let (old, new) = (Receiver::start(Step::Hang), Receiver::start(reply(200)));
    let mut rig = Rig::running_with(&[("siem", &old.url("/"), "a.>")], |options| {
        options.circuit_threshold = 1;
        options.schedule = "".parse().unwrap();
    });
    rig.publish_numbered("a.b", 2);
    arrive(&old, 2);
    rig.set_url("siem", &new.url("/"));
    rig.reload();
    rig.publish("a.c", &json!({"n": 5}));
    arrive(&new, 1);
    eventually("the old attempts have timed out", || rig.counts("siem").dead == 2);
    rig.publish("a.c", &json!({"n": 6}));
    arrive(&new, 2);
    assert!(rig.row("siem").enabled, "a single failure would have tripped it");
}

#[test]
fn unwritten_failures_are_dropped_with_the_old_url() {
    let (old, new) = (Receiver::start(reply(404)), Receiver::start(reply(404)));
    let mut rig = Rig::running_with(&[("siem", &old.url("/"), "a.>")], |options| {
        options.record_interval = Duration::from_secs(3);
    });
    rig.publish_numbered("a.b", 3);
    eventually("three have failed", || rig.counts("siem").dead == 3);
    rig.set_url("siem", &new.url("/"));
    rig.reload();
    rig.publish("a.c", &json!({"n": 5}));
    eventually("the failure is in the row", || rig.row("siem").last_failure_at.is_some());
    assert_eq!(rig.row("siem").consecutive_failures, 1);
}

#[test]
fn gone_reply_to_a_probe_stops_probing() {
    let receiver = Receiver::start(reply(500));
    let mut rig = Rig::running(&[("siem", &receiver.url("/"), "a.>")]);
    rig.publish_numbered("a.b", 10);
    eventually("the row is tripped", || !rig.row("siem").enabled);
    receiver.set(reply(410));
    eventually("the row is gone", || rig.row("siem").gone);
}

#[test]
fn probes_use_no_retries_and_delay_nothing() {
    let receiver = Receiver::start(reply(500));
    let mut rig = Rig::running_with(&[("siem", &receiver.url("/"), "a.>")], |options| {
        options.probe_delay = (Duration::from_millis(10), Duration::from_millis(20));
        options.schedule = "5ms,10ms,15ms,500ms,1h,1h".parse().unwrap();
    });
    rig.publish_numbered("a.b", 6);
    eventually("the row is tripped", || !rig.row("siem").enabled);
    arrive(&receiver, 80);
    let dead = rig.counts("siem").dead;
    receiver.set(reply(200));
    eventually("the row is enabled again", || rig.row("siem").enabled);
    eventually("all are delivered before their retries are due", || rig.counts("siem").delivered == 6);
    assert_eq!(dead, 0);
}

/// The worker is restarted after the probes, so that their number must come from the queue.
#[test]
fn delivery_keeps_its_retries_after_many_probes() {
    let receiver = Receiver::start(reply(404));
    let mut rig = Rig::running_with(&[("siem", &receiver.url("/"), "a.>")], |options| {
        options.circuit_threshold = 1;
        options.probe_delay = (Duration::from_millis(1), Duration::from_millis(10));
        options.schedule = "300ms,1h,1h".parse().unwrap();
    });
    rig.publish_numbered("a.b", 1);
    eventually("the row is tripped", || !rig.row("siem").enabled);
    receiver.set(reply(503));
    rig.publish_numbered("a.c", 1);
    arrive(&receiver, 10);
    assert_eq!(rig.row("siem").consecutive_failures, 1, "a failed probe is not a failed delivery");
    rig.set_paused("siem", true);
    rig.reload();
    rig.restart_worker();

    receiver.set(Script::steps([reply(503).into(), reply(200).into()]));
    rig.patch("siem", &Patch { enabled: Some(true), paused: Some(false), ..Patch::default() });
    rig.reload();
    eventually("it is delivered after the first delay", || rig.counts("siem").delivered == 1);
    let attempts = rig.reader().get(rig.deliveries()[0].id).unwrap().unwrap().attempts;
    assert!(attempts.len() >= 11, "all attempts are numbered: {attempts:?}");
    let [.., failed, delivered] = &attempts[..] else { panic!("two attempts after the probes") };
    assert!(delivered.started_at.since(failed.started_at) >= Duration::from_millis(240), "{attempts:?}");
}

#[test]
fn reload_read_before_a_trip_does_not_undo_it() {
    let fast = (0..4).map(|_| reply(404).into());
    let slow = reply(404).delay(Duration::from_secs(1)).into();
    let receiver = Receiver::start(Script::steps(fast.chain([slow])));
    let mut rig = Rig::running_with(&[("siem", &receiver.url("/"), "a.>")], |options| {
        options.probe_delay = (PATIENCE * 10, PATIENCE * 10);
        options.concurrency = 1;
    });
    rig.publish_numbered("a.b", 20);
    arrive(&receiver, 5);
    let file = rig.database("queue.db");
    // The reload reads the catalog and then waits for the queue, to name the new row in it, until the trip is written.
    rig.subscribe("new", &receiver.url("/"), &["nobody"]);
    let patterns = Some(vec![Pattern::new("a.*").unwrap()]);
    rig.patch("siem", &Patch { patterns, ..Patch::default() });
    file.execute_batch("BEGIN IMMEDIATE").unwrap();
    rig.publish("system.webhook.subscriptions_changed", &json!({}));
    eventually("the row is tripped", || !rig.row("siem").enabled);
    let before = receiver.count();
    let reloads = rig.stats.reloads.get();
    file.execute_batch("ROLLBACK").unwrap();
    eventually("the catalog is read again", || rig.stats.reloads.get() >= reloads + 2);
    assert_eq!(receiver.count(), before);
}

#[test]
fn probe_respects_retry_after() {
    let receiver = Receiver::start(reply(503).retry_after("1"));
    let mut rig = Rig::running_with(&[("siem", &receiver.url("/"), "a.>")], |options| {
        options.circuit_threshold = 1;
        options.schedule = "".parse().unwrap();
        options.probe_delay = (Duration::from_millis(1), Duration::from_millis(10));
    });
    rig.publish_numbered("a.b", 1);
    eventually("the row is tripped", || !rig.row("siem").enabled);
    rig.publish_numbered("a.b", 1);
    let requests = receiver.wait_for(3, PATIENCE);
    for pair in requests.windows(2) {
        // Less than a second, because a reply is read some time after its request was received.
        assert!(pair[1].at - pair[0].at >= Duration::from_millis(900), "{:?}", pair[1].at - pair[0].at);
    }
}
