//! Steps of the wall clock: they delay no delivery and remove nothing.

use std::time::Duration;

use decnet_core::clock::{BootId, Reading};
use decnet_core::redact::Secret;
use decnet_core::time::{BootMicros, UnixMicros};
use decnet_runtime::clock::{self, Clock};
use decnet_store::queue::{self, Queue};
use decnet_testkit::{Receiver, Request, Script, reply};
use serde_json::json;

use crate::rig::{Rig, arrive, eventually};

const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;
const HOURS: Duration = Duration::from_secs(3600);
const DAYS: Duration = Duration::from_secs(24 * 3600);

/// Returns the clock of a worker that starts after the wall clock was stepped, without a reboot.
fn stepped(by: i64) -> Clock {
    let clock = Clock::default();
    clock.step(by);
    clock
}

fn wait_for_doubt(clock: &Clock) {
    eventually("the clock is in doubt", || clock.doubt().is_some());
}

fn wait_for_trust(clock: &Clock) {
    eventually("the clock is trusted again", || clock.doubt().is_none());
}

/// Records the clock reading of a worker before the machine was off for `off`. The earlier run of the machine was longer.
fn record_reading_before_power_off(rig: &Rig, off: Duration) {
    drop(Queue::open(rig.dir.path(), queue::Options::default()).unwrap());
    let now = Clock::default().reading();
    let started_at = now.wall.before(now.uptime.since(BootMicros(0)));
    let uptime = now.uptime.after(DAYS);
    let reading = Reading { wall: started_at.before(off), uptime, boot: Some(BootId(1)) };
    rig.writer().confirm_clock(&reading).unwrap();
}

