//! The request: its body is the event byte for byte, with both signatures and no other headers.

use crate::support::*;
use decnet_core::event::Event;
use decnet_core::limits::{MAX_REPLY_BYTES, MAX_STORED_REPLY_BYTES};
use decnet_core::redact::Secret;
use decnet_core::signature::SigningKey;
use decnet_core::time::UnixMicros;
use decnet_sender::{Options, Sender};
use decnet_testkit::{Receiver, reply};

#[test]
fn headers_and_body_are_exact() {
    let receiver = Receiver::start(reply(204));
    let (event, at) = (event("0123456789abcdef"), now());
    let url = format!("{}?token=t", receiver.url("/hooks/in"));
    let attempted = run(async { sender().send(&target(&url), &event, at).await });
    assert_status(&attempted, 204);
    assert_eq!(attempted.detail, None);

    let request = &receiver.requests()[0];
    let (key, seconds) = (SigningKey::new(&Secret::new(SECRET)), at.as_seconds());
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/hooks/in?token=t"));
    assert_eq!(request.body, event.body);
    assert!(key.verify_decnet(&request.body, request.header("x-decnet-signature")));
    let standard = request.header("webhook-signature");
    assert!(key.verify_standard(&event.id, seconds, &request.body, standard));
    let (host, timestamp) = (receiver.address().to_string(), seconds.to_string());
    let agent = concat!("decnet-webhook/", env!("CARGO_PKG_VERSION"));
    for (name, value) in [
        ("host", host.as_str()),
        ("content-type", "application/json"),
        ("content-length", &event.body.len().to_string()),
        ("user-agent", agent),
        ("x-decnet-event-id", "0123456789abcdef"),
        ("x-decnet-event-topic", "attacker.observed"),
        ("x-decnet-timestamp", &timestamp),
        ("webhook-id", "0123456789abcdef"),
        ("webhook-timestamp", &timestamp),
    ] {
        assert_eq!(request.header(name), value, "{name}");
    }
    assert_eq!(request.headers.len(), 11, "{:?}", request.headers);
}

#[test]
fn url_credentials_become_basic_auth_and_are_redacted() {
    let receiver = Receiver::start(reply(500));
    let url = format!("http://al%3Ace:hunter2@{}/in?token=abc", receiver.address());
    let target = target(&url);
    let attempted = run(async { send(&sender(), &target).await });
    let request = &receiver.requests()[0];
    assert_eq!(request.header("authorization"), "Basic YWw6Y2U6aHVudGVyMg==");
    assert_eq!(request.header("host"), receiver.address().to_string());
    drop(receiver);

    let refused = run(async { send(&sender(), &target).await });
    for shown in [format!("{target:?}"), format!("{attempted:?}"), format!("{refused:?}")] {
        for secret in ["hunter2", "al%3Ace", "al:ce", "YWw6Y2U6aHVudGVyMg", "token", "abc", SECRET] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
    }
}

#[test]
fn topic_that_is_invalid_in_a_header_is_sanitized() {
    let receiver = Receiver::start(reply(200));
    let event = Event::new("e", "a.b\r\nx-evil: 1\0é", "t", UnixMicros(0), "{}").unwrap();
    let attempted = run(async { sender().send(&target(&receiver.url("/")), &event, now()).await });
    assert_status(&attempted, 200);
    let request = &receiver.requests()[0];
    assert_eq!(request.header("x-decnet-event-topic"), "a.b??x-evil: 1???");
    assert_eq!(request.header("x-evil"), "");
    assert_eq!(request.body, event.body);
}

#[test]
fn each_attempt_is_signed_with_its_own_time() {
    let receiver = Receiver::start(reply(200));
    let (sender, target, event) = (sender(), target(&receiver.url("/")), event("e"));
    run(async {
        sender.send(&target, &event, UnixMicros(1_000_000)).await;
        sender.send(&target, &event, UnixMicros(2_999_999)).await;
    });
    let requests = receiver.requests();
    let of = |name: &str| [requests[0].header(name), requests[1].header(name)];
    assert_eq!(of("webhook-timestamp"), ["1", "2"]);
    assert_eq!(of("webhook-id"), ["e", "e"]);
    assert_eq!(of("x-decnet-signature")[0], of("x-decnet-signature")[1]);
    assert_ne!(of("webhook-signature")[0], of("webhook-signature")[1]);
}

#[test]
fn replies_are_kept_for_those_who_show_them() {
    let long = "x".repeat(100_000);
    let script = || reply(418).header("x-odd", "a: b").body(long.clone());
    for receiver in [
        Receiver::start(script()),
        Receiver::builder().tls(&["127.0.0.1"]).script(script()).start(),
        Receiver::builder().tls(&["127.0.0.1"]).http1_only().script(script()).start(),
    ] {
        let extra_roots = receiver.root_certificate().map(|_| roots(&[&receiver])).unwrap_or_default();
        let sender = Sender::new(Options { extra_roots, ..options() });
        let plain = target(&receiver.url("/"));
        let kept = run(async { send(&sender, &plain.clone().keeping_replies()).await });
        assert!(kept.reply_headers.contains(&("x-odd".into(), "a: b".into())), "{:?}", kept.reply_headers);
        assert_eq!((kept.reply.len(), kept.is_reply_complete), (MAX_REPLY_BYTES, false));
        let sent = run(async { send(&sender, &plain).await });
        assert!(sent.reply_headers.is_empty() && sent.reply.len() <= MAX_STORED_REPLY_BYTES);
    }
}
