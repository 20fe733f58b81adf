//! The settings of a subscription and the rotation of its secrets, from the command line to the request.

use std::time::Duration;

use decnet_core::redact::Secret;
use decnet_core::signature::SigningKey;
use decnet_testkit::{Receiver, Request, reply};
use serde_json::{Value, json};

use crate::support::{Host, code, stderr, stdout};

const TOKEN: &str = "Bearer t0ken-of-the-tests";
const PATIENCE: Duration = Duration::from_secs(60);

/// Creates a host with a subscription to a receiver. Returns it and the secret.
fn subscribed(receiver: &Receiver) -> (Host, String) {
    let host = Host::new().with("DECNET_WEBHOOK_ALLOW_PRIVATE", "true");
    let url = receiver.url("/");
    let create =
        ["subscription", "create", "--name", "siem", "--url", &url, "--pattern", "a.>", "--secret-file", "-"];
    let secret = "the first secret of the tests";
    let created = host.run_with_input(&create, secret.as_bytes());
    assert_eq!(code(&created), 0, "{}", stderr(&created));
    (host, secret.into())
}

fn update(host: &Host, change: &[&str]) -> Value {
    host.json(&[&["subscription", "update", "siem", "--json"][..], change].concat())["settings"].clone()
}

/// Sends a test event and returns the request.
fn test(host: &Host, receiver: &Receiver) -> Request {
    let before = receiver.count();
    assert_eq!(host.json(&["subscription", "test", "siem", "--json"])["delivered"], true);
    drop(receiver.wait_for(before + 1, PATIENCE));
    receiver.requests().pop().unwrap()
}

fn signs(request: &Request, secret: &str) -> bool {
    let (id, at) = (request.header("webhook-id"), request.header("webhook-timestamp").parse().unwrap());
    let key = SigningKey::new(&Secret::new(secret));
    key.verify_standard(id, at, &request.body, request.header("webhook-signature"))
}

#[test]
fn each_setting_is_set_shown_and_reset() {
    let receiver = Receiver::start(reply(200));
    let (host, _) = subscribed(&receiver);
    assert_eq!(update(&host, &["--retry-schedule", "1s, 2s,30s"]), json!({"retry_schedule": "1s,2s,30s"}));
    assert_eq!(update(&host, &["--retry-schedule", "none"]), json!({"retry_schedule": "none"}));
    let all = json!({"retry_schedule": "none", "timeout": "5s", "concurrency": 4, "trace": true});
    assert_eq!(update(&host, &["--timeout", "5s", "--concurrency", "4", "--trace"]), all);
    let shown = stdout(&host.run(&["subscription", "show", "siem"]));
    assert!(shown.contains("no retries, timeout 5s, at most 4 at once, traced"), "{shown}");
    let id = test(&host, &receiver);
    assert!(id.header("traceparent").starts_with("00-"), "{:?}", id.headers);
    let back =
        ["--retry-schedule", "default", "--timeout", "default", "--concurrency", "default", "--no-trace"];
    assert_eq!(update(&host, &back), json!({}));
}

#[test]
fn header_values_are_sent_and_never_shown() {
    let receiver = Receiver::start(reply(200));
    let (host, _) = subscribed(&receiver);
    let file = host.path().join("headers.txt");
    std::fs::write(&file, format!("\u{feff}Authorization: {TOKEN}\n\nX-Tenant: a\n")).unwrap();
    let file = file.to_str().unwrap();
    let hidden = json!({"headers": {"authorization": "[secret]", "x-tenant": "[secret]"}});
    assert_eq!(update(&host, &["--header-file", file]), hidden);
    let request = test(&host, &receiver);
    assert_eq!((request.header("authorization"), request.header("x-tenant")), (TOKEN, "a"));
    let given = host.run(&["subscription", "update", "siem", "--header", "X-Tenant: b"]);
    assert!(stderr(&given).contains("process list"), "{}", stderr(&given));
    for arguments in [
        &["subscription", "list", "-vv"][..],
        &["subscription", "list", "--json"],
        &["subscription", "show", "siem"],
        &["subscription", "show", "siem", "--json"],
        &["subscription", "pause", "siem"],
        &["subscription", "resume", "siem", "--json"],
        &["subscription", "rotate-secret", "siem", "--json"],
        &["check", "--json"],
    ] {
        let output = host.run(arguments);
        let all = stdout(&output) + &stderr(&output);
        assert!(!all.contains("t0ken"), "{arguments:?} shows a header:\n{all}");
    }
    let names = stdout(&host.run(&["subscription", "show", "siem"]));
    assert!(names.contains("authorization, x-tenant"), "{names}");
    assert_eq!(
        update(&host, &["--no-header", "Authorization"]),
        json!({"headers": {"x-tenant": "[secret]"}})
    );
    assert_eq!(test(&host, &receiver).header("x-tenant"), "b");
    assert_eq!(update(&host, &["--no-headers"]), json!({}));
}

