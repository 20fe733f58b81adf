//! The dashboard over HTTP: who may see what, and which requests may change something.

use decnet_testkit::{Receiver, reply};
use serde_json::json;

use crate::client::Server;
use crate::http::{Answer, ask_from, fresh_address};
use crate::support::eventually;

/// Markup as a name: it must stay text.
const HOSTILE: &str = "\"><img src=x onerror=alert(1)>{{7*7}}";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded";

/// A browser with a session.
pub(crate) struct Browser<'a> {
    server: &'a Server,
    pub(crate) cookie: String,
    pub(crate) csrf: String,
}

impl<'a> Browser<'a> {
    pub(crate) fn log_in(server: &'a Server, token: &str) -> Self {
        let answer = log_in(server, token, &origin(server));
        assert_eq!((answer.status, answer.header("location")), (303, Some("/")), "{answer:?}");
        let cookie = answer.header("set-cookie").unwrap();
        assert!(cookie.contains("; HttpOnly; SameSite=Strict; "), "{cookie}");
        let cookie = format!("Cookie: {}", cookie.split(';').next().unwrap());
        let mut browser = Self { server, cookie, csrf: String::new() };
        let page = browser.page("/explain");
        browser.csrf = page.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap().into();
        browser
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        ask_from(fresh_address(), self.server.address(), &format!("GET {path}"), &[&self.cookie], "")
    }

    pub(crate) fn page(&self, path: &str) -> String {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.body
    }

    pub(crate) fn post(&self, path: &str, fields: &str) -> Answer {
        let body = format!("csrf={}{fields}", self.csrf);
        self.post_from(path, &body, &[&origin(self.server)])
    }

    fn post_from(&self, path: &str, body: &str, headers: &[&str]) -> Answer {
        let headers = [&[&*self.cookie, FORM], headers].concat();
        ask_from(fresh_address(), self.server.address(), &format!("POST {path}"), &headers, body)
    }
}

pub(crate) fn origin(server: &Server) -> String {
    format!("Origin: http://{}", server.address())
}

pub(crate) fn log_in(server: &Server, token: &str, origin: &str) -> Answer {
    let body = format!("token={token}");
    ask_from(fresh_address(), server.address(), "POST /login", &[FORM, origin], &body)
}

#[test]
fn pages_need_a_session() {
    let server = Server::start();
    let paths = [
        "/",
        "/subscriptions",
        "/subscriptions/names",
        "/deliveries",
        "/events",
        "/failures",
        "/explain",
        "/redeliveries/1",
        "/redeliveries/1/preview",
        "/access",
        "/access/audit",
    ];
    for path in paths {
        let answer = ask_from(fresh_address(), server.address(), &format!("GET {path}"), &[], "");
        let location = answer.header("location").unwrap().to_owned();
        assert_eq!((answer.status, location.split('?').next()), (303, Some("/login")), "{path}");
    }
    let refresh = ["HX-Request: true"];
    let answer = ask_from(fresh_address(), server.address(), "GET /", &refresh, "");
    assert_eq!((answer.status, answer.header("hx-refresh")), (401, Some("true")), "an open page loads anew");
    let elsewhere = ["Sec-Fetch-Site: cross-site"];
    let answer = ask_from(fresh_address(), server.address(), "GET /deliveries?state=dead", &elsewhere, "");
    assert_eq!((answer.status, answer.header("refresh")), (200, Some("0; url=/deliveries?state=dead")));
    let wrong = log_in(&server, "dcn_wrong", &origin(&server));
    assert!(wrong.status == 401 && wrong.body.contains("not valid"), "{wrong:?}");
    let publisher = server.host.token("publisher", "publish", &[]);
    let refused = log_in(&server, &publisher, &origin(&server));
    assert!(refused.status == 403 && refused.header("set-cookie").is_none(), "{refused:?}");
}

