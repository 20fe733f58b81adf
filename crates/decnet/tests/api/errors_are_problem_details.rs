//! Errors on our routes are problem details (RFC 9457), whoever refuses.

use serde_json::Value;

use crate::client::Server;
use crate::http::{Answer, ask, ask_from, fresh_address};

fn problem(answer: &Answer, status: u16, kind: &str) -> Value {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
    let problem = answer.json();
    assert_eq!(problem["type"], format!("/docs#problem-{kind}"), "{problem}");
    assert_eq!(problem["status"], status);
    assert!(problem["title"].is_string() && problem["detail"].is_string(), "{problem}");
    problem
}

#[test]
fn each_failure_has_its_kind() {
    let server = Server::start();
    let token = server.host.token("a", "admin", &[]);
    problem(&server.ask("GET /nothing", ""), 404, "not-found");
    problem(&server.ask("GET /deliveries/1.0", ""), 404, "not-found");
    problem(&server.ask("GET /deliveries/%ff", ""), 400, "malformed");
    let method = server.ask("PUT /subscriptions", "{}");
    problem(&method, 405, "method-not-allowed");
    assert!(method.header("allow").is_some(), "{method:?}");
    problem(&server.ask("POST /subscriptions", "{"), 400, "malformed");
    problem(&server.ask("POST /subscriptions", "[]"), 422, "invalid");
    problem(&server.ask("GET /deliveries?limit=0", ""), 422, "invalid");
    problem(&server.announce("POST /subscriptions", 3 * 1024 * 1024), 413, "too-large");
    let authorization = format!("Authorization: Bearer {token}");
    let form = [authorization.as_str(), "Content-Type: application/x-www-form-urlencoded"];
    let sent = ask_from(fresh_address(), server.address(), "POST /api/v1/events", &form, "topic=a");
    problem(&sent, 415, "unsupported-media-type");
    problem(&ask(server.address(), "GET /api/v1/version", None, ""), 401, "unauthenticated");
    let reader = server.host.token("reader", "read", &[]);
    let refused = ask(server.address(), "POST /api/v1/events", Some(&reader), r#"{"topic":"a"}"#);
    problem(&refused, 403, "forbidden");
}

#[test]
fn a_slip_of_the_finger_is_refused_by_name() {
    let server = Server::start();
    for (what, body, slip) in [
        (
            "POST /subscriptions",
            r#"{"name":"a","url":"https://a.example/","topic_paterns":["a"]}"#,
            "topic_paterns",
        ),
        ("POST /events", r#"{"topic":"a","paylod":1}"#, "paylod"),
        ("POST /redeliveries", r#"{"filter":{"stat":["dead"]}}"#, "stat"),
        ("GET /deliveries?subscrption=a", "", "subscrption"),
    ] {
        let refused = problem(&server.ask(what, body), 422, "invalid");
        assert!(refused["detail"].as_str().unwrap().contains(slip), "{refused}");
    }
}

#[test]
fn the_document_and_its_page_are_open_and_need_nothing_from_elsewhere() {
    let server = Server::start();
    let document = ask(server.address(), "GET /openapi.json", None, "").json();
    assert_eq!(document["openapi"], "3.1.0");
    let page = ask(server.address(), "GET /docs", None, "");
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert!(page.body.contains("id=\"problem-not-found\""));
    for file in ["/docs/page.js", "/docs/page.css"] {
        let file = ask(server.address(), &format!("GET {file}"), None, "");
        assert_eq!(file.status, 200);
        assert!(!file.body.contains("http://") && !file.body.contains("https://"), "{}", file.body);
    }
    let ready = ask(server.address(), "GET /api/v1/ready", None, "");
    assert_eq!((ready.status, &ready.json()["worker"]), (200, &Value::Bool(true)));
}
