//! Errors on our routes are problem details (RFC 9457), whichever layer rejects the request.

use std::io::Write as _;
use std::net::TcpStream;

use decnet_core::limits::MAX_API_HEAD_BYTES;
use serde_json::Value;

use crate::client::Server;
use crate::http::{Answer, answer, ask, ask_from, fresh_address};
use crate::support::PATIENCE;

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
fn each_error_has_its_problem_type() {
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
fn unsupported_coding_is_rejected_by_name() {
    let server = Server::start();
    let token = server.host.token("a", "admin", &[]);
    let authorization = format!("Authorization: Bearer {token}");
    let ask = |what: &str, header: &str, body: &str| {
        let headers = [authorization.as_str(), "Content-Type: application/json", header];
        ask_from(fresh_address(), server.address(), what, &headers, body)
    };
    let zipped = ask("POST /api/v1/events", "Content-Encoding: gzip", "\u{1f}");
    let refused = problem(&zipped, 415, "unsupported-media-type");
    assert_eq!(zipped.header("accept-encoding"), Some("identity"));
    assert!(refused["detail"].as_str().unwrap().contains("`gzip`"), "{refused}");
    let on_decnets = ask("POST /api/v1/webhooks/", "Content-Encoding: br", "{}");
    assert_eq!((on_decnets.status, on_decnets.header("accept-encoding")), (415, Some("identity")));
    assert!(on_decnets.json()["detail"].as_str().unwrap().contains("`br`"));
    let plain = ask("POST /api/v1/events", "Content-Encoding: identity", r#"{"topic":"a"}"#);
    assert_eq!(plain.status, 202, "{plain:?}");
    assert_eq!(ask("GET /api/v1/version", "Content-Encoding: gzip", "").status, 200, "there is no body");
    for (codings, status) in
        [("chunked", 202), ("gzip, chunked", 501), ("chunked, chunked", 400), ("gzip", 400)]
    {
        let head =
            format!("POST /api/v1/events HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{authorization}\r\n");
        let coded = "d\r\n{\"topic\":\"a\"}\r\n0\r\n\r\n";
        let head = format!("{head}Content-Type: application/json\r\nTransfer-Encoding: {codings}\r\n\r\n");
        let answer = send(&server, format!("{head}{coded}").as_bytes());
        assert_eq!(answer.status, status, "{codings}: {answer:?}");
        if status == 501 {
            let refused = problem(&answer, 501, "not-implemented");
            assert!(refused["detail"].as_str().unwrap().contains("`gzip, chunked`"), "{refused}");
        }
    }
}

#[test]
fn byte_order_mark_is_reported_by_name() {
    let server = Server::start();
    for (what, body, status) in [
        ("POST /events", "\u{feff}{\"topic\":\"a\"}", 400),
        ("POST /subscriptions", "\u{feff}{}", 400),
        ("POST /webhooks", "\u{feff}{}", 422),
    ] {
        let refused = server.ask(what, body);
        let detail = refused.json()["detail"].as_str().unwrap_or_default().to_owned();
        assert!(
            refused.status == status && detail.contains("byte order mark (U+FEFF)"),
            "{what}: {refused:?}"
        );
    }
    let url = "{\"name\":\"a\",\"url\":\"\u{feff}https://a.example/\",\"topic_patterns\":[\"a\"]}";
    let refused = problem(&server.ask("POST /subscriptions", url), 422, "invalid");
    assert!(refused["detail"].as_str().unwrap().contains("byte order mark"), "{refused}");
}

#[test]
fn root_leads_to_the_login_of_the_dashboard() {
    let server = Server::start();
    for what in ["GET /", "HEAD /", "GET /?from=bookmark", "GET"] {
        let what = if what == "GET" { format!("GET http://{}", server.address()) } else { what.to_owned() };
        let answer = ask(server.address(), &what, None, "");
        let location = answer.header("location").unwrap();
        assert_eq!((answer.status, location.split('?').next()), (303, Some("/login")), "{what}: {answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "a session may exist later");
    }
    problem(&ask(server.address(), "GET /index.html", None, ""), 404, "not-found");
}

#[test]
fn misspelled_field_is_rejected_by_name() {
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
fn documentation_is_public_and_has_no_external_resources() {
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

fn send(server: &Server, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request).unwrap();
    answer(stream)
}

#[test]
fn request_without_one_valid_host_is_malformed() {
    let server = Server::start();
    for (hosts, status) in [
        ("HTTP/1.1\r\nHost: a\r\n", 200),
        ("HTTP/1.1\r\nHost:\r\n", 200),
        ("HTTP/1.0\r\n", 200),
        ("HTTP/1.1\r\n", 400),
        ("HTTP/1.1\r\nHost: a\r\nHost: a\r\n", 400),
        ("HTTP/1.1\r\nHost: a b\r\n", 400),
        ("HTTP/1.0\r\nHost: user@a\r\n", 400),
    ] {
        let request = format!("GET /api/v1/health {hosts}Connection: close\r\n\r\n");
        let answer = send(&server, request.as_bytes());
        assert_eq!(answer.status, status, "{hosts:?}: {answer:?}");
        if status == 400 {
            problem(&answer, 400, "malformed");
        }
    }
}

#[test]
fn head_that_is_too_large_is_rejected() {
    let server = Server::start();
    let head = |bytes: usize| {
        let start = "GET /api/v1/health HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Long: ";
        format!("{start}{}\r\n\r\n", "x".repeat(bytes - start.len() - 4))
    };
    assert_eq!(send(&server, head(MAX_API_HEAD_BYTES).as_bytes()).status, 200);
    problem(&send(&server, head(MAX_API_HEAD_BYTES + 1).as_bytes()), 431, "head-too-large");
    problem(&send(&server, head(70_000).as_bytes()), 431, "head-too-large");
}
