//! Submitted events are durable when the answer arrives, are delivered once, and are recognized when they are repeated.

use decnet_testkit::{Receiver, Request, reply};
use serde_json::json;

use crate::client::Server;
use crate::http::{ask_from, fresh_address};
use crate::support::{PATIENCE, code, eventually};

#[test]
fn event_with_an_id_sent_repeatedly_is_delivered_once() {
    let (server, receiver) = (Server::start(), Receiver::start(reply(204)));
    server.subscribe_and_wait("a", &receiver, "a.>");
    let event =
        r#"{"id":"e1","topic":"a.b","type":"t","ts":"2026-04-24T00:00:00Z","payload":{"b":1,"a":[1.50]}}"#;
    let first = server.json(202, "POST /events", event);
    assert_eq!(first, json!({"events": [{"id": "e1", "duplicate": false}]}));
    let again = server.json(202, "POST /events", event);
    assert_eq!(again, json!({"events": [{"id": "e1", "duplicate": true}]}));
    let other = r#"[{"id":"e3","topic":"a.b"},{"id":"e1","topic":"a.b","payload":"another"}]"#;
    let refused = server.json(409, "POST /events", other);
    assert!(refused["detail"].as_str().unwrap().starts_with("event 1: the id e1"), "{refused}");
    server.json(202, "POST /events", r#"{"events":[{"id":"e2","topic":"a.c"},{"topic":"elsewhere"}]}"#);
    server.deliveries("topic=a.*&state=delivered", 2);
    let seen = receiver.requests();
    let body = r#"{"id":"e1","payload":{"a":[1.5],"b":1},"topic":"a.b","ts":"2026-04-24T00:00:00+00:00","type":"t","v":1}"#;
    let bodies: Vec<_> =
        seen.iter().map(|request| String::from_utf8_lossy(&request.body).into_owned()).collect();
    assert!(bodies.contains(&body.to_owned()), "{bodies:?}");
    let is_expected = |request: &&Request| request.header("x-decnet-event-topic").starts_with("a.");
    assert_eq!(seen.iter().filter(is_expected).count(), 2);
}

#[test]
fn request_with_an_idempotency_key_gets_its_first_answer() {
    let server = Server::start();
    let token = server.host.token("sender", "publish", &[]);
    let authorization = format!("Authorization: Bearer {token}");
    let publish = |key: &str, body: &str| {
        let headers = [&authorization, "Content-Type: application/json", &format!("Idempotency-Key: {key}")];
        ask_from(fresh_address(), server.address(), "POST /api/v1/events", &headers, body)
    };
    let body = r#"[{"topic":"a.b"},{"topic":"a.c"}]"#;
    let (first, again) = (publish("k1", body), publish("k1", body));
    assert_eq!((first.status, again.status), (202, 202));
    let ids = |answer: &serde_json::Value| {
        answer["events"].as_array().unwrap().iter().map(|event| event["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&first.json()), ids(&again.json()));
    assert_ne!(ids(&first.json()), ids(&publish("k2", body).json()));
    assert_eq!(publish("k1", r#"{"topic":"other"}"#).status, 409);
    assert_eq!(publish(&"k".repeat(300), body).status, 422);
    assert_eq!(publish("k3\r\nIdempotency-Key: k4", body).status, 422, "only one key is allowed");
}

/// Without this check, clients could forge the worker's events about its deliveries.
#[test]
fn reserved_topics_are_forbidden() {
    let (server, receiver) = (Server::start(), Receiver::start(reply(204)));
    server.subscribe_and_wait("a", &receiver, ">");
    for topic in ["system.webhook.dead", "system.webhook.control", "system.bus.health"] {
        let events = format!(r#"[{{"topic":"a.b"}},{{"topic":"{topic}"}}]"#);
        let refused = server.json(403, "POST /events", &events);
        assert_eq!(refused["type"], "/docs#problem-forbidden");
        assert!(refused["detail"].as_str().unwrap().starts_with("event 1: topic"), "{refused}");
    }
    server.json(202, "POST /events", r#"{"id":"last","topic":"system.log"}"#);
    server.deliveries("topic=system.log&state=delivered", 1);
    server.deliveries("topic=a.*", 0);
}

#[test]
fn batch_with_one_invalid_event_is_rejected_as_a_whole() {
    let (server, receiver) = (Server::start(), Receiver::start(reply(204)));
    server.subscribe_and_wait("a", &receiver, "z.>");
    let refused =
        server.json(422, "POST /events", r#"[{"id":"x1","topic":"z.a"},{"id":"x2","topic":"z.*"}]"#);
    assert!(refused["detail"].as_str().unwrap().starts_with("event 1: topic"), "{refused}");
    server.json(202, "POST /events", r#"{"id":"last","topic":"z.b"}"#);
    let only = server.deliveries("topic=z.*&state=delivered", 1);
    assert_eq!(only[0]["event_id"], "last");
    let large = format!(r#"{{"topic":"a","payload":"{}"}}"#, "x".repeat(1024 * 1024));
    server.json(422, "POST /events", &large);
    assert_eq!(server.announce("POST /events", 9 * 1024 * 1024).status, 413);
    let many = |count: usize| json!(vec![json!({"topic": "z.none"}); count]).to_string();
    server.json(202, "POST /events", &many(1000));
    server.json(422, "POST /events", &many(1001));
}

/// Ids of bus events and of submitted events are separate: an event that is answered as new is delivered.
#[test]
fn event_with_the_id_of_a_bus_event_is_new() {
    let (server, receiver) = (Server::start(), Receiver::start(reply(200)));
    server.subscribe("siem", &receiver.url("/"), "a.>");
    eventually("the worker listens to the bus", || {
        server.host.json(&["status", "--json"])["worker"]["bus"] == "connected"
    });
    assert_eq!(code(&server.host.run(&["publish", "a.b"])), 0);
    let id = receiver.wait_for(1, PATIENCE)[0].header("x-decnet-event-id").to_owned();
    for (duplicate, count) in [(false, 2), (true, 2)] {
        let body = json!({ "id": id, "topic": "a.b" }).to_string();
        let answer = server.json(202, "POST /events", &body);
        assert_eq!(answer["events"], json!([{ "id": id, "duplicate": duplicate }]));
        assert!(receiver.wait_for(count, PATIENCE).iter().all(|request| request.header("webhook-id") == id));
    }
    server.json(202, "POST /events", r#"{"id":"last","topic":"a.b"}"#);
    let last = receiver.wait_for(3, PATIENCE).pop().unwrap();
    assert_eq!(last.header("x-decnet-event-id"), "last");
}

#[test]
fn id_with_a_dot_is_rejected() {
    let server = Server::start();
    let refused = server.json(422, "POST /events", r#"[{"topic":"a"},{"id":"a.b","topic":"a"}]"#);
    assert_eq!(
        refused["detail"],
        "event 1: an id must have 1 to 128 printable ASCII characters, without spaces or dots"
    );
}

#[test]
fn numbers_arrive_the_same_over_bus_and_http() {
    let (server, receiver) = (Server::start(), Receiver::start(reply(204)));
    server.subscribe_and_wait("a", &receiver, "n.>");
    for (given, sent) in [
        ("18446744073709551616", "18446744073709551616"),
        ("-9223372036854775809", "-9223372036854775809"),
        ("[-0,123456789012345678901234567890]", "[0,123456789012345678901234567890]"),
        ("[-0.0,1.0,1E5,2.50,1e22]", "[-0.0,1.0,100000.0,2.5,1e+22]"),
    ] {
        server.json(202, "POST /events", &format!(r#"{{"topic":"n.http","payload":{given}}}"#));
        let published = server.host.run(&["publish", "n.bus", "--", given]);
        assert_eq!(published.status.code(), Some(0), "{published:?}");
        let payload = format!(r#""payload":{sent},"#);
        eventually(&format!("{given} over both ways"), || {
            let has_come = |topic: &str| {
                receiver.requests().iter().any(|request| {
                    request.header("x-decnet-event-topic") == topic
                        && String::from_utf8_lossy(&request.body).contains(&payload)
                })
            };
            has_come("n.http") && has_come("n.bus")
        });
    }
    let too_large = server.json(422, "POST /events", r#"{"topic":"n.http","payload":1e999}"#);
    assert!(too_large["detail"].as_str().unwrap().contains("number too large"), "{too_large}");
}
