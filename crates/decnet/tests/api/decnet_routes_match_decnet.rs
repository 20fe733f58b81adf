//! `/api/v1/webhooks` behaves as DECNET's pages and scripts expect.

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::client::Server;
use crate::http::{ask, ask_from, fresh_address};
use crate::support::PATIENCE;

const PUBLIC: &str = "https://198.41.0.4/hook";

fn create(server: &Server, fields: &Value) -> (u16, Value) {
    let answer = server.ask("POST /webhooks/", &fields.to_string());
    (answer.status, answer.json())
}

fn refused(server: &Server, fields: &Value) -> (u16, String) {
    let (status, body) = create(server, fields);
    assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
    (status, body["detail"].as_str().unwrap().to_owned())
}

#[test]
fn webhook_is_created_shown_changed_and_deleted() {
    let server = Server::start();
    let events = ["DeckyStatus", "AttackerDetail"];
    let (status, made) =
        create(&server, &json!({"name": "a", "url": PUBLIC, "simple_events": events, "unknown": 1}));
    assert_eq!(status, 201, "{made}");
    assert_eq!(made["topic_patterns"], json!(["decky.*.state", "decky.*.traffic", "attacker.>"]));
    assert!(made["secret"].as_str().unwrap().len() >= 16);
    assert_eq!((&made["enabled"], &made["warnings"]), (&json!(true), &json!([])));
    let created = made["created_at"].as_str().unwrap();
    assert!(created.len() >= 19 && created.contains('T') && !created.contains('+') && !created.contains('Z'));

    let path = format!("/webhooks/{}", made["uuid"].as_str().unwrap());
    let shown = server.json(200, &format!("GET {path}"), "");
    assert_eq!(shown["secret"], Value::Null, "only the first reply contains it");
    assert_eq!(server.json(200, "GET /webhooks", ""), json!([shown]));
    assert_eq!(server.json(200, "GET /webhooks/", ""), json!([shown]));
    assert_eq!(server.json(200, &format!("PATCH {path}"), "{}"), shown, "an empty patch changes nothing");
    let patched = server.json(200, &format!("PATCH {path}"), r#"{"topic_patterns":["x.y"],"name":null}"#);
    assert_eq!(patched["topic_patterns"], json!(["x.y"]), "the whole list is replaced");
    let refused = server.json(400, &format!("PATCH {path}"), r#"{"topic_patterns":[],"simple_events":[]}"#);
    assert!(refused["detail"].is_string());

    assert_eq!(server.json(200, &format!("DELETE {path}"), ""), json!({"message": "Webhook deleted"}));
    assert_eq!(server.json(404, &format!("DELETE {path}"), ""), json!({"detail": "Webhook not found"}));
    assert_eq!(server.json(404, &format!("GET {path}"), ""), json!({"detail": "Webhook not found"}));
    assert_eq!(server.json(404, &format!("POST {path}/test"), ""), json!({"detail": "Webhook not found"}));
}

/// DECNET accepts any secret, so its routes do here too; the reply warns about an unusual secret.
#[test]
fn odd_secrets_are_accepted_with_a_warning() {
    let server = Server::start();
    for (index, (secret, warning)) in [
        ("whsec_not*base64*at*all*xx", "not followed by base64"),
        ("abcdefghijklmnop0123456789  ", "begins or ends with whitespace"),
        ("\u{feff}abcdefghijklmnop0123456789", "byte order mark"),
    ]
    .into_iter()
    .enumerate()
    {
        let fields =
            json!({"name": format!("w{index}"), "url": PUBLIC, "topic_patterns": ["a"], "secret": secret});
        let (status, made) = create(&server, &fields);
        assert_eq!((status, &made["secret"]), (201, &json!(secret)));
        assert!(made["warnings"][0].as_str().unwrap().contains(warning), "{made}");
        let path = format!("/webhooks/{}", made["uuid"].as_str().unwrap());
        let change = json!({ "secret": secret }).to_string();
        let patched = server.json(200, &format!("PATCH {path}"), &change);
        assert!(patched["warnings"][0].as_str().unwrap().contains(warning), "{patched}");
    }
}

/// DECNET accepts any name, so its routes do here too; the reply warns about a name that can be confused with another.
#[test]
fn odd_names_are_accepted_with_a_warning() {
    let server = Server::start();
    for (name, warning) in [(" siem", "whitespace"), ("si\u{200b}em", "U+200B"), ("siem\u{3164}", "U+3164")] {
        let fields =
            json!({"name": name, "url": PUBLIC, "topic_patterns": ["a"], "secret": "0123456789abcdef"});
        let (status, made) = create(&server, &fields);
        assert_eq!(status, 201, "{made}");
        assert!(made["warnings"][0].as_str().unwrap().contains(warning), "{made}");
    }
}

#[test]
fn errors_have_decnets_statuses() {
    let server = Server::start();
    let good = json!({"name": "a", "url": PUBLIC, "topic_patterns": ["a.>"], "secret": "0123456789abcdef"});
    let with = |field: &str, value: Value| {
        let mut fields = good.clone();
        fields[field] = value;
        fields
    };
    for (fields, expected) in [
        (json!({"url": PUBLIC, "topic_patterns": ["a"]}), 400),
        (json!({"name": "a", "topic_patterns": ["a"]}), 400),
        (json!({"name": "a", "url": PUBLIC}), 400),
        (with("name", json!("")), 400),
        (with("name", json!(7)), 400),
        (with("secret", json!("short")), 400),
        (with("topic_patterns", json!("a")), 400),
        (with("topic_patterns", Value::Null), 400),
        (with("enabled", json!("maybe")), 400),
        (json!([good]), 400),
        (with("name", json!("n".repeat(65))), 422),
        (with("secret", json!("s".repeat(257))), 422),
        (with("url", json!("ftp://a.example/")), 422),
        (with("url", json!("nonsense")), 422),
        (with("simple_events", json!(["Everything"])), 422),
        (with("topic_patterns", json!(["a..b"])), 422),
    ] {
        let (status, detail) = refused(&server, &fields);
        assert_eq!(status, expected, "{fields}: {detail}");
    }
    let unreadable = server.ask("POST /webhooks", "{");
    assert_eq!((unreadable.status, unreadable.json().as_object().unwrap().len()), (422, 1));
    assert_eq!(create(&server, &good).0, 201);
    assert_eq!(refused(&server, &good).0, 409);
}

#[test]
fn forbidden_addresses_are_rejected_and_http_causes_a_warning() {
    let server = Server::start();
    let to = |url: &str| json!({"name": url, "url": url, "topic_patterns": ["a"]});
    for url in ["http://127.0.0.2/", "http://169.254.169.254/", "http://[::1]/", "https://10.0.0.1/"] {
        let (status, detail) = refused(&server, &to(url));
        assert!(status == 422 && detail.contains("forbidden"), "{url}: {status} {detail}");
    }
    let (_, plain) = create(&server, &to("http://198.41.0.4/"));
    assert!(plain["warnings"][0].as_str().unwrap().starts_with("insecure_url"), "{plain}");
    let path = format!("PATCH /webhooks/{}", plain["uuid"].as_str().unwrap());
    let refused = server.json(422, &path, r#"{"url":"https://10.0.0.1/"}"#);
    assert!(refused["detail"].as_str().unwrap().contains("forbidden"));
}

#[test]
fn one_address_may_create_twenty_per_minute() {
    let server = Server::start();
    let token = server.host.token("maker", "admin", &[]);
    let (from, authorization) = (fresh_address(), format!("Authorization: Bearer {token}"));
    let headers = [authorization.as_str(), "Content-Type: application/json"];
    let mut statuses = Vec::new();
    for n in 0..21 {
        let body = json!({"name": format!("n{n}"), "url": PUBLIC, "topic_patterns": ["a"]}).to_string();
        let answer = ask_from(from, server.address(), "POST /api/v1/webhooks/", &headers, &body);
        assert!(answer.status != 429 || answer.header("retry-after").is_some());
        statuses.push(answer.status);
    }
    assert_eq!(statuses[..20], [201; 20]);
    assert_eq!(statuses[20], 429);
}

#[test]
fn only_an_admin_may_use_decnet_routes() {
    let server = Server::start();
    let viewer = server.host.token("viewer", "read", &[]);
    let path = "GET /api/v1/webhooks/";
    let (nobody, other) =
        (ask(server.address(), path, None, ""), ask(server.address(), path, Some(&viewer), ""));
    assert_eq!((nobody.status, nobody.json()), (401, json!({"detail": "Could not validate credentials"})));
    assert_eq!((other.status, other.json()), (403, json!({"detail": "Insufficient permissions"})));
}

fn change_table(server: &Server, sql: &str) {
    let catalog = Connection::open(server.host.path().join("data/decnet.db")).unwrap();
    catalog.busy_timeout(PATIENCE).unwrap();
    catalog.execute_batch(sql).unwrap();
}

#[test]
fn only_enabling_resets_a_tripped_webhook() {
    let server = Server::start();
    let uuid = server.subscribe("t", PUBLIC, "a.>");
    let path = format!("/webhooks/{uuid}");
    change_table(
        &server,
        "UPDATE webhook_subscriptions SET consecutive_failures = 3, last_error = 'HTTP 503'",
    );
    let form =
        json!({"name": "t", "url": PUBLIC, "simple_events": [], "topic_patterns": ["a.>"], "enabled": true});
    let saved = server.json(200, &format!("PATCH {path}"), &form.to_string());
    assert_eq!((&saved["consecutive_failures"], &saved["last_error"]), (&json!(3), &json!("HTTP 503")));
    change_table(
        &server,
        "UPDATE webhook_subscriptions SET enabled = 0, auto_disabled_at = '2026-01-02 03:04:05.000600'",
    );
    let tripped = server.json(200, &format!("GET {path}"), "");
    assert_eq!(tripped["auto_disabled_at"], "2026-01-02T03:04:05.000600");
    let on = server.json(200, &format!("PATCH {path}"), r#"{"enabled":true}"#);
    assert_eq!(
        (&on["enabled"], &on["auto_disabled_at"], &on["last_error"]),
        (&json!(true), &Value::Null, &Value::Null)
    );
    assert_eq!(on["consecutive_failures"], 0);
}

#[test]
fn list_is_oldest_first_and_shows_rows_as_decnet_wrote_them() {
    let server = Server::start();
    let uuids = ["a", "b", "c"].map(|name| server.subscribe(name, PUBLIC, "a.>"));
    let longest = format!("https://198.41.0.4/{}", "x".repeat(2064));
    change_table(
        &server,
        &format!(
            "UPDATE webhook_subscriptions SET created_at = '2020-01-01 00:00:00.000000', url = '{longest}',
             topic_patterns = '[\"a.>.b\"]' WHERE name = 'c'"
        ),
    );
    let list = server.json(200, "GET /webhooks/", "");
    let listed: Vec<&str> =
        list.as_array().unwrap().iter().map(|row| row["uuid"].as_str().unwrap()).collect();
    assert_eq!(listed, [&uuids[2], &uuids[0], &uuids[1]]);
    assert_eq!(list[0]["url"], longest.as_str());
    assert_eq!((&list[0]["topic_patterns"], &list[0]["warnings"]), (&json!(["a.>.b"]), &json!([])));
}

#[test]
fn form_may_send_back_patterns_that_are_no_longer_valid() {
    let server = Server::start();
    let uuid = server.subscribe("f", PUBLIC, "a.>");
    change_table(&server, r#"UPDATE webhook_subscriptions SET topic_patterns = '["a..b", "a.>.b"]'"#);
    let patch = |fields: Value| server.ask(&format!("PATCH /webhooks/{uuid}"), &fields.to_string());
    let saved = patch(json!({"name": "g", "simple_events": [], "topic_patterns": ["a..b", "a.>.b"]})).json();
    assert_eq!((&saved["name"], &saved["topic_patterns"]), (&json!("g"), &json!(["a..b", "a.>.b"])));
    assert_eq!(patch(json!({"topic_patterns": ["a..b", "c"]})).status, 422, "a changed list is validated");
}

#[test]
fn several_errors_are_reported_in_decnets_order() {
    let server = Server::start();
    for name in ["taken", "mine"] {
        server.subscribe(name, PUBLIC, "a.>");
    }
    let (long, inside) = ("n".repeat(65), "http://10.0.0.1/");
    for (fields, expected) in [
        (json!({"name": long, "topic_patterns": ["a"]}), 400),
        (json!({"name": "b", "url": "nonsense", "secret": "short", "topic_patterns": ["a"]}), 400),
        (json!({"name": "taken", "url": inside}), 400),
        (json!({"name": "taken", "url": inside, "topic_patterns": ["a"]}), 409),
        (json!({"name": "free", "url": inside, "topic_patterns": ["a"]}), 422),
    ] {
        let (status, detail) = refused(&server, &fields);
        assert_eq!(status, expected, "{fields}: {detail}");
    }
    let list = server.json(200, "GET /webhooks/", "");
    let path = format!("PATCH /webhooks/{}", list[1]["uuid"].as_str().unwrap());
    for (fields, expected) in [
        (json!({"name": "taken", "url": inside, "topic_patterns": []}), 409),
        (json!({"name": "mine", "url": inside, "topic_patterns": []}), 422),
        (json!({"name": "mine", "url": PUBLIC, "topic_patterns": []}), 400),
        (json!({"name": "mine", "url": PUBLIC}), 200),
    ] {
        server.json(expected, &path, &fields.to_string());
    }
    let taken = server.json(409, &path, r#"{"name":"taken"}"#);
    assert_eq!(taken, json!({"detail": "Webhook name already exists"}));
    server.json(404, "PATCH /webhooks/nobody", &json!({"name": "taken", "topic_patterns": []}).to_string());
}

#[test]
fn body_must_exist_and_be_json() {
    let server = Server::start();
    let token = server.host.token("maker", "admin", &[]);
    let authorization = format!("Authorization: Bearer {token}");
    let with = |content_type: &str, body: &str| {
        let headers = [authorization.as_str(), content_type];
        let path = "POST /api/v1/webhooks/";
        let answer = ask_from(fresh_address(), server.address(), path, &headers, body);
        assert_eq!(answer.json().as_object().unwrap().len(), 1, "{answer:?}");
        answer.status
    };
    assert_eq!(with("Content-Type: application/json", ""), 400);
    assert_eq!(with("Content-Type: application/json; charset=utf-8", "{}"), 400);
    assert_eq!(with("Content-Type: text/plain", "{}"), 415);
    assert_eq!(with("X-Content-Type: none", "{}"), 415);
}