#[test]
fn every_page_has_a_strict_policy() {
    let server = Server::start();
    let admin = server.host.token("ops", "admin", &[]);
    let browser = Browser::log_in(&server, &admin);
    for path in [
        "/",
        "/subscriptions",
        "/deliveries",
        "/events",
        "/failures",
        "/explain",
        "/access",
        "/deliveries/9999.0",
        "/login",
    ] {
        let answer = browser.get(path);
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'nonce-"), "{path}: {policy}");
        assert!(
            policy.contains("require-trusted-types-for 'script'") && !policy.contains("unsafe"),
            "{policy}"
        );
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(answer.header("referrer-policy"), Some("same-origin"), "browsers then send the Origin");
    }
    let page = browser.page("/");
    for asset in page.split('"').filter(|part| part.starts_with("/assets/")) {
        let answer = ask_from(fresh_address(), server.address(), &format!("GET {asset}"), &[], "");
        assert_eq!(answer.status, 200, "{asset}");
        assert!(answer.header("cache-control").unwrap().contains("immutable"), "{asset}");
    }
}

#[test]
fn forged_changes_are_rejected() {
    let server = Server::start();
    let uuid = server.subscribe("a", "https://198.41.0.4/", "a");
    let token = server.host.token("ops", "admin", &[]);
    let (browser, other) = (Browser::log_in(&server, &token), Browser::log_in(&server, &token));
    let (path, own) = (format!("/subscriptions/{uuid}/pause"), origin(&server));
    let body = format!("csrf={}", browser.csrf);
    let other_port = "Origin: http://127.0.0.1:1";
    for (body, headers) in [
        ("", &[&*own][..]),
        ("csrf=guess", &[&own]),
        (&format!("csrf={}", other.csrf), &[&own]),
        (&body, &[]),
        (&body, &["Origin: null"]),
        (&body, &[other_port]),
        (&body, &["Origin: https://evil.example"]),
        (&body, &["Host: evil.example", "Origin: http://evil.example"]),
    ] {
        let answer = browser.post_from(&path, body, headers);
        assert_eq!(answer.status, 403, "{body} {headers:?}: {answer:?}");
    }
    assert_eq!(log_in(&server, &token, "Origin: https://evil.example").status, 403);
    let state = || server.json(200, &format!("GET /subscriptions/{uuid}"), "")["state"].clone();
    assert_eq!(state(), "active");
    assert_eq!(browser.get(&path).status, 405, "a link changes nothing");
    assert_eq!(browser.post(&path, "").status, 303);
    assert_eq!(state(), "paused");
}

#[test]
fn foreign_host_names_are_rejected() {
    let server = Server::start();
    let status = |host: &str| {
        let host = format!("Host: {host}");
        ask_from(fresh_address(), server.address(), "GET /login", &[&host], "").status
    };
    let port = server.address().port();
    assert_eq!((status(&format!("localhost:{port}")), status("[::1]:80")), (200, 200));
    assert_eq!((status("evil.example"), status(&format!("127.0.0.1.evil.example:{port}"))), (403, 403));
}

#[test]
fn cookie_is_no_credential_for_the_api() {
    let server = Server::start();
    let token = server.host.token("ops", "admin", &[]);
    let browser = Browser::log_in(&server, &token);
    assert_eq!(browser.get("/api/v1/subscriptions").status, 401);
}

#[test]
fn reader_sees_everything_and_changes_nothing() {
    let server = Server::start();
    let uuid = server.subscribe("a", "https://198.41.0.4/", "a");
    let token = server.host.token("viewer", "read", &[]);
    let browser = Browser::log_in(&server, &token);
    let page = browser.page(&format!("/subscriptions/{uuid}"));
    assert_eq!(page.matches("method=\"post\"").count(), 1, "only the logout: {page}");
    for action in ["pause", "disable", "test", "rotate-secret", "delete"] {
        let answer = browser.post(&format!("/subscriptions/{uuid}/{action}"), "");
        assert_eq!(answer.status, 403, "{action}: {answer:?}");
    }
    assert_eq!(browser.post("/subscriptions/new", "&format=plain&name=b").status, 403);
    for form in ["/subscriptions/new".to_owned(), format!("/subscriptions/{uuid}/edit")] {
        assert_eq!(browser.get(&form).status, 403, "{form}");
    }
    assert_eq!(browser.post("/subscriptions/preview", "&format=plain").status, 403);
    assert_eq!(browser.post("/redeliveries/preview", "").status, 403);
    assert_eq!(browser.post("/redeliveries", "&rate=1").status, 403);
    assert_eq!(server.json(200, &format!("GET /subscriptions/{uuid}"), "")["state"], "active");
}

