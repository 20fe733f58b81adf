//! `decnet delivery` on the queue of a stopped worker.

use std::sync::Arc;
use std::time::Duration;

use decnet_core::delivery::{Reason, State, Timings};
use decnet_core::event::Event;
use decnet_core::time::UnixMicros;
use decnet_store::queue::{Admission, Attempt, DeliveryId, Options, Queue, Recipient, Settlement};
use serde_json::Value;

use crate::support::{Host, code, eventually, stderr, stdout};

/// The number of dead, of delivered and of pending deliveries.
pub(crate) const EACH: usize = 3;

/// A host with a subscription `siem` and deliveries of `a.dead`, `a.delivered` and `a.pending` for it.
pub(crate) fn host() -> Host {
    let host = Host::new();
    let create = [
        "subscription",
        "create",
        "--name",
        "siem",
        "--url",
        "https://s.example/",
        "--pattern",
        "a.>",
        "--json",
    ];
    let uuid = host.json(&create)["uuid"].as_str().unwrap().to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(fill(&host, &uuid));
    host
}

async fn fill(host: &Host, uuid: &str) {
    let queue = Queue::open(&host.path().join("data"), Options::default()).unwrap();
    let sub = queue.register(vec![(uuid.into(), "siem".into())]).await.unwrap()[0];
    let to = vec![Recipient::new(sub, false)];
    for (topic, status, state) in [
        ("a.dead", 404, Some(State::Dead { reason: Reason::Refused })),
        ("a.delivered", 204, Some(State::Delivered)),
        ("a.pending", 0, None),
    ] {
        for n in 0..EACH {
            let event = Event::new(&format!("{topic}-{n}"), topic, "t", UnixMicros(1), "{\"n\":1}").unwrap();
            let admitted = queue
                .admit([Admission { event: Arc::new(event), to: to.clone(), submitted: None }].into())
                .await
                .unwrap();
            if let Some(state) = state {
                let (id, attempt) = (admitted[0].first, attempt(status));
                let settlement = Settlement { id, attempt, state, is_free: false, rendered: None };
                assert_eq!(queue.settle(vec![settlement]).await.unwrap(), [true]);
            }
        }
    }
}

fn attempt(status: u16) -> Attempt {
    Attempt {
        timings: Timings::default(),
        repeats: u32::from(status == 204),
        number: 1,
        started_at: UnixMicros(1_776_988_800_000_000),
        duration: Duration::from_millis(12),
        status: Some(status),
        reason: (status != 204).then_some(Reason::Refused),
        detail: (status == 204).then(|| "HTTP 204 No Content; its body did not end in time".into()),
        reply: "no such \x1b[2Jhook".into(),
    }
}

fn ids(host: &Host, rest: &[&str]) -> Vec<String> {
    let listed = host.json(&[&["delivery", "list", "--json"][..], rest].concat());
    let ids = listed.as_array().unwrap().iter().map(|delivery| delivery["id"].as_str().unwrap().to_owned());
    ids.collect()
}

#[test]
fn list_is_filtered_and_newest_first() {
    let host = host();
    let all = ids(&host, &[]);
    assert_eq!(all.len(), 3 * EACH);
    let numbers: Vec<DeliveryId> = all.iter().map(|id| id.parse().unwrap()).collect();
    assert!(numbers.is_sorted_by(|newer, older| newer > older));
    for (filter, expected) in [
        (&["--state", "dead"][..], EACH),
        (&["--state", "delivered"], EACH),
        (&["--state", "pending"], EACH),
        (&["--state", "parked"], 0),
        (&["--state", "dead", "--topic", "a.delivered"], 0),
        (&["--topic", "a.>", "--since", "1h"], 3 * EACH),
        (&["--since", "2099-01-01T00:00"], 0),
        (&["--subscription", "other"], 0),
        (&["--event-id", "a.dead-1"], 1),
        (&["--limit", "2"], 2),
        (&["--state", "dead", "--state", "delivered"], 2 * EACH),
        (&["--reason", "refused"], EACH),
        (&["--reason", "timeout"], 0),
        (&["--until", "1h"], 0),
    ] {
        assert_eq!(ids(&host, filter).len(), expected, "{filter:?}");
    }
}

#[test]
fn deliveries_of_a_disabled_subscription_are_parked() {
    let host = host();
    assert_eq!(code(&host.run(&["subscription", "disable", "siem"])), 0);
    assert_eq!(ids(&host, &["--state", "parked"]).len(), EACH);
    assert_eq!(ids(&host, &["--state", "pending"]).len(), 0);
    let shown = stdout(&host.run(&["delivery", "list"]));
    assert_eq!(shown.matches("parked (disabled)").count(), EACH, "{shown}");
}

