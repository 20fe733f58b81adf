//! Subscriptions over HTTP: each request changes what it names and nothing else, and no secret is shown twice.

use decnet_testkit::{Receiver, reply};
use serde_json::{Value, json};

use crate::client::Server;
use crate::support::eventually;

#[test]
fn merge_patch_changes_what_it_names() {
    let server = Server::start();
    let body = json!({"name": "a", "url": "https://user:hunter2@198.41.0.4/in/hunter2?token=hunter2", "topic_patterns": ["a.>"],
        "secret": "hunter2hunter2hunter2", "settings": {"rate": "5/s", "headers": {"x-key": "hunter2"}}});
    let made = server.json(201, "POST /subscriptions", &body.to_string());
    assert_eq!(made["secret"], Value::Null, "a given secret is not returned");
    assert!(!made.to_string().contains("hunter2"), "{made}");
    assert_eq!(made["url"], "https://198.41.0.4/…");
    let path = format!("/subscriptions/{}", made["uuid"].as_str().unwrap());
    let patched = server.json(200, &format!("PATCH {path}"), r#"{"settings":{"timeout":"3s","rate":null}}"#);
    assert_eq!(patched["settings"], json!({"timeout": "3s", "headers": {"x-key": "[secret]"}}));
    assert_eq!(patched["topic_patterns"], json!(["a.>"]));
    server.json(422, &format!("PATCH {path}"), r#"{"name":null}"#);
    server.json(422, &format!("PATCH {path}"), r#"{"settings":{"timeout":"3 years"}}"#);
    server.json(409, "POST /subscriptions", &body.to_string());
    for (step, state) in
        [("pause", "paused"), ("resume", "active"), ("disable", "disabled"), ("enable", "active")]
    {
        assert_eq!(server.json(200, &format!("POST {path}/{step}"), "")["state"], state);
    }
    assert_eq!(server.ask(&format!("DELETE {path}"), "").status, 204);
    server.json(404, &format!("GET {path}"), "");
}

#[test]
fn odd_secrets_are_rejected_with_the_reason() {
    let server = Server::start();
    let uuid = server.subscribe("a", "https://198.41.0.4/", "a");
    for (secret, reason) in [
        ("whsec_not*base64*at*all*xx", "not followed by base64"),
        ("whsec_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_", "write + for - and / for _"),
        ("whsec_c2l4dGVlbiBjaGFyYWN0ZXI", "add the missing ="),
        ("\u{feff}abcdefghijklmnop0123456789", "byte order mark"),
        (" abcdefghijklmnop0123456789", "begins or ends with whitespace"),
        ("abcdefghijklmnop0123456789\n", "begins or ends with whitespace"),
    ] {
        let new =
            json!({"name": "b", "url": "https://198.41.0.4/", "topic_patterns": ["a"], "secret": secret});
        let change = json!({ "secret": secret }).to_string();
        for (what, body) in [
            ("POST /subscriptions".to_owned(), new.to_string()),
            (format!("PATCH /subscriptions/{uuid}"), change.clone()),
            (format!("POST /subscriptions/{uuid}/rotate-secret"), change),
        ] {
            let problem = server.json(422, &what, &body);
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains(reason) && !detail.contains("abcdefghij"), "{what}: {problem}");
        }
    }
    let good = json!({"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}).to_string();
    server.json(200, &format!("PATCH /subscriptions/{uuid}"), &good);
}

#[test]
fn pages_show_every_subscription_once() {
    let server = Server::start();
    let made: Vec<Value> =
        (0..5).map(|n| json!(server.subscribe(&format!("s{n}"), "https://198.41.0.4/", "a"))).collect();
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = server.json(200, &format!("GET /subscriptions?limit=2{cursor}"), "");
        seen.extend(page["subscriptions"].as_array().unwrap().iter().map(|one| one["uuid"].clone()));
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, made);
}

#[test]
fn both_secrets_sign_after_a_rotation() {
    let (server, receiver) = (Server::start(), Receiver::start(reply(204)));
    let uuid = server.subscribe("a", &receiver.url("/"), "a.>");
    let rotated =
        server.json(200, &format!("POST /subscriptions/{uuid}/rotate-secret"), r#"{"overlap":"1h"}"#);
    assert!(rotated["secret"].as_str().unwrap().len() >= 16);
    assert_eq!(rotated["old_secrets_until"].as_array().unwrap().len(), 1);
    eventually("the worker signs with both", || {
        server.json(202, "POST /events", r#"{"topic":"a.b"}"#);
        receiver
            .requests()
            .iter()
            .any(|request| request.header("webhook-signature").matches("v1,").count() == 2)
    });
    let tested = server.json(200, &format!("POST /subscriptions/{uuid}/test"), "");
    assert_eq!((&tested["delivered"], &tested["status_code"]), (&json!(true), &json!(204)));
    let ping =
        receiver.requests().into_iter().find(|request| request.header("x-decnet-event-topic") == "test.ping");
    let ping: Value = serde_json::from_slice(&ping.unwrap().body).unwrap();
    assert_eq!((&ping["type"], &ping["payload"]["triggered_by"]), (&json!("test"), &json!("test")), "{ping}");
    receiver.set(reply(500));
    let tested = server.json(200, &format!("POST /webhooks/{uuid}/test"), "");
    assert_eq!((&tested["delivered"], &tested["status_code"]), (&json!(false), &json!(500)));
}

#[test]
fn overlap_of_replaced_secrets_can_be_ended() {
    let (server, receiver) = (Server::start(), Receiver::start(reply(204)));
    let uuid = server.subscribe("a", &receiver.url("/"), "a.>");
    server.json(422, &format!("POST /subscriptions/{uuid}/rotate-secret"), r#"{"overlap":"31d"}"#);
    server.json(200, &format!("POST /subscriptions/{uuid}/rotate-secret"), r#"{"overlap":"1h"}"#);
    for _ in 0..2 {
        let row = server.json(200, &format!("POST /subscriptions/{uuid}/revoke-old-secrets"), "");
        assert_eq!(row["old_secrets_until"], json!([]));
    }
    eventually("the worker signs only with the new secret", || {
        server.json(202, "POST /events", r#"{"topic":"a.b"}"#);
        receiver
            .requests()
            .last()
            .is_some_and(|request| request.header("webhook-signature").matches("v1,").count() == 1)
    });
    server.json(404, "POST /subscriptions/nobody/revoke-old-secrets", "");
}

#[test]
fn worker_applies_a_change_at_once() {
    let (server, receiver) = (Server::start(), Receiver::start(reply(204)));
    let uuid = server.subscribe("a", &receiver.url("/"), "a.>");
    server.json(200, &format!("PATCH /webhooks/{uuid}"), r#"{"topic_patterns":["b.>"]}"#);
    eventually("an event of the new pattern arrives", || {
        server.json(202, "POST /events", r#"{"topic":"b.c"}"#);
        receiver.requests().iter().any(|request| request.header("x-decnet-event-topic") == "b.c")
    });
}

#[test]
fn new_name_cannot_look_like_another() {
    let server = Server::start();
    let create = |name: &str| {
        let body = json!({"name": name, "url": "https://198.41.0.4/", "topic_patterns": ["a.>"]}).to_string();
        server.ask("POST /subscriptions", &body)
    };
    let made = create("gr\u{f6}n");
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(create("gro\u{308}n").status, 409, "the same letters in another composition");
    for (name, part) in [(" siem", "whitespace"), ("si\u{200b}em", "U+200B"), ("si\u{202e}em", "U+202E")] {
        let refused = create(name);
        assert!(refused.status == 422 && refused.body.contains(part), "{name:?}: {refused:?}");
        let path = format!("PATCH /subscriptions/{}", made.json()["uuid"].as_str().unwrap());
        assert_eq!(server.ask(&path, &json!({ "name": name }).to_string()).status, 422, "{name:?}");
    }
    // DECNET's route accepts what DECNET accepts, and our route can change such a row.
    let odd = json!({"name": " siem", "url": "https://198.41.0.4/", "topic_patterns": ["a.>"]}).to_string();
    let odd = server.json(201, "POST /webhooks", &odd);
    let path = format!("PATCH /subscriptions/{}", odd["uuid"].as_str().unwrap());
    server.json(200, &path, r#"{"name":" siem","enabled":false}"#);
}
