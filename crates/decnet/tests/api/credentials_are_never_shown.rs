//! Credentials over HTTP: they can be set, changed and removed, and no answer contains them.

use serde_json::json;

use crate::client::Server;

#[test]
fn credentials_change_one_by_one_and_stay_secret() {
    let server = Server::start();
    let pem = "-----BEGIN CERTIFICATE-----\nhunter2\n-----END CERTIFICATE-----\n";
    let auth = json!({"type": "basic", "user": "soc", "password": "hunter2"});
    let body = json!({"name": "a", "url": "https://198.41.0.4/", "topic_patterns": ["a.>"], "settings": {"auth": auth,
        "private_key": "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}});
    let made = server.json(201, "POST /subscriptions", &body.to_string());
    let shown = json!({"type": "basic", "user": "soc", "password": "[secret]"});
    assert_eq!(made["settings"], json!({"auth": shown, "private_key": "[secret]"}));
    let path = format!("/subscriptions/{}", made["uuid"].as_str().unwrap());
    let change = json!({"settings": {"private_key": null, "auth": {"type": "bearer", "token": "hunter2"}}});
    let patched = server.json(200, &format!("PATCH {path}"), &change.to_string());
    assert_eq!(patched["settings"], json!({"auth": {"type": "bearer", "token": "[secret]"}}));
    for (settings, part) in [
        (json!({"auth": "hunter2"}), "auth must be an object"),
        (json!({"auth": {"type": "hunter2"}}), "auth must be an object"),
        (json!({"auth": {"type": "bearer", "token": "hunter2\n"}}), "printable ASCII"),
        (json!({"client_certificate": {"certificates": pem}}), "client_certificate must be"),
        (json!({"trust_roots": "hunter2"}), "PEM"),
        (json!({ "trust_roots": pem }), "the trusted certificates cannot be read"),
        (json!({"private_key": "hunter2"}), "private key must be"),
        (json!({"headers": {"authorization": "hunter2"}}), "only one of"),
    ] {
        let problem =
            server.json(422, &format!("PATCH {path}"), &json!({ "settings": settings }).to_string());
        let text = problem.to_string();
        assert!(text.contains(part) && !text.contains("hunter2"), "{settings}: {text}");
    }
    for what in [format!("GET {path}"), "GET /subscriptions".to_owned(), "GET /webhooks".to_owned()] {
        let answer = server.ask(&what, "");
        assert!(answer.status == 200 && !answer.body.contains("hunter2"), "{what}: {answer:?}");
    }
}
