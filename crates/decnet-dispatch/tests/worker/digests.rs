//! Digests: no event is lost, and one that is refused or cannot be rendered does not keep the others.

use decnet_core::delivery::{Reason, State};
use decnet_testkit::{Receiver, Request, Script, reply};
use serde_json::json;

use crate::rig::{PATIENCE, Rig, eventually, numbers};

/// The maximum number of requests for five events of which one is refused: two with all, two with parts, and one for each event.
const MAX_REQUESTS: u64 = 9;

/// Returns a rig with one subscription to `a.>` with these settings, whose retries are due after the test.
fn rig(receiver: &Receiver, settings: &str) -> Rig {
    let mut rig = Rig::with_subscriptions(&[("soc", &receiver.url("/hook"), "a.>")]);
    rig.options.schedule = "1h,1h,1h,1h".parse().unwrap();
    rig.options.probe_delay = (PATIENCE * 10, PATIENCE * 10);
    rig.set("soc", settings);
    rig
}

fn contains(request: &Request, text: &str) -> bool {
    String::from_utf8_lossy(&request.body).contains(text)
}

fn publish_from(rig: &mut Rig, decoys: &[&str]) {
    rig.publish_many(decoys.iter().map(|decoy| ("a.b".to_owned(), json!({ "decky": decoy }))));
}

/// Changes the settings while no delivery is sent, then sends the waiting deliveries.
fn change(rig: &mut Rig, settings: &str) {
    rig.set_enabled("soc", false);
    rig.set("soc", settings);
    rig.reload();
    rig.set_enabled("soc", true);
    rig.reload();
}

#[test]
fn refused_event_does_not_keep_the_others_of_its_digest() {
    let receiver = Receiver::start(Script::by(|request| match contains(request, "poison") {
        true => reply(400).body("invalid_blocks").into(),
        false => reply(200).body("ok").into(),
    }));
    let mut rig = rig(&receiver, r#"{"format": "slack", "digest": {"window": "1s"}}"#);
    rig.start();
    publish_from(&mut rig, &["d1", "d2", "poison", "d3", "d4"]);
    eventually("all are final", || rig.counts("soc").delivered == 4 && rig.counts("soc").dead == 1);
    let dead = rig.deliveries().into_iter().find(|listed| listed.state != State::Delivered).unwrap();
    assert_eq!(dead.state, State::Dead { reason: Reason::BodyRefused });
    assert!(receiver.count() <= MAX_REQUESTS, "{} requests", receiver.count());
}

#[test]
fn event_that_cannot_be_rendered_does_not_keep_the_others() {
    let receiver = Receiver::start(reply(200));
    let template = r#"{"format": "template", "digest": {"window": "1s"},
        "template": "[{% for e in events %}\"{{ e.target }}\"{{ ',' if not loop.last }}{% endfor %}]"}"#;
    let mut rig = rig(&receiver, template);
    rig.start();
    publish_from(&mut rig, &["d1", "d2", "", "d3", "d4"]);
    eventually("all are final", || rig.counts("soc").delivered == 4 && rig.counts("soc").dead == 1);
    let dead = rig.deliveries().into_iter().find(|listed| listed.state != State::Delivered).unwrap();
    assert_eq!(dead.state, State::Dead { reason: Reason::Template });
}

#[test]
fn open_digest_is_sent_at_a_stop_if_the_options_ask_for_it() {
    for (sends_digests_at_stop, requests, delivered) in [(false, 0, 0), (true, 1, 3)] {
        let receiver = Receiver::start(reply(200).body("ok"));
        let mut rig = rig(&receiver, r#"{"format": "slack", "digest": {"window": "1m"}}"#);
        rig.options.sends_digests_at_stop = sends_digests_at_stop;
        rig.start();
        rig.publish_numbered("a.b", 3);
        eventually("all are admitted", || rig.counts("soc").pending == 3);
        rig.stop_worker();
        assert_eq!((receiver.count(), rig.counts("soc").delivered), (requests, delivered));
    }
}

/// Retries have the form of the first attempt, whatever the settings are now.
#[test]
fn retries_of_plain_events_are_not_combined_into_a_digest() {
    const EVENTS: u64 = 5;
    let receiver = Receiver::start(reply(500));
    let mut rig = rig(&receiver, "{}");
    rig.start();
    rig.publish_numbered("a.b", EVENTS);
    eventually("all are tried", || rig.counts("soc").retrying == EVENTS);
    receiver.set(reply(200).body("ok"));
    change(&mut rig, r#"{"format": "slack", "digest": {"window": "1s"}}"#);
    eventually("all are delivered", || rig.counts("soc").delivered == EVENTS);
    let mut received = numbers(&receiver).split_off(usize::try_from(EVENTS).unwrap());
    received.sort_unstable();
    assert_eq!(received, (0..EVENTS).collect::<Vec<_>>(), "each was sent again");
}

#[test]
fn retries_with_a_format_are_not_combined_with_plain_events() {
    let receiver = Receiver::start(reply(500));
    let mut rig = rig(&receiver, "{}");
    rig.start();
    rig.publish_numbered("a.b", 1);
    eventually("the plain event is tried", || rig.counts("soc").retrying == 1);
    change(&mut rig, r#"{"format": "slack"}"#);
    rig.publish("a.b", &json!({"decky": "d1"}));
    eventually("both are tried", || rig.counts("soc").retrying == 2);
    let message = receiver.requests().into_iter().find(|request| contains(request, "attachments")).unwrap();
    receiver.set(reply(200).body("ok"));
    // Large batches, since retries are combined in smaller ones, and the plain event first.
    let batches = r#"{"format": null, "ordered": true, "batch": {"max_events": 256, "linger": "1s", "format": "array"}}"#;
    change(&mut rig, batches);
    eventually("both are delivered", || rig.counts("soc").delivered == 2);
    let repeated = receiver.requests().iter().filter(|request| request.body == message.body).count();
    assert!(repeated > 1, "the message is repeated with the same bytes");
}
