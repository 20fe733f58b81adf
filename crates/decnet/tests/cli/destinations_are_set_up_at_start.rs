//! `decnet serve --to` sets up a subscription to a destination, which gets readable messages.

use decnet_testkit::{Receiver, Request, reply};
use serde_json::Value;

use crate::support::{Host, PATIENCE, Running, code, eventually, stderr};

/// A receiver that replies as Slack does.
fn slack() -> Receiver {
    Receiver::start(reply(200).body("ok"))
}

/// Returns a host with the URL of the receiver in `slack.url`.
fn host(receiver: &Receiver) -> Host {
    let host = Host::new().with("DECNET_WEBHOOK_ALLOW_CIDRS", "127.0.0.1/32");
    host.write("slack.url", &format!("{}\n", receiver.url("/services/T1/hunter2")));
    host
}

/// Starts `decnet serve` with destinations, and returns what it says about the first one.
fn serve(host: &Host, to: &[&str]) -> (Running, String) {
    let to: Vec<&str> = to.iter().flat_map(|to| ["--to", to]).collect();
    let mut serving = host.start(&[&["serve", "--no-api"][..], &to].concat());
    let line = serving.wait_for("sending to");
    (serving, line)
}

fn stop(serving: Running) -> String {
    serving.signal("TERM");
    let (code, _, stderr) = serving.finish();
    assert_eq!(code, 0, "{stderr}");
    stderr
}

/// Publishes an event once the worker listens.
fn publish(host: &Host) {
    eventually("it listens to the bus", || host.is_connected_to_bus());
    let payload = r#"{"attacker_ip":"203.0.113.9","decky":"decky-03","username":"root"}"#;
    let sent = host.run(&["publish", "credential.captured", payload]);
    assert_eq!(code(&sent), 0, "{}", stderr(&sent));
}

fn text(request: &Request) -> String {
    let message: Value = serde_json::from_slice(&request.body).unwrap();
    message["text"].as_str().unwrap().to_owned()
}

#[test]
fn destination_gets_readable_messages() {
    let receiver = slack();
    let host = host(&receiver);
    let (serving, line) = serve(&host, &["slack=@slack.url"]);
    let url = format!("http://127.0.0.1:{}/…", receiver.port());
    assert_eq!(line, format!("sending to {url} in the format slack: subscription `slack` created\n"));
    publish(&host);
    let requests = receiver.wait_for(1, PATIENCE);
    assert!(text(&requests[0]).starts_with("*HIGH* ") && text(&requests[0]).contains("decky-03"));
    assert_eq!((requests[0].method.as_str(), requests[0].path.as_str()), ("POST", "/services/T1/hunter2"));
    let stderr = stop(serving);
    assert!(!stderr.contains("hunter2"), "{stderr}");
}

#[test]
fn next_start_updates_the_url_and_keeps_other_settings() {
    let (first, second) = (slack(), slack());
    let host = host(&first);
    let (serving, _) = serve(&host, &["slack=@slack.url"]);
    let change = ["subscription", "update", "slack", "--pattern", "credential.>", "--min-severity", "high"];
    let changed = host.run(&change);
    assert_eq!(code(&changed), 0, "{}", stderr(&changed));
    stop(serving);
    let (serving, line) = serve(&host, &["slack=@slack.url"]);
    assert!(line.contains("subscription `slack` unchanged"), "{line}");
    stop(serving);
    host.write("slack.url", &second.url("/services/T2"));
    let (serving, line) = serve(&host, &["slack=@slack.url", "slack=@slack.url"]);
    assert!(line.contains("subscription `slack` updated"), "{line}");
    let row = host.json(&["subscription", "show", "slack", "--json"]);
    assert_eq!(row["topic_patterns"], serde_json::json!(["credential.>"]));
    assert_eq!(
        (&row["settings"]["min_severity"], &row["settings"]["format"]),
        (&"high".into(), &"slack".into())
    );
    publish(&host);
    assert_eq!(second.wait_for(2, PATIENCE).len(), 2, "of `slack` and `slack-2`");
    assert_eq!(first.count(), 0);
    stop(serving);
}

