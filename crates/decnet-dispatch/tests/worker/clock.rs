//! A step of the system's wall clock delays no delivery and removes nothing.

use std::time::Duration;

use decnet_core::clock::{BootId, Reading};
use decnet_core::redact::Secret;
use decnet_core::settings::Settings;
use decnet_core::time::{BootMicros, UnixMicros};
use decnet_dispatch::clock::{self, Clock};
use decnet_store::catalog::Patch;
use decnet_store::queue::{self, Filter, Operator, Queue, Reader};
use decnet_testkit::{Receiver, Request, Script, reply};
use serde_json::json;

use crate::rig::{Rig, arrive, eventually};

const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;
const HOURS: Duration = Duration::from_secs(3600);
const DAYS: Duration = Duration::from_secs(24 * 3600);

fn asks(rig: &mut Rig, name: &str, settings: &str) {
    let settings: Settings = serde_json::from_str(settings).unwrap();
    rig.patch(name, &Patch { settings: settings.into(), ..Patch::default() });
}

/// The clock of a worker that starts later, on the same run of the machine, with a wall clock that was stepped meanwhile.
fn stepped(by: i64) -> Clock {
    let clock = Clock::default();
    clock.step(by);
    clock
}

fn doubted(clock: &Clock) {
    eventually("the clock is in doubt", || clock.doubt().is_some());
}

fn trusted(clock: &Clock) {
    eventually("the clock is trusted again", || clock.doubt().is_none());
}

/// Records what a worker stored before the machine was off for `off` and started again. The earlier run of the machine was longer.
fn noted_before_the_machine_was_off(rig: &Rig, off: Duration) {
    drop(Queue::open(rig.dir.path(), queue::Options::default()).unwrap());
    let now = Clock::default().reading();
    let started_at = now.wall.before(now.uptime.since(BootMicros(0)));
    let uptime = now.uptime.after(DAYS);
    let noted = Reading { wall: started_at.before(off), uptime, boot: Some(BootId(1)) };
    Operator::open(rig.dir.path()).unwrap().confirm_clock(&noted).unwrap();
}

