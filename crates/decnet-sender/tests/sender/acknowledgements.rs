//! Acknowledgement of events after the reply, as Splunk's HTTP Event Collector does it.

use std::rc::Rc;

use decnet_core::delivery::{Reason, Verdict};
use decnet_sender::{AttemptResult, Destination, Message, Sender, Target, judge};
use decnet_store::catalog::StoredSubscription;
use decnet_testkit::{Receiver, Reply, Script, Step, reply};
use serde_json::json;

use crate::support::{
    assert_failed, assert_status, event, hasty_sender, now, run, sender, sender_trusting, stored,
};

/// The reply to events.
fn accepted() -> Reply {
    reply(200).body(r#"{"text":"Success","code":0,"ackId":7}"#)
}

/// The reply to a poll.
fn indexed(is_indexed: bool) -> Step {
    reply(200).body(json!({"acks": {"7": is_indexed}}).to_string()).into()
}

/// A receiver that accepts events, and then sends these replies to polls.
fn splunk(polls: impl IntoIterator<Item = Step>) -> Receiver {
    Receiver::start(script(polls))
}

fn script(polls: impl IntoIterator<Item = Step>) -> Script {
    Script::steps([accepted().into()].into_iter().chain(polls))
}

/// Returns a subscription with acknowledgement, if `ack` is true.
fn subscription(url: &str, ack: bool) -> StoredSubscription {
    let options = json!({"ack": ack.to_string()});
    let format = json!({"name": "splunk-hec", "options": options});
    let settings =
        json!({"format": format, "gzip": true, "method": "PUT", "headers": {"authorization": "Splunk t"}});
    stored(url, &settings.to_string())
}

/// Makes one attempt, and judges its result.
async fn deliver(sender: &Sender, stored: &StoredSubscription) -> (AttemptResult, Verdict) {
    let StoredSubscription { subscription, settings, old_secrets, .. } = stored;
    let destination = Destination::new(settings, &subscription.url, &Rc::default()).unwrap();
    let target = Target::for_subscription(subscription, settings, old_secrets, Some(&destination)).unwrap();
    let event = destination.render([&event("e1")].into_iter()).unwrap();
    let message = Message::from(&event);
    let mut attempted = sender.deliver(&target, Some(&destination), message, now()).await;
    let verdict = judge(Some(&destination), &mut attempted, 1).whole;
    (attempted, verdict)
}

#[test]
fn events_are_delivered_once_they_are_acknowledged() {
    let receiver = splunk([indexed(false), indexed(false), indexed(true)]);
    let stored = subscription(&receiver.url(""), true);
    let (attempted, verdict) = run(async { deliver(&sender(), &stored).await });
    assert_status(&attempted, 200);
    assert_eq!((verdict, attempted.detail), (Verdict::Delivered, None));
    let requests = receiver.requests();
    assert_eq!((requests.len(), receiver.connections()), (4, 1));
    let channel = &*stored.subscription.uuid;
    let events = &requests[0];
    assert_eq!((&*events.method, &*events.path), ("PUT", "/services/collector/event"));
    assert_eq!(events.header("content-encoding"), "gzip");
    for poll in &requests[1..] {
        assert_eq!(poll.method, "POST");
        assert_eq!(poll.path, format!("/services/collector/ack?channel={channel}"));
        assert_eq!((&*poll.body, poll.header("content-encoding")), (&br#"{"acks":[7]}"#[..], ""));
    }
    for request in &requests {
        assert_eq!(request.header("x-splunk-request-channel"), channel);
        assert_eq!(request.header("authorization"), "Splunk t");
    }
}

#[test]
fn polls_are_sent_over_http2() {
    let receiver = Receiver::builder().tls(&["127.0.0.1"]).script(script([indexed(true)])).start();
    let stored = subscription(&receiver.url(""), true);
    let (_, verdict) = run(async { deliver(&sender_trusting(&receiver), &stored).await });
    assert_eq!(verdict, Verdict::Delivered);
    let requests = receiver.requests();
    assert!(requests.len() == 2 && requests.iter().all(|request| request.http2));
    assert!(requests[1].method == "POST" && requests[1].path.starts_with("/services/collector/ack?channel="));
}

#[test]
fn events_without_acknowledgement_are_retried() {
    let receiver = splunk([indexed(false)]);
    let stored = subscription(&receiver.url("/services/collector/event"), true);
    let (attempted, verdict) = run(async { deliver(&hasty_sender(), &stored).await });
    assert_failed(&attempted, Reason::Timeout, "accepted, but not acknowledged within 400 ms");
    assert_eq!(verdict, Verdict::Retry { reason: Reason::Timeout, after: None });
}

#[test]
fn disabled_acknowledgement_holds_the_subscription() {
    let disabled = reply(400).body(r#"{"text":"ACK is disabled","code":14}"#);
    let receiver = splunk([disabled.into()]);
    let stored = subscription(&receiver.url(""), true);
    let (attempted, verdict) = run(async { deliver(&sender(), &stored).await });
    assert_status(&attempted, 400);
    assert_eq!((verdict, attempted.detail.as_deref()), (Verdict::Hold, Some("ACK is disabled (code 14)")));
    assert_eq!(receiver.count(), 2);
}

#[test]
fn busy_server_and_lost_connection_do_not_end_polls() {
    let busy = reply(503).body(r#"{"text":"Server is busy","code":9}"#);
    let receiver = splunk([busy.into(), Step::Reset, indexed(true)]);
    let stored = subscription(&receiver.url(""), true);
    let (_, verdict) = run(async { deliver(&sender(), &stored).await });
    assert_eq!(verdict, Verdict::Delivered);
}

#[test]
fn last_problem_of_polls_is_reported() {
    let receiver = splunk([reply(503).body(r#"{"text":"Server is busy","code":9}"#).into()]);
    let stored = subscription(&receiver.url(""), true);
    let (attempted, _) = run(async { deliver(&hasty_sender(), &stored).await });
    assert_failed(&attempted, Reason::Timeout, "not acknowledged within 400 ms (Server is busy (code 9))");
}

#[test]
fn acknowledgement_is_off_by_default() {
    let receiver = splunk([indexed(false)]);
    let stored = subscription(&receiver.url(""), false);
    let (_, verdict) = run(async { deliver(&sender(), &stored).await });
    assert_eq!((verdict, receiver.count()), (Verdict::Delivered, 1));
    assert_eq!(receiver.requests()[0].header("x-splunk-request-channel"), "");
}