#[test]
fn deliveries_of_a_paused_subscription_are_parked() {
    let host = host();
    assert_eq!(code(&host.run(&["subscription", "pause", "siem"])), 0);
    let parked = host.json(&["delivery", "list", "--json", "--state", "parked"]);
    let reasons: Vec<_> = parked.as_array().unwrap().iter().map(|delivery| &delivery["reason"]).collect();
    assert_eq!(reasons, ["paused"; EACH]);
    assert_eq!(code(&host.run(&["subscription", "resume", "siem"])), 0);
    assert_eq!(
        (ids(&host, &["--state", "parked"]).len(), ids(&host, &["--state", "pending"]).len()),
        (0, EACH)
    );
}

#[test]
fn delivery_is_shown_with_its_attempts() {
    let host = host();
    let id = &ids(&host, &["--event-id", "a.dead-0"])[0];
    let shown = host.json(&["delivery", "show", id, "--json"]);
    assert_eq!((&shown["state"], &shown["reason"]), (&"dead".into(), &"refused".into()));
    assert_eq!(shown["body"]["payload"]["n"], 1);
    assert_eq!((&shown["tries"][0]["status"], &shown["tries"][0]["number"]), (&404.into(), &1.into()));
    let human = stdout(&host.run(&["delivery", "show", id]));
    assert!(human.contains("404") && human.contains("12.0 ms") && human.contains("refused"), "{human}");
    assert!(!human.contains('\x1b'), "a receiver's reply must not control the terminal");
}

#[test]
fn delivered_attempt_shows_its_detail_and_repeats() {
    let host = host();
    let id = &ids(&host, &["--event-id", "a.delivered-0"])[0];
    let (detail, shown) =
        ("HTTP 204 No Content; its body did not end in time", host.json(&["delivery", "show", id, "--json"]));
    let attempt = &shown["tries"][0];
    assert_eq!((&attempt["detail"], &attempt["repeats"]), (&detail.into(), &1.into()), "{shown}");
    assert_eq!(attempt["reason"], Value::Null);
    let human = stdout(&host.run(&["delivery", "show", id]));
    assert!(human.contains(&format!("{detail}; sent 2 times within the attempt")), "{human}");
}

fn redelivered(host: &Host, rest: &[&str]) -> (u64, u64) {
    let result: Value = host.json(&[&["delivery", "redeliver", "--json"][..], rest].concat());
    (result["chosen"].as_u64().unwrap(), result["redelivered"].as_u64().unwrap())
}

#[test]
fn redelivery_makes_new_deliveries_of_the_same_events() {
    let host = host();
    assert_eq!(redelivered(&host, &["--dead", "--dry-run"]), (3, 0));
    assert_eq!(ids(&host, &[]).len(), 3 * EACH);
    assert_eq!(redelivered(&host, &["--dead", "--subscription", "siem"]), (3, 3));
    assert_eq!(redelivered(&host, &["--dead", "--subscription", "siem"]), (0, 0), "they were redelivered");
    let rest = host.json(&["delivery", "redeliver", "--json", "--topic", "a.*", "--since", "1h"]);
    assert_eq!((&rest["redelivered"], &rest["skipped_superseded"]), (&3.into(), &3.into()), "{rest}");
    let first = ids(&host, &["--event-id", "a.delivered-2"]).pop().unwrap();
    assert_eq!(redelivered(&host, &[&first, "--rate", "1"]), (1, 1), "naming the id redelivers it");
    assert_eq!(ids(&host, &["--state", "pending"]).len(), EACH + 3 + 3 + 1);
    assert_eq!(ids(&host, &["--event-id", "a.dead-0"]).len(), 2);
    let messages = stderr(&host.run(&["delivery", "redeliver", "--dead"]));
    assert!(messages.contains("skipped 3 deliveries that were redelivered before"), "{messages}");
    assert_eq!(code(&host.run(&["delivery", "redeliver", "--dead", "--rate", "0"])), 2);
}

#[test]
fn interrupted_redelivery_reports_its_progress() {
    let host = host();
    let uuid =
        host.json(&[&["subscription", "create", "--name", "other", "--url"][..], &TO_B].concat())["uuid"]
            .clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(add_dead(&host, uuid.as_str().unwrap(), 60));
    let arguments = ["delivery", "redeliver", "--dead", "--topic", "b", "--rate", "1", "--json"];
    let redelivering = host.start(&arguments);
    eventually("the redelivery has started", || ids(&host, &["--topic", "b", "--limit", "100"]).len() > 60);
    redelivering.signal("INT");
    let (code, stdout, stderr) = redelivering.finish();
    assert_eq!((code, &*stdout), (1, ""), "{stderr}");
    assert!(stderr.contains("interrupted; only ") && stderr.contains(" of 60 new"), "{stderr}");
}

/// The arguments that create a subscription to topic `b`.
const TO_B: [&str; 4] = ["https://b.example/", "--pattern", "b", "--json"];

