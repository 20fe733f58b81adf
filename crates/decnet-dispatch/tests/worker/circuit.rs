//! A receiver in trouble is parked, probed, and served again, and its row says so.

use std::time::Duration;

use decnet_core::redact::EndpointUrl;
use decnet_core::topic::Pattern;
use decnet_store::catalog::Patch;
use decnet_testkit::{Receiver, Script, Step, reply};
use serde_json::json;

use crate::rig::{PATIENCE, Rig, arrive, eventually, is_recent};

#[test]
fn trips_after_five_failed_deliveries_and_heals_by_itself() {
    let receiver = Receiver::start(reply(500));
    let mut rig = Rig::running(&[("siem", &receiver.url("/"), "a.>")]);
    rig.publish_numbered("a.b", 20);
    eventually("the row is tripped", || !rig.row("siem").enabled);
    let row = rig.row("siem");
    assert!(row.auto_disabled_at.is_some() && row.consecutive_failures >= 5);
    assert_eq!(row.last_error.as_deref(), Some("HTTP 500 Internal Server Error"));
    rig.publish_numbered("a.c", 20);
    eventually("new events wait too", || rig.counts("siem").pending + rig.counts("siem").retrying == 40);

    receiver.set(reply(200));
    eventually("all is delivered", || rig.counts("siem").delivered == 40);
    eventually("the row is enabled again", || rig.row("siem").enabled);
    let row = rig.row("siem");
    assert_eq!((row.consecutive_failures, row.auto_disabled_at, row.last_error), (0, None, None));
    rig.stop_worker();
}

/// Also though it leaves the row just as it was before the trip.
#[test]
fn an_operators_enable_serves_at_once() {
    let receiver = Receiver::start(reply(500));
    let mut rig = Rig::new();
    rig.options.probe_delay = (PATIENCE * 10, PATIENCE * 10);
    rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    rig.start_bus();
    rig.start_worker();
    rig.publish_numbered("a.b", 10);
    eventually("the row is tripped", || !rig.row("siem").enabled);
    receiver.set(reply(200));
    rig.patch("siem", &Patch { enabled: Some(true), ..Patch::default() });
    rig.reload();
    eventually("all is delivered", || rig.counts("siem").delivered == 10);
    rig.stop_worker();
}

#[test]
fn refused_bodies_are_recorded_and_do_not_trip() {
    for (status, text) in [
        (400, "HTTP 400 Bad Request"),
        (413, "HTTP 413 Payload Too Large"),
        (415, "HTTP 415 Unsupported Media Type"),
        (422, "HTTP 422 Unprocessable Entity"),
    ] {
        let receiver = Receiver::start(reply(status));
        let mut rig = Rig::running(&[("siem", &receiver.url("/"), "a.>")]);
        rig.publish_numbered("a.b", 20);
        eventually("all are refused", || rig.counts("siem").dead == 20);
        eventually("the refusal is in the row", || rig.row("siem").last_error.as_deref() == Some(text));
        let row = rig.row("siem");
        assert!(row.enabled && is_recent(row.last_failure_at) && row.last_success_at.is_none());
        assert_eq!(row.consecutive_failures, 0);
        rig.stop_worker();
    }
}

#[test]
fn a_refused_body_leaves_the_count_of_failures() {
    let receiver = Receiver::start(Script::steps([404, 404, 422].map(|status| reply(status).into())));
    let mut rig = Rig::new();
    rig.options.concurrency = 1;
    rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    rig.start_bus();
    rig.start_worker();
    rig.publish_numbered("a.b", 3);
    let refused = "HTTP 422 Unprocessable Entity";
    eventually("the refusal is in the row", || rig.row("siem").last_error.as_deref() == Some(refused));
    assert_eq!(rig.row("siem").consecutive_failures, 2);
    rig.stop_worker();
}

#[test]
fn gone_parks_until_an_operator_enables() {
    let receiver = Receiver::start(Script::steps([reply(410).into(), reply(200).into()]));
    let mut rig = Rig::new();
    rig.options.concurrency = 1;
    rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    rig.start_bus();
    rig.start_worker();
    rig.publish_numbered("a.b", 3);
    eventually("the row is gone", || rig.row("siem").gone && !rig.row("siem").enabled);
    assert_eq!(receiver.count(), 1);
    rig.stop_worker();
    rig.start_worker();
    assert_eq!(receiver.count(), 1, "not probed, not even after a restart");
    rig.patch("siem", &Patch { enabled: Some(true), ..Patch::default() });
    rig.reload();
    eventually("nothing was lost", || rig.counts("siem").delivered == 3);
    rig.stop_worker();
}

#[test]
fn a_late_result_of_the_old_url_does_not_touch_the_new_one() {
    let (old, new) = (Receiver::start(Step::Hang), Receiver::start(reply(200)));
    let mut rig = Rig::new();
    rig.options.circuit_threshold = 1;
    rig.options.schedule = "".parse().unwrap();
    rig.subscribe("siem", &old.url("/"), &["a.>"]);
    rig.start_bus();
    rig.start_worker();
    rig.publish_numbered("a.b", 2);
    arrive(&old, 2);
    let url = EndpointUrl::new(&new.url("/")).unwrap();
    rig.patch("siem", &Patch { url: Some(url), ..Patch::default() });
    rig.reload();
    rig.publish("a.c", &json!({"n": 5}));
    arrive(&new, 1);
    eventually("the old attempts have timed out", || rig.counts("siem").dead == 2);
    rig.publish("a.c", &json!({"n": 6}));
    arrive(&new, 2);
    assert!(rig.row("siem").enabled, "a single failure would have tripped it");
    rig.stop_worker();
}

