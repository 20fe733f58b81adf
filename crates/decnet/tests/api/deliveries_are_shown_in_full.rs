//! Deliveries are listed in pages, shown in full, and redelivered.

use std::sync::atomic::{AtomicBool, Ordering};

use decnet_testkit::{Receiver, Script, Step, reply};
use serde_json::{Value, json};

use crate::client::Server;
use crate::support::eventually;

#[test]
fn pages_show_every_delivery_once_newest_first() {
    let (server, receiver) = (Server::start(), Receiver::start(reply(204)));
    server.subscribe_and_wait("a", &receiver, "a.>");
    let events: Vec<Value> = (0..25).map(|n| json!({"id": format!("e{n}"), "topic": "a.b"})).collect();
    server.json(202, "POST /events", &json!(events).to_string());
    server.deliveries("topic=a.*&limit=1000&state=delivered", 25);
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = server.json(200, &format!("GET /deliveries?topic=a.*&limit=10{cursor}"), "");
        seen.extend(page["deliveries"].as_array().unwrap().iter().map(|one| one["event_id"].clone()));
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let expected: Vec<Value> = (0..25).rev().map(|n| json!(format!("e{n}"))).collect();
    assert_eq!(seen, expected);
    assert_eq!(server.deliveries("event_id=e7", 1)[0]["event_id"], "e7");
    assert_eq!(server.json(200, "GET /deliveries?topic=b.*", "")["deliveries"], json!([]));
    assert_eq!(server.json(200, "GET /deliveries?until=2020-01-01T00:00:00Z", "")["deliveries"], json!([]));
}