/// Adds dead deliveries of topic `b` to the subscription with this UUID.
async fn add_dead(host: &Host, uuid: &str, count: usize) {
    let queue = Queue::open(&host.path().join("data"), Options::default()).unwrap();
    let sub = queue.register(vec![(uuid.into(), "other".into())]).await.unwrap()[0];
    let admission = |n| {
        let event = Event::new(&format!("b-{n}"), "b", "t", UnixMicros(1), "{}").unwrap().into();
        Admission { event, to: vec![Recipient::new(sub, false)], submitted: None }
    };
    let admitted = queue.admit((0..count).map(admission).collect()).await.unwrap();
    let state = State::Dead { reason: Reason::Refused };
    let settlement = |id| Settlement { id, attempt: attempt(404), state, is_free: false, rendered: None };
    let dead = admitted.iter().map(|it| settlement(it.first));
    queue.settle(dead.collect()).await.unwrap();
}

#[test]
fn pending_deliveries_are_rejected_by_id_and_skipped_by_filter() {
    let host = host();
    let waiting = ids(&host, &["--state", "pending"]);
    let refused = host.run(&["delivery", "redeliver", &waiting[0]]);
    let messages = stderr(&refused);
    assert!(
        code(&refused) == 1 && messages.contains("not final") && messages.contains("still being sent"),
        "{messages}"
    );
    let dry = host.json(&["delivery", "redeliver", "--since", "1h", "--dry-run", "--json"]);
    let (chosen, skipped) = (dry["chosen"].as_u64().unwrap(), dry["skipped_not_final"].as_u64().unwrap());
    assert_eq!((chosen + skipped, skipped), (3 * EACH as u64, waiting.len() as u64));
    let human = host.run(&["delivery", "redeliver", "--since", "1h"]);
    let messages = stderr(&human);
    assert!(
        messages.contains(&format!("skipped {skipped} ")) && stdout(&human).contains("made"),
        "{messages}"
    );
}

#[test]
fn missing_and_unknown_deliveries_are_rejected() {
    let host = host();
    for arguments in [&["delivery", "redeliver"][..], &["delivery", "redeliver", "1.0", "--dead"]] {
        assert_eq!(code(&host.run(arguments)), 2, "{arguments:?}");
    }
    for dry in [&[][..], &["--dry-run"]] {
        let unknown = host.run(&[&["delivery", "redeliver", "999999.0"][..], dry].concat());
        assert_eq!(code(&unknown), 1, "{}", stderr(&unknown));
    }
    let listed = host.run(&["delivery", "list", "--subscription", "nobody"]);
    assert!(stderr(&listed).contains("there is no subscription `nobody`"), "{}", stderr(&listed));
}

#[test]
fn list_is_empty_without_a_queue() {
    let host = Host::new();
    assert_eq!(host.json(&["delivery", "list", "--json"]), Value::Array(vec![]));
    assert_eq!(code(&host.run(&["delivery", "redeliver", "--dead"])), 1);
}

#[test]
fn deliveries_of_a_deleted_subscription_are_not_redelivered() {
    let host = host();
    let dead = ids(&host, &["--state", "dead"]);
    assert_eq!(code(&host.run(&["subscription", "delete", "siem"])), 0);
    let refused = host.run(&["delivery", "redeliver", &dead[0]]);
    let messages = stderr(&refused);
    assert!(code(&refused) == 1 && messages.contains("the subscription `siem` of delivery"), "{messages}");
    let filtered = host.json(&["delivery", "redeliver", "--dead", "--json"]);
    assert_eq!(
        (&filtered["chosen"], &filtered["redelivered"], &filtered["skipped_deleted"]),
        (&0.into(), &0.into(), &EACH.into())
    );
    let human = host.run(&["delivery", "redeliver", "--dead", "--subscription", "siem"]);
    assert_eq!(stdout(&human), "0 new deliveries made\n");
    assert!(stderr(&human).contains("skipped 3 deliveries that belong to deleted subscriptions"));
    assert_eq!(ids(&host, &[]).len(), 3 * EACH, "no delivery was made");
}

#[test]
fn uuid_takes_precedence_over_an_equal_name() {
    let host = host();
    let uuid = host.json(&["subscription", "show", "siem", "--json"])["uuid"].as_str().unwrap().to_owned();
    let create = ["subscription", "create", "--name", &uuid, "--url", "https://b.example/", "--pattern", "b"];
    assert_eq!(code(&host.run(&create)), 0);
    assert_eq!(host.json(&["subscription", "show", &uuid, "--json"])["name"], "siem");
    assert_eq!(ids(&host, &["--subscription", &uuid]).len(), 3 * EACH);
    assert_eq!(host.json(&["subscription", "delete", &uuid, "--json"])["name"], "siem");
    let erased = host.json(&["erase", "--subscription", &uuid, "--yes", "--json"]);
    assert_eq!(
        erased["deliveries"],
        3 * EACH,
        "the deliveries of the deleted subscription, not of the subscription with that name"
    );
    assert_eq!(host.json(&["subscription", "show", &uuid, "--json"])["name"], *uuid);
}