#[test]
fn invalid_settings_are_rejected_without_showing_secrets() {
    let receiver = Receiver::start(reply(200));
    let (host, secret) = subscribed(&receiver);
    for (change, part) in [
        (&["--header", "Host: t0ken"][..], "`host` is reserved"),
        (&["--header", "Webhook-Id: t0ken"], "`webhook-id` is reserved"),
        (&["--header", "t0ken"], "Name: value"),
        (&["--header", "a b: t0ken"], "letters, digits and hyphens"),
        (&["--header", "x-a: t0ken", "--header", "X-A: t0ken"], "is repeated"),
        (&["--header", "x-a: t0ken\u{e9}"], "printable ASCII"),
        (&["--no-headers", "--header", "x-a: t0ken"], "--no-headers"),
        (&["--timeout", "6m"], "from 100ms to 5m"),
        (&["--concurrency", "257"], "from 1 to 256"),
        (&["--retry-schedule", "soon"], "not a duration"),
    ] {
        let output = host.run(&[&["subscription", "update", "siem"][..], change].concat());
        assert_eq!(code(&output), 2, "{change:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(part), "{change:?}: {}", stderr(&output));
    }
    let rotate =
        |change: &[&str]| host.run(&[&["subscription", "rotate-secret", "siem"][..], change].concat());
    for (change, part) in [
        (&["--overlap", "31d"][..], "at most 30d"),
        (&["--secret", &secret], "already the current secret"),
        (&["--secret", "short"], "16 to 256"),
        (&["--revoke", "--overlap", "1h"], "--revoke"),
    ] {
        let output = rotate(change);
        assert_eq!(code(&output), 2, "{change:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(part), "{change:?}: {}", stderr(&output));
        assert!(!stderr(&output).contains(&secret));
    }
    let url = receiver.url_for("user:pw@127.0.0.1", "/");
    update(&host, &["--header", "authorization: t0ken"]);
    let output = host.run(&["subscription", "update", "siem", "--url", &url]);
    assert!(code(&output) == 2 && stderr(&output).contains("user information"), "{}", stderr(&output));
}

#[test]
fn old_secret_signs_until_it_is_revoked() {
    let receiver = Receiver::start(reply(200));
    let (host, first) = subscribed(&receiver);
    let rotated = host.json(&["subscription", "rotate-secret", "siem", "--overlap", "2h", "--json"]);
    let second = rotated["secret"].as_str().unwrap().to_owned();
    assert_eq!(rotated["old_secrets_until"].as_array().unwrap().len(), 1);
    let request = test(&host, &receiver);
    assert!(signs(&request, &first) && signs(&request, &second));
    let key = SigningKey::new(&Secret::new(second.as_str()));
    assert!(key.verify_decnet(&request.body, request.header("x-decnet-signature")));

    let human = stdout(&host.run(&["subscription", "rotate-secret", "siem"]));
    let third = human.lines().find_map(|line| line.strip_prefix("secret: ")).unwrap();
    let request = test(&host, &receiver);
    assert!([&first, &second, third].iter().all(|secret| signs(&request, secret)));
    let full = host.run(&["subscription", "rotate-secret", "siem"]);
    assert!(code(&full) == 2 && stderr(&full).contains("--revoke"), "{}", stderr(&full));
    assert!(stdout(&host.run(&["subscription", "show", "siem"])).contains("valid until"));

    let revoked = stdout(&host.run(&["subscription", "rotate-secret", "siem", "--revoke"]));
    assert!(revoked.contains("2 older secrets"), "{revoked}");
    let request = test(&host, &receiver);
    assert_eq!([&first, &second, third].map(|secret| signs(&request, secret)), [false, false, true]);
}

#[test]
fn pause_is_shown_and_survives_disable_and_enable() {
    let receiver = Receiver::start(reply(200));
    let (host, _) = subscribed(&receiver);
    let state = || stdout(&host.run(&["subscription", "show", "siem"]));
    let paused = host.json(&["subscription", "pause", "siem", "--json"]);
    assert_eq!((&paused["paused"], &paused["enabled"]), (&json!(true), &json!(true)));
    assert!(state().contains("paused"));
    host.run(&["subscription", "disable", "siem"]);
    assert!(state().contains("paused, disabled"), "{}", state());
    host.run(&["subscription", "enable", "siem"]);
    assert_eq!(host.json(&["subscription", "list", "--json"])[0]["paused"], true);
    assert_eq!(host.json(&["subscription", "resume", "siem", "--json"])["paused"], false);
    assert!(state().contains("active"), "{}", state());
}