#[test]
fn clock_step_back_stalls_no_lane() {
    const EVENTS: u64 = 12;
    let receiver = Receiver::start(reply(200));
    let failing = Script::steps([503, 503, 503, 200].map(|status| reply(status).into()));
    let retried = Receiver::start(failing);
    let mut rig = Rig::new();
    for name in ["plain", "rate", "batch", "ordered"] {
        rig.subscribe(name, &receiver.url(&format!("/{name}")), &["a.>"]);
    }
    rig.subscribe("retry", &retried.url("/"), &["a.>"]);
    rig.set("rate", r#"{"rate": "50/s"}"#);
    rig.set("batch", r#"{"batch": {"max_events": 50, "linger": "100ms", "format": "array"}}"#);
    rig.set("ordered", r#"{"ordered": true}"#);
    rig.start();
    rig.publish_numbered("a.b", EVENTS / 2);
    arrive(&retried, 2);
    rig.clock.step(-HOUR);
    rig.publish_numbered("a.c", EVENTS / 2);
    wait_for_doubt(&rig.clock);
    for name in ["plain", "rate", "batch", "ordered", "retry"] {
        eventually(name, || rig.counts(name).delivered == EVENTS);
    }
}

#[test]
fn tripped_lane_is_probed_after_clock_step_back() {
    let receiver = Receiver::start(reply(500));
    let mut rig = Rig::running(&[("siem", &receiver.url("/"), "a.>")]);
    rig.publish_numbered("a.b", 10);
    eventually("the row is tripped", || !rig.row("siem").enabled);
    rig.clock.step(-HOUR);
    wait_for_doubt(&rig.clock);
    receiver.set(reply(200));
    eventually("all are delivered", || rig.counts("siem").delivered == 10);
}

#[test]
fn clock_step_forward_removes_nothing_and_retries_nothing_early() {
    let (receiver, failing) = (Receiver::start(reply(200)), Receiver::start(reply(503)));
    let mut rig = Rig::new();
    rig.options.retention_interval = Duration::from_millis(5);
    rig.options.schedule = "20h".parse().unwrap();
    for (name, url) in
        [("ok", receiver.url("/")), ("parked", receiver.url("/")), ("failing", failing.url("/"))]
    {
        rig.subscribe(name, &url, &[&format!("{name}.>")]);
    }
    rig.set_paused("parked", true);
    rig.start();
    for name in ["ok", "parked", "failing"] {
        rig.publish_numbered(&format!("{name}.x"), 3);
    }
    eventually("all are delivered", || rig.counts("ok").delivered == 3);
    eventually("the retries wait", || rig.counts("failing").retrying == 3);
    rig.clock.step(40 * DAY);
    wait_for_doubt(&rig.clock);
    for _ in 0..20 {
        let before = receiver.count();
        rig.publish("ok.y", &json!({}));
        arrive(&receiver, before + 1);
    }
    rig.clock.step(-40 * DAY);
    wait_for_trust(&rig.clock);
    eventually("new events are delivered", || rig.counts("ok").delivered == 23);
    assert_eq!((rig.counts("parked").pending, rig.counts("parked").dead), (3, 0));
    assert_eq!((rig.counts("failing").retrying, failing.count()), (3, 3));

    let ahead = || {
        let listed = rig.deliveries();
        listed.iter().filter(|listed| listed.admitted_at > clock::now().after(HOURS)).count()
    };
    eventually("admission times in the future are corrected", || ahead() == 0);
    rig.set_paused("parked", false);
    rig.reload();
    eventually("the paused deliveries are sent", || rig.counts("parked").delivered == 3);
}

#[test]
fn retention_resumes_when_the_clock_is_trusted() {
    let receiver = Receiver::start(reply(200));
    let mut rig = Rig::running_with(&[("siem", &receiver.url("/"), "a.>")], |options| {
        options.retention_interval = Duration::from_millis(20);
        options.retention.delivered_age = Duration::from_secs(2);
    });
    rig.clock.step(-HOUR);
    wait_for_doubt(&rig.clock);
    rig.publish_numbered("a.b", 3);
    eventually("all are delivered", || rig.counts("siem").delivered == 3);
    // Time passes on both clocks: the deliveries are old enough, and the wall clock is as wrong as before.
    rig.clock.sleep(HOURS);
    rig.publish_numbered("a.b", 3);
    eventually("old deliveries are kept while the clock is in doubt", || rig.counts("siem").delivered == 6);
    rig.clock.step(HOUR);
    wait_for_trust(&rig.clock);
    let is_removed = || rig.deliveries().len() <= 3;
    eventually("old deliveries are removed", is_removed);
}

#[test]
fn confirmed_clock_is_trusted() {
    let failing = Receiver::start(reply(503));
    let mut rig = Rig::running_with(&[("siem", &failing.url("/"), "a.>")], |options| {
        options.schedule = "20h,20h".parse().unwrap();
    });
    rig.publish_numbered("a.b", 1);
    eventually("the retry waits", || rig.counts("siem").retrying == 1);
    rig.clock.step(-10 * HOUR);
    wait_for_doubt(&rig.clock);
    assert!(rig.clock.difference() < -9 * HOUR, "the worker's own time continues");
    let confirmed = rig.clock.reading();
    rig.writer().confirm_clock(&confirmed).unwrap();
    wait_for_trust(&rig.clock);
    assert!(rig.clock.difference().abs() < HOUR, "the worker's time is corrected");
    // With the stepped clock, the retry would be due in 30 hours.
    arrive(&failing, 2);
}

#[test]
fn clock_step_between_workers_is_detected() {
    for by in [-10 * HOUR, 40 * DAY] {
        let failing = Receiver::start(reply(503));
        let mut rig = Rig::new();
        rig.options.schedule = "500ms,20h".parse().unwrap();
        rig.options.retention_interval = Duration::from_millis(5);
        for name in ["siem", "parked"] {
            rig.subscribe(name, &failing.url("/"), &[&format!("{name}.>")]);
        }
        rig.set_paused("parked", true);
        rig.start();
        rig.publish_numbered("parked.x", 1);
        rig.publish_numbered("siem.x", 1);
        eventually("both deliveries wait", || {
            rig.counts("siem").retrying + rig.counts("parked").pending == 2
        });
        rig.stop_worker();
        rig.clock = stepped(by);
        rig.start_worker();
        wait_for_doubt(&rig.clock);
        arrive(&failing, 2);
        eventually("the retry waits for 20 hours", || rig.counts("siem").retrying == 1);
        assert_eq!((failing.count(), rig.counts("parked").pending), (2, 1), "{by}");
    }
}

#[test]
fn clock_at_1970_is_not_trusted_until_it_is_set() {
    let receiver = Receiver::start(reply(200));
    let mut rig = Rig::new();
    record_reading_before_power_off(&rig, HOURS);
    let wrong = -clock::now().0;
    rig.clock = stepped(wrong);
    rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    rig.start();
    wait_for_doubt(&rig.clock);
    rig.publish_numbered("a.b", 3);
    eventually("events are delivered", || rig.counts("siem").delivered == 3);
    assert!(rig.clock.now() >= clock::now().before(2 * HOURS), "not earlier than the recorded reading");
    rig.clock.step(-wrong);
    wait_for_trust(&rig.clock);
    assert!(rig.clock.difference().abs() < HOUR);
}

#[test]
fn clock_years_ahead_is_not_trusted_until_it_is_set() {
    let failing = Receiver::start(reply(503));
    let mut rig = Rig::new();
    record_reading_before_power_off(&rig, HOURS);
    rig.options.schedule = "20h,20h".parse().unwrap();
    rig.clock = stepped(3000 * DAY);
    rig.subscribe("siem", &failing.url("/"), &["a.>"]);
    rig.start();
    wait_for_doubt(&rig.clock);
    rig.publish_numbered("a.b", 1);
    eventually("the retry waits", || rig.counts("siem").retrying == 1);
    rig.clock.step(-3000 * DAY);
    wait_for_trust(&rig.clock);
    // With the wrong clock, the retry would be due in years.
    arrive(&failing, 2);
}

#[test]
fn clock_after_days_off_needs_confirmation() {
    let mut rig = Rig::new();
    record_reading_before_power_off(&rig, 3 * DAYS);
    rig.start();
    wait_for_doubt(&rig.clock);
    assert!(rig.clock.difference().abs() < HOUR, "its time is still used");
    let confirmed = rig.clock.reading();
    rig.writer().confirm_clock(&confirmed).unwrap();
    wait_for_trust(&rig.clock);
}

#[test]
fn suspended_time_counts_for_retries() {
    let receiver = Receiver::start(Script::steps([reply(503).into(), reply(200).into()]));
    let mut rig = Rig::running_with(&[("siem", &receiver.url("/"), "a.>")], |options| {
        options.schedule = "10h".parse().unwrap();
    });
    rig.publish_numbered("a.b", 1);
    eventually("the retry waits", || rig.counts("siem").retrying == 1);
    rig.clock.sleep(13 * HOURS);
    eventually("the event is delivered", || rig.counts("siem").delivered == 1);
    assert_eq!(rig.clock.doubt(), None);
}

#[test]
fn small_clock_step_is_followed() {
    let mut rig = Rig::new();
    rig.start();
    rig.clock.step(-60_000_000);
    eventually("the worker's time follows the wall clock", || rig.clock.difference() > -59_900_000);
    assert_eq!(rig.clock.doubt(), None);
}

#[test]
fn signatures_use_the_wall_clock() {
    let receiver = Receiver::start(reply(200));
    let mut rig = Rig::running(&[("siem", &receiver.url("/"), "a.>")]);
    rig.clock.step(-5 * HOUR);
    wait_for_doubt(&rig.clock);
    rig.publish_numbered("a.b", 1);
    arrive(&receiver, 1);
    let signed: i64 = receiver.requests()[0].header("webhook-timestamp").parse().unwrap();
    let wall = rig.clock.wall().since(UnixMicros(signed * 1_000_000));
    assert!(wall < HOURS, "signed at {signed}");
}

#[test]
fn clock_step_forward_does_not_end_secret_rotation() {
    let receiver = Receiver::start(reply(200));
    let mut rig = Rig::running(&[("siem", &receiver.url("/"), "a.>")]);
    let uuid = rig.row("siem").uuid;
    rig.catalog.rotate_secret(&uuid, &Secret::new("another secret of tests"), DAYS, clock::now()).unwrap();
    rig.reload();
    rig.clock.step(40 * DAY);
    wait_for_doubt(&rig.clock);
    rig.reload();
    rig.publish_numbered("a.b", 1);
    arrive(&receiver, 1);
    let signatures = |request: &Request| request.header("webhook-signature").split(' ').count();
    assert_eq!(signatures(&receiver.requests()[0]), 2);
    eventually("the result is recorded", || rig.row("siem").last_success_at.is_some());
    assert_eq!(rig.row("siem").old_secrets_until.len(), 1, "the old secret is kept");
}