#[test]
fn demo_sends_its_events_to_the_destination() {
    let receiver = slack();
    let host = Host::new();
    host.write("slack.url", &receiver.url("/"));
    let mut serving = host.start(&["serve", "--demo", "--to", "slack=@slack.url"]);
    serving.wait_for("subscription `slack` created");
    let requests = receiver.wait_for(1, PATIENCE);
    let first = text(&requests[0]);
    assert!(first.contains("events: 1 critical"), "a critical event ends the digest: {first}");
    serving.wait_for("slack: the first message was accepted");
    serving.signal("INT");
    let (code, _, stderr) = serving.finish();
    assert!(code == 0 && !stderr.contains("forbidden_url") && !stderr.contains("waiting"), "{stderr}");
    assert!(stderr.contains("published; the demo's receiver got"), "{stderr}");
    assert!(
        stderr.lines().any(|line| line.starts_with("slack: ") && line.ends_with(" delivered")),
        "{stderr}"
    );
}

#[test]
fn demo_reports_a_destination_that_fails() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (missing, host) = (Receiver::start(reply(404)), Host::new());
    host.write("closed.url", &format!("http://{closed}/"));
    host.write("missing.url", &missing.url("/"));
    let mut serving =
        host.start(&["serve", "--demo", "--to", "slack=@closed.url", "--to", "slack=@missing.url"]);
    let mut seen = String::new();
    serving.wait_for_noting("a message failed", &mut seen);
    let one = serving.wait_for_noting("a message failed", &mut seen);
    assert!(one.starts_with("slack"), "{one}");
    serving.signal("INT");
    let (code, _, stderr) = serving.finish();
    assert_eq!(code, 0, "{stderr}");
    for (name, error) in [("slack", "connection refused"), ("slack-2", "HTTP 404 Not Found")] {
        let total = stderr.lines().find(|line| line.starts_with(&format!("{name}: 0 of "))).unwrap();
        assert!(total.contains(" waiting; last error: ") && total.contains(error), "{total}");
    }
}

#[test]
fn inactive_subscription_is_reported() {
    let receiver = slack();
    let host = host(&receiver);
    stop(serve(&host, &["slack=@slack.url"]).0);
    assert_eq!(code(&host.run(&["subscription", "disable", "slack"])), 0);
    let (serving, line) = serve(&host, &["slack=@slack.url"]);
    assert!(line.contains("unchanged, but nothing is sent, because it is disabled"), "{line}");
    stop(serving);
}

#[test]
fn unusable_destinations_are_rejected_before_the_start() {
    let host = Host::new();
    host.write("siem.url", "https://siem.example/hunter2\n");
    for (to, problem) in [
        (
            "@siem.url",
            "the format of siem.example is not known; write FORMAT=@FILE with one of: slack, discord,",
        ),
        ("slck=@siem.url", "`slck` is not a format; use one of: slack, discord,"),
        ("slack=@missing", "cannot read the URL from missing"),
        ("slack=hunter2", "--to: not a URL"),
    ] {
        let output = host.run(&["serve", "--to", to]);
        let messages = stderr(&output);
        assert!(code(&output) > 0 && messages.contains(problem), "{to}: {messages}");
        assert!(!messages.contains("hunter2"), "{to}: {messages}");
    }
    assert!(!host.path().join("data").exists(), "nothing was created");
}

#[test]
fn inline_url_is_warned_about() {
    let receiver = slack();
    let host = host(&receiver);
    let to = format!("slack={}", receiver.url("/services/hunter2"));
    let mut serving = host.start(&["serve", "--no-api", "--to", &to]);
    let mut seen = String::new();
    serving.wait_for_noting("sending to", &mut seen);
    assert!(
        seen.contains("can read the URL of --to in the process list") && !seen.contains("hunter2"),
        "{seen}"
    );
    stop(serving);
}