#[test]
fn failures_not_yet_written_are_forgotten_with_the_old_url() {
    let (old, new) = (Receiver::start(reply(404)), Receiver::start(reply(404)));
    let mut rig = Rig::new();
    rig.options.record_interval = Duration::from_secs(3);
    rig.subscribe("siem", &old.url("/"), &["a.>"]);
    rig.start_bus();
    rig.start_worker();
    rig.publish_numbered("a.b", 3);
    eventually("three have failed", || rig.counts("siem").dead == 3);
    let url = EndpointUrl::new(&new.url("/")).unwrap();
    rig.patch("siem", &Patch { url: Some(url), ..Patch::default() });
    rig.reload();
    rig.publish("a.c", &json!({"n": 5}));
    eventually("it is written", || rig.row("siem").last_failure_at.is_some());
    assert_eq!(rig.row("siem").consecutive_failures, 1);
    rig.stop_worker();
}

#[test]
fn gone_in_answer_to_a_probe_ends_the_probing() {
    let receiver = Receiver::start(reply(500));
    let mut rig = Rig::running(&[("siem", &receiver.url("/"), "a.>")]);
    rig.publish_numbered("a.b", 10);
    eventually("the row is tripped", || !rig.row("siem").enabled);
    receiver.set(reply(410));
    eventually("the row is gone", || rig.row("siem").gone);
    rig.stop_worker();
}

#[test]
fn probes_use_up_no_retries_and_put_nothing_off() {
    let receiver = Receiver::start(reply(500));
    let mut rig = Rig::new();
    rig.options.probe_delay = (Duration::from_millis(10), Duration::from_millis(20));
    rig.options.schedule = "5ms,10ms,15ms,500ms,1h,1h".parse().unwrap();
    rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    rig.start_bus();
    rig.start_worker();
    rig.publish_numbered("a.b", 6);
    eventually("the row is tripped", || !rig.row("siem").enabled);
    arrive(&receiver, 80);
    let dead = rig.counts("siem").dead;
    receiver.set(reply(200));
    eventually("the receiver is back", || rig.row("siem").enabled);
    eventually("none waits for its hour", || rig.counts("siem").delivered == 6);
    assert_eq!(dead, 0);
    rig.stop_worker();
}

#[test]
fn a_reload_read_before_a_trip_does_not_undo_it() {
    let quick = (0..4).map(|_| reply(404).into());
    let slow = reply(404).delay(Duration::from_secs(1)).into();
    let receiver = Receiver::start(Script::steps(quick.chain([slow])));
    let mut rig = Rig::new();
    rig.options.probe_delay = (PATIENCE * 10, PATIENCE * 10);
    rig.options.concurrency = 1;
    rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    rig.start_bus();
    rig.start_worker();
    rig.publish_numbered("a.b", 20);
    arrive(&receiver, 5);
    let file = rusqlite::Connection::open(rig.dir.path().join("queue.db")).unwrap();
    // The reload reads the catalog, and then waits to name the new row in the queue until the trip is written.
    rig.subscribe("new", &receiver.url("/"), &["nobody"]);
    let patterns = Some(vec![Pattern::new("a.*").unwrap()]);
    rig.patch("siem", &Patch { patterns, ..Patch::default() });
    file.execute_batch("BEGIN IMMEDIATE").unwrap();
    rig.publish("system.webhook.subscriptions_changed", &json!({}));
    eventually("the row is tripped", || !rig.row("siem").enabled);
    let before = receiver.count();
    let reloads = rig.stats.reloads.get();
    file.execute_batch("ROLLBACK").unwrap();
    eventually("it is read again", || rig.stats.reloads.get() >= reloads + 2);
    assert_eq!(receiver.count(), before);
    rig.stop_worker();
}

#[test]
fn no_probe_comes_before_the_time_that_the_receiver_asked_for() {
    let receiver = Receiver::start(reply(503).retry_after("1"));
    let mut rig = Rig::new();
    rig.options.circuit_threshold = 1;
    rig.options.schedule = "".parse().unwrap();
    rig.options.probe_delay = (Duration::from_millis(1), Duration::from_millis(10));
    rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    rig.start_bus();
    rig.start_worker();
    rig.publish_numbered("a.b", 1);
    eventually("the row is tripped", || !rig.row("siem").enabled);
    rig.publish_numbered("a.b", 1);
    let requests = receiver.wait_for(3, PATIENCE);
    for pair in requests.windows(2) {
        // A lower bound whatever the machine does, but for the time between an answer and its being read.
        assert!(pair[1].at - pair[0].at >= Duration::from_millis(900), "{:?}", pair[1].at - pair[0].at);
    }
    rig.stop_worker();
}
