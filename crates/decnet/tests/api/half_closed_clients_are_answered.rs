//! A client that half-closes its connection after its request is answered (RFC 9112, section 9.6).

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use decnet_testkit::{Receiver, reply};

use crate::client::Server;
use crate::support::{PATIENCE, eventually};

/// Sends requests, closes the sending side, and returns everything that the API sends.
fn answers(server: &Server, requests: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(requests.as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn request(what: &str, token: &str, body: &str) -> String {
    let head = format!("{what} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n");
    let length = body.len();
    format!("{head}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
}

#[test]
fn quick_and_slow_routes_answer_a_half_closed_client() {
    let server = Server::start();
    let token = server.host.token("t", "admin", &[]);
    let receiver = Receiver::start(reply(204).delay(Duration::from_millis(300)));
    let uuid = server.subscribe("a", &receiver.url("/"), "a");
    let test = format!("POST /api/v1/subscriptions/{uuid}/test");
    let explain = "GET /api/v1/explain?subscription=a&event_id=none";
    for (what, body, status) in [
        ("GET /", "", 303),
        ("GET /docs", "", 200),
        ("GET /openapi.json", "", 200),
        ("GET /metrics", "", 200),
        ("GET /api/v1/ready", "", 200),
        ("GET /api/v1/nothing", "", 404),
        ("GET /api/v1/subscriptions", "", 200),
        ("GET /api/v1/webhooks/", "", 200),
        (explain, "", 200),
        ("POST /api/v1/events", r#"{"topic":"a.b"}"#, 202),
        ("POST /setup", r#"{"code":"guess"}"#, 404),
        (&test, "", 200),
    ] {
        let answer = answers(&server, &request(what, &token, body));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{what}: {answer}");
    }
    assert_eq!(receiver.count(), 1, "the test event was sent");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Server::start();
    let token = server.host.token("t", "admin", &[]);
    let ids = ["a", "b", "c", "d", "e"];
    let events = ids.map(|id| {
        let body = format!(r#"{{"id":"{id}","topic":"a"}}"#);
        request("POST /api/v1/events", &token, &body)
    });
    let answer = answers(&server, &events.concat());
    assert_eq!(answer.matches("HTTP/1.1 202 ").count(), ids.len(), "{answer}");
    let found: Vec<_> = ids.iter().filter_map(|id| answer.find(&format!(r#"{{"id":"{id}""#))).collect();
    assert!(found.len() == ids.len() && found.is_sorted(), "in order: {answer}");
}

#[test]
fn incomplete_body_has_no_effect() {
    let server = Server::start();
    let token = server.host.token("t", "admin", &[]);
    let whole = request("POST /api/v1/events", &token, r#"{"id":"cut","topic":"a"}"#);
    let answer = answers(&server, &whole[..whole.len() - 1]);
    assert!(
        answer.starts_with("HTTP/1.1 400 ") && answer.contains("the request body ended early"),
        "{answer}"
    );
    let events = server.json(202, "POST /events", r#"{"id":"cut","topic":"a"}"#);
    assert_eq!(events["events"][0]["duplicate"], false);
}

#[test]
fn connection_of_a_disconnected_client_is_released() {
    let server = Server::start();
    let token = server.host.token("t", "admin", &[]);
    let receiver = Receiver::start(reply(204).delay(Duration::from_millis(300)));
    let uuid = server.subscribe("a", &receiver.url("/"), "a");
    let test = request(&format!("POST /api/v1/subscriptions/{uuid}/test"), &token, "");
    for _ in 0..20 {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(test.as_bytes()).unwrap();
    }
    eventually("nothing is in flight", || {
        let metrics = crate::http::ask(server.address(), "GET /metrics", Some(&token), "").body;
        let line = |name: &str| metrics.lines().find_map(|line| line.strip_prefix(name)?.parse::<f64>().ok());
        receiver.count() == 20 && line("decnet_api_requests_in_flight ") == Some(1.0)
    });
}