#[test]
fn filter_selects_by_subscription_topic_state_time_and_reason() {
    let (server, good) = (Server::start(), Receiver::start(reply(204)));
    let bad = Receiver::start(reply(403));
    let right = server.subscribe_and_wait("right", &good, "a.>");
    let wrong = server.subscribe_and_wait("wrong", &bad, "a.b");
    server.json(202, "POST /events", r#"[{"topic":"a.b"},{"topic":"a.c"}]"#);
    server.deliveries("topic=a.*&state=delivered", 2);
    let dead = server.deliveries(&format!("topic=a.*&subscription={wrong}&state=dead"), 1);
    assert_eq!((&dead[0]["state"], &dead[0]["topic"]), (&json!("dead"), &json!("a.b")));
    let reason = dead[0]["reason"].as_str().unwrap();
    for (query, expected) in [
        (format!("reason={reason}&topic=a.*"), 1),
        ("reason=timeout".to_owned(), 0),
        (format!("subscription={right}&topic=a.*"), 2),
        (format!("subscription={right}&topic=a.*&state=dead"), 0),
        ("topic=a.c".to_owned(), 1),
        ("topic=a.*&state=dead,delivered".to_owned(), 3),
        ("topic=a.*&since=2020-01-01T00:00:00Z".to_owned(), 3),
        ("topic=a.*&since=2100-01-01T00:00:00Z".to_owned(), 0),
    ] {
        let page = server.json(200, &format!("GET /deliveries?{query}"), "");
        assert_eq!(page["deliveries"].as_array().unwrap().len(), expected, "{query}: {page}");
    }
    server.json(422, "GET /deliveries?reason=none", "");
    server.json(422, "GET /deliveries?state=lost", "");
}

#[test]
fn a_receivers_retry_after_is_shown_and_lifted_by_enabling() {
    let (server, receiver) = (Server::start(), Receiver::start(reply(204)));
    let uuid = server.subscribe_and_wait("a", &receiver, "a.>");
    receiver.set(reply(429).retry_after("600"));
    server.json(202, "POST /events", r#"[{"topic":"a.b"},{"topic":"a.b"},{"topic":"a.b"}]"#);
    let until = || server.json(200, &format!("GET /subscriptions/{uuid}"), "")["deferred_until"].clone();
    eventually("the wait is shown", || until().is_string());
    eventually("every delivery that waits shows it", || {
        let waiting = server.deliveries("topic=a.b&state=pending,retrying", 3);
        waiting.iter().all(|one| one["deferred_until"] == until())
    });
    receiver.set(reply(204));
    server.json(200, &format!("PATCH /subscriptions/{uuid}"), r#"{"enabled":true}"#);
    let delivered = server.deliveries("topic=a.b&state=delivered", 3);
    assert!(delivered.iter().all(|one| one["deferred_until"].is_null()));
    assert!(until().is_null());
}

#[test]
fn attempt_shows_the_request_without_its_secrets() {
    let server = Server::start();
    let receiver = Receiver::start(reply(200).body("thank you"));
    let uuid = server.subscribe("a", &receiver.url("/in/hunter2?token=hunter2"), "a.>");
    server.json(
        200,
        &format!("PATCH /subscriptions/{uuid}"),
        r#"{"settings":{"headers":{"X-Key":"hunter2"},"trace":true}}"#,
    );
    eventually("the worker uses the header", || {
        server.json(202, "POST /events", r#"{"topic":"a.b"}"#);
        receiver.requests().iter().any(|request| request.header("x-key") == "hunter2")
    });
    let sent = receiver.requests().into_iter().find(|request| request.header("x-key") == "hunter2").unwrap();
    let id = sent.header("webhook-id").to_owned();
    let listed = server.deliveries(&format!("event_id={id}&state=delivered"), 1);
    let detail = server.json(200, &format!("GET /deliveries/{}", listed[0]["id"].as_str().unwrap()), "");
    let [attempt] = &detail["attempts"].as_array().unwrap()[..] else { panic!("one attempt: {detail}") };
    assert_eq!((&attempt["status"], &attempt["reply"]), (&json!(200), &json!("thank you")));
    assert!(attempt["timings"]["first_byte_ms"].as_f64().unwrap() > 0.0, "{attempt}");
    assert_eq!(detail["body"].to_string().as_bytes(), &*sent.body);
    let headers = attempt["request"]["headers"].as_object().unwrap();
    for (name, value) in headers {
        let value = value.as_str().unwrap();
        assert!(value == sent.header(name) || value == "[secret]", "{name}: {value}");
    }
    for name in ["x-decnet-signature", "webhook-signature", "x-key"] {
        assert_eq!(headers[name], "[secret]");
    }
    for name in [
        "content-type",
        "user-agent",
        "x-decnet-event-id",
        "x-decnet-event-topic",
        "webhook-timestamp",
        "traceparent",
    ] {
        assert_eq!(headers[name], sent.header(name), "{name}");
    }
    assert!(!detail.to_string().contains("hunter2"), "{detail}");
}

/// The receiver closes a kept-alive connection when the next request arrives.
#[test]
fn attempt_shows_how_often_its_request_was_repeated() {
    let (server, receiver) = (Server::start(), Receiver::start(reply(204)));
    server.subscribe_and_wait("a", &receiver, "a.>");
    let is_closed = AtomicBool::new(false);
    receiver.set(Script::by(move |request| match request.header("webhook-id") {
        "e2" if !is_closed.swap(true, Ordering::SeqCst) => Step::Close("".into()),
        _ => reply(204).into(),
    }));
    for (id, repeats) in [("e1", 0), ("e2", 1)] {
        server.json(202, "POST /events", &json!({"id": id, "topic": "a.b"}).to_string());
        let listed = server.deliveries(&format!("event_id={id}&state=delivered"), 1);
        let detail = server.json(200, &format!("GET /deliveries/{}", listed[0]["id"].as_str().unwrap()), "");
        let [attempt] = &detail["attempts"].as_array().unwrap()[..] else { panic!("one attempt: {detail}") };
        assert_eq!(attempt["repeats"], json!(repeats), "{detail}");
        let sent = receiver.requests().iter().filter(|request| request.header("webhook-id") == id).count();
        assert_eq!(sent, repeats + 1);
    }
}

#[test]
fn one_and_many_deliveries_are_redelivered() {
    let (server, receiver) = (Server::start(), Receiver::start(reply(204)));
    server.subscribe_and_wait("a", &receiver, "a.>");
    server.json(202, "POST /events", r#"[{"id":"e1","topic":"a.b"},{"id":"e2","topic":"a.c"}]"#);
    let id = server.deliveries("event_id=e1&state=delivered", 1)[0]["id"].as_str().unwrap().to_owned();
    server.deliveries("topic=a.*&state=delivered", 2);
    let again = server.json(202, &format!("POST /deliveries/{id}/redeliver"), "");
    assert_ne!(again["id"], json!(id));
    server.deliveries("topic=a.*&state=delivered", 3);
    let counted = server.json(202, "POST /redeliveries", r#"{"filter":{"topic":"a.c"},"dry_run":true}"#);
    assert_eq!((&counted["total"], &counted["status"]), (&json!(1), &json!("done")));
    let job = server.json(202, "POST /redeliveries", r#"{"filter":{"topic":"a.c"}}"#);
    let path = format!("GET /redeliveries/{}", job["id"].as_str().unwrap());
    eventually("the redelivery is done", || server.json(200, &path, "")["redelivered"] == 1);
    server.deliveries("topic=a.*&state=delivered", 4);
    server.json(404, "POST /deliveries/999.0/redeliver", "");
    server.json(404, "GET /redeliveries/none", "");
    server.json(404, "POST /redeliveries", r#"{"ids":["999.0"]}"#);
    let listed = server.json(200, "GET /redeliveries", "");
    let jobs: Vec<_> = listed["jobs"].as_array().unwrap().iter().map(|job| &job["status"]).collect();
    assert_eq!(jobs, ["done", "done", "failed"]);
}

#[test]
fn delivery_that_is_not_final_is_not_redelivered() {
    let (server, receiver) = (Server::start(), Receiver::start(reply(204)));
    let uuid = server.subscribe_and_wait("a", &receiver, "a.>");
    server.json(202, "POST /events", r#"{"id":"e1","topic":"a.b"}"#);
    server.deliveries("event_id=e1&state=delivered", 1);
    server.json(200, &format!("POST /subscriptions/{uuid}/pause"), "");
    eventually("the worker has applied the pause", || {
        server.json(202, "POST /events", r#"{"topic":"a.c"}"#);
        let parked = server.json(200, "GET /deliveries?topic=a.c&state=parked", "");
        !parked["deliveries"].as_array().unwrap().is_empty()
    });
    server.json(202, "POST /events", r#"{"id":"e2","topic":"a.b"}"#);
    let waits = server.deliveries("event_id=e2&state=parked", 1)[0]["id"].as_str().unwrap().to_owned();
    let refused = server.json(409, &format!("POST /deliveries/{waits}/redeliver"), "");
    assert!(refused["detail"].as_str().unwrap().contains("not final"), "{refused}");
    let named = server.json(409, "POST /redeliveries", &json!({"ids": [waits]}).to_string());
    assert!(named["detail"].as_str().unwrap().contains("not final"), "{named}");
    for dry_run in [true, false] {
        let job = json!({"filter": {"topic": "a.b"}, "dry_run": dry_run}).to_string();
        let job = server.json(202, "POST /redeliveries", &job);
        assert_eq!((&job["total"], &job["skipped_not_final"]), (&json!(1), &json!(1)), "{job}");
    }
    let only = r#"{"filter":{"states":["parked"]},"dry_run":true}"#;
    assert_eq!(server.json(202, "POST /redeliveries", only)["total"], 0);
    server.deliveries("event_id=e2", 1);
}

/// Delivers 150 events with the topic `a.b`.
fn deliver_many(server: &Server, receiver: &Receiver) {
    server.subscribe_and_wait("a", receiver, "a.>");
    let events: Vec<Value> = (0..150).map(|_| json!({"topic": "a.b"})).collect();
    server.json(202, "POST /events", &json!(events).to_string());
    server.deliveries("topic=a.b&state=delivered&limit=1000", 150);
}

/// Starts redelivering the events with the topic `a.b`, one per second, and returns the job's path.
fn begin_slow_redelivery(server: &Server) -> String {
    let job = server.json(202, "POST /redeliveries", r#"{"filter":{"topic":"a.b"},"rate":1}"#);
    format!("/redeliveries/{}", job["id"].as_str().unwrap())
}

#[test]
fn slow_redelivery_can_be_cancelled() {
    let (server, receiver) = (Server::start(), Receiver::start(reply(204)));
    deliver_many(&server, &receiver);
    let path = begin_slow_redelivery(&server);
    eventually("it has begun", || server.json(200, &format!("GET {path}"), "")["redelivered"] != 0);
    server.json(200, &format!("DELETE {path}"), "");
    let mut ended = Value::Null;
    eventually("it has ended", || {
        ended = server.json(200, &format!("GET {path}"), "");
        ended["status"] == "cancelled"
    });
    assert!(ended["redelivered"].as_u64().unwrap() < 150, "{ended}");
}

#[test]
fn redelivery_waits_for_a_missing_queue_and_continues() {
    let (server, receiver) = (Server::start(), Receiver::start(reply(204)));
    deliver_many(&server, &receiver);
    // A worker would notice the missing queue and stop.
    let server = server.into_api_alone();
    let path = begin_slow_redelivery(&server);
    let now = || server.json(200, &format!("GET {path}"), "");
    eventually("it has begun", || now()["redelivered"] != 0);
    let file = server.host.path().join("data").join("queue.db");
    std::fs::rename(&file, file.with_extension("away")).unwrap();
    eventually("it waits", || {
        now()["error"].as_str().is_some_and(|error| error.contains("cannot be used now"))
    });
    let waiting = now();
    assert_eq!(waiting["status"], "running", "{waiting}");
    std::fs::rename(file.with_extension("away"), &file).unwrap();
    eventually("it continues", || now()["redelivered"].as_u64() > waiting["redelivered"].as_u64());
    let ended = server.json(200, &format!("DELETE {path}"), "");
    assert_eq!((&ended["total"], &ended["error"]), (&json!(150), &Value::Null), "{ended}");
}

#[test]
fn erased_event_is_gone_and_explained() {
    let server = Server::start();
    let receiver = Receiver::start(reply(204));
    let uuid = server.subscribe_and_wait("a", &receiver, "a.>");
    server.json(202, "POST /events", r#"{"id":"e1","topic":"a.b","payload":{"who":"hunter2"}}"#);
    let id = server.deliveries("topic=a.*&state=delivered", 1)[0]["id"].as_str().unwrap().to_owned();
    let explained = server.json(200, "GET /explain?subscription=a&event_id=e1", "");
    assert_eq!((&explained["delivery_id"], &explained["subscription"]["uuid"]), (&json!(id), &json!(uuid)));
    let unknown = server.json(200, &format!("GET /explain?subscription={uuid}&event_id=nothing"), "");
    assert_eq!((&unknown["steps"][0]["passed"], &unknown["delivery_id"]), (&json!(false), &Value::Null));
    server.json(404, &format!("GET /explain?subscription={}&topic=a.b", &uuid[..8]), "");
    let not = server.json(200, "GET /explain?subscription=a&topic=b.c", "");
    assert!(not["steps"].as_array().unwrap().iter().any(|step| step["passed"] == false), "{not}");
    let counted = server.json(200, "POST /erasures", r#"{"event_id":"e1","dry_run":true}"#);
    assert_eq!(counted["deliveries"], 1);
    assert_ne!(server.json(200, &format!("GET /deliveries/{id}"), "")["body"], Value::Null);
    let erased = server.json(200, "POST /erasures", r#"{"event_id":"e1"}"#);
    assert_eq!((&erased["status"], &erased["events"]), (&json!("done"), &json!(1)));
    assert_eq!((&counted["gone_from_disk"], &erased["gone_from_disk"]), (&json!(false), &json!(true)));
    let path = format!("/erasures/{}", erased["id"].as_str().unwrap());
    assert_eq!(server.json(200, &format!("GET {path}"), ""), erased);
    assert_eq!(server.json(200, &format!("DELETE {path}"), ""), erased, "it has ended already");
    let listed = server.json(200, "GET /erasures", "");
    assert_eq!((listed["jobs"].as_array().unwrap().len(), &listed["jobs"][1]), (2, &erased));
    server.json(404, "GET /erasures/none", "");
    server.json(404, "POST /erasures", r#"{"subscription":"nobody"}"#);
    assert_eq!(server.json(200, &format!("GET /deliveries/{id}"), "")["body"], Value::Null);
    server.json(409, &format!("POST /deliveries/{id}/redeliver"), "");
    server.json(409, "POST /redeliveries", &json!({"ids": [id]}).to_string());
}

#[test]
fn severity_and_filter_are_explained() {
    let (server, receiver) = (Server::start(), Receiver::start(reply(204)));
    let uuid = server.subscribe_and_wait("a", &receiver, "a.>");
    server.subscribe("b", &receiver.url("/"), "a.>");
    let settings = r#"{"settings":{"filter":"payload.n == 1","min_severity":"info"}}"#;
    server.json(200, &format!("PATCH /subscriptions/{uuid}"), settings);
    server.json(202, "POST /events", r#"{"id":"e2","topic":"a.b","payload":{"n":2}}"#);
    server.deliveries("topic=a.b&state=delivered", 1);
    let passed = |question: &str, name: &str| {
        let explained = server.json(200, &format!("GET /explain?subscription=a&{question}"), "");
        let steps = explained["steps"].as_array().unwrap();
        let step = steps.iter().find(|step| step["step"] == name);
        step.unwrap_or_else(|| panic!("{name} is not in {explained}"))["passed"].clone()
    };
    assert_eq!(
        (passed("event_id=e2", "severity"), passed("event_id=e2", "filter")),
        (json!(true), json!(false))
    );
    assert_eq!((passed("topic=a.b", "filter"), passed("topic=a.b", "delivery")), (Value::Null, Value::Null));
}

#[test]
fn deleted_subscription_gets_no_redelivery() {
    let (server, receiver) = (Server::start(), Receiver::start(reply(204)));
    let uuid = server.subscribe_and_wait("a", &receiver, "a.>");
    server.json(202, "POST /events", r#"[{"topic":"a.b"},{"topic":"a.b"}]"#);
    let id = server.deliveries("topic=a.b&state=delivered", 2)[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(server.ask(&format!("DELETE /subscriptions/{uuid}"), "").status, 204);
    let refused = server.json(409, &format!("POST /deliveries/{id}/redeliver"), "");
    let detail = format!("the subscription `a` of delivery {id} is deleted; the event cannot be sent to it");
    assert_eq!(refused["detail"], json!(detail));
    let named = server.json(409, "POST /redeliveries", &json!({"ids": [id]}).to_string());
    assert_eq!(named["detail"], json!(detail));
    let job = server.json(202, "POST /redeliveries", r#"{"filter":{"topic":"a.b"}}"#);
    assert_eq!(
        (&job["total"], &job["skipped_deleted"], &job["redelivered"]),
        (&json!(0), &json!(2), &json!(0))
    );
    assert_eq!(server.deliveries("topic=a.b", 2).len(), 2);
}