#[test]
fn a_step_back_stalls_no_lane() {
    const EVENTS: u64 = 12;
    let receiver = Receiver::start(reply(200));
    let failing = Script::steps([503, 503, 503, 200].map(|status| reply(status).into()));
    let retried = Receiver::start(failing);
    let mut rig = Rig::new();
    for name in ["plain", "rate", "batch", "ordered"] {
        rig.subscribe(name, &receiver.url(&format!("/{name}")), &["a.>"]);
    }
    rig.subscribe("retry", &retried.url("/"), &["a.>"]);
    asks(&mut rig, "rate", r#"{"rate": "50/s"}"#);
    asks(&mut rig, "batch", r#"{"batch": {"max_events": 50, "linger": "100ms", "format": "array"}}"#);
    asks(&mut rig, "ordered", r#"{"ordered": true}"#);
    rig.start_bus();
    rig.start_worker();
    rig.publish_numbered("a.b", EVENTS / 2);
    arrive(&retried, 2);
    rig.clock.step(-HOUR);
    rig.publish_numbered("a.c", EVENTS / 2);
    doubted(&rig.clock);
    for name in ["plain", "rate", "batch", "ordered", "retry"] {
        eventually(name, || rig.counts(name).delivered == EVENTS);
    }
    rig.stop_worker();
}

#[test]
fn a_tripped_lane_is_probed_after_a_step_back() {
    let receiver = Receiver::start(reply(500));
    let mut rig = Rig::running(&[("siem", &receiver.url("/"), "a.>")]);
    rig.publish_numbered("a.b", 10);
    eventually("the row is tripped", || !rig.row("siem").enabled);
    rig.clock.step(-HOUR);
    doubted(&rig.clock);
    receiver.set(reply(200));
    eventually("all is delivered", || rig.counts("siem").delivered == 10);
    rig.stop_worker();
}

#[test]
fn a_step_forward_removes_nothing_and_hastens_no_retry() {
    let (receiver, failing) = (Receiver::start(reply(200)), Receiver::start(reply(503)));
    let mut rig = Rig::new();
    rig.options.retention_interval = Duration::from_millis(5);
    rig.options.schedule = "20h".parse().unwrap();
    for (name, url) in
        [("ok", receiver.url("/")), ("parked", receiver.url("/")), ("failing", failing.url("/"))]
    {
        rig.subscribe(name, &url, &[&format!("{name}.>")]);
    }
    rig.patch("parked", &Patch { paused: Some(true), ..Patch::default() });
    rig.start_bus();
    rig.start_worker();
    for name in ["ok", "parked", "failing"] {
        rig.publish_numbered(&format!("{name}.x"), 3);
    }
    eventually("they are delivered", || rig.counts("ok").delivered == 3);
    eventually("their retries wait", || rig.counts("failing").retrying == 3);
    rig.clock.step(40 * DAY);
    doubted(&rig.clock);
    for _ in 0..20 {
        let before = receiver.count();
        rig.publish("ok.y", &json!({}));
        arrive(&receiver, before + 1);
    }
    rig.clock.step(-40 * DAY);
    trusted(&rig.clock);
    eventually("new ones are delivered", || rig.counts("ok").delivered == 23);
    assert_eq!((rig.counts("parked").pending, rig.counts("parked").dead), (3, 0));
    assert_eq!((rig.counts("failing").retrying, failing.count()), (3, 3));

    let ahead = || {
        let listed = Reader::open(rig.dir.path()).unwrap().list(&Filter::default()).unwrap();
        listed.iter().filter(|listed| listed.admitted_at > clock::now().after(HOURS)).count()
    };
    eventually("what was admitted ahead of time counts as admitted now", || ahead() == 0);
    rig.patch("parked", &Patch { paused: Some(false), ..Patch::default() });
    rig.reload();
    eventually("the parked ones are delivered", || rig.counts("parked").delivered == 3);
    rig.stop_worker();
}

#[test]
fn removal_by_age_goes_on_when_the_clock_agrees_again() {
    let receiver = Receiver::start(reply(200));
    let mut rig = Rig::new();
    rig.options.retention_interval = Duration::from_millis(20);
    rig.options.retention.delivered_age = Duration::from_secs(2);
    rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    rig.start_bus();
    rig.start_worker();
    rig.clock.step(-HOUR);
    doubted(&rig.clock);
    rig.publish_numbered("a.b", 3);
    eventually("they are delivered", || rig.counts("siem").delivered == 3);
    // Time passes on both clocks: they are old enough, and the wall clock is as wrong as before.
    rig.clock.sleep(HOURS);
    rig.publish_numbered("a.b", 3);
    eventually("they are kept while the clock is in doubt", || rig.counts("siem").delivered == 6);
    rig.clock.step(HOUR);
    trusted(&rig.clock);
    let is_gone = || Reader::open(rig.dir.path()).unwrap().list(&Filter::default()).unwrap().len() <= 3;
    eventually("the old ones are removed", is_gone);
    rig.stop_worker();
}

#[test]
fn an_operators_confirmation_ends_the_doubt() {
    let failing = Receiver::start(reply(503));
    let mut rig = Rig::new();
    rig.options.schedule = "20h,20h".parse().unwrap();
    rig.subscribe("siem", &failing.url("/"), &["a.>"]);
    rig.start_bus();
    rig.start_worker();
    rig.publish_numbered("a.b", 1);
    eventually("its retry waits", || rig.counts("siem").retrying == 1);
    rig.clock.step(-10 * HOUR);
    doubted(&rig.clock);
    assert!(rig.clock.difference() < -9 * HOUR, "the worker's own time goes on");
    let confirmed = rig.clock.reading();
    Operator::open(rig.dir.path()).unwrap().confirm_clock(&confirmed).unwrap();
    trusted(&rig.clock);
    assert!(rig.clock.difference().abs() < HOUR, "the worker's time is corrected");
    // It would have been due 30 hours from now.
    arrive(&failing, 2);
    rig.stop_worker();
}

#[test]
fn a_step_between_two_workers_is_noticed() {
    for by in [-10 * HOUR, 40 * DAY] {
        let failing = Receiver::start(reply(503));
        let mut rig = Rig::new();
        rig.options.schedule = "500ms,20h".parse().unwrap();
        rig.options.retention_interval = Duration::from_millis(5);
        for name in ["siem", "parked"] {
            rig.subscribe(name, &failing.url("/"), &[&format!("{name}.>")]);
        }
        rig.patch("parked", &Patch { paused: Some(true), ..Patch::default() });
        rig.start_bus();
        rig.start_worker();
        rig.publish_numbered("parked.x", 1);
        rig.publish_numbered("siem.x", 1);
        eventually("both wait", || rig.counts("siem").retrying + rig.counts("parked").pending == 2);
        rig.stop_worker();
        rig.clock = stepped(by);
        rig.start_worker();
        doubted(&rig.clock);
        arrive(&failing, 2);
        eventually("it waits for 20 hours", || rig.counts("siem").retrying == 1);
        assert_eq!((failing.count(), rig.counts("parked").pending), (2, 1), "{by}");
        rig.stop_worker();
        rig.stop_bus();
    }
}

#[test]
fn a_machine_that_starts_in_1970_is_waited_for() {
    let receiver = Receiver::start(reply(200));
    let mut rig = Rig::new();
    noted_before_the_machine_was_off(&rig, HOURS);
    let wrong = -clock::now().0;
    rig.clock = stepped(wrong);
    rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    rig.start_bus();
    rig.start_worker();
    doubted(&rig.clock);
    rig.publish_numbered("a.b", 3);
    eventually("deliveries go on", || rig.counts("siem").delivered == 3);
    assert!(rig.clock.now() >= clock::now().before(2 * HOURS), "no earlier than what is known");
    rig.clock.step(-wrong);
    trusted(&rig.clock);
    assert!(rig.clock.difference().abs() < HOUR);
    rig.stop_worker();
}

#[test]
fn a_machine_that_starts_years_ahead_is_waited_for() {
    let failing = Receiver::start(reply(503));
    let mut rig = Rig::new();
    noted_before_the_machine_was_off(&rig, HOURS);
    rig.options.schedule = "20h,20h".parse().unwrap();
    rig.clock = stepped(3000 * DAY);
    rig.subscribe("siem", &failing.url("/"), &["a.>"]);
    rig.start_bus();
    rig.start_worker();
    doubted(&rig.clock);
    rig.publish_numbered("a.b", 1);
    eventually("its retry waits", || rig.counts("siem").retrying == 1);
    rig.clock.step(-3000 * DAY);
    trusted(&rig.clock);
    // It would have been due in years.
    arrive(&failing, 2);
    rig.stop_worker();
}

#[test]
fn a_machine_that_was_off_for_days_is_in_doubt_until_confirmed() {
    let mut rig = Rig::new();
    noted_before_the_machine_was_off(&rig, 3 * DAYS);
    rig.start_bus();
    rig.start_worker();
    doubted(&rig.clock);
    assert!(rig.clock.difference().abs() < HOUR, "its time is used all the same");
    let confirmed = rig.clock.reading();
    Operator::open(rig.dir.path()).unwrap().confirm_clock(&confirmed).unwrap();
    trusted(&rig.clock);
    rig.stop_worker();
}

#[test]
fn time_asleep_counts_for_retries() {
    let receiver = Receiver::start(Script::steps([reply(503).into(), reply(200).into()]));
    let mut rig = Rig::new();
    rig.options.schedule = "10h".parse().unwrap();
    rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    rig.start_bus();
    rig.start_worker();
    rig.publish_numbered("a.b", 1);
    eventually("its retry waits", || rig.counts("siem").retrying == 1);
    rig.clock.sleep(13 * HOURS);
    eventually("it is delivered", || rig.counts("siem").delivered == 1);
    assert_eq!(rig.clock.doubt(), None);
    rig.stop_worker();
}

#[test]
fn a_small_step_is_followed() {
    let mut rig = Rig::new();
    rig.start_bus();
    rig.start_worker();
    rig.clock.step(-60_000_000);
    eventually("the worker's time follows", || rig.clock.difference() > -59_900_000);
    assert_eq!(rig.clock.doubt(), None);
    rig.stop_worker();
}

#[test]
fn requests_are_signed_with_the_time_of_the_wall_clock() {
    let receiver = Receiver::start(reply(200));
    let mut rig = Rig::running(&[("siem", &receiver.url("/"), "a.>")]);
    rig.clock.step(-5 * HOUR);
    doubted(&rig.clock);
    rig.publish_numbered("a.b", 1);
    arrive(&receiver, 1);
    let signed: i64 = receiver.requests()[0].header("webhook-timestamp").parse().unwrap();
    let wall = rig.clock.wall().since(UnixMicros(signed * 1_000_000));
    assert!(wall < HOURS, "signed at {signed}");
    rig.stop_worker();
}

#[test]
fn a_step_forward_ends_no_overlap_of_secrets() {
    let receiver = Receiver::start(reply(200));
    let mut rig = Rig::running(&[("siem", &receiver.url("/"), "a.>")]);
    let uuid = rig.row("siem").uuid;
    rig.catalog.rotate_secret(&uuid, &Secret::new("another secret of tests"), DAYS, clock::now()).unwrap();
    rig.reload();
    rig.clock.step(40 * DAY);
    doubted(&rig.clock);
    rig.reload();
    rig.publish_numbered("a.b", 1);
    arrive(&receiver, 1);
    let signatures = |request: &Request| request.header("webhook-signature").split(' ').count();
    assert_eq!(signatures(&receiver.requests()[0]), 2);
    eventually("the result is recorded", || rig.row("siem").last_success_at.is_some());
    assert_eq!(rig.row("siem").old_secrets_until.len(), 1, "the old one is kept");
    rig.stop_worker();
}