#[test]
fn session_ends_with_its_token_and_at_logout() {
    let server = Server::start();
    let token = server.host.token("ops", "admin", &[]);
    let (browser, other) = (Browser::log_in(&server, &token), Browser::log_in(&server, &token));
    let answer = browser.post("/logout", "");
    assert!(answer.header("set-cookie").unwrap().contains("Max-Age=0"), "{answer:?}");
    assert_eq!(browser.get("/").status, 303, "the cookie is worthless");
    assert_eq!(other.get("/").status, 200);
    server.host.json(&["token", "revoke", "ops", "--json"]);
    assert_eq!(other.get("/").status, 303, "a revoked token ends its sessions");
}

#[test]
fn failure_is_found_understood_and_repaired() {
    let (server, receiver) = (Server::start(), Receiver::start(reply(403).body(HOSTILE)));
    let body = json!({"name": HOSTILE, "url": receiver.url("/"), "topic_patterns": ["a.>"]}).to_string();
    let uuid = server.json(201, "POST /subscriptions", &body)["uuid"].as_str().unwrap().to_owned();
    let mut events = 0;
    eventually("an event fails", || {
        let event =
            json!({"topic": "a.b", "payload": {"text": HOSTILE, "n": 12_345_678_901_234_567_890_u64}});
        server.json(202, "POST /events", &event.to_string());
        events += 1;
        !server.json(200, "GET /deliveries?state=dead", "")["deliveries"].as_array().unwrap().is_empty()
    });
    let all = server.deliveries("state=dead", events);
    let token = server.host.token("ops", "admin", &[]);
    let browser = Browser::log_in(&server, &token);
    let id = all[0]["id"].as_str().unwrap();
    let paths = [
        "/".to_owned(),
        "/subscriptions".into(),
        format!("/subscriptions/{uuid}"),
        format!("/subscriptions/{uuid}/delete"),
        "/deliveries?state=dead".into(),
        format!("/deliveries/{id}"),
        "/failures".into(),
        "/events".into(),
        format!("/explain?subscription={uuid}&topic=a.b"),
    ];
    eventually("the overview shows the failure", || browser.page("/").contains("1 receiver is in trouble"));
    for path in &paths {
        let page = browser.page(path);
        assert!(page.contains("&#60;img src=x") && !page.contains("<img src=x"), "{path}: {page}");
    }
    let page = browser.page(&format!("/deliveries/{id}"));
    assert!(page.contains("What to do:") && page.contains("12345678901234567890"), "{page}");

    receiver.set(reply(204));
    let preview = browser.post("/redeliveries/preview", &format!("&subscription={uuid}"));
    let preview = preview.header("location").unwrap();
    eventually("the deliveries are counted", || browser.page(preview).contains("to redeliver</h1>"));
    let started = browser.post("/redeliveries", &format!("&subscription={uuid}&rate=1000"));
    let job = started.header("location").unwrap();
    eventually("the redelivery ends", || browser.page(job).contains("state-done"));
    let failures = browser.page("/failures");
    assert!(failures.contains(job) && failures.contains("processed:"), "{failures}");
    assert!(!failures.contains(preview.split('/').nth(2).unwrap()), "counting is not a redelivery");
    server.deliveries("state=delivered", events);
    eventually("the overview shows it", || browser.page("/").contains("Everything is being delivered"));
}

#[test]
fn new_secret_is_shown_once() {
    let server = Server::start();
    let uuid = server.subscribe("a", "https://198.41.0.4/", "a");
    let token = server.host.token("ops", "admin", &[]);
    let browser = Browser::log_in(&server, &token);
    let rotated = browser.post(&format!("/subscriptions/{uuid}/rotate-secret"), "");
    let secret = rotated.body.split("class=\"secret\">").nth(1).unwrap().split('<').next().unwrap();
    assert!(rotated.status == 200 && secret.len() >= 16, "{rotated:?}");
    assert!(!browser.page(&format!("/subscriptions/{uuid}")).contains(secret));
    let deleted = browser.post(&format!("/subscriptions/{uuid}/delete"), "");
    assert_eq!((deleted.status, deleted.header("location")), (303, Some("/subscriptions")));
    assert!(browser.page("/subscriptions").contains("The subscription is deleted."));
}
