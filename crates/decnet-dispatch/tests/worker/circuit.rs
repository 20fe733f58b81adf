//! A receiver in trouble is parked, probed, and served again, and its row says so.

use decnet_store::catalog::Patch;
use decnet_testkit::{Receiver, Script, Step, reply};
use serde_json::json;

use crate::rig::{PATIENCE, Rig, arrive, eventually};

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
fn refused_bodies_do_not_trip() {
    let receiver = Receiver::start(reply(422));
    let mut rig = Rig::running(&[("siem", &receiver.url("/"), "a.>")]);
    rig.publish_numbered("a.b", 20);
    eventually("all are refused", || rig.counts("siem").dead == 20);
    assert!(rig.row("siem").enabled);
    assert_eq!(rig.row("siem").consecutive_failures, 0);
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
    let url = decnet_core::redact::EndpointUrl::new(&new.url("/")).unwrap();
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
